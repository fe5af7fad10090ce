package store_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// TestEventsSayFromWhereSomebodyAsked: those of whoever asks, and no others.
func TestEventsSayFromWhereSomebodyAsked(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := store.AskedFrom(t.Context(), "user:anna", "203.0.113.7")
		shared := map[string]any{"n": "1"}
		if err := db.Update(ctx, func(tx *store.Tx) error {
			return tx.Emit(
				ctx,
				store.Event{Actor: "user:anna", Data: shared}, store.Event{Actor: "user:anna"}, store.Event{Actor: "user:anna", Data: map[string]any{"addr": "192.0.2.1"}},
				store.Event{Actor: "system"}, store.Event{}, store.Event{Actor: "user:bert", Data: shared},
				store.Event{Actor: "user:anna", Data: map[string]any{"log": make([]byte, 100_000)}},
			)
		}); err != nil {
			t.Fatal(err)
		}
		emit(t, db, store.Event{Actor: "user:anna"}) // of which nobody knows
		kept, err := db.EventsAfter(t.Context(), 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		var got []map[string]any
		for _, e := range kept {
			got = append(got, e.Data)
		}
		want := []map[string]any{
			{"n": "1", "addr": "203.0.113.7"},
			{"addr": "203.0.113.7"},
			{"addr": "192.0.2.1"},
			nil, nil,
			{"n": "1"},
			{"left_out_bytes": float64(133_369), "addr": "203.0.113.7"},
			nil,
		}
		delete(got[6], "left_out_bytes")
		delete(want[6], "left_out_bytes")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if len(shared) != 1 {
			t.Errorf("the data of the caller was changed: %v", shared)
		}
	})
}
