package adopt

import (
	"context"
	"fmt"
	"strings"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// Unadopt gives a container back: its row goes, and the container is not touched, nor is its engine asked. Refused while
// something is being done to it, for one that we made, and while routes lead to it.
func (a *Adopter) Unadopt(ctx context.Context, instanceID string, by By) error {
	release, ok := a.hands.Claim(instanceID)
	if !ok {
		return fmt.Errorf("give back instance %s: %w, try again", instanceID, ErrBusy)
	}
	defer release()
	return a.db.Update(ctx, func(tx *store.Tx) error {
		v, err := tx.Instance(ctx, instanceID)
		if err != nil {
			return err
		}
		if err := mayGiveBack(ctx, tx, v); err != nil {
			return fmt.Errorf("give back %s: %w", v.Name, err)
		}
		if err := tx.Unadopt(ctx, v.ID); err != nil {
			return err
		}
		one := Adopted{
			Instance: v.Instance, Host: store.Host{ID: v.HostID},
			Project: store.Project{ID: v.ProjectID}, Stage: store.Stage{ID: v.StageID},
		}
		e := event(by, "instance.unadopted", fmt.Sprintf("%s on %s is no longer looked after in %s/%s; the container was not touched", v.Name, v.Host, v.Project, v.Stage), one)
		e.Data["container_id"], e.Data["name"], e.Data["image_tag"] = v.ContainerID, v.Name, v.ImageTag
		return tx.Emit(ctx, e)
	})
}

func mayGiveBack(ctx context.Context, tx *store.Tx, v store.InstanceView) error {
	switch {
	case v.Ownership != store.OwnershipAdopted:
		return fmt.Errorf("it %w: docker-watcher made it", ErrNotAdopted)
	case v.Status == store.StatusRemoving:
		return fmt.Errorf("%w: it is being removed", ErrBusy)
	case v.Status.Deploying():
		return fmt.Errorf("%w: it is %s", ErrBusy, v.Status)
	}
	open, err := tx.OpenDeploys(ctx)
	if err != nil {
		return err
	}
	for _, dep := range open {
		if dep.StageID == v.StageID {
			return fmt.Errorf("%w: a deploy of its stage is %s; wait until it ends", ErrBusy, dep.State)
		}
	}
	routes, err := tx.RoutesOf(ctx, v.ID)
	if err == nil && len(routes) > 0 {
		err = fmt.Errorf("%w: %s; let them lead elsewhere first", ErrInUse, strings.Join(routes, ", "))
	}
	return err
}
