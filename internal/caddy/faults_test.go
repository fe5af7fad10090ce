package caddy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tiny-forge/docker-watcher/internal/loopbacktest"
	"github.com/tiny-forge/docker-watcher/internal/proxy"
	"github.com/tiny-forge/docker-watcher/internal/waittest"
)

// without is Caddy's configuration without our part.
func (r *rig) without() string {
	r.t.Helper()
	var b strings.Builder
	for _, path := range []string{"/admin", "/apps/http/servers/theirs"} {
		b.WriteString(r.raw(path))
	}
	return b.String()
}

func TestWhatIsNotOursIsLeftAlone(t *testing.T) {
	r := newRig(t)
	before := r.without()
	d := r.driver()
	apply(t, d, rule("a.example", says(t, "a")))
	apply(t, d, rule("b.example", says(t, "b")))
	apply(t, d)
	if after := r.without(); after != before {
		t.Errorf("it became\n%s\nof\n%s", after, before)
	}
	if got := ask(t, r.Other, "theirs.example", "/"); got.body != "theirs" {
		t.Errorf("it answers %+v", got)
	}

	e := newRig(t)
	before = e.raw("")
	into := e.driver(func(o *Options) { o.Site = Site{Server: "theirs"} })
	apply(t, into, rule("a.example", says(t, "a")))
	apply(t, into, rule("b.example", says(t, "b")))
	if got := ask(t, e.Other, "b.example", "/"); got.body != "b" {
		t.Errorf("a route of ours in a server of theirs answers %+v", got)
	}
	e.write(http.MethodDelete, "/apps/http/servers/theirs/routes/0", nil) // it is the first
	if after := e.raw(""); after != before {
		t.Errorf("it became\n%s\nof\n%s", after, before)
	}
}

func TestItIsNotPutOverWhatIsTheirs(t *testing.T) {
	r := newRig(t)
	r.write(http.MethodPut, "/apps/http/servers/docker_watcher", object{"listen": list{loopbacktest.Free(t)}})
	before := r.raw("")
	if _, err := r.driver().Apply(proxy.Table{Rules: []proxy.Rule{rule("a.example", says(t, "a"))}}); err == nil || !strings.Contains(err.Error(), "not ours") {
		t.Errorf("a server of the same name: %v", err)
	}
	if _, err := r.driver(func(o *Options) { o.Site = Site{Server: "nobody"} }).Apply(proxy.Table{}); err == nil || !strings.Contains(err.Error(), `no server "nobody": it has docker_watcher, theirs`) {
		t.Errorf("a server that is not there: %v", err)
	}
	if after := r.raw(""); after != before {
		t.Errorf("it became %s", after)
	}
}

func TestItMovesToAnotherServer(t *testing.T) {
	r := newRig(t)
	apply(t, r.driver(func(o *Options) { o.Tick = time.Hour }), rule("a.example", says(t, "a")))
	apply(t, r.driver(func(o *Options) { o.Site, o.Tick = Site{Server: "theirs"}, time.Hour }), rule("a.example", says(t, "a")))
	if got := parts(mustConfig(t, r), nil); len(got) != 1 || strings.Join(got[0].path, "/") != "apps/http/servers/theirs/routes/0" {
		t.Errorf("it is at %+v", got)
	}
}

