package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/loopbacktest"
	"github.com/tiny-forge/docker-watcher/internal/waittest"
)

// rig is a real server on a port of its own, with what its tests tell it of.
type rig struct {
	*Server
	t     *testing.T
	addr  string
	file  string
	flips chan Flip
}

func newRig(t *testing.T) *rig {
	t.Helper()
	return newRigThatLogs(t, slog.New(slog.DiscardHandler))
}

func newRigThatLogs(t *testing.T, log *slog.Logger) *rig {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, addr: l.Addr().String(), file: filepath.Join(t.TempDir(), "table.json"), flips: make(chan Flip, 100)}
	r.Server = NewServer(ServerOptions{
		File: r.file, Policy: Policy{Own: []netip.AddrPort{netip.MustParseAddrPort(r.addr)}}, Log: log,
		Flipped: func(f Flip) { r.flips <- f },
	})
	r.run(func(ctx context.Context) error { return r.Serve(ctx, l, 5*time.Second) })
	return r
}

// run starts a long-lived part and ends it with the test.
func (r *rig) run(part func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.t.Context()))
	done := make(chan error, 1)
	go func() { done <- part(ctx) }()
	r.t.Cleanup(func() {
		cancel()
		if err := waittest.Next(r.t, "the end of a part", done); err != nil && !errors.Is(err, context.Canceled) {
			r.t.Error(err)
		}
	})
}

// apply puts rules in force.
func (r *rig) apply(rules ...Rule) {
	r.t.Helper()
	if _, err := r.Apply(Table{Rules: rules}); err != nil {
		r.t.Fatal(err)
	}
}

// until waits for what the server does a moment after its answer.
func (r *rig) until(what string, is func() bool) {
	r.t.Helper()
	waittest.Until(r.t, what, 5*time.Millisecond, is)
}

// rule leads a domain to targets.
func rule(domain string, targets ...string) Rule {
	r := Rule{ID: domain, Kind: KindProxy, Addresses: []Address{{Domain: domain, PathPrefix: "/"}}}
	for _, t := range targets {
		r.Targets = append(r.Targets, Target{Ref: t, URL: t})
	}
	return r
}

func (r Rule) with(change func(*Options)) Rule {
	change(&r.Options)
	return r
}

func (r Rule) at(prefix string) Rule {
	r.ID += prefix
	r.Addresses[0].PathPrefix = prefix
	return r
}

// app is a target whose answers a test writes.
func app(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(func() {
		closed := make(chan struct{})
		go func() { defer close(closed); srv.Close() }() // it waits for what is under way
		waittest.Next(t, "the end of the last request to a target", closed)
	})
	return srv.URL
}

// says is a target that answers its name.
func says(t *testing.T, name string) string {
	return app(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) })
}

// nowhere is an address at which nothing listens.
func nowhere(t *testing.T) string {
	t.Helper()
	return "http://" + loopbacktest.Free(t)
}

// patience is how long anything may take, however slow the machine is: what never comes fails its test by name.
const patience = waittest.Patience

// soon is when an answer has to be there.
func (r *rig) soon() (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.t.Context(), patience)
}

// get asks the server for a path of a domain.
func (r *rig) get(host, path string, change ...func(*http.Request)) (status int, body string, head http.Header) {
	r.t.Helper()
	ctx, cancel := r.soon()
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.addr+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Host = host
	for _, c := range change {
		c(req)
	}
	return r.do(req)
}

func (r *rig) do(req *http.Request) (status int, body string, head http.Header) {
	r.t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, string(text), resp.Header
}

// raw sends bytes as they are, and returns the first line of the answer, or why there is none.
func (r *rig) raw(text string) string {
	r.t.Helper()
	conn := r.dial()
	if _, err := io.WriteString(conn, text); err != nil {
		return "cut off"
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return "cut off"
	}
	return strings.TrimSpace(line)
}

func (r *rig) dial() net.Conn {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		r.t.Fatal(err)
	}
	return conn
}

// upgrade opens a connection that has changed its protocol.
func (r *rig) upgrade(host string) (net.Conn, *bufio.Reader) {
	r.t.Helper()
	conn := r.dial()
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n", host)
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		r.t.Fatalf("the upgrade answers %d, %v", resp.StatusCode, err)
	}
	return conn, in
}
