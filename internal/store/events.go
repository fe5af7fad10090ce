package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	maxMessage = 4 << 10
	maxData    = 16 << 10
	// insertRows is how many events one statement inserts: SQLite looks placeholders
	// up one by one, so that more of them cost more each.
	insertRows = 10
	// maxExamined bounds how many events one page may look at to find those that match.
	maxExamined = 1_200
)

// EventFilter selects events; zero fields do not filter. Newest first.
type EventFilter struct {
	Severities []Severity
	Sources    []Source
	ProjectID  string
	StageID    string
	InstanceID string
	HostID     string
	Actor      string // who did it, such as user:anna
	Text       string // in the message, case-insensitive
	From, To   time.Time
	Among      Among
}

const eventColumns = `id, time, severity, source, kind, message, project_id, stage_id, instance_id, host_id, actor, data`

func scanEvent(r row) (e Event, err error) {
	err = r.Scan(&e.ID, at{&e.Time}, &e.Severity, &e.Source, &e.Kind, &e.Message, text{&e.ProjectID}, text{&e.StageID},
		text{&e.InstanceID}, text{&e.HostID}, &e.Actor, fromJSON{&e.Data})
	return e, err
}

// Events returns a page of events, newest first (by time, then id). From and To
// belong to the range. A page may hold fewer events than asked for although more
// follow: it looks at a bounded number of them. Only an empty next is the end.
func (q queries) Events(ctx context.Context, f EventFilter, p Page) (items []Event, next string, err error) {
	c, found, err := parseCursor(p.Cursor, "events", 2, 0)
	if err != nil {
		return nil, "", err
	}
	if !found {
		c.Numbers = nil
	}
	if f.Among != nil && len(f.Among) == 0 {
		return nil, "", nil
	}
	s := f.search()
	if len(s.rest) == 0 {
		items, err = q.matching(ctx, s, c.Numbers, p.limit()+1, 0)
		if err != nil {
			return nil, "", err
		}
		items, next = cut(items, p.limit(), eventCursor)
		return items, next, nil
	}
	return q.sift(ctx, s, c.Numbers, p.limit())
}

func eventCursor(e Event) cursor {
	return cursor{List: "events", Numbers: []int64{e.Time.UnixMilli(), e.ID}}
}

// sift looks at ever more events, newest first, until a page is full, the log ends
// or enough of them were looked at.
func (q queries) sift(ctx context.Context, s eventSearch, key []int64, limit int) (items []Event, next string, err error) {
	chunk := 2 * limit
	for examined := 0; examined < maxExamined; chunk *= 4 {
		chunk = min(chunk, maxExamined-examined)
		found, err := q.matching(ctx, s, key, limit-len(items), chunk)
		if err != nil {
			return nil, "", err
		}
		items = append(items, found...)
		if len(items) >= limit {
			return items, eventCursor(items[len(items)-1]).String(), nil
		}
		end, err := q.chunkEnd(ctx, s, key, chunk)
		if err != nil || end == nil {
			return items, "", err
		}
		key, examined = end, examined+chunk
	}
	return items, cursor{List: "events", Numbers: key}.String(), nil
}

// eventSearch is a filter split into what one index answers in order (branches: one
// range of it each) and the rest, which each found event is tested for.
type eventSearch struct {
	branches [][]equals
	from, to time.Time
	rest     []equals
	text     string
}

// equals is a column that has one of some values.
type equals struct {
	column string
	values []string
}

func single(value string) []string {
	if value == "" {
		return nil
	}
	return []string{clean(value)}
}

var allSeverities = []string{string(SeverityInfo), string(SeverityWarn), string(SeverityError)}

// search picks the index of the narrowest thing that the filter names.
func (f EventFilter) search() eventSearch {
	severities, sources := plain(f.Severities), plain(f.Sources)
	var named []equals
	for _, e := range []equals{
		{"instance_id", single(f.InstanceID)},
		{"stage_id", single(f.StageID)},
		{"project_id", single(f.ProjectID)},
		{"project_id", f.Among}, // with one named above, found events are tested for it
		{"source", sources},
		{"host_id", single(f.HostID)}, // often the only one there is
	} {
		if len(e.values) > 0 {
			named = append(named, e)
		}
	}
	s := eventSearch{from: f.From, to: f.To, text: f.Text}
	if len(named) > 0 {
		s.rest = named[1:]
		if len(severities) == 0 {
			severities = allSeverities
		}
		for _, value := range named[0].values {
			for _, severity := range severities {
				s.branches = append(s.branches, []equals{{named[0].column, []string{value}}, {"severity", []string{severity}}})
			}
		}
	} else if len(severities) > 0 {
		for _, severity := range severities {
			s.branches = append(s.branches, []equals{{"severity", []string{severity}}})
		}
	} else {
		s.branches = [][]equals{nil}
	}
	if f.Actor != "" {
		s.rest = append(s.rest, equals{"actor", single(f.Actor)})
	}
	if s.text != "" {
		s.rest = append(s.rest, equals{column: "message"})
	}
	return s
}

