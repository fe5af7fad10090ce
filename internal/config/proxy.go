package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// toggle is a flag without a value and without a twin.
type toggle struct {
	name, usage string
	of          func(*Config) *bool
}

// proxyOptions are the flags of server proxy. Those that the daemon has too mean the same.
func proxyOptions() []option {
	foreign := func(o option) bool {
		return !slices.Contains([]string{"data", "log-level", "log-format", "proxy-http", "proxy-https", "proxy-socket"}, o.name)
	}
	opts := slices.DeleteFunc(options(""), foreign)
	for i := range opts {
		switch o := &opts[i]; o.name {
		case "data":
			o.usage = "where the last good table (proxy-table.json) and the certificates are kept: the folder of the daemon, with --proxy-https, else any; it is made on first start"
		case "proxy-socket":
			o.usage = "the socket by which the daemon says what to serve; its folder must be open to nobody else; default: proxy/control.sock in --data"
		case "proxy-http":
			o.usage = "where routes and standalone proxies are served over http, such as :80; a socket of systemd that has this port is taken"
		}
	}
	return append(opts, option{
		"proxy-patience", "TIME", "how long requests, streams and WebSockets may go on in the former process once another one has taken its place", "1h",
		func(c *Config, v string) error { return setPatience(&c.ProxyPatience, v) },
	})
}

func proxyToggles() []toggle {
	return []toggle{{
		"take-over", "take the place of the one that runs at the socket, without dropping a connection; without one, just start",
		func(c *Config) *bool { return &c.ProxyTakeOver },
	}}
}

// LoadProxy is Load for server proxy; args come after that word.
func LoadProxy(args []string, getenv func(string) string) (Config, error) {
	c, err := load("server proxy", proxyOptions(), proxyToggles(), args, getenv)
	if err != nil {
		return c, err
	}
	if c.ProxyHTTP == "" {
		return Config{}, usage(errors.New("--proxy-http: an address is needed at which routes are served, such as :80"))
	}
	if c.ProxySocket == "" {
		c.ProxySocket = filepath.Join(c.Data, "proxy", "control.sock")
	}
	return c, nil
}

func setPatience(to *time.Duration, v string) error {
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 || d > 24*time.Hour {
		return fmt.Errorf("%q is no time from 0s to 24h, such as 10m", v)
	}
	*to = d
	return nil
}

// ProxyHelp is the text of server proxy --help.
func ProxyHelp() string {
	var b strings.Builder
	b.WriteString(`docker-watcher server proxy: serves the routes and standalone proxies as a process of its own,
so that the daemon can be stopped, upgraded or killed without a failed request.

Usage:  server proxy [flags]

The daemon, started with --proxy-socket, tells it what to serve. It keeps what it was told on disk
and serves that at once when it starts, with or without a daemon. What it cannot serve it refuses,
and goes on as before.

To start it anew, after an upgrade say, without dropping a connection: send it SIGHUP, or run
it once more with --take-over. The new process gets the open ports; the former one takes no
connection from the moment on at which the new one serves, and ends when nothing is open on it.
If the new one cannot start, the former one serves on. SIGTERM ends it, within 20 seconds.

Flags (each with a value may be given as an environment variable instead; a flag wins):
`)
	writeOptions(&b, proxyOptions())
	for _, s := range proxyToggles() {
		fmt.Fprintf(&b, "\n  --%s\n      %s\n", s.name, s.usage)
	}
	b.WriteString(`
  --version
      print the version and end

Examples:
  server proxy --proxy-http :80 --data /var/lib/docker-watcher
  server --proxy-socket /var/lib/docker-watcher/proxy/control.sock --data /var/lib/docker-watcher
  kill -HUP "$(pgrep -f 'server proxy')"       # after an upgrade of the program
`)
	return b.String()
}
