package registry

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Digest asks what a tag (or a sha256 digest) of an image points to now. It costs a HEAD, which registries do not count as
// a pull; a GET beside it where the HEAD says that there is no such tag, or does not tell the digest.
func (c *Client) Digest(ctx context.Context, image, tag string) (string, error) {
	ref, err := c.reference(image, tag)
	if err != nil {
		return "", err
	}
	var digest string
	err = c.ask(ctx, digestTimeout, "look up "+inside(ref), func(ctx context.Context) (err error) {
		digest, err = c.digest(ctx, ref)
		return err
	})
	return digest, err
}

// inside is a reference without its host.
func inside(ref name.Reference) string {
	return strings.TrimPrefix(ref.Name(), ref.Context().RegistryStr()+"/")
}

func (c *Client) digest(ctx context.Context, ref name.Reference) (string, error) {
	found, err := c.use.from().Head(ctx, ref)
	if err == nil {
		return found.Digest.String(), nil
	}
	if !isMissing(err) && !isSilent(err) {
		return "", err
	}
	// The answer to a HEAD has no body. Whether it was the registry that said so, and not something before it
	// that knows no such page, only a GET can tell; one that finds nothing is no pull.
	got, err := c.manifest(ctx, ref)
	if err != nil {
		return "", err
	}
	return got.Digest.String(), nil
}

// manifest gets a manifest, and sees that it is one: the digest of a web page says nothing.
func (c *Client) manifest(ctx context.Context, ref name.Reference) (*remote.Descriptor, error) {
	got, err := c.use.from().Get(ctx, ref)
	if err != nil {
		return nil, err
	}
	var form struct {
		SchemaVersion int `json:"schemaVersion"`
	}
	if err := json.Unmarshal(got.Manifest, &form); err != nil || form.SchemaVersion == 0 {
		return nil, errNotRegistry
	}
	return got, nil
}

func isMissing(err error) bool {
	var answer *transport.Error
	return errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound
}

// isSilent reports whether an answer was a success that left out what a HEAD is for.
func isSilent(err error) bool {
	return strings.Contains(err.Error(), "response did not include")
}
