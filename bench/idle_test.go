//go:build bench

package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

const adminToken = "bench-0123456789abcdef0123456789abcdef"

// The daemon as it is shipped, watching a thousand containers that do nothing.
func TestIdleDaemon(t *testing.T) {
	binary := build(t)
	info, err := os.Stat(binary)
	must(t, err)
	most(t, "size of the daemon's binary", info.Size(), 40<<20, mib)

	data := t.TempDir()
	y := seeded(t, data, 1_000, 0)
	d := launch(t, binary, data, y.engine)
	d.awaitScan(t, 1_000)
	const settle, watched = 30 * time.Second, 30 * time.Second
	time.Sleep(settle) // what the start needed is given back meanwhile
	before := d.cpu(t)
	time.Sleep(watched)
	used := d.cpu(t) - before
	most(t, "memory of the idle daemon with 1,000 instances", d.resident(t), 40<<20, mib)
	most(t, "processor of the idle daemon with 1,000 instances", 100*used.Seconds()/watched.Seconds(), 0.5, percent)
}

// A start over a big store: 100,000 instances and a million events.
func TestStartOverABigStore(t *testing.T) {
	binary := build(t)
	data := t.TempDir()
	y := seeded(t, data, 100_000, keptEvents)
	var takes []time.Duration
	for range 5 {
		d := launch(t, binary, data, y.engine)
		takes = append(takes, d.ready)
		d.end(t)
	}
	most(t, "ready with 100,000 instances and 1,000,000 events", typical(takes), 300*time.Millisecond, short)

	empty := launch(t, binary, t.TempDir(), dockertest.Serve(t, dockertest.Docker28()))
	note(t, figure{what: "ready with an empty store", measured: short(empty.ready), ok: true})
}

// build makes the binary as `make build` does.
func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "server")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "../cmd/server")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the daemon: %v: %s", err, out)
	}
	return binary
}

// seeded writes a store into a data folder and leaves it closed, with the containers of its instances on an engine.
func seeded(t *testing.T, data string, instances, events int) *yard {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{DataDir: data, Log: quiet})
	must(t, err)
	y := newYard(t, db, dockertest.Docker28())
	y.fill(t, instances, 5)
	if events > 0 {
		var log story
		log.write(t, db, events)
	}
	must(t, db.Close())
	return y
}

// daemon is the real one, in a process of its own.
type daemon struct {
	cmd    *exec.Cmd
	url    string
	ready  time.Duration // from its start until it answered
	stderr bytes.Buffer
	ended  chan struct{}
}

func launch(t *testing.T, binary, data string, engine *dockertest.Engine) *daemon {
	t.Helper()
	token := filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(token, []byte(adminToken+"\n"), 0o600))
	d := &daemon{ended: make(chan struct{})}
	d.cmd = exec.Command(binary, "--listen", "127.0.0.1:0", "--data", data, "--docker-host", engine.Endpoint(), "--admin-token-file", token)
	d.cmd.Env, d.cmd.Stderr = []string{"PATH=" + os.Getenv("PATH")}, &d.stderr
	out, err := d.cmd.StdoutPipe()
	must(t, err)
	began := time.Now()
	must(t, d.cmd.Start())
	t.Cleanup(func() { d.end(t) })
	line, err := bufio.NewReader(out).ReadString('\n')
	go func() {
		_ = d.cmd.Wait() // it is ended by a signal
		close(d.ended)
	}()
	_, rest, found := strings.Cut(line, "http://")
	if err != nil || !found {
		<-d.ended
		t.Fatalf("the daemon said %q: %v\n%s", line, err, d.stderr.String())
	}
	address, _, _ := strings.Cut(strings.TrimSpace(rest), "/")
	d.url = "http://" + address
	if _, err := d.get(t.Context(), "/healthz"); err != nil {
		t.Fatal(err)
	}
	d.ready = time.Since(began)
	return d
}

func (d *daemon) end(t *testing.T) {
	t.Helper()
	select {
	case <-d.ended:
		return
	default:
	}
	must(t, d.cmd.Process.Signal(os.Interrupt))
	select {
	case <-d.ended:
	case <-time.After(time.Minute):
		t.Error("the daemon does not end")
		_ = d.cmd.Process.Kill() // it may end right now
		<-d.ended
	}
}

func (d *daemon) get(ctx context.Context, path string) ([]byte, error) {
	s := service{base: d.url, token: adminToken, http: http.DefaultClient}
	return s.fetch(ctx, path)
}

// awaitScan waits until a scan has seen all instances and needs no more.
func (d *daemon) awaitScan(t *testing.T, known int) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		body, err := d.get(t.Context(), "/api/scans")
		must(t, err)
		var scans struct {
			Items []struct {
				Outcome string `json:"outcome"`
				Known   int    `json:"known"`
			} `json:"items"`
		}
		must(t, json.Unmarshal(body, &scans))
		if slices.ContainsFunc(scans.Items, func(s struct {
			Outcome string `json:"outcome"`
			Known   int    `json:"known"`
		},
		) bool {
			return s.Outcome == "ok" && s.Known == known
		}) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no good scan of %d: %s\n%s", known, body, d.stderr.String())
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// resident is the memory of the process that is in RAM.
func (d *daemon) resident(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", d.cmd.Process.Pid))
	must(t, err)
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	must(t, err)
	return pages * int64(os.Getpagesize())
}

// cpu is the processor time of the process so far.
func (d *daemon) cpu(t *testing.T) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", d.cmd.Process.Pid))
	must(t, err)
	_, rest, _ := strings.Cut(string(text), ") ") // the name may hold spaces
	fields := strings.Fields(rest)
	const tick = 10 * time.Millisecond // of the kernel's clock for this
	var total time.Duration
	for _, i := range []int{11, 12} { // user and system
		n, err := strconv.ParseInt(fields[i], 10, 64)
		must(t, err)
		total += time.Duration(n) * tick
	}
	return total
}
