package plane

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tiny-forge/docker-watcher/internal/certs"
	"github.com/tiny-forge/docker-watcher/internal/proxy"
)

// cutAfter is how long requests may go on when the plane is stopped and nobody takes its place.
const cutAfter = 20 * time.Second

// leaveLook is how often a plane whose place is taken looks whether something is open yet.
const leaveLook = 100 * time.Millisecond

// Options say what a plane stands on.
type Options struct {
	Proxy  proxy.ServerOptions // Flipped and Missed are told to the daemon; Policy has yet to know the listeners
	Socket string              // path, at which the daemon comes
	HTTP   string              // host:port that is served
	HTTPS  string              // the same over TLS; empty: nothing is
	Certs  certs.Options       // of HTTPS; Told is told to the daemon
	Open   Open                // the listeners that are not taken from the plane before
	// Patience is how long requests and streams may go on here once another plane has taken the place.
	Patience time.Duration
	Version  string
	Log      *slog.Logger
}

// Plane answers requests, and does what the daemon tells it.
type Plane struct {
	proxy     *proxy.Server
	socket    string
	listeners []*held
	control   *held
	certs     *certs.Keeper // nil: nothing is served over TLS
	folder    string        // of the certificates
	before    *predecessor  // nil: this one took nobody's place
	patience  time.Duration
	version   string
	started   time.Time
	outbox    *outbox
	log       *slog.Logger

	changing sync.Mutex    // held while a table is applied, and while the place is taken
	taking   chan struct{} // has one while somebody takes it
	taken    chan struct{}

	mu   sync.Mutex
	hush context.CancelFunc // ends the stream that is told the news
}

// Open opens a listener.
type Open func(ctx context.Context, name, address string) (net.Listener, error)

// New opens the socket and the listeners, and answers by the last good table once it runs.
func New(ctx context.Context, o Options) (*Plane, error) {
	control, err := listenAt(ctx, o.Socket)
	if err != nil {
		return nil, err
	}
	held, err := choose(ctx, o, nil, nil)
	if err != nil {
		return nil, errors.Join(err, control.Close(), removeSocket(ctx, o.Socket))
	}
	p := newPlane(o, held)
	p.control = hold("control", o.Socket, control)
	if err := p.proxy.Resume(); err != nil {
		p.log.WarnContext(ctx, "the last good table cannot be used: nothing is served until the daemon gives another", "error", err)
	}
	return p, nil
}

func newPlane(o Options, listeners []*held) *Plane {
	p := &Plane{
		socket: o.Socket, listeners: listeners, patience: o.Patience, version: o.Version, started: time.Now().UTC(),
		outbox: newOutbox(), log: o.Log, taken: make(chan struct{}), taking: make(chan struct{}, 1),
	}
	o.Proxy.Flipped = func(f proxy.Flip) { p.outbox.flip(f) }
	o.Proxy.Missed = p.outbox.miss
	if secure := named(listeners, nameHTTPS); secure != nil {
		o.Certs.Told = p.outbox.certificate
		p.certs, p.folder = certs.New(o.Certs), string(o.Certs.Folder)
		o.Proxy.Certs, o.Proxy.SecurePort = p.certs, portOf(secure)
	}
	for _, h := range listeners {
		if at, err := netip.ParseAddrPort(h.Addr().String()); err == nil {
			o.Proxy.Policy.Own = append(o.Proxy.Policy.Own, at)
		}
	}
	p.proxy = proxy.NewServer(o.Proxy)
	return p
}

// Hello is what it says of itself.
func (p *Plane) Hello() Hello {
	h := Hello{Protocol: Protocol, Version: p.version, PID: os.Getpid(), Started: p.started, Hash: p.proxy.Hash(), Listeners: []Endpoint{}, Folder: p.folder}
	for _, l := range p.listeners {
		h.Listeners = append(h.Listeners, l.endpoint())
	}
	return h
}

// Run serves until ctx ends, or until another plane has taken the place and nothing is open here any more. Serving is called
// once it takes connections.
func (p *Plane) Run(ctx context.Context, serving func()) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	group, ctx := errgroup.WithContext(ctx)
	checking, endChecks := context.WithCancel(ctx)
	defer endChecks()
	for _, l := range p.listeners {
		serve := p.proxy.Serve
		if l.name == nameHTTPS {
			serve = p.proxy.ServeTLS
		}
		group.Go(func() error { return serve(ctx, l, cutAfter) })
	}
	if p.certs != nil {
		group.Go(func() error { return p.certs.Run(checking) })
	}
	group.Go(func() error { return p.proxy.Run(checking) })
	group.Go(func() error {
		defer end()
		p.awaitSuccessor(ctx, endChecks)
		return nil
	})
	err := p.before.tellServing()
	if err == nil {
		group.Go(func() error { return p.serveControl(ctx) }) // who asks waits until now: some of it is asked of the one before in turn
		serving()
	} else {
		end()
	}
	err = errors.Join(err, group.Wait(), closeHeld(p.listeners), p.control.Close()) // a part that ended early may not have
	p.before.forget()
	p.taking <- struct{}{} // who took the place is told no more by now
	if p.left() {
		return err
	}
	return errors.Join(err, removeSocket(context.WithoutCancel(ctx), p.socket))
}

// awaitSuccessor waits until ctx ends, or until another plane has taken the place and nothing is open any more.
func (p *Plane) awaitSuccessor(ctx context.Context, endChecks func()) {
	select {
	case <-ctx.Done():
		return
	case <-p.taken:
	}
	endChecks() // the new one makes them
	tick := time.NewTicker(leaveLook)
	defer tick.Stop()
	late := time.NewTimer(p.patience)
	defer late.Stop()
	for p.proxy.Busy()+p.before.openOn("") > 0 {
		select {
		case <-tick.C:
		case <-late.C:
			p.log.WarnContext(ctx, "streams that lasted longer than the patience of a take-over are cut", "open", p.proxy.OpenOn(""), "patience", p.patience)
			return
		case <-ctx.Done():
			return
		}
	}
	p.log.InfoContext(ctx, "nothing is open here any more: the new data plane is alone")
}

// left tells that another plane has taken the place.
func (p *Plane) left() bool {
	select {
	case <-p.taken:
		return true
	default:
		return false
	}
}

// openOn counts what is open on the targets whose names begin so, in this process and in those before it.
func (p *Plane) openOn(prefix string) int {
	return p.proxy.OpenOn(prefix) + p.before.openOn(prefix)
}

// Taken is closed when another plane has taken the place.
func (p *Plane) Taken() <-chan struct{} { return p.taken }
