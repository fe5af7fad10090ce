package sso

import (
	"context"
	"fmt"
	"maps"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// complete adds to the claims of a token what the provider tells at its UserInfo endpoint only, where something that is looked for is missing:
// OpenID Connect has providers tell all but the subject there (Core 5.4), and many put only what they are set up for into the token.
func complete(ctx context.Context, p Provider, at *oidc.Provider, token *oauth2.Token, subject string, claims map[string]any) (map[string]any, error) {
	if at.UserInfoEndpoint() == "" || !lacks(p, claims) {
		return claims, nil
	}
	if !endpoint(at.UserInfoEndpoint()) {
		return nil, fmt.Errorf("%w: its UserInfo endpoint is %s", ErrUnavailable, noEndpoint)
	}
	info, err := at.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil { // who could not be asked for groups has not said that there are none
		return nil, fmt.Errorf("%w: ask its UserInfo endpoint: %w", ErrUnavailable, terse{err})
	}
	if info.Subject != subject {
		return nil, fmt.Errorf("%w: its UserInfo endpoint tells of somebody else", ErrDeclined)
	}
	told := map[string]any{}
	if err := info.Claims(&told); err != nil {
		return nil, fmt.Errorf("%w: read what its UserInfo endpoint tells: %w", ErrDeclined, terse{err})
	}
	if p.NameClaim == "" && identityOf(p, "", "", claims).Name != "" { // the token names them by their address, and a name is an account here
		delete(told, "preferred_username")
	}
	return joined(claims, told), nil
}

// lacks tells whether a token does not say something that is looked for. Whom it lets in by itself nobody else has to let in.
func lacks(p Provider, claims map[string]any) bool {
	said := func(name string) bool { return claims[name] != nil }
	groups, who := said(or(p.GroupsClaim, "groups")), identityOf(p, "", "", claims)
	switch {
	case who.Name == "" || len(p.Rules) > 0 && !groups:
		return true
	case p.allows(who):
		return false
	}
	return len(p.AllowedGroups) > 0 && !groups ||
		len(p.AllowedDomains) > 0 && (!said("email") || !said("email_verified"))
}

// joined are the claims of a token and those of the UserInfo endpoint; the token is right about what both say. Whether an address is proven
// is believed only from who told that address.
func joined(token, told map[string]any) map[string]any {
	email := func(claims map[string]any) string { s, _ := claims["email"].(string); return s }
	out := maps.Clone(told)
	for name, value := range token {
		if value != nil {
			out[name] = value
		}
	}
	switch {
	case email(token) == "":
		out["email"], out["email_verified"] = told["email"], told["email_verified"]
	case email(token) != email(told):
		out["email_verified"] = token["email_verified"]
	}
	return out
}
