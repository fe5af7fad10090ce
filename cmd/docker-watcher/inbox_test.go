package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// webhooks are what programs at the other end got, by their address.
var webhooks sync.Map

type webhookInbox struct {
	mu     sync.Mutex
	bodies []string
}

// inbox: a webhook begins to listen at INBOX. Its address is in the file url, behind which stands a secret.
func cmdInbox(ts *testscript.TestScript, _ *world, _ []string) {
	in := &webhookInbox{}
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		in.mu.Lock()
		defer in.mu.Unlock()
		in.bodies = append(in.bodies, string(body))
	}))
	ts.Defer(srv.Close)
	webhooks.Store(srv.URL, in)
	ts.Setenv("INBOX", srv.URL)
	ts.Check(os.WriteFile(ts.MkAbs("url"), []byte(srv.URL+"/c4n4ry\n"), 0o600))
}

// got N TEXT: the webhook has got N messages, and one of them holds the text. It waits for the last.
func cmdGot(ts *testscript.TestScript, _ *world, args []string) {
	found, _ := webhooks.Load(ts.Getenv("INBOX"))
	in, _ := found.(*webhookInbox)
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	var bodies []string
	deadline, tick := time.Now().Add(within), time.Tick(20*time.Millisecond)
	for ; time.Now().Before(deadline); <-tick {
		in.mu.Lock()
		bodies = append([]string(nil), in.bodies...)
		in.mu.Unlock()
		if len(bodies) >= want {
			break
		}
	}
	if len(bodies) != want || !strings.Contains(strings.Join(bodies, "\n"), args[1]) {
		ts.Fatalf("it got %d messages: %s", len(bodies), strings.Join(bodies, "\n"))
	}
}
