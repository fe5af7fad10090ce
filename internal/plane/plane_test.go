package plane

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tiny-forge/docker-watcher/internal/loopbacktest"
	"github.com/tiny-forge/docker-watcher/internal/proxy"
	"github.com/tiny-forge/docker-watcher/internal/waittest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long anything may take, however slow the machine is: what never comes fails its test by name.
const patience = waittest.Patience

// bed is a folder in which planes run after one another.
type bed struct {
	t      *testing.T
	dir    string
	http   string
	socket string
}

// running is a plane that runs.
type running struct {
	*Plane
	end   func()
	ended chan error
}

func newBed(t *testing.T) *bed {
	t.Helper()
	dir, err := os.MkdirTemp("", "dwplane") //nolint:usetesting // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return &bed{t: t, dir: dir, http: loopbacktest.Free(t), socket: filepath.Join(dir, "own", "sock")}
}

func (b *bed) options(version string) Options {
	return Options{
		Proxy: proxy.ServerOptions{File: filepath.Join(b.dir, "table.json"), Log: slog.New(slog.DiscardHandler)}, Socket: b.socket, HTTP: b.http,
		Patience: patience / 2, Version: version, Log: slog.New(slog.DiscardHandler),
		Open: func(ctx context.Context, _, address string) (net.Listener, error) {
			return (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		},
	}
}

func (b *bed) start() *running {
	b.t.Helper()
	p, err := New(b.t.Context(), b.options("v1"))
	if err != nil {
		b.t.Fatal(err)
	}
	return b.run(p)
}

func (b *bed) take() *running {
	b.t.Helper()
	p, err := Take(b.t.Context(), b.options("v2"))
	if err != nil {
		b.t.Fatal(err)
	}
	return b.run(p)
}

func (b *bed) run(p *Plane) *running {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.t.Context()))
	r := &running{Plane: p, ended: make(chan error, 1)}
	serving := make(chan struct{})
	go func() { r.ended <- p.Run(ctx, func() { close(serving) }) }()
	r.end = sync.OnceFunc(func() {
		cancel()
		if err := waittest.Next(b.t, "a plane that was ended ends", r.ended); err != nil {
			b.t.Error(err)
		}
	})
	b.t.Cleanup(r.end)
	waittest.Next(b.t, "it serves", serving)
	return r
}

// daemonSide is a client with what it was told.
type daemonSide struct {
	*Client
	end    func()
	came   chan bool
	went   chan string
	flips  chan proxy.Flip
	missed chan string
}

func (b *bed) connect() *daemonSide {
	b.t.Helper()
	d := &daemonSide{came: make(chan bool, 20), went: make(chan string, 20), flips: make(chan proxy.Flip, 20), missed: make(chan string, 20)}
	d.Client = NewClient(ClientOptions{
		Socket: b.socket, Version: "v1", Own: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:9")},
		Flipped: func(f proxy.Flip) { d.flips <- f }, Missed: func(ref string) { d.missed <- ref },
		Came: func(_ Hello, again bool) { d.came <- again }, Went: func(why string) { d.went <- why },
	})
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.t.Context()))
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	d.end = sync.OnceFunc(func() {
		cancel()
		if err := waittest.Next(b.t, "a daemon's side that was ended ends", done); err != nil {
			b.t.Error(err)
		}
	})
	b.t.Cleanup(d.end)
	return d
}

func table(domain string, targets ...string) proxy.Table {
	r := proxy.Rule{ID: domain, Kind: proxy.KindProxy, Addresses: []proxy.Address{{Domain: domain, PathPrefix: "/"}}}
	for _, t := range targets {
		r.Targets = append(r.Targets, proxy.Target{Ref: t, URL: t})
	}
	return proxy.Table{Rules: []proxy.Rule{r}}
}

func says(t *testing.T, text string) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }))
	t.Cleanup(srv.Close)
	return srv.URL
}

// get asks the proxy for a domain, on a connection of its own.
func (b *bed) get(host string) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+b.http+"/", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Host = host
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d %s", resp.StatusCode, body)
}

