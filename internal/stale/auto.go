package stale

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// ErrNotYet is how an automatic run ends that has tried to remove nothing while something is to be removed: later, or in its window. It is neither well nor
// a failure.
var ErrNotYet = errors.New("nothing is removed yet")

// ErrNoneRemoved is how one ends that could remove nothing of what it tried.
var ErrNoneRemoved = errors.New("nothing could be removed")

// autoActor is who automatic cleanup acts as.
const autoActor = "system:auto"

const (
	autoNotice = 5 * time.Minute // between a plan and its apply, so that somebody can call it off
	// scanFresh is how old the last good scan may be when something is decided on it: less than the notice, so that there
	// is one before a plan and one before its apply.
	scanFresh = 4 * time.Minute
	autoRetry = time.Hour // before what could not be removed is planned again
	// autoJump is how far the clock that people turn and the one that only counts may part between two runs.
	autoJump = time.Hour
	// mostDue ends the search for what is due: no policy allows so many in one run.
	mostDue = 501
	duePage = 500
)

// automatic is what the cleaner remembers of its automatic runs.
type automatic struct {
	turns  map[string]bool // hosts that have a run; one at a time
	scan   func(ctx context.Context, hostID string) error
	notice time.Duration
	began  time.Time // where monotonic time is counted from
	wall   func() time.Time

	mu      sync.Mutex
	checked clocks
	jumped  string             // by how much the clock was turned last, in words; empty: it was not
	steady  time.Time          // since when it goes as it should
	failed  map[string]Sparing // what could not be removed, by instance id
}

func newAutomatic() *automatic {
	now := time.Now()
	return &automatic{notice: autoNotice, turns: map[string]bool{}, began: now, steady: now, wall: time.Now, failed: map[string]Sparing{}}
}

// ScanBy sets how a host is scanned before anything is decided on an old scan. Set before use; without it automatic
// cleanup acts only on what somebody else has scanned just before.
func (c *Cleaner) ScanBy(scan func(ctx context.Context, hostID string) error) { c.auto.scan = scan }

// RunAutomatic is RunAutomaticOn each host in use, all at once.
func (c *Cleaner) RunAutomatic(ctx context.Context) error {
	hosts := c.fleet.HostIDs()
	errs := make([]error, len(hosts))
	var g sync.WaitGroup
	for i, id := range hosts {
		g.Go(func() {
			if err := c.RunAutomaticOn(ctx, id); !errors.Is(err, ErrNotYet) {
				errs[i] = err
			}
		})
	}
	g.Wait()
	return errors.Join(errs...)
}

// RunAutomaticOn makes the automatic plan of a host, if something is due there, and applies the one whose moment has come.
// ErrNotYet where that removes nothing yet, ErrNoneRemoved where it could remove nothing. A run beside another one of the same host does nothing.
func (c *Cleaner) RunAutomaticOn(ctx context.Context, hostID string) error {
	if !c.hold(c.auto.turns, hostID) {
		return ErrNotYet
	}
	defer c.letGo(c.auto.turns, hostID)
	c.auto.lookAtClock(time.Now())
	f, err := c.footing(ctx)
	if err != nil {
		return err
	}
	if !f.settings.AutoCleanup { // who does nothing anyway holds nothing back
		return c.release(ctx, f.hosts[hostID], "it was switched off")
	}
	if err := c.runOnHost(ctx, hostID); err != nil {
		return fmt.Errorf("automatic cleanup of host %s: %w", hostID, err)
	}
	return nil
}

// runOnHost applies the plan of a host whose moment has come, or else makes one of what is due.
func (c *Cleaner) runOnHost(ctx context.Context, hostID string) error {
	plan, waits, err := c.waitingPlan(ctx, hostID)
	if err != nil {
		return err
	}
	if waits && time.Now().Before(plan.ApplyAt) {
		return ErrNotYet
	}
	r := &autoRun{c: c, hostID: hostID}
	if waits {
		r.plan = &plan
	}
	if err := r.find(ctx, false); err != nil || !r.clear(ctx) {
		return r.untried(err)
	}
	// Only now is it worth a scan: it tells of a mass change, a turned clock or another engine before anything is done.
	if fresh, err := c.freshen(ctx, hostID); err != nil || !fresh {
		return r.untried(err, r.find(ctx, true), r.holdIfBarred(ctx))
	}
	if err := r.find(ctx, true); err != nil || !r.clear(ctx) {
		return r.untried(err)
	}
	if waits {
		return c.applyAutomatic(ctx, plan)
	}
	return r.untried(c.planAutomatic(ctx, r))
}

