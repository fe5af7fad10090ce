package store

import "time"

// Spec is what a user would write in compose for one container.
type Spec struct {
	Env         []EnvVar          `json:"env,omitempty"`
	Ports       []Port            `json:"ports,omitempty"`
	Mounts      []Mount           `json:"mounts,omitempty"`
	Networks    []Network         `json:"networks,omitempty"` // empty: the engine's default one
	Resources   Resources         `json:"resources,omitzero"`
	Restart     string            `json:"restart,omitempty"`    // no | always | unless-stopped | on-failure[:n]
	Entrypoint  []string          `json:"entrypoint,omitempty"` // empty: the image's
	Command     []string          `json:"command,omitempty"`    // empty: the image's
	User        string            `json:"user,omitempty"`       // name or uid, with :group or :gid; empty: the image's
	WorkDir     string            `json:"workdir,omitempty"`    // empty: the image's
	Init        bool              `json:"init,omitempty"`       // a process of the engine reaps what the program leaves
	ReadOnly    bool              `json:"read_only,omitempty"`  // nothing but mounts can be written to
	CapDrop     []string          `json:"cap_drop,omitempty"`   // capabilities taken away
	Labels      map[string]string `json:"labels,omitempty"`
	StopGrace   time.Duration     `json:"stop_grace,omitempty"` // default 10 s
	Healthcheck Healthcheck       `json:"healthcheck,omitzero"`
	Health      Health            `json:"health,omitzero"`
	Power       Power             `json:"power,omitzero"`
}

// EnvVar is one environment variable of a spec. Values are sealed at rest. The API
// never returns that of one that is not plain.
type EnvVar struct {
	Name  string `json:"name"`
	Value string `json:"-"`
	Plain bool   `json:"plain,omitempty"` // its value may be shown to whoever may deploy
}

// Port publishes a container's port. HostPort 0 lets the engine choose.
type Port struct {
	Container int    `json:"container"`
	Host      int    `json:"host,omitempty"`
	HostIP    string `json:"host_ip,omitempty"`  // default 127.0.0.1
	Protocol  string `json:"protocol,omitempty"` // tcp (default) or udp
}

// Mount puts a named volume (Source is its name) or a folder of the host
// (Source is an absolute path) at Target.
type Mount struct {
	Source   string `json:"source"`
	Target   string `json:"target"`
	ReadOnly bool   `json:"read_only,omitempty"`
}

// Network is one that a container is put into, and the names that it has there beside its own.
type Network struct {
	Name    string   `json:"name"`
	Aliases []string `json:"aliases,omitempty"`
}

// Resources are the most that a container may use; 0: as much as there is.
type Resources struct {
	Memory   int64 `json:"memory,omitempty"`    // bytes
	NanoCPUs int64 `json:"nano_cpus,omitempty"` // a billionth of a processor
	Pids     int64 `json:"pids,omitempty"`      // processes and threads
}

// Healthcheck is what the engine runs in the container to know its health, instead of the image's HEALTHCHECK. The
// durations and Retries are the image's, or else the engine's, where they are 0.
type Healthcheck struct {
	Test        []string      `json:"test,omitempty"` // CMD and words, CMD-SHELL and a line, or NONE; empty: the image's
	Interval    time.Duration `json:"interval,omitempty"`
	Timeout     time.Duration `json:"timeout,omitempty"`
	StartPeriod time.Duration `json:"start_period,omitempty"`
	Retries     int           `json:"retries,omitempty"`
}

// IsZero says that nothing is asked for.
func (h Healthcheck) IsZero() bool {
	return len(h.Test) == 0 && h.Interval == 0 && h.Timeout == 0 && h.StartPeriod == 0 && h.Retries == 0
}

// HealthKind says how a deploy proves that an instance is healthy.
type HealthKind string

// The ways to prove health. With HealthAuto the image's HEALTHCHECK decides
// when it has one, else staying up for ten seconds.
const (
	HealthAuto HealthKind = ""
	HealthHTTP HealthKind = "http"
	HealthTCP  HealthKind = "tcp"
)

// Health is the health rule of a spec.
type Health struct {
	Kind    HealthKind    `json:"kind,omitempty"`
	Port    int           `json:"port,omitempty"` // container port
	Path    string        `json:"path,omitempty"` // HTTP only
	Timeout time.Duration `json:"timeout,omitempty"`
}

// Power is what gives a container power over its host. Each needs an admin.
type Power struct {
	Privileged  bool     `json:"privileged,omitempty"`
	HostNetwork bool     `json:"host_network,omitempty"`
	HostPID     bool     `json:"host_pid,omitempty"`
	HostIPC     bool     `json:"host_ipc,omitempty"`
	CapAdd      []string `json:"cap_add,omitempty"`
}

// IsZero says that it has none.
func (p Power) IsZero() bool {
	return !p.Privileged && !p.HostNetwork && !p.HostPID && !p.HostIPC && len(p.CapAdd) == 0
}
