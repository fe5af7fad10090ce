package store_test

import (
	"context"
	"slices"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// TestAmong limits every list to projects, before its pages are cut.
func TestAmong(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		host := storetest.Host(t, db)
		mine, theirs := storetest.Stage(t, db, host, storetest.Project(t, db)), storetest.Stage(t, db, host, storetest.Project(t, db))
		for range 3 {
			for _, st := range []store.Stage{mine, theirs} {
				i := storetest.Instance(t, db, st)
				a, c := anArchive(i)
				a.State, a.RemovedAt, a.ExpiresAt = store.ArchiveReady, noon, noon.AddDate(1, 0, 0)
				storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
					if err := tx.InsertArchive(ctx, a, c); err != nil {
						return err
					}
					return tx.Emit(ctx, store.Event{Time: noon, Severity: store.SeverityInfo, Source: store.SourceAPI, Kind: "x", Message: "x", ProjectID: st.ProjectID})
				})
			}
		}
		lists := map[string]func(store.Among) (projects []string, err error){
			"projects": func(m store.Among) (out []string, err error) {
				items, _, err := db.ProjectsAmong(ctx, m, store.Page{})
				for _, p := range items {
					out = append(out, p.ID)
				}
				return out, err
			},
			"stages": func(m store.Among) (out []string, err error) {
				items, err := db.StagesAmong(ctx, m, "")
				for _, st := range items {
					out = append(out, st.ProjectID)
				}
				return out, err
			},
			"instances": func(m store.Among) (out []string, err error) {
				items, _, err := db.Instances(ctx, store.InstanceFilter{Among: m}, store.Page{Limit: 3})
				for _, i := range items {
					out = append(out, i.ProjectID)
				}
				return out, err
			},
			"events": func(m store.Among) (out []string, err error) {
				items, _, err := db.Events(ctx, store.EventFilter{Among: m}, store.Page{Limit: 3})
				for _, e := range items {
					out = append(out, e.ProjectID)
				}
				return out, err
			},
			"archives": func(m store.Among) (out []string, err error) {
				items, _, err := db.Archives(ctx, store.ArchiveFilter{Among: m}, store.Page{Limit: 3})
				for _, a := range items {
					out = append(out, a.ProjectID)
				}
				return out, err
			},
		}
		for name, read := range lists {
			got, err := read(store.Among{mine.ProjectID})
			want := map[string]int{"projects": 1, "stages": 1}[name]
			if want == 0 {
				want = 3
			}
			if err != nil || slices.ContainsFunc(got, func(id string) bool { return id != mine.ProjectID }) || len(got) != want {
				t.Errorf("%s: %v, %v", name, got, err)
			}
			if got, err := read(store.Among{}); err != nil || len(got) != 0 {
				t.Errorf("%s of nothing: %v, %v", name, got, err)
			}
			if got, err := read(nil); err != nil || len(got) < 2 {
				t.Errorf("%s of all: %v, %v", name, got, err)
			}
		}
		// Asked for another project beside, there is nothing.
		items, _, err := db.Events(ctx, store.EventFilter{Among: store.Among{mine.ProjectID}, ProjectID: theirs.ProjectID}, store.Page{})
		if err != nil || len(items) != 0 {
			t.Errorf("events of another: %v, %v", items, err)
		}
		if n, _, err := db.ArchiveTotals(ctx, store.ArchiveFilter{Among: store.Among{mine.ProjectID}}); n != 3 || err != nil {
			t.Errorf("%d archives, %v", n, err)
		}
		if f, err := db.StaleByProject(ctx, noon, store.Among{}); len(f) != 0 || err != nil {
			t.Errorf("figures %v, %v", f, err)
		}
	})
}
