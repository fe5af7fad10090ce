package sso

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// tells answers with claims.
func tells(claims map[string]any) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { _ = json.NewEncoder(w).Encode(claims) }
}

// TestWhatOnlyUserInfoTells: most providers put into the token only what they were set up for, or nothing at all.
func TestWhatOnlyUserInfoTells(t *testing.T) {
	all := map[string]any{"sub": "42", "preferred_username": "anna", "email": "anna@example.org", "email_verified": true, "groups": []string{"ops"}}
	with := func(changes map[string]any) map[string]any {
		out := maps.Clone(all)
		maps.Copy(out, changes)
		return out
	}
	proven := map[string]any{"preferred_username": nil, "email": "anna@example.org", "email_verified": true}
	for what, tt := range map[string]struct {
		rules  bool
		domain bool
		groups []string       // that may come in
		claim  string         // that is the name
		token  map[string]any // beside the usual; preferred_username is anna unless it says another
		info   map[string]any
		want   Identity
		asked  int
	}{
		"nothing is missing":        {info: with(nil), want: Identity{Name: "anna"}},
		"no name":                   {token: map[string]any{"preferred_username": nil}, info: with(map[string]any{"preferred_username": "ann"}), want: Identity{Name: "ann", Email: "anna@example.org", Verified: true, Groups: []string{"ops"}}, asked: 1},
		"no groups":                 {rules: true, info: all, want: Identity{Name: "anna", Email: "anna@example.org", Verified: true, Groups: []string{"ops"}}, asked: 1},
		"groups that are empty":     {rules: true, token: map[string]any{"groups": []string{}}, info: all, want: Identity{Name: "anna"}},
		"the token knows better":    {rules: true, domain: true, token: map[string]any{"groups": []string{"shop"}}, info: all, want: Identity{Name: "anna", Email: "anna@example.org", Verified: true, Groups: []string{"shop"}}, asked: 1},
		"another address is proven": {domain: true, token: map[string]any{"email": "evil@example.org"}, info: all, want: Identity{Name: "anna", Email: "evil@example.org", Groups: []string{"ops"}}, asked: 1},
		"the same is proven":        {domain: true, token: map[string]any{"email": "anna@example.org"}, info: all, want: Identity{Name: "anna", Email: "anna@example.org", Verified: true, Groups: []string{"ops"}}, asked: 1},
		"none is proven here":       {domain: true, token: map[string]any{"email_verified": true}, info: with(map[string]any{"email_verified": false}), want: Identity{Name: "anna", Email: "anna@example.org", Groups: []string{"ops"}}, asked: 1},
		"no endpoint":               {rules: true, domain: true, want: Identity{Name: "anna"}},
		// Whom the token alone lets in does not wait for another answer.
		"an address lets in":       {groups: []string{"ops"}, domain: true, token: proven, info: all, want: Identity{Name: "anna@example.org", Email: "anna@example.org", Verified: true}},
		"a group lets in":          {groups: []string{"ops"}, domain: true, token: map[string]any{"groups": []string{"ops"}}, info: all, want: Identity{Name: "anna", Groups: []string{"ops"}}},
		"a group does not":         {groups: []string{"ops"}, domain: true, token: map[string]any{"groups": []string{"shop"}}, info: all, want: Identity{Name: "anna", Email: "anna@example.org", Verified: true, Groups: []string{"shop"}}, asked: 1},
		"an address does not":      {groups: []string{"ops"}, domain: true, token: map[string]any{"email": "anna@example.com", "email_verified": true}, info: all, want: Identity{Name: "anna", Email: "anna@example.com", Verified: true, Groups: []string{"ops"}}, asked: 1},
		"all is said and refused":  {groups: []string{"ops"}, domain: true, token: map[string]any{"email": "anna@example.com", "email_verified": true, "groups": []string{"shop"}}, info: all, want: Identity{Name: "anna", Email: "anna@example.com", Verified: true, Groups: []string{"shop"}}},
		"let in, but not by rules": {rules: true, domain: true, token: proven, info: all, want: Identity{Name: "anna@example.org", Email: "anna@example.org", Verified: true, Groups: []string{"ops"}}, asked: 1},
		"let in without a name":    {groups: []string{"ops"}, token: map[string]any{"preferred_username": nil, "groups": []string{"ops"}}, info: all, want: Identity{Name: "anna", Email: "anna@example.org", Verified: true, Groups: []string{"ops"}}, asked: 1},
		// Whom the token names, UserInfo does not name: a name is an account here.
		"an address is the name":      {rules: true, token: proven, info: all, want: Identity{Name: "anna@example.org", Email: "anna@example.org", Verified: true, Groups: []string{"ops"}}, asked: 1},
		"an unproven address is none": {rules: true, token: with(map[string]any{"preferred_username": nil, "email_verified": false, "groups": nil}), info: all, want: Identity{Name: "anna", Email: "anna@example.org", Groups: []string{"ops"}}, asked: 1},
		"a claim is the name":         {rules: true, claim: "nick", token: map[string]any{"nick": "ann"}, info: with(map[string]any{"nick": "eve"}), want: Identity{Name: "ann", Email: "anna@example.org", Verified: true, Groups: []string{"ops"}}, asked: 1},
	} {
		h, f := newHouse(t), NewFlows()
		if tt.info != nil {
			h.info = tells(tt.info)
		}
		if tt.rules {
			h.provider.Rules = []Rule{{Group: "ops", Role: store.RoleViewer}}
		}
		if tt.domain {
			h.provider.AllowedDomains = []string{"example.org"}
		}
		h.provider.AllowedGroups, h.provider.NameClaim = tt.groups, tt.claim
		h.claims = tt.token
		state, cookie, _ := h.begin(t, f)
		who, err := f.Finish(t.Context(), h.provider, state, cookie, "code")
		if err != nil || who.Subject != "42" || who.Name != tt.want.Name || who.Email != tt.want.Email || who.Verified != tt.want.Verified ||
			!slices.Equal(who.Groups, tt.want.Groups) || h.asked != tt.asked {
			t.Errorf("%s: %+v, %v, asked %d times", what, who, err, h.asked)
		}
	}
}

