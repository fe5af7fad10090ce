package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// wreckage is what the tests of the pages read.
func wreckage() store.Salvaged {
	found := store.Salvaged{Notes: []string{"The log <b> is left out"}, Tables: []store.SalvagedTable{
		{Name: "projects", Columns: []string{"id", "name"}, Rows: [][]any{{"p1", "shop"}}},
		{Name: "instances", Columns: []string{"id", "name", "project_id", "exit_code", "pinned_at"}, Lost: "malformed <script>", Rows: [][]any{
			{"i0", `<script>alert(1)</script>`, "p1", int64(137), nil}, {"i1", `"><img src=x>`, "p2", int64(0), "2026-01-01T00:00:00Z"},
		}},
	}}
	for n := range 250 {
		found.Tables[1].Rows = append(found.Tables[1].Rows, []any{fmt.Sprint("i", n+2), fmt.Sprintf("row-%d.", n+2), "p1", int64(0), nil})
	}
	return found
}

// visitor is a browser that keeps its cookie.
type visitor struct {
	t      *testing.T
	h      http.Handler
	cookie *http.Cookie
}

func (v *visitor) ask(method, path string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(v.t.Context(), method, path, nil)
	r.RemoteAddr = "127.0.0.1:4711"
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	if v.cookie != nil {
		r.AddCookie(v.cookie)
	}
	w := httptest.NewRecorder()
	v.h.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		v.cookie = c
	}
	return w
}

func newVisitor(t *testing.T, read func(context.Context) (store.Salvaged, error)) (*visitor, *Salvage) {
	s := NewSalvage(read)
	return &visitor{t: t, h: Rescue{Wrong: "It is damaged", Salvage: s}.Handler()}, s
}

func reads(context.Context) (store.Salvaged, error) { return wreckage(), nil }

func TestSalvageIsForWhoHasTheLink(t *testing.T) {
	reading := 0
	v, s := newVisitor(t, func(context.Context) (store.Salvaged, error) { reading++; return wreckage(), nil })
	closed := func() {
		t.Helper()
		for _, path := range []string{salvageRead, salvageRead + "/instances", salvageRead + "/nothing", salvageJSON} {
			if w := v.ask(get, path); w.Code != http.StatusUnauthorized || strings.Contains(w.Body.String(), "row-") || strings.Contains(w.Body.String(), "shop") {
				t.Errorf("%s is %d %s", path, w.Code, w.Body)
			}
		}
	}
	closed()
	v.cookie = &http.Cookie{Name: rescueCookie} // an empty key is no session before there is one
	closed()
	for _, wrong := range []string{salvageOpen, salvageOpen + "?code=", salvageOpen + "?code=" + strings.ToLower(s.code), s.Path() + "x"} {
		if w := v.ask(get, wrong); w.Code != http.StatusForbidden || len(w.Result().Cookies()) > 0 {
			t.Errorf("%s is %d", wrong, w.Code)
		}
	}
	if w := v.ask(http.MethodHead, s.Path()); w.Code != http.StatusForbidden {
		t.Errorf("HEAD is %d", w.Code)
	}
	w := v.ask(get, s.Path())
	if c := v.cookie; w.Code != http.StatusSeeOther || w.Header().Get("Location") != salvageRead || w.Header().Get("Referrer-Policy") != "no-referrer" || w.Header().Get("Cache-Control") != "no-store" ||
		c.Name != rescueCookie || !c.HttpOnly || c.Secure || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || strings.Contains(w.Header().Get("Set-Cookie")+w.Body.String(), s.code) {
		t.Errorf("the link answers %d %v", w.Code, w.Header())
	}
	if w := v.ask(get, salvageRead); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "do not remove containers") || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("it is %d %s", w.Code, w.Body)
	}
	own := v.cookie
	if w := v.ask(get, s.Path()); w.Code != http.StatusForbidden {
		t.Errorf("the link works twice: %d", w.Code)
	}
	for _, c := range []*http.Cookie{nil, {Name: rescueCookie, Value: s.code}, {Name: rescueCookie, Value: own.Value + "x"}, {Name: cookiePlain, Value: own.Value}} {
		v.cookie = c
		closed()
	}
	v.cookie = own
	for _, method := range []string{post, put, patch, remove} {
		for _, path := range []string{salvageOpen, s.Path(), salvageRead, salvageRead + "/instances", salvageJSON} {
			if w := v.ask(method, path); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s %s: %d", method, path, w.Code)
			}
		}
		if w := v.ask(method, "/api/instances/i1"); w.Code != http.StatusServiceUnavailable {
			t.Errorf("%s on the API: %d", method, w.Code)
		}
	}
	if w := v.ask(get, "/api/instances"); w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "row-") {
		t.Errorf("the API is open: %d", w.Code)
	}
	if reading != 1 {
		t.Errorf("it was read %d times", reading)
	}
}

