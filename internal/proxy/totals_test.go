package proxy

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// Totals go on counting when the rule that counted is gone, and when it comes back.
func TestTotalsOutliveRules(t *testing.T) {
	r := newRig(t)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/broken" {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = io.WriteString(w, "here")
	}))
	t.Cleanup(up.Close)
	want := func(proxies, routes Totals) {
		t.Helper()
		if got := r.Totals(); got[KindProxy] != proxies || got[KindRoute] != routes {
			t.Errorf("got %+v, want %+v of proxies and %+v of routes", got, proxies, routes)
		}
	}
	byHand, ofStage := rule("a.example", up.URL), rule("b.example", up.URL)
	ofStage.Kind = KindRoute
	want(Totals{}, Totals{})
	r.apply(byHand, ofStage)
	r.get("a.example", "/")
	r.get("b.example", "/")
	r.get("b.example", "/broken")
	r.get("nobody.example", "/") // of no rule
	want(Totals{Requests: 1}, Totals{Requests: 2, Errors: 1})
	r.apply(byHand)
	want(Totals{Requests: 1}, Totals{Requests: 2, Errors: 1})
	r.apply(byHand, ofStage)
	r.get("b.example", "/")
	want(Totals{Requests: 1}, Totals{Requests: 3, Errors: 1})
}
