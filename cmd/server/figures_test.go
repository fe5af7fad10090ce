package main_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/loopbacktest"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
	"github.com/tiny-forge/docker-watcher/internal/waittest"
)

// figure is what a running daemon has to tell, and of what it tells.
type figure struct {
	of     string
	sample string  // a regular expression of its whole name and labels, without the name of the product
	least  float64 // once all that the test does has happened
}

// figuresOfAll are those of a daemon that serves by itself and of one that has a data plane serve.
var figuresOfAll = []figure{
	{"scan duration", `last_scan_seconds\{host="local"\}`, 1e-6},
	{"scan cost", `last_scan_list_calls\{host="local"\}`, 1},
	{"scan cost", `last_scan_inspects\{host="local"\}`, 0},
	{"scan cost", `last_scan_instances\{host="local"\}`, 2},
	{"scans that are good", `last_scan_good\{host="local"\}`, 1},
	{"scans that are good", `last_good_scan_timestamp_seconds\{host="local"\}`, 1e9},
	{"stale by project and class", `project_stale_instances\{class="exited",project="shop"\}`, 2},
	{"stale by protection", `stale_instances\{protected="false"\}`, 2},
	{"cleanup results", `cleanup_items_total\{result="removed"\}`, 1},
	{"cleanup results", `cleanup_items_total\{result="error"\}`, 0},
	{"deploys", `deploys_total\{state="done"\}`, 3},
	{"deploys", `deploys_total\{state="failed"\}`, 0},
	{"event queue", `events_waiting`, 0},
	{"event queue", `events_lost_total`, 0},
	{"database size", `store_bytes\{part="database"\}`, 1},
	{"engine latency", `engine_answer_seconds_count\{host="local"\}`, 10},
	{"engine latency", `engine_answer_seconds_bucket\{host="local",le="[0-9.]+"\}`, 1},
	{"engine latency", `engine_failures_total\{host="local"\}`, 1},
	{"blind seconds", `host_blind_seconds_total\{host="local",reason="[a-z_]+"\}`, 0.001},
	{"blind seconds", `host_blind\{host="local"\}`, 0},
	{"proxy counters", `proxy_requests_total\{kind="proxy"\}`, 5},
	{"proxy counters", `proxy_requests_total\{kind="route"\}`, 0},
	{"proxy counters", `proxy_errors_total\{kind="proxy"\}`, 1},
	{"certificates", `certificate_end_timestamp_seconds\{certificate="internal:shop.localhost"\}`, 1e9},
	{"certificates", `certificate_state\{certificate="internal:shop.localhost",state="valid"\}`, 1},
	{"certificates", `certificate_failing\{certificate="internal:shop.localhost"\}`, 0},
	{"certificates", `certificate_tries_total\{result="issued"\}`, 1},
	{"certificates", `certificate_tries_total\{result="failed"\}`, 0},
	{"notification outbox", `outbox_tries_total\{channel="ops",result="sent"\}`, 1},
	{"notification outbox", `outbox_tries_total\{channel="away",result="failed"\}`, 1},
	{"notification outbox", `outbox_tries_total\{channel="wrong",result="dead"\}`, 1},
	{"notification outbox", `outbox_waiting\{channel="away"\}`, 1},
	{"notification outbox", `outbox_late_seconds\{channel="away"\}`, 0.001},
	{"notification outbox", `outbox_dead\{channel="wrong"\}`, 1},
	{"notification outbox", `channel_failing\{channel="away"\}`, 1},
	{"backups", `newest_backup_timestamp_seconds`, 1e9},
	{"backups", `newest_backup_bytes`, 1000},
	{"backups", `backup_tries_total\{result="made"\}`, 1},
	{"backups", `backup_tries_total\{result="failed"\}`, 0},
	{"jobs", `job_failures\{job_name="stale-scan"\}`, 0},
}

