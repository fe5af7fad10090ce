package main

import (
	"context"
	"errors"
	"fmt"

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
