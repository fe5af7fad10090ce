package stale

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/guard"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	inspectsAtOnce = 8
	inspectTimeout = 10 * time.Second
	// hungAfter is how many inspects in a row may hang before it is the engine that hangs, not one container.
	hungAfter = 3 * inspectsAtOnce
)

// What starts a scan.
const (
	triggerStart  = "start"
	triggerGap    = "gap"
	triggerManual = "manual"
)

// Scanner finds what is stale. One pass of one host: facts in, verdicts out, one write transaction.
type Scanner struct {
	db    *store.DB
	fleet *docker.Fleet
	log   *slog.Logger
	// began is where monotonic time is counted from; wall is the clock that people may turn.
	began time.Time
	wall  func() time.Time
	// strayAge is that of the package, but for tests on engines whose clock nobody turns.
	strayAge time.Duration
	// overheard is told every event of every host, also of containers that are not ours; nil: nobody is.
	overheard func(hostID string, ev docker.Event)

	mu    sync.Mutex
	hosts map[string]*memory
}

// NewScanner joins its parts; it starts nothing.
func NewScanner(db *store.DB, fleet *docker.Fleet, log *slog.Logger) *Scanner {
	return &Scanner{db: db, fleet: fleet, log: log, began: time.Now(), wall: time.Now, strayAge: strayAge, hosts: map[string]*memory{}}
}

// OverhearBy sets who is told every event of every host as well. It must not wait for anything. Set before Watch.
func (s *Scanner) OverhearBy(tell func(hostID string, ev docker.Event)) { s.overheard = tell }

// Interval is the time between scheduled scans now in force.
func (s *Scanner) Interval(ctx context.Context) (time.Duration, error) {
	settings, err := s.db.Settings(ctx)
	if err != nil {
		return 0, fmt.Errorf("read the scan interval: %w", err)
	}
	if settings.ScanInterval > 0 {
		return settings.ScanInterval, nil
	}
	smallest, err := s.db.SmallestThreshold(ctx)
	if err != nil {
		return 0, fmt.Errorf("derive the scan interval: %w", err)
	}
	return autoInterval(smallest), nil
}

// Scan looks at every host (or the one named) once. It goes on after an error of one host and
// returns the runs together with the joined errors. Two scans of one host never overlap: the second waits.
func (s *Scanner) Scan(ctx context.Context, hostID, trigger string) ([]store.ScanRun, error) {
	return s.scan(ctx, hostID, trigger, "")
}

// ScanFor is a scan that somebody asks for. Each host that it looks at leaves an event of who that was.
func (s *Scanner) ScanFor(ctx context.Context, hostID, actor string) ([]store.ScanRun, error) {
	return s.scan(ctx, hostID, triggerManual, actor)
}

func (s *Scanner) scan(ctx context.Context, hostID, trigger, actor string) ([]store.ScanRun, error) {
	ids := s.fleet.HostIDs()
	if hostID != "" {
		ids = []string{hostID}
	}
	runs, errs := make([]store.ScanRun, len(ids)), make([]error, len(ids))
	var g guard.Group
	for i, id := range ids { // all at once: one that hangs takes nobody's turn
		g.Go(func() { runs[i], errs[i] = s.scanHost(ctx, id, trigger, actor) })
	}
	g.Wait()
	done := slices.DeleteFunc(runs, func(r store.ScanRun) bool { return r.ID == "" })
	return done, errors.Join(errs...)
}

func (s *Scanner) scanHost(ctx context.Context, hostID, trigger, actor string) (store.ScanRun, error) {
	m, engine, err := s.turnAt(ctx, hostID)
	if err != nil {
		return store.ScanRun{}, fmt.Errorf("scan host %s: %w", hostID, err)
	}
	defer m.release()
	m.scanned.Store(true)
	p := newPass(s, m, engine, trigger)
	p.actor = actor
	if err := m.soundly(s.log, "scan", func() error { return p.run(ctx) }); err != nil {
		return p.scan, fmt.Errorf("scan host %s: %w", hostID, err)
	}
	return p.scan, nil
}

