package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/stale"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// TestProblemsEverywhere asks for what does not exist and sends what cannot be read.
func TestProblemsEverywhere(t *testing.T) {
	b := newBed(t)
	for name, c := range map[string]struct {
		method, path, body string
		headers            []string
		status             int
		code, at           string
	}{
		"unknown path":           {get, "/api/nothing", "", nil, 404, codeNotFound, ""},
		"the base itself":        {get, "/api", "", nil, 404, codeNotFound, ""},
		"unknown version":        {get, "/api/v1/projects", "", nil, 404, codeNotFound, ""},
		"no pages":               {get, "/projects", "", nil, 404, codeNotFound, ""},
		"unknown project":        {get, "/api/projects/none", "", nil, 404, codeNotFound, ""},
		"unknown stage":          {get, "/api/stages/none", "", nil, 404, codeNotFound, ""},
		"unknown instance":       {get, "/api/instances/none", "", nil, 404, codeNotFound, ""},
		"unknown log":            {get, "/api/instances/none/logs", "", nil, 404, codeNotFound, ""},
		"unknown deploy":         {get, "/api/deploys/none", "", nil, 404, codeNotFound, ""},
		"unknown plan":           {get, "/api/plans/none", "", nil, 404, codeNotFound, ""},
		"unknown host":           {get, "/api/hosts/none", "", nil, 404, codeNotFound, ""},
		"accept unknown host":    {post, "/api/hosts/none/accept", "", nil, 404, codeNotFound, ""},
		"pin unknown":            {post, "/api/instances/none/pin", "", nil, 404, codeNotFound, ""},
		"stop unknown":           {post, "/api/instances/none/stop", "", nil, 404, codeNotFound, ""},
		"remove unknown":         {remove, "/api/instances/none", "", nil, 404, codeNotFound, ""},
		"clean up unknown":       {post, "/api/containers/stale/none/cleanup", "", nil, 404, codeNotFound, ""},
		"apply unknown plan":     {post, "/api/containers/stale/cleanup", `{"plan_id":"none"}`, nil, 404, codeNotFound, ""},
		"revoke unknown token":   {remove, "/api/tokens/none", "", nil, 404, codeNotFound, ""},
		"deploy unknown stage":   {post, "/api/stages/none/deploys", `{"tag":"1"}`, nil, 404, codeNotFound, ""},
		"scan unknown host":      {post, "/api/containers/stale/scan", `{"host_id":"none"}`, nil, 404, codeNotFound, ""},
		"method of a collection": {remove, "/api/projects", "", nil, 405, codeMethodNotAllowed, ""},
		"method of an action":    {get, "/api/containers/stale/scan", "", nil, 405, codeMethodNotAllowed, ""},
		"method of the list":     {post, "/api/containers/stale", "", nil, 405, codeMethodNotAllowed, ""},
		"method outside":         {post, "/healthz", "", nil, 405, codeMethodNotAllowed, ""},
		"unknown query":          {get, "/api/containers/stale?older_then_days=7", "", nil, 422, codeInvalid, "query.older_then_days"},
		"query of another type":  {get, "/api/containers/stale?older_than_days=week", "", nil, 422, codeInvalid, "query.older_than_days"},
		"negative query":         {get, "/api/containers/stale?older_than_days=-1", "", nil, 422, codeInvalid, "query.older_than_days"},
		"unknown class":          {get, "/api/containers/stale?class=running", "", nil, 422, codeInvalid, "query.class[0]"},
		"unknown sort":           {get, "/api/containers/stale?sort=age", "", nil, 422, codeInvalid, "query.sort"},
		"limit of zero":          {get, "/api/containers/stale?limit=0", "", nil, 422, codeInvalid, "query.limit"},
		"huge limit":             {get, "/api/containers/stale?limit=100000", "", nil, 422, codeInvalid, "query.limit"},
		"made-up cursor":         {get, "/api/containers/stale?cursor=xyz", "", nil, 422, codeInvalid, "query.cursor"},
		"unknown project filter": {get, "/api/containers/stale?project=none", "", nil, 422, codeInvalid, "query.project"},
		"stage without project":  {get, "/api/containers/stale?stage=preview", "", nil, 422, codeInvalid, "query.stage"},
		"events from the future": {get, "/api/events?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "", nil, 422, codeInvalid, "query.to"},
		"event time as text":     {get, "/api/events?from=yesterday", "", nil, 422, codeInvalid, "query.from"},
		"bad resume id":          {get, "/api/events/stream", "", []string{"Last-Event-ID", "abc"}, 422, codeInvalid, "header.Last-Event-ID"},
		"not JSON":               {post, "/api/projects", `{"name":`, nil, 422, codeInvalid, "body"},
		"no body":                {post, "/api/projects", ``, nil, 422, codeInvalid, "body"},
		"a list":                 {post, "/api/projects", `[]`, nil, 422, codeInvalid, "body"},
		"unknown field":          {post, "/api/projects", `{"name":"a","image":"b","nmae":"c"}`, nil, 422, codeInvalid, "body.nmae"},
		"another spelling":       {post, "/api/projects", `{"Name":"a","image":"b"}`, nil, 422, codeInvalid, "body.name"},
		"a form":                 {post, "/api/projects", `name=a`, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, codeMediaType, ""},
		"cleanup as a form":      {post, "/api/containers/stale/cleanup", `dry_run=true`, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, codeMediaType, ""},
		"cleanup as text":        {post, "/api/containers/stale/cleanup", `{"dry_run":true}`, []string{"Content-Type", "text/plain"}, 415, codeMediaType, ""},
		// One byte too many: of more, the server leaves some unread, and a client on a pipe may be cut off before it has the answer.
		"a body too large":    {post, "/api/projects", `{"name":"` + strings.Repeat("a", maxBody-10) + `"}`, nil, 413, codeTooLarge, ""},
		"a cleanup too large": {post, "/api/containers/stale/cleanup", strings.Repeat(" ", maxBody+1), nil, 413, codeTooLarge, ""},
	} {
		t.Run(name, func(t *testing.T) {
			status, h, text := b.raw(b.admin, c.method, c.path, c.body, c.headers...)
			var p Problem
			if err := json.Unmarshal([]byte(text), &p); err != nil {
				t.Fatalf("%d %q is no problem: %v", status, text, err)
			}
			if status != c.status || p.Status != c.status || p.Code != c.code || h.Get("Content-Type") != "application/problem+json" {
				t.Fatalf("got %d %s %s", status, h.Get("Content-Type"), text)
			}
			if p.Type != "urn:docker-watcher:problem:"+c.code || p.Title == "" || p.Detail == "" {
				t.Errorf("it is not complete: %s", text)
			}
			if c.at != "" && (len(p.Errors) == 0 || p.Errors[0].Location != c.at) {
				t.Errorf("got %s, want the place %s", text, c.at)
			}
			if c.status == 405 && h.Get("Allow") == "" {
				t.Error("it does not say which methods there are")
			}
		})
	}
}

func TestProblemOf(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		status int
		code   string
	}{
		"gone":              {store.ErrNotFound, 404, codeNotFound},
		"conflict":          {store.ErrConflict, 409, codeConflict},
		"transition":        {store.ErrBadTransition, 409, codeWrongState},
		"database full":     {store.ErrDiskFull, 503, codeStore},
		"database damaged":  {store.ErrCorrupt, 503, codeStore},
		"value unreadable":  {store.ErrUnreadable, 503, codeStore},
		"leader lock lost":  {store.ErrLockLost, 503, codeStore},
		"not stale":         {stale.ErrNotStale, 409, codeNotStale},
		"plan expired":      {stale.ErrPlanExpired, 409, codePlanExpired},
		"plan used":         {stale.ErrPlanUsed, 409, codePlanUsed},
		"frozen":            {stale.ErrFrozen, 409, codeFrozen},
		"blind":             {stale.ErrBlind, 409, codeBlind},
		"engine away":       {docker.ErrUnavailable, 503, codeUnavailable},
		"engine slow":       {docker.ErrTimeout, 503, codeUnavailable},
		"foreign container": {docker.ErrNotOwned, 409, codeNotOwned},
		"too slow":          {context.DeadlineExceeded, 503, codeTimeout},
		"joined":            {errors.Join(errors.New("a"), stale.ErrBlind), 409, codeBlind},
	} {
		t.Run(name, func(t *testing.T) {
			p := problemOf(t.Context(), slog.New(slog.DiscardHandler), fmt.Errorf("doing it: %w", c.err))
			if p.Status != c.status || p.Code != c.code {
				t.Errorf("got %d %s", p.Status, p.Code)
			}
			if c.status == 503 && p.Hint == "" && c.code != codeTimeout {
				t.Error("nothing says what to do about it")
			}
		})
	}
}

