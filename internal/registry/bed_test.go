package registry

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	inprocess "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// strangers knows no registry: everybody is asked without credentials.
func strangers() *Registries {
	return New(func(context.Context, string) (Access, error) { return Access{}, nil })
}

// knowing is registries with the access to one of them.
func knowing(access Access) *Registries {
	access.Known = true
	return New(func(_ context.Context, host string) (Access, error) {
		if host != access.Host {
			return Access{}, nil
		}
		return access, nil
	})
}

// fault stands before a registry and may answer in its place.
type fault func(registry http.Handler) http.HandlerFunc

// serve runs a registry in this process, behind a handler of the test, and returns its address.
func serve(t *testing.T, front fault) string {
	t.Helper()
	return strings.TrimPrefix(serveOn(t, front, httptest.NewServer).URL, "http://")
}

func serveOn(t *testing.T, front fault, start func(http.Handler) *httptest.Server) *httptest.Server {
	t.Helper()
	registry := inprocess.New(inprocess.Logger(log.New(io.Discard, "", 0)))
	if front != nil {
		registry = front(registry)
	}
	server := start(registry)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(server.Close)
	return server
}

// push puts an image into a registry and returns its digest.
func push(t *testing.T, ref string, options ...remote.Option) string {
	t.Helper()
	return pushImage(t, ref, empty.Image, options...)
}

func mustRef(t *testing.T, ref string) name.Reference {
	t.Helper()
	parsed, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func pushImage(t *testing.T, ref string, image v1.Image, options ...remote.Option) string {
	t.Helper()
	if err := remote.Write(mustRef(t, ref), image, append(options, remote.WithContext(t.Context()))...); err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

func as(username, password string) remote.Option {
	return remote.WithAuth(authn.FromConfig(authn.AuthConfig{Username: username, Password: password}))
}

// wantClass checks that an error is a refusal of one class, which has a remedy.
func wantClass(t *testing.T, err error, want Class) {
	t.Helper()
	_ = refusalIn(t, err, want)
}

// refusalIn is the refusal that an error must be.
func refusalIn(t *testing.T, err error, want Class) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("%v, want an error of class %s", err, want)
	}
	if e.Class != want || e.Remedy() == "" || e.Detail == "" {
		t.Errorf("class %s, %q, remedy %q; want class %s", e.Class, e.Detail, e.Remedy(), want)
	}
	if errors.Is(err, ErrGone) != (want == ClassNotFound) {
		t.Errorf("%v: is it gone?", err)
	}
	return e
}

// always answers everything in the same way.
func always(status int, body string, headers ...string) fault {
	return func(http.Handler) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { respond(w, status, body, headers...) }
	}
}

// on answers those requests whose address holds a text.
func on(part string, status int, body string, headers ...string) fault {
	return func(registry http.Handler) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.URL.Path, part) || r.Method == http.MethodPut {
				registry.ServeHTTP(w, r)
				return
			}
			respond(w, status, body, headers...)
		}
	}
}

func respond(w http.ResponseWriter, status int, body string, headers ...string) {
	for i := 0; i+1 < len(headers); i += 2 {
		w.Header().Set(headers[i], headers[i+1])
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// calls notes what a registry was asked.
type calls struct {
	mu   sync.Mutex
	seen []string
}

func (c *calls) noted(next fault) fault {
	return func(registry http.Handler) http.HandlerFunc {
		inner := registry
		if next != nil {
			inner = next(registry)
		}
		return func(w http.ResponseWriter, r *http.Request) {
			c.mu.Lock()
			c.seen = append(c.seen, r.Method+" "+r.URL.Path)
			c.mu.Unlock()
			inner.ServeHTTP(w, r)
		}
	}
}

func (c *calls) count(part string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.seen) - len(slices.DeleteFunc(slices.Clone(c.seen), func(s string) bool { return strings.Contains(s, part) }))
}

func (c *calls) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = nil
}
