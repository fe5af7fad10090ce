// Package config turns flags and their DOCKER_WATCHER_* twins into one checked
// struct. A flag wins over its twin. All mistakes are reported at once, each with
// what would be right, and nothing that prints a Config shows a secret.
package config

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// The ways in which Load ends without a Config to run with.
var (
	ErrHelp    = flag.ErrHelp
	ErrVersion = errors.New("version asked for")
	ErrUsage   = errors.New("bad usage")
)

const envPrefix = "DOCKER_WATCHER_"

// Config is what the daemon was told. It prints without secrets.
type Config struct {
	Listen         string // host:port of the page and the API
	Data           string // folder of the database, the key and the lock
	Store          string // "" (SQLite in Data), a file, or postgres://...
	DockerHost     string // unix:///path or tcp://host:port
	LogLevel       slog.Level
	LogFormat      LogFormat
	AdminTokenFile string // "" or a file whose content is an admin API token
	// AdminPasswordFile is "" or a file whose content is the password of the user admin, made at the first start.
	AdminPasswordFile string
	ProxyHTTP         string        // host:port of the proxy; "": there is none
	BackupDir         string        // "": the folder "backups" in Data
	BackupEvery       time.Duration // 0: none is made by itself
	BackupKeep        int
	ProxyHTTPS        string        // host:port of the proxy over TLS; "": there is none
	ProxySocket       string        // of the data plane, if that is a process of its own; "": it is not
	ProxyTakeOver     bool          // server proxy: take the place of the one that runs
	ProxyPatience     time.Duration // server proxy: for what is open when another one takes the place

	ProxyDriver ProxyDriver // what routes are served by
	Mend        bool        // undo what others change in that
	Caddy       CaddyAccess
	Traefik     TraefikAccess
}

// LogFormat is the shape of a log line.
type LogFormat string

// The log formats.
const (
	LogAuto LogFormat = "auto" // text on a terminal, else JSON
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// option is one flag: its twin in the environment has the same name in capitals.
type option struct {
	name, arg, usage string
	fallback         string
	set              func(*Config, string) error
}

func options(dockerHost string) []option {
	return append([]option{
		{"listen", "HOST:PORT", "where the page and the API are served; 0.0.0.0:8080 for all addresses", "127.0.0.1:8080", func(c *Config, v string) error { return setAddr(&c.Listen, v) }},
		{"data", "FOLDER", "where the database, the key of the secrets and the lock live; it is made on first start", "./data", func(c *Config, v string) error { return setPath(&c.Data, v) }},
		{"store", "FILE|URL", "another SQLite file, or postgres://user:password@host/name; default: docker-watcher.db in --data", "", func(c *Config, v string) error { return setStore(&c.Store, v) }},
		{"docker-host", "URL", "the engine: unix:///path/to/docker.sock or tcp://host:port; default: DOCKER_HOST, then Docker's own socket", dockerHost, func(c *Config, v string) error { return setEngine(&c.DockerHost, v) }},
		{"log-level", "LEVEL", "debug, info, warn or error", "info", func(c *Config, v string) error { return setLevel(&c.LogLevel, v) }},
		{"log-format", "FORMAT", "text or json, on standard error; auto is text on a terminal and json elsewhere", "auto", func(c *Config, v string) error { return setFormat(&c.LogFormat, v) }},
		{"admin-token-file", "FILE", "for unattended installs: the file's content (32 characters or more) is an admin API token", "", func(c *Config, v string) error { return setOptional(&c.AdminTokenFile, v) }},
		{"admin-password-file", "FILE", "for unattended installs: the file's content (12 characters or more) becomes the password of the user admin at the first start; never after it", "", func(c *Config, v string) error { return setOptional(&c.AdminPasswordFile, v) }},
		{"proxy-http", "HOST:PORT", "where routes and standalone proxies are served over http, such as :80; nothing is, unless it is given", "", func(c *Config, v string) error { return setOptionalAddr(&c.ProxyHTTP, v) }},
		{"backup-dir", "FOLDER", "where backups of the store go; another disk is the better place; default: backups in --data", "", func(c *Config, v string) error { return setOptional(&c.BackupDir, v) }},
		{"backup-every", "TIME", "how often one is made by itself, such as 24h; off for never", "24h", func(c *Config, v string) error { return setEvery(&c.BackupEvery, v) }},
		{"backup-keep", "NUMBER", "how many are kept, the oldest go; those made by hand since the last one was due count as one, up to as many again", "3", func(c *Config, v string) error { return setCount(&c.BackupKeep, v) }},
		{"proxy-https", "HOST:PORT", "where those of them that have a certificate are served over TLS, such as :443; with --proxy-http, by which certificates are had", "", func(c *Config, v string) error { return setOptionalAddr(&c.ProxyHTTPS, v) }},
		{"proxy-socket", "PATH", "where 'server proxy' serves the routes as a process of its own: the socket by which it is told what to serve; instead of --proxy-http and --proxy-https", "", func(c *Config, v string) error { return setOptional(&c.ProxySocket, v) }},
	}, driverOptions()...)
}

// Load reads arguments (without the program's name) and environment. It answers
// ErrHelp or ErrVersion when that was asked for, else an ErrUsage that lists every mistake.
func Load(args []string, getenv func(string) string) (Config, error) {
	c, err := load("server", options(defaultEngine(getenv)), nil, args, getenv)
	if err == nil && c.ProxySocket != "" && c.ProxyHTTP != "" {
		return Config{}, usage(errors.New("--proxy-http and --proxy-socket exclude one another: the daemon serves the routes itself, or 'server proxy' does"))
	}
	return c, err
}

// load reads options and, for the command line alone, switches.
func load(name string, opts []option, switches []toggle, args []string, getenv func(string) string) (Config, error) {
	var c Config
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	given := make(map[string]*string, len(opts))
	for _, o := range opts {
		given[o.name] = flags.String(o.name, o.fallback, o.usage)
	}
	for _, s := range switches {
		flags.BoolVar(s.of(&c), s.name, false, s.usage)
	}
	version := flags.Bool("version", false, "print the version and end")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return Config{}, ErrHelp
		}
		return Config{}, usage(err)
	}
	if *version {
		return Config{}, ErrVersion
	}
	var mistakes []error
	if flags.NArg() > 0 {
		mistakes = append(mistakes, fmt.Errorf("unexpected argument %q: everything is given by flags", flags.Arg(0)))
	}
	onLine := make(map[string]bool)
	flags.Visit(func(f *flag.Flag) { onLine[f.Name] = true })
	for _, o := range opts {
		value, from := *given[o.name], "--"+o.name
		if env := getenv(twin(o.name)); env != "" && !onLine[o.name] {
			value, from = env, twin(o.name)
		}
		set := o.set
		if o.name == "store" && onLine[o.name] {
			set = setGivenStore
		}
		if err := set(&c, value); err != nil {
			mistakes = append(mistakes, fmt.Errorf("%s: %w", from, err))
		}
	}
	if c.ProxyHTTPS != "" && c.ProxyHTTP == "" {
		mistakes = append(mistakes, errors.New("--proxy-https needs --proxy-http, such as :80: certificates are had by it, and who comes over http is sent on from there"))
	}
	if mistakes = append(mistakes, c.driverMistakes()...); len(mistakes) > 0 {
		return Config{}, usage(mistakes...)
	}
	return c, nil
}

