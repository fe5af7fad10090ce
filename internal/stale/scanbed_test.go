package stale

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/canarytest"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// scanBed is a scanner over a real SQLite file and a pretend engine, in a bubble whose clock stands in 2026.
type scanBed struct {
	t       *testing.T
	db      *store.DB
	log     *slog.Logger
	engine  *dockertest.Engine
	adapter *docker.Engine
	fleet   *docker.Fleet
	scanner *Scanner
	host    store.Host
	project store.Project
	stage   store.Stage
	stop    func() // of the watcher
}

func inScanBed(t *testing.T, o dockertest.Options, test func(t *testing.T, b *scanBed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(noon))
		b := &scanBed{t: t, db: storetest.Open(t), fleet: docker.NewFleet()}
		b.log = canarytest.Log(t, b.db)
		b.host, b.engine, b.adapter = b.addHost("local", o)
		b.project = storetest.Project(t, b.db)
		b.stage = storetest.Stage(t, b.db, b.host, b.project, func(s *store.Stage) { s.Kind, s.Spec.Env = store.StagePreview, []store.EnvVar{canarytest.Env()} })
		b.restart()
		test(t, b)
		b.stopWatching()
	})
}

func (b *scanBed) addHost(name string, o dockertest.Options) (store.Host, *dockertest.Engine, *docker.Engine) {
	b.t.Helper()
	e := dockertest.New(b.t, o)
	adapter, err := docker.New(docker.Options{Endpoint: e.Endpoint(), Dial: e.Dial, Log: b.log})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		if err := adapter.Close(); err != nil {
			b.t.Error(err)
		}
	})
	host := storetest.Host(b.t, b.db, func(h *store.Host) {
		h.Name, h.Endpoint = name, e.Endpoint()
		h.EngineID, h.DataRoot = "", "" // nobody has looked yet
	})
	b.fleet.Add(host.ID, adapter)
	return host, e, adapter
}

// restart is a new process over the same store.
func (b *scanBed) restart() {
	b.stopWatching()
	b.scanner = NewScanner(b.db, b.fleet, b.log)
}

// watch starts the watcher and waits until its first scan is done.
func (b *scanBed) watch() {
	ctx, cancel := context.WithCancel(b.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.scanner.Watch(ctx) }()
	b.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			b.t.Errorf("watch ended with %v", err)
		}
	}
	b.settle()
}

func (b *scanBed) stopWatching() {
	if b.stop != nil {
		b.stop()
		b.stop = nil
	}
}

// settle lets events be folded.
func (b *scanBed) settle() { b.pass(3 * time.Second) }

// pass lets time go by.
func (b *scanBed) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (b *scanBed) labels(more ...string) map[string]string {
	l := map[string]string{docker.LabelManaged: "true", docker.LabelInstallation: b.db.InstallationID()}
	for i := 0; i+1 < len(more); i += 2 {
		l[more[i]] = more[i+1]
	}
	return l
}

// adopt makes the row of a container, as a deploy leaves it.
func (b *scanBed) adopt(ct *dockertest.Container, edits ...func(*store.Instance)) store.Instance {
	b.t.Helper()
	facts := ct.Facts()
	return storetest.Instance(b.t, b.db, b.stage, append([]func(*store.Instance){func(i *store.Instance) {
		i.Name, i.ContainerID = facts.Name, ct.ID
		i.CreatedAt, i.UpdatedAt = time.Now().UTC(), time.Now().UTC()
		i.LastAliveAt = stamp(time.Now())
		i.StartedAt = stamp(facts.Started)
	}}, edits...)...)
}

// run starts a container now, with its row.
func (b *scanBed) run(name string, edits ...func(*dockertest.Template)) (store.Instance, *dockertest.Container) {
	b.t.Helper()
	tpl := dockertest.Template{Name: name, Image: "shop:1.0", Labels: b.labels()}
	for _, e := range edits {
		e(&tpl)
	}
	ct := b.engine.Run(tpl)
	return b.adopt(ct), ct
}

// dead puts a container there that ended so long ago, with a row that knew it stopped since a day longer.
func (b *scanBed) dead(name string, age time.Duration, edits ...func(*dockertest.Template)) (store.Instance, *dockertest.Container) {
	b.t.Helper()
	end := b.engine.Now().Add(-age)
	tpl := dockertest.Template{
		Name: name, Image: "shop:1.0", Labels: b.labels(), State: dockertest.Exited,
		Created: end.Add(-30 * day), Started: end.Add(-29 * day), Finished: end,
	}
	for _, e := range edits {
		e(&tpl)
	}
	ct := b.engine.Add(tpl)
	return b.adopt(ct, func(i *store.Instance) {
		i.Status, i.Class, i.Intended = store.StatusStopped, store.ClassExited, store.IntendedStopped
		i.LastAliveAt, i.Evidence = stamp(end.Add(-day)), store.EvidenceFinishedAt
	}), ct
}

