package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

const manifest = `{
  "index.html": {"file": "assets/index-1.js", "isEntry": true, "imports": ["_shared.js"]},
  "_shared.js": {"file": "assets/shared-1.js"},
  "_table.js": {"file": "assets/table-1.js", "imports": ["_shared.js"]},
  "src/pages/Stale.svelte": {"file": "assets/Stale-1.js", "imports": ["_table.js", "_shared.js"], "css": ["assets/Stale-1.css"]}
}`

func built() fstest.MapFS {
	return fstest.MapFS{
		".keep":                   {},
		".vite/manifest.json":     {Data: []byte(manifest)},
		"index.html":              {Data: []byte("<html><head></head><body>page</body></html>")},
		"favicon.svg":             {Data: []byte("<svg/>")},
		"assets/index-1.js":       {Data: []byte("plain")},
		"assets/index-1.js.br":    {Data: []byte("brotli")},
		"assets/index-1.js.gz":    {Data: []byte("gzip")},
		"assets/Geist-1.woff2":    {Data: []byte("font")},
		"assets/Stale-1.js":       {Data: []byte("stale")},
		"assets/nested/file-1.js": {Data: []byte("nested")},
	}
}

func TestPage(t *testing.T) {
	const immutable, asked = "public, max-age=31536000, immutable", "no-cache"
	for _, c := range []struct {
		path, encoding      string
		status              int
		body, cache, sentAs string
	}{
		{"/", "", 200, "page", asked, ""},
		{"/stale", "gzip, br", 200, "page", asked, ""},
		{"/instances/0199-x", "", 200, "page", asked, ""},
		{"/projects/my.app", "", 200, "page", asked, ""},
		{"/index.html", "", 200, "page", asked, ""},
		{"/favicon.svg", "", 200, "<svg/>", asked, ""},
		{"/assets/index-1.js", "", 200, "plain", immutable, ""},
		{"/assets/index-1.js", "gzip, deflate, br", 200, "brotli", immutable, "br"},
		{"/assets/index-1.js", "gzip;q=0.8", 200, "gzip", immutable, "gzip"},
		{"/assets/index-1.js", "br;q=0", 200, "plain", immutable, ""},
		{"/assets/Geist-1.woff2", "br", 200, "font", immutable, ""},
		{"/assets/nested/file-1.js", "br", 200, "nested", immutable, ""},
		{"/assets/gone-1.js", "br", 404, "", "", ""},
		{"/assets/", "", 404, "", "", ""},
		{"/assets/nested", "", 404, "", "", ""},
		{"/.keep", "", 200, "page", asked, ""},
		{"/.vite/manifest.json", "", 200, "page", asked, ""},
		{"/../embed.go", "", 200, "page", asked, ""},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://x"+c.path, nil)
		r.Header.Set("Accept-Encoding", c.encoding)
		w := httptest.NewRecorder()
		handlerOf(built()).ServeHTTP(w, r)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.body) {
			t.Errorf("%s: %d %q", c.path, w.Code, w.Body)
		}
		if c.status != http.StatusOK {
			continue
		}
		if w.Header().Get("Cache-Control") != c.cache || w.Header().Get("Content-Encoding") != c.sentAs {
			t.Errorf("%s: %v", c.path, w.Header())
		}
	}
}

func TestTypeOfWhatIsSentCompressed(t *testing.T) {
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/assets/index-1.js", nil)
	r.Header.Set("Accept-Encoding", "br")
	w := httptest.NewRecorder()
	handlerOf(built()).ServeHTTP(w, r)
	if got := w.Header().Get("Content-Type"); !strings.HasPrefix(got, "text/javascript") {
		t.Errorf("a browser with nosniff would not run a script of type %q", got)
	}
}

func TestPageNamesWhatItsScreenNeeds(t *testing.T) {
	for path, want := range map[string][]string{
		"/stale": {"/assets/Stale-1.js", "/assets/table-1.js", "/assets/Stale-1.css"},
		"/other": nil,
	} {
		w := httptest.NewRecorder()
		handlerOf(built()).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		head, _, _ := strings.Cut(w.Body.String(), "</head>")
		if got := strings.Count(head, "<link"); got != len(want) {
			t.Errorf("%s: %d links in %s", path, got, head)
		}
		for _, file := range want {
			if !strings.Contains(head, file) {
				t.Errorf("%s: %s is missing in %s", path, file, head)
			}
		}
		if strings.Contains(head, "shared") {
			t.Errorf("%s: what the entry brings is named again: %s", path, head)
		}
	}
}

func TestNotBuilt(t *testing.T) {
	h := handlerOf(fstest.MapFS{".keep": {}})
	for path, status := range map[string]int{"/": 200, "/stale": 200, "/assets/index-1.js": 404} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if w.Code != status || !strings.Contains(w.Body.String(), "make web") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

func TestHandlerOfWhatIsEmbedded(t *testing.T) {
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "docker-watcher") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
