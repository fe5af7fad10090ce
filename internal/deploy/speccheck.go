package deploy

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	leastMemory   = 6 << 20 // what engines allow
	mostMemory    = 1 << 50
	leastCPUs     = 10_000_000 // a hundredth
	mostCPUs      = 1024 * 1_000_000_000
	mostPids      = 4 << 20
	longestCheck  = 24 * time.Hour
	mostRetries   = 1000
	longestUser   = 200
	longestInline = 1 << 17 // bytes of a command or an entrypoint: what Linux takes as one argument
)

var capabilityForm = regexp.MustCompile(`^(?:ALL|CAP_[A-Z][A-Z_]*|[A-Z][A-Z_]*)$`)

func checkNetworks(s store.Spec, bad mark) {
	if s.Power.HostNetwork && len(s.Networks)+len(s.Ports) > 0 {
		bad("power.host_network", "host_network: a container on the host's network can neither be in others nor publish ports: take out networks and ports")
	}
	seen := map[string]bool{}
	for i, n := range s.Networks {
		at := item("networks", i)
		switch {
		case !volumeForm.MatchString(n.Name):
			bad(at+".name", "network %q: the name of a network of the host", n.Name)
		case docker.EngineNetwork(n.Name):
			bad(at+".name", "network %s: it is the engine's own: leave it out for its default one, or use host_network", n.Name)
		case seen[n.Name]:
			bad(at+".name", "network %s: given twice", n.Name)
		}
		seen[n.Name] = true
		for j, alias := range n.Aliases {
			if !volumeForm.MatchString(alias) {
				bad(item(at+".aliases", j), "network %s: alias %q: a name of letters, digits, '.', '_' and '-'", n.Name, alias)
			}
		}
	}
}

func checkResources(r store.Resources, bad mark) {
	if r.Memory != 0 && (r.Memory < leastMemory || r.Memory > mostMemory) {
		bad("resources.memory", "memory %d: bytes, at least 6 MiB, or 0 for no limit", r.Memory)
	}
	if r.NanoCPUs != 0 && (r.NanoCPUs < leastCPUs || r.NanoCPUs > mostCPUs) {
		bad("resources.cpus", "cpus %g: at least 0.01, at most 1024, or 0 for no limit", float64(r.NanoCPUs)/1e9)
	}
	if r.Pids < 0 || r.Pids > mostPids {
		bad("resources.pids", "pids %d: 1 to 4194304, or 0 for no limit", r.Pids)
	}
}

// checkProgram checks what is run and as whom.
func checkProgram(s store.Spec, bad mark) {
	checkArguments("entrypoint", s.Entrypoint, bad)
	checkArguments("command", s.Command, bad)
	if len(s.Entrypoint) > 0 && s.Entrypoint[0] == "" {
		bad("entrypoint[0]", "entrypoint: its first word is the program, and may not be empty")
	}
	if len(s.User) > longestUser || strings.ContainsAny(s.User, " \t\r\n\x00") {
		bad("user", "user %q: a name or number, with :GROUP if wanted", s.User)
	}
	if s.WorkDir != "" && (!path.IsAbs(s.WorkDir) || strings.ContainsAny(s.WorkDir, "\x00\n")) {
		bad("workdir", "workdir %q: an absolute path inside the container", s.WorkDir)
	}
}

func checkArguments(field string, words []string, bad mark) {
	for i, w := range words {
		if strings.ContainsRune(w, 0) || len(w) > longestInline {
			bad(item(field, i), "%s: a word may hold no zero byte and at most 128 KiB", field)
		}
	}
}

func checkHealthcheck(h store.Healthcheck, bad mark) {
	if len(h.Test) > 0 {
		switch kind, words := h.Test[0], len(h.Test)-1; {
		case kind == "NONE" && words == 0, kind == "CMD" && words > 0, kind == "CMD-SHELL" && words == 1:
		default:
			bad("healthcheck.test", "healthcheck test: CMD and the words of a command, CMD-SHELL and one line, or NONE alone")
		}
	}
	for _, d := range []struct {
		name string
		is   time.Duration
	}{{"interval", h.Interval}, {"timeout", h.Timeout}, {"start_period", h.StartPeriod}} {
		if d.is < 0 || d.is > longestCheck || d.is > 0 && d.is < time.Millisecond {
			bad("healthcheck."+d.name, "healthcheck %s %s: 1ms to 24h, or 0s for the image's", d.name, d.is)
		}
	}
	if h.Retries < 0 || h.Retries > mostRetries {
		bad("healthcheck.retries", "healthcheck retries %d: 1 to 1000, or 0 for the image's", h.Retries)
	}
}

func checkCapabilities(field string, names []string, bad mark) {
	called := strings.TrimPrefix(field, "power.")
	for i, name := range names {
		switch {
		case !capabilityForm.MatchString(name):
			bad(item(field, i), "%s %q: the name of a capability in capital letters, such as NET_ADMIN, or ALL", called, name)
		case slices.Contains(names[:i], name):
			bad(item(field, i), "%s %s: given twice", called, name)
		}
	}
}
