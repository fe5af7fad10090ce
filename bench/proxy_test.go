//go:build bench

package bench

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/loopbacktest"
)

const (
	proxyRounds  = 9
	proxyBudget  = 1.15
	reloadBudget = 5 * time.Millisecond
)

// load is what the proxies are asked for.
type load struct {
	hosts int
	body  string // 1k or 1m
	keep  bool   // connections of clients are used again
}

func (l load) String() string {
	name, keep := map[string]string{"1k": "1 KB", "1m": "1 MB"}[l.body], "kept connections"
	if !l.keep {
		keep = "a connection each"
	}
	hosts := "1,000 hosts"
	if l.hosts == 1 {
		hosts = "1 host"
	}
	return hosts + ", " + name + ", " + keep
}

// TestProxyCost holds what a request costs each proxy, in time of the processor, against a bare ReverseProxy. All run side by side and
// take turns, so that what the machine does besides meets all of them.
func TestProxyCost(t *testing.T) {
	far := start(t, "target")
	for _, hosts := range []int{1, 1000} {
		env := []string{targetVariable + "=http://" + far.addr, fmt.Sprint(hostsVariable, "=", hosts)}
		proxies := []*part{start(t, "bare", env...), start(t, "ours", env...), startNginx(t, far.addr, hosts), startCaddy(t, far.addr, hosts)}
		for _, body := range []string{"1k", "1m"} {
			for _, keep := range []bool{true, false} {
				l := load{hosts, body, keep}
				t.Run(l.String(), func(t *testing.T) { measureProxies(t, l, proxies) })
			}
		}
	}
}

func measureProxies(t *testing.T, l load, proxies []*part) {
	t.Helper()
	costs := map[string][]time.Duration{}
	for round := range proxyRounds + 1 {
		for n := range proxies {
			p := proxies[(n+round)%len(proxies)]
			if !p.ours && round%3 != 0 {
				continue // they have no budget, and need no more than a glance
			}
			before := p.used(t)
			requests, errors := wrk(t, p.addr, l, time.Second)
			if errors > 0 || requests == 0 {
				t.Errorf("%s, %s: %d requests, %d errors", p.name, l, requests, errors)
			}
			if round > 0 || !p.ours { // the first one only warms up
				costs[p.name] = append(costs[p.name], (p.used(t)-before)/time.Duration(max(requests, 1)))
			}
		}
	}
	floor := typical(costs["bare"])
	ratio(t, "a request by the proxy: "+l.String()+", processor, against a bare ReverseProxy", typical(costs["ours"]), floor, proxyBudget)
	for _, other := range []string{"nginx", "caddy"} {
		took := typical(costs[other])
		note(t, figure{what: "the same by Debian's " + other + ": " + l.String(), measured: short(took), floor: short(floor), ratio: fmt.Sprintf("%.2f", float64(took)/float64(floor)), ok: true})
	}
}

// wrk asks for a while, from as many hosts as there are, and returns how many requests were answered and how many were not, or badly.
func wrk(t *testing.T, addr string, l load, during time.Duration) (requests, errors int) {
	t.Helper()
	connection := "keep-alive"
	if !l.keep {
		connection = "close"
	}
	script := filepath.Join(t.TempDir(), "load.lua")
	must(t, os.WriteFile(script, fmt.Appendf(nil, `
local asks, turn = {}, 0
init = function()
  for n = 0, %d do asks[n] = wrk.format("GET", "/%s", {Host = "h" .. n .. ".example", Connection = "%s"}) end
end
request = function()
  turn = (turn + 1) %% %d
  return asks[turn]
end
done = function(summary)
  local e = summary.errors
  io.write("figures ", summary.requests, " ", e.connect + e.read + e.write + e.timeout + e.status, "\n")
end
`, l.hosts-1, l.body, connection, l.hosts), 0o600))
	out, err := exec.CommandContext(t.Context(), "wrk", "-t", "1", "-c", "16", "-d", fmt.Sprintf("%ds", int(during.Seconds())), "-s", script, "http://"+addr).Output()
	must(t, err)
	_, figures, _ := strings.Cut(string(out), "figures ")
	_, err = fmt.Sscan(figures, &requests, &errors)
	must(t, err)
	return requests, errors
}

