package deploy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/failpoint"
	"github.com/tiny-forge/docker-watcher/internal/guard"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// rollout is one deploy being carried out.
type rollout struct {
	*Deployer
	eng  *docker.Engine
	dep  store.Deploy
	inst store.InstanceView // the new one
	spec store.Spec
	tell *teller
	held []string // instances that are locked for it
	// madeRoom: what served before was stopped for the new one and must be started again if that fails.
	madeRoom bool
}

// carryOut brings one deploy to its end. What cannot be ended now (the store or the engine does not
// answer) stays open and is tried again by Run.
func (d *Deployer) carryOut(ctx context.Context, id string) {
	r, err := d.load(ctx, id)
	if err != nil {
		if ctx.Err() == nil {
			d.log.ErrorContext(ctx, "deploy could not be read; trying again", "deploy_id", id, "error", err)
		}
		return
	}
	if r == nil {
		return
	}
	if err := r.hold(ctx, r.inst.ID); err != nil {
		return
	}
	defer r.letGo()
	if err := r.pickUp(ctx); err != nil {
		d.log.WarnContext(ctx, "deploy was left open; trying again", "deploy_id", id, "error", err)
		return
	}
	if err := guard.Do(d.log, "deploy", func() error { return r.bringUp(ctx) }); errors.Is(err, errLeftOpen) {
		d.log.ErrorContext(ctx, "deploy can neither go on nor back; trying again", "deploy_id", id, "error", err)
		return
	} else if err != nil {
		if err := r.fail(ctx, err); err != nil {
			d.log.ErrorContext(ctx, "failed deploy could not be tidied up; trying again", "deploy_id", id, "error", err)
		}
		return
	}
	if err := r.finish(ctx); err != nil && ctx.Err() == nil {
		d.log.ErrorContext(ctx, "deploy could not be finished; trying again", "deploy_id", id, "error", err)
	}
}

// hold keeps everybody else's hands off an instance until letGo.
func (r *rollout) hold(ctx context.Context, id string) error {
	if err := r.locks.wait(ctx, id); err != nil {
		return err
	}
	r.held = append(r.held, id)
	return nil
}

func (r *rollout) letGo() {
	for _, id := range r.held {
		r.locks.release(id)
	}
	r.held = nil
}

// load reads a deploy and what belongs to it; nil when it has ended.
func (d *Deployer) load(ctx context.Context, id string) (*rollout, error) {
	dep, err := d.db.Deploy(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("read deploy: %w", err)
	}
	if dep.State.Ended() {
		return nil, nil
	}
	r := &rollout{Deployer: d, dep: dep}
	if why, advice, err := d.vanished(ctx, dep); err != nil {
		return nil, err
	} else if why != "" {
		return nil, d.failVanished(ctx, dep, why, advice)
	}
	if r.eng, err = d.fleet.Engine(dep.HostID); err != nil {
		return nil, fmt.Errorf("host %s: %w", dep.HostID, err)
	}
	if err := d.sameEngine(ctx, dep.HostID); err != nil {
		return nil, err
	}
	if r.inst, err = d.db.Instance(ctx, dep.InstanceID); err != nil {
		return nil, fmt.Errorf("read instance %s: %w", dep.InstanceID, err)
	}
	if r.spec, err = d.db.InstanceSpec(ctx, dep.InstanceID); err != nil {
		return nil, fmt.Errorf("read spec of instance %s: %w", dep.InstanceID, err)
	}
	r.tell = d.newTeller(r.dep)
	return r, nil
}

// pickUp prepares what a crash left half done: it finds the container that was made but not yet written down.
func (r *rollout) pickUp(ctx context.Context) error {
	switch r.dep.State {
	case store.DeployStarting, store.DeployChecking, store.DeploySwitching, store.DeployDraining:
		if _, err := r.eng.Info(ctx); err != nil {
			return fmt.Errorf("ask the engine what a crash left: %w", err)
		}
		r.madeRoom = true // it may have been
		return r.findContainer(ctx)
	case store.DeployQueued, store.DeployPulling, store.DeployDone, store.DeployFailed, store.DeployCancelled, store.DeploySuperseded:
	}
	return nil
}

// errCancelled ends the way up of a deploy that somebody cancelled.
var errCancelled = errors.New("cancelled")

