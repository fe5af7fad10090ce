package client

import (
	"context"
	"net/http"
	"time"
)

// Grant is what a user may in one project, beyond their role for all.
type Grant struct {
	ProjectID string `json:"project_id"` // in a request its name will do
	Project   string `json:"project,omitempty"`
	Role      string `json:"role"` // viewer | operator
}

// User is a person who can sign in.
type User struct {
	ID           string    `json:"id"`
	Name         string    `json:"name"`
	Role         string    `json:"role"` // none | viewer | operator | admin, in all projects
	Grants       []Grant   `json:"grants"`
	CreatedAt    time.Time `json:"created_at"`
	DisabledAt   time.Time `json:"disabled_at,omitzero"`
	SignedInAt   time.Time `json:"signed_in_at,omitzero"`
	HasPassword  bool      `json:"has_password"`
	LinkUntil    time.Time `json:"link_until,omitzero"`
	SecondFactor bool      `json:"second_factor"`
	Provider     string    `json:"provider,omitempty"`
	Revision     string    `json:"revision"`
	LinkCode     string    `json:"link_code,omitempty"` // told once
}

// NewUser asks for a user. Without a password they set one by a one-time link, whose code the answer tells.
type NewUser struct {
	Name     string  `json:"name"`
	Role     string  `json:"role"`
	Grants   []Grant `json:"grants,omitempty"`
	Password string  `json:"password,omitempty"`
	Provided bool    `json:"by_provider,omitempty"` // they come in by the identity provider, under this name
}

// UserChange changes what a user may; what is left out stays.
type UserChange struct {
	Role     string   `json:"role,omitempty"`
	Grants   *[]Grant `json:"grants,omitempty"`
	Revision string   `json:"-"` // the one that was seen; empty: whatever it is now
}

// SessionItem is a place where somebody is signed in.
type SessionItem struct {
	ID        string    `json:"id"`
	Current   bool      `json:"current"`
	Device    string    `json:"device"`
	Addr      string    `json:"addr"`
	CreatedAt time.Time `json:"created_at"`
	SeenAt    time.Time `json:"seen_at,omitzero"`
	ExpiresAt time.Time `json:"expires_at"`
}

// Users lists the users.
func (c *Client) Users(ctx context.Context) ([]User, error) {
	var l List[User]
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/users"}, &l)
	return l.Items, err
}

// User returns one by id or name.
func (c *Client) User(ctx context.Context, idOrName string) (User, error) {
	var u User
	return u, c.do(ctx, call{method: http.MethodGet, path: "/api/users/" + part(idOrName)}, &u)
}

// CreateUser makes one.
func (c *Client) CreateUser(ctx context.Context, n NewUser) (User, error) {
	var u User
	return u, c.do(ctx, call{method: http.MethodPost, path: "/api/users", body: n}, &u)
}

// UpdateUser changes what one may.
func (c *Client) UpdateUser(ctx context.Context, idOrName string, change UserChange) (User, error) {
	var u User
	return u, c.do(ctx, call{method: http.MethodPatch, path: "/api/users/" + part(idOrName), body: change, header: ifMatchText(change.Revision)}, &u)
}

// DeleteUser removes one with their sessions and tokens.
func (c *Client) DeleteUser(ctx context.Context, idOrName string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/api/users/" + part(idOrName)}, nil)
}

// DisableUser keeps one out.
func (c *Client) DisableUser(ctx context.Context, idOrName string) (User, error) {
	return c.onUser(ctx, idOrName, "disable")
}

// EnableUser lets one in again.
func (c *Client) EnableUser(ctx context.Context, idOrName string) (User, error) {
	return c.onUser(ctx, idOrName, "enable")
}

// MakePasswordLink gives one a one-time link; its code is in the answer.
func (c *Client) MakePasswordLink(ctx context.Context, idOrName string) (User, error) {
	return c.onUser(ctx, idOrName, "link")
}

func (c *Client) onUser(ctx context.Context, idOrName, what string) (User, error) {
	var u User
	return u, c.do(ctx, call{method: http.MethodPost, path: "/api/users/" + part(idOrName) + "/" + what}, &u)
}

// ResetSecondFactor takes the second factor of one away who has lost it.
func (c *Client) ResetSecondFactor(ctx context.Context, idOrName string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/api/users/" + part(idOrName) + "/second-factor"}, nil)
}

// UserSessions lists where one is signed in.
func (c *Client) UserSessions(ctx context.Context, idOrName string) ([]SessionItem, error) {
	var l List[SessionItem]
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/users/" + part(idOrName) + "/sessions"}, &l)
	return l.Items, err
}

// EndUserSessions signs one out everywhere and tells how many sessions that were.
func (c *Client) EndUserSessions(ctx context.Context, idOrName string) (int, error) {
	return c.ended(ctx, "/api/users/"+part(idOrName)+"/sessions")
}

// EndUserSession ends one session of one.
func (c *Client) EndUserSession(ctx context.Context, idOrName, session string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/api/users/" + part(idOrName) + "/sessions/" + part(session)}, nil)
}

func (c *Client) ended(ctx context.Context, path string) (int, error) {
	var answer struct {
		Ended int `json:"ended"`
	}
	err := c.do(ctx, call{method: http.MethodDelete, path: path}, &answer)
	return answer.Ended, err
}
