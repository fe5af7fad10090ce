package docker

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"time"
)

// The errors of the adapter, whatever engine is behind it. Docker's and podman's
// status codes are mapped here and nowhere else.
var (
	ErrNotFound    = errors.New("no such object on the engine")
	ErrConflict    = errors.New("the engine refused: the object is busy or in another state")
	ErrUnavailable = errors.New("the engine does not answer")
	ErrTimeout     = errors.New("the engine did not answer in time")
	ErrNotOwned    = errors.New("not a container of this installation")
	ErrInvalid     = errors.New("the engine refused the request as invalid")
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
	EngineID      string
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
	HasHealthcheck bool
	ExposedPorts   []int
}

// ListOptions filter on the server: by status and by our label.
type ListOptions struct {
	States []State
	Labels []string // key or key=value, all must match
}

// CreateOptions is a container to be made.
type CreateOptions struct {
	Name      string
	Image     string
	Env       []string
	Command   []string
	Labels    map[string]string
	Ports     []Port
	Mounts    []Mount // Type volume or bind
	Restart   string  // no | always | unless-stopped | on-failure[:n]
	StopGrace time.Duration
}

// Owned names a container together with the right to act on it: a row of ours.
// The adapter inspects before every stop, restart, pause or remove and answers ErrNotOwned
// unless the full id is the same and, where we made it, the labels name this installation and instance.
type Owned struct {
	ID           string // full id, 64 hex digits
	Installation string
	Instance     string
	Adopted      bool // no label is asked for
}

// PullProgress is one step of a pull: summed over layers.
type PullProgress struct {
	Done, Total int64
	Status      string
}

// LogOptions select lines of a log.
type LogOptions struct {
	Follow     bool
	Tail       int // 0: all
	Since      time.Time
	Timestamps bool
}

// LogLine is one line of a container's output.
type LogLine struct {
	Stream string    // stdout | stderr
	Time   time.Time // when timestamps were asked for
	Text   string
}

// Stats is one sample.
type Stats struct {
	Time             time.Time
	CPUPercent       float64
	MemoryBytes      int64
	MemoryLimit      int64
	RxBytes, TxBytes int64
	PIDs             int
}

// Event is one line of the engine's event stream, or a Gap: from here on the stream
// is whole again, but something may have been missed since the last event, so everything must be looked at again once.
type Event struct {
	Gap         bool
	Reason      string // of a gap: connected | reconnected | overflow
	Action      string // create start die oom stop kill pause unpause restart destroy rename health_status
	ContainerID string
	Time        time.Time // engine's clock
	ExitCode    int
	Attributes  map[string]string
}

// Options say how to reach an engine.
type Options struct {
	Endpoint string // unix:///path or tcp://host:port
	// Dial replaces the way to the engine, for tests in memory. Nil: by Endpoint.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	Log  *slog.Logger
}

// Engine is the adapter to one Docker engine. It is safe for concurrent use. The client behind it is
// made anew when the engine's version changes, for a client never negotiates upwards.
type Engine struct{}

// New returns an adapter; it does not dial.
func New(o Options) (*Engine, error) { panic("contract") }

func (e *Engine) Close() error                           { panic("contract") }
func (e *Engine) Endpoint() string                       { panic("contract") }
func (e *Engine) Ping(ctx context.Context) error         { panic("contract") }
func (e *Engine) Info(ctx context.Context) (Info, error) { panic("contract") }

// Now is the engine's clock: ours plus the skew last seen in a Date header (one-second grain; a skew within 2 s counts as none).
func (e *Engine) Now() time.Time { panic("contract") }

// Skew is the engine's clock minus ours as last seen; ok is false before the first answer.
func (e *Engine) Skew() (skew time.Duration, ok bool) { panic("contract") }

func (e *Engine) List(ctx context.Context, o ListOptions) ([]Summary, error)    { panic("contract") }
func (e *Engine) Inspect(ctx context.Context, id string) (Container, error)     { panic("contract") }
func (e *Engine) InspectSize(ctx context.Context, id string) (Container, error) { panic("contract") }
func (e *Engine) Create(ctx context.Context, o CreateOptions) (id string, err error) {
	panic("contract")
}
func (e *Engine) Start(ctx context.Context, c Owned) error { panic("contract") }

// Stop: already stopped is success.
func (e *Engine) Stop(ctx context.Context, c Owned, grace time.Duration) error    { panic("contract") }
func (e *Engine) Restart(ctx context.Context, c Owned, grace time.Duration) error { panic("contract") }
func (e *Engine) Pause(ctx context.Context, c Owned) error                        { panic("contract") }
func (e *Engine) Unpause(ctx context.Context, c Owned) error                      { panic("contract") }

// Remove deletes a container that is not running: force=0, v=0, by full id. ErrNotFound: it was gone already.
// ErrConflict: it runs, or is being removed by somebody else.
func (e *Engine) Remove(ctx context.Context, c Owned) error { panic("contract") }

// Logs calls line for each line until the log ends, ctx ends or line returns an error.
func (e *Engine) Logs(ctx context.Context, id string, o LogOptions, line func(LogLine) error) error {
	panic("contract")
}
func (e *Engine) Stats(ctx context.Context, id string) (Stats, error) { panic("contract") }

// Pull fetches an image and tells its progress. auth is a registry credential as JSON base64, or empty.
func (e *Engine) Pull(ctx context.Context, ref, auth string, progress func(PullProgress)) error {
	panic("contract")
}
func (e *Engine) InspectImage(ctx context.Context, ref string) (Image, error) { panic("contract") }

// ImageUsers returns the ids of all containers (running or not, whoever's) made from the image.
func (e *Engine) ImageUsers(ctx context.Context, imageID string) ([]string, error) { panic("contract") }

// LoadImage reads a docker-archive (for tests and the demo).
func (e *Engine) LoadImage(ctx context.Context, archive io.Reader) error { panic("contract") }

// Watch follows the event stream for ever: it redials, reads into a bounded queue of its own and calls
// handle in order, from one goroutine, first of all with a Gap. It returns only when ctx ends.
func (e *Engine) Watch(ctx context.Context, handle func(Event)) error { panic("contract") }

// StreamAge is how long the event stream has been unbroken; zero while it is down.
func (e *Engine) StreamAge() time.Duration { panic("contract") }

// Fleet is the engines by our host id.
type Fleet struct{}

func NewFleet() *Fleet                        { panic("contract") }
func (f *Fleet) Add(hostID string, e *Engine) { panic("contract") }

// Engine of a host; ErrNotFound for an id that is not in the fleet.
func (f *Fleet) Engine(hostID string) (*Engine, error) { panic("contract") }
func (f *Fleet) HostIDs() []string                     { panic("contract") }
