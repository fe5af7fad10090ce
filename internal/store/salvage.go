package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Salvaged is what could be read of a store. Rows may be missing, and what is there may be old, or of another row: where a database is damaged
// nothing may be judged by it.
type Salvaged struct {
	Notes  []string // what is missing beside rows, in sentences
	Tables []SalvagedTable
}

// SalvagedTable is what could be read of one table.
type SalvagedTable struct {
	Name    string
	Columns []string
	Rows    [][]any // as the columns: a text, an int64 or nil; a moment is a text, RFC 3339 in UTC
	More    bool    // there are more rows than are read
	Lost    string  // why rows are missing, nobody knows how many; empty: none are that could be noticed
}

// Empty says that not one row could be read.
func (s Salvaged) Empty() bool {
	return !slices.ContainsFunc(s.Tables, func(t SalvagedTable) bool { return len(t.Rows) > 0 })
}

const (
	salvagedRows   = 10_000
	salvagedEvents = 200
	salvagedText   = 4000 // bytes of one value
	// WithheldValue stands in the place of a value that has no business in its column: that of another row, by damage, may be secret.
	WithheldValue = "(withheld)"
)

// salvageTable is a table whose rows are told, and the columns that are: nothing sealed, no hash, no session, no token.
type salvageTable struct {
	name, table, columns string
	most                 int
	newest               bool // by id, the newest first
}

// salvageTables are told in this order. All that is not named here is not read.
var salvageTables = []salvageTable{
	{name: "hosts", table: "hosts", columns: "id, name, endpoint, engine_id, engine_version, last_good_scan, frozen_since, frozen_reason"},
	{name: "projects", table: "projects", columns: "id, name, image, stale_after"},
	{name: "stages", table: "stages", columns: "id, name, project_id, host_id, kind, mode, stale_after, keep_last"},
	{name: "instances", table: "instances", columns: "name, project_id, stage_id, host_id, status, class, last_alive_at, evidence, upper_bound, stale_since, exit_code, intended, ownership, " +
		"pinned_at, pinned_by, pin_reason, snoozed_until, snoozed_by, snooze_reason, keep_label, rollback_kept, image, image_tag, container_id, image_id, digest, id"},
	{name: "routes", table: "routes", columns: "id, project_id, stage_id, instance_id, port, tls, enabled"},
	{name: "standalone_proxies", table: "standalone_proxies", columns: "id, target, tls, enabled, owner, notes"},
	{name: "domains", table: "domains", columns: "domain, path_prefix, route_id, proxy_id"},
	{name: "registries", table: "registries", columns: "id, name, host, preset, plain_http"},
	{name: "users", table: "users", columns: "name, role"},
	{name: "settings", table: "settings", columns: "name, value, updated_at"},
	{name: "archives", table: "archives", columns: "name, project, stage, host_id, state, removed_at, expires_at, restored_at, keep_ref, layer_image, layer_note, " +
		"last_alive_at, reason, image, image_tag, image_id, digest, volumes, networks, actor, instance_id, id"},
	{name: "newest_events", table: "event_log", columns: "id, time, severity, source, kind, message, host_id, project_id, stage_id, instance_id, actor", most: salvagedEvents, newest: true},
}

// Salvage reads what can still be read of a store, which nobody else may be writing to, and changes nothing of it: no byte of a file, and nothing lies
// beside it afterwards. A page that is damaged loses the rows that are in it.
func Salvage(ctx context.Context, o Options) (found Salvaged, err error) {
	base, err := connect(o)
	if err != nil {
		return Salvaged{}, err
	}
	defer func() { err = errors.Join(err, base.close()) }()
	from, err := base.wreck(ctx)
	if err != nil {
		return Salvaged{}, err
	}
	defer func() { err = errors.Join(err, from.db.Close()) }()
	if from.note != "" {
		found.Notes = append(found.Notes, from.note)
	}
	for _, t := range salvageTables {
		t.most = cmp.Or(t.most, salvagedRows)
		found.Tables = append(found.Tables, from.salvage(ctx, t))
	}
	return found, nil
}

