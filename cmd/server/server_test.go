package main_test

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
	"github.com/tiny-forge/docker-watcher/internal/waittest"
)

// binary is the real daemon, built once.
var binary string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "dwsrv")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "server")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -X main.version=v9.9.9-test", "-o", binary, ".") // as make build does
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the daemon: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// program is the daemon, built with more flags than binary. All but what they change is built already.
func program(t *testing.T, flags ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "server")
	build := exec.CommandContext(t.Context(), "go", append(append([]string{"build", "-trimpath", "-o", path}, flags...), ".")...)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the daemon: %v\n%s", err, out)
	}
	return path
}

// patience is how long anything may take before a test gives up, however slow the machine is.
const patience = waittest.Patience

// patient is a client that waits for no answer for longer. It is for single questions: a stream would be cut.
var patient = &http.Client{Timeout: patience}

// daemon is a running one.
type daemon struct {
	t    *testing.T
	cmd  *exec.Cmd
	line string // what it said when it was ready
	url  string
	code string // of the setup link

	credential string // that its tests gave or got, and that it must not tell

	stdout  lockedBuffer // after the line
	stderr  lockedBuffer
	answers string // at its end
	exited  chan struct{}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

var readyLine = regexp.MustCompile(`^docker-watcher (?:is ready|cannot use its database, (?:which is damaged|a value of which cannot be read)): open (http://[^/\s]+)(?:/setup#code=(\S+))?`)

// launch starts a daemon and waits until it says that it is ready.
func launch(t *testing.T, args ...string) *daemon {
	t.Helper()
	return launchCommand(t, exec.Command(binary, withStore(t, args)...))
}

func launchCommand(t *testing.T, cmd *exec.Cmd, env ...string) *daemon {
	t.Helper()
	d := startProgram(t, cmd, env...)
	m := readyLine.FindStringSubmatch(d.line)
	if m == nil {
		t.Fatalf("said %q instead of being ready:\n%s", d.line, d.stderr.String())
	}
	d.url, d.code = m[1], m[2]
	return d
}

// startProgram starts a process and waits for its first line.
func startProgram(t *testing.T, cmd *exec.Cmd, env ...string) *daemon {
	t.Helper()
	d := &daemon{t: t, cmd: cmd, exited: make(chan struct{})}
	d.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	d.cmd.Stderr = &d.stderr
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 1)
	go func() {
		in := bufio.NewReader(out)
		line, _ := in.ReadString('\n') // an early end is an empty line
		lines <- line
		_, _ = io.Copy(&d.stdout, in)
		_ = d.cmd.Wait() // the exit code is looked at by those who care
		close(d.exited)
	}()
	t.Cleanup(func() {
		d.askAtTheEnd()
		_ = d.cmd.Process.Kill() // it may have ended
		select {
		case <-d.exited:
			d.listen()
		case <-time.After(patience):
			t.Errorf("what it has started has its output, and runs on:\n%s", d.stderr.String())
		}
	})
	select {
	case d.line = <-lines:
	case <-time.After(patience):
		t.Fatalf("not ready in time:\n%s", d.stderr.String())
	}
	return d
}

// end sends a signal and returns the exit code.
func (d *daemon) end(sig os.Signal) int {
	d.t.Helper()
	if err := d.cmd.Process.Signal(sig); err != nil {
		d.t.Fatal(err)
	}
	select {
	case <-d.exited:
	case <-time.After(patience):
		d.t.Fatalf("did not end:\n%s", d.stderr.String())
	}
	return d.cmd.ProcessState.ExitCode()
}

// refuse starts a daemon that must not run, and returns its exit code and what it said.
func refuse(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, withStore(t, args)...)
	var out, errs bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = []string{"PATH=" + os.Getenv("PATH")}, &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	wantNoSecretIn(t, "one that must not run", out.String()+errs.String())
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// withStore lets a daemon that is not told where its store is use that of its data folder on the kind of database that the suite runs on.
// Other commands are left alone.
func withStore(t *testing.T, args []string) []string {
	t.Helper()
	data := slices.Index(args, "--data") + 1
	if data == 0 || data == len(args) || !strings.HasPrefix(args[0], "-") || slices.Contains(args, "--store") {
		return args
	}
	url := storetest.URL(t, args[data])
	if url == "" {
		return args
	}
	return append(slices.Clone(args), "--store", url)
}

// inFile is a daemon's flag for a store in its data folder, for tests of that file.
func inFile(data string) []string {
	return []string{"--store", filepath.Join(data, "docker-watcher.db")}
}

// flags of a daemon on a free port.
func flags(data, engine string) []string {
	return []string{"--listen", "127.0.0.1:0", "--data", data, "--docker-host", engine}
}

