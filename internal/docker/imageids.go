package docker

import (
	"context"

	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/client"
)

// ImageIDs are the ids of all images of the engine, with a name or without: the quick question whether one is there.
func (e *Engine) ImageIDs(ctx context.Context) (map[string]bool, error) {
	list, err := call(ctx, e, "list images", imageListTimeout, func(ctx context.Context, s *session) ([]image.Summary, error) {
		got, err := s.cli.ImageList(ctx, client.ImageListOptions{All: true})
		return got.Items, err
	})
	if err != nil {
		return nil, err
	}
	ids := make(map[string]bool, len(list))
	for _, in := range list {
		ids[withAlgorithm(in.ID)] = true
	}
	return ids, nil
}
