package stale

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/failpoint"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	archivedLines = 500
	archivedLog   = 1 << 20 // bytes
)

// keepRef is the name by which an archive keeps the image, and with it those that are made while it may be needed.
func keepRef(archiveID string) string { return store.ArchiveRepository + ":" + archiveID }

// layerRef is the name of the image of the writable layer.
func layerRef(archiveID string) string { return keepRef(archiveID) + store.LayerSuffix }

// keeping is the archive of a removal, in the making.
type keeping struct {
	row      store.Archive
	contents store.ArchiveContents
	layerID  string // the image of the writable layer
	unsaved  bool   // row and contents know more than the store
	unheard  bool   // the engine may still be at something of it
}

// openArchive gathers what is only read; it is written with the intention. From then on the archive is known, and nothing
// of it is on the engine yet.
func (r *removal) openArchive(ctx context.Context) error {
	spec, err := r.c.db.InstanceSpec(ctx, r.view.ID)
	if err != nil {
		return err
	}
	routes, err := r.c.db.ArchivedRoutes(ctx, r.view.ID)
	if err != nil {
		return err
	}
	inst := r.view.Instance
	inst.Spec = spec
	row := store.Archive{
		ID: store.NewID(), State: store.ArchiveMaking, InstanceID: inst.ID, PlanID: r.item.PlanID, HostID: inst.HostID,
		ProjectID: inst.ProjectID, StageID: inst.StageID, Project: r.view.Project, Stage: r.view.Stage, Name: inst.Name,
		Image: inst.Image, ImageTag: inst.ImageTag, ImageID: inst.ImageID, Digest: inst.Digest, Routes: routes,
		Class: r.item.Class, LastAliveAt: r.item.LastAliveAt, Reason: r.item.Reason, Actor: r.actor,
	}
	if r.gone {
		row.LayerNote = "its container was gone: what it wrote outside of its volumes is not kept"
		for _, n := range spec.Networks {
			row.Networks = append(row.Networks, n.Name)
		}
	} else {
		row.ImageID = r.seen.ImageID
		row.Volumes, row.Networks = archivedVolumes(r.seen), networksOf(r.seen)
	}
	r.copy = &keeping{row: row, contents: store.ArchiveContents{Inspect: r.seen.Raw, Instance: inst}}
	return r.readLogs(ctx)
}

func archivedVolumes(ct docker.Container) []store.ArchivedVolume {
	var volumes []store.ArchivedVolume
	for _, m := range ct.Mounts {
		if m.Type == "volume" && m.Name != "" {
			volumes = append(volumes, store.ArchivedVolume{Name: m.Name, Target: m.Target, Anonymous: m.Anonymous})
		}
	}
	return volumes
}

func networksOf(ct docker.Container) []string { return slices.Sorted(maps.Keys(ct.Networks)) }

// archive makes the copy that an undo needs. Without it nothing is removed.
func (r *removal) archive(ctx context.Context) *ending {
	failpoint.Here("archive-begun")
	if end := r.keepImage(ctx); end != nil {
		return end
	}
	failpoint.Here("archive-tagged")
	if r.gone {
		return nil
	}
	end := r.keepLayer(ctx)
	failpoint.Here("archive-committed")
	return end
}

// archiveStopped makes anew what a process may have changed on its way out. That there was room for it is known.
func (r *removal) archiveStopped(ctx context.Context) *ending {
	if !hasProcess(r.item.Class) {
		return nil
	}
	r.copy.unsaved = true
	if r.copy.row.LayerImage != "" {
		if _, err := r.on.engine.RemoveImage(ctx, r.copy.row.LayerImage); err != nil && !errors.Is(err, docker.ErrNotFound) {
			return noCopy(err, "the image of what it wrote before its stop could not be taken away")
		}
		r.copy.row.LayerImage, r.copy.row.Bytes, r.copy.layerID = "", 0, ""
	}
	if err := r.readLogs(ctx); err != nil {
		return noCopy(err, "its log could not be read")
	}
	return r.keepLayer(ctx)
}

// nameKeeper says by which name the image will be kept: one that an archive has given it and still needs, for an engine writes
// its whole list of names anew for each that it is given, or one of this archive's own.
func (k *keeping) nameKeeper(ctx context.Context, tx *store.Tx) (err error) {
	row := &k.row
	if row.ImageID == "" {
		return nil
	}
	if row.KeepRef, err = tx.SharedKeepRef(ctx, row.HostID, row.ImageID); row.KeepRef == "" {
		row.KeepRef = keepRef(row.ID)
	}
	return err
}

