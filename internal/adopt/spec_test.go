package adopt

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

func TestSpecOf(t *testing.T) {
	anonymous := strings.Repeat("ab", 32)
	spec, left := specOf(docker.Made{
		Env: []string{"A=1", "EMPTY=", "LINES=a\nb=c", "A=2", "BARE"}, Command: []string{"serve"}, Restart: "on-failure:3", StopGrace: 20 * time.Second,
		Labels: map[string]string{
			"traefik.enable": "true", "com.docker.compose.project": "shop", "com.docker.compose.config-hash": "x",
			docker.LabelInstance: "i1", docker.LabelInstallation: "there", docker.LabelKeep: "true", "com.docker.swarm.node.id": "n",
		},
		Ports: []docker.Port{{Container: 80, Host: 8080, HostIP: "0.0.0.0", Protocol: "tcp"}, {Container: 9, HostIP: "0.0.0.0", Protocol: "sctp"}},
		Mounts: []docker.Mount{
			{Type: "volume", Name: "data", Source: "/var/lib/docker/volumes/data/_data", Target: "/data"},
			{Type: "volume", Name: anonymous, Target: "/cache", Anonymous: true},
			{Type: "bind", Source: "/srv/conf/", Target: "/conf", ReadOnly: true},
			{Type: "tmpfs", Target: "/run"},
			{Type: "npipe", Target: "/pipe"},
		},
		Networks: []string{"shop_default"}, Others: []string{"the user \"app\""},
	})
	want := store.Spec{
		Env:     []store.EnvVar{{Name: "EMPTY"}, {Name: "LINES", Value: "a\nb=c"}, {Name: "A", Value: "2"}},
		Command: []string{"serve"}, Restart: "on-failure:3", StopGrace: 20 * time.Second,
		Labels: map[string]string{"traefik.enable": "true", docker.LabelKeep: "true"},
		Ports:  []store.Port{{Container: 80, Host: 8080, HostIP: "0.0.0.0", Protocol: "tcp"}},
		Mounts: []store.Mount{{Source: "data", Target: "/data"}, {Source: anonymous, Target: "/cache"}, {Source: "/srv/conf", Target: "/conf", ReadOnly: true}},
	}
	if diff := cmp.Diff(want, spec); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	said := strings.Join(left, "\n")
	for _, word := range []string{"BARE", "9/sctp", "/pipe", "shop_default", "the user"} {
		if !strings.Contains(said, word) {
			t.Errorf("nothing is said of %s:\n%s", word, said)
		}
	}
	if strings.Contains(said, "8080") || strings.Contains(said, "swordfish") || len(left) != 5 {
		t.Errorf("said:\n%s", said)
	}
}

func TestDiffering(t *testing.T) {
	a := store.Spec{Env: []store.EnvVar{{Name: "A", Value: "1"}}, Restart: "no"}
	b := store.Spec{Env: []store.EnvVar{{Name: "A", Value: "2"}}, Ports: []store.Port{{Container: 80}}}
	if diff := cmp.Diff([]string{"environment", "ports"}, differing(a, b)); diff != "" {
		t.Error(diff)
	}
	if got := differing(a, store.Spec{Env: a.Env}); got != nil {
		t.Errorf("no policy and the policy no differ: %v", got)
	}
}
