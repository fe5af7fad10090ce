package stale

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// Why a host could not be judged: the reasons of blind intervals, and of frozen hosts.
const (
	blindDown          = "down"
	blindUnreachable   = "unreachable"
	blindEmptyList     = "empty_list"
	blindMassChange    = "mass_change"
	blindClock         = "clock"
	blindClockSkew     = "clock_skew"
	blindEngineChanged = store.FrozenEngineChanged
)

const (
	// clockJumpLimit is how far the clock that people turn and the one that only counts may part between two scans.
	clockJumpLimit = 5 * time.Minute
	// clockPatience is how long after our start a clock that seems to be behind is waited for.
	clockPatience = time.Hour
	// leastMass is how many must be lost at once before it is a mass.
	leastMass = 5
	// settleTime is how far apart two scans must be that agree on a mass change.
	settleTime = 10 * time.Minute
)

// blindness is why nothing can be concluded.
type blindness struct {
	reason string
	detail string
	err    error
	freeze bool   // the host is frozen by it
	kind   string // of the event
}

func unreachable(err error) *blindness {
	return &blindness{reason: blindUnreachable, detail: err.Error(), err: err, kind: "scan.blind"}
}

// otherEngine reports an engine that is not the one that the host's rows were made on.
func otherEngine(h store.Host, info docker.Info) *blindness {
	changed := func(what, was, is string) *blindness {
		return &blindness{
			reason: blindEngineChanged, freeze: true, kind: "host.engine_changed",
			detail: fmt.Sprintf("the %s was %q and is %q: another engine answers; accept it if that is meant to be", what, was, is),
		}
	}
	switch {
	case h.FrozenReason == blindEngineChanged:
		return changed("engine id", h.EngineID, info.EngineID)
	case h.EngineID != "" && h.EngineID != info.EngineID:
		return changed("engine id", h.EngineID, info.EngineID)
	case h.DataRoot != "" && h.DataRoot != info.DataRoot:
		return changed("data root", h.DataRoot, info.DataRoot)
	}
	return nil
}

func skewed(skew time.Duration) *blindness {
	if skew.Abs() <= clockTolerance {
		return nil
	}
	return &blindness{
		reason: blindClockSkew, freeze: true, kind: "host.clock_skew",
		detail: fmt.Sprintf("the engine's clock is %s off ours: no age can be believed until they agree within a minute", skew.Round(time.Second)),
	}
}

// clocks are the two clocks of this machine at one moment.
type clocks struct {
	wall    time.Time     // people and time servers turn it
	counted time.Duration // since the scanner began; nobody turns it, but it stands still while the machine sleeps
}

// clockJump notices that the clock was turned, or that the machine slept, since the scan before.
func (p *pass) clockJump() *blindness {
	now := clocks{wall: p.s.wall().Round(0), counted: time.Since(p.s.began)}
	last := p.m.checked
	p.m.checked = now
	if last.wall.IsZero() {
		return nil
	}
	jump := now.wall.Sub(last.wall) - (now.counted - last.counted)
	if jump.Abs() <= clockJumpLimit {
		return nil
	}
	p.m.doubt()
	p.m.dated, p.m.leapt = false, true
	return &blindness{
		reason: blindClock, kind: "scan.blind",
		detail: fmt.Sprintf("our clock moved by %s more than time did since the scan before: it was turned, or this machine slept", jump.Round(time.Second)),
	}
}

// isBehind reports whether our clock seems to be behind what it said before.
func (p *pass) isBehind() bool { return !p.behind.IsZero() || p.s.wall().UTC().Before(oldestTime) }

// clockBehind gives a clock that is behind some time to come right, as on a machine that starts without one and asks others: what it
// judges now would count from a moment long ago once it is right.
func (p *pass) clockBehind() *blindness {
	now := p.s.wall().UTC()
	behind := &blindness{reason: blindClock, kind: "scan.blind"}
	switch left := clockPatience - time.Since(p.s.began); {
	case now.Before(oldestTime):
		behind.detail = "our clock says " + now.Format(time.DateOnly) + ": set the clock of this machine"
	case !p.behind.IsZero() && left > 0 && !p.m.leapt: // else somebody has set it while we looked
		behind.detail = fmt.Sprintf("our clock says %s, and the event log goes to %s: set the clock of this machine; it is believed in %s",
			now.Format(time.RFC3339), p.behind.Format(time.RFC3339), spell(left))
	default:
		return nil
	}
	return behind
}

// suspicion is a mass change that is not believed yet.
type suspicion struct {
	since time.Duration // counted, like clocks
	ids   map[string]bool
}

