// Command traefik reads what our driver for Traefik writes by Traefik's own code, for the tests of internal/traefik.
//
// It takes questions as JSON, one array on standard input, and answers each in the same order: a document is read as Traefik's HTTP provider
// does (provider/http), labels as its Docker provider does (provider/docker), and requests are matched by the rules of the routers that were read.
// It is a module of its own, so that nothing of Traefik is among the parts of docker-watcher. Traefik looks up its pod in Kubernetes, which
// is no part of reading: what it calls there is empty in without/, or the client of Kubernetes would be half of all that is built.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/traefik/paerser/file"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
	"github.com/traefik/traefik/v3/pkg/config/label"
	"github.com/traefik/traefik/v3/pkg/ip"
	"github.com/traefik/traefik/v3/pkg/middlewares/requestdecorator"
	muxer "github.com/traefik/traefik/v3/pkg/muxer/http"
)

// question is one document or one set of labels, and requests as URLs.
type question struct {
	Document string            `json:"document"`
	Labels   map[string]string `json:"labels"` // nil: it is a document
	Requests []string          `json:"requests"`
}

// answer is what Traefik makes of it.
type answer struct {
	Error   string                     `json:"error,omitempty"` // why it is refused
	HTTP    *dynamic.HTTPConfiguration `json:"http,omitempty"`
	Routers []string                   `json:"routers,omitempty"` // one for each request; empty: none takes it
}

func main() {
	var questions []question
	if err := json.NewDecoder(os.Stdin).Decode(&questions); err != nil {
		fmt.Fprintln(os.Stderr, "read the questions:", err)
		os.Exit(1)
	}
	answers := make([]answer, len(questions))
	for i, q := range questions {
		answers[i] = ask(q)
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		fmt.Fprintln(os.Stderr, "write the answers:", err)
		os.Exit(1)
	}
}

func ask(q question) answer {
	c, err := read(q)
	if err != nil {
		return answer{Error: err.Error()}
	}
	routers, err := match(c.HTTP, q.Requests)
	if err == nil {
		err = checkNetworks(c.HTTP)
	}
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{HTTP: c.HTTP, Routers: routers}
}

func read(q question) (*dynamic.Configuration, error) {
	if q.Labels != nil {
		return label.DecodeConfiguration(q.Labels)
	}
	c := &dynamic.Configuration{HTTP: &dynamic.HTTPConfiguration{}}
	return c, file.DecodeContent(q.Document, ".yaml", c)
}

// match says which router takes each request. Those with TLS take requests over https, the others all else, as in Traefik.
func match(c *dynamic.HTTPConfiguration, requests []string) ([]string, error) {
	syntax, err := muxer.NewSyntaxParser()
	if err != nil {
		return nil, err
	}
	plain, secure := muxer.NewMuxer(syntax), muxer.NewMuxer(syntax)
	for name, r := range c.Routers {
		to := plain
		if r.TLS != nil {
			to = secure
		}
		says := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Router", name) })
		if err := to.AddRoute(r.Rule, r.RuleSyntax, r.Priority, says); err != nil {
			return nil, fmt.Errorf("router %s: %w", name, err)
		}
	}
	var names []string
	for _, url := range requests {
		w, req := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, url, nil)
		to := plain
		if req.TLS != nil {
			to = secure
		}
		requestdecorator.New(nil).ServeHTTP(w, req, to.ServeHTTP)
		names = append(names, w.Header().Get("Router"))
	}
	return names, nil
}

// checkNetworks reads them as the middleware does when it is made.
func checkNetworks(c *dynamic.HTTPConfiguration) error {
	for name, m := range c.Middlewares {
		if m.IPAllowList == nil {
			continue
		}
		if _, err := ip.NewChecker(m.IPAllowList.SourceRange); err != nil {
			return fmt.Errorf("middleware %s: %w", name, err)
		}
		if s := m.IPAllowList.IPStrategy; s != nil {
			if _, err := s.Get(); err != nil {
				return fmt.Errorf("middleware %s: %w", name, err)
			}
		}
	}
	return nil
}
