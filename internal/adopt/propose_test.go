package adopt

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

func TestPropose(t *testing.T) {
	for name, c := range map[string]struct {
		in   named
		want string // project/stage kind image tag
	}{
		"a compose project of one service":        {named{"blog-web-1", "blog", "web", "ghcr.io/acme/blog:1.4", 1}, "blog/production production ghcr.io/acme/blog 1.4"},
		"one of several services":                 {named{"shop-db-1", "shop", "db", "postgres:16", 3}, "shop-db/production production postgres 16"},
		"a compose project called by its stage":   {named{"shop-staging-web-1", "shop-staging", "web", "acme/shop", 2}, "shop-web/staging staging acme/shop latest"},
		"nothing but a stage":                     {named{"production-web-1", "production", "web", "acme/shop:2", 1}, "web/production production acme/shop 2"},
		"a word of a stage within another":        {named{"devotion", "devotion", "app", "acme/devotion:1", 1}, "devotion/production production acme/devotion 1"},
		"without compose":                         {named{"old_wiki", "", "", "registry.local:5000/team/wiki:3", 0}, "wiki/production production registry.local:5000/team/wiki 3"},
		"its name says the stage":                 {named{"wiki-dev", "", "", "team/wiki:3", 0}, "wiki/dev dev team/wiki 3"},
		"a preview":                               {named{"wiki_review_12", "", "", "team/wiki:3", 0}, "wiki/preview preview team/wiki 3"},
		"by digest":                               {named{"a1", "", "", "team/wiki:3@sha256:" + strings.Repeat("a", 64), 0}, "wiki/production production team/wiki sha256:" + strings.Repeat("a", 64)},
		"an image without a name":                 {named{"Lonely_One", "", "", "sha256:" + strings.Repeat("b", 64), 0}, "lonely-one/production production  "},
		"an image without a name, shortened":      {named{"x9", "", "", "0123456789ab", 0}, "x9/production production  "},
		"nothing that can be a name":              {named{"___", "", "", "sha256:" + strings.Repeat("b", 64), 0}, "adopted/production production  "},
		"letters that no name of ours may have":   {named{"x", "Über Größe", "web", "acme/u:1", 1}, "ber-gr-e/production production acme/u 1"},
		"a longer name than any of ours may have": {named{"x", strings.Repeat("n", 80), "web", "acme/u:1", 1}, strings.Repeat("n", 63) + "/production production acme/u 1"},
	} {
		p := propose(c.in)
		got := p.Project + "/" + p.Stage + " " + string(p.Kind) + " " + p.Image + " " + p.Tag
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// Whatever people call their containers, what is proposed can be made.
func FuzzPropose(f *testing.F) {
	f.Add("shop-web-1", "shop", "web", "acme/shop:1.0")
	f.Add("", "--", "-", "@")
	f.Add("production", "production", "", ":")
	f.Fuzz(func(t *testing.T, container, compose, service, image string) {
		for services := range 3 {
			p := propose(named{container, compose, service, image, services})
			if store.ValidName(p.Project) != nil || store.ValidName(p.Stage) != nil {
				t.Errorf("%q, %q, %q: %q/%q", container, compose, service, p.Project, p.Stage)
			}
		}
	})
}

func TestCursor(t *testing.T) {
	k := key{"local", "0shop", "web", "shop-web-1", "id"}
	if got, err := parseKey(k.String()); err != nil || got != k {
		t.Errorf("got %v, %v", got, err)
	}
	for _, text := range []string{"x", "!!", "W10", "bnVsbA", "WyJhIl0", strings.Repeat("A", 5000)} {
		if _, err := parseKey(text); err == nil {
			t.Errorf("%.20s was read", text)
		}
	}
}
