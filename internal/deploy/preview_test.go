package deploy

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

func TestSlug(t *testing.T) {
	for text, want := range map[string]string{
		"1-0": "1-0", "main": "main", "pr-17": "pr-17", strings.Repeat("a", 63): strings.Repeat("a", 63),
		"1.0": "1-0-", "Main": "main-", "feature_X": "feature-x-", "-a-": "a-", "...": "x-", "": "x-", "\u00e4\u00f6": "x-", strings.Repeat("a", 64): strings.Repeat("a", 56) + "-",
	} {
		got := slug(text)
		if got != want && (!strings.HasSuffix(want, "-") || !strings.HasPrefix(got, want) || len(got) != len(want)+slugHash) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if slug("1.0") == slug("1_0") || slug("Main") == slug("main") || slug("a-") == slug("a") {
		t.Error("two tags have one slug")
	}
}

// FuzzPreviewDomain: whatever a tag is called, it makes a domain name, always the same, and not that of another tag.
func FuzzPreviewDomain(f *testing.F) {
	for _, seed := range []string{"1.0", "main", "PR_17", "feature-x", strings.Repeat("a", 128), "", "{{tag}}", "a.b", "xn--", "\x00"} {
		f.Add(seed, seed+"-", "shop")
	}
	f.Fuzz(func(t *testing.T, tag, other, project string) {
		for _, template := range []string{"{{tag}}.{{project}}.example.com", "{{project}}-{{tag}}.{{stage}}.example.com"} {
			got := previewDomain(template, project, "preview", tag)
			if len(got) > longestDomain || got != previewDomain(template, project, "preview", tag) {
				t.Errorf("%q", got)
			}
			for l := range strings.SplitSeq(got, ".") {
				if !domainLabel.MatchString(l) {
					t.Errorf("tag %q: %q has the part %q", tag, got, l)
				}
			}
			if tag != other && got == previewDomain(template, project, "preview", other) {
				t.Errorf("tags %q and %q are both at %q", tag, other, got)
			}
		}
	})
}

func TestValidateStage(t *testing.T) {
	parallel := func(change func(*store.Stage)) store.Stage {
		s := store.Stage{Strategy: store.StrategyParallel, ParallelMax: 3, Domain: "{{tag}}.{{project}}.example.com"}
		if change != nil {
			change(&s)
		}
		return s
	}
	domain := func(d string) store.Stage { return parallel(func(s *store.Stage) { s.Domain = d }) }
	for name, c := range map[string]struct {
		stage store.Stage
		says  string // empty: it is good
	}{
		"nothing said":            {store.Stage{}, ""},
		"replace":                 {store.Stage{Strategy: store.StrategyReplace}, ""},
		"parallel":                {parallel(nil), ""},
		"without a domain":        {domain(""), ""},
		"one part of two":         {domain("pr-{{tag}}-{{project}}.example.com"), ""},
		"a stage in it":           {domain("{{tag}}.{{stage}}.example.com"), ""},
		"a port of the engine":    {parallel(func(s *store.Stage) { s.Spec.Ports = []store.Port{{Container: 80}} }), ""},
		"an unknown strategy":     {store.Stage{Strategy: "blue"}, "strategy"},
		"a rule that deploys":     {parallel(func(s *store.Stage) { s.Mode = store.ModeAuto }), ""},
		"a rule that tells":       {parallel(func(s *store.Stage) { s.Mode = store.ModeNotify }), ""},
		"a domain of one":         {store.Stage{Domain: "{{tag}}.example.com"}, "domain"},
		"none at a time":          {parallel(func(s *store.Stage) { s.ParallelMax = 0 }), "parallel_max"},
		"too many":                {parallel(func(s *store.Stage) { s.ParallelMax = 101 }), "parallel_max"},
		"a host port":             {parallel(func(s *store.Stage) { s.Spec.Ports = []store.Port{{Container: 80, Host: 8080}} }), "host port 8080"},
		"a domain without a tag":  {domain("shop.example.com"), "{{tag}}"},
		"another placeholder":     {domain("{{tag}}.{{branch}}.example.com"), "stand for something"},
		"half a placeholder":      {domain("{{tag}}.{{.example.com"), "stand for something"},
		"a bare word":             {domain("{{tag}}"), "must be a domain"},
		"an empty part":           {domain("{{tag}}..example.com"), "between its dots"},
		"a dot at the end":        {domain("{{tag}}.example.com."), "between its dots"},
		"a scheme":                {domain("http://{{tag}}.example.com"), "between its dots"},
		"upper case":              {domain("{{tag}}.Example.com"), "between its dots"},
		"a wildcard":              {domain("*.{{tag}}.example.com"), "between its dots"},
		"a long one":              {domain("{{tag}}.{{project}}.{{stage}}." + strings.Repeat("a", 62) + ".com"), "253"},
		"a line break in it":      {domain("{{tag}}.example.com\n"), "between its dots"},
		"a path":                  {domain("{{tag}}.example.com/x"), "between its dots"},
		"a port of its own in it": {domain("{{tag}}.example.com:80"), "between its dots"},
	} {
		err := ValidateStage(c.stage)
		if c.says == "" && err != nil || c.says != "" && (!errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSurplus(t *testing.T) {
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	view := func(id string, age time.Duration, change ...func(*store.InstanceView)) store.InstanceView {
		v := store.InstanceView{Instance: store.Instance{ID: id, CreatedAt: noon.Add(-age)}}
		for _, c := range change {
			c(&v)
		}
		return v
	}
	pinned := func(v *store.InstanceView) { v.PinnedAt = noon }
	snoozed := func(until time.Duration) func(*store.InstanceView) {
		return func(v *store.InstanceView) { v.SnoozedUntil = noon.Add(until) }
	}
	keep := func(v *store.InstanceView) { v.KeepLabel = true }
	kept := func(v *store.InstanceView) { v.RollbackKept = true }
	a, b, c := view("a", 3*time.Hour), view("b", 2*time.Hour), view("c", time.Hour)
	tagged := func(v store.InstanceView, tag string) store.InstanceView { v.ImageTag = tag; return v }
	for name, x := range map[string]struct {
		live   []store.InstanceView
		newest string
		most   int
		want   []string
		wanted []string
	}{
		"none":                               {nil, "n", 1, nil, nil},
		"as many as allowed":                 {[]store.InstanceView{c, b}, "n", 3, nil, nil},
		"one too many":                       {[]store.InstanceView{c, b, a}, "n", 3, []string{"a"}, nil},
		"the new one is among them":          {[]store.InstanceView{a, b, c}, "c", 3, nil, nil},
		"two too many, whatever their order": {[]store.InstanceView{b, a, c}, "n", 2, []string{"a", "b"}, nil},
		"never the new one":                  {[]store.InstanceView{a, b}, "a", 1, []string{"b"}, nil},
		"not one that is pinned":             {[]store.InstanceView{view("a", 3*time.Hour, pinned), b}, "n", 1, []string{"b"}, nil},
		"not one that sleeps":                {[]store.InstanceView{view("a", 3*time.Hour, snoozed(time.Minute)), b}, "n", 2, []string{"b"}, nil},
		"one whose sleep is over":            {[]store.InstanceView{view("a", 3*time.Hour, snoozed(-time.Minute)), b}, "n", 2, []string{"a"}, nil},
		"not one that is to be kept":         {[]store.InstanceView{view("a", 3*time.Hour, keep), b}, "n", 2, []string{"b"}, nil},
		"one kept for a rollback":            {[]store.InstanceView{view("a", 3*time.Hour, kept), b}, "n", 2, []string{"a"}, nil},
		"all are held":                       {[]store.InstanceView{view("a", 3*time.Hour, pinned), view("b", 2*time.Hour, keep)}, "n", 1, nil, nil},
		"first what no rule wants":           {[]store.InstanceView{tagged(a, "3"), tagged(b, "1"), tagged(c, "other")}, "n", 2, []string{"c", "b"}, []string{"3", "2", "1"}},
		"not the oldest but the last wanted": {[]store.InstanceView{tagged(a, "2"), tagged(c, "1")}, "n", 2, []string{"c"}, []string{"3", "2", "1"}},
	} {
		var got []string
		for _, v := range surplus(x.live, x.newest, x.most, x.wanted, noon) {
			got = append(got, v.ID)
		}
		if diff := cmp.Diff(x.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
