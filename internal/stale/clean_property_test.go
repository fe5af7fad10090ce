package stale

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// Whatever others do between and during the steps of an apply: nothing that is alive, that has
// changed, that was not planned or that is protected is ever removed, and nothing stays half done.
func TestNothingElseIsEverRemoved(t *testing.T) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		round := 0
		// without the deadline of a *testing.T, which may not be asked for inside a bubble
		rapid.Check(struct{ testing.TB }{t}, func(rt *rapid.T) {
			round++
			m := newMeddling(b, rt, round)
			plan := b.plan(Selection{Filter: store.StaleFilter{InstanceIDs: m.planned()}})
			m.perform(0)
			b.gate.hook(m.before, nil)
			done, err := b.cleaner.Apply(t.Context(), plan.ID, "user:anna", true, nil)
			b.gate.hook(nil, nil)
			if err != nil {
				rt.Fatalf("apply: %v", err)
			}
			m.check(rt, done)
		})
	})
}

type (
	// deed is something that somebody else does just before the cleaner's n-th request to the engine.
	deed struct {
		at     int
		what   string
		target int
	}
	victim struct {
		inst     store.Instance
		ct       *dockertest.Container
		kind     string
		planted  dockertest.Facts
		labelled bool
		planned  bool
		pinned   bool // before the plan
		inspects []int
		changed  int    // request before which somebody else first changed it; 0: never
		pinnedAt int    // request before which it was pinned or protected otherwise; 0: never
		awake    bool   // somebody else left it running
		woken    bool   // by our own hand, on the way to a stop
		deletes  []bool // each delete sent: did the container exist
		anew     *dockertest.Container
	}
	meddling struct {
		b       *cleanBed
		victims []*victim
		deeds   []deed

		mu   sync.Mutex
		n    int
		errs []error
	}
)

func newMeddling(b *cleanBed, rt *rapid.T, round int) *meddling {
	m := &meddling{b: b}
	templates := map[string]func(*dockertest.Template){"exited": nil, "paused": pausedTemplate, "loop": loopTemplate}
	for i := range rapid.IntRange(1, 4).Draw(rt, "containers") {
		v := &victim{
			kind:    rapid.SampledFrom([]string{"exited", "exited", "paused", "loop"}).Draw(rt, "kind"),
			planned: rapid.IntRange(0, 4).Draw(rt, "planned") > 0,
			pinned:  rapid.IntRange(0, 4).Draw(rt, "pinned") == 0,
		}
		v.inst, v.ct = b.plant(fmt.Sprintf("r%d-%d", round, i), 20, templates[v.kind])
		v.planted = v.ct.Facts()
		if v.pinned {
			b.pin(v.inst.ID)
		}
		m.victims = append(m.victims, v)
	}
	for range rapid.IntRange(0, 6).Draw(rt, "deeds") {
		m.deeds = append(m.deeds, deed{
			at:     rapid.IntRange(0, 40).Draw(rt, "at"),
			what:   rapid.SampledFrom([]string{"start", "stop", "remove", "pause", "unpause", "label", "recreate", "pin", "snooze", "tag goes"}).Draw(rt, "what"),
			target: rapid.IntRange(0, len(m.victims)-1).Draw(rt, "target"),
		})
	}
	return m
}

func (m *meddling) planned() []string {
	ids := []string{"none"}
	for _, v := range m.victims {
		if v.planned {
			ids = append(ids, v.inst.ID)
		}
	}
	return ids
}

func (m *meddling) before(method, path string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.n++
	m.perform(m.n)
	for _, v := range m.victims {
		if !strings.Contains(path, v.ct.ID) {
			continue
		}
		switch {
		case method == "DELETE":
			v.deletes = append(v.deletes, v.ct.Facts().Exists)
		case strings.HasSuffix(path, "/json"):
			v.inspects = append(v.inspects, m.n)
		case strings.HasSuffix(path, "/unpause"):
			v.woken = true
		}
	}
}

func (m *meddling) perform(n int) {
	for _, d := range m.deeds {
		if d.at == n {
			m.do(m.victims[d.target], d.what, n)
		}
	}
}

func (m *meddling) do(v *victim, what string, n int) {
	if protects := slices.Contains([]string{"pin", "snooze", "tag goes"}, what); protects {
		if v.pinnedAt == 0 && m.protect(v.inst, what) {
			v.pinnedAt = max(n, 1)
		}
		return
	}
	was := v.ct.Facts()
	if !was.Exists {
		return
	}
	switch what {
	case "start":
		v.ct.Start()
	case "stop":
		v.ct.Stop()
	case "remove":
		v.ct.Remove()
	case "pause":
		v.ct.Pause()
	case "unpause":
		v.ct.Unpause()
	case "label":
		v.labelled = true
		v.ct.Label("meddled", fmt.Sprint(n))
	case "recreate":
		m.recreate(v)
	}
	now := v.ct.Facts()
	if now == was && what != "label" {
		return
	}
	switch {
	case now == v.planted && !v.labelled: // woken and paused again: of that only an engine's event tells
		v.changed = 0
	case v.changed == 0 && !m.sameEnd(v, was, what):
		v.changed = max(n, 1)
	}
	v.awake = now.State == dockertest.Running && !v.woken
}

