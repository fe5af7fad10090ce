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
	if got.Restart != "on-failure:3" || got.StopGrace != 7 || len(got.Command) != 0 || got.Labels["theirs"] != "stays" || got.Labels["only"] != "" || got.RemovedAtEnd {
		t.Errorf("got %+v", got)
	}
	if i := slices.IndexFunc(got.Mounts, func(m docker.Mount) bool { return m.Target == "/data" }); i < 0 || got.Mounts[i].Name != volume || len(got.Mounts) != 2 || !got.Mounts[i].ReadOnly || got.Mounts[i].Type != "volume" {
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
	if got.Check != nil || got.Pids != 0 || got.Memory != 0 || got.NanoCPUs != 0 || got.User+got.WorkDir != "" || got.Init || got.ReadOnly || len(got.CapAdd)+len(got.CapDrop)+len(got.Entrypoint) > 0 {
		t.Errorf("what nobody asked for is read: %+v", got)
	}
}

// howAllWasMade: whatever can be asked for is read again, and nothing of it is said to be lost.
func howAllWasMade(t *testing.T, s *subject) {
	ref, _ := s.ownImage(t, enginetest.WithHealthcheck(time.Second))
	network, _ := enginetest.Network(t, s.Engine)
	name := enginetest.Name(t)
	check := &docker.Healthcheck{Test: []string{"CMD", "/app", "check"}, Interval: 20 * time.Second, Timeout: 3 * time.Second, StartPeriod: 5 * time.Second, Retries: 4}
	id := s.create(t, func(o *docker.CreateOptions) {
		o.Name, o.Image, o.Entrypoint, o.Command, o.User, o.WorkDir = name, ref, []string{"/app", "serve"}, []string{"x"}, "1:1", "/tmp"
		o.Networks = []docker.Attachment{{Network: network, Aliases: []string{"inner", "web"}}}
		o.Check, o.Memory, o.NanoCPUs, o.Pids = check, 64<<20, 500_000_000, 50
		o.ReadOnly, o.CapAdd, o.CapDrop = true, []string{"NET_ADMIN"}, []string{"NET_RAW"}
	})
	got := s.made(t, id)
	want := docker.Made{Setup: docker.Setup{
		Name: name, Entrypoint: []string{"/app", "serve"}, Command: []string{"x"}, User: "1:1", WorkDir: "/tmp", Restart: "no",
		Networks: []docker.Attachment{{Network: network, Aliases: []string{"inner", "web"}}}, Check: check, Memory: 64 << 20, NanoCPUs: 500_000_000, Pids: 50,
		ReadOnly: true, CapAdd: []string{"NET_ADMIN"}, CapDrop: []string{"NET_RAW"},
	}}
	if s.tellsImageCheck {
		want.Check = &docker.Healthcheck{Interval: 20 * time.Second, Timeout: 3 * time.Second, StartPeriod: 5 * time.Second, Retries: 4}
	}
	if len(got.Mounts) == 1 && got.Mounts[0].Anonymous { // the image's
		got.Mounts = nil
	}
	got.Image, got.Env, got.Labels, got.StopGrace = "", nil, nil, 0
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for power, ask := range map[string]func(*docker.CreateOptions){
		"privileged": func(o *docker.CreateOptions) { o.Privileged = true },
		"the host's": func(o *docker.CreateOptions) {
			o.HostNetwork, o.HostPID, o.HostIPC = true, true, true
		},
	} {
		got := s.made(t, s.create(t, ask))
		if got.Privileged != (power == "privileged") || got.HostNetwork == got.Privileged || got.HostPID == got.Privileged || got.HostIPC != (got.HostPID && s.sharesIPC) ||
			len(got.Others)+len(got.CapAdd)+len(got.Networks) > 0 { // podman says what the kernel itself keeps from a privileged one
			t.Errorf("%s: %+v", power, got)
		}
	}
}

// made reads how a container was made, beside its image.
func (s *subject) made(t *testing.T, id string) docker.Made {
	t.Helper()
	c := s.inspect(t, id)
	image, err := s.InspectImage(t.Context(), c.ImageID)
	if err != nil {
		t.Fatal(err)
	}
	made, err := c.Made(image.Defaults)
	if err != nil {
		t.Fatal(err)
	}
	return made
}
