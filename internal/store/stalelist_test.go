package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

func staleIDs(t *testing.T, db *store.DB, f store.StaleFilter, limit int) (ids []string) {
	t.Helper()
	total := -1
	for cursor := ""; ; {
		items, next, n, err := db.StaleInstances(t.Context(), f, store.Page{Limit: limit, Cursor: cursor})
		if err != nil || len(items) > limit {
			t.Fatalf("%d items, %v", len(items), err)
		}
		if (n >= 0) != (cursor == "") {
			t.Errorf("total is %d on page %q", n, cursor)
		}
		total = max(total, n)
		for _, i := range items {
			ids = append(ids, i.ID)
		}
		if cursor = next; next == "" {
			break
		}
	}
	if total != len(ids) {
		t.Errorf("total is %d, and there are %d", total, len(ids))
	}
	return ids
}

func TestStaleListOrdersAndPages(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		h := storetest.Host(t, db)
		stage := func(project, name string) store.Stage {
			p := storetest.Project(t, db, func(p *store.Project) { p.Name = project })
			return storetest.Stage(t, db, h, p, func(s *store.Stage) { s.Name = name })
		}
		b, a := stage("b", "x"), stage("a", "x-y")
		stale := func(s store.Stage, name string, alive time.Time, bytes int64) string {
			return storetest.Instance(t, db, s, func(i *store.Instance) {
				i.Name, i.Status, i.LastAliveAt, i.StaleSince = name, store.StatusStopped, alive, noon
				if bytes >= 0 {
					i.SizeRw, i.SizeAt = bytes, noon
				}
			}).ID
		}
		ids := []string{
			stale(b, "b-1", noon.Add(-3*time.Hour), 5),
			stale(a, "a-2", noon.Add(-3*time.Hour), 0), // a tie
			stale(a, "a-1", noon.Add(-9*time.Hour), -1),
			stale(b, "b-0", time.Time{}, 1<<33), // never seen alive at all: the oldest
		}
		pick := func(order ...int) (want []string) {
			for _, n := range order {
				want = append(want, ids[n])
			}
			return want
		}
		storetest.Instance(t, db, a) // alive
		storetest.Instance(t, db, a, func(i *store.Instance) { i.StaleSince, i.Status = noon, store.StatusRemoving })
		for _, c := range []struct {
			sort store.StaleSort
			want []string
		}{
			{"", pick(3, 2, 0, 1)},
			{store.StaleOldest, pick(3, 2, 0, 1)},
			{store.StaleNewest, pick(1, 0, 2, 3)},
			{store.StaleByName, pick(2, 1, 3, 0)},
			{store.StaleLargest, pick(3, 0, 1, 2)},
		} {
			for limit := 1; limit <= 5; limit++ {
				if diff := cmp.Diff(c.want, staleIDs(t, db, store.StaleFilter{Sort: c.sort}, limit)); diff != "" {
					t.Errorf("sort %q, limit %d (-want +got):\n%s", c.sort, limit, diff)
				}
			}
		}
		_, next, _, err := db.StaleInstances(t.Context(), store.StaleFilter{}, store.Page{Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		_, _, _, err = db.StaleInstances(t.Context(), store.StaleFilter{Sort: store.StaleByName}, store.Page{Cursor: next})
		wantErr(t, err, store.ErrBadCursor)
		if _, _, _, err = db.StaleInstances(t.Context(), store.StaleFilter{Sort: "size; DROP TABLE instances"}, store.Page{}); err == nil {
			t.Error("an unknown order was taken")
		}
	})
}

