package peers

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/waittest"
)

// build makes the daemon, once for all tests.
var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp(os.Getenv("DOCKER_WATCHER_TEST_NGINX_DIR"), "server")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "server")
	cmd := exec.Command("go", "build", "-trimpath", "-o", binary, "github.com/tiny-forge/docker-watcher/cmd/server")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the daemon: %w: %s", err, out)
	}
	return binary, nil
})

const token = "peers-0123456789abcdef0123456789abcdef"

// daemon is a real one with its proxy.
type daemon struct {
	addr  string // of the page
	front string // of the proxy
	data  string
	code  string // of the setup
}

var (
	readyLine = regexp.MustCompile(`http://([^/\s]+)(?:/setup#code=(\S+))?`)
	proxyLine = regexp.MustCompile(`serves routes at http://(\S+)`)
)

func launch(t *testing.T, args ...string) *daemon {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{data: t.TempDir()}
	cmd := exec.Command(binary, append([]string{"--listen", "127.0.0.1:0", "--proxy-http", "127.0.0.1:0", "--data", d.data, "--docker-host", dockertest.Serve(t, dockertest.Docker28()).Endpoint()}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 100)
	ended := make(chan error, 1)
	go func() {
		for in := bufio.NewScanner(out); in.Scan(); {
			lines <- in.Text()
		}
		ended <- cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // it may have ended
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("the daemon: %v", err)
			}
		case <-time.After(patience):
			t.Error("the daemon does not end")
			_ = cmd.Process.Kill() // it may just have ended
		}
	})
	late := time.After(patience)
	for d.addr == "" || d.front == "" {
		select {
		case line := <-lines:
			if m := proxyLine.FindStringSubmatch(line); m != nil {
				d.front = m[1]
			} else if m := readyLine.FindStringSubmatch(line); m != nil {
				d.addr, d.code = m[1], m[2]
			}
		case err := <-ended:
			ended <- err
			t.Fatalf("the daemon ended: %v", err)
		case <-late:
			t.Fatal("the daemon is not ready")
		}
	}
	return d
}

// admin is a client of the API at an address, with all rights.
func admin(t *testing.T, addr string) *client.Client {
	t.Helper()
	c, err := client.New("http://"+addr, client.WithCredential(token))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func withToken(t *testing.T) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"--admin-token-file", file}
}

// plainFront is what most people write: all that nginx does by itself.
const plainFront = `server { listen ADDR; location / { proxy_pass http://%s; } }`

// event makes one, and returns its message.
func event(t *testing.T, c *client.Client, name string) string {
	t.Helper()
	if _, err := c.CreateProject(t.Context(), client.NewProject{Name: name, Image: "registry.example/" + name}); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestEventsThroughNginx is acceptance test 27.
func TestEventsThroughNginx(t *testing.T) {
	t.Parallel()
	d := launch(t, withToken(t)...)
	front := newNginx(t, fmt.Sprintf(plainFront, d.addr))
	straight := admin(t, d.addr)
	got, again := make(chan client.Event, 100), make(chan struct{}, 10)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- admin(t, front.addr).Stream(ctx, client.StreamOptions{Connected: func() { again <- struct{}{} }}, func(e client.Event) error {
			got <- e
			return nil
		})
	}()
	next := func(name string) {
		t.Helper()
		for {
			select {
			case e := <-got:
				if strings.Contains(e.Message, name) {
					return
				}
				if strings.Contains(e.Message, "step-") {
					t.Errorf("before %s comes %q once more, or too early", name, e.Message)
				}
			case <-time.After(patience):
				t.Fatalf("%s does not come", name)
			}
		}
	}
	waittest.Next(t, "the stream through nginx", again)
	for n := range 3 {
		began := time.Now()
		next(event(t, straight, fmt.Sprintf("step-%d", n)))
		if waited := time.Since(began); waited > 10*time.Second { // what is held back comes when a buffer is full
			t.Errorf("nginx holds an event back for %s", waited)
		}
	}
	front.stop()
	event(t, straight, "step-away-1")
	event(t, straight, "step-away-2")
	front.start()
	next("step-away-1")
	next("step-away-2")
	next(event(t, straight, "step-back"))
	cancel()
	if err := waittest.Next(t, "the stream that was left ends", done); !errors.Is(err, context.Canceled) {
		t.Errorf("the stream ends by %v", err)
	}
}

