package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// target is an instance that answers with its name and what it was asked.
func target(t *testing.T, name string) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%s %s %s by %s for %s", name, r.Method, r.URL.RequestURI(), r.Host, r.Header.Get("X-Forwarded-For"))
	}))
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

// at is a proxy over instances at fixed addresses, by id.
func at(addrs map[string][]string) *Proxy {
	return New(func(_ context.Context, instance string, _ int) ([]string, error) {
		if list, known := addrs[instance]; known {
			return list, nil
		}
		return nil, errors.New("nobody knows it")
	}, (&net.Dialer{}).DialContext, slog.New(slog.DiscardHandler))
}

func ask(t *testing.T, p *Proxy, method, url string, header ...string) (status int, body string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, url, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	text, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(text)
}

func TestRequestsAreLedByDomainAndPath(t *testing.T) {
	p := at(map[string][]string{"a": {target(t, "a")}, "b": {target(t, "b")}, "c": {"127.0.0.1:1", target(t, "c")}, "down": {"127.0.0.1:1"}, "nowhere": {}})
	p.Apply([]Route{
		{Domain: "shop.example", Path: "/", Instance: "a", Port: 80},
		{Domain: "shop.example", Path: "/api", Instance: "b", Port: 80},
		{Domain: "shop.example", Path: "/api/v2/", Instance: "c", Port: 80},
		{Domain: "down.example", Path: "/", Instance: "down", Port: 80},
		{Domain: "nowhere.example", Path: "/", Instance: "nowhere", Port: 80},
		{Domain: "lost.example", Path: "/", Instance: "lost", Port: 80},
	})
	for url, want := range map[string]string{
		"http://shop.example/":             "a GET / by shop.example",
		"http://shop.example":              "a GET / by shop.example",
		"http://SHOP.example:8080/x?y=%2F": "a GET /x?y=%2F by SHOP.example:8080",
		"http://shop.example./x":           "a GET /x",
		"http://shop.example/api":          "b GET /api",
		"http://shop.example/api/v1":       "b GET /api/v1",
		"http://shop.example/apiary":       "a GET /apiary",
		"http://shop.example/api/v2/x":     "c GET /api/v2/x",
	} {
		if status, body := ask(t, p, http.MethodGet, url); status != http.StatusOK || !strings.HasPrefix(body, want) {
			t.Errorf("%s: %d %s, want %s", url, status, body, want)
		}
	}
	for url, want := range map[string]int{
		"http://other.example/": 404, "http://a.shop.example/": 404, "http://down.example/": 502, "http://nowhere.example/": 502, "http://lost.example/": 502,
	} {
		status, body := ask(t, p, http.MethodGet, url)
		if status != want || strings.Contains(body, "127.0.0.1") || strings.Contains(body, "nobody knows") {
			t.Errorf("%s: %d %s, want %d and no word of what is behind", url, status, body, want)
		}
	}
	if err := errors.Join(p.Reach(t.Context(), "a", 80), p.Reach(t.Context(), "c", 80)); err != nil {
		t.Error(err)
	}
	for _, id := range []string{"down", "nowhere", "lost"} {
		if p.Reach(t.Context(), id, 80) == nil {
			t.Errorf("%s was reached", id)
		}
	}
}

// Who asks cannot choose what is said of them, or where the request goes.
func TestNobodyChoosesWhoTheyAre(t *testing.T) {
	p := at(map[string][]string{"a": {target(t, "a")}})
	p.Apply([]Route{{Domain: "shop.example", Path: "/", Instance: "a", Port: 80}})
	_, body := ask(t, p, http.MethodGet, "http://shop.example/", "X-Forwarded-For", "10.9.8.7", "X-Forwarded-Host", "evil.example")
	if strings.Contains(body, "10.9.8.7") || !strings.Contains(body, "for 192.0.2.1") {
		t.Error(body)
	}
	for _, host := range []string{"a:80", "127.0.0.1", ""} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Host = host
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		if w.Code != http.StatusNotFound {
			t.Errorf("host %q: %d", host, w.Code)
		}
	}
}

// What is under way goes on by the table that it began with.
func TestATableThatComesCutsNothingOff(t *testing.T) {
	begun, ends := make(chan struct{}), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-ends
		_, _ = io.WriteString(w, "the former")
	}))
	defer slow.Close()
	p := at(map[string][]string{"old": {slow.Listener.Addr().String()}, "new": {target(t, "new")}})
	p.Apply([]Route{{Domain: "shop.example", Path: "/", Instance: "old", Port: 80}})
	answer := make(chan string, 1)
	go func() {
		_, body := ask(t, p, http.MethodGet, "http://shop.example/")
		answer <- body
	}()
	<-begun
	p.Apply([]Route{{Domain: "shop.example", Path: "/", Instance: "new", Port: 80}})
	if _, body := ask(t, p, http.MethodGet, "http://shop.example/"); !strings.HasPrefix(body, "new") {
		t.Error(body)
	}
	close(ends)
	if body := <-answer; body != "the former" {
		t.Error(body)
	}
	p.Apply(nil)
	if status, _ := ask(t, p, http.MethodGet, "http://shop.example/"); status != http.StatusNotFound {
		t.Errorf("by an empty table: %d", status)
	}
}
