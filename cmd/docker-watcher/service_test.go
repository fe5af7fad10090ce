package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/tiny-forge/docker-watcher/client"
)

// service answers a command by rote and keeps what it was asked to do.
type service struct {
	mux *http.ServeMux
	url string

	mu   sync.Mutex
	done []string // "POST /api/x {body}", reads left out
}

func newService(t *testing.T) *service {
	t.Helper()
	s := &service{mux: http.NewServeMux()}
	server := httptest.NewServer(s.mux)
	t.Cleanup(server.Close)
	s.url = server.URL
	s.answers(t, "GET /api/hosts", client.List[client.Host]{Items: []client.Host{{ID: "h1", Name: "local", Reachable: true}}})
	s.answers(t, "GET /api/projects/shop", client.Project{ID: "p1", Name: "shop"})
	s.answers(t, "GET /api/stages", client.List[client.Stage]{Items: []client.Stage{{ID: "s1", ProjectID: "p1", Project: "shop", Name: "preview"}}})
	s.answers(t, "GET /api/instances", client.List[client.Instance]{Items: []client.Instance{{ID: "i1", Name: "shop-preview-a"}}})
	return s
}

func (s *service) answers(t *testing.T, route string, v any) {
	s.answersWith(t, route, http.StatusOK, v)
}

// answersWith answers a route with this status; a problem is told as one.
func (s *service) answersWith(t *testing.T, route string, status int, v any) {
	t.Helper()
	s.mux.HandleFunc(route, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if r.Method != http.MethodGet {
			what := r.Method + " " + r.URL.RequestURI()
			if rev := r.Header.Get("If-Match"); rev != "" {
				what += " if " + rev
			}
			s.mu.Lock()
			s.done = append(s.done, strings.TrimSpace(what+" "+compact(body)))
			s.mu.Unlock()
		}
		if v == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		if err := json.NewEncoder(w).Encode(v); err != nil {
			t.Error(err)
		}
	})
}

func compact(body []byte) string {
	var b bytes.Buffer
	if err := json.Compact(&b, body); err != nil {
		return string(body)
	}
	return b.String()
}

// said is what came of one command line.
type said struct {
	code        int
	out, beside string
	done        []string
}

// run carries out a command line; what a person types makes it a terminal.
func (s *service) run(t *testing.T, typed, line string, more ...string) said {
	t.Helper()
	a, out, beside := newApp(t, typed)
	a.screen.InputTerminal = typed != ""
	s.mu.Lock()
	s.done = nil
	s.mu.Unlock()
	code := a.run(t.Context(), append(append(strings.Fields(line), more...), "--url", s.url))
	s.mu.Lock()
	defer s.mu.Unlock()
	return said{code, out.String(), beside.String(), s.done}
}

// has fails the test unless the text has each of these, and none of those after "!!".
func has(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if without, isNot := strings.CutPrefix(part, "!! "); isNot {
			if strings.Contains(text, without) {
				t.Errorf("%s has %q:\n%s", what, without, text)
			}
		} else if !strings.Contains(text, part) {
			t.Errorf("%s lacks %q:\n%s", what, part, text)
		}
	}
}