// turnAt waits for the turn at a host in use. Its engine is the one that is in use then: while somebody waits, an admin may
// have changed how the host is reached. release must follow.
func (s *Scanner) turnAt(ctx context.Context, hostID string) (*memory, *docker.Engine, error) {
	if _, err := s.fleet.Engine(hostID); err != nil {
		return nil, nil, err
	}
	m := s.memory(hostID)
	if err := m.take(ctx); err != nil {
		return nil, nil, fmt.Errorf("wait for the scan before: %w", err)
	}
	engine, err := s.fleet.Engine(hostID)
	if err != nil {
		m.release()
		return nil, nil, err
	}
	return m, engine, nil
}

// pass is one scan of one host.
type pass struct {
	s      *Scanner
	m      *memory
	engine *docker.Engine
	scan   store.ScanRun
	actor  string // who asked for it; empty: nobody

	host  store.Host
	info  docker.Info
	limit int // share of the host that may be lost at once, in percent
	// behind is the newest moment in the event log, where our clock seems to be behind it.
	behind time.Time
	gen    int  // of the event stream when the pass began
	whole  bool // the stream was whole then

	at      time.Time // engine's clock, before it was asked for its lists
	listed  map[string]docker.State
	running int               // in the list
	strays  []docker.Summary  // in the list, with our label, and of no row
	looks   map[string]answer // by instance id
	held    map[string]bool   // instances whose loss is believed although many were lost at once
}

func newPass(s *Scanner, m *memory, engine *docker.Engine, trigger string) *pass {
	gen, whole := m.stream.state(engine)
	return &pass{
		s: s, m: m, engine: engine, gen: gen, whole: whole,
		scan: store.ScanRun{
			ID: store.NewID(), HostID: m.hostID, Trigger: trigger, StartedAt: time.Now().UTC(), Outcome: store.ScanOK,
		},
		looks: map[string]answer{}, held: map[string]bool{},
	}
}

// run asks, decides and writes. Whatever cannot be asked ends it before anything is concluded.
func (p *pass) run(ctx context.Context) error {
	if err := p.prepare(ctx); err != nil {
		return err
	}
	if b := p.identify(ctx); b != nil {
		return p.blind(ctx, b)
	}
	p.m.stream.identified(p.gen)
	if b := p.list(ctx); b != nil {
		return p.blind(ctx, b)
	}
	if b := p.ask(ctx); b != nil {
		return p.blind(ctx, b)
	}
	return p.conclude(ctx)
}

// recordRun writes down that it was done, and for whom.
func (p *pass) recordRun(ctx context.Context, tx *store.Tx) error {
	if err := tx.InsertScanRun(ctx, p.scan); err != nil || p.actor == "" {
		return err
	}
	return tx.Emit(ctx, store.Event{
		Time: p.scan.FinishedAt, Severity: store.SeverityInfo, Source: store.SourceScanner, Kind: "scan.asked", HostID: p.host.ID, Actor: p.actor,
		Message: "host " + p.host.Name + " was scanned because somebody asked for it",
		Data:    map[string]any{"scan_id": p.scan.ID, "outcome": string(p.scan.Outcome)},
	})
}

// prepare reads what we know.
func (p *pass) prepare(ctx context.Context) error {
	host, err := p.s.db.Host(ctx, p.m.hostID)
	if err != nil {
		return fmt.Errorf("read what is known of it: %w", err)
	}
	p.host = host
	settings, err := p.s.db.Settings(ctx)
	if err != nil {
		return fmt.Errorf("read the settings: %w", err)
	}
	p.limit = settings.MassChangePercent
	if !p.m.dated {
		if p.behind, err = p.s.db.ClockBehind(ctx, time.Duration(settings.EventRetentionDays)*day, p.s.wall().UTC()); err != nil {
			return err
		}
	}
	return p.m.refresh(ctx, p.s.db, settings)
}

