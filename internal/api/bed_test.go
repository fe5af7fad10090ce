package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/adopt"
	"github.com/tiny-forge/docker-watcher/internal/auth"
	"github.com/tiny-forge/docker-watcher/internal/backup"
	"github.com/tiny-forge/docker-watcher/internal/certs"
	"github.com/tiny-forge/docker-watcher/internal/deploy"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/events"
	"github.com/tiny-forge/docker-watcher/internal/hosts"
	"github.com/tiny-forge/docker-watcher/internal/notify"
	"github.com/tiny-forge/docker-watcher/internal/poll"
	"github.com/tiny-forge/docker-watcher/internal/reclaim"
	"github.com/tiny-forge/docker-watcher/internal/registry"
	"github.com/tiny-forge/docker-watcher/internal/schedule"
	"github.com/tiny-forge/docker-watcher/internal/sso"
	"github.com/tiny-forge/docker-watcher/internal/stale"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
	"github.com/tiny-forge/docker-watcher/internal/usage"
	"github.com/tiny-forge/docker-watcher/internal/waittest"
)

// bed is the real router over a real store, real parts and a pretend engine, reached
// through the typed client over pipes in memory.
type bed struct {
	t        *testing.T
	deps     Deps
	db       *store.DB
	bus      *events.Bus
	engine   *dockertest.Engine
	host     store.Host
	stopping chan struct{}
	logs     *syncBuffer
	listener *pipeListener
	changed  chan struct{} // thresholds were changed
	registry *tagBook
	ear      *ear

	admin, operator, viewer, nobody *client.Client
}

func newBed(t *testing.T) *bed {
	t.Helper()
	return newBedOf(t, dockertest.Options{})
}

// newBedOf is a bed on a pretend engine of some kind.
func newBedOf(t *testing.T, o dockertest.Options) *bed {
	t.Helper()
	pretend := dockertest.New(t, o)
	b := newBedOn(t, docker.Options{Endpoint: pretend.Endpoint(), Dial: pretend.Dial})
	b.engine = pretend
	return b
}

// newBedOn is a bed on any engine; that of a real one has no pretend engine.
func newBedOn(t *testing.T, at docker.Options, more ...func(*bed)) *bed {
	t.Helper()
	b := &bed{t: t, stopping: make(chan struct{}), logs: &syncBuffer{}, changed: make(chan struct{}, 100), registry: &tagBook{}, ear: newEar(t)}
	log := slog.New(slog.NewTextHandler(b.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	b.db = storetest.Open(t)
	t.Cleanup(b.listen)
	b.bus = events.New(log)
	b.db.OnCommit(b.bus.Committed)
	fleet := docker.NewFleet()
	at.Log = log
	adapter, err := docker.New(at)
	b.must(err)
	t.Cleanup(func() { b.must(adapter.Close()) })
	info, err := adapter.Info(t.Context())
	b.must(err)
	b.host = store.Host{
		ID: store.NewID(), Name: "local", Endpoint: at.Endpoint, EngineID: info.EngineID, DataRoot: info.DataRoot,
		EngineVersion: info.Version, APIVersion: info.APIVersion, CreatedAt: time.Now(), UpdatedAt: time.Now(),
	}
	b.update(func(tx *store.Tx) error { return tx.InsertHost(t.Context(), b.host) })
	fleet.Add(b.host.ID, adapter)

	b.deps = Deps{
		DB: b.db, Bus: b.bus, Refusals: NewRefusals(b.bus), Fleet: fleet, Hosts: hosts.New(b.db, fleet, log), Scanner: stale.NewScanner(b.db, fleet, log), Cleaner: stale.NewCleaner(b.db, fleet, log),
		Deployer: deploy.New(b.db, fleet, b.bus, log), Reclaimer: reclaim.New(b.db, fleet, log), Auth: auth.New(b.db, log), SSO: sso.NewFlows(), Scheduler: schedule.New(log), Looker: poll.NewLooker(b.registry),
		Meter:             usage.New(b.db, fleet, log),
		DataDir:           t.TempDir(),
		Backups:           backup.New(b.db, backup.Options{Folder: filepath.Join(t.TempDir(), "backups"), Data: t.TempDir(), Keep: 2}, log),
		ThresholdsChanged: func(context.Context) error { b.changed <- struct{}{}; return nil },
		Routes:            Routes{Folder: certs.Folder(t.TempDir())},
		Notifier:          notify.New(b.db, b.bus, notify.Options{Version: "test", Log: log}),
		Stopping:          b.stopping, Version: "1.2.3-test", Log: log,
	}
	b.deps.Auth.VouchedBy(sso.InForce)
	b.deps.Registries = registry.New(b.access)
	b.deps.Adopter = b.adopter("")
	b.deps.Cleaner.ClaimBy(b.deps.Deployer.Claim)
	b.deps.Cleaner.LendHands(stale.Hands{Stop: b.deps.Deployer.StopInstance, Start: b.deps.Deployer.StartInstance, Options: b.deps.Deployer.Options})
	b.deps.Cleaner.ScanBy(func(ctx context.Context, hostID string) error {
		_, err := b.deps.Scanner.Scan(ctx, hostID, "automatic")
		return err
	})
	for _, add := range more {
		add(b)
	}
	b.run("persister", events.NewPersister(b.bus, b.db, log).Run)
	b.run("refusals", b.deps.Refusals.Run)
	b.run("deployer", b.deps.Deployer.Run)
	b.serve(New(b.deps))
	b.signIn()
	return b
}

// adopter is as main makes it, in a daemon that runs in a container; empty: in none.
func (b *bed) adopter(self string) *adopt.Adopter {
	return adopt.New(b.db, b.deps.Fleet, adopt.Hands{
		FirstLook: stale.FirstLook, CheckSpec: deploy.ValidateSpec, CheckReference: deploy.ValidateReference, Dangerous: deploy.Dangerous,
		Differing: deploy.Differing, Follow: b.deps.Scanner.Follow, Claim: b.deps.Deployer.Claim,
	}, self, b.deps.Log)
}

// access is how the registries of the bed are reached, as main does it.
func (b *bed) access(ctx context.Context, host string) (registry.Access, error) {
	row, password, err := b.db.RegistryLogin(ctx, host)
	if errors.Is(err, store.ErrNotFound) {
		return registry.Access{}, nil
	}
	return registry.Access{Known: true, Username: row.Username, Password: password, CA: row.CA, PlainHTTP: row.PlainHTTP}, err
}

// run starts a long-lived part and ends it with the test.
func (b *bed) run(name string, part func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.t.Context()))
	done := make(chan error, 1)
	go func() { done <- part(ctx) }()
	b.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			b.t.Errorf("%s: %v", name, err)
		}
	})
}