// keepImage sees to it that the image has the name of ours, so that it stays when all others are taken from it.
func (r *removal) keepImage(ctx context.Context) *ending {
	row := &r.copy.row
	if row.KeepRef == "" {
		return nil
	}
	err := r.nameImage(ctx)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, docker.ErrNotFound) && (r.gone || r.item.Details.ImageGone):
		row.KeepRef, r.copy.unsaved = "", true
		return nil // an undo must pull it, as the plan says
	case errors.Is(err, docker.ErrNotFound):
		return endf(store.ResultError, "no copy for an undo could be made, so it was not removed: its image %s is gone from the engine", row.ImageID)
	}
	return noCopy(err, "its image could not be kept")
}

// nameImage gives the image its name, unless it got it from the archive that it is shared with.
func (r *removal) nameImage(ctx context.Context) error {
	row := r.copy.row
	if row.KeepRef != keepRef(row.ID) {
		named, err := r.on.engine.InspectImage(ctx, row.KeepRef)
		if err == nil && named.ID == row.ImageID || err != nil && !errors.Is(err, docker.ErrNotFound) {
			return err
		}
	}
	err := r.on.engine.TagImage(ctx, row.ImageID, row.KeepRef)
	r.copy.unheard = r.copy.unheard || unheard(err)
	return err
}

// keepLayer makes an image of what the container wrote outside of its volumes.
func (r *removal) keepLayer(ctx context.Context) *ending {
	if r.unwritten() {
		return nil
	}
	changes, err := r.on.engine.Changes(ctx, r.view.ContainerID)
	if err != nil {
		return r.notKept(ctx, err, "whether it changed files could not be asked")
	}
	if changes.Count == 0 {
		return nil
	}
	size, err := r.layerSize(ctx)
	if err != nil {
		return r.notKept(ctx, err, "how much it wrote could not be asked")
	}
	row := &r.copy.row
	r.copy.unsaved = true
	if row.LayerNote = layerLoss(changes, size, r.settings.ArchiveLayerMax, row.KeepRef == ""); row.LayerNote != "" {
		if r.item.PlanID != "" && !r.item.Details.LayerLost {
			return endf(store.ResultChanged, "the plan did not say that %s", row.LayerNote)
		}
		return nil
	}
	if r.copy.layerID, err = r.on.engine.Commit(ctx, r.owned(), layerRef(row.ID)); err != nil {
		r.copy.unheard = unheard(err)
		return r.notKept(ctx, err, fmt.Sprintf("what it wrote outside of its volumes (%s) could not be kept; free space on the engine's disk, "+
			"or set archive_layer_max_bytes below that and plan again: the plan then says what an undo would lack", spellBytes(size)))
	}
	row.LayerImage, row.Bytes = layerRef(row.ID), size
	return nil
}

// unwritten reports whether it is known without asking that it wrote nothing: it had not when it was planned, has not run
// since, and what it holds is of the same size.
func (r *removal) unwritten() bool {
	return r.item.Details.Unwritten && !hasProcess(r.item.Class) && r.seen.SizeRw >= 0 && r.seen.SizeRw == r.item.Details.Bytes
}

// layerSize is what was measured, unless there is a process that may have written since.
func (r *removal) layerSize(ctx context.Context) (int64, error) {
	if r.seen.SizeRw >= 0 && !hasProcess(r.item.Class) {
		return r.seen.SizeRw, nil
	}
	ct, err := inspectSized(ctx, r.on.engine, r.view.ContainerID)
	return ct.SizeRw, err
}

// layerLoss says in words why what a container wrote is not kept; empty when it is, or there is nothing to keep.
func layerLoss(changes docker.Changes, size, limit int64, imageGone bool) string {
	if changes.Count == 0 {
		return ""
	}
	files := fmt.Sprintf("%d files", changes.Count)
	if changes.Count == 1 {
		files = "1 file"
	}
	if size >= 0 {
		files = spellBytes(size) + " in " + files
	}
	if n := min(len(changes.Paths), 3); n > 0 {
		files += ", such as " + strings.Join(changes.Paths[:n], ", ")
	}
	what := "what it wrote outside of its volumes (" + files + ") is not kept: "
	switch {
	case imageGone:
		return what + "its image is gone from the engine"
	case size < 0:
		return what + "its size could not be told in time"
	case limit == 0:
		return what + "archive_layer_max_bytes is 0"
	case size > limit:
		return what + "it is larger than archive_layer_max_bytes, which is " + spellBytes(limit)
	}
	return ""
}

