package stale

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	// beatEvery is how often it is noted that the stream is whole, so that a break later is known to have begun after that.
	beatEvery = 5 * time.Second
	// keepBeatEvery is how often it is written down, for the daemon that comes after us.
	keepBeatEvery = 30 * time.Second
	// lastBeat bounds the last such note as we end.
	lastBeat = 2 * time.Second
	// beatLag is how late an event may arrive.
	beatLag = 2 * time.Second
	// gather is how long events are gathered, so that a burst is one transaction.
	gather = 100 * time.Millisecond
	// lookEvery is how often one instance is inspected at most, however often it starts and dies.
	lookEvery = time.Second
	// busyRetry is when an instance is looked at again that a deploy or a removal is at.
	busyRetry = 2 * time.Second
	// startGrace is how long a host may take until its events are heard, before it is scanned without: then it is written down
	// that it cannot be judged.
	startGrace = 10 * time.Second
	// blindRetry is when a host is scanned again that could not be judged.
	blindRetry = time.Minute
	// pendingLimit bounds the events kept of one instance; an inspect tells the rest.
	pendingLimit = 64
)

// Watch keeps last_alive_at and status live between scans from the engines' event streams, until ctx ends.
// After each gap it does one full scan (trigger "gap"; "start" for the first of a process). It follows the fleet: each
// host is watched as long as it is in it, by itself.
func (s *Scanner) Watch(ctx context.Context) error {
	if err := s.fleet.Follow(ctx, s.watchHost); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// Follow has a container watched from now on that an instance has just become without a deploy, and its host looked at once: its
// events carry no label by which they could be known as ours. It does not wait.
func (s *Scanner) Follow(hostID, containerID, instanceID string) {
	m := s.memory(hostID)
	m.stream.follow(containerID, instanceID)
	m.stream.poke()
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *Scanner) watchHost(ctx context.Context, hostID string, engine *docker.Engine) error {
	m := s.memory(hostID)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return engine.Watch(ctx, func(ev docker.Event) {
			m.stream.handle(ev)
			if s.overheard != nil {
				s.overheard(hostID, ev)
			}
		})
	})
	g.Go(func() error {
		w := &watcher{s: s, m: m, engine: engine, retryAt: time.Now().Add(startGrace)}
		return w.run(ctx)
	})
	return g.Wait()
}

// watcher turns the events of one host into rows.
type watcher struct {
	s       *Scanner
	m       *memory
	engine  *docker.Engine
	retryAt time.Time // of a scan that was blind, or of what could not be folded
	keptAt  time.Time // when it was last written down until when we watched
}

// run waits for something to do and does it, until ctx ends. No fault of engine or store ends it: what could
// not be done is done by a later scan.
func (w *watcher) run(ctx context.Context) error {
	for {
		if err := w.wait(ctx); err != nil {
			w.leave(ctx)
			return err
		}
		w.beat()
		if w.scanDue() {
			w.scan(ctx)
		}
		if err := w.flush(ctx); err != nil && ctx.Err() == nil {
			w.s.log.ErrorContext(ctx, "events were not written", "host_id", w.m.hostID, "error", err)
			w.scanSoon()
			if err := pause(ctx, lookEvery); err != nil {
				return err
			}
		}
		if time.Since(w.keptAt) < keepBeatEvery {
			continue
		}
		if err := w.keepBeat(ctx); err != nil && ctx.Err() == nil {
			w.s.log.ErrorContext(ctx, "it was not written down that the host is watched", "host_id", w.m.hostID, "error", err)
		}
	}
}

// wait ends when there is news, something is due, or it is time for a beat.
func (w *watcher) wait(ctx context.Context) error {
	t := time.NewTimer(w.untilDue())
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	case <-w.m.stream.news:
		return pause(ctx, gather)
	}
}

func (w *watcher) untilDue() time.Duration {
	next := beatEvery
	if at := w.m.stream.nextDue(); !at.IsZero() {
		next = min(next, time.Until(at))
	}
	if !w.retryAt.IsZero() {
		next = min(next, time.Until(w.retryAt))
	}
	return max(next, time.Millisecond)
}

