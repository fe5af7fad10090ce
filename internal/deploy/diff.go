package deploy

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// Change says what becomes of a part of a spec.
type Change string

// The changes.
const (
	Added   Change = "added"   // wanted, and not so now
	Removed Change = "removed" // so now, and not wanted
	Changed Change = "changed"
)

// Difference is one part in which what runs is not what is wanted. Running and Wanted are words for people, empty where there
// is nothing. A value of a secret variable is in neither of them.
type Difference struct {
	Field   string // in the words of the API: env, ports, resources.memory
	Name    string // which one of them: a variable, a port, a path; empty where there is only one
	Change  Change
	Running string
	Wanted  string
	Secret  bool // of a variable whose value is not told, but compared
	Plain   bool // of a variable: Running and Wanted are its values
}

// Compare tells in which parts a container of the spec running differs from one that a deploy would make of wanted, in the
// order in which a spec is read. An order that means nothing (of ports, of variables) is no difference.
func Compare(running, wanted store.Spec) []Difference {
	c := &comparison{}
	c.env(running.Env, wanted.Env)
	c.each("ports", portsByName(running.Ports), portsByName(wanted.Ports))
	c.each("mounts", mountsByTarget(running.Mounts), mountsByTarget(wanted.Mounts))
	c.each("networks", networksByName(running.Networks), networksByName(wanted.Networks))
	was, will := running.Resources, wanted.Resources
	c.one("resources.memory", bytesWords(was.Memory), bytesWords(will.Memory))
	c.one("resources.cpus", cpuWords(was.NanoCPUs), cpuWords(will.NanoCPUs))
	c.one("resources.pids", countWords(was.Pids), countWords(will.Pids))
	c.one("restart", cmp.Or(running.Restart, "no"), cmp.Or(wanted.Restart, "no"))
	c.one("entrypoint", commandWords(running.Entrypoint), commandWords(wanted.Entrypoint))
	c.one("command", commandWords(running.Command), commandWords(wanted.Command))
	c.one("user", running.User, wanted.User)
	c.one("workdir", running.WorkDir, wanted.WorkDir)
	c.one("init", yes(running.Init), yes(wanted.Init))
	c.one("read_only", yes(running.ReadOnly), yes(wanted.ReadOnly))
	c.each("cap_drop", setOf(running.CapDrop), setOf(wanted.CapDrop))
	c.each("labels", running.Labels, wanted.Labels)
	c.one("stop_grace", graceOf(running).String(), graceOf(wanted).String())
	c.one("healthcheck", checkWords(running.Healthcheck), checkWords(wanted.Healthcheck))
	c.one("health", healthWords(running.Health), healthWords(wanted.Health))
	had, gets := running.Power, wanted.Power
	c.one("power.privileged", yes(had.Privileged), yes(gets.Privileged))
	c.one("power.host_network", yes(had.HostNetwork), yes(gets.HostNetwork))
	c.one("power.host_pid", yes(had.HostPID), yes(gets.HostPID))
	c.one("power.host_ipc", yes(had.HostIPC), yes(gets.HostIPC))
	c.each("power.cap_add", setOf(had.CapAdd), setOf(gets.CapAdd))
	return c.found
}

// Differing names the parts in which a container that was not deployed differs from one that a deploy would make of wanted. How
// a deploy proves health is of no container.
func Differing(running, wanted store.Spec) []string {
	running.Health = wanted.Health
	var names []string
	for _, d := range Compare(running, wanted) {
		if !slices.Contains(names, d.Field) {
			names = append(names, d.Field)
		}
	}
	return names
}

type comparison struct{ found []Difference }

// one compares a part that there is once.
func (c *comparison) one(field, running, wanted string) {
	if running == wanted {
		return
	}
	c.found = append(c.found, Difference{Field: field, Change: changeOf(running != "", wanted != ""), Running: running, Wanted: wanted})
}

// each compares parts that have names.
func (c *comparison) each(field string, running, wanted map[string]string) {
	for _, name := range bothNames(running, wanted) {
		was, had := running[name]
		will, has := wanted[name]
		if had && has && was == will {
			continue
		}
		c.found = append(c.found, Difference{Field: field, Name: name, Change: changeOf(had, has), Running: was, Wanted: will})
	}
}

