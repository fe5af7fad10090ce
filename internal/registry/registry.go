// Package registry asks image registries what they have.
package registry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// ErrGone is a registry's own word that it does not have a tag (404), as opposed to not being able to ask.
var ErrGone = errors.New("the registry has no such tag")

// errPlain keeps names and answers from going over the wire for all to read, and to change.
var errPlain = errors.New("plain http is spoken only to this machine")

// timeout bounds one question, with all the requests that it takes.
const timeout = 10 * time.Second

// Digest asks a registry what a tag (or a sha256 digest) points to now. It costs a HEAD, which registries do not count as a
// pull. Only a registry's own word is ErrGone; anything else that is no answer is that it could not be asked.
func Digest(ctx context.Context, image, tag string) (string, error) {
	ref, err := reference(image, tag)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	digest, err := head(ctx, ref)
	if err != nil {
		return "", fmt.Errorf("ask for %s: %w", ref, err)
	}
	return digest, nil
}

func head(ctx context.Context, ref name.Reference) (string, error) {
	options := []remote.Option{
		remote.WithContext(ctx), remote.WithTransport(sealed{http.DefaultTransport}), remote.WithAuth(authn.Anonymous),
		remote.WithUserAgent("docker-watcher"),
		// Who asks again is the caller, later: a registry that has had enough is not pressed.
		remote.WithRetryPredicate(func(error) bool { return false }), remote.WithRetryStatusCodes(),
	}
	found, err := remote.Head(ref, options...)
	if err == nil {
		return found.Digest.String(), nil
	}
	if !isMissing(err) {
		return "", err
	}
	// The answer to a HEAD has no body. Whether it was the registry that said so, and not something before it
	// that knows no such page, only a GET can tell; one that finds nothing is no pull.
	got, err := remote.Get(ref, options...)
	switch {
	case err == nil:
		return got.Digest.String(), nil
	case saysGone(err):
		return "", fmt.Errorf("%w: %w", ErrGone, err)
	}
	return "", err
}

// reference reads a name as engines do; the library would look for localhost/shop at Docker Hub.
func reference(image, tag string) (name.Reference, error) {
	if strings.HasPrefix(image, "localhost/") {
		return nil, fmt.Errorf("ask for %s: images under localhost/ are in no registry", image)
	}
	separator := ":"
	if strings.HasPrefix(tag, "sha256:") {
		separator = "@"
	}
	ref, err := name.ParseReference(image + separator + tag) // a short name, such as shop:1.0, is one of Docker Hub
	if err != nil {
		return nil, fmt.Errorf("read the name of an image: %w", err)
	}
	return ref, nil
}

func isMissing(err error) bool {
	var answer *transport.Error
	return errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound
}

// saysGone reports whether an error is the word of a registry: its status, in the form that registries use.
func saysGone(err error) bool {
	var answer *transport.Error
	if !errors.As(err, &answer) || answer.StatusCode != http.StatusNotFound {
		return false
	}
	return slices.ContainsFunc(answer.Errors, func(e transport.Diagnostic) bool { return slices.Contains(goneCodes, e.Code) })
}

// goneCodes are the words for what is not there; the last two are Harbor's and Quay's.
var goneCodes = []transport.ErrorCode{transport.ManifestUnknownErrorCode, transport.NameUnknownErrorCode, "NOT_FOUND", "TAG_EXPIRED"}

// sealed is a transport that speaks plain http only to this machine; the library would to every private address.
type sealed struct{ next http.RoundTripper }

func (s sealed) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && !loopback(r.URL.Hostname()) {
		return nil, fmt.Errorf("%w, not to %s", errPlain, r.URL.Host)
	}
	return s.next.RoundTrip(r)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
