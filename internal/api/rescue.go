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
	Salvage *Salvage // shows what can still be read; nil: nothing is shown
}

// Handler answers in the place of the API and of the page: the process lives, it is not ready, what is wrong and the way out.
// It changes nothing, and reads only for whoever has the link of Salvage.
func (r Rescue) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		sendJSON(w, http.StatusOK, livenessJSON{Status: "ok", Version: r.Version})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		sendJSON(w, http.StatusServiceUnavailable, readinessJSON{Checks: []checkJSON{{Name: "store", Detail: r.Wrong, Hint: r.steps()}}})
	})
	mux.HandleFunc("GET "+rescueStyle, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		_, _ = w.Write([]byte(rescueCSS)) // a client that went away cannot be told
	})
	if r.Salvage != nil {
		r.Salvage.register(mux)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, req *http.Request) {
		switch {
		case isAPI(req.URL.Path):
			writeProblem(w, newProblem(http.StatusServiceUnavailable, codeStore, r.Wrong).hint(r.steps()))
		case req.Method != get && req.Method != http.MethodHead:
			writeProblem(w, newProblem(http.StatusMethodNotAllowed, codeMethodNotAllowed, "there is only a page to read").with("Allow", get))
		default:
			sendPage(w, http.StatusServiceUnavailable, "docker-watcher cannot use its database", r.page())
		}
	})
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		watched := &trackedWriter{ResponseWriter: w}
		defer watched.finish()
		setSecurityHeaders(w.Header(), req)
		mux.ServeHTTP(watched, req)
	})
}

func (r Rescue) steps() string { return strings.Join(r.Steps, "; ") }

func (r Rescue) page() string {
	var b strings.Builder
	fmt.Fprintf(&b, "<p>%s.</p>\n<p>Nothing is watched, deployed or cleaned up by it meanwhile, and nothing was changed. Containers run on. %s.</p>\n", html.EscapeString(r.Wrong), html.EscapeString(r.Routes))
	if r.Salvage != nil {
		b.WriteString("<p>What can still be read is shown to whoever opens the link that stands in the log of docker-watcher.</p>\n")
	}
	b.WriteString("<h2>The way out</h2>\n<ol>\n")
	for _, s := range r.Steps {
		if command, is := strings.CutPrefix(s, "$ "); is {
			fmt.Fprintf(&b, "<li><code>%s</code></li>\n", html.EscapeString(command))
			continue
		}
		fmt.Fprintf(&b, "<li>%s</li>\n", html.EscapeString(s))
	}
	b.WriteString("</ol>\n")
	return b.String()
}

const (
	rescueStyle = "/rescue/style.css"
	rescueCSS   = `:root { color-scheme: light dark; }
body { background: light-dark(#fff, #131418); color: light-dark(#17181c, #e9eaee); font: 1rem/1.5 system-ui, sans-serif; max-width: 80rem; margin: 0 auto; padding: 1rem; }
a { color: light-dark(#3049c4, #a9b8ff); }
code { overflow-wrap: anywhere; }
table { border-collapse: collapse; font-size: .875rem; }
th, td { border-bottom: 1px solid color-mix(in srgb, currentColor 25%, transparent); padding: .3rem .75rem .3rem 0; text-align: left; vertical-align: top; overflow-wrap: break-word; }
thead th, .wide th { white-space: nowrap; }
.wide { overflow-x: auto; }
.wide td { min-width: 7rem; max-width: 24rem; }
.number { font-variant-numeric: tabular-nums; }
.caveat { border-left: .3rem solid #c67c06; padding-left: .75rem; }
`
)

// sendPage answers with a plain page: nothing of the built one is needed to read it. The title is ours, and the body is markup.
func sendPage(w http.ResponseWriter, status int, title, body string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// A client that went away cannot be told.
	_, _ = fmt.Fprintf(w, "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n"+
		"<title>%[1]s</title>\n<link rel=\"stylesheet\" href=\"%[2]s\">\n<main>\n<h1>%[1]s</h1>\n%[3]s</main>\n</html>\n", title, rescueStyle, body)
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
