//go:build bench

package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

const (
	keptEvents  = 1_000_000
	eventsApart = 7 * time.Second // a million of them are some eighty days
)

// story is a log of a million events and what one may ask of it.
type story struct {
	newest     time.Time
	projects   []string
	stages     []string
	instances  []string
	needleText string
}

// write fills the log: one event in ten is a warning, one in a hundred an error.
func (y *story) write(t *testing.T, db *store.DB, n int) {
	t.Helper()
	for range 50 {
		y.projects, y.stages = append(y.projects, store.NewID()), append(y.stages, store.NewID())
	}
	for range 1_000 {
		y.instances = append(y.instances, store.NewID())
	}
	y.newest = time.Now().UTC().Truncate(time.Second)
	y.needleText = "needle"
	oldest := y.newest.Add(-time.Duration(n) * eventsApart)
	batch := make([]store.Event, 10_000)
	for at := 0; at < n; at += len(batch) {
		for i := range batch {
			batch[i] = y.event(at+i, oldest.Add(time.Duration(at+i)*eventsApart))
		}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.Emit(ctx, batch...) })
	}
}

func (y *story) event(n int, at time.Time) store.Event {
	e := store.Event{
		Time: at, Severity: store.SeverityInfo, Source: store.SourceEngine, Kind: "instance.status", Actor: "system",
		Message: "shop-preview-" + strconv.Itoa(n%1000) + " is stopped, it was running", ProjectID: y.projects[n%50], StageID: y.stages[n/7%50],
		InstanceID: y.instances[n%1000], HostID: "0123456789abcdef", Data: map[string]any{"from": "running", "to": "stopped"},
	}
	switch {
	case n%100 == 7:
		e.Severity, e.Source, e.Kind = store.SeverityError, store.SourceDeployer, "deploy.failed"
	case n%10 == 3:
		e.Severity, e.Source, e.Kind = store.SeverityWarn, store.SourceScanner, "instance.stale"
	}
	if n%50_000 == 0 {
		e.Message = "the needle in the hay"
	}
	return e
}

// Any page of the log, however deep and whatever is asked for, costs about as much as the first one.
func TestEventLogPages(t *testing.T) {
	db := storetest.Open(t)
	var y story
	y.write(t, db, keptEvents)
	s := serve(t, db)
	ctx := t.Context()
	page := func(query url.Values) func() error {
		query.Set("limit", "100")
		return func() error {
			_, err := s.get(ctx, "/api/events?"+query.Encode())
			return err
		}
	}
	first := page(url.Values{})
	deep := y.newest.Add(-keptEvents * eventsApart * 9 / 10).Format(time.RFC3339)
	middle := y.newest.Add(-keptEvents * eventsApart / 2).Format(time.RFC3339)
	for _, ask := range []struct {
		what  string
		query url.Values
	}{
		{"at nine tenths of its depth", url.Values{"to": {deep}}},
		{"warnings, in the middle", url.Values{"severity": {"warn"}, "to": {middle}}},
		{"warnings and errors, deep", url.Values{"severity": {"warn", "error"}, "to": {deep}}},
		{"one source, deep", url.Values{"source": {"deployer"}, "to": {deep}}},
		{"one project", url.Values{"project": {y.projects[7]}}},
		{"one stage's errors, deep", url.Values{"stage": {y.stages[7]}, "severity": {"error"}, "to": {deep}}},
		{"one instance, deep", url.Values{"instance": {y.instances[77]}, "to": {deep}}},
		{"project and source, in the middle", url.Values{"project": {y.projects[3]}, "source": {"scanner"}, "to": {middle}}},
		{"a project's errors that are not there", url.Values{"project": {y.projects[3]}, "severity": {"error"}, "source": {"scanner"}}},
		{"a frequent text", url.Values{"text": {"stopped"}}},
		{"a rare text (one in 50,000)", url.Values{"text": {y.needleText}}},
		{"a text that is not there", url.Values{"text": {"nowhere to be found"}}},
	} {
		measured, floor := inTurn(t, 51, page(ask.query), first)
		ratio(t, "event log of 1,000,000: "+ask.what+", against the first page", measured, floor, 2)
	}
	measured, floor := inTurn(t, 51, page(url.Values{"cursor": {y.deepCursor(t, s)}}), first)
	ratio(t, "event log of 1,000,000: by cursor, against the first page", measured, floor, 2)
}