// massChange holds the scan back when too many would be lost at once: a half list, another daemon behind the
// socket and an engine that has not loaded its containers yet all look so.
func (p *pass) massChange(ctx context.Context, known []*entry) *blindness {
	lost, expected, owned := p.losses(known)
	reason := massReason(len(lost), expected, owned, len(p.listed), p.limit)
	if reason == "" {
		return nil
	}
	if p.acceptedNow() || p.agreed(lost) && p.confirmed(ctx, lost) {
		maps.Copy(p.held, lost)
		return nil
	}
	return &blindness{
		reason: reason, freeze: true, kind: "host.frozen",
		detail: fmt.Sprintf("%d of %d known containers would be lost at once: held back until two scans %s apart agree, or it is accepted",
			len(lost), expected, spell(settleTime)),
	}
}

// acceptedNow reports whether an admin has just said that what is lost is lost. Such a word is for one change, and soon.
func (p *pass) acceptedNow() bool {
	return p.m.accepted != nil && time.Since(p.s.began)-*p.m.accepted < settleTime
}

// losses are those that the engine should list, and of them those that have gone or ended without our being told.
// owned are those of them that its list must hold, for it selects by our label.
func (p *pass) losses(known []*entry) (lost map[string]bool, expected, owned int) {
	lost = map[string]bool{}
	for _, e := range known {
		if !e.judged() || e.view.Status == store.StatusMissing {
			continue
		}
		expected++
		owned += btoi(e.view.Ownership != store.OwnershipAdopted)
		if p.lost(e) {
			lost[e.view.ID] = true
		}
	}
	return lost, expected, owned
}

func (p *pass) lost(e *entry) bool {
	if a, looked := p.looks[e.view.ID]; looked {
		return a.gone() || a.err == nil && isAlive(e.view.Instance) && ended(a.c.State)
	}
	state, listed := p.listed[e.view.ContainerID]
	return !listed || isAlive(e.view.Instance) && ended(state)
}

func ended(s docker.State) bool {
	switch s {
	case docker.StateExited, docker.StateCreated, docker.StateDead, docker.StateRemoving:
		return true
	case docker.StateRunning, docker.StatePaused, docker.StateRestarting:
	}
	return false
}

// massReason says whether so many losses at once are believed: not an empty list where there should be something,
// and not more than the set share.
func massReason(lost, expected, owned, listed, percent int) string {
	switch {
	case owned > 0 && listed == 0:
		return blindEmptyList
	case lost >= leastMass && lost*100 > percent*expected:
		return blindMassChange
	}
	return ""
}

// agreed reports whether an earlier scan, long enough ago, lost all of these too. If not, that wait begins now.
func (p *pass) agreed(lost map[string]bool) bool {
	now := time.Since(p.s.began)
	if p.m.suspect == nil || !within(lost, p.m.suspect.ids) {
		p.m.suspect = &suspicion{since: now, ids: lost}
		return false
	}
	return now-p.m.suspect.since >= settleTime
}

func within(some, all map[string]bool) bool {
	for id := range some {
		if !all[id] {
			return false
		}
	}
	return true
}

// confirmed reports whether an inspect of each says the same as the list; if one does not, the list is not to be believed.
func (p *pass) confirmed(ctx context.Context, lost map[string]bool) bool {
	var ask []*entry
	for id := range lost {
		if _, looked := p.looks[id]; !looked {
			ask = append(ask, p.m.byID[id])
		}
	}
	if b := p.inspect(ctx, ask); b != nil {
		return false
	}
	for id := range lost {
		a := p.looks[id]
		if !a.gone() && (a.err != nil || !ended(a.c.State)) {
			p.m.suspect = nil
			return false
		}
	}
	return true
}

// blind writes down that nothing could be concluded, once for each stretch of blindness, and why.
func (p *pass) blind(ctx context.Context, b *blindness) error {
	p.scan.Outcome, p.scan.Error, p.scan.FinishedAt = store.ScanBlind, b.detail, time.Now().UTC()
	p.scan.Known = len(p.m.byID)
	if b.reason != blindMassChange && b.reason != blindEmptyList {
		p.m.suspect = nil
	}
	// What ended because its caller did not wait is no blindness of the host.
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", b.detail, err)
	}
	err := p.s.db.Update(ctx, func(tx *store.Tx) error { return p.recordBlind(ctx, tx, b) })
	if err != nil {
		return fmt.Errorf("write that it could not be judged (%s): %w", b.detail, err)
	}
	p.m.toldDown = true
	p.s.log.WarnContext(ctx, "scan is blind", "host_id", p.m.hostID, "reason", b.reason, "detail", b.detail)
	if b.err != nil {
		return fmt.Errorf("%w: %w", ErrBlind, b.err)
	}
	return fmt.Errorf("%w: %s", ErrBlind, b.detail)
}