func usage(mistakes ...error) error {
	return fmt.Errorf("%w: %w", ErrUsage, errors.Join(mistakes...))
}

// twin is the environment variable of a flag.
func twin(name string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

func defaultEngine(getenv func(string) string) string {
	if host := getenv("DOCKER_HOST"); host != "" {
		return host
	}
	return "unix:///var/run/docker.sock"
}

func setAddr(to *string, v string) error {
	_, port, err := net.SplitHostPort(v)
	if err != nil {
		return fmt.Errorf("%q is no host:port, such as 127.0.0.1:8080", v)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("%q: a port is a number from 0 to 65535", v)
	}
	*to = v
	return nil
}

func setOptionalAddr(to *string, v string) error {
	if v == "" {
		*to = ""
		return nil
	}
	return setAddr(to, v)
}

const (
	minEvery = time.Hour
	maxKeep  = 1000
)

func setEvery(to *time.Duration, v string) error {
	if v == "off" {
		*to = 0
		return nil
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < minEvery {
		return fmt.Errorf("%q is no time of 1h or more, such as 24h, nor off", v)
	}
	*to = d
	return nil
}

func setCount(to *int, v string) error {
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > maxKeep {
		return fmt.Errorf("%q is no whole number from 1 to %d", v, maxKeep)
	}
	*to = n
	return nil
}

func setOptional(to *string, v string) error {
	*to = v
	return nil
}

func setPath(to *string, v string) error {
	if strings.TrimSpace(v) == "" {
		return errors.New("a folder is needed, such as ./data")
	}
	*to = filepath.Clean(v)
	return nil
}

func setStore(to *string, v string) error {
	if scheme, _, ok := strings.Cut(v, "://"); ok {
		if scheme != "postgres" && scheme != "postgresql" {
			return fmt.Errorf("%s:// is not a store that we know: give a file or a postgres:// URL", scheme)
		}
		// A socket's folder is no host of a URL: it is given as the parameter host.
		if u, err := url.Parse(v); err != nil || u.Host == "" && u.Query().Get("host") == "" {
			return errors.New("not a URL of the form postgres://user:password@host/name or postgres://user@/name?host=/run/postgresql") // the value may hold a password
		}
	}
	if strings.Contains(v, "password=") && !strings.Contains(v, "://") {
		return errors.New("connection words are not read here: give postgres://user:password@host/name")
	}
	*to = v
	return nil
}

// setGivenStore is for a store that was named on the line: an empty name is a variable that is not set in that shell, and the store of the
// data folder, which it would mean, is the wrong one then.
func setGivenStore(c *Config, v string) error {
	if strings.TrimSpace(v) == "" {
		return errors.New("it is empty: give the file or the postgres:// URL that the daemon has; without --store it is docker-watcher.db in --data")
	}
	return setStore(&c.Store, v)
}

func setEngine(to *string, v string) error {
	scheme, rest, ok := strings.Cut(v, "://")
	switch {
	case !ok || rest == "":
		return fmt.Errorf("%q is no engine: give unix:///path/to/docker.sock or tcp://host:port", v)
	case scheme == "unix":
		if !strings.HasPrefix(rest, "/") {
			return fmt.Errorf("%q: the path of a socket starts with a slash: unix:///path/to/docker.sock", v)
		}
	case scheme == "tcp":
		if _, _, err := net.SplitHostPort(rest); err != nil {
			return fmt.Errorf("%q: a port is missing: tcp://host:2375", v)
		}
	default:
		return fmt.Errorf("%q: %s:// is not supported here: give unix:///path/to/docker.sock or tcp://host:port; engines by ssh or TLS are added with docker-watcher hosts add", v, scheme)
	}
	*to = v
	return nil
}

func setLevel(to *slog.Level, v string) error {
	if err := to.UnmarshalText([]byte(v)); err != nil {
		return fmt.Errorf("%q is none of debug, info, warn, error", v)
	}
	return nil
}

func setFormat(to *LogFormat, v string) error {
	switch f := LogFormat(v); f {
	case LogAuto, LogText, LogJSON:
		*to = f
		return nil
	}
	return fmt.Errorf("%q is none of auto, text and json", v)
}

// Redacted is the name of a store without its password.
func Redacted(store string) string {
	if !strings.Contains(store, "://") {
		return store
	}
	u, err := url.Parse(store)
	if err != nil {
		return "***"
	}
	query := u.Query()
	for key := range query {
		if strings.Contains(strings.ToLower(key), "password") {
			query.Set(key, "***")
		}
	}
	u.RawQuery = query.Encode()
	if _, has := u.User.Password(); has {
		u.User = url.UserPassword(u.User.Username(), "***")
	}
	return strings.ReplaceAll(u.String(), "%2A%2A%2A", "***")
}

// LogValue is what a log line shows of it.
func (c Config) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("listen", c.Listen), slog.String("data", c.Data), slog.String("store", Redacted(c.Store)), slog.String("docker_host", c.DockerHost),
		slog.String("log_level", c.LogLevel.String()), slog.String("log_format", string(c.LogFormat)), slog.String("admin_token_file", c.AdminTokenFile),
		slog.String("admin_password_file", c.AdminPasswordFile),
		slog.String("proxy_http", c.ProxyHTTP), slog.String("proxy_https", c.ProxyHTTPS), slog.String("proxy_socket", c.ProxySocket), slog.String("proxy_driver", string(c.ProxyDriver)),
		slog.String("backup_dir", c.BackupDir), slog.Duration("backup_every", c.BackupEvery), slog.Int("backup_keep", c.BackupKeep),
	)
}

