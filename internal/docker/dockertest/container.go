package dockertest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The states of a container, in Docker's words.
const (
	Created    = "created"
	Running    = "running"
	Paused     = "paused"
	Restarting = "restarting"
	Exited     = "exited"
	Removing   = "removing"
	Dead       = "dead"
)

// Template is a container to be put on the engine. Empty fields are filled in as sensible for its State.
type Template struct {
	Name       string // a number is appended by AddMany
	ID         string
	Image      string // a reference; an unknown one is added as an image of its own
	Labels     map[string]string
	Env        []string
	Command    []string
	State      string // default running
	Created    time.Time
	Started    time.Time // zero: just after Created unless never started
	Finished   time.Time
	NoFinished bool // FinishedAt stays zero although the container is not running
	ExitCode   int
	OOMKilled  bool
	Error      string
	Restarts   int
	Restart    string   // policy: no | always | unless-stopped | on-failure[:n]
	Volumes    []string // name:/target, or /target for an anonymous one
	Ports      []string // 127.0.0.1:8080:80/tcp
	Healthy    string   // health status; needs an image or Life with a health check
	SizeRw     int64
	Life       Life
}

// Life is what the process in a container does by itself. The zero value runs until it is stopped.
type Life struct {
	ExitAfter   time.Duration // ends by itself after so long
	ExitCode    int
	OOM         bool // it ends by the out-of-memory killer: code 137
	Times       int  // so many runs end by themselves, the later ones stay up; 0: all of them
	IgnoreTerm  bool // only SIGKILL ends it
	TermCode    int  // code after SIGTERM
	StartError  string
	StartCode   int           // exit code of a failed start; default 127
	Health      bool          // it has a health check
	HealthAfter time.Duration // when the check first passes or fails; default 1 s
	Unhealthy   bool          // the check fails
	CheckEvery  time.Duration // exec events of a running health check; 0: none are sent
}

// Container is a handle on one container of an engine. Its methods are what happens on the host
// beside the API: each sends the events that Docker would send.
type Container struct {
	e *Engine

	ID   string
	name string

	image      *image
	imageRef   string
	labels     map[string]string
	env        []string
	command    []string
	entry      []string
	policy     restartPolicy
	ports      []portBinding
	mounts     []mountPoint
	networks   []attachment // the first one is that of its network mode
	ip         string
	files      map[string]string // path -> content, of the writable layer
	config     map[string]any    // as asked for; shown again where nothing of ours is
	host       map[string]any
	sizeRw     int64
	memory     int64
	traffic    [4]int64 // received, sent, read, written
	usesCPUs   float64
	usesMemory int64
	grace      time.Duration // StopTimeout; negative: not set
	autoRm     bool
	check      bool // has a health check
	life       Life

	state      string
	health     string
	created    time.Time
	started    time.Time
	finished   time.Time
	exitCode   int
	oomKilled  bool
	err        string
	restarts   int
	manualStop bool
	backOff    time.Duration
	runs       int // how often it was started, so that an old run's timers do nothing
	ended      chan struct{}
	timers     []*time.Timer
	stuck      bool
	rmError    string
	gone       bool

	logs     []logLine
	logMoved chan struct{} // closed and made anew when the log grows or ends

	inspects int
	row      *encodedRow
	facts    []byte // encoded inspect
}

// Facts are what is true of a container, to compare an answer with.
type Facts struct {
	ID, Name, State, Health, Error string
	Created, Started, Finished     time.Time
	ExitCode, Restarts             int
	OOMKilled                      bool
	Exists                         bool
}

// Run creates a container and starts it now, as a `docker run` by somebody else would.
func (e *Engine) Run(t Template) *Container {
	e.mu.Lock()
	defer e.mu.Unlock()
	t.State = Created
	c := e.put(t)
	e.emit(c, "create", nil)
	c.start()
	return c
}

// Add puts a container on the engine as if it had always been there: no events.
func (e *Engine) Add(t Template) *Container {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.put(t)
}

// AddMany adds n containers from a template, named with a number each; each may change its own copy.
func (e *Engine) AddMany(n int, t Template, each ...func(i int, t *Template)) []*Container {
	e.mu.Lock()
	defer e.mu.Unlock()
	many := make([]*Container, n)
	for i := range many {
		one := t
		one.ID = ""
		one.Name = fmt.Sprintf("%s-%d", t.Name, i)
		one.Labels = maps.Clone(t.Labels)
		for _, f := range each {
			f(i, &one)
		}
		many[i] = e.put(one)
	}
	return many
}

