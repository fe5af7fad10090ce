package stale

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/failpoint"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// Apply does exactly what a plan says and returns it with its results. byPerson allows
// stopping what still has a process (paused, crash looping). When ctx ends, what has begun is finished
// or taken back and the rest is left alone; the plan is over either way.
func (c *Cleaner) Apply(ctx context.Context, planID, actor string, byPerson bool, p Progress) (store.Plan, error) {
	if !c.hold(c.plans, planID) {
		return store.Plan{}, c.refuse(ctx, refusal{action: "apply", planID: planID, actor: actor}, ErrPlanUsed)
	}
	defer c.letGo(c.plans, planID)
	plan, err := c.claim(ctx, planID, actor)
	if err != nil {
		return store.Plan{}, c.refuse(ctx, refusal{action: "apply", planID: planID, actor: actor}, err)
	}
	failpoint.Here("after-claim")
	settings, err := c.db.Settings(ctx)
	if err != nil {
		return store.Plan{}, fmt.Errorf("read settings: %w", err)
	}
	a := &application{
		c: c, plan: plan, settings: settings, actor: actor, byPerson: byPerson, progress: p,
		hosts: c.openHostBook(), strangers: map[string]bool{},
	}
	besideHosts(len(plan.Items), applyWorkers, func(i int) string { return plan.Items[i].HostID }, func(i int) { a.item(ctx, plan.Items[i]) })
	failpoint.Here("before-summary")
	done, err := c.finishPlan(ctx, planID, actor)
	failpoint.Here("after-summary")
	return done, errors.Join(err, errors.Join(a.errs...))
}

// claim moves a plan from planned to applying, once.
func (c *Cleaner) claim(ctx context.Context, planID, actor string) (store.Plan, error) {
	now := time.Now().UTC()
	err := c.db.Update(ctx, func(tx *store.Tx) error { return tx.ClaimPlan(ctx, planID, actor, now) })
	if err != nil && !errors.Is(err, store.ErrConflict) {
		return store.Plan{}, fmt.Errorf("claim plan %s: %w", planID, err)
	}
	plan, readErr := c.db.Plan(ctx, planID)
	switch {
	case readErr != nil:
		return store.Plan{}, fmt.Errorf("read plan %s: %w", planID, readErr)
	case err == nil:
		return plan, nil
	case plan.State == store.PlanCancelled:
		return store.Plan{}, fmt.Errorf("%w: called off by %s at %s", ErrPlanUsed, plan.AppliedBy, moment(plan.DoneAt))
	case plan.State != store.PlanPlanned:
		return store.Plan{}, fmt.Errorf("%w: applied by %s at %s", ErrPlanUsed, plan.AppliedBy, moment(plan.AppliedAt))
	}
	if plan.ExpiresAt.After(now) {
		return store.Plan{}, fmt.Errorf("%w: it was made while the clock ran ahead", ErrPlanExpired)
	}
	return store.Plan{}, fmt.Errorf("%w at %s", ErrPlanExpired, moment(plan.ExpiresAt))
}

// finishPlan closes a plan whose items all have a result, with its summary.
func (c *Cleaner) finishPlan(ctx context.Context, planID, actor string) (store.Plan, error) {
	ctx, cancel := settling(ctx)
	defer cancel()
	var done store.Plan
	err := c.db.Update(ctx, func(tx *store.Tx) error {
		if err := tx.FinishPlan(ctx, planID, time.Now().UTC()); err != nil {
			return err
		}
		var err error
		if done, err = tx.Plan(ctx, planID); err != nil {
			return err
		}
		return tx.Emit(ctx, appliedEvent(done, actor))
	})
	if err != nil {
		return store.Plan{}, fmt.Errorf("finish plan %s: %w", planID, err)
	}
	return done, nil
}

// application is one plan being applied.
type application struct {
	c        *Cleaner
	plan     store.Plan
	settings store.Settings
	actor    string
	byPerson bool
	progress Progress
	hosts    *hostBook

	mu        sync.Mutex
	done      int
	errs      []error
	strangers map[string]bool // hosts reported to be another engine than planned for
}