// sameEnd are the deeds that need not be noticed: a stop of what was about to be stopped, and
// what is done to one between our waking and our stopping it, which leaves no trace in any inspect.
func (m *meddling) sameEnd(v *victim, was dockertest.Facts, what string) bool {
	if v.woken {
		return what == "stop" || what == "pause" || what == "unpause"
	}
	return what == "stop" && was.State != dockertest.Running
}

func (m *meddling) recreate(v *victim) {
	name := v.ct.Name()
	v.ct.Remove()
	if v.ct.Facts().Exists {
		return
	}
	ended := m.b.now().AddDate(0, 0, -30)
	v.anew = m.b.engine.Add(dockertest.Template{
		Name: name, Image: "shop:1.0", State: dockertest.Exited, Labels: m.b.labels(v.inst.ID),
		Created: ended, Started: ended, Finished: ended,
	})
}

// protect pins or snoozes an instance, or lets its tag vanish from the registry.
func (m *meddling) protect(inst store.Instance, how string) bool {
	ctx := m.b.t.Context()
	err := m.b.db.Update(ctx, func(tx *store.Tx) error {
		view, err := tx.Instance(ctx, inst.ID)
		switch {
		case err != nil:
			return err
		case how == "snooze":
			return tx.SetSnooze(ctx, view.ID, m.b.now().Add(time.Hour), "user:bert", "later", view.Revision)
		case how == "tag goes":
			if view.Status == store.StatusRemoving { // tags are looked for only where they can still protect
				return store.ErrNotFound
			}
			return tx.SetTagChecked(ctx, view.Image, view.ImageTag, m.b.now(), m.b.now())
		}
		view.PinnedAt, view.PinnedBy = m.b.now(), "user:bert"
		return tx.SetProtection(ctx, view.Instance)
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		m.errs = append(m.errs, err)
	}
	return err == nil
}

func (m *meddling) check(rt *rapid.T, done store.Plan) {
	if err := errors.Join(m.errs...); err != nil {
		rt.Fatalf("meddle: %v", err)
	}
	if left, err := m.b.db.Removals(rt.Context()); err != nil || len(left) > 0 {
		rt.Fatalf("removals left: %v, %v", left, err)
	}
	for _, v := range m.victims {
		m.checkDeletes(rt, v)
		m.checkEnd(rt, v, itemOfInstance(done, v.inst.ID))
	}
}

func (m *meddling) checkDeletes(rt *rapid.T, v *victim) {
	if v.anew != nil && !v.anew.Facts().Exists {
		rt.Errorf("%s: the one made anew was removed", v.inst.Name)
	}
	if len(v.deletes) == 0 {
		return
	}
	// the last looks before a delete: ours before its mark, ours after it, the adapter's
	before := func(n int) int { return v.inspects[max(len(v.inspects)-n, 0)] }
	switch {
	case len(v.deletes) > 1:
		rt.Errorf("%s: %d deletes", v.inst.Name, len(v.deletes))
	case !v.planned || v.pinned:
		rt.Errorf("%s: deleted, planned %v, pinned %v", v.inst.Name, v.planned, v.pinned)
	case v.ct.Facts().Exists: // the engine refused
	case v.changed > 0 && v.changed <= before(2) && v.deletes[0]:
		rt.Errorf("%s: changed before request %d, looked at in %v and deleted", v.inst.Name, v.changed, v.inspects)
	case v.pinnedAt > 0 && v.pinnedAt <= before(3):
		rt.Errorf("%s: pinned before request %d, looked at in %v and deleted", v.inst.Name, v.pinnedAt, v.inspects)
	}
}

func (m *meddling) checkEnd(rt *rapid.T, v *victim, item store.PlanItem) {
	view, err := m.b.db.Instance(rt.Context(), v.inst.ID)
	exists := v.ct.Facts().Exists
	switch item.Result {
	case store.ResultRemoved, store.ResultAlreadyGone:
		if exists || !errors.Is(err, store.ErrNotFound) {
			rt.Errorf("%s: %s, container there: %v, row: %v", v.inst.Name, item.Result, exists, err)
		}
	default:
		if err != nil || view.Status != v.inst.Status {
			rt.Errorf("%s: %q (%s), status %s, want %s (%v)", v.inst.Name, item.Result, item.ResultDetail, view.Status, v.inst.Status, err)
		}
		if v.awake && exists && v.ct.Facts().State != dockertest.Running {
			rt.Errorf("%s: %q (%s), somebody woke it and it is %s", v.inst.Name, item.Result, item.ResultDetail, v.ct.Facts().State)
		}
	}
	m.checkArchive(rt, v, item)
	if v.planned != (item.Result != "") {
		rt.Errorf("%s: planned %v, result %q", v.inst.Name, v.planned, item.Result)
	}
}

// checkArchive holds that who was removed can be restored, and that nothing is kept of anybody else.
func (m *meddling) checkArchive(rt *rapid.T, v *victim, item store.PlanItem) {
	archives, err := m.b.cleaner.archives(rt.Context(), store.ArchiveFilter{InstanceID: v.inst.ID, States: []store.ArchiveState{
		store.ArchiveMaking, store.ArchiveReady, store.ArchiveRestoring, store.ArchiveRestored, store.ArchiveDeleting,
	}})
	want := 0
	if item.Result == store.ResultRemoved || item.Result == store.ResultAlreadyGone {
		want = 1
	}
	if err != nil || len(archives) != want || want == 1 && archives[0].State != store.ArchiveReady {
		rt.Errorf("%s: %q, and its archives are %+v, %v", v.inst.Name, item.Result, archives, err)
	}
}
