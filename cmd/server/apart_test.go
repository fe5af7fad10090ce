package main_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/loopbacktest"
)

var planeLine = regexp.MustCompile(`^docker-watcher serves routes at (http://\S+)(?: and https://\S+)? \(data plane, pid (\d+)\)`)

// dataPlane is a running `server proxy`.
type dataPlane struct {
	*daemon
	addr string // host:port of the proxy
}

// launchPlane starts one, and waits until it serves.
func launchPlane(t *testing.T, cmd *exec.Cmd, env ...string) *dataPlane {
	t.Helper()
	d := startProgram(t, cmd, env...)
	m := planeLine.FindStringSubmatch(d.line)
	if m == nil {
		t.Fatalf("said %q instead of serving:\n%s", d.line, d.stderr.String())
	}
	return &dataPlane{d, strings.TrimPrefix(m[1], "http://")}
}

// apart is a data plane and all that feeds and loads it.
type apart struct {
	t      *testing.T
	data   string // of both
	addr   string // of the proxy
	socket string
	plane  *dataPlane
}

func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "dwap") //nolint:usetesting // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func newApartBed(t *testing.T) *apart {
	t.Helper()
	data := shortDir(t)
	a := &apart{t: t, data: data, addr: loopbacktest.Free(t), socket: filepath.Join(data, "proxy", "control.sock")}
	a.plane = a.launch(binary)
	return a
}

func (a *apart) args(more ...string) []string {
	return append([]string{"proxy", "--proxy-http", a.addr, "--data", a.data}, more...)
}

func (a *apart) launch(program string, more ...string) *dataPlane {
	a.t.Helper()
	return launchPlane(a.t, exec.Command(program, a.args(more...)...))
}

// feed starts a daemon that has the data plane serve.
func (a *apart) feed(program string, engine *dockertest.Engine) *daemon {
	a.t.Helper()
	return launchCommand(a.t, exec.Command(program, append(flags(a.data, engine.Endpoint()), "--proxy-socket", a.socket)...))
}

// crowd is everybody who uses a site at once: by kept and by new connections, over a WebSocket and over a stream that never ends.
type crowd struct {
	t           *testing.T
	addr, host  string
	asked       atomic.Int64
	wrong       atomic.Int64
	first       sync.Once
	why         string
	all         sync.WaitGroup
	end         context.CancelFunc
	socket      net.Conn
	socketIn    *bufio.Reader
	streamLines chan string
}

// app is a site with an echo that changes its protocol, and a stream.
func site(t *testing.T) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/echo":
			conn, in, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			_, _ = io.Copy(conn, in)
		case "/stream":
			w.Header().Set("Content-Type", "text/event-stream")
			for n := 0; ; n++ {
				if _, err := fmt.Fprintf(w, "data: %d\n\n", n); err != nil || http.NewResponseController(w).Flush() != nil {
					return
				}
				select {
				case <-r.Context().Done():
					return
				case <-time.After(20 * time.Millisecond):
				}
			}
		default:
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "the site says %s", body)
		}
	}))
	t.Cleanup(srv.CloseClientConnections)
	t.Cleanup(srv.Close)
	return srv.URL
}

func gather(t *testing.T, addr, host string) *crowd {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	c := &crowd{t: t, addr: addr, host: host, end: end, streamLines: make(chan string, 100)}
	for n := range 4 {
		transport := &http.Transport{DisableKeepAlives: n%2 == 0}
		c.all.Go(func() {
			defer transport.CloseIdleConnections()
			for ctx.Err() == nil {
				c.ask(ctx, transport)
			}
		})
	}
	c.openSocket()
	c.all.Go(func() { c.listen(ctx) })
	t.Cleanup(c.leave)
	return c
}

// ask posts something that a client would not send again by itself.
func (c *crowd) ask(ctx context.Context, by http.RoundTripper) {
	c.askAt(ctx, by, "http://"+c.addr+"/")
}

func (c *crowd) askAt(ctx context.Context, by http.RoundTripper, url string) {
	req, _ := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("hello"))
	req.Host = c.host
	resp, err := by.RoundTrip(req)
	var body []byte
	if err == nil {
		body, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close() // it was read
	}
	if ctx.Err() != nil {
		return
	}
	c.asked.Add(1)
	if err != nil || resp.StatusCode != http.StatusOK || string(body) != "the site says hello" {
		c.complain("a request: %v %s", err, body)
	}
}

func (c *crowd) complain(format string, args ...any) {
	c.wrong.Add(1)
	c.first.Do(func() { c.why = fmt.Sprintf(format, args...) })
}

