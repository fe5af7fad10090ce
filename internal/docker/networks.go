package docker

import (
	"context"
	"fmt"
	"time"

	"github.com/moby/moby/client"
)

const networkTimeout = 30 * time.Second

// Network of an engine.
type Network struct {
	ID     string
	Name   string
	Driver string
	Scope  string // local, or swarm
	Labels map[string]string
}

// Networks lists all networks of the engine.
func (e *Engine) Networks(ctx context.Context) ([]Network, error) {
	return call(ctx, e, "list networks", networkTimeout, func(ctx context.Context, s *session) ([]Network, error) {
		got, err := s.cli.NetworkList(ctx, client.NetworkListOptions{})
		if err != nil {
			return nil, err
		}
		out := make([]Network, 0, len(got.Items))
		for _, n := range got.Items {
			out = append(out, Network{ID: n.ID, Name: n.Name, Driver: n.Driver, Scope: n.Scope, Labels: n.Labels})
		}
		return out, nil
	})
}

// CreateNetwork makes a plain bridge. ErrConflict: there is one of that name.
func (e *Engine) CreateNetwork(ctx context.Context, name string) error {
	_, err := call(ctx, e, "create network "+name, networkTimeout, func(ctx context.Context, s *session) (struct{}, error) {
		// Engines before API 1.44 make a second one of the same name unless told not to.
		body := map[string]any{"Name": name, "Driver": "bridge", "CheckDuplicate": true}
		return struct{}{}, e.post(ctx, s, "/networks/create", nil, body, nil)
	})
	return err
}

// Join connects a container to those of the networks that it is not in.
func (e *Engine) Join(ctx context.Context, c Owned, networks []Attachment) error {
	got, err := e.confirm(ctx, c)
	if err != nil {
		return fmt.Errorf("connect container %s to its networks: %w", c.ID, err)
	}
	missing := map[string]endpoint{}
	for _, a := range networks {
		if _, in := got.Networks[a.Network]; !in {
			missing[a.Network] = endpoint{Aliases: a.Aliases}
		}
	}
	return e.connectAll(ctx, c.ID, missing)
}
