package stale

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/guard"
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
	writes     int64  // the store's count of writes to instances that the rows are up to
	touched    time.Time

	scanned  atomic.Bool // a pass of this process has begun
	booted   bool        // one has ended well
	toldDown bool        // the time that we were down is in the ledger
	leapt    bool        // our clock was set since this process began
	dated    bool        // since the clock was last set, nothing of the host is dated ahead
	checked  clocks
	suspect  *suspicion
	accepted *time.Duration // when (counted) an admin took what is lost now as lost

	stream *stream
}

// entry is one instance of the host.
type entry struct {
	view store.InstanceView
	// ripe is the last moment (engine's clock) at which it is not stale yet, if nothing happens; zero: it never will be.
	ripe time.Time
	// gen is the generation of the event stream in which the row is the whole truth; 0: it is not known to be.
	gen     int
	run     run
	pending []docker.Event // told, but not yet folded
	due     time.Time      // when it must be inspected; zero: it need not be
	asked   time.Time      // last inspect by the watcher
}

// foresee works out when the instance will be stale, so that each scan need only look at the clock. It holds
// for moments at which its last sign of life is believable.
func (e *entry) foresee() {
	e.ripe = time.Time{}
	last := e.view.LastAliveAt
	p := PolicyOf(e.view.StaleAfter)
	if !p.Never && exempt(FactsOf(e.view.Instance, last), p, last) == "" {
		e.ripe = last.Add(p.Threshold)
	}
}

// stale is Judge's verdict on what is remembered.
func (e *entry) stale(at time.Time) bool { return !e.ripe.IsZero() && at.After(e.ripe) }

// judged reports whether the instance is ours to judge now: it has a container, and no deploy or removal is at it.
func (e *entry) judged() bool { return e.view.ContainerID != "" && !e.atWork() }

// atWork reports whether a deploy or a removal is at it.
func (e *entry) atWork() bool {
	return e.view.Status.Deploying() || e.view.Status == store.StatusRemoving
}

// knownUntil is the moment up to which everything that happened to the instance is known, when the stream
// was not whole, or not known to be; at is the engine's clock. What was written while the clock ran ahead vouches for nothing.
func (e *entry) knownUntil(m *memory, host store.Host, at time.Time) time.Time {
	if gen, until := m.stream.wholeUntil(); gen != 0 && gen == e.gen {
		return believed(until, at)
	}
	// Rows that nothing happened to are not written by each good scan, nor while events are watched; both
	// vouch for them all the same.
	checked := believed(e.view.CheckedAt, at)
	if until := lastKnown(host, at); !m.booted && e.view.CheckError == "" && !checked.IsZero() && until.After(checked) {
		return until
	}
	return checked
}

// lastKnown is the newest moment by now at which a host was judged, or up to which its events were watched.
func lastKnown(host store.Host, now time.Time) time.Time {
	return laterOf(believed(host.LastGoodScan, now), believed(host.WatchedUntil, now))
}

// bornSince reports whether a row was made after the stream of events began: all that happened to it was heard.
func (e *entry) bornSince(began, at time.Time) bool {
	return believed(e.view.CreatedAt, at).After(began)
}

// watchedUntil is the moment up to which everything that happened on the host is in its rows: none while something
// that was told waits, or a row is not known to be the whole truth.
func (m *memory) watchedUntil() (until time.Time, ok bool) {
	gen, until := m.stream.caughtUp()
	if gen == 0 || !m.loaded {
		return time.Time{}, false
	}
	for _, e := range m.byID {
		if len(e.pending) > 0 || e.judged() && e.view.CheckError == "" && e.gen != gen && e.view.Status != store.StatusMissing {
			return time.Time{}, false
		}
	}
	return until, true
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

// ForgetRemoved drops what is remembered of hosts that were removed: their ids never come back.
func (s *Scanner) ForgetRemoved(ctx context.Context) error {
	hosts, err := s.db.Hosts(ctx)
	if err != nil {
		return fmt.Errorf("read the hosts: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.hosts, func(id string, _ *memory) bool {
		return !slices.ContainsFunc(hosts, func(h store.Host) bool { return h.ID == id })
	})
	return nil
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

// soundly carries out work on what is remembered. After a panic everything is read and asked anew: what was half folded was not seen.
func (m *memory) soundly(log *slog.Logger, what string, work func() error) error {
	err := guard.Do(log, what, work)
	if _, panicked := errors.AsType[*guard.Panic](err); panicked {
		m.loaded = false
		m.doubt()
	}
	return err
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
	writes := db.InstanceWrites() // before they are read, so that a write beside us is seen next time
	switch {
	case !m.loaded || thresholds != m.thresholds:
		err = m.refreshAll(ctx, db)
	case writes != m.writes:
		err = m.refreshMoved(ctx, db)
	}
	if err != nil {
		return fmt.Errorf("read the instances: %w", err)
	}
	m.loaded, m.thresholds, m.writes = true, thresholds, writes
	return nil
}

// account takes our own write for what it is: unless somebody else wrote as well, the rows are still up to date.
func (m *memory) account(db *store.DB, wrote bool) {
	if wrote && m.loaded && db.InstanceWrites() == m.writes+1 {
		m.writes++
	}
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

// sighted does to what is remembered what TouchRunning has done to the rows.
func (m *memory) sighted(at time.Time, w *write) {
	except := make(map[string]bool, len(w.except))
	for _, id := range w.except {
		except[id] = true
	}
	at = stamp(at)
	for id, e := range m.byID {
		last := e.view.LastAliveAt
		if !isAlive(e.view.Instance) || except[id] || w.lost[id] || !last.Before(at) && validTime(last, at) {
			continue
		}
		e.view.LastAliveAt, e.view.Evidence, e.view.UpperBound = at, store.EvidenceObserved, false
	}
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
	e.foresee()
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
