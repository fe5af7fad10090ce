package api

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// TestWhatWasSeenIsAskedFor: whatever changes or removes something that has an ETag takes If-Match, and does nothing to another revision.
func TestWhatWasSeenIsAskedFor(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	inst, _ := b.plant(st, "shop-1", 1, func(i *store.Instance, c *dockertest.Template) {
		i.Status, i.Intended, c.State = store.StatusRunning, store.IntendedRunning, dockertest.Running
	})
	for _, made := range []struct{ path, body string }{
		{"/api/registries", `{"name":"here","host":"registry.test:5000"}`},
		{"/api/notifications/channels", `{"name":"ops","url":"https://hooks.test/x"}`},
		{"/api/notifications/rules", `{"name":"all","channels":["ops"]}`},
		{"/api/proxies", `{"domains":["a.test"],"targets":["http://10.0.0.7"]}`},
		{"/api/routes", `{"domains":["b.test"],"stage_id":"` + st.ID + `","port":80}`},
		{"/api/users", `{"name":"bert","role":"viewer"}`},
	} {
		if status, _, text := b.raw(b.admin, post, made.path, made.body); status != http.StatusCreated {
			t.Fatalf("%s: %d %s", made.path, status, text)
		}
	}
	ids := map[string]string{
		"/api/projects/{id}": "shop", "/api/stages/{id}": st.ID, "/api/registries/{id}": "here", "/api/notifications/channels/{id}": "ops", "/api/notifications/rules/{id}": "all",
		"/api/proxies/{id}": "a.test", "/api/routes/{id}": "b.test", "/api/instances/{id}": inst.ID, "/api/hosts/{id}": b.host.ID,
		"/api/users/{id}": "bert",
	}
	bodies := map[string]string{"/api/instances/{id}/snooze": `{"for":"1d","reason":"x"}`, "/api/users/{id}": `{"role":"viewer"}`}
	// What asks, tries or begins something of its own, and changes nothing of what it is below.
	apart := []string{"test", "try", "deploys", "rollback", "reclaim", "{name}", "second-factor", "sessions", "{session}"}
	tried := 0
	for _, o := range mutating(t) {
		base := o.path
		for ; base != "" && ids[base] == ""; base = base[:strings.LastIndex(base, "/")] {
		}
		if base == "" || slices.Contains(apart, o.path[strings.LastIndex(o.path, "/")+1:]) {
			continue
		}
		if !o.takesIfMatch() {
			t.Errorf("%s %s takes no If-Match", o.method, o.path)
			continue
		}
		tried++
		at := strings.Replace(o.path, "{id}", ids[base], 1)
		see := func() (string, string) {
			_, h, text := b.raw(b.admin, get, strings.Replace(base, "{id}", ids[base], 1), "")
			return h.Get("Etag"), text
		}
		tag, _ := see()
		body := bodies[o.path]
		if body == "" && (o.method == patch || o.method == put) {
			body = `{}`
		}
		if o.method == remove {
			body = ""
		}
		for _, other := range []string{`"4711"`, `""`} {
			status, _, text := b.raw(b.admin, o.method, at, body, "If-Match", other)
			if status != http.StatusPreconditionFailed || !strings.Contains(text, codeRevision) {
				t.Errorf("%s %s of the revision %s: %d %s", o.method, o.path, other, status, text)
			}
			if now, text := see(); now != tag || tag == "" {
				t.Errorf("%s %s of the revision %s made %s of %s: %s", o.method, o.path, other, now, tag, text)
			}
		}
	}
	if tried < 35 {
		t.Errorf("only %d were tried", tried)
	}
	for _, path := range []string{"/api/proxies/{id}", "/api/routes/{id}"} {
		at := strings.Replace(path, "{id}", ids[path], 1)
		for _, act := range []struct{ method, path string }{{post, at + "/disable"}, {post, at + "/enable"}, {remove, at}} {
			_, h, _ := b.raw(b.admin, get, at, "")
			if status, _, text := b.raw(b.admin, act.method, act.path, "", "If-Match", h.Get("Etag")); status >= 300 {
				t.Errorf("%s %s as it was seen: %d %s", act.method, act.path, status, text)
			}
		}
	}
}