// matching returns events after a key, newest first. With a chunk, only so many of
// those that the index finds are tested for the rest.
func (q queries) matching(ctx context.Context, s eventSearch, key []int64, want, chunk int) ([]Event, error) {
	each := chunk
	if each == 0 {
		each = want
	}
	var a arguments
	query := `SELECT ` + eventColumns + ` FROM event_log WHERE id IN (SELECT id FROM (` + s.candidates(&a, key, each) + `) AS newest ` +
		newestFirst + ` LIMIT ` + a.add(each) + `)`
	tests := make([]string, len(s.rest))
	for i, e := range s.rest {
		tests[i] = ` AND ` + s.test(&a, e)
	}
	query += strings.Join(tests, ``) + ` ` + newestFirst + ` LIMIT ` + a.add(want)
	return list(ctx, q, "search the event log", scanEvent, query, a...)
}

const newestFirst = `ORDER BY time DESC, id DESC`

func (s eventSearch) test(a *arguments, e equals) string {
	if e.column == "message" {
		return `lower(message) LIKE ` + a.add(contains(s.text)) + ` ESCAPE '\'`
	}
	// Not the bare column: the index of the branch has to lead, not one of this column.
	return `COALESCE(` + e.column + `, '') IN ` + in(a, e.values)
}

// chunkEnd returns the key of the last event of a chunk; nil when the log ends before it.
func (q queries) chunkEnd(ctx context.Context, s eventSearch, key []int64, chunk int) ([]int64, error) {
	var a arguments
	ends, err := list(ctx, q, "search the event log", func(r row) ([]int64, error) {
		end := make([]int64, 2)
		return end, r.Scan(&end[0], &end[1])
	}, `SELECT time, id FROM (`+s.candidates(&a, key, chunk)+`) AS newest `+newestFirst+` LIMIT 1 OFFSET `+a.add(chunk-1), a...)
	if err != nil || len(ends) == 0 {
		return nil, err
	}
	return ends[0], nil
}

// candidates is the SQL of the newest events of every branch after a key: each is one
// range of one index that holds all it asks for.
func (s eventSearch) candidates(a *arguments, key []int64, each int) string {
	parts := make([]string, len(s.branches))
	for i, branch := range s.branches {
		var w where
		for _, e := range branch {
			w.and(e.column + ` = ` + a.add(e.values[0]))
		}
		if len(key) == 2 {
			w.and(`(time, id) < (` + a.add(key[0]) + `, ` + a.add(key[1]) + `)`)
		}
		if !s.from.IsZero() {
			w.and(`time >= ` + a.add(s.from.UnixMilli()))
		}
		if !s.to.IsZero() {
			w.and(`time <= ` + a.add(s.to.UnixMilli()))
		}
		parts[i] = `SELECT time, id FROM (SELECT time, id FROM event_log` + w.String() + ` ` + newestFirst + ` LIMIT ` + a.add(each) +
			`) AS branch` + strconv.Itoa(i)
	}
	return strings.Join(parts, ` UNION ALL `)
}

// EventsAfter returns kept events with an id above after, oldest first: the replay of a stream.
func (q queries) EventsAfter(ctx context.Context, after int64, limit int) ([]Event, error) {
	return list(ctx, q, "read the event log", scanEvent,
		`SELECT `+eventColumns+` FROM event_log WHERE id > $1 ORDER BY id LIMIT $2`, after, Page{Limit: limit}.limit())
}

// LastEventID returns the newest id that was given; zero when there was never an event.
func (q queries) LastEventID(ctx context.Context) (int64, error) {
	return one(ctx, q, "read the newest event id", func(r row) (id int64, err error) { return id, r.Scan(&id) },
		`SELECT value FROM sequences WHERE name = 'event'`)
}