// SalvageBeside is Salvage by another process than the daemon. A store that one works with is refused: ErrLocked. One that
// only tells the way out has said so with Hold.ReadBeside, and is not disturbed.
func SalvageBeside(ctx context.Context, o Options) (found Salvaged, err error) {
	base, err := connect(o)
	if err != nil {
		return Salvaged{}, err
	}
	lock, err := base.lockBeside(ctx)
	if err == nil {
		found, err = Salvage(ctx, o)
		err = errors.Join(err, lock.release())
	}
	return found, errors.Join(err, base.close())
}

// wreck is a database that is open for nothing but reading.
type wreck struct {
	db   *sql.DB
	note string // what of it is left out
	// stretch is how the rows of a table are read in parts.
	stretch func(t salvageTable) stretch
}

// stretch is a query for at most $3 rows between two places, each after its place, in the order of places.
type stretch struct {
	query  string
	last   int64                     // the last place that there can be
	bounds func(lo, hi int64) [2]any // $1 and $2
	place  func(asRead int64) (at int64)
}

func byKey(query string) stretch {
	return stretch{query, maxPlace, func(lo, hi int64) [2]any { return [2]any{lo, hi} }, func(n int64) int64 { return n }}
}

// byKeyDown is for a query that ends with the lowest key.
func byKeyDown(query string) stretch {
	return stretch{query, maxPlace, func(lo, hi int64) [2]any { return [2]any{maxPlace - hi, maxPlace - lo} }, func(n int64) int64 { return maxPlace - n }}
}

// salvage reads a table.
func (from *wreck) salvage(ctx context.Context, t salvageTable) SalvagedTable {
	found := SalvagedTable{Name: t.name, Columns: strings.Split(t.columns, ", ")}
	by := from.stretch(t)
	stmt, err := from.db.PrepareContext(ctx, by.query)
	if err != nil {
		found.Lost = whyLost(ctx, err)
		return found
	}
	defer stmt.Close()
	w := walk{most: t.most, read: func(lo, hi int64, most int) ([]placed, error) {
		return readStretch(ctx, stmt, by, found.Columns, lo, hi, most)
	}}
	w.all(by.last)
	if w.lost != nil {
		found.Lost = whyLost(ctx, w.lost)
	}
	found.More = len(w.rows) > t.most && !t.newest
	for _, r := range w.rows[:min(len(w.rows), t.most)] {
		found.Rows = append(found.Rows, r.values)
	}
	return found
}

func whyLost(ctx context.Context, err error) string {
	if ctx.Err() != nil {
		return "the time for reading was over before it was read to its end"
	}
	return err.Error()
}

// readStretch returns the rows that came before an error too.
func readStretch(ctx context.Context, stmt *sql.Stmt, by stretch, columns []string, lo, hi int64, most int) (found []placed, err error) {
	bounds := by.bounds(lo, hi)
	rows, err := stmt.QueryContext(ctx, bounds[0], bounds[1], most)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var key int64
		r := placed{values: make([]any, len(columns))}
		into := []any{&key}
		for i := range r.values {
			into = append(into, &r.values[i])
		}
		if err := rows.Scan(into...); err != nil {
			return found, err
		}
		for i, c := range columns {
			r.values[i] = toldValue(c, r.values[i])
		}
		r.at = by.place(key)
		found = append(found, r)
	}
	return found, rows.Err()
}

// toldValue is a value as it is told. What is sealed is bytes, and no column that is told holds any: where some are, they come from elsewhere.
func toldValue(column string, v any) any {
	switch v := v.(type) {
	case nil:
		return nil
	case int64:
		if holdsMoment(column) {
			return time.UnixMilli(v).UTC().Format(time.RFC3339)
		}
		return v
	case string:
		if strings.Contains(v, "$argon2") {
			return WithheldValue
		}
		if len(v) > salvagedText {
			v = v[:salvagedText] + "..."
		}
		return strings.ToValidUTF8(v, "\uFFFD")
	case []byte:
		return WithheldValue
	default:
		return fmt.Sprint(v)
	}
}

// holdsMoment: what is kept in milliseconds since 1970 is called so throughout the schema.
func holdsMoment(column string) bool {
	return column == "time" || column == "last_good_scan" || slices.ContainsFunc([]string{"_at", "_since", "_until"}, func(end string) bool { return strings.HasSuffix(column, end) })
}