// bringUp takes the new instance up to serving. Each step may be repeated.
func (r *rollout) bringUp(ctx context.Context) error {
	if r.dep.CancelledBy != "" {
		return errCancelled
	}
	if err := r.stillExpected(ctx); err != nil {
		return err
	}
	steps := []func(context.Context) error{r.begin, r.freePorts, r.pull, r.create, r.makeRoom, r.start, r.check, r.switchOver}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// stillExpected refuses to carry on what was left long ago: nobody expects it to start by itself.
func (r *rollout) stillExpected(ctx context.Context) error {
	if !r.dep.CreatedAt.Before(r.began) || r.dep.State == store.DeployChecking || r.dep.State.Serves() {
		return nil
	}
	lines, err := r.db.DeployLog(ctx, r.dep.ID, 0, 1000)
	if err != nil {
		return because(err, "deploy again")
	}
	left := r.dep.CreatedAt
	if len(lines) > 0 {
		left = lines[len(lines)-1].Time
	}
	if gap := r.began.Sub(left); gap > resumeWithin {
		return because(fmt.Errorf("it was left for %s, while docker-watcher did not run", gap.Round(time.Second)), "deploy again if it is still wanted")
	}
	return nil
}

// begin leaves the queue. What serves now is what the deploy replaces.
func (r *rollout) begin(ctx context.Context) error {
	if r.dep.State != store.DeployQueued {
		return nil
	}
	if r.dep.Kind == store.DeployRollback {
		return r.beginRollback(ctx)
	}
	return r.moveWith(ctx, store.DeployPulling, store.StatusPulling, func(tx *store.Tx, dep *store.Deploy, _ *store.Instance) error {
		return r.replaces(ctx, tx, dep)
	})
}

// replaces notes which instance serves the stage now.
func (r *rollout) replaces(ctx context.Context, tx *store.Tx, dep *store.Deploy) error {
	stage, err := tx.Stage(ctx, dep.StageID)
	if err != nil {
		return err
	}
	live, err := liveOf(ctx, tx, stage, dep.InstanceID)
	if err != nil {
		return err
	}
	if live = sameLane(stage, live, dep.ImageTag); len(live) > 0 {
		dep.Replaces = live[0].ID
	}
	return nil
}

func (r *rollout) pull(ctx context.Context) error {
	if r.dep.State != store.DeployPulling {
		return nil
	}
	failpoint.Here("pulling")
	image, err := r.fetch(ctx)
	if err != nil {
		return err
	}
	failpoint.Here("pulled")
	r.dep.Digest = digestOf(image, r.inst.Image, r.dep.Digest)
	return r.move(ctx, store.DeployStarting, store.StatusStarting, func(next *store.Instance) {
		next.ImageID, next.Digest = image.ID, r.dep.Digest
	})
}

// logIn is what the pull brings to the registry of the image.
func (r *rollout) logIn(ctx context.Context) (string, error) {
	if r.credential == nil {
		return "", nil
	}
	login, err := r.credential(ctx, r.inst.Image)
	if err != nil {
		return "", fmt.Errorf("find the login for the registry of %s: %w", r.inst.Image, err)
	}
	return login, nil
}

// digestOf picks the digest by which an image is known in the repository it was pulled from: the one that was asked for, if any, for
// an image may be known by several.
func digestOf(image docker.Image, repository, asked string) string {
	if asked != "" {
		return asked
	}
	for _, d := range image.RepoDigests {
		if repo, digest, ok := strings.Cut(d, "@"); ok && (repo == repository || strings.HasSuffix(repo, "/"+repository) || len(image.RepoDigests) == 1) {
			return digest
		}
	}
	return ""
}

// create makes the container. Its id is written down at once, also when ctx has just ended.
func (r *rollout) create(ctx context.Context) error {
	if r.inst.ContainerID != "" {
		return nil
	}
	opts := createOptions(r.inst, r.spec, r.db.InstallationID())
	opts.Image = r.imageName(ctx)
	failpoint.Here("before-create")
	id, err := r.eng.Create(ctx, opts)
	if errors.Is(err, docker.ErrConflict) {
		// The engine may have carried out, late, what an earlier daemon asked for before it was killed.
		if lost := r.findContainer(ctx); lost != nil || r.inst.ContainerID != "" {
			return lost
		}
	}
	if err != nil {
		return because(err, createAdvice(err, opts.Name))
	}
	failpoint.Here("after-create")
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanFor)
	defer cancel()
	return r.tookContainer(clean, id)
}

