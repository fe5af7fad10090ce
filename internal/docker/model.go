package docker

import (
	"encoding/hex"
	"strings"
	"time"
)

// Labels put on everything that we create.
const (
	LabelManaged      = "docker-watcher.managed"
	LabelInstallation = "docker-watcher.installation"
	LabelProject      = "docker-watcher.project"
	LabelStage        = "docker-watcher.stage"
	LabelInstance     = "docker-watcher.instance"
	LabelKeep         = "docker-watcher.keep"
	LabelSwarmTask    = "com.docker.swarm.task.id"
)

// State is what the engine says of a container, one vocabulary for all engines.
type State string

// The states. Podman's "stopped" and "configured" are folded into exited and created.
const (
	StateCreated    State = "created"
	StateRunning    State = "running"
	StatePaused     State = "paused"
	StateRestarting State = "restarting"
	StateExited     State = "exited"
	StateRemoving   State = "removing"
	StateDead       State = "dead"
)

// foldState brings podman's words into ours. A word nobody knows stays as it is: no rule
// will take it for a stopped container.
func foldState(word string) State {
	switch word {
	case "configured", "initialized":
		return StateCreated
	case "stopped":
		return StateExited
	case "stopping":
		return StateRunning
	default:
		return State(word)
	}
}

// Summary is one row of a list: it has no stop time.
type Summary struct {
	ID      string
	Name    string // without the leading slash
	Image   string
	State   State
	Created time.Time
	Labels  map[string]string
}

// Container is what an inspect tells. Zero and 0001-01-01 times are zero.
type Container struct {
	ID             string
	Name           string
	Image          string // as given at creation
	ImageID        string
	State          State
	Running        bool // as the engine says; true as well while paused or restarting
	CreatedAt      time.Time
	StartedAt      time.Time
	FinishedAt     time.Time
	ExitCode       int
	OOMKilled      bool
	RestartCount   int
	RestartPolicy  string // no | always | unless-stopped | on-failure
	Error          string
	Health         string // "", starting, healthy, unhealthy
	HasHealthcheck bool
	Labels         map[string]string
	Mounts         []Mount
	Networks       map[string]string // name -> IP
	Ports          []Port
	SizeRw         int64  // -1 unless asked for by InspectSize
	Raw            []byte // the engine's JSON, whole

	tty bool // its log is one plain stream; without a terminal it is two, interleaved in frames
}

// Mount of a container. A named or anonymous volume has a Name.
type Mount struct {
	Type, Name, Source, Target string
	ReadOnly                   bool
	Anonymous                  bool // a volume whose name the engine made (64 hex digits)
}

// Port that is published. Host is 0 in a request when the engine may choose.
type Port struct {
	Container int
	Host      int
	HostIP    string
	Protocol  string
}

// Info is what the engine says of itself.
type Info struct {
	EngineID      string // empty for podman, which has none that stays
	Name          string
	Version       string
	APIVersion    string // negotiated
	DataRoot      string
	StorageDriver string
	OS, Arch      string
	LiveRestore   bool
	Containers    int
	SystemTime    time.Time
	Skew          time.Duration // engine's clock minus ours, from the answer's Date header
}

// Image is what an image inspect tells.
type Image struct {
	ID             string
	Tags           []string
	RepoDigests    []string
	Size           int64
	OS, Arch       string
	Layers         []string // digests of what they hold unpacked, the lowest first
	HasHealthcheck bool
	ExposedPorts   []int
	Defaults       Defaults
}

// Defaults are what an image gives to every container made of it, unless that is asked for otherwise.
type Defaults struct {
	Env        []string // NAME=value
	Command    []string
	Entrypoint []string
	Labels     map[string]string
	User       string
	WorkingDir string
	StopSignal string
	Check      *Healthcheck // nil: it has none, or the engine does not tell (podman)
}

// engineTime reads a time of the engine's. Never happened (0001-01-01, empty) is zero, and so is what cannot be read.
func engineTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Year() <= 1 {
		return time.Time{}
	}
	return t.UTC()
}

// fullID tells whether s can be the whole id of a container.
func fullID(s string) bool {
	if len(s) != 64 || strings.ToLower(s) != s {
		return false
	}
	_, err := hex.DecodeString(s)
	return err == nil
}
