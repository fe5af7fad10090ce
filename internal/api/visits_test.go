package api

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/poll"
)

// A rule is tried for a stage that is yet to be made, and at each key without asking the registry anew.
func TestARuleIsTriedWhileItIsTyped(t *testing.T) {
	b := newBed(t)
	ctx := t.Context()
	p, err := b.admin.CreateProject(ctx, client.NewProject{Name: "shop", Image: "shop"})
	b.must(err)
	b.registry.tags = []string{"1.0.0", "1.1.0", "2.0.0"}
	try := func(pattern string, recent bool) client.RuleTrial {
		t.Helper()
		got, err := b.operator.TryNewRule(ctx, "shop", client.RuleTry{TagRule: &client.TagRule{Kind: "semver", Pattern: pattern}, Recent: recent})
		b.must(err)
		return got
	}
	if got := try("^1", true); got.ReadyTag != "1.1.0" || !got.Asked || got.Image != "shop" || got.Act != "" || got.Matched != 2 {
		t.Errorf("%+v", got)
	}
	asked := b.registry.asked
	b.registry.tags = []string{"1.2.0"}
	for pattern, want := range map[string]string{"^2": "2.0.0", "^1.0": "1.1.0", "~1.0.0": "1.0.0"} {
		if got := try(pattern, true); got.ReadyTag != want {
			t.Errorf("%s: %+v", pattern, got)
		}
	}
	if n := b.registry.asked - asked; n != 2 { // the digests of the two tags that were not ready before
		t.Errorf("asked %d times while it was typed", n)
	}
	if got := try("^1", false); got.ReadyTag != "1.2.0" {
		t.Errorf("asked anew: %+v", got)
	}

	_, err = b.operator.TryNewRule(ctx, p.ID, client.RuleTry{TagRule: &client.TagRule{Kind: "regex", Pattern: "("}})
	if pr := problemIn(t, err, http.StatusUnprocessableEntity, client.CodeInvalid); pr.Errors[0].Location != "body.tag_rule.pattern" {
		t.Errorf("%+v", pr.Errors)
	}
	_, err = b.operator.TryNewRule(ctx, "nobody", client.RuleTry{TagRule: &client.TagRule{Kind: "semver", Pattern: "^1"}})
	wantProblem(t, err, http.StatusNotFound, client.CodeNotFound)

	// That it could not be asked is said, and nothing of it is kept.
	b.registry.err = errors.New("no route")
	_, err = b.operator.TryNewRule(ctx, "shop", client.RuleTry{TagRule: &client.TagRule{Kind: "semver", Pattern: "^1"}})
	wantProblem(t, err, http.StatusServiceUnavailable, "registry_unavailable")
	b.registry.err = nil
	if got := try("^1", false); got.ReadyTag != "1.2.0" {
		t.Errorf("%+v", got)
	}
}

func TestVisitsHaveABound(t *testing.T) {
	v := visits{of: map[string]visited{}}
	now := time.Now()
	for n := range 3 * mostVisits {
		v.keep(string(rune('a'+n)), &poll.Visit{}, now)
	}
	if len(v.of) > mostVisits {
		t.Errorf("%d are kept", len(v.of))
	}
	v.keep("shop", &poll.Visit{}, now)
	if v.recall("shop", now.Add(visitFresh)) == nil || v.recall("shop", now.Add(visitFresh+time.Second)) != nil || len(v.of) != 0 {
		t.Error("a minute is over")
	}
}
