// Package sso lets users sign in by an identity provider that speaks OpenID Connect: the settings of the provider, the way there and
// back (authorization code with PKCE, state and nonce), and the pure rule that says from what the provider tells of somebody whether
// they may come in and what they may do. Who they are here is internal/auth's to say. Nothing is asked of the provider before
// somebody signs in, and what could not be asked is asked again the next time.
package sso

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// secretName is the sealed row that the settings are kept in.
const secretName = "identity_provider"

// Provider is how the identity provider is reached, and whom of its people it lets in.
type Provider struct {
	Enabled          bool     `json:"enabled"`
	Label            string   `json:"label"` // on the button of the sign-in
	Issuer           string   `json:"issuer"`
	ClientID         string   `json:"client_id"`
	ClientSecret     string   `json:"client_secret"`      // empty: the file's, or none (a public client)
	ClientSecretFile string   `json:"client_secret_file"` // read at each sign-in; not with ClientSecret
	ExternalURL      string   `json:"external_url"`       // where people reach docker-watcher: the provider sends them back there
	Scopes           []string `json:"scopes"`             // beside openid, profile and email
	NameClaim        string   `json:"name_claim"`         // empty: preferred_username, then email
	GroupsClaim      string   `json:"groups_claim"`       // empty: groups
	AllowedGroups    []string `json:"allowed_groups"`     // of one of them; none, and no domains: everybody
	AllowedDomains   []string `json:"allowed_domains"`    // with a verified address in one of them
	AutoCreate       bool     `json:"auto_create"`        // whoever may come in and is not known is made a user
	Rules            []Rule   `json:"rules"`              // what groups may; none: what an admin says of each user, and nothing at first
	Revision         string   `json:"revision"`           // another one with each Save; never empty once read
}

// Rule says what the people of a group may.
type Rule struct {
	Group     string     `json:"group"`
	Role      store.Role `json:"role"`
	ProjectID string     `json:"project_id"` // in this project only; empty: in all
}

const (
	longestText = 500
	mostRules   = 200
)

// Validate reports every wrong field, by its API name.
func (p Provider) Validate() error {
	var errs []error
	wrong := func(field, reason string) { errs = append(errs, store.FieldError{Field: field, Reason: reason}) }
	for field, text := range map[string]string{"issuer": p.Issuer, "external_url": p.ExternalURL} {
		if !webAddress(text) {
			wrong(field, "must be an address that starts with https:// (http:// on this machine only), without a query")
		}
	}
	if p.ClientID == "" || len(p.ClientID) > longestText {
		wrong("client_id", "is needed")
	}
	if p.ClientSecret != "" && p.ClientSecretFile != "" {
		wrong("client_secret_file", "cannot be given beside client_secret")
	}
	if p.ClientSecretFile != "" && !strings.HasPrefix(p.ClientSecretFile, "/") {
		wrong("client_secret_file", "must be the whole path of a file")
	}
	if len(p.Rules) > mostRules {
		wrong("rules", fmt.Sprintf("at most %d", mostRules))
	}
	for i, r := range p.Rules {
		at := fmt.Sprintf("rules[%d]", i)
		if r.Group == "" || len(r.Group) > longestText {
			wrong(at+".group", "is needed")
		}
		if !r.Role.Covers(store.RoleViewer) || r.ProjectID != "" && r.Role == store.RoleAdmin {
			wrong(at+".role", "must be viewer, operator or admin, and in one project viewer or operator")
		}
	}
	for i, d := range p.AllowedDomains {
		if d != strings.ToLower(d) || strings.ContainsAny(d, "@/ ") || !strings.Contains(d, ".") {
			wrong(fmt.Sprintf("allowed_domains[%d]", i), "must be a domain in lower case, such as example.org")
		}
	}
	return errors.Join(errs...)
}

// CallbackURL is where the provider sends people back to; it must be registered there.
func (p Provider) CallbackURL() string { return strings.TrimRight(p.ExternalURL, "/") + CallbackPath }

// CallbackPath is the path of that.
const CallbackPath = "/api/oidc/callback"

// reader is the part of the store, or of a transaction, that the settings are read from.
type reader interface {
	Secret(ctx context.Context, name string) (string, error)
}

// Load returns the settings; ErrOff where there are none.
func Load(ctx context.Context, r reader) (Provider, error) {
	text, err := r.Secret(ctx, secretName)
	if errors.Is(err, store.ErrNotFound) {
		return Provider{}, ErrOff
	}
	if err != nil {
		return Provider{}, fmt.Errorf("read the identity provider: %w", err)
	}
	var p Provider
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return Provider{}, fmt.Errorf("read the identity provider: %w: %w", store.ErrUnreadable, err)
	}
	p.Revision = cmp.Or(p.Revision, firstRevision)
	return p, nil
}

// InForce is the issuer by which people come in now; empty: they do by none, for there is none, it is disabled, or its settings are lost.
func InForce(ctx context.Context, tx *store.Tx) (issuer string, err error) {
	p, err := Load(ctx, tx)
	if errors.Is(err, ErrOff) || errors.Is(err, store.ErrUnreadable) {
		return "", nil
	}
	return p.InForce(), err
}

// InForce is the issuer by which people come in while the provider is so; empty: it is disabled.
func (p Provider) InForce() string {
	if !p.Enabled {
		return ""
	}
	return p.Issuer
}

// firstRevision is that of settings which were saved before they had one.
const firstRevision = "1"

// Save keeps the settings, sealed whole, and returns them with the revision that they have now. It is no number that counts up: what was
// taken away and set up anew by somebody else must not look like what was seen before.
func Save(ctx context.Context, tx *store.Tx, p Provider) (Provider, error) {
	if err := p.Validate(); err != nil {
		return p, err
	}
	p.Revision = store.NewID()
	text, err := json.Marshal(p)
	if err != nil {
		return p, fmt.Errorf("write the identity provider: %w", err)
	}
	return p, tx.SetSecret(ctx, secretName, string(text))
}

// Forget removes the settings.
func Forget(ctx context.Context, tx *store.Tx) error { return tx.DeleteSecret(ctx, secretName) }

// signOutQuery sends people back to docker-watcher after the provider ended its own session.
func signOutQuery(p Provider) string {
	return url.Values{"client_id": {p.ClientID}, "post_logout_redirect_uri": {strings.TrimRight(p.ExternalURL, "/") + "/"}}.Encode()
}