func (d *daemon) client(credential string) *client.Client {
	d.t.Helper()
	c, err := client.New(d.url, client.WithCredential(credential))
	if err != nil {
		d.t.Fatal(err)
	}
	return c
}

func (d *daemon) status(path string) (int, string) {
	d.t.Helper()
	res, err := patient.Get(d.url + path)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// eventually waits for a condition of another process.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	waittest.Until(t, what, 50*time.Millisecond, ok)
}

const password = "a very secret password"

// setUp makes the first admin and returns the credential of the session.
func (d *daemon) setUp() string {
	d.t.Helper()
	credential, _, err := d.client("").Setup(d.t.Context(), d.code, "anna", password)
	if err != nil {
		d.t.Fatal(err)
	}
	d.credential = credential
	return credential
}

func TestFromFirstStartToShutdownAndBack(t *testing.T) {
	engine := dockertest.Serve(t, dockertest.Docker29())
	data := filepath.Join(t.TempDir(), "made", "by", "the", "daemon")
	d := launch(t, flags(data, engine.Endpoint())...)
	if d.code == "" {
		t.Fatalf("no setup link in %q", d.line)
	}
	if code, body := d.status("/healthz"); code != http.StatusOK {
		t.Errorf("/healthz: %d %s", code, body)
	}
	eventually(t, "/readyz is 200", func() bool { code, _ := d.status("/readyz"); return code == http.StatusOK })
	if code, page := d.status("/setup"); code != http.StatusOK || !strings.Contains(page, "<html") {
		t.Errorf("the page of the setup link: %d", code)
	}
	credential := d.setUp()
	if _, _, err := d.client("").Setup(t.Context(), d.code, "eve", password); err == nil {
		t.Error("the setup link worked twice")
	}
	var host client.Host
	eventually(t, "the engine's facts are known", func() bool {
		hosts, err := d.client(credential).Hosts(t.Context())
		if err != nil || len(hosts) != 1 {
			t.Fatalf("hosts: %v, %v", hosts, err)
		}
		host = hosts[0]
		return host.EngineID != ""
	})
	if host.Name != "local" || host.Version != "29.0.0" {
		t.Errorf("host = %+v", host)
	}

	// A stream that is open at the shutdown ends with it, and holds nothing up.
	connected, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		_ = d.client(credential).Stream(t.Context(), client.StreamOptions{Once: true, After: "0"}, func(client.Event) error {
			select {
			case <-connected:
			default:
				close(connected)
			}
			return nil
		})
	}()
	select {
	case <-connected:
	case <-ended:
		t.Fatal("the stream ended early")
	case <-time.After(patience):
		t.Fatal("nothing comes on the stream")
	}
	before := time.Now()
	if code := d.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d:\n%s", code, d.stderr.String())
	}
	if took := time.Since(before); took > 15*time.Second { // what is under way may take 20
		t.Errorf("the shutdown took %s", took)
	}
	waittest.Next(t, "the end of the stream", ended)

	again := launch(t, flags(data, engine.Endpoint())...)
	if again.code != "" {
		t.Errorf("a setup link although there is an admin: %q", again.line)
	}
	session, err := again.client(credential).Session(t.Context())
	if err != nil || session.Name != "anna" || session.Version != "v9.9.9-test" {
		t.Errorf("session after the restart = %+v, %v", session, err)
	}
	if code := again.end(os.Interrupt); code != 0 {
		t.Errorf("exit code %d:\n%s", code, again.stderr.String())
	}
	for _, text := range []string{d.stderr.String(), again.stderr.String()} {
		if strings.Contains(text, d.code) || strings.Contains(text, "panic") {
			t.Errorf("the log tells the setup code, or a panic:\n%s", text)
		}
	}
}

