package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
	"github.com/tiny-forge/docker-watcher/internal/waittest"
)

// watchedScreen is a terminal that a test reads while it is drawn on.
type watchedScreen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *watchedScreen) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

func (w *watchedScreen) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// onTop runs top on a terminal until it ends, and types what the test says.
func onTop(t *testing.T, answer http.HandlerFunc, act func(out *watchedScreen, keys io.Writer, stop func())) (code int, out *watchedScreen, restored int) {
	t.Helper()
	service := httptest.NewServer(answer)
	defer service.Close()
	in, keys := io.Pipe()
	out = &watchedScreen{}
	a := &app{
		screen: &screen.Screen{In: in, Out: out, Err: out, Terminal: true, InputTerminal: true, OutTerminal: true, Width: 60, Now: time.Now},
		getenv: func(string) string { return "" }, configDir: func() (string, error) { return t.TempDir(), nil },
		rawTerminal:  func() (func(), error) { return func() { restored++ }, nil },
		terminalSize: func() (int, int) { return 60, 6 },
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan int, 1)
	go func() {
		code := a.run(ctx, []string{"top", "--url", service.URL})
		_ = in.Close() // whoever types on is not heard any more
		done <- code
	}()
	act(out, keys, cancel)
	select {
	case code = <-done:
	case <-time.After(within):
		t.Fatalf("top does not end: %q", out.String())
	}
	return code, out, restored
}

func comesTo(t *testing.T, what string, ok func() bool) {
	t.Helper()
	waittest.Until(t, what, 5*time.Millisecond, ok)
}

const twoInstances = `{"items":[
	{"id":"1","name":"calm\u001b[2J","project":"shop","stage":"preview","usage":{"time":"2026-11-23T12:00:00Z","cpu_percent":1,"memory_bytes":900,"memory_limit":1000}},
	{"id":"2","name":"busy","project":"shop","stage":"preview","usage":{"time":"2026-11-23T12:00:00Z","cpu_percent":99,"memory_bytes":1,"memory_limit":1000}},
	{"id":"3","name":"new","project":"shop","stage":"preview"}]}`

func answers(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

func TestTopWatches(t *testing.T) {
	code, out, restored := onTop(t, answers(twoInstances), func(out *watchedScreen, keys io.Writer, _ func()) {
		comesTo(t, "the table", func() bool { return strings.Contains(out.String(), "3 containers  by cpu") })
		_, _ = io.WriteString(keys, "m")
		comesTo(t, "the other order", func() bool { return strings.Contains(out.String(), "3 containers  by memory") })
		_, _ = io.WriteString(keys, "q")
	})
	text := out.String()
	if code != 0 || restored != 1 || !strings.HasPrefix(text, "\x1b[?1049h\x1b[?25l") || !strings.HasSuffix(text, "\x1b[?25h\x1b[?1049l") {
		t.Errorf("code %d, restored %d times, %q", code, restored, text)
	}
	byCPU, byMemory, _ := strings.Cut(text[strings.Index(text, "3 containers  by cpu"):], "3 containers  by memory")
	if strings.Index(byCPU, "busy") > strings.Index(byCPU, "calm") || strings.Index(byMemory, "busy") < strings.Index(byMemory, "calm") {
		t.Errorf("the order: %q", text)
	}
	if strings.Count(text, "\x1b[2J") != 1 {
		t.Errorf("a name steers the terminal: %q", text)
	}
	for line := range strings.SplitSeq(byCPU, "\r\n") {
		if n := len(strings.TrimSuffix(line, "\x1b[K")); n > 60 && !strings.Contains(line, "\x1b[H") {
			t.Errorf("a line of %d columns: %q", n, line)
		}
	}
}

func TestTopEnds(t *testing.T) {
	t.Run("by an interrupt", func(t *testing.T) {
		code, out, restored := onTop(t, answers(twoInstances), func(out *watchedScreen, _ io.Writer, stop func()) {
			comesTo(t, "the table", func() bool { return strings.Contains(out.String(), "3 containers") })
			stop()
		})
		if code != 0 || restored != 1 || !strings.HasSuffix(out.String(), "\x1b[?1049l") {
			t.Errorf("code %d, restored %d times, %q", code, restored, out)
		}
	})
	t.Run("by Ctrl-C, which a raw terminal tells as a key", func(t *testing.T) {
		code, _, restored := onTop(t, answers(twoInstances), func(_ *watchedScreen, keys io.Writer, _ func()) { _, _ = keys.Write([]byte{ctrlC}) })
		if code != 0 || restored != 1 {
			t.Errorf("code %d, restored %d times", code, restored)
		}
	})
	t.Run("where it may not ask", func(t *testing.T) {
		refuse := func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"status":401,"code":"unauthenticated","detail":"sign in"}`)
		}
		code, out, restored := onTop(t, refuse, func(*watchedScreen, io.Writer, func()) {})
		if code != exitForbidden || restored != 1 || !strings.Contains(out.String(), "\x1b[?1049l") {
			t.Errorf("code %d, restored %d times, %q", code, restored, out)
		}
	})
}

func TestTopOutlivesAServiceThatIsAway(t *testing.T) {
	var away sync.Once
	answer := func(w http.ResponseWriter, r *http.Request) {
		first := false
		away.Do(func() { first = true })
		if first {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		answers(twoInstances)(w, r)
	}
	code, out, _ := onTop(t, answer, func(out *watchedScreen, keys io.Writer, _ func()) {
		comesTo(t, "it tells", func() bool { return strings.Contains(out.String(), "cannot ask") })
		comesTo(t, "the table", func() bool { return strings.Contains(out.String(), "3 containers") })
		_, _ = io.WriteString(keys, "q")
	})
	if code != 0 {
		t.Errorf("code %d, %q", code, out)
	}
}
