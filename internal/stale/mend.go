package stale

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// ErrNotMended is the refusal to mend a leftover, with its reason in its text.
var ErrNotMended = errors.New("not mended")

// Mend carries out the one step that mends a leftover. yes must be the full container id where a container is to be removed.
func (c *Cleaner) Mend(ctx context.Context, leftoverID, yes, actor string) error {
	l, err := c.db.Leftover(ctx, leftoverID)
	if err != nil {
		return fmt.Errorf("mend leftover %s: %w", leftoverID, err)
	}
	how, err := c.mend(ctx, l, yes, actor)
	if err != nil {
		return c.refuseToMend(ctx, l, actor, fmt.Errorf("mend %s: %w", l.Name, err))
	}
	ctx, cancel := settling(ctx)
	defer cancel()
	err = c.db.Update(ctx, func(tx *store.Tx) error {
		if l.Kind == store.LeftoverRoute {
			if err := tx.DeleteRoute(ctx, l.Subject); err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
		}
		// It may be gone with the row that it was about.
		if err := tx.DeleteLeftover(ctx, l.ID); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		e := leftoverEvent(l)
		e.Time, e.Severity, e.Source, e.Kind, e.Actor = time.Now().UTC(), store.SeverityInfo, store.SourceCleaner, "leftover.mended", actor
		e.Message = leftoverName(l) + ": " + how
		return tx.Emit(ctx, e)
	})
	if err != nil {
		return fmt.Errorf("write down that %s was mended: %w", l.Name, err)
	}
	return nil
}

// mend acts, and says in words what it did.
func (c *Cleaner) mend(ctx context.Context, l store.Leftover, yes, actor string) (how string, err error) {
	switch l.Kind {
	case store.LeftoverContainer:
		return c.mendContainer(ctx, l, yes)
	case store.LeftoverRow:
		return c.mendRow(ctx, l, actor)
	case store.LeftoverRoute:
		return c.mendRoute(ctx, l)
	case store.LeftoverRemoving:
		return c.mendRemoving(ctx, l)
	case store.LeftoverDead:
		return c.mendDead(ctx, l)
	}
	return "", fmt.Errorf("%w: %s", ErrNotMended, LeftoverStep(l.Kind))
}

// mendContainer removes a container that has our labels and no row. That is looked at again: labels are copied, and a row
// may have come meanwhile.
func (c *Cleaner) mendContainer(ctx context.Context, l store.Leftover, yes string) (string, error) {
	if yes != l.Subject {
		return "", fmt.Errorf("%w: the yes to its removal is its full id, %s", ErrNotMended, l.Subject)
	}
	on, err := c.openHostBook().fit(ctx, l.HostID)
	if err != nil {
		return "", err
	}
	ct, err := inspect(ctx, on.engine, l.Subject)
	if errors.Is(err, docker.ErrNotFound) {
		return "it is gone already", nil
	}
	if err != nil {
		return "", fmt.Errorf("%w: it could not be looked at: %w", ErrNotMended, err)
	}
	switch ct.State {
	case docker.StateCreated, docker.StateExited, docker.StateDead:
	case docker.StateRunning, docker.StatePaused, docker.StateRestarting, docker.StateRemoving:
		return "", fmt.Errorf("%w: it is %s: stop it yourself first, if nobody needs it: docker stop %s", ErrNotMended, ct.State, ct.Name)
	default:
		return "", fmt.Errorf("%w: it is %s, and what that means is not known", ErrNotMended, ct.State)
	}
	if err := c.stillStray(ctx, l, ct); err != nil {
		return "", err
	}
	bounded, cancel := context.WithTimeout(ctx, removeTimeout)
	defer cancel()
	err = on.engine.Remove(bounded, docker.Owned{ID: l.Subject, Installation: c.db.InstallationID(), Leftover: true})
	if err != nil && !errors.Is(err, docker.ErrNotFound) {
		return "", fmt.Errorf("%w: %w", ErrNotMended, err)
	}
	return "the container was removed; its volumes stay", nil
}

// stillStray makes sure that a container still belongs to no row.
func (c *Cleaner) stillStray(ctx context.Context, l store.Leftover, ct docker.Container) error {
	if ct.ID != l.Subject || ct.Labels[docker.LabelInstallation] != c.db.InstallationID() {
		return fmt.Errorf("%w: it does not carry the label of this installation: %w", ErrNotMended, docker.ErrNotOwned)
	}
	var why string
	err := c.db.Update(ctx, func(tx *store.Tx) (err error) {
		_, why, err = strayOf(ctx, tx, ct.ID, ct.Labels[docker.LabelInstance])
		return err
	})
	if err != nil {
		return fmt.Errorf("look whose container it is: %w", err)
	}
	if why == "" {
		return fmt.Errorf("%w: it has a row now, or is about to get one", ErrNotMended)
	}
	return nil
}

