package proxy

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/certs"
)

// Of the connections from clients.
const (
	headTimeout = 10 * time.Second // to send the head of a request
	idleTimeout = 2 * time.Minute
	headSize    = 64 << 10 // bytes
)

// ServerOptions say what a server stands on.
type ServerOptions struct {
	// File keeps the last good table; empty: it is kept nowhere.
	File   string
	Policy Policy
	// Flipped is told when a health check finds that a target is down, or up again.
	Flipped func(Flip)
	// Missed is told the name of a target that could not be dialled: perhaps it is elsewhere by now. It must not block.
	Missed func(ref string)
	// Certs keeps the certificates that tables ask for; nil: nothing is served over TLS.
	Certs *certs.Keeper
	// SecurePort is where TLS is served; 0: nowhere here.
	SecurePort int
	// Dial replaces the way to targets, for tests in memory: the policy is not asked then. Nil: over the network.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	Log  *slog.Logger
}

// Server answers by the table that was applied last.
type Server struct {
	log        *slog.Logger
	file       string
	name       string   // in the header Via, by which a circle is noticed
	via        []string // the whole of it; nobody changes it
	policy     Policy
	flipped    func(Flip)
	onMiss     func(ref string)
	certs      *certs.Keeper
	securePort int
	transports transports
	buffers    bufferPool
	logins     *logins
	current    atomic.Pointer[compiled]

	applying sync.Mutex
	scratch  bytes.Buffer // of compile; guarded by applying
	mu       sync.Mutex
	leaving  atomic.Bool
	conns    atomic.Int64
	retired  map[*upstream]struct{} // left the table, and something is open on them
	waitings map[*waiting]struct{}  // of the listeners that are served
	tallies  map[tallyKey]*tally
	totals   totals
	changed  chan struct{} // closed and made anew when the table or what is open on a retired target changes
}

// NewServer returns a server with an empty table.
func NewServer(o ServerOptions) *Server {
	s := &Server{
		log: o.Log, file: o.File, name: "docker-watcher-" + strings.ToLower(rand.Text()[:10]), policy: o.Policy, flipped: o.Flipped, onMiss: o.Missed, certs: o.Certs, securePort: o.SecurePort, logins: newLogins(),
		retired: map[*upstream]struct{}{}, waitings: map[*waiting]struct{}{}, tallies: map[tallyKey]*tally{}, changed: make(chan struct{}),
	}
	s.via = []string{"1.1 " + s.name}
	s.transports = transports{policy: func() Policy { return s.current.Load().policy }, instead: o.Dial, by: map[manner]*http.Transport{}}
	s.current.Store(&compiled{hash: "", rules: index[*entry]{}, policy: o.Policy})
	return s
}

// Apply checks a table and answers by it from now on. An error means that all is answered as before. What is under way goes on.
func (s *Server) Apply(t Table) (hash string, err error) {
	s.applying.Lock()
	defer s.applying.Unlock()
	former := s.current.Load()
	next, err := s.compile(t, former)
	if err != nil {
		return "", err
	}
	if next.hash == former.hash {
		return next.hash, nil
	}
	s.swap(former, next)
	if s.leaving.Load() {
		return next.hash, nil // who has taken the place keeps it
	}
	if err := s.keep(next); err != nil {
		s.log.Error("the table is served, but was not kept for the next start", "error", err)
	}
	return next.hash, nil
}

// swap puts a table in force.
func (s *Server) swap(former, next *compiled) {
	s.current.Store(next)
	s.mu.Lock()
	for key, up := range former.targets {
		if next.targets[key] == nil {
			up.retired.Store(true)
			s.retired[up] = struct{}{}
		}
	}
	s.mu.Unlock()
	if s.certs != nil {
		s.certs.Apply(next.table.wants(), next.table.ACME)
	}
	s.wake()
}