// Emit keeps events in this transaction; they are published, with ids, after the
// commit. The row that counts the ids stays locked until then, on both dialects, so
// that ids rise in the order of commits. Long messages and large data are cut. See AskedFrom for data.addr.
func (tx *Tx) Emit(ctx context.Context, events ...Event) error {
	if len(events) == 0 {
		return nil
	}
	kept := make([]Event, len(events))
	data := make([]any, len(events))
	who, _ := ctx.Value(askerKey{}).(asker)
	for i, e := range events {
		var err error
		if kept[i], data[i], err = keepable(who.fromWhere(e)); err != nil {
			return err
		}
	}
	last, err := one(ctx, tx.queries, "number the events", func(r row) (id int64, err error) { return id, r.Scan(&id) },
		`UPDATE sequences SET value = value + $1 WHERE name = 'event' RETURNING value`, len(kept))
	if err != nil {
		return tx.lose(err)
	}
	for i := range kept {
		kept[i].ID = last - int64(len(kept)-1-i)
	}
	if err := tx.insertEvents(ctx, kept, data); err != nil {
		return err
	}
	tx.events = append(tx.events, kept...)
	return nil
}

// keepable returns an event as a replay would give it, and its data as kept.
func keepable(e Event) (Event, any, error) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	e.Time = e.Time.UTC().Truncate(time.Millisecond)
	e.Message = shorten(clean(e.Message), maxMessage)
	e.Kind, e.Actor = shorten(clean(e.Kind), 128), shorten(clean(e.Actor), 256)
	if len(e.Data) == 0 {
		e.Data = nil
		return e, nil, nil
	}
	data, err := json.Marshal(e.Data)
	if err != nil {
		return e, nil, fmt.Errorf("keep event %s: %w", e.Kind, err)
	}
	if len(data) > maxData {
		short := map[string]any{"left_out_bytes": len(data)}
		if addr, said := e.Data["addr"].(string); said {
			short["addr"] = addr
		}
		e.Data = short
		if data, err = json.Marshal(e.Data); err != nil {
			return e, nil, fmt.Errorf("keep event %s: %w", e.Kind, err)
		}
	}
	return e, string(data), nil
}

// shorten cuts a text at a whole character.
func shorten(s string, limit int) string {
	const mark = "…"
	if len(s) <= limit {
		return s
	}
	end := limit - len(mark)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + mark
}

// insertEvents inserts a few rows at a time.
func (tx *Tx) insertEvents(ctx context.Context, events []Event, data []any) error {
	for len(events) > 0 {
		n := min(len(events), insertRows)
		if _, err := tx.exec(ctx, "keep events", insertEvents(n), eventRows(events[:n], data)...); err != nil {
			return err
		}
		events, data = events[n:], data[n:]
	}
	return nil
}

func eventRows(events []Event, data []any) arguments {
	a := make(arguments, 0, 12*len(events))
	for n, e := range events {
		a = append(a, e.ID, e.Time.UnixMilli(), string(e.Severity), string(e.Source), e.Kind, e.Message, optional(e.ProjectID),
			optional(e.StageID), optional(e.InstanceID), optional(e.HostID), e.Actor, data[n])
	}
	return a
}

// insertEvents is the SQL that inserts so many rows.
func insertEvents(size int) string {
	var a arguments
	rows := make([]string, size)
	for i := range rows {
		rows[i] = in(&a, make([]any, 12))
	}
	return `INSERT INTO event_log (` + eventColumns + `) VALUES ` + strings.Join(rows, `, `)
}

// PruneEvents deletes at most limit events older than before, but never the newest stale warning of an instance that is
// still stale, or that was removed and can be brought back: it is the proof that somebody was warned. What a message of the outbox
// has yet to tell, and what a rule that leads somewhere has not seen, stays too. It returns how many went.
func (tx *Tx) PruneEvents(ctx context.Context, before time.Time, limit int) (int, error) {
	return tx.exec(ctx, "prune the event log",
		`DELETE FROM event_log WHERE id IN (SELECT e.id FROM event_log e WHERE e.time < $1 AND NOT (e.kind = 'instance.stale'
			AND (EXISTS (SELECT 1 FROM instances i WHERE i.id = e.instance_id AND i.stale_since IS NOT NULL)
				OR EXISTS (SELECT 1 FROM archives a WHERE a.instance_id = e.instance_id AND a.state IN ('making', 'ready', 'restoring')))
			AND NOT EXISTS (SELECT 1 FROM event_log later WHERE later.instance_id = e.instance_id AND later.severity = e.severity
				AND later.kind = e.kind AND (later.time, later.id) > (e.time, e.id)))
			AND NOT EXISTS (SELECT 1 FROM notify_message_events n JOIN notify_messages m ON m.id = n.message_id
				WHERE n.event_id = e.id AND m.state <> 'sent')
			AND e.id <= (SELECT COALESCE(MIN(r.after_id), 9223372036854775807) FROM notify_rules r
				WHERE r.enabled = 1 AND EXISTS (SELECT 1 FROM notify_rule_channels c WHERE c.rule_id = r.id))
		ORDER BY e.time, e.id LIMIT $2)`, before.UnixMilli(), limit)
}