// env compares values and tells only those that are plain on both sides. Whether a value is secret changes no container.
func (c *comparison) env(running, wanted []store.EnvVar) {
	was, will := envByName(running), envByName(wanted)
	for _, name := range bothNames(was, will) {
		a, had := was[name]
		b, has := will[name]
		if had && has && a.Value == b.Value {
			continue
		}
		d := Difference{Field: "env", Name: name, Change: changeOf(had, has)}
		if d.Plain = (!had || a.Plain) && (!has || b.Plain); d.Plain {
			d.Running, d.Wanted = a.Value, b.Value
		}
		d.Secret = !d.Plain
		c.found = append(c.found, d)
	}
}

func changeOf(had, has bool) Change {
	switch {
	case !had:
		return Added
	case !has:
		return Removed
	}
	return Changed
}

// bothNames are the keys of two maps, each once, in order.
func bothNames[V any](a, b map[string]V) []string {
	names := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(names)
	return slices.Compact(names)
}

func envByName(env []store.EnvVar) map[string]store.EnvVar {
	named := map[string]store.EnvVar{}
	for _, e := range env {
		named[e.Name] = e
	}
	return named
}

// portsByName calls a port after that of the container; one that is published more than once is told together.
func portsByName(ports []store.Port) map[string]string {
	all := map[string][]string{}
	for _, p := range ports {
		q := enginePort(p)
		host := "a free one"
		if q.Host > 0 {
			host = strconv.Itoa(q.Host)
		}
		name := strconv.Itoa(q.Container) + "/" + q.Protocol
		all[name] = append(all[name], net.JoinHostPort(q.HostIP, host))
	}
	named := map[string]string{}
	for name, at := range all {
		slices.Sort(at)
		named[name] = strings.Join(at, ", ")
	}
	return named
}

func mountsByTarget(mounts []store.Mount) map[string]string {
	named := map[string]string{}
	for _, m := range mounts {
		named[m.Target] = m.Source
		if m.ReadOnly {
			named[m.Target] += " (read only)"
		}
	}
	return named
}

func networksByName(networks []store.Network) map[string]string {
	named := map[string]string{}
	for _, n := range networks {
		aliases := slices.Sorted(slices.Values(n.Aliases))
		named[n.Name] = "in it"
		if len(aliases) > 0 {
			named[n.Name] = "as " + strings.Join(aliases, ", ")
		}
	}
	return named
}

// setOf is a list in which only what is in it counts.
func setOf(names []string) map[string]string {
	named := map[string]string{}
	for _, name := range names {
		named[strings.TrimPrefix(name, "CAP_")] = "yes"
	}
	return named
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return ""
}

func countWords(n int64) string {
	if n <= 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func cpuWords(nano int64) string {
	if nano <= 0 {
		return ""
	}
	return strconv.FormatFloat(float64(nano)/1e9, 'f', -1, 64)
}

// bytesWords is a size in the largest unit that holds it without a rest.
func bytesWords(n int64) string {
	if n <= 0 {
		return ""
	}
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	at := 0
	for at < len(units)-1 && n%1024 == 0 {
		n, at = n/1024, at+1
	}
	return fmt.Sprintf("%d %s", n, units[at])
}

// commandWords writes words so that two commands that differ look different.
func commandWords(words []string) string {
	shown := make([]string, len(words))
	for i, w := range words {
		shown[i] = w
		if w == "" || strings.ContainsAny(w, " \t\n\"'\\") {
			shown[i] = strconv.Quote(w)
		}
	}
	return strings.Join(shown, " ")
}

func checkWords(h store.Healthcheck) string {
	parts := []string{commandWords(h.Test)}
	for _, d := range []struct {
		name string
		is   time.Duration
	}{{"every", h.Interval}, {"within", h.Timeout}, {"after", h.StartPeriod}} {
		if d.is > 0 {
			parts = append(parts, d.name+" "+d.is.String())
		}
	}
	if h.Retries > 0 {
		parts = append(parts, "retries "+strconv.Itoa(h.Retries))
	}
	return strings.TrimSpace(strings.Join(parts, " "))
}

func healthWords(h store.Health) string {
	text := string(h.Kind)
	if h.Kind != store.HealthAuto {
		text += ":" + strconv.Itoa(h.Port) + h.Path
	}
	if h.Timeout > 0 {
		text += " within " + h.Timeout.String()
	}
	return strings.TrimSpace(text)
}
