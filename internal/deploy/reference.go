package deploy

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// Request asks to bring a stage to an image tag.
type Request struct {
	StageID string
	Tag     string
	Digest  string      // sha256:..., of the image that was judged at the tag; empty: whatever it points to
	Image   string      // empty: the project's image
	Spec    *store.Spec // nil: the stage's spec
	Actor   string
}

var (
	repositoryForm = regexp.MustCompile(`^(?:(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*(?::[0-9]{1,5})?/)?` +
		`[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagForm    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
	digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
)

// ValidateReference checks an image repository and the tag (or sha256 digest) to bring a stage to.
func ValidateReference(repository, tag string) error {
	switch {
	case repository == "":
		return fmt.Errorf("%w image: it is empty: give the project an image, such as ghcr.io/acme/shop", ErrInvalid)
	case len(repository) > 255:
		return fmt.Errorf("%w image: longer than 255 characters", ErrInvalid)
	case strings.Contains(repository, "@") || !repositoryForm.MatchString(repository):
		return fmt.Errorf("%w image %q: it must be a repository without a tag, in lower case, such as ghcr.io/acme/shop", ErrInvalid, repository)
	case tag == "":
		return fmt.Errorf("%w tag: it is empty: say which version, such as 1.4.2", ErrInvalid)
	case !tagForm.MatchString(tag) && !digestForm.MatchString(tag):
		return fmt.Errorf("%w tag %q: letters, digits, '_', '.' and '-', at most 128, or sha256: and 64 hex digits", ErrInvalid, tag)
	}
	return nil
}

// validateDigest checks what a tag was found to point to.
func validateDigest(digest string) error {
	if digest != "" && !digestForm.MatchString(digest) {
		return fmt.Errorf("%w digest %q: sha256: and 64 hex digits, or none", ErrInvalid, digest)
	}
	return nil
}

// reference joins a repository with a tag or a digest.
func reference(repository, tag string) string {
	if digestForm.MatchString(tag) {
		return repository + "@" + tag
	}
	return repository + ":" + tag
}
