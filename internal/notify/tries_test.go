package notify

import (
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// Every attempt is counted once, for its channel, by what became of it; what is only gathered or held back is no attempt.
func TestTries(t *testing.T) {
	b, up, down := newBed(t), newTarget(t), newTarget(t)
	ops, night := b.channel("ops", up.URL), b.channel("night", down.URL)
	b.rule("all", []store.Channel{ops, night}, func(r *store.NotifyRule) { r.Gather, r.Kinds = 5*time.Minute, []string{"instance.*"} })
	want := func(channel store.Channel, want map[Result]int64) {
		t.Helper()
		if got := b.n.Tries(channel.ID); !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", channel.Name, got, want)
		}
	}
	down.does(refuses(http.StatusServiceUnavailable))
	b.happens(stale(2)...)
	b.pass(dawn)
	want(ops, nil)
	b.pass(dawn.Add(5 * time.Minute))
	b.pass(dawn.Add(5*time.Minute + time.Millisecond)) // too soon for another attempt
	want(ops, map[Result]int64{Sent: 1})
	want(night, map[Result]int64{Failed: 1})
	down.does(refuses(http.StatusBadRequest))
	b.pass(dawn.Add(time.Hour))
	want(night, map[Result]int64{Failed: 1, Dead: 1})
	b.update(func(tx *store.Tx) error {
		_, err := tx.RetryDead(t.Context(), night.ID, dawn.Add(2*time.Hour))
		return err
	})
	down.does(nil)
	b.pass(dawn.Add(2 * time.Hour))
	want(night, map[Result]int64{Failed: 1, Dead: 1, Sent: 1})
	want(ops, map[Result]int64{Sent: 1})
}
