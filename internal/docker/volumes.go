package docker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moby/moby/api/types/volume"
	"github.com/moby/moby/client"
)

const volumeTimeout = time.Minute

// Volume of an engine.
type Volume struct {
	Name      string
	Driver    string
	Anonymous bool  // its name was made by the engine (64 hex digits)
	Size      int64 // -1: not known
	Users     int   // containers, running or not; -1: not known
	CreatedAt time.Time
	Labels    map[string]string
}

// Volumes lists all volumes, with sizes where the engine adds them up in time.
func (e *Engine) Volumes(ctx context.Context) ([]Volume, error) {
	list, err := call(ctx, e, "list volumes", volumeTimeout, func(ctx context.Context, s *session) ([]volume.Volume, error) {
		got, err := s.cli.VolumeList(ctx, client.VolumeListOptions{})
		return got.Items, err
	})
	if err != nil {
		return nil, err
	}
	sizes := map[string]*volume.UsageData{}
	used, err := e.usage(ctx, client.DiskUsageOptions{Volumes: true, Verbose: true})
	if err != nil {
		e.log.InfoContext(ctx, "the sizes of volumes are not known", "error", err)
	}
	for _, v := range used.Volumes.Items {
		sizes[v.Name] = v.UsageData
	}
	out := make([]Volume, 0, len(list))
	for _, in := range list {
		v := Volume{
			Name: in.Name, Driver: in.Driver, Anonymous: fullID(in.Name), Size: -1, Users: -1,
			CreatedAt: engineTime(in.CreatedAt), Labels: in.Labels,
		}
		if u := sizes[in.Name]; u != nil {
			v.Size, v.Users = u.Size, int(u.RefCount)
		}
		out = append(out, v)
	}
	return out, nil
}

// VolumeUsers returns the ids of all containers (running or not, whoever's) that have the volume mounted.
func (e *Engine) VolumeUsers(ctx context.Context, name string) ([]string, error) {
	return call(ctx, e, "list the containers of volume "+name, listTimeout, func(ctx context.Context, s *session) ([]string, error) {
		users, err := e.listRows(ctx, s, client.Filters{}.Add("volume", name))
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

// RemoveVolume removes an anonymous volume, never by force. A named one is refused (ErrInvalid) before the engine is
// asked: we never remove those. ErrConflict: a container has it. ErrNotFound: it was gone already.
func (e *Engine) RemoveVolume(ctx context.Context, name string) error {
	doing := "remove volume " + name
	if !fullID(name) {
		return fmt.Errorf("%s: %w: it has a name of its own, and named volumes are never removed", doing, ErrInvalid)
	}
	_, err := call(ctx, e, doing, volumeTimeout, func(ctx context.Context, s *session) (struct{}, error) {
		_, err := s.cli.VolumeRemove(ctx, name, client.VolumeRemoveOptions{Force: false})
		return struct{}{}, err
	})
	return err
}

// HasVolume tells whether the engine has a volume of that name.
func (e *Engine) HasVolume(ctx context.Context, name string) (bool, error) {
	_, err := call(ctx, e, "look for volume "+name, volumeTimeout, func(ctx context.Context, s *session) (struct{}, error) {
		_, err := s.cli.VolumeInspect(ctx, name, client.VolumeInspectOptions{})
		return struct{}{}, err
	})
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
