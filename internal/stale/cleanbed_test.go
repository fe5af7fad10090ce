package stale

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/canarytest"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// cleanBed is a cleaner over a real SQLite file and a pretend engine, inside a synctest bubble.
type cleanBed struct {
	t       *testing.T
	db      *store.DB
	log     *slog.Logger
	cleaner *Cleaner
	fleet   *docker.Fleet
	host    store.Host
	stage   store.Stage
	project store.Project
	engine  *dockertest.Engine
	adapter *docker.Engine
	gate    *gate
}

// inBed runs a test in a bubble whose clock stands in 2026.
func inBed(t *testing.T, test func(t *testing.T, b *cleanBed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)))
		test(t, newCleanBed(t))
	})
}

func newCleanBed(t *testing.T) *cleanBed {
	b := &cleanBed{t: t, db: storetest.Open(t), fleet: docker.NewFleet()}
	b.log = canarytest.Log(t, b.db)
	b.engine = dockertest.New(t, dockertest.Options{})
	b.host = b.addHost("local", b.engine)
	b.project = store.Project{ID: store.NewID(), Name: "shop", Image: "shop", CreatedAt: b.now(), UpdatedAt: b.now()}
	b.stage = store.Stage{
		ID: store.NewID(), ProjectID: b.project.ID, HostID: b.host.ID, Name: "preview", Kind: store.StagePreview,
		Spec: store.Spec{StopGrace: 2 * time.Second, Env: []store.EnvVar{canarytest.Env()}}, CreatedAt: b.now(), UpdatedAt: b.now(),
	}
	b.update(func(tx *store.Tx) error {
		return errors.Join(tx.InsertProject(t.Context(), b.project), tx.InsertStage(t.Context(), b.stage))
	})
	b.cleaner = NewCleaner(b.db, b.fleet, b.log)
	return b
}

func (b *cleanBed) now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

func (b *cleanBed) update(fn func(*store.Tx) error) {
	b.t.Helper()
	if err := b.db.Update(b.t.Context(), fn); err != nil {
		b.t.Fatal(err)
	}
}

// addHost puts an engine behind a gate of its own into the fleet and the store. The bed keeps the newest.
func (b *cleanBed) addHost(name string, e *dockertest.Engine) store.Host {
	b.t.Helper()
	b.gate = newGate(b.t, e)
	adapter, err := docker.New(docker.Options{Endpoint: e.Endpoint(), Dial: b.gate.dial, Log: b.log})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		if err := adapter.Close(); err != nil {
			b.t.Error(err)
		}
	})
	info, err := adapter.Info(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	host := store.Host{
		ID: store.NewID(), Name: name, Endpoint: e.Endpoint(), EngineID: info.EngineID, DataRoot: info.DataRoot,
		CreatedAt: b.now(), UpdatedAt: b.now(),
	}
	b.update(func(tx *store.Tx) error { return tx.InsertHost(b.t.Context(), host) })
	b.fleet.Add(host.ID, adapter)
	b.adapter = adapter
	return host
}

// plant puts a container that has been dead for days on the newest engine, and its row, found stale, in the store.
func (b *cleanBed) plant(name string, days int, more func(*dockertest.Template)) (store.Instance, *dockertest.Container) {
	b.t.Helper()
	inst := b.row(name)
	ended := b.engine.Now().Add(-time.Duration(days) * 24 * time.Hour)
	tpl := dockertest.Template{
		Name: name, Image: "shop:1.0", State: dockertest.Exited, Created: ended.Add(-2 * time.Hour),
		Started: ended.Add(-time.Hour), Finished: ended, Labels: b.labels(inst.ID), SizeRw: 4096,
	}
	if more != nil {
		more(&tpl)
	}
	ct := b.engine.Add(tpl)
	inst.ContainerID = ct.ID
	b.keep(&inst, ended)
	return inst, ct
}

func (b *cleanBed) row(name string) store.Instance {
	return store.Instance{
		ID: store.NewID(), HostID: b.host.ID, ProjectID: b.project.ID, StageID: b.stage.ID, Name: name,
		Ownership: store.OwnershipCreated, EngineID: b.host.EngineID, Image: "shop", ImageTag: "1.0",
		Intended: store.IntendedStopped, CreatedAt: b.now(), UpdatedAt: b.now(),
	}
}

func (b *cleanBed) labels(instanceID string) map[string]string {
	return map[string]string{
		docker.LabelManaged: "true", docker.LabelInstallation: b.db.InstallationID(), docker.LabelInstance: instanceID,
		docker.LabelProject: b.project.Name, docker.LabelStage: b.stage.Name,
	}
}

// keep writes the row as a scan would have left it, stale since now and last alive at ended.
func (b *cleanBed) keep(inst *store.Instance, ended time.Time) {
	b.t.Helper()
	adapter, err := b.fleet.Engine(inst.HostID)
	if err != nil {
		b.t.Fatal(err)
	}
	now := adapter.Now()
	if inst.ContainerID == "" {
		*inst = gone(*inst, sight{at: now})
	} else if ct, err := adapter.Inspect(b.t.Context(), inst.ContainerID); err != nil {
		b.t.Fatal(err)
	} else {
		inst.Status = store.StatusStopped
		*inst = Observe(*inst, ct, now)
	}
	inst.LastAliveAt, inst.StaleSince, inst.WarnedAt = stamp(ended), b.now(), b.now()
	b.update(func(tx *store.Tx) error { return tx.InsertInstance(b.t.Context(), *inst) })
}