// Container finds a container by id or name; nil when there is none.
func (e *Engine) Container(idOrName string) *Container {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.find(idOrName)
}

// Containers returns all of them, newest first.
func (e *Engine) Containers() []*Container {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.newestFirst())
}

func (e *Engine) put(t Template) *Container {
	if t.Name == "" {
		t.Name = fmt.Sprintf("container-%d", e.serial)
	}
	if other := e.byName[t.Name]; other != nil {
		panic("dockertest: the name " + t.Name + " is taken by " + other.ID)
	}
	if t.ID == "" {
		t.ID = e.newID("container")
	}
	if t.State == "" {
		t.State = Running
	}
	img := e.imageFor(t.Image)
	c := &Container{
		e: e, ID: t.ID, name: t.Name, image: img, imageRef: t.Image, labels: t.Labels, env: t.Env, command: t.Command,
		policy: parsePolicy(t.Restart), networks: []attachment{{name: e.o.defaultNetwork()}}, sizeRw: t.SizeRw, grace: -1,
		state: t.State, exitCode: t.ExitCode, oomKilled: t.OOMKilled, err: t.Error, restarts: t.Restarts,
		created: t.Created, started: t.Started, finished: t.Finished,
		check: t.Life.Health || img.check, life: t.Life, health: t.Healthy,
		ended: make(chan struct{}), logMoved: make(chan struct{}),
	}
	if c.imageRef == "" {
		c.imageRef = img.id
	}
	if t.Life == (Life{}) {
		c.life = img.life
	}
	for _, v := range t.Volumes {
		c.mounts = append(c.mounts, e.volumeMount(v))
	}
	for _, p := range t.Ports {
		c.ports = append(c.ports, parsePort(p))
	}
	c.fillTimes(t)
	c.ip = e.o.ContainerIP
	if c.ip == "" {
		c.ip = fmt.Sprintf("172.17.%d.%d", e.serial/250%250, 2+e.serial%250)
	}
	if c.processLives() {
		c.runs++
		c.scheduleLife()
	} else {
		close(c.ended)
	}
	e.byID[c.ID], e.byName[c.name] = c, c
	e.sorted = nil
	return c
}

// fillTimes makes the times of a template plausible for its state.
func (c *Container) fillTimes(t Template) {
	now := c.e.now()
	if c.created.IsZero() {
		c.created = now
		for _, other := range []time.Time{c.started, c.finished} {
			if !other.IsZero() && other.Before(c.created) {
				c.created = other.Add(-time.Second)
			}
		}
	}
	if c.state == Created {
		return
	}
	if c.started.IsZero() {
		c.started = c.created.Add(200 * time.Millisecond)
	}
	if c.finished.IsZero() && !t.NoFinished && !c.processLives() {
		c.finished = now
	}
	if c.check && c.health == "" {
		c.health = "healthy"
	}
}

// processLives says that there is a process: it runs or is frozen.
func (c *Container) processLives() bool { return c.state == Running || c.state == Paused }

// find looks a container up as the engine does: full id, name, then the start of an id.
func (e *Engine) find(ref string) *Container {
	if c := e.byID[ref]; c != nil {
		return c
	}
	if c := e.byName[strings.TrimPrefix(ref, "/")]; c != nil {
		return c
	}
	if len(ref) >= 64 || len(ref) < 2 {
		return nil
	}
	var found *Container
	for id, c := range e.byID {
		if strings.HasPrefix(id, ref) {
			if found != nil {
				return nil
			}
			found = c
		}
	}
	return found
}

func (e *Engine) newestFirst() []*Container {
	if e.sorted == nil {
		e.sorted = slices.Collect(maps.Values(e.byID))
		slices.SortFunc(e.sorted, func(a, b *Container) int {
			if d := b.created.Compare(a.created); d != 0 {
				return d
			}
			return strings.Compare(a.ID, b.ID)
		})
	}
	return e.sorted
}

// Name of the container, without the slash.
func (c *Container) Name() string {
	defer c.lock()()
	return c.name
}