// identify makes sure that this is the engine we know and that its clock and ours can be believed.
func (p *pass) identify(ctx context.Context) *blindness {
	if b := p.clockJump(); b != nil {
		return b
	}
	if b := p.clockBehind(); b != nil {
		return b
	}
	info, err := p.engine.Info(ctx)
	if err != nil {
		return unreachable(err)
	}
	p.info = info
	if b := otherEngine(p.host, info); b != nil {
		return b
	}
	return skewed(info.Skew)
}

// list asks for the running ones and the others apart, so that the engine can filter by status:
// two lists at two moments, and who moved meanwhile is asked for by id.
func (p *pass) list(ctx context.Context) *blindness {
	p.at = p.engine.Now().UTC()
	ours := []string{docker.LabelInstallation + "=" + p.s.db.InstallationID()}
	var running, others []docker.Summary
	g, gctx := errgroup.WithContext(ctx)
	g.Go(guard.Hold(func() (err error) {
		running, err = p.engine.List(gctx, docker.ListOptions{States: []docker.State{docker.StateRunning}, Labels: ours})
		return err
	}))
	g.Go(guard.Hold(func() (err error) {
		others, err = p.engine.List(gctx, docker.ListOptions{States: notRunning, Labels: ours})
		return err
	}))
	p.scan.ListCalls += 2
	if err := guard.Again(g.Wait()); err != nil {
		return unreachable(err)
	}
	p.listed, p.running = make(map[string]docker.State, len(running)+len(others)), len(running)
	for _, rows := range [][]docker.Summary{running, others} {
		for i := range rows {
			p.listed[rows[i].ID] = rows[i].State
			if _, known := p.m.stream.instanceOf(rows[i].ID); !known {
				p.strays = append(p.strays, rows[i])
			}
		}
	}
	return nil
}

var notRunning = []docker.State{
	docker.StateCreated, docker.StateExited, docker.StatePaused, docker.StateRestarting, docker.StateDead, docker.StateRemoving,
}

// answer is what an inspect brought: a container, or that there is none, or that it could not be asked.
type answer struct {
	c         docker.Container
	err       error
	asked, at time.Time // engine's clock, before and after
}

func (a answer) gone() bool { return errors.Is(a.err, docker.ErrNotFound) }

// ask inspects those of whom the lists do not tell enough.
func (p *pass) ask(ctx context.Context) *blindness {
	known := slices.Collect(maps.Values(p.m.byID))
	p.scan.Known = len(known)
	var adopted []*entry
	for _, e := range known {
		if e.judged() && e.view.Ownership == store.OwnershipAdopted {
			adopted = append(adopted, e)
		}
	}
	if b := p.inspect(ctx, adopted); b != nil {
		return b
	}
	if b := p.massChange(ctx, known); b != nil {
		return b
	}
	var moved []*entry
	for _, e := range known {
		if _, done := p.looks[e.view.ID]; !done && p.wantsLook(e) {
			moved = append(moved, e)
		}
	}
	if b := p.inspect(ctx, moved); b != nil {
		return b
	}
	return p.stillThere(ctx)
}

// wantsLook reports whether an instance must be inspected: it is new, it moved, something may have been
// missed, or it is about to be called stale for the first time.
func (p *pass) wantsLook(e *entry) bool {
	if !e.judged() {
		return false
	}
	state, listed := p.listed[e.view.ContainerID]
	if !listed && e.view.Status == store.StatusMissing {
		return e.view.CheckError != "" || believed(e.view.LastAliveAt, p.at).IsZero() // else it need not be asked: an id never comes back
	}
	if !listed || e.view.CheckedAt.IsZero() || e.view.CheckError != "" || !stillSo(e.view.Status, state) {
		return true
	}
	if !p.whole || e.gen != p.gen {
		return true
	}
	if !e.view.LastAliveAt.IsZero() && !validTime(e.view.LastAliveAt, p.at) && e.view.Status != store.StatusRunning {
		return true
	}
	return e.stale(p.at) && (e.view.StaleSince.IsZero() || toldAhead(e.view.Instance, p.at))
}

