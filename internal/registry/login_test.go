package registry

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
)

const (
	user   = "anna"
	canary = "canary/in+the%cage"
)

// TestPrivateRegistry asks a real registry that wants a login.
func TestPrivateRegistry(t *testing.T) {
	host := enginetest.PrivateRegistry(t, enginetest.Login{Username: user, Password: canary})
	image := host + "/acme/shop"
	digest := push(t, image+":1.0", as(user, canary))
	access := Access{Host: host, Username: user, Password: canary, PlainHTTP: true}

	all := knowing(access)
	if tags, err := all.Tags(t.Context(), image); err != nil || !slices.Equal(tags, []string{"1.0"}) {
		t.Errorf("tags: %v, %v", tags, err)
	}
	if got, err := all.Digest(t.Context(), image, "1.0"); err != nil || got != digest {
		t.Errorf("digest: %s, %v", got, err)
	}
	if _, err := all.Digest(t.Context(), image, "2.0"); !errors.Is(err, ErrGone) {
		t.Errorf("another tag: %v", err)
	}
	check := func(access Access, repository string) (Sight, error) {
		c, err := knowing(access).At(t.Context(), host)
		if err != nil {
			t.Fatal(err)
		}
		return c.Check(t.Context(), repository)
	}
	if s, err := check(access, ""); err != nil || s.Repositories != 1 || s.More || s.Took <= 0 {
		t.Errorf("check: %+v, %v", s, err)
	}
	if s, err := check(access, "acme/shop"); err != nil || s.Tags != 1 || s.Repositories != -1 {
		t.Errorf("check of a repository: %+v, %v", s, err)
	}
	_, err := check(access, "acme/blog")
	wantClass(t, err, ClassNotFound)

	// Without credentials, or with wrong ones, it is there but says nothing.
	stranger := Access{Host: host, PlainHTTP: true}
	if s, err := check(stranger, ""); err != nil || s.Repositories != -1 {
		t.Errorf("a stranger: %+v, %v", s, err)
	}
	_, err = check(stranger, "acme/shop")
	if e := refusalIn(t, err, ClassUnauthorized); !strings.Contains(e.Remedy(), "wants a login") {
		t.Errorf("remedy: %s", e.Remedy())
	}
	wrong := access
	wrong.Password = "wrong"
	_, err = check(wrong, "")
	if e := refusalIn(t, err, ClassUnauthorized); !strings.Contains(e.Remedy(), "once more") {
		t.Errorf("remedy: %s", e.Remedy())
	}
	if _, err := knowing(wrong).Digest(t.Context(), image, "1.0"); errors.Is(err, ErrGone) {
		t.Error("a login that is refused was taken for a tag that is gone")
	}

	// What the library says of a list that was emptied: null.
	ref := mustRef(t, image+"@"+digest)
	if err := remote.Delete(ref, as(user, canary), remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	if tags, err := all.Tags(t.Context(), image); err != nil || tags == nil || len(tags) != 0 {
		t.Errorf("after the last tag has gone: %v, %v", tags, err)
	}
}

// TestACredentialChangesAtOnce sees that what find says counts for the next question.
func TestACredentialChangesAtOnce(t *testing.T) {
	host := enginetest.PrivateRegistry(t, enginetest.Login{Username: user, Password: canary})
	push(t, host+"/shop:1.0", as(user, canary))
	access := Access{Known: true, PlainHTTP: true}
	all := New(func(context.Context, string) (Access, error) { return access, nil })
	_, err := all.Tags(t.Context(), host+"/shop")
	wantClass(t, err, ClassUnauthorized)
	access.Username, access.Password = user, canary
	if _, err := all.Tags(t.Context(), host+"/shop"); err != nil {
		t.Error(err)
	}
	first, err := all.At(t.Context(), host)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := all.At(t.Context(), host); err != nil || again != first {
		t.Errorf("another client of the same registry: %v", err)
	}
	access.Password = "wrong"
	_, err = all.Tags(t.Context(), host+"/shop")
	wantClass(t, err, ClassUnauthorized)

	failing := New(func(context.Context, string) (Access, error) { return Access{}, errors.New("the store is away") })
	if _, err := failing.Tags(t.Context(), host+"/shop"); err == nil || !strings.Contains(err.Error(), "the store is away") {
		t.Errorf("it was asked without credentials instead: %v", err)
	}
}

// A registry that refuses every login is asked a few times, not for ever.
func TestALoginThatIsRefusedForEver(t *testing.T) {
	var tokens, asked atomic.Int64
	host := serve(t, func(http.Handler) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/token" {
				tokens.Add(1)
				respond(w, http.StatusOK, `{"token":"worthless"}`)
				return
			}
			asked.Add(1)
			respond(w, http.StatusUnauthorized, `{"errors":[{"code":"UNAUTHORIZED"}]}`, "Www-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="x",scope="repository:acme/shop:pull"`, r.Host))
		}
	})
	_, err := knowing(Access{Host: host, Username: user, Password: canary, PlainHTTP: true}).Tags(t.Context(), host+"/acme/shop")
	wantClass(t, err, ClassUnauthorized)
	if tokens.Load() > 2 || asked.Load() > 3 {
		t.Errorf("%d tokens, %d questions", tokens.Load(), asked.Load())
	}
}