// waitingPlan is the automatic plan of a host that is not applied yet.
func (c *Cleaner) waitingPlan(ctx context.Context, hostID string) (store.Plan, bool, error) {
	plans, err := c.db.AutomaticPlans(ctx, time.Now())
	if err != nil {
		return store.Plan{}, false, fmt.Errorf("read the plans that wait: %w", err)
	}
	plan, ok := planOf(plans, hostID)
	return plan, ok, nil
}

func planOf(plans []store.Plan, hostID string) (store.Plan, bool) {
	n := slices.IndexFunc(plans, func(p store.Plan) bool { return len(p.Items) > 0 && p.Items[0].HostID == hostID })
	if n < 0 {
		return store.Plan{}, false
	}
	return plans[n], true
}

// autoRun is what one run knows of one host.
type autoRun struct {
	c      *Cleaner
	hostID string
	plan   *store.Plan // whose moment has come; nil: one is to be made

	f        *footing
	host     store.Host
	ground   Ground
	due      []store.InstanceView
	later    bool // something is ripe that is spared, or whose window is closed
	idle     bool // nothing is to be removed, now or later
	policies map[string]store.PolicyInForce
	err      error
}

// find reads how the host stands and which instances are due on it: those of the plan, or all. What is to be planned must
// be due when it is applied. again: the first look found some.
func (r *autoRun) find(ctx context.Context, again bool) (err error) {
	if r.f, err = r.c.footing(ctx); err != nil {
		return err
	}
	now := time.Now().UTC()
	r.host, r.ground = r.f.hosts[r.hostID], r.c.ground(r.f, r.hostID, now)
	if r.policies, err = r.c.db.Policies(ctx); err != nil {
		return fmt.Errorf("read the policies: %w", err)
	}
	if r.due = nil; again && !r.f.settings.AutoCleanup {
		return nil
	}
	if r.plan != nil {
		return r.findPlanned(ctx, now)
	}
	return r.findDue(ctx, now.Add(r.c.auto.notice))
}

func (r *autoRun) findPlanned(ctx context.Context, now time.Time) error {
	for _, item := range r.plan.Items {
		v, err := r.c.db.Instance(ctx, item.InstanceID)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read what is planned: %w", err)
		}
		if due(v, r.policies[v.StageID], r.ground, now) {
			r.due = append(r.due, v)
		}
	}
	return nil
}

func (r *autoRun) findDue(ctx context.Context, at time.Time) error {
	if r.later = false; !r.anyCleans() {
		return nil
	}
	f := store.StaleFilter{HostID: r.hostID, Protected: new(bool), Now: at}
	for cursor := ""; ; {
		views, next, _, err := r.c.db.StaleInstances(ctx, f, store.Page{Limit: duePage, Cursor: cursor})
		if err != nil {
			return fmt.Errorf("list what is stale: %w", err)
		}
		for _, v := range views {
			switch {
			case due(v, r.policies[v.StageID], r.ground, at):
				r.due = append(r.due, v)
			case wanted(v, r.policies[v.StageID], at):
				r.later = true
			}
		}
		if cursor = next; cursor == "" || len(r.due) >= mostDue {
			return nil
		}
	}
}

// anyCleans reports whether there is a stage at all that wants more than a warning.
func (r *autoRun) anyCleans() bool {
	for _, p := range r.policies {
		if p.Action == store.ActionCleanup {
			return true
		}
	}
	return false
}

// clear reports whether the run may go on. Where nothing is due there is nothing to hold back, and nothing to say.
func (r *autoRun) clear(ctx context.Context) bool {
	now := time.Now()
	switch {
	case len(r.due) == 0 && r.plan == nil:
		r.idle, r.err = !r.later, r.c.release(ctx, r.host, "nothing is due any more")
		return false
	case r.barred(now) != "":
		r.err = r.holdIfBarred(ctx)
		return false
	case r.ground.NotBefore.After(now):
		return false
	}
	why, err := r.tooMany(ctx)
	if r.err = err; err != nil {
		return false
	}
	if why != "" {
		r.err = r.c.holdBack(ctx, r.host, why, r.due)
		return false
	}
	r.err = r.c.release(ctx, r.host, "what is due is within the limits")
	return r.err == nil
}

// untried is how a run ends that has tried to remove nothing, and met with these errors.
func (r *autoRun) untried(errs ...error) error {
	if err := errors.Join(append(errs, r.err)...); err != nil || r.idle {
		return err
	}
	return ErrNotYet
}

