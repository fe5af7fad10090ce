package docker

import (
	"context"
	"fmt"
)

// Owned names a container together with the right to act on it: a row of ours.
// The adapter inspects before every stop, restart, pause or remove and answers ErrNotOwned
// unless the full id is the same and, where we made it, the labels name this installation and instance.
type Owned struct {
	ID           string // full id, 64 hex digits
	Installation string
	Instance     string
	Adopted      bool // no label is asked for
	// Leftover has our installation's label and no row: an admin said yes to this full id. Its instance is not asked for.
	Leftover bool
}

// confirm inspects afresh and answers ErrNotOwned unless c is allowed to be touched.
func (e *Engine) confirm(ctx context.Context, c Owned) (Container, error) {
	switch {
	case !fullID(c.ID):
		return Container{}, fmt.Errorf("%w: %q is not a full container id", ErrNotOwned, c.ID)
	case c.ID == e.self:
		return Container{}, fmt.Errorf("%w: docker-watcher itself runs in %s", ErrNotOwned, c.ID)
	}
	got, err := e.Inspect(ctx, c.ID)
	if err != nil {
		return Container{}, err
	}
	return got, c.mayTouch(got)
}

// mayTouch is the rule of ownership. A label alone proves nothing (labels are copied), nor does an id
// without its labels, unless an admin adopted it or, of a leftover of ours, has named it by full id; a Swarm task is
// the orchestrator's in any case.
func (c Owned) mayTouch(got Container) error {
	switch {
	case got.ID != c.ID:
		return fmt.Errorf("%w: asked for %s, the engine has %s", ErrNotOwned, c.ID, got.ID)
	case got.Labels[LabelSwarmTask] != "":
		return fmt.Errorf("%w: %s is a Swarm task", ErrNotOwned, c.ID)
	case c.Adopted && !c.Leftover:
		return nil
	case c.Installation == "" || c.Instance == "" && !c.Leftover:
		return fmt.Errorf("%w: no installation or instance was named for %s", ErrNotOwned, c.ID)
	case got.Labels[LabelInstallation] != c.Installation:
		return fmt.Errorf("%w: %s carries the installation %q", ErrNotOwned, c.ID, got.Labels[LabelInstallation])
	case c.Leftover:
		return nil
	case got.Labels[LabelInstance] != c.Instance:
		return fmt.Errorf("%w: %s carries the instance %q", ErrNotOwned, c.ID, got.Labels[LabelInstance])
	default:
		return nil
	}
}
