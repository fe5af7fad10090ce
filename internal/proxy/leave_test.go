package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/waittest"
)

// TestWhoStepsAsideAnswersNobody: what is under way ends as it began, and nothing more begins until a table is applied again, which who has
// taken the place keeps.
func TestWhoStepsAsideAnswersNobody(t *testing.T) {
	r := newRig(t)
	asked, release := make(chan struct{}), make(chan struct{})
	to := app(t, func(w http.ResponseWriter, q *http.Request) {
		switch {
		case q.Header.Get("Upgrade") != "":
			answers(w, q)
		case q.URL.Path == "/slow":
			close(asked)
			<-release
		}
		_, _ = io.WriteString(w, "here")
	})
	r.apply(rule("a.example", to))
	get := func(in *bufio.Reader, out io.Writer, path string) (status int, closes bool) {
		t.Helper()
		if out != nil {
			fmt.Fprintf(out, "GET %s HTTP/1.1\r\nHost: a.example\r\n\r\n", path)
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Error(err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
		return resp.StatusCode, resp.Close
	}
	idle, busy := r.dial(), r.dial()
	idleIn, busyIn := bufio.NewReader(idle), bufio.NewReader(busy)
	if status, closes := get(idleIn, idle, "/"); status != http.StatusOK || closes {
		t.Fatalf("before, it answers %d and closes: %v", status, closes)
	}
	socket, socketIn := r.upgrade("a.example")
	fmt.Fprint(busy, "GET /slow HTTP/1.1\r\nHost: a.example\r\n\r\n")
	waittest.Next(t, "the slow one is asked", asked)
	r.until("the idle one waits, and the server knows it", func() bool { return len(r.allWaiting()) == 1 })

	r.StepAside()
	if _, err := idleIn.ReadByte(); err != io.EOF {
		t.Errorf("who waits is still connected: %v", err)
	}
	if status, _, head := r.get("a.example", "/"); status != http.StatusMisdirectedRequest || head.Get("Retry-After") == "" {
		t.Errorf("who asks is answered %d", status)
	}
	close(release)
	if status, _ := get(busyIn, nil, ""); status != http.StatusOK {
		t.Errorf("what was under way ends with %d", status)
	}
	if status, closes := get(busyIn, busy, "/"); status != http.StatusMisdirectedRequest || !closes {
		t.Errorf("the next one on its connection is answered %d and closes: %v", status, closes)
	}
	fmt.Fprintln(socket, "still here")
	if line, err := socketIn.ReadString('\n'); err != nil || line != "still here\n" {
		t.Errorf("the WebSocket says %q, %v", line, err)
	}

	r.apply(rule("a.example", to), rule("b.example", to))
	if status, body, _ := r.get("b.example", "/"); status != http.StatusOK || body != "here" {
		t.Errorf("by the next table it answers %d %s", status, body)
	}
	if kept, err := KeptTable(r.file); err != nil || len(kept.Rules) != 1 {
		t.Errorf("kept are %d rules, %v: the other process keeps the table", len(kept.Rules), err)
	}
}
