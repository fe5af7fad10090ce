package client

import (
	"context"
	"net/http"
	"time"
)

// Me is what a caller is told of themselves.
type Me struct {
	Name         string            `json:"name"`
	Actor        string            `json:"actor"`
	Role         string            `json:"role"` // none | viewer | operator | admin
	Grants       []Grant           `json:"grants"`
	HasPassword  bool              `json:"has_password"`
	Provider     string            `json:"provider,omitempty"`
	SecondFactor SecondFactorState `json:"second_factor"`
	MustEnrol    bool              `json:"must_enrol"` // nothing is open before a second factor is set up
}

// SecondFactorState says whether a second factor is set up.
type SecondFactorState struct {
	Since     time.Time `json:"since,omitzero"`
	CodesLeft int       `json:"codes_left"`
	Required  bool      `json:"required"`
}

// SecondFactorOffer is what an authenticator needs.
type SecondFactorOffer struct {
	Secret  string `json:"secret"`
	URI     string `json:"uri"`
	Picture string `json:"picture"` // an SVG as a data: URL
}

// LoginWithCode signs in where CodeSecondFactor asked for a code.
func (c *Client) LoginWithCode(ctx context.Context, name, password, code string) (credential string, s Session, err error) {
	return c.signIn(ctx, "/api/session", map[string]string{"name": name, "password": password, "code": code})
}

// SpendPasswordLink sets a password by a one-time link, and tells whose.
func (c *Client) SpendPasswordLink(ctx context.Context, code, password string) (name string, err error) {
	var answer struct {
		Name string `json:"name"`
	}
	err = c.do(ctx, call{method: http.MethodPost, path: "/api/password-link", body: map[string]string{"code": code, "password": password}}, &answer)
	return answer.Name, err
}

// Me tells what the caller may, and about their second factor.
func (c *Client) Me(ctx context.Context) (Me, error) {
	var m Me
	return m, c.do(ctx, call{method: http.MethodGet, path: "/api/me"}, &m)
}

// ChangePassword changes the caller's own; their other sessions end.
func (c *Client) ChangePassword(ctx context.Context, current, password string) error {
	return c.do(ctx, call{method: http.MethodPut, path: "/api/me/password", body: map[string]string{"current_password": current, "password": password}}, nil)
}

// MySessions lists where the caller is signed in.
func (c *Client) MySessions(ctx context.Context) ([]SessionItem, error) {
	var l List[SessionItem]
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/me/sessions"}, &l)
	return l.Items, err
}

// EndMySession ends one session of the caller.
func (c *Client) EndMySession(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/api/me/sessions/" + part(id)}, nil)
}

// EndMyOtherSessions signs the caller out everywhere else and tells how many sessions that were.
func (c *Client) EndMyOtherSessions(ctx context.Context) (int, error) {
	return c.ended(ctx, "/api/me/sessions")
}

// OfferSecondFactor begins to set up the caller's second factor.
func (c *Client) OfferSecondFactor(ctx context.Context, current string) (SecondFactorOffer, error) {
	var o SecondFactorOffer
	return o, c.do(ctx, call{method: http.MethodPost, path: "/api/me/second-factor", body: map[string]string{"current_password": current}}, &o)
}

// ConfirmSecondFactor sets it up with a first code, and tells the recovery codes, once.
func (c *Client) ConfirmSecondFactor(ctx context.Context, code string) ([]string, error) {
	return c.recovery(ctx, "confirm", code)
}

// MakeRecoveryCodes replaces the caller's recovery codes.
func (c *Client) MakeRecoveryCodes(ctx context.Context, code string) ([]string, error) {
	return c.recovery(ctx, "recovery-codes", code)
}

func (c *Client) recovery(ctx context.Context, what, code string) ([]string, error) {
	var answer struct {
		Codes []string `json:"codes"`
	}
	err := c.do(ctx, call{method: http.MethodPost, path: "/api/me/second-factor/" + what, body: map[string]string{"code": code}}, &answer)
	return answer.Codes, err
}

// RemoveSecondFactor takes the caller's second factor away, against a code.
func (c *Client) RemoveSecondFactor(ctx context.Context, code string) error {
	return c.do(ctx, call{method: http.MethodPost, path: "/api/me/second-factor/remove", body: map[string]string{"code": code}}, nil)
}