func (b *bed) serve(h http.Handler) {
	listener := newPipeListener()
	b.listener = listener
	srv := &http.Server{Handler: b.ear.around(h), ErrorLog: slog.NewLogLogger(b.deps.Log.Handler(), slog.LevelWarn)}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(listener) }()
	transport := &http.Transport{DialContext: listener.dial}
	b.nobody = b.newClient(transport)
	b.t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = srv.Close()
		<-done
	})
}

func (b *bed) newClient(transport http.RoundTripper, options ...client.Option) *client.Client {
	b.t.Helper()
	c, err := client.New("http://docker-watcher.test", append(options, client.WithHTTPClient(&http.Client{Transport: transport}))...)
	b.must(err)
	return c
}

func (b *bed) signIn() {
	for role, c := range map[store.Role]**client.Client{viewer: &b.viewer, operator: &b.operator, admin: &b.admin} {
		secret, _, err := b.deps.Auth.CreateToken(b.t.Context(), string(role), role, time.Time{}, "system")
		b.must(err)
		b.ear.keep(secret)
		*c = b.nobody.As(secret)
	}
}

func (b *bed) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bed) update(fn func(*store.Tx) error) {
	b.t.Helper()
	b.must(b.db.Update(b.t.Context(), fn))
}

// shop makes a project with a stage.
func (b *bed) shop(project, stage string) store.Stage {
	b.t.Helper()
	p, err := b.db.ProjectByName(b.t.Context(), project)
	if errors.Is(err, store.ErrNotFound) {
		p = store.Project{ID: store.NewID(), Name: project, Image: "shop", CreatedAt: time.Now(), UpdatedAt: time.Now()}
		b.update(func(tx *store.Tx) error { return tx.InsertProject(b.t.Context(), p) })
	} else {
		b.must(err)
	}
	st := store.Stage{
		ID: store.NewID(), ProjectID: p.ID, HostID: b.host.ID, Name: stage, Kind: store.StagePreview,
		Spec: store.Spec{StopGrace: time.Second}, CreatedAt: time.Now(), UpdatedAt: time.Now(),
	}
	b.update(func(tx *store.Tx) error { return tx.InsertStage(b.t.Context(), st) })
	return st
}

