package stale

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/failpoint"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// This file ends archives: those of removals that came to nothing, those whose time is over, and those that a person deletes.

// DeleteArchive ends the possibility of an undo: the copy, its tags and its layer image go.
func (c *Cleaner) DeleteArchive(ctx context.Context, archiveID, actor string) error {
	a, err := c.db.Archive(ctx, archiveID)
	if err != nil {
		return err
	}
	if err := c.dropArchive(ctx, c.openHostBook(), a, "archive.deleted", actor); err != nil {
		return fmt.Errorf("delete the archive of %s: %w", a.Name, err)
	}
	return nil
}

// ExpireArchives deletes the archives whose time is over and returns how many. It also ends what an earlier run, or
// a removal that came to nothing, could not end.
func (c *Cleaner) ExpireArchives(ctx context.Context) (int, error) {
	hosts := c.openHostBook()
	over, err := c.expired(ctx)
	err = errors.Join(err, c.recoverArchives(ctx, hosts))
	left := eachArchive(over, func(a store.Archive) error {
		if err := c.dropArchive(ctx, hosts, a, "archive.expired", "system"); err != nil {
			return fmt.Errorf("expire the archive of %s: %w", a.Name, err)
		}
		return nil
	})
	return len(over) - len(left), errors.Join(err, errors.Join(left...))
}

// eachArchive does something with each, one after the other on each host, and returns the errors.
func eachArchive(all []store.Archive, do func(store.Archive) error) []error {
	errs := make([]error, len(all))
	besideHosts(len(all), 1, func(i int) string { return all[i].HostID }, func(i int) { errs[i] = do(all[i]) })
	return slices.DeleteFunc(errs, func(err error) bool { return err == nil })
}

