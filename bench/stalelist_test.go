//go:build bench

package bench

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the floor asks the file beside the store

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// A page of the stale list costs what its SQL costs, however many instances there are.
func TestStaleList(t *testing.T) {
	dir := t.TempDir()
	db := storetest.With(t, store.Options{DataDir: dir})
	host := storetest.Host(t, db)
	fillStale(t, db, addStages(t, db, host), 100_000, 10)
	s := serve(t, db)
	bare := barePages(t, filepath.Join(dir, "docker-watcher.db"))
	ctx := t.Context()

	var first struct {
		Items []json.RawMessage `json:"items"`
		Next  string            `json:"next_cursor"`
	}
	body, err := s.get(ctx, "/api/containers/stale?limit=100")
	must(t, err)
	must(t, json.Unmarshal(body, &first))
	if len(first.Items) != 100 || first.Next == "" {
		t.Fatalf("%d items, next %q", len(first.Items), first.Next)
	}
	for _, page := range []struct{ what, query string }{
		{"stale list, first page of 100 (10,000 stale of 100,000), as JSON, against the bare SQL page", "limit=100"},
		{"stale list, second page, as JSON, against the bare SQL page", "limit=100&cursor=" + url.QueryEscape(first.Next)},
	} {
		measured, floor := inTurn(t, 101, func() error {
			_, err := s.get(ctx, "/api/containers/stale?"+page.query)
			return err
		}, func() error { return bare(ctx) })
		ratio(t, page.what, measured, floor, 1.5)
	}
}

// fillStale puts n instances into the store, of which one in so many is stale.
func fillStale(t *testing.T, db *store.DB, stages []store.Stage, n, oneIn int) {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Millisecond)
	rows := make([]store.Instance, n)
	for i := range rows {
		rows[i] = storetest.NewInstance(stages[i%len(stages)], func(r *store.Instance) {
			r.Name, r.CreatedAt, r.UpdatedAt, r.LastAliveAt = fmt.Sprintf("app-%d", i), now.Add(-90*day), now, now
			if i%oneIn == 0 {
				ended := now.Add(-8*day - time.Duration(i)*time.Second)
				r.Status, r.Intended, r.Class, r.LastAliveAt, r.FinishedAt = store.StatusStopped, store.IntendedStopped, store.ClassExited, ended, ended
				r.StaleSince, r.WarnedAt = now.Add(-day), now.Add(-day)
			}
		})
	}
	insert(t, db, rows)
}

// barePages reads one page of stale instances by hand-written SQL, with the names that people know them by.
func barePages(t *testing.T, file string) func(context.Context) error {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?_query_only=1")
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	const page = `SELECT i.*, p.name, s.name, s.kind, h.name, COALESCE(s.stale_after, p.stale_after)
		FROM instances i JOIN projects p ON p.id = i.project_id JOIN stages s ON s.id = i.stage_id JOIN hosts h ON h.id = i.host_id
		WHERE i.stale_since IS NOT NULL AND i.status <> 'removing' ORDER BY COALESCE(i.last_alive_at, 0), i.id LIMIT 101`
	return func(ctx context.Context) error {
		rows, err := db.QueryContext(ctx, page)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		columns, err := rows.ColumnTypes()
		if err != nil {
			return err
		}
		cells := make([]any, len(columns))
		for i, c := range columns {
			if c.DatabaseTypeName() == "BIGINT" {
				cells[i] = new(sql.NullInt64)
			} else {
				cells[i] = new(sql.NullString)
			}
		}
		n := 0
		for rows.Next() {
			if err := rows.Scan(cells...); err != nil {
				return err
			}
			n++
		}
		if err := rows.Err(); err != nil {
			return err
		}
		if n != 101 {
			return fmt.Errorf("the bare page has %d rows", n)
		}
		return nil
	}
}