func (b *cleanBed) plan(sel Selection) store.Plan {
	b.t.Helper()
	plan, err := b.cleaner.Plan(b.t.Context(), sel, "user:anna")
	if err != nil {
		b.t.Fatal(err)
	}
	return plan
}

func (b *cleanBed) planAll() store.Plan {
	b.t.Helper()
	return b.plan(Selection{AllUnprotected: true})
}

func (b *cleanBed) apply(plan store.Plan) store.Plan {
	b.t.Helper()
	done, err := b.cleaner.Apply(b.t.Context(), plan.ID, "user:anna", true, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return done
}

// want checks the result of an item and that engine and store agree with it.
func (b *cleanBed) want(plan store.Plan, inst store.Instance, result store.CleanupResult) {
	b.t.Helper()
	item := itemOfInstance(plan, inst.ID)
	if item.Result != result {
		b.t.Errorf("%s: result %q (%s), want %q", inst.Name, item.Result, item.ResultDetail, result)
	}
	if item.DoneAt.IsZero() {
		b.t.Errorf("%s: no time of its result", inst.Name)
	}
	b.wantEvent("cleanup.item", inst.ID, 1)
	view, err := b.db.Instance(b.t.Context(), inst.ID)
	if result == store.ResultRemoved || result == store.ResultAlreadyGone {
		if !errors.Is(err, store.ErrNotFound) {
			b.t.Errorf("%s: its row is still there: %s, %v", inst.Name, view.Status, err)
		}
		if b.engine.Container(inst.ContainerID) != nil {
			b.t.Errorf("%s: its container is still there", inst.Name)
		}
		return
	}
	if err != nil {
		b.t.Errorf("%s: its row: %v", inst.Name, err)
	} else if view.Status != inst.Status {
		b.t.Errorf("%s: status %s, want %s as before", inst.Name, view.Status, inst.Status)
	}
	b.wantNoRemovals()
}

func (b *cleanBed) wantNoRemovals() {
	b.t.Helper()
	left, err := b.db.Removals(b.t.Context())
	if err != nil || len(left) > 0 {
		b.t.Errorf("removals left under way: %v, %v", left, err)
	}
}

func itemOfInstance(plan store.Plan, id string) store.PlanItem {
	for _, i := range plan.Items {
		if i.InstanceID == id {
			return i
		}
	}
	return store.PlanItem{}
}

func (b *cleanBed) events(kind, instanceID string) []store.Event {
	b.t.Helper()
	all, _, err := b.db.Events(b.t.Context(), store.EventFilter{InstanceID: instanceID}, store.Page{Limit: 1000})
	if err != nil {
		b.t.Fatal(err)
	}
	var found []store.Event
	for _, e := range all {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	return found
}

func (b *cleanBed) wantEvent(kind, instanceID string, n int) {
	b.t.Helper()
	if got := b.events(kind, instanceID); len(got) != n {
		b.t.Errorf("%d events %s about %q, want %d: %v", len(got), kind, instanceID, n, got)
	}
}

// wantRefused checks the error of an attempt and that it left its event.
func (b *cleanBed) wantRefused(err, want error) {
	b.t.Helper()
	if !errors.Is(err, want) {
		b.t.Errorf("got %v, want %v", err, want)
	}
	if len(b.events("cleanup.refused", "")) == 0 {
		b.t.Errorf("no event of the refusal: %v", err)
	}
}

// gate stands before an engine, so that a test can act in the moment before or after a request.
type gate struct {
	engine *dockertest.Engine
	pipes  chan net.Conn
	done   chan struct{}

	mu     sync.Mutex
	before func(method, path string)
	after  func(method, path string)
}

func newGate(t *testing.T, e *dockertest.Engine) *gate {
	g := &gate{engine: e, pipes: make(chan net.Conn), done: make(chan struct{})}
	server := &http.Server{Handler: g, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(g); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serve the gate: %v", err)
		}
	})
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		serving.Wait()
	})
	return g
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	before, after := g.before, g.after
	g.mu.Unlock()
	if before != nil {
		before(r.Method, r.URL.Path)
	}
	g.engine.ServeHTTP(w, r)
	if after != nil {
		after(r.Method, r.URL.Path)
	}
}

func (g *gate) hook(before, after func(method, path string)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.before, g.after = before, after
}

// Accept, Close and Addr make a gate the listener of its own server.
func (g *gate) Accept() (net.Conn, error) {
	select {
	case c := <-g.pipes:
		return c, nil
	case <-g.done:
		return nil, net.ErrClosed
	}
}

func (g *gate) Close() error {
	close(g.done)
	return nil
}

func (g *gate) Addr() net.Addr { return &net.UnixAddr{Name: "/gate.sock", Net: "unix"} }

func (g *gate) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case g.pipes <- theirs:
		return ours, nil
	case <-g.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