func TestEngineIsDownAtStartAndComes(t *testing.T) {
	dir, err := os.MkdirTemp("", "dwe") //nolint:usetesting // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "d.sock")
	d := launch(t, flags(t.TempDir(), "unix://"+socket)...)
	eventually(t, "the log says what to do", func() bool {
		return strings.Contains(d.stderr.String(), "the engine does not answer") && strings.Contains(d.stderr.String(), "--docker-host")
	})
	if code, _ := d.status("/healthz"); code != http.StatusOK {
		t.Errorf("/healthz: %d", code)
	}
	if code, body := d.status("/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "hint") {
		t.Errorf("/readyz: %d %s", code, body)
	}
	d.setUp() // the page works meanwhile

	engine := dockertest.Start(dockertest.Docker20())
	if err := engine.Listen(socket); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(engine.Close)
	eventually(t, "/readyz is 200", func() bool { code, _ := d.status("/readyz"); return code == http.StatusOK })
	eventually(t, "the log says that it is back", func() bool { return strings.Contains(d.stderr.String(), "the engine answers") })
	if n := strings.Count(d.stderr.String(), "the engine does not answer: nothing is judged"); n != 1 {
		t.Errorf("the log says %d times that the engine is down", n)
	}
	if code := d.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestSettingsTakeEffectAtOnce(t *testing.T) {
	engine := dockertest.Serve(t, dockertest.Docker29())
	d := launch(t, flags(t.TempDir(), engine.Endpoint())...)
	c := d.client(d.setUp())
	triggers := func() (seen []string) {
		scans, err := c.Scans(t.Context(), "", client.Page{})
		if err != nil {
			t.Fatal(err)
		}
		for _, run := range scans.Items {
			seen = append(seen, run.Trigger)
		}
		return seen
	}
	eventually(t, "a scan right after the start", func() bool { return len(triggers()) > 0 })
	if _, err := c.UpdateSettings(t.Context(), map[string]any{"scan_interval": "90m"}); err != nil {
		t.Fatal(err)
	}
	scans, err := c.Scans(t.Context(), "", client.Page{})
	if err != nil || scans.Schedule == nil {
		t.Fatalf("scans = %+v, %v", scans, err)
	}
	if in := time.Until(scans.Schedule.NextAt); in > 90*time.Minute || in < 88*time.Minute {
		t.Errorf("the next scan is due in %s", in)
	}
	eventually(t, "a scan with the new settings", func() bool { return slices.Contains(triggers(), "settings") })
	if _, err := c.UpdateSettings(t.Context(), map[string]any{"scan_interval": "1s"}); err == nil {
		t.Error("a scan a second was accepted")
	}
}

func TestEndsWithTheEngineDown(t *testing.T) {
	d := launch(t, flags(t.TempDir(), "unix:///nowhere/d.sock")...)
	if code := d.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d:\n%s", code, d.stderr.String())
	}
}

func TestSecondDaemonOfAStoreIsRefused(t *testing.T) {
	data := t.TempDir()
	d := launch(t, flags(data, "unix:///nowhere/d.sock")...)
	code, stdout, stderr := refuse(t, flags(data, "unix:///nowhere/d.sock")...)
	refused(t, code, stdout, stderr, "another daemon holds this store", "--data")
	if code, _ := d.status("/healthz"); code != http.StatusOK {
		t.Errorf("the first one answers %d", code)
	}
}

func TestTakenPortIsTold(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	data := filepath.Join(t.TempDir(), "data")
	code, stdout, stderr := refuse(t, "--listen", taken.Addr().String(), "--data", data, "--docker-host", "unix:///nowhere/d.sock")
	refused(t, code, stdout, stderr, "address already in use", "--listen")
	for _, flag := range []string{"--proxy-http", "--proxy-https"} { // the same for the ports of routes
		args := append(flags(data, "unix:///nowhere/d.sock"), flag, taken.Addr().String())
		if flag == "--proxy-https" {
			args = append(args, "--proxy-http", "127.0.0.1:0")
		}
		code, stdout, stderr := refuse(t, args...)
		refused(t, code, stdout, stderr, "address already in use", taken.Addr().String())
	}
	if _, err := os.Stat(data); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the data folder was touched: %v", err)
	}
}

func TestUnusableDataFolderIsTold(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := refuse(t, flags(filepath.Join(file, "data"), "unix:///nowhere/d.sock")...)
	refused(t, code, stdout, stderr, "the data folder cannot be used", "--data")
}

