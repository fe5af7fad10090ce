package registry

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
)

// FuzzHost sees that a host that was taken is one that images can have, and that images are read as the library does.
func FuzzHost(f *testing.F) {
	for _, text := range []string{
		"ghcr.io", "GHCR.io:443", "docker.io", "index.docker.io", "localhost:5000", "10.0.0.7:5000", "a..b", "-a.b", "a_b.c", "[::1]:5000",
		"registry", "acme/shop", "localhost/shop", "ghcr.io/acme/shop", "a.b:99999/x", "xn--bcher-kva.example/shop",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if host, err := ParseHost(text); err == nil {
			if again, err := ParseHost(host); err != nil || again != host {
				t.Errorf("%q became %q, and that %q, %v", text, host, again, err)
			}
			if got := HostOf(host + "/acme/shop"); got != host {
				t.Errorf("an image at %q is at %q", host, got)
			}
			if _, err := newClient(Access{Host: host}); err != nil {
				t.Errorf("%q cannot be asked: %v", host, err)
			}
		}
		repo, err := name.NewRepository(text)
		if err != nil || strings.HasPrefix(text, localHost+"/") {
			return
		}
		if got, want := HostOf(text), canonical(repo.RegistryStr()); got != want {
			t.Errorf("%q is at %q; the library says %q", text, got, want)
		}
	})
}

// FuzzAllowance sees that no header of a registry makes an allowance that cannot be.
func FuzzAllowance(f *testing.F) {
	f.Add("100;w=21600", "76;w=21600", "120", 429)
	f.Add("100", "-1", "Sun, 29 Nov 2026 12:10:00 GMT", 503)
	f.Add("1;w=99999999999999999999", "x", "9223372036854775807", 429)
	f.Fuzz(func(t *testing.T, limit, remaining, retry string, status int) {
		a := Allowance{}.after(status, http.Header{"Ratelimit-Limit": {limit}, "Ratelimit-Remaining": {remaining}, "Retry-After": {retry}}, noon)
		wait := a.RetryAt.Sub(noon)
		if a.Limit < 0 || a.Remaining < 0 || a.Window < 0 || !a.RetryAt.IsZero() && (wait <= 0 || wait > longestRetry+time.Second) {
			t.Errorf("%+v", a)
		}
	})
}