func (p *pass) recordBlind(ctx context.Context, tx *store.Tx, b *blindness) error {
	host, open, err := p.hostInUse(ctx, tx)
	if err != nil {
		return err
	}
	if err := openAll(ctx, tx, p.down(host, open)); err != nil {
		return err
	}
	now := p.scan.FinishedAt
	if !open[b.reason] {
		from := lastKnown(host, now)
		if b.reason == blindClock && p.isBehind() { // then it is our clock that is wrong, and not what we wrote
			from = laterOf(host.LastGoodScan, host.WatchedUntil)
		}
		if from.IsZero() {
			from = p.scan.StartedAt
		}
		interval := store.BlindInterval{ID: store.NewID(), HostID: host.ID, From: from, Reason: b.reason, Detail: b.detail}
		if err := tx.OpenBlindInterval(ctx, interval); err != nil {
			return err
		}
		if err := tx.Emit(ctx, p.blindEvent(host, b, from)); err != nil {
			return err
		}
	}
	if err := p.recordRun(ctx, tx); err != nil {
		return err
	}
	host.LastScanAt = now
	if b.reason == blindClockSkew {
		host.ClockSkew = p.info.Skew
	}
	if b.freeze && freezeRank(b.reason) >= freezeRank(host.FrozenReason) && host.FrozenReason != b.reason {
		host.FrozenSince, host.FrozenReason = now, b.reason
	}
	return tx.UpdateHost(ctx, host)
}

// freezeRank orders the reasons for a freeze: a weaker one never hides a stronger one.
func freezeRank(reason string) int {
	switch reason {
	case "":
		return 0
	case blindClockSkew:
		return 1
	case blindEngineChanged:
		return 3
	}
	return 2
}

func (p *pass) blindEvent(host store.Host, b *blindness, from time.Time) store.Event {
	severity := store.SeverityWarn
	if b.reason == blindEngineChanged {
		severity = store.SeverityError
	}
	return store.Event{
		Time: p.scan.FinishedAt, Severity: severity, Source: store.SourceScanner, Kind: b.kind, HostID: host.ID, Actor: "system",
		Message: fmt.Sprintf("host %s cannot be judged: %s", host.Name, b.detail),
		Data:    map[string]any{"reason": b.reason, "detail": b.detail, "since": from.UTC().Format(time.RFC3339), "scan_id": p.scan.ID},
	}
}

// openBlind are the reasons of the host's open blind intervals.
func openBlind(ctx context.Context, tx *store.Tx, hostID string) (map[string]bool, error) {
	intervals, err := tx.BlindIntervals(ctx, hostID, time.Now())
	if err != nil {
		return nil, err
	}
	open := map[string]bool{}
	for _, i := range intervals {
		if i.To.IsZero() {
			open[i.Reason] = true
		}
	}
	return open, nil
}

// errDisabled: the host was taken out of use while it was scanned, and what was found counts no more.
var errDisabled = errors.New("the host is disabled")

// hostInUse reads the host and the reasons for which it is blind; errDisabled if it was disabled meanwhile.
func (p *pass) hostInUse(ctx context.Context, tx *store.Tx) (host store.Host, open map[string]bool, err error) {
	if host, err = tx.Host(ctx, p.m.hostID); err != nil {
		return host, nil, err
	}
	if !host.DisabledSince.IsZero() {
		return host, nil, errDisabled
	}
	open, err = openBlind(ctx, tx, host.ID)
	return host, open, err
}

// down is the time in which nobody watched since the process before this one ended; told once a process. For a host that
// was disabled, that says it.
func (p *pass) down(host store.Host, open map[string]bool) []store.BlindInterval {
	from := lastKnown(host, p.scan.StartedAt)
	if open[store.BlindDisabled] || p.m.toldDown || from.IsZero() || !p.scan.StartedAt.After(from) {
		return nil
	}
	return []store.BlindInterval{{
		ID: store.NewID(), HostID: host.ID, From: from, To: p.scan.StartedAt, Reason: blindDown,
		Detail: "docker-watcher was not running",
	}}
}