func TestUnknownErrorsAreToldToTheLogOnly(t *testing.T) {
	log := &syncBuffer{}
	p := problemOf(t.Context(), slog.New(slog.NewTextHandler(log, nil)), errors.New("dial tcp 10.0.0.7: secret detail"))
	if p.Status != 500 || p.ID == "" || strings.Contains(p.Detail+p.Hint, "secret") {
		t.Errorf("got %+v", p)
	}
	if !strings.Contains(log.String(), p.ID) || !strings.Contains(log.String(), "secret detail") {
		t.Errorf("the log does not tell it under its id: %s", log)
	}
}

func TestPanicIsAProblemWithAnID(t *testing.T) {
	log := &syncBuffer{}
	s := &server{log: slog.New(slog.NewTextHandler(log, nil)), metrics: newMetrics(Deps{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/broken", func(http.ResponseWriter, *http.Request) { panic("the pump broke") })
	mux.HandleFunc("GET /api/half", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		panic("the pump broke")
	})
	srv := httptest.NewServer(s.guard(mux))
	defer srv.Close()
	c, err := client.New(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Get(srv.URL + "/api/broken")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var p Problem
	if err := json.NewDecoder(res.Body).Decode(&p); err != nil || res.StatusCode != 500 || p.Code != codeInternal || p.ID == "" {
		t.Fatalf("got %d %+v %v", res.StatusCode, p, err)
	}
	if !strings.Contains(log.String(), p.ID) || !strings.Contains(log.String(), "the pump broke") || strings.Contains(p.Detail, "pump") {
		t.Errorf("log %s, problem %+v", log, p)
	}
	if half, err := http.Get(srv.URL + "/api/half"); err == nil {
		_, err := io.ReadAll(half.Body)
		_ = half.Body.Close()
		if err == nil {
			t.Error("half an answer looked like a whole one")
		}
	}
	// The server lives on.
	if _, err := c.Session(t.Context()); !client.HasCode(err, client.CodeNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestSecurityHeaders(t *testing.T) {
	b := newBed(t)
	for _, path := range []string{"/api/session", "/api/none", "/healthz", "/anything"} {
		_, h, _ := b.raw(b.nobody, get, path, "")
		policy := h.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") {
			t.Errorf("%s: the policy is %q", path, policy)
		}
		if !strings.Contains(policy, "require-trusted-types-for 'script'; trusted-types svelte-trusted-html") || strings.Contains(policy, "allow-duplicates") {
			t.Errorf("%s: text may become markup by the policy %q", path, policy)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("X-Frame-Options") != "DENY" {
			t.Errorf("%s: %v", path, h)
		}
	}
	if _, h, _ := b.raw(b.nobody, get, "/api/session", ""); h.Get("Cache-Control") != "no-store" {
		t.Error("an answer about the caller may be kept by a cache")
	}
}

func TestPagesStandBesideTheAPI(t *testing.T) {
	b := newBed(t)
	b.deps.Web = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "page "+r.URL.Path) })
	b.serve(New(b.deps))
	if _, _, text := b.raw(b.nobody, get, "/stale", ""); text != "page /stale" {
		t.Errorf("got %q", text)
	}
	if status, h, text := b.raw(b.nobody, get, "/api/stale", ""); status != 404 || h.Get("Content-Type") != "application/problem+json" {
		t.Errorf("an unknown path of the API is answered by the pages: %d %q", status, text)
	}
}

// TestSlowBodyIsGivenUp sends a body that does not come.
func TestSlowBodyIsGivenUp(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		conn, err := b.listener.dial(t.Context(), "", "")
		b.must(err)
		begin := time.Now()
		_, err = io.WriteString(conn, "POST /api/session HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
		b.must(err)
		text, err := io.ReadAll(conn)
		if err != nil || !strings.HasPrefix(string(text), "HTTP/1.1 408 ") || !strings.Contains(string(text), `"code":"timeout"`) {
			t.Errorf("got %q, %v", text, err)
		}
		if took := time.Since(begin); took > 15*time.Second {
			t.Errorf("it held on for %s", took)
		}
	})
}

// TestLongWorkIsNotCutShort: the time that a body may take is not the time that the work may take.
func TestLongWorkIsNotCutShort(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		_, ct := b.plant(b.shop("shop", "preview"), "shop-preview-a", 20)
		b.scan()
		plan, err := b.admin.PlanCleanup(t.Context(), client.StaleFilter{})
		b.must(err)
		b.engine.Fail(dockertest.Fault{On: `^DELETE /containers/`, Delay: 40 * time.Second})
		begin := time.Now()
		p, err := b.admin.ApplyCleanup(t.Context(), plan.ID)
		if err != nil || p.Items[0].Result != "removed" || ct.Facts().Exists || time.Since(begin) < 40*time.Second {
			t.Errorf("after %s: %+v, %v", time.Since(begin), p, err)
		}
	})
}

