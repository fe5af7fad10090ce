package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
)

// authorityRig is a real ACME server (pebble), its DNS, and our two listeners to which it comes for proofs.
type authorityRig struct {
	t        *testing.T
	acme     ACME
	orders   atomic.Int64
	refusing atomic.Bool // it answers no more
	limiting atomic.Bool // it says that it was asked too often
	roots    *x509.CertPool
	manage   http.Handler
	keeper   atomic.Pointer[Keeper] // who answers now
	secure   string                 // address of our TLS
	zone     *zone
}

// newAuthority starts them. Certificates last so long.
func newAuthority(t *testing.T, lasts time.Duration) *authorityRig {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	t.Setenv("PEBBLE_WFE_NONCEREJECT", "0")
	t.Setenv("PEBBLE_AUTHZREUSE", "0")
	r := &authorityRig{t: t}
	silent := log.New(io.Discard, "", 0)
	r.zone = newZone(t)
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if k := r.keeper.Load(); k == nil || !k.Challenge(w, req) {
			http.NotFound(w, req)
		}
	}))
	t.Cleanup(plain.Close)
	secure := r.serveTLS()

	store := db.NewMemoryStore()
	issuer := ca.New(silent, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {Description: "default", ValidityPeriod: uint64(lasts.Seconds())}})
	validator := va.New(silent, portOf(plain.Listener), secure, false, r.zone.addr, store)
	front := wfe.New(silent, store, validator, issuer, []string{"pebble.test"}, false, false, 0, 0)
	if err := store.AddExternalAccountKeyByID("kid-1", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"); err != nil {
		t.Fatal(err)
	}
	r.manage = front.ManagementHandler()
	handler := front.Handler()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch {
		case r.refusing.Load():
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		case strings.Contains(req.URL.Path, "order-plz"):
			r.orders.Add(1)
			if r.limiting.Load() {
				w.Header().Set("Content-Type", "application/problem+json")
				w.WriteHeader(http.StatusTooManyRequests)
				_, _ = io.WriteString(w, `{"type":"urn:ietf:params:acme:error:rateLimited","status":429,"detail":"too many certificates already issued, retry after 2031-05-06 07:08:09 UTC: see the page"}`)
				return
			}
		}
		handler.ServeHTTP(w, req)
	}))
	t.Cleanup(server.Close)
	r.acme = ACME{Directory: server.URL + wfe.DirectoryPath, Email: "ops@example.com", Roots: string(pemOf(server.Certificate().Raw))}
	r.roots = x509.NewCertPool()
	r.roots.AddCert(issuer.GetRootCert(0).Cert)
	return r
}

// serveTLS is our https.
func (r *authorityRig) serveTLS() (port int) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	r.secure = l.Addr().String()
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { _, _ = io.WriteString(w, "hello "+req.Host) }), ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			if k := r.keeper.Load(); k != nil {
				return k.TLS(), nil
			}
			return nil, ErrNone
		}},
	}
	go func() { _ = srv.ServeTLS(l, "", "") }()
	r.t.Cleanup(func() { _ = srv.Close() })
	return portOf(l)
}

func portOf(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

func pemOf(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// run is a keeper at work, with what it tells.
type run struct {
	*Keeper
	r      *authorityRig
	events chan Event
	stop   func()
}

// start lets a keeper work on a folder until stop or the end of the test.
func (r *authorityRig) start(folder Folder, wants ...Want) *run {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.t.Context()))
	k := &run{r: r, events: make(chan Event, 100)}
	k.Keeper = New(Options{
		Folder: folder, OverHTTP: true, Told: func(e Event) { k.events <- e }, Log: slog.New(slog.DiscardHandler),
		Open: func(sealed string) (string, error) { return strings.TrimPrefix(sealed, "sealed:"), nil },
	})
	k.first = 200 * time.Millisecond
	k.names.services = map[string]func(string) certmagic.DNSProvider{"pretend": r.zone.service}
	k.names.resolvers, k.names.patience = []string{r.zone.addr}, propagation
	r.keeper.Store(k.Keeper)
	done := make(chan error, 1)
	k.Apply(wants, r.acme)
	go func() { done <- k.Run(ctx) }()
	k.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Error(err)
		}
	})
	r.t.Cleanup(k.stop)
	return k
}

// next is the next thing that is told; others of some kinds may come before it.
func (k *run) next(kind Kind, before ...Kind) Event {
	k.r.t.Helper()
	late := time.After(time.Minute)
	for {
		select {
		case e := <-k.events:
			if e.Kind == kind {
				return e
			}
			if !slices.Contains(before, e.Kind) {
				k.r.t.Fatalf("told %s of %s (%+v), want %s", e.Kind, e.ID, e.Trouble, kind)
			}
		case <-late:
			k.r.t.Fatalf("nothing is told, want %s", kind)
		}
	}
}

// visit asks our https as a client that trusts the roots; the certificate that it was shown, or why none.
func (r *authorityRig) visit(domain string, roots *x509.CertPool) (*x509.Certificate, error) {
	conn, err := (&tls.Dialer{Config: &tls.Config{ServerName: domain, RootCAs: roots, MinVersion: tls.VersionTLS12}}).DialContext(r.t.Context(), "tcp", r.secure)
	if err != nil {
		return nil, fmt.Errorf("visit %s: %w", domain, err)
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}

// revokeSoon has the authority say that a certificate is to be renewed at once, as it does before it revokes one.
func (r *authorityRig) revokeSoon(leaf *x509.Certificate) {
	r.t.Helper()
	past := time.Now().Add(-time.Hour)
	ari, err := json.Marshal(map[string]any{"suggestedWindow": map[string]any{"start": past.Add(-time.Hour), "end": past}})
	if err != nil {
		r.t.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{"certificate": string(pemOf(leaf.Raw)), "ariResponse": string(ari)})
	if err != nil {
		r.t.Fatal(err)
	}
	req := httptest.NewRequestWithContext(r.t.Context(), http.MethodPost, "/set-renewal-info/", strings.NewReader(string(body)))
	req.Header.Set("User-Agent", "test")
	w := httptest.NewRecorder()
	r.manage.ServeHTTP(w, req)
	if w.Code != http.StatusOK {
		r.t.Fatalf("set the renewal info: %d %s", w.Code, w.Body)
	}
}

// ownPair is a certificate that somebody may upload.
func ownPair(t *testing.T, folder Folder, lasts time.Duration, domain string) (chain, key []byte) {
	t.Helper()
	a, err := folder.authority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if chain, key, err = a.vouch(domain, time.Now().Add(lasts-leafLife)); err != nil {
		t.Fatal(err)
	}
	return chain, key
}

func mustRoot(t *testing.T, folder Folder) []byte {
	t.Helper()
	root, err := folder.Root(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func contextFor(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(context.WithoutCancel(t.Context()), d)
}

func helloFrom(conn net.Conn) *tls.ClientHelloInfo { return &tls.ClientHelloInfo{Conn: conn} }