// item brings one item to its result and tells of it.
func (a *application) item(ctx context.Context, item store.PlanItem) {
	bounded, cancel := context.WithTimeout(ctx, itemTimeout)
	defer cancel()
	end, recorded := a.attempt(bounded, item)
	if !recorded {
		a.record(ctx, item, end)
	}
	item.Result, item.ResultDetail, item.DoneAt = end.result, end.detail, time.Now().UTC()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.done++
	if a.progress != nil {
		a.progress(a.done, len(a.plan.Items), item)
	}
}

// attempt decides and acts. recorded: the result went into the store together with the removal's end.
func (a *application) attempt(ctx context.Context, item store.PlanItem) (end ending, recorded bool) {
	if ctx.Err() != nil {
		return ending{result: store.ResultError, detail: "interrupted before it was begun, nothing was done"}, false
	}
	release, ok := a.c.take(item.InstanceID)
	if !ok {
		return ending{result: store.ResultInUse, detail: "somebody else has it in hand: another cleanup, a start or a restart"}, false
	}
	defer release()
	r, stop := a.begin(ctx, item)
	if stop != nil {
		return *stop, false
	}
	failpoint.Here("after-intent")
	end = r.sure(ctx, r.run(ctx))
	if err := r.settle(ctx, end); err != nil {
		a.fault(err)
		detail := fmt.Sprintf("%s, but that could not be written down: %v", wordsOf(end), err)
		return ending{result: store.ResultError, detail: detail, left: true}, true
	}
	failpoint.Here("after-commit")
	return end, true
}

// begin judges an item afresh and writes the intention. A row that moved on between the two,
// say by a scan, is looked at again.
func (a *application) begin(ctx context.Context, item store.PlanItem) (*removal, *ending) {
	for range beginTries {
		r, stop := a.prepare(ctx, item)
		if stop != nil {
			return nil, stop
		}
		err := r.begin(ctx)
		if err == nil {
			return r, nil
		}
		if errors.Is(err, errDeploying) {
			return nil, endf(store.ResultInUse, "%v", err)
		}
		if !errors.Is(err, store.ErrConflict) {
			return nil, endf(store.ResultError, "write down the intention: %v", err)
		}
	}
	return nil, endf(store.ResultInUse, "it moves on while it is looked at")
}

// prepare looks at one item afresh: everything that may be known before anything is written.
func (a *application) prepare(ctx context.Context, item store.PlanItem) (*removal, *ending) {
	view, err := a.c.db.Instance(ctx, item.InstanceID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, endf(store.ResultAlreadyGone, "docker-watcher holds no such instance any more")
	}
	if err != nil {
		return nil, endf(store.ResultError, "read the instance: %v", err)
	}
	if item.Protection.Kind != store.ProtectionNone {
		return nil, endf(store.ResultKept, "planned to be kept: %s", protectionWords(item.Protection))
	}
	on, stop := a.ground(ctx, item)
	if stop != nil {
		return nil, stop
	}
	if stop := a.leaveAlone(view, item, on); stop != nil {
		return nil, stop
	}
	if a.plan.Automatic && !a.byPerson {
		if stop := a.c.stillDue(ctx, view); stop != nil {
			return nil, stop
		}
	}
	r := &removal{c: a.c, on: on, item: item, view: view, actor: a.actor, byPerson: a.byPerson, tagGoneYes: a.plan.TagGoneYes, settings: a.settings}
	return r, r.judgeAgain(ctx)
}

// ground is the host of an item, if it is the engine that was planned for and may be acted on.
func (a *application) ground(ctx context.Context, item store.PlanItem) (standing, *ending) {
	on, err := a.hosts.ask(ctx, item.HostID)
	if err != nil {
		return on, endOfError(err, "the host could not be asked, nothing was done")
	}
	if !on.sameEngine(item.EngineID, item.DataRoot) {
		a.reportStranger(ctx, on, item)
		return on, endf(store.ResultChanged, "another engine than planned for answers for %s", on.host.Name)
	}
	if _, err := a.hosts.fit(ctx, item.HostID); err != nil {
		return on, endf(store.ResultKept, "%v", err)
	}
	return on, a.stillFit(ctx, on)
}