func (c *crowd) openSocket() {
	c.t.Helper()
	conn, err := net.Dial("tcp", c.addr)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "GET /echo HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n", c.host)
	c.socket, c.socketIn = conn, bufio.NewReader(conn)
	resp, err := http.ReadResponse(c.socketIn, nil) //nolint:bodyclose // there is none
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		c.t.Fatalf("the WebSocket was not opened: %v %v", resp, err)
	}
}

// socketLives says something over the open WebSocket and hears it back.
func (c *crowd) socketLives() {
	c.t.Helper()
	_ = c.socket.SetDeadline(time.Now().Add(patience))
	fmt.Fprintln(c.socket, "still here")
	if line, err := c.socketIn.ReadString('\n'); err != nil || line != "still here\n" {
		c.t.Errorf("the WebSocket says %q, %v", line, err)
	}
}

func (c *crowd) listen(ctx context.Context) {
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.addr+"/stream", nil)
	req.Host = c.host
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		c.complain("the stream: %v", err)
		return
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		select {
		case c.streamLines <- lines.Text():
		default: // nobody looks at the moment
		}
	}
	if ctx.Err() == nil {
		c.complain("the stream ended: %v", lines.Err())
	}
}

// streamLives waits for news on the stream that was opened first.
func (c *crowd) streamLives() {
	c.t.Helper()
	for len(c.streamLines) > 0 {
		<-c.streamLines
	}
	select {
	case <-c.streamLines:
	case <-time.After(patience):
		c.t.Error("the stream is silent")
	}
}

// goesOn waits until many more requests were answered.
func (c *crowd) goesOn() {
	c.t.Helper()
	until := c.asked.Load() + 200
	eventually(c.t, "requests go on", func() bool { return c.asked.Load() >= until })
}

func (c *crowd) leave() {
	c.end()
	c.all.Wait()
}

// content ends the crowd and tells whether anything failed.
func (c *crowd) content() {
	c.t.Helper()
	c.leave()
	c.t.Logf("%d requests, %d failed", c.asked.Load(), c.wrong.Load())
	if c.wrong.Load() > 0 {
		c.t.Errorf("%d failed, the first: %s", c.wrong.Load(), c.why)
	}
}

// lead makes a standalone proxy.
func lead(t *testing.T, c *client.Client, domain, target string) {
	t.Helper()
	if _, err := c.CreateProxy(t.Context(), client.ProxyFields{RouteFields: client.RouteFields{Domains: &[]string{domain}}, Targets: &[]string{target}}); err != nil {
		t.Fatal(err)
	}
}

// upgraded is the program of another version.
func upgraded(t *testing.T) string {
	t.Helper()
	return program(t, "-ldflags", "-s -w -X main.version=v10.0.0-test")
}

func (a *apart) answers(host string) int {
	ctx, cancel := context.WithTimeout(a.t.Context(), patience)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+a.addr+"/", nil)
	req.Host = host
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return 0
	}
	_ = resp.Body.Close() // nobody reads it
	return resp.StatusCode
}

