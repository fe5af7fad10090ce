package stale

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	// strayAge is how old a container without a row is at least, before somebody may just be writing the row.
	strayAge = time.Minute
	// removingLong is how long a removal may take before it is said that it hangs.
	removingLong = 10 * time.Minute
)

// LeftoverStep is the one step that mends a leftover, in words.
func LeftoverStep(kind store.LeftoverKind) string {
	switch kind {
	case store.LeftoverContainer:
		return "look whose it is, stop it if it runs, then have it removed with its full id as the yes"
	case store.LeftoverRow:
		return "clean it up if it is stale, else have its row removed: what is kept of it can be restored"
	case store.LeftoverRoute:
		return "have the route removed"
	case store.LeftoverRemoving:
		return "have its removal ended now: it is finished or taken back, or it is said what it waits for"
	case store.LeftoverDead:
		return "have its delete tried again; what hinders the engine is in the engine's own log"
	}
	return "nothing is known that would mend it"
}

// leftovers are the things of a host that do not fit together, as a good scan finds them.
func (p *pass) leftovers(ctx context.Context, tx *store.Tx, w *write) ([]store.Leftover, error) {
	var found []store.Leftover
	removing := map[string]*entry{}
	for id, e := range p.m.byID {
		i := e.view.Instance
		if now, ok := w.written[id]; ok {
			i = now
		}
		switch {
		case i.Status == store.StatusRemoving:
			removing[id] = e
		case i.Status == store.StatusMissing:
			found = append(found, ofInstance(e, store.LeftoverRow, "its container is gone from the engine"))
		case i.Status == store.StatusDead:
			found = append(found, ofInstance(e, store.LeftoverDead, "the engine could not remove all of it"))
		case i.ContainerID == "" && !i.Status.Deploying():
			found = append(found, ofInstance(e, store.LeftoverRow, "it never had a container"))
		}
	}
	long, err := p.removingTooLong(ctx, tx, removing)
	if err != nil {
		return nil, err
	}
	strays, err := p.realStrays(ctx, tx)
	if err != nil {
		return nil, err
	}
	routes, err := tx.RoutesToNothing(ctx, p.m.hostID)
	if err != nil {
		return nil, err
	}
	found = slices.Concat(found, long, strays, routes)
	for i := range found {
		l := &found[i]
		if l.Kind == store.LeftoverRoute {
			l.Detail = "the instance that it led to is gone"
		}
		l.HostID, l.FoundAt, l.SeenAt = p.m.hostID, p.scan.FinishedAt, p.scan.FinishedAt
	}
	return found, nil
}

func ofInstance(e *entry, kind store.LeftoverKind, detail string) store.Leftover {
	return store.Leftover{
		Kind: kind, Subject: e.view.ID, Name: e.view.Name, InstanceID: e.view.ID,
		ProjectID: e.view.ProjectID, StageID: e.view.StageID, Detail: detail,
	}
}

func (p *pass) removingTooLong(ctx context.Context, tx *store.Tx, removing map[string]*entry) ([]store.Leftover, error) {
	if len(removing) == 0 {
		return nil, nil
	}
	removals, err := tx.Removals(ctx)
	if err != nil {
		return nil, err
	}
	var found []store.Leftover
	for _, r := range removals {
		if e := removing[r.InstanceID]; e != nil && p.scan.StartedAt.Sub(believed(r.CreatedAt, time.Now())) > removingLong {
			found = append(found, ofInstance(e, store.LeftoverRemoving,
				fmt.Sprintf("asked to be removed by %s at %s, and still at the step %q", r.Actor, moment(r.CreatedAt), r.Step)))
		}
	}
	return found, nil
}

// realStrays are the containers with our label that no row knows, without those that are just getting one, and without
// what belongs to Swarm.
func (p *pass) realStrays(ctx context.Context, tx *store.Tx) ([]store.Leftover, error) {
	var found []store.Leftover
	for _, s := range p.strays {
		if s.Labels[docker.LabelSwarmTask] != "" || p.at.Sub(believed(s.Created, p.at)) < p.s.strayAge {
			continue
		}
		owner, why, err := strayOf(ctx, tx, s.ID, s.Labels[docker.LabelInstance])
		if err != nil {
			return nil, err
		}
		if why == "" {
			continue
		}
		found = append(found, store.Leftover{
			Kind: store.LeftoverContainer, Subject: s.ID, Name: s.Name, InstanceID: owner.ID,
			ProjectID: owner.ProjectID, StageID: owner.StageID, Detail: why,
		})
	}
	return found, nil
}

