package client

import (
	"context"
	"net/http"
)

// ProviderRule says what the people of a group may.
type ProviderRule struct {
	Group     string `json:"group"`
	Role      string `json:"role"`
	ProjectID string `json:"project_id,omitempty"` // in this project only; in a request its name will do
}

// IdentityProvider is how people sign in by an identity provider (OpenID Connect).
type IdentityProvider struct {
	Enabled          bool           `json:"enabled"`
	Label            string         `json:"label,omitempty"`
	Issuer           string         `json:"issuer"`
	ClientID         string         `json:"client_id"`
	ClientSecret     string         `json:"client_secret,omitempty"` // never told; empty leaves it
	HasSecret        bool           `json:"has_secret,omitempty"`    // told, not sent
	Revision         string         `json:"revision,omitempty"`      // told; where it is set, another one is not changed
	ClientSecretFile string         `json:"client_secret_file,omitempty"`
	ExternalURL      string         `json:"external_url"`
	CallbackURL      string         `json:"callback_url,omitempty"` // told, not sent: register it at the provider
	Scopes           []string       `json:"scopes,omitempty"`
	NameClaim        string         `json:"name_claim,omitempty"`
	GroupsClaim      string         `json:"groups_claim,omitempty"`
	AllowedGroups    []string       `json:"allowed_groups,omitempty"`
	AllowedDomains   []string       `json:"allowed_domains,omitempty"`
	AutoCreate       bool           `json:"auto_create,omitempty"`
	Rules            []ProviderRule `json:"rules,omitempty"`
}

// ProviderTest is what came of asking the provider what it says of itself.
type ProviderTest struct {
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
	Hint  string `json:"hint,omitempty"`
}

const providerPath = "/api/identity-provider"

// IdentityProvider returns the provider, without its secret.
func (c *Client) IdentityProvider(ctx context.Context) (IdentityProvider, error) {
	var p IdentityProvider
	return p, c.do(ctx, call{method: http.MethodGet, path: providerPath}, &p)
}

// SetIdentityProvider replaces it, if its revision is the one in p; empty: whatever it is now.
func (c *Client) SetIdentityProvider(ctx context.Context, p IdentityProvider) (IdentityProvider, error) {
	seen := ifMatchText(p.Revision)
	p.HasSecret, p.CallbackURL, p.Revision = false, "", ""
	var now IdentityProvider
	return now, c.do(ctx, call{method: http.MethodPut, path: providerPath, body: p, header: seen}, &now)
}

// DeleteIdentityProvider has nobody sign in by one.
func (c *Client) DeleteIdentityProvider(ctx context.Context) error {
	return c.do(ctx, call{method: http.MethodDelete, path: providerPath}, nil)
}

// TestIdentityProvider asks it what it says of itself.
func (c *Client) TestIdentityProvider(ctx context.Context) (ProviderTest, error) {
	var t ProviderTest
	return t, c.do(ctx, call{method: http.MethodPost, path: providerPath + "/test"}, &t)
}