// beat notes that the stream is whole.
func (w *watcher) beat() {
	if gen, whole := w.m.stream.state(w.engine); whole && w.m.stream.knows(gen) {
		now := w.engine.Now().UTC()
		w.m.stream.confirm(gen, now.Add(-beatLag), now)
	}
}

// keepBeat writes down until when we watched: a daemon that comes back knows nothing from then on, and
// need not doubt what it knew before.
func (w *watcher) keepBeat(ctx context.Context) error {
	if err := w.m.take(ctx); err != nil {
		return fmt.Errorf("wait for the scan under way: %w", err)
	}
	defer w.m.release()
	until, ok := w.m.watchedUntil()
	if !ok {
		return nil
	}
	w.keptAt = time.Now()
	return w.s.db.Update(ctx, func(tx *store.Tx) error { return tx.SetWatchedUntil(ctx, w.m.hostID, until) })
}

// leave is keepBeat as the daemon ends.
func (w *watcher) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastBeat)
	defer cancel()
	if err := w.keepBeat(ctx); err != nil {
		w.s.log.WarnContext(ctx, "it was not written down until when the host was watched", "host_id", w.m.hostID, "error", err)
	}
}

func (w *watcher) scanDue() bool {
	gap, poked := w.m.stream.takeWish()
	return gap || poked || !w.retryAt.IsZero() && !time.Now().Before(w.retryAt)
}

// scan looks at everything once; if it is blind it is tried again.
func (w *watcher) scan(ctx context.Context) {
	trigger := triggerGap
	if !w.m.scanned.Load() {
		trigger = triggerStart
	}
	_, err := w.s.scanHost(ctx, w.m.hostID, trigger, "")
	w.retryAt = time.Time{}
	if err == nil || ctx.Err() != nil {
		return
	}
	w.retryAt = time.Now().Add(blindRetry)
	if !errors.Is(err, ErrBlind) { // a blind one has said so itself
		w.s.log.ErrorContext(ctx, "scan after a gap", "host_id", w.m.hostID, "error", err)
	}
}

// scanSoon has everything looked at although no gap asks for it: events were left that nobody folds any more.
func (w *watcher) scanSoon() {
	if w.retryAt.IsZero() {
		w.retryAt = time.Now().Add(blindRetry)
	}
}

// flush folds the events that came into their instances, inspects those, and writes it in one transaction.
func (w *watcher) flush(ctx context.Context) error {
	if !w.m.stream.waiting() {
		return nil
	}
	if err := w.m.take(ctx); err != nil {
		return fmt.Errorf("wait for the scan under way: %w", err)
	}
	defer w.m.release()
	return w.m.soundly(w.s.log, "fold events", func() error { return w.fold(ctx) })
}

// fold is flush in its turn.
func (w *watcher) fold(ctx context.Context) error {
	events := w.m.stream.takeEvents()
	gen, whole := w.m.stream.state(w.engine)
	if !w.m.stream.knows(gen) || w.clockIsOff() {
		// Not known to be our engine, or its clock tells no time: a scan that can judge will look at everything.
		w.m.doubt()
		w.scanSoon()
		for _, e := range w.m.byID {
			e.pending, e.due = nil, time.Time{}
		}
		return nil
	}
	if err := w.sort(ctx, events); err != nil {
		w.m.doubt()
		return err
	}
	due, err := w.due(ctx)
	if err != nil {
		return err
	}
	if len(due) == 0 {
		return nil
	}
	return w.write(ctx, due, gen, whole)
}

func (w *watcher) clockIsOff() bool {
	skew, known := w.engine.Skew()
	return known && skew.Abs() > clockTolerance
}

// sort hands each event to its instance.
func (w *watcher) sort(ctx context.Context, events []docker.Event) error {
	for _, ev := range events {
		e, err := w.entryOf(ctx, ev.ContainerID)
		if err != nil {
			return err
		}
		if e == nil {
			continue
		}
		if len(e.pending) < pendingLimit {
			e.pending = append(e.pending, ev)
		}
		if e.due.IsZero() || e.due.After(time.Now()) {
			e.due = laterOf(time.Now(), e.asked.Add(lookEvery))
		}
	}
	return nil
}

func laterOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// entryOf is the instance that a container is; nil for one that has no row (yet, or any more).
func (w *watcher) entryOf(ctx context.Context, containerID string) (*entry, error) {
	if id, ok := w.m.stream.instanceOf(containerID); ok {
		if e, ok := w.m.byID[id]; ok {
			return e, nil
		}
	}
	v, err := w.s.db.InstanceByContainer(ctx, w.m.hostID, containerID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil //nolint:nilnil // no instance and no error: the container is a stranger
	}
	if err != nil {
		return nil, fmt.Errorf("find whose event it is: %w", err)
	}
	return w.m.put(v), nil
}

// due returns those to be looked at now, their rows read afresh. Those that a deploy or a removal is at wait
// until it has ended.
func (w *watcher) due(ctx context.Context) ([]*entry, error) {
	now := time.Now()
	var due []*entry
	for id, e := range w.m.byID {
		if e.due.IsZero() || e.due.After(now) {
			continue
		}
		if err := w.m.reload(ctx, w.s.db, id); err != nil {
			return nil, fmt.Errorf("read whose event it is: %w", err)
		}
		if _, there := w.m.byID[id]; !there {
			continue
		}
		if e.atWork() {
			e.due = now.Add(busyRetry)
			continue
		}
		due = append(due, e)
	}
	return due, nil
}

// write folds, inspects and writes those that are due.
func (w *watcher) write(ctx context.Context, due []*entry, gen int, whole bool) error {
	now := time.Now().UTC()
	folded := make(map[string]store.Instance, len(due))
	var ask []*entry
	for _, e := range due {
		next, gone := e.view.Instance, false
		for _, ev := range e.pending {
			next, e.run = told(next, e.run, ev)
			gone = ev.Action == "destroy"
		}
		e.pending, e.due, e.asked = nil, time.Time{}, time.Now()
		folded[e.view.ID] = next
		if !gone && e.view.ContainerID != "" {
			ask = append(ask, e)
		}
	}
	looks, b := inspectAll(ctx, w.engine, ask)
	if b == nil {
		b = w.stillThere(ctx, looks)
	}
	if b != nil {
		// What the events told is true all the same; a scan looks at the rest.
		w.s.log.WarnContext(ctx, "inspects after events", "host_id", w.m.hostID, "detail", b.detail)
		w.scanSoon()
		looks, whole = nil, false
	}
	batch := &write{host: w.m.hostID, at: w.engine.Now().UTC(), seen: map[string]seen{}}
	for _, e := range due {
		next := folded[e.view.ID]
		a, looked := looks[e.view.ID]
		s := seen{answer: a}
		if looked {
			until := a.at
			if !whole || e.gen != gen && !e.bornSince(w.m.stream.since(), a.at) {
				until = e.knownUntil(w.m, store.Host{}, a.at)
			}
			next = fold(next, a, until)
		}
		if whole && (!looked && next.Status == store.StatusMissing || looked && (a.err == nil || a.gone())) {
			s.gen = gen
		}
		if looked {
			batch.seen[e.view.ID] = s
		}
		batch.add(revive(e, next, now), false)
		if !looked && next.Status != store.StatusMissing {
			e.gen = 0
		}
	}
	return w.commit(ctx, batch)
}

// stillThere asks who answered, if it said of anything that it is gone: another engine may have come
// up behind the socket since the events came.
func (w *watcher) stillThere(ctx context.Context, looks map[string]answer) *blindness {
	if !anyGone(looks) {
		return nil
	}
	host, err := w.s.db.Host(ctx, w.m.hostID)
	if err != nil {
		return unreachable(fmt.Errorf("read what is known of the host: %w", err))
	}
	info, err := w.engine.Info(ctx)
	if err != nil {
		return unreachable(err)
	}
	return otherEngine(host, info)
}

func (w *watcher) commit(ctx context.Context, batch *write) error {
	if len(batch.changes) > 0 {
		if err := batch.commit(ctx, w.s.db, nil); err != nil {
			w.m.doubt()
			return fmt.Errorf("write what events told: %w", err)
		}
	}
	batch.remember(w.m, w.s.db)
	for id := range batch.lost {
		if e, ok := w.m.byID[id]; ok {
			e.due = time.Now().Add(busyRetry)
		}
	}
	return nil
}
