package tagrule

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// preInRange finds a pre-release in a range; the hyphen of "1.2 - 1.4" has spaces around it.
var preInRange = regexp.MustCompile(`[0-9xX*]-[0-9A-Za-z]`)

// versions matches a range of semantic versions.
func versions(text string, preReleases bool) (func(string) finding, error) {
	allowed, err := compileRange(text, preReleases)
	if err != nil {
		return nil, FieldError{fieldPattern, err.Error()}
	}
	other := missed("%v", errNoVersion)
	return func(name string) finding {
		v, err := fullVersion(name)
		switch {
		case err != nil:
			return other
		case v.Prerelease() != "" && !preReleases:
			return missed("%s is a pre-release of %d.%d.%d, or a variant, and the rule takes none", v, v.Major(), v.Minor(), v.Patch())
		case !allowed.Check(v):
			return missed("%s is not in %s", v, text)
		}
		return found(v.String(), "%s is in %s", v, text)
	}, nil
}

func compileRange(text string, preReleases bool) (*semver.Constraints, error) {
	switch {
	case strings.TrimSpace(text) == "":
		return nil, errors.New("it is empty: write a range such as ^1.4, ~1.4.2, >=1.4 <2, 1.x or *")
	case len(text) > longestPattern:
		return nil, fmt.Errorf("longer than %d characters", longestPattern)
	}
	c, err := semver.NewConstraint(text)
	if err != nil {
		return nil, errors.New("it is no range of versions: write one such as ^1.4, ~1.4.2, >=1.4 <2, 1.x || 2.x or *")
	}
	if preInRange.MatchString(text) && !preReleases {
		return nil, errors.New("it names a pre-release, but the rule takes none: allow pre-releases, or leave it out of the range")
	}
	c.IncludePrerelease = preReleases
	return c, nil
}

// fullVersion reads 1.4.2 and v1.4.2. What has fewer parts is not taken for a version: 20260301 is a date and 1.4 moves.
func fullVersion(name string) (*semver.Version, error) {
	v, err := semver.StrictNewVersion(strings.TrimPrefix(name, "v"))
	if err != nil {
		return nil, errNoVersion
	}
	return v, nil
}

var errNoVersion = errors.New("it is no full version such as 1.4.2 or v1.4.2")

// looseVersion reads what a glob or a regular expression has chosen as a version, 1.4 too.
func looseVersion(text string) (*semver.Version, error) {
	v, err := semver.NewVersion(text)
	if err != nil {
		return nil, fmt.Errorf("%s is no version such as 1.4.2 or 1.4", text)
	}
	return v, nil
}
