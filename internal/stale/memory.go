package stale

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// memory is what the scanner remembers of one host between its passes, so that a pass over ten thousand
// known containers costs two lists and no more. One holder at a time: a scan, or a batch of events.
type memory struct {
	hostID string
	turn   chan struct{}

	byID       map[string]*entry
	loaded     bool
	thresholds string // those that the rows were read with

	scanned  atomic.Bool // a pass of this process has begun
	booted   bool        // one has ended well
	toldDown bool        // the time that we were down is in the ledger
	checked  clocks
	suspect  *suspicion
	accepted bool // an admin takes the next mass change as true

	stream *stream
}

// entry is one instance of the host.
type entry struct {
	view store.InstanceView
	// gen is the generation of the event stream in which the row is the whole truth; 0: it is not known to be.
	gen     int
	run     run
	pending []docker.Event // told, but not yet folded
	due     time.Time      // when it must be inspected; zero: it need not be
	asked   time.Time      // last inspect by the watcher
}

// judged reports whether the instance is ours to judge now: it has a container, and no deploy or removal is at it.
func (e *entry) judged() bool { return e.view.ContainerID != "" && !e.atWork() }

// atWork reports whether a deploy or a removal is at it.
func (e *entry) atWork() bool {
	return e.view.Status.Deploying() || e.view.Status == store.StatusRemoving
}

// knownUntil is the moment up to which everything that happened to the instance is known, when the stream
// was not whole, or not known to be.
func (e *entry) knownUntil(m *memory, host store.Host) time.Time {
	if gen, until := m.stream.wholeUntil(); gen != 0 && gen == e.gen {
		return until
	}
	// Rows that nothing happened to are not written by each good scan; it vouches for them all the same.
	if !m.booted && e.view.CheckError == "" && !e.view.CheckedAt.IsZero() && host.LastGoodScan.After(e.view.CheckedAt) {
		return host.LastGoodScan
	}
	return e.view.CheckedAt
}

// memory of a host, made at first use.
func (s *Scanner) memory(hostID string) *memory {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, ok := s.hosts[hostID]
	if !ok {
		m = &memory{hostID: hostID, turn: make(chan struct{}, 1), byID: map[string]*entry{}, stream: newStream(s.db.InstallationID())}
		s.hosts[hostID] = m
	}
	return m
}

// take waits for one's turn; release must follow.
func (m *memory) take(ctx context.Context) error {
	select {
	case m.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (m *memory) release() {
	m.planNext()
	<-m.turn
}

// planNext notes when the next instance is due to be looked at.
func (m *memory) planNext() {
	var next time.Time
	for _, e := range m.byID {
		if !e.due.IsZero() && (next.IsZero() || e.due.Before(next)) {
			next = e.due
		}
	}
	m.stream.plan(next)
}

// refresh brings the rows up to what the store holds: all of them when thresholds or names changed, else those
// whose revision moved.
func (m *memory) refresh(ctx context.Context, db *store.DB, settings store.Settings) error {
	thresholds, err := thresholdsOf(ctx, db, settings)
	if err != nil {
		return err
	}
	if m.loaded && thresholds == m.thresholds {
		err = m.refreshMoved(ctx, db)
	} else {
		err = m.refreshAll(ctx, db)
	}
	if err != nil {
		return fmt.Errorf("read the instances: %w", err)
	}
	m.loaded, m.thresholds = true, thresholds
	return nil
}

// thresholdsOf writes down all that a row's threshold and names depend on.
func thresholdsOf(ctx context.Context, db *store.DB, settings store.Settings) (string, error) {
	type named struct {
		ID, Name string
		After    *store.StaleAfter
	}
	all := []named{{ID: fmt.Sprint(settings.StaleThresholdDays)}}
	for cursor := ""; ; {
		projects, next, err := db.Projects(ctx, store.Page{Limit: 1000, Cursor: cursor})
		if err != nil {
			return "", fmt.Errorf("read the thresholds of projects: %w", err)
		}
		for _, p := range projects {
			all = append(all, named{p.ID, p.Name, p.StaleAfter})
		}
		if cursor = next; cursor == "" {
			break
		}
	}
	stages, err := db.Stages(ctx, "")
	if err != nil {
		return "", fmt.Errorf("read the thresholds of stages: %w", err)
	}
	for _, s := range stages {
		all = append(all, named{s.ID, s.Name, s.StaleAfter})
	}
	text, err := json.Marshal(all)
	if err != nil {
		return "", fmt.Errorf("compare the thresholds: %w", err)
	}
	return string(text), nil
}

func (m *memory) refreshAll(ctx context.Context, db *store.DB) error {
	views, err := db.InstancesOfHost(ctx, m.hostID)
	if err != nil {
		return err
	}
	found := make(map[string]bool, len(views))
	for _, v := range views {
		found[v.ID] = true
		m.put(v)
	}
	m.forgetBut(found)
	return nil
}

func (m *memory) refreshMoved(ctx context.Context, db *store.DB) error {
	revisions, err := db.InstanceRevisions(ctx, m.hostID)
	if err != nil {
		return err
	}
	found := make(map[string]bool, len(revisions))
	for _, r := range revisions {
		found[r.ID] = true
		if e, ok := m.byID[r.ID]; ok && e.view.Revision == r.Revision && e.view.Status == r.Status {
			continue
		}
		if err := m.reload(ctx, db, r.ID); err != nil {
			return err
		}
	}
	m.forgetBut(found)
	return nil
}

// reload reads one row anew; it is forgotten if it has gone.
func (m *memory) reload(ctx context.Context, db *store.DB, id string) error {
	v, err := db.Instance(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		m.forget(id)
		return nil
	}
	if err != nil {
		return err
	}
	m.put(v)
	return nil
}

func (m *memory) put(v store.InstanceView) *entry {
	e, ok := m.byID[v.ID]
	if !ok {
		e = &entry{}
		m.byID[v.ID] = e
	}
	if e.view.ContainerID != v.ContainerID {
		m.stream.unfollow(e.view.ContainerID)
		e.gen, e.run = 0, run{}
	}
	if e.view.Status != v.Status {
		e.gen = 0 // somebody else moved it: what they saw is not what we saw
	}
	e.view = v
	m.stream.follow(v.ContainerID, v.ID)
	return e
}

func (m *memory) forget(id string) {
	if e, ok := m.byID[id]; ok {
		m.stream.unfollow(e.view.ContainerID)
		delete(m.byID, id)
	}
}

func (m *memory) forgetBut(found map[string]bool) {
	if len(found) == len(m.byID) {
		return
	}
	for id := range m.byID {
		if !found[id] {
			m.forget(id)
		}
	}
}

// doubt makes the next pass ask about everybody again.
func (m *memory) doubt() {
	for _, e := range m.byID {
		e.gen = 0
	}
}
