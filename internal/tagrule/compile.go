package tagrule

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// Matcher is a rule that can be used. It is safe for concurrent use.
type Matcher struct {
	rule  Rule
	match func(name string) finding
}

// finding is what a pattern says of a tag: the part that orders it, or why it does not match.
type finding struct {
	version string
	why     string // in words, of a match too
	matched bool
}

func found(version, format string, args ...any) finding {
	return finding{version: version, why: fmt.Sprintf(format, args...), matched: true}
}

func missed(format string, args ...any) finding {
	return finding{why: fmt.Sprintf(format, args...)}
}

// Compile makes a rule usable, or reports every wrong part of it as a FieldError, joined.
func Compile(r Rule) (*Matcher, error) {
	match, err := pattern(r)
	if err := errors.Join(err, r.checkWords(), checkIgnored(r.Ignore)); err != nil {
		return nil, err
	}
	r.Ignore = append([]string(nil), r.Ignore...)
	return &Matcher{rule: r, match: match}, nil
}

// Rule is what the matcher was made of.
func (m *Matcher) Rule() Rule { return m.rule }

// pattern reads the pattern of a rule.
func pattern(r Rule) (func(string) finding, error) {
	switch r.Kind {
	case Exact, Moving:
		return one(r.Pattern)
	case Glob:
		return glob(r.Pattern)
	case Regex:
		return regex(r.Pattern)
	case Semver:
		return versions(r.Pattern, r.PreReleases)
	}
	return nil, FieldError{fieldKind, "must be one of exact, glob, regex, semver, moving"}
}

// one matches a single tag.
func one(tag string) (func(string) finding, error) {
	switch {
	case tag == "":
		return nil, FieldError{fieldPattern, "it is empty: write the tag, such as 1.4.2 or latest"}
	case !ValidName(tag):
		return nil, FieldError{fieldPattern, noTag}
	case isArtifact(tag):
		return nil, FieldError{fieldPattern, "that is the tag of a signature, an attestation or a bill of materials: write the tag of an image"}
	}
	other := missed("it is not %s", tag)
	return func(name string) finding {
		if name != tag {
			return other
		}
		return found(name, "it is the tag of the rule")
	}, nil
}

const noTag = "a tag has 1 to 128 letters, digits, '_', '.' and '-' and begins with none of the last two: write the tag alone, without its image"

// glob matches by *, ? and [a-z].
func glob(text string) (func(string) finding, error) {
	if err := checkGlob(text); err != nil {
		return nil, FieldError{fieldPattern, err.Error()}
	}
	other := missed("it does not match %s", text)
	return func(name string) finding {
		if !globMatches(text, name) {
			return other
		}
		return found(name, "it matches %s", text)
	}, nil
}

// globMatches is path.Match: a tag has no slash, so that a star reaches over everything.
func globMatches(text, name string) bool {
	ok, err := path.Match(text, name)
	return ok && err == nil
}

// checkGlob refuses a glob that cannot be read and one that no tag could ever match.
func checkGlob(text string) error {
	switch {
	case text == "":
		return errors.New("it is empty: write a glob such as v1.* or main-*, or * for every tag")
	case len(text) > longestTag:
		return fmt.Errorf("longer than %d characters", longestTag)
	}
	if at := strings.IndexFunc(text, notInGlob); at >= 0 {
		return fmt.Errorf("%q is in no tag: write a glob of the tag alone, such as v1.* or main-*", []rune(text[at:])[0])
	}
	if _, err := path.Match(text, ""); err != nil {
		return errors.New(`it is no glob: a [ needs its ], such as release-[0-9]*`)
	}
	return nil
}

// notInGlob are the characters that are neither of a tag nor of a glob.
func notInGlob(c rune) bool {
	return !strings.ContainsRune("*?[]^_.-", c) && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
}

func checkIgnored(globs []string) error {
	var errs []error
	for i, g := range globs {
		if err := checkGlob(g); err != nil {
			errs = append(errs, FieldError{fmt.Sprintf("%s[%d]", fieldIgnore, i), err.Error()})
		}
		if i == mostIgnored {
			break // that there are too many is told already
		}
	}
	return errors.Join(errs...)
}