func TestUserInfoThatLetsNobodyIn(t *testing.T) {
	for what, tt := range map[string]struct {
		info func(http.ResponseWriter)
		want error
	}{
		"of somebody else": {tells(map[string]any{"sub": "43", "groups": []string{"ops"}}), ErrDeclined},
		"of nobody":        {tells(map[string]any{"groups": []string{"ops"}}), ErrDeclined},
		"a broken one":     {func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) }, ErrUnavailable},
		"a refusal":        {func(w http.ResponseWriter) { w.WriteHeader(http.StatusForbidden) }, ErrUnavailable},
		"no address":       {tells(map[string]any{"sub": "42", "email": []string{"x"}}), ErrUnavailable},
		"no JSON":          {func(w http.ResponseWriter) { _, _ = w.Write([]byte("<html>")) }, ErrUnavailable},
	} {
		h, f := newHouse(t), NewFlows()
		h.info, h.provider.AllowedGroups = tt.info, []string{"ops"}
		state, cookie, _ := h.begin(t, f)
		if who, err := f.Finish(t.Context(), h.provider, state, cookie, "code"); !errors.Is(err, tt.want) || who.Subject != "" || h.asked != 1 {
			t.Errorf("%s: %+v, %v, asked %d times", what, who, err, h.asked)
		}
	}
}

// TestUserInfoThatRefuses keeps out only whom the token does not let in by itself.
func TestUserInfoThatRefuses(t *testing.T) {
	proven := map[string]any{"email": "anna@example.org", "email_verified": true}
	for what, tt := range map[string]struct {
		token map[string]any
		rules []Rule
		in    bool
	}{
		"a proven address": {token: proven, in: true},
		"a group":          {token: map[string]any{"groups": []string{"ops"}}, in: true},
		"another address":  {token: map[string]any{"email": "anna@example.com", "email_verified": true}},
		"an unproven one":  {token: map[string]any{"email": "anna@example.org", "email_verified": false}},
		"another group":    {token: map[string]any{"groups": []string{"shop"}}},
		"nothing":          {},
		"what they may is by groups that are not said": {token: proven, rules: []Rule{{Group: "ops", Role: store.RoleViewer}}},
	} {
		h, f := newHouse(t), NewFlows()
		h.info = func(w http.ResponseWriter) { w.WriteHeader(http.StatusForbidden) }
		h.provider.AllowedGroups, h.provider.AllowedDomains, h.provider.Rules = []string{"ops"}, []string{"example.org"}, tt.rules
		h.claims = tt.token
		state, cookie, _ := h.begin(t, f)
		who, err := f.Finish(t.Context(), h.provider, state, cookie, "code")
		if tt.in != (err == nil) || tt.in != (who.Name == "anna") || !tt.in && !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: %+v, %v", what, who, err)
		}
	}
}