func TestSalvageOverHTTPS(t *testing.T) {
	v, s := newVisitor(t, reads)
	v.ask(get, s.Path(), "X-Forwarded-Proto", "https")
	if c := v.cookie; c == nil || c.Name != "__Host-"+rescueCookie || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" {
		t.Errorf("the cookie is %v", c)
	}
	if w := v.ask(get, salvageRead, "X-Forwarded-Proto", "https"); w.Code != http.StatusOK {
		t.Errorf("it is %d", w.Code)
	}
}

// TestSalvageIsNotGuessed: who tries and tries is told to wait, and keeps nobody from the link who has it.
func TestSalvageIsNotGuessed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, s := newVisitor(t, reads)
		for range 10 {
			v.ask(get, salvageOpen+"?code=x")
		}
		if w := v.ask(get, salvageOpen+"?code=x"); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" || v.cookie != nil {
			t.Errorf("one more is answered %d", w.Code)
		}
		if w := v.ask(get, s.Path()); w.Code != http.StatusSeeOther {
			t.Errorf("the link is answered %d", w.Code)
		}
	})
}

func TestSalvagePagesAreSafe(t *testing.T) {
	v, s := newVisitor(t, reads)
	v.ask(get, s.Path())
	for _, path := range []string{salvageRead, salvageRead + "/instances", salvageRead + "/instances?from=200", salvageRead + "/instances?from=-1", salvageRead + "/%3Cscript%3E"} {
		w := v.ask(get, path)
		if text := w.Body.String(); strings.Contains(text, "<script") || strings.Contains(text, "<img") || strings.Contains(text, "<b>") || w.Header().Get("Content-Security-Policy") != csp {
			t.Errorf("%s is %s", path, text)
		}
	}
	for path, want := range map[string]string{
		salvageRead:                         `<td class="number">252</td><td>rows, nobody knows how many: malformed &lt;script&gt;</td>`,
		salvageRead + "/instances":          "<td>&lt;script&gt;alert(1)&lt;/script&gt;</td><td>shop</td><td>137</td><td></td>",
		salvageRead + "/instances?from=200": "row-251.",
	} {
		if text := v.ask(get, path).Body.String(); !strings.Contains(text, want) || !strings.Contains(text, SalvageCaveat) {
			t.Errorf("%s is without %s: %s", path, want, text)
		}
	}
	if text := v.ask(get, salvageRead+"/instances").Body.String(); strings.Contains(text, "row-200.") || !strings.Contains(text, `href="?from=200"`) {
		t.Error("the first page has no end")
	}
	if w := v.ask(get, salvageRead+"/nothing"); w.Code != http.StatusNotFound {
		t.Errorf("a table that there is not: %d", w.Code)
	}
	w := v.ask(get, salvageJSON)
	var doc salvagedJSON
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil || doc.Caveat != SalvageCaveat || len(doc.Notes) != 1 || doc.Tables[1].Read != 252 || doc.Tables[1].Rows[0]["exit_code"] != float64(137) {
		t.Errorf("%v: %.300s", err, w.Body)
	}
}

// TestSalvageOfNothing: that nothing can be read is said, with why.
func TestSalvageOfNothing(t *testing.T) {
	for name, read := range map[string]func(context.Context) (store.Salvaged, error){
		"it does not open": func(context.Context) (store.Salvaged, error) { return store.Salvaged{}, errors.New("no <such> file") },
		"every table is lost": func(context.Context) (store.Salvaged, error) {
			return store.Salvaged{Tables: []store.SalvagedTable{{Name: "hosts", Lost: "no <such> file"}}}, nil
		},
	} {
		v, s := newVisitor(t, read)
		v.ask(get, s.Path())
		if w := v.ask(get, salvageRead); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "Nothing can be read: no &lt;such&gt; file") {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		if w := v.ask(get, salvageJSON); w.Code != http.StatusServiceUnavailable || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

// TestSalvageReadsForOneAtATime: who comes meanwhile waits, and not for ever.
func TestSalvageReadsForOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reading, most := 0, 0
		s := NewSalvage(func(ctx context.Context) (store.Salvaged, error) {
			reading++
			most = max(most, reading)
			<-ctx.Done() // as long as it may
			reading--
			return wreckage(), nil
		})
		v := &visitor{t: t, h: Rescue{Salvage: s}.Handler()}
		v.ask(get, s.Path())
		codes := make(chan int, 3)
		for range cap(codes) {
			one := *v
			go func() { codes <- one.ask(get, salvageRead).Code }()
		}
		got := map[int]int{}
		for range cap(codes) {
			got[<-codes]++
		}
		if most != 1 || got[http.StatusOK] == 0 || got[http.StatusOK]+got[http.StatusServiceUnavailable] != 3 {
			t.Errorf("%d read at once, answers %v", most, got)
		}
	})
}