// expired are the archives whose time is over. A clock that was turned just now, or that nothing vouches for, says that of none: what is deleted here
// cannot be had again. What vouches is the event log, for as long as events are kept, or a process that has seen as much time go by itself: on a
// quiet host there may be no event. One that was made while the clock ran ahead would stay for as much longer, and goes when such a process has seen as
// much time go by as it is kept for: it is not dated back, for whoever takes a clock that is behind for the right one would cut its time short.
func (c *Cleaner) expired(ctx context.Context) ([]store.Archive, error) {
	settings, err := c.db.Settings(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	c.auto.lookAtClock(now)
	if why := c.auto.jump(settings.AutoWarmUp, now); why != "" {
		c.log.Warn("no archive expires for now", "reason", why)
		return nil, nil
	}
	steady := now.Sub(c.auto.steadySince(now))
	now = c.auto.wall().UTC()
	over, err := c.archives(ctx, store.ArchiveFilter{ExpiredBy: now, Steady: steady})
	kept := time.Duration(min(settings.ArchiveRetentionDays, settings.EventRetentionDays)) * day
	if err != nil || len(over) == 0 || settings.ArchiveRetentionDays == 0 || steady >= store.ProofAge(kept) { // whoever keeps none waits for no proof
		return over, err
	}
	why, err := c.db.CalendarDoubt(ctx, kept, now)
	if err != nil {
		return nil, err
	}
	if why != "" {
		c.log.Info("no archive expires for now", "archives", len(over), "reason", why)
		return nil, nil
	}
	return over, nil
}

// archives reads all that match.
func (c *Cleaner) archives(ctx context.Context, f store.ArchiveFilter) ([]store.Archive, error) {
	var all []store.Archive
	for page := (store.Page{Limit: 1000}); ; {
		some, next, err := c.db.Archives(ctx, f, page)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
		if next == "" {
			return all, nil
		}
		page.Cursor = next
	}
}

// dropArchive takes away what an archive has on its engine, and then its row. It is never offered again from the
// first step on, and may be ended by a later call.
func (c *Cleaner) dropArchive(ctx context.Context, hosts *hostBook, a store.Archive, kind, actor string) error {
	if !c.hold(c.archived, a.ID) {
		return fmt.Errorf("%w: it is being restored or deleted", ErrNotRestorable)
	}
	defer c.letGo(c.archived, a.ID)
	on, err := hosts.same(ctx, a.HostID)
	if err != nil {
		return fmt.Errorf("its host must be asked to let go of its images: %w", err)
	}
	err = c.db.Update(ctx, func(tx *store.Tx) error {
		now, err := tx.Archive(ctx, a.ID)
		if err != nil || now.State == store.ArchiveDeleting {
			return err
		}
		if now.State != store.ArchiveReady && now.State != store.ArchiveRestored {
			return fmt.Errorf("%w: it is %s", store.ErrConflict, now.State)
		}
		return tx.MoveArchive(ctx, a.ID, now.State, store.ArchiveDeleting)
	})
	if err != nil {
		return err
	}
	failpoint.Here("archive-deleting")
	words := map[string]string{
		"archive.deleted": "can be restored no more: its archive was deleted",
		"archive.expired": "can be restored no more: its time is over",
	}
	return c.forget(ctx, on.engine, a, archiveEvent(a, kind, archivedName(a)+" "+words[kind], actor))
}

// forget takes the names of an archive from its engine, then forgets it, with an event.
func (c *Cleaner) forget(ctx context.Context, e *docker.Engine, a store.Archive, told store.Event) error {
	left, err := c.untag(ctx, e, a)
	if err != nil {
		return err
	}
	failpoint.Here("archive-untagged")
	ctx, cancel := settling(ctx)
	defer cancel()
	return c.db.Update(ctx, func(tx *store.Tx) error {
		if err := tx.PutRemnants(ctx, left); err != nil {
			return err
		}
		if err := tx.DeleteArchive(ctx, a.ID); err != nil {
			return err
		}
		return tx.Emit(ctx, told)
	})
}

// untag takes the names of an archive from its engine, never by force. A name that another archive needs stays, and so does
// one that is the last of an image: it is returned as a remnant, for to remove images is the business of a plan of its own.
// The store must know by now that the archive is to go.
func (c *Cleaner) untag(ctx context.Context, e *docker.Engine, a store.Archive) ([]store.Remnant, error) {
	left, err := untagLayer(ctx, e, a)
	if err != nil || a.KeepRef == "" {
		return left, err
	}
	done, err := c.untagging.wait(ctx, a.ImageID)
	if err != nil {
		return nil, err
	}
	defer done()
	needed, err := c.db.KeepRefNeeded(ctx, a.KeepRef, a.ID)
	if err != nil || needed {
		return left, err
	}
	stays, err := untagImage(ctx, e, a)
	return append(left, stays...), err
}

// untagLayer takes the image of the writable layer away: nobody else has it, unless somebody made a container of it. Then it stays.
func untagLayer(ctx context.Context, e *docker.Engine, a store.Archive) ([]store.Remnant, error) {
	layer, err := e.InspectImage(ctx, layerRef(a.ID))
	if err == nil {
		_, err = e.RemoveImage(ctx, layerRef(a.ID))
	}
	switch {
	case err == nil, errors.Is(err, docker.ErrNotFound):
		return nil, nil
	case errors.Is(err, docker.ErrConflict):
		return []store.Remnant{remnantOfRef(a, layer.ID, layerRef(a.ID))}, nil
	}
	return nil, err
}

// untagImage takes the name of ours from an image that has others. Of two names of ours no two go at once, for each would
// count on the other; a stranger who takes the other one away in the same moment takes the image with it, as without us.
func untagImage(ctx context.Context, e *docker.Engine, a store.Archive) ([]store.Remnant, error) {
	image, err := e.InspectImage(ctx, a.KeepRef)
	if err == nil && !hasOtherName(image, a.KeepRef) {
		return []store.Remnant{remnantOfRef(a, image.ID, a.KeepRef)}, nil
	}
	if err == nil {
		_, err = e.RemoveImage(ctx, a.KeepRef)
	}
	if errors.Is(err, docker.ErrNotFound) {
		return nil, nil
	}
	return nil, err
}

func hasOtherName(image docker.Image, ref string) bool {
	return slices.ContainsFunc(image.Tags, func(tag string) bool { return tag != ref })
}

// remnantOfRef remembers a name of ours that stayed on an image.
func remnantOfRef(a store.Archive, imageID, ref string) store.Remnant {
	return store.Remnant{
		HostID: a.HostID, Kind: store.RemnantImage, Name: imageID, Refs: []string{ref}, InstanceID: a.InstanceID, Instance: a.Name,
		Project: a.Project, Stage: a.Stage, ImageTag: a.ImageTag, LastUsedAt: a.LastAliveAt, RemovedAt: a.RemovedAt,
	}
}

// lateAnswer is how long an engine may be at something that nobody waits for any more: to copy a large layer takes it minutes.
const lateAnswer = 15 * time.Minute

// discardCopy takes away the archive of a removal that was taken back. What cannot be taken away now, or may yet come to
// be there, is left to a later run, and keeps nobody waiting.
func (r *removal) discardCopy(ctx context.Context, why string) {
	if r.copy == nil {
		return
	}
	ctx, cancel := settling(ctx)
	defer cancel()
	if err := r.c.discard(ctx, r.on.engine, r.copy.row, r.copy.unheard, why); err != nil {
		r.c.log.Warn("archive of a removal that was taken back stays for now", "archive_id", r.copy.row.ID, "instance_id", r.view.ID, "error", err)
	}
}

// discard ends an archive whose removal came to nothing. While its engine may be at something of it still, only the names
// that are there are taken away.
func (c *Cleaner) discard(ctx context.Context, e *docker.Engine, a store.Archive, unheard bool, why string) error {
	if !c.hold(c.archived, a.ID) {
		return nil // somebody is at it
	}
	defer c.letGo(c.archived, a.ID)
	// The row may have been read before its removal came to its end: then it is wanted more than ever.
	if now, err := c.db.Archive(ctx, a.ID); errors.Is(err, store.ErrNotFound) || err == nil && now.State != store.ArchiveMaking {
		return nil
	} else if err != nil {
		return err
	}
	if e == nil {
		on, err := c.openHostBook().same(ctx, a.HostID)
		if err != nil {
			return err
		}
		e = on.engine
	}
	if unheard && !c.waitedFor(a.ID) {
		_, err := c.untag(ctx, e, a)
		return err
	}
	err := c.forget(ctx, e, a, archiveEvent(a, "archive.discarded", "the copy of "+archivedName(a)+" was thrown away: it was not removed, "+why, "system"))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// waitedFor reports whether this process has known for long enough that an archive is to go.
func (c *Cleaner) waitedFor(archiveID string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	since, ok := c.late[archiveID]
	if !ok {
		c.late[archiveID] = time.Now()
		return false
	}
	if time.Since(since) < lateAnswer {
		return false
	}
	delete(c.late, archiveID)
	return true
}

// recoverArchives ends what a crash, or an engine that was away, left of archives half done. An error is a restore that waits.
func (c *Cleaner) recoverArchives(ctx context.Context, hosts *hostBook) error {
	all, err := c.archives(ctx, store.ArchiveFilter{
		States: []store.ArchiveState{store.ArchiveMaking, store.ArchiveRestoring, store.ArchiveDeleting},
	})
	if err != nil {
		return err
	}
	removals, err := c.db.Removals(ctx)
	if err != nil {
		return err
	}
	needed := map[string]bool{}
	for _, r := range removals {
		needed[r.ArchiveID] = true
	}
	return errors.Join(eachArchive(all, func(a store.Archive) error {
		switch {
		case a.State == store.ArchiveRestoring:
			return c.recoverRestore(ctx, hosts, a)
		case needed[a.ID]:
			return nil
		}
		if err := c.recoverForgotten(ctx, hosts, a); err != nil {
			c.log.Warn("archive that is to go stays for now", "archive_id", a.ID, "name", a.Name, "error", err)
		}
		return nil
	})...)
}

// recoverForgotten ends an archive that is to go.
func (c *Cleaner) recoverForgotten(ctx context.Context, hosts *hostBook, a store.Archive) error {
	if a.State == store.ArchiveDeleting {
		return c.dropArchive(ctx, hosts, a, "archive.deleted", "system")
	}
	on, err := hosts.same(ctx, a.HostID)
	if err != nil {
		return err
	}
	return c.discard(ctx, on.engine, a, true, "which was interrupted")
}
