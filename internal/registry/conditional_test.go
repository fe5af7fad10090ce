package registry

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// marking is a registry that marks its answers and says when nothing has changed, as most do; it counts that.
type marking struct {
	digest    atomic.Pointer[string]
	tags      atomic.Pointer[string]
	unchanged atomic.Int64
	lies      atomic.Bool // it says of everything that it has not changed
}

func (m *marking) front(http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		mark, body := "", ""
		switch {
		case strings.Contains(r.URL.Path, "/manifests/"):
			mark = `"` + *m.digest.Load() + `"`
			w.Header().Set("Docker-Content-Digest", *m.digest.Load())
			w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
			w.Header().Set("Content-Length", "2")
		case strings.HasSuffix(r.URL.Path, "/tags/list"):
			body = `{"name":"acme/shop","tags":` + *m.tags.Load() + `}`
			mark = `W/"` + *m.tags.Load() + `"`
			w.Header().Set("Etag", mark)
		}
		if was := r.Header.Get("If-None-Match"); was != "" && (was == mark || m.lies.Load()) {
			m.unchanged.Add(1)
			w.Header().Del("Content-Type")
			w.WriteHeader(http.StatusNotModified)
			return
		}
		respond(w, http.StatusOK, body)
	}
}

func (m *marking) points(tag string) { m.digest.Store(new("sha256:" + strings.Repeat(tag, 64))) }

// What has not changed is not sent again, and what has changed is seen.
func TestWhatHasNotChanged(t *testing.T) {
	m := &marking{}
	m.points("a")
	m.tags.Store(new(`["1.0"]`))
	image := serve(t, m.front) + "/acme/shop"
	all := strangers()
	see := func(want, tags string, unchanged int64) {
		t.Helper()
		digest, err := all.Digest(t.Context(), image, "latest")
		if err != nil || digest != "sha256:"+strings.Repeat(want, 64) {
			t.Errorf("%q, %v; want %s", digest, err, want)
		}
		got, err := all.Tags(t.Context(), image)
		if err != nil || strings.Join(got, " ") != tags {
			t.Errorf("%q, %v; want %s", got, err, tags)
		}
		if n := m.unchanged.Load(); n != unchanged || all.Traffic(HostOf(image)).NotModified != unchanged {
			t.Errorf("%d answers said that nothing has changed, %d were counted; want %d", n, all.Traffic(HostOf(image)).NotModified, unchanged)
		}
	}
	see("a", "1.0", 0)
	see("a", "1.0", 2)
	m.points("b")
	see("b", "1.0", 3)
	m.tags.Store(new(`["1.0","1.1"]`))
	see("b", "1.0 1.1", 4)
	see("b", "1.0 1.1", 6)
	if traffic := all.Traffic(HostOf(image)); traffic.Requests < 10 || traffic.Since.IsZero() {
		t.Errorf("traffic %+v", traffic)
	}

	// One that says of everything that it has not changed, and names another digest, is asked for the whole.
	m.points("c")
	m.lies.Store(true)
	if digest, err := all.Digest(t.Context(), image, "latest"); err != nil || digest != "sha256:"+strings.Repeat("c", 64) {
		t.Errorf("%q, %v", digest, err)
	}
}

// "Not modified" is believed for a day, and never of what was not asked so.
func TestNotModifiedIsNotBelievedForEver(t *testing.T) {
	m := &marking{}
	m.points("a")
	m.tags.Store(new(`["1.0"]`))
	image := serve(t, m.front) + "/acme/shop"
	all := strangers()
	if _, err := all.Tags(t.Context(), image); err != nil {
		t.Fatal(err)
	}
	c, err := all.At(t.Context(), HostOf(image))
	if err != nil {
		t.Fatal(err)
	}
	for of, k := range c.known.kept {
		k.at = k.at.Add(-wholeAfter - time.Minute)
		c.known.kept[of] = k
	}
	m.lies.Store(true)
	m.tags.Store(new(`["2.0"]`))
	if got, err := all.Tags(t.Context(), image); err != nil || strings.Join(got, " ") != "2.0" {
		t.Errorf("%q, %v", got, err)
	}
	unasked := serve(t, on("/tags/list", http.StatusNotModified, "")) + "/acme/shop"
	if got, err := strangers().Tags(t.Context(), unasked); err == nil || errors.Is(err, ErrGone) {
		t.Errorf("%q, %v; nobody had asked so", got, err)
	}
}