// TestFiguresOfARunningDaemon has everything happen that there is a figure for, and looks for each, in both ways to serve routes.
func TestFiguresOfARunningDaemon(t *testing.T) {
	t.Parallel() // it waits for what is kept every ten seconds
	t.Run("by itself", func(t *testing.T) {
		t.Parallel() // as above
		engine, data := dockertest.Serve(t, dockertest.Docker29()), t.TempDir()
		proxyAt := loopbacktest.Free(t)
		d := launch(t, append(flags(data, engine.Endpoint()), "--proxy-http", proxyAt, "--proxy-https", "127.0.0.1:0")...)
		b := figuresBed{t, d, d.client(d.setUp()), engine, proxyAt}
		b.live()
		more := []figure{}
		if storetest.URL(t, data) == "" {
			more = append(more, figure{"SQLite sizes", `store_bytes\{part="wal"\}`, 1})
		}
		b.want(more...)
		if _, known := b.figures()["data_plane_up"]; known {
			t.Error("a data plane is told of where there is none")
		}
		b.strangersMakeNone()
	})
	t.Run("by a data plane", func(t *testing.T) {
		t.Parallel() // as above
		a := newApartBed(t)
		a.plane.end(syscall.SIGTERM)
		secure := []string{"--proxy-https", loopbacktest.Free(t)}
		a.plane = a.launch(binary, secure...)
		engine := dockertest.Serve(t, dockertest.Docker29())
		d := launch(t, append(flags(a.data, engine.Endpoint()), "--proxy-socket", a.socket)...)
		b := figuresBed{t, d, d.client(d.setUp()), engine, a.addr}
		b.live()
		up := figure{"data plane", `data_plane_up`, 1}
		b.want(up)
		b.strangersMakeNone()

		// Whoever serves, what was told goes on from where it was, once.
		const told = `proxy_requests_total{kind="proxy"}`
		requests := figure{"proxy counters", regexp.QuoteMeta(told), b.figures()[told] + 4}
		b.ask("shop.example", 2)
		former := a.plane
		a.plane = a.launch(binary, append(slices.Clone(secure), "--take-over")...)
		waittest.Next(t, "the former plane ends: what it still answers is not counted", former.exited)
		b.ask("shop.example", 2)
		b.want(up, requests)
		a.plane.end(syscall.SIGKILL)
		a.plane = a.launch(binary, secure...)
		b.want(up, requests)
		if now := b.figures()[told]; now != requests.least {
			t.Errorf("%v requests are told of instead of %v", now, requests.least)
		}
		a.plane.end(syscall.SIGTERM)
		eventually(t, "it is told to be away", func() bool {
			now := b.figures()
			at, known := now["data_plane_up"]
			_, state := now[`certificate_state{certificate="internal:shop.localhost",state="valid"}`]
			return known && at == 0 && !state && now[told] == requests.least
		})
	})
}

// figuresBed is a daemon in which everything happens.
type figuresBed struct {
	t      *testing.T
	d      *daemon
	c      *client.Client
	engine *dockertest.Engine
	proxy  string // host:port
}

func (b figuresBed) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// live has deploys, stale instances, a cleanup, a blind time, requests, certificates, messages and a backup.
func (b figuresBed) live() {
	b.t.Helper()
	ctx := b.t.Context()
	for name, status := range map[string]int{"ops": http.StatusOK, "away": http.StatusServiceUnavailable, "wrong": http.StatusBadRequest} {
		target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		b.t.Cleanup(target.Close)
		_, err := b.c.CreateChannel(ctx, client.NewChannel{Name: name, URL: target.URL + "/t0ken"})
		b.must(err)
	}
	rule, kinds, gather := "all", []string{"instance.stale"}, 0
	_, err := b.c.CreateNotifyRule(ctx, client.NotifyRuleChange{Name: &rule, Channels: &[]string{"ops", "away", "wrong"}, Kinds: &kinds, GatherMinutes: &gather})
	b.must(err)
	b.engine.Publish(dockertest.Image{Ref: "localhost/shop:1.0", Life: dockertest.Life{Health: true}})
	_, err = b.c.CleanupOne(ctx, threeStale(b.t, b.c)[0].ID)
	b.must(err)
	b.serve()
	b.goBlind()
	_, err = b.c.MakeBackup(ctx)
	b.must(err)
}