func mustConfig(t *testing.T, r *rig) any {
	t.Helper()
	config, _, err := r.admin().config(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// TestNobodysWriteIsLost has somebody else write half of the time.
func TestNobodysWriteIsLost(t *testing.T) {
	r := newRig(t)
	d := r.driver(func(o *Options) { o.Tick = time.Hour })
	ctx, cancel := context.WithCancel(t.Context())
	var others errgroup.Group
	var theirs []string
	others.Go(func() error {
		for n := 0; ctx.Err() == nil; n++ {
			began := time.Now()
			host := fmt.Sprintf("x%d.example", n)
			route := object{"match": list{object{"host": list{host}}}}
			_, err := r.admin().do(t.Context(), http.MethodPost, "/config/apps/http/servers/theirs/routes", "", route, nil)
			switch {
			case err == nil:
				theirs = append(theirs, host)
			case !cutOff(err): // of one that was cut off nobody knows how it ended
				return err
			}
			select {
			case <-time.After(time.Since(began)):
			case <-ctx.Done():
			}
		}
		return nil
	})
	applied := ""
	for n := range 10 {
		host := fmt.Sprintf("r%d.example", n)
		_, err := d.Apply(proxy.Table{Rules: []proxy.Rule{rule(host, "http://127.0.0.1:1")}})
		switch {
		case err == nil:
			applied = host
		case !errors.Is(err, errChanged):
			t.Error(err)
		}
	}
	cancel()
	if err := others.Wait(); err != nil {
		t.Fatal(err)
	}
	if applied == "" {
		t.Fatal("none of ten tables came between the writes of others")
	}
	config := r.raw("")
	if len(theirs) == 0 {
		t.Error("nobody else wrote")
	}
	for _, host := range theirs {
		if !strings.Contains(config, `["`+host+`"]`) {
			t.Errorf("the write of %s is lost", host)
		}
	}
	if !strings.Contains(config, `["`+applied+`"]`) {
		t.Errorf("what was applied last, %s, is not there", applied)
	}

	// One that has seen the former configuration is refused.
	_, tag, err := r.admin().config(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.write(http.MethodPost, "/apps/http/servers/theirs/routes", object{"match": list{object{"host": list{"late.example"}}}})
	err = r.admin().write(t.Context(), step{method: http.MethodDelete, path: "/apps/http/servers/docker_watcher"}, tag)
	if !errors.Is(err, errChanged) {
		t.Errorf("a write by what was seen before is answered %v", err)
	}
}

func TestABadTableChangesNothing(t *testing.T) {
	r := newRig(t)
	d := r.driver()
	good := apply(t, d, rule("a.example", says(t, "a")))
	taken := rule("a.example", says(t, "other"))
	taken.ID = "taken"
	bad := proxy.Table{Rules: []proxy.Rule{rule("a.example", says(t, "other")), taken}}
	if _, err := d.Apply(bad); err == nil {
		t.Error("two rules of one address are taken")
	}
	// What Caddy itself will not have.
	blocked, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer blocked.Close()
	elsewhere := r.driver(func(o *Options) { o.Site, o.Tick, o.File = Site{Listen: blocked.Addr().String()}, time.Hour, "" })
	_, err = elsewhere.Apply(proxy.Table{Rules: []proxy.Rule{rule("a.example", says(t, "other"))}})
	var refused refusedError
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("a port that is taken: %v", err)
	}
	if got := ask(t, r.Listen, "a.example", "/"); got.body != "a" {
		t.Errorf("the former table answers %+v", got)
	}
	if _, hash := d.InForce(); hash != good {
		t.Errorf("in force is %s, want %s", hash, good)
	}
}

func TestARestartedCaddyIsToldAgain(t *testing.T) {
	r := newRig(t)
	d := r.driver()
	want := apply(t, d, rule("a.example", says(t, "a")))
	r.Stop()
	r.expect(proxy.TurnLost)
	if s := d.Standing(); s.Error == "" || s.ErrorAt.IsZero() {
		t.Errorf("it stands %+v", s)
	}
	_, err := d.Apply(proxy.Table{Rules: []proxy.Rule{rule("b.example", says(t, "b"))}})
	if !errors.Is(err, errAway) {
		t.Errorf("while Caddy is down a table is answered %v", err)
	}
	if table, hash := d.InForce(); hash != want || table.Rules[0].ID != "a.example" {
		t.Errorf("in force is %s", hash)
	}
	r.Run(r.Foreign()) // without our part
	r.expect(proxy.TurnBack)
	r.expect(proxy.TurnDrifted)
	r.expect(proxy.TurnMended)
	if got := ask(t, r.Listen, "a.example", "/"); got.body != "a" {
		t.Errorf("it answers %+v", got)
	}
	if _, hash := d.InForce(); hash != want || d.Standing().Error != "" || d.Standing().Drift != "" {
		t.Errorf("in force is %s, it stands %+v", hash, d.Standing())
	}
}

func TestAnEmptyCaddyIsTold(t *testing.T) {
	r := newRig(t)
	r.Stop()
	r.Run(r.Empty())
	apply(t, r.driver(), rule("a.example", says(t, "a")))
	if got := ask(t, r.Listen, "a.example", "/"); got.body != "a" {
		t.Errorf("it answers %+v", got)
	}
	if admin := r.raw("/admin"); !strings.Contains(admin, r.Dir) {
		t.Errorf("its admin API became %s", admin)
	}
}

// expect waits for a turn; others must not come before it.
func (r *rig) expect(want proxy.Turn) {
	r.t.Helper()
	if got := waittest.Next(r.t, fmt.Sprint("turn ", want), r.turns); got != want {
		r.t.Fatalf("told was %d, want %d", got, want)
	}
}

func TestDriftIsFoundToldOnceAndUndone(t *testing.T) {
	r := newRig(t)
	d := r.driver()
	want := apply(t, d, rule("a.example", says(t, "a")))
	r.write(http.MethodPatch, "/apps/http/servers/docker_watcher/idle_timeout", 5)
	r.expect(proxy.TurnDrifted)
	r.expect(proxy.TurnMended)
	if got := r.raw("/apps/http/servers/docker_watcher/idle_timeout"); got != `"2m"` {
		t.Errorf("it is %s", got)
	}
	// What is not ours is no drift.
	r.write(http.MethodPost, "/apps/http/servers/theirs/routes", object{"match": list{object{"host": list{"new.example"}}}})
	seen := d.Standing().SeenAt
	r.until("it looks again", func() bool { return d.Standing().SeenAt.Sub(seen) > 3*d.o.Tick })
	if _, hash := d.InForce(); hash != want || d.Standing().Drift != "" || len(r.turns) > 0 {
		t.Errorf("in force is %s, it stands %+v", hash, d.Standing())
	}
}

func TestDriftIsLeftWhereItIsNotToBeUndone(t *testing.T) {
	r := newRig(t)
	d := r.driver(func(o *Options) { o.Mend = false })
	target := says(t, "a")
	apply(t, d, rule("a.example", target))
	r.write(http.MethodPatch, "/apps/http/servers/docker_watcher/idle_timeout", 5)
	r.expect(proxy.TurnDrifted)
	if s := d.Standing(); s.Drift != "in our part /idle_timeout was changed" || s.DriftSince.IsZero() || s.Mends {
		t.Errorf("it stands %+v", s)
	}
	if hash := apply(t, d, rule("a.example", target)); hash != "" {
		t.Errorf("the same table is said to be in force as %s", hash)
	}
	if got := r.raw("/apps/http/servers/docker_watcher/idle_timeout"); got != "5" {
		t.Errorf("it is %s", got)
	}
	if hash := apply(t, d, rule("a.example", target), rule("b.example", target)); hash == "" || d.Standing().Drift != "" {
		t.Error("another table is not put over it")
	}
	if got := r.raw("/apps/http/servers/docker_watcher/idle_timeout"); got != `"2m"` {
		t.Errorf("it is %s", got)
	}
}

// TestTheSameTableIsWrittenOnce: each write would cut the WebSockets of an old Caddy.
func TestTheSameTableIsWrittenOnce(t *testing.T) {
	r := newRig(t)
	target := app(t, echo)
	apply(t, r.driver(), rule("a.example", target))
	conn, in := upgrade(t, r.Listen, "a.example")
	apply(t, r.driver(), rule("a.example", target)) // as after a restart of the daemon
	if _, err := fmt.Fprintln(conn, "still here"); err != nil {
		t.Fatal(err)
	}
	if line, err := in.ReadString('\n'); err != nil || line != "still here\n" {
		t.Errorf("the stream says %q, %v", line, err)
	}
}

// echo changes the protocol and says what it is told.
func echo(w http.ResponseWriter, r *http.Request) {
	conn, in, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	_, _ = io.Copy(conn, in)
}

func upgrade(t *testing.T, addr, host string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n", host)
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil) //nolint:bodyclose // it has changed its protocol
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the upgrade answers %v, %v", resp, err)
	}
	return conn, in
}

