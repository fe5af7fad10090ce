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

const (
	lastLines    = 10
	longestLines = 4000
)

// failure is why a deploy ended badly together with what to do about it.
type failure struct {
	err    error
	advice string
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func because(err error, advice string) error { return &failure{err, advice} }

// freeSpace is what to do about a full disk of an engine.
const freeSpace = "free space on the host: the page Reclaim or 'docker-watcher reclaim' shows the images that removed ones left, the page Stale or 'docker-watcher stale' what could be removed; then deploy again"

// diskFull tells an engine's word that it has no room.
func diskFull(err error) bool { return strings.Contains(err.Error(), "no space left on device") }

func pullAdvice(err error) string {
	text := err.Error()
	switch {
	case errors.Is(err, errNoRoom), diskFull(err):
		return freeSpace
	case errors.Is(err, errSlow):
		return "pull the image on the host by hand, where it may take longer, then deploy again; or see why the way to the registry is that slow"
	case strings.Contains(text, "no matching manifest"), strings.Contains(text, "no image found in manifest list"):
		return "push the image for the engine's platform under this tag, or deploy another tag"
	case errors.Is(err, docker.ErrNotFound):
		return "check the image and the tag, and that they were pushed: there is no such image in its registry"
	case errors.Is(err, docker.ErrDenied):
		return "the registry wants a login, or another one: see docker-watcher registry test, then deploy again"
	case errors.Is(err, docker.ErrUnavailable), errors.Is(err, docker.ErrTimeout):
		return "see that the engine runs and reaches the registry, then deploy again"
	case strings.Contains(text, "no such host"), strings.Contains(text, "connection refused"): // of the engine's way to the registry: ours to the engine is above
		return "check the host in the project's image (project.image), and that a registry answers there; one that wants a login is set up with docker-watcher registry add"
	}
	return "see that the engine reaches the registry and trusts it, then deploy again"
}

func createAdvice(err error, name string) string {
	switch {
	case diskFull(err):
		return freeSpace
	case errors.Is(err, docker.ErrConflict):
		return "a container that is not ours is called " + name + ": rename it and deploy again"
	case errors.Is(err, docker.ErrNotFound) && strings.Contains(err.Error(), "network "):
		return "make that network on the host (docker network create), or take it out of the stage (spec.networks), and deploy again"
	case errors.Is(err, docker.ErrInvalid):
		return "correct the stage's settings (ports, volumes, command) and deploy again"
	}
	return "see that the engine is well, then deploy again"
}

func startAdvice(err error) string {
	text := err.Error()
	switch {
	case strings.Contains(text, "port is already allocated"), strings.Contains(text, "address already in use"):
		return "another container or program uses that port of the host: give the stage another host port (spec.ports), or stop the other"
	case diskFull(err):
		return freeSpace
	case strings.Contains(text, "no such file"), strings.Contains(text, "executable file not found"):
		return "the command is not in the image: correct the stage's command"
	}
	return "correct what the engine names and deploy again"
}

// fail ends a deploy badly: the new one is stopped, what served before serves on. One that our own shutdown cut off has not failed:
// it goes on at the next start. An error means that it could not be done now and the deploy is still open.
func (r *rollout) fail(ctx context.Context, cause error) error {
	cutOff := ctx.Err() != nil
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanFor)
	defer cancel()
	now, err := r.db.Deploy(ctx, r.dep.ID)
	switch {
	case err != nil:
		return errors.Join(cause, err)
	case now.State.Ended(): // while it waited for its turn
		return nil
	case now.CancelledBy != "" && !r.dep.State.Serves():
		r.dep.CancelledBy = now.CancelledBy
		return r.abandon(ctx)
	case cutOff:
		return r.layDown(ctx)
	}
	var f *failure
	if !errors.As(cause, &f) {
		f = &failure{cause, "deploy again"}
	}
	begun := r.dep.State == store.DeployStarting || r.dep.State == store.DeployChecking
	if begun {
		if err := r.findContainer(ctx); err != nil {
			return errors.Join(cause, err)
		}
	}
	var (
		troubles []string
		lines    string
		last     *docker.Container
	)
	if r.inst.ContainerID != "" && r.dep.State != store.DeployQueued {
		lines = r.lastLines(ctx)
		c, err := r.stopNew(ctx)
		if err != nil {
			troubles = append(troubles, fmt.Sprintf("%s could not be stopped (%v)", r.inst.Name, err))
		}
		last = c
	}
	failpoint.Here("new-stopped")
	if r.madeRoom {
		if err := r.bringBack(ctx, "the deploy of "+r.dep.ImageTag+" failed"); err != nil {
			troubles = append(troubles, fmt.Sprintf("what served before could not be started again (%v): start it by hand", err))
		}
	}
	failpoint.Here("before-failed")
	return r.failed(ctx, f, troubles, lines, last)
}