// deepCursor is what a reader holds who came to the middle of the log and goes on.
func (y *story) deepCursor(t *testing.T, s *service) string {
	t.Helper()
	middle := y.newest.Add(-keptEvents * eventsApart / 2).Format(time.RFC3339)
	body, err := s.get(t.Context(), "/api/events?limit=100&to="+url.QueryEscape(middle))
	must(t, err)
	var page struct {
		Next string `json:"next_cursor"`
	}
	must(t, json.Unmarshal(body, &page))
	return page.Next
}

// Warnings are kept in batches.
func TestPersistedEvents(t *testing.T) {
	db := storetest.Open(t)
	s := serve(t, db)
	const n = 100_000
	y := story{projects: []string{store.NewID()}, stages: []string{store.NewID()}, instances: []string{store.NewID()}}
	for range 49 {
		y.projects, y.stages = append(y.projects, y.projects[0]), append(y.stages, y.stages[0])
	}
	for range 999 {
		y.instances = append(y.instances, y.instances[0])
	}
	began := time.Now()
	for i := range n {
		e := y.event(i, began.UTC())
		e.Severity = store.SeverityWarn
		for s.bus.Waiting() > 50_000 { // the queue is bounded; who floods it waits here
			time.Sleep(time.Millisecond)
		}
		s.bus.Publish(e)
	}
	for {
		last, err := db.LastEventID(t.Context())
		must(t, err)
		if last >= n {
			break
		}
		time.Sleep(time.Millisecond)
	}
	rate := float64(n) / time.Since(began).Seconds()
	least(t, "warnings kept, a second", int(rate), 20_000, count)
}

// A thousand clients hear of an event within 50 ms, 99 times of 100.
func TestPublishToStream(t *testing.T) {
	const clients, rounds, pause = 1_000, 100, 100 * time.Millisecond
	db := storetest.Open(t)
	s := serve(t, db)
	heard := make([][]time.Duration, clients)
	var got atomic.Int64
	var ready, readers sync.WaitGroup
	ready.Add(clients)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for i := range heard {
		readers.Go(func() {
			err := s.listen(ctx, ready.Done, func(took time.Duration) {
				heard[i] = append(heard[i], took)
				got.Add(1)
			})
			if err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		})
	}
	ready.Wait()
	for range rounds {
		s.bus.Publish(store.Event{
			Severity: store.SeverityWarn, Source: store.SourceScanner, Kind: "instance.stale", Actor: "system", HostID: "0123456789abcdef",
			Message: mark + strconv.FormatInt(time.Now().UnixNano(), 10),
		})
		time.Sleep(pause)
	}
	deadline := time.Now().Add(10 * time.Second)
	for got.Load() < clients*rounds {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d deliveries", got.Load(), clients*rounds)
		}
		time.Sleep(time.Millisecond)
	}
	cancel()
	readers.Wait()
	latencies := slices.Concat(heard...)
	slices.Sort(latencies)
	t.Logf("median %v, worst %v", latencies[len(latencies)/2], latencies[len(latencies)-1])
	most(t, "publish to stream at 1,000 clients, kept events, p99", latencies[len(latencies)*99/100], 50*time.Millisecond, short)
}

// mark stands in a message before the time at which it was published.
const mark = "published at "

// listen follows the stream and tells how long each event was under way. It reads the socket by itself: a
// client that works hard would be measured, too, for all share the machine's cores.
func (s *service) listen(ctx context.Context, ready func(), heard func(time.Duration)) error {
	once := sync.OnceFunc(ready)
	defer once() // a client that cannot connect must not keep the others waiting
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", strings.TrimPrefix(s.base, "http://"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()                         // it was closed below, or an error is told
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // the reader's error says so
	defer stop()
	if _, err := fmt.Fprintf(conn, "GET /api/events/stream HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\n\r\n", s.token); err != nil {
		return err
	}
	for in := bufio.NewReader(conn); ; {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if bytes.HasPrefix(line, []byte("event: hello")) {
			once()
		}
		_, rest, found := bytes.Cut(line, []byte(mark))
		if !found {
			continue
		}
		now := time.Now().UnixNano()
		at, err := strconv.ParseInt(string(rest[:bytes.IndexByte(rest, '"')]), 10, 64)
		if err != nil {
			return err
		}
		heard(time.Duration(now - at))
	}
}
