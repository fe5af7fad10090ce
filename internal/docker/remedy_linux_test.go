package docker_test

import (
	"errors"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
)

// TestWhyAnEngineCannotBeUsed tells apart a socket that this user may not use, an engine too old, a socket that is not there, and one that
// nobody listens at: only the last two are mended by a start.
func TestWhyAnEngineCannotBeUsed(t *testing.T) {
	locked := dockertest.Serve(t, dockertest.Docker29())
	dead := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what         string
		options      docker.Options
		kind         error
		text, remedy string
	}{
		{"no right", docker.Options{Endpoint: locked.Endpoint(), Dial: enginetest.AsNobody(t, locked.Endpoint())}, docker.ErrSocketRights, "this user may not use the socket /", "usermod -aG docker"},
		{"too old", docker.Options{Endpoint: dockertest.Serve(t, dockertest.Options{APIVersion: "1.24"}).Endpoint()}, docker.ErrTooOld, "API 1.24 at most, and 1.40 is the least", "upgrade it"},
		{"absent", docker.Options{Endpoint: "unix:///none"}, nil, "no such file", ""},
		{"nobody listens", docker.Options{Endpoint: "unix://" + dead}, nil, "Cannot connect", ""},
	} {
		t.Run(c.what, func(t *testing.T) {
			e := newAt(t, c.options)
			for range 2 { // and it does not get better by itself
				err := e.Ping(t.Context())
				if !errors.Is(err, docker.ErrUnavailable) || !strings.Contains(err.Error(), c.text) || errors.Is(err, fs.ErrPermission) {
					t.Errorf("it ends with %v", err)
				}
				for _, kind := range []error{docker.ErrSocketRights, docker.ErrTooOld} {
					if errors.Is(err, kind) != errors.Is(c.kind, kind) {
						t.Errorf("that it is %q is wrong of %v", kind, err)
					}
				}
				if r := docker.Remedy(err); !strings.Contains(r, c.remedy) || (r == "") != (c.remedy == "") || strings.Contains(r, "systemctl") {
					t.Errorf("to be done: %q", r)
				}
			}
		})
	}
}