// String is for people; it has no secret.
func (c Config) String() string { return c.LogValue().String() }

// GoString is for people who print structs.
func (c Config) GoString() string { return "config.Config" + c.String() }

// Help is the text of --help.
func Help() string {
	var b strings.Builder
	b.WriteString(`docker-watcher server: finds the containers that have not been alive for days, says how
it knows, and removes exactly those that you agree to.

Usage:  server [flags]
        server health [flags]              ask the one that these flags start whether it serves
        server doctor [flags]              look at all that the daemon would stand on, and say what to do; changes nothing
        server salvage [--output json] [flags]
                                           tell what can still be read of a damaged database; changes nothing
        server restore FILE [flags]        put a backup back; the key file must be in --data, and no daemon may run
        server store move TO [flags]       copy the whole store into a new one: a file or postgres://...; no daemon may run
        server proxy [flags]               serves the routes as a process of its own: server proxy --help
        server user reset NAME [--password-stdin] [--drop-second-factor] [--data FOLDER] [--store FILE|URL]

Start it, open the link that it prints, make the first admin. Stop it with Ctrl-C.
Whoever has lost their way in is let in again by "server user reset NAME" on this machine, while it runs or not.

Flags (each may be given as an environment variable instead; a flag wins):
`)
	writeOptions(&b, options("unix:///var/run/docker.sock"))
	b.WriteString(`
  --version
      print the version and end

Examples:
  server --data /var/lib/docker-watcher
  server --listen 0.0.0.0:8080 --docker-host tcp://10.0.0.5:2375
  DOCKER_WATCHER_LOG_FORMAT=json server --admin-token-file /run/secrets/admin-token
`)
	return b.String()
}

func writeOptions(b *strings.Builder, opts []option) {
	for _, o := range opts {
		fmt.Fprintf(b, "\n  --%s %s\n      %s\n", o.name, o.arg, o.usage)
		if o.fallback != "" {
			fmt.Fprintf(b, "      default: %s\n", o.fallback)
		}
		fmt.Fprintf(b, "      or: %s\n", twin(o.name))
	}
}
