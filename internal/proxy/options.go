package proxy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Options are all that a rule says beside its addresses and targets. The zero value is an ordinary rule.
type Options struct {
	StripPrefix     bool         `json:"strip_prefix,omitempty"`  // the target does not see the path prefix
	RewriteHost     bool         `json:"rewrite_host,omitempty"`  // the target sees its own name as the host, not the client's
	NoWebSockets    bool         `json:"no_websockets,omitempty"` // no request may change its protocol
	TLS             TLS          `json:"tls,omitempty"`           // empty: off
	Certificate     string       `json:"certificate,omitempty"`   // with TLSOwn: the name under which it was uploaded
	RedirectHTTPS   bool         `json:"redirect_https,omitempty"`
	HSTSSeconds     int          `json:"hsts_seconds,omitempty"`  // said only to those who came over TLS; 0: not said
	RedirectTo      string       `json:"redirect_to,omitempty"`   // nothing is asked of a target: the client is sent there
	RedirectCode    int          `json:"redirect_code,omitempty"` // 0: 307
	RequestHeaders  []Header     `json:"request_headers,omitempty"`
	ResponseHeaders []Header     `json:"response_headers,omitempty"`
	BasicAuth       []Credential `json:"basic_auth,omitempty"`
	AllowIPs        []string     `json:"allow_ips,omitempty"` // empty: everybody who is not denied
	DenyIPs         []string     `json:"deny_ips,omitempty"`
	ConnectTimeout  Span         `json:"connect_timeout,omitempty"`  // 0: 5 s
	ResponseTimeout Span         `json:"response_timeout,omitempty"` // until the head of the answer; 0: 60 s
	MaxBodyBytes    int64        `json:"max_body_bytes,omitempty"`   // 0: any

	TargetCA         string `json:"target_ca,omitempty"`         // PEM: who signed the certificates of targets over https; empty: an authority of the system
	TargetUnverified bool   `json:"target_unverified,omitempty"` // whatever certificate a target has is taken: who stands between can be it

	HealthCheck     *HealthCheck `json:"health_check,omitempty"`     // nil: a target is down only while it cannot be dialled
	Maintenance     bool         `json:"maintenance,omitempty"`      // a page says that it is being worked on
	MaintenanceNote string       `json:"maintenance_note,omitempty"` // shown on that page

	Compress  bool `json:"compress,omitempty"`   // text is answered as gzip to clients that take it
	AccessLog bool `json:"access_log,omitempty"` // each request is a line of the log
}

// Header is set, or with an empty value taken away.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
}

// Secret tells that its value lets somebody in somewhere: nobody is shown it.
func (h Header) Secret() bool {
	name := strings.ToLower(h.Name)
	return h.Value != "" && slices.ContainsFunc(secretWords, func(word string) bool { return strings.Contains(name, word) })
}

// secretWords are in the names of headers whose values are secret.
var secretWords = []string{"authorization", "cookie", "token", "secret", "password", "key"}

// Credential lets somebody in. The password itself is kept nowhere.
type Credential struct {
	User string `json:"user"`
	Hash string `json:"hash"` // bcrypt
}

// HealthCheck asks each target on and on.
type HealthCheck struct {
	Path     string `json:"path"`
	Interval Span   `json:"interval,omitempty"` // 0: 10 s
	Timeout  Span   `json:"timeout,omitempty"`  // 0: 5 s
	Passes   int    `json:"passes,omitempty"`   // good answers in a row that bring a target back; 0: 1
	Fails    int    `json:"fails,omitempty"`    // bad ones in a row that take it out; 0: 3
}

// The defaults of what is zero in Options.
const (
	DefaultConnectTimeout  = 5 * time.Second
	DefaultResponseTimeout = time.Minute
	DefaultCheckInterval   = 10 * time.Second
	DefaultCheckTimeout    = 5 * time.Second
	DefaultPasses          = 1
	DefaultFails           = 3
)

// filled is the check with its defaults.
func (h HealthCheck) filled() HealthCheck {
	setDefault(&h.Interval, Span(DefaultCheckInterval))
	setDefault(&h.Timeout, Span(DefaultCheckTimeout))
	setDefault(&h.Passes, DefaultPasses)
	setDefault(&h.Fails, DefaultFails)
	return h
}

func setDefault[T comparable](to *T, fallback T) {
	var zero T
	if *to == zero {
		*to = fallback
	}
}

// Span is a duration whose text is 10s or 1m30s.
type Span time.Duration

// MarshalText writes it; zero is empty.
func (s Span) MarshalText() ([]byte, error) {
	if s == 0 {
		return nil, nil
	}
	return []byte(time.Duration(s).String()), nil
}

// UnmarshalText reads what MarshalText writes.
func (s *Span) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*s = 0
		return nil
	}
	d, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("read a duration such as 10s: %w", err)
	}
	*s = Span(d)
	return nil
}
