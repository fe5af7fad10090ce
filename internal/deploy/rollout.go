package deploy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// pullWithin bounds one pull; a pull that stalls is noticed earlier by the adapter.
const pullWithin = 30 * time.Minute

// rollout is one deploy being carried out.
type rollout struct {
	*Deployer
	eng  *docker.Engine
	dep  store.Deploy
	inst store.InstanceView // the new one
	spec store.Spec
	tell *teller
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
	if err := d.locks.wait(ctx, r.inst.ID); err != nil {
		return
	}
	defer d.locks.release(r.inst.ID)
	if err := r.pickUp(ctx); err != nil {
		d.log.WarnContext(ctx, "deploy was left open; trying again", "deploy_id", id, "error", err)
		return
	}
	if err := r.bringUp(ctx); err != nil {
		err = r.fail(ctx, err)
		if err != nil {
			d.log.ErrorContext(ctx, "failed deploy could not be tidied up; trying again", "deploy_id", id, "error", err)
		}
		return
	}
	if err := r.finish(ctx); err != nil && ctx.Err() == nil {
		d.log.ErrorContext(ctx, "deploy could not be finished; trying again", "deploy_id", id, "error", err)
	}
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
	if r.eng, err = d.fleet.Engine(dep.HostID); err != nil {
		return nil, fmt.Errorf("host %s: %w", dep.HostID, err)
	}
	if r.inst, err = d.db.Instance(ctx, dep.InstanceID); err != nil {
		return nil, fmt.Errorf("read instance %s: %w", dep.InstanceID, err)
	}
	if r.spec, err = d.db.InstanceSpec(ctx, dep.InstanceID); err != nil {
		return nil, fmt.Errorf("read spec of instance %s: %w", dep.InstanceID, err)
	}
	r.tell = newTeller(d.bus, r.dep)
	return r, nil
}

// pickUp prepares what a crash left half done: it finds the container that was made but not yet written down.
func (r *rollout) pickUp(ctx context.Context) error {
	switch r.dep.State {
	case store.DeployStarting, store.DeployChecking, store.DeploySwitching:
		if _, err := r.eng.Info(ctx); err != nil {
			return fmt.Errorf("ask the engine what a crash left: %w", err)
		}
		r.madeRoom = true // it may have been
		return r.findContainer(ctx)
	case store.DeployQueued, store.DeployPulling, store.DeployDone, store.DeployFailed:
	}
	return nil
}

// bringUp takes the new instance up to healthy. Each step may be repeated.
func (r *rollout) bringUp(ctx context.Context) error {
	if r.dep.State == store.DeploySwitching {
		return nil
	}
	age := time.Since(r.dep.CreatedAt)
	if age > resumeWithin && r.dep.CreatedAt.Before(r.began) && r.dep.State != store.DeployChecking {
		return because(fmt.Errorf("it was asked for %s ago, while docker-watcher did not run", age.Round(time.Second)), "deploy again if it is still wanted")
	}
	steps := []func(context.Context) error{r.pull, r.create, r.makeRoom, r.start, r.check}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (r *rollout) pull(ctx context.Context) error {
	if r.dep.State != store.DeployQueued && r.dep.State != store.DeployPulling {
		return nil
	}
	if err := r.move(ctx, store.DeployPulling, store.StatusPulling, nil); err != nil {
		return err
	}
	ref := reference(r.inst.Image, r.inst.ImageTag)
	ctx, cancel := context.WithTimeout(ctx, pullWithin)
	defer cancel()
	before := r.imagesBefore(ctx)
	login, err := r.logIn(ctx)
	if err != nil {
		return because(err, "deploy again")
	}
	if err := r.eng.Pull(ctx, ref, login, r.tell.pulled); err != nil {
		return because(err, pullAdvice(err))
	}
	image, err := r.eng.InspectImage(ctx, ref)
	if err != nil {
		return because(fmt.Errorf("look at the pulled image %s: %w", ref, err), "deploy again")
	}
	if err := r.noteBrought(ctx, ref, image.ID, before); err != nil {
		return err
	}
	r.dep.Digest = digestOf(image, r.inst.Image)
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

// digestOf picks the digest by which an image is known in the repository it was pulled from.
func digestOf(image docker.Image, repository string) string {
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
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanFor)
	defer cancel()
	return r.tookContainer(clean, id)
}

// makeRoom stops what serves now, if the new one could not run beside it. It stays intended to run:
// a deploy that fails starts it again.
func (r *rollout) makeRoom(ctx context.Context) error {
	former, why, err := r.formerInTheWay(ctx)
	if err != nil || former == nil {
		return err
	}
	r.tell.say(fmt.Sprintf("stopping %s first: %s", former.Name, why))
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
	return nil
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
		if err := r.eng.Start(ctx, r.owned(r.inst.Instance)); err != nil {
			return because(fmt.Errorf("%s: %w", r.inst.Name, err), startAdvice(err))
		}
	}
	return r.move(ctx, store.DeployChecking, store.StatusStarting, nil)
}

// check waits until the new one is healthy, then lets it serve.
func (r *rollout) check(ctx context.Context) error {
	c, err := r.awaitHealthy(ctx)
	if err != nil {
		return because(err, "read its last log lines: docker-watcher logs "+r.inst.Name)
	}
	now := r.eng.Now()
	return r.move(ctx, store.DeploySwitching, store.StatusRunning, func(next *store.Instance) {
		alive(next, c, now)
	})
}

