package store

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// RequestCount is how often requests came to a route, to a standalone proxy, or to an instance by any route.
type RequestCount struct {
	ID       string // of which of them
	Requests int64
	Errors   int64     // answers of 500 and above, and those that never came
	LastAt   time.Time // of the newest one; zero: only an error of an earlier one was counted
}

// AddRequests adds to what was counted before. A newest one that is dated ahead gives way to any other.
func (tx *Tx) AddRequests(ctx context.Context, more []RequestCount) error {
	more = slices.SortedFunc(slices.Values(more), func(a, b RequestCount) int { return cmp.Compare(a.ID, b.ID) })
	for _, c := range more {
		if _, err := tx.exec(ctx, "count the requests of "+c.ID,
			`INSERT INTO request_counts (id, requests, errors, last_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (id) DO UPDATE SET requests = request_counts.requests + excluded.requests, errors = request_counts.errors + excluded.errors,
			last_at = CASE WHEN excluded.last_at > request_counts.last_at OR excluded.last_at > 0 AND request_counts.last_at > $5
				THEN excluded.last_at ELSE request_counts.last_at END`,
			clean(c.ID), c.Requests, c.Errors, max(c.LastAt.UnixMilli(), 0), now()+aheadAfter.Milliseconds()); err != nil {
			return err
		}
	}
	return nil
}

// RequestCounts returns what was counted of some routes, standalone proxies or instances; of those to which nobody came there is nothing.
func (q queries) RequestCounts(ctx context.Context, ids ...string) (map[string]RequestCount, error) {
	counts := make(map[string]RequestCount, len(ids))
	for part := range slices.Chunk(ids, maxListed) {
		var a arguments
		rows, err := list(ctx, q, "read how often requests came", func(r row) (c RequestCount, err error) {
			return c, r.Scan(&c.ID, &c.Requests, &c.Errors, at{&c.LastAt})
		}, `SELECT id, requests, errors, last_at FROM request_counts WHERE id IN `+in(&a, plain(part)), a...)
		if err != nil {
			return nil, err
		}
		for _, c := range rows {
			counts[c.ID] = c
		}
	}
	return counts, nil
}

// PruneRequestCounts forgets what was counted of those that are gone, where the newest request is older than before.
func (tx *Tx) PruneRequestCounts(ctx context.Context, before time.Time) (int, error) {
	return tx.exec(ctx, "forget the requests of what is gone", `DELETE FROM request_counts WHERE last_at < $1
		AND NOT EXISTS (SELECT 1 FROM routes r WHERE r.id = request_counts.id)
		AND NOT EXISTS (SELECT 1 FROM standalone_proxies p WHERE p.id = request_counts.id)
		AND NOT EXISTS (SELECT 1 FROM instances i WHERE i.id = request_counts.id)`, before.UnixMilli())
}
