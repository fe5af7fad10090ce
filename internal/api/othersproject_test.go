package api

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/auth"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// TestOneProjectReachesNoOther: an operator of one project gets neither at the volumes, networks and images of another nor at a part of its domain.
func TestOneProjectReachesNoOther(t *testing.T) {
	b := newBed(t)
	two := b.twoProjects()
	carla := b.person("carla", "none", client.Grant{ProjectID: "shop", Role: "operator"})
	st := two.stages["shop"]
	for _, body := range []string{
		`{"tag":"1","spec":{"mounts":[{"source":"bank_db","target":"/x"}],"networks":[{"name":"bank_net"}],"command":["cat","/x/secret"]}}`,
		`{"tag":"1","image":"registry.example/bank/private"}`,
	} {
		if status, _, text := b.raw(carla, post, "/api/stages/"+st.ID+"/deploys", body); status != http.StatusForbidden || !strings.Contains(text, "in all projects") {
			t.Errorf("deploy %s: %d %s", body, status, text)
		}
	}
	route := fmt.Sprintf(`{"stage_id":%q,"instance_id":%q,"port":80,"domains":["bank.example.org"],"path_prefix":"/login"}`, st.ID, two.mine[scopeInstance])
	if status, _, text := b.raw(carla, post, "/api/routes", route); status != http.StatusUnprocessableEntity || !strings.Contains(text, "served for others") {
		t.Errorf("a part of another's domain: %d %s", status, text)
	}
	if status, _, text := b.raw(carla, post, "/api/routes", strings.Replace(route, "bank.example.org", "own.example.org", 1)); status != http.StatusCreated {
		t.Errorf("a domain of her own: %d %s", status, text)
	}
	var made struct{ ID string }
	if status, _, text := b.raw(b.operator, post, "/api/routes", route); status != http.StatusCreated || json.Unmarshal([]byte(text), &made) != nil {
		t.Errorf("by an operator of all projects: %d %s", status, text)
	}
	for _, on := range []bool{false, true} { // her project's part she may switch off, and no more
		_, err := carla.SwitchRoute(t.Context(), made.ID, on)
		if refused := client.HasCode(err, client.CodeInvalid); refused != on || err != nil && !refused {
			t.Errorf("switched to %v: %v", on, err)
		}
	}
}

// TestATokenMakesNoneThatOutlivesIt, and a rule for a project that is gone locks nobody out.
func TestATokenMakesNoneThatOutlivesIt(t *testing.T) {
	b := newBed(t)
	svc := auth.New(b.db, slog.New(slog.DiscardHandler))
	end := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	secret, _, err := svc.CreateToken(t.Context(), "short", store.RoleViewer, end, "user:anna")
	b.must(err)
	caller, err := svc.ByToken(t.Context(), secret)
	b.must(err)
	by := auth.By{Caller: caller}
	for _, expires := range []time.Time{{}, end.Add(time.Minute)} {
		if _, made, err := svc.IssueToken(t.Context(), auth.NewToken{Name: "longer", Role: store.RoleViewer, Expires: expires}, by); err == nil {
			t.Errorf("it made %+v", made)
		}
	}
	_, _, err = svc.IssueToken(t.Context(), auth.NewToken{Name: "shorter", Role: store.RoleViewer, Expires: end.Add(-time.Minute)}, by)
	b.must(err)
	p := auth.Provided{
		Issuer: "https://i", Subject: "s", Name: "otto", Mapped: true, Role: store.RoleViewer, Grants: map[string]store.Role{"gone": store.RoleViewer}, Create: true,
	}
	_, _, err = svc.SignInProvided(t.Context(), p, "ua", "1.2.3.4")
	b.must(err)
}
