package api

import (
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/deploy"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// specOf shows a spec: of env the names, and the values of what is not secret if plain says so.
func specOf(s store.Spec, plain bool) specJSON {
	j := specJSON{
		Restart: s.Restart, Entrypoint: s.Entrypoint, Command: s.Command, User: s.User, WorkDir: s.WorkDir, Init: s.Init,
		ReadOnly: s.ReadOnly, CapDrop: s.CapDrop, Labels: s.Labels, StopGrace: shownDuration(s.StopGrace),
	}
	for _, e := range s.Env {
		secret := !e.Plain
		shown := envJSON{Name: e.Name, Secret: &secret}
		if e.Plain && plain {
			shown.Value = &e.Value
		}
		j.Env = append(j.Env, shown)
	}
	for _, p := range s.Ports {
		j.Ports = append(j.Ports, portJSON{Container: p.Container, Host: p.Host, HostIP: p.HostIP, Protocol: p.Protocol})
	}
	for _, m := range s.Mounts {
		j.Mounts = append(j.Mounts, mountJSON{Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly})
	}
	for _, n := range s.Networks {
		j.Networks = append(j.Networks, networkJSON{Name: n.Name, Aliases: n.Aliases})
	}
	if r := s.Resources; r != (store.Resources{}) {
		j.Resources = &resourcesJSON{Memory: r.Memory, CPUs: float64(r.NanoCPUs) / nano, Pids: r.Pids}
	}
	if h := s.Healthcheck; !h.IsZero() {
		j.Healthcheck = &healthcheckJSON{
			Test: h.Test, Interval: shownDuration(h.Interval), Timeout: shownDuration(h.Timeout), StartPeriod: shownDuration(h.StartPeriod), Retries: h.Retries,
		}
	}
	if h := s.Health; h != (store.Health{}) {
		j.Health = &healthJSON{Kind: string(h.Kind), Port: h.Port, Path: h.Path, Timeout: shownDuration(h.Timeout)}
	}
	if p := s.Power; !p.IsZero() {
		j.Power = &powerJSON{Privileged: p.Privileged, HostNetwork: p.HostNetwork, HostPID: p.HostPID, HostIPC: p.HostIPC, CapAdd: p.CapAdd}
	}
	return j
}

const nano = 1e9

func shownDuration(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return d.String()
}

// read turns what was sent into a spec. A variable without a value takes that of
// former; where there is none it is wrong.
func (j specJSON) read(former store.Spec) (store.Spec, error) {
	s := store.Spec{
		Restart: j.Restart, Entrypoint: j.Entrypoint, Command: j.Command, User: j.User, WorkDir: j.WorkDir, Init: j.Init,
		ReadOnly: j.ReadOnly, CapDrop: j.CapDrop, Labels: j.Labels,
	}
	var wrong []ProblemField
	bad := func(where, message string) {
		wrong = append(wrong, ProblemField{Location: "body.spec." + where, Message: message})
	}
	for i, e := range j.Env {
		s.Env = append(s.Env, e.read(former, "env["+strconv.Itoa(i)+"]", bad)) // a wrong one too: the next keeps its place
	}
	for _, p := range j.Ports {
		s.Ports = append(s.Ports, store.Port{Container: p.Container, Host: p.Host, HostIP: p.HostIP, Protocol: p.Protocol})
	}
	for _, m := range j.Mounts {
		s.Mounts = append(s.Mounts, store.Mount{Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly})
	}
	for _, n := range j.Networks {
		s.Networks = append(s.Networks, store.Network{Name: n.Name, Aliases: n.Aliases})
	}
	if r := j.Resources; r != nil {
		s.Resources = store.Resources{Memory: r.Memory, NanoCPUs: int64(math.Round(r.CPUs * nano)), Pids: r.Pids}
	}
	s.StopGrace = readDuration(j.StopGrace, "stop_grace", bad)
	if h := j.Healthcheck; h != nil {
		s.Healthcheck = store.Healthcheck{
			Test: h.Test, Retries: h.Retries, Interval: readDuration(h.Interval, "healthcheck.interval", bad),
			Timeout: readDuration(h.Timeout, "healthcheck.timeout", bad), StartPeriod: readDuration(h.StartPeriod, "healthcheck.start_period", bad),
		}
	}
	if h := j.Health; h != nil {
		s.Health = store.Health{Kind: store.HealthKind(h.Kind), Port: h.Port, Path: h.Path, Timeout: readDuration(h.Timeout, "health.timeout", bad)}
	}
	if p := j.Power; p != nil {
		s.Power = store.Power{Privileged: p.Privileged, HostNetwork: p.HostNetwork, HostPID: p.HostPID, HostIPC: p.HostIPC, CapAdd: p.CapAdd}
	}
	for _, f := range fieldErrors(deploy.ValidateSpec(s)) {
		bad(f.Field, f.Reason)
	}
	if len(wrong) == 0 {
		return s, nil
	}
	p := newProblem(http.StatusUnprocessableEntity, codeInvalid, "the spec is invalid, nothing was done")
	p.Errors = wrong
	return store.Spec{}, p
}

// read takes a variable over the one of that name that former has. A value that was secret does not become readable by a
// change of what it is called: whoever wants it plain must know it.
func (e envJSON) read(former store.Spec, where string, bad func(where, message string)) store.EnvVar {
	v := store.EnvVar{Name: e.Name}
	at := slices.IndexFunc(former.Env, func(f store.EnvVar) bool { return f.Name == e.Name })
	if at >= 0 {
		v = former.Env[at]
	}
	wasSecret := !v.Plain
	if e.Secret != nil {
		v.Plain = !*e.Secret
	}
	switch {
	case e.Value != nil:
		v.Value = *e.Value
	case at < 0:
		bad(where+".value", "a new variable needs a value")
	case wasSecret && v.Plain:
		bad(where+".secret", "a secret variable becomes plain only with its value sent anew")
	}
	return v
}

func readDuration(text, where string, bad func(where, message string)) time.Duration {
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		bad(where, "a duration such as 10s or 1m30s")
		return 0
	}
	return d
}
