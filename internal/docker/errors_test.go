package docker

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

var allKinds = []error{ErrNotFound, ErrConflict, ErrUnavailable, ErrTimeout, ErrNotOwned, ErrInvalid, ErrDenied, ErrEngine}

func TestFailure(t *testing.T) {
	cases := []struct {
		name string
		err  error
		want error // nil: none of ours
	}{
		{"404", errdefs.ErrNotFound.WithMessage("No such container: x"), ErrNotFound},
		{"409", errdefs.ErrConflict.WithMessage("removal already in progress"), ErrConflict},
		{"400", errdefs.ErrInvalidArgument, ErrInvalid},
		{"401", errdefs.ErrUnauthenticated, ErrDenied},
		{"403", errdefs.ErrPermissionDenied, ErrDenied},
		{"500", errdefs.ErrInternal.WithMessage("driver failed"), ErrEngine},
		{"503", errdefs.ErrUnavailable, ErrUnavailable},
		{"podman's 500 for a running one", errdefs.ErrInternal.WithMessage("cannot remove container x as it is running - running or paused containers cannot be removed without force: container state improper"), ErrConflict},
		{"podman's 500 for a paused one", errdefs.ErrInternal.WithMessage("x is not running: container state improper"), ErrConflict},
		{"podman's 500 for one that is just gone", errdefs.ErrInternal.WithMessage("container x does not exist in database: no such container"), ErrNotFound},
		{"podman's 500 for a taken name", errdefs.ErrInternal.WithMessage("the container name \"x\" is already in use by y: that name is already in use"), ErrConflict},
		{"docker's 500 for a taken port", errdefs.ErrInternal.WithMessage("Bind for 127.0.0.1:80 failed: port is already allocated"), ErrEngine},
		{"cut in the middle", io.ErrUnexpectedEOF, ErrUnavailable},
		{"refused", &net.OpError{Op: "dial", Err: errors.New("connection refused")}, ErrUnavailable},
		{"our deadline", context.DeadlineExceeded, ErrTimeout},
		{"a web page", &json.SyntaxError{}, ErrEngine},
		{"the caller's own", errors.New("disk full"), nil},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			got := failure(t.Context(), "do it", tc.err)
			for _, kind := range allKinds {
				if is := errors.Is(got, kind); is != errors.Is(tc.want, kind) {
					t.Errorf("%v: is %q: %v", got, kind, is)
				}
			}
			if !strings.HasPrefix(got.Error(), "do it: ") {
				t.Errorf("%q does not say what was being done", got)
			}
		})
	}
}

func TestFailureOfTheCallersContext(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	err := failure(ended, "do it", errdefs.ErrUnavailable)
	if !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnavailable) {
		t.Errorf("a cancelled call blames the engine: %v", err)
	}
	late, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	if err := failure(late, "do it", context.DeadlineExceeded); !errors.Is(err, ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a caller's deadline: %v", err)
	}
}

func TestInBand(t *testing.T) {
	for message, want := range map[string]error{
		"manifest for 127.0.0.1:5000/shop:9 not found: manifest unknown":                       ErrNotFound,
		"pull access denied for shop, repository does not exist or may require 'docker login'": ErrDenied,
		"Get https://r/v2/: no basic auth credentials":                                         ErrDenied,
		"unauthorized: authentication required":                                                ErrDenied,
		"net/http: request canceled (Client.Timeout exceeded while awaiting headers)":          ErrTimeout,
		"write /var/lib/docker/tmp/x: no space left on device":                                 ErrEngine,
	} {
		if err := inBand(message); !errors.Is(err, want) {
			t.Errorf("%q is %v, want %v", message, err, want)
		}
	}
}