func TestTableIsAppliedOrRefusedAsAWhole(t *testing.T) {
	b := newBed(t)
	p, d := b.start(), b.connect()
	waittest.Next(t, "the daemon comes", d.came)
	good := table("a.example", says(t, "a"))
	hash, err := d.Apply(good)
	if want, _ := good.Hash(); err != nil || hash != want {
		t.Fatalf("applied as %s, %v", hash, err)
	}
	if got := b.get("a.example"); got != "200 a" {
		t.Errorf("it answers %s", got)
	}
	bad := table("b.example", "http://127.0.0.1:9", "http://169.254.169.254", "http://"+b.http)
	_, err = d.Apply(bad)
	fields := proxy.FieldErrors(err)
	if len(fields) != 3 || fields[0].Rule != "b.example" || fields[0].Field != "targets[0]" || !strings.Contains(fields[0].Reason, "circle") {
		t.Errorf("what leads to the daemon, to a cloud and to the data plane is refused as %v", err)
	}
	if errors.Is(err, ErrAway) || b.get("a.example") != "200 a" || !strings.HasPrefix(b.get("b.example"), "404") {
		t.Errorf("a bad table changes what is answered: %v", err)
	}
	if _, inForce := d.InForce(); inForce != hash {
		t.Errorf("%s is in force", inForce)
	}
	p.end()
	b.start()
	if got := b.get("a.example"); got != "200 a" {
		t.Errorf("started anew it answers %s", got)
	}
	if _, ok := d.Report("a.example"); ok {
		waittest.Next(t, "the daemon comes again", d.came)
	}
}

func TestDaemonThatComesLearnsWhatIsServed(t *testing.T) {
	b := newBed(t)
	b.start()
	d := b.connect()
	waittest.Next(t, "the daemon comes", d.came)
	served := table("a.example", says(t, "a"))
	hash, err := d.Apply(served)
	if err != nil {
		t.Fatal(err)
	}
	b.get("a.example")
	d.end()
	d = b.connect()
	if waittest.Next(t, "another daemon comes", d.came) {
		t.Error("it was told that the data plane was away")
	}
	if got, inForce := d.InForce(); inForce != hash || len(got.Rules) != 1 || got.Own != nil {
		t.Errorf("in force is %+v %s", got, inForce)
	}
	if r, ok := d.Report("a.example"); !ok || r.Requests != 1 || len(r.Targets) != 1 || r.Targets[0].LastAnswer.IsZero() {
		t.Errorf("it does %+v, %v", r, ok)
	}
	if _, ok := d.Report("b.example"); ok {
		t.Error("a rule that is in no table does something")
	}
	if l := d.Listeners(); len(l) != 1 || l[0].String() != b.http {
		t.Errorf("it listens at %v", l)
	}
}

// raw asks the socket for something.
func (b *bed) ask(method, path, body string) (status int, f fault) {
	b.t.Helper()
	c := NewClient(ClientOptions{Socket: b.socket, Version: "v9"})
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://plane"+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("User-Agent", "v9")
	resp, err := c.http.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&f); err != nil {
		b.t.Fatal(err)
	}
	return resp.StatusCode, f
}

func TestVersionsThatDiffer(t *testing.T) {
	b := newBed(t)
	p := b.start()
	if _, err := p.proxy.Apply(table("a.example", says(t, "a"))); err != nil {
		t.Fatal(err)
	}
	for what, body := range map[string]string{
		"a field of the table":  `{"rules":[],"fireproof":true}`,
		"a field of a rule":     `{"rules":[{"id":"a","kind":"proxy","addresses":[{"domain":"a.example","path_prefix":"/"}],"options":{"only_on_sundays":true}}]}`,
		"what is no table":      `[]`,
		"what breaks off":       `{"rules":[`,
		"a field of an address": `{"rules":[{"id":"a","kind":"proxy","addresses":[{"domain":"a.example","path_prefix":"/","port":1}],"options":{}}]}`,
	} {
		status, f := b.ask(http.MethodPut, pathTable, body)
		if status != http.StatusBadRequest || !strings.Contains(f.Error, "v1") || !strings.Contains(f.Error, "v9") || !strings.Contains(f.Error, "upgrade the data plane") {
			t.Errorf("%s: %d %+v", what, status, f)
		}
	}
	if status, f := b.ask(http.MethodPut, "/v2/table", `{}`); status != http.StatusNotFound || f.Protocol != Protocol || !strings.Contains(f.Error, "same version") {
		t.Errorf("a newer protocol: %d %+v", status, f)
	}
	if got := b.get("a.example"); got != "200 a" {
		t.Errorf("it answers %s", got)
	}
	d := NewClient(ClientOptions{Socket: b.socket})
	if err := d.meet(t.Context(), Hello{Protocol: 2, Version: "v5"}); err == nil || !strings.Contains(err.Error(), "v5 speaks protocol 2") {
		t.Errorf("a data plane of another protocol: %v", err)
	}
}

