package store

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// StaleSort is an order of the stale list.
type StaleSort string

// The orders of the stale list; StaleOldest (longest dead first) is the default.
const (
	StaleOldest  StaleSort = "last_alive_at"
	StaleNewest  StaleSort = "-last_alive_at"
	StaleByName  StaleSort = "project" // project, stage, name
	StaleLargest StaleSort = "-bytes"
)

// StaleFilter selects stale instances.
type StaleFilter struct {
	ProjectID   string
	StageID     string
	HostID      string
	InstanceIDs []string
	Classes     []Class
	Text        string
	Protected   *bool            // by the protection in force at Now
	Protections []ProtectionKind // the one shown at Now is one of these
	TagGoneYes  bool             // a tag that is gone from its registry does not count as protection
	Now         time.Time
	OlderThan   time.Duration // last alive longer ago than this
	Sort        StaleSort
	Among       Among
}

// staleOrder is how a sort is done: the columns of its key, numbers before texts,
// all in one direction, the last one unique.
type staleOrder struct {
	numbers, texts []string
	down           bool
	walk           string // the tables in the order to walk them in; empty: from the instances
	key            func(v InstanceView) ([]int64, []string)
}

const (
	aliveKey = `COALESCE(i.last_alive_at, 0)`
	bytesKey = `CASE WHEN i.size_at IS NULL THEN -1 ELSE i.size_rw END`
)

func aliveOf(v InstanceView) ([]int64, []string) {
	if v.LastAliveAt.IsZero() {
		return []int64{0}, []string{v.ID}
	}
	return []int64{v.LastAliveAt.UnixMilli()}, []string{v.ID}
}

func bytesOf(v InstanceView) ([]int64, []string) {
	if v.SizeAt.IsZero() {
		return []int64{-1}, []string{v.ID}
	}
	return []int64{v.SizeRw}, []string{v.ID}
}

func nameOf(v InstanceView) ([]int64, []string) {
	return nil, []string{v.Project, v.Stage, v.Name, v.ID}
}

var staleOrders = map[StaleSort]staleOrder{
	StaleOldest: {numbers: []string{aliveKey}, texts: []string{`i.id`}, key: aliveOf},
	StaleNewest: {numbers: []string{aliveKey}, texts: []string{`i.id`}, down: true, key: aliveOf},
	// SQLite keeps the order of a CROSS JOIN: by the indexes of names from the outside in, nothing is left to sort.
	StaleByName: {
		texts: []string{`p.name`, `s.name`, `i.name`, `i.id`}, key: nameOf,
		walk: ` FROM projects p CROSS JOIN stages s CROSS JOIN instances i CROSS JOIN hosts h`,
	},
	StaleLargest: {numbers: []string{bytesKey}, texts: []string{`i.id`}, down: true, key: bytesOf},
}

// after is the condition for what follows a cursor.
func (o staleOrder) after(a *arguments, c cursor) string {
	var marks []string
	for _, n := range c.Numbers {
		marks = append(marks, a.add(n))
	}
	for _, t := range c.Texts {
		marks = append(marks, a.add(t))
	}
	sign := ` >`
	if o.down {
		sign = ` <`
	}
	// SQLite looks up an index on an expression only for the first part, said by itself.
	return o.columns()[0] + sign + `= ` + marks[0] + ` AND (` + join(o.columns(), ``) + `)` + sign + ` (` + join(marks, ``) + `)`
}

func (o staleOrder) columns() []string { return append(append([]string{}, o.numbers...), o.texts...) }

func (o staleOrder) by() string {
	if o.down {
		return join(o.columns(), ` DESC`)
	}
	return join(o.columns(), ``)
}

// join lists columns, each with something behind it.
func join(parts []string, each string) string {
	return strings.Join(parts, each+", ") + each
}

// StaleInstances returns a page of the stale instances (StaleSince set, not
// removing). Total is the number that match, counted only on the first page (else -1).
func (q queries) StaleInstances(ctx context.Context, f StaleFilter, p Page) (items []InstanceView, next string, total int, err error) {
	sort := f.Sort
	if sort == "" {
		sort = StaleOldest
	}
	order, known := staleOrders[sort]
	if !known {
		return nil, "", 0, FieldError{"sort", fmt.Sprintf("must be %s, %s, %s or %s", StaleOldest, StaleNewest, StaleByName, StaleLargest)}
	}
	name := "stale:" + string(sort)
	c, found, err := parseCursor(p.Cursor, name, len(order.numbers), len(order.texts))
	if err != nil {
		return nil, "", 0, err
	}
	total = -1
	if !found {
		if total, err = q.countStale(ctx, f); err != nil {
			return nil, "", 0, err
		}
	}
	query, args := stalePage(f, order, c, found, p.limit()+1)
	if items, err = listUpTo(ctx, q, p.limit()+1, "list the stale instances", scanView, query, args...); err != nil {
		return nil, "", 0, err
	}
	items, next = cut(items, p.limit(), func(v InstanceView) cursor {
		numbers, texts := order.key(v)
		return cursor{List: name, Numbers: numbers, Texts: texts}
	})
	return items, next, total, nil
}

