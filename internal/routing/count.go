package routing

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/proxy"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	keepEvery   = 10 * time.Second
	keepTimeout = 5 * time.Second
)

// Counts are the figures of a proxy.
type Counts interface {
	TakeCounts() []proxy.Count
	PutBack(counts []proxy.Count)
	PendingCounts() []proxy.Count
}

// Counter keeps how often requests came, over restarts: what a proxy has counted goes to the store in batches. When nobody came
// nothing is written.
type Counter struct {
	db   *store.DB
	from Counts
	log  *slog.Logger

	moving sync.RWMutex // held while figures are neither with the proxy nor in the store

	mu   sync.Mutex
	kept map[proxy.Kind]proxy.Totals // since the start
}

// NewCounter returns one; it starts nothing.
func NewCounter(db *store.DB, from Counts, log *slog.Logger) *Counter {
	return &Counter{db: db, from: from, log: log}
}

// Run keeps the figures until ctx ends. What came after the last time is for Keep, when nobody can come any more.
func (c *Counter) Run(ctx context.Context) error {
	ticker := time.NewTicker(keepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := c.Keep(ctx); err != nil && ctx.Err() == nil {
				c.log.ErrorContext(ctx, "how often requests came was not kept, and is tried again", "error", err)
			}
		}
	}
}

// Keep writes what was counted since the last time, also when ctx has ended.
func (c *Counter) Keep(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepTimeout)
	defer cancel()
	c.moving.Lock()
	defer c.moving.Unlock()
	taken := c.from.TakeCounts()
	if len(taken) == 0 {
		return nil
	}
	totals := map[string]store.RequestCount{}
	for _, count := range taken {
		add(totals, count)
	}
	list := make([]store.RequestCount, 0, len(totals))
	for _, total := range totals {
		list = append(list, total)
	}
	if err := c.db.Update(ctx, func(tx *store.Tx) error { return tx.AddRequests(ctx, list) }); err != nil {
		c.from.PutBack(taken)
		return fmt.Errorf("keep how often requests came: %w", err)
	}
	c.sumUp(taken)
	return nil
}

func (c *Counter) sumUp(taken []proxy.Count) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept == nil {
		c.kept = map[proxy.Kind]proxy.Totals{}
	}
	for _, count := range taken {
		kind := kindOf(count)
		t := c.kept[kind]
		c.kept[kind] = proxy.Totals{Requests: t.Requests + count.Requests, Errors: t.Errors + count.Errors}
	}
}

// kindOf is whom a count belongs to. A proxy that does not say it yet has counted what has an instance as its target for a route.
func kindOf(count proxy.Count) proxy.Kind {
	switch {
	case count.Kind != "":
		return count.Kind
	case count.Ref != "":
		return proxy.KindRoute
	}
	return proxy.KindProxy
}

// Totals are what was kept since the start, by the kind of rule. They only rise, whoever has counted: what a proxy holds still is not in
// them, for it may be lost with it, and what it counted while nobody took it is.
func (c *Counter) Totals() map[proxy.Kind]proxy.Totals {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.kept)
}

// Of returns what was counted of some routes, standalone proxies or instances up to now.
func (c *Counter) Of(ctx context.Context, ids ...string) (map[string]store.RequestCount, error) {
	c.moving.RLock()
	defer c.moving.RUnlock()
	totals, err := c.db.RequestCounts(ctx, ids...)
	if err != nil {
		return nil, err
	}
	for _, count := range c.from.PendingCounts() {
		add(totals, count)
	}
	return totals, nil
}

// add counts what came by a rule for the rule, and for the instance to which it led.
func add(totals map[string]store.RequestCount, count proxy.Count) {
	for _, id := range []string{count.Rule, instanceOf(count.Ref)} {
		if id == "" {
			continue
		}
		t := totals[id]
		t.ID, t.Requests, t.Errors = id, t.Requests+count.Requests, t.Errors+count.Errors
		if count.Last.After(t.LastAt) {
			t.LastAt = count.Last
		}
		totals[id] = t
	}
}

// instanceOf is the instance in the name of a target; empty: it is none.
func instanceOf(ref string) string {
	rest, ok := strings.CutPrefix(ref, instanceScheme)
	if !ok {
		return ""
	}
	id, _, _ := strings.Cut(rest, ":")
	return id
}
