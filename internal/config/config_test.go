package config_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/config"
)

func env(pairs map[string]string) func(string) string {
	return func(name string) string { return pairs[name] }
}

func TestLoad(t *testing.T) {
	defaults := config.Config{
		Listen: "127.0.0.1:8080", Data: "data", DockerHost: "unix:///var/run/docker.sock", LogFormat: config.LogAuto, BackupEvery: 24 * time.Hour, BackupKeep: 3,
		ProxyDriver: config.DriverBuiltin, Mend: true, Caddy: config.CaddyAccess{Admin: "http://localhost:2019"}, Traefik: config.TraefikAccess{Interval: 5 * time.Second},
	}
	with := func(change func(*config.Config)) config.Config {
		c := defaults
		change(&c)
		return c
	}
	for _, tt := range []struct {
		name string
		args []string
		env  map[string]string
		want config.Config
	}{
		{"nothing given", nil, nil, defaults},
		{"flags", []string{"--listen", ":0", "--data=/var/lib/dw/", "--log-level", "debug", "--log-format", "json"}, nil, with(func(c *config.Config) {
			c.Listen, c.Data, c.LogLevel, c.LogFormat = ":0", "/var/lib/dw", slog.LevelDebug, config.LogJSON
		})},
		{"twins", nil, map[string]string{"DOCKER_WATCHER_LISTEN": "[::1]:9", "DOCKER_WATCHER_ADMIN_TOKEN_FILE": "/run/token"}, with(func(c *config.Config) {
			c.Listen, c.AdminTokenFile = "[::1]:9", "/run/token"
		})},
		{"backups", []string{"--backup-dir", "/mnt/backups", "--backup-every", "off", "--backup-keep", "9"}, nil, with(func(c *config.Config) {
			c.BackupDir, c.BackupEvery, c.BackupKeep = "/mnt/backups", 0, 9
		})},
		{"a proxy", []string{"--proxy-http", ":80"}, nil, with(func(c *config.Config) { c.ProxyHTTP = ":80" })},
		{"a proxy over TLS", []string{"--proxy-http", ":80", "--proxy-https", ":443"}, nil, with(func(c *config.Config) { c.ProxyHTTP, c.ProxyHTTPS = ":80", ":443" })},
		{"a proxy by its twin", nil, map[string]string{"DOCKER_WATCHER_PROXY_HTTP": "127.0.0.1:8081"}, with(func(c *config.Config) { c.ProxyHTTP = "127.0.0.1:8081" })},
		{"caddy", []string{"--proxy-driver", "caddy", "--proxy-http", ":80", "--proxy-drift", "tell", "--caddy-admin", "unix:///run/caddy/admin.sock"}, nil, with(func(c *config.Config) {
			c.ProxyDriver, c.ProxyHTTP, c.Mend, c.Caddy.Admin = config.DriverCaddy, ":80", false, "unix:///run/caddy/admin.sock"
		})},
		{"a server of caddy", nil, map[string]string{"DOCKER_WATCHER_PROXY_DRIVER": "caddy", "DOCKER_WATCHER_CADDY_SERVER": "srv0", "DOCKER_WATCHER_CADDY_ADMIN": "https://caddy:2019"}, with(func(c *config.Config) {
			c.ProxyDriver, c.Caddy = config.DriverCaddy, config.CaddyAccess{Admin: "https://caddy:2019", Server: "srv0"}
		})},
		{"traefik", []string{"--proxy-driver", "traefik", "--traefik-token-file", "/run/token", "--traefik-interval", "10s", "--traefik-resolver", "le"}, nil, with(func(c *config.Config) {
			c.ProxyDriver, c.Traefik = config.DriverTraefik, config.TraefikAccess{TokenFile: "/run/token", Interval: 10 * time.Second, Resolver: "le"}
		})},
		{"a flag wins over its twin", []string{"--listen", "127.0.0.1:1"}, map[string]string{"DOCKER_WATCHER_LISTEN": "127.0.0.1:2"}, with(func(c *config.Config) { c.Listen = "127.0.0.1:1" })},
		{"a flag wins even over a bad twin", []string{"--log-level", "warn"}, map[string]string{"DOCKER_WATCHER_LOG_LEVEL": "loud"}, with(func(c *config.Config) { c.LogLevel = slog.LevelWarn })},
		{"DOCKER_HOST", nil, map[string]string{"DOCKER_HOST": "tcp://10.0.0.5:2375"}, with(func(c *config.Config) { c.DockerHost = "tcp://10.0.0.5:2375" })},
		{"our twin before DOCKER_HOST", nil, map[string]string{"DOCKER_HOST": "ssh://x", "DOCKER_WATCHER_DOCKER_HOST": "unix:///run/p.sock"}, with(func(c *config.Config) { c.DockerHost = "unix:///run/p.sock" })},
		{"postgres by a socket", []string{"--store", "postgres://anna@/dw?host=/run/postgresql"}, nil, with(func(c *config.Config) { c.Store = "postgres://anna@/dw?host=/run/postgresql" })},
		{"postgres", []string{"--store", "postgres://anna:secret@db/dw"}, nil, with(func(c *config.Config) { c.Store = "postgres://anna:secret@db/dw" })},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := config.Load(tt.args, env(tt.env))
			if err != nil {
				t.Fatal(err)
			}
			if !cmp.Equal(got, tt.want) {
				t.Errorf("got %v\nwant %v", got, tt.want)
			}
		})
	}
}

