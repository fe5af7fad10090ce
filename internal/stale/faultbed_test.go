package stale

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// faultBed is a scanner and a cleaner on a real engine, with a ledger of all that the test has made, so that at its end the
// invariants can be checked whatever happened.
type faultBed struct {
	*scanField
	tap  *tap
	slow store.Stage // its instances are stale after a week, so never
	*invariants
}

// redialMax is so short that a stream can be cut a hundred times in a test.
const redialMax = 20 * time.Millisecond

// invariants are what must be true after every fault, of the things that one test has made: DESIGN section 1.
type invariants struct {
	db      *store.DB
	adapter *docker.Engine

	mu         sync.Mutex
	containers map[string]string       // all by id, ours and others'
	initial    map[string]store.Status // of our instances, as they were put into the store
	stale      map[string]bool         // instances that may be found stale
	applied    []string                // plans
	volumes    []string
}

func newInvariants(db *store.DB, adapter *docker.Engine) *invariants {
	return &invariants{db: db, adapter: adapter, containers: map[string]string{}, initial: map[string]store.Status{}, stale: map[string]bool{}}
}

func newFaultBed(t *testing.T, endpoint, app string, o store.Options) *faultBed {
	t.Helper()
	b := &faultBed{tap: &tap{socket: strings.TrimPrefix(endpoint, "unix://")}}
	adapter, err := docker.New(docker.Options{
		Endpoint: endpoint, Dial: b.tap.dial, RedialMax: redialMax, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := adapter.Close(); err != nil {
			t.Error(err)
		}
	})
	archive, err := enginetest.AppArchive(app, cleanImage, "1", enginetest.WithVolume("/data"))
	if err != nil {
		t.Fatal(err)
	}
	if err := adapter.LoadImage(t.Context(), archive); err != nil {
		t.Fatal(err)
	}
	b.scanField = newScanFieldIn(t, adapter, storetest.With(t, o))
	b.invariants = newInvariants(b.scanField.db, adapter)
	b.slow = storetest.Stage(t, b.scanField.db, b.host, store.Project{ID: b.stage.ProjectID})
	return b
}

// bring makes a container that runs, or has run, and its row as a deploy left it.
func (b *faultBed) bring(name string, stage store.Stage, up bool, edits ...func(*store.Instance)) store.Instance {
	b.t.Helper()
	return b.bringWith("no", name, stage, up, edits...)
}

func (b *faultBed) bringWith(restart, name string, stage store.Stage, up bool, edits ...func(*store.Instance)) store.Instance {
	b.t.Helper()
	ctx := b.t.Context()
	inst := storetest.NewInstance(stage, func(i *store.Instance) {
		i.Name, i.EngineID, i.CreatedAt, i.LastAliveAt = name, b.host.EngineID, stamp(time.Now()), stamp(time.Now())
		i.Status, i.Intended, i.Evidence = store.StatusRunning, store.IntendedRunning, store.EvidenceObserved
	})
	id := b.container(name, docker.CreateOptions{Restart: restart, Labels: map[string]string{
		docker.LabelManaged: "true", docker.LabelInstallation: b.scanField.db.InstallationID(), docker.LabelInstance: inst.ID,
	}})
	inst.ContainerID = id
	if err := b.scanField.adapter.Start(ctx, b.owned(inst)); err != nil {
		b.t.Fatalf("%s: %v", name, err)
	}
	if !up {
		if err := b.scanField.adapter.Stop(ctx, b.owned(inst), time.Second); err != nil {
			b.t.Fatalf("%s: %v", name, err)
		}
		inst.Intended = store.IntendedStopped
		b.stale[inst.ID] = stage.ID == b.stage.ID
	}
	for _, edit := range edits {
		edit(&inst)
	}
	b.keep(inst)
	return inst
}

// keep puts a row into the store.
func (b *faultBed) keep(inst store.Instance) {
	b.t.Helper()
	b.insert(inst)
	b.initial[inst.ID] = inst.Status
}

