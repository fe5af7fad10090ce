package adopt

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// specOf is the spec of a container that somebody else made, as far as a spec has words for it; left says, a line each, what
// the next deploy would do without. An undo needs none of it: it makes the container of its whole inspect.
func specOf(m docker.Made) (spec store.Spec, left []string) {
	spec = store.Spec{
		Entrypoint: m.Entrypoint, Command: m.Command, User: m.User, WorkDir: m.WorkDir, Restart: m.Restart, Init: m.Init, ReadOnly: m.ReadOnly,
		Resources: store.Resources{Memory: m.Memory, NanoCPUs: m.NanoCPUs, Pids: m.Pids}, CapDrop: m.CapDrop,
		Networks: networksOf(m), Labels: labelsOf(m.Labels), StopGrace: time.Duration(max(m.StopGrace, 0)) * time.Second,
		Power: store.Power{Privileged: m.Privileged, HostNetwork: m.HostNetwork, HostPID: m.HostPID, HostIPC: m.HostIPC, CapAdd: m.CapAdd},
	}
	if h := m.Check; h != nil {
		spec.Healthcheck = store.Healthcheck{Test: h.Test, Interval: h.Interval, Timeout: h.Timeout, StartPeriod: h.StartPeriod, Retries: h.Retries}
	}
	for _, v := range m.Env {
		name, value, ok := strings.Cut(v, "=")
		if !ok || name == "" {
			left = append(left, fmt.Sprintf("a variable without a value, %q", name))
			continue
		}
		spec.Env = slices.DeleteFunc(spec.Env, func(former store.EnvVar) bool { return former.Name == name }) // the last one counts
		spec.Env = append(spec.Env, store.EnvVar{Name: name, Value: value})
	}
	for _, p := range m.Ports {
		if p.Protocol != "tcp" && p.Protocol != "udp" {
			left = append(left, fmt.Sprintf("the port %d/%s", p.Container, p.Protocol))
			continue
		}
		spec.Ports = append(spec.Ports, store.Port{Container: p.Container, Host: p.Host, HostIP: p.HostIP, Protocol: p.Protocol})
	}
	// An anonymous volume is named by its name, so that what is in it is there again in the next container.
	for _, mount := range m.Mounts {
		spec.Mounts = append(spec.Mounts, store.Mount{Source: mount.Source, Target: mount.Target, ReadOnly: mount.ReadOnly})
	}
	return spec, append(left, m.Others...)
}

// networksOf are its networks. Its own name is one of its names there: the next container is called otherwise, and others
// may know this one by it.
func networksOf(m docker.Made) []store.Network {
	var networks []store.Network
	for _, a := range m.Networks {
		n := store.Network{Name: a.Network, Aliases: slices.Clone(a.Aliases)}
		if m.Name != "" && !slices.Contains(n.Aliases, m.Name) {
			n.Aliases = append(n.Aliases, m.Name)
		}
		networks = append(networks, n)
	}
	return networks
}

// labelsOf are the labels that somebody has written: compose would take a container that carries its own for one of its own,
// and ours say who made a container.
func labelsOf(all map[string]string) map[string]string {
	var labels map[string]string
	for name, value := range all {
		lower := strings.ToLower(name)
		switch {
		case strings.HasPrefix(lower, composeOwn), strings.HasPrefix(lower, "docker-watcher.") && name != docker.LabelKeep,
			strings.HasPrefix(lower, "com.docker.swarm."), name == docker.LabelKeep && value != "true" && value != "false", name == "":
			continue
		}
		if labels == nil {
			labels = map[string]string{}
		}
		labels[name] = value
	}
	return labels
}