// readLogs reads the last lines. Without them an undo lacks nothing, so that they cannot be read is only said.
func (r *removal) readLogs(ctx context.Context) error {
	if r.gone {
		return nil
	}
	logs, err := r.on.engine.LogTailOf(ctx, r.seen, archivedLines, archivedLog)
	if err != nil {
		logs = fmt.Appendf(nil, "docker-watcher could not read its log: %v\n", err)
	}
	r.copy.contents.Logs = logs
	return ctx.Err()
}

// notKept is the ending when a part of the copy could not be made; none if that is so because somebody
// else has removed the container, which the next look finds as well.
func (r *removal) notKept(ctx context.Context, err error, what string) *ending {
	if errors.Is(err, docker.ErrNotFound) {
		if _, again := inspect(ctx, r.on.engine, r.view.ContainerID); errors.Is(again, docker.ErrNotFound) {
			r.copy.row.LayerNote = "its container was removed by somebody else: what it wrote outside of its volumes is not kept"
			r.copy.unsaved = true
			return nil
		}
	}
	return noCopy(err, what)
}

// noCopy is the ending when there would be no undo.
func noCopy(err error, what string) *ending {
	return endOfError(err, "no copy for an undo could be made, so it was not removed: "+what)
}

// saveCopy writes what became known of the archive.
func (r *removal) saveCopy(ctx context.Context, tx *store.Tx) error {
	if r.copy == nil || !r.copy.unsaved {
		return nil
	}
	if err := tx.SetArchive(ctx, r.copy.row, &r.copy.contents); err != nil || r.copy.layerID == "" {
		return err
	}
	// An instance that is restored from it and removed again leaves it behind: then it must be known as ours.
	return tx.PutPulledImage(ctx, store.PulledImage{
		HostID: r.view.HostID, ImageID: r.copy.layerID, Ref: r.copy.row.LayerImage, PulledAt: time.Now().UTC(),
	})
}

// keepCopy makes the archive of an instance that is gone ready, and remembers what it left on its engine. What it
// returns is to be told.
func (r *removal) keepCopy(ctx context.Context, tx *store.Tx) ([]store.Event, error) {
	if r.copy == nil { // begun by a version that made none
		return nil, nil
	}
	now, row := time.Now().UTC(), r.copy.row
	if err := tx.FinishArchive(ctx, row.ID, now, now.AddDate(0, 0, r.settings.ArchiveRetentionDays)); err != nil {
		return nil, err
	}
	if err := tx.PutRemnants(ctx, remnantsOf(row, now)); err != nil {
		return nil, err
	}
	return []store.Event{archiveEvent(row, "archive.made", madeWords(row), r.actor)}, nil
}

func remnantsOf(a store.Archive, now time.Time) []store.Remnant {
	left := store.Remnant{
		HostID: a.HostID, InstanceID: a.InstanceID, Instance: a.Name, Project: a.Project, Stage: a.Stage, ImageTag: a.ImageTag,
		LastUsedAt: a.LastAliveAt, RemovedAt: now,
	}
	var all []store.Remnant
	if a.ImageID != "" {
		image := left
		image.Kind, image.Name, image.Refs = store.RemnantImage, a.ImageID, []string{imageRef(a.Image, a.ImageTag)}
		all = append(all, image)
	}
	for _, v := range a.Volumes {
		volume := left
		volume.Kind, volume.Name, volume.Anonymous = store.RemnantVolume, v.Name, v.Anonymous
		all = append(all, volume)
	}
	return all
}

// imageRef joins a repository with a tag, or with the digest that an instance was deployed by.
func imageRef(repository, tag string) string {
	if strings.Contains(tag, ":") {
		return repository + "@" + tag
	}
	return repository + ":" + tag
}

func madeWords(a store.Archive) string {
	words := fmt.Sprintf("%s can be restored", archivedName(a))
	if a.LayerNote != "" {
		words += ", but " + a.LayerNote
	}
	return words
}

func archivedName(a store.Archive) string {
	return fmt.Sprintf("%s/%s %s (%s)", a.Project, a.Stage, a.ImageTag, a.Name)
}

func archiveEvent(a store.Archive, kind, message, actor string) store.Event {
	return store.Event{
		Time: time.Now().UTC(), Severity: store.SeverityInfo, Source: store.SourceCleaner, Kind: kind, Message: message,
		ProjectID: a.ProjectID, StageID: a.StageID, InstanceID: a.InstanceID, HostID: a.HostID, Actor: actor,
		Data: map[string]any{
			"archive_id": a.ID, "plan_id": a.PlanID, "name": a.Name, "image_tag": a.ImageTag, "bytes": a.Bytes,
			"layer_kept": a.LayerImage != "", "layer_note": a.LayerNote,
		},
	}
}
