package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tiny-forge/docker-watcher/internal/canarytest"
	"github.com/tiny-forge/docker-watcher/internal/events"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dawn is when the stories of the tests begin.
var dawn = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

// heard is what a target got.
type heard struct {
	header  http.Header
	path    string
	body    []byte
	payload Payload
}

// target is a webhook at the other end of a real connection.
type target struct {
	*httptest.Server
	mu     sync.Mutex
	answer func(w http.ResponseWriter, p Payload)
	all    []heard // also what it refused
	taken  []heard
	came   chan struct{}
}

func newTarget(t *testing.T) *target {
	t.Helper()
	at := &target{came: make(chan struct{}, 1000)}
	at.Server = httptest.NewServer(http.HandlerFunc(at.serve))
	t.Cleanup(at.Close)
	return at
}

func (at *target) serve(w http.ResponseWriter, r *http.Request) {
	at.mu.Lock()
	defer at.mu.Unlock()
	h := heard{header: r.Header, path: r.URL.Path}
	h.body, _ = io.ReadAll(r.Body)
	_ = json.Unmarshal(h.body, &h.payload)
	at.all = append(at.all, h)
	rec := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	if at.answer != nil {
		at.answer(rec, h.payload)
	}
	if rec.status < 300 {
		at.taken = append(at.taken, h)
	}
	at.came <- struct{}{}
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (s *statusWriter) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

func (at *target) does(answer func(w http.ResponseWriter, p Payload)) {
	at.mu.Lock()
	defer at.mu.Unlock()
	at.answer = answer
}

func refuses(status int) func(http.ResponseWriter, Payload) {
	return func(w http.ResponseWriter, _ Payload) { w.WriteHeader(status) }
}

func (at *target) got() []heard {
	at.mu.Lock()
	defer at.mu.Unlock()
	return append([]heard(nil), at.taken...)
}

// told are the ids of the events that the target was told of, in the order in which it was.
func (at *target) told() (ids []string) {
	for _, h := range at.got() {
		for _, e := range h.payload.Events {
			ids = append(ids, e.ID)
		}
	}
	return ids
}

// bed is a notifier over a real store. Passes are made by hand, at the moments of the test.
type bed struct {
	t    *testing.T
	db   *store.DB
	n    *Notifier
	logs *bytes.Buffer
}

func newBed(t *testing.T, edit ...func(*Options)) *bed {
	t.Helper()
	b := &bed{t: t, db: storetest.Open(t), logs: &bytes.Buffer{}}
	log := slog.New(slog.NewMultiHandler(slog.NewTextHandler(b.logs, nil), canarytest.Log(t, b.db, canary, "s3cret").Handler()))
	bus := events.New(log)
	b.db.OnCommit(bus.Committed)
	o := Options{Version: "test", Log: log}
	for _, e := range edit {
		e(&o)
	}
	b.n = New(b.db, bus, o)
	return b
}

func (b *bed) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bed) update(fn func(tx *store.Tx) error) {
	b.t.Helper()
	b.must(b.db.Update(b.t.Context(), fn))
}

func (b *bed) channel(name, url string, edit ...func(*store.Channel)) store.Channel {
	b.t.Helper()
	kind, shown, err := Parse(url)
	b.must(err)
	c := store.Channel{ID: store.NewID(), Name: name, Kind: kind, Shown: shown, Enabled: true, Revision: 1}
	for _, e := range edit {
		e(&c)
	}
	b.update(func(tx *store.Tx) error {
		return tx.InsertChannel(b.t.Context(), c, store.ChannelAddress{URL: url, Secret: "s3cret"})
	})
	return c
}

func (b *bed) rule(name string, to []store.Channel, edit ...func(*store.NotifyRule)) store.NotifyRule {
	b.t.Helper()
	r := store.NotifyRule{ID: store.NewID(), Name: name, Enabled: true, Revision: 1, NotifyWants: store.NotifyWants{
		Severities: []store.Severity{store.SeverityWarn, store.SeverityError},
	}}
	for _, c := range to {
		r.Channels = append(r.Channels, c.ID)
	}
	for _, e := range edit {
		e(&r)
	}
	b.update(func(tx *store.Tx) error { return tx.InsertNotifyRule(b.t.Context(), r) })
	return r
}

// happens has events kept in one transaction.
func (b *bed) happens(evs ...store.Event) {
	b.t.Helper()
	b.update(func(tx *store.Tx) error { return tx.Emit(b.t.Context(), evs...) })
}

func stale(n int) (evs []store.Event) {
	for range n {
		evs = append(evs, store.Event{
			Severity: store.SeverityWarn, Source: store.SourceScanner, Kind: "instance.stale", Message: "shop-dev is stale",
			Data: map[string]any{"digest": map[string]any{"count": n}},
		})
	}
	return evs
}

func failed() store.Event {
	return store.Event{Severity: store.SeverityError, Source: store.SourceDeployer, Kind: "deploy.failed", Message: "shop did not come up"}
}

// pass does at a moment all that the loops would have done by then.
func (b *bed) pass(now time.Time) {
	b.t.Helper()
	ctx := context.WithoutCancel(b.t.Context())
	for {
		state, err := b.n.spread(ctx, now)
		b.must(err)
		if state != spreadMore {
			break
		}
	}
	b.must(b.n.bringNear(ctx, now))
	for range 1000 {
		lines, err := b.db.Lines(ctx)
		b.must(err)
		tried := false
		for _, l := range lines {
			if !l.DueAt.After(now) {
				b.must(b.n.try(ctx, l.ChannelID, now))
				tried = true
			}
		}
		if !tried {
			return
		}
	}
	b.t.Fatal("the outbox is never done")
}

func (b *bed) outbox(state store.MessageState) []store.Message {
	b.t.Helper()
	all, _, err := b.db.Messages(b.t.Context(), store.MessageFilter{State: state}, store.Page{})
	b.must(err)
	return all
}

// kinds counts the events of a kind in the log.
func (b *bed) kinds(kind string) (n int) {
	b.t.Helper()
	evs, err := b.db.EventsAfter(b.t.Context(), 0, 1000)
	b.must(err)
	for _, e := range evs {
		if e.Kind == kind {
			n++
		}
	}
	return n
}