// No error holds the password, whatever a registry and a token server throw back.
func TestErrorsHoldNoPassword(t *testing.T) {
	secret := base64.StdEncoding.EncodeToString([]byte(user + ":" + canary))
	echo := func(registry http.Handler) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") == "" {
				respond(w, http.StatusUnauthorized, "", "Www-Authenticate", `Basic realm="x"`)
				return
			}
			respond(w, http.StatusBadRequest, fmt.Sprintf(`{"errors":[{"code":"BAD","message":"%s is %s, %s"}]}`, r.Header.Get("Authorization"), canary, "canary%2Fin%2Bthe%25cage"))
		}
	}
	token := func(body string) fault {
		return func(http.Handler) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/token" {
					respond(w, http.StatusOK, body)
					return
				}
				respond(w, http.StatusUnauthorized, "", "Www-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="x"`, r.Host))
			}
		}
	}
	leak := func(registry http.Handler) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://registry.invalid/?signature="+strings.ReplaceAll(secret, "=", ""), http.StatusTemporaryRedirect)
		}
	}
	for what, front := range map[string]fault{
		"thrown back": echo, "a token server that gives the refresh token alone": token(`{"refresh_token":"` + secret + `"}`), "a redirect that is signed": leak,
	} {
		host := serve(t, front)
		c, err := knowing(Access{Host: host, Username: user, Password: canary, PlainHTTP: true}).At(t.Context(), host)
		if err != nil {
			t.Fatal(err)
		}
		_, tags := c.Tags(t.Context(), host+"/acme/shop")
		_, digest := c.Digest(t.Context(), host+"/acme/shop", "1.0")
		_, check := c.Check(t.Context(), "")
		for _, err := range []error{tags, digest, check} {
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("%s: %v", what, err)
			}
			for _, form := range []string{canary, secret, strings.TrimRight(secret, "="), "canary%2F"} {
				if text := fmt.Sprintf("%v %+v %s %s", err, err, e.Detail, e.Remedy()); strings.Contains(text, form) {
					t.Errorf("%s: the error holds it: %s", what, text)
				}
			}
		}
	}
}

func TestCheckOfWhatShowsNoCatalogue(t *testing.T) {
	for what, front := range map[string]fault{
		"not allowed": on("/_catalog", http.StatusUnauthorized, `{"errors":[{"code":"UNAUTHORIZED"}]}`),
		"no such":     on("/_catalog", http.StatusNotFound, `{"errors":[{"code":"NOT_FOUND"}]}`),
		"no page":     on("/_catalog", http.StatusNotFound, "<html>"),
		"cannot":      on("/_catalog", http.StatusMethodNotAllowed, ""),
	} {
		host := serve(t, front)
		c, err := strangers().At(t.Context(), host)
		if err != nil {
			t.Fatal(err)
		}
		if s, err := c.Check(t.Context(), ""); err != nil || s.Repositories != -1 {
			t.Errorf("%s: %+v, %v", what, s, err)
		}
	}
	for what, c := range map[string]struct {
		front fault
		want  Class
	}{
		"a web page":                   {always(http.StatusOK, "<html>hello</html>", "Content-Type", "text/html; charset=utf-8"), ClassNotRegistry},
		"a web page that is not there": {always(http.StatusNotFound, "<html>404</html>", "Content-Type", "text/html"), ClassNotRegistry},
		"asked too often":              {on("/_catalog", http.StatusTooManyRequests, "", "Retry-After", "9"), ClassRateLimited},
		"away":                         {always(http.StatusServiceUnavailable, ""), ClassBroken},
	} {
		host := serve(t, c.front)
		at, err := strangers().At(t.Context(), host)
		if err != nil {
			t.Fatal(err)
		}
		_, err = at.Check(t.Context(), "")
		t.Log(what)
		wantClass(t, err, c.want)
	}
}

