package main_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/waittest"
)

// TestARefusalWhileTheDaemonStopsIsTold: a call that is under way when the daemon is asked to stop is refused after that, and counted.
func TestARefusalWhileTheDaemonStopsIsTold(t *testing.T) {
	engine := dockertest.Serve(t, dockertest.Docker29())
	data := filepath.Join(t.TempDir(), "data")
	d := launch(t, flags(data, engine.Endpoint())...)
	credential := d.setUp()
	if code := d.wrongProject(credential, strings.NewReader(`{}`), nil); code != http.StatusUnprocessableEntity {
		t.Fatalf("a project without a name is answered by %d", code)
	}
	for n := range 8 { // more than are told each by itself
		if _, _, err := d.client("").Login(t.Context(), fmt.Sprintf("name-%d", n), "a wrong password"); err == nil {
			t.Fatal("somebody who does not exist came in")
		}
	}

	body, end := io.Pipe()
	begun, answer := make(chan struct{}), make(chan int, 1)
	go func() { answer <- d.wrongProject(credential, body, begun) }()
	waittest.Next(t, "its body is read", begun)
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it takes no more calls", func() bool {
		res, err := patient.Get(d.url + "/healthz")
		if err == nil {
			_ = res.Body.Close()
		}
		return err != nil
	})
	if _, err := io.WriteString(end, `{}`); err != nil {
		t.Fatal(err)
	}
	_ = end.Close() // never an error
	if code := waittest.Next(t, "the answer to what was under way", answer); code != http.StatusUnprocessableEntity {
		t.Errorf("what was under way is answered by %d", code)
	}
	waittest.Next(t, "the daemon ends", d.exited)

	events, err := launch(t, flags(data, engine.Endpoint())...).client(credential).Events(t.Context(), client.EventFilter{}, client.Page{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	var told, failed []string
	for _, e := range events.Items {
		if e.Kind == "call.refused" {
			told = append(told, e.Message)
		}
		if e.Kind == "auth.login_failed" {
			failed = append(failed, e.Message)
		}
	}
	if len(failed) != 7 || failed[0] != "2 more sign-ins from 127.0.0.1 were refused" {
		t.Errorf("of eight failed sign-ins is told: %q", failed)
	}
	if len(told) != 2 || !strings.Contains(told[0], "(1 times more)") {
		t.Errorf("of two refusals is told: %q", told)
	}
}

// wrongProject asks for a project with a wrong body, and returns the status of the answer; 0: there was none. The daemon reads the body from when begun
// is closed.
func (d *daemon) wrongProject(credential string, body io.Reader, begun chan struct{}) int {
	ctx := d.t.Context()
	if begun != nil {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got100Continue: func() { close(begun) }})
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url+"/api/projects", body)
	if err != nil {
		d.t.Error(err)
		return 0
	}
	req.Header.Set("Authorization", "Bearer "+credential)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Expect", "100-continue")
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: patience}}).Do(req)
	if err != nil {
		d.t.Error(err)
		return 0
	}
	_ = res.Body.Close()
	return res.StatusCode
}
