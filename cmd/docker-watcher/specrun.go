package main

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

// runFlags are how a container is run beyond its ports and volumes: with what, as whom, how much, and with which power.
type runFlags struct {
	plainEnv, networks, capAdd, capDrop []string
	memory, cpus                        string
	pids                                int64
	entrypoint, user, workDir           string
	init, readOnly, privileged          bool
	pid, ipc                            string
	checkCommand, checkEvery            string
	checkTimeout, checkAfter            string
	checkRetries                        int
	noCheck                             bool
}

func (f *runFlags) add(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.plainEnv, "plain-env", nil, "as --env, but operators may see its value; repeat")
	flags.StringArrayVar(&f.networks, "network", nil, "network of the host NAME or NAME:ALIAS,ALIAS; repeat; 'host': the host's own")
	flags.StringVar(&f.memory, "memory", "", "most memory, such as 512m or 2g (0: no limit)")
	flags.StringVar(&f.cpus, "cpus", "", "most processors, such as 0.5 (0: no limit)")
	flags.Int64Var(&f.pids, "pids-limit", 0, "most processes and threads (0: no limit)")
	flags.StringVar(&f.entrypoint, "entrypoint", "", "program instead of the image's, words apart by blanks")
	flags.StringVar(&f.user, "user", "", "NAME or UID, with :GROUP if wanted")
	flags.StringVar(&f.workDir, "workdir", "", "folder in the container to start in")
	flags.BoolVar(&f.init, "init", false, "let a small first process reap what the program leaves behind")
	flags.BoolVar(&f.readOnly, "read-only", false, "nothing but its volumes can be written to")
	flags.StringArrayVar(&f.capDrop, "cap-drop", nil, "capability to take away, such as NET_RAW, or ALL; repeat")
	flags.StringArrayVar(&f.capAdd, "cap-add", nil, "capability to add, such as NET_ADMIN (admin); repeat")
	flags.BoolVar(&f.privileged, "privileged", false, "full power over the host (admin)")
	flags.StringVar(&f.pid, "pid", "", "'host': it sees the host's processes (admin)")
	flags.StringVar(&f.ipc, "ipc", "", "'host': the host's shared memory (admin)")
	flags.StringVar(&f.checkCommand, "health-cmd", "", "HEALTHCHECK instead of the image's, a line for the container's shell")
	flags.StringVar(&f.checkEvery, "health-interval", "", "how often that is run, such as 30s")
	flags.StringVar(&f.checkTimeout, "health-cmd-timeout", "", "how long one run of it may take")
	flags.StringVar(&f.checkAfter, "health-start-period", "", "how long after a start its failures do not count")
	flags.IntVar(&f.checkRetries, "health-retries", 0, "failures in a row that make it unhealthy")
	flags.BoolVar(&f.noCheck, "no-healthcheck", false, "no HEALTHCHECK, not the image's either")
}

// into lays what the flags say into a spec.
func (f *runFlags) into(s *client.Spec) error {
	var errs []error
	keep := func(err error) { errs = append(errs, err) }
	power := client.Power{Privileged: f.privileged, CapAdd: f.capAdd, HostPID: f.pid == "host", HostIPC: f.ipc == "host"}
	for _, n := range f.networks {
		switch name, aliases, _ := strings.Cut(n, ":"); {
		case n == "host":
			power.HostNetwork = true
		case n != "":
			s.Networks = append(s.Networks, client.Network{Name: name, Aliases: split(aliases)})
		}
	}
	for flag, value := range map[string]string{"--pid": f.pid, "--ipc": f.ipc} {
		if value != "" && value != "host" {
			keep(fmt.Errorf("%s %q: only host", flag, value))
		}
	}
	if power.Privileged || power.HostNetwork || power.HostPID || power.HostIPC || len(power.CapAdd) > 0 {
		s.Power = &power
	}
	r := client.Resources{Pids: f.pids}
	var err error
	r.Memory, err = memorySize(f.memory)
	keep(err)
	r.CPUs, err = processors(f.cpus)
	keep(err)
	if r != (client.Resources{}) {
		s.Resources = &r
	}
	s.Entrypoint, err = words("--entrypoint", f.entrypoint)
	keep(err)
	s.User, s.WorkDir, s.Init, s.ReadOnly, s.CapDrop = f.user, f.workDir, f.init, f.readOnly, f.capDrop
	s.Healthcheck = f.check()
	return errors.Join(errs...)
}

// check is nil where the image decides.
func (f *runFlags) check() *client.Healthcheck {
	h := &client.Healthcheck{Interval: f.checkEvery, Timeout: f.checkTimeout, StartPeriod: f.checkAfter, Retries: f.checkRetries}
	switch {
	case f.noCheck:
		return &client.Healthcheck{Test: []string{"NONE"}}
	case f.checkCommand != "":
		h.Test = []string{"CMD-SHELL", f.checkCommand}
	case h.Interval == "" && h.Timeout == "" && h.StartPeriod == "" && h.Retries == 0:
		return nil
	}
	return h
}