// What is kept has a bound, and what nobody asks for any more is forgotten.
func TestWhatIsKeptHasABound(t *testing.T) {
	m := &marking{}
	m.points("a")
	m.tags.Store(new(`["` + strings.Repeat("x", keepBytes) + `"]`))
	host := serve(t, m.front)
	all := strangers()
	for range 2 {
		if got, err := all.Tags(t.Context(), host+"/acme/shop"); err != nil || len(got[0]) != keepBytes {
			t.Fatalf("%d tags, %v", len(got), err)
		}
	}
	if n := m.unchanged.Load(); n != 0 {
		t.Error("a list was kept that is too large")
	}
	c, err := all.At(t.Context(), host)
	if err != nil {
		t.Fatal(err)
	}
	for n := range mostKeptAnswers + 10 {
		if _, err := c.Digest(t.Context(), host+"/acme/shop", "t"+strings.Repeat("0", n%100)+string(rune('a'+n/100))); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(c.known.kept); n > mostKeptAnswers {
		t.Errorf("%d answers are kept", n)
	}

	if _, err := all.Digest(t.Context(), host+"/acme/blog", "latest"); err != nil {
		t.Fatal(err)
	}
	signedIn := c.use.from()
	c.use.note("acme/shop", time.Now().Add(-2*idleAfter))
	all.tidied = time.Time{}
	if same, err := all.At(t.Context(), host); err != nil || same != c || len(c.use.last) != 1 || c.use.from() == signedIn {
		t.Errorf("in use: %v, %v", c.use.last, err)
	}
	c.use.note("acme/blog", time.Now().Add(-2*idleAfter))
	all.tidied = time.Time{}
	if _, err := all.At(t.Context(), "other.example"); err != nil || len(all.clients) != 1 {
		t.Errorf("%d clients, %v; want only the one that was just asked for", len(all.clients), err)
	}
}

// A tag is gone when the repository shows its tags without it, and not because something says 404.
func TestSeek(t *testing.T) {
	unknown := `{"errors":[{"code":"NAME_UNKNOWN"}]}`
	for what, c := range map[string]struct {
		front fault
		gone  bool
	}{
		"the list is without it":     {nil, true},
		"no list is shown":           {on("/tags/list", http.StatusNotFound, unknown), false},
		"a list without a login":     {on("/tags/list", http.StatusUnauthorized, ""), false},
		"a list that is cut off":     {on("/tags/list", http.StatusOK, `{"name":"acme/shop","tags":["1`), false},
		"the list has it":            {on("/tags/list", http.StatusOK, `{"name":"acme/shop","tags":["1.0","2.0"]}`), false},
		"everything is hidden":       {always(http.StatusNotFound, unknown), false},
		"the second page is missing": {pages(relative, `{"name":"acme/shop","tags":["1.0"]}`, "status 500"), false},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			image := serve(t, func(registry http.Handler) http.HandlerFunc {
				front := http.HandlerFunc(registry.ServeHTTP)
				if c.front != nil {
					front = c.front(registry)
				}
				return func(w http.ResponseWriter, r *http.Request) {
					if r.Method != http.MethodPut && strings.Contains(r.URL.Path, "/manifests/2.0") {
						respond(w, http.StatusNotFound, `{"errors":[{"code":"MANIFEST_UNKNOWN"}]}`)
						return
					}
					front(w, r)
				}
			}) + "/acme/shop"
			if c.front == nil {
				push(t, image+":1.0")
			}
			digest, err := strangers().Seek(t.Context(), image, "2.0")
			if err == nil || errors.Is(err, ErrGone) != c.gone {
				t.Errorf("%q, %v; gone %v", digest, err, c.gone)
			}
		})
	}
}

// Many tags that are gone from one repository cost one list.
func TestSeekingManyCostsOneList(t *testing.T) {
	var seen calls
	image := serve(t, seen.noted(nil)) + "/acme/shop"
	push(t, image+":1.0")
	all := strangers()
	for _, tag := range []string{"2.0", "3.0", "sha256:" + strings.Repeat("0", 64), "4.0"} {
		if _, err := all.Seek(t.Context(), image, tag); !errors.Is(err, ErrGone) {
			t.Errorf("%s: %v", tag, err)
		}
	}
	if n := seen.count("/tags/list"); n != 1 {
		t.Errorf("%d lists", n)
	}
	if digest, err := all.Seek(t.Context(), image, "1.0"); err != nil || digest == "" {
		t.Errorf("%q, %v", digest, err)
	}
}
