package plane

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"slices"
	"syscall"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/proxy"
)

// takeLimit bounds how long a plane waits for the one that takes its place: that opens nothing and asks nobody, so that it is quick.
const takeLimit = 30 * time.Second

// turnLimit is how long one waits for its turn when another one, which may have just failed, is at it.
const turnLimit = time.Second

// ErrNobody is that there is no plane whose place could be taken.
var ErrNobody = errors.New("no data plane runs there")

// heritage is what a plane leaves to the next, beside the listeners: the control socket first, then one for each endpoint.
type heritage struct {
	Version   string          `json:"version"`
	Listeners []Endpoint      `json:"listeners"`
	Table     json.RawMessage `json:"table"`
	Hash      string          `json:"hash"` // empty: there is no table
	Carried   proxy.Carried   `json:"carried"`
	News      []news          `json:"news,omitempty"`    // that no daemon was told
	Follows   bool            `json:"follows,omitempty"` // it can be told of tables once its place is taken
}

// The lines that both say to one another once the request has been answered.
const (
	lineReady    = "ready"    // to receive
	lineServing  = "serving"  // the new one takes connections
	lineLeft     = "left"     // the former one takes none any more
	lineOpen     = "open "    // asks how much is open on targets whose names begin as what follows
	lineTable    = "table "   // tells of another table: the milliseconds that there are for it, and the table
	lineFollowed = "followed" // nobody is answered by another one any more
)

// give hands the place to another plane, which asks for it. Nothing is given up before that one says that it serves.
func (p *Plane) give(w http.ResponseWriter, r *http.Request) {
	select {
	case p.taking <- struct{}{}:
		defer func() { <-p.taking }()
	case <-time.After(turnLimit):
		p.refuse(w, http.StatusConflict, fault{Error: "another data plane is taking the place at this moment"})
		return
	}
	if p.left() {
		p.refuse(w, http.StatusServiceUnavailable, fault{Error: "another data plane has taken the place", Left: true})
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		p.log.Error("the connection of a new data plane cannot be used", "error", err)
		return
	}
	defer conn.Close()
	defer context.AfterFunc(r.Context(), func() { _ = conn.Close() })() // it may have ended
	unix, ok := conn.(*net.UnixConn)
	if !ok {
		return // the socket has no others
	}
	if err := p.giveTo(unix, buffered.Reader); err != nil {
		p.log.Warn("a new data plane did not take the place; this one serves on", "error", err)
		return
	}
	if err := p.answerLink(unix, buffered.Reader); !errors.Is(err, net.ErrClosed) { // which is our own end
		p.lose(err)
	}
}

// WhileKept runs act while nobody can take the place, and waits for a try that is under way; false: somebody has taken it, or ctx has ended, and
// act was not run.
func (p *Plane) WhileKept(ctx context.Context, act func()) bool {
	select {
	case p.taking <- struct{}{}:
		defer func() { <-p.taking }()
	case <-p.taken:
		return false
	case <-ctx.Done():
		return false
	}
	if p.left() {
		return false
	}
	act()
	return true
}

// giveTo returns when the other one serves.
func (p *Plane) giveTo(conn *net.UnixConn, in *bufio.Reader) error {
	if err := conn.SetDeadline(time.Now().Add(takeLimit)); err != nil {
		return fmt.Errorf("wait for it: %w", err)
	}
	if _, err := io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: docker-watcher-take\r\n\r\n"); err != nil {
		return fmt.Errorf("answer it: %w", err)
	}
	if err := expect(in, lineReady); err != nil {
		return err
	}
	p.changing.Lock() // a table that comes now waits, and goes to the one that serves then
	defer p.changing.Unlock()
	t, hash := p.proxy.InForce()
	text, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	kept := p.outbox.giveAway()
	h := heritage{Version: p.version, Listeners: p.Hello().Listeners, Table: text, Hash: hash, Carried: p.proxy.Carry(), News: kept, Follows: true}
	err = sendHeld(conn, h, raw(append([]*held{p.control}, p.listeners...)))
	if err == nil {
		err = expect(in, lineServing)
	}
	if err == nil {
		_, err = io.WriteString(conn, lineLeft+"\n")
	}
	if err != nil {
		p.outbox.putBack(kept)
		return err
	}
	p.leave()
	return nil
}

