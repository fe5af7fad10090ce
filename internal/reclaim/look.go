package reclaim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// Image is an image that instances of ours used.
type Image struct {
	ID          string
	Refs        []string
	Size        int64 // whole
	Bytes       int64 // that would come back: without layers that others share; -1: not known
	Reclaimable bool
	Why         string // why it is not reclaimable, in words
	UsedBy      []string
	ArchiveIDs  []string  // archives that keep it
	KeptUntil   time.Time // until the last of them expires
	LastUse     store.Remnant

	created time.Time
}

// Left is what removed instances left on one host.
type Left struct {
	HostID  string
	Images  []Image
	Volumes []Volume
	// Bytes of the reclaimable images together: at least so many, for layers that only they share are not in it, so
	// that none is counted twice.
	Bytes int64
}

// Look asks the engine what is left of what our removed instances used. On a host that may not be acted on
// all of it is shown and nothing is reclaimable.
func (r *Reclaimer) Look(ctx context.Context, hostID string) (Left, error) {
	on, err := r.ask(ctx, hostID)
	if err != nil {
		return Left{}, fmt.Errorf("look what is left: %w", err)
	}
	unfit := r.fitness(ctx, on)
	if unfit != nil && !errors.Is(unfit, ErrRefused) {
		return Left{}, fmt.Errorf("look what is left: %w", unfit)
	}
	b, err := r.openBook(ctx, hostID)
	if err != nil {
		return Left{}, err
	}
	left := Left{HostID: hostID}
	if left.Images, err = r.images(ctx, on, b, unfit); err != nil {
		return Left{}, err
	}
	if left.Volumes, err = r.volumes(ctx, on, b, unfit); err != nil {
		return Left{}, err
	}
	for _, i := range left.Images {
		if i.Reclaimable {
			left.Bytes += max(i.Bytes, 0)
		}
	}
	return left, nil
}

// book is what the store knows of a host.
type book struct {
	images    map[string]store.Remnant // by image id
	volumes   map[string]store.Remnant // by name
	pulled    map[string]store.PulledImage
	users     map[string][]string // image id -> instance ids
	kept      map[string][]string // image id -> archive ids
	deploy    string              // under way there, with no container yet
	archives  map[string]store.Archive
	volumesOf map[string][]string // volume name -> archive ids
}

// needing are the states in which an archive needs its image and volumes.
var needing = []store.ArchiveState{store.ArchiveMaking, store.ArchiveReady, store.ArchiveRestoring}

// openBook reads what one look at a host needs.
func (r *Reclaimer) openBook(ctx context.Context, hostID string) (*book, error) {
	b := &book{archives: map[string]store.Archive{}, volumesOf: map[string][]string{}}
	if err := r.readUse(ctx, hostID, b); err != nil {
		return nil, fmt.Errorf("read what instances of ours use: %w", err)
	}
	volumes, err := r.db.Remnants(ctx, hostID, store.RemnantVolume)
	if err != nil {
		return nil, fmt.Errorf("read what removed instances used: %w", err)
	}
	b.volumes = byName(volumes)
	filter := store.ArchiveFilter{HostID: hostID, States: needing}
	for page := (store.Page{Limit: 1000}); ; {
		archives, next, err := r.db.Archives(ctx, filter, page)
		if err != nil {
			return nil, fmt.Errorf("read the archives: %w", err)
		}
		for _, a := range archives {
			b.archives[a.ID] = a
			for _, v := range a.Volumes {
				b.volumesOf[v.Name] = append(b.volumesOf[v.Name], a.ID)
			}
		}
		if page.Cursor = next; next == "" {
			return b, nil
		}
	}
}

// readUse reads what the fate of images rests on.
func (r *Reclaimer) readUse(ctx context.Context, hostID string, b *book) error {
	remnants, err := r.db.Remnants(ctx, hostID, store.RemnantImage)
	if err != nil {
		return err
	}
	b.images = byName(remnants)
	if b.pulled, err = r.db.PulledImages(ctx, hostID); err != nil {
		return err
	}
	if b.users, b.kept, err = r.db.ImageIDsInUse(ctx, hostID); err != nil {
		return err
	}
	b.deploy, err = r.deployOn(ctx, hostID)
	return err
}

// deployOn names a deploy of the host that has no container yet: the image that it wants shows no user, and it may be any.
func (r *Reclaimer) deployOn(ctx context.Context, hostID string) (string, error) {
	open, err := r.db.OpenDeploys(ctx)
	if err != nil {
		return "", err
	}
	for _, d := range open {
		if d.HostID != hostID {
			continue
		}
		i, err := r.db.Instance(ctx, d.InstanceID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return "", err
		}
		if i.ContainerID == "" {
			return d.Image + ":" + d.ImageTag, nil
		}
	}
	return "", nil
}

func byName(remnants []store.Remnant) map[string]store.Remnant {
	m := make(map[string]store.Remnant, len(remnants))
	for _, r := range remnants {
		m[r.Name] = r
	}
	return m
}

