package api

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"strings"
)

// Rescue is what is told while the database cannot be used.
type Rescue struct {
	Wrong   string   // what is wrong, in a sentence
	Steps   []string // what to do, in words; what begins with "$ " is a command
	Routes  string   // what becomes of the routes meanwhile, in a sentence without its end
	Version string
}

// Handler answers in the place of the API and of the page: the process lives, it is not ready, what is wrong and the way out.
// It reads and changes nothing.
func (r Rescue) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		sendJSON(w, http.StatusOK, livenessJSON{Status: "ok", Version: r.Version})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		sendJSON(w, http.StatusServiceUnavailable, readinessJSON{Checks: []checkJSON{{Name: "store", Detail: r.Wrong, Hint: r.steps()}}})
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, req *http.Request) {
		switch {
		case isAPI(req.URL.Path):
			writeProblem(w, newProblem(http.StatusServiceUnavailable, codeStore, r.Wrong).hint(r.steps()))
		case req.Method != get && req.Method != http.MethodHead:
			writeProblem(w, newProblem(http.StatusMethodNotAllowed, codeMethodNotAllowed, "there is only a page to read").with("Allow", get))
		default:
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(r.page())) // a client that went away cannot be told
		}
	})
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		setSecurityHeaders(w.Header(), req)
		mux.ServeHTTP(w, req)
	})
}

func (r Rescue) steps() string { return strings.Join(r.Steps, "; ") }

// page is plain: nothing of the built page is needed to read it.
func (r Rescue) page() string {
	var b strings.Builder
	fmt.Fprintf(&b, "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n"+
		"<title>docker-watcher cannot use its database</title>\n<h1>docker-watcher cannot use its database</h1>\n<p>%s.</p>\n"+
		"<p>Nothing is watched, deployed or cleaned up by it meanwhile, and nothing was changed. Containers run on. %s.</p>\n<h2>The way out</h2>\n<ol>\n", html.EscapeString(r.Wrong), html.EscapeString(r.Routes))
	for _, s := range r.Steps {
		if command, is := strings.CutPrefix(s, "$ "); is {
			fmt.Fprintf(&b, "<li><code>%s</code></li>\n", html.EscapeString(command))
			continue
		}
		fmt.Fprintf(&b, "<li>%s</li>\n", html.EscapeString(s))
	}
	b.WriteString("</ol>\n</html>\n")
	return b.String()
}

func sendJSON(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // of types of ours, without anything that could not be written
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(text) // as above
}
