package dockertest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// engines counts those made in this process, so that no two give out the same ids.
var engines atomic.Int64

// Engine is a pretend engine. All methods are safe for concurrent use.
type Engine struct {
	number int64
	mu     sync.Mutex
	o      Options
	offset time.Duration // its clock minus the true one
	closed bool

	memory  bool // New: reached only through Dial
	socket  string
	pipes   *pipeListener
	server  *http.Server
	serving sync.WaitGroup // the accept loop and every request

	byID    map[string]*Container
	byName  map[string]*Container
	sorted  []*Container // newest first; nil when it must be sorted anew
	serial  int
	ports   map[string]*Container // host address:port -> who holds it
	nextEnd int                   // ephemeral ports given out

	images   map[string]*image // by id
	refs     map[string]*image // by tag or digest reference
	registry map[string]*image // what can be pulled
	networks map[string]*network
	volumes  map[string]*volume

	down   downKind
	past   []event // at most eventMemory
	muted  int
	subs   map[*subscriber]struct{}
	faults []*fault
	calls  calls
}

// Start makes an engine that nothing is connected to yet; Close ends it.
func Start(o Options) *Engine {
	return &Engine{
		number:   engines.Add(1),
		o:        o.withDefaults(),
		byID:     map[string]*Container{},
		byName:   map[string]*Container{},
		ports:    map[string]*Container{},
		images:   map[string]*image{},
		refs:     map[string]*image{},
		registry: map[string]*image{},
		networks: defaultNetworks(o.withDefaults().defaultNetwork()),
		volumes:  map[string]*volume{},
		subs:     map[*subscriber]struct{}{},
		calls:    newCalls(),
	}
}

// New returns an engine in memory, reached by Dial; it ends with the test.
func New(t testing.TB, o Options) *Engine {
	t.Helper()
	e := Start(o)
	e.memory = true
	if err := e.open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// Serve returns an engine on a unix socket in a folder of its own; it ends with the test.
func Serve(t testing.TB, o Options) *Engine {
	t.Helper()
	dir, err := os.MkdirTemp("", "dt") //nolint:usetesting // a socket's path must be shorter than 108 characters
	if err != nil {
		t.Fatal(err)
	}
	e := Start(o)
	if err := e.Listen(filepath.Join(dir, "d.sock")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		e.Close()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return e
}

// Listen serves on a unix socket at path.
func (e *Engine) Listen(path string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.socket = path
	return e.openLocked()
}

func (e *Engine) open() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.openLocked()
}

func (e *Engine) openLocked() error {
	var l net.Listener
	if e.memory {
		e.pipes = newPipeListener()
		l = e.pipes
	} else {
		var err error
		if l, err = net.ListenUnix("unix", &net.UnixAddr{Name: e.socket, Net: "unix"}); err != nil {
			return fmt.Errorf("listen for the pretend engine: %w", err)
		}
	}
	e.server = &http.Server{Handler: e, ErrorLog: log.New(io.Discard, "", 0)} //nolint:gosec // a test's own socket needs no header timeout
	server := e.server
	e.serving.Go(func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			panic(fmt.Sprintf("the pretend engine stopped serving: %v", err))
		}
	})
	return nil
}

// Endpoint is where a client finds the engine; an engine in memory also needs Dial.
func (e *Engine) Endpoint() string {
	if e.memory {
		return "unix:///pretend.sock"
	}
	return "unix://" + e.socket
}

// Dial connects to the engine, whatever the address says. A stopped engine refuses.
func (e *Engine) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	e.mu.Lock()
	memory, pipes, socket := e.memory, e.pipes, e.socket
	e.mu.Unlock()
	if !memory {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
	if pipes == nil {
		return nil, refused()
	}
	return pipes.dial(ctx)
}

// Close ends the engine and waits for its goroutines.
func (e *Engine) Close() {
	e.mu.Lock()
	e.closed = true
	for _, c := range e.byID {
		c.stopTimers()
	}
	e.mu.Unlock()
	e.hangUp()
}

// hangUp closes the listener and every connection, and waits until nothing is served any more.
func (e *Engine) hangUp() {
	e.mu.Lock()
	server := e.server
	e.server, e.pipes = nil, nil
	e.mu.Unlock()
	if server == nil {
		return
	}
	// Nothing to do about a listener that was closed already.
	_ = server.Close()
	e.serving.Wait()
}

// Now is the engine's clock.
func (e *Engine) Now() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.now()
}

func (e *Engine) now() time.Time { return time.Now().Add(e.offset).UTC().Round(0) }

// SetClock makes the engine's clock differ from the true one by offset: Date headers, SystemTime,
// times of events and of containers from now on.
func (e *Engine) SetClock(offset time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.offset = offset
}

// SetEngineID changes what /info says the engine is.
func (e *Engine) SetEngineID(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.o.EngineID = id
}

// SetDataRoot changes where /info says that the engine keeps its data.
func (e *Engine) SetDataRoot(path string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.o.DataRoot = path
}

// newID makes a full id that no other engine of this process gives out.
func (e *Engine) newID(kind string) string {
	e.serial++
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s %d", e.number, kind, e.serial))
	return hex.EncodeToString(sum[:])
}

func refused() error {
	return &net.OpError{Op: "dial", Net: "unix", Addr: pipeAddr{}, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
}
