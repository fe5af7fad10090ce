package registry

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	inprocess "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
)

// serve runs a registry in this process, behind a handler of the test, and returns its address.
func serve(t *testing.T, front func(registry http.Handler) http.HandlerFunc) string {
	t.Helper()
	registry := inprocess.New(inprocess.Logger(log.New(io.Discard, "", 0)))
	if front != nil {
		registry = front(registry)
	}
	server := httptest.NewServer(registry)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// push puts an image into a registry and returns its digest.
func push(t *testing.T, ref string) string {
	t.Helper()
	tag, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, empty.Image, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	digest, err := empty.Image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

func TestDigest(t *testing.T) {
	for kind, address := range map[string]func(*testing.T) string{
		"in process": func(t *testing.T) string { return serve(t, nil) },
		"real":       func(t *testing.T) string { return enginetest.Registry(t) },
	} {
		t.Run(kind, func(t *testing.T) {
			image := address(t) + "/acme/shop"
			digest := push(t, image+":1.0")
			for _, tag := range []string{"1.0", digest} {
				if got, err := Digest(t.Context(), image, tag); err != nil || got != digest {
					t.Errorf("%s is %q, %v; want %s", tag, got, err, digest)
				}
			}
			for what, ref := range map[string][2]string{
				"another tag":        {image, "2.0"},
				"another repository": {strings.TrimSuffix(image, "shop") + "blog", "1.0"},
				"another digest":     {image, "sha256:" + strings.Repeat("0", 64)},
			} {
				if got, err := Digest(t.Context(), ref[0], ref[1]); !errors.Is(err, ErrGone) {
					t.Errorf("%s: %q, %v; want ErrGone", what, got, err)
				}
			}
		})
	}
}

// Could not ask is not gone.
func TestWhatIsNoAnswerIsNotGone(t *testing.T) {
	always := func(status int, body string) func(http.Handler) http.HandlerFunc {
		return func(http.Handler) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(status)
				_, _ = io.WriteString(w, body)
			}
		}
	}
	onManifests := func(status int, body string) func(http.Handler) http.HandlerFunc {
		return func(registry http.Handler) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				if !strings.Contains(r.URL.Path, "/manifests/") {
					registry.ServeHTTP(w, r)
					return
				}
				always(status, body)(nil)(w, r)
			}
		}
	}
	unauthorized := `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`
	for what, front := range map[string]func(http.Handler) http.HandlerFunc{
		"a web server that is no registry":       always(http.StatusNotFound, "<html>404 page not found</html>"),
		"a proxy before it that has no page":     onManifests(http.StatusNotFound, "<html>not here</html>"),
		"a 404 with another code":                onManifests(http.StatusNotFound, `{"errors":[{"code":"UNSUPPORTED","message":"no"}]}`),
		"a 404 with an empty body":               onManifests(http.StatusNotFound, ""),
		"credentials wanted":                     always(http.StatusUnauthorized, unauthorized),
		"credentials wanted for the repository":  onManifests(http.StatusUnauthorized, unauthorized),
		"not allowed":                            onManifests(http.StatusForbidden, `{"errors":[{"code":"DENIED"}]}`),
		"not allowed, in the words of a missing": onManifests(http.StatusForbidden, `{"errors":[{"code":"NAME_UNKNOWN"}]}`),
		"asked too often":                        onManifests(http.StatusTooManyRequests, `{"errors":[{"code":"TOOMANYREQUESTS"}]}`),
		"broken":                                 onManifests(http.StatusInternalServerError, "oops"),
		"away for now":                           always(http.StatusServiceUnavailable, ""),
		"an answer without a digest":             onManifests(http.StatusOK, "{}"),
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			got, err := Digest(t.Context(), serve(t, front)+"/acme/shop", "1.0")
			if err == nil || errors.Is(err, ErrGone) {
				t.Errorf("%q, %v; want an error that is not ErrGone", got, err)
			}
		})
	}
	for what, image := range map[string]string{
		"nobody listens":      "127.0.0.1:1/acme/shop",
		"a local name":        "localhost/acme/shop",
		"no name of an image": "127.0.0.1:1/Not A Name",
	} {
		if got, err := Digest(t.Context(), image, "1.0"); err == nil || errors.Is(err, ErrGone) {
			t.Errorf("%s: %q, %v; want an error that is not ErrGone", what, got, err)
		}
	}
}

