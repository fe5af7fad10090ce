package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tiny-forge/docker-watcher/internal/canarytest"
)

// planted are the secrets that scripts give servers and the command line. Nothing that either writes may hold one, whichever script runs it.
// What is made to be shown once (tokens, invitations, what webhooks are signed with) is not among them.
var planted = []string{
	"s3cret", "hunter2", "c4n4ry", "canary", "c2VjcmV0LWNhbmFyeQ", "an-admin-token-of-forty-characters", "correct horse", "very secret password",
	"fresh secret password", "BEGIN OPENSSH PRIVATE KEY",
}

// leaked is what a text tells of the planted secrets; empty: nothing.
func leaked(text string) string { return strings.Join(canarytest.Find(text, planted...), "; ") }

// listening is the test of a script whose whole record is listened to: every output of every command, at its end.
type listening struct{ *testing.T }

// Run runs one script.
func (l listening) Run(name string, script func(testscript.T)) {
	l.T.Run(name, func(t *testing.T) { script(listening{t}) })
}

// Verbose has the record be whole.
func (l listening) Verbose() bool { return true }

// Log is given the record.
func (l listening) Log(args ...any) {
	l.Helper()
	record := fmt.Sprint(args...)
	if secret := leaked(written(record)); secret != "" {
		l.Errorf("a command tells %s", secret)
	}
	if l.Failed() || testing.Verbose() {
		l.T.Log(record)
	}
}

// written is what the commands of a record have written: without the lines of the script, which plant the secrets.
func written(record string) string {
	var text strings.Builder
	for line := range strings.Lines(record) {
		if !strings.HasPrefix(line, "> ") && !strings.HasPrefix(line, "# ") {
			text.WriteString(line)
		}
	}
	return text.String()
}

// askAtTheEnd are the figures and the events of the server, as whoever the script is at the moment gets them; empty: it gets none.
func askAtTheEnd(ts *testscript.TestScript) (answers string) {
	asker := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for _, path := range []string{"/metrics", "/api/events?limit=1000"} {
		req, err := http.NewRequest(http.MethodGet, ts.Getenv("DOCKER_WATCHER_URL")+path, nil)
		ts.Check(err)
		req.Header.Set("Authorization", "Bearer "+ts.Getenv("DOCKER_WATCHER_TOKEN"))
		res, err := asker.Do(req)
		if err != nil {
			return answers // it has ended
		}
		text, _ := io.ReadAll(res.Body) // what came is looked at
		_ = res.Body.Close()            // it was read
		answers += string(text)
	}
	return answers
}

// TestSecretsAreHeard: the listening would be worth nothing if it were deaf.
func TestSecretsAreHeard(t *testing.T) {
	record := "# a phase (0.1s)\n> stdin password\n> exec docker-watcher login --password hunter2\n[stdout]\nas anna\n[stderr]\n"
	if got := leaked(written(record)); got != "" {
		t.Errorf("what the script itself says is taken for told: %s", got)
	}
	for _, stream := range []string{"stdout", "stderr"} {
		if leaked(written(record+"["+stream+"]\nit is hunter2\n")) == "" {
			t.Errorf("what is told on %s is not heard", stream)
		}
	}
}
