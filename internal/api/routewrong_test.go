package api

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tiny-forge/docker-watcher/client"
)

// TestAllMistakesAtOnce: none of them hides another.
func TestAllMistakesAtOnce(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	b.plant(st, "shop-1", 1)
	made, err := b.operator.CreateProxy(t.Context(), client.ProxyFields{Targets: &[]string{"http://10.0.0.7"}, RouteFields: client.RouteFields{Domains: &[]string{"a.test"}}})
	b.must(err)
	for name, c := range map[string]struct {
		method, path, body string
		want               []string
	}{
		"a new one": {
			post, "/api/proxies", `{"domains":["a b"],"targets":["ftp://x","container:x:80@nohost","container:x"],"hsts_seconds":-1,"connect_timeout":"soon","basic_auth":[{"user":"anna","password":"short"},{"user":"a:b","password":"correct horse"}]}`,
			[]string{"body.basic_auth[0].password", "body.basic_auth[1]", "body.connect_timeout", "body.domains[0]", "body.hsts_seconds", "body.targets[0]", "body.targets[1]", "body.targets[2]"},
		},
		"a change": {
			patch, "/api/proxies/" + made.ID, `{"domains":["b.test",""],"targets":["http://169.254.169.254"],"redirect_code":7,"health_check":{"path":"x","fails":1000},"max_body_bytes":-1}`,
			[]string{"body.domains[1]", "body.health_check.fails", "body.health_check.path", "body.max_body_bytes", "body.redirect_code", "body.targets[0]"},
		},
		"nothing at all":          {post, "/api/proxies", `{}`, []string{"body.domains", "body.targets"}},
		"a route of nothing":      {post, "/api/routes", `{"domains":["c.test"]}`, []string{"body.port", "body.stage_id"}},
		"a sign-in of nobody":     {post, "/api/session", `{}`, []string{"body.name", "body.password"}},
		"a channel to nowhere":    {post, "/api/notifications/channels", `{}`, []string{"body.name", "body.url"}},
		"a part without its need": {post, "/api/proxies", `{"domains":["c.test"],"targets":["http://10.0.0.7"],"health_check":{}}`, []string{"body.health_check.path"}},
	} {
		status, _, text := b.raw(b.admin, c.method, c.path, c.body)
		var got []string
		for _, piece := range strings.Split(text, `"location":"`)[1:] {
			got = append(got, piece[:strings.IndexByte(piece, '"')])
		}
		slices.Sort(got)
		if status != http.StatusUnprocessableEntity || !slices.Equal(got, c.want) {
			t.Errorf("%s: %d %q, want %q: %s", name, status, got, c.want, text)
		}
	}
	if now, err := b.viewer.Proxy(t.Context(), made.ID); err != nil || now.Revision != made.Revision {
		t.Errorf("something of it was kept: %+v, %v", now, err)
	}
}

func TestARouteThatIsNotThereIsSaidInPlainWords(t *testing.T) {
	b := newBed(t)
	for path, word := range map[string]string{"/api/proxies/nope": "there is no such standalone proxy", "/api/routes/nope": "there is no such route"} {
		for _, method := range []string{get, remove} {
			status, _, text := b.raw(b.admin, method, path, "")
			if status != http.StatusNotFound || !strings.Contains(text, word) || strings.Contains(text, "find where") {
				t.Errorf("%s %s: %d %s", method, path, status, text)
			}
		}
	}
}
