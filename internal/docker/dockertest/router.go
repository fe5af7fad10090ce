package dockertest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// request is a request with the version taken off its path.
type request struct {
	*http.Request
	path    string
	parts   []string
	query   url.Values
	filters filters
	api     int // minor version asked for
}

// ServeHTTP answers like an engine.
func (e *Engine) ServeHTTP(w http.ResponseWriter, hr *http.Request) {
	e.serving.Add(1)
	defer e.serving.Done()
	r := &request{Request: hr, path: hr.URL.Path, query: hr.URL.Query()}
	version := r.cutVersion()
	r.parts = strings.Split(strings.Trim(r.path, "/"), "/")

	e.mu.Lock()
	if version == "" {
		version = e.o.APIVersion
	}
	r.api = minor(version)
	asked := Request{Time: time.Now(), Method: r.Method, Path: r.path, Query: r.query, API: version}
	e.calls.add(asked, r.Method+" "+r.endpoint())
	f := e.faultFor(asked.Target())
	refusal := e.refuseVersion(version)
	e.head(w)
	e.mu.Unlock()

	var err error
	r.filters, err = parseFilters(r.query.Get("filters"))
	switch {
	case refusal != "":
		e.fail(w, http.StatusBadRequest, refusal)
	case err != nil:
		e.fail(w, http.StatusBadRequest, err.Error())
	case f != nil:
		e.serveFaulty(w, r, f)
	default:
		e.route(w, r)
	}
}

func (r *request) cutVersion() string {
	first, rest, ok := strings.Cut(strings.TrimPrefix(r.path, "/"), "/")
	if !ok || len(first) < 2 || first[0] != 'v' || minor(first[1:]) < 0 {
		return ""
	}
	r.path = "/" + rest
	return first[1:]
}

// endpoint is the path with ids blanked, for counting.
func (r *request) endpoint() string {
	p := r.parts
	switch {
	case p[0] == "containers" && len(p) >= 3:
		return "/containers/{id}/" + p[2]
	case p[0] == "containers" && len(p) == 2 && p[1] != "json" && p[1] != "create" && p[1] != "prune":
		return "/containers/{id}"
	case p[0] == "images" && len(p) >= 3:
		return "/images/{name}/" + p[len(p)-1]
	case (p[0] == "networks" || p[0] == "volumes") && len(p) == 2 && p[1] != "create" && p[1] != "prune":
		return "/" + p[0] + "/{name}"
	}
	return r.path
}

// refuseVersion says why a version cannot be served. Podman takes any.
func (e *Engine) refuseVersion(version string) string {
	have, least, newest := minor(version), minor(e.o.MinAPIVersion), minor(e.o.APIVersion)
	switch {
	case e.o.podman():
		return ""
	case have < least:
		return fmt.Sprintf("client version %s is too old. Minimum supported API version is %s, please upgrade your client to a newer version", version, e.o.MinAPIVersion)
	case have > newest:
		return fmt.Sprintf("client version %s is too new. Maximum supported API version is %s", version, e.o.APIVersion)
	}
	return ""
}

// head sets the headers that every answer has.
func (e *Engine) head(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Api-Version", e.o.APIVersion)
	h.Set("Ostype", "linux")
	h.Set("Docker-Experimental", "false")
	h.Set("Date", e.now().Format(http.TimeFormat))
	if e.o.podman() {
		h.Set("Libpod-Api-Version", e.o.Version)
		h.Set("Server", "Libpod/"+e.o.Version+" (linux)")
		return
	}
	h.Set("Server", "Docker/"+e.o.Version+" (linux)")
}

// route finds who answers.
func (e *Engine) route(w http.ResponseWriter, r *request) {
	p := r.parts
	switch {
	case r.path == "/_ping" && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		e.servePing(w, r)
	case p[0] == "containers":
		e.routeContainers(w, r)
	case p[0] == "images":
		e.routeImages(w, r)
	case p[0] == "networks":
		e.routeNetworks(w, r)
	case p[0] == "volumes":
		e.routeVolumes(w, r)
	case r.Method == http.MethodPost && r.path == "/commit":
		e.serveCommit(w, r)
	case r.Method == http.MethodGet && r.path == "/system/df":
		e.serveUsage(w, r)
	case r.Method == http.MethodGet && r.path == "/version":
		e.serveVersion(w)
	case r.Method == http.MethodGet && r.path == "/info":
		e.serveInfo(w)
	case r.Method == http.MethodGet && r.path == "/events":
		e.serveEvents(w, r)
	default:
		e.fail(w, http.StatusNotFound, "page not found")
	}
}

func (e *Engine) routeContainers(w http.ResponseWriter, r *request) {
	p := r.parts
	switch {
	case len(p) == 2 && p[1] == "json" && r.Method == http.MethodGet:
		e.serveList(w, r)
		return
	case len(p) == 2 && p[1] == "create" && r.Method == http.MethodPost:
		e.serveCreate(w, r)
		return
	case len(p) == 2 && r.Method == http.MethodDelete:
		e.serveRemove(w, r, p[1])
		return
	case len(p) != 3:
		e.fail(w, http.StatusNotFound, "page not found")
		return
	}
	switch r.Method + " " + p[2] {
	case "GET json":
		e.serveInspect(w, r, p[1])
	case "GET logs":
		e.serveLogs(w, r, p[1])
	case "GET changes":
		e.serveChanges(w, p[1])
	case "GET archive":
		e.serveGetFile(w, r, p[1])
	case "PUT archive":
		e.servePutFiles(w, r, p[1])
	case "GET stats":
		e.serveStats(w, r, p[1])
	case "POST start":
		e.serveStart(w, p[1])
	case "POST stop":
		e.serveStop(w, r, p[1])
	case "POST restart":
		e.serveRestart(w, r, p[1])
	case "POST kill":
		e.serveKill(w, r, p[1])
	case "POST pause":
		e.servePause(w, p[1])
	case "POST unpause":
		e.serveUnpause(w, p[1])
	case "POST update":
		e.serveUpdate(w, r, p[1])
	case "POST rename":
		e.serveRename(w, r, p[1])
	case "POST wait":
		e.serveWait(w, r, p[1])
	default:
		e.fail(w, http.StatusNotFound, "page not found")
	}
}

// answer sends a body of JSON.
func (e *Engine) answer(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// A client that went away cannot be told.
	_, _ = w.Write(body)
}

func (e *Engine) answerJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	e.answer(w, status, append(body, '\n'))
}

// fail sends an error the way the flavour does.
func (e *Engine) fail(w http.ResponseWriter, status int, message string) {
	if e.podman() {
		e.answerJSON(w, status, map[string]any{"cause": message, "message": message, "response": status})
		return
	}
	e.answerJSON(w, status, map[string]string{"message": message})
}

func (e *Engine) podman() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.o.podman()
}

func flush(w http.ResponseWriter) {
	// A writer that cannot flush has nothing to be flushed.
	_ = http.NewResponseController(w).Flush()
}

// flag reads a boolean parameter the way the engine does.
func (r *request) flag(name string) bool {
	switch strings.ToLower(r.query.Get(name)) {
	case "", "0", "no", "false", "none":
		return false
	}
	return true
}
