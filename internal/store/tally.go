package store

import (
	"maps"
	"sync"
)

// Counts are what was committed since this process opened the store. They only rise.
type Counts struct {
	Items   map[CleanupResult]int64 // of plans, by what became of them; one that was written twice counts twice
	Deploys map[DeployState]int64   // by how they ended
}

// Counts tells what was committed since the store was opened.
func (db *DB) Counts() Counts { return db.tally.read() }

// counts are those of one transaction.
type counts struct {
	items   []CleanupResult
	deploys []DeployState
}

func (c *counts) item(r CleanupResult) { c.items = append(c.items, r) }

// deploy counts a deploy that was written, if it has ended.
func (c *counts) deploy(d Deploy, err error) {
	if err == nil && d.State.Ended() {
		c.deploys = append(c.deploys, d.State)
	}
}

// tally is the sum of what was committed.
type tally struct {
	mu      sync.Mutex
	items   map[CleanupResult]int64
	deploys map[DeployState]int64
}

func (t *tally) add(c counts) {
	if len(c.items)+len(c.deploys) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.items == nil {
		t.items, t.deploys = map[CleanupResult]int64{}, map[DeployState]int64{}
	}
	for _, r := range c.items {
		t.items[r]++
	}
	for _, s := range c.deploys {
		t.deploys[s]++
	}
}

func (t *tally) read() Counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Counts{Items: maps.Clone(t.items), Deploys: maps.Clone(t.deploys)}
}
