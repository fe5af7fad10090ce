package main_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/canarytest"
)

// planted are the secrets that the tests of this package give daemons. None may be in what one writes or tells of itself, whichever test
// runs it: every process is listened to until its end (startProgram), and one that was signed in to is asked for its figures and events then.
var planted = []string{password, "t0ken", "canary", "s3cret"}

// wantNoSecretIn fails for what a program tells of the secrets that it was given.
func wantNoSecretIn(t *testing.T, where, text string, more ...string) {
	t.Helper()
	for _, told := range canarytest.Find(text, append(more, planted...)...) {
		t.Errorf("%s tells %s", where, told)
	}
}

// listen goes through all that a daemon told. The line by which it is ready has the setup code, for the person who started it; all else has not.
func (d *daemon) listen() {
	d.t.Helper()
	own := []string{d.code, d.credential}
	wantNoSecretIn(d.t, "its standard output", d.stdout.String(), own...)
	wantNoSecretIn(d.t, "its log", d.stderr.String(), own...)
	wantNoSecretIn(d.t, "its ready line", d.line, d.credential)
	wantNoSecretIn(d.t, "one of its figures or events", d.answers, own...)
}

// askAtTheEnd keeps the figures and the events of a daemon that still answers: they are looked at with the rest.
func (d *daemon) askAtTheEnd() {
	if d.url == "" || d.credential == "" {
		return
	}
	asker := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for _, path := range []string{"/metrics", "/api/events?limit=1000"} {
		req, err := http.NewRequest(http.MethodGet, d.url+path, nil)
		if err != nil {
			return
		}
		req.Header.Set("Authorization", "Bearer "+d.credential)
		res, err := asker.Do(req)
		if err != nil {
			return // it has ended, as many are to
		}
		text, _ := io.ReadAll(res.Body) // what came is looked at
		_ = res.Body.Close()            // it was read
		d.answers += string(text)
	}
}

// TestSecretsAreHeard: the listening would be worth nothing if it were deaf.
func TestSecretsAreHeard(t *testing.T) {
	engine := "unix:///nowhere/d.sock"
	d := launch(t, flags(t.TempDir(), engine)...)
	d.setUp()
	d.askAtTheEnd()
	if !strings.Contains(d.answers, "docker_watcher_events_waiting") || !strings.Contains(d.answers, `"kind":"system.started"`) || !strings.Contains(d.line, d.code) || !strings.Contains(d.stderr.String(), "starting") {
		t.Errorf("not all of it is heard: %q\n%s\n%s", d.line, d.stderr.String(), d.answers)
	}
}
