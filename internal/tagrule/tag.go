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

// ValidName reports whether registries may call a tag so. It is asked of every tag of every repository, which a regular
// expression would make the dearest part of a verdict.
func ValidName(name string) bool {
	if name == "" || len(name) > longestTag || name[0] == '.' || name[0] == '-' {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if !isDigit(c) && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '_' && c != '.' && c != '-' {
			return false
		}
	}
	return true
}

var (
	// byDigest is how cosign and registries without the referrers API call what belongs to an image.
	byDigest = regexp.MustCompile(`^sha256-[0-9a-f]{64}(?:$|[.-])`)
	suffixes = []string{".sig", ".att", ".sbom"}
)

// isArtifact reports whether a tag is of what belongs to an image (a signature, an attestation, a bill of materials) and
// not of an image that could run.
func isArtifact(name string) bool {
	if strings.HasPrefix(name, "sha256-") && byDigest.MatchString(name) {
		return true
	}
	for _, s := range suffixes {
		if strings.HasSuffix(name, s) {
			return true
		}
	}
	return false
}
