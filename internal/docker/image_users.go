package docker

import (
	"context"
	"errors"
	"slices"

	"github.com/moby/moby/client"
)

// ImageUsers returns the ids of all containers (running or not, whoever's) made from the image or from
// one built on it. ErrNotFound when the engine has no such image: "nobody" would be a guess.
func (e *Engine) ImageUsers(ctx context.Context, imageID string) ([]string, error) {
	image, err := e.InspectImage(ctx, imageID)
	if err != nil {
		return nil, err
	}
	return call(ctx, e, "list the containers of image "+imageID, listTimeout, func(ctx context.Context, s *session) ([]string, error) {
		if s.podman() {
			return s.usersByLayers(ctx, image.ID)
		}
		users, err := e.listRows(ctx, s, client.Filters{}.Add("ancestor", image.ID))
		if err != nil {
			return nil, err
		}
		ids := make([]string, 0, len(users))
		for _, u := range users {
			ids = append(ids, u.ID)
		}
		return ids, nil
	})
}

// usersByLayers is for podman, whose list does not look below the image that a container was made from.
func (s *session) usersByLayers(ctx context.Context, imageID string) ([]string, error) {
	all, err := s.cli.ContainerList(ctx, client.ContainerListOptions{All: true})
	if err != nil {
		return nil, err
	}
	base, err := s.layers(ctx, imageID)
	if err != nil {
		return nil, err
	}
	uses := map[string]bool{imageID: true}
	var ids []string
	for _, c := range all.Items {
		id := withAlgorithm(c.ImageID)
		if _, known := uses[id]; !known {
			on, err := s.layers(ctx, id)
			if err != nil {
				return nil, err
			}
			uses[id] = len(on) > len(base) && slices.Equal(on[:len(base)], base)
		}
		if uses[id] {
			ids = append(ids, c.ID)
		}
	}
	return ids, nil
}

// layers of an image; none when it is gone.
func (s *session) layers(ctx context.Context, imageID string) ([]string, error) {
	got, err := s.cli.ImageInspect(ctx, imageID)
	switch {
	case err == nil:
		return got.RootFS.Layers, nil
	case errors.Is(kindOf(err), ErrNotFound):
		return nil, nil
	default:
		return nil, err
	}
}