// A tag that comes back between the two questions is there.
func TestATagThatComesBack(t *testing.T) {
	var heads atomic.Int64
	image := serve(t, func(registry http.Handler) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead && strings.Contains(r.URL.Path, "/manifests/") && heads.Add(1) > 1 {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			registry.ServeHTTP(w, r)
		}
	}) + "/acme/shop"
	digest := push(t, image+":1.0")
	heads.Store(1)
	if got, err := Digest(t.Context(), image, "1.0"); err != nil || got != digest {
		t.Errorf("%q, %v; want %s", got, err, digest)
	}
}

// A question costs one HEAD of a manifest and no GET, which would count as a pull.
func TestAQuestionIsNoPull(t *testing.T) {
	var heads, gets atomic.Int64
	image := serve(t, func(registry http.Handler) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/manifests/") && r.Method == http.MethodHead {
				heads.Add(1)
			}
			if strings.Contains(r.URL.Path, "/manifests/") && r.Method == http.MethodGet {
				gets.Add(1)
			}
			registry.ServeHTTP(w, r)
		}
	}) + "/acme/shop"
	push(t, image+":1.0")
	heads.Store(0)
	gets.Store(0)
	if _, err := Digest(t.Context(), image, "1.0"); err != nil {
		t.Fatal(err)
	}
	if heads.Load() != 1 || gets.Load() != 0 {
		t.Errorf("%d HEADs and %d GETs of manifests", heads.Load(), gets.Load())
	}
}

// Who has had enough is not asked again at once.
func TestARefusalIsNotRepeated(t *testing.T) {
	var asked atomic.Int64
	image := serve(t, func(registry http.Handler) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/manifests/") {
				asked.Add(1)
				w.WriteHeader(http.StatusTooManyRequests)
				return
			}
			registry.ServeHTTP(w, r)
		}
	}) + "/acme/shop"
	if _, err := Digest(t.Context(), image, "1.0"); err == nil {
		t.Fatal("it was answered")
	}
	if asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}
}

func TestARegistryThatHangsIsGivenUp(t *testing.T) {
	release := make(chan struct{})
	image := serve(t, func(http.Handler) http.HandlerFunc {
		return func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
	}) + "/acme/shop"
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Digest(ctx, image, "1.0"); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrGone) {
		t.Errorf("%v, want that the time was over", err)
	}
}

func TestPlainHTTPIsSpokenOnlyToThisMachine(t *testing.T) {
	var asked []string
	next := roundTripper(func(r *http.Request) (*http.Response, error) {
		asked = append(asked, r.URL.String())
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}, nil
	})
	for url, want := range map[string]bool{
		"https://ghcr.io/v2/":                    true,
		"https://10.0.0.7:5000/v2/":              true,
		"http://127.0.0.1:5000/v2/":              true,
		"http://127.8.9.1/v2/":                   true,
		"http://[::1]:5000/v2/":                  true,
		"http://localhost:5000/v2/":              true,
		"http://10.0.0.7:5000/v2/":               false,
		"http://192.168.1.2/v2/":                 false,
		"http://nas.local/v2/":                   false,
		"http://ghcr.io/v2/":                     false,
		"http://localhost.evil.example/v2/":      false,
		"http://127.0.0.1.evil.example:5000/v2/": false,
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		asked = nil
		resp, err := sealed{next}.RoundTrip(req)
		if err == nil {
			if err := resp.Body.Close(); err != nil {
				t.Error(err)
			}
		}
		if got := err == nil; got != want || len(asked) > 0 != want {
			t.Errorf("%s: %v, asked %v; want it asked: %v", url, err, asked, want)
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
