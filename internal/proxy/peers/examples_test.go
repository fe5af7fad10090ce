package peers

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/loopbacktest"
	"github.com/tiny-forge/docker-watcher/internal/waittest"
)

// example is a file of packaging/examples with some of it replaced, which must be in it.
func example(t *testing.T, name string, replaced ...string) string {
	t.Helper()
	text, err := os.ReadFile("../../../packaging/examples/" + name)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(replaced); i += 2 {
		if !bytes.Contains(text, []byte(replaced[i])) {
			t.Fatalf("%s has no %q", name, replaced[i])
		}
	}
	return strings.NewReplacer(replaced...).Replace(string(text))
}

// certified writes a certificate for a name and its key.
func certified(t *testing.T, name string) (cert, key string, trusted *x509.CertPool) {
	t.Helper()
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	plan := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{name},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, plan, plan, &secret.PublicKey, secret)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for file, text := range map[string][]byte{cert: chain, key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	trusted = x509.NewCertPool()
	trusted.AppendCertsFromPEM(chain)
	return cert, key, trusted
}

const exampleName = "watcher.example.org"

// pageBehind signs in as a browser does at the name of the examples, and wants the page, the session and the stream of events to be as they should.
func pageBehind(t *testing.T, d *daemon, browser *http.Client) {
	t.Helper()
	say := func(method, path, body string, head http.Header) answer {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "https://"+exampleName+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if head != nil {
			req.Header = head
		}
		req.Header.Set("Content-Type", "application/json")
		return send(t, browser, req)
	}
	first := say(http.MethodPost, "/api/setup", fmt.Sprintf(`{"code":%q,"name":"anna","password":"correct horse battery"}`, d.code), nil)
	cookies := (&http.Response{Header: first.head}).Cookies()
	i := slices.IndexFunc(cookies, func(c *http.Cookie) bool { return strings.HasPrefix(c.Name, "__Host-") })
	if first.status >= 300 || i < 0 || !cookies[i].Secure {
		t.Fatalf("the setup is answered %d %s, with %v", first.status, first.body, cookies)
	}
	from := func(origin, site string) http.Header {
		return http.Header{"Cookie": {cookies[i].Name + "=" + cookies[i].Value}, "Origin": {origin}, "Sec-Fetch-Site": {site}}
	}
	const change = `{"plan_max_items":40}`
	if a := say(http.MethodPatch, "/api/settings", change, from("https://"+exampleName, "same-origin")); a.status != http.StatusOK {
		t.Errorf("its own page is answered %d %s", a.status, a.body)
	}
	if a := say(http.MethodPatch, "/api/settings", change, from("https://evil.example", "cross-site")); a.status != http.StatusForbidden {
		t.Errorf("another page is answered %d %s", a.status, a.body)
	}
	large := `{"document":"` + strings.Repeat("x", 3<<20) + `"}`
	if a := say(http.MethodPost, "/api/proxies/import", large, from("https://"+exampleName, "same-origin")); a.status != http.StatusUnprocessableEntity {
		t.Errorf("a large import is answered %d %.200s", a.status, a.body)
	}

	over, err := client.New("https://"+exampleName, client.WithHTTPClient(browser), client.WithCredential(cookies[i].Value))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	seen, connected := make(chan string, 100), make(chan struct{}, 10)
	ended := make(chan error, 1)
	go func() {
		ended <- over.Stream(ctx, client.StreamOptions{Once: true, Connected: func() { connected <- struct{}{} }}, func(e client.Event) error {
			seen <- e.Message
			return nil
		})
	}()
	select {
	case <-connected:
	case err := <-ended:
		t.Fatalf("the stream ended: %v", err)
	}
	began := time.Now()
	event(t, over, "through")
	for message := ""; !strings.Contains(message, "through"); {
		select {
		case message = <-seen:
		case err := <-ended:
			t.Fatalf("the stream ended: %v", err)
		}
	}
	if waited := time.Since(began); waited > 10*time.Second { // what is held back comes when a buffer is full
		t.Errorf("an event is held back for %s", waited)
	}
	cancel()
	if err := waittest.Next(t, "the stream that was left ends", ended); !errors.Is(err, context.Canceled) {
		t.Errorf("the stream ends by %v", err)
	}
}

func TestExampleOfNginx(t *testing.T) {
	t.Parallel()
	d := launch(t)
	cert, key, trusted := certified(t, exampleName)
	front := newNginx(t, example(t, "nginx.conf", "listen 443 ssl;", "listen ADDR ssl;", "http://127.0.0.1:8080;", "http://"+d.addr+";",
		"/etc/ssl/certs/watcher.example.org.pem", cert, "/etc/ssl/private/watcher.example.org.key", key))
	pageBehind(t, d, over(t, front.addr, trusted))
}

