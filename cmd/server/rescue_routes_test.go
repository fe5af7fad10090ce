package main_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"database/sql"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/loopbacktest"
)

// spoil damages the database of a data folder: all but its first page.
func spoil(t *testing.T, data string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(data, "docker-watcher.db"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(bytes.Repeat([]byte{0xa5}, int(size)-4096), 4096); err != nil {
		t.Fatal(err)
	}
}

// visited asks for a host by a way to it; 0: nobody answered.
func visited(t *testing.T, by http.RoundTripper, url, host string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	resp, err := by.RoundTrip(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(body)
}

// TestDamagedDatabaseTakesNoSiteDown starts on a damaged database: routes are served by the last good table, also over TLS.
func TestDamagedDatabaseTakesNoSiteDown(t *testing.T) {
	t.Parallel()
	engine := dockertest.Serve(t, dockertest.Docker29())
	data, plain, secure := t.TempDir(), loopbacktest.Free(t), loopbacktest.Free(t)
	args := append(append(flags(data, engine.Endpoint()), "--proxy-http", plain, "--proxy-https", secure), inFile(data)...)
	d := launch(t, args...)
	c := d.client(d.setUp())
	target, by := site(t), "internal"
	lead(t, c, "shop.example", target)
	if _, err := c.CreateProxy(t.Context(), client.ProxyFields{RouteFields: client.RouteFields{Domains: &[]string{"shop.localhost"}, TLS: &by}, Targets: &[]string{target}}); err != nil {
		t.Fatal(err)
	}
	own, err := c.OwnCA(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(own)
	overTLS := func() int {
		transport := over(secure, trusted, true)
		defer transport.CloseIdleConnections()
		code, _ := visited(t, transport, "https://shop.localhost/", "")
		return code
	}
	eventually(t, "there is a certificate", func() bool { return overTLS() == http.StatusOK })
	if code := d.end(syscall.SIGTERM); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	spoil(t, data)
	damaged := read(t, filepath.Join(data, "docker-watcher.db"))
	engine.ResetCalls()

	d = launch(t, args...)
	if code, text := visited(t, http.DefaultTransport, "http://"+plain+"/", "shop.example"); code != http.StatusOK || text != "the site says " {
		t.Errorf("the route is answered with %d %s", code, text)
	}
	if code, _ := visited(t, http.DefaultTransport, "http://"+plain+"/", "nobody.example"); code != http.StatusNotFound {
		t.Errorf("an unknown host is answered with %d", code)
	}
	eventually(t, "the certificate on disk is served", func() bool { return overTLS() == http.StatusOK })
	if code, text := d.status("/"); code != http.StatusServiceUnavailable || !strings.Contains(text, "server restore ") || !strings.Contains(text, "Routes are served as they last were, at "+plain) {
		t.Errorf("the page is %d %s", code, text)
	}
	if asked := engine.Requests(""); len(asked) > 0 {
		t.Errorf("an engine was asked: %v", asked)
	}
	if code := d.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d:\n%s", code, d.stderr.String())
	}
	if read(t, filepath.Join(data, "docker-watcher.db")) != damaged {
		t.Error("the damaged file was changed")
	}

	// A table that is damaged too is served by nobody, and is no reason not to tell the way out.
	if err := os.WriteFile(filepath.Join(data, "proxy-table.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	d = launch(t, args...)
	if _, text := d.status("/"); !strings.Contains(text, "server restore ") || !strings.Contains(text, "No routes are served: read the last good table") {
		t.Errorf("the page is %s", text)
	}
	if code, _ := visited(t, http.DefaultTransport, "http://"+plain+"/", "shop.example"); code != http.StatusNotFound {
		t.Errorf("the route is answered with %d", code)
	}
}

// TestAnUnreadableSettingTakesNoSiteDown: a start that one value keeps from its work serves the routes as they last were and tells the way out,
// and goes on as before once that is mended.
func TestAnUnreadableSettingTakesNoSiteDown(t *testing.T) {
	t.Parallel()
	engine := dockertest.Serve(t, dockertest.Docker29())
	data, plain := t.TempDir(), loopbacktest.Free(t)
	args := append(append(flags(data, engine.Endpoint()), "--proxy-http", plain), inFile(data)...)
	d := launch(t, args...)
	credential := d.setUp()
	lead(t, d.client(credential), "shop.example", site(t))
	if _, err := d.client(credential).UpdateSettings(t.Context(), map[string]any{"plan_max_items": 7}); err != nil {
		t.Fatal(err)
	}
	if code := d.end(syscall.SIGTERM); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	set := func(value string) {
		t.Helper()
		db, err := sql.Open("sqlite", filepath.Join(data, "docker-watcher.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		if _, err := db.ExecContext(t.Context(), `UPDATE settings SET value = $1 WHERE name = 'plan_max_items'`, value); err != nil {
			t.Fatal(err)
		}
	}
	set("canary-plenty")
	engine.ResetCalls()

	d = launch(t, args...)
	if code, text := visited(t, http.DefaultTransport, "http://"+plain+"/", "shop.example"); code != http.StatusOK || text != "the site says " {
		t.Errorf("the route is answered with %d %s", code, text)
	}
	for _, path := range []string{"/", "/readyz", "/api/settings"} {
		code, text := d.status(path)
		if code != http.StatusServiceUnavailable || !strings.Contains(text, "A value in the database cannot be read") || !strings.Contains(text, " restore FILE --data "+data) {
			t.Errorf("%s is %d %s", path, code, text)
		}
		if strings.Contains(text, "damaged") || strings.Contains(text, "canary") || strings.Contains(text, "plan_max_items") {
			t.Errorf("%s tells everybody: %s", path, text)
		}
	}
	if _, text := d.status("/"); !strings.Contains(text, "Routes are served as they last were, at "+plain) {
		t.Errorf("the page is %s", text)
	}
	if asked := engine.Requests("DELETE"); len(asked) > 0 {
		t.Errorf("an engine was told to remove: %v", asked)
	}
	if code := d.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d:\n%s", code, d.stderr.String())
	}
	if said := d.stderr.String(); !strings.Contains(said, "only the way out is told") || !strings.Contains(said, "plan_max_items") || strings.Contains(said, "goroutine ") {
		t.Errorf("the log says:\n%s", said)
	}

	set("7")
	d = launch(t, args...)
	if s, err := d.client(credential).Settings(t.Context()); err != nil || s.PlanMaxItems != 7 {
		t.Errorf("%+v, %v", s, err)
	}
	if code, _ := visited(t, http.DefaultTransport, "http://"+plain+"/", "shop.example"); code != http.StatusOK {
		t.Errorf("the route is answered with %d", code)
	}
}

// TestDamageAtWorkInterruptsNoRoute damages the database under load: no request fails, and no open connection is cut, until the daemon is ended.
func TestDamageAtWorkInterruptsNoRoute(t *testing.T) {
	t.Parallel()
	engine := dockertest.Serve(t, dockertest.Docker29())
	data, plain := t.TempDir(), loopbacktest.Free(t)
	args := append(append(flags(data, engine.Endpoint()), "--proxy-http", plain), inFile(data)...)
	args[1] = loopbacktest.Free(t) // the way out is told at the same place
	d := launch(t, args...)
	credential := d.setUp()
	lead(t, d.client(credential), "shop.example", site(t))
	if code := d.end(syscall.SIGTERM); code != 0 { // all is in the file then, and nothing known by heart
		t.Fatalf("exit code %d", code)
	}
	d = launch(t, args...)
	everybody := gather(t, plain, "shop.example")
	everybody.goesOn()
	spoil(t, data)
	d.meetsDamage(credential)
	everybody.goesOn()
	everybody.socketLives()
	everybody.streamLives()
	if _, text := d.status("/"); !strings.Contains(text, "Routes are served as they last were") {
		t.Errorf("the page is %s", text)
	}
	everybody.content()
	everybody.leave()
	if code := d.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if code, _ := visited(t, http.DefaultTransport, "http://"+plain+"/", "shop.example"); code != 0 {
		t.Errorf("after the end it is answered with %d", code)
	}
	if said := d.stderr.String(); strings.Contains(said, "goroutine ") || strings.Contains(said, "an event of the proxy was not written") {
		t.Errorf("the log says:\n%s", said)
	}
}
