package tagrule

import (
	"regexp"
	"strings"
	"time"
)

// Tag is what is known of one tag of a repository.
type Tag struct {
	Name string
	// Created is when the image says that it was made; zero: not asked. Reproducible builds say 1970.
	Created time.Time
	// Seen is when we first saw this image at the tag; zero: not known. Where an image does not say when it was made, its
	// age counts from here.
	Seen time.Time
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)

// ValidName reports whether registries may call a tag so.
func ValidName(name string) bool { return nameForm.MatchString(name) }

var (
	// byDigest is how cosign and registries without the referrers API call what belongs to an image.
	byDigest = regexp.MustCompile(`^sha256-[0-9a-f]{64}(?:$|[.-])`)
	suffixes = []string{".sig", ".att", ".sbom"}
)

// isArtifact reports whether a tag is of what belongs to an image (a signature, an attestation, a bill of materials) and
// not of an image that could run.
func isArtifact(name string) bool {
	if byDigest.MatchString(name) {
		return true
	}
	for _, s := range suffixes {
		if strings.HasSuffix(name, s) {
			return true
		}
	}
	return false
}
