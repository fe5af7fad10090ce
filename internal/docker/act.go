package docker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/moby/moby/client"
)

const (
	startTimeout  = time.Minute
	pauseTimeout  = 30 * time.Second
	removeTimeout = 2 * time.Minute
	// afterGrace is what an engine may take beyond the grace: it kills, waits for the exit and unmounts.
	afterGrace = 30 * time.Second
	// usualGrace is the engine's own when neither we nor the container name one.
	usualGrace = 10 * time.Second
)

// Start runs a container. One that runs already is success.
func (e *Engine) Start(ctx context.Context, c Owned) error {
	return e.act(ctx, "start container "+c.ID, c, startTimeout, func(ctx context.Context, s *session) error {
		_, err := s.cli.ContainerStart(ctx, c.ID, client.ContainerStartOptions{})
		return err
	})
}

// Stop asks it to end and kills it when the grace is over. Already stopped is success. Without a grace
// (zero) the container's own is taken.
func (e *Engine) Stop(ctx context.Context, c Owned, grace time.Duration) error {
	doing := "stop container " + c.ID
	err := e.act(ctx, doing, c, graceTimeout(grace), func(ctx context.Context, s *session) error {
		_, err := s.cli.ContainerStop(ctx, c.ID, client.ContainerStopOptions{Timeout: seconds(grace)})
		return err
	})
	if !errors.Is(err, ErrConflict) && !errors.Is(err, ErrEngine) {
		return err
	}
	// Podman does not stop what is paused. Docker does, by thawing it after the signal.
	got, again := e.Inspect(ctx, c.ID)
	if again != nil || got.State != StatePaused {
		return err
	}
	if err := e.Unpause(ctx, c); err != nil {
		return err
	}
	return e.act(ctx, doing, c, graceTimeout(grace), func(ctx context.Context, s *session) error {
		_, err := s.cli.ContainerStop(ctx, c.ID, client.ContainerStopOptions{Timeout: seconds(grace)})
		return err
	})
}

// Restart stops it as Stop does and starts it again.
func (e *Engine) Restart(ctx context.Context, c Owned, grace time.Duration) error {
	return e.act(ctx, "restart container "+c.ID, c, graceTimeout(grace)+startTimeout, func(ctx context.Context, s *session) error {
		_, err := s.cli.ContainerRestart(ctx, c.ID, client.ContainerRestartOptions{Timeout: seconds(grace)})
		return err
	})
}

// SetRestart gives it another restart policy: no, always, unless-stopped or on-failure[:n]. Older podmans cannot.
func (e *Engine) SetRestart(ctx context.Context, c Owned, policy string) error {
	doing := "change the restart policy of container " + c.ID
	p, err := restartPolicy(policy)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return e.act(ctx, doing, c, pauseTimeout, func(ctx context.Context, s *session) error {
		_, err := s.cli.ContainerUpdate(ctx, c.ID, client.ContainerUpdateOptions{RestartPolicy: &p})
		return err
	})
}

// Pause freezes its processes.
func (e *Engine) Pause(ctx context.Context, c Owned) error {
	return e.act(ctx, "pause container "+c.ID, c, pauseTimeout, func(ctx context.Context, s *session) error {
		_, err := s.cli.ContainerPause(ctx, c.ID, client.ContainerPauseOptions{})
		return err
	})
}

// Unpause thaws its processes.
func (e *Engine) Unpause(ctx context.Context, c Owned) error {
	return e.act(ctx, "unpause container "+c.ID, c, pauseTimeout, func(ctx context.Context, s *session) error {
		_, err := s.cli.ContainerUnpause(ctx, c.ID, client.ContainerUnpauseOptions{})
		return err
	})
}

// Remove deletes a container that is not running: force=0, v=0, by full id. ErrNotFound: it was gone already.
// ErrConflict: it runs, or is being removed by somebody else.
func (e *Engine) Remove(ctx context.Context, c Owned) error {
	return e.RemoveIf(ctx, c, func(Container) error { return nil })
}

// RemoveIf is Remove, unless still, which is shown the container as it is right before, has an objection.
func (e *Engine) RemoveIf(ctx context.Context, c Owned, still func(Container) error) error {
	doing := "remove container " + c.ID
	got, err := e.confirm(ctx, c)
	if err == nil {
		err = still(got)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	_, err = call(ctx, e, doing, removeTimeout, func(ctx context.Context, s *session) (struct{}, error) {
		_, err := s.cli.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: false, RemoveVolumes: false})
		return struct{}{}, err
	})
	return err
}

// act does one thing to a container that was confirmed to be ours just before.
func (e *Engine) act(ctx context.Context, doing string, c Owned, timeout time.Duration, do func(context.Context, *session) error) error {
	if _, err := e.confirm(ctx, c); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	_, err := call(ctx, e, doing, timeout, func(ctx context.Context, s *session) (struct{}, error) {
		return struct{}{}, do(ctx, s)
	})
	return err
}

// seconds is a grace in the engine's unit, rounded up; nil leaves it to the container.
func seconds(grace time.Duration) *int {
	if grace <= 0 {
		return nil
	}
	n := int(math.Ceil(grace.Seconds()))
	return &n
}

func graceTimeout(grace time.Duration) time.Duration {
	return max(grace, usualGrace) + afterGrace
}
