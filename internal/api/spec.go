package api

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/deploy"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// specJSON is what a user would write in compose for one container. The same shape
// is sent and answered, but the values of env are never answered.
type specJSON struct {
	Env       []envJSON         `json:"env,omitempty" maxItems:"1000"`
	Ports     []portJSON        `json:"ports,omitempty" maxItems:"200"`
	Mounts    []mountJSON       `json:"mounts,omitempty" maxItems:"200"`
	Restart   string            `json:"restart,omitempty" maxLength:"30" doc:"no, always, unless-stopped or on-failure[:n]"`
	Command   []string          `json:"command,omitempty" maxItems:"1000"`
	Labels    map[string]string `json:"labels,omitempty"`
	StopGrace string            `json:"stop_grace,omitempty" maxLength:"20" doc:"such as 10s, which is the default"`
	Health    *healthJSON       `json:"health,omitempty"`
}

type envJSON struct {
	Name  string  `json:"name" minLength:"1" maxLength:"1000" pattern:"^[A-Za-z_][A-Za-z0-9_.-]*$"`
	Value *string `json:"value,omitempty" writeOnly:"true" doc:"sent, never answered; when a spec is changed, a variable without a value keeps the one it has"`
}

type portJSON struct {
	Container int    `json:"container" minimum:"1" maximum:"65535"`
	Host      int    `json:"host,omitempty" minimum:"0" maximum:"65535" doc:"0: the engine chooses"`
	HostIP    string `json:"host_ip,omitempty" maxLength:"50" doc:"default 127.0.0.1"`
	Protocol  string `json:"protocol,omitempty" enum:"tcp,udp"`
}

type mountJSON struct {
	Source   string `json:"source" minLength:"1" maxLength:"4096" doc:"the name of a volume, or an absolute path of the host"`
	Target   string `json:"target" pattern:"^/" maxLength:"4096" doc:"absolute"`
	ReadOnly bool   `json:"read_only,omitempty"`
}

type healthJSON struct {
	Kind    string `json:"kind,omitempty" enum:"http,tcp" doc:"absent: the image's HEALTHCHECK, or else up for 10 s"`
	Port    int    `json:"port,omitempty" minimum:"0" maximum:"65535" doc:"of the container"`
	Path    string `json:"path,omitempty" maxLength:"2000"`
	Timeout string `json:"timeout,omitempty" maxLength:"20" doc:"such as 60s"`
}

// specOf shows a spec: of env the names only.
func specOf(s store.Spec) specJSON {
	j := specJSON{Restart: s.Restart, Command: s.Command, Labels: s.Labels}
	for _, e := range s.Env {
		j.Env = append(j.Env, envJSON{Name: e.Name})
	}
	for _, p := range s.Ports {
		j.Ports = append(j.Ports, portJSON{Container: p.Container, Host: p.Host, HostIP: p.HostIP, Protocol: p.Protocol})
	}
	for _, m := range s.Mounts {
		j.Mounts = append(j.Mounts, mountJSON{Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly})
	}
	if s.StopGrace > 0 {
		j.StopGrace = s.StopGrace.String()
	}
	if s.Health != (store.Health{}) {
		j.Health = &healthJSON{Kind: string(s.Health.Kind), Port: s.Health.Port, Path: s.Health.Path}
		if s.Health.Timeout > 0 {
			j.Health.Timeout = s.Health.Timeout.String()
		}
	}
	return j
}

// read turns what was sent into a spec. A variable without a value takes that of
// former; where there is none it is wrong.
func (j specJSON) read(former store.Spec) (store.Spec, error) {
	s := store.Spec{Restart: j.Restart, Command: j.Command, Labels: j.Labels}
	var wrong []ProblemField
	bad := func(where, message string) {
		wrong = append(wrong, ProblemField{Location: "body.spec." + where, Message: message})
	}
	for i, e := range j.Env {
		value := e.Value
		if value == nil {
			value = formerValue(former, e.Name)
		}
		if value == nil {
			bad("env["+strconv.Itoa(i)+"].value", "a new variable needs a value")
			continue
		}
		s.Env = append(s.Env, store.EnvVar{Name: e.Name, Value: *value})
	}
	for _, p := range j.Ports {
		s.Ports = append(s.Ports, store.Port{Container: p.Container, Host: p.Host, HostIP: p.HostIP, Protocol: p.Protocol})
	}
	for _, m := range j.Mounts {
		s.Mounts = append(s.Mounts, store.Mount{Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly})
	}
	s.StopGrace = readDuration(j.StopGrace, "stop_grace", bad)
	if h := j.Health; h != nil {
		s.Health = store.Health{Kind: store.HealthKind(h.Kind), Port: h.Port, Path: h.Path, Timeout: readDuration(h.Timeout, "health.timeout", bad)}
	}
	if err := deploy.ValidateSpec(s); err != nil {
		wrong = append(wrong, fieldsOf("body.spec", err)...)
	}
	if len(wrong) == 0 {
		return s, nil
	}
	p := newProblem(http.StatusUnprocessableEntity, codeInvalid, "the spec is invalid, nothing was done")
	p.Errors = wrong
	return store.Spec{}, p
}

func formerValue(former store.Spec, name string) *string {
	for _, e := range former.Env {
		if e.Name == name {
			return &e.Value
		}
	}
	return nil
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

// mayUse refuses a spec that gives a container power over its host to all but
// admins. What an admin has put into the stage before stays allowed.
func (s *server) mayUse(ctx context.Context, spec, former store.Spec) error {
	return s.onlyAdmin(ctx, freshPower(spec, former))
}

// mayOverride refuses to all but admins another image or another spec than the stage's where the container would be
// given the stage's own variables: whoever chooses the program may read them, and the API never shows them.
func (s *server) mayOverride(ctx context.Context, given, stage store.Spec) error {
	var fresh []string
	for _, v := range stage.Env {
		if v.Value != "" && slices.Contains(given.Env, v) {
			fresh = append(fresh, "it would hand "+v.Name+" of the stage to another program")
		}
	}
	return s.onlyAdmin(ctx, fresh)
}

// onlyAdmin refuses to all but admins what has reasons against it, with an event.
func (s *server) onlyAdmin(ctx context.Context, reasons []string) error {
	v := visitOf(ctx)
	if v.caller.Role.Covers(admin) || len(reasons) == 0 {
		return nil
	}
	why := strings.Join(reasons, ", ")
	s.tellForbidden(v, admin, why)
	p := forbidden(v, admin)
	p.Detail += ": " + why
	return p
}

// freshPower says which power over the host a spec gives that the former one did not.
func freshPower(spec, former store.Spec) []string {
	approved := deploy.Dangerous(former)
	return slices.DeleteFunc(deploy.Dangerous(spec), func(why string) bool { return slices.Contains(approved, why) })
}