// stillSo reports whether a state in the engine's list is the one that a status stands for.
func stillSo(status store.Status, state docker.State) bool {
	switch status {
	case store.StatusRunning:
		return state == docker.StateRunning
	case store.StatusStopped, store.StatusFailed:
		return state == docker.StateExited || state == docker.StateCreated
	case store.StatusPaused:
		return state == docker.StatePaused
	case store.StatusRestarting:
		return state == docker.StateRestarting
	case store.StatusDead:
		return state == docker.StateDead || state == docker.StateRemoving
	case store.StatusMissing, store.StatusPending, store.StatusPulling, store.StatusStarting, store.StatusRemoving:
	}
	return false
}

// inspect asks for some by full id. One that hangs is told apart from an engine that hangs.
func (p *pass) inspect(ctx context.Context, entries []*entry) *blindness {
	looks, b := inspectAll(ctx, p.engine, entries)
	p.scan.Inspects += len(looks)
	maps.Copy(p.looks, looks)
	return b
}

// inspectAll asks eight at a time. It gives up on the whole when the engine has gone away or all of it hangs.
func inspectAll(ctx context.Context, engine *docker.Engine, entries []*entry) (map[string]answer, *blindness) {
	var mu sync.Mutex
	hung, looks := 0, make(map[string]answer, len(entries))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(inspectsAtOnce)
	for _, e := range entries {
		if gctx.Err() != nil {
			break
		}
		g.Go(guard.Hold(func() error {
			a := inspectOne(gctx, engine, e.view.ContainerID)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case errors.Is(a.err, docker.ErrUnavailable):
				return a.err
			case errors.Is(a.err, docker.ErrTimeout):
				hung++
			case a.err == nil || a.gone():
				hung = 0
			}
			looks[e.view.ID] = a
			if hung >= hungAfter {
				return fmt.Errorf("%d inspects in a row hang: %w", hung, a.err)
			}
			return nil
		}))
	}
	if err := guard.Again(g.Wait()); err != nil {
		return looks, unreachable(err)
	}
	if err := ctx.Err(); err != nil {
		return looks, unreachable(fmt.Errorf("inspect containers: %w", err))
	}
	return looks, nil
}

func inspectOne(ctx context.Context, engine *docker.Engine, containerID string) answer {
	ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
	defer cancel()
	a := answer{asked: engine.Now().UTC()}
	a.c, a.err = engine.Inspect(ctx, containerID)
	a.at = engine.Now().UTC()
	return a
}

// stillThere asks once more who answered, if it said of anything that it is gone: only the
// right engine's word counts for that.
func (p *pass) stillThere(ctx context.Context) *blindness {
	if !anyGone(p.looks) {
		return nil
	}
	info, err := p.engine.Info(ctx)
	if err != nil {
		return unreachable(err)
	}
	p.info = info
	return otherEngine(p.host, info)
}

func anyGone(looks map[string]answer) bool {
	for _, a := range looks {
		if a.gone() {
			return true
		}
	}
	return false
}

// fold is what the answer makes of an instance.
func fold(prev store.Instance, a answer, knownUntil time.Time) store.Instance {
	switch {
	case a.err == nil && a.c.State == docker.StateRunning:
		return inspected(prev, a.c, sight{at: a.asked, knownUntil: earlier(knownUntil, a.asked)})
	case a.err == nil:
		return inspected(prev, a.c, sight{at: a.at, knownUntil: knownUntil})
	case a.gone():
		return gone(prev, sight{at: a.at, knownUntil: knownUntil})
	}
	return unasked(prev, a.err.Error())
}

// knownUntil is the moment up to which we know all that happened to an instance.
func (p *pass) knownUntil(e *entry, at time.Time) time.Time {
	if p.whole && (e.gen == p.gen || e.bornSince(p.m.stream.since(), at)) {
		return at
	}
	return e.knownUntil(p.m, p.host, at)
}

