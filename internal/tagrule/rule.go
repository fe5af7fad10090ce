// Package tagrule decides which tags of a repository a stage follows, in which order they stand, and which one it would
// be brought to. It is pure: a rule, what is known of the tags and a moment go in, and every tag comes out with the
// reason why it matches or does not. It asks nobody and knows no clock. What it would have to know and does not, it
// names; on half an answer it chooses nothing.
package tagrule

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Kind says how a rule recognises tags.
type Kind string

// The kinds of rules.
const (
	Exact  Kind = "exact"  // one tag by its name; what it points to is not followed
	Glob   Kind = "glob"   // *, ? and [a-z], for the whole tag
	Regex  Kind = "regex"  // a regular expression for the whole tag
	Semver Kind = "semver" // a range of semantic versions
	Moving Kind = "moving" // one tag whose image changes, such as latest: its digest is followed
)

// Kinds are all kinds, as they are told to people.
var Kinds = []Kind{Exact, Glob, Regex, Semver, Moving}

// Order says which of two matching tags is the newer one.
type Order string

// The orders.
const (
	ByVersion Order = "semver"  // semantic version; what does not read as one does not match
	Natural   Order = "natural" // as people count: build-9 before build-10
	ByDate    Order = "date"    // a date in the tag, such as 2026-03-01 or 20260301.2; what has none does not match
	ByCreated Order = "created" // when the image was made
)

// Orders are all orders, as they are told to people.
var Orders = []Order{ByVersion, Natural, ByDate, ByCreated}

// Rule says which tags a stage follows. Only a valid one can be compiled.
type Rule struct {
	Kind    Kind   `json:"kind"`
	Pattern string `json:"pattern"` // the tag, the glob, the regular expression or the range
	// PreReleases lets a range take 2.0.0-rc.1, too. Without it a pre-release never matches a semver rule.
	PreReleases bool `json:"pre_releases,omitempty"`
	// Order of glob and regex; empty: natural. A range is ordered by version, and one tag needs no order.
	Order  Order    `json:"order,omitempty"`
	Ignore []string `json:"ignore,omitempty"` // globs of tags that never match
}

// The bounds of a rule. A regular expression is also bounded by what it compiles to.
const (
	longestPattern = 256
	longestTag     = 128
	mostIgnored    = 50
)

// The names of the parts of a rule.
const (
	fieldKind        = "kind"
	fieldPattern     = "pattern"
	fieldPreReleases = "pre_releases"
	fieldOrder       = "order"
	fieldIgnore      = "ignore"
)

// FieldError says what is wrong with one part of a rule, by its name, and what to write instead.
type FieldError struct {
	Field  string
	Reason string
}

func (e FieldError) Error() string { return e.Field + ": " + e.Reason }

// Validate reports every wrong part of a rule as a FieldError, joined.
func (r Rule) Validate() error {
	_, err := Compile(r)
	return err
}

// String is the rule in words.
func (r Rule) String() string {
	text := fmt.Sprintf("%s %q", r.Kind, r.Pattern)
	if r.PreReleases {
		text += " with pre-releases"
	}
	if r.Order != "" {
		text += " by " + string(r.Order)
	}
	if len(r.Ignore) > 0 {
		text += " but not " + strings.Join(r.Ignore, ", ")
	}
	return text
}

// Equal reports whether two rules say the same.
func (r Rule) Equal(o Rule) bool {
	return r.Kind == o.Kind && r.Pattern == o.Pattern && r.PreReleases == o.PreReleases && r.Order == o.Order && slices.Equal(r.Ignore, o.Ignore)
}

// order is the one in force.
func (r Rule) order() Order {
	switch r.Kind {
	case Semver:
		return ByVersion
	case Glob, Regex, Exact, Moving:
	}
	if r.Order == "" {
		return Natural
	}
	return r.Order
}

// checkWords looks at what needs no pattern to be understood.
func (r Rule) checkWords() error {
	var errs []error
	if r.PreReleases && r.Kind != Semver {
		errs = append(errs, FieldError{fieldPreReleases, "only a semver range knows pre-releases: leave it out"})
	}
	ordered := r.Kind == Glob || r.Kind == Regex
	switch {
	case r.Order == "" || r.Kind == Semver && r.Order == ByVersion:
	case !slices.Contains(Orders, r.Order):
		errs = append(errs, FieldError{fieldOrder, "must be one of semver, natural, date, created"})
	case !ordered:
		errs = append(errs, FieldError{fieldOrder, fmt.Sprintf("a rule of kind %s has no order to choose: leave it out", r.Kind)})
	}
	if len(r.Ignore) > mostIgnored {
		errs = append(errs, FieldError{fieldIgnore, fmt.Sprintf("at most %d globs: join some of them, such as *-debug", mostIgnored)})
	}
	return errors.Join(errs...)
}
