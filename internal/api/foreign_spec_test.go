package api

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
)

// adoptable are containers as people make them. None of them loses anything by being adopted.
func adoptable(network, volume, folder string) map[string]func(*docker.CreateOptions) {
	return map[string]func(*docker.CreateOptions){
		"plain": func(*docker.CreateOptions) {},
		"whole": func(o *docker.CreateOptions) {
			o.Networks = []docker.Attachment{{Network: network, Aliases: []string{"inner", "web"}}}
			o.Ports = []docker.Port{{Container: 80, Protocol: "tcp"}, {Container: 53, HostIP: "127.0.0.1", Protocol: "udp"}}
			o.Mounts = []docker.Mount{{Type: "volume", Name: volume, Target: "/data"}, {Type: "bind", Source: folder, Target: "/conf", ReadOnly: true}}
			o.User, o.WorkDir, o.Memory, o.NanoCPUs, o.Pids, o.Init, o.ReadOnly = "1:1", "/tmp", 64<<20, 500_000_000, 50, true, true
			o.CapAdd, o.CapDrop, o.Restart, o.StopGrace = []string{"CAP_NET_ADMIN"}, []string{"NET_RAW", "MKNOD"}, "on-failure:3", 3*time.Second
			o.Check = &docker.Healthcheck{Test: []string{"CMD", "/app", "check"}, Interval: 20 * time.Second, Timeout: 3 * time.Second, StartPeriod: 5 * time.Second, Retries: 4}
			o.Labels = map[string]string{"com.docker.compose.project": "dwt", "com.docker.compose.service": "web", "team": "shop"}
		},
		"a part of the check":       func(o *docker.CreateOptions) { o.Check = &docker.Healthcheck{Interval: time.Minute} },
		"no check":                  func(o *docker.CreateOptions) { o.Check = &docker.Healthcheck{Test: []string{"NONE"}} },
		"an entrypoint":             func(o *docker.CreateOptions) { o.Entrypoint = []string{"/app"} },
		"the entrypoint turned off": func(o *docker.CreateOptions) { o.Entrypoint, o.Command = []string{""}, []string{"/app"} },
		"privileged":                func(o *docker.CreateOptions) { o.Privileged = true },
		"the host's own": func(o *docker.CreateOptions) {
			o.HostNetwork, o.HostPID, o.HostIPC, o.Env = true, true, true, []string{"PORT=0"}
		},
	}
}

// adoptsWhole: each is adopted with nothing left out, and its stage wants just what runs.
func adoptsWhole(t *testing.T, b *bed, adapter *docker.Engine, image string, all map[string]func(*docker.CreateOptions)) map[string]client.Adopted {
	t.Helper()
	adopted := map[string]client.Adopted{}
	for name, ask := range all {
		id := b.runStranger(adapter, image, nil, ask)
		stage := strings.NewReplacer(" ", "-", "'", "").Replace(name)
		a, err := b.admin.Adopt(t.Context(), client.AdoptRequest{Items: []client.AdoptItem{{HostID: "local", ContainerID: id, Project: "dwt", Stage: stage, Kind: "preview"}}, Make: true})
		b.must(err)
		one := a.Items[0]
		adopted[name] = one
		if len(one.Left) > 0 {
			t.Errorf("%s: the next deploy would do without %q", name, one.Left)
		}
		if i := slices.IndexFunc(one.Warnings, func(w string) bool { return strings.Contains(w, "no deploy") || strings.Contains(w, "differs") }); i >= 0 {
			t.Errorf("%s: %s", name, one.Warnings[i])
		}
		d, err := b.admin.DiffStage(t.Context(), one.StageID, "")
		b.must(err)
		if len(d.Instances) != 1 || len(d.Instances[0].Differences) > 0 || d.Instances[0].Unsure != "" {
			t.Errorf("%s: its stage wants something else: %+v", name, d.Instances)
		}
	}
	return adopted
}

