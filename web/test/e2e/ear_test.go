package e2e

import (
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/canarytest"
)

// planted are the secrets that flows type in, and that daemons are started with. No daemon may tell one: not in its log, its figures or its events.
var planted = []string{
	"canary", "s3cret", "a very secret password", "yet another secret password", "battery staple", "correct horse", manyToken,
}

// ear hears the log of a daemon, which goes on to standard error.
type ear struct {
	mu   sync.Mutex
	text strings.Builder
}

// listen returns the ear for a daemon that is stopped by what the test cleans up after this.
func listen(t *testing.T) *ear {
	e := &ear{}
	t.Cleanup(func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		wantNoSecretIn(t, "the log of a daemon", e.text.String())
	})
	return e
}

func (e *ear) Write(p []byte) (int, error) {
	e.mu.Lock()
	e.text.Write(p)
	e.mu.Unlock()
	return os.Stderr.Write(p)
}

// askAtTheEnd has a daemon asked for its figures and events when the test is over, while it still runs.
func askAtTheEnd(t *testing.T, url string) {
	t.Cleanup(func() {
		for _, path := range []string{"/metrics", "/api/events?limit=1000"} {
			req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, url+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+manyToken)
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				continue // a flow has ended it
			}
			text, _ := io.ReadAll(res.Body) // what came is looked at
			_ = res.Body.Close()            // it was read
			if res.StatusCode != http.StatusOK {
				t.Errorf("%s is not heard: %s", path, res.Status)
			}
			wantNoSecretIn(t, path+" of a daemon", string(text))
		}
	})
}

func wantNoSecretIn(t *testing.T, where, text string) {
	t.Helper()
	for _, told := range canarytest.Find(text, planted...) {
		t.Errorf("%s tells %s", where, told)
	}
}
