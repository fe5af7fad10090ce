package tagrule

import (
	"errors"
	"strings"
	"testing"
)

func TestRulesThatAreWrong(t *testing.T) {
	for name, c := range map[string]struct {
		rule   Rule
		field  string
		remedy string // a part of it
	}{
		"no kind":                         {Rule{Pattern: "v1"}, "kind", "exact, glob, regex, semver, moving"},
		"an unknown kind":                 {Rule{Kind: "newest", Pattern: "v1"}, "kind", "must be one of"},
		"exact without a tag":             {Rule{Kind: Exact}, "pattern", "such as 1.4.2"},
		"exact with an image":             {Rule{Kind: Exact, Pattern: "shop:1.4.2"}, "pattern", "without its image"},
		"exact with a space":              {Rule{Kind: Exact, Pattern: "1.4.2 "}, "pattern", "without its image"},
		"exact too long":                  {Rule{Kind: Exact, Pattern: strings.Repeat("a", 129)}, "pattern", "1 to 128"},
		"exact of a signature":            {Rule{Kind: Exact, Pattern: "1.4.2.sig"}, "pattern", "signature"},
		"moving of a digest tag":          {Rule{Kind: Moving, Pattern: "sha256-" + strings.Repeat("a", 64)}, "pattern", "signature"},
		"moving with a digest":            {Rule{Kind: Moving, Pattern: "sha256:" + strings.Repeat("a", 64)}, "pattern", "without its image"},
		"exact with an order":             {Rule{Kind: Exact, Pattern: "v1", Order: Natural}, "order", "leave it out"},
		"exact with pre-releases":         {Rule{Kind: Exact, Pattern: "v1", PreReleases: true}, "pre_releases", "leave it out"},
		"an empty glob":                   {Rule{Kind: Glob}, "pattern", "or * for every tag"},
		"a glob with an image":            {Rule{Kind: Glob, Pattern: "shop:v*"}, "pattern", "':' is in no tag"},
		"a glob with a slash":             {Rule{Kind: Glob, Pattern: "acme/*"}, "pattern", "'/' is in no tag"},
		"a glob with braces":              {Rule{Kind: Glob, Pattern: "{v1,v2}"}, "pattern", "'{' is in no tag"},
		"a glob with a bracket":           {Rule{Kind: Glob, Pattern: "v[0-9"}, "pattern", "needs its ]"},
		"a glob that is a novel":          {Rule{Kind: Glob, Pattern: strings.Repeat("*", 129)}, "pattern", "longer than 128"},
		"an unknown order":                {Rule{Kind: Glob, Pattern: "*", Order: "alphabetical"}, "order", "semver, natural, date, created"},
		"an empty regex":                  {Rule{Kind: Regex}, "pattern", `v(\d+)`},
		"a regex that is open":            {Rule{Kind: Regex, Pattern: "v(1"}, "pattern", "missing closing )"},
		"a regex that leaves its frame":   {Rule{Kind: Regex, Pattern: "v1)|(.*"}, "pattern", "unexpected )"},
		"a regex of Perl":                 {Rule{Kind: Regex, Pattern: `v(?=1)`}, "pattern", "RE2"},
		"a regex that looks back":         {Rule{Kind: Regex, Pattern: `(a)\1`}, "pattern", "RE2"},
		"a regex with two groups":         {Rule{Kind: Regex, Pattern: `(v)(\d+)`}, "pattern", "(?<version>"},
		"a regex that is a novel":         {Rule{Kind: Regex, Pattern: strings.Repeat("a", 257)}, "pattern", "longer than 256"},
		"a regex that swells":             {Rule{Kind: Regex, Pattern: `(?:(?:a{10}){10}){10}(?:b{1000}){1}(?:\pL{100})`}, "pattern", "repeat less"},
		"a regex beyond all bounds":       {Rule{Kind: Regex, Pattern: `((a{1000}){1000}){1000}`}, "pattern", "RE2"},
		"an empty range":                  {Rule{Kind: Semver, Pattern: " "}, "pattern", "^1.4"},
		"a range that is none":            {Rule{Kind: Semver, Pattern: "newest"}, "pattern", "~1.4.2"},
		"a range that is a novel":         {Rule{Kind: Semver, Pattern: strings.Repeat("1", 257)}, "pattern", "longer than 256"},
		"a range of pre-releases":         {Rule{Kind: Semver, Pattern: ">=2.0.0-rc.1"}, "pattern", "allow pre-releases"},
		"the usual trick for those":       {Rule{Kind: Semver, Pattern: ">=1.0.0-0"}, "pattern", "allow pre-releases"},
		"a range by date":                 {Rule{Kind: Semver, Pattern: "*", Order: ByDate}, "order", "leave it out"},
		"a glob with pre-releases":        {Rule{Kind: Glob, Pattern: "*", PreReleases: true}, "pre_releases", "leave it out"},
		"an ignored one that is no glob":  {Rule{Kind: Glob, Pattern: "*", Ignore: []string{"ok", "[a"}}, "ignore[1]", "needs its ]"},
		"an ignored one that is empty":    {Rule{Kind: Glob, Pattern: "*", Ignore: []string{""}}, "ignore[0]", "empty"},
		"too many ignored":                {Rule{Kind: Glob, Pattern: "*", Ignore: make51()}, "ignore", "at most 50"},
		"text that is not UTF-8":          {Rule{Kind: Glob, Pattern: "v\xff"}, "pattern", "in no tag"},
		"a regex that is not UTF-8":       {Rule{Kind: Regex, Pattern: "v\xff"}, "pattern", "RE2"},
		"a kind in another spelling":      {Rule{Kind: "Glob", Pattern: "*"}, "kind", "must be one of"},
		"a hyphen range of a pre-release": {Rule{Kind: Semver, Pattern: "1.0.0-beta - 2.0.0"}, "pattern", "allow pre-releases"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := Compile(c.rule)
			var wrong FieldError
			if m != nil || !errors.As(err, &wrong) {
				t.Fatalf("got %v, %v", m, err)
			}
			if wrong.Field != c.field || !strings.Contains(wrong.Reason, c.remedy) {
				t.Errorf("got %q, want %s and %q", wrong, c.field, c.remedy)
			}
			if (c.rule.Validate() == nil) != (err == nil) {
				t.Error("it is valid and does not compile")
			}
		})
	}
}

