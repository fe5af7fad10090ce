package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

func emit(t *testing.T, db *store.DB, events ...store.Event) {
	t.Helper()
	storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.Emit(ctx, events...) })
}

// eventPages reads a whole list and returns its messages.
func eventPages(t *testing.T, db *store.DB, f store.EventFilter, limit int) (messages []string) {
	t.Helper()
	for cursor := ""; ; {
		items, next, err := db.Events(t.Context(), f, store.Page{Limit: limit, Cursor: cursor})
		if err != nil || len(items) > limit {
			t.Fatalf("%d events, %v", len(items), err)
		}
		for _, e := range items {
			messages = append(messages, e.Message)
		}
		if cursor = next; next == "" {
			return messages
		}
	}
}

func TestEventsAreKeptAndPublishedAlike(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		var published []store.Event
		db.OnCommit(func(events []store.Event) { published = append(published, events...) })
		emit(t, db,
			store.Event{
				Time: noon.Add(123456 * time.Nanosecond), Severity: store.SeverityWarn, Source: store.SourceScanner, Kind: "instance.stale",
				Message: "shop is stale", ProjectID: "p", StageID: "s", InstanceID: "i", HostID: "h", Actor: "system",
				Data: map[string]any{"days": "7", "list": []any{"a"}},
			},
			store.Event{Severity: store.SeverityInfo, Source: store.SourceAPI, Message: "odd \x00 \xff bytes", Data: map[string]any{"x": "\x00"}},
		)
		kept, err := db.EventsAfter(t.Context(), 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(published, kept); diff != "" {
			t.Errorf("published, kept:\n%s", diff)
		}
		if len(kept) != 2 || kept[0].ID != 1 || kept[1].ID != 2 || !kept[0].Time.Equal(noon) || kept[1].Time.IsZero() {
			t.Errorf("kept: %+v", kept)
		}
		if kept[1].Message != "odd \uFFFD \uFFFD bytes" {
			t.Errorf("message is %q", kept[1].Message)
		}
		if last, err := db.LastEventID(t.Context()); err != nil || last != 2 {
			t.Errorf("last id is %d, %v", last, err)
		}
		if rest, err := db.EventsAfter(t.Context(), 1, 1); err != nil || len(rest) != 1 || rest[0].ID != 2 {
			t.Errorf("after 1: %+v, %v", rest, err)
		}
	})
}

func TestEventsOfARolledBackChangeAreNeitherKeptNorPublished(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		var published []store.Event
		db.OnCommit(func(events []store.Event) { published = append(published, events...) })
		ctx := t.Context()
		err := db.Update(ctx, func(tx *store.Tx) error {
			return errors.Join(tx.Emit(ctx, store.Event{Message: "never"}), errRollback)
		})
		wantErr(t, err, errRollback)
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			_ = db.Update(ctx, func(tx *store.Tx) error {
				if err := tx.Emit(ctx, store.Event{Message: "never"}); err != nil {
					return err
				}
				panic("broken")
			})
		}()
		ending, cancel := context.WithCancel(ctx)
		err = db.Update(ending, func(tx *store.Tx) error {
			err := tx.Emit(ending, store.Event{Message: "never"})
			cancel()
			return err
		})
		wantErr(t, err, context.Canceled)
		err = db.Update(ctx, func(tx *store.Tx) error {
			return tx.Emit(ctx, store.Event{Message: "never", Data: map[string]any{"no JSON": func() {}}})
		})
		if err == nil {
			t.Error("data without a JSON form was taken")
		}
		emit(t, db, store.Event{Message: "kept"})
		if len(published) != 1 || published[0].ID != 1 {
			t.Errorf("published: %+v", published)
		}
		if diff := cmp.Diff([]string{"kept"}, eventPages(t, db, store.EventFilter{}, 10)); diff != "" {
			t.Error(diff)
		}
	})
}

// TestARefusalOfTheDatabaseLosesTheTransaction: also where fn swallows it, and on
// both dialects.
func TestARefusalOfTheDatabaseLosesTheTransaction(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		p := storetest.Project(t, db)
		ctx := t.Context()
		err := db.Update(ctx, func(tx *store.Tx) error {
			if err := tx.Emit(ctx, store.Event{Message: "never"}); err != nil {
				return err
			}
			twin := p
			twin.ID = store.NewID()
			wantErr(t, tx.InsertProject(ctx, twin), store.ErrConflict)
			return nil
		})
		wantErr(t, err, store.ErrConflict)
		if got := eventPages(t, db, store.EventFilter{}, 10); len(got) != 0 {
			t.Errorf("kept: %v", got)
		}
	})
}