func TestStaleListFilters(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		s, first := storetest.Shop(t, db, func(i *store.Instance) {
			i.Status, i.StaleSince, i.LastAliveAt, i.Class = store.StatusStopped, noon, noon.Add(-10*24*time.Hour), store.ClassExited
		})
		stale := func(edit func(*store.Instance)) store.Instance {
			return storetest.Instance(t, db, s, func(i *store.Instance) {
				i.Status, i.StaleSince, i.LastAliveAt, i.Class = store.StatusStopped, noon, noon.Add(-8*24*time.Hour), store.ClassFailed
				edit(i)
			})
		}
		pinned := stale(func(i *store.Instance) { i.PinnedAt = noon })
		snoozed := stale(func(i *store.Instance) { i.SnoozedUntil = noon.Add(time.Hour) })
		kept := stale(func(i *store.Instance) { i.KeepLabel = true })
		rollback := stale(func(i *store.Instance) { i.RollbackKept = true })
		over := stale(func(i *store.Instance) { i.SnoozedUntil, i.ImageTag = noon.Add(-time.Hour), "9.9" })
		gone := stale(func(i *store.Instance) { i.TagGoneSince = noon })
		both := stale(func(i *store.Instance) { i.TagGoneSince, i.RollbackKept = noon, true })
		kinds := func(now time.Time, kinds ...store.ProtectionKind) store.StaleFilter {
			return store.StaleFilter{Protections: kinds, Now: now}
		}
		yes, no := true, false
		for _, c := range []struct {
			name string
			f    store.StaleFilter
			want []store.Instance
		}{
			{"all", store.StaleFilter{}, []store.Instance{first, pinned, snoozed, kept, rollback, over, gone, both}},
			{"protected", store.StaleFilter{Protected: &yes, Now: noon}, []store.Instance{pinned, snoozed, kept, rollback, gone, both}},
			{"not protected", store.StaleFilter{Protected: &no, Now: noon}, []store.Instance{first, over}},
			{"protected although a missing tag is no matter", store.StaleFilter{Protected: &yes, TagGoneYes: true, Now: noon}, []store.Instance{pinned, snoozed, kept, rollback, both}},
			{"of one kind", kinds(noon, store.ProtectionTagGone), []store.Instance{gone}},
			{"of the kind that is shown", kinds(noon, store.ProtectionRollback), []store.Instance{rollback, both}},
			{"of several kinds", kinds(noon, store.ProtectionPinned, store.ProtectionKeep), []store.Instance{pinned, kept}},
			{"snoozed", kinds(noon, store.ProtectionSnoozed), []store.Instance{snoozed}},
			{"snoozed no more", kinds(noon.Add(time.Hour), store.ProtectionSnoozed), nil},
			{"of no kind", kinds(noon, store.ProtectionNone), []store.Instance{first, over}},
			{"a snooze ends", store.StaleFilter{Protected: &no, Now: noon.Add(time.Hour)}, []store.Instance{first, snoozed, over}},
			{"older than", store.StaleFilter{OlderThan: 9 * 24 * time.Hour, Now: noon}, []store.Instance{first}},
			{"not older than its own age", store.StaleFilter{OlderThan: 10 * 24 * time.Hour, Now: noon}, nil},
			{"class", store.StaleFilter{Classes: []store.Class{store.ClassExited, store.ClassOOM}}, []store.Instance{first}},
			{"ids", store.StaleFilter{InstanceIDs: []string{over.ID, "nobody"}}, []store.Instance{over}},
			{"text", store.StaleFilter{Text: "9.9"}, []store.Instance{over}},
			{"project", store.StaleFilter{ProjectID: "other"}, nil},
			{"stage and host", store.StaleFilter{StageID: s.ID, HostID: s.HostID, Text: "9.9"}, []store.Instance{over}},
			{"host", store.StaleFilter{HostID: "other"}, nil},
		} {
			var want []string
			for _, i := range c.want {
				want = append(want, i.ID)
			}
			if diff := cmp.Diff(want, staleIDs(t, db, c.f, 2)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.name, diff)
			}
		}
	})
}

func TestThresholdInForce(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		h := storetest.Host(t, db)
		after := func(d time.Duration) *store.StaleAfter { return &store.StaleAfter{After: d} }
		never := &store.StaleAfter{Never: true}
		make := func(project, stage *store.StaleAfter) string {
			p := storetest.Project(t, db, func(p *store.Project) { p.StaleAfter = project })
			return storetest.Instance(t, db, storetest.Stage(t, db, h, p, func(s *store.Stage) { s.StaleAfter = stage })).ID
		}
		smallest := func(want time.Duration) {
			t.Helper()
			if got, err := db.SmallestThreshold(t.Context()); err != nil || got != want {
				t.Errorf("smallest threshold is %v, %v, want %v", got, err, want)
			}
		}
		smallest(7 * 24 * time.Hour)
		global, never1 := make(nil, nil), make(never, nil)
		smallest(7 * 24 * time.Hour) // never is not a small threshold
		project := make(after(36*time.Hour), nil)
		smallest(36 * time.Hour)
		stage, never2 := make(after(36*time.Hour), after(5*time.Second)), make(after(time.Hour), never)
		smallest(5 * time.Second)
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			s := store.DefaultSettings()
			s.StaleThresholdDays = 3
			return tx.SaveSettings(ctx, s)
		})
		for id, want := range map[string]string{global: "3d", project: "36h", stage: "5s", never1: "never", never2: "never"} {
			if got := view(t, db, id).StaleAfter.String(); got != want {
				t.Errorf("threshold is %s, want %s", got, want)
			}
		}
	})
}

// TestStaleListIsAnIndexPage holds the promise that a page costs the same however
// many instances there are: it neither scans nor sorts.
func TestStaleListIsAnIndexPage(t *testing.T) {
	db := storetest.SQLite(t)
	h := storetest.Host(t, db)
	s := storetest.Stage(t, db, h, storetest.Project(t, db))
	storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
		for n := range 300 {
			if err := tx.InsertInstance(ctx, storetest.NewInstance(s, func(i *store.Instance) {
				i.Name = fmt.Sprint(n)
				i.Status, i.StaleSince, i.LastAliveAt = store.StatusStopped, noon, noon.Add(-time.Duration(n)*time.Hour)
			})); err != nil {
				return err
			}
		}
		return nil
	})
	for sort, index := range map[store.StaleSort]string{
		store.StaleOldest: "instances_stale", store.StaleNewest: "instances_stale", store.StaleLargest: "instances_stale_bytes",
		store.StaleByName: "instances_stale_name",
	} {
		_, next, _, err := db.StaleInstances(t.Context(), store.StaleFilter{Sort: sort}, store.Page{Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		for _, cursor := range []string{"", next} {
			steps := store.ExplainStale(t, db, store.StaleFilter{Sort: sort}, store.Page{Limit: 10, Cursor: cursor})
			for _, step := range steps {
				if step.Scans("i") && (!step.Uses(index) || cursor != "" && !step.Seeks()) || step.Sorts() {
					t.Errorf("sort %s, cursor %q: %v", sort, cursor, steps)
				}
			}
		}
	}
}
