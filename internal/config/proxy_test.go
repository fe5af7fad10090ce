package config_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/config"
)

func TestLoadProxy(t *testing.T) {
	defaults := config.Config{Data: "data", LogFormat: config.LogAuto, ProxyHTTP: ":80", ProxySocket: "data/proxy/control.sock", ProxyPatience: time.Hour}
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
		{"least", []string{"--proxy-http", ":80"}, nil, defaults},
		{"all", []string{"--proxy-http", ":80", "--proxy-https", ":443", "--data", "/d", "--proxy-socket", "/run/s", "--proxy-patience", "0s", "--take-over", "--log-level", "debug"}, nil, with(func(c *config.Config) {
			c.ProxyHTTPS, c.Data, c.ProxySocket, c.ProxyPatience, c.ProxyTakeOver, c.LogLevel = ":443", "/d", "/run/s", 0, true, slog.LevelDebug
		})},
		{"twins", nil, map[string]string{"DOCKER_WATCHER_PROXY_HTTP": ":80", "DOCKER_WATCHER_DATA": "/d", "DOCKER_WATCHER_PROXY_PATIENCE": "5m", "DOCKER_WATCHER_LISTEN": "nonsense"}, with(func(c *config.Config) {
			c.Data, c.ProxySocket, c.ProxyPatience = "/d", "/d/proxy/control.sock", 5*time.Minute
		})},
	} {
		got, err := config.LoadProxy(tt.args, env(tt.env))
		if err != nil || !cmp.Equal(got, tt.want) {
			t.Errorf("%s: got %#v, %v", tt.name, got, err)
		}
	}
	for _, args := range [][]string{
		nil,
		{"--proxy-https", ":443"},
		{"--proxy-http", "80"},
		{"--proxy-http", ":80", "--proxy-patience", "long"},
		{"--proxy-http", ":80", "--proxy-patience", "25h"},
		{"--proxy-http", ":80", "--listen", ":8080"},
		{"--proxy-http", ":80", "again"},
		{"--proxy-http", ":80", "--store", "x"},
	} {
		if _, err := config.LoadProxy(args, env(nil)); !errors.Is(err, config.ErrUsage) {
			t.Errorf("%v: error = %v", args, err)
		}
	}
	for _, args := range [][]string{{"--proxy-socket", "/s", "--proxy-http", ":80"}, {"--proxy-socket", "/s", "--proxy-https", ":443"}, {"--take-over"}, {"proxy"}} {
		if _, err := config.Load(args, env(nil)); !errors.Is(err, config.ErrUsage) {
			t.Errorf("the daemon takes %v: error = %v", args, err)
		}
	}
	if c, err := config.Load([]string{"--proxy-socket", "/s"}, env(nil)); err != nil || c.ProxySocket != "/s" {
		t.Errorf("got %v, %v", c, err)
	}
}

func TestProxyHelp(t *testing.T) {
	if _, err := config.LoadProxy([]string{"--help"}, env(nil)); !errors.Is(err, config.ErrHelp) {
		t.Errorf("error = %v", err)
	}
	help := config.ProxyHelp()
	for _, name := range []string{"proxy-http", "proxy-https", "proxy-socket", "proxy-patience", "data", "log-level", "log-format"} {
		twin := "DOCKER_WATCHER_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		if !strings.Contains(help, "--"+name+" ") || !strings.Contains(help, twin) {
			t.Errorf("help tells nothing of --%s", name)
		}
	}
	for _, word := range []string{"--take-over", "SIGHUP", "server proxy"} {
		if !strings.Contains(help, word) {
			t.Errorf("help tells nothing of %s", word)
		}
	}
	for _, name := range []string{"--listen", "--store", "--docker-host", "--admin-token-file"} {
		if strings.Contains(help, name+" ") {
			t.Errorf("help tells of %s, which is the daemon's", name)
		}
	}
}