// TestHeartbeatsThroughNginx: with the settings that nginx has by itself something comes long before its patience of 60 s is over.
func TestHeartbeatsThroughNginx(t *testing.T) {
	t.Parallel()
	d := launch(t, withToken(t)...)
	front := newNginx(t, fmt.Sprintf(plainFront, d.addr))
	began := time.Now()
	lines, head := events(t, front.addr, "")
	if head.Get("Content-Type") != "text/event-stream" || head.Get("Cache-Control") != "no-store" {
		t.Errorf("the head is %v", head)
	}
	for line := range lines {
		if line == "event: ping" && time.Since(began) > time.Second {
			break
		}
	}
	if waited := time.Since(began); waited > 45*time.Second {
		t.Errorf("the first heartbeat comes after %s", waited)
	}
}

// TestEventsThroughAnImpatientNginx: a stream that nginx has cut for saying nothing is resumed where it was.
func TestEventsThroughAnImpatientNginx(t *testing.T) {
	t.Parallel()
	d := launch(t, withToken(t)...)
	front := newNginx(t, fmt.Sprintf(`server { listen ADDR; proxy_read_timeout 5s; location / { proxy_pass http://%s; } }`, d.addr))
	straight := admin(t, d.addr)
	lines, _ := events(t, front.addr, "")
	event(t, straight, "first")
	last := ""
	for line := range lines { // until it is cut
		if id, ok := strings.CutPrefix(line, "id: "); ok {
			last = id
		}
	}
	if last == "" {
		t.Fatal("no event came before nginx cut the stream")
	}
	event(t, straight, "meanwhile")
	lines, _ = events(t, front.addr, last)
	for line := range lines {
		if strings.HasPrefix(line, "data: ") && strings.Contains(line, "project") { // and not the greeting
			if strings.Contains(line, "first") || !strings.Contains(line, "meanwhile") {
				t.Errorf("after %s comes %s", last, line)
			}
			return
		}
	}
	t.Error("nothing comes when the stream is resumed")
}

// events opens the stream as a page does, and hands out its lines until it ends.
func events(t *testing.T, addr, last string) (<-chan string, http.Header) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/api/events/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	resp, err := http.DefaultClient.Do(req) //nolint:bodyclose // the reader of its lines closes it
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("the stream is answered %s", resp.Status)
	}
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		defer resp.Body.Close()
		for in := bufio.NewScanner(resp.Body); in.Scan(); {
			lines <- in.Text()
		}
	}()
	return lines, resp.Header
}

