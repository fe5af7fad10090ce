package sso

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// The refusals of this package.
var (
	ErrOff         = errors.New("no identity provider is set up")
	ErrUnavailable = errors.New("the identity provider cannot be asked")
	ErrNotAllowed  = errors.New("the identity provider knows you, but you are in no group or domain that may come in")
	ErrBroken      = errors.New("the sign-in was not begun in this browser, or too long ago: begin it anew")
	ErrDeclined    = errors.New("the identity provider did not let you in")
)

const (
	askTimeout   = 10 * time.Second
	flowLifetime = 10 * time.Minute
	mostFlows    = 1000
	// discoveryLifetime is how long what a provider says of itself is good; its keys are looked up anew by themselves.
	discoveryLifetime = time.Hour
)

// Flows are the sign-ins that are under way at the provider. They are kept in memory: after a restart one is begun anew.
type Flows struct {
	client *http.Client
	hidden string // a folder of which no file is a client secret; empty: none

	mu         sync.Mutex
	open       map[string]flow
	discovered *oidc.Provider
	of         string // whose that is
	until      time.Time
}

// flow is one sign-in that is under way.
type flow struct {
	nonce, verifier string
	browser         [sha256.Size]byte // hash of the cookie of the browser that began it
	ends            time.Time
}

// NewFlows starts with none.
func NewFlows() *Flows {
	return &Flows{client: &http.Client{Timeout: askTimeout, Transport: bounded{http.DefaultTransport}, CheckRedirect: checkLed}, open: map[string]flow{}}
}

// Begin returns where to send the browser, and what its cookie must hold when it comes back.
func (f *Flows) Begin(ctx context.Context, p Provider) (where, cookie string, err error) {
	config, _, err := f.config(ctx, p)
	if err != nil {
		return "", "", err
	}
	now := time.Now()
	state, nonce := rand.Text(), rand.Text()
	cookie = rand.Text()
	verifier := oauth2.GenerateVerifier()
	f.keep(state, flow{nonce: nonce, verifier: verifier, browser: sha256.Sum256([]byte(cookie)), ends: now.Add(flowLifetime)}, now)
	return config.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)), cookie, nil
}

func (f *Flows) keep(state string, one flow, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for s, other := range f.open {
		if len(f.open) >= mostFlows || !now.Before(other.ends) {
			delete(f.open, s)
		}
	}
	f.open[state] = one
}

// take spends a flow: one answer of the provider is good for one sign-in.
func (f *Flows) take(state, cookie string, now time.Time) (flow, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	one, found := f.open[state]
	sum := sha256.Sum256([]byte(cookie))
	if !found || subtle.ConstantTimeCompare(sum[:], one.browser[:]) != 1 {
		return flow{}, ErrBroken
	}
	delete(f.open, state)
	if !now.Before(one.ends) {
		return flow{}, ErrBroken
	}
	return one, nil
}

// Finish takes what the provider sent back with the browser, and tells who it is.
func (f *Flows) Finish(ctx context.Context, p Provider, state, cookie, code string) (Identity, error) {
	one, err := f.take(state, cookie, time.Now())
	if err != nil {
		return Identity{}, err
	}
	if code == "" {
		return Identity{}, ErrDeclined
	}
	config, provider, err := f.config(ctx, p)
	if err != nil {
		return Identity{}, err
	}
	ctx = oidc.ClientContext(ctx, f.client)
	token, err := config.Exchange(ctx, code, oauth2.VerifierOption(one.verifier))
	if err != nil {
		return Identity{}, fmt.Errorf("%w: spend its code: %w", unavailableUnlessRefused(err), terse{err})
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return Identity{}, fmt.Errorf("%w: it sent no id_token", ErrDeclined)
	}
	id, err := provider.Verifier(&oidc.Config{ClientID: p.ClientID}).Verify(ctx, raw)
	if err != nil {
		return Identity{}, fmt.Errorf("%w: check its token: %w", ErrDeclined, terse{err})
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(one.nonce)) != 1 {
		return Identity{}, fmt.Errorf("%w: its token was made for another sign-in", ErrDeclined)
	}
	claims := map[string]any{}
	if err := id.Claims(&claims); err != nil {
		return Identity{}, fmt.Errorf("%w: read its token: %w", ErrDeclined, terse{err})
	}
	if claims, err = complete(ctx, p, provider, token, id.Subject, claims); err != nil {
		return Identity{}, err
	}
	return identityOf(p, id.Issuer, id.Subject, claims), nil
}

// unavailableUnlessRefused tells a provider that said no from one that said nothing.
func unavailableUnlessRefused(err error) error {
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok && refused.Response != nil && refused.Response.StatusCode < http.StatusInternalServerError {
		return ErrDeclined
	}
	return ErrUnavailable
}

// SignOutURL is where the provider ends its own session, if it says so and can be asked.
func (f *Flows) SignOutURL(ctx context.Context, p Provider) string {
	provider, err := f.discover(ctx, p)
	if err != nil {
		return ""
	}
	var said struct {
		EndSession string `json:"end_session_endpoint"`
	}
	if err := provider.Claims(&said); err != nil || !webAddress(said.EndSession) {
		return ""
	}
	return said.EndSession + "?" + signOutQuery(p)
}

// Test asks the provider what it says of itself.
func (f *Flows) Test(ctx context.Context, p Provider) error {
	f.mu.Lock()
	f.of = ""
	f.mu.Unlock()
	if _, err := f.secret(p); err != nil {
		return err
	}
	_, err := f.discover(ctx, p)
	return err
}

func (f *Flows) config(ctx context.Context, p Provider) (*oauth2.Config, *oidc.Provider, error) {
	provider, err := f.discover(ctx, p)
	if err != nil {
		return nil, nil, err
	}
	secret, err := f.secret(p)
	if err != nil {
		return nil, nil, err
	}
	return &oauth2.Config{
		ClientID: p.ClientID, ClientSecret: secret, RedirectURL: p.CallbackURL(), Endpoint: provider.Endpoint(),
		Scopes: append([]string{oidc.ScopeOpenID, "profile", "email"}, p.Scopes...),
	}, provider, nil
}

// discover asks a provider what it says of itself, unless that is known. A failure is not kept: the next sign-in asks again.
func (f *Flows) discover(ctx context.Context, p Provider) (*oidc.Provider, error) {
	now := time.Now()
	f.mu.Lock()
	known := f.discovered
	if f.of != p.Issuer || !now.Before(f.until) {
		known = nil
	}
	f.mu.Unlock()
	if known != nil {
		return known, nil
	}
	ask, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	// The client outlives the request that asks: keys are looked up with it later.
	found, err := oidc.NewProvider(oidc.ClientContext(ask, f.client), p.Issuer)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, terse{err})
	}
	if err := checkEndpoints(found); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.discovered, f.of, f.until = found, p.Issuer, now.Add(discoveryLifetime)
	return found, nil
}