// TestStreamsOutliveAChangeWhereCaddyCan: from 2.7 on.
func TestStreamsOutliveAChangeWhereCaddyCan(t *testing.T) {
	r := newRig(t)
	d := r.driver()
	target := app(t, echo)
	apply(t, d, rule("a.example", target))
	conn, in := upgrade(t, r.Listen, "a.example")
	apply(t, d, rule("a.example", target), rule("b.example", target))
	_, _ = fmt.Fprintln(conn, "hello")
	line, err := in.ReadString('\n')
	if stays := err == nil && line == "hello\n"; stays != d.abilities().StreamsStay {
		t.Errorf("the stream says %q, %v, but streams stay: %v", line, err, d.abilities().StreamsStay)
	}
}

func TestAnswersComeAsTheyAreWritten(t *testing.T) {
	r := newRig(t)
	goOn := make(chan struct{})
	target := app(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "first\n")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-goOn:
		case <-r.Context().Done(): // the test has failed
		}
		_, _ = io.WriteString(w, "second\n")
	})
	apply(t, r.driver(), rule("a.example", target))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.Listen, nil)
	req.Host = "a.example"
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	in := bufio.NewReader(resp.Body)
	if line, err := in.ReadString('\n'); err != nil || line != "first\n" {
		t.Errorf("it says %q, %v", line, err)
	}
	close(goOn)
	if line, err := in.ReadString('\n'); err != nil || line != "second\n" {
		t.Errorf("it says %q, %v", line, err)
	}
}

