package adopt

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// specOf is the spec of a container that somebody else made, as far as a spec has words for it; left says, a line each, what
// the next deploy would do without. An undo needs none of it: it makes the container of its whole inspect.
func specOf(m docker.Made) (spec store.Spec, left []string) {
	spec = store.Spec{Command: m.Command, Restart: m.Restart, StopGrace: m.StopGrace}
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
	for _, mount := range m.Mounts {
		if source := sourceOf(mount); source != "" {
			spec.Mounts = append(spec.Mounts, store.Mount{Source: source, Target: mount.Target, ReadOnly: mount.ReadOnly})
		} else if mount.Type != "tmpfs" { // said with what else was asked for
			left = append(left, fmt.Sprintf("what is mounted at %s (%s)", mount.Target, mount.Type))
		}
	}
	spec.Labels = labelsOf(m.Labels)
	if len(m.Networks) > 0 {
		left = append(left, "its networks and its names in them: "+strings.Join(m.Networks, ", "))
	}
	return spec, append(left, m.Others...)
}

// sourceOf is the volume or folder of a mount; empty for what a spec has no words for. An anonymous volume is named by its
// name, so that what is in it is there again in the next container.
func sourceOf(m docker.Mount) string {
	switch {
	case m.Type == "volume":
		return m.Name
	case m.Type == "bind" && path.IsAbs(m.Source):
		return path.Clean(m.Source)
	}
	return ""
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

// differing names the parts in which two specs are not the same, without their values.
func differing(a, b store.Spec) []string {
	var names []string
	for _, part := range []struct {
		name string
		a, b any
	}{
		{"environment", a.Env, b.Env},
		{"ports", a.Ports, b.Ports},
		{"volumes", a.Mounts, b.Mounts},
		{"command", a.Command, b.Command},
		{"restart policy", restartOf(a), restartOf(b)},
		{"labels", a.Labels, b.Labels},
	} {
		if fmt.Sprint(part.a) != fmt.Sprint(part.b) {
			names = append(names, part.name)
		}
	}
	return names
}

func restartOf(s store.Spec) string {
	if s.Restart == "" {
		return "no"
	}
	return s.Restart
}
