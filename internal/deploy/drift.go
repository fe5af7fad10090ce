package deploy

import (
	"slices"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// AsItRuns is the spec of a container that was deployed with one, with what somebody changed on the engine since: limits and the
// restart policy (docker update) and its networks. All else of a container never changes.
func AsItRuns(deployed store.Spec, now docker.Setup) store.Spec {
	deployed.Resources.Memory, deployed.Resources.NanoCPUs = now.Memory, now.NanoCPUs
	if deployed.Resources.Pids != 0 { // some engines set a limit of their own where none was asked for
		deployed.Resources.Pids = now.Pids
	}
	if now.Restart != "no" || deployed.Restart != "" {
		deployed.Restart = now.Restart
	}
	deployed.Networks = networksNow(deployed.Networks, now)
	return deployed
}

// networksNow keeps of the aliases only those that were asked for: an engine shows some of its own beside them. By its own name
// a container is known in each.
func networksNow(deployed []store.Network, now docker.Setup) []store.Network {
	var list []store.Network
	for _, a := range now.Networks {
		n := store.Network{Name: a.Network}
		at := slices.IndexFunc(deployed, func(d store.Network) bool { return d.Name == a.Network })
		if at >= 0 {
			n.Aliases = slices.DeleteFunc(slices.Clone(deployed[at].Aliases), func(alias string) bool { return alias != now.Name && !slices.Contains(a.Aliases, alias) })
		}
		list = append(list, n)
	}
	return list
}

// Explicit is what an inspect says of a container that was made without a spec of ours, as far as wanted says something of
// the same: what the image gave and what was asked for cannot be told apart, so that nothing is compared that wanted leaves open.
// What is written of it (written) says which of its variables are plain: that wanted calls a variable plain says nothing of the
// value that it had before.
func Explicit(now docker.Setup, wanted, written store.Spec) store.Spec {
	s := store.Spec{
		Resources: store.Resources{Memory: now.Memory, NanoCPUs: now.NanoCPUs, Pids: wanted.Resources.Pids}, Restart: now.Restart,
		Init: now.Init, ReadOnly: now.ReadOnly, CapDrop: now.CapDrop, StopGrace: wanted.StopGrace, Health: wanted.Health,
		Networks: networksNow(wanted.Networks, now),
		Power: store.Power{
			Privileged: now.Privileged, HostNetwork: now.HostNetwork, HostPID: now.HostPID, HostIPC: now.HostIPC, CapAdd: now.CapAdd,
		},
	}
	if wanted.Resources.Pids != 0 {
		s.Resources.Pids = now.Pids
	}
	asked, known := envByName(wanted.Env), envByName(written.Env)
	for _, kv := range now.Env {
		name, value, _ := strings.Cut(kv, "=")
		if _, is := asked[name]; is {
			s.Env = append(s.Env, store.EnvVar{Name: name, Value: value, Plain: known[name].Plain})
		}
	}
	for _, p := range now.Ports {
		if p.Protocol == "tcp" || p.Protocol == "udp" {
			s.Ports = append(s.Ports, store.Port{Container: p.Container, Host: p.Host, HostIP: p.HostIP, Protocol: p.Protocol})
		}
	}
	for _, m := range now.Mounts {
		if !m.Anonymous || slices.ContainsFunc(wanted.Mounts, func(w store.Mount) bool { return w.Target == m.Target }) {
			s.Mounts = append(s.Mounts, store.Mount{Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly})
		}
	}
	for name := range wanted.Labels {
		if value, has := now.Labels[name]; has {
			if s.Labels == nil {
				s.Labels = map[string]string{}
			}
			s.Labels[name] = value
		}
	}
	entrypoint, command := now.Entrypoint, now.Command
	if len(entrypoint) == 0 && len(command) > 0 && len(wanted.Entrypoint) > 0 { // the same program in other words
		entrypoint, command = command[:1], command[1:]
	}
	explicit(&s.Entrypoint, wanted.Entrypoint, entrypoint)
	explicit(&s.Command, wanted.Command, command)
	if wanted.User != "" {
		s.User = now.User
	}
	if wanted.WorkDir != "" {
		s.WorkDir = now.WorkDir
	}
	s.Healthcheck = explicitCheck(now.Check, wanted.Healthcheck)
	return s
}

// explicitCheck takes each part by itself: an engine fills in what was left open.
func explicitCheck(now *docker.Healthcheck, wanted store.Healthcheck) store.Healthcheck {
	if now == nil {
		return store.Healthcheck{}
	}
	s := store.Healthcheck{Interval: now.Interval, Timeout: now.Timeout, StartPeriod: now.StartPeriod, Retries: now.Retries}
	explicit(&s.Test, wanted.Test, now.Test)
	for _, part := range []struct {
		is     *time.Duration
		wanted time.Duration
	}{{&s.Interval, wanted.Interval}, {&s.Timeout, wanted.Timeout}, {&s.StartPeriod, wanted.StartPeriod}} {
		if part.wanted == 0 {
			*part.is = 0
		}
	}
	if wanted.Retries == 0 {
		s.Retries = 0
	}
	return s
}

func explicit(into *[]string, wanted, now []string) {
	if len(wanted) > 0 {
		*into = now
	}
}
