// Package peers holds the proxy against real servers and clients: nginx behind it and before it, and clients of HTTP/2.
package peers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/loopbacktest"
	"github.com/tiny-forge/docker-watcher/internal/proxy"
	"github.com/tiny-forge/docker-watcher/internal/waittest"
)

// patience is how long anything may take before a test gives up.
const patience = waittest.Patience

// peer is where a program is that scripts/nginx found.
func peer(t *testing.T, variable string) string {
	t.Helper()
	path := os.Getenv("DOCKER_WATCHER_TEST_" + variable)
	if path == "" {
		t.Fatalf("DOCKER_WATCHER_TEST_%s names no program: run this through scripts/test, or scripts/nginx run -- go test ...", variable)
	}
	return path
}

// nginx is a real one, with a folder and a port of its own.
type nginx struct {
	t     *testing.T
	addr  string
	dir   string
	ended chan error
	cmd   *exec.Cmd
}

// newNginx starts one that serves the blocks of http that a test writes; ADDR in them is its own address, DIR its folder.
func newNginx(t *testing.T, blocks string) *nginx {
	t.Helper()
	dir, err := os.MkdirTemp(peer(t, "NGINX_DIR"), "n") //nolint:usetesting // by this folder the script finds what is left running
	if err != nil {
		t.Fatal(err)
	}
	n := &nginx{t: t, addr: loopbacktest.Free(t), dir: dir}
	t.Cleanup(func() {
		if n.cmd != nil {
			n.stop()
		}
		_ = os.RemoveAll(dir) // the script removes what is left
	})
	var b strings.Builder
	// One process, so that whoever ends it has ended all.
	b.WriteString("daemon off; master_process off; pid DIR/pid; error_log DIR/error.log; events {}\nhttp { access_log off; types { text/plain txt; }\n")
	for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&b, "%s_temp_path DIR/%s;\n", name, name)
	}
	b.WriteString(blocks + "\n}\n")
	n.write("nginx.conf", strings.NewReplacer("ADDR", n.addr, "DIR", dir).Replace(b.String()))
	n.start()
	return n
}

func (n *nginx) write(name, text string) {
	n.t.Helper()
	if err := os.WriteFile(filepath.Join(n.dir, name), []byte(text), 0o644); err != nil { //nolint:gosec // nginx reads it
		n.t.Fatal(err)
	}
}

func (n *nginx) start() {
	n.t.Helper()
	n.cmd = exec.Command(peer(n.t, "NGINX"), "-e", n.dir+"/error.log", "-p", n.dir, "-c", n.dir+"/nginx.conf")
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.ended = make(chan error, 1)
	go func() { n.ended <- n.cmd.Wait() }()
	listens(n.t, n.addr, n.ended, func() string {
		text, _ := os.ReadFile(n.dir + "/error.log") // it may not have come so far
		return string(text)
	})
}

// stop ends it at once, with all that is open.
func (n *nginx) stop() {
	n.t.Helper()
	_ = n.cmd.Process.Signal(os.Interrupt) // it may have ended
	select {
	case err := <-n.ended:
		if err != nil {
			n.t.Log("nginx ended:", err)
		}
	case <-time.After(patience):
		n.t.Error("nginx does not end")
	}
	n.cmd = nil
}

// listens waits until somebody takes connections at an address.
func listens(t *testing.T, addr string, ended <-chan error, why func() string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for {
		if conn, err := net.Dial("tcp", addr); err == nil {
			_ = conn.Close()
			return
		}
		select {
		case err := <-ended:
			t.Fatalf("it ended: %v\n%s", err, why())
		case <-late:
			t.Fatalf("it does not listen at %s\n%s", addr, why())
		case <-tick.C:
		}
	}
}

// serve puts the proxy on a listener until the test ends, and returns its address.
func serve(t *testing.T, l net.Listener, table proxy.Table) (*proxy.Server, string) {
	t.Helper()
	s := proxy.NewServer(proxy.ServerOptions{Log: slog.New(slog.DiscardHandler)})
	if _, err := s.Apply(table); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l, time.Second) }()
	t.Cleanup(func() {
		cancel()
		if err := waittest.Next(t, "the proxy ends", done); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	return s, l.Addr().String()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// tableTo leads a.example to a target.
func tableTo(target string) proxy.Table {
	return proxy.Table{Rules: []proxy.Rule{{
		ID: "a", Kind: proxy.KindProxy, Addresses: []proxy.Address{{Domain: "a.example", PathPrefix: "/"}}, Targets: []proxy.Target{{Ref: target, URL: target}},
		Options: proxy.Options{TLS: proxy.TLSInternal}, // served over http as well
	}}}
}