// TestSigningInThroughNginx speaks to the daemon as behind an nginx that speaks TLS, set up as the documents say.
func TestSigningInThroughNginx(t *testing.T) {
	t.Parallel()
	d := launch(t)
	front := newNginx(t, fmt.Sprintf(`server { listen ADDR; location / {
  proxy_pass http://%s; proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Proto https; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
} }`, d.addr))
	far := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).DialContext}}
	say := func(method, path, body string, head http.Header) answer {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+front.addr+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if req.Header = head; head == nil {
			req.Header = http.Header{}
		}
		req.Host = "watch.example"
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("X-Forwarded-For", "6.6.6.6") // a lie
		return send(t, far, req)
	}
	first := say(http.MethodPost, "/api/setup", fmt.Sprintf(`{"code":%q,"name":"anna","password":"correct horse battery"}`, d.code), nil)
	cookies := (&http.Response{Header: first.head}).Cookies()
	i := slices.IndexFunc(cookies, func(c *http.Cookie) bool { return strings.HasPrefix(c.Name, "__Host-") })
	if first.status >= 300 || i < 0 {
		t.Fatalf("the setup is answered %d %s, with %v", first.status, first.body, cookies)
	}
	cookie := cookies[i]
	if !cookie.Secure || !cookie.HttpOnly || cookie.Path != "/" || cookie.Domain != "" {
		t.Errorf("the cookie is %v", cookie)
	}
	with := func(more ...string) http.Header {
		h := http.Header{"Cookie": {cookie.Name + "=" + cookie.Value}}
		for n := 0; n < len(more); n += 2 {
			h.Set(more[n], more[n+1])
		}
		return h
	}
	const change = `{"plan_max_items":40}`
	for name, c := range map[string]struct {
		head http.Header
		want int
	}{
		"its own page":                     {with("Origin", "https://watch.example"), 200},
		"its own page, as browsers say it": {with("Origin", "https://watch.example", "Sec-Fetch-Site", "same-origin"), 200},
		"another page":                     {with("Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"), 403},
		"another page, of an old browser":  {with("Origin", "https://evil.example"), 403},
		"nobody":                           {nil, 401},
	} {
		if a := say(http.MethodPatch, "/api/settings", change, c.head); a.status != c.want {
			t.Errorf("%s: it is answered %d %s, want %d", name, a.status, a.body, c.want)
		}
	}

	if a := say(http.MethodGet, "/api/me/sessions", "", with()); !strings.Contains(a.body, `"127.0.0.1"`) || strings.Contains(a.body, "6.6.6.6") {
		t.Errorf("by an nginx that is not named they are signed in at %s", a.body)
	}
	if a := say(http.MethodPatch, "/api/settings", `{"trusted_proxies":"127.0.0.1"}`, with()); a.status != http.StatusOK {
		t.Fatalf("the setting: %d %s", a.status, a.body)
	}
	if a := say(http.MethodPost, "/api/session", `{"name":"anna","password":"correct horse battery"}`, nil); a.status != http.StatusOK || strings.Contains(a.body, `"banner"`) {
		t.Fatalf("signing in is answered %d %s", a.status, a.body)
	}
	if a := say(http.MethodGet, "/api/me/sessions", "", with()); !strings.Contains(a.body, `"127.0.0.2"`) || strings.Contains(a.body, "6.6.6.6") {
		t.Errorf("by an nginx that is named they are signed in at %s", a.body)
	}
}

// TestTheProxyBehindNginx is nginx before our proxy: forwarded headers, streams and WebSockets go through both.
func TestTheProxyBehindNginx(t *testing.T) {
	t.Parallel()
	d := launch(t, withToken(t)...)
	far := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			echo(t, w)
			return
		}
		fmt.Fprintf(w, "%s|%s|%s|%s|%s", r.Host, r.Header.Get("X-Real-Ip"), r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Forwarded-Proto"), r.Header.Get("X-Forwarded-Host"))
	}))
	t.Cleanup(far.Close)
	api := admin(t, d.addr)
	if _, err := api.CreateProxy(t.Context(), client.ProxyFields{Targets: &[]string{far.URL}, RouteFields: client.RouteFields{Domains: &[]string{"a.example"}}}); err != nil {
		t.Fatal(err)
	}
	front := newNginx(t, fmt.Sprintf(`
map $http_upgrade $connection_upgrade { default upgrade; '' close; }
server { listen ADDR; location / {
  proxy_pass http://%s; proxy_http_version 1.1; proxy_set_header Host $http_host; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
  proxy_set_header X-Forwarded-For 203.0.113.9; proxy_set_header X-Forwarded-Proto https; proxy_set_header X-Forwarded-Host shop.example;
} }`, d.front))
	see := func() string {
		return ask(t, http.DefaultClient, http.MethodGet, front.addr, "/", nil, http.Header{"X-Forwarded-For": {"6.6.6.6"}}).body
	}
	if got := see(); got != "a.example|127.0.0.1|127.0.0.1|http|a.example" {
		t.Errorf("of an nginx that is not trusted the target sees %s", got)
	}
	if _, err := api.UpdateSettings(t.Context(), map[string]any{"trusted_proxies": "127.0.0.0/8"}); err != nil {
		t.Fatal(err)
	}
	late := time.After(patience)
	const want = "a.example|203.0.113.9|203.0.113.9, 127.0.0.1|https|shop.example"
	for got := see(); got != want; got = see() {
		select {
		case <-late:
			t.Fatalf("of an nginx that is trusted the target sees %s", got)
		default:
		}
	}

	conn, err := net.Dial("tcp", front.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("a WebSocket is answered %v, %v", resp, err)
	}
	_ = resp.Body.Close()
	say := func(text string) {
		t.Helper()
		fmt.Fprintln(conn, text)
		if line, err := in.ReadString('\n'); err != nil || line != text+"\n" {
			t.Fatalf("of %q comes back %q, %v", text, line, err)
		}
	}
	say("hello")
	// A change of the table cuts nothing, also not behind nginx.
	if _, err := api.CreateProxy(t.Context(), client.ProxyFields{Targets: &[]string{far.URL}, RouteFields: client.RouteFields{Domains: &[]string{"b.example"}}}); err != nil {
		t.Fatal(err)
	}
	say("still here")
}

