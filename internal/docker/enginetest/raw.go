package enginetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
)

// cleanTimeout is for what a test leaves to be removed.
const cleanTimeout = time.Minute

// RemoveAfter takes a container away when the test ends, whatever it is and does: by the engine's own API,
// for the adapter rightly refuses what is not ours.
func RemoveAfter(t testing.TB, e *docker.Engine, id string) {
	t.Helper()
	removeAfter(t, e, "/containers/"+id+"?force=1&v=1")
}

func removeAfter(t testing.TB, e *docker.Engine, path string) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), cleanTimeout)
		defer cancel()
		if err := removeOrTryAgain(ctx, e, path); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
}

// removeOrTryAgain: podman does not remove what crashes at that very moment.
func removeOrTryAgain(ctx context.Context, e *docker.Engine, path string) error {
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for tries := 0; ; tries++ {
		_, err := rawAnswer(ctx, e, http.MethodDelete, path, nil, http.StatusNotFound)
		if err == nil || tries == 10 {
			return err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return err
		}
	}
}

// ForceStart runs a container that the adapter would not touch.
func ForceStart(t testing.TB, e *docker.Engine, id string) {
	t.Helper()
	if _, err := rawAnswer(t.Context(), e, http.MethodPost, "/containers/"+id+"/start", nil); err != nil {
		t.Fatal(err)
	}
}

// rawAnswer asks an engine on a unix socket past the adapter. A refusal that is fine has no answer.
func rawAnswer(ctx context.Context, e *docker.Engine, method, path string, body io.Reader, fine ...int) ([]byte, error) {
	socket := strings.TrimPrefix(e.Endpoint(), "unix://")
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, method, "http://engine"+path, body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	req.Header.Set("Content-Type", contentType(method))
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer func() { _ = resp.Body.Close() }() // read, or its error is told
	said, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	case slices.Contains(fine, resp.StatusCode):
		return nil, nil
	case resp.StatusCode >= http.StatusBadRequest:
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, said)
	default:
		return said, nil
	}
}

// socketAnswers says whether an engine behind a socket answers a ping.
func socketAnswers(ctx context.Context, socket string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://engine/_ping", nil)
	if err != nil {
		return false
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return false
	}
	return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}

func contentType(method string) string {
	if method == http.MethodPut {
		return "application/x-tar"
	}
	return "application/json"
}

// EventsOf are the actions that the engine has told of some containers since a moment, each with the container's id.
func EventsOf(t testing.TB, e *docker.Engine, since time.Time, ids ...string) []string {
	t.Helper()
	filters, err := json.Marshal(map[string][]string{"container": ids})
	if err != nil {
		t.Fatal(err)
	}
	q := url.Values{"filters": {string(filters)}, "since": {fmt.Sprint(since.Unix())}, "until": {fmt.Sprint(time.Now().Unix())}}
	said, err := rawAnswer(t.Context(), e, http.MethodGet, "/events?"+q.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for lines := json.NewDecoder(bytes.NewReader(said)); ; {
		var event struct {
			Action string
			Actor  struct{ ID string }
		}
		switch err := lines.Decode(&event); {
		case errors.Is(err, io.EOF):
			return told
		case err != nil:
			t.Fatal(err)
		}
		told = append(told, event.Action+" "+event.Actor.ID)
	}
}
