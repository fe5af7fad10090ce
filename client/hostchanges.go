package client

import (
	"context"
	"net/http"
	"time"
)

// ReachedBy is how a host is reached, without secrets.
type ReachedBy struct {
	Way           string    `json:"way"`   // unix | tcp | tls | ssh
	Plain         bool      `json:"plain"` // without TLS
	ServerName    string    `json:"server_name,omitempty"`
	CertExpiresAt time.Time `json:"cert_expires_at,omitzero"` // ours
	HostKey       string    `json:"host_key,omitempty"`       // of the ssh server
	Fingerprint   string    `json:"fingerprint,omitempty"`    // of it
}

// NewHost is what is said of a host. Its keys are sent and never answered.
type NewHost struct {
	Name     string   `json:"name,omitempty"`
	Endpoint string   `json:"endpoint"` // unix:///path, tcp://host:port or ssh://user@host:port[/path]
	Plain    bool     `json:"plain,omitempty"`
	TLS      *HostTLS `json:"tls,omitempty"`
	SSH      *HostSSH `json:"ssh,omitempty"`
}

// HostTLS proves both sides of tcp://, in PEM.
type HostTLS struct {
	CA         string `json:"ca,omitempty"`
	Cert       string `json:"cert,omitempty"`
	Key        string `json:"key,omitempty"`
	ServerName string `json:"server_name,omitempty"`
}

// HostSSH proves both sides of ssh://.
type HostSSH struct {
	Key        string `json:"key,omitempty"`
	Passphrase string `json:"passphrase,omitempty"`
	HostKey    string `json:"host_key,omitempty"` // a test shows it; sending it is the yes to it
}

// HostChange changes what is not nil.
type HostChange struct {
	Name     *string        `json:"name,omitempty"`
	Endpoint *string        `json:"endpoint,omitempty"`
	Plain    *bool          `json:"plain,omitempty"`
	TLS      *HostTLSChange `json:"tls,omitempty"`
	SSH      *HostSSHChange `json:"ssh,omitempty"`
	Revision int64          `json:"-"` // the one that was seen; 0: whatever it is now
}

// HostTLSChange changes what is not nil.
type HostTLSChange struct {
	CA         *string `json:"ca,omitempty"`
	Cert       *string `json:"cert,omitempty"`
	Key        *string `json:"key,omitempty"`
	ServerName *string `json:"server_name,omitempty"`
}

// HostSSHChange changes what is not nil.
type HostSSHChange struct {
	Key        *string `json:"key,omitempty"`
	Passphrase *string `json:"passphrase,omitempty"`
	HostKey    *string `json:"host_key,omitempty"`
}

// The faults of a HostReport.
const (
	FaultHostKey   = "host_key_unknown"
	FaultUntrusted = "untrusted"
	FaultRejected  = "rejected"
	FaultDenied    = "denied"
)

// HostReport is what a test of a host found.
type HostReport struct {
	OK          bool     `json:"ok"`
	Fault       string   `json:"fault,omitempty"` // host_key_unknown | untrusted | rejected | unreachable | denied
	Error       string   `json:"error,omitempty"`
	Hint        string   `json:"hint,omitempty"`
	HostKey     string   `json:"host_key,omitempty"`    // shown, and not known
	Fingerprint string   `json:"fingerprint,omitempty"` // of it
	Version     string   `json:"version,omitempty"`
	APIVersion  string   `json:"api_version,omitempty"`
	EngineID    string   `json:"engine_id,omitempty"`
	EngineName  string   `json:"engine_name,omitempty"`
	DataRoot    string   `json:"data_root,omitempty"`
	OS          string   `json:"os,omitempty"`
	Arch        string   `json:"arch,omitempty"`
	ClockSkewMS int64    `json:"clock_skew_ms"`
	LatencyMS   float64  `json:"latency_ms"`
	CanList     bool     `json:"can_list"`
	CanInspect  bool     `json:"can_inspect"`
	Containers  int      `json:"containers"`
	Ours        int      `json:"ours"`
	SameAs      []string `json:"same_as,omitempty"`
}

// CreateHost adds a host that a test by docker-watcher finds usable; untested, without that test.
func (c *Client) CreateHost(ctx context.Context, n NewHost, untested bool) (Host, error) {
	body := struct {
		NewHost
		Untested bool `json:"untested,omitempty"`
	}{n, untested}
	var h Host
	err := c.do(ctx, call{method: http.MethodPost, path: "/api/hosts", body: body}, &h)
	return h, err
}

// UpdateHost changes a host.
func (c *Client) UpdateHost(ctx context.Context, id string, change HostChange, untested bool) (Host, error) {
	body := struct {
		HostChange
		Untested bool `json:"untested,omitempty"`
	}{change, untested}
	var h Host
	err := c.do(ctx, call{method: http.MethodPatch, path: "/api/hosts/" + part(id), body: body, header: ifMatch(change.Revision)}, &h)
	return h, err
}

// DeleteHost forgets a host that nothing names.
func (c *Client) DeleteHost(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/api/hosts/" + part(id)}, nil)
}

// TryHost tests what is said of a host before it is added.
func (c *Client) TryHost(ctx context.Context, n NewHost) (HostReport, error) {
	var r HostReport
	err := c.do(ctx, call{method: http.MethodPost, path: "/api/hosts/test", body: n}, &r)
	return r, err
}

// TestHost tests a host as a change would make it; nothing is changed.
func (c *Client) TestHost(ctx context.Context, id string, change HostChange) (HostReport, error) {
	var r HostReport
	err := c.do(ctx, call{method: http.MethodPost, path: "/api/hosts/" + part(id) + "/test", body: change}, &r)
	return r, err
}

// DisableHost takes a host out of use.
func (c *Client) DisableHost(ctx context.Context, id string) (Host, error) {
	return c.useHost(ctx, id, "/disable")
}

// EnableHost puts a host to use again.
func (c *Client) EnableHost(ctx context.Context, id string) (Host, error) {
	return c.useHost(ctx, id, "/enable")
}

func (c *Client) useHost(ctx context.Context, id, action string) (Host, error) {
	var h Host
	err := c.do(ctx, call{method: http.MethodPost, path: "/api/hosts/" + part(id) + action}, &h)
	return h, err
}