func routing(t *testing.T, c *client.Client) client.Routing {
	t.Helper()
	r, err := c.Routing(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestNothingFailsWhileDaemonAndDataPlaneAreReplaced is what the data plane is a process of its own for.
func TestNothingFailsWhileDaemonAndDataPlaneAreReplaced(t *testing.T) {
	a := newApartBed(t)
	engine := dockertest.Serve(t, dockertest.Docker29())
	newer := upgraded(t)
	d := a.feed(binary, engine)
	credential := d.setUp()
	lead(t, d.client(credential), "shop.example", site(t))
	if r := routing(t, d.client(credential)); r.State != "in_step" || r.Listen != a.addr || r.DataPlane == nil || r.DataPlane.Version != "v9.9.9-test" || r.AppliedHash != r.DesiredHash {
		t.Errorf("routing is %+v %+v", r, r.DataPlane)
	}
	everybody := gather(t, a.addr, "shop.example")
	everybody.goesOn()

	d.end(syscall.SIGKILL)
	everybody.goesOn()
	d = a.feed(binary, engine)
	everybody.goesOn()
	if code := d.end(syscall.SIGTERM); code != 0 {
		t.Errorf("the daemon ended with %d:\n%s", code, d.stderr.String())
	}
	d = a.feed(newer, engine) // an upgrade
	lead(t, d.client(credential), "blog.example", site(t))
	if a.answers("blog.example") != http.StatusOK {
		t.Error("the upgraded daemon does not feed the data plane")
	}
	everybody.goesOn()

	former := a.plane
	for range 3 {
		next := a.launch(newer, "--take-over")
		everybody.goesOn()
		lead(t, d.client(credential), fmt.Sprintf("pid-%d.example", next.cmd.Process.Pid), site(t))
		everybody.socketLives()
		everybody.streamLives()
	}
	r := routing(t, d.client(credential))
	if r.State != "in_step" || r.DataPlane.Version != "v10.0.0-test" || r.DataPlane.PID == former.cmd.Process.Pid {
		t.Errorf("routing is %+v %+v", r, r.DataPlane)
	}
	if h, err := d.client(credential).ProxyHealth(t.Context(), "shop.example"); err != nil || h.Requests < 800 {
		t.Errorf("after three take-overs %+v requests are counted, %v", h, err)
	}
	everybody.content()
	_ = everybody.socket.Close() // the last that was open on the first
	select {
	case <-former.exited:
	case <-time.After(patience):
		t.Errorf("the first data plane does not end:\n%s", former.stderr.String())
	}
	if a.answers("shop.example") != http.StatusOK {
		t.Error("the new data plane went with the first")
	}
}

// TestDataPlaneServesWithoutADaemon kills both, and starts the data plane alone.
func TestDataPlaneServesWithoutADaemon(t *testing.T) {
	t.Parallel() // it waits most of the time
	a := newApartBed(t)
	engine := dockertest.Serve(t, dockertest.Docker29())
	d := a.feed(binary, engine)
	c := d.client(d.setUp())
	lead(t, c, "shop.example", site(t))
	lead(t, c, "loop.example", "http://"+loopbacktest.Free(t))
	if _, err := c.CreateProxy(t.Context(), client.ProxyFields{RouteFields: client.RouteFields{Domains: &[]string{"own.example"}}, Targets: &[]string{"http://" + a.addr}}); err == nil {
		t.Error("a route leads back to the data plane")
	}
	a.plane.end(syscall.SIGKILL)
	eventually(t, "the daemon knows that the data plane is away", func() bool { return routing(t, c).State == "away" })
	if r := routing(t, c); !strings.Contains(r.DataPlane.Away, "does not run") {
		t.Errorf("it is away as %q", r.DataPlane.Away)
	}
	if p, err := c.Proxy(t.Context(), "shop.example"); err != nil || p.State != "unknown" {
		t.Errorf("a route is %+v, %v", p, err)
	}
	_, err := c.CreateProxy(t.Context(), client.ProxyFields{RouteFields: client.RouteFields{Domains: &[]string{"late.example"}}, Targets: &[]string{site(t)}})
	if !client.HasCode(err, client.CodeNotServed) {
		t.Errorf("a change is served by nobody, and says %v", err)
	}
	d.end(syscall.SIGKILL)

	a.plane = a.launch(binary)
	if a.answers("shop.example") != http.StatusOK || a.answers("late.example") != http.StatusNotFound {
		t.Error("the last good table is not served without a daemon")
	}
	var rss int64
	eventually(t, "a small data plane", func() bool {
		rss = resident(t, a.plane.cmd.Process.Pid)
		return rss <= 16<<20
	})
	t.Logf("%d KiB", rss>>10)

	a.feed(binary, engine)
	eventually(t, "what was changed meanwhile is served", func() bool { return a.answers("late.example") == http.StatusOK })
}

// TestDaemonTellsOnceThatItsDataPlaneIsAway and once that it is back.
func TestDaemonTellsOnceThatItsDataPlaneIsAway(t *testing.T) {
	t.Parallel() // as above
	a := newApartBed(t)
	engine := dockertest.Serve(t, dockertest.Docker29())
	if code := a.plane.end(syscall.SIGTERM); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	if _, err := os.Stat(a.socket); !os.IsNotExist(err) {
		t.Errorf("it left its socket behind: %v", err)
	}
	d := a.feed(binary, engine) // which starts without it
	c := d.client(d.setUp())
	told := func(kind string) int { return told(t, c, kind) }
	eventually(t, "it is told to be away", func() bool { return told("routing.away") == 1 })
	a.plane = a.launch(binary)
	eventually(t, "it is told to be back", func() bool { return told("routing.back") == 1 })
	eventually(t, "a table is served", func() bool { return routing(t, c).State == "in_step" })
	lead(t, c, "shop.example", site(t))
	if told("routing.away") != 1 || told("routing.back") != 1 || told("routing.refused") != 0 {
		t.Errorf("told %d times away, %d times back, %d times refused", told("routing.away"), told("routing.back"), told("routing.refused"))
	}
}

// told counts the events of a kind that the proxy told.
func told(t *testing.T, c *client.Client, kind string) (n int) {
	t.Helper()
	page, err := c.Events(t.Context(), client.EventFilter{Sources: []string{"proxy"}}, client.Page{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range page.Items {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// TestReplacementsThatMustNotHappen tries what must leave the one that serves alone.
func TestReplacementsThatMustNotHappen(t *testing.T) {
	a := newApartBed(t)
	for name, tt := range map[string]struct {
		args []string
		says string
	}{
		"a second one":                     {a.args(), "--take-over"},
		"one whose new port is taken":      {[]string{"proxy", "--proxy-http", takenPort(t), "--data", a.data, "--take-over"}, "serves on"},
		"one in a folder that others open": {[]string{"proxy", "--proxy-http", "127.0.0.1:0", "--data", t.TempDir(), "--proxy-socket", filepath.Join(openFolder(t), "s")}, "chmod 700"},
		"one with a long path":             {[]string{"proxy", "--proxy-http", "127.0.0.1:0", "--data", t.TempDir(), "--proxy-socket", "/tmp/" + strings.Repeat("x", 120)}, "shorter"},
	} {
		code, stdout, stderr := refuse(t, tt.args...)
		if code != 1 || stdout != "" || !strings.Contains(stderr, tt.says) {
			t.Errorf("%s: %d %s %s", name, code, stdout, stderr)
		}
	}
	if a.answers("nobody.example") != http.StatusNotFound {
		t.Error("the one that served does so no more")
	}
	for path, want := range map[string]os.FileMode{a.socket: 0o600, filepath.Dir(a.socket): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v %v", path, info.Mode(), err)
		}
	}
	a.launch(binary, "--take-over")
}

// TestDataPlaneServesOnWhenItsProgramIsBroken has it start a successor that cannot run.
func TestDataPlaneServesOnWhenItsProgramIsBroken(t *testing.T) {
	a := newApartBed(t)
	a.plane.end(syscall.SIGTERM)
	dir := t.TempDir()
	program, broken := filepath.Join(dir, "server"), filepath.Join(dir, "broken")
	for what, err := range map[string]error{"link": os.Link(binary, program), "write": os.WriteFile(broken, []byte("#!/bin/sh\nexit 3\n"), 0o700)} {
		if err != nil {
			t.Fatal(what, err)
		}
	}
	a.plane = a.launch(program)
	if err := os.Rename(broken, program); err != nil {
		t.Fatal(err)
	}
	for _, says := range []string{"exit status 3", "no such file"} {
		if err := a.plane.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		eventually(t, says, func() bool { return strings.Contains(a.plane.stderr.String(), says) })
		if a.answers("nobody.example") != http.StatusNotFound {
			t.Error("it serves no more")
		}
		_ = os.Remove(program) // and then there is none at all
	}
}

func takenPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

func openFolder(t *testing.T) string {
	t.Helper()
	dir := shortDir(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestSignalAndSystemd starts a data plane as systemd does, with an open port, and has it start its successor.
func TestSignalAndSystemd(t *testing.T) {
	data := shortDir(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	notify, err := net.ListenPacket("unixgram", filepath.Join(data, "notify"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = notify.Close() })
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@"`, binary, "proxy", "--proxy-http", l.Addr().String(), "--data", data)
	cmd.ExtraFiles = []*os.File{file}
	p := launchPlane(t, cmd, "NOTIFY_SOCKET="+filepath.Join(data, "notify"))
	_ = l.Close() // the other process has it
	_ = file.Close()
	if pid := mainPID(t, notify); pid != p.cmd.Process.Pid {
		t.Errorf("systemd is told of process %d instead of %d", pid, p.cmd.Process.Pid)
	}
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	next := mainPID(t, notify)
	endNext := sync.OnceFunc(func() { _ = syscall.Kill(next, syscall.SIGTERM) })
	t.Cleanup(endNext)
	eventually(t, "the former ends", func() bool { return strings.Contains(p.stderr.String(), `"msg":"stopped"`) })
	resp, err := patient.Get("http://" + p.addr)
	if err != nil {
		t.Fatal(err)
	}
	if _ = resp.Body.Close(); resp.StatusCode != http.StatusNotFound {
		t.Errorf("the successor answers %d", resp.StatusCode)
	}
	endNext()
	select {
	case <-p.exited: // and nobody has its output any more
	case <-time.After(patience):
		t.Fatalf("they do not end:\n%s", p.stderr.String())
	}
	if next == p.cmd.Process.Pid || p.cmd.ProcessState.ExitCode() != 0 {
		t.Errorf("the successor is process %d, and the former ended with %v", next, p.cmd.ProcessState)
	}
}

// mainPID is the process that systemd is told of next.
func mainPID(t *testing.T, notify net.PacketConn) (pid int) {
	t.Helper()
	buf := make([]byte, 200)
	if err := notify.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	n, _, err := notify.ReadFrom(buf)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(string(buf[:n]), "MAINPID=%d\nREADY=1\n", &pid); err != nil || !bytes.HasSuffix(buf[:n], []byte("READY=1\n")) {
		t.Fatalf("systemd is told %q: %v", buf[:n], err)
	}
	return pid
}