func TestLongEventsAreCut(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		emit(t, db, store.Event{Message: strings.Repeat("ü", 5000), Data: map[string]any{"log": strings.Repeat("x", 100_000)}})
		kept, err := db.EventsAfter(t.Context(), 0, 1)
		if err != nil {
			t.Fatal(err)
		}
		m := kept[0].Message
		if len(m) > 4<<10 || len(m) < 4<<10-8 || !strings.HasSuffix(m, "ü…") {
			t.Errorf("message has %d bytes and ends in %q", len(m), m[len(m)-8:])
		}
		if diff := cmp.Diff(map[string]any{"left_out_bytes": float64(100_010)}, kept[0].Data); diff != "" {
			t.Error(diff)
		}
	})
}

// TestConcurrentCommitsArePublishedInTheOrderOfIDs, without a gap or a double.
func TestConcurrentCommitsArePublishedInTheOrderOfIDs(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		var mu sync.Mutex
		var ids []int64
		db.OnCommit(func(events []store.Event) {
			mu.Lock()
			defer mu.Unlock()
			for _, e := range events {
				ids = append(ids, e.ID)
			}
		})
		const writers, commits = 8, 20
		var all sync.WaitGroup
		for w := range writers {
			all.Go(func() {
				for n := range commits {
					err := db.Update(t.Context(), func(tx *store.Tx) error {
						if err := tx.Emit(t.Context(), store.Event{Message: "first"}); err != nil {
							return err
						}
						if (w+n)%4 == 0 {
							return errRollback
						}
						return tx.Emit(t.Context(), store.Event{Message: "second"}, store.Event{Message: "third"})
					})
					if err != nil && !errors.Is(err, errRollback) {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		if len(ids) != writers*commits*3*3/4 {
			t.Fatalf("%d events were published", len(ids))
		}
		for n, id := range ids {
			if id != int64(n+1) {
				t.Fatalf("event %d has id %d", n+1, id)
			}
		}
	})
}

// TestEventFilters compares every filter with a plain search through all events.
func TestEventFilters(t *testing.T) {
	var all []store.Event
	severities := []store.Severity{store.SeverityInfo, store.SeverityWarn, store.SeverityError}
	sources := []store.Source{store.SourceScanner, store.SourceCleaner, store.SourceAPI}
	for n := range 600 {
		e := store.Event{
			Time: noon.Add(time.Duration(n*7919%600) * time.Minute), Severity: severities[n%7%3], Source: sources[n%5%3],
			Message: fmt.Sprintf("Message %d", n), HostID: fmt.Sprint("h", n%2),
		}
		if n%3 > 0 {
			e.ProjectID, e.StageID, e.InstanceID = fmt.Sprint("p", n%3), fmt.Sprint("s", n%4), fmt.Sprint("i", n%40)
		}
		all = append(all, e)
	}
	filters := map[string]store.EventFilter{
		"none":                        {},
		"one severity":                {Severities: severities[1:2]},
		"two severities":              {Severities: severities[1:]},
		"a source":                    {Sources: sources[:1]},
		"two sources":                 {Sources: sources[1:]},
		"a project":                   {ProjectID: "p1"},
		"a stage":                     {StageID: "s3"},
		"an instance":                 {InstanceID: "i7"},
		"a host":                      {HostID: "h1"},
		"project and severity":        {ProjectID: "p1", Severities: severities[2:]},
		"project and source":          {ProjectID: "p2", Sources: sources[:2]},
		"everything":                  {ProjectID: "p1", StageID: "s1", InstanceID: "i1", HostID: "h1", Sources: sources, Severities: severities, Text: "message", From: noon, To: noon.Add(600 * time.Minute)},
		"text in another case":        {Text: "mESSAGE 12"},
		"text and host":               {Text: "9", HostID: "h1"},
		"a percent sign":              {Text: "%"},
		"from":                        {From: noon.Add(300 * time.Minute)},
		"to":                          {To: noon.Add(300 * time.Minute)},
		"a window and a severity":     {From: noon.Add(100 * time.Minute), To: noon.Add(110 * time.Minute), Severities: severities[:2]},
		"one moment":                  {From: noon.Add(5 * time.Minute), To: noon.Add(5 * time.Minute)},
		"from is after to":            {From: noon.Add(5 * time.Minute), To: noon},
		"a project nobody knows":      {ProjectID: "p9"},
		"a severity nobody knows":     {Severities: []store.Severity{"loud"}},
		"what is not there both ways": {ProjectID: "p1", HostID: "h9"},
	}
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		emit(t, db, all...)
		for name, f := range filters {
			want := searchAll(all, f)
			for _, limit := range []int{1000, 37} {
				if diff := cmp.Diff(want, eventPages(t, db, f, limit)); diff != "" {
					t.Errorf("%s, limit %d (-want +got):\n%s", name, limit, diff)
				}
			}
		}
		_, _, err := db.Events(t.Context(), store.EventFilter{}, store.Page{Cursor: "e30"})
		wantErr(t, err, store.ErrBadCursor)
	})
}

func searchAll(all []store.Event, f store.EventFilter) (messages []string) {
	type hit struct {
		n int
		e store.Event
	}
	var hits []hit
	for n, e := range all {
		same := func(want, got string) bool { return want == "" || want == got }
		if (len(f.Severities) == 0 || slices.Contains(f.Severities, e.Severity)) &&
			(len(f.Sources) == 0 || slices.Contains(f.Sources, e.Source)) &&
			same(f.ProjectID, e.ProjectID) && same(f.StageID, e.StageID) && same(f.InstanceID, e.InstanceID) && same(f.HostID, e.HostID) &&
			strings.Contains(strings.ToLower(e.Message), strings.ToLower(f.Text)) &&
			!e.Time.Before(f.From) && (f.To.IsZero() || !e.Time.After(f.To)) {
			hits = append(hits, hit{n, e})
		}
	}
	slices.SortFunc(hits, func(a, b hit) int {
		if c := b.e.Time.Compare(a.e.Time); c != 0 {
			return c
		}
		return b.n - a.n
	})
	for _, h := range hits {
		messages = append(messages, h.e.Message)
	}
	return messages
}

// TestRareTextIsFoundAcrossShortPages: a page looks at a bounded number of events,
// and says where it goes on.
func TestRareTextIsFoundAcrossShortPages(t *testing.T) {
	db := storetest.Open(t)
	var many []store.Event
	for n := range 25_000 {
		many = append(many, store.Event{Time: noon.Add(time.Duration(n) * time.Second), Message: "usual"})
	}
	many[100].Message, many[24_990].Message = "rare", "rare"
	emit(t, db, many...)
	items, next, err := db.Events(t.Context(), store.EventFilter{Text: "rare"}, store.Page{Limit: 2})
	if err != nil || len(items) != 1 || next == "" {
		t.Errorf("first page: %d events, next %q, %v", len(items), next, err)
	}
	if got := eventPages(t, db, store.EventFilter{Text: "rare"}, 2); len(got) != 2 {
		t.Errorf("found %v", got)
	}
}

// TestEventFiltersAreIndexPages holds the promise that any page costs the same at
// any depth: each part is one range of an index, in its order.
func TestEventFiltersAreIndexPages(t *testing.T) {
	db := storetest.SQLite(t)
	for name, f := range map[string]store.EventFilter{
		"time":     {},
		"severity": {Severities: []store.Severity{store.SeverityWarn}},
		"source":   {Sources: []store.Source{store.SourceAPI}},
		"project":  {ProjectID: "p"},
		"stage":    {StageID: "s"},
		"instance": {InstanceID: "i", Severities: []store.Severity{store.SeverityWarn, store.SeverityError}},
		"host":     {HostID: "h", From: noon, To: noon.Add(time.Hour)},
	} {
		for _, key := range [][]int64{nil, {noon.UnixMilli(), 7}} {
			steps := store.ExplainEvents(t, db, f, key)
			for _, step := range steps {
				if step.Scans("event_log") && (!step.Uses("event_log_"+name) || key != nil && !step.Seeks()) || step.Sorts() {
					t.Errorf("%s, key %v: %v", name, key, steps)
				}
			}
		}
	}
}

// TestPeer29RetentionKeepsTheProofOfAWarning: retention never deletes the proof that somebody was warned.
func TestPeer29RetentionKeepsTheProofOfAWarning(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		_, stale := storetest.Shop(t, db, func(i *store.Instance) { i.Status, i.StaleSince = store.StatusStopped, noon })
		_, alive := storetest.Shop(t, db)
		removed, contents := anArchive(alive)
		removed.InstanceID, removed.State = store.NewID(), store.ArchiveReady
		keep(t, db, removed, contents)
		warning := func(i store.Instance, message string, after time.Duration) store.Event {
			return store.Event{Time: noon.Add(after), Severity: store.SeverityWarn, Kind: "instance.stale", InstanceID: i.ID, Message: message}
		}
		emit(t, db,
			warning(stale, "of an episode before", 0), warning(stale, "still stale", time.Second), warning(alive, "recovered", time.Second),
			warning(store.Instance{ID: removed.InstanceID}, "removed, and can be restored", time.Second),
			store.Event{Time: noon.Add(2 * time.Second), InstanceID: stale.ID, Kind: "instance.status", Message: "other"},
			store.Event{Time: noon.Add(time.Hour), Message: "newer"},
		)
		var went []int
		for range 4 {
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
				n, err := tx.PruneEvents(ctx, noon.Add(time.Hour), 2)
				went = append(went, n)
				return err
			})
		}
		if diff := cmp.Diff([]int{2, 1, 0, 0}, went); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"newer", "removed, and can be restored", "still stale"}, eventPages(t, db, store.EventFilter{}, 10)); diff != "" {
			t.Error(diff)
		}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.PruneEvents(ctx, noon.Add(2*time.Hour), 10)
			return err
		})
		emit(t, db, store.Event{Message: "after"})
		if last, err := db.LastEventID(t.Context()); err != nil || last != 7 {
			t.Errorf("an id was given twice: last is %d, %v", last, err)
		}
	})
}
