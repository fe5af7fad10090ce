package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/tiny-forge/docker-watcher/internal/deploy"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/registry"
	"github.com/tiny-forge/docker-watcher/internal/stale"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// accessFrom is how a registry is reached, as the store knows it now; a registry that nobody set up is asked without
// credentials.
func accessFrom(db *store.DB) func(ctx context.Context, host string) (registry.Access, error) {
	return func(ctx context.Context, host string) (registry.Access, error) {
		row, password, err := db.RegistryLogin(ctx, host)
		if errors.Is(err, store.ErrNotFound) {
			return registry.Access{}, nil
		}
		if err != nil {
			return registry.Access{}, err
		}
		return registry.Access{Known: true, Host: row.Host, Username: row.Username, Password: password, CA: row.CA, PlainHTTP: row.PlainHTTP}, nil
	}
}

// loginFrom is what a pull brings to the registry of an image.
func loginFrom(db *store.DB) func(ctx context.Context, image string) (string, error) {
	access := accessFrom(db)
	return func(ctx context.Context, image string) (string, error) {
		host := registry.HostOf(image)
		a, err := access(ctx, host)
		if err != nil {
			return "", fmt.Errorf("find out how %s is reached: %w", host, err)
		}
		return docker.Credential(host, a.Username, a.Password)
	}
}

// tagsOf is how the cleaner asks registries for a tag, of which they must show that it is gone.
func tagsOf(registries *registry.Registries) func(ctx context.Context, image, tag string) (string, error) {
	return func(ctx context.Context, image, tag string) (string, error) {
		digest, err := registries.Seek(ctx, image, tag)
		if errors.Is(err, registry.ErrGone) {
			return "", fmt.Errorf("%w: %w", stale.ErrTagGone, err)
		}
		return digest, err
	}
}

// spared is how much of an allowance is left to pulls: below it no registry is asked for the size of an image, which many count
// as a pull.
const spared = 20

// measureBy asks registries how large an image is before it is pulled.
func measureBy(registries *registry.Registries) deploy.Measure {
	return func(ctx context.Context, image, tag string, on deploy.Platform) ([]deploy.Layer, error) {
		if a := registries.Allowance(registry.HostOf(image)); a.Limit > 0 && a.Remaining < spared {
			return nil, fmt.Errorf("its registry leaves %d questions, which are left to the pull", a.Remaining)
		}
		found, err := registries.Image(ctx, image, tag, registry.Platform(on))
		switch {
		case err != nil:
			return nil, err
		case len(found.Layers) == 0:
			return nil, fmt.Errorf("its registry tells no layers for %s", registry.Platform(on))
		}
		layers := make([]deploy.Layer, 0, len(found.Layers))
		for _, l := range found.Layers {
			layers = append(layers, deploy.Layer(l))
		}
		return layers, nil
	}
}
