package registry

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

const (
	mostTags  = 500_000
	mostPages = 10_000
)

// Tags asks for all tags of an image's repository, whose name has its host where it is not Docker Hub's. Their order is
// the registry's; what artifacts are called (.sig, .att, .sbom) is among them. A repository that has none has an empty
// list; where one page of several could not be had there is no list.
func (c *Client) Tags(ctx context.Context, image string) ([]string, error) {
	repo, err := c.repository(image)
	if err != nil {
		return nil, err
	}
	tags := []string{}
	err = c.ask(ctx, tagsTimeout, "list the tags of "+repo.RepositoryStr(), func(ctx context.Context) (err error) {
		tags, err = c.tags(ctx, repo)
		return err
	})
	if err != nil {
		return nil, err
	}
	return tags, nil
}

func (c *Client) tags(ctx context.Context, repo name.Repository) ([]string, error) {
	pages, err := c.use.from().Lister(ctx, repo)
	if err != nil {
		return nil, err
	}
	tags := []string{}
	var seen turns
	for pages.HasNext() {
		page, err := pages.Next(ctx)
		if err != nil {
			return nil, err
		}
		if page.Name == "" && len(page.Tags) == 0 {
			return nil, fmt.Errorf("%w: its list of tags says of no repository", errNotRegistry)
		}
		tags = append(tags, page.Tags...) // null is none
		if err := seen.take(page.Next, len(tags), mostTags); err != nil {
			return nil, err
		}
	}
	return tags, nil
}

// repositories counts what a registry shows in its catalogue, up to a number.
func (c *Client) repositories(ctx context.Context) (n int, more bool, err error) {
	pages, err := c.use.from().Catalogger(ctx, c.registry)
	if err != nil {
		return 0, false, err
	}
	var seen turns
	for pages.HasNext() {
		var page *remote.Catalogs
		if page, err = pages.Next(ctx); err != nil {
			return 0, false, err
		}
		if n += len(page.Repos); n >= mostCounted {
			return mostCounted, n > mostCounted || page.Next != "", nil
		}
		if err := seen.take(page.Next, n, mostCounted); err != nil {
			return 0, false, err
		}
	}
	return n, false, nil
}

// turns notice a registry that leads in circles or has no end.
type turns struct{ pages map[string]bool }

func (t *turns) take(next string, have, most int) error {
	switch {
	case next == "":
		return nil
	case t.pages[next]:
		return fmt.Errorf("its pages lead in a circle")
	case len(t.pages) >= mostPages, have > most:
		return fmt.Errorf("its list has no end: %d entries and more", have)
	}
	if t.pages == nil {
		t.pages = map[string]bool{}
	}
	t.pages[next] = true
	return nil
}
