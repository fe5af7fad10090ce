package sso

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

func TestDecide(t *testing.T) {
	who := Identity{Subject: "42", Name: "anna", Email: "anna@Example.org", Verified: true, Groups: []string{"ops", "shop"}}
	rules := []Rule{
		{Group: "staff", Role: store.RoleAdmin},
		{Group: "ops", Role: store.RoleViewer},
		{Group: "shop", Role: store.RoleOperator, ProjectID: "p"},
		{Group: "ops", Role: store.RoleViewer, ProjectID: "p"},
	}
	for _, tt := range []struct {
		what   string
		p      Provider
		change func(*Identity)
		want   error
		role   store.Role
		grants map[string]store.Role
	}{
		{what: "everybody"},
		{what: "a group", p: Provider{AllowedGroups: []string{"x", "ops"}}},
		{what: "no group of theirs", p: Provider{AllowedGroups: []string{"x", "OPS"}}, want: ErrNotAllowed},
		{what: "a domain", p: Provider{AllowedDomains: []string{"example.org"}}},
		{what: "another domain", p: Provider{AllowedDomains: []string{"ample.org"}}, want: ErrNotAllowed},
		{what: "a domain that the provider does not vouch for", p: Provider{AllowedDomains: []string{"example.org"}}, change: func(i *Identity) { i.Verified = false }, want: ErrNotAllowed},
		{what: "no address", p: Provider{AllowedDomains: []string{"example.org"}}, change: func(i *Identity) { i.Email = "example.org" }, want: ErrNotAllowed},
		{what: "either will do", p: Provider{AllowedGroups: []string{"x"}, AllowedDomains: []string{"example.org"}}},
		{what: "rules", p: Provider{Rules: rules}, role: store.RoleViewer, grants: map[string]store.Role{"p": store.RoleOperator}},
		{what: "rules and no groups", p: Provider{Rules: rules}, change: func(i *Identity) { i.Groups = nil }},
		{what: "the highest rule", p: Provider{Rules: rules}, change: func(i *Identity) { i.Groups = []string{"ops", "staff"} }, role: store.RoleAdmin, grants: map[string]store.Role{"p": store.RoleViewer}},
	} {
		id := who
		if tt.change != nil {
			tt.change(&id)
		}
		v, err := Decide(tt.p, id)
		if !errors.Is(err, tt.want) || v.Role != tt.role || len(v.Grants) != len(tt.grants) || len(tt.grants) > 0 && !maps.Equal(v.Grants, tt.grants) || err == nil && v.Mapped != (len(tt.p.Rules) > 0) {
			t.Errorf("%s: %+v, %v", tt.what, v, err)
		}
	}
}

func TestIdentityOf(t *testing.T) {
	claims := map[string]any{
		"preferred_username": "anna", "email": "a@b.example", "email_verified": "true", "groups": []any{"x", 7, "y"}, "roles": "solo", "nick": "ann",
	}
	id := identityOf(Provider{}, "i", "s", claims)
	if id.Name != "anna" || !id.Verified || strings.Join(id.Groups, ",") != "x,y" || id.Issuer != "i" || id.Subject != "s" {
		t.Errorf("%+v", id)
	}
	id = identityOf(Provider{NameClaim: "nick", GroupsClaim: "roles"}, "i", "s", claims)
	if id.Name != "ann" || strings.Join(id.Groups, ",") != "solo" {
		t.Errorf("%+v", id)
	}
	delete(claims, "preferred_username")
	claims["email_verified"] = 1
	for _, p := range []Provider{{}, {NameClaim: "email"}} { // an address that nobody has proven is no name
		if id = identityOf(p, "i", "s", claims); id.Name != "" || id.Verified {
			t.Errorf("%+v", id)
		}
	}
	claims["email_verified"] = true
	if id = identityOf(Provider{}, "i", "s", claims); id.Name != "a@b.example" {
		t.Errorf("%+v", id)
	}
	// A claim that an admin named and that is not there is no name, and not another claim.
	if id = identityOf(Provider{NameClaim: "upn"}, "i", "s", claims); id.Name != "" {
		t.Errorf("%+v", id)
	}
}

func TestValidate(t *testing.T) {
	good := Provider{Issuer: "https://id.example.org", ClientID: "dw", ClientSecret: "s", ExternalURL: "https://dw.example.org"}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for field, change := range map[string]func(*Provider){
		"issuer":             func(p *Provider) { p.Issuer = "http://id.example.org" },
		"external_url":       func(p *Provider) { p.ExternalURL = "https://dw.example.org/?x=1" },
		"client_id":          func(p *Provider) { p.ClientID = "" },
		"client_secret_file": func(p *Provider) { p.ClientSecretFile = "/run/secret" },
		"rules[0].group":     func(p *Provider) { p.Rules = []Rule{{Role: store.RoleViewer}} },
		"rules[0].role":      func(p *Provider) { p.Rules = []Rule{{Group: "x", Role: store.RoleAdmin, ProjectID: "p"}} },
		"allowed_domains[0]": func(p *Provider) { p.AllowedDomains = []string{"anna@example.org"} },
	} {
		p := good
		change(&p)
		if err := p.Validate(); err == nil || !strings.HasPrefix(err.Error(), field+": ") {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, local := range []string{"http://127.0.0.1:9", "http://localhost:9/realms/x", "http://[::1]:9"} {
		if !webAddress(local) {
			t.Errorf("%s is refused", local)
		}
	}
	for _, bad := range []string{"", "x", "https://", "https://a:b@example.org", "ftp://example.org", "http://localhost.example.org", "javascript:alert(1)"} {
		if webAddress(bad) {
			t.Errorf("%s is taken", bad)
		}
	}
}
