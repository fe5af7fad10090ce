package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestRescuePageIsPlainAndSafe(t *testing.T) {
	h := Rescue{Wrong: `The folder <img src=x> is damaged`, Steps: []string{"Stop it", "$ server restore '<b>'"}}.Handler()
	ask := func(method, path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, nil))
		return w
	}
	page := ask(get, "/")
	text := page.Body.String()
	if strings.Contains(text, "<img") || strings.Contains(text, "<b>") || !strings.Contains(text, "<code>server restore &#39;&lt;b&gt;&#39;</code>") || strings.Contains(text, "<script") {
		t.Errorf("the page is %s", text)
	}
	for _, path := range []string{"/", "/healthz", "/readyz", "/api/projects"} {
		if policy := ask(get, path).Header().Get("Content-Security-Policy"); policy != csp {
			t.Errorf("%s: the policy is %q", path, policy)
		}
	}
	for _, method := range []string{post, put, patch, remove} {
		if w := ask(method, "/anything"); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != get {
			t.Errorf("%s: %d", method, w.Code)
		}
		if w := ask(method, "/api/setup"); w.Code != http.StatusServiceUnavailable || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s /api/setup: %d", method, w.Code)
		}
	}
}
