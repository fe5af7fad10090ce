// Package caddytest starts a real Caddy for a test, told on a unix socket, and stops it.
package caddytest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/loopbacktest"
)

const patience = time.Minute

// Caddy is one of its own.
type Caddy struct {
	Listen string // a free address of loopback, for a server of ours
	Other  string // where a server of somebody else's, called theirs, listens
	Dir    string // for files of the test, with a short path

	t     *testing.T
	cmd   *exec.Cmd
	ended chan struct{}
	log   bytes.Buffer
}

// Start runs one that serves something of somebody else's (Foreign).
func Start(t *testing.T) *Caddy {
	t.Helper()
	dir, err := os.MkdirTemp("", "dwc") //nolint:usetesting // the path of a socket has to be short
	if err != nil {
		t.Fatal(err)
	}
	c := &Caddy{Listen: loopbacktest.Free(t), Other: loopbacktest.Free(t), Dir: dir, t: t}
	t.Cleanup(func() {
		c.Stop()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	c.Run(c.Foreign())
	return c
}

// Admin is the address of its admin API.
func (c *Caddy) Admin() string { return "unix://" + c.socket() }

func (c *Caddy) socket() string { return filepath.Join(c.Dir, "admin.sock") }

// Foreign is a configuration of somebody else's.
func (c *Caddy) Foreign() string {
	return fmt.Sprintf(`{"admin":{"listen":"unix/%s"},"apps":{"http":{"servers":{"theirs":{"listen":[%q],"automatic_https":{"disable":true},
		"routes":[{"@id":"first","match":[{"host":["theirs.example"]}],"handle":[{"handler":"static_response","body":"theirs"}],"terminal":true},
		{"handle":[{"handler":"error","error":"not ours","status_code":418}]}]}}}}}`, c.socket(), c.Other)
}

// Empty is a configuration with nothing in it.
func (c *Caddy) Empty() string { return fmt.Sprintf(`{"admin":{"listen":"unix/%s"}}`, c.socket()) }

// Run starts it by a configuration and waits until it can be asked.
func (c *Caddy) Run(config string) {
	c.t.Helper()
	program := os.Getenv("DOCKER_WATCHER_TEST_CADDY") //nolint:forbidigo // of tests only
	if program == "" {
		c.t.Fatal("DOCKER_WATCHER_TEST_CADDY names no Caddy: run this through scripts/test, or scripts/caddy run -- go test ...")
	}
	file := filepath.Join(c.Dir, "caddy.json")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		c.t.Fatal(err)
	}
	cmd, ended := exec.CommandContext(context.WithoutCancel(c.t.Context()), program, "run", "--config", file), make(chan struct{})
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+c.Dir, "XDG_CONFIG_HOME="+c.Dir)
	cmd.Stderr = &c.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait() // it is killed
		close(ended)
	}()
	c.cmd, c.ended = cmd, ended
	c.await()
}

// await waits until its socket takes connections.
func (c *Caddy) await() {
	c.t.Helper()
	late := time.After(patience)
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		conn, err := (&net.Dialer{}).DialContext(c.t.Context(), "unix", c.socket())
		if err == nil {
			_ = conn.Close() // it was only to be seen
			return
		}
		select {
		case <-ticker.C:
		case <-c.ended:
			c.t.Fatalf("Caddy ended: %s", c.log.String())
		case <-late:
			c.t.Fatal("Caddy does not take connections on its socket")
		}
	}
}

// Stop ends it at once.
func (c *Caddy) Stop() {
	if c.cmd == nil {
		return
	}
	_ = c.cmd.Process.Kill() // it may have ended by itself
	<-c.ended
	c.cmd = nil
	_ = os.Remove(c.socket()) // it may be gone
}

// Write changes its configuration as somebody else does.
func (c *Caddy) Write(method, path, body string) {
	c.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", c.socket())
	}}}
	req, err := http.NewRequestWithContext(c.t.Context(), method, "http://caddy"+path, strings.NewReader(body))
	if err != nil {
		c.t.Error(err)
		return
	}
	req.URL.Host, req.Host = " ", "" // over a socket it takes no Host but an empty one
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		c.t.Error(err)
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		c.t.Errorf("%s %s answers %d", method, path, resp.StatusCode)
	}
}
