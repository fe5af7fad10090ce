package api

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/distribution/reference"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// FuzzImageReference: what is let through is a repository without tag or digest to Docker's own grammar too.
func FuzzImageReference(f *testing.F) {
	for _, seed := range []string{
		"shop", "ghcr.io/acme/shop", "127.0.0.1:5000/shop", "localhost/a_b", "shop:1", "shop@sha256:" + strings.Repeat("a", 64), "A", "a//b", "a..b", "-a", "é",
		"registry:99999/a", "[::1]:5000/a", "a/b/c/d", "library/", "/a", "docker.io/library/nginx", strings.Repeat("a", 64), " a",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, image string) {
		if checkRepository(image) != nil {
			return
		}
		named, err := reference.ParseNormalizedNamed(image)
		if err != nil {
			// Docker refuses 64 hex digits, which could be an id, as a name.
			if !strings.Contains(err.Error(), "cannot specify 64-byte hexadecimal strings") {
				t.Fatalf("%q was let through, and Docker says: %v", image, err)
			}
			return
		}
		if !reference.IsNameOnly(named) {
			t.Fatalf("%q was let through and is more than a repository: %s", image, named)
		}
	})
}

// FuzzLabels: no label of ours and none of Swarm's gets into a spec, however it is written.
func FuzzLabels(f *testing.F) {
	for _, seed := range []string{
		"team", "docker-watcher.managed", "Docker-Watcher.instance", "docker-watcher.keep", "com.docker.swarm.task.id", "", " ", "docker-watcher", "\u017f",
	} {
		f.Add(seed, "true")
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		spec, err := specJSON{Labels: map[string]string{name: value}}.read(store.Spec{})
		if err != nil {
			return
		}
		for label := range spec.Labels {
			ours := strings.HasPrefix(strings.ToLower(label), "docker-watcher.") && label != "docker-watcher.keep"
			if ours || label == "" || strings.HasPrefix(label, "com.docker.swarm.task.id") {
				t.Fatalf("the label %q was let through", label)
			}
		}
	})
}

// FuzzSpec: whatever is read as a spec shows no value of env again, and can be read again from what is shown.
func FuzzSpec(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"env":[{"name":"A","value":"secret-canary"}],"ports":[{"container":80}],"mounts":[{"source":"data","target":"/data"}]}`,
		`{"restart":"on-failure:3","command":["a"],"labels":{"a":"b"},"stop_grace":"10s","health":{"kind":"http","port":80,"path":"/"}}`,
		`{"env":[{"name":"A","value":"x","secret":false}],"networks":[{"name":"front","aliases":["web"]}],"resources":{"memory":67108864,"cpus":0.5,"pids":100}}`,
		`{"entrypoint":["/app"],"user":"1:1","workdir":"/x","healthcheck":{"test":["NONE"]},"power":{"privileged":true,"cap_add":["ALL"]},"cap_drop":["NET_RAW"]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var j specJSON
		if json.Unmarshal(text, &j) != nil {
			return
		}
		spec, err := j.read(store.Spec{})
		if err != nil {
			return
		}
		shown := specOf(spec, true)
		for i, e := range shown.Env {
			if e.Value != nil && !spec.Env[i].Plain {
				t.Fatalf("the value of %s is shown", e.Name)
			}
		}
		for _, e := range specOf(spec, false).Env {
			if e.Value != nil {
				t.Fatalf("the value of %s is shown to who may not deploy", e.Name)
			}
		}
		if _, err := shown.read(spec); err != nil {
			t.Fatalf("what is shown of %s cannot be sent again: %v", text, err)
		}
	})
}
