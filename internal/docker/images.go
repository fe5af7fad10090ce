package docker

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/client"
)

const (
	// imageListTimeout is long: an engine works out which layers are shared for each image.
	imageListTimeout = 2 * time.Minute
	// imageRemoveTimeout is long: layers are deleted file by file.
	imageRemoveTimeout = 5 * time.Minute
	// usageTimeout bounds what is only worth a wait of so long: to add up sizes an engine walks all that it holds.
	usageTimeout = 30 * time.Second
)

// ImageRow is an image as the list of all of them shows it.
type ImageRow struct {
	ID          string
	Tags        []string
	RepoDigests []string
	Size        int64
	SharedSize  int64 // of the layers that other images have as well; -1: not known
	Created     time.Time
	Labels      map[string]string
}

// ImageRemoval says what a removal of an image did.
type ImageRemoval struct {
	Untagged []string // names that went
	Deleted  []string // ids of images and layers that went with them
}

// TagImage gives an image one more name. ErrNotFound: no such image.
func (e *Engine) TagImage(ctx context.Context, imageID, ref string) error {
	_, err := call(ctx, e, "tag image "+imageID+" as "+ref, imageTimeout, func(ctx context.Context, s *session) (struct{}, error) {
		_, err := s.cli.ImageTag(ctx, client.ImageTagOptions{Source: imageID, Target: ref})
		return struct{}{}, refusedHere(err)
	})
	return err
}

// RemoveImage removes one name, or an image by its id, never by force: one that is in use, or an id with several
// names, is ErrConflict. Untagged parents stay. ErrNotFound: it was gone already.
func (e *Engine) RemoveImage(ctx context.Context, ref string) (ImageRemoval, error) {
	return call(ctx, e, "remove image "+ref, imageRemoveTimeout, func(ctx context.Context, s *session) (ImageRemoval, error) {
		got, err := s.cli.ImageRemove(ctx, ref, client.ImageRemoveOptions{Force: false, PruneChildren: false})
		if err != nil {
			return ImageRemoval{}, err
		}
		var out ImageRemoval
		for _, item := range got.Items {
			if item.Untagged != "" {
				out.Untagged = append(out.Untagged, item.Untagged)
			}
			if item.Deleted != "" {
				out.Deleted = append(out.Deleted, withAlgorithm(item.Deleted))
			}
		}
		return out, nil
	})
}

// Images lists all images of the engine, those without a name too, with the bytes that they share with others.
func (e *Engine) Images(ctx context.Context) ([]ImageRow, error) {
	var podman bool
	list, err := call(ctx, e, "list images", imageListTimeout, func(ctx context.Context, s *session) ([]image.Summary, error) {
		podman = s.podman()
		got, err := s.cli.ImageList(ctx, client.ImageListOptions{All: true, SharedSize: true})
		return got.Items, err
	})
	if err != nil {
		return nil, err
	}
	rows := make([]ImageRow, 0, len(list))
	known := true
	for _, in := range list {
		if podman {
			in.SharedSize = -1 // it says 0 of all, here and elsewhere
		}
		rows = append(rows, toImageRow(in))
		known = known && in.SharedSize >= 0
	}
	if !known && !podman {
		e.addShared(ctx, rows)
	}
	return rows, nil
}

// addShared asks the slow way what images share, for engines whose list does not tell (before API 1.42).
// Not known is an answer as well.
func (e *Engine) addShared(ctx context.Context, rows []ImageRow) {
	used, err := e.usage(ctx, client.DiskUsageOptions{Images: true, Verbose: true})
	if err != nil {
		e.log.InfoContext(ctx, "what images share is not known", "error", err)
		return
	}
	shared := map[string]int64{}
	for _, in := range used.Images.Items {
		shared[withAlgorithm(in.ID)] = in.SharedSize
	}
	for i, row := range rows {
		if size, ok := shared[row.ID]; ok {
			rows[i].SharedSize = size
		}
	}
}

// usage asks how much things hold, which can take an engine long.
func (e *Engine) usage(ctx context.Context, o client.DiskUsageOptions) (client.DiskUsageResult, error) {
	return call(ctx, e, "ask what the disk is used for", usageTimeout, func(ctx context.Context, s *session) (client.DiskUsageResult, error) {
		return s.cli.DiskUsage(ctx, o)
	})
}

func toImageRow(in image.Summary) ImageRow {
	return ImageRow{
		ID:          withAlgorithm(in.ID),
		Tags:        realNames(in.RepoTags),
		RepoDigests: realNames(in.RepoDigests),
		Size:        in.Size,
		SharedSize:  in.SharedSize,
		Created:     madeAt(in.Created),
		Labels:      in.Labels,
	}
}

// madeAt is zero for an image that does not say when it was made: engines give the year 1 for that.
func madeAt(unix int64) time.Time {
	if unix <= 0 {
		return time.Time{}
	}
	return time.Unix(unix, 0).UTC()
}

// realNames leaves out "<none>:<none>", which is how engines before 24 write that there is none.
func realNames(names []string) []string {
	var out []string
	for _, name := range names {
		if !strings.Contains(name, "<none>") {
			out = append(out, name)
		}
	}
	return out
}

// withAlgorithm writes an image's id as docker does; podman leaves the algorithm out here and there.
func withAlgorithm(id string) string {
	if fullID(id) {
		return "sha256:" + id
	}
	return id
}

// refusedHere marks an error of the client's own, before anything was sent: the request cannot be one.
func refusedHere(err error) error {
	if err == nil || kindOf(err) != nil {
		return err
	}
	return fmt.Errorf("%w: %w", ErrInvalid, err)
}