// TestExampleOfCaddy runs it as it stands, but for the address, and for the certificate, which nobody gives us for that name.
func TestExampleOfCaddy(t *testing.T) {
	t.Parallel()
	program := peer(t, "CADDY")
	if out, err := exec.CommandContext(t.Context(), program, "adapt", "--adapter", "caddyfile", "--config", "../../../packaging/examples/Caddyfile").CombinedOutput(); err != nil {
		t.Fatalf("Caddy does not take it: %v\n%s", err, out)
	}
	d := launch(t)
	cert, key, trusted := certified(t, exampleName)
	addr := loopbacktest.Free(t)
	_, port, _ := strings.Cut(addr, ":")
	dir := t.TempDir()
	file := filepath.Join(dir, "Caddyfile")
	text := "{\nadmin off\ndefault_bind 127.0.0.1\nauto_https disable_redirects\n}\n" +
		example(t, "Caddyfile", "watcher.example.org {", "https://watcher.example.org:"+port+" {\n\ttls "+cert+" "+key, "127.0.0.1:8080", d.addr)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "run", "--adapter", "caddyfile", "--config", file)
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended, why := make(chan error, 1), func() string { return "" }
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended by itself
		if err := <-ended; err == nil || t.Failed() {
			t.Log(err, log.String())
		}
	})
	listens(t, addr, ended, why)
	pageBehind(t, d, over(t, addr, trusted))
}

// buildCommand makes the command line, once for all tests.
var buildCommand = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp(os.Getenv("DOCKER_WATCHER_TEST_NGINX_DIR"), "command")
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "docker-watcher")
	cmd := exec.Command("go", "build", "-trimpath", "-o", program, "github.com/tiny-forge/docker-watcher/cmd/docker-watcher")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the command line: %w: %s", err, out)
	}
	return program, nil
})

// TestExampleOfASocketProxy: the daemon does its work through an nginx before the engine's socket that is set up by what
// the command line writes, and nothing else comes through.
func TestExampleOfASocketProxy(t *testing.T) {
	t.Parallel()
	program, err := buildCommand()
	if err != nil {
		t.Fatal(err)
	}
	engine := dockertest.Serve(t, dockertest.Docker29())
	straight := launch(t, append(withToken(t), "--docker-host", engine.Endpoint())...)
	write := exec.CommandContext(t.Context(), program, "socket-policy", "--format", "nginx", "--url", "http://"+straight.addr)
	write.Env = []string{"DOCKER_WATCHER_TOKEN=" + token, "DOCKER_WATCHER_URL=http://" + straight.addr, "HOME=" + t.TempDir()}
	policy, err := write.Output()
	if err != nil || len(policy) < 1000 {
		t.Fatalf("the policy is %q, %v", policy, err)
	}
	list := filepath.Join(t.TempDir(), "engine.conf")
	if err := os.WriteFile(list, policy, 0o600); err != nil {
		t.Fatal(err)
	}
	whole := example(t, "socket-proxy.conf", "listen 2375;", "listen ADDR;", "/var/run/docker.sock", strings.TrimPrefix(engine.Endpoint(), "unix://"), "/etc/nginx/engine.conf", list)
	_, blocks, _ := strings.Cut(whole, "http {\n  access_log off;")
	front := newNginx(t, blocks[:strings.LastIndex(blocks, "}")])

	d := launch(t, append(withToken(t), "--docker-host", "tcp://"+front.addr)...)
	late, tick := time.After(patience), time.NewTicker(50*time.Millisecond)
	defer tick.Stop()
	for well := false; !well; {
		select {
		case <-tick.C:
			hosts, err := admin(t, d.addr).Hosts(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			well = len(hosts) == 1 && hosts[0].Version == "29.0.0" && !hosts[0].LastGoodScanAt.IsZero()
		case <-late:
			told, err := admin(t, d.addr).Events(t.Context(), client.EventFilter{}, client.Page{})
			t.Fatalf("through nginx its engine is not watched: %+v, %v", told.Items, err)
		}
	}
	engine.ResetCalls()
	for _, c := range [][2]string{{http.MethodGet, "/v1.45/secrets"}, {http.MethodPost, "/v1.45/containers/abc/exec"}, {http.MethodPost, "/containers/prune"}, {http.MethodGet, "/containers/abc/archive"}} {
		if a := ask(t, http.DefaultClient, c[0], front.addr, c[1], nil, nil); a.status != http.StatusForbidden {
			t.Errorf("%s %s is answered %d %s", c[0], c[1], a.status, a.body)
		}
	}
	if asked := engine.Requests("exec"); len(asked) > 0 {
		t.Errorf("the engine was asked: %v", asked)
	}
}
