package client

import (
	"context"
	"net/http"
	"strings"
	"time"
)

// Session says who the caller is to docker-watcher.
type Session struct {
	State     string    `json:"state"` // setup | anonymous | user
	Name      string    `json:"name,omitempty"`
	Actor     string    `json:"actor,omitempty"` // user:anna, token:ci
	Role      string    `json:"role,omitempty"`  // none | viewer | operator | admin
	Most      string    `json:"most,omitempty"`  // the highest role, be it in one project only
	MustEnrol bool      `json:"must_enrol,omitempty"`
	Version   string    `json:"version"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	Provider  string    `json:"provider,omitempty"` // the button of the identity provider
	Banner    string    `json:"banner,omitempty"`   // a warning to show, as of plain http
	LastEvent string    `json:"last_event_id,omitempty"`
}

// Session tells who the caller is; nobody gets an error from it.
func (c *Client) Session(ctx context.Context) (Session, error) {
	var s Session
	return s, c.do(ctx, call{method: http.MethodGet, path: "/api/session"}, &s)
}

// Setup spends the one-time code, makes the first admin and signs in. It returns
// the credential of the session.
func (c *Client) Setup(ctx context.Context, code, name, password string) (credential string, s Session, err error) {
	body := map[string]string{"code": code, "name": name, "password": password}
	return c.signIn(ctx, "/api/setup", body)
}

// Login signs in and returns the credential of the session, for WithCredential.
func (c *Client) Login(ctx context.Context, name, password string) (credential string, s Session, err error) {
	body := map[string]string{"name": name, "password": password}
	return c.signIn(ctx, "/api/session", body)
}

func (c *Client) signIn(ctx context.Context, path string, body map[string]string) (string, Session, error) {
	ctx, cancel := context.WithTimeout(ctx, DefaultTimeout)
	defer cancel()
	var s Session
	header, err := c.doHeader(ctx, call{method: http.MethodPost, path: path, body: body}, &s)
	if err != nil {
		return "", s, err
	}
	for _, cookie := range (&http.Response{Header: header}).Cookies() {
		if strings.HasSuffix(cookie.Name, "docker_watcher") {
			return cookie.Value, s, nil
		}
	}
	return "", s, nil
}

// Logout ends the session of the credential. A token is not ended by it.
func (c *Client) Logout(ctx context.Context) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/api/session"}, nil)
}

// Token is an API token; its secret is told once, when it is made.
type Token struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	Role       string    `json:"role"`
	CreatedBy  string    `json:"created_by"`
	CreatedAt  time.Time `json:"created_at"`
	ExpiresAt  time.Time `json:"expires_at,omitzero"`
	LastUsedAt time.Time `json:"last_used_at,omitzero"`
	Secret     string    `json:"secret,omitempty"`
}

// NewToken asks for an API token. A zero ExpiresAt means never.
type NewToken struct {
	Name      string    `json:"name"`
	Role      string    `json:"role"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// Tokens lists the API tokens, without their secrets.
func (c *Client) Tokens(ctx context.Context) ([]Token, error) {
	var l List[Token]
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/tokens"}, &l)
	return l.Items, err
}

// CreateToken makes an API token; Secret is filled this once.
func (c *Client) CreateToken(ctx context.Context, t NewToken) (Token, error) {
	var made Token
	return made, c.do(ctx, call{method: http.MethodPost, path: "/api/tokens", body: t}, &made)
}

// RevokeToken ends an API token.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/api/tokens/" + part(id)}, nil)
}