func TestLoadReportsEveryMistake(t *testing.T) {
	_, err := config.Load([]string{"--listen", "8080", "--data", " ", "--docker-host", "npipe:////./pipe/docker_engine", "serve"},
		env(map[string]string{"DOCKER_WATCHER_LOG_LEVEL": "loud", "DOCKER_WATCHER_LOG_FORMAT": "xml", "DOCKER_WATCHER_STORE": "mysql://root:hunter2@db/x"}))
	if !errors.Is(err, config.ErrUsage) {
		t.Fatalf("error = %v", err)
	}
	for _, want := range []string{"--listen", "--data", "--docker-host", "DOCKER_WATCHER_LOG_LEVEL", "DOCKER_WATCHER_LOG_FORMAT", "DOCKER_WATCHER_STORE", `"serve"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not reported in:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a password is shown:\n%v", err)
	}
}

func TestLoadRefuses(t *testing.T) {
	for _, args := range [][]string{
		{"--listen", "127.0.0.1"},
		{"--listen", "127.0.0.1:http-alt"},
		{"--listen", "127.0.0.1:70000"},
		{"--listen", ""},
		{"--docker-host", "unix://var/run/docker.sock"},
		{"--docker-host", "tcp://10.0.0.5"},
		{"--docker-host", "/var/run/docker.sock"},
		{"--docker-host", "ssh://me@host"},
		{"--store", "host=db password=hunter2"},
		{"--store", "postgres://"},
		{"--store", ""},
		{"--store="},
		{"--store", " "},
		{"--log-level", "9"},
		{"--unknown"},
		{"--proxy-driver", "nginx"},
		{"--proxy-drift", "never"},
		{"--proxy-driver", "caddy"},
		{"--proxy-driver", "caddy", "--proxy-http", ":80", "--caddy-server", "srv0"},
		{"--proxy-driver", "traefik", "--proxy-http", ":80"},
		{"--caddy-admin", "localhost:2019"},
		{"--caddy-admin", "http://anna:hunter2@localhost:2019"},
		{"--caddy-admin", "unix://run/caddy.sock"},
		{"--caddy-admin", "http://localhost:2019/config"},
		{"--caddy-server", "a/b"},
		{"--traefik-interval", "5"},
		{"--traefik-interval", "1h"},
		{"-listen"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			_, err := config.Load(args, env(nil))
			if !errors.Is(err, config.ErrUsage) {
				t.Fatalf("error = %v, want bad usage", err)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("a password is shown: %v", err)
			}
		})
	}
}

// TestAnEmptyStoreIsNotTheOneOfTheDataFolder: a variable that is not set in a shell must not lead to another store than the daemon's. A twin that
// is empty is one that is not given.
func TestAnEmptyStoreIsNotTheOneOfTheDataFolder(t *testing.T) {
	_, err := config.Load([]string{"--store", ""}, env(map[string]string{"DOCKER_WATCHER_STORE": "postgres://anna@db/dw"}))
	if !errors.Is(err, config.ErrUsage) || !strings.Contains(err.Error(), "--store: it is empty") {
		t.Errorf("error = %v", err)
	}
	if c, err := config.Load(nil, env(map[string]string{"DOCKER_WATCHER_STORE": ""})); err != nil || c.Store != "" {
		t.Errorf("%v, %v", c, err)
	}
}

func TestConfigPrintsNoSecret(t *testing.T) {
	for _, store := range []string{
		"postgres://anna:hunter2@db:5432/dw?sslmode=disable",
		"postgres://db/dw?user=anna&password=hunter2",
		"postgres://anna:hunter2%40x@db/dw",
	} {
		c, err := config.Load([]string{"--store", store}, env(nil))
		if err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		slog.New(slog.NewTextHandler(&log, nil)).Info("configuration", "config", c)
		for _, text := range []string{c.String(), fmt.Sprintf("%+v", c), fmt.Sprintf("%#v", c), log.String()} {
			if strings.Contains(text, "hunter2") || !strings.Contains(text, "***") || !strings.Contains(text, "anna") {
				t.Errorf("printed as %s", text)
			}
		}
	}
}

func TestHelpAndVersion(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"-h"}} {
		if _, err := config.Load(args, env(nil)); !errors.Is(err, config.ErrHelp) {
			t.Errorf("%v: error = %v", args, err)
		}
	}
	if _, err := config.Load([]string{"--version"}, env(nil)); !errors.Is(err, config.ErrVersion) {
		t.Errorf("error = %v", err)
	}
	for _, name := range []string{
		"listen", "data", "store", "docker-host", "log-level", "log-format", "admin-token-file", "admin-password-file", "proxy-http", "backup-dir", "backup-every", "backup-keep",
	} {
		twin := "DOCKER_WATCHER_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		if !strings.Contains(config.Help(), "--"+name) || !strings.Contains(config.Help(), twin) {
			t.Errorf("help tells nothing of --%s", name)
		}
	}
}
