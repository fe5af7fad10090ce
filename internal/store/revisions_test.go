package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

func TestRevisionsTellWhatMoved(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		stage, one := storetest.Shop(t, db)
		two := storetest.Instance(t, db, stage)
		other, _ := storetest.Shop(t, db)
		revisions := func() map[string]int64 {
			all, err := db.InstanceRevisions(t.Context(), stage.HostID)
			if err != nil {
				t.Fatal(err)
			}
			found := map[string]int64{}
			for _, r := range all {
				found[r.ID] = r.Revision
			}
			return found
		}
		if before := revisions(); len(before) != 2 {
			t.Fatalf("revisions %v, want those of two; the host of stage %s has others", before, other.ID)
		}
		steps := []struct {
			name  string
			do    func(ctx context.Context, tx *store.Tx) error
			moves bool
		}{
			{"intended", func(ctx context.Context, tx *store.Tx) error {
				return tx.SetIntended(ctx, one.ID, store.IntendedStopped)
			}, true},
			{"rollback", func(ctx context.Context, tx *store.Tx) error {
				return tx.SetRollbackKept(ctx, stage.ID, []string{one.ID})
			}, true},
			{"recorded", func(ctx context.Context, tx *store.Tx) error {
				v, err := tx.Instance(ctx, one.ID)
				if err != nil {
					return err
				}
				next := v.Instance
				next.Status = store.StatusStopped
				return tx.RecordInstance(ctx, v.Instance, &next, time.Now())
			}, true},
			{"seen running", func(ctx context.Context, tx *store.Tx) error {
				return tx.TouchRunning(ctx, stage.HostID, time.Now(), nil)
			}, false},
			{"checked", func(ctx context.Context, tx *store.Tx) error {
				return tx.TouchChecked(ctx, []string{one.ID, two.ID}, time.Now())
			}, false},
			{"checked nobody", func(ctx context.Context, tx *store.Tx) error { return tx.TouchChecked(ctx, nil, time.Now()) }, false},
			{"settings", func(ctx context.Context, tx *store.Tx) error { return tx.SaveSettings(ctx, store.DefaultSettings()) }, false},
		}
		for _, s := range steps {
			writes, was := db.InstanceWrites(), revisions()
			storetest.Update(t, db, s.do)
			if moved := db.InstanceWrites() != writes; moved != s.moves {
				t.Errorf("%s: counted %v, want %v", s.name, moved, s.moves)
			}
			if moved := revisions()[one.ID] != was[one.ID]; moved != s.moves {
				t.Errorf("%s: the revision moved %v, want %v", s.name, moved, s.moves)
			}
		}
		v, err := db.Instance(t.Context(), two.ID)
		if err != nil || v.CheckedAt.IsZero() {
			t.Errorf("checked at %s, %v", v.CheckedAt, err)
		}
	})
}
