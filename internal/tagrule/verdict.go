package tagrule

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Judged is a tag with what the rule says of it.
type Judged struct {
	Tag
	Version string // the part that orders it; empty where it does not match
	Why     string // it matches, or does not
}

// Verdict is what a rule makes of the tags of a repository at a moment.
type Verdict struct {
	Matched []Judged  // newest first
	Others  []Judged  // those that do not match, as people count, the last first
	Newest  string    // the newest that matches; empty: none, or not known yet
	Ready   string    // the one to bring the stage to; empty: none
	Why     string    // why that one, or why none
	ReadyAt time.Time // when the newest will be old enough; zero: it is, or nothing can be said
	// Needs are tags of which it must be known when they were made before anything can be chosen: while there are any,
	// nothing is Ready.
	Needs []string
}

// The bounds within which a moment of an image is believed. Reproducible builds say 1970, and clocks of builders may be ahead.
var (
	earliest  = time.Date(2013, 1, 1, 0, 0, 0, 0, time.UTC)
	tolerance = time.Minute
)

// plausible reports whether an image can have been made at that moment.
func plausible(at, now time.Time) bool {
	return !at.Before(earliest) && !at.After(now.Add(tolerance))
}

// Judge says of every tag whether it matches and why, and which one the stage would be brought to: the newest that is at
// least minAge old. What it answers does not depend on the order in which the tags come.
func (m *Matcher) Judge(tags []Tag, minAge time.Duration, now time.Time) Verdict {
	var v Verdict
	var matched []*candidate
	for _, t := range distinct(tags) {
		c := &candidate{Judged: Judged{Tag: t}}
		if m.recognise(c, now) {
			matched = append(matched, c)
		} else {
			v.Others = append(v.Others, c.Judged)
		}
	}
	slices.SortFunc(matched, func(a, b *candidate) int { return b.compare(a) })
	slices.SortFunc(v.Others, func(a, b Judged) int { return compareNaturally(b.Name, a.Name) })
	for _, c := range matched {
		v.Matched = append(v.Matched, c.Judged)
	}
	m.choose(&v, minAge, now)
	return v
}

// distinct is each name once, with the latest of what is said of it.
func distinct(tags []Tag) []Tag {
	sorted := slices.Clone(tags)
	slices.SortFunc(sorted, func(a, b Tag) int {
		if by := strings.Compare(a.Name, b.Name); by != 0 {
			return by
		}
		if by := b.Created.Compare(a.Created); by != 0 {
			return by
		}
		return b.Seen.Compare(a.Seen)
	})
	return slices.CompactFunc(sorted, func(a, b Tag) bool { return a.Name == b.Name })
}

// recognise fills in what the rule says of a tag, and reports whether it matches.
func (m *Matcher) recognise(c *candidate, now time.Time) bool {
	switch {
	case !ValidName(c.Name):
		c.Why = "it is no name of a tag"
		return false
	case isArtifact(c.Name):
		c.Why = "it belongs to an image (a signature, an attestation or a bill of materials) and is none"
		return false
	}
	for _, g := range m.rule.Ignore {
		if globMatches(g, c.Name) {
			c.Why = "it is ignored by " + g
			return false
		}
	}
	f := m.match(c.Name)
	if c.Why = f.why; !f.matched {
		return false
	}
	c.Version = f.version
	if err := c.readKey(m.rule.order(), now); err != nil {
		c.Version, c.Why = "", c.Why+", but "+err.Error()
		return false
	}
	return true
}

// choose picks the newest that is old enough. Where it is not known how old one is, nothing older is taken in its place.
func (m *Matcher) choose(v *Verdict, minAge time.Duration, now time.Time) {
	if len(v.Matched) == 0 {
		v.Why = noneOf(len(v.Others))
		return
	}
	if m.rule.order() == ByCreated {
		if v.Needs = unknown(v.Matched); len(v.Needs) > 0 {
			v.Why = fmt.Sprintf("of %d of the %d tags that match it is not known when their images were made", len(v.Needs), len(v.Matched))
			return
		}
	}
	v.Newest = v.Matched[0].Name
	if minAge <= 0 {
		v.Ready, v.Why = v.Newest, v.place(0)
		return
	}
	for i, t := range v.Matched {
		if t.Created.IsZero() {
			v.Needs, v.Why = []string{t.Name}, fmt.Sprintf("it is not known when the image of %s was made, and nothing older is taken in its place", t.Name)
			return
		}
		since := t.madeAt(now)
		if old := now.Sub(since); old >= minAge {
			v.Ready, v.Why = t.Name, fmt.Sprintf("%s and %s old", v.place(i), spell(old))
			return
		}
		if i == 0 {
			v.ReadyAt = since.Add(minAge)
		}
	}
	v.Why = fmt.Sprintf("none of the %s that match is %s old yet", count(len(v.Matched), "tag"), spell(minAge))
}

// madeAt is from when the age of an image counts.
func (t Tag) madeAt(now time.Time) time.Time {
	switch {
	case plausible(t.Created, now):
		return t.Created
	case t.Seen.IsZero():
		return now
	}
	return t.Seen
}

// unknown are the tags of which nobody has asked when they were made.
func unknown(tags []Judged) (names []string) {
	for _, t := range tags {
		if t.Created.IsZero() {
			names = append(names, t.Name)
		}
	}
	return names
}

func noneOf(others int) string {
	if others == 0 {
		return "the repository has no tags"
	}
	return fmt.Sprintf("none of %s matches", count(others, "tag"))
}

// place says where a tag stands among those that match.
func (v *Verdict) place(i int) string {
	switch {
	case len(v.Matched) == 1:
		return "it is the only tag that matches"
	case i == 0:
		return fmt.Sprintf("it is the newest of %d tags that match", len(v.Matched))
	}
	return fmt.Sprintf("it is number %d of %d tags that match, the first that is old enough", i+1, len(v.Matched))
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// spell is a duration in the two largest of its units.
func spell(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= day:
		if h := d % day / time.Hour; h > 0 {
			return fmt.Sprintf("%dd %dh", d/day, h)
		}
		return fmt.Sprintf("%dd", d/day)
	case d >= time.Hour:
		if m := d % time.Hour / time.Minute; m > 0 {
			return fmt.Sprintf("%dh %dm", d/time.Hour, m)
		}
		return fmt.Sprintf("%dh", d/time.Hour)
	case d >= time.Minute:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

// Newer reports whether the rule puts a before b, both as far as they are known. Where the rule does not take b at all,
// takes is false.
func (m *Matcher) Newer(a, b Tag, now time.Time) (newer, takes bool) {
	x, y := &candidate{Judged: Judged{Tag: a}}, &candidate{Judged: Judged{Tag: b}}
	if !m.recognise(y, now) {
		return false, false
	}
	return m.recognise(x, now) && x.compare(y) > 0, true
}

// Takes reports whether the rule's pattern takes a tag of that name, whatever its image is.
func (m *Matcher) Takes(name string) bool {
	return m.recognise(&candidate{Judged: Judged{Tag: Tag{Name: name}}}, time.Time{})
}
