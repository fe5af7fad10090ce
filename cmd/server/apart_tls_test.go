package main_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/letsencrypt/challtestsrv"
	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/loopbacktest"
)

// authority is a real ACME server (pebble) that comes to two ports of this machine for its proofs.
func authority(t *testing.T, httpAt, httpsAt string) (directory, roots string, trusted *x509.Certificate) {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	t.Setenv("PEBBLE_WFE_NONCEREJECT", "0")
	silent := log.New(io.Discard, "", 0)
	names := loopbacktest.Free(t)
	dns, err := challtestsrv.New(challtestsrv.Config{Log: silent, DNSAddrs: []string{names}})
	if err != nil {
		t.Fatal(err)
	}
	dns.SetDefaultDNSIPv4("127.0.0.1")
	dns.SetDefaultDNSIPv6("")
	go dns.Run()
	t.Cleanup(dns.Shutdown)
	store := db.NewMemoryStore()
	issuer := ca.New(silent, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {Description: "default", ValidityPeriod: 90 * 24 * 3600}})
	front := wfe.New(silent, store, va.New(silent, portIn(t, httpAt), portIn(t, httpsAt), false, names, store), issuer, []string{"pebble.test"}, false, false, 0, 0)
	server := httptest.NewTLSServer(front.Handler())
	t.Cleanup(server.Close)
	mine := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return server.URL + wfe.DirectoryPath, string(mine), issuer.GetRootCert(0).Cert
}

func portIn(t *testing.T, address string) int {
	t.Helper()
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// over asks for domains over TLS, at one address, by HTTP/2 or not.
func over(address string, roots *x509.CertPool, h2 bool) *http.Transport {
	return &http.Transport{
		ForceAttemptHTTP2: h2, TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}
}

// TestDataPlaneServesOverTLS has the data plane get certificates of an authority and of our own, and replaces all who serve under load.
func TestDataPlaneServesOverTLS(t *testing.T) {
	a := newApartBed(t)
	a.plane.end(syscall.SIGTERM)
	https := loopbacktest.Free(t)
	secure := []string{"--proxy-https", https}
	a.plane = a.launch(binary, secure...)
	directory, roots, root := authority(t, a.addr, https)
	engine := dockertest.Serve(t, dockertest.Docker29())
	d := a.feed(binary, engine)
	c := d.client(d.setUp())
	if _, err := c.SetAuthority(t.Context(), client.Authority{Directory: directory, Roots: roots}, "", ""); err != nil {
		t.Fatal(err)
	}
	target := site(t)
	for domain, by := range map[string]string{"shop.example": "auto", "shop.localhost": "internal"} {
		if _, err := c.CreateProxy(t.Context(), client.ProxyFields{RouteFields: client.RouteFields{Domains: &[]string{domain}, TLS: &by}, Targets: &[]string{target}}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "both certificates are told of and shown", func() bool {
		all, err := c.Certificates(t.Context())
		return err == nil && len(all) == 2 && all[0].State == "valid" && all[1].State == "valid" && !all[0].NotListening && told(t, c, "certificate.issued") == 2
	})
	if r := routing(t, c); r.ListenHTTPS != https || r.Listen != a.addr {
		t.Errorf("routing is %+v", r)
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(root)
	if own, err := c.OwnCA(t.Context()); err != nil || !trusted.AppendCertsFromPEM(own) {
		t.Fatal(err)
	}
	if _, err := c.RenewCertificate(t.Context(), "internal:shop.localhost"); err != nil {
		t.Errorf("a certificate is not renewed: %v", err)
	}

	everybody := gather(t, a.addr, "shop.example")
	ctx, end := context.WithCancel(t.Context())
	var overTLS sync.WaitGroup
	for _, h2 := range []bool{true, false} {
		overTLS.Go(func() {
			by := over(https, trusted, h2)
			defer by.CloseIdleConnections()
			for ctx.Err() == nil {
				everybody.askAt(ctx, by, "https://shop.example/")
			}
		})
	}
	t.Cleanup(func() { end(); overTLS.Wait() })
	everybody.goesOn()
	for range 2 {
		a.launch(binary, append(slices.Clone(secure), "--take-over")...)
		everybody.goesOn()
		everybody.socketLives()
	}
	d.end(syscall.SIGKILL)
	everybody.goesOn()
	end()
	overTLS.Wait()
	everybody.content()
}

// TestDataPlaneServesOverTLSWithoutADaemon starts one from its disk, and one whose folder is another than the daemon's.
func TestDataPlaneServesOverTLSWithoutADaemon(t *testing.T) {
	a := newApartBed(t)
	a.plane.end(syscall.SIGTERM)
	https := loopbacktest.Free(t)
	a.plane = a.launch(binary, "--proxy-https", https)
	engine := dockertest.Serve(t, dockertest.Docker29())
	d := a.feed(binary, engine)
	c := d.client(d.setUp())
	by := "internal"
	if _, err := c.CreateProxy(t.Context(), client.ProxyFields{RouteFields: client.RouteFields{Domains: &[]string{"shop.localhost"}, TLS: &by}, Targets: &[]string{site(t)}}); err != nil {
		t.Fatal(err)
	}
	own, err := c.OwnCA(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(own)
	answers := func() bool {
		transport := over(https, trusted, true)
		defer transport.CloseIdleConnections()
		resp, err := (&http.Client{Transport: transport, Timeout: patience}).Get("https://shop.localhost/")
		if err != nil {
			return false
		}
		_ = resp.Body.Close() // nobody reads it
		return resp.StatusCode == http.StatusOK
	}
	eventually(t, "it is served over TLS", answers)
	d.end(syscall.SIGKILL)
	a.plane.end(syscall.SIGKILL)
	a.plane = a.launch(binary, "--proxy-https", https)
	if !answers() {
		t.Error("the certificate of its disk is not served without a daemon")
	}
	a.plane.end(syscall.SIGTERM)

	elsewhere := append([]string{"proxy", "--proxy-http", a.addr, "--proxy-https", https, "--data", t.TempDir()}, "--proxy-socket", a.socket)
	launchPlane(t, exec.Command(binary, elsewhere...))
	d = a.feed(binary, engine)
	eventually(t, "the daemon warns of another folder", func() bool { return strings.Contains(d.stderr.String(), "keeps certificates elsewhere") })
}
