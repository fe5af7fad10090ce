// Package web holds the page that the daemon serves, inside the binary. It is built from
// the sources beside it (make web); a binary that was built without them serves a note
// that says so, and works otherwise.
package web

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed all:dist
var files embed.FS

//go:embed unbuilt.html
var unbuilt []byte

// Handler serves the page: its files by name, and index.html for every path that the
// page itself knows how to show.
func Handler() http.Handler {
	dist, err := fs.Sub(files, "dist")
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return handlerOf(dist)
}

func handlerOf(dist fs.FS) http.Handler {
	index, err := fs.ReadFile(dist, "index.html")
	if err != nil {
		return noteOnly()
	}
	s := &site{dist: dist, index: index, preloads: preloadsOf(dist)}
	return http.HandlerFunc(s.serve)
}

// noteOnly answers every path with the note that the page was not built.
func noteOnly() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if r.URL.Path != "/" && strings.Contains(path.Base(r.URL.Path), ".") {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = w.Write(unbuilt) // who left has no need of it
	})
}

type site struct {
	dist     fs.FS
	index    []byte
	preloads map[string]string // client route -> links of what it will need
}

func (s *site) serve(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
	switch {
	case name == "assets" || strings.HasPrefix(name, "assets/"):
		// Their names carry a hash of what is in them.
		s.file(w, r, name, "public, max-age=31536000, immutable")
	case name != "index.html" && s.has(name):
		s.file(w, r, name, "no-cache")
	default:
		w.Header().Set("Cache-Control", "no-cache")
		http.ServeContent(w, r, "index.html", time.Time{}, bytes.NewReader(s.page("/"+name)))
	}
}

func (s *site) has(name string) bool {
	info, err := fs.Stat(s.dist, name)
	return err == nil && info.Mode().IsRegular() && !strings.HasPrefix(name, ".")
}

// file serves one file, in the smallest form that the browser takes.
func (s *site) file(w http.ResponseWriter, r *http.Request, name, cache string) {
	if !s.has(name) {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", cache)
	w.Header().Add("Vary", "Accept-Encoding")
	for _, c := range []struct{ encoding, suffix string }{{"br", ".br"}, {"gzip", ".gz"}} {
		if !accepts(r, c.encoding) || !s.has(name+c.suffix) {
			continue
		}
		w.Header().Set("Content-Encoding", c.encoding)
		w.Header().Set("Content-Type", contentType(name))
		http.ServeFileFS(w, r, s.dist, name+c.suffix)
		return
	}
	http.ServeFileFS(w, r, s.dist, name)
}

func accepts(r *http.Request, encoding string) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, quality, _ := strings.Cut(strings.TrimSpace(part), ";")
		if name == encoding && strings.TrimSpace(quality) != "q=0" {
			return true
		}
	}
	return false
}

// contentType is that of a file that is sent compressed; the others are told by their ending.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".json":
		return "application/json"
	default:
		return "text/html; charset=utf-8"
	}
}

// page is index.html with links to what the screen at a path needs, so that the browser
// fetches it at once and not after it has read the script that asks for it.
func (s *site) page(at string) []byte {
	links := s.preloads[screenOf(at)]
	if links == "" {
		return s.index
	}
	return bytes.Replace(s.index, []byte("</head>"), []byte(links+"</head>"), 1)
}

// screens are the sources of the screens by the first part of their path.
var screens = map[string]string{
	"":         "src/pages/Overview.svelte",
	"stale":    "src/pages/Stale.svelte",
	"events":   "src/pages/Events.svelte",
	"hosts":    "src/pages/Hosts.svelte",
	"reclaim":  "src/pages/Reclaim.svelte",
	"settings": "src/pages/Settings.svelte",
	"setup":    "src/pages/Setup.svelte",
}

func screenOf(at string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(at, "/"), "/")
	return screens[first]
}

// chunk is what the manifest of the build says of one source.
type chunk struct {
	File    string   `json:"file"`
	CSS     []string `json:"css"`
	Imports []string `json:"imports"`
	IsEntry bool     `json:"isEntry"`
}

// preloadsOf reads the manifest. Without one the page works too, and starts later.
func preloadsOf(dist fs.FS) map[string]string {
	text, err := fs.ReadFile(dist, ".vite/manifest.json")
	if err != nil {
		return nil
	}
	var chunks map[string]chunk
	if json.Unmarshal(text, &chunks) != nil {
		return nil
	}
	links := map[string]string{}
	for _, source := range screens {
		links[source] = linksOf(chunks, source)
	}
	return links
}

// linksOf names the files that a source needs and the entry does not bring.
func linksOf(chunks map[string]chunk, source string) string {
	have := map[string]bool{}
	for key, c := range chunks {
		if c.IsEntry {
			gather(chunks, key, have, func(string, chunk) {})
		}
	}
	var out strings.Builder
	gather(chunks, source, have, func(_ string, c chunk) {
		fmt.Fprintf(&out, `<link rel="modulepreload" href="/%s">`, c.File)
		for _, css := range c.CSS {
			fmt.Fprintf(&out, `<link rel="stylesheet" href="/%s">`, css)
		}
	})
	return out.String()
}

func gather(chunks map[string]chunk, key string, seen map[string]bool, visit func(string, chunk)) {
	c, ok := chunks[key]
	if !ok || seen[key] {
		return
	}
	seen[key] = true
	visit(key, c)
	for _, next := range c.Imports {
		gather(chunks, next, seen, visit)
	}
}
