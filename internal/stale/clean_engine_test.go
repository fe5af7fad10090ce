package stale

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
	"github.com/tiny-forge/docker-watcher/internal/waittest"
)

// The main cases of a cleanup on real engines: PEERS 11, 12, 20, 22 and everything that is stopped first.
func TestCleanupOnRealEngines(t *testing.T) {
	t.Parallel() // it mostly waits
	app, err := enginetest.BuildApp(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Run("docker", func(t *testing.T) {
		t.Parallel()
		cleanOn(t, enginetest.Endpoint(t), enginetest.Engine(t), app, true)
	})
	// Podman restarts without a pause and goes on after a stop between two runs: whether its crash loops can be caught
	// is luck. One that was not has been left alone.
	t.Run("podman", func(t *testing.T) {
		t.Parallel()
		cleanOn(t, enginetest.PodmanEndpoint(t), enginetest.Podman(t), app, false)
	})
}

type realCase struct {
	name  string
	class store.Class
	since func(context.Context, store.Instance) error // between plan and apply
	want  store.CleanupResult
}

// The images of the tests of this package, which share their engines.
const (
	cleanImage = "localhost/dwt-cleaned:1" // has a volume
	plainImage = "localhost/dwt-plain:1"
)

func cleanOn(t *testing.T, endpoint string, adapter *docker.Engine, app string, catchesLoops bool) {
	archive, err := enginetest.AppArchive(app, cleanImage, "1", enginetest.WithVolume("/data"))
	if err != nil {
		t.Fatal(err)
	}
	if err := adapter.LoadImage(t.Context(), archive); err != nil {
		t.Fatal(err)
	}
	f := newField(t, adapter)
	own := f.owned
	nothing := func(context.Context, store.Instance) error { return nil }
	cases := []realCase{
		{"exited", store.ClassExited, nothing, store.ResultRemoved},
		{"never started", store.ClassNeverStarted, nothing, store.ResultRemoved},
		{"paused", store.ClassPaused, nothing, store.ResultRemoved},
		{"crash loop", store.ClassCrashLooping, nothing, store.ResultRemoved},
		{"peer 11 removed", store.ClassExited, func(ctx context.Context, i store.Instance) error { return adapter.Remove(ctx, own(i)) }, store.ResultAlreadyGone},
		{"peer 12 started", store.ClassExited, func(ctx context.Context, i store.Instance) error { return adapter.Start(ctx, own(i)) }, store.ResultRevived},
		{"started and stopped", store.ClassExited, func(ctx context.Context, i store.Instance) error {
			return errors.Join(adapter.Start(ctx, own(i)), adapter.Stop(ctx, own(i), time.Second))
		}, store.ResultRevived},
		{"woken", store.ClassPaused, func(ctx context.Context, i store.Instance) error { return adapter.Unpause(ctx, own(i)) }, store.ResultRevived},
	}
	planted := make([]store.Instance, len(cases))
	for i, c := range cases {
		planted[i] = f.plant(c.name, c.class)
	}
	bystander := f.create("bystander", docker.CreateOptions{Labels: map[string]string{docker.LabelManaged: "true"}})
	volumes := f.volumesOf(planted[0])
	if len(volumes) != 1 {
		t.Fatalf("anonymous volumes: %v", volumes)
	}

	plan := f.planOf(len(cases))
	for i, c := range cases {
		got := itemOfInstance(plan, planted[i].ID).Class
		if got == store.ClassFailed { // the stop came before the app was ready for it
			got = store.ClassExited
		}
		if got != c.class {
			t.Errorf("%s: planned as %q", c.name, got)
		}
		if err := c.since(t.Context(), planted[i]); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
	}
	done, err := f.cleaner.Apply(t.Context(), plan.ID, "user:anna", true, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range cases {
		item := itemOfInstance(done, planted[i].ID)
		if c.class == store.ClassCrashLooping && !catchesLoops && (item.Result == store.ResultRevived || item.Result == store.ResultChanged) {
			c.want = item.Result
		}
		if item.Result != c.want {
			t.Errorf("%s: %s (%s), want %s", c.name, item.Result, item.ResultDetail, c.want)
		}
		if gone := c.want == store.ResultRemoved || c.want == store.ResultAlreadyGone; f.exists(planted[i].ContainerID) == gone {
			t.Errorf("%s: container there: %v", c.name, !gone)
		}
	}
	if !f.exists(bystander) {
		t.Error("peer 22: a container without a row was removed")
	}
	f.wantVolume(endpoint, volumes[0])
}

// field is a store and a stage on a real engine.
type field struct {
	t       *testing.T
	db      *store.DB
	adapter *docker.Engine
	cleaner *Cleaner
	host    store.Host
	stage   store.Stage
	image   string // of its containers
	called  string // so is each of its containers, on an engine that goes with the test; empty: each has a name of its own
}

func newField(t *testing.T, adapter *docker.Engine) *field {
	t.Helper()
	return newFieldIn(t, adapter, storetest.Open(t))
}

func newFieldIn(t *testing.T, adapter *docker.Engine, db *store.DB) *field {
	t.Helper()
	info, err := adapter.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f := &field{t: t, db: db, adapter: adapter, image: cleanImage}
	f.host = storetest.Host(t, f.db, func(h *store.Host) { h.EngineID, h.DataRoot = info.EngineID, info.DataRoot })
	f.stage = storetest.Stage(t, f.db, f.host, storetest.Project(t, f.db), func(s *store.Stage) {
		s.Spec.StopGrace = time.Second
		s.StaleAfter = &store.StaleAfter{After: time.Second} // nobody can set a real engine's clock back
	})
	fleet := docker.NewFleet()
	fleet.Add(f.host.ID, adapter)
	f.cleaner = NewCleaner(f.db, fleet, slog.New(slog.NewTextHandler(t.Output(), nil)))
	return f
}

func (f *field) owned(i store.Instance) docker.Owned {
	return docker.Owned{ID: i.ContainerID, Installation: f.db.InstallationID(), Instance: i.ID}
}

func (f *field) create(name string, o docker.CreateOptions) string {
	f.t.Helper()
	o.Name, o.Image = cmp.Or(f.called, enginetest.Name(f.t)), f.image
	id, err := f.adapter.Create(f.t.Context(), o)
	if err != nil {
		f.t.Fatalf("%s: %v", name, err)
	}
	if f.called == "" {
		enginetest.RemoveAfter(f.t, f.adapter, id) // a crash loop may outlive a stop
	}
	return id
}

// plant makes a container of a class and the row that a scan twenty days later would have of it.
func (f *field) plant(name string, class store.Class) store.Instance {
	f.t.Helper()
	inst := storetest.NewInstance(f.stage, func(i *store.Instance) {
		i.Status, i.Intended, i.EngineID = store.StatusStopped, store.IntendedStopped, f.host.EngineID
	})
	o := docker.CreateOptions{Labels: map[string]string{
		docker.LabelManaged: "true", docker.LabelInstallation: f.db.InstallationID(), docker.LabelInstance: inst.ID,
	}}
	if class == store.ClassCrashLooping {
		o.Env, o.Restart = []string{"EXIT_AFTER_MS=1", "EXIT_CODE=7"}, "always"
	}
	inst.ContainerID = f.create(name, o)
	f.bring(inst, class)
	ct, err := f.adapter.Inspect(f.t.Context(), inst.ContainerID)
	if err != nil {
		f.t.Fatal(err)
	}
	inst = Observe(inst, ct, f.adapter.Now())
	inst.LastAliveAt, inst.StaleSince = time.Now().UTC().AddDate(0, 0, -20), time.Now().UTC()
	if err := f.db.Update(f.t.Context(), func(tx *store.Tx) error { return tx.InsertInstance(f.t.Context(), inst) }); err != nil {
		f.t.Fatal(err)
	}
	return inst
}

func (f *field) bring(inst store.Instance, class store.Class) {
	f.t.Helper()
	ctx, own := f.t.Context(), f.owned(inst)
	var err error
	switch class {
	case store.ClassNeverStarted:
	case store.ClassExited:
		err = errors.Join(f.adapter.Start(ctx, own), f.adapter.Stop(ctx, own, time.Second))
	case store.ClassPaused:
		err = errors.Join(f.adapter.Start(ctx, own), f.adapter.Pause(ctx, own))
	case store.ClassCrashLooping:
		err = f.adapter.Start(ctx, own)
		f.awaitLoop(inst)
	default:
		f.t.Fatalf("no way to make a container %s", class)
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *field) awaitLoop(inst store.Instance) {
	f.t.Helper()
	f.await("a crash loop", func() bool {
		ct, err := f.adapter.Inspect(f.t.Context(), inst.ContainerID)
		if err != nil {
			f.t.Fatal(err)
		}
		return ct.RestartCount > 2
	})
}

// planOf plans until everything has been dead for longer than the threshold.
func (f *field) planOf(n int) (plan store.Plan) {
	f.t.Helper()
	f.await("a plan of everything", func() bool {
		var err error
		plan, err = f.cleaner.Plan(f.t.Context(), Selection{AllUnprotected: true}, "user:anna")
		if errors.Is(err, docker.ErrTimeout) {
			return false // podman answers nobody while it makes an image, of another test too
		}
		if err != nil {
			f.t.Fatal(err)
		}
		return len(plan.Items) == n
	})
	return plan
}

func (f *field) await(what string, ok func() bool) {
	f.t.Helper()
	waittest.Until(f.t, what, 50*time.Millisecond, ok)
}

func (f *field) exists(id string) bool {
	f.t.Helper()
	_, err := f.adapter.Inspect(f.t.Context(), id)
	if err != nil && !errors.Is(err, docker.ErrNotFound) {
		f.t.Fatal(err)
	}
	return err == nil
}

func (f *field) volumesOf(inst store.Instance) []string {
	f.t.Helper()
	ct, err := f.adapter.Inspect(f.t.Context(), inst.ContainerID)
	if err != nil {
		f.t.Fatal(err)
	}
	return volumesOf(ct)
}

// wantVolume asks the engine itself: PEERS 20.
func (f *field) wantVolume(endpoint, name string) {
	f.t.Helper()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", strings.TrimPrefix(endpoint, "unix://"))
	}}}
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://engine/volumes/" + name)
	if err != nil {
		f.t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		f.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		f.t.Errorf("peer 20: the anonymous volume is gone: %s", resp.Status)
	}
}
