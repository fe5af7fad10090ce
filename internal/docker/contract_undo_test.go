package docker_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
	"github.com/tiny-forge/docker-watcher/internal/loopbacktest"
)

// ownImage is an image that no other clause uses.
func (s *subject) ownImage(t *testing.T, options ...enginetest.ImageOption) (ref, id string) {
	t.Helper()
	ref = "dwt/" + enginetest.Name(t) + ":1.0"
	options = append(options, enginetest.WithLabels(map[string]string{"only": ref}))
	s.load(t, s.app, ref, options...)
	enginetest.RemoveImageAfter(t, s.side, ref)
	img, err := s.InspectImage(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	return ref, img.ID
}

func imageNames(t *testing.T, s *subject) {
	ctx := t.Context()
	ref, id := s.ownImage(t)
	kept := "docker-watcher/archive:" + enginetest.Name(t)
	if err := s.TagImage(ctx, id, kept); err != nil {
		t.Fatal(err)
	}
	if img, err := s.InspectImage(ctx, kept); err != nil || img.ID != id || len(img.Tags) != 2 {
		t.Fatalf("by its new name: %+v %v", img, err)
	}
	if err := s.TagImage(ctx, id, kept); err != nil {
		t.Errorf("the same name once more: %v", err)
	}
	if _, err := s.RemoveImage(ctx, id); !errors.Is(err, docker.ErrConflict) {
		t.Errorf("a removal by id of one with two names: %v", err)
	}
	user := s.create(t, func(o *docker.CreateOptions) { o.Image = ref })
	if gone, err := s.RemoveImage(ctx, ref); err != nil || len(gone.Untagged) == 0 || len(gone.Deleted) != 0 {
		t.Errorf("a removal of one of two names, while a container uses it: %+v %v", gone, err)
	}
	if img, err := s.InspectImage(ctx, id); err != nil || len(img.Tags) != 1 {
		t.Errorf("after that: %+v %v", img, err)
	}
	for how, by := range map[string]string{"its last name": kept, "its id": id} {
		if gone, err := s.RemoveImage(ctx, by); !errors.Is(err, docker.ErrConflict) {
			t.Errorf("a removal by %s although a container that never ran uses it: %+v %v", how, gone, err)
		}
	}
	if img, err := s.InspectImage(ctx, kept); err != nil || img.ID != id {
		t.Errorf("after the refusals: %+v %v", img, err)
	}
	if err := s.Remove(ctx, own(user)); err != nil {
		t.Fatal(err)
	}
	gone, err := s.RemoveImage(ctx, kept)
	if err != nil || !slices.Contains(gone.Deleted, id) || !slices.ContainsFunc(gone.Untagged, func(n string) bool { return s.namedAs(n, kept) }) {
		t.Errorf("the removal of the last name: %+v %v", gone, err)
	}
	for what, by := range map[string]string{"name": kept, "id": id} {
		if _, err := s.RemoveImage(ctx, by); !errors.Is(err, docker.ErrNotFound) {
			t.Errorf("a removal by a %s that is gone: %v", what, err)
		}
	}
	if err := s.TagImage(ctx, id, "dwt/again:1"); !errors.Is(err, docker.ErrNotFound) {
		t.Errorf("a name for nothing: %v", err)
	}
	if err := s.TagImage(ctx, s.image, "not a name"); !errors.Is(err, docker.ErrInvalid) {
		t.Errorf("a name that is none: %v", err)
	}
}

func imageByID(t *testing.T, s *subject) {
	ref, id := s.ownImage(t)
	gone, err := s.RemoveImage(t.Context(), id)
	if err != nil || !slices.Contains(gone.Deleted, id) || len(gone.Untagged) == 0 {
		t.Errorf("%+v %v", gone, err)
	}
	if _, err := s.InspectImage(t.Context(), ref); !errors.Is(err, docker.ErrNotFound) {
		t.Errorf("afterwards: %v", err)
	}
}

func imageList(t *testing.T, s *subject) {
	ref, id := s.ownImage(t)
	row := s.imageRow(t, id)
	if len(row.Tags) != 1 || !s.namedAs(row.Tags[0], ref) || row.Size <= 0 || row.Labels["only"] != ref {
		t.Errorf("%+v", row)
	}
	if !s.tellsShared {
		if row.SharedSize != -1 {
			t.Errorf("it shares %d, says an engine that does not know", row.SharedSize)
		}
		return
	}
	// Its layer is the one of the other test images.
	if row.SharedSize <= 0 || row.SharedSize > row.Size {
		t.Errorf("it shares %d of %d", row.SharedSize, row.Size)
	}
	other, err := s.InspectImage(t.Context(), s.checked)
	if err != nil {
		t.Fatal(err)
	}
	if row := s.imageRow(t, other.ID); row.SharedSize <= 0 {
		t.Errorf("the other one: %+v", row)
	}
}

// imageRow is the row of an image in the list of all.
func (s *subject) imageRow(t *testing.T, id string) docker.ImageRow {
	t.Helper()
	rows, err := s.Images(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if row.ID == id {
			return row
		}
		if slices.ContainsFunc(row.Tags, func(tag string) bool { return strings.Contains(tag, "<none>") }) {
			t.Errorf("no name is a name: %v", row.Tags)
		}
	}
	t.Fatalf("image %s is not among the %d listed", id, len(rows))
	return docker.ImageRow{}
}

func changes(t *testing.T, s *subject) {
	look := func(id string) docker.Changes {
		t.Helper()
		c, err := s.Changes(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	id := s.create(t, func(o *docker.CreateOptions) {
		o.Mounts = []docker.Mount{{Type: "volume", Name: s.volume(t), Target: "/deep/down/kept"}}
	})
	if c := look(id); c.Count != 0 {
		t.Errorf("of one that was never started: %+v", c)
	}
	if err := s.Start(t.Context(), own(id)); err != nil {
		t.Fatal(err)
	}
	s.awaitOutput(t, id, "serving")
	if err := s.Stop(t.Context(), own(id), 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if c := look(id); c.Count != 0 {
		t.Errorf("the engine's own changes count: %+v", c)
	}
	enginetest.WriteFile(t, s.side, id, "/data/in-volume", "stays anyway")
	enginetest.WriteFile(t, s.side, id, "/deep/down/kept/in-volume", "stays anyway")
	if c := look(id); c.Count != 0 {
		t.Errorf("what is in volumes counts: %+v", c)
	}
	enginetest.WriteFile(t, s.side, id, "/written", "in the layer")
	if c := look(id); c.Count != 1 || !slices.Equal(c.Paths, []string{"/written"}) {
		t.Errorf("one file: %+v", c)
	}
	if _, err := s.Changes(t.Context(), strings.Repeat("0badc0de", 8)); !errors.Is(err, docker.ErrNotFound) {
		t.Errorf("of nothing: %v", err)
	}
}

// volume is the name of a volume that goes with the test.
func (s *subject) volume(t *testing.T) string {
	t.Helper()
	name := enginetest.Name(t)
	enginetest.RemoveVolumeAfter(t, s.side, name)
	return name
}

func commit(t *testing.T, s *subject) {
	ctx := t.Context()
	_, base := s.ownImage(t)
	id := s.create(t, func(o *docker.CreateOptions) {
		o.Image = base
		maps.Copy(o.Labels, map[string]string{docker.LabelProject: "p", docker.LabelStage: "s", docker.LabelKeep: "true", "theirs": "stays"})
		o.Env = []string{"GREETING=hello there"}
	})
	enginetest.WriteFile(t, s.side, id, "/written", "in the layer")
	ref := "docker-watcher/archive:" + enginetest.Name(t)
	made, err := s.Commit(ctx, own(id), ref)
	if err != nil {
		t.Fatal(err)
	}
	enginetest.RemoveImageAfter(t, s.side, made)
	if img, err := s.InspectImage(ctx, ref); err != nil || img.ID != made || made == base {
		t.Fatalf("made %s, by its name %+v %v", made, img, err)
	}
	row := s.imageRow(t, made)
	for _, label := range []string{docker.LabelManaged, docker.LabelInstallation, docker.LabelProject, docker.LabelStage, docker.LabelInstance, docker.LabelKeep} {
		if value := row.Labels[label]; value != "" {
			t.Errorf("its label %s is %q", label, value)
		}
	}
	if row.Labels["theirs"] != "stays" {
		t.Errorf("labels %v", row.Labels)
	}
	if err := s.Remove(ctx, own(id)); err != nil {
		t.Fatal(err)
	}
	again := s.create(t, func(o *docker.CreateOptions) { o.Image, o.Labels = made, nil })
	if text, _ := enginetest.ReadFile(t, s.side, again, "/written"); text != "in the layer" {
		t.Errorf("the file is now %q", text)
	}
	if ct, err := s.Inspect(ctx, again); err != nil || bytes.Contains(ct.Raw, []byte("hello there")) {
		t.Errorf("what its environment held lies open in the image (%v)", err)
	}
	if err := s.Remove(ctx, own(again)); !errors.Is(err, docker.ErrNotOwned) {
		t.Errorf("a container made of it by others looks like ours: %v", err)
	}
	if users, err := s.ImageUsers(ctx, base); err != nil || !slices.Contains(users, again) {
		t.Errorf("it uses the image below as well: %v %v", users, err)
	}
	if _, err := s.RemoveImage(ctx, ref); !errors.Is(err, docker.ErrConflict) {
		t.Errorf("a removal while it is used: %v", err)
	}
	if _, err := s.Commit(ctx, own(again), ref); !errors.Is(err, docker.ErrNotOwned) {
		t.Errorf("a commit of what is not ours: %v", err)
	}
	if _, err := s.Commit(ctx, own(id), ref); !errors.Is(err, docker.ErrNotFound) {
		t.Errorf("a commit of what is gone: %v", err)
	}
}

// described is what a restore must bring back of an inspect.
type described struct {
	Config struct {
		Env, Cmd, Entrypoint []string
		User, WorkingDir     string
		Healthcheck          *struct {
			Test     []string
			Interval time.Duration
		}
		StopSignal  string
		StopTimeout *int
	}
	HostConfig struct {
		Memory         int64
		NanoCPUs       int64 `json:"NanoCpus"`
		PidsLimit      *int64
		CapAdd         []string
		CapDrop        []string
		ExtraHosts     []string
		ReadonlyRootfs bool
		RestartPolicy  struct {
			Name              string
			MaximumRetryCount int
		}
		LogConfig struct {
			Type   string
			Config map[string]string
		}
		PortBindings map[string][]struct {
			HostIP   string `json:"HostIp"`
			HostPort string
		}
		Init *bool
	}
	NetworkSettings struct {
		Networks map[string]struct {
			Aliases    []string
			IPAMConfig *struct{ IPv4Address string }
			IPAddress  string
		}
	}
}

func describe(t *testing.T, c docker.Container) described {
	t.Helper()
	var d described
	if err := json.Unmarshal(c.Raw, &d); err != nil {
		t.Fatal(err)
	}
	slices.Sort(d.Config.Env)
	for name, n := range d.NetworkSettings.Networks {
		n.Aliases = slices.DeleteFunc(n.Aliases, func(a string) bool { return a == c.ID[:12] })
		slices.Sort(n.Aliases)
		d.NetworkSettings.Networks[name] = n
	}
	return d
}

// rich is a container that uses much of what an engine offers.
func (s *subject) rich(t *testing.T, name, kept, front, address, back string) (id string, port int) {
	t.Helper()
	port = loopbacktest.Port(t)
	status, answer := s.request(t, http.MethodPost, "/containers/create?name="+name, map[string]any{
		"Image": s.image, "Labels": labels(), "Env": []string{"GREETING=hello there"}, "Entrypoint": []string{"/app"},
		"StopTimeout": 7, "StopSignal": "SIGTERM",
		"Healthcheck":  map[string]any{"Test": []string{"CMD", "/app", "check"}, "Interval": 20 * time.Second},
		"ExposedPorts": map[string]any{"8080/tcp": map[string]any{}},
		"HostConfig": map[string]any{
			"Binds": []string{kept + ":/kept"}, "NetworkMode": front, "Memory": 64 << 20, "PidsLimit": 50, "CapDrop": []string{"CAP_NET_RAW"},
			"RestartPolicy": map[string]any{"Name": "on-failure", "MaximumRetryCount": 3}, "ExtraHosts": []string{"other:10.1.2.3"},
			"PortBindings": map[string]any{"8080/tcp": []map[string]string{{"HostIp": "127.0.0.1", "HostPort": strconv.Itoa(port)}}},
		},
		"NetworkingConfig": map[string]any{"EndpointsConfig": map[string]any{
			front: map[string]any{"Aliases": []string{"web"}, "IPAMConfig": map[string]any{"IPv4Address": address}},
		}},
	})
	if status != http.StatusCreated {
		t.Fatalf("%d %s", status, answer)
	}
	var made struct{ ID string }
	if err := json.Unmarshal(answer, &made); err != nil {
		t.Fatal(err)
	}
	enginetest.RemoveAfter(t, s.side, made.ID)
	status, answer = s.request(t, http.MethodPost, "/networks/"+back+"/connect", map[string]any{
		"Container": made.ID, "EndpointConfig": map[string]any{"Aliases": []string{"inner"}},
	})
	if status != http.StatusOK {
		t.Fatalf("connect: %d %s", status, answer)
	}
	return made.ID, port
}

func recreate(t *testing.T, s *subject) {
	ctx := t.Context()
	name, kept := enginetest.Name(t), s.volume(t)
	front, prefix := enginetest.Network(t, s.Engine)
	back, _ := enginetest.Network(t, s.Engine)
	id, port := s.rich(t, name, kept, front, prefix+"77", back)
	if err := s.Start(ctx, own(id)); err != nil {
		t.Fatal(err)
	}
	s.awaitOutput(t, id, "serving")
	if err := s.Stop(ctx, own(id), 5*time.Second); err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{"/kept/file": "named", "/data/file": "anonymous"} {
		enginetest.WriteFile(t, s.side, id, file, text)
	}
	old := s.inspect(t, id)
	options := docker.RecreateOptions{Inspect: old.Raw, Name: name, Image: old.ImageID, Labels: map[string]string{docker.LabelInstance: instance, docker.LabelInstallation: installation, "more": "yes"}}
	if _, err := s.Recreate(ctx, options); !errors.Is(err, docker.ErrConflict) {
		t.Errorf("while the old one is there: %v", err)
	}
	if err := s.Remove(ctx, own(id)); err != nil {
		t.Fatal(err)
	}
	again, err := s.Recreate(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	enginetest.RemoveAfter(t, s.side, again)
	c := s.inspect(t, again)
	if c.State != docker.StateCreated || c.Name != name || c.ImageID != old.ImageID || again == id {
		t.Errorf("%s %s of %s", c.State, c.Name, c.ImageID)
	}
	if c.Labels["more"] != "yes" || c.Labels[docker.LabelManaged] != "" || c.Labels[docker.LabelInstance] != instance {
		t.Errorf("labels %v", c.Labels)
	}
	if diff := cmp.Diff(describe(t, old), describe(t, c)); diff != "" {
		t.Errorf("it is not as it was (-was +is):\n%s", diff)
	}
	sameMounts(t, old, c)
	for file, text := range map[string]string{"/kept/file": "named", "/data/file": "anonymous"} {
		if got, _ := enginetest.ReadFile(t, s.side, again, file); got != text {
			t.Errorf("%s holds %q, was %q", file, got, text)
		}
	}
	if err := s.Start(ctx, own(again)); err != nil {
		t.Fatal(err)
	}
	s.awaitOutput(t, again, "serving")
	c = s.inspect(t, again)
	if s.tellsFixedIP && c.Networks[front] != prefix+"77" || c.Networks[back] == "" || len(c.Networks) != 2 {
		t.Errorf("addresses %v", c.Networks)
	}
	if len(c.Ports) != 1 || c.Ports[0].Host != port {
		t.Errorf("ports %+v", c.Ports)
	}
}

// sameMounts asks that all is mounted as before, by name, and nothing else.
func sameMounts(t *testing.T, old, c docker.Container) {
	t.Helper()
	order := func(a, b docker.Mount) int { return strings.Compare(a.Target, b.Target) }
	slices.SortFunc(old.Mounts, order)
	slices.SortFunc(c.Mounts, order)
	if diff := cmp.Diff(old.Mounts, c.Mounts); diff != "" {
		t.Errorf("mounts (-was +is):\n%s", diff)
	}
}

func recreateElsewhere(t *testing.T, s *subject) {
	ctx := t.Context()
	name, kept := enginetest.Name(t), s.volume(t)
	front, prefix := enginetest.Network(t, s.Engine)
	back, _ := enginetest.Network(t, s.Engine)
	id, port := s.rich(t, name, kept, front, prefix+"77", back)
	old := s.inspect(t, id)
	if err := s.Remove(ctx, own(id)); err != nil {
		t.Fatal(err)
	}
	options := docker.RecreateOptions{Inspect: old.Raw, Name: name, Image: s.checked, Labels: labels()}
	gone := options
	gone.Image = "dwt/nothing:1.0"
	if _, err := s.Recreate(ctx, gone); !errors.Is(err, docker.ErrNotFound) {
		t.Errorf("from an image that is gone: %v", err)
	}
	if status, answer := s.request(t, http.MethodDelete, "/networks/"+front, nil); status >= 300 {
		t.Fatalf("%d %s", status, answer)
	}
	if _, err := s.Recreate(ctx, options); !errors.Is(err, docker.ErrNotFound) || !strings.Contains(err.Error(), front) {
		t.Errorf("in a network that is gone: %v", err)
	}
	if _, err := s.Recreate(ctx, docker.RecreateOptions{Inspect: []byte("{}"), Name: name, Image: s.image}); !errors.Is(err, docker.ErrInvalid) {
		t.Errorf("from what is no inspect: %v", err)
	}
	if _, ok := s.listed(t, name, docker.ListOptions{}); ok {
		t.Error("something was made in spite of the refusals")
	}
	options.SkipNetworks, options.AnyPort = []string{front}, true
	again, err := s.Recreate(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	enginetest.RemoveAfter(t, s.side, again)
	if err := s.Start(ctx, own(again)); err != nil {
		t.Fatal(err)
	}
	c := s.inspect(t, again)
	if len(c.Networks) != 1 || c.Networks[back] == "" {
		t.Errorf("networks %v", c.Networks)
	}
	if len(c.Ports) != 1 || c.Ports[0].Host == port || c.Ports[0].Host == 0 || c.Ports[0].HostIP != "127.0.0.1" {
		t.Errorf("ports %+v", c.Ports)
	}
}

func recreatePlain(t *testing.T, s *subject) {
	ctx := t.Context()
	id := s.create(t, func(o *docker.CreateOptions) {
		o.Ports = []docker.Port{{Container: enginetest.AppPort, HostIP: "127.0.0.1", Protocol: "tcp"}}
	})
	old := s.inspect(t, id)
	if err := s.Remove(ctx, own(id)); err != nil {
		t.Fatal(err)
	}
	again, err := s.Recreate(ctx, docker.RecreateOptions{Inspect: old.Raw, Name: old.Name, Image: old.ImageID, Labels: old.Labels})
	if err != nil {
		t.Fatal(err)
	}
	enginetest.RemoveAfter(t, s.side, again)
	c := s.inspect(t, again)
	if diff := cmp.Diff(describe(t, old), describe(t, c)); diff != "" {
		t.Errorf("it is not as it was (-was +is):\n%s", diff)
	}
	sameMounts(t, old, c)
	var host struct{ Config struct{ Hostname string } }
	if err := json.Unmarshal(c.Raw, &host); err != nil || host.Config.Hostname != again[:12] {
		t.Errorf("its host name is %q %v, it is %s", host.Config.Hostname, err, again)
	}
	if err := s.Start(ctx, own(again)); err != nil {
		t.Fatal(err)
	}
	s.awaitOutput(t, again, "serving")
	if c := s.inspect(t, again); len(c.Networks) != 1 || len(c.Ports) != 1 || c.Ports[0].Host == 0 {
		t.Errorf("networks %v, ports %v", c.Networks, c.Ports)
	}
}

func networks(t *testing.T, s *subject) {
	name := enginetest.Name(t)
	if err := s.CreateNetwork(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	enginetest.RemoveNetworkAfter(t, s.side, name)
	if err := s.CreateNetwork(t.Context(), name); !errors.Is(err, docker.ErrConflict) {
		t.Errorf("a second one: %v", err)
	}
	all, err := s.Networks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, n := range all {
		if n.Name == name && n.Driver == "bridge" && n.ID != "" {
			found++
		}
	}
	if found != 1 || len(all) < 2 {
		t.Errorf("%d of that name in %+v", found, all)
	}
}

func volumes(t *testing.T, s *subject) {
	ctx, named := t.Context(), s.volume(t)
	id := s.create(t, func(o *docker.CreateOptions) {
		o.Mounts = []docker.Mount{{Type: "volume", Name: named, Target: "/kept"}}
	})
	for name, want := range map[string]bool{named: true, named + "-not": false} {
		if has, err := s.HasVolume(ctx, name); err != nil || has != want {
			t.Errorf("volume %s: %v, %v", name, has, err)
		}
	}
	enginetest.WriteFile(t, s.side, id, "/kept/file", strings.Repeat("x", 10_000))
	var anonymous string
	for _, m := range s.inspect(t, id).Mounts {
		if m.Anonymous {
			anonymous = m.Name
		}
	}
	rows := s.volumeRows(t)
	if v := rows[named]; v.Anonymous || v.Driver != "local" || v.Users != 1 || v.Size < 10_000 || v.CreatedAt.IsZero() {
		t.Errorf("the named one: %+v", v)
	}
	if v := rows[anonymous]; !v.Anonymous || v.Users != 1 || v.Size < 0 {
		t.Errorf("the anonymous one: %+v", v)
	}
	for _, name := range []string{named, anonymous} {
		if users, err := s.VolumeUsers(ctx, name); err != nil || !slices.Equal(users, []string{id}) {
			t.Errorf("users of %s: %v %v", name, users, err)
		}
	}
	if users, err := s.VolumeUsers(ctx, named[:len(named)-2]); err != nil || len(users) != 0 {
		t.Errorf("users of a volume that is not there: %v %v", users, err)
	}
	if err := s.RemoveVolume(ctx, anonymous); !errors.Is(err, docker.ErrConflict) {
		t.Errorf("a removal of one in use: %v", err)
	}
	if err := s.Remove(ctx, own(id)); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveVolume(ctx, named); !errors.Is(err, docker.ErrInvalid) {
		t.Errorf("a removal of a named one: %v", err)
	}
	if err := s.RemoveVolume(ctx, anonymous); err != nil {
		t.Error(err)
	}
	if err := s.RemoveVolume(ctx, anonymous); !errors.Is(err, docker.ErrNotFound) {
		t.Errorf("once more: %v", err)
	}
	rows = s.volumeRows(t)
	if v, ok := rows[named]; !ok || v.Users != 0 {
		t.Errorf("the named one is there: %v, %+v", ok, v)
	}
	if _, ok := rows[anonymous]; ok {
		t.Error("the anonymous one is still there")
	}
}

func (s *subject) volumeRows(t *testing.T) map[string]docker.Volume {
	t.Helper()
	all, err := s.Volumes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]docker.Volume{}
	for _, v := range all {
		rows[v.Name] = v
	}
	return rows
}

func logTail(t *testing.T, s *subject) {
	ctx, id := t.Context(), s.create(t)
	if text, err := s.LogTail(ctx, id, 10, 1<<20); err != nil || len(text) != 0 {
		t.Errorf("of one that was never started: %q %v", text, err)
	}
	if err := s.Start(ctx, own(id)); err != nil {
		t.Fatal(err)
	}
	s.awaitOutput(t, id, "serving")
	if err := s.Stop(ctx, own(id), 5*time.Second); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		lines int
		bytes int64
		want  string
	}{
		{10, 1 << 20, "stdout serving 1.0 on port 8080\nstderr told to end\n"},
		{1, 1 << 20, "stderr told to end\n"},
		{10, 20, "stderr told to end\n"},
		{10, 5, ""},
	} {
		if text, err := s.LogTail(ctx, id, tt.lines, tt.bytes); err != nil || string(text) != tt.want {
			t.Errorf("%d lines, %d bytes: %q %v", tt.lines, tt.bytes, text, err)
		}
	}
	if _, err := s.LogTail(ctx, strings.Repeat("0badc0de", 8), 10, 100); !errors.Is(err, docker.ErrNotFound) {
		t.Errorf("of nothing: %v", err)
	}
	status, answer := s.request(t, http.MethodPost, "/containers/create?name="+enginetest.Name(t), map[string]any{
		"Image": s.image, "Labels": labels(), "HostConfig": map[string]any{"LogConfig": map[string]any{"Type": "none"}},
	})
	if status != http.StatusCreated {
		t.Fatalf("%d %s", status, answer)
	}
	var quiet struct{ ID string }
	if err := json.Unmarshal(answer, &quiet); err != nil {
		t.Fatal(err)
	}
	enginetest.RemoveAfter(t, s.side, quiet.ID)
	if err := s.Start(ctx, own(quiet.ID)); err != nil {
		t.Fatal(err)
	}
	if text, err := s.LogTail(ctx, quiet.ID, 10, 1<<20); err != nil || len(text) != 0 {
		t.Errorf("of one that keeps no log: %q %v", text, err)
	}
}

func publishedPorts(t *testing.T, s *subject) {
	tcp, udp := loopbacktest.Port(t), loopbacktest.Port(t)
	publish := func(o *docker.CreateOptions) {
		o.Ports = []docker.Port{
			{Container: enginetest.AppPort, HostIP: "127.0.0.1", Host: tcp, Protocol: "tcp"},
			{Container: 9, Host: udp, Protocol: "udp"},
		}
	}
	id := s.create(t, publish)
	name := s.inspect(t, id).Name
	held := func() (one, all string) {
		t.Helper()
		ports, err := s.PublishedPorts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return ports["127.0.0.1:"+strconv.Itoa(tcp)+"/tcp"], ports["0.0.0.0:"+strconv.Itoa(udp)+"/udp"]
	}
	if one, all := held(); one != "" || all != "" {
		t.Errorf("held by what does not run: %q %q", one, all)
	}
	if err := s.Start(t.Context(), own(id)); err != nil {
		t.Fatal(err)
	}
	if one, all := held(); one != name || all != name {
		t.Errorf("held by %q and %q, not by %s", one, all, name)
	}
	if err := s.Stop(t.Context(), own(id), 2*time.Second); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the ports to be free after a stop", func() bool { // 26.1 says done a moment before
		one, all := held()
		return one == "" && all == ""
	})
}

func leftover(t *testing.T, s *subject) {
	ctx := t.Context()
	id := s.create(t, func(o *docker.CreateOptions) { o.Labels[docker.LabelInstance] = "forgotten" })
	foreign := s.runForeign(t, nil)
	swarm := s.runForeign(t, map[string]string{docker.LabelInstallation: installation, docker.LabelSwarmTask: "task"})
	for what, claim := range map[string]docker.Owned{
		"another installation's": {ID: id, Installation: "other", Leftover: true},
		"no installation":        {ID: id, Leftover: true},
		"a short id":             {ID: id[:12], Installation: installation, Leftover: true},
		"a foreign one":          {ID: foreign, Installation: installation, Leftover: true},
		"a foreign one, adopted": {ID: foreign, Installation: installation, Leftover: true, Adopted: true},
		"a Swarm task":           {ID: swarm, Installation: installation, Leftover: true},
		"no leftover, no row":    {ID: id, Installation: installation},
	} {
		if err := s.Remove(ctx, claim); !errors.Is(err, docker.ErrNotOwned) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := s.Remove(ctx, docker.Owned{ID: id, Installation: installation, Leftover: true}); err != nil {
		t.Error(err)
	}
}