// mendRow removes what is left of an instance without a container.
func (c *Cleaner) mendRow(ctx context.Context, l store.Leftover, actor string) (string, error) {
	view, err := c.db.Instance(ctx, l.InstanceID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return "it is gone already", nil
	case err != nil:
		return "", err
	case view.ContainerID != "" && view.Status != store.StatusMissing:
		return "", fmt.Errorf("%w: it has a container again, which is %s", ErrNotMended, view.Status)
	case !view.StaleSince.IsZero():
		return "", fmt.Errorf("%w: it is stale: clean it up, which shows a plan first", ErrNotMended)
	}
	if err := c.Remove(ctx, view.ID, actor, false); err != nil {
		return "", err
	}
	return "what was left of it was removed, and can be restored", nil
}

// mendRoute looks again whether a route leads to nothing; it is deleted together with the leftover.
func (c *Cleaner) mendRoute(ctx context.Context, l store.Leftover) (string, error) {
	routes, err := c.db.RoutesToNothing(ctx, l.HostID)
	if err != nil {
		return "", err
	}
	if !slices.ContainsFunc(routes, func(r store.Leftover) bool { return r.Subject == l.Subject }) {
		return "it is gone already, or leads somewhere again", nil
	}
	return "the route was removed", nil
}

// mendRemoving ends a removal that hangs, if its engine lets it.
func (c *Cleaner) mendRemoving(ctx context.Context, l store.Leftover) (string, error) {
	waits := c.Recover(ctx)
	removals, err := c.db.Removals(ctx)
	if err != nil {
		return "", err
	}
	if !slices.ContainsFunc(removals, func(r store.Removal) bool { return r.InstanceID == l.InstanceID }) {
		return "its removal has ended", nil
	}
	if waits == nil {
		return "", fmt.Errorf("%w: its removal is in hand, and waits for its engine", ErrNotMended)
	}
	return "", fmt.Errorf("%w: its removal waits: %w", ErrNotMended, waits)
}

// mendDead asks the engine once more to remove what it could not.
func (c *Cleaner) mendDead(ctx context.Context, l store.Leftover) (string, error) {
	view, err := c.db.Instance(ctx, l.InstanceID)
	if errors.Is(err, store.ErrNotFound) {
		return "it is gone already", nil
	}
	if err != nil {
		return "", err
	}
	release, ok := c.take(view.ID)
	if !ok {
		return "", fmt.Errorf("%w: somebody else has it in hand", ErrNotMended)
	}
	defer release()
	on, err := c.openHostBook().fit(ctx, view.HostID)
	if err != nil {
		return "", err
	}
	if p := view.Protection(on.engine.Now()); p.Kind != store.ProtectionNone {
		return "", fmt.Errorf("%w: it is kept: %s", ErrNotMended, protectionWords(p))
	}
	ct, err := inspect(ctx, on.engine, view.ContainerID)
	switch {
	case errors.Is(err, docker.ErrNotFound):
		return "the engine has removed it meanwhile", nil
	case err != nil:
		return "", fmt.Errorf("%w: it could not be looked at: %w", ErrNotMended, err)
	case ct.State != docker.StateDead:
		return "", fmt.Errorf("%w: it is %s and no longer dead", ErrNotMended, ct.State)
	}
	r := &removal{c: c, on: on, view: view}
	bounded, cancel := context.WithTimeout(ctx, removeTimeout)
	defer cancel()
	if err := on.engine.Remove(bounded, r.owned()); err != nil && !errors.Is(err, docker.ErrNotFound) {
		return "", fmt.Errorf("%w: the engine still cannot remove it: %w", ErrNotMended, err)
	}
	return "the engine has removed its container", nil
}

// refuseToMend keeps an event of an attempt that came to nothing, and returns err.
func (c *Cleaner) refuseToMend(ctx context.Context, l store.Leftover, actor string, err error) error {
	ctx, cancel := settling(ctx)
	defer cancel()
	e := leftoverEvent(l)
	e.Time, e.Severity, e.Source, e.Kind, e.Actor = time.Now().UTC(), store.SeverityWarn, store.SourceCleaner, "cleanup.refused", actor
	e.Message = "refused to " + err.Error()
	e.Data["action"], e.Data["reason"] = "mend", err.Error()
	if kept := c.db.Update(ctx, func(tx *store.Tx) error { return tx.Emit(ctx, e) }); kept != nil {
		c.log.Error("keep event of a refusal", "error", kept)
	}
	return err
}
