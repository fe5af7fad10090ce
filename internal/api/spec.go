package api

import (
	"context"
	"slices"
	"strings"

	"github.com/tiny-forge/docker-watcher/internal/deploy"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// specJSON is what a user would write in compose for one container. The same shape
// is sent and answered, but of env only the values that are not secret are answered.
type specJSON struct {
	Env         []envJSON         `json:"env,omitempty" maxItems:"1000"`
	Ports       []portJSON        `json:"ports,omitempty" maxItems:"200"`
	Mounts      []mountJSON       `json:"mounts,omitempty" maxItems:"200"`
	Networks    []networkJSON     `json:"networks,omitempty" maxItems:"50" doc:"absent: the engine's default one"`
	Resources   *resourcesJSON    `json:"resources,omitempty"`
	Restart     string            `json:"restart,omitempty" maxLength:"30" doc:"no, always, unless-stopped or on-failure[:n]"`
	Entrypoint  []string          `json:"entrypoint,omitempty" maxItems:"1000" doc:"absent: the image's"`
	Command     []string          `json:"command,omitempty" maxItems:"1000" doc:"absent: the image's"`
	User        string            `json:"user,omitempty" maxLength:"200" doc:"NAME or UID, with :GROUP or :GID; absent: the image's"`
	WorkDir     string            `json:"workdir,omitempty" maxLength:"4096" doc:"absolute, in the container; absent: the image's"`
	Init        bool              `json:"init,omitempty" doc:"a small first process reaps what the program leaves behind"`
	ReadOnly    bool              `json:"read_only,omitempty" doc:"nothing but its volumes can be written to"`
	CapDrop     []string          `json:"cap_drop,omitempty" maxItems:"64" doc:"capabilities taken away, such as NET_RAW, or ALL"`
	Labels      map[string]string `json:"labels,omitempty"`
	StopGrace   string            `json:"stop_grace,omitempty" maxLength:"20" doc:"such as 10s, which is the default"`
	Healthcheck *healthcheckJSON  `json:"healthcheck,omitempty" doc:"what the engine runs in the container to know its health; absent: the image's"`
	Health      *healthJSON       `json:"health,omitempty" doc:"how a deploy proves that a new container is healthy"`
	Power       *powerJSON        `json:"power,omitempty" doc:"power over the host: needs an admin"`
}

type envJSON struct {
	Name   string  `json:"name" minLength:"1" maxLength:"1000" pattern:"^[A-Za-z_][A-Za-z0-9_.-]*$"`
	Value  *string `json:"value,omitempty" doc:"answered only where secret is false, and to operators; when a spec is changed, a variable without a value keeps the one it has"`
	Secret *bool   `json:"secret,omitempty" doc:"its value is never answered; absent: as it was, and true for a new one. A secret one becomes plain only with its value sent anew"`
}

type networkJSON struct {
	Name    string   `json:"name" minLength:"2" maxLength:"200" doc:"of a network of the host"`
	Aliases []string `json:"aliases,omitempty" maxItems:"50" doc:"names that it has there beside its own"`
}

type resourcesJSON struct {
	Memory int64   `json:"memory,omitempty" minimum:"0" doc:"bytes; 0: no limit"`
	CPUs   float64 `json:"cpus,omitempty" minimum:"0" maximum:"1024" doc:"processors, such as 0.5; 0: no limit"`
	Pids   int64   `json:"pids,omitempty" minimum:"0" maximum:"4194304" doc:"processes and threads; 0: no limit"`
}

type healthcheckJSON struct {
	Test        []string `json:"test,omitempty" maxItems:"100" doc:"CMD and words, CMD-SHELL and one line, or NONE; absent: the image's"`
	Interval    string   `json:"interval,omitempty" maxLength:"20" doc:"such as 30s; absent: as the image or the engine has it, as the next"`
	Timeout     string   `json:"timeout,omitempty" maxLength:"20"`
	StartPeriod string   `json:"start_period,omitempty" maxLength:"20"`
	Retries     int      `json:"retries,omitempty" minimum:"0" maximum:"1000"`
}

type powerJSON struct {
	Privileged  bool     `json:"privileged,omitempty"`
	HostNetwork bool     `json:"host_network,omitempty" doc:"the host's network instead of its own"`
	HostPID     bool     `json:"host_pid,omitempty" doc:"it sees the host's processes"`
	HostIPC     bool     `json:"host_ipc,omitempty"`
	CapAdd      []string `json:"cap_add,omitempty" maxItems:"64" doc:"capabilities such as NET_ADMIN, or ALL"`
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

// mayUse refuses a spec that gives a container power over its host to all but
// admins. What an admin has put into the stage before stays allowed.
func (s *server) mayUse(ctx context.Context, spec, former store.Spec) error {
	return s.onlyAdmin(ctx, freshPower(spec, former))
}

// override is what a single deploy does otherwise than its stage.
type override struct {
	given, stage store.Spec
	otherImage   bool
}

// mayOverride refuses to all but admins a deploy of another image or another spec than the stage's where whoever chooses the program
// would get what was not given to them: the stage's secret variables, which the API never shows, its power over the host or
// its folders there, or more of these than the stage has.
func (s *server) mayOverride(ctx context.Context, o override) error {
	fresh := deploy.Beyond(deploy.HostAccess, o.given, o.stage)
	for _, v := range o.stage.Env {
		same := func(g store.EnvVar) bool { return g.Name == v.Name && g.Value == v.Value }
		if v.Value != "" && !v.Plain && slices.ContainsFunc(o.given.Env, same) {
			fresh = append(fresh, "it would hand "+v.Name+" of the stage to another program")
		}
	}
	if o.otherImage || len(deploy.Compare(o.stage, o.given)) > 0 {
		for _, why := range deploy.HostAccess(o.given) {
			if !slices.Contains(fresh, why) {
				fresh = append(fresh, why+", which the stage gives to its own program only")
			}
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
	return s.forbidden(v, "use-power", admin, strings.Join(reasons, ", "))
}

// freshPower says which power over the host a spec gives that the former one did not.
func freshPower(spec, former store.Spec) []string {
	return deploy.Beyond(deploy.Dangerous, spec, former)
}

// seesPlain tells whether the caller is shown the values of variables that are not secret.
func seesPlain(ctx context.Context, projectID string) bool {
	return roleIn(ctx, projectID).Covers(operator)
}
