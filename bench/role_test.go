//go:build bench

package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/proxy"
)

// A role is a part that is measured as a process of its own: this very program, started again. It says its address in a line, and
// ends when its input does.
const (
	roleVariable    = "DOCKER_WATCHER_BENCH_ROLE"    // target, bare or ours
	targetVariable  = "DOCKER_WATCHER_BENCH_TARGET"  // where a proxy leads
	hostsVariable   = "DOCKER_WATCHER_BENCH_HOSTS"   // how many
	profileVariable = "DOCKER_WATCHER_BENCH_PROFILE" // a folder for profiles of the processor; empty: none is taken
)

func play(role string) error {
	if folder := os.Getenv(profileVariable); folder != "" {
		f, err := os.CreateTemp(folder, role+"-*.pprof")
		if err != nil {
			return fmt.Errorf("make a profile: %w", err)
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return fmt.Errorf("make a profile: %w", err)
		}
		defer pprof.StopCPUProfile()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("play %s: %w", role, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	served, in := make(chan error, 1), os.Stdin
	switch role {
	case "target":
		go func() { served <- http.Serve(l, target()) }() //nolint:gosec // it is measured, and nobody else comes
	case "bare":
		u, err := url.Parse(os.Getenv(targetVariable))
		if err != nil {
			return fmt.Errorf("play bare: %w", err)
		}
		go func() { served <- http.Serve(l, bare(u)) }() //nolint:gosec // as above
	case "ours":
		ours := proxy.NewServer(proxy.ServerOptions{Log: quiet})
		go func() { served <- ours.Serve(ctx, l, time.Second) }()
		hosts, err := strconv.Atoi(os.Getenv(hostsVariable))
		if err != nil {
			return fmt.Errorf("play ours: %w", err)
		}
		if err := obey(ours, hosts, l.Addr().String(), in, os.Stdout); err != nil {
			return err
		}
		return nil
	default:
		return errors.New("there is no role " + role)
	}
	fmt.Println(l.Addr())
	_, err = io.Copy(io.Discard, in)
	return err
}

// target answers by the path: 1k, 1m, or a stream that says a line every 10 ms.
func target() http.Handler {
	mux := http.NewServeMux()
	for name, size := range map[string]int{"/1k": 1 << 10, "/1m": 1 << 20} {
		body := make([]byte, size)
		mux.HandleFunc(name, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
	}
	mux.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for n := 0; r.Context().Err() == nil; n++ {
			fmt.Fprintln(w, n)
			_ = http.NewResponseController(w).Flush() // it ends with the client
			<-tick.C
		}
	})
	return mux
}

// bufferPool is what any proxy of this kind is given.
type bufferPool struct{ sync.Pool }

// Get lends a buffer.
func (b *bufferPool) Get() []byte {
	if got, ok := b.Pool.Get().(*[]byte); ok {
		return *got
	}
	return make([]byte, 32<<10)
}

// Put takes it back.
func (b *bufferPool) Put(buf []byte) { b.Pool.Put(&buf) }

// bare is the floor: the library's proxy to one target, with connections and buffers that are used again.
func bare(u *url.URL) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite:    func(pr *httputil.ProxyRequest) { pr.SetURL(u); pr.SetXForwarded() },
		BufferPool: &bufferPool{}, Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
	}
}

// tableOf leads hosts to one target. No two changes are the same table.
func tableOf(hosts int, target string, change int) proxy.Table {
	var t proxy.Table
	for n := range hosts {
		t.Rules = append(t.Rules, proxy.Rule{
			ID: hostName(n), Kind: proxy.KindProxy, Addresses: []proxy.Address{{Domain: hostName(n), PathPrefix: "/"}},
			Targets: []proxy.Target{{Ref: target, URL: target}},
		})
	}
	t.Rules[change%hosts].Options.MaxBodyBytes = int64(change)
	return t
}

func hostName(n int) string { return fmt.Sprintf("h%d.example", n) }

// obey applies another table for each line of in, and answers with how long it took, in nanoseconds.
func obey(s *proxy.Server, hosts int, at string, in io.Reader, out io.Writer) error {
	target := os.Getenv(targetVariable)
	if _, err := s.Apply(tableOf(hosts, target, 0)); err != nil {
		return fmt.Errorf("play ours: %w", err)
	}
	fmt.Fprintln(out, at)
	lines := bufio.NewScanner(in)
	for change := 1; lines.Scan(); change++ {
		t := tableOf(hosts, target, change)
		began := time.Now()
		if _, err := s.Apply(t); err != nil {
			return fmt.Errorf("apply a table: %w", err)
		}
		fmt.Fprintln(out, time.Since(began).Nanoseconds())
	}
	return lines.Err()
}

// part is a process that is measured.
type part struct {
	name string
	ours bool // this program in a role, not somebody else's
	addr string
	pid  int
	in   io.WriteCloser
	out  *bufio.Reader
}

// start starts a role.
func start(t *testing.T, role string, env ...string) *part {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self)
	cmd.Env, cmd.Stderr = append(os.Environ(), append(env, roleVariable+"="+role)...), os.Stderr
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", role, err)
		}
	})
	p := &part{name: role, ours: true, pid: cmd.Process.Pid, in: in, out: bufio.NewReader(out)}
	p.addr = p.line(t)
	return p
}

func (p *part) line(t *testing.T) string {
	t.Helper()
	line, err := p.out.ReadString('\n')
	must(t, err)
	return strings.TrimSpace(line)
}

// used is the processor time of a process and its children, of those that live.
func (p *part) used(t *testing.T) time.Duration {
	t.Helper()
	var ticks int64
	for _, pid := range append(childrenOf(p.pid), p.pid) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		must(t, err)
		_, rest, _ := strings.Cut(string(text), ") ")
		fields := strings.Fields(rest)
		for _, field := range fields[11:13] { // utime and stime
			n, err := strconv.ParseInt(field, 10, 64)
			must(t, err)
			ticks += n
		}
	}
	return time.Duration(ticks) * time.Second / 100 // which Linux promises to programs
}

func childrenOf(pid int) (children []int) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil
	}
	for field := range strings.FieldsSeq(string(text)) {
		if n, err := strconv.Atoi(field); err == nil {
			children = append(children, n)
		}
	}
	return children
}
