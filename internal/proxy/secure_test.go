package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/certs"
	"github.com/tiny-forge/docker-watcher/internal/waittest"
)

// secureRig is a rig with a listener over TLS, whose certificates are of our own authority.
type secureRig struct {
	*rig
	secure string
	certs  *certs.Keeper
	roots  *x509.CertPool
}

func newSecureRig(t *testing.T) *secureRig {
	t.Helper()
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	plain, secure := listen(), listen()
	dir := t.TempDir()
	log := slog.New(slog.DiscardHandler)
	folder := certs.Folder(filepath.Join(dir, "certificates"))
	r := &secureRig{rig: &rig{t: t, addr: plain.Addr().String(), file: filepath.Join(dir, "table.json")}, secure: secure.Addr().String()}
	issued := make(chan struct{}, 100)
	r.certs = certs.New(certs.Options{Folder: folder, OverHTTP: true, Log: log, Told: func(e certs.Event) {
		if e.Kind == certs.Issued {
			issued <- struct{}{}
		}
	}})
	r.Server = NewServer(ServerOptions{File: r.file, Log: log, Certs: r.certs, SecurePort: secure.Addr().(*net.TCPAddr).Port})
	root, err := folder.Root(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	r.roots = x509.NewCertPool()
	r.roots.AppendCertsFromPEM(root)
	r.run(func(ctx context.Context) error { return r.Serve(ctx, plain, time.Second) })
	r.run(func(ctx context.Context) error { return r.ServeTLS(ctx, secure, time.Second) })
	r.run(r.certs.Run)
	r.apply(
		rule("app.localhost", app(t, answers)).with(func(o *Options) { o.TLS, o.RedirectHTTPS, o.HSTSSeconds = TLSInternal, true, 60 }),
		rule("app.localhost", app(t, answers)).at("/both").with(func(o *Options) { o.TLS = TLSInternal }),
		rule("plain.localhost", says(t, "plain")),
	)
	waittest.Next(t, "the certificate of app.localhost", issued)
	return r
}

// answers says by which protocol a target was asked, waits if asked to, and echoes after an upgrade.
func answers(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "echo" {
		conn, in, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_, _ = io.Copy(conn, in)
		return
	}
	fmt.Fprintf(w, "%s %s", r.Header.Get("X-Forwarded-Proto"), r.URL.Path)
}

// browser is a client that trusts our authority and finds every name at our listener.
func (r *secureRig) browser() *http.Client {
	transport := &http.Transport{
		ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: r.roots, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, r.secure)
		},
	}
	r.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

func TestManyStreamsOverOneConnectionOfHTTP2(t *testing.T) {
	r := newSecureRig(t)
	b := r.browser()
	var wait sync.WaitGroup
	for n := range 100 {
		wait.Go(func() {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("https://app.localhost/%d", n), nil)
			if err != nil {
				t.Error(err)
				return
			}
			resp, err := b.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			if err != nil || resp.ProtoMajor != 2 || string(text) != fmt.Sprintf("https /%d", n) || resp.Header.Get("Strict-Transport-Security") != "max-age=60" {
				t.Errorf("stream %d: %s %q %v, %v", n, resp.Proto, text, resp.Header, err)
			}
		})
	}
	wait.Wait()
}

func TestAConnectionOverTLSMayChangeItsProtocol(t *testing.T) {
	r := newSecureRig(t)
	conn, err := tls.Dial("tcp", r.secure, &tls.Config{RootCAs: r.roots, ServerName: "app.localhost", NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: app.localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the upgrade answers %d, %v", resp.StatusCode, err)
	}
	fmt.Fprint(conn, "ping\n")
	if line, err := in.ReadString('\n'); err != nil || line != "ping\n" {
		t.Errorf("the echo is %q, %v", line, err)
	}
}

func TestWhoComesOverHTTPIsSentToTLS(t *testing.T) {
	r := newSecureRig(t)
	_, port, err := net.SplitHostPort(r.secure)
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{"app.localhost": "https://app.localhost/x?y=1", "app.localhost:8081": "https://app.localhost:" + port + "/x?y=1"} {
		status, _, head := r.get(host, "/x?y=1")
		if status != http.StatusPermanentRedirect || head.Get("Location") != want || head.Get("Strict-Transport-Security") != "" {
			t.Errorf("%s: %d to %q, want %q", host, status, head.Get("Location"), want)
		}
	}
	if status, text, _ := r.get("app.localhost", "/both"); status != http.StatusOK || text != "http /both" {
		t.Errorf("a rule that does not redirect: %d %q", status, text)
	}
}

func TestNobodyComesOverTLSToWhatIsNotServedSo(t *testing.T) {
	r := newSecureRig(t)
	for _, name := range []string{"plain.localhost", "unknown.localhost"} {
		conn, err := tls.Dial("tcp", r.secure, &tls.Config{ServerName: name, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12})
		if err == nil {
			_ = conn.Close()
			t.Errorf("%s has a certificate", name)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://app.localhost/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "plain.localhost"
	resp, err := r.browser().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("another site over the connection of this one: %d", resp.StatusCode)
	}
}

func TestATableKeepsItsCertificatesOverARestart(t *testing.T) {
	r := newSecureRig(t)
	again := certs.New(certs.Options{Folder: certs.Folder(filepath.Join(filepath.Dir(r.file), "certificates")), Log: slog.New(slog.DiscardHandler)})
	s := NewServer(ServerOptions{File: r.file, Log: slog.New(slog.DiscardHandler), Certs: again})
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	cert, err := again.Certificate(&tls.ClientHelloInfo{ServerName: "APP.localhost."})
	if err != nil || !strings.Contains(strings.Join(cert.Leaf.DNSNames, " "), "app.localhost") {
		t.Errorf("after a restart there is no certificate before anything runs: %v", err)
	}
}

// TestClientsOverTLSLeaveWithTheServer: none of them keeps its connection to a process whose place another one has taken.
func TestClientsOverTLSLeaveWithTheServer(t *testing.T) {
	r := newSecureRig(t)
	for _, major := range []int{1, 2} {
		b := r.browser()
		if transport, ok := b.Transport.(*http.Transport); ok && major == 1 {
			transport.ForceAttemptHTTP2, transport.TLSClientConfig.NextProtos = false, []string{"http/1.1"}
		}
		ask := func() {
			t.Helper()
			resp, err := b.Get("https://app.localhost/")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.ProtoMajor != major || resp.Header.Get("Strict-Transport-Security") != "max-age=60" {
				t.Errorf("%s %v, %v", resp.Proto, resp.Header, err)
			}
			resp.Body.Close()
		}
		ask()
		if r.Busy() == 0 {
			t.Errorf("HTTP/%d: its connection was not kept", major)
		}
		r.Leave()
		ask()
		r.until(fmt.Sprintf("nobody of HTTP/%d is here any more", major), func() bool { return r.Busy() == 0 })
		r.leaving.Store(false)
	}
}
