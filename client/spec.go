package client

// Spec is what a user would write in compose for one container.
type Spec struct {
	Env         []EnvVar          `json:"env,omitempty"`
	Ports       []Port            `json:"ports,omitempty"`
	Mounts      []Mount           `json:"mounts,omitempty"`
	Networks    []Network         `json:"networks,omitempty"` // none: the engine's default one
	Resources   *Resources        `json:"resources,omitempty"`
	Restart     string            `json:"restart,omitempty"`    // no | always | unless-stopped | on-failure[:n]
	Entrypoint  []string          `json:"entrypoint,omitempty"` // none: the image's, as the next three
	Command     []string          `json:"command,omitempty"`
	User        string            `json:"user,omitempty"`
	WorkDir     string            `json:"workdir,omitempty"`
	Init        bool              `json:"init,omitempty"`
	ReadOnly    bool              `json:"read_only,omitempty"`
	CapDrop     []string          `json:"cap_drop,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	StopGrace   string            `json:"stop_grace,omitempty"` // such as 10s
	Healthcheck *Healthcheck      `json:"healthcheck,omitempty"`
	Health      *Health           `json:"health,omitempty"`
	Power       *Power            `json:"power,omitempty"` // needs an admin
}

// EnvVar is one environment variable. The value of a secret one is sent and never answered; when
// a spec is changed, one without a value keeps the value it has.
type EnvVar struct {
	Name   string  `json:"name"`
	Value  *string `json:"value,omitempty"`
	Secret *bool   `json:"secret,omitempty"` // nil: as it was, and true for a new one
}

// Env makes a secret variable to be sent, or one that stays what it was.
func Env(name, value string) EnvVar { return EnvVar{Name: name, Value: &value} }

// PlainEnv makes a variable whose value operators may see.
func PlainEnv(name, value string) EnvVar {
	secret := false
	return EnvVar{Name: name, Value: &value, Secret: &secret}
}

// Port publishes a container's port. Host 0 lets the engine choose.
type Port struct {
	Container int    `json:"container"`
	Host      int    `json:"host,omitempty"`
	HostIP    string `json:"host_ip,omitempty"`  // default 127.0.0.1
	Protocol  string `json:"protocol,omitempty"` // tcp (default) or udp
}

// Mount puts a named volume or an absolute path of the host at Target.
type Mount struct {
	Source   string `json:"source"`
	Target   string `json:"target"`
	ReadOnly bool   `json:"read_only,omitempty"`
}

// Network is one of the host's, and the names that the container has in it beside its own.
type Network struct {
	Name    string   `json:"name"`
	Aliases []string `json:"aliases,omitempty"`
}

// Resources are the most that a container may use; 0: no limit.
type Resources struct {
	Memory int64   `json:"memory,omitempty"` // bytes
	CPUs   float64 `json:"cpus,omitempty"`
	Pids   int64   `json:"pids,omitempty"`
}

// Healthcheck is what the engine runs in the container, instead of the image's HEALTHCHECK.
type Healthcheck struct {
	Test        []string `json:"test,omitempty"` // CMD and words, CMD-SHELL and one line, or NONE
	Interval    string   `json:"interval,omitempty"`
	Timeout     string   `json:"timeout,omitempty"`
	StartPeriod string   `json:"start_period,omitempty"`
	Retries     int      `json:"retries,omitempty"`
}

// Health says how a deploy proves that an instance is healthy.
type Health struct {
	Kind    string `json:"kind,omitempty"` // empty: the image's HEALTHCHECK, else up for 10 s; http | tcp
	Port    int    `json:"port,omitempty"`
	Path    string `json:"path,omitempty"`
	Timeout string `json:"timeout,omitempty"` // such as 60s
}

// Power is what a container may do to its host.
type Power struct {
	Privileged  bool     `json:"privileged,omitempty"`
	HostNetwork bool     `json:"host_network,omitempty"`
	HostPID     bool     `json:"host_pid,omitempty"`
	HostIPC     bool     `json:"host_ipc,omitempty"`
	CapAdd      []string `json:"cap_add,omitempty"`
}
