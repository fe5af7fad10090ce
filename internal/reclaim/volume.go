package reclaim

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

// Volume is a volume that instances of ours used and that is still there.
type Volume struct {
	Name       string
	Driver     string
	Anonymous  bool
	Bytes      int64 // -1: not known
	UsedBy     []string
	ArchiveIDs []string // archives whose restore needs it
	LastUse    store.Remnant
	Removable  bool
	Why        string // why it is not, in words
}

// volumeLook is a volume as it was found.
type volumeLook struct {
	Volume
	ours    bool  // an instance of ours has used it
	unasked error // who uses it now could not be asked
}

// volumes are those that instances of ours used, removed or present, the most bytes first.
func (r *Reclaimer) volumes(ctx context.Context, on standing, b *book, unfit error) ([]Volume, error) {
	all, err := on.engine.Volumes(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: list the volumes of %s: %w", ErrRefused, on.host.Name, err)
	}
	looks, errs := make([]volumeLook, len(all)), make([]error, len(all))
	eachOf(len(all), func(i int) { looks[i], errs[i] = r.lookAtVolume(ctx, on, b, all[i]) })
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	var out []Volume
	for _, l := range looks {
		if !l.ours {
			continue
		}
		l.Why = l.keeps(false)
		if l.Why == "" && unfit != nil {
			l.Why = unfit.Error()
		}
		l.Removable = l.Why == ""
		out = append(out, l.Volume)
	}
	slices.SortFunc(out, func(a, b Volume) int { return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Name, b.Name)) })
	return out, nil
}

// lookAtVolume asks who uses a volume, unless it is plain that no instance of ours ever has.
func (r *Reclaimer) lookAtVolume(ctx context.Context, on standing, b *book, in docker.Volume) (volumeLook, error) {
	_, used := b.volumes[in.Name]
	needed := b.volumesOf[in.Name]
	l := volumeLook{ours: used || len(needed) > 0, Volume: Volume{
		Name: in.Name, Driver: in.Driver, Anonymous: in.Anonymous, Bytes: in.Size,
		ArchiveIDs: needed, LastUse: b.volumes[in.Name],
	}}
	if !l.ours && in.Users == 0 {
		return l, nil
	}
	var ids []string
	if ids, l.unasked = on.engine.VolumeUsers(ctx, in.Name); l.unasked != nil {
		return l, nil //nolint:nilerr // that it could not be asked is part of the look
	}
	for _, id := range ids {
		i, err := r.db.InstanceByContainer(ctx, on.host.ID, id)
		switch {
		case err == nil:
			l.ours = true
			l.UsedBy = append(l.UsedBy, i.Name)
		case errors.Is(err, store.ErrNotFound):
			l.UsedBy = append(l.UsedBy, shortID(id))
		default:
			return l, fmt.Errorf("find whose container %s is: %w", shortID(id), err)
		}
	}
	return l, nil
}

// keeps says why a volume may not be removed by us; empty if it may. A named one never is.
func (l volumeLook) keeps(breakUndo bool) string {
	switch {
	case !l.Anonymous:
		return "it has a name of its own, so it is for a person to remove: docker volume rm " + l.Name
	case l.unasked != nil:
		return fmt.Sprintf("who uses it could not be asked: %v", l.unasked)
	case len(l.UsedBy) > 0:
		return "in use by " + some(l.UsedBy)
	case len(l.ArchiveIDs) > 0 && !breakUndo:
		return "its data is wanted when one of " + counted(len(l.ArchiveIDs), "archive") + " is restored: " + some(l.ArchiveIDs)
	}
	return ""
}

// RemoveVolume removes one anonymous volume that an admin names. A named volume is never removed, one that a container
// has neither, and one that an archive needs only with breakUndo.
func (r *Reclaimer) RemoveVolume(ctx context.Context, hostID, name string, breakUndo bool, actor string) error {
	l, err := r.removeVolume(ctx, hostID, name, breakUndo)
	if err != nil {
		err = fmt.Errorf("remove volume %s: %w", name, err)
		return r.refuse(ctx, refusal{action: "volume", hostID: hostID, subject: name, actor: actor}, err)
	}
	ctx, cancel := settling(ctx)
	defer cancel()
	err = r.db.Update(ctx, func(tx *store.Tx) error {
		if err := tx.DeleteRemnant(ctx, hostID, store.RemnantVolume, name); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		return tx.Emit(ctx, volumeEvent(hostID, l.Volume, actor))
	})
	if err != nil {
		return fmt.Errorf("write down that volume %s was removed: %w", name, err)
	}
	return nil
}

func (r *Reclaimer) removeVolume(ctx context.Context, hostID, name string, breakUndo bool) (l volumeLook, err error) {
	on, err := r.fit(ctx, hostID)
	if err != nil {
		return l, err
	}
	b, err := r.openBook(ctx, hostID)
	if err != nil {
		return l, err
	}
	all, err := on.engine.Volumes(ctx)
	if err != nil {
		return l, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	at := slices.IndexFunc(all, func(v docker.Volume) bool { return v.Name == name })
	if at < 0 {
		return l, fmt.Errorf("%w: %s has no such volume: %w", ErrRefused, on.host.Name, docker.ErrNotFound)
	}
	if l, err = r.lookAtVolume(ctx, on, b, all[at]); err != nil {
		return l, err
	}
	if !l.ours {
		return l, fmt.Errorf("%w: no instance of ours has used it", ErrRefused)
	}
	if why := l.keeps(breakUndo); why != "" {
		return l, fmt.Errorf("%w: %s", ErrRefused, why)
	}
	switch err := on.engine.RemoveVolume(ctx, name); {
	case errors.Is(err, docker.ErrConflict):
		return l, fmt.Errorf("%w: in use: %w", ErrRefused, err)
	case err != nil && !errors.Is(err, docker.ErrNotFound):
		return l, err
	}
	return l, nil
}

func volumeEvent(hostID string, v Volume, actor string) store.Event {
	message := "anonymous volume " + shortID(v.Name) + " was removed with its data"
	if len(v.ArchiveIDs) > 0 {
		message += "; what it held is missing when one of " + counted(len(v.ArchiveIDs), "archive") + " is restored"
	}
	return store.Event{
		Time: time.Now().UTC(), Severity: store.SeverityWarn, Source: store.SourceCleaner, Kind: "volume.removed",
		Message: message, HostID: hostID, InstanceID: v.LastUse.InstanceID, Actor: actor,
		Data: map[string]any{
			"volume": v.Name, "bytes": v.Bytes, "archive_ids": v.ArchiveIDs,
			"last_user": v.LastUse.Instance, "project": v.LastUse.Project, "stage": v.LastUse.Stage,
		},
	}
}