func TestOnlyWhoServesTakesThePlace(t *testing.T) {
	b := newBed(t)
	p := b.start()
	if _, err := p.proxy.Apply(table("a.example", says(t, "a"))); err != nil {
		t.Fatal(err)
	}
	if _, err := New(t.Context(), b.options("v2")); !errors.Is(err, ErrTaken) {
		t.Errorf("a second one says %v", err)
	}
	elsewhere := b.options("v2")
	elsewhere.HTTP, elsewhere.Open = ":1", func(context.Context, string, string) (net.Listener, error) { return nil, errors.New("no such port") }
	if _, err := Take(t.Context(), elsewhere); err == nil || !strings.Contains(err.Error(), "serves on") || !strings.Contains(err.Error(), "no such port") {
		t.Errorf("one that cannot listen says %v", err)
	}
	before, control, given, _, err := takeFrom(t.Context(), b.socket) // and then dies
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, _, err := takeFrom(t.Context(), b.socket); err == nil || !strings.Contains(err.Error(), "at this moment") {
		t.Errorf("two take the place at once: %v", err)
	}
	before.forget()
	if err := errors.Join(control.Close(), closeAll(given)); err != nil {
		t.Fatal(err)
	}
	if got := b.get("a.example"); got != "200 a" || p.left() {
		t.Errorf("it answers %s, left %v", got, p.left())
	}
	if _, err := Take(t.Context(), newBed(t).options("v2")); !errors.Is(err, ErrNobody) {
		t.Errorf("where nobody runs the place is taken: %v", err)
	}
	b.take()
	if err := waittest.Next(t, "the one before ends", p.ended); err != nil {
		t.Error(err)
	}
	p.ended <- nil
	if got := b.get("a.example"); got != "200 a" {
		t.Errorf("the new one answers %s", got)
	}
	if status, f := b.ask(http.MethodGet, pathHello, ""); status != http.StatusOK || f.Version != "v2" {
		t.Errorf("at the socket answers %+v", f)
	}
}

func TestTakeOverCarriesWhatIsKnown(t *testing.T) {
	b := newBed(t)
	p := b.start()
	sick := table("a.example", says(t, "a"))
	down := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	t.Cleanup(down.Close)
	sick.Rules[0].Targets = append(sick.Rules[0].Targets, proxy.Target{Ref: "sick", URL: down.URL})
	sick.Rules[0].Options.HealthCheck = &proxy.HealthCheck{Path: "/", Fails: 1, Interval: proxy.Span(time.Hour)}
	if _, err := p.proxy.Apply(sick); err != nil {
		t.Fatal(err)
	}
	d := b.connect()
	if f := waittest.Next(t, "a target is told to be down", d.flips); f.Ref != "sick" || f.Up || f.At.IsZero() || f.Why == "" {
		t.Errorf("told %+v", f)
	}
	d.end()
	for range 3 {
		b.get("a.example")
	}
	p.outbox.flip(proxy.Flip{Ref: "kept"}) // which no daemon hears
	n := b.take()
	if r, ok := n.proxy.Report("a.example"); !ok || r.Requests != 3 || r.LastRequest.IsZero() || !r.Targets[1].Down || r.Targets[1].Trouble == "" || r.Targets[0].Down {
		t.Errorf("the new one knows %+v, %v", r, ok)
	}
	d = b.connect()
	if f := waittest.Next(t, "what happened before is told", d.flips); f.Ref != "kept" {
		t.Errorf("told %+v", f)
	}
	p.end()
}