// imageName is what the container is made of, by a name that people know in the engine's own lists where there is one that means
// the image that was fetched and no other; else by its id, for a name may lead elsewhere by now.
func (r *rollout) imageName(ctx context.Context) string {
	if r.inst.ImageID == "" {
		return r.wanted()
	}
	name := reference(r.inst.Image, r.inst.ImageTag)
	if digest := "@" + r.inst.Digest; digestForm.MatchString(r.inst.Digest) && !strings.HasSuffix(name, digest) {
		name += digest
	}
	// An engine that does not know the name, or does not answer, takes the id.
	if image, err := r.eng.InspectImage(ctx, name); err == nil && image.ID == r.inst.ImageID {
		return name
	}
	return r.inst.ImageID
}

// makeRoom stops what serves now, if the new one could not run beside it. It stays intended to run:
// a deploy that fails starts it again.
func (r *rollout) makeRoom(ctx context.Context) error {
	former, why, err := r.formerInTheWay(ctx)
	if err != nil || former == nil || r.endedWhileChecked(ctx) {
		return err
	}
	r.tell.note(ctx, fmt.Sprintf("stopping %s first: %s", former.Name, why))
	if err := r.locks.wait(ctx, former.ID); err != nil {
		return err
	}
	defer r.locks.release(former.ID)
	c, err := r.eng.Inspect(ctx, former.ContainerID)
	if err != nil && !errors.Is(err, docker.ErrNotFound) {
		return because(fmt.Errorf("look at %s, which is in the way (%s): %w", former.Name, why, err), "deploy again")
	}
	if err != nil || !hasProcess(c) && !r.madeRoom {
		return nil
	}
	r.madeRoom = true
	if _, err := r.stopContainer(ctx, r.eng, *former, store.Event{
		Kind: "instance.stopped", Actor: r.dep.Actor,
		Message: fmt.Sprintf("stopped %s to make room for %s: %s", former.Name, r.inst.Name, why),
	}); err != nil {
		return because(fmt.Errorf("stop %s to make room (%s): %w", former.Name, why, err), "stop it and deploy again")
	}
	failpoint.Here("made-room")
	return nil
}

// endedWhileChecked tells of a deploy that was left open that its new one was started and has no process any more: the check
// will fail, and what a crash in the middle of that may have left serving again is not stopped for it. In doubt it has one.
func (r *rollout) endedWhileChecked(ctx context.Context) bool {
	if r.dep.State != store.DeployChecking {
		return false
	}
	c, err := r.eng.Inspect(ctx, r.inst.ContainerID)
	return errors.Is(err, docker.ErrNotFound) || err == nil && !hasProcess(c)
}

// formerInTheWay returns the instance that the deploy replaces, if it has a process and cannot run beside the new one.
func (r *rollout) formerInTheWay(ctx context.Context) (*store.InstanceView, string, error) {
	if r.dep.Replaces == "" {
		return nil, "", nil
	}
	former, err := r.db.Instance(ctx, r.dep.Replaces)
	if errors.Is(err, store.ErrNotFound) {
		return nil, "", nil
	} else if err != nil {
		return nil, "", fmt.Errorf("read the former instance: %w", err)
	}
	if former.Intended != store.IntendedRunning || former.Status == store.StatusRemoving || former.ContainerID == "" {
		return nil, "", nil
	}
	spec, err := r.db.InstanceSpec(ctx, former.ID)
	if err != nil {
		return nil, "", fmt.Errorf("read the spec of the former instance: %w", err)
	}
	why := cannotOverlap(spec, r.spec)
	if why == "" {
		return nil, "", nil
	}
	return &former, why, nil
}

func (r *rollout) start(ctx context.Context) error {
	if r.dep.State == store.DeployStarting {
		failpoint.Here("before-start")
		if err := r.joinNetworks(ctx); err != nil {
			return err
		}
		if r.reused() {
			if err := r.restartAsAsked(ctx, r.eng, r.inst.Instance, r.spec); err != nil {
				r.tell.note(ctx, fmt.Sprintf("%s keeps the restart policy %s: %v", r.inst.Name, staysStopped, err))
			}
		}
		if err := r.eng.Start(ctx, r.owned(r.inst.Instance)); err != nil {
			return because(fmt.Errorf("%s: %w", r.inst.Name, err), startAdvice(err))
		}
		failpoint.Here("after-start")
	}
	if r.dep.State.Serves() {
		return nil
	}
	return r.move(ctx, store.DeployChecking, store.StatusStarting, nil)
}

