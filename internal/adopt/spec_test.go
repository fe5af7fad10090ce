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
	check := &docker.Healthcheck{Test: []string{"CMD", "/check"}, Interval: time.Second, Timeout: 2 * time.Second, StartPeriod: 3 * time.Second, Retries: 4}
	spec, left := specOf(docker.Made{Setup: docker.Setup{
		Name: "web",
		Env:  []string{"A=1", "EMPTY=", "LINES=a\nb=c", "A=2", "BARE"}, Entrypoint: []string{"/app"}, Command: []string{"serve"}, Restart: "on-failure:3", StopGrace: 20,
		Labels: map[string]string{
			"traefik.enable": "true", "com.docker.compose.project": "shop", "com.docker.compose.config-hash": "x",
			docker.LabelInstance: "i1", docker.LabelInstallation: "there", docker.LabelKeep: "true", "com.docker.swarm.node.id": "n",
		},
		Ports: []docker.Port{{Container: 80, Host: 8080, HostIP: "0.0.0.0", Protocol: "tcp"}, {Container: 9, HostIP: "0.0.0.0", Protocol: "sctp"}},
		Mounts: []docker.Mount{
			{Type: "volume", Name: "data", Source: "data", Target: "/data"},
			{Type: "volume", Name: anonymous, Source: anonymous, Target: "/cache", Anonymous: true},
			{Type: "bind", Source: "/srv/conf", Target: "/conf", ReadOnly: true},
		},
		Networks: []docker.Attachment{{Network: "back"}, {Network: "shop_default", Aliases: []string{"inner"}}, {Network: "twice", Aliases: []string{"web"}}},
		User:     "app", WorkDir: "/srv", Check: check, Memory: 64 << 20, NanoCPUs: 500_000_000, Pids: 90, Init: true, ReadOnly: true,
		CapAdd: []string{"NET_ADMIN"}, CapDrop: []string{"ALL"}, Privileged: true, HostNetwork: true, HostPID: true, HostIPC: true,
	}, Others: []string{"the host name \"app\""}})
	want := store.Spec{
		Env:        []store.EnvVar{{Name: "EMPTY"}, {Name: "LINES", Value: "a\nb=c"}, {Name: "A", Value: "2"}},
		Entrypoint: []string{"/app"}, Command: []string{"serve"}, Restart: "on-failure:3", StopGrace: 20 * time.Second,
		Labels:   map[string]string{"traefik.enable": "true", docker.LabelKeep: "true"},
		Ports:    []store.Port{{Container: 80, Host: 8080, HostIP: "0.0.0.0", Protocol: "tcp"}},
		Mounts:   []store.Mount{{Source: "data", Target: "/data"}, {Source: anonymous, Target: "/cache"}, {Source: "/srv/conf", Target: "/conf", ReadOnly: true}},
		Networks: []store.Network{{Name: "back", Aliases: []string{"web"}}, {Name: "shop_default", Aliases: []string{"inner", "web"}}, {Name: "twice", Aliases: []string{"web"}}},
		User:     "app", WorkDir: "/srv", Resources: store.Resources{Memory: 64 << 20, NanoCPUs: 500_000_000, Pids: 90}, Init: true, ReadOnly: true, CapDrop: []string{"ALL"},
		Healthcheck: store.Healthcheck{Test: []string{"CMD", "/check"}, Interval: time.Second, Timeout: 2 * time.Second, StartPeriod: 3 * time.Second, Retries: 4},
		Power:       store.Power{Privileged: true, HostNetwork: true, HostPID: true, HostIPC: true, CapAdd: []string{"NET_ADMIN"}},
	}
	if diff := cmp.Diff(want, spec); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	said := strings.Join(left, "\n")
	for _, word := range []string{"BARE", "9/sctp", "the host name"} {
		if !strings.Contains(said, word) {
			t.Errorf("nothing is said of %s:\n%s", word, said)
		}
	}
	if len(left) != 3 {
		t.Errorf("said:\n%s", said)
	}
	if plain, left := specOf(docker.Made{Setup: docker.Setup{Name: "web", StopGrace: -1}}); cmp.Diff(store.Spec{}, plain) != "" || left != nil {
		t.Errorf("of nothing: %+v, %q", plain, left)
	}
}