// TestADaemonThatHangsKeepsNoNews: what is being told to it when another plane takes the place goes there.
func TestADaemonThatHangsKeepsNoNews(t *testing.T) {
	b := newBed(t)
	p := b.start()
	hung, err := net.Dial("unix", b.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer hung.Close()
	fmt.Fprint(hung, "GET "+pathStream+" HTTP/1.1\r\nHost: plane\r\n\r\n")
	for in, line := bufio.NewReader(hung), ""; !strings.Contains(line, `"hello"`); {
		if line, err = in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	all := make([]news, mostKept)
	for n := range all {
		all[n].Flip = &proxy.Flip{Ref: fmt.Sprint(n), Why: strings.Repeat("why", 1<<10)} // more than a socket holds
	}
	p.outbox.keep(all...)
	b.take()
	d := b.connect()
	for n := range all {
		if f := waittest.Next(t, "what was not heard is told", d.flips); f.Ref != fmt.Sprint(n) {
			t.Fatalf("told of %s, want %d", f.Ref, n)
		}
	}
}

// TestNewsSurviveAPlaneThatEnds: what a plane tells with its hello is heard although its table was asked of one that ended over that.
func TestNewsSurviveAPlaneThatEnds(t *testing.T) {
	b := newBed(t)
	if err := os.MkdirAll(filepath.Dir(b.socket), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", b.socket)
	if err != nil {
		t.Fatal(err)
	}
	var streams, tables atomic.Int32
	mux := http.NewServeMux()
	mux.HandleFunc(pathStream, func(w http.ResponseWriter, r *http.Request) {
		out := json.NewEncoder(w)
		err := out.Encode(news{Hello: &Hello{Protocol: Protocol, Hash: "theirs"}})
		if streams.Add(1) == 1 {
			err = errors.Join(err, out.Encode(news{Flip: &proxy.Flip{Ref: "once"}}))
		}
		if err = errors.Join(err, http.NewResponseController(w).Flush()); err != nil {
			t.Error(err)
		}
		<-r.Context().Done()
	})
	mux.HandleFunc(pathTable, func(w http.ResponseWriter, _ *http.Request) {
		if tables.Add(1) == 1 {
			panic(http.ErrAbortHandler)
		}
		if err := json.NewEncoder(w).Encode(served{Table: json.RawMessage("{}"), Hash: "theirs"}); err != nil {
			t.Error(err)
		}
	})
	srv := &httptest.Server{Listener: l, Config: &http.Server{Handler: mux}} //nolint:gosec // of this test alone
	srv.Start()
	t.Cleanup(srv.Close)
	d := b.connect()
	if f := waittest.Next(t, "the news are told", d.flips); f.Ref != "once" || streams.Load() != 1 || tables.Load() != 2 {
		t.Errorf("told %+v on %d streams after %d questions", f, streams.Load(), tables.Load())
	}
	if waittest.Next(t, "the daemon comes", d.came) {
		t.Error("it was told that the data plane was away")
	}
	d.end()
}

func TestDrainCountsWhatIsOpenOnTheOneBefore(t *testing.T) {
	b := newBed(t)
	p := b.start()
	d := b.connect()
	waittest.Next(t, "the daemon comes", d.came)
	release := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		select {
		case <-release:
		case <-r.Context().Done(): // the test has failed
		}
		_, _ = io.WriteString(w, "at last\n")
	}))
	t.Cleanup(slow.Close)
	leads := table("a.example")
	leads.Rules[0].Targets = []proxy.Target{{Ref: "instance:1:80", URL: slow.URL}}
	if _, err := d.Apply(leads); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", b.http)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
	in := bufio.NewReader(conn)
	if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 200") {
		t.Fatalf("%s %v", line, err)
	}
	b.take()
	if waittest.Next(t, "the daemon comes to the new one", d.came) {
		t.Error("it was told that the data plane was away")
	}
	if _, err := d.Apply(table("a.example", says(t, "b"))); err != nil {
		t.Fatal(err)
	}
	if got := b.get("a.example"); got != "200 b" {
		t.Errorf("it answers %s", got)
	}
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := d.Drained(short, "instance:1:"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("what is open on the one before is drained: %v", err)
	}
	soon, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	if err := d.Drained(soon, "instance:2:"); err != nil {
		t.Errorf("another instance: %v", err)
	}
	drained := make(chan error, 1)
	go func() { drained <- d.Drained(t.Context(), "instance:1:") }()
	close(release)
	if err := waittest.Next(t, "it is drained", drained); err != nil {
		t.Error(err)
	}
	said := ""
	for line := ""; err == nil && !strings.Contains(said, "at last\n"); said += line {
		line, err = in.ReadString('\n')
	}
	if err != nil {
		t.Errorf("the request that was open ends with %q, %v", said, err)
	}
	_ = conn.Close() // else the one before keeps it for as long as it keeps one that nobody uses
	if err := waittest.Next(t, "the one before ends", p.ended); err != nil {
		t.Error(err)
	}
	p.ended <- nil
}