func make51() (globs []string) {
	for range 51 {
		globs = append(globs, "x*")
	}
	return globs
}

// TestEveryWrongPartIsTold: who wrote three things wrong hears of all three at once.
func TestEveryWrongPartIsTold(t *testing.T) {
	err := Rule{Kind: Glob, Pattern: "a/b", PreReleases: true, Order: "x", Ignore: []string{"[", "y z"}}.Validate()
	for _, part := range []string{"pattern: ", "pre_releases: ", "order: ", "ignore[0]: ", "ignore[1]: "} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("no word of %s: %v", part, err)
		}
	}
}

func TestRulesThatAreRight(t *testing.T) {
	for _, r := range []Rule{
		{Kind: Exact, Pattern: "1.4.2"},
		{Kind: Moving, Pattern: "latest"},
		{Kind: Moving, Pattern: "_x"},
		{Kind: Glob, Pattern: "*", Order: ByCreated},
		{Kind: Glob, Pattern: "v[0-9]*.?", Order: ByVersion, Ignore: []string{"*-debug", "v1.*"}},
		{Kind: Regex, Pattern: `main-(?<version>\d+)-([0-9a-f]{7})`},
		{Kind: Regex, Pattern: `^v(?P<version>\d+\.\d+)$`, Order: ByVersion},
		{Kind: Regex, Pattern: `nightly-.*`, Order: ByDate},
		{Kind: Regex, Pattern: `[0-9a-f]{40}`},
		{Kind: Semver, Pattern: "*"},
		{Kind: Semver, Pattern: ">=1.4 <2 || ~3.1", Order: ByVersion},
		{Kind: Semver, Pattern: "1.2 - 1.4.5"},
		{Kind: Semver, Pattern: ">=2.0.0-rc.1", PreReleases: true},
	} {
		m, err := Compile(r)
		if err != nil {
			t.Errorf("%s: %v", r, err)
			continue
		}
		if !m.Rule().Equal(r) {
			t.Errorf("%s came back as %s", r, m.Rule())
		}
	}
}

func TestRulesAreEqualOnlyWhenTheySayTheSame(t *testing.T) {
	r := Rule{Kind: Semver, Pattern: "^1", PreReleases: true, Order: ByVersion, Ignore: []string{"a", "b"}}
	if !r.Equal(r) {
		t.Error("it is not equal to itself")
	}
	for name, change := range map[string]func(*Rule){
		"kind": func(r *Rule) { r.Kind = Glob }, "pattern": func(r *Rule) { r.Pattern = "^2" }, "pre-releases": func(r *Rule) { r.PreReleases = false },
		"order": func(r *Rule) { r.Order = "" }, "ignore": func(r *Rule) { r.Ignore = []string{"a"} },
	} {
		o := r
		if change(&o); r.Equal(o) || r.String() == o.String() {
			t.Errorf("another %s makes no difference", name)
		}
	}
}
