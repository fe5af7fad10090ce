// Package canarytest listens in tests for secrets in what is told: a bed logs to Log, and plants Word wherever something secret goes in.
package canarytest

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// Word is a secret that no log and no event may tell.
const Word = "c4n4ry-s3cret-v4lue"

// Env is a variable that has it.
func Env() store.EnvVar { return store.EnvVar{Name: "CANARY", Value: Word} }

// Log is the log of a bed over a store, as at level debug. At the end of the test, which fails by it, neither a line of it nor an event in the store has a planted secret in
// it: Word, or one of more.
func Log(t testing.TB, db *store.DB, more ...string) *slog.Logger {
	t.Helper()
	e := &ear{secrets: append(more, Word)}
	t.Cleanup(func() {
		e.read(t, db)
		for _, told := range e.told() {
			t.Error(told)
		}
	})
	return slog.New(slog.NewTextHandler(e, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// ear writes down what tells a secret.
type ear struct {
	secrets []string

	mu    sync.Mutex
	heard []string
}

// Write hears one line of a log.
func (e *ear) Write(line []byte) (int, error) {
	e.hear("the log", string(line))
	return len(line), nil
}

func (e *ear) hear(where, text string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, told := range Find(text, e.secrets...) {
		e.heard = append(e.heard, where+" tells "+told)
	}
}

// Find is which of some secrets a text tells, each with what stands before it; one that is empty is none.
func Find(text string, secrets ...string) (told []string) {
	for _, secret := range secrets {
		if at := strings.Index(text, secret); secret != "" && at >= 0 {
			told = append(told, fmt.Sprintf("the secret %q: ...%s", secret, text[max(0, at-80):at+len(secret)]))
		}
	}
	return told
}

func (e *ear) told() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.heard)
}

// read hears all events that are kept. A store that a test has closed or spoilt is not read.
func (e *ear) read(t testing.TB, db *store.DB) {
	t.Helper()
	for page := (store.Page{Limit: 1000}); ; {
		events, next, err := db.Events(context.WithoutCancel(t.Context()), store.EventFilter{}, page)
		if err != nil {
			t.Logf("its events are not read: %v", err)
			return
		}
		for _, event := range events {
			data, err := json.Marshal(event.Data)
			if err != nil {
				t.Errorf("event %s: %v", event.Kind, err)
			}
			e.hear("an event of kind "+event.Kind, event.Message+" "+string(data))
		}
		if page.Cursor = next; next == "" {
			return
		}
	}
}