func (b *scanBed) scan() store.ScanRun {
	b.t.Helper()
	runs, err := b.scanner.Scan(b.t.Context(), b.host.ID, "manual")
	if err != nil {
		b.t.Fatal(err)
	}
	return runs[0]
}

// scanBlind scans a host that cannot be judged.
func (b *scanBed) scanBlind() store.ScanRun {
	b.t.Helper()
	runs, err := b.scanner.Scan(b.t.Context(), b.host.ID, "manual")
	if !errors.Is(err, ErrBlind) {
		b.t.Fatalf("the scan ends with %v, want ErrBlind", err)
	}
	if runs[0].Outcome != store.ScanBlind || runs[0].Error == "" {
		b.t.Errorf("the run says %+v", runs[0])
	}
	return runs[0]
}

func (b *scanBed) get(i store.Instance) store.InstanceView {
	b.t.Helper()
	v, err := b.db.Instance(b.t.Context(), i.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

func (b *scanBed) hostNow() store.Host {
	b.t.Helper()
	h, err := b.db.Host(b.t.Context(), b.host.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	return h
}

func (b *scanBed) events(kind string) []store.Event {
	b.t.Helper()
	var found []store.Event
	for cursor := ""; ; {
		all, next, err := b.db.Events(b.t.Context(), store.EventFilter{}, store.Page{Limit: 1000, Cursor: cursor})
		if err != nil {
			b.t.Fatal(err)
		}
		for _, e := range all {
			if e.Kind == kind {
				found = append(found, e)
			}
		}
		if cursor = next; cursor == "" {
			return found
		}
	}
}

func (b *scanBed) wantEvents(kind string, n int) {
	b.t.Helper()
	if got := b.events(kind); len(got) != n {
		b.t.Errorf("%d events %s, want %d: %v", len(got), kind, n, got)
	}
}

// want checks what is known of an instance. A zero alive is not looked at.
func (b *scanBed) want(i store.Instance, status store.Status, class store.Class, stale bool, alive time.Time) store.InstanceView {
	b.t.Helper()
	v := b.get(i)
	if v.Status != status || v.Class != class {
		b.t.Errorf("%s is %s (%s), want %s (%s)", v.Name, v.Status, v.Class, status, class)
	}
	if is := !v.StaleSince.IsZero(); is != stale {
		b.t.Errorf("%s: stale %v, want %v; last alive %s by %s", v.Name, is, stale, v.LastAliveAt, v.Evidence)
	}
	if !alive.IsZero() && v.LastAliveAt.Sub(alive).Abs() > 2*time.Second {
		b.t.Errorf("%s: last alive %s by %s, want %s", v.Name, v.LastAliveAt, v.Evidence, alive)
	}
	return v
}

func (b *scanBed) wantStaleList(names ...string) {
	b.t.Helper()
	items, _, total, err := b.db.StaleInstances(b.t.Context(), store.StaleFilter{Now: time.Now(), Sort: store.StaleByName}, store.Page{Limit: 1000})
	if err != nil {
		b.t.Fatal(err)
	}
	got := map[string]bool{}
	for _, i := range items {
		got[i.Name] = true
	}
	if len(got) != len(names) || total != len(names) {
		b.t.Errorf("%d stale (total %d): %v, want %v", len(got), total, got, names)
	}
	for _, n := range names {
		if !got[n] {
			b.t.Errorf("%s is not in the list", n)
		}
	}
}

func (b *scanBed) setThreshold(days int) {
	b.t.Helper()
	storetest.Update(b.t, b.db, func(ctx context.Context, tx *store.Tx) error {
		s, err := tx.Settings(ctx)
		if err != nil {
			return err
		}
		s.StaleThresholdDays = days
		return tx.SaveSettings(ctx, s)
	})
}

func (b *scanBed) stageThreshold(s store.StaleAfter) {
	b.t.Helper()
	storetest.Update(b.t, b.db, func(ctx context.Context, tx *store.Tx) error {
		stage, err := tx.Stage(ctx, b.stage.ID)
		if err != nil {
			return err
		}
		stage.StaleAfter = &s
		return tx.UpdateStage(ctx, stage)
	})
}
