package deploy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/failpoint"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// switchWithin bounds one switch of the routes.
const switchWithin = 30 * time.Second

// Switch lets the routes of a stage lead to an instance, whose routes' rows say so already, and returns when requests come
// there; to is zero where they are to lead nowhere again. It may be repeated. An error means that they lead where they led before.
type Switch func(ctx context.Context, stage store.Stage, to store.InstanceView) error

// SwitchBy sets who carries a change of routes out. Set before Run; without it the rows of the routes are all there is.
func (d *Deployer) SwitchBy(s Switch) { d.switchTo = s }

// DrainBy sets who knows when nothing is open any more on an instance that its routes have left: then the drain is over before its
// time. Set before Run; without it all of the time passes.
func (d *Deployer) DrainBy(drained func(ctx context.Context, instanceID string) error) {
	d.drainBy = drained
}

// errLeftOpen ends the carrying out of a deploy that can neither go on nor back now: Run tries it again.
var errLeftOpen = errors.New("left open")

// switchOver lets the routes of the stage lead to the new one, which is healthy. A shutdown does not cut it off. An error
// means that they lead to the former again, save for errLeftOpen: then nobody may be stopped.
func (r *rollout) switchOver(ctx context.Context) error {
	if r.dep.State != store.DeploySwitching {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*switchWithin)
	defer cancel()
	stage, err := r.db.Stage(ctx, r.dep.StageID)
	if err != nil {
		return fmt.Errorf("%w: read stage: %w", errLeftOpen, err)
	}
	was, err := r.db.RouteLeads(ctx, stage.ID)
	if err != nil {
		return fmt.Errorf("%w: read where the routes lead: %w", errLeftOpen, err)
	}
	failpoint.Here("before-switch")
	if err := r.pointTo(ctx, stage, r.inst); err != nil {
		return because(fmt.Errorf("let the routes of the stage lead to %s: %w", r.inst.Name, err), "give the stage another domain, then deploy again")
	}
	if err := r.carry(ctx, stage, r.inst); err != nil {
		if back := r.pointBack(ctx, stage, was); back != nil {
			return fmt.Errorf("%w: %w; %w", errLeftOpen, err, back)
		}
		return because(fmt.Errorf("let the routes of the stage lead to %s: %w", r.inst.Name, err), "see that the proxy is well, then deploy again")
	}
	failpoint.Here("after-switch")
	if err := r.move(ctx, store.DeployDraining, store.StatusRunning, nil); err != nil {
		return fmt.Errorf("%w: %w", errLeftOpen, err)
	}
	return nil
}

// pointTo lets the rows of the routes lead to an instance.
func (r *rollout) pointTo(ctx context.Context, stage store.Stage, to store.InstanceView) error {
	if stage.Strategy == store.StrategyParallel {
		return r.pointPreview(ctx, stage, to)
	}
	return r.db.Update(ctx, func(tx *store.Tx) error { return tx.PointRoutes(ctx, stage.ID, to.ID) })
}

// carry has what the rows say carried out.
func (r *rollout) carry(ctx context.Context, stage store.Stage, to store.InstanceView) error {
	if r.switchTo == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, switchWithin)
	defer cancel()
	return r.switchTo(ctx, stage, to)
}

// pointBack lets the rows lead where they led before; a route that was made for the new one goes. It is told to whoever carries
// them out as well, who has said, though, that nothing has changed there.
func (r *rollout) pointBack(ctx context.Context, stage store.Stage, was []store.RouteLead) error {
	var former store.InstanceView
	if r.dep.Replaces != "" {
		var err error
		if former, err = r.db.Instance(ctx, r.dep.Replaces); err != nil && !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("read what served before: %w", err)
		}
	}
	err := r.db.Update(ctx, func(tx *store.Tx) error {
		return tx.LeadBack(ctx, r.inst.ID, r.before(was, former.ID), r.dep.CreatedAt)
	})
	if err != nil {
		return fmt.Errorf("let the routes lead to what served before again: %w", err)
	}
	if err := r.carry(ctx, stage, former); err != nil {
		r.tell.note(ctx, "the routes could not be set again to what served before: "+err.Error())
	}
	return nil
}

// before is where routes led before the deploy came to them, also where a crash has let some lead to the new one already.
func (r *rollout) before(was []store.RouteLead, former string) (list []store.RouteLead) {
	for _, lead := range was {
		if lead.InstanceID == r.inst.ID {
			lead.InstanceID = former
		}
		if lead.InstanceID != "" {
			list = append(list, lead)
		}
	}
	return list
}

// drain leaves the former ones the time that the stage gives them to end what they have begun.
func (r *rollout) drain(ctx context.Context, stage store.Stage, former []store.InstanceView) error {
	names := r.running(ctx, former)
	if len(names) == 0 || stage.Drain <= 0 {
		return nil
	}
	r.tell.note(ctx, fmt.Sprintf("%s: what it has begun may end, for %s", strings.Join(names, ", "), stage.Drain))
	timer := time.NewTimer(stage.Drain)
	defer timer.Stop()
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	select {
	case <-timer.C:
		return nil
	case <-r.nothingOpen(waiting, former):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// nothingOpen is closed when nothing is open on any of the former ones; nil where nobody knows.
func (r *rollout) nothingOpen(ctx context.Context, former []store.InstanceView) <-chan struct{} {
	if r.drainBy == nil {
		return nil
	}
	drained := make(chan struct{})
	go func() {
		for _, v := range former {
			if r.drainBy(ctx, v.ID) != nil {
				return
			}
		}
		close(drained)
	}()
	return drained
}

// running names those that run, as far as the engine answers: in doubt one does.
func (r *rollout) running(ctx context.Context, list []store.InstanceView) []string {
	var names []string
	for _, v := range list {
		if c, err := r.eng.Inspect(ctx, v.ContainerID); err != nil && !errors.Is(err, docker.ErrNotFound) || err == nil && c.State == docker.StateRunning {
			names = append(names, v.Name)
		}
	}
	return names
}