// change takes over what was said by flags that were set.
func (f *runFlags) change(set func(apply func(), names ...string), was, said *client.Spec) {
	set(func() { was.Networks = said.Networks; f.power(was).HostNetwork = saidPower(said).HostNetwork }, "network")
	set(func() { f.power(was).Privileged = f.privileged }, "privileged")
	set(func() { f.power(was).HostPID = saidPower(said).HostPID }, "pid")
	set(func() { f.power(was).HostIPC = saidPower(said).HostIPC }, "ipc")
	set(func() { f.power(was).CapAdd = f.capAdd }, "cap-add")
	resources := client.Resources{}
	if said.Resources != nil {
		resources = *said.Resources
	}
	limit := func(apply func(*client.Resources), name string) {
		set(func() {
			now := client.Resources{}
			if was.Resources != nil {
				now = *was.Resources
			}
			apply(&now)
			was.Resources = &now
		}, name)
	}
	limit(func(r *client.Resources) { r.Memory = resources.Memory }, "memory")
	limit(func(r *client.Resources) { r.CPUs = resources.CPUs }, "cpus")
	limit(func(r *client.Resources) { r.Pids = resources.Pids }, "pids-limit")
	set(func() { was.Entrypoint = said.Entrypoint }, "entrypoint")
	set(func() { was.User = said.User }, "user")
	set(func() { was.WorkDir = said.WorkDir }, "workdir")
	set(func() { was.Init = said.Init }, "init")
	set(func() { was.ReadOnly = said.ReadOnly }, "read-only")
	set(func() { was.CapDrop = said.CapDrop }, "cap-drop")
	set(func() { was.Healthcheck = said.Healthcheck }, "health-cmd", "health-interval", "health-cmd-timeout", "health-start-period", "health-retries", "no-healthcheck")
}

// power is that of a spec, to be changed without changing the one that it was copied from.
func (f *runFlags) power(s *client.Spec) *client.Power {
	now := saidPower(s)
	s.Power = &now
	return s.Power
}

func saidPower(s *client.Spec) client.Power {
	if s.Power == nil {
		return client.Power{}
	}
	return *s.Power
}

func split(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

// memorySize reads bytes with a unit: 512m, 1.5g, 64MiB. A unit is a power of 1024, as docker has it.
func memorySize(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	number := strings.ToLower(text)
	number = strings.TrimSuffix(strings.TrimSuffix(number, "b"), "i")
	factor := 1.0
	if at := strings.IndexAny(number, "kmgt"); at >= 0 && at == len(number)-1 {
		factor = math.Pow(1024, float64(strings.IndexByte("kmgt", number[at])+1))
		number = number[:at]
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || n < 0 || math.IsNaN(n) || n*factor > 1<<50 {
		return 0, fmt.Errorf("--memory %q: it is written 512m or 1.5g", text)
	}
	return int64(n * factor), nil
}

func processors(text string) (float64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || n < 0 || n > 1024 || math.IsNaN(n) {
		return 0, fmt.Errorf("--cpus %q: a number such as 0.5", text)
	}
	return n, nil
}

// specWords are the lines that tell of a spec.
func specWords(s client.Spec, row func(name, value string)) {
	for _, e := range s.Env {
		if e.Value != nil {
			row("env", e.Name+"="+strings.ReplaceAll(*e.Value, "\n", "\\n"))
		} else {
			row("env", e.Name+"=(sealed)")
		}
	}
	for _, p := range s.Ports {
		row("port", portText(p))
	}
	for _, m := range s.Mounts {
		row("volume", mountText(m))
	}
	for _, n := range s.Networks {
		row("network", strings.TrimSuffix(n.Name+": "+strings.Join(n.Aliases, ", "), ": "))
	}
	if r := s.Resources; r != nil {
		row("limits", limitWords(*r))
	}
	row("restart", s.Restart)
	row("entrypoint", strings.Join(s.Entrypoint, " "))
	row("command", strings.Join(s.Command, " "))
	row("user", s.User)
	row("workdir", s.WorkDir)
	if s.Init {
		row("init", "yes")
	}
	if s.ReadOnly {
		row("read only", "yes")
	}
	row("cap drop", strings.Join(s.CapDrop, " "))
	for _, k := range slices.Sorted(maps.Keys(s.Labels)) {
		row("label", k+"="+s.Labels[k])
	}
	row("stop grace", s.StopGrace)
	if h := s.Healthcheck; h != nil {
		row("healthcheck", checkWords(*h))
	}
	if h := s.Health; h != nil && h.Kind != "" {
		row("health", fmt.Sprintf("%s:%d%s %s", h.Kind, h.Port, h.Path, h.Timeout))
	}
	if p := s.Power; p != nil {
		row("host power", powerWords(*p))
	}
}

func limitWords(r client.Resources) string {
	var list []string
	if r.Memory > 0 {
		list = append(list, "memory "+screen.Bytes(r.Memory))
	}
	if r.CPUs > 0 {
		list = append(list, fmt.Sprintf("cpus %g", r.CPUs))
	}
	if r.Pids > 0 {
		list = append(list, fmt.Sprintf("pids %d", r.Pids))
	}
	return strings.Join(list, ", ")
}

func checkWords(h client.Healthcheck) string {
	parts := slices.Clone(h.Test)
	for _, one := range []struct{ name, value string }{{"every", h.Interval}, {"within", h.Timeout}, {"after", h.StartPeriod}} {
		if one.value != "" {
			parts = append(parts, one.name, one.value)
		}
	}
	if h.Retries > 0 {
		parts = append(parts, "retries", strconv.Itoa(h.Retries))
	}
	return strings.Join(parts, " ")
}

func powerWords(p client.Power) string {
	var list []string
	for _, one := range []struct {
		has  bool
		what string
	}{{p.Privileged, "privileged"}, {p.HostNetwork, "network host"}, {p.HostPID, "pid host"}, {p.HostIPC, "ipc host"}} {
		if one.has {
			list = append(list, one.what)
		}
	}
	for _, name := range p.CapAdd {
		list = append(list, "cap-add "+name)
	}
	return strings.Join(list, ", ")
}
