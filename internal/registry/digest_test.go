package registry

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
)

func TestDigest(t *testing.T) {
	for kind, address := range map[string]func(*testing.T) string{
		"in process": func(t *testing.T) string { return serve(t, nil) },
		"real":       func(t *testing.T) string { return enginetest.Registry(t) },
	} {
		t.Run(kind, func(t *testing.T) {
			image := address(t) + "/acme/shop"
			digest := push(t, image+":1.0")
			for _, tag := range []string{"1.0", digest} {
				if got, err := strangers().Digest(t.Context(), image, tag); err != nil || got != digest {
					t.Errorf("%s is %q, %v; want %s", tag, got, err, digest)
				}
			}
			for what, ref := range map[string][2]string{
				"another tag":        {image, "2.0"},
				"another repository": {strings.TrimSuffix(image, "shop") + "blog", "1.0"},
				"another digest":     {image, "sha256:" + strings.Repeat("0", 64)},
			} {
				if got, err := strangers().Digest(t.Context(), ref[0], ref[1]); !errors.Is(err, ErrGone) {
					t.Errorf("%s: %q, %v; want ErrGone", what, got, err)
				}
			}
		})
	}
}

// Could not ask is not gone.
func TestWhatIsNoAnswerIsNotGone(t *testing.T) {
	unauthorized := `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`
	for what, front := range map[string]fault{
		"a web server that is no registry":       always(http.StatusNotFound, "<html>404 page not found</html>"),
		"a proxy before it that has no page":     on("/manifests/", http.StatusNotFound, "<html>not here</html>"),
		"a 404 with another code":                on("/manifests/", http.StatusNotFound, `{"errors":[{"code":"UNSUPPORTED","message":"no"}]}`),
		"a 404 with an empty body":               on("/manifests/", http.StatusNotFound, ""),
		"credentials wanted":                     always(http.StatusUnauthorized, unauthorized),
		"credentials wanted for the repository":  on("/manifests/", http.StatusUnauthorized, unauthorized),
		"not allowed":                            on("/manifests/", http.StatusForbidden, `{"errors":[{"code":"DENIED"}]}`),
		"not allowed, in the words of a missing": on("/manifests/", http.StatusForbidden, `{"errors":[{"code":"NAME_UNKNOWN"}]}`),
		"asked too often":                        on("/manifests/", http.StatusTooManyRequests, `{"errors":[{"code":"TOOMANYREQUESTS"}]}`),
		"broken":                                 on("/manifests/", http.StatusInternalServerError, "oops"),
		"away for now":                           always(http.StatusServiceUnavailable, ""),
		"an answer without a digest":             on("/manifests/", http.StatusOK, "{}"),
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			got, err := strangers().Digest(t.Context(), serve(t, front)+"/acme/shop", "1.0")
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
		if got, err := strangers().Digest(t.Context(), image, "1.0"); err == nil || errors.Is(err, ErrGone) {
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
	if got, err := strangers().Digest(t.Context(), image, "1.0"); err != nil || got != digest {
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
	if _, err := strangers().Digest(t.Context(), image, "1.0"); err != nil {
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
	if _, err := strangers().Digest(t.Context(), image, "1.0"); err == nil {
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
	if _, err := strangers().Digest(ctx, image, "1.0"); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrGone) {
		t.Errorf("%v, want that the time was over", err)
	}
}
