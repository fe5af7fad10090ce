package stale

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// TestTwoPrivateEngines, one reached over TLS and one by ssh, with a container of the same name on each: they are two instances; what
// was planned for one engine is done on no other; and one that hangs or dies holds up neither scans nor cleanups of the other.
func TestTwoPrivateEngines(t *testing.T) {
	t.Parallel() // it mostly waits
	app, err := enginetest.BuildApp(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	authority := enginetest.NewAuthority(t)
	endpoint, flags := authority.TLSFlags()
	cert, key := authority.Issue("docker-watcher")
	enginetest.StartPrivate(t, flags...)
	private, sshd := enginetest.StartPrivate(t), enginetest.StartSSHD(t)
	db := storetest.Open(t)
	overTLS := docker.Options{Endpoint: endpoint, TLS: &docker.TLS{CA: authority.PEM, Cert: cert, Key: key}}
	near := twinOn(t, db, app, overTLS)
	far := twinOn(t, db, app, docker.Options{Endpoint: sshd.Endpoint(private.Endpoint()), SSH: &docker.SSH{Key: sshd.Key, HostKey: sshd.HostKey}})
	fleet := docker.NewFleet()
	fleet.Add(near.host.ID, near.adapter)
	fleet.Add(far.host.ID, far.adapter)
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	near.cleaner = NewCleaner(db, fleet, log)
	scanner := NewScanner(db, fleet, log)

	here, there := near.plant("here", store.ClassExited), far.plant("there", store.ClassExited)
	plan := near.planOf(2)
	if a, b := itemOfInstance(plan, here.ID), itemOfInstance(plan, there.ID); a.HostID != near.host.ID || b.HostID != far.host.ID || a.DataRoot == b.DataRoot {
		t.Fatalf("planned %+v and %+v", a, b)
	}

	// The address of one leads to the other engine: nothing that was planned for it is done there.
	stray := engineAt(t, overTLS)
	fleet.Add(far.host.ID, stray)
	if _, err := scanner.Scan(t.Context(), far.host.ID, "manual"); !errors.Is(err, ErrBlind) {
		t.Errorf("scan of another engine: %v", err)
	}
	done := near.applied(plan)
	if got := itemOfInstance(done, here.ID); got.Result != store.ResultRemoved || near.exists(here.ContainerID) {
		t.Errorf("the one whose engine is the right one: %+v", got)
	}
	if got := itemOfInstance(done, there.ID); got.Result != store.ResultChanged || !far.exists(there.ContainerID) {
		t.Errorf("the one whose address leads to another engine: %+v", got)
	}
	fleet.Add(far.host.ID, far.adapter)
	if err := scanner.Accept(t.Context(), far.host.ID, "user:anna"); err != nil {
		t.Fatal(err)
	}
	if _, err := scanner.Scan(t.Context(), far.host.ID, "manual"); err != nil {
		t.Errorf("scan of the right one again: %v", err)
	}

	// One hangs: the other is scanned and cleaned up meanwhile.
	next := near.plant("next", store.ClassExited)
	plan = near.planOf(2)
	private.Freeze()
	applied := make(chan store.Plan, 1)
	go func() { applied <- near.applied(plan) }()
	near.await("the other's item", func() bool { return !near.exists(next.ContainerID) })
	select {
	case <-applied:
		t.Error("the whole plan was over while an engine hung: nothing was shown")
	default:
	}
	if _, err := scanner.Scan(t.Context(), near.host.ID, "manual"); err != nil {
		t.Errorf("scan beside one that hangs: %v", err)
	}
	done = <-applied
	if got := itemOfInstance(done, there.ID); got.Result != store.ResultTimeout {
		t.Errorf("the one whose engine hangs: %+v", got)
	}
	private.Thaw()

	// It dies: what could not be asked is not gone.
	private.Kill()
	if _, err := scanner.Scan(t.Context(), far.host.ID, "manual"); !errors.Is(err, ErrBlind) {
		t.Errorf("scan of a dead one: %v", err)
	}
	if v, err := db.Instance(t.Context(), there.ID); err != nil || v.Status != store.StatusStopped {
		t.Errorf("it is %s, %v", v.Status, err)
	}
	if _, err := scanner.Scan(t.Context(), near.host.ID, "manual"); err != nil {
		t.Errorf("scan beside a dead one: %v", err)
	}
	private.Start()
	if _, err := scanner.Scan(t.Context(), far.host.ID, "manual"); err != nil || !far.exists(there.ContainerID) {
		t.Errorf("scan after it came back: %v", err)
	}
}

// twinOn is a field on an engine of its own, whose containers bear the name that those of the other do.
func twinOn(t *testing.T, db *store.DB, app string, o docker.Options) *field {
	t.Helper()
	adapter := engineAt(t, o)
	archive, err := enginetest.AppArchive(app, plainImage, "1")
	if err != nil {
		t.Fatal(err)
	}
	if err := adapter.LoadImage(t.Context(), archive); err != nil {
		t.Fatal(err)
	}
	f := newFieldIn(t, adapter, db)
	f.image, f.called = plainImage, "dwt-twin"
	return f
}

func engineAt(t *testing.T, o docker.Options) *docker.Engine {
	t.Helper()
	o.Log = slog.New(slog.DiscardHandler)
	e, err := docker.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func (f *field) applied(plan store.Plan) store.Plan {
	done, err := f.cleaner.Apply(f.t.Context(), plan.ID, "user:anna", true, nil)
	if err != nil {
		f.t.Error(err)
	}
	return done
}