// conclude judges everybody on what was learned, and writes it all in one transaction.
func (p *pass) conclude(ctx context.Context) error {
	now := time.Now().UTC()
	w := &write{host: p.m.hostID, at: p.engine.Now().UTC(), listed: p.at, touch: p.touchDue(), seen: map[string]seen{}}
	for _, e := range p.m.byID {
		a, looked := p.looks[e.view.ID]
		if e.atWork() || !looked && e.quiet(p.at) {
			continue
		}
		next, at := e.view.Instance, p.at
		if looked {
			next, at = fold(next, a, p.knownUntil(e, a.at)), a.at
			w.seen[e.view.ID] = seen{gen: p.seenIn(a), answer: a}
		} else if e.view.ContainerID == "" {
			next = withoutContainer(next, p.at)
		}
		if p.held[e.view.ID] && !isAlive(next) && next.HeldBack == "" {
			next.HeldBack = heldMassChange
		}
		if looked && a.err != nil && !a.gone() {
			p.scan.Unknown++
			w.except = append(w.except, e.view.ID)
		}
		w.add(settle(e, next, at, now), looked)
	}
	if err := p.tellBlind(ctx, w); err != nil {
		return err
	}
	p.count(w)
	if err := w.commit(ctx, p.s.db, func(ctx context.Context, tx *store.Tx) error {
		return errors.Join(p.ledger(ctx, tx), p.keepLeftovers(ctx, tx, w))
	}); err != nil {
		return fmt.Errorf("write what was found: %w", err)
	}
	p.remember(w)
	p.s.log.InfoContext(ctx, "scanned", "host_id", p.m.hostID, "trigger", p.scan.Trigger, "known", p.scan.Known, "stale", p.scan.Stale,
		"newly_stale", p.scan.NewlyStale, "unknown", p.scan.Unknown, "inspects", p.scan.Inspects)
	return nil
}

const (
	// touchEvery is how exact last_alive_at of those that run is at least.
	touchEvery = time.Minute
	// fewRunning are so few that it costs nothing to write at every scan that they were seen running.
	fewRunning = 1000
)

// touchDue reports whether it is to be written that those that run were seen running: where many do, not at every
// scan of those who scan every few seconds, but at once when the clock went back.
func (p *pass) touchDue() bool {
	since := p.at.Sub(p.m.touched)
	return since >= touchEvery || since < 0 || p.running <= fewRunning
}

// seenIn is the generation of the event stream in which an answer is the whole truth: none, if the stream was not whole.
func (p *pass) seenIn(a answer) int {
	if !p.whole || a.err != nil && !a.gone() {
		return 0
	}
	return p.gen
}

// count fills in what the scan found. A digest is for those who are told of things: over ten
// at once are one piece of news.
func (p *pass) count(w *write) {
	for _, c := range w.changes {
		p.scan.NewlyStale += btoi(c.newlyStale)
		p.scan.Recovered += btoi(c.recovered)
	}
	w.digest(p.scan)
	for _, e := range p.m.byID {
		if !e.view.StaleSince.IsZero() && e.view.Status != store.StatusRemoving {
			p.scan.Stale++
		}
	}
	for _, c := range w.changes {
		p.scan.Stale += btoi(!c.next.StaleSince.IsZero()) - btoi(!c.prev.StaleSince.IsZero())
	}
	p.scan.FinishedAt = time.Now().UTC()
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// remember keeps what was written, so that the next pass starts from there.
func (p *pass) remember(w *write) {
	w.remember(p.m, p.s.db)
	if w.touch {
		p.m.touched = p.at
		p.m.sighted(p.at, w)
	}
	p.m.suspect, p.m.accepted = nil, nil
	p.m.booted, p.m.toldDown = true, true
	p.m.dated = p.m.dated || p.behind.IsZero()
	p.m.stream.confirm(p.gen, p.at, p.engine.Now().UTC())
}
