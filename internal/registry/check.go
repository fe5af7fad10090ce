package registry

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

const (
	// mostCounted is how many repositories of a catalogue are counted.
	mostCounted = 10_000
	// hubProbe is the repository that Docker Hub has for those who want to know their limit; a HEAD of it is no pull.
	hubProbe = DockerHub + "/ratelimitpreview/test"
)

// Sight is what a registry shows to whoever tries it.
type Sight struct {
	Took         time.Duration
	Tags         int  // of the repository that was asked for
	Repositories int  // in its catalogue; -1: it does not show that, or was not asked
	More         bool // than were counted
}

// Check tries a registry: whether it takes the credentials, and what it shows: the tags of a repository, or, if repository
// is empty, how many there are. Took is set also when there is an error.
func (c *Client) Check(ctx context.Context, repository string) (Sight, error) {
	began := time.Now()
	s, err := c.check(ctx, repository)
	s.Took = time.Since(began)
	return s, err
}

func (c *Client) check(ctx context.Context, repository string) (Sight, error) {
	s := Sight{Repositories: -1}
	if err := c.ask(ctx, checkTimeout, "take the login", c.login); err != nil {
		return s, err
	}
	switch {
	case repository != "":
		tags, err := c.Tags(ctx, c.access.Host+"/"+repository)
		s.Tags = len(tags)
		return s, err
	case c.access.Host == DockerHub:
		_, err := c.Digest(ctx, hubProbe, "latest")
		return s, err
	}
	err := c.ask(ctx, checkTimeout, "list its repositories", func(ctx context.Context) (err error) {
		s.Repositories, s.More, err = c.repositories(ctx)
		return err
	})
	if err != nil {
		s.Repositories = -1
	}
	if e, ok := errors.AsType[*Error](err); ok && closed(e.Class) {
		return s, nil
	}
	return s, err
}

// closed reports whether a catalogue that gave this may still belong to a registry that is well: most do not show theirs.
func closed(class Class) bool {
	return class == ClassUnauthorized || class == ClassNotFound || class == ClassNotRegistry || class == ClassBroken
}

// login does what docker login does: it asks for the root of the API with the credentials.
func (c *Client) login(ctx context.Context) error {
	signed, err := transport.NewWithContext(ctx, c.registry, c.auth, transport.NewUserAgent(c.conduit, userAgent), nil)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.registry.Scheme()+"://"+c.host()+"/v2/", nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: signed}).Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // it was read as far as it is wanted
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err == nil && kind == "text/html" {
		return errNotRegistry
	}
	if c.auth == authn.Anonymous && resp.StatusCode == http.StatusUnauthorized && resp.Header.Get("Www-Authenticate") != "" {
		return nil // it is there, and what it shows to strangers only a repository can tell
	}
	if err := transport.CheckError(resp, http.StatusOK); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
