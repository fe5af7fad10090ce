package config

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// ProxyDriver is what routes and standalone proxies are served by.
type ProxyDriver string

// The drivers.
const (
	DriverBuiltin ProxyDriver = "builtin" // the daemon itself
	DriverCaddy   ProxyDriver = "caddy"   // a Caddy that is told by its admin API
	DriverTraefik ProxyDriver = "traefik" // a Traefik that asks us
)

// CaddyAccess is how a Caddy is told.
type CaddyAccess struct {
	Admin  string // http://host:port, https://host:port or unix:///path
	Server string // of Caddy that serves routes; "": one of our own, at ProxyHTTP
}

// TraefikAccess is how a Traefik asks.
type TraefikAccess struct {
	TokenFile string        // "" or a file whose content it has to show
	Interval  time.Duration // in which it asks
	Resolver  string        // of its certificates; "": there is none
}

// ProxyOn tells whether anything serves routes.
func (c Config) ProxyOn() bool {
	return c.ProxyDriver != DriverBuiltin || c.ProxyHTTP != "" || c.ProxySocket != ""
}

func driverOptions() []option {
	return []option{
		{"proxy-driver", "DRIVER", "what serves routes: builtin (the daemon itself), caddy or traefik (see docs/routing.md)", string(DriverBuiltin), func(c *Config, v string) error { return setDriver(&c.ProxyDriver, v) }},
		{"proxy-drift", "mend|tell", "what is done when somebody else changes what caddy answers by for us: mend (undo it) or tell only", "mend", func(c *Config, v string) error { return setDrift(&c.Mend, v) }},
		{"caddy-admin", "URL", "the admin API of Caddy: http://host:port or unix:///path/to/admin.sock", "http://localhost:2019", func(c *Config, v string) error { return setCaddy(&c.Caddy.Admin, v) }},
		{"caddy-server", "NAME", "a server of Caddy's configuration that shall serve routes; default: one of our own, at --proxy-http", "", func(c *Config, v string) error { return setCaddyServer(&c.Caddy.Server, v) }},
		{"traefik-token-file", "FILE", "the file's content (32 characters or more) is what Traefik has to show; default: traefik-token in --data, made on first start", "", func(c *Config, v string) error { return setOptional(&c.Traefik.TokenFile, v) }},
		{"traefik-interval", "DURATION", "how often Traefik asks: its pollInterval", "5s", func(c *Config, v string) error { return setInterval(&c.Traefik.Interval, v) }},
		{"traefik-resolver", "NAME", "the certificate resolver of Traefik for routes that want https by ACME", "", func(c *Config, v string) error { return setOptional(&c.Traefik.Resolver, v) }},
	}
}

func setDriver(to *ProxyDriver, v string) error {
	switch d := ProxyDriver(v); d {
	case DriverBuiltin, DriverCaddy, DriverTraefik:
		*to = d
		return nil
	}
	return fmt.Errorf("%q is none of builtin, caddy, traefik", v)
}

func setDrift(to *bool, v string) error {
	if v != "mend" && v != "tell" {
		return fmt.Errorf("%q is neither mend nor tell", v)
	}
	*to = v == "mend"
	return nil
}

func setCaddy(to *string, v string) error {
	u, err := url.Parse(v)
	switch {
	case err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "":
	case u.Scheme == "unix" && u.Host == "" && strings.HasPrefix(u.Path, "/"),
		(u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && strings.Trim(u.Path, "/") == "":
		*to = v
		return nil
	}
	return errors.New("give http://host:2019 or unix:///path/to/admin.sock")
}

func setCaddyServer(to *string, v string) error {
	if strings.Contains(v, "/") {
		return fmt.Errorf("%q: a server with a slash in its name cannot be reached by Caddy's admin API", v)
	}
	*to = v
	return nil
}

func setInterval(to *time.Duration, v string) error {
	d, err := time.ParseDuration(v)
	if err != nil || d < time.Second || d > time.Minute {
		return fmt.Errorf("%q: a duration from 1s to 1m, such as 5s", v)
	}
	*to = d
	return nil
}

// ServesAt is where the daemon itself listens for routes; empty: nowhere.
func (c Config) ServesAt() string {
	if c.ProxyDriver == DriverCaddy || c.ProxyDriver == DriverTraefik {
		return ""
	}
	return c.ProxyHTTP
}

// driverMistakes are what does not go together.
func (c Config) driverMistakes() (wrong []error) {
	another := c.ProxyDriver == DriverCaddy || c.ProxyDriver == DriverTraefik
	if another && (c.ProxySocket != "" || c.ProxyHTTPS != "") {
		wrong = append(wrong, fmt.Errorf("--proxy-driver %s: --proxy-https and --proxy-socket are of the built-in proxy: leave them out", c.ProxyDriver))
	}
	switch c.ProxyDriver {
	case DriverCaddy:
		if c.ProxyHTTP == "" && c.Caddy.Server == "" {
			wrong = append(wrong, errors.New("--proxy-driver caddy: say by --proxy-http where Caddy shall listen for routes, or by --caddy-server which of its servers shall serve them"))
		}
		if c.ProxyHTTP != "" && c.Caddy.Server != "" {
			wrong = append(wrong, errors.New("--caddy-server: the server listens where Caddy says it does: leave --proxy-http out"))
		}
	case DriverTraefik:
		if c.ProxyHTTP != "" {
			wrong = append(wrong, errors.New("--proxy-driver traefik: Traefik listens by its own entry points: leave --proxy-http out"))
		}
	default:
	}
	return wrong
}
