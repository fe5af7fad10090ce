package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/registry"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	// registryTimeout bounds how long one registry is asked.
	registryTimeout = 15 * time.Second

	// mostStrange is how many registries are asked that nobody has set up. Those that somebody has are all asked.
	mostStrange = 20
)

// checkRegistries asks all at once; what one answers is not kept.
func (s *server) checkRegistries(ctx context.Context) ([]checkJSON, error) {
	rows, err := s.d.DB.Registries(ctx)
	if err != nil {
		return nil, err
	}
	images, err := s.d.DB.FollowedImages(ctx)
	if err != nil {
		return nil, err
	}
	strange := strangeHosts(images, rows)
	asked := strange[:min(len(strange), mostStrange)]
	checks := make([]checkJSON, len(rows)+len(asked))
	allAtOnce(len(checks), func(i int) {
		if i < len(rows) {
			checks[i] = s.checkRegistry(ctx, rows[i].Name, rows[i].Host)
			return
		}
		host := asked[i-len(rows)]
		checks[i] = s.checkRegistry(ctx, host, host)
	})
	if left := len(strange) - len(asked); left > 0 {
		checks = append(checks, checkJSON{Name: "registries", OK: true, Detail: fmt.Sprintf("%d more that stages follow, and that nobody has set up, were not asked", left)})
	}
	return checks, nil
}

// strangeHosts are the registries that stages follow and that nobody has set up: they are polled all the same.
func strangeHosts(followed []string, rows []store.Registry) []string {
	var hosts []string
	for _, image := range followed {
		host := registry.HostOf(image)
		if !registry.InNone(image) && !slices.ContainsFunc(rows, func(r store.Registry) bool { return r.Host == host }) {
			hosts = append(hosts, host)
		}
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

func (s *server) checkRegistry(ctx context.Context, name, host string) checkJSON {
	ctx, cancel := context.WithTimeout(ctx, registryTimeout)
	defer cancel()
	c := checkJSON{Name: "registry:" + name}
	at, err := s.d.Registries.At(ctx, host)
	if err == nil {
		_, err = at.Check(ctx, "")
	}
	if refusal, ok := errors.AsType[*registry.Error](err); ok {
		c.Detail, c.Hint = refusal.Detail, refusal.Remedy()
		return c
	}
	if err != nil {
		c.Detail, c.Hint = err.Error(), "see that this machine reaches "+host
		return c
	}
	c.OK, c.Detail = true, host+" answers"
	return c
}