// wake tells those who wait that something has changed, and forgets retired targets on which nothing is open.
func (s *Server) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for up := range s.retired {
		if up.open.Load() == 0 {
			delete(s.retired, up)
		}
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

// Hash is of the table in force; empty: none was applied.
func (s *Server) Hash() string { return s.current.Load().hash }

// InForce is the table that is answered by, and its hash.
func (s *Server) InForce() (Table, string) {
	c := s.current.Load()
	return c.table, c.hash
}

// Drained waits until nothing is open on targets that have left the table and whose names begin so, or until ctx ends.
func (s *Server) Drained(ctx context.Context, prefix string) error {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if s.Open(prefix) == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Open counts the requests and streams on targets that have left the table and whose names begin so.
func (s *Server) Open(prefix string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	open := int64(0)
	for up := range s.retired {
		if strings.HasPrefix(up.ref, prefix) {
			open += up.open.Load()
		}
	}
	return int(open)
}

// Serve takes connections until ctx ends; what is under way may end within patience, then it is cut.
func (s *Server) Serve(ctx context.Context, l net.Listener, patience time.Duration) error {
	return s.serve(ctx, l, patience, nil)
}

func (s *Server) serve(ctx context.Context, l net.Listener, patience time.Duration, secure *tls.Config) error {
	waiting := newWaiting(mostWaiting)
	defer s.knowWaiting(waiting)()
	srv := &http.Server{
		Handler: s, ReadHeaderTimeout: headTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: headSize,
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
		ErrorLog:    slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ConnState: func(conn net.Conn, state http.ConnState) {
			s.countConns(conn, state)
			waiting.note(conn, state)
		},

		DisableGeneralOptionsHandler: true, TLSConfig: secure,
	}
	served := make(chan error, 1)
	go func() {
		if secure != nil {
			served <- srv.ServeTLS(l, "", "")
			return
		}
		served <- srv.Serve(l)
	}()
	defer s.transports.closeIdle()
	select {
	case err := <-served:
		return fmt.Errorf("serve on %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if srv.Shutdown(late) == nil {
		return nil
	}
	if err := srv.Close(); err != nil {
		return fmt.Errorf("close the connections of the proxy: %w", err)
	}
	return nil
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.leaving.Load() && !upgrades(r) {
		w.Header().Set("Connection", "close")
	}
	await(w, r)
	if status, why := malformed(r); status != 0 {
		page{status: status, title: http.StatusText(status), text: why}.write(w, r)
		return
	}
	if s.circles(r.Header) {
		loopPage.write(w, r)
		return
	}
	if r.TLS == nil && s.certs != nil && s.certs.Challenge(w, r) {
		return
	}
	now := time.Now()
	for {
		c := s.current.Load()
		if c.aside {
			anewPage.write(w, r)
			return
		}
		if c.misdirected(r) {
			misdirectedPage.write(w, r)
			return
		}
		e, prefix, ok := c.rules.find(r.Host, r.URL.Path)
		if !ok {
			unknownPage.write(w, r)
			return
		}
		v := &visit{Context: r.Context(), e: e, prefix: prefix}
		v.client, v.trusted, v.secure = Origin(r, c.table.Trusted)
		if v.at = choose(e.upstreams, nil, e.turn.Add(1), now); v.at != nil {
			v.at.begin()
			if s.current.Load() != c {
				v.at.end() // by the new table, so that who waits for the old target to drain has waited for all
				continue
			}
		}
		e.begin(now)
		s.answer(w, r, v, now)
		return
	}
}

// answer answers for a rule.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, v *visit, began time.Time) {
	if v.e.rule.Options.AccessLog {
		watched := &witness{ResponseWriter: w}
		defer s.seen(watched, r, v, began)
		w = watched
	}
	if v.at == nil {
		s.answerAlone(w, r, v)
		v.e.open.Add(-1)
		return
	}
	s.answerBy(w, r, v)
}

// answerAlone answers for a rule of which no target can be reached.
func (s *Server) answerAlone(w http.ResponseWriter, r *http.Request, v *visit) {
	if s.held(w, r, v) {
		return
	}
	v.e.tally.fail()
	switch t := v.e.stopped(); {
	case !t.StoppedSince.IsZero():
		stoppedPage(t.StoppedSince).write(w, r)
	case t.Gone:
		gonePage.write(w, r)
	default:
		awayPage.write(w, r)
	}
}

// answerBy asks a target.
func (s *Server) answerBy(w http.ResponseWriter, r *http.Request, v *visit) {
	defer func() {
		v.at.end()
		v.e.open.Add(-1)
	}()
	if s.held(w, r, v) {
		return
	}
	limit := v.e.rule.Options.MaxBodyBytes
	if limit > 0 && r.ContentLength > limit {
		tooLargePage.write(w, r)
		return
	}
	// The body of r itself stays: by it the server knows whether the client still waits to be told to send it.
	ours := r.WithContext(v)
	if limit > 0 {
		ours.Body = http.MaxBytesReader(w, r.Body, limit)
	}
	if r.ContentLength != 0 {
		ours.Body = patient{ours.Body, http.NewResponseController(w), v}
	}
	if v.e.rule.Options.Compress {
		if p, ok := packed(w, r); ok {
			v.e.forward.ServeHTTP(p, ours)
			p.end() // not when the answer was cut, which panics
			return
		}
	}
	v.e.forward.ServeHTTP(w, ours)
}

// held answers what no target is to see, and tells whether it did.
func (s *Server) held(w http.ResponseWriter, r *http.Request, v *visit) bool {
	o := &v.e.rule.Options
	endsConnection(w.Header(), r)
	if v.secure {
		o.sayHSTS(w.Header())
	}
	switch {
	case !v.e.admits(v.client):
		forbidPage.write(w, r)
	case o.RedirectHTTPS && !v.secure:
		http.Redirect(w, r, secureURL(r, s.portFor(r, v)), http.StatusPermanentRedirect)
	case len(o.BasicAuth) > 0 && !s.letsIn(w, r, v):
	case o.Maintenance:
		maintenancePage(o.MaintenanceNote).write(w, r)
	case o.RedirectTo != "":
		to, code := o.redirectURL(r)
		http.Redirect(w, r, to, code)
	case o.NoWebSockets && upgrades(r):
		upgradePage.write(w, r)
	default:
		if v.secure {
			w.Header().Del("Strict-Transport-Security") // the answer of the target gets it
		}
		if len(r.TransferEncoding) > 0 && !s.leaving.Load() {
			w.Header().Del("Connection") // as above
		}
		return false
	}
	return true
}

// letsIn tells whether a client may come to a site that asks for a password, and answers it if not.
func (s *Server) letsIn(w http.ResponseWriter, r *http.Request, v *visit) bool {
	switch err := s.logins.admit(r, v.client, &v.e.rule); {
	case err == nil:
		return true
	case errors.Is(err, errWrong):
		w.Header().Set("WWW-Authenticate", `Basic realm="site", charset="UTF-8"`)
		loginPage.write(w, r)
	default:
		crowdedPage.write(w, r) // nobody reads it who has left
	}
	return false
}

// portFor is the port to which a client is sent that shall come over TLS; 0: the usual one. One that came by a port of its own making
// comes past whatever leads the usual ports to ours.
func (s *Server) portFor(r *http.Request, v *visit) int {
	if _, _, err := net.SplitHostPort(r.Host); err != nil || v.trusted {
		return 0
	}
	return s.securePort
}

// broken answers where a target did not.
func (s *Server) broken(w http.ResponseWriter, r *http.Request, e *entry, err error) {
	v := visitOf(r.Context())
	gone := errors.Is(err, context.Canceled) && r.Context().Err() != nil
	if gone && r.ContentLength != 0 && !v.sent.Load() {
		v.awaitBadBody()
	}
	bad, ok := v.badBodyPage()
	if gone && !ok {
		panic(http.ErrAbortHandler) // the client left, or has closed its half: no answer is better than an empty one, which looks whole
	}
	if v.secure {
		e.rule.Options.sayHSTS(w.Header())
	}
	if ok {
		endConnection(w.Header(), r)
		bad.write(w, r)
		return
	}
	e.tally.fail()
	s.log.Debug("a target did not answer", "rule_id", e.rule.ID, "error", err)
	if timedOut(err) && !errors.Is(err, errDial) {
		latePage.write(w, r)
		return
	}
	awayPage.write(w, r)
}

func (s *Server) missed(ref string) {
	if s.onMiss != nil {
		s.onMiss(ref)
	}
}