// strayOf says why a container with our label belongs to no row; empty if it does, under whichever host, or is about to. owner is
// the instance that its labels name, if there is one.
func strayOf(ctx context.Context, tx *store.Tx, containerID, instanceID string) (owner store.InstanceView, why string, err error) {
	if _, err = tx.InstanceOfContainer(ctx, containerID); !errors.Is(err, store.ErrNotFound) {
		return owner, "", err
	}
	if instanceID == "" {
		return owner, "its labels name no instance", nil
	}
	restoring := store.ArchiveFilter{InstanceID: instanceID, States: []store.ArchiveState{store.ArchiveRestoring}}
	under, _, err := tx.Archives(ctx, restoring, store.Page{Limit: 1})
	if err != nil || len(under) > 0 {
		return owner, "", err
	}
	owner, err = tx.Instance(ctx, instanceID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return store.InstanceView{}, "the instance that its labels name is known no more", nil
	case err != nil, owner.ContainerID == containerID, owner.Status.Deploying(), owner.Status == store.StatusRemoving:
		return owner, "", err // of another host on the same engine, or somebody is at it
	}
	return owner, "its labels name " + owner.Name + ", which has another container: it is a copy", nil
}

// keepLeftovers writes what a scan found if it differs from what is known, and tells of what is new.
func (p *pass) keepLeftovers(ctx context.Context, tx *store.Tx, w *write) error {
	found, err := p.leftovers(ctx, tx, w)
	if err != nil {
		return err
	}
	known, err := tx.Leftovers(ctx, p.m.hostID)
	if err != nil || sameLeftovers(known, found) {
		return err
	}
	added, _, err := tx.SetLeftovers(ctx, p.m.hostID, found)
	if err != nil || len(added) == 0 {
		return err
	}
	slices.SortFunc(added, func(a, b store.Leftover) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Subject, b.Subject))
	})
	events := make([]store.Event, 0, len(added))
	for _, l := range added {
		events = append(events, leftoverFound(l, p.scan))
	}
	return tx.Emit(ctx, events...)
}

func sameLeftovers(a, b []store.Leftover) bool {
	key := func(l store.Leftover) string { return string(l.Kind) + "\x00" + l.Subject + "\x00" + l.Detail }
	if len(a) != len(b) {
		return false
	}
	known := make(map[string]bool, len(a))
	for _, l := range a {
		known[key(l)] = true
	}
	return !slices.ContainsFunc(b, func(l store.Leftover) bool { return !known[key(l)] })
}

func leftoverFound(l store.Leftover, run store.ScanRun) store.Event {
	e := leftoverEvent(l)
	e.Time, e.Severity, e.Source, e.Kind, e.Actor = run.FinishedAt, store.SeverityWarn, store.SourceScanner, "leftover.found", "system"
	e.Message = fmt.Sprintf("%s: %s; to mend it, %s", leftoverName(l), l.Detail, LeftoverStep(l.Kind))
	e.Data["scan_id"] = run.ID
	return e
}

// leftoverEvent is what every event about a leftover has in common.
func leftoverEvent(l store.Leftover) store.Event {
	return store.Event{
		HostID: l.HostID, ProjectID: l.ProjectID, StageID: l.StageID, InstanceID: l.InstanceID,
		Data: map[string]any{"leftover_id": l.ID, "kind": string(l.Kind), "subject": l.Subject, "name": l.Name, "detail": l.Detail},
	}
}

func leftoverName(l store.Leftover) string {
	switch l.Kind {
	case store.LeftoverContainer:
		return "container " + l.Name + " has our labels and no row"
	case store.LeftoverRow:
		return l.Name + " has no container"
	case store.LeftoverRoute:
		return "route " + l.Name + " leads to nothing"
	case store.LeftoverRemoving:
		return l.Name + " is being removed for too long"
	case store.LeftoverDead:
		return l.Name + " is dead"
	}
	return l.Name
}