// layDown leaves a deploy open because docker-watcher ends. What was stopped to make room serves meanwhile, unless the new one runs already.
func (r *rollout) layDown(ctx context.Context) error {
	r.tell.note(ctx, "docker-watcher ends: this goes on when it starts again")
	if !r.madeRoom {
		return nil
	}
	if r.inst.ContainerID != "" {
		c, err := r.eng.Inspect(ctx, r.inst.ContainerID)
		if err != nil && !errors.Is(err, docker.ErrNotFound) {
			return fmt.Errorf("look at %s: %w", r.inst.Name, err)
		}
		if err == nil && hasProcess(c) {
			return nil
		}
	}
	return r.bringBack(ctx, "docker-watcher ends before "+r.inst.Name+" could take its place")
}

// stopNew stops the new container, unless it never ran, and tells how it was found.
func (r *rollout) stopNew(ctx context.Context) (*docker.Container, error) {
	c, err := r.eng.Inspect(ctx, r.inst.ContainerID)
	if err != nil {
		if errors.Is(err, docker.ErrNotFound) {
			return nil, nil
		}
		return nil, err
	}
	r.stayDown(ctx, r.inst.Instance)
	if !c.Running {
		return &c, nil
	}
	if err := r.eng.Stop(ctx, r.owned(r.inst.Instance), graceOf(r.spec)); err != nil {
		return &c, err
	}
	return &c, nil
}

// bringBack starts what was stopped to make room.
func (r *rollout) bringBack(ctx context.Context, why string) error {
	former, _, err := r.formerInTheWay(ctx)
	if err != nil || former == nil {
		return err
	}
	if err := r.locks.wait(ctx, former.ID); err != nil {
		return err
	}
	defer r.locks.release(former.ID)
	c, err := r.eng.Inspect(ctx, former.ContainerID)
	if err != nil {
		return fmt.Errorf("look at %s: %w", former.Name, err)
	}
	if c.Running {
		return nil
	}
	return r.startContainer(ctx, r.eng, *former, store.Event{
		Kind: "instance.started", Actor: r.dep.Actor,
		Message: fmt.Sprintf("started %s again: %s", former.Name, why),
	})
}

// failed writes down the end.
func (r *rollout) failed(ctx context.Context, f *failure, troubles []string, lines string, last *docker.Container) error {
	end := r.dep
	end.State, end.EndedAt = store.DeployFailed, time.Now().UTC()
	reason := strings.Join(append([]string{f.Error()}, troubles...), "; ")
	end.Error = reason + ": " + f.advice
	if lines != "" {
		end.Error += "\nlast log lines:\n" + lines
	}
	err := r.endInstance(ctx, last, reason, func(tx *store.Tx) error {
		if err := tx.UpdateDeploy(ctx, end); err != nil {
			return err
		}
		return tellEnd(ctx, tx, end, store.SeverityError,
			fmt.Sprintf("deploy of %s to %s/%s failed: %s: %s", reference(end.Image, end.ImageTag), r.inst.Project, r.inst.Stage, reason, f.advice),
			map[string]any{"reason": reason, "advice": f.advice})
	})
	if err != nil {
		return fmt.Errorf("write down that the deploy failed (%s): %w", reason, err)
	}
	r.dep = end
	r.tell.state(end)
	r.log.WarnContext(ctx, "deploy failed", "deploy_id", end.ID, "stage_id", end.StageID, "instance_id", end.InstanceID, "error", reason)
	return nil
}

// lastLines is the end of the new container's log, as far as it can be had.
func (r *rollout) lastLines(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var lines []string
	err := r.eng.Logs(ctx, r.inst.ContainerID, docker.LogOptions{Tail: lastLines}, func(l docker.LogLine) error {
		lines = append(lines, strings.ToValidUTF8(l.Text, "?"))
		return nil
	})
	if err != nil {
		lines = append(lines, "(its log could not be read: "+err.Error()+")")
	}
	text := strings.Join(lines[max(0, len(lines)-lastLines):], "\n")
	return text[max(0, len(text)-longestLines):]
}
