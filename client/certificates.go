package client

import (
	"context"
	"io"
	"net/http"
	"time"
)

// Certificate is one by which domains are served over TLS, without its key.
type Certificate struct {
	ID           string    `json:"id"`   // such as auto:app.example.com or own:wiki
	Mode         string    `json:"mode"` // auto, internal or own
	Name         string    `json:"name"`
	Domains      []string  `json:"domains"` // that are served by it
	Names        []string  `json:"names"`   // that it covers
	Issuer       string    `json:"issuer,omitempty"`
	NotBefore    time.Time `json:"not_before,omitzero"`
	NotAfter     time.Time `json:"not_after,omitzero"` // zero: there is none yet
	DaysLeft     *int      `json:"days_left,omitempty"`
	State        string    `json:"state"` // pending, valid, expiring, expired or failed
	Busy         bool      `json:"busy"`
	RenewAt      time.Time `json:"renew_at,omitzero"` // zero: it is not renewed by itself
	Trouble      string    `json:"trouble,omitempty"` // why the last try failed
	TroubleAt    time.Time `json:"trouble_at,omitzero"`
	TroubleText  string    `json:"trouble_text,omitempty"`
	Hint         string    `json:"hint,omitempty"`
	NextTryAt    time.Time `json:"next_try_at,omitzero"`
	NotListening bool      `json:"not_listening,omitempty"` // nothing is served over TLS
}

// Authority is who is asked for certificates, by ACME.
type Authority struct {
	Email            string `json:"email"`
	Directory        string `json:"directory"` // empty: Let's Encrypt
	Roots            string `json:"roots"`     // PEM; empty: whom the system believes
	EABKeyID         string `json:"eab_key_id"`
	DefaultDirectory string `json:"default_directory"`
	EABSecretSet     bool   `json:"eab_secret_set"`
	DNS              string `json:"dns,omitempty"` // cloudflare or hetzner: domains are proven by records there; empty: by coming to them
	DNSTokenSet      bool   `json:"dns_token_set"`
}

// Certificates lists those that routes ask for, and the uploaded ones.
func (c *Client) Certificates(ctx context.Context) ([]Certificate, error) {
	var l List[Certificate]
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/certificates"}, &l)
	return l.Items, err
}

// Certificate returns one by its id.
func (c *Client) Certificate(ctx context.Context, id string) (Certificate, error) {
	var one Certificate
	err := c.do(ctx, call{method: http.MethodGet, path: certificatePath(id)}, &one)
	return one, err
}

func certificatePath(id string) string { return "/api/certificates/" + part(id) }

// UploadCertificate keeps a certificate with its key, both PEM, also in the place of one of its name.
func (c *Client) UploadCertificate(ctx context.Context, name, chain, key string) (Certificate, error) {
	var one Certificate
	body := map[string]string{"chain": chain, "key": key}
	err := c.do(ctx, call{method: http.MethodPut, path: "/api/certificates/own/" + part(name), body: body}, &one)
	return one, err
}

// DeleteCertificate removes an uploaded one that no route names.
func (c *Client) DeleteCertificate(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: certificatePath(id)}, nil)
}

// RenewCertificate asks for one anew. It does not wait for the authority.
func (c *Client) RenewCertificate(ctx context.Context, id string) (Certificate, error) {
	var one Certificate
	err := c.do(ctx, call{method: http.MethodPost, path: certificatePath(id) + "/renew"}, &one)
	return one, err
}

// OwnCA returns the root of docker-watcher's own authority, as PEM.
func (c *Client) OwnCA(ctx context.Context) ([]byte, error) {
	resp, err := c.send(ctx, call{method: http.MethodGet, path: "/api/certificates/ca.pem"})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// Authority returns who is asked for certificates.
func (c *Client) Authority(ctx context.Context) (Authority, error) {
	var a Authority
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/certificate-authorities/acme"}, &a)
	return a, err
}

// SetAuthority says who is asked for certificates; an empty secret or token stays.
func (c *Client) SetAuthority(ctx context.Context, a Authority, secret, dnsToken string) (Authority, error) {
	body := map[string]any{"email": a.Email, "directory": a.Directory, "roots": a.Roots, "eab_key_id": a.EABKeyID, "dns": a.DNS}
	if dnsToken != "" {
		body["dns_token"] = dnsToken
	}
	if secret != "" {
		body["eab_secret"] = secret
	}
	err := c.do(ctx, call{method: http.MethodPut, path: "/api/certificate-authorities/acme", body: body}, &a)
	return a, err
}