// serve leads to a site and to nowhere, and to one over TLS.
func (b figuresBed) serve() {
	b.t.Helper()
	target, internal := site(b.t), "internal"
	lead(b.t, b.c, "shop.example", target)
	lead(b.t, b.c, "nowhere.example", "http://"+loopbacktest.Free(b.t))
	_, err := b.c.CreateProxy(b.t.Context(), client.ProxyFields{RouteFields: client.RouteFields{Domains: &[]string{"shop.localhost"}, TLS: &internal}, Targets: &[]string{target}})
	b.must(err)
	b.ask("shop.example", 4)
	b.ask("nowhere.example", 1)
}

// goBlind has the engine away while it is looked at.
func (b figuresBed) goBlind() {
	b.t.Helper()
	b.engine.Shutdown()
	eventually(b.t, "the host is blind", func() bool {
		_, err := b.c.Scan(b.t.Context(), "")
		return err != nil || b.figures()[`host_blind{host="local"}`] == 1
	})
	b.engine.Boot()
	eventually(b.t, "it sees again", func() bool {
		runs, err := b.c.Scan(b.t.Context(), "")
		return err == nil && len(runs) == 1 && runs[0].Outcome == "ok"
	})
}

func (b figuresBed) ask(host string, times int) {
	b.t.Helper()
	for range times {
		get(b.t, "http://"+b.proxy, host, "")
	}
}

var sampleLine = regexp.MustCompile(`(?m)^docker_watcher_(\S+?(?:\{.*\})?) (\S+)$`)

// figures are those of the product, as they are told now.
func (b figuresBed) figures() map[string]float64 {
	b.t.Helper()
	status, text := get(b.t, b.d.url+"/metrics", "", "Bearer "+b.c.Credential())
	if status != http.StatusOK {
		b.t.Fatalf("the figures are %d %s", status, text)
	}
	all := map[string]float64{}
	for _, m := range sampleLine.FindAllStringSubmatch(text, -1) {
		v, err := strconv.ParseFloat(m[2], 64)
		b.must(err)
		all[m[1]] = v
	}
	return all
}

// want waits until all figures are told, and sees that none of those that count ever falls.
func (b figuresBed) want(more ...figure) {
	b.t.Helper()
	all := append(slices.Clone(figuresOfAll), more...)
	forms := make([]*regexp.Regexp, len(all))
	for i, f := range all {
		forms[i] = regexp.MustCompile(`^` + f.sample + `$`)
	}
	former := map[string]float64{}
	var missing []string
	b.t.Cleanup(func() {
		if len(missing) > 0 {
			b.t.Errorf("not told:\n%s", strings.Join(missing, "\n"))
		}
	})
	eventually(b.t, "everything is told", func() bool {
		now := b.figures()
		missing = missing[:0]
		for i, f := range all {
			if got, told := most(now, forms[i]); !told || got < f.least {
				missing = append(missing, fmt.Sprintf("%s: %s is %v (told: %v), not %v", f.of, f.sample, got, told, f.least))
			}
		}
		for name, v := range former {
			if strings.Contains(name, "_total") && now[name] < v {
				b.t.Errorf("%s fell from %v to %v", name, v, now[name])
			}
		}
		former = now
		return len(missing) == 0
	})
}

// most is the largest value of the samples of a form.
func most(all map[string]float64, form *regexp.Regexp) (v float64, told bool) {
	for name, at := range all {
		if form.MatchString(name) && (!told || at > v) {
			v, told = at, true
		}
	}
	return v, told
}

// strangersMakeNone: whatever somebody from outside asks for, nothing new is told.
func (b figuresBed) strangersMakeNone() {
	b.t.Helper()
	ask := func(n int) {
		for range 3 {
			get(b.t, fmt.Sprintf("%s/nowhere/%d", b.d.url, n), "", "")
			get(b.t, fmt.Sprintf("%s/api/projects/%d", b.d.url, n), "", "Bearer "+b.c.Credential())
			b.ask(fmt.Sprintf("stranger-%d.example", n), 1)
		}
	}
	ask(0)
	before := b.figures()
	for n := range 20 {
		ask(n + 1)
	}
	for name := range b.figures() {
		if _, known := before[name]; !known && !strings.HasPrefix(name, "job_") { // a job may end for the first time meanwhile
			b.t.Errorf("%s came by strangers", name)
		}
	}
	if len(before) > 1000 {
		b.t.Errorf("%d figures", len(before))
	}
}
