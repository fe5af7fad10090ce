package deploy

import (
	"errors"
	"maps"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	defaultGrace   = 10 * time.Second
	longestGrace   = time.Hour
	longestHealth  = time.Hour
	reservedLabels = "docker-watcher."
)

var (
	volumeForm = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`)
	retries    = regexp.MustCompile(`^on-failure(?::([0-9]{1,4}))?$`)
)

// ValidateSpec checks what a user wrote and reports every mistake by its field.
func ValidateSpec(s store.Spec) error {
	var wrong []error
	bad := marking(&wrong)
	checkEnv(s.Env, bad)
	checkPorts(s.Ports, bad)
	checkMounts(s.Mounts, bad)
	checkLabels(s.Labels, bad)
	checkHealth(s.Health, bad)
	checkNetworks(s, bad)
	checkResources(s.Resources, bad)
	checkProgram(s, bad)
	checkHealthcheck(s.Healthcheck, bad)
	checkCapabilities("power.cap_add", s.Power.CapAdd, bad)
	checkCapabilities("cap_drop", s.CapDrop, bad)
	if !slices.Contains([]string{"", "no", "always", "unless-stopped"}, s.Restart) && !retries.MatchString(s.Restart) {
		bad("restart", "restart %q: one of no, always, unless-stopped, on-failure, on-failure:3", s.Restart)
	}
	if s.StopGrace < 0 || s.StopGrace > longestGrace {
		bad("stop_grace", "stop_grace %s: 0s (the default of 10s) to 1h", s.StopGrace)
	}
	return errors.Join(wrong...)
}

func checkEnv(env []store.EnvVar, bad mark) {
	seen := map[string]bool{}
	for i, e := range env {
		at := item("env", i)
		switch {
		case e.Name == "" || strings.ContainsAny(e.Name, "=\x00\n"):
			bad(at+".name", "env name %q: it may not be empty or hold '=' or a line break", e.Name)
		case strings.ContainsRune(e.Value, 0):
			bad(at+".value", "env %s: a value may not hold a zero byte", e.Name)
		case seen[e.Name]:
			bad(at+".name", "env %s: given twice", e.Name)
		}
		seen[e.Name] = true
	}
}

func checkPorts(ports []store.Port, bad mark) {
	type hostPort struct {
		port     int
		ip, prot string
	}
	seen := map[hostPort]bool{}
	for i, p := range ports {
		at := item("ports", i)
		q := enginePort(p)
		switch {
		case p.Container < 1 || p.Container > 65535:
			bad(at+".container", "port %d: a container port is 1 to 65535", p.Container)
		case p.Host < 0 || p.Host > 65535:
			bad(at+".host", "port %d: a host port is 1 to 65535, or 0 to let the engine choose", p.Host)
		case q.Protocol != "tcp" && q.Protocol != "udp":
			bad(at+".protocol", "port %d: protocol %q: tcp or udp", p.Container, p.Protocol)
		}
		if _, err := netip.ParseAddr(q.HostIP); err != nil {
			bad(at+".host_ip", "port %d: host_ip %q is no IP address", p.Container, p.HostIP)
		}
		if key := (hostPort{q.Host, q.HostIP, q.Protocol}); q.Host > 0 {
			if seen[key] {
				bad(at+".host", "port %d: the host port is published twice", p.Host)
			}
			seen[key] = true
		}
	}
}

func checkMounts(mounts []store.Mount, bad mark) {
	seen := map[string]bool{}
	for i, m := range mounts {
		at := item("mounts", i)
		switch {
		case !path.IsAbs(m.Target) || path.Clean(m.Target) == "/":
			bad(at+".target", "volume target %q: an absolute path inside the container, not /", m.Target)
		case seen[path.Clean(m.Target)]:
			bad(at+".target", "volume target %q: given twice", m.Target)
		case path.IsAbs(m.Source) && path.Clean(m.Source) != m.Source && path.Clean(m.Source)+"/" != m.Source:
			bad(at+".source", "volume source %q: write the path without . and ..", m.Source)
		case !path.IsAbs(m.Source) && !volumeForm.MatchString(m.Source):
			bad(at+".source", "volume source %q: the name of a volume, or an absolute path of the host", m.Source)
		}
		seen[path.Clean(m.Target)] = true
	}
}

// checkLabels keeps our own labels ours, save for the one by which a user protects a container.
func checkLabels(labels map[string]string, bad mark) {
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		v, at := labels[k], "labels."+k
		switch {
		case k == docker.LabelKeep && (v == "true" || v == "false"):
		case k == docker.LabelKeep:
			bad(at, "label %s: true or false", k)
		case k == "":
			bad("labels", "label: a name may not be empty")
		case strings.HasPrefix(strings.ToLower(k), reservedLabels):
			bad(at, "label %s: names that begin with %s are docker-watcher's own (only %s may be set)", k, reservedLabels, docker.LabelKeep)
		case strings.HasPrefix(k, docker.LabelSwarmTask):
			bad(at, "label %s: it belongs to Swarm", k)
		}
	}
}

func checkHealth(h store.Health, bad mark) {
	switch h.Kind {
	case store.HealthAuto:
	case store.HealthHTTP, store.HealthTCP:
		if h.Port < 1 || h.Port > 65535 {
			bad("health.port", "health port %d: the container's port to ask, 1 to 65535", h.Port)
		}
	default:
		bad("health.kind", "health kind %q: http, tcp, or none for the image's own check", h.Kind)
	}
	if h.Kind == store.HealthHTTP && !strings.HasPrefix(h.Path, "/") {
		bad("health.path", "health path %q: it begins with /", h.Path)
	}
	if h.Timeout < 0 || h.Timeout > longestHealth {
		bad("health.timeout", "health timeout %s: 0s (the default) to 1h", h.Timeout)
	}
}

// Options is the container that a deploy makes of a spec, for whoever must make it again.
func (d *Deployer) Options(v store.InstanceView, spec store.Spec) docker.CreateOptions {
	return createOptions(v, spec, d.db.InstallationID())
}

// createOptions translates a spec for the engine and puts our labels on it.
func createOptions(v store.InstanceView, spec store.Spec, installation string) docker.CreateOptions {
	o := docker.CreateOptions{
		Name: v.Name, Image: reference(v.Image, v.ImageTag), Command: spec.Command, Entrypoint: spec.Entrypoint,
		User: spec.User, WorkDir: spec.WorkDir, Init: spec.Init, ReadOnly: spec.ReadOnly,
		Memory: spec.Resources.Memory, NanoCPUs: spec.Resources.NanoCPUs, Pids: spec.Resources.Pids,
		CapAdd: spec.Power.CapAdd, CapDrop: spec.CapDrop, Privileged: spec.Power.Privileged,
		HostNetwork: spec.Power.HostNetwork, HostPID: spec.Power.HostPID, HostIPC: spec.Power.HostIPC,
		Restart: spec.Restart, StopGrace: graceOf(spec), Networks: attachments(spec), Check: engineCheck(spec.Healthcheck),
		Labels: map[string]string{},
	}
	for _, e := range spec.Env {
		o.Env = append(o.Env, e.Name+"="+e.Value)
	}
	for _, p := range spec.Ports {
		o.Ports = append(o.Ports, enginePort(p))
	}
	for _, m := range spec.Mounts {
		o.Mounts = append(o.Mounts, engineMount(m))
	}
	maps.Copy(o.Labels, spec.Labels)
	o.Labels[docker.LabelManaged] = "true"
	o.Labels[docker.LabelInstallation] = installation
	o.Labels[docker.LabelProject] = v.Project
	o.Labels[docker.LabelStage] = v.Stage
	o.Labels[docker.LabelInstance] = v.ID
	return o
}

func enginePort(p store.Port) docker.Port {
	q := docker.Port{Container: p.Container, Host: p.Host, HostIP: p.HostIP, Protocol: p.Protocol}
	if q.HostIP == "" {
		q.HostIP = "127.0.0.1"
	}
	if q.Protocol == "" {
		q.Protocol = "tcp"
	}
	return q
}

func engineMount(m store.Mount) docker.Mount {
	if path.IsAbs(m.Source) {
		return docker.Mount{Type: "bind", Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly}
	}
	return docker.Mount{Type: "volume", Name: m.Source, Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly}
}

func attachments(s store.Spec) []docker.Attachment {
	var list []docker.Attachment
	for _, n := range s.Networks {
		list = append(list, docker.Attachment{Network: n.Name, Aliases: n.Aliases})
	}
	return list
}

// engineCheck is nil where the image decides.
func engineCheck(h store.Healthcheck) *docker.Healthcheck {
	if h.IsZero() {
		return nil
	}
	return &docker.Healthcheck{Test: h.Test, Interval: h.Interval, Timeout: h.Timeout, StartPeriod: h.StartPeriod, Retries: h.Retries}
}

func graceOf(s store.Spec) time.Duration {
	if s.StopGrace > 0 {
		return s.StopGrace
	}
	return defaultGrace
}

// cannotOverlap says why two containers of these specs cannot run at the same time: both need one host
// port, or both listen on the host's own network, or both write to one volume or folder. It is empty when they can.
func cannotOverlap(former, next store.Spec) string {
	if former.Power.HostNetwork && next.Power.HostNetwork {
		return "both listen on the host's own network"
	}
	for _, a := range former.Ports {
		for _, b := range next.Ports {
			if p, q := enginePort(a), enginePort(b); p.Host > 0 && p.Host == q.Host && p.Protocol == q.Protocol && sameAddress(p.HostIP, q.HostIP) {
				return "both publish the host port " + strconv.Itoa(p.Host)
			}
		}
	}
	for _, a := range former.Mounts {
		for _, b := range next.Mounts {
			if a.Source == b.Source && !a.ReadOnly && !b.ReadOnly {
				return "both write to " + a.Source
			}
		}
	}
	return ""
}

func sameAddress(a, b string) bool {
	everywhere := func(ip string) bool { return ip == "0.0.0.0" || ip == "::" }
	return a == b || everywhere(a) || everywhere(b)
}
