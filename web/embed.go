// Package web holds the page that the daemon serves, inside the binary.
package web

import (
	"embed"
	"io/fs"
	"net/http"
	"path"
)

//go:embed page
var files embed.FS

// Handler serves the page: its files by name, and the page itself for every path
// that it knows how to show. Anything else is 404.
func Handler() http.Handler {
	page, err := fs.Sub(files, "page")
	if err != nil {
		panic(err) // the folder is embedded above
	}
	server := http.FileServerFS(page)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache")
		switch path.Clean(r.URL.Path) {
		case "/", "/setup", "/stale":
			http.ServeFileFS(w, r, page, "index.html")
		default:
			server.ServeHTTP(w, r)
		}
	})
}