// stillFit looks again at what may have turned since the host was asked: a scan may have
// frozen it, and each answer tells its clock anew.
func (a *application) stillFit(ctx context.Context, on standing) *ending {
	host, err := a.c.db.Host(ctx, on.host.ID)
	if err != nil {
		return endf(store.ResultError, "read the host: %v", err)
	}
	if !host.FrozenSince.IsZero() {
		return endf(store.ResultKept, "%v: %s: %s", ErrFrozen, host.Name, host.FrozenReason)
	}
	if skew, known := on.engine.Skew(); known && skew.Abs() > maxSkew {
		return endf(store.ResultKept, "%v: the clock of %s is off by %s", ErrFrozen, host.Name, skew.Round(time.Second))
	}
	return nil
}

// leaveAlone says why the row alone forbids a removal; nil if it does not.
func (a *application) leaveAlone(view store.InstanceView, item store.PlanItem, on standing) *ending {
	switch {
	case view.HostID != item.HostID || view.ContainerID != item.ContainerID:
		return endf(store.ResultChanged, "it has another container than planned for")
	case view.Status == store.StatusRemoving:
		return endf(store.ResultInUse, "another removal of it is under way")
	case view.Status.Deploying():
		return endf(store.ResultInUse, "it is being deployed")
	}
	if p := heeded(&view.Instance, on.engine.Now(), a.plan.TagGoneYes); p.Kind != store.ProtectionNone {
		return endf(store.ResultKept, "%s", protectionWords(p))
	}
	if a.byPerson {
		return nil
	}
	switch {
	case view.HeldBack != "":
		return endf(store.ResultKept, "held back from automatic cleanup: %s", view.HeldBack)
	case item.Class == store.ClassEngineLost:
		return endf(store.ResultKept, "lost with its engine: automatic cleanup leaves it alone")
	case hasProcess(item.Class):
		return endf(store.ResultKept, "automatic cleanup never stops a process")
	}
	return nil
}

// hasProcess reports whether a container of that class must be stopped before it can be removed.
func hasProcess(class store.Class) bool {
	return class == store.ClassPaused || class == store.ClassCrashLooping
}

func protectionWords(p store.Protection) string {
	words := string(p.Kind)
	if p.By != "" {
		words += " by " + p.By
	}
	if !p.Until.IsZero() {
		words += " until " + moment(p.Until)
	}
	if p.Why != "" {
		words += ": " + p.Why
	}
	return words
}

// endOfError is the ending when an engine could not tell: nothing follows from it.
func endOfError(err error, what string) *ending {
	if errors.Is(err, docker.ErrTimeout) || errors.Is(err, context.DeadlineExceeded) {
		return endf(store.ResultTimeout, "%s: %v", what, err)
	}
	return endf(store.ResultError, "%s: %v", what, err)
}

// record writes the result of an item that was left alone.
func (a *application) record(ctx context.Context, item store.PlanItem, end ending) {
	ctx, cancel := settling(ctx)
	defer cancel()
	err := a.c.db.Update(ctx, func(tx *store.Tx) error {
		if err := tx.SetPlanResult(ctx, item.PlanID, item.InstanceID, end.result, end.detail, time.Now().UTC()); err != nil {
			return err
		}
		return tx.Emit(ctx, itemEvent(item, end, a.actor))
	})
	if err != nil {
		a.fault(fmt.Errorf("record result of %s: %w", item.Name, err))
	}
}

// reportStranger leaves one event a host.
func (a *application) reportStranger(ctx context.Context, on standing, item store.PlanItem) {
	a.mu.Lock()
	told := a.strangers[item.HostID]
	a.strangers[item.HostID] = true
	a.mu.Unlock()
	if told {
		return
	}
	e := store.Event{
		Time: time.Now().UTC(), Severity: store.SeverityWarn, Source: store.SourceCleaner, Kind: "host.engine_changed",
		Message: fmt.Sprintf("another engine than planned for answers for %s: nothing is removed there", on.host.Name),
		HostID:  item.HostID, Actor: a.actor,
		Data: map[string]any{
			"plan_id": item.PlanID, "engine_id": on.info.EngineID, "data_root": on.info.DataRoot,
			"planned_engine_id": item.EngineID, "planned_data_root": item.DataRoot,
		},
	}
	if err := a.c.db.Update(ctx, func(tx *store.Tx) error { return tx.Emit(ctx, e) }); err != nil {
		a.fault(fmt.Errorf("keep event of another engine: %w", err))
	}
}

func (a *application) fault(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.errs = append(a.errs, err)
}
