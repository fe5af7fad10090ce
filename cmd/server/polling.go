package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/api"
	"github.com/tiny-forge/docker-watcher/internal/deploy"
	"github.com/tiny-forge/docker-watcher/internal/poll"
	"github.com/tiny-forge/docker-watcher/internal/registry"
	"github.com/tiny-forge/docker-watcher/internal/schedule"
)

const pollTimeout = time.Minute

// polling asks registries for new tags. Each stage has its own interval; the job only has those looked for that are due,
// and waits for no registry.
func polling(poller *poll.Poller, watch *selfWatch) schedule.Job {
	poller.WatchBy(polled{watch})
	watch.expects(pollWork, "", true)
	return schedule.Job{Name: api.PollJob, Spec: "@every 10s", Timeout: pollTimeout, Elsewhere: watch.elsewhere(pollWork), Run: func(context.Context) error {
		poller.Ask()
		return nil
	}}
}

// asked is how the poller asks registries.
type asked struct{ *registry.Registries }

// Tags lists the tags of a repository.
func (a asked) Tags(ctx context.Context, image string) ([]string, error) {
	tags, err := a.Registries.Tags(ctx, image)
	return tags, patient(err)
}

// Digest is what a tag points to now.
func (a asked) Digest(ctx context.Context, image, tag string) (string, error) {
	digest, err := a.Registries.Digest(ctx, image, tag)
	return digest, gone(patient(err))
}

// Created is when the image at a tag was made; of one for many platforms, that for the platform of this machine, or the first.
func (a asked) Created(ctx context.Context, image, tag string) (time.Time, error) {
	found, err := a.Image(ctx, image, tag, registry.Platform{OS: "linux", Arch: runtime.GOARCH})
	return found.Created, gone(patient(err))
}

// gone tells the poller of a tag that is listed, and of which the registry says that it has no image for it.
func gone(err error) error {
	if errors.Is(err, registry.ErrGone) {
		return fmt.Errorf("%w: %w", poll.ErrNoImage, err)
	}
	return err
}

// patient tells the poller of a registry that said until when it wants to be left alone.
func patient(err error) error {
	if refusal, ok := errors.AsType[*registry.Error](err); ok && !refusal.RetryAt.IsZero() {
		return poll.Refused{Until: refusal.RetryAt, Err: err}
	}
	return err
}

// deployTag is how the poller asks for a deploy of the image that it judged.
func deployTag(deployer *deploy.Deployer) func(ctx context.Context, stageID, tag, digest string) error {
	return func(ctx context.Context, stageID, tag, digest string) error {
		_, err := deployer.Start(ctx, deploy.Request{StageID: stageID, Tag: tag, Digest: digest, Actor: deploy.AutoActor})
		return err
	}
}