// Facts returns what is true now.
func (c *Container) Facts() Facts {
	defer c.lock()()
	return Facts{
		ID: c.ID, Name: c.name, State: c.state, Health: c.health, Error: c.err,
		Created: c.created, Started: c.started, Finished: c.finished,
		ExitCode: c.exitCode, Restarts: c.restarts, OOMKilled: c.oomKilled, Exists: !c.gone,
	}
}

// Inspects counts how often the container was inspected through the API.
func (c *Container) Inspects() int {
	defer c.lock()()
	return c.inspects
}

// Rename as `docker rename` does.
func (c *Container) Rename(name string) {
	defer c.lock()()
	old := c.name
	delete(c.e.byName, old)
	c.name = name
	c.e.byName[name] = c
	c.e.emit(c, "rename", map[string]string{"oldName": "/" + old})
	c.changed()
}

// Label sets a label, which no engine can do on a container that exists: for containers that
// another tool made again with the same id in a test's story.
func (c *Container) Label(key, value string) {
	defer c.lock()()
	labels := maps.Clone(c.labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[key] = value
	c.labels = labels
	c.changed()
}

// SetTimes writes times straight into the container, also impossible ones. Zero means never.
func (c *Container) SetTimes(created, started, finished time.Time) {
	defer c.lock()()
	c.created, c.started, c.finished = created, started, finished
	c.e.sorted = nil
	c.changed()
}

// SetState writes a state and exit code straight into the container, with no event: what an engine
// looks like after something that left no trace.
func (c *Container) SetState(state string, exitCode int) {
	defer c.lock()()
	c.stopTimers()
	c.runs++
	if c.processLives() {
		close(c.ended)
	}
	c.state, c.exitCode = state, exitCode
	if c.processLives() {
		c.ended = make(chan struct{})
	}
	c.changed()
}

// SetHealth changes the health status and sends its event.
func (c *Container) SetHealth(status string) {
	defer c.lock()()
	c.check = true
	c.setHealth(status)
}

func (c *Container) setHealth(status string) {
	c.health = status
	c.changed()
	c.e.emit(c, "health_status: "+status, nil)
}

// SetSize sets the bytes of the writable layer.
func (c *Container) SetSize(rw int64) {
	defer c.lock()()
	c.sizeRw = rw
	c.changed()
}

// Remove takes the container away behind everybody's back, like `docker rm -f` by another client.
func (c *Container) Remove() {
	defer c.lock()()
	if c.gone {
		return
	}
	if c.processLives() {
		c.manualStop = true
		c.e.emit(c, "kill", map[string]string{"signal": "9"})
		c.exit(137)
	}
	c.destroy(false)
}

// StickRemoval makes the next DELETE hang with the container "removing", as an engine does whose
// storage hangs. Unstick lets it go on.
func (c *Container) StickRemoval() {
	defer c.lock()()
	c.stuck = true
}

// FailRemoval makes DELETE answer 500 with this message and leave the container dead. Unstick heals it.
func (c *Container) FailRemoval(message string) {
	defer c.lock()()
	c.rmError = message
}

// Unstick ends what StickRemoval and FailRemoval began.
func (c *Container) Unstick() {
	defer c.lock()()
	c.stuck, c.rmError = false, ""
	c.wakeLog()
}

// lock returns the unlock, to be deferred.
func (c *Container) lock() func() {
	c.e.mu.Lock()
	return c.e.mu.Unlock
}

// changed drops what was encoded of the container.
func (c *Container) changed() { c.row, c.facts = nil, nil }

func (c *Container) destroy(withVolumes bool) {
	e := c.e
	c.stopTimers()
	c.gone = true
	delete(e.byID, c.ID)
	if e.byName[c.name] == c {
		delete(e.byName, c.name)
	}
	if i := slices.Index(e.sorted, c); i >= 0 {
		e.sorted = slices.Delete(e.sorted, i, i+1)
	}
	if withVolumes {
		e.dropAnonymous(c)
	}
	c.wakeLog()
	e.emit(c, "destroy", nil)
}

// restartPolicy is when the engine starts a container again by itself.
type restartPolicy struct {
	name string
	max  int
}

func parsePolicy(s string) restartPolicy {
	name, limit, _ := strings.Cut(s, ":")
	if name == "" {
		name = "no"
	}
	// A text that is no number is as good as none.
	n, _ := strconv.Atoi(limit)
	return restartPolicy{name: name, max: n}
}