// leave stops taking connections: another plane does.
func (p *Plane) leave() {
	close(p.taken)
	p.proxy.Leave()
	wrong := []error{p.control.leave()}
	for _, l := range p.listeners {
		wrong = append(wrong, l.leave())
	}
	p.log.Info("another data plane has taken the place; what is open here may end", "patience", p.patience)
	if err := errors.Join(wrong...); err != nil {
		p.log.Warn("a listener that was handed over was not closed here", "error", err)
	}
}

func expect(in *bufio.Reader, want string) error {
	line, err := in.ReadString('\n')
	if err != nil {
		return fmt.Errorf("wait until it is %s: %w", want, err)
	}
	if line != want+"\n" {
		return fmt.Errorf("it says %q instead of %s", line, want)
	}
	return nil
}

// Take takes the place of the plane that runs at the socket, once it runs itself. ErrNobody: no plane runs there.
func Take(ctx context.Context, o Options) (*Plane, error) {
	before, control, given, h, err := takeFrom(ctx, o.Socket)
	if err != nil {
		return nil, err
	}
	listeners, err := choose(ctx, o, h.Listeners, given)
	var p *Plane
	if err == nil {
		p, err = inherit(o, listeners, h)
	}
	if err != nil {
		before.forget()
		return nil, errors.Join(fmt.Errorf("take the place of data plane %s, which serves on: %w", h.Version, err), control.Close(), closeHeld(listeners))
	}
	before.follows = h.Follows
	p.control, p.before = hold("control", o.Socket, control), before
	return p, nil
}

func inherit(o Options, listeners []*held, h heritage) (*Plane, error) {
	p := newPlane(o, listeners)
	p.outbox.keep(h.News...)
	if h.Hash == "" {
		return p, nil
	}
	t, err := proxy.ReadTable(h.Table)
	if err != nil {
		return nil, fmt.Errorf("%w: have one take the place that is at least as new", err)
	}
	return p, p.proxy.Inherit(t, h.Carried)
}

// takeFrom receives the listeners from the plane that runs.
func takeFrom(ctx context.Context, socket string) (before *predecessor, control net.Listener, given []net.Listener, h heritage, err error) {
	conn, err := dialSocket(ctx, socket)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, nil, nil, h, ErrNobody
	case err != nil:
		return nil, nil, nil, h, fmt.Errorf("come to the data plane that runs: %w", err)
	}
	before = &predecessor{conn: conn, in: bufio.NewReader(conn)}
	all, err := before.ask(&h)
	if err == nil && len(all) != len(h.Listeners)+1 {
		err = errors.Join(fmt.Errorf("%d listeners came where %d were told of", len(all), len(h.Listeners)+1), closeAll(all))
	}
	if err != nil {
		before.forget()
		return nil, nil, nil, h, fmt.Errorf("take the place of the data plane that runs: %w", err)
	}
	return before, all[0], all[1:], h, nil
}

// choose takes of the given listeners those that are wanted, and opens what is wanted beside.
func choose(ctx context.Context, o Options, told []Endpoint, given []net.Listener) (all []*held, err error) {
	for _, w := range o.wanted() {
		at := slices.IndexFunc(told, func(e Endpoint) bool { return e.Name == w.Name && e.Asked == w.Asked })
		var l net.Listener
		if at >= 0 {
			l, given[at] = given[at], nil
		} else if l, err = o.Open(ctx, w.Name, w.Asked); err != nil {
			break
		}
		all = append(all, hold(w.Name, w.Asked, l))
	}
	for _, l := range given {
		if l != nil {
			err = errors.Join(err, l.Close()) // the one before closes it too when it leaves
		}
	}
	if err != nil {
		return nil, errors.Join(err, closeHeld(all))
	}
	return all, nil
}

// wanted are the listeners that are served.
func (o Options) wanted() []Endpoint {
	all := []Endpoint{{Name: nameHTTP, Asked: o.HTTP}}
	if o.HTTPS != "" {
		all = append(all, Endpoint{Name: nameHTTPS, Asked: o.HTTPS})
	}
	return all
}

func closeHeld(all []*held) error {
	var wrong []error
	for _, h := range all {
		wrong = append(wrong, h.Close())
	}
	return errors.Join(wrong...)
}
