package main_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/caddy/caddytest"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
)

// get asks for a domain at an address.
func get(t *testing.T, addr, host, authorization string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// TestCaddyServesWhileTheDaemonIsDown: what was applied stays, and the next start finds it in step.
func TestCaddyServesWhileTheDaemonIsDown(t *testing.T) {
	engine, caddy := dockertest.Serve(t, dockertest.Docker29()), caddytest.Start(t)
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here") }))
	defer target.Close()
	args := append(flags(t.TempDir(), engine.Endpoint()), "--proxy-driver", "caddy", "--caddy-admin", caddy.Admin(), "--proxy-http", caddy.Listen)
	d := launch(t, args...)
	credential := d.setUp()
	if _, err := d.client(credential).CreateProxy(t.Context(), client.ProxyFields{Targets: &[]string{target.URL}, RouteFields: client.RouteFields{Domains: &[]string{"a.example"}}}); err != nil {
		t.Fatal(err)
	}
	before, err := d.client(credential).Routing(t.Context())
	if err != nil || before.State != "in_step" {
		t.Fatalf("the state is %+v, %v", before, err)
	}
	if code := d.end(syscall.SIGTERM); code != 0 {
		t.Errorf("it ends with %d: %s", code, d.stderr.String())
	}
	if status, text := get(t, "http://"+caddy.Listen, "a.example", ""); status != 200 || text != "here" {
		t.Errorf("without the daemon it answers %d %s", status, text)
	}
	d = launch(t, args...)
	eventually(t, "it is in step", func() bool {
		now, err := d.client(credential).Routing(t.Context())
		return err == nil && now.State == "in_step" && now.AppliedHash == before.AppliedHash
	})
}

// TestTraefikAsksWithItsToken: the token is made once, for its owner alone, and opens this and nothing else.
func TestTraefikAsksWithItsToken(t *testing.T) {
	engine, data := dockertest.Serve(t, dockertest.Docker29()), t.TempDir()
	args := append(flags(data, engine.Endpoint()), "--proxy-driver", "traefik")
	d := launch(t, args...)
	file := filepath.Join(data, "traefik-token")
	token, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info, err)
	}
	bearer := "Bearer " + strings.TrimSpace(string(token))
	eventually(t, "Traefik is told", func() bool {
		status, text := get(t, d.url+"/api/proxy/traefik", "", bearer)
		return status == 200 && text == "{}"
	})
	if status, _ := get(t, d.url+"/api/proxy/traefik", "", "Bearer x"); status != 404 {
		t.Errorf("another token is answered %d", status)
	}
	if status, _ := get(t, d.url+"/api/routes", "", bearer); status != 401 {
		t.Errorf("the token opens the API: %d", status)
	}
	if code := d.end(syscall.SIGTERM); code != 0 {
		t.Errorf("it ends with %d: %s", code, d.stderr.String())
	}
	launch(t, args...)
	if again, err := os.ReadFile(file); err != nil || string(again) != string(token) {
		t.Errorf("the token was made anew, %v", err)
	}
}

func TestAShortTokenOfTraefikIsRefused(t *testing.T) {
	data := t.TempDir()
	file := filepath.Join(data, "short")
	if err := os.WriteFile(file, []byte("geheim\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, said := refuse(t, append(flags(data, "unix:///nobody.sock"), "--proxy-driver", "traefik", "--traefik-token-file", file)...)
	if code != 1 || !strings.Contains(said, "fewer than 32 characters") || strings.Contains(said, "geheim") {
		t.Errorf("it exits with %d and says %s", code, said)
	}
}

// TestCertificatesOfADriverAreInTheDataFolder: those that are uploaded, and our own authority, also where another program serves.
func TestCertificatesOfADriverAreInTheDataFolder(t *testing.T) {
	engine, data, elsewhere := dockertest.Serve(t, dockertest.Docker29()), t.TempDir(), t.TempDir()
	cmd := exec.Command(binary, append(flags(data, engine.Endpoint()), "--proxy-driver", "traefik")...)
	cmd.Dir = elsewhere
	d := launchCommand(t, cmd)
	c := d.client(d.setUp())
	some := httptest.NewTLSServer(nil)
	some.Close()
	pair := some.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})
	if made, err := c.UploadCertificate(t.Context(), "some", string(chain), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))); err != nil || made.ID != "own:some" {
		t.Fatalf("uploaded is %+v, %v", made, err)
	}
	if _, err := c.OwnCA(t.Context()); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(data, "certificates")
	for path, mode := range map[string]os.FileMode{folder: 0o700 | os.ModeDir, filepath.Join(folder, "own", "some.pem"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
	if left, err := os.ReadDir(elsewhere); err != nil || len(left) != 0 {
		t.Errorf("where it was started there is %v, %v", left, err)
	}
	if l, err := c.Certificates(t.Context()); err != nil || len(l) != 1 {
		t.Errorf("listed are %+v, %v", l, err)
	}
}
