package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestNewReadsTheAddress(t *testing.T) {
	for base, ok := range map[string]bool{
		"http://127.0.0.1:8080": true, "https://watch.example/": true, "https://watch.example/base": true,
		"": false, "127.0.0.1:8080": false, "ftp://x": false, "http://": false, "://": false, "unix:///x.sock": false,
	} {
		if _, err := New(base); (err == nil) != ok {
			t.Errorf("%q: %v", base, err)
		}
	}
}

func TestProblemsAreRead(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		code   string
		says   string
	}{
		"ours": {409, `{"status":409,"code":"not_stale","detail":"it is running","title":"Conflict"}`, CodeNotStale, "it is running"},
		"with fields": {
			422, `{"status":422,"code":"invalid","detail":"nothing was done","errors":[{"location":"body.name","message":"too long"},{"location":"body","message":"x"}]}`,
			CodeInvalid, "nothing was done: name too long; body x",
		},
		"with an id":           {500, `{"status":500,"code":"internal","detail":"broken","id":"ABC"}`, CodeInternal, "broken (id ABC)"},
		"a proxy's page":       {502, `<html>Bad Gateway</html>`, "", "502 Bad Gateway"},
		"nothing":              {503, ``, "", "503 Service Unavailable"},
		"JSON of someone else": {404, `{"error":"x"}`, "", "404 Not Found"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			}))
			defer srv.Close()
			cl, err := New(srv.URL)
			if err != nil {
				t.Fatal(err)
			}
			_, err = cl.Settings(t.Context())
			p, ok := AsProblem(err)
			if !ok || p.Status != c.status || p.Code != c.code || !strings.Contains(p.Error(), c.says) {
				t.Errorf("got %+v, %v", p, err)
			}
			if c.code != "" && !HasCode(err, c.code) || HasCode(err, CodeBusy) {
				t.Errorf("codes of %v", err)
			}
		})
	}
}

func TestCallsEndWithTheirContext(t *testing.T) {
	entered := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	}))
	defer srv.Close()
	c, err := New(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-entered; cancel() }()
	if _, err := c.Hosts(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestPathsAreEscaped(t *testing.T) {
	var asked string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.EscapedPath()
		w.WriteHeader(http.StatusNoContent)
	}))
	defer srv.Close()
	c, err := New(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.RemoveInstance(t.Context(), "../projects/x?stop=true", false); err != nil || asked != "/api/instances/..%2Fprojects%2Fx%3Fstop=true" {
		t.Errorf("asked for %q, %v", asked, err)
	}
}

func TestReadStream(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []message
	}{
		"one":               {"id: 7\nevent: event\ndata: {}\n\n", []message{{"7", "event", "{}"}}},
		"without spaces":    {"id:7\ndata:{}\n\n", []message{{"7", "", "{}"}}},
		"two lines of data": {"data: a\ndata: b\n\n", []message{{"", "", "a\nb"}}},
		"an id alone":       {"id: 9\n\n", []message{{"9", "", ""}}},
		"comments":          {": hello\n\n:\ndata: x\n\n", []message{{"", "", "x"}}},
		"windows lines":     {"data: x\r\n\r\n", []message{{"", "", "x"}}},
		"unknown fields":    {"retry: 5\nnoise\ndata: x\n\n", []message{{"", "", "x"}}},
		"half a message":    {"id: 8\ndata: x", nil},
		"nothing":           {"", nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []message
			err := readStream(strings.NewReader(c.text), func(m message) error { got = append(got, m); return nil })
			if !errors.Is(err, io.EOF) || len(got) != len(c.want) {
				t.Fatalf("got %v, %v", got, err)
			}
			for i := range got {
				if got[i] != c.want[i] {
					t.Errorf("got %q, want %q", got[i], c.want[i])
				}
			}
		})
	}
}

func TestStreamGivesUpWhereAskingAgainIsNoUse(t *testing.T) {
	asked := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"status":403,"code":"forbidden","detail":"no"}`)
	}))
	defer srv.Close()
	c, err := New(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	err = c.Stream(t.Context(), StreamOptions{}, func(Event) error { return nil })
	if !HasCode(err, CodeForbidden) || asked != 1 {
		t.Errorf("asked %d times: %v", asked, err)
	}
}

func FuzzReadStream(f *testing.F) {
	f.Add("id: 7\nevent: event\ndata: {}\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		_ = readStream(strings.NewReader(text), func(m message) error {
			if m == (message{}) {
				t.Fatal("an empty message")
			}
			return nil
		})
	})
}
