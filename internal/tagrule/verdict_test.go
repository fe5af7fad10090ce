package tagrule

import (
	"slices"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const hour = time.Hour

func compile(t *testing.T, r Rule) *Matcher {
	t.Helper()
	m, err := Compile(r)
	if err != nil {
		t.Fatalf("%s: %v", r, err)
	}
	return m
}

func named(names ...string) (tags []Tag) {
	for _, n := range names {
		tags = append(tags, Tag{Name: n})
	}
	return tags
}

func namesOf(tags []Judged) (names []string) {
	for _, t := range tags {
		names = append(names, t.Name)
	}
	return names
}

var aSignature = "sha256-" + strings.Repeat("0a", 32) + ".sig"

// TestWhatMatches says of each rule which tags match, newest first, and which must not, with a part of the reason.
func TestWhatMatches(t *testing.T) {
	for name, c := range map[string]struct {
		rule Rule
		want string            // in order, newest first
		not  map[string]string // tag, and a part of why
	}{
		"exact": {Rule{Kind: Exact, Pattern: "1.4.2"}, "1.4.2", map[string]string{
			"v1.4.2": "it is not 1.4.2", "1.4.20": "it is not", "1.4": "it is not", "latest": "it is not",
		}},
		"moving": {Rule{Kind: Moving, Pattern: "latest"}, "latest", map[string]string{"latest-alpine": "it is not latest", "Latest": "it is not"}},
		"glob": {Rule{Kind: Glob, Pattern: "main-*"}, "main-100 main-20 main-3", map[string]string{
			"main": "it does not match main-*", "xmain-1": "does not match", "develop-7": "does not match", "main-1.sig": "belongs to an image",
		}},
		"a glob by version": {Rule{Kind: Glob, Pattern: "v1.*", Order: ByVersion}, "v1.10.0 v1.9 v1.9.0-rc.1", map[string]string{
			"v1.x": "but v1.x is no version", "v2.0.0": "does not match",
		}},
		"every tag": {Rule{Kind: Glob, Pattern: "*"}, "b10 b9 a", map[string]string{
			aSignature: "belongs to an image", "b9.att": "belongs to an image", "b9.sbom": "belongs to an image",
			strings.TrimSuffix(aSignature, ".sig"): "belongs to an image", "no/tag": "no name of a tag", "": "no name of a tag", "-x": "no name of a tag",
			"tag\nwith a line": "no name of a tag", strings.Repeat("x", 129): "no name of a tag",
		}},
		"ignored": {Rule{Kind: Glob, Pattern: "*", Ignore: []string{"*-debug", "v0.*"}}, "v1.0", map[string]string{
			"v1.0-debug": "ignored by *-debug", "v0.9": "ignored by v0.*",
		}},
		"an exact one that is ignored": {Rule{Kind: Exact, Pattern: "v1", Ignore: []string{"v*"}}, "", map[string]string{"v1": "ignored by v*"}},
		"a regex is of the whole tag": {Rule{Kind: Regex, Pattern: `1\.\d+`}, "1.10 1.9", map[string]string{
			"11.4": "the whole tag", "1.4-debug": "the whole tag", "v1.4": "the whole tag",
		}},
		"a regex of alternatives is, too": {Rule{Kind: Regex, Pattern: `a|b`}, "b a", map[string]string{"ab": "the whole tag", "ax": "the whole tag", "xb": "the whole tag"}},
		"a version group":                 {Rule{Kind: Regex, Pattern: `([a-f]+)-(?<version>\d+)`}, "a-30 f-4 b-1", map[string]string{"g-7": "the whole tag"}},
		"the only group":                  {Rule{Kind: Regex, Pattern: `[a-f]-(\d+)`}, "a-30 f-4 b-1", map[string]string{"a-": "the whole tag"}},
		"a group that may be empty": {Rule{Kind: Regex, Pattern: `main(?:-(\d+))?`}, "main-2 main-1", map[string]string{
			"main": "its version is empty",
		}},
		"a version group by version": {Rule{Kind: Regex, Pattern: `app-(?<version>.+)`, Order: ByVersion}, "app-1.10 app-1.9.9 app-1.9", map[string]string{
			"app-next": "but next is no version", "app-1.2.3.4": "is no version",
		}},
		"in any case": {Rule{Kind: Regex, Pattern: `(?i)release`}, "release RELEASE", map[string]string{"releases": "the whole tag"}},
		"a range": {Rule{Kind: Semver, Pattern: "^1.4"}, "1.10.0 v1.4.2 1.4.0", map[string]string{
			"1.3.9": "1.3.9 is not in ^1.4", "2.0.0": "not in", "1.5": "no full version", "1": "no full version", "20260301": "no full version",
			"1.5.0-rc.1": "pre-release of 1.5.0", "1.5.0-alpine": "or a variant", "latest": "no full version", "V1.5.0": "no full version",
			"1.05.0": "no full version", "1.5.0.1": "no full version", "99999999999999999999.0.0": "no full version",
		}},
		"a range with pre-releases": {Rule{Kind: Semver, Pattern: "^1.4", PreReleases: true}, "1.5.0 1.5.0-rc.10 1.5.0-rc.2 1.5.0-beta", map[string]string{
			"2.0.0-rc.1": "not in", "1.3.0-rc.1": "not in",
		}},
		"two ranges":          {Rule{Kind: Semver, Pattern: "~1.4.0 || 3.x"}, "3.1.0 1.4.9", map[string]string{"1.5.0": "not in", "2.0.0": "not in", "4.0.0": "not in"}},
		"a range with spaces": {Rule{Kind: Semver, Pattern: ">=1.2.0, <1.4.0"}, "1.3.9 1.2.0", map[string]string{"1.4.0": "not in", "1.1.9": "not in"}},
		"by date": {Rule{Kind: Glob, Pattern: "*", Order: ByDate}, "nightly-2026.3.1 20260228.10 20260228.9 2026-02-28 x_2025-12-31-abc", map[string]string{
			"20261301": "no date", "2026-02-30": "no date", "1.4.2": "no date", "19991231": "no date", "2026-1": "no date", "20260132": "no date", "120260101": "no date",
		}},
		"the first date that there is": {Rule{Kind: Glob, Pattern: "*", Order: ByDate}, "2026-99-99-20260102 2026-01-01-20991231", nil},
		"nothing at all":               {Rule{Kind: Semver, Pattern: ">9"}, "", map[string]string{"1.0.0": "not in"}},
	} {
		t.Run(name, func(t *testing.T) {
			want := strings.Fields(c.want)
			tags := named(want...)
			for n := range c.not {
				tags = append(tags, Tag{Name: n})
			}
			v := compile(t, c.rule).Judge(tags, 0, noon)
			if got := namesOf(v.Matched); !slices.Equal(got, want) {
				t.Errorf("matched %q, want %q", got, want)
			}
			for _, o := range v.Others {
				if part := c.not[o.Name]; part == "" || !strings.Contains(o.Why, part) || o.Version != "" {
					t.Errorf("%q does not match: %s (version %q)", o.Name, o.Why, o.Version)
				}
			}
			for _, m := range v.Matched {
				if m.Why == "" || m.Version == "" {
					t.Errorf("%q matches without a word: %+v", m.Name, m)
				}
			}
			if len(want) == 0 && (v.Ready != "" || v.Newest != "" || v.Why != "none of "+count(len(c.not), "tag")+" matches") {
				t.Errorf("nothing matches, and %+v", v)
			}
			if len(want) > 0 && (v.Ready != want[0] || v.Newest != want[0] || v.Why == "") {
				t.Errorf("ready is %q: %s", v.Ready, v.Why)
			}
		})
	}
}

func TestWhatIsChosen(t *testing.T) {
	ago := func(name string, d time.Duration) Tag { return Tag{Name: name, Created: noon.Add(-d)} }
	epoch := time.Unix(0, 0)
	for name, c := range map[string]struct {
		tags   []Tag
		order  Order
		minAge time.Duration
		newest string
		ready  string
		why    string
		at     time.Time
		needs  string
	}{
		"no tags":             {why: "the repository has no tags"},
		"no tags, old enough": {minAge: hour, why: "the repository has no tags"},
		"no age asked for":    {tags: named("v1", "v2"), newest: "v2", ready: "v2", why: "the newest of 2 tags"},
		"the only one":        {tags: named("v1"), newest: "v1", ready: "v1", why: "the only tag"},
		"old enough to the second": {
			tags: []Tag{ago("v2", 24*hour), ago("v1", 48*hour)}, minAge: 24 * hour, newest: "v2", ready: "v2", why: "and 1d old",
		},
		"a second too young": {
			tags: []Tag{ago("v2", 24*hour-time.Second), ago("v1", 49*hour)}, minAge: 24 * hour, newest: "v2", ready: "v1",
			why: "number 2 of 2 tags that match, the first that is old enough and 2d 1h old", at: noon.Add(time.Second),
		},
		"all too young": {
			tags: []Tag{ago("v2", hour), ago("v1", 2*hour)}, minAge: 24 * hour, newest: "v2", why: "none of the 2 tags that match is 1d old yet", at: noon.Add(23 * hour),
		},
		// On half an answer nothing is chosen: 1.1 may be what runs, and 1.0 a step back.
		"the newest not asked for": {
			tags: append(named("v2"), ago("v1", 48*hour)), minAge: 24 * hour, newest: "v2", needs: "v2", why: "nothing older is taken in its place",
		},
		"an older one not asked for": {
			tags: []Tag{ago("v3", hour), {Name: "v2"}, ago("v1", 48*hour)}, minAge: 24 * hour, newest: "v3", needs: "v2", why: "not known when the image of v2 was made", at: noon.Add(23 * hour),
		},
		"what is older than the choice is not asked for": {tags: append(named("v1"), ago("v2", 48*hour)), minAge: 24 * hour, newest: "v2", ready: "v2", why: "newest of 2"},
		"a reproducible build, seen for the first time":  {tags: []Tag{{Name: "v1", Created: epoch}}, minAge: hour, newest: "v1", why: "none of the 1 tag that match is 1h old", at: noon.Add(hour)},
		"a reproducible build, seen long ago": {
			tags: []Tag{{Name: "v1", Created: epoch, Seen: noon.Add(-90 * time.Minute)}}, minAge: hour, newest: "v1", ready: "v1", why: "1h 30m old",
		},
		"from a clock that is ahead": {tags: []Tag{ago("v1", -24*hour)}, minAge: hour, newest: "v1", why: "is 1h old yet", at: noon.Add(hour)},
		"from a clock that is a little ahead": {
			tags: []Tag{ago("v1", -30*time.Second)}, minAge: hour, newest: "v1", why: "is 1h old yet", at: noon.Add(hour + 30*time.Second),
		},
		"by when it was made":        {tags: []Tag{ago("v1", hour), ago("v2", 2*hour), ago("v3", 3*hour)}, order: ByCreated, newest: "v1", ready: "v1", why: "newest of 3"},
		"by when, and old enough":    {tags: []Tag{ago("v1", hour), ago("v2", 2*hour)}, order: ByCreated, minAge: 2 * hour, newest: "v1", ready: "v2", why: "number 2", at: noon.Add(hour)},
		"by when, not asked for one": {tags: append(named("v9"), ago("v1", hour)), order: ByCreated, needs: "v9", why: "of 1 of the 2 tags that match"},
		"by when, which some do not say": {
			tags: []Tag{{Name: "v8", Created: epoch}, {Name: "v9", Created: epoch}, ago("v1", hour), ago("v7", -24*365*hour)}, order: ByCreated, newest: "v1", ready: "v1", why: "newest of 4",
		},
		"a name that comes twice": {tags: []Tag{{Name: "v1"}, ago("v1", 2*hour)}, minAge: hour, newest: "v1", ready: "v1", why: "the only tag"},
	} {
		t.Run(name, func(t *testing.T) {
			v := compile(t, Rule{Kind: Glob, Pattern: "*", Order: c.order}).Judge(c.tags, c.minAge, noon)
			if v.Newest != c.newest || v.Ready != c.ready || !strings.Contains(v.Why, c.why) || !v.ReadyAt.Equal(c.at) || strings.Join(v.Needs, " ") != c.needs {
				t.Errorf("got newest %q, ready %q at %s, needs %q: %s", v.Newest, v.Ready, v.ReadyAt, v.Needs, v.Why)
			}
		})
	}
}

func TestSpell(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 59 * time.Second: "59s", time.Minute: "1m", 61 * time.Minute: "1h 1m", 2 * hour: "2h", 24 * hour: "1d", 49*hour + time.Minute: "2d 1h",
	} {
		if got := spell(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}