// echo changes the protocol and says each line again.
func echo(t *testing.T, w http.ResponseWriter) {
	conn, both, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	_, _ = io.Copy(conn, both) // it ends with the client
}

// TestPeer28ABadTableThroughNginx: what was served is served on, and the error is shown.
func TestPeer28ABadTableThroughNginx(t *testing.T) {
	t.Parallel()
	d := launch(t, withToken(t)...)
	far := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here") }))
	t.Cleanup(far.Close)
	api := admin(t, d.addr)
	named := func(domain, target string) client.ProxyFields {
		return client.ProxyFields{Targets: &[]string{target}, RouteFields: client.RouteFields{Domains: &[]string{domain}}}
	}
	for _, domain := range []string{"a.example", "b.example"} {
		if _, err := api.CreateProxy(t.Context(), named(domain, far.URL)); err != nil {
			t.Fatal(err)
		}
	}
	front := newNginx(t, fmt.Sprintf(`server { listen ADDR; location / { proxy_pass http://%s; proxy_set_header Host $http_host; } }`, d.front))
	served := func() {
		t.Helper()
		if a := ask(t, http.DefaultClient, http.MethodGet, front.addr, "/", nil, nil); a.status != 200 || a.body != "here" {
			t.Errorf("the old route answers %d %s", a.status, a.body)
		}
	}
	served()
	// What can be seen to be bad is refused, by its field.
	for _, bad := range []client.ProxyFields{named("c.example", "http://"+d.front), named("c.example", "http://169.254.169.254"), named("not a domain", far.URL), named("a.example", far.URL)} {
		_, err := api.CreateProxy(t.Context(), bad)
		if p, ok := client.AsProblem(err); !ok || p.Status != 422 && p.Status != 409 {
			t.Errorf("%v: %v", *bad.Domains, err)
		}
		served()
	}
	// What got into the store some other way is not served, and nothing else is lost by it.
	db, err := sql.Open("sqlite", "file:"+filepath.Join(d.data, "docker-watcher.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "UPDATE domains SET domain = 'Bad Domain' WHERE domain = 'b.example'"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = api.CreateProxy(t.Context(), named("c.example", far.URL))
	if p, ok := client.AsProblem(err); !ok || p.Code != client.CodeNotServed {
		t.Errorf("a change beside a bad row: %v", err)
	}
	served()
	state, err := api.Routing(t.Context())
	if err != nil || state.State != "refused" || !strings.Contains(state.Error, "domain") || state.DesiredHash == state.AppliedHash {
		t.Errorf("the state is %+v, %v", state, err)
	}
	list, err := api.Events(t.Context(), client.EventFilter{Text: "the former one is served"}, client.Page{})
	if err != nil || len(list.Items) != 1 || list.Items[0].Severity != "warn" {
		t.Errorf("the events are %+v, %v", list.Items, err)
	}
}