// container is one of this test's.
func (b *faultBed) container(name string, o docker.CreateOptions) (id string) {
	b.t.Helper()
	id = b.create(name, o)
	ct, err := b.scanField.adapter.Inspect(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	b.note(id, name, volumesOf(ct))
	return id
}

func (i *invariants) note(id, name string, volumes []string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.containers[id] = name
	i.volumes = append(i.volumes, volumes...)
}

// dead is an exited container that a scan has found stale before.
func (b *faultBed) dead(name string) store.Instance {
	b.t.Helper()
	return b.bring(name, b.stage, false, func(i *store.Instance) {
		ct, err := b.scanField.adapter.Inspect(b.t.Context(), i.ContainerID)
		if err != nil {
			b.t.Fatal(err)
		}
		*i = Observe(*i, ct, b.scanField.adapter.Now())
		i.LastAliveAt, i.StaleSince, i.WarnedAt = stamp(time.Now().AddDate(0, 0, -20)), stamp(time.Now()), stamp(time.Now())
	})
}

// deadOnes are several of them.
func (b *faultBed) deadOnes(names ...string) []store.Instance {
	b.t.Helper()
	all := make([]store.Instance, len(names))
	for i, name := range names {
		all[i] = b.dead(name)
	}
	return all
}

func (b *faultBed) apply(ctx context.Context, planID string) (store.Plan, error) {
	b.mu.Lock()
	b.applied = append(b.applied, planID)
	b.mu.Unlock()
	return b.cleaner.Apply(ctx, planID, "user:anna", true, nil)
}

// recover has ended what was cut short, as the daemon does at every look.
func (b *faultBed) recover() {
	b.t.Helper()
	b.await("a recovery to end", func() bool { return b.cleaner.Recover(b.t.Context()) == nil })
}

func (b *faultBed) wantBlind() {
	b.t.Helper()
	runs, err := b.scanner.Scan(b.t.Context(), b.host.ID, "manual")
	if !errors.Is(err, ErrBlind) || runs[0].Outcome != store.ScanBlind {
		b.t.Errorf("the scan ends with %v: %+v", err, runs)
	}
}

func (b *faultBed) wantKinds(kind string, n int) {
	b.t.Helper()
	found := 0
	for _, e := range allEvents(b.t, b.scanField.db) {
		if e.Kind == kind {
			found++
		}
	}
	if found != n {
		b.t.Errorf("%d events %s, want %d", found, kind, n)
	}
}

func (b *faultBed) wantStatus(want store.Status, all ...store.Instance) {
	b.t.Helper()
	for _, i := range all {
		if v := b.get(i); v.Status != want {
			b.t.Errorf("%s is %s (%s), want %s", v.Name, v.Status, v.Class, want)
		}
	}
}

func results(p store.Plan) (counts map[store.CleanupResult]int) {
	counts = map[store.CleanupResult]int{}
	for _, i := range p.Items {
		counts[i.Result]++
	}
	return counts
}

// intact is the end of every test of a fault.
func (i *invariants) intact(t testing.TB) {
	t.Helper()
	removed := i.removed(t)
	i.nothingElseGone(t, removed)
	i.volumesThere(t)
	i.archived(t, removed)
	i.staleOnly(t)
	oneEventAChange(t, i.db, i.initial)
	idsWithoutGaps(t, i.db)
	if left, err := i.db.Removals(t.Context()); err != nil || len(left) > 0 {
		t.Errorf("removals left half done: %+v %v", left, err)
	}
}

// removed are the instances, by container, that applied plans say are gone by our hand or another's.
func (i *invariants) removed(t testing.TB) map[string]store.PlanItem {
	t.Helper()
	removed := map[string]store.PlanItem{}
	for _, id := range i.applied {
		plan, err := i.db.Plan(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range plan.Items {
			if item.Result == store.ResultRemoved || item.Result == store.ResultAlreadyGone {
				removed[item.ContainerID] = item
			}
		}
	}
	return removed
}

func (i *invariants) nothingElseGone(t testing.TB, removed map[string]store.PlanItem) {
	t.Helper()
	rows, err := i.adapter.List(t.Context(), docker.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, r := range rows {
		there[r.ID] = true
	}
	for id, name := range i.containers {
		_, planned := removed[id]
		switch {
		case !there[id] && !planned:
			t.Errorf("%s is gone, and no applied plan says so", name)
		case there[id] && planned:
			t.Errorf("%s is there, though a plan says that it is gone", name)
		}
	}
}

func (i *invariants) volumesThere(t testing.TB) {
	t.Helper()
	for _, name := range i.volumes {
		if has, err := i.adapter.HasVolume(t.Context(), name); err != nil || !has {
			t.Errorf("volume %s: there %v, %v", name, has, err)
		}
	}
}

// archived: what was removed can be brought back, once each.
func (i *invariants) archived(t testing.TB, removed map[string]store.PlanItem) {
	t.Helper()
	ctx := t.Context()
	for _, item := range removed {
		all, _, err := i.db.Archives(ctx, store.ArchiveFilter{InstanceID: item.InstanceID, States: []store.ArchiveState{store.ArchiveReady, store.ArchiveMaking}}, store.Page{})
		if err != nil {
			t.Fatal(err)
		}
		if len(all) != 1 || all[0].State != store.ArchiveReady {
			t.Errorf("%s was removed and has the archives %+v", item.Name, all)
			continue
		}
		if _, err := i.adapter.InspectImage(ctx, all[0].KeepRef); err != nil {
			t.Errorf("the image of the removed %s: %v", item.Name, err)
		}
	}
}

// staleOnly: nothing was declared stale that is not.
func (i *invariants) staleOnly(t testing.TB) {
	t.Helper()
	ctx := t.Context()
	for id := range i.initial {
		v, err := i.db.Instance(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if !v.StaleSince.IsZero() && !i.stale[id] {
			t.Errorf("%s was declared stale: %s, last alive %s", v.Name, v.Class, v.LastAliveAt)
		}
	}
	for _, e := range allEvents(t, i.db) {
		if e.Kind == "instance.stale" && !i.stale[e.InstanceID] {
			t.Errorf("a wrong warning: %s", e.Message)
		}
	}
}

// oneEventAChange follows each instance through its events: each goes on from where the one before ended, up to
// what the store says now, so that no change was told twice or not at all.
func oneEventAChange(t testing.TB, db *store.DB, initial map[string]store.Status) {
	t.Helper()
	now, former, open := maps.Clone(initial), map[string]store.Status{}, map[string]bool{}
	for _, e := range allEvents(t, db) {
		id := e.InstanceID
		from, to, moved := moveOf(e, former[id])
		if _, ours := initial[id]; !ours || !moved {
			continue
		}
		// An item that ended as error or timeout may have been left as it was, for a recovery to end.
		if now[id] != from && (!open[id] || from != store.StatusRemoving) {
			t.Errorf("event %d tells of a change from %s, but it was %s: %s", e.ID, from, now[id], e.Message)
		}
		if to == store.StatusRemoving {
			former[id] = from
		}
		now[id], open[id] = to, e.Kind == "cleanup.item" && to == former[id]
	}
	for id, told := range now {
		v, err := db.Instance(t.Context(), id)
		if errors.Is(err, store.ErrNotFound) {
			v.Status, err = "gone", nil
		}
		if err != nil {
			t.Fatal(err)
		}
		if v.Status != told {
			t.Errorf("instance %s %s is %s, but its events end with %s", id, v.Name, v.Status, told)
		}
	}
}

// moveOf reads a change of status out of an event; former is the one before a removal that is under way.
func moveOf(e store.Event, former store.Status) (from, to store.Status, moved bool) {
	status := func(keys ...string) store.Status {
		for _, k := range keys {
			if s, ok := e.Data[k].(string); ok {
				return store.Status(s)
			}
		}
		return ""
	}
	switch e.Kind {
	case "instance.status", "instance.missing", "instance.engine_lost":
		from, to = status("from", "former_status"), status("to", "status")
		return from, to, from != to
	case "cleanup.item", "cleanup.taken_back":
		result := store.CleanupResult(status("result"))
		switch {
		case former == "":
			return "", "", false // it was left alone
		case result == store.ResultRemoved || result == store.ResultAlreadyGone:
			return store.StatusRemoving, "gone", true
		default:
			return store.StatusRemoving, former, true
		}
	}
	return "", "", false
}

func idsWithoutGaps(t testing.TB, db *store.DB) {
	t.Helper()
	for n, e := range allEvents(t, db) {
		if e.ID != int64(n+1) {
			t.Fatalf("event %d is the %d. of the log", e.ID, n+1)
		}
	}
}

// allEvents in the order of their ids.
func allEvents(t testing.TB, db *store.DB) (all []store.Event) {
	t.Helper()
	for cursor := ""; ; {
		page, next, err := db.Events(t.Context(), store.EventFilter{}, store.Page{Limit: 1000, Cursor: cursor})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page...)
		if cursor = next; cursor == "" {
			break
		}
	}
	slices.SortFunc(all, func(a, b store.Event) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

var eventStream = regexp.MustCompile(`^GET /v[0-9.]+/events[? ]`)

// tap is on the way to an engine: a test hears of a request before the engine does.
type tap struct {
	socket string

	mu     sync.Mutex
	on     *regexp.Regexp
	doing  func()
	stream net.Conn // of the engine's events, until it is cut
	shut   bool     // no stream comes about
}

// cut breaks the open event stream off at its connection; false: none is open.
func (w *tap) cut() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.breakOff()
}

func (w *tap) breakOff() bool {
	if w.stream == nil {
		return false
	}
	_ = w.stream.Close() // either side may have ended it before
	w.stream = nil
	return true
}

// cutOff is a cut after which no stream comes about until reopen.
func (w *tap) cutOff() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shut = w.breakOff()
	return w.shut
}

func (w *tap) reopen() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shut = false
}

// once calls do before the first request that matches "METHOD /path".
func (w *tap) once(pattern string, do func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.on, w.doing = regexp.MustCompile(pattern), do
}

// heard answers whether the request may go on to the engine.
func (w *tap) heard(on net.Conn, line string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if eventStream.MatchString(line) {
		if w.shut {
			return false
		}
		w.stream = on
	}
	if w.doing != nil && w.on.MatchString(line) {
		w.doing()
		w.doing = nil
	}
	return true
}

func (w *tap) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "unix", w.socket)
	if err != nil {
		return nil, err
	}
	return tapped{c, w}, nil
}

type tapped struct {
	net.Conn
	tap *tap
}

// Write hands on what a client writes, which begins a request with its line.
func (c tapped) Write(p []byte) (int, error) {
	line, _, _ := strings.Cut(string(p[:min(len(p), 300)]), "\r\n")
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
		if strings.HasPrefix(line, method+" /") && !c.tap.heard(c.Conn, line) {
			return 0, net.ErrClosed
		}
	}
	return c.Conn.Write(p)
}