// check waits until the new one is healthy.
func (r *rollout) check(ctx context.Context) error {
	if r.dep.State.Serves() {
		return nil
	}
	failpoint.Here("checking")
	c, err := r.awaitHealthy(ctx)
	if err != nil {
		return because(err, "read its last log lines: docker-watcher logs "+r.inst.Name)
	}
	now := r.eng.Now()
	stale := !r.inst.StaleSince.IsZero()
	return r.moveWith(ctx, store.DeploySwitching, store.StatusRunning, func(tx *store.Tx, _ *store.Deploy, next *store.Instance) error {
		alive(next, c, now)
		if !stale {
			return nil
		}
		return tx.Emit(ctx, instanceEvent(r.inst, store.Event{
			Kind: "instance.recovered", Actor: r.dep.Actor, Message: r.inst.Name + " is alive again and no longer stale",
		}))
	})
}

// finish drains and stops what served before, and keeps the last good ones for rollback. The new one serves: nothing
// here can make the deploy fail any more.
func (r *rollout) finish(ctx context.Context) error {
	stage, err := r.db.Stage(ctx, r.dep.StageID)
	if err != nil {
		return fmt.Errorf("read stage: %w", err)
	}
	live, err := liveOf(ctx, r.db, stage, r.inst.ID)
	if err != nil {
		return err
	}
	failpoint.Here("draining")
	wanted, err := r.db.WantedTags(ctx, stage.ID)
	if err != nil {
		return err
	}
	end, why := leaving(stage, live, r.inst, wanted, time.Now())
	if err := r.drain(ctx, stage, end); err != nil {
		return err
	}
	var left []string
	for _, former := range end {
		if err := r.retire(ctx, former, why[former.ID]); err != nil {
			if ctx.Err() != nil {
				return err
			}
			left = append(left, fmt.Sprintf("%s was not stopped (%v)", former.Name, err))
		}
		failpoint.Here("after-stop")
	}
	if former, why, err := r.formerInTheWay(ctx); err != nil {
		return err
	} else if former != nil && why != "" && former.Status == store.StatusStopped {
		// It was stopped to make room and is not wanted back.
		if err := r.wantStopped(ctx, former.ID); err != nil {
			return err
		}
		r.stayDown(ctx, former.Instance)
	}
	return r.done(ctx, stage, left)
}

// retire stops a former instance for good.
func (r *rollout) retire(ctx context.Context, former store.InstanceView, why string) error {
	if err := r.locks.wait(ctx, former.ID); err != nil {
		return err
	}
	defer r.locks.release(former.ID)
	if err := r.wantStopped(ctx, former.ID); err != nil {
		return err
	}
	r.tell.note(ctx, "stopping "+former.Name)
	r.stayDown(ctx, former.Instance)
	_, err := r.stopContainer(ctx, r.eng, former, store.Event{
		Kind: "instance.stopped", Actor: r.dep.Actor,
		Message: fmt.Sprintf("stopped %s: %s", former.Name, why),
	})
	return err
}

func (r *rollout) wantStopped(ctx context.Context, id string) error {
	err := r.db.Update(ctx, func(tx *store.Tx) error { return tx.SetIntended(ctx, id, store.IntendedStopped) })
	if err != nil {
		return fmt.Errorf("note that instance %s is to be stopped: %w", id, err)
	}
	return nil
}

func (r *rollout) done(ctx context.Context, stage store.Stage, left []string) error {
	failpoint.Here("before-done")
	end := r.dep
	end.State, end.EndedAt = store.DeployDone, time.Now().UTC()
	severity := store.SeverityInfo
	message := fmt.Sprintf("deployed %s to %s/%s: %s is healthy", reference(end.Image, end.ImageTag), r.inst.Project, r.inst.Stage, r.inst.Name)
	if len(left) > 0 {
		severity = store.SeverityWarn
		message += "; but " + strings.Join(left, "; ") + ": stop it by hand"
	}
	err := r.db.Update(ctx, func(tx *store.Tx) error {
		if err := tx.UpdateDeploy(ctx, end); err != nil {
			return fmt.Errorf("end deploy: %w", err)
		}
		keep, err := keptOf(ctx, tx, stage, r.inst.ID)
		if err != nil {
			return err
		}
		if err := tx.SetRollbackKept(ctx, stage.ID, keep); err != nil {
			return fmt.Errorf("mark what is kept for rollback: %w", err)
		}
		return tellEnd(ctx, tx, end, severity, message, map[string]any{"kept_for_rollback": len(keep)})
	})
	if err != nil {
		return err
	}
	failpoint.Here("after-done")
	r.dep = end
	r.tell.state(end)
	r.log.InfoContext(ctx, "deployed", "deploy_id", end.ID, "stage_id", stage.ID, "instance_id", r.inst.ID, "image_tag", end.ImageTag)
	return nil
}