// Docker Hub shows no catalogue: a HEAD of the repository that it has for that tells what it may be asked.
func TestCheckOfDockerHub(t *testing.T) {
	c, err := newClient(Access{Host: DockerHub})
	if err != nil {
		t.Fatal(err)
	}
	var asked []string
	c.conduit.next = roundTripper(func(r *http.Request) (*http.Response, error) {
		asked = append(asked, r.Method+" "+r.URL.String())
		resp := &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r, Header: http.Header{}}
		if r.Method == http.MethodHead {
			resp.Header.Set("Content-Type", "application/vnd.docker.distribution.manifest.v2+json")
			resp.Header.Set("Docker-Content-Digest", "sha256:"+strings.Repeat("0", 64))
			resp.Header.Set("Ratelimit-Limit", "100;w=21600")
			resp.Header.Set("Ratelimit-Remaining", "99;w=21600")
		}
		return resp, nil
	})
	s, err := c.Check(t.Context(), "")
	if err != nil || s.Repositories != -1 {
		t.Errorf("%+v, %v", s, err)
	}
	if want := "HEAD https://index.docker.io/v2/ratelimitpreview/test/manifests/latest"; asked[len(asked)-1] != want {
		t.Errorf("asked %v", asked)
	}
	if a := c.Allowance(); a.Limit != 100 || a.Remaining != 99 {
		t.Errorf("allowance %+v", a)
	}
	asked = nil
	if _, err := c.Tags(t.Context(), "shop"); err == nil || !strings.HasSuffix(strings.Join(asked, " "), "GET https://index.docker.io/v2/library/shop/tags/list?n=1000") {
		t.Errorf("%v, asked %v", err, asked)
	}
}

