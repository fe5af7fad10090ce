package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/failpoint/failpointtest"
	"github.com/tiny-forge/docker-watcher/internal/notify"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// The process is killed when it has a message in hand, and when the target has taken it but nobody has written that down. After
// the next start the target has each event, at most twice, and then under the same key.
func TestKilledWhileSending(t *testing.T) {
	command := failpointtest.Build(t)
	for point, times := range map[string]int{"claimed": 1, "sent": 2} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var got []notify.Payload
			var keys []string
			srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				var p notify.Payload
				if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				got, keys = append(got, p), append(keys, r.Header.Get("Idempotency-Key"))
			}))
			t.Cleanup(srv.Close)
			dir := t.TempDir()
			prepare(t, dir, srv.URL)

			failpointtest.Kill(t, time.Minute, point, command, dir)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, command, dir)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("the next start: %v: %s", err, out)
			}
			mu.Lock()
			defer mu.Unlock()
			if len(got) != times {
				t.Fatalf("%d messages came", len(got))
			}
			for i, p := range got {
				if p.Count != 3 || len(p.Events) != 3 || keys[i] != keys[0] || p.ID != keys[0] || keys[0] == "" {
					t.Errorf("message %d under %q: %+v", i, keys[i], p)
				}
			}
		})
	}
}

// prepare has three events wait to be told.
func prepare(t *testing.T, dir, url string) {
	t.Helper()
	ctx := t.Context()
	db, err := store.Open(ctx, store.Options{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	c := store.Channel{ID: store.NewID(), Name: "ops", Kind: "webhook", Enabled: true, Revision: 1}
	r := store.NotifyRule{ID: store.NewID(), Name: "all", Enabled: true, Channels: []string{c.ID}, Revision: 1}
	e := store.Event{Severity: store.SeverityWarn, Source: store.SourceScanner, Kind: "instance.stale", Message: "it is stale"}
	err = db.Update(ctx, func(tx *store.Tx) error {
		if err := tx.InsertChannel(ctx, c, store.ChannelAddress{URL: url}); err != nil {
			return err
		}
		if err := tx.InsertNotifyRule(ctx, r); err != nil {
			return err
		}
		return tx.Emit(ctx, e, e, e)
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}