// factsOf are the facts of one image, but for the containers made of it.
func (r *Reclaimer) factsOf(ctx context.Context, b *book, id string, names, digests []string) (f facts, err error) {
	f = facts{names: names, digests: digests, kept: b.kept[id], deploy: b.deploy}
	if p, ok := b.pulled[id]; ok {
		f.pulled = &p
	}
	if m, ok := b.images[id]; ok {
		f.remnant = &m
	}
	if f.users, err = r.instanceNames(ctx, b.users[id]); err != nil {
		return f, err
	}
	return f, r.addArchives(ctx, &f)
}

// addArchives looks whose the tags of archives on an image are. That of an archive of ours is ours, whatever became of
// the archive; one that may still be wanted keeps the image, also as an archive of another host on the same engine. A
// tag whose archive nobody here knows may be that of another installation.
func (r *Reclaimer) addArchives(ctx context.Context, f *facts) error {
	kept := make(map[string]bool, len(f.kept))
	for _, id := range f.kept {
		kept[id] = true
	}
	for _, name := range f.names {
		if !isArchiveTag(name) {
			continue
		}
		archives, err := r.archivesOf(ctx, name)
		if err != nil {
			return fmt.Errorf("look whose tag %s is: %w", name, err)
		}
		if len(archives) > 0 {
			f.known = append(f.known, name)
		}
		for id, state := range archives {
			if state != store.ArchiveRestored {
				kept[id] = true
			}
		}
	}
	f.kept = slices.Sorted(maps.Keys(kept))
	return nil
}

// archivesOf are the archives that have a name on an image, with their states: of the image itself they may be many.
func (r *Reclaimer) archivesOf(ctx context.Context, ref string) (map[string]store.ArchiveState, error) {
	id, layer := layerOf(ref)
	if !layer {
		return r.db.ArchivesKeptBy(ctx, ref)
	}
	a, err := r.db.Archive(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return map[string]store.ArchiveState{id: a.State}, err
}

// images are those that instances of ours used, that we brought, or that bear the tag of an archive; the most bytes first.
func (r *Reclaimer) images(ctx context.Context, on standing, b *book, unfit error) ([]Image, error) {
	rows, err := on.engine.Images(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: list the images of %s: %w", ErrRefused, on.host.Name, err)
	}
	rows = slices.DeleteFunc(rows, func(row docker.ImageRow) bool {
		_, used := b.images[row.ID]
		_, brought := b.pulled[row.ID]
		return !used && !brought && !slices.ContainsFunc(row.Tags, isArchiveTag)
	})
	images, errs := make([]Image, len(rows)), make([]error, len(rows))
	eachOf(len(rows), func(i int) { images[i], errs[i] = r.image(ctx, on, b, rows[i], unfit) })
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	slices.SortFunc(images, func(a, b Image) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(b.Size, a.Size), cmp.Compare(a.ID, b.ID))
	})
	return images, ctx.Err()
}

func (r *Reclaimer) image(ctx context.Context, on standing, b *book, row docker.ImageRow, unfit error) (Image, error) {
	f, err := r.factsOf(ctx, b, row.ID, row.Tags, row.RepoDigests)
	if err != nil {
		return Image{}, err
	}
	slices.Sort(row.Tags)
	img := Image{
		ID: row.ID, Refs: row.Tags, Size: row.Size, Bytes: bytesOf(row), UsedBy: f.users, ArchiveIDs: f.kept,
		KeptUntil: b.keptUntil(f.kept), LastUse: b.images[row.ID], created: row.Created,
	}
	v := judge(f)
	if unfit != nil && v.reclaimable() {
		v = verdict{store.ResultKept, unfit.Error()}
	}
	if v.reclaimable() {
		f.containers, err = on.engine.ImageUsers(ctx, row.ID)
		switch {
		case errors.Is(err, docker.ErrNotFound):
			v = verdict{store.ResultAlreadyGone, "it has just gone"}
		case err != nil:
			v = verdict{store.ResultError, fmt.Sprintf("who uses it could not be asked: %v", err)}
		default:
			v = judge(f)
			img.UsedBy = append(img.UsedBy, f.containers...)
		}
	}
	img.Reclaimable, img.Why = v.reclaimable(), v.why
	return img, nil
}

// bytesOf are the bytes that come back with one image.
func bytesOf(row docker.ImageRow) int64 {
	if row.SharedSize < 0 {
		return -1
	}
	return max(row.Size-row.SharedSize, 0)
}

// keptUntil is when the last of some archives expires; zero while one of them is still being made.
func (b *book) keptUntil(archiveIDs []string) time.Time {
	var last time.Time
	for _, id := range archiveIDs {
		a, ok := b.archives[id]
		if !ok || a.ExpiresAt.IsZero() {
			return time.Time{}
		}
		if a.ExpiresAt.After(last) {
			last = a.ExpiresAt
		}
	}
	return last
}

// instanceNames are the names of instances by which people know them; of very many the rest keep their ids.
func (r *Reclaimer) instanceNames(ctx context.Context, ids []string) ([]string, error) {
	const enough = 20
	names := slices.Clone(ids)
	for i, id := range ids[:min(len(ids), enough)] {
		v, err := r.db.Instance(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			continue // it was removed just now
		}
		if err != nil {
			return nil, fmt.Errorf("read instance %s: %w", id, err)
		}
		names[i] = v.Name
	}
	return names, nil
}