func TestImage(t *testing.T) {
	host := serve(t, nil)
	created := time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)
	layers := map[string]Layer{}
	build := func(p v1.Platform) v1.Image {
		img, err := random.Image(64, 1)
		if err != nil {
			t.Fatal(err)
		}
		file, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		file = file.DeepCopy()
		file.OS, file.Architecture, file.Variant, file.Created = p.OS, p.Architecture, p.Variant, v1.Time{Time: created}
		if img, err = mutate.ConfigFile(img, file); err != nil {
			t.Fatal(err)
		}
		m, err := img.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		layers[p.Architecture] = Layer{Content: file.RootFS.DiffIDs[0].String(), Packed: m.Layers[0].Size}
		return img
	}
	amd, arm := v1.Platform{OS: "linux", Architecture: "amd64"}, v1.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}
	one := build(amd)
	single := pushImage(t, host+"/shop:single", one)
	nothing := v1.Platform{OS: "unknown", Architecture: "unknown"}
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: build(arm), Descriptor: v1.Descriptor{Platform: &arm}},
		mutate.IndexAddendum{Add: one, Descriptor: v1.Descriptor{Platform: &amd}},
		mutate.IndexAddendum{Add: build(nothing), Descriptor: v1.Descriptor{Platform: &nothing}})
	if err := remote.WriteIndex(mustRef(t, host+"/shop:multi"), index, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	many, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		tag     string
		want    Platform
		digest  string
		runs    bool
		created time.Time
		built   string
	}{
		{"single", Platform{OS: "linux", Arch: "amd64"}, single, true, created, "[linux/amd64]"},
		{"single", Platform{OS: "linux", Arch: "arm64"}, single, false, created, "[linux/amd64]"},
		{single, Platform{OS: "linux", Arch: "amd64"}, single, true, created, "[linux/amd64]"},
		{"multi", Platform{OS: "linux", Arch: "amd64"}, many.String(), true, created, "[linux/arm64/v8 linux/amd64]"},
		{"multi", Platform{OS: "linux", Arch: "arm64"}, many.String(), true, created, "[linux/arm64/v8 linux/amd64]"},
		{"multi", Platform{OS: "linux", Arch: "arm64", Variant: "v7"}, many.String(), false, created, "[linux/arm64/v8 linux/amd64]"},
		{"multi", Platform{OS: "linux", Arch: "s390x"}, many.String(), false, created, "[linux/arm64/v8 linux/amd64]"},
		{"multi", Platform{OS: "windows", Arch: "amd64"}, many.String(), false, created, "[linux/arm64/v8 linux/amd64]"},
	} {
		got, err := strangers().Image(t.Context(), host+"/shop", c.tag, c.want)
		if err != nil {
			t.Errorf("%s: %v", c.tag, err)
			continue
		}
		if len(got.Layers) > 0 != c.runs || c.runs && got.Layers[0] != layers[c.want.Arch] {
			t.Errorf("%s for %s: layers %+v", c.tag, c.want, got.Layers)
		}
		if got.Digest != c.digest || got.Runs != c.runs || !got.Created.Equal(c.created) || fmt.Sprint(got.Platforms) != c.built {
			t.Errorf("%s for %s: %+v", c.tag, c.want, got)
		}
	}
	if _, err := strangers().Image(t.Context(), host+"/shop", "none", Platform{}); !errors.Is(err, ErrGone) {
		t.Errorf("no such tag: %v", err)
	}
	page := serve(t, on("/manifests/", http.StatusOK, "<html>", "Content-Type", "text/html"))
	_, err = strangers().Image(t.Context(), page+"/shop", "1.0", Platform{})
	wantClass(t, err, ClassNotRegistry)
}

// Layers that do not fit together say nothing of what an engine has.
func TestLayersThatAreNotTold(t *testing.T) {
	file := &v1.ConfigFile{RootFS: v1.RootFS{DiffIDs: []v1.Hash{{Algorithm: "sha256", Hex: "a"}}}}
	for name, m := range map[string]v1.Manifest{
		"one more":        {Layers: []v1.Descriptor{{Size: 1}, {Size: 2}}},
		"none":            {},
		"a negative size": {Layers: []v1.Descriptor{{Size: -1}}},
	} {
		if got := layersOf(m, file); got != nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := layersOf(v1.Manifest{Layers: []v1.Descriptor{{Size: 7}}}, file); len(got) != 1 || got[0] != (Layer{"sha256:a", 7}) {
		t.Errorf("%+v", got)
	}
}

// A HEAD without a digest is made up for by a GET, whose body must be a manifest.
func TestAHeadWithoutADigest(t *testing.T) {
	var silent atomic.Bool
	quiet := func(registry http.Handler) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if silent.Load() && r.Method == http.MethodHead && strings.Contains(r.URL.Path, "/manifests/") {
				w.Header().Set("Content-Type", "application/vnd.docker.distribution.manifest.v2+json")
				w.Header().Set("Content-Length", "2")
				return
			}
			registry.ServeHTTP(w, r)
		}
	}
	image := serve(t, quiet) + "/acme/shop"
	digest := push(t, image+":1.0")
	silent.Store(true)
	if got, err := strangers().Digest(t.Context(), image, "1.0"); err != nil || got != digest {
		t.Errorf("%q, %v; want %s", got, err, digest)
	}
	if got, err := strangers().Digest(t.Context(), image, "2.0"); !errors.Is(err, ErrGone) {
		t.Errorf("%q, %v; want ErrGone", got, err)
	}
	got, err := strangers().Digest(t.Context(), serve(t, on("/manifests/", http.StatusOK, "<html>hello</html>", "Content-Type", "text/html"))+"/acme/shop", "1.0")
	if wantClass(t, err, ClassNotRegistry); got != "" {
		t.Errorf("the digest of a web page: %s", got)
	}
}
