package store_test

import (
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// BenchmarkEmit keeps events in batches; an operation is one event.
func BenchmarkEmit(b *testing.B) {
	db := storetest.Open(b)
	batch := make([]store.Event, 1000)
	for n := range batch {
		batch[n] = store.Event{
			Severity: store.SeverityWarn, Source: store.SourceScanner, Kind: "instance.stale", Message: "shop-dev-abc123 is stale: exited 8 days ago",
			ProjectID: store.NewID(), StageID: store.NewID(), InstanceID: store.NewID(), HostID: "0123456789abcdef", Actor: "system",
			Data: map[string]any{"class": "exited", "days_stale": 8},
		}
	}
	b.ResetTimer()
	for kept := 0; kept < b.N; kept += len(batch) {
		err := db.Update(b.Context(), func(tx *store.Tx) error { return tx.Emit(b.Context(), batch[:min(len(batch), b.N-kept)]...) })
		if err != nil {
			b.Fatal(err)
		}
	}
}