// finish stops what served before and keeps the last good ones for rollback. The new one is healthy: nothing
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
	var left []string
	for _, former := range live {
		if err := r.retire(ctx, former); err != nil {
			if ctx.Err() != nil {
				return err
			}
			left = append(left, fmt.Sprintf("%s was not stopped (%v)", former.Name, err))
		}
	}
	if former, why, err := r.formerInTheWay(ctx); err != nil {
		return err
	} else if former != nil && why != "" && former.Status == store.StatusStopped {
		// It was stopped to make room and is not wanted back.
		if err := r.wantStopped(ctx, former.ID); err != nil {
			return err
		}
	}
	return r.done(ctx, stage, left)
}

// retire stops a former instance for good.
func (r *rollout) retire(ctx context.Context, former store.InstanceView) error {
	if err := r.locks.wait(ctx, former.ID); err != nil {
		return err
	}
	defer r.locks.release(former.ID)
	if err := r.wantStopped(ctx, former.ID); err != nil {
		return err
	}
	r.tell.say("stopping " + former.Name)
	_, err := r.stopContainer(ctx, r.eng, former, store.Event{
		Kind: "instance.stopped", Actor: r.dep.Actor,
		Message: fmt.Sprintf("stopped %s: %s serves in its place", former.Name, r.inst.Name),
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
	keep, err := r.goodOnes(ctx, stage)
	if err != nil {
		return err
	}
	end := r.dep
	end.State, end.EndedAt = store.DeployDone, time.Now().UTC()
	severity := store.SeverityInfo
	message := fmt.Sprintf("deployed %s to %s/%s: %s is healthy", reference(end.Image, end.ImageTag), r.inst.Project, r.inst.Stage, r.inst.Name)
	if len(left) > 0 {
		severity = store.SeverityWarn
		message += "; but " + strings.Join(left, "; ") + ": stop it by hand"
	}
	err = r.db.Update(ctx, func(tx *store.Tx) error {
		if err := tx.SetRollbackKept(ctx, stage.ID, keep); err != nil {
			return fmt.Errorf("mark what is kept for rollback: %w", err)
		}
		if err := tx.UpdateDeploy(ctx, end); err != nil {
			return fmt.Errorf("end deploy: %w", err)
		}
		return tx.Emit(ctx, deployEvent(end, severity, "deploy.done", message, map[string]any{"kept_for_rollback": len(keep)}))
	})
	if err != nil {
		return err
	}
	r.dep = end
	r.tell.state(end)
	r.log.InfoContext(ctx, "deployed", "deploy_id", end.ID, "stage_id", stage.ID, "instance_id", r.inst.ID, "image_tag", end.ImageTag)
	return nil
}

// goodOnes are the ids of the last good former instances that the stage keeps: those whose deploy
// was done and whose container is still there, newest first. How many is for its policy to say.
func (r *rollout) goodOnes(ctx context.Context, stage store.Stage) ([]string, error) {
	policies, err := r.db.Policies(ctx, stage.ID)
	if err != nil {
		return nil, fmt.Errorf("read how many stage %s keeps for rollback: %w", stage.Name, err)
	}
	keepLast := policies[stage.ID].KeepLast
	var keep []string
	seen := map[string]bool{r.inst.ID: true}
	for page := (store.Page{Limit: 200}); len(keep) < keepLast; {
		deploys, next, err := r.db.Deploys(ctx, stage.ProjectID, stage.ID, page)
		if err != nil {
			return nil, fmt.Errorf("read the deploys of stage %s: %w", stage.Name, err)
		}
		for _, dep := range deploys {
			if dep.State != store.DeployDone || seen[dep.InstanceID] || len(keep) == keepLast {
				continue
			}
			seen[dep.InstanceID] = true
			good, err := r.stillThere(ctx, dep.InstanceID)
			if err != nil {
				return nil, err
			}
			if good {
				keep = append(keep, dep.InstanceID)
			}
		}
		if next == "" {
			return keep, nil
		}
		page.Cursor = next
	}
	return keep, nil
}

func (r *rollout) stillThere(ctx context.Context, id string) (bool, error) {
	inst, err := r.db.Instance(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read former instance %s: %w", id, err)
	}
	switch inst.Status {
	case store.StatusRunning, store.StatusStopped, store.StatusPaused, store.StatusRestarting:
		return true, nil
	default: // the others have no container to go back to
		return false, nil
	}
}

// move takes the deploy and its instance to their next state in one transaction.
func (r *rollout) move(ctx context.Context, state store.DeployState, status store.Status, change func(*store.Instance)) error {
	next := r.dep
	next.State = state
	err := r.record(ctx, r.eng, r.inst.ID, func(tx *store.Tx, _ store.InstanceView, i *store.Instance) error {
		i.Status = status
		if change != nil {
			change(i)
		}
		return tx.UpdateDeploy(ctx, next)
	})
	if err != nil {
		return fmt.Errorf("note that the deploy is %s: %w", state, err)
	}
	r.dep = next
	if r.inst, err = r.db.Instance(ctx, r.inst.ID); err != nil {
		return fmt.Errorf("read instance: %w", err)
	}
	r.tell.state(next)
	return nil
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