// barred says why nothing may be done on the host, where that is worth telling.
func (r *autoRun) barred(now time.Time) string {
	if why := r.f.unfit(r.host); why != "" {
		return why
	}
	if why := r.c.auto.jump(r.f.settings.AutoWarmUp, now); why != "" {
		return why
	}
	return r.f.sightedAgain(r.host, now)
}

func (r *autoRun) holdIfBarred(ctx context.Context) error {
	if why := r.barred(time.Now()); why != "" && len(r.due) > 0 {
		return r.c.holdBack(ctx, r.host, why, r.due)
	}
	return nil
}

// tooMany is the brake, by the strictest of the policies that would act.
func (r *autoRun) tooMany(ctx context.Context) (string, error) {
	byStage := map[string]store.PolicyInForce{}
	for _, v := range r.due {
		byStage[v.StageID] = r.policies[v.StageID]
	}
	var involved []store.PolicyInForce
	for _, p := range byStage {
		involved = append(involved, p)
	}
	if len(involved) == 0 {
		return "", nil
	}
	onHost, err := r.c.countOn(ctx, r.hostID)
	if err != nil {
		return "", err
	}
	return strictest(involved).brake(len(r.due), onHost), nil
}

// freshen has a host scanned unless a good scan of late, after all that was odd, is there. It reports whether there is one.
func (c *Cleaner) freshen(ctx context.Context, hostID string) (bool, error) {
	if fresh, err := c.isFresh(ctx, hostID); fresh || err != nil || c.auto.scan == nil {
		return fresh, err
	}
	if err := c.auto.scan(ctx, hostID); err != nil && !errors.Is(err, ErrBlind) { // blindness is in the host's row
		return false, fmt.Errorf("scan before anything is decided: %w", err)
	}
	return c.isFresh(ctx, hostID)
}

func (c *Cleaner) isFresh(ctx context.Context, hostID string) (bool, error) {
	f, err := c.footing(ctx)
	if err != nil {
		return false, err
	}
	now := time.Now()
	last := f.hosts[hostID].LastGoodScan
	since := laterOf(now.Add(-scanFresh), stamp(laterOf(c.auto.steadySince(now), f.blindEnd(hostID, now))))
	return !last.Before(since) && !last.After(now.Add(clockTolerance)), nil
}

// planAutomatic makes a plan like any other of what is due, to be applied after the notice.
func (c *Cleaner) planAutomatic(ctx context.Context, r *autoRun) error {
	d := c.newDraft(autoActor)
	d.plan.Automatic, d.plan.ApplyAt = true, d.plan.CreatedAt.Add(c.auto.notice)
	d.plan.ExpiresAt = d.plan.ApplyAt.Add(planLife)
	views := r.due[:min(len(r.due), r.f.settings.PlanMaxItems)]
	if err := d.lookAtAll(ctx, views); err != nil {
		return err
	}
	d.dropLeftAlone()
	d.plan.LeftOut = len(r.due) - len(views)
	if len(d.plan.Items) == 0 {
		return errors.Join(d.refusals...)
	}
	if err := d.countImages(ctx); err != nil {
		return err
	}
	if err := c.keepPlan(ctx, d); !errors.Is(err, errOvertaken) {
		return err
	}
	return nil
}

// errOvertaken keeps an automatic plan from being made of what another one, or a person, has in hand.
var errOvertaken = errors.New("somebody else was faster")