// plant puts a container of a stage on the engine that has been dead for so many days, and its row.
func (b *bed) plant(st store.Stage, name string, days int, changes ...func(*store.Instance, *dockertest.Template)) (store.Instance, *dockertest.Container) {
	b.t.Helper()
	p, err := b.db.Project(b.t.Context(), st.ProjectID)
	b.must(err)
	inst := store.Instance{
		ID: store.NewID(), HostID: b.host.ID, ProjectID: st.ProjectID, StageID: st.ID, Name: name, Ownership: store.OwnershipCreated,
		EngineID: b.host.EngineID, Image: "shop", ImageTag: "1.0", Status: store.StatusStopped, Intended: store.IntendedStopped,
		CreatedAt: time.Now(), UpdatedAt: time.Now(),
	}
	ended := b.engine.Now().Add(-time.Duration(days)*day - time.Minute)
	tpl := dockertest.Template{
		Name: name, Image: "shop:1.0", State: dockertest.Exited, Created: ended.Add(-2 * time.Hour), Started: ended.Add(-time.Hour),
		Finished: ended, SizeRw: 4096, Labels: map[string]string{
			docker.LabelManaged: "true", docker.LabelInstallation: b.db.InstallationID(), docker.LabelInstance: inst.ID,
			docker.LabelProject: p.Name, docker.LabelStage: st.Name,
		},
	}
	for _, change := range changes {
		change(&inst, &tpl)
	}
	ct := b.engine.Add(tpl)
	inst.ContainerID = ct.ID
	inst.LastAliveAt, inst.Evidence = ended, store.EvidenceObserved
	b.update(func(tx *store.Tx) error { return tx.InsertInstance(b.t.Context(), inst) })
	return inst, ct
}

// scan looks at the engine through the API.
func (b *bed) scan() {
	b.t.Helper()
	runs, err := b.operator.Scan(b.t.Context(), "")
	b.must(err)
	for _, r := range runs {
		if r.Outcome != "ok" {
			b.t.Fatalf("the scan is %s: %s", r.Outcome, r.Error)
		}
	}
}

// raw sends a request as it stands and returns the status and the body.
func (b *bed) raw(who *client.Client, method, path, body string, headers ...string) (int, http.Header, string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, "http://docker-watcher.test"+path, strings.NewReader(body))
	b.must(err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if who != nil && who.Credential() != "" {
		req.Header.Set("Authorization", "Bearer "+who.Credential())
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	transport := &http.Transport{DialContext: b.listener.dial, DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(req)
	b.must(err)
	defer func() { b.must(res.Body.Close()) }()
	text, err := io.ReadAll(res.Body)
	b.must(err)
	return res.StatusCode, res.Header, string(text)
}

// patience is how long anything may take, however slow the machine is: what never comes fails its test by name.
const patience = waittest.Patience

// thresholdsChange waits until it was told that thresholds were changed.
func (b *bed) thresholdsChange() {
	b.t.Helper()
	waittest.Next(b.t, "it is told that thresholds were changed", b.changed)
}

// eventually waits for a condition that other goroutines make true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	waittest.Until(t, what, 5*time.Millisecond, ok)
}

// event waits for a kept event of a kind.
func (b *bed) event(kind string) client.Event {
	b.t.Helper()
	var found client.Event
	eventually(b.t, "event "+kind, func() bool {
		l, err := b.viewer.Events(b.t.Context(), client.EventFilter{}, client.Page{Limit: 200})
		b.must(err)
		for _, e := range l.Items {
			if e.Kind == kind {
				found = e
				return true
			}
		}
		return false
	})
	return found
}

// kept are the events of a kind that are kept so far, oldest first.
func (b *bed) kept(kind string) (found []store.Event) {
	b.t.Helper()
	evs, err := b.db.EventsAfter(b.t.Context(), 0, 10_000)
	b.must(err)
	for _, e := range evs {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	return found
}

// wantProblem checks that an error is the problem that was expected.
func wantProblem(t *testing.T, err error, status int, code string) {
	t.Helper()
	_ = problemIn(t, err, status, code)
}

// problemIn is the problem that an error must be.
func problemIn(t *testing.T, err error, status int, code string) *client.Problem {
	t.Helper()
	p, ok := client.AsProblem(err)
	if !ok {
		t.Fatalf("got %v, want a problem %d %s", err, status, code)
	}
	if p.Status != status || p.Code != code {
		t.Fatalf("got %d %s (%v), want %d %s", p.Status, p.Code, p, status, code)
	}
	return p
}

// pipeListener hands out pipes in memory, which is all that a synctest bubble can wait for.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case l.conns <- there:
		return here, nil
	case <-l.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return remoteConn{c}, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

// remoteConn comes from somewhere else than this machine.
type remoteConn struct{ net.Conn }

func (remoteConn) RemoteAddr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "203.0.113.7:4711" }

// syncBuffer is a log that may be read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