// wantWhole looks at what was read of the whole one.
func wantWhole(t *testing.T, all map[string]client.Adopted, network, volume, folder string, tellsImageCheck bool) {
	t.Helper()
	whole := all["whole"]
	got := whole.Spec
	var names []string
	for _, e := range got.Env {
		names = append(names, e.Name)
	}
	want := client.Spec{
		Env: got.Env, Ports: []client.Port{{Container: 53, HostIP: "127.0.0.1", Protocol: "udp"}, {Container: 80, HostIP: "0.0.0.0", Protocol: "tcp"}},
		Mounts:    got.Mounts,
		Networks:  []client.Network{{Name: network, Aliases: []string{"inner", "web", whole.Name}}},
		Resources: &client.Resources{Memory: 64 << 20, CPUs: 0.5, Pids: 50}, Restart: "on-failure:3", User: "1:1", WorkDir: "/tmp", Init: true, ReadOnly: true,
		CapDrop: []string{"MKNOD", "NET_RAW"}, Labels: map[string]string{"team": "shop"}, StopGrace: "3s",
		Healthcheck: &client.Healthcheck{Interval: "20s", Timeout: "3s", StartPeriod: "5s", Retries: 4}, Power: &client.Power{CapAdd: []string{"NET_ADMIN"}},
	}
	if !tellsImageCheck { // then what the image gave is taken for asked for
		want.Healthcheck.Test = []string{"CMD", "/app", "check"}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, m := range []client.Mount{{Source: folder, Target: "/conf", ReadOnly: true}, {Source: volume, Target: "/data"}} {
		if !slices.Contains(got.Mounts, m) {
			t.Errorf("%+v is not in %+v", m, got.Mounts)
		}
	}
	if !slices.Equal(names, []string{"PASSWORD"}) {
		t.Errorf("variables %q", names)
	}
	for name, power := range map[string]string{
		"plain": "", "whole": "the capability NET_ADMIN", "an entrypoint": "", "privileged": "it is privileged", "the host's own": "it uses the host's network, it sees the host's processes",
	} {
		one, there := all[name]
		warned := strings.Join(one.Warnings, "\n")
		if there && strings.Contains(warned, "power over its host") != (power != "") || there && !strings.Contains(warned, power) {
			t.Errorf("%s: warned of %q", name, warned)
		}
	}
}

func TestAdoptedSpecIsWhatRuns(t *testing.T) {
	for name, options := range map[string]dockertest.Options{"docker 20.10": dockertest.Docker20(), "docker newest": dockertest.DockerNewest(), "podman 5.4": dockertest.Podman54()} {
		t.Run(name, func(t *testing.T) {
			adoptsOnPretend(t, dockertest.Serve(t, options), strings.HasPrefix(name, "podman"))
		})
	}
}

func adoptsOnPretend(t *testing.T, e *dockertest.Engine, podman bool) {
	b := newBedOn(t, docker.Options{Endpoint: e.Endpoint()})
	e.AddNetwork("front")
	e.AddImage(dockertest.Image{Ref: "acme/app:1", Health: true})
	all := adoptsWhole(t, b, b.fleetEngine(), "acme/app:1", adoptable("front", "data", "/srv/conf"))
	wantWhole(t, all, "front", "data", "/srv/conf", !podman)
	told, err := b.admin.Events(t.Context(), client.EventFilter{Severities: []string{"warn"}, Text: "power over the host"}, client.Page{})
	b.must(err)
	if len(told.Items) != 3 || told.Items[0].Kind != "stage.created" {
		t.Errorf("told of power: %+v", told.Items)
	}
	// A stage that is there keeps its own spec, and says in what that is another.
	id := b.runStranger(b.fleetEngine(), "acme/app:1", nil, func(o *docker.CreateOptions) { o.Privileged, o.Memory = true, 64<<20 })
	a, err := b.admin.Adopt(t.Context(), client.AdoptRequest{Items: []client.AdoptItem{{HostID: "local", ContainerID: id, Project: "dwt", Stage: "plain"}}})
	b.must(err)
	warned := strings.Join(a.Items[0].Warnings, "\n")
	if !strings.Contains(warned, "resources.memory, power.privileged") || !strings.Contains(warned, "it has power over its host: it is privileged") || strings.Contains(warned, canary) {
		t.Errorf("warned of %q", warned)
	}
}

func TestAdoptedSpecIsWhatRunsOnARealEngine(t *testing.T) {
	t.Parallel()
	adapter := enginetest.Engine(t)
	registry := enginetest.Registry(t)
	app, err := enginetest.BuildApp(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	image := registry + "/whole:1.0"
	if err := enginetest.PushApp(t.Context(), app, image, "1.0", enginetest.WithVolume("/cache"), enginetest.WithHealthcheck(time.Second)); err != nil {
		t.Fatal(err)
	}
	enginetest.RemoveImageAfter(t, adapter, image)
	b := newBedOn(t, docker.Options{Endpoint: enginetest.Endpoint(t)})
	b.must(adapter.Pull(t.Context(), image, "", nil))
	network, _ := enginetest.Network(t, adapter)
	volume, folder := enginetest.Name(t), t.TempDir()
	enginetest.RemoveVolumeAfter(t, adapter, volume)
	kinds := adoptable(network, volume, folder)
	delete(kinds, "privileged") // a machine that is a container itself cannot start one
	all := adoptsWhole(t, b, adapter, image, kinds)
	wantWhole(t, all, network, volume, folder, true)
}