// onlyPlan makes sure of one automatic plan a host at a time, and that all it holds is still there.
func onlyPlan(ctx context.Context, tx *store.Tx, plan store.Plan) error {
	if !plan.Automatic {
		return nil
	}
	waiting, err := tx.AutomaticPlans(ctx, plan.CreatedAt)
	if err != nil {
		return err
	}
	applying, err := tx.UnfinishedPlans(ctx)
	if err != nil {
		return err
	}
	applying = slices.DeleteFunc(applying, func(p store.Plan) bool { return !p.Automatic })
	if _, another := planOf(append(waiting, applying...), plan.Items[0].HostID); another {
		return errOvertaken
	}
	for _, i := range plan.Items {
		v, err := tx.Instance(ctx, i.InstanceID)
		if errors.Is(err, store.ErrNotFound) || err == nil && v.Status == store.StatusRemoving {
			return errOvertaken
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// dropLeftAlone takes out what the fresh look found to be not for automatic cleanup.
func (d *draft) dropLeftAlone() {
	d.plan.Items = slices.DeleteFunc(d.plan.Items, func(i store.PlanItem) bool {
		v := store.InstanceView{Instance: store.Instance{Class: i.Class}}
		return i.Protection.Kind != store.ProtectionNone || wantsPerson(v) != ""
	})
	for n := range d.plan.Items {
		d.plan.Items[n].Position = n
	}
}

// applyAutomatic applies a plan whose moment has come.
func (c *Cleaner) applyAutomatic(ctx context.Context, plan store.Plan) error {
	done, err := c.Apply(ctx, plan.ID, autoActor, false, nil)
	now := time.Now()
	c.auto.mu.Lock()
	defer c.auto.mu.Unlock()
	for id, s := range c.auto.failed {
		if s.Until.Before(now) {
			delete(c.auto.failed, id)
		}
	}
	for _, i := range done.Items {
		if triedInVain(i.Result) {
			c.auto.failed[i.InstanceID] = Sparing{Until: now.Add(autoRetry), Why: "the last try ended as " + string(i.Result)}
		}
	}
	if err != nil {
		return err
	}
	return fruit(done.Items)
}

// fruit says what came of an automatic plan: nil where anything is gone, ErrNoneRemoved where all failed that was to go, and ErrNotYet where all was left
// alone.
func fruit(items []store.PlanItem) error {
	var failed []store.PlanItem
	for _, i := range items {
		switch i.Result {
		case store.ResultRemoved, store.ResultAlreadyGone:
			return nil
		case store.ResultError, store.ResultTimeout:
			failed = append(failed, i)
		case store.ResultRevived, store.ResultKept, store.ResultInUse, store.ResultChanged:
		}
	}
	if len(failed) == 0 {
		return ErrNotYet
	}
	first := failed[0]
	return fmt.Errorf("%w of %d: %s: %s: %s", ErrNoneRemoved, len(failed), nameOf(first), first.Result, first.ResultDetail)
}

// triedInVain reports whether a result would probably be the same in a minute.
func triedInVain(r store.CleanupResult) bool {
	switch r {
	case store.ResultTimeout, store.ResultError, store.ResultInUse, store.ResultChanged:
		return true
	case store.ResultRemoved, store.ResultAlreadyGone, store.ResultRevived, store.ResultKept:
	}
	return false
}

// stillDue says why an item of an automatic plan is not to be taken any more: switch, policy, window or host are not
// what they were.
func (c *Cleaner) stillDue(ctx context.Context, v store.InstanceView) *ending {
	f, err := c.footing(ctx)
	if err != nil {
		return endf(store.ResultError, "decide again: %v", err)
	}
	policies, err := c.db.Policies(ctx, v.StageID)
	if err != nil {
		return endf(store.ResultError, "decide again: %v", err)
	}
	now := time.Now().UTC()
	g, p := c.ground(f, v.HostID, now), policies[v.StageID]
	if !g.Off && g.Barred == "" && !g.NotBefore.After(now) && due(v, p, g, now) {
		return nil
	}
	return endf(store.ResultKept, "not due any more: %s", Decide(v, p, g, now).Why)
}

func (c *Cleaner) failed() map[string]Sparing {
	c.auto.mu.Lock()
	defer c.auto.mu.Unlock()
	return maps.Clone(c.auto.failed)
}

// lookAtClock notices that the clock was turned since the run before.
func (a *automatic) lookAtClock(now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	at := clocks{wall: a.wall().Round(0), counted: now.Sub(a.began)}
	last := a.checked
	a.checked = at
	if last.wall.IsZero() {
		return
	}
	jump := at.wall.Sub(last.wall) - (at.counted - last.counted)
	if jump.Abs() > autoJump {
		a.jumped, a.steady = jump.Round(time.Second).String(), now
	}
}

// jump says that the clock was turned, until a warm-up later.
func (a *automatic) jump(warmUp time.Duration, now time.Time) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.jumped == "" || now.Sub(a.steady) >= warmUp {
		return ""
	}
	return fmt.Sprintf("the clock of this machine moved by %s more than time did: it waits until %s", a.jumped, moment(a.steady.Add(warmUp)))
}

// steadySince is since when this process runs and its clock goes as it should, by the clock on the wall as it is now.
func (a *automatic) steadySince(now time.Time) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return now.Add(-now.Sub(a.steady)).UTC()
}

// steadyFor is the end of the warm-up of this process.
func (c *Cleaner) steadyFor(warmUp time.Duration, now time.Time) time.Time {
	return c.auto.steadySince(now).Add(warmUp)
}
