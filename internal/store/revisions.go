package store

import (
	"context"
	"slices"
	"strings"
	"time"
)

// InstanceRevision tells whether an instance that was read before has changed since.
type InstanceRevision struct {
	ID       string
	Revision int64
	Status   Status
}

// InstanceRevisions returns the revisions of all instances of a host: what is read, in a
// scan of ten thousand, in place of ten thousand whole rows.
func (q queries) InstanceRevisions(ctx context.Context, hostID string) ([]InstanceRevision, error) {
	return list(ctx, q, "list the revisions of the instances of host "+hostID, func(r row) (v InstanceRevision, err error) {
		return v, r.Scan(&v.ID, &v.Revision, &v.Status)
	}, `SELECT id, revision, status FROM instances WHERE host_id = $1`, hostID)
}

// InstanceWrites counts the transactions that may have moved the revision of an instance, or added or removed one.
// While it stands still, every row read before is as it was: this process holds the store alone.
func (db *DB) InstanceWrites() int64 { return db.instances.Load() }

// RouteWrites counts the transactions that may have changed a route, a standalone proxy, an instance, where a host is, or a setting. While it stands still,
// routes lead where they led.
func (db *DB) RouteWrites() int64 { return db.routes.Load() }

// Commits counts the transactions that may have changed anything. While it stands still, whatever was read before
// is as it was.
func (db *DB) Commits() int64 { return db.commits.Load() }

// movesInstances reports whether a statement moves revisions of instances, or adds or removes some.
func movesInstances(query string) bool {
	return strings.Contains(query, "instances") && (strings.Contains(query, "revision") || strings.Contains(query, "DELETE FROM instances"))
}

// movesRoutes reports whether a statement changes routes, standalone proxies or their addresses, or what all of them depend on: which
// hosts there are and where, and the settings. What a scan notes of a host is none of that.
func movesRoutes(query string) bool {
	return strings.Contains(query, " routes ") || strings.Contains(query, " domains ") || strings.Contains(query, " standalone_proxies ") ||
		strings.Contains(query, "INTO hosts ") || strings.Contains(query, "DELETE FROM hosts ") || strings.Contains(query, "INTO settings ") ||
		strings.Contains(query, "UPDATE hosts ") && (strings.Contains(query, "access =") || strings.Contains(query, "disabled_since ="))
}

// TouchChecked notes that the engine was asked about these instances and said what is stored of them. No
// revision moves by it.
func (tx *Tx) TouchChecked(ctx context.Context, ids []string, at time.Time) error {
	for part := range slices.Chunk(ids, maxListed) {
		a := arguments{millis(at)}
		if _, err := tx.exec(ctx, "note that instances were checked",
			`UPDATE instances SET checked_at = $1 WHERE id IN `+in(&a, plain(part)), a...); err != nil {
			return err
		}
	}
	return nil
}
