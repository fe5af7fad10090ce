// Package registry asks image registries what they have: which tags a repository has, what a tag points to, what an
// image is. Each registry has one Client, which signs in once a repository and goes on with that, knows its own
// credentials and authorities, and speaks plain http only where that is allowed. Nothing is asked twice by itself:
// whoever wants to try again is the caller, later. Every refusal is an *Error with a class and a remedy; only a
// registry's own word is that something is not there (ErrGone), and could not ask is never an empty list. A Client
// and Registries are safe for concurrent use and start nothing.
package registry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Access is how one registry is reached. The zero value of all but Host asks without credentials.
type Access struct {
	Host               string // as in names of images: docker.io, ghcr.io, 10.0.0.7:5000
	Username, Password string
	CA                 string // PEM of authorities to trust beside those of the system
	// PlainHTTP allows to speak to it without TLS. Where Known is false, that is allowed to this machine alone.
	PlainHTTP bool
	Known     bool // it was set up by somebody
}

// Registries are the clients of all registries that somebody asked for, one each.
type Registries struct {
	find    func(ctx context.Context, host string) (Access, error)
	mu      sync.Mutex
	clients map[string]*Client // by host
	tidied  time.Time
	listed  lately
}

// New returns registries that are reached as find says, which is asked each time: a change counts at once.
func New(find func(ctx context.Context, host string) (Access, error)) *Registries {
	return &Registries{find: find, clients: map[string]*Client{}, listed: lately{of: map[string]listing{}}}
}

// At returns the client of the registry at a host, as names of images write it.
func (r *Registries) At(ctx context.Context, host string) (*Client, error) {
	host = canonical(host)
	access, err := r.find(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("find out how %s is reached: %w", host, err)
	}
	access.Host = host
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tidy(time.Now())
	former := r.clients[host]
	if former != nil && former.access == access {
		return former, nil
	}
	c, err := newClient(access)
	if err != nil {
		return nil, err
	}
	if former != nil {
		former.transport.CloseIdleConnections()
	}
	r.clients[host] = c
	return c, nil
}

// Digest asks what a tag (or a sha256 digest) of an image points to now; see Client.Digest.
func (r *Registries) Digest(ctx context.Context, image, tag string) (string, error) {
	c, err := r.of(ctx, image)
	if err != nil {
		return "", err
	}
	return c.Digest(ctx, image, tag)
}

// Tags asks for all tags of an image's repository; see Client.Tags.
func (r *Registries) Tags(ctx context.Context, image string) ([]string, error) {
	c, err := r.of(ctx, image)
	if err != nil {
		return nil, err
	}
	return c.Tags(ctx, image)
}

// Seek asks what a tag (or a sha256 digest) points to now, and does not say lightly that it is gone: only where the
// repository itself shows its whole list of tags, without that one. Many registries answer 404 for a repository that whoever
// asks may not see. All else is an error that is not ErrGone.
func (r *Registries) Seek(ctx context.Context, image, tag string) (string, error) {
	digest, err := r.Digest(ctx, image, tag)
	if !errors.Is(err, ErrGone) {
		return digest, err
	}
	there, listErr := r.listed.has(ctx, r, image, tag)
	switch {
	case errors.Is(listErr, ErrGone):
		return "", hidden(err, ClassUnauthorized, "it shows no list of the tags of that repository either, and may hide it from whoever asks")
	case listErr != nil:
		return "", listErr
	case there:
		return "", hidden(err, ClassBroken, "it lists the tag, and says that it has no image for it")
	}
	return "", err
}

// hidden is a 404 that is not believed.
func hidden(err error, class Class, why string) error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return errors.New(why)
	}
	return &Error{Class: class, Host: e.Host, What: e.What, Detail: why, anonymous: e.anonymous}
}

// Image asks what the image at a tag is; see Client.Image.
func (r *Registries) Image(ctx context.Context, image, tag string, want Platform) (Image, error) {
	c, err := r.of(ctx, image)
	if err != nil {
		return Image{}, err
	}
	return c.Image(ctx, image, tag, want)
}

func (r *Registries) of(ctx context.Context, image string) (*Client, error) {
	if InNone(image) {
		return nil, fmt.Errorf("ask for %s: images under localhost/ are in no registry", image)
	}
	return r.At(ctx, HostOf(image))
}

// Allowance is what the registry at a host last said that it may be asked; the zero value when it has said nothing.
func (r *Registries) Allowance(host string) Allowance {
	r.mu.Lock()
	c := r.clients[canonical(host)]
	r.mu.Unlock()
	if c == nil {
		return Allowance{}
	}
	return c.Allowance()
}

// Traffic is what the registry at a host was asked; the zero value when it was not.
func (r *Registries) Traffic(host string) Traffic {
	r.mu.Lock()
	c := r.clients[canonical(host)]
	r.mu.Unlock()
	if c == nil {
		return Traffic{}
	}
	return c.Traffic()
}

// Forget lets go of what the registry at a host said, and of the login that it was asked with.
func (r *Registries) Forget(host string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.clients[canonical(host)]; c != nil {
		c.transport.CloseIdleConnections()
		delete(r.clients, canonical(host))
	}
}

// How long one question may take, with all the requests that it takes.
const (
	digestTimeout = 10 * time.Second
	imageTimeout  = 20 * time.Second
	tagsTimeout   = time.Minute
	checkTimeout  = 20 * time.Second
)
