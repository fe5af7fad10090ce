package reclaim

import (
	"strings"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

func TestBytesOf(t *testing.T) {
	for _, c := range []struct {
		name               string
		size, shared, want int64
	}{
		{"shares nothing", 10, 0, 10},
		{"shares some", 10, 4, 6},
		{"what it shares is not known", 10, -1, -1},
		{"shares more than it has", 10, 12, 0},
	} {
		if got := bytesOf(docker.ImageRow{Size: c.size, SharedSize: c.shared}); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestCanonical(t *testing.T) {
	for ref, want := range map[string]string{
		"nginx":                               "docker.io/library/nginx:latest",
		"nginx:1.27":                          "docker.io/library/nginx:1.27",
		"acme/shop:1":                         "docker.io/acme/shop:1",
		"docker.io/library/nginx:1.27":        "docker.io/library/nginx:1.27",
		"localhost/shop:1":                    "localhost/shop:1",
		"localhost:5000/shop":                 "localhost:5000/shop:latest",
		"registry.example/a/b/c:x":            "registry.example/a/b/c:x",
		"nginx@sha256:abc":                    "docker.io/library/nginx@sha256:abc",
		"registry.example:5000/shop@sha256:a": "registry.example:5000/shop@sha256:a",
	} {
		if got := canonical(ref); got != want {
			t.Errorf("%s: %s, want %s", ref, got, want)
		}
	}
}

func TestForeignNames(t *testing.T) {
	pulled := &store.PulledImage{Ref: "registry.example/shop:1.0"}
	remnant := &store.Remnant{Refs: []string{"registry.example/shop:stable", store.ArchiveRepository + ":ours"}}
	for _, c := range []struct {
		name           string
		names, digests []string
		foreign        int
	}{
		{"none", nil, nil, 0},
		{"all ours", []string{"registry.example/shop:1.0", "registry.example/shop:stable", store.ArchiveRepository + ":ours"}, nil, 0},
		{"the digest of our repository", nil, []string{"registry.example/shop@sha256:a"}, 0},
		{"podman's digest of a name of ours", nil, []string{store.ArchiveRepository + "@sha256:a"}, 0},
		{"another tag of our repository", []string{"registry.example/shop:1.1"}, nil, 1},
		{"the same path in another registry", []string{"registry.other/shop:1.0"}, nil, 1},
		{"a name that only begins like ours", []string{"registry.example/shop:1.0-alpine"}, nil, 1},
		{"pulled by its digest from elsewhere", nil, []string{"mirror.example/shop@sha256:a"}, 1},
		{"an archive that we do not know", []string{store.ArchiveRepository + ":theirs"}, nil, 1},
	} {
		got := foreignNames(facts{names: c.names, digests: c.digests, pulled: pulled, remnant: remnant})
		if len(got) != c.foreign {
			t.Errorf("%s: %v, want %d", c.name, got, c.foreign)
		}
	}
}

func TestNameOf(t *testing.T) {
	id, use := "sha256:"+strings.Repeat("a", 64), store.Remnant{Instance: "shop-dev-1", Refs: []string{store.ArchiveRepository + ":x", shop}}
	for _, c := range []struct {
		refs []string
		use  store.Remnant
		want string
	}{
		{[]string{store.ArchiveRepository + ":x", shop}, use, shop},
		{[]string{store.ArchiveRepository + ":x-layer"}, use, "aaaaaaaaaaaa (kept layer of shop-dev-1)"},
		{[]string{store.ArchiveRepository + ":x"}, use, "aaaaaaaaaaaa (was used as " + shop + ")"},
		{nil, use, "aaaaaaaaaaaa (was used as " + shop + ")"},
		{nil, store.Remnant{}, "aaaaaaaaaaaa"},
	} {
		if got := nameOf(store.ReclaimItem{ImageID: id, Refs: c.refs, LastUse: c.use}); got != c.want {
			t.Errorf("%v: %s, want %s", c.refs, got, c.want)
		}
	}
}
