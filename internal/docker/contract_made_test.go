package docker_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
)

// howMade: what was asked for is read from an inspect, and what the image gives by itself is not taken for it.
func howMade(t *testing.T, s *subject) {
	ref, _ := s.ownImage(t, enginetest.WithEnv("OF_IMAGE=1"))
	volume := s.volume(t)
	id := s.create(t, func(o *docker.CreateOptions) {
		o.Image = ref
		o.Env, o.Restart, o.StopGrace = []string{"A=1", "LINES=a\nb=c"}, "on-failure:3", 7*time.Second
		o.Labels["theirs"] = "stays"
		o.Mounts = []docker.Mount{{Type: "volume", Name: volume, Target: "/data", ReadOnly: true}, {Type: "bind", Source: t.TempDir(), Target: "/conf"}}
		o.Ports = []docker.Port{{Container: 80, Host: 0, Protocol: "tcp"}, {Container: 53, HostIP: "127.0.0.1", Protocol: "udp"}}
	})
	c := s.inspect(t, id)
	image, err := s.InspectImage(t.Context(), c.ImageID)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Made(image.Defaults)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{"A=1", "LINES=a\nb=c"} {
		if !slices.Contains(got.Env, v) {
			t.Errorf("%q is not in %q", v, got.Env)
		}
	}
	for _, v := range got.Env {
		if strings.HasPrefix(v, "OF_IMAGE") || strings.HasPrefix(v, "PATH=") && slices.Contains(image.Defaults.Env, v) {
			t.Errorf("%q is the image's own", v)
		}
	}
	if got.Restart != "on-failure:3" || got.StopGrace != 7*time.Second || len(got.Command) != 0 || got.Labels["theirs"] != "stays" || got.Labels["only"] != "" || got.RemovedAtEnd {
		t.Errorf("got %+v", got)
	}
	if i := slices.IndexFunc(got.Mounts, func(m docker.Mount) bool { return m.Target == "/data" }); i < 0 || got.Mounts[i].Name != volume || !got.Mounts[i].ReadOnly || got.Mounts[i].Type != "volume" {
		t.Errorf("mounts %+v", got.Mounts)
	}
	for i := range got.Ports {
		got.Ports[i].Host = 0 // an engine may have chosen already
	}
	want := []docker.Port{{Container: 53, HostIP: "127.0.0.1", Protocol: "udp"}, {Container: 80, HostIP: "0.0.0.0", Protocol: "tcp"}}
	if diff := cmp.Diff(want, got.Ports); diff != "" {
		t.Errorf("ports (-want +got):\n%s", diff)
	}
	if len(got.Networks) != 0 || len(got.Others) != 0 {
		t.Errorf("what nobody asked for is said: %q %q", got.Networks, got.Others)
	}
}