func TestItIsDrainedWhenNothingIsUnderWay(t *testing.T) {
	r := newRig(t)
	d := r.driver()
	end, begun := make(chan struct{}), make(chan struct{}, 1)
	slow := app(t, func(w http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		select {
		case <-end:
		case <-r.Context().Done(): // the test has failed
		}
		_, _ = io.WriteString(w, "late")
	})
	led := func(ref, to string) proxy.Rule {
		r := rule("a.example")
		r.Targets = []proxy.Target{{Ref: ref, URL: to}}
		return r
	}
	apply(t, d, led("instance:1:80", slow))
	answered := make(chan answer, 1)
	go func() { answered <- ask(t, r.Listen, "a.example", "/") }()
	waittest.Next(t, "the slow one is asked", begun)
	apply(t, d, led("instance:2:80", says(t, "new")))
	if got := ask(t, r.Listen, "a.example", "/"); got.body != "new" {
		t.Errorf("it answers %+v", got)
	}
	soon, cancel := context.WithTimeout(t.Context(), 1200*time.Millisecond)
	defer cancel()
	if err := d.Drained(soon, "instance:1:"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it is drained while a request is under way: %v", err)
	}
	close(end)
	if got := waittest.Next(t, "the answer of the slow one", answered); got.body != "late" {
		t.Errorf("what was under way is answered %+v", got)
	}
	drained, over := context.WithTimeout(t.Context(), patience)
	defer over()
	if err := d.Drained(drained, "instance:1:"); err != nil {
		t.Error(err)
	}
	never, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	if err := d.Drained(never, "instance:3:"); err == nil {
		t.Error("one that Caddy never counted is drained")
	}
}

func TestReportOfARule(t *testing.T) {
	r := newRig(t)
	d := r.driver()
	down := "http://" + loopbacktest.Free(t)
	apply(t, d, rule("a.example", down, says(t, "a")))
	r.until("Caddy tells of the target that is down", func() bool {
		ask(t, r.Listen, "a.example", "/")
		got, ok := d.Report("a.example")
		return ok && got.Uncounted && got.Targets[0].Down && !got.Targets[1].Down
	})
	if _, ok := d.Report("b.example"); ok {
		t.Error("there is a report of a rule that is not")
	}
}

func TestAnAdminAPIThatLetsNobodyIn(t *testing.T) {
	r := newRig(t)
	closed := app(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"error":"host not allowed: x"}`, http.StatusForbidden)
	})
	d := r.driver(func(o *Options) { o.Admin = closed })
	if _, err := d.Apply(proxy.Table{}); !errors.Is(err, errAway) || !strings.Contains(err.Error(), "host not allowed") {
		t.Errorf("it says %v", err)
	}
	for _, a := range []string{"http://127.0.0.1:1", "unix:///nobody"} {
		if _, err := r.driver(func(o *Options) { o.Admin = a }).Apply(proxy.Table{}); !errors.Is(err, errAway) {
			t.Errorf("%s: %v", a, err)
		}
	}
}

func TestAHealthCheckTakesATargetOut(t *testing.T) {
	r := newRig(t)
	checks := make(chan *http.Request, 100)
	sick := app(t, func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/base/healthz" {
			select {
			case checks <- req:
			default: // one is enough
			}
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = io.WriteString(w, "sick")
	})
	led := with(rule("a.example", sick+"/base", says(t, "well")+"/base"), func(o *proxy.Options) {
		o.HealthCheck = &proxy.HealthCheck{Path: "/healthz?deep=1", Interval: proxy.Span(time.Second)}
	})
	apply(t, r.driver(), led)
	if check := waittest.Next(t, "a check", checks); check.Host != "a.example" || check.URL.RawQuery != "deep=1" {
		t.Errorf("it is asked for %s of %s", check.URL, check.Host)
	}
	in := 0
	r.until("only the other answers", func() bool {
		if ask(t, r.Listen, "a.example", "/").body == "well" {
			in++
		} else {
			in = 0
		}
		return in > 20
	})
}