// TestCleanupGoesOnWithoutItsCaller: a plan is applied whole, whether somebody waits for it or not.
func TestCleanupGoesOnWithoutItsCaller(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		_, ct := b.plant(b.shop("shop", "preview"), "shop-preview-a", 20)
		b.scan()
		plan, err := b.admin.PlanCleanup(t.Context(), client.StaleFilter{})
		b.must(err)
		b.engine.Fail(dockertest.Fault{On: `^DELETE /containers/`, Delay: 20 * time.Second})
		ctx, leave := context.WithTimeout(t.Context(), 5*time.Second)
		defer leave()
		if _, err := b.admin.ApplyCleanup(ctx, plan.ID); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v", err)
		}
		time.Sleep(30 * time.Second)
		p, err := b.viewer.Plan(t.Context(), plan.ID)
		if err != nil || p.State != "applied" || p.Items[0].Result != "removed" || ct.Facts().Exists {
			t.Errorf("got %+v, %v", p, err)
		}
	})
}

// TestCutEndsWhatNobodyWaitsFor: the daemon that stops does not wait for ever.
func TestCutEndsWhatNobodyWaitsFor(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		cut := make(chan struct{})
		b.deps.Cut = cut
		b.serve(New(b.deps))
		c := b.nobody.As(b.admin.Credential())
		_, ct := b.plant(b.shop("shop", "preview"), "shop-preview-a", 20)
		b.scan()
		plan, err := c.PlanCleanup(t.Context(), client.StaleFilter{})
		b.must(err)
		stop := b.engine.Fail(dockertest.Fault{On: `^GET /containers/`, Delay: 8 * time.Second})
		defer stop()
		begin := time.Now()
		done := make(chan struct{})
		go func() {
			defer close(done)
			if p, err := c.ApplyCleanup(t.Context(), plan.ID); err == nil && p.Items[0].Result == "removed" {
				t.Error("it was removed all the same")
			}
		}()
		time.Sleep(time.Second)
		close(cut)
		<-done
		if took := time.Since(begin); took > 45*time.Second || !ct.Facts().Exists {
			t.Errorf("after %s; exists: %v", took, ct.Facts().Exists)
		}
	})
}
