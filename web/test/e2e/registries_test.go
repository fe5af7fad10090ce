package e2e

import (
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	inprocess "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// TestRegistriesInABrowser runs registries.test.mjs: the daemon without an engine, and a registry that tells its limit, marks
// its answers, and can be told to break and to have another tag.
func TestRegistriesInABrowser(t *testing.T) {
	dir := t.TempDir()
	registry := moody(t)
	url, link := serve(t, filepath.Join(dir, "data"), nobody(dir))
	tell(t, "registries.test.mjs", "BASE_URL="+url, "SETUP_LINK="+link, "REGISTRY="+registry)
}

// moody is a registry with some tags of acme/shop. POST /break and POST /mend have it fail and answer, POST /push/TAG gives it a tag.
func moody(t *testing.T) string {
	t.Helper()
	inner := inprocess.New(inprocess.Logger(log.New(io.Discard, "", 0)))
	var broken atomic.Bool
	var address string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tag, push := strings.CutPrefix(r.URL.Path, "/push/")
		switch {
		case r.URL.Path == "/break", r.URL.Path == "/mend":
			broken.Store(r.URL.Path == "/break")
		case push:
			if err := pushRandom(address + "/acme/shop:" + tag); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
		case broken.Load():
			http.Error(w, "oops", http.StatusInternalServerError)
		default:
			w.Header().Set("Ratelimit-Limit", "100;w=21600")
			w.Header().Set("Ratelimit-Remaining", "76;w=21600")
			w.Header().Set("Docker-Ratelimit-Source", "203.0.113.7")
			inner.ServeHTTP(marking{w, r}, r)
		}
	}))
	t.Cleanup(server.Close)
	address = strings.TrimPrefix(server.URL, "http://")
	for _, tag := range []string{"1.0.0", "1.1.0", "2.0.0-rc.1", "latest", "main-9", "main-10", "1.1.0-debug"} {
		if err := pushRandom(address + "/acme/shop:" + tag); err != nil {
			t.Fatal(err)
		}
	}
	return address
}

func pushRandom(ref string) error {
	to, nameErr := name.ParseReference(ref)
	img, err := random.Image(64, 1)
	if err := errors.Join(nameErr, err); err != nil {
		return err
	}
	return remote.Write(to, img)
}

// marking answers a HEAD with 304 where whoever asks knows the digest already.
type marking struct {
	http.ResponseWriter
	request *http.Request
}

// WriteHeader is where the answer is known.
func (m marking) WriteHeader(status int) {
	digest := m.Header().Get("Docker-Content-Digest")
	if m.request.Method == http.MethodHead && digest != "" && m.request.Header.Get("If-None-Match") == `"`+digest+`"` {
		status = http.StatusNotModified
	}
	m.ResponseWriter.WriteHeader(status)
}
