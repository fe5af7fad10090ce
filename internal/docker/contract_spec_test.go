package docker_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
)

// madeAsAsked: everything that a spec can hold reaches the engine, and comes back when it is made again.
func madeAsAsked(t *testing.T, s *subject) {
	ctx := t.Context()
	front, _ := enginetest.Network(t, s.Engine)
	back, _ := enginetest.Network(t, s.Engine)
	check := &docker.Healthcheck{Test: []string{"CMD", "/app", "check"}, Interval: 20 * time.Second, Timeout: 3 * time.Second, StartPeriod: 5 * time.Second, Retries: 4}
	name := enginetest.Name(t)
	id := s.create(t, func(o *docker.CreateOptions) {
		o.Name, o.Env, o.Entrypoint, o.User, o.WorkDir = name, []string{"LINES=one\ntwo"}, []string{"/app"}, "0:0", "/"
		o.Networks = []docker.Attachment{{Network: front, Aliases: []string{"web"}}, {Network: back, Aliases: []string{"inner", "other"}}}
		o.Check, o.Memory, o.NanoCPUs, o.Pids = check, 64<<20, 500_000_000, 50
		o.ReadOnly, o.CapDrop = true, []string{"NET_RAW"}
	})
	want := docker.Setup{
		Entrypoint: []string{"/app"}, User: "0:0", WorkDir: "/", Check: check, Memory: 64 << 20, NanoCPUs: 500_000_000, Pids: 50,
		ReadOnly: true, CapDrop: []string{"NET_RAW"}, Restart: "no",
		Networks: []docker.Attachment{{Network: back, Aliases: []string{"inner", "other"}}, {Network: front, Aliases: []string{"web"}}},
	}
	s.wantSetup(t, id, want)
	if got, err := docker.ReadSetup(s.inspect(t, id).Raw); err != nil || !slices.Contains(got.Env, "LINES=one\ntwo") {
		t.Errorf("environment %q, %v", got.Env, err)
	}
	if err := s.Start(ctx, own(id)); err != nil {
		t.Fatal(err)
	}
	if err := s.Join(ctx, own(id), []docker.Attachment{{Network: front}, {Network: back}}); err != nil {
		t.Errorf("join again: %v", err)
	}
	if err := s.Stop(ctx, own(id), time.Second); err != nil {
		t.Fatal(err)
	}
	old := s.inspect(t, id)
	if err := s.Remove(ctx, own(id)); err != nil {
		t.Fatal(err)
	}
	again, err := s.Recreate(ctx, docker.RecreateOptions{Inspect: old.Raw, Name: name, Image: old.ImageID, Labels: old.Labels})
	if err != nil {
		t.Fatal(err)
	}
	enginetest.RemoveAfter(t, s.side, again)
	s.wantSetup(t, again, want)
}

func (s *subject) wantSetup(t *testing.T, id string, want docker.Setup) {
	t.Helper()
	got, err := docker.ReadSetup(s.inspect(t, id).Raw)
	if err != nil {
		t.Fatal(err)
	}
	got.Name, got.Image, got.Env, got.Command, got.Labels = "", "", nil, nil, nil // of the image too
	if len(got.Mounts) == 1 && got.Mounts[0].Anonymous {                          // the image's
		got.Mounts = nil
	}
	slices.SortFunc(want.Networks, func(a, b docker.Attachment) int { return strings.Compare(a.Network, b.Network) })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("made with (-want +got):\n%s", diff)
	}
}

// powerful: what gives power over the host reaches the engine as well, and nothing of it comes unasked.
func powerful(t *testing.T, s *subject) {
	plain, err := docker.ReadSetup(s.inspect(t, s.create(t)).Raw)
	if err != nil || plain.Privileged || plain.HostNetwork || plain.HostPID || plain.HostIPC || len(plain.CapAdd) > 0 {
		t.Errorf("a plain one has %+v, %v", plain, err)
	}
	id := s.create(t, func(o *docker.CreateOptions) {
		o.HostNetwork, o.HostPID, o.HostIPC, o.CapAdd = true, true, true, []string{"NET_ADMIN"}
	})
	got, err := docker.ReadSetup(s.inspect(t, id).Raw)
	if err != nil || !got.HostNetwork || !got.HostPID || got.HostIPC != s.sharesIPC || !slices.Equal(got.CapAdd, []string{"NET_ADMIN"}) || len(got.Networks) > 0 {
		t.Errorf("%+v, %v", got, err)
	}
	id = s.create(t, func(o *docker.CreateOptions) { o.Privileged = true })
	if got, err = docker.ReadSetup(s.inspect(t, id).Raw); err != nil || !got.Privileged {
		t.Errorf("%+v, %v", got, err)
	}
}

// lostNetwork: nothing is made for a network that is not there, be it the first or a later one.
func lostNetwork(t *testing.T, s *subject) {
	there, _ := enginetest.Network(t, s.Engine)
	for _, networks := range [][]docker.Attachment{{{Network: "no-such-network"}}, {{Network: there}, {Network: "no-such-network"}}} {
		name := enginetest.Name(t)
		id, err := s.Create(t.Context(), docker.CreateOptions{Name: name, Image: s.image, Labels: labels(), Networks: networks})
		if !errors.Is(err, docker.ErrNotFound) || !strings.Contains(err.Error(), "network no-such-network") || id != "" {
			t.Errorf("%v: %q %v", networks, id, err)
		}
		if status, _ := s.request(t, http.MethodGet, "/containers/"+name+"/json", nil); status != http.StatusNotFound {
			t.Errorf("%v: something was made: %d", networks, status)
		}
	}
}
