package api

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/deploy"
	"github.com/tiny-forge/docker-watcher/internal/registry"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

type testRegistryIn struct {
	ByID
	Body *struct {
		Repository string `json:"repository,omitempty" maxLength:"255" doc:"whose tags are to be counted, without the host, such as acme/shop; absent: the catalogue, where it shows one"`
	}
}

// testRegistry asks a registry now. That it refuses is an answer, with its class and what to do, and no problem of ours.
func (s *server) testRegistry(ctx context.Context, in *testRegistryIn) (*out[registryTestJSON], error) {
	r, err := s.findRegistry(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	repository := ""
	if in.Body != nil {
		if repository, err = repositoryAt(r.Host, in.Body.Repository); err != nil {
			return nil, err
		}
	}
	at, err := s.d.Registries.At(ctx, r.Host)
	if err != nil {
		return nil, err
	}
	sight, err := at.Check(ctx, repository)
	if ctx.Err() != nil {
		return nil, ctx.Err() // it was not the registry that gave up
	}
	test := store.RegistryTest{
		At: time.Now().UTC(), By: actorOf(ctx), Took: sight.Took, Repository: repository, Tags: sight.Tags,
		Repositories: sight.Repositories, More: sight.More,
	}
	if err != nil {
		refusal, ok := errors.AsType[*registry.Error](err)
		if !ok {
			return nil, err
		}
		test.Class, test.Detail, test.Remedy = string(refusal.Class), refusal.Detail, refusal.Remedy()
	}
	if err := s.keepTest(ctx, r, test, store.Allowance(at.Allowance())); err != nil {
		return nil, err
	}
	return answer(registryTestOf(test)), nil
}

func (s *server) keepTest(ctx context.Context, r store.Registry, test store.RegistryTest, allowance store.Allowance) error {
	return s.d.DB.Update(ctx, func(tx *store.Tx) error {
		if err := tx.SetRegistryTested(ctx, r.ID, test, allowance); err != nil {
			return err
		}
		e := registryEvent(ctx, r, "registry.tested", "registry "+r.Name+" was tried: it answers", nil)
		e.Severity = store.SeverityInfo
		if test.Class != "" {
			e.Severity, e.Message = store.SeverityWarn, "registry "+r.Name+" was tried: "+test.Detail+": "+test.Remedy
			e.Data["class"] = test.Class
		}
		return tx.Emit(ctx, e)
	})
}

// repositoryAt reads the name of a repository of a registry, which may have the host before it.
func repositoryAt(host, text string) (string, error) {
	if text == "" {
		return "", nil
	}
	repository := strings.TrimPrefix(text, host+"/")
	if err := deploy.ValidateReference(host+"/"+repository, "latest"); err != nil {
		return "", invalid("body.repository", "the name of a repository without host and tag, in lower case, such as acme/shop")
	}
	return repository, nil
}