func startNginx(t *testing.T, target string, hosts int) *part {
	t.Helper()
	dir, addr := t.TempDir(), loopbacktest.Free(t)
	var b strings.Builder
	fmt.Fprintf(&b, "daemon off; user root; worker_processes 2; pid %s/pid; error_log %s/error.log;\nevents { worker_connections 1024; }\nhttp { access_log off; server_names_hash_max_size 8192; server_names_hash_bucket_size 128;\n", dir, dir)
	for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&b, "%s_temp_path %s/%s;\n", name, dir, name)
	}
	fmt.Fprintf(&b, "upstream far { server %s; keepalive 64; }\nproxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;\n", target)
	for n := range hosts {
		fmt.Fprintf(&b, "server { listen %s; server_name %s; location / { proxy_pass http://far; } }\n", addr, hostName(n))
	}
	fmt.Fprintln(&b, "}")
	must(t, os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(b.String()), 0o600))
	return startOther(t, "nginx", addr, "nginx", "-e", filepath.Join(dir, "error.log"), "-p", dir, "-c", filepath.Join(dir, "nginx.conf"))
}

func startCaddy(t *testing.T, target string, hosts int) *part {
	t.Helper()
	dir, addr := t.TempDir(), loopbacktest.Free(t)
	var b strings.Builder
	_, port, _ := strings.Cut(addr, ":")
	fmt.Fprintf(&b, "{\nadmin off\nauto_https off\n}\n")
	for n := range hosts {
		fmt.Fprintf(&b, "http://%s:%s {\nbind 127.0.0.1\nreverse_proxy %s\n}\n", hostName(n), port, target)
	}
	must(t, os.WriteFile(filepath.Join(dir, "Caddyfile"), []byte(b.String()), 0o600))
	return startOther(t, "caddy", addr, "caddy", "run", "--config", filepath.Join(dir, "Caddyfile"), "--adapter", "caddyfile")
}

// startOther starts somebody else's proxy, and waits until it serves.
func startOther(t *testing.T, name, addr string, program string, args ...string) *part {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "XDG_DATA_HOME="+t.TempDir(), "XDG_CONFIG_HOME="+t.TempDir())
	must(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		must(t, cmd.Process.Signal(os.Interrupt))
		if err := <-ended; err != nil {
			t.Logf("%s ended: %v", name, err)
		}
	})
	for range 200 {
		if conn, err := net.Dial("tcp", addr); err == nil {
			_ = conn.Close()
			return &part{name: name, addr: addr, pid: cmd.Process.Pid}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%s does not listen at %s", name, addr)
	return nil
}

// TestProxyReload swaps tables of a thousand rules under load.
func TestProxyReload(t *testing.T) {
	far := start(t, "target")
	ours := start(t, "ours", targetVariable+"=http://"+far.addr, hostsVariable+"=1000")
	cut := stream(t, ours.addr)
	const reloads = 100
	took := make(chan []time.Duration, 1)
	go func() {
		var all []time.Duration
		for range reloads {
			fmt.Fprintln(ours.in, "again")
			var ns int64
			if _, err := fmt.Fscanln(ours.out, &ns); err != nil {
				t.Error(err)
				break
			}
			all = append(all, time.Duration(ns))
			time.Sleep(20 * time.Millisecond)
		}
		took <- all
	}()
	requests, errors := wrk(t, ours.addr, load{1000, "1k", true}, 4*time.Second)
	all := <-took
	slices.Sort(all)
	most(t, "a table of 1,000 rules, one of them changed, put in force under full load, the middle of 100", all[len(all)/2], reloadBudget, short)
	note(t, figure{what: "the same, the slowest of nine in ten", measured: short(all[len(all)*9/10]), ok: true})
	most(t, "requests of those that failed meanwhile", errors, 0, count)
	least(t, "requests meanwhile", requests, 1, count)
	most(t, "streams that were cut meanwhile", cut(), 0, count)
}

// stream opens one through the proxy; the function that it returns tells how many were cut, by the line that comes next.
func stream(t *testing.T, addr string) (cut func() int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/stream", nil)
	must(t, err)
	req.Host = hostName(7)
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	t.Cleanup(func() { _ = resp.Body.Close() })
	lines, ended := bufio.NewReader(resp.Body), make(chan error, 1)
	stop := make(chan struct{})
	go func() {
		for want := 0; ; want++ {
			var n int
			if _, err := fmt.Fscanln(lines, &n); err != nil || n != want {
				ended <- fmt.Errorf("line %d is %d: %w", want, n, err)
				return
			}
			select {
			case <-stop:
				ended <- io.EOF
				return
			default:
			}
		}
	}()
	return func() int {
		close(stop)
		if err := <-ended; err != io.EOF { //nolint:errorlint // as it is said above
			t.Log(err)
			return 1
		}
		return 0
	}
}