func TestPlaneThatHangsOrIsAway(t *testing.T) {
	b := newBed(t)
	d := b.connect()
	if why := waittest.Next(t, "it is told to be away", d.went); !strings.Contains(why, "does not run") || !strings.Contains(why, b.socket) {
		t.Errorf("it is away as %s", why)
	}
	if s := d.Status(); s.Away == "" {
		t.Errorf("the status is %+v", s)
	}
	var away interface{ Away() bool }
	if _, err := d.Apply(table("a.example", says(t, "a"))); !errors.Is(err, ErrAway) || !errors.As(err, &away) {
		t.Errorf("a table is applied by nobody: %v", err)
	}
	if _, ok := d.Report("a.example"); ok {
		t.Error("nobody tells how a rule does")
	}
	b.start()
	if !waittest.Next(t, "it comes back", d.came) {
		t.Error("it is not told that it was away")
	}
	if s := d.Status(); s.Away != "" || s.Version != "v1" || len(d.went) != 0 {
		t.Errorf("the status is %+v, told %d times more", s, len(d.went))
	}
}

func TestSocketIsForItsOwnerAlone(t *testing.T) {
	b := newBed(t)
	p := b.start()
	for path, want := range map[string]os.FileMode{b.socket: 0o600, filepath.Dir(b.socket): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
	p.end()
	if _, err := os.Stat(b.socket); !os.IsNotExist(err) {
		t.Errorf("the socket is left behind: %v", err)
	}
	if err := os.Chmod(filepath.Dir(b.socket), 0o750); err != nil {
		t.Fatal(err)
	}
	if _, err := New(t.Context(), b.options("v1")); !errors.Is(err, ErrOpenFolder) {
		t.Errorf("in an open folder: %v", err)
	}
	if err := os.Chmod(filepath.Dir(b.socket), 0o700); err != nil {
		t.Fatal(err)
	}
	dead, err := net.Listen("unix", b.socket)
	if err != nil {
		t.Fatal(err)
	}
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = dead.Close() // as one that was killed
	b.start()
}

func TestOutboxKeepsTheNewest(t *testing.T) {
	o := newOutbox()
	for n := range mostKept + 10 {
		o.flip(proxy.Flip{Ref: fmt.Sprint(n)})
		o.miss(fmt.Sprint(n))
	}
	o.miss("1")
	kept, missed := o.take()
	if len(kept) != mostKept || kept[0].Flip.Ref != "10" || len(missed) != mostKept {
		t.Errorf("kept are %d, the first %+v, and %d misses", len(kept), kept[0].Flip, len(missed))
	}
	o.flip(proxy.Flip{Ref: "later"})
	<-o.wake // as one does who takes them, and cannot tell them
	o.putBack(kept)
	if len(o.wake) != 1 {
		t.Error("the next one who listens is not told of what was put back")
	}
	if again, missed := o.take(); len(again) != mostKept || again[mostKept-1].Flip.Ref != "later" || again[0].Flip.Ref != "11" || len(missed) != 0 {
		t.Errorf("put back are %d, from %+v to %+v", len(again), again[0].Flip, again[len(again)-1].Flip)
	}
}