// TestFolderThatMayNotBeWrittenIsTold: nothing in it is changed, and the port is not kept.
func TestFolderThatMayNotBeWrittenIsTold(t *testing.T) {
	data := t.TempDir()
	if err := os.Chmod(data, 0o500); err != nil { //nolint:gosec // what is tested
		t.Fatal(err)
	}
	args := append([]string{binary}, flags(data, "unix:///nowhere/d.sock")...)
	if os.Getuid() == 0 { // who may write anywhere, unless that is taken away
		args = append([]string{"setpriv", "--bounding-set", "-dac_override", "--"}, args...)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	var out, errs bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = []string{"PATH=" + os.Getenv("PATH")}, &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	refused(t, cmd.ProcessState.ExitCode(), out.String(), errs.String(), "the data folder cannot be used", data)
	if left, err := os.ReadDir(data); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestNewerDatabaseIsRefusedAndUntouched(t *testing.T) {
	data := t.TempDir()
	args := append(flags(data, "unix:///nowhere/d.sock"), inFile(data)...)
	d := launch(t, args...)
	credential := d.setUp()
	if code := d.end(syscall.SIGTERM); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	path := filepath.Join(data, "docker-watcher.db")
	former := read(t, path)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	var schema int
	if err := db.QueryRowContext(t.Context(), `SELECT max(version_id) FROM goose_db_version`).Scan(&schema); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	before := read(t, path)
	code, stdout, stderr := refuse(t, args...)
	refused(t, code, stdout, stderr, "newer docker-watcher", "server restore FILE --data "+data)
	if read(t, path) != before {
		t.Error("the database was changed")
	}

	// With the copy that a newer one makes before it changes the schema, the hint is the way back.
	if err := os.WriteFile(fmt.Sprintf("%s.schema-%d", path, schema), []byte(former), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr = refuse(t, args...)
	refused(t, code, stdout, stderr, "newer docker-watcher", "cp -p ")
	_, commands, _ := strings.Cut(endOf(t, stderr).Hint, "since: ")
	if out, err := exec.CommandContext(t.Context(), "sh", "-ec", commands).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", commands, err, out)
	}
	if kept, err := filepath.Glob(filepath.Join(data, "newer-*", "docker-watcher.db")); err != nil || len(kept) != 1 || read(t, kept[0]) != before {
		t.Errorf("the newer database was not kept: %v, %v", kept, err)
	}
	d = launch(t, args...)
	if session, err := d.client(credential).Session(t.Context()); err != nil || session.Name != "anna" {
		t.Errorf("after the way back: %+v, %v", session, err)
	}
}

// programEnd is the last line of a log.
type programEnd struct{ Level, Program, Error, Hint string }

// endOf reads what ended a program where nobody looks at its log: each line of that is JSON.
func endOf(t *testing.T, stderr string) (end programEnd) {
	t.Helper()
	for line := range strings.Lines(stderr) {
		end = programEnd{}
		if err := json.Unmarshal([]byte(line), &end); err != nil {
			t.Errorf("it says %q: %v", line, err)
		}
	}
	return end
}

// refused checks the manners of a start that fails: one clear line with a hint, exit code 1, nothing on standard output.
func refused(t *testing.T, code int, stdout, stderr, reason, hint string) {
	t.Helper()
	if code != 1 || stdout != "" {
		t.Errorf("exit code %d, standard output %q", code, stdout)
	}
	if end := endOf(t, stderr); end.Level != "ERROR" || end.Program != "server" || !strings.Contains(end.Error, reason) || !strings.Contains(end.Hint, hint) {
		t.Errorf("said:\n%s", stderr)
	}
	if strings.Contains(stderr, "goroutine ") {
		t.Errorf("a stack trace:\n%s", stderr)
	}
}

func TestBadUsage(t *testing.T) {
	code, stdout, stderr := refuse(t, "--listen", "8080", "--log-format", "xml", "--docker-host", "ssh://x")
	if code != 2 || stdout != "" {
		t.Errorf("exit code %d, standard output %q", code, stdout)
	}
	for _, want := range []string{"--listen", "--log-format", "--docker-host", "--help"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%s is not told in:\n%s", want, stderr)
		}
	}
	if code, stdout, _ := refuse(t, "--version"); code != 0 || stdout != "docker-watcher server v9.9.9-test\n" {
		t.Errorf("--version: %d %q", code, stdout)
	}
	if code, stdout, stderr := refuse(t, "--help"); code != 0 || !strings.Contains(stdout, "DOCKER_WATCHER_LISTEN") || stderr != "" {
		t.Errorf("--help: %d %q %q", code, stdout, stderr)
	}
}

func TestKilledDaemonStartsAgain(t *testing.T) {
	engine := dockertest.Serve(t, dockertest.Docker28())
	data := t.TempDir()
	d := launch(t, flags(data, engine.Endpoint())...)
	credential := d.setUp()
	c := d.client(credential)
	if _, err := c.CreateProject(t.Context(), client.NewProject{Name: "shop", Image: "localhost/shop"}); err != nil {
		t.Fatal(err)
	}
	d.end(syscall.SIGKILL)
	again := launch(t, flags(data, engine.Endpoint())...)
	if p, err := again.client(credential).Project(t.Context(), "shop"); err != nil || p.Name != "shop" {
		t.Errorf("project = %+v, %v", p, err)
	}
	if code := again.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestAdminTokenFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	secret := strings.Repeat("s3cret", 8)
	write := func(content string) {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	data := t.TempDir()
	args := append(flags(data, "unix:///nowhere/d.sock"), "--admin-token-file", file)
	code, stdout, stderr := refuse(t, args...)
	refused(t, code, stdout, stderr, "admin token file", "openssl rand")
	write("short")
	code, stdout, stderr = refuse(t, args...)
	refused(t, code, stdout, stderr, "admin token file", "openssl rand")
	write(secret + "\n")
	d := launch(t, args...)
	d.credential = secret
	session, err := d.client(secret).Session(t.Context())
	if err != nil || session.Role != "admin" {
		t.Errorf("session = %+v, %v", session, err)
	}
	if _, err := d.client(secret + "x").Settings(t.Context()); err == nil {
		t.Error("another token opens too")
	}
	if strings.Contains(d.stderr.String(), secret) {
		t.Error("the log tells the token")
	}
}