// staleCount remembers how many instances are stale in all, while none of them was written.
type staleCount struct {
	writes *atomic.Int64
	mu     sync.Mutex
	known  bool
	as     int64
	n      int
}

// ask returns the number, counting anew when an instance was written since.
func (c *staleCount) ask(count func() (int, error)) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	as := c.writes.Load()
	if c.known && c.as == as {
		return c.n, nil
	}
	n, err := count()
	c.known, c.as, c.n = err == nil, as, n
	return n, err
}

func (q queries) countStale(ctx context.Context, f StaleFilter) (int, error) {
	var a arguments
	w := f.where(&a)
	count := func() (int, error) { return q.count(ctx, w, a) }
	if q.counted != nil && len(a) == 0 && f.Among == nil {
		return q.counted.ask(count)
	}
	return count()
}

func (q queries) count(ctx context.Context, w where, a arguments) (int, error) {
	return one(ctx, q, "count the stale instances", func(r row) (n int, err error) { return n, r.Scan(&n) },
		`SELECT count(*) FROM instances i`+w.String(), a...)
}

// StaleUnmeasured returns stale instances with a container whose writable layer was never measured, at most n.
func (q queries) StaleUnmeasured(ctx context.Context, n int) ([]InstanceView, error) {
	return list(ctx, q, "list the stale instances of unknown size", scanView,
		`SELECT `+viewColumns+` FROM instances i`+viewJoins+` WHERE i.stale_since IS NOT NULL AND i.status <> 'removing' AND `+bytesKey+` = -1
		AND i.container_id <> '' AND i.status <> 'missing' ORDER BY i.id LIMIT $1`, n)
}

// stalePage is the SQL of one page.
func stalePage(f StaleFilter, o staleOrder, c cursor, found bool, limit int) (string, arguments) {
	var a arguments
	w := f.where(&a)
	if found {
		w.and(o.after(&a, c))
	}
	from := ` FROM instances i` + viewJoins
	if o.walk != "" {
		from, w = o.walk, append(w, `s.project_id = p.id`, `i.stage_id = s.id`, `h.id = i.host_id`)
	}
	return `SELECT ` + viewColumns + from + w.String() + ` ORDER BY ` + o.by() + ` LIMIT ` + a.add(limit), a
}

// protectionKind is the SQL of Instance.Protection's kind.
func protectionKind(now string) string {
	return `CASE WHEN i.pinned_at IS NOT NULL THEN '` + string(ProtectionPinned) + `' WHEN COALESCE(i.snoozed_until, 0) > ` + now +
		` THEN '` + string(ProtectionSnoozed) + `' WHEN i.keep_label = 1 THEN '` + string(ProtectionKeep) +
		`' WHEN i.rollback_kept = 1 THEN '` + string(ProtectionRollback) + `' WHEN i.tag_gone_since IS NOT NULL THEN '` +
		string(ProtectionTagGone) + `' ELSE '' END`
}

func (f StaleFilter) where(a *arguments) where {
	w := where{`i.stale_since IS NOT NULL`, `i.status <> 'removing'`}
	w = append(w, about(a, f.ProjectID, f.StageID, "")...)
	f.Among.and(&w, a, `i.project_id`)
	if f.HostID != "" { // said so that it is no index's: most of what is stale is on one host, and a page must not sort it all
		w.and(`i.host_id || '' = ` + a.add(f.HostID))
	}
	if len(f.InstanceIDs) > 0 {
		w.and(`i.id IN ` + in(a, plain(f.InstanceIDs)))
	}
	if len(f.Classes) > 0 {
		w.and(`i.class IN ` + in(a, plain(f.Classes)))
	}
	if f.Text != "" {
		w.and(hasText(a, f.Text))
	}
	if f.Protected != nil {
		protected := `(i.pinned_at IS NOT NULL OR COALESCE(i.snoozed_until, 0) > ` + a.add(f.Now.UnixMilli()) + ` OR i.keep_label = 1
			OR i.rollback_kept = 1`
		if !f.TagGoneYes {
			protected += ` OR i.tag_gone_since IS NOT NULL`
		}
		protected += `)`
		if !*f.Protected {
			protected = `NOT ` + protected
		}
		w.and(protected)
	}
	if len(f.Protections) > 0 {
		w.and(protectionKind(a.add(f.Now.UnixMilli())) + ` IN ` + in(a, plain(f.Protections)))
	}
	if f.OlderThan > 0 {
		w.and(aliveKey + ` < ` + a.add(f.Now.Add(-f.OlderThan).UnixMilli()))
	}
	return w
}