// unheard is the time since the stream of the engine's events broke off, if that was long enough for something to come and
// go, and no scan has looked since.
func (p *pass) unheard(host store.Host) []store.BlindInterval {
	gen, until := p.m.stream.wholeUntil()
	from := laterOf(believed(until, p.scan.StartedAt), believed(host.LastGoodScan, p.scan.StartedAt))
	if from.IsZero() || gen == 0 || gen == p.gen && p.whole || !p.m.toldDown || p.scan.StartedAt.Sub(from) <= blindTolerance {
		return nil
	}
	return []store.BlindInterval{{
		ID: store.NewID(), HostID: host.ID, From: from, To: p.scan.StartedAt, Reason: blindUnreachable,
		Detail: "the engine's events could not be heard",
	}}
}

// unwatched is what a good scan finds that nobody has watched, and that is not in the ledger yet.
func (p *pass) unwatched(host store.Host, open map[string]bool) []store.BlindInterval {
	return append(p.down(host, open), p.unheard(host)...)
}

func openAll(ctx context.Context, tx *store.Tx, intervals []store.BlindInterval) error {
	for _, i := range intervals {
		if err := tx.OpenBlindInterval(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// ledger writes what a good scan has to say of the host itself, in the transaction of its findings.
func (p *pass) ledger(ctx context.Context, tx *store.Tx) error {
	host, open, err := p.hostInUse(ctx, tx)
	if err != nil {
		return err
	}
	if err := openAll(ctx, tx, p.down(host, open)); err != nil {
		return err
	}
	if err := p.sighted(ctx, tx, host, open); err != nil {
		return err
	}
	if !p.m.dated && p.behind.IsZero() {
		if err := tx.DateBack(ctx, host.ID, p.scan.StartedAt); err != nil {
			return err
		}
	}
	if err := p.recordRun(ctx, tx); err != nil {
		return err
	}
	host.LastScanAt, host.LastGoodScan = p.scan.FinishedAt, p.scan.FinishedAt
	host.FrozenSince, host.FrozenReason = time.Time{}, ""
	host.EngineID, host.DataRoot = p.info.EngineID, p.info.DataRoot
	host.EngineVersion, host.APIVersion = p.info.Version, p.info.APIVersion
	host.OS, host.Arch, host.ClockSkew = p.info.OS, p.info.Arch, p.info.Skew
	return tx.UpdateHost(ctx, host)
}

// sighted ends what blindness there was, and tells of it.
func (p *pass) sighted(ctx context.Context, tx *store.Tx, host store.Host, open map[string]bool) error {
	if len(open) == 0 { // else those say it
		return openAll(ctx, tx, p.unheard(host))
	}
	if err := tx.CloseBlindIntervals(ctx, host.ID, p.scan.StartedAt); err != nil {
		return err
	}
	reasons := keys(open)
	return tx.Emit(ctx, store.Event{
		Time: p.scan.FinishedAt, Severity: store.SeverityInfo, Source: store.SourceScanner, Kind: "scan.sighted", HostID: host.ID, Actor: "system",
		Message: fmt.Sprintf("host %s can be judged again", host.Name),
		Data:    map[string]any{"reasons": reasons, "scan_id": p.scan.ID},
	})
}

// Accept ends the freeze of a host by an admin's word: the engine that answers now is the right one, and what
// its next scan finds lost is lost.
func (s *Scanner) Accept(ctx context.Context, hostID, actor string) error {
	m, engine, err := s.turnAt(ctx, hostID)
	if err != nil {
		return fmt.Errorf("accept host %s: %w", hostID, err)
	}
	defer m.release()
	info, err := engine.Info(ctx)
	if err != nil {
		return fmt.Errorf("accept host %s: %w", hostID, err)
	}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		host, err := tx.Host(ctx, hostID)
		if err != nil {
			return err
		}
		event := store.Event{
			Time: time.Now().UTC(), Severity: store.SeverityWarn, Source: store.SourceScanner, Kind: "host.accepted", HostID: hostID, Actor: actor,
			Message: fmt.Sprintf("host %s was accepted as it is now", host.Name),
			Data: map[string]any{
				"frozen_reason": host.FrozenReason, "former_engine_id": host.EngineID, "engine_id": info.EngineID,
				"former_data_root": host.DataRoot, "data_root": info.DataRoot,
			},
		}
		host.FrozenSince, host.FrozenReason = time.Time{}, ""
		host.EngineID, host.DataRoot = info.EngineID, info.DataRoot
		if err := tx.UpdateHost(ctx, host); err != nil {
			return err
		}
		return tx.Emit(ctx, event)
	})
	if err != nil {
		return fmt.Errorf("accept host %s: %w", hostID, err)
	}
	at := time.Since(s.began)
	m.accepted = &at
	m.doubt()
	m.stream.poke()
	return nil
}