// move takes the deploy and its instance to their next state in one transaction.
func (r *rollout) move(ctx context.Context, state store.DeployState, status store.Status, change func(*store.Instance)) error {
	return r.moveWith(ctx, state, status, func(_ *store.Tx, _ *store.Deploy, i *store.Instance) error {
		if change != nil {
			change(i)
		}
		return nil
	})
}

// moveWith is move with whatever else belongs into the transaction. A deploy that was cancelled moves no further up.
func (r *rollout) moveWith(ctx context.Context, state store.DeployState, status store.Status,
	change func(tx *store.Tx, dep *store.Deploy, i *store.Instance) error,
) error {
	var next store.Deploy
	err := r.record(ctx, r.eng, r.inst.ID, func(tx *store.Tx, _ store.InstanceView, i *store.Instance) error {
		now, err := tx.Deploy(ctx, r.dep.ID)
		if err != nil {
			return err
		}
		if now.CancelledBy != "" {
			return errCancelled
		}
		next = r.dep
		next.State = state
		i.Status = status
		if err := change(tx, &next, i); err != nil {
			return err
		}
		if err := tx.UpdateDeploy(ctx, next); err != nil {
			return err
		}
		_, err = tx.AppendDeployLog(ctx, r.tell.line(next, r.words(state)))
		return err
	})
	if err != nil {
		return fmt.Errorf("note that the deploy is %s: %w", state, err)
	}
	return r.moved(ctx, next)
}

// moved takes over what a transaction has made of the deploy.
func (r *rollout) moved(ctx context.Context, dep store.Deploy) (err error) {
	r.dep = dep
	if r.inst, err = r.db.Instance(ctx, dep.InstanceID); err != nil {
		return fmt.Errorf("read instance: %w", err)
	}
	r.tell.state(dep)
	return nil
}

// words say in the log what a state means.
func (r *rollout) words(state store.DeployState) string {
	switch state {
	case store.DeployPulling:
		return "pulling " + r.wanted()
	case store.DeployStarting:
		return "starting " + r.inst.Name
	case store.DeployChecking:
		return "checking: waiting until " + r.inst.Name + " is healthy"
	case store.DeploySwitching:
		return "switching: " + r.inst.Name + " is healthy"
	case store.DeployDraining:
		return "draining: " + r.inst.Name + " serves"
	case store.DeployQueued, store.DeployDone, store.DeployFailed, store.DeployCancelled, store.DeploySuperseded:
	}
	return string(state)
}

// tookContainer writes down which container is the instance's.
func (r *rollout) tookContainer(ctx context.Context, id string) error {
	err := r.record(ctx, r.eng, r.inst.ID, func(_ *store.Tx, _ store.InstanceView, i *store.Instance) error {
		i.ContainerID = id
		return nil
	})
	if err != nil {
		return fmt.Errorf("write down container %s: %w", id, err)
	}
	r.inst, err = r.db.Instance(ctx, r.inst.ID)
	return err
}

// findContainer looks on the engine for the container that carries the instance's id, when the row names none.
func (r *rollout) findContainer(ctx context.Context) error {
	if r.inst.ContainerID != "" {
		return nil
	}
	found, err := r.eng.List(ctx, docker.ListOptions{Labels: []string{
		docker.LabelInstance + "=" + r.inst.ID,
		docker.LabelInstallation + "=" + r.db.InstallationID(),
	}})
	if err != nil {
		return fmt.Errorf("look for the container of instance %s: %w", r.inst.ID, err)
	}
	for _, c := range found {
		// A copy made by `docker commit` carries the labels too, but not the name.
		if c.Name == r.inst.Name {
			return r.tookContainer(ctx, c.ID)
		}
	}
	return nil
}
