package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// pullWithin bounds one pull; a pull that stalls is noticed earlier by the adapter.
const pullWithin = 30 * time.Minute

// errSlow ends a pull that moves on and does not come to its end.
var errSlow = fmt.Errorf("the image was not there within %s", pullWithin)

// wanted is the reference of the image: the digest of what a rollback goes back to, or that the tag pointed to when it was decided
// on, else the tag.
func (r *rollout) wanted() string {
	if digestForm.MatchString(r.dep.Digest) {
		return reference(r.inst.Image, r.dep.Digest)
	}
	return reference(r.inst.Image, r.inst.ImageTag)
}

// fetch brings the image to the engine, before anything that serves is touched, and looks whether it can run there.
func (r *rollout) fetch(ctx context.Context) (docker.Image, error) {
	ref := r.wanted()
	image, there, err := r.there(ctx, ref)
	if err != nil {
		return image, err
	}
	info := r.engineInfo(ctx)
	if there {
		r.tell.note(ctx, ref+" is on the engine already")
	} else {
		free, err := r.makeSureOfRoom(ctx, ref, info)
		if err != nil {
			return image, err
		}
		if image, err = r.pullImage(ctx, ref, free); err != nil {
			return image, err
		}
	}
	if why := wrongPlatform(image, info); why != "" {
		return image, because(fmt.Errorf("image %s cannot run on host %s: %s", ref, r.inst.Host, why),
			"push the image for the engine's platform under this tag, or deploy another tag")
	}
	return image, nil
}

// there tells whether an image that is known by its digest is on the engine already; a tag is asked for anew, for it may have moved.
func (r *rollout) there(ctx context.Context, ref string) (docker.Image, bool, error) {
	if r.dep.Digest == "" {
		return docker.Image{}, false, nil
	}
	image, err := r.eng.InspectImage(ctx, ref)
	if errors.Is(err, docker.ErrNotFound) {
		return image, false, nil
	} else if err != nil {
		return image, false, because(fmt.Errorf("look for image %s: %w", ref, err), "deploy again")
	}
	return image, true, nil
}

// engineInfo is what the engine says of itself; where it says nothing nothing is known, and the pull tells why.
func (r *rollout) engineInfo(ctx context.Context) docker.Info {
	info, err := r.eng.Info(ctx)
	if err != nil {
		r.log.InfoContext(ctx, "the platform of an engine is not known", "deploy_id", r.dep.ID, "error", err)
		return docker.Info{}
	}
	return info
}

func (r *rollout) pullImage(ctx context.Context, ref string, free int64) (docker.Image, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, pullWithin, errSlow)
	defer cancel()
	login, err := r.logIn(ctx)
	if err != nil {
		return docker.Image{}, because(err, "deploy again")
	}
	before := r.imagesBefore(ctx)
	fits, full := context.WithCancelCause(ctx)
	defer full(nil)
	err = r.eng.Pull(fits, ref, login, func(p docker.PullProgress) {
		if why := noRoom(p.Total, free); why != "" {
			full(fmt.Errorf("%w: %s", errNoRoom, why))
		}
		r.tell.pulled(ctx, p)
	})
	if cause := context.Cause(fits); errors.Is(cause, errNoRoom) {
		err = fmt.Errorf("pull %s: %w", ref, cause)
	}
	if err != nil {
		return docker.Image{}, r.notPulled(err)
	}
	image, err := r.eng.InspectImage(ctx, ref)
	if err != nil {
		return image, because(fmt.Errorf("look at the pulled image %s: %w", ref, err), "deploy again")
	}
	return image, r.noteBrought(ctx, ref, image.ID, before)
}

// notPulled says what to do about a pull that failed. An image that was known by its digest and is gone was not mistyped: its tag
// was deleted or pushed anew since.
func (r *rollout) notPulled(err error) error {
	if r.dep.Kind == store.DeployForward && r.dep.Digest != "" && errors.Is(err, docker.ErrNotFound) {
		tag := reference(r.inst.Image, r.inst.ImageTag)
		return because(fmt.Errorf("the image that %s pointed to when it was decided on is not in the registry any more: the tag was deleted or moved since: %w", tag, err),
			"deploy the tag again to have what it points to now, or another tag")
	}
	return because(err, pullAdvice(err))
}
