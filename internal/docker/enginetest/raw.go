package enginetest

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
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
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), cleanTimeout)
		defer cancel()
		if err := raw(ctx, e, http.MethodDelete, "/containers/"+id+"?force=1&v=1", http.StatusNotFound); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
}

// ForceStart runs a container that the adapter would not touch.
func ForceStart(t testing.TB, e *docker.Engine, id string) {
	t.Helper()
	if err := raw(t.Context(), e, http.MethodPost, "/containers/"+id+"/start"); err != nil {
		t.Fatal(err)
	}
}

// raw asks an engine on a unix socket past the adapter.
func raw(ctx context.Context, e *docker.Engine, method, path string, fine ...int) error {
	socket := strings.TrimPrefix(e.Endpoint(), "unix://")
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, method, "http://engine"+path, nil)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer func() { _ = resp.Body.Close() }() // read, or its error is told
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if !slices.Contains(fine, resp.StatusCode) && resp.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, said)
	}
	return nil
}
