package stale

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
	"github.com/tiny-forge/docker-watcher/internal/loopbacktest"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// What a cleanup takes away an undo brings back, byte for byte, on real engines.
func TestUndoOnRealEngines(t *testing.T) {
	t.Parallel() // it mostly waits
	app, err := enginetest.BuildApp(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Run("docker", func(t *testing.T) {
		t.Parallel()
		undoOn(t, enginetest.Engine(t), app)
	})
	t.Run("podman", func(t *testing.T) {
		t.Parallel()
		undoOn(t, enginetest.Podman(t), app)
	})
}

const undoImage = "localhost/dwt-undone:1"

func undoOn(t *testing.T, adapter *docker.Engine, app string) {
	for _, tt := range []struct {
		name string
		test func(*testing.T, *undoField)
	}{
		{"everything is there again", everythingAgain},
		{"the image is kept when its names are taken away", imageIsKept},
		{"a copy does not look like ours", copyIsNotOurs},
		{"revived between archive and delete", revivedWhileArchived},
		{"a deleted archive leaves nothing", deletedArchive},
	} {
		t.Run(tt.name, func(t *testing.T) {
			archive, err := enginetest.AppArchive(app, undoImage, "1", enginetest.WithVolume("/anonymous"), enginetest.WithEnv("OF=the image"))
			if err != nil {
				t.Fatal(err)
			}
			if err := adapter.LoadImage(t.Context(), archive); err != nil {
				t.Fatal(err)
			}
			tt.test(t, newUndoField(t, adapter))
		})
	}
}

// undoField is a field whose engine is left as it was found.
type undoField struct {
	*field
	raw *http.Client
}

func newUndoField(t *testing.T, adapter *docker.Engine) *undoField {
	t.Helper()
	f := &undoField{field: newField(t, adapter)}
	f.raw = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", strings.TrimPrefix(adapter.Endpoint(), "unix://"))
	}}}
	t.Cleanup(f.raw.CloseIdleConnections)
	return f
}

// ask talks to the engine past the adapter.
func (f *undoField) ask(method, path string, body any) map[string]any {
	f.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		f.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(f.t.Context(), method, "http://engine"+path, strings.NewReader(string(text)))
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := f.raw.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }() // read, or the test fails
	said, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= http.StatusBadRequest {
		f.t.Fatalf("%s %s: %s %s %v", method, path, resp.Status, said, err)
	}
	var out map[string]any
	if len(said) > 0 && json.Unmarshal(said, &out) != nil {
		return nil
	}
	return out
}

// plantUsed makes a container with everything that an undo is about, that ran and ended.
func (f *undoField) plantUsed(network string) store.Instance {
	f.t.Helper()
	inst := storetest.NewInstance(f.stage, func(i *store.Instance) {
		i.Name, i.Status, i.Intended, i.EngineID = enginetest.Name(f.t), store.StatusStopped, store.IntendedStopped, f.host.EngineID
		i.Image, i.ImageTag = "localhost/dwt-undone", "1"
		i.Spec = store.Spec{Env: []store.EnvVar{{Name: "SECRET", Value: "s3cret"}}}
	})
	id, err := f.adapter.Create(f.t.Context(), docker.CreateOptions{
		Name: inst.Name, Image: undoImage, Env: []string{"SECRET=s3cret", "LINES=a\nb"}, Restart: "unless-stopped", StopGrace: 7 * time.Second,
		Ports:  []docker.Port{{Container: enginetest.AppPort, Host: loopbacktest.Port(f.t), HostIP: "127.0.0.1", Protocol: "tcp"}},
		Mounts: []docker.Mount{{Type: "volume", Name: inst.Name + "-named", Target: "/named"}},
		Labels: map[string]string{
			"team": "shop", docker.LabelManaged: "true", docker.LabelInstallation: f.db.InstallationID(),
			docker.LabelProject: "p", docker.LabelStage: "s", docker.LabelInstance: inst.ID,
		},
	})
	if err != nil {
		f.t.Fatal(err)
	}
	inst.ContainerID = id
	if network != "" {
		f.ask(http.MethodPost, "/networks/"+network+"/connect", map[string]any{
			"Container": id, "EndpointConfig": map[string]any{"Aliases": []string{"web", "shop"}},
		})
	}
	f.bring(inst, store.ClassExited)
	for path, text := range undoFiles {
		enginetest.WriteFile(f.t, f.adapter, id, path, text)
	}
	for _, v := range f.volumesOf(inst) {
		enginetest.RemoveVolumeAfter(f.t, f.adapter, v)
	}
	enginetest.RemoveAfter(f.t, f.adapter, id) // before its volumes
	ct, err := f.adapter.Inspect(f.t.Context(), id)
	if err != nil {
		f.t.Fatal(err)
	}
	inst = Observe(inst, ct, f.adapter.Now())
	inst.LastAliveAt, inst.StaleSince, inst.WarnedAt = time.Now().UTC().AddDate(0, 0, -20), time.Now().UTC(), time.Now().UTC()
	inst.ImageID, inst.Digest = ct.ImageID, "sha256:"+strings.Repeat("d", 64)
	storetest.Update(f.t, f.db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertInstance(ctx, inst) })
	return inst
}

var undoFiles = map[string]string{
	"/named/data":     "in the named volume\x00\xff",
	"/anonymous/data": "in the anonymous volume\x00\xfe",
	"/written":        "in the writable layer\x00\xfd",
}

// cleanUp removes all that is planned and returns the archive of one instance.
func (f *undoField) cleanUp(inst store.Instance) (store.PlanItem, store.Archive) {
	f.t.Helper()
	plan := f.planOf(1)
	done, err := f.cleaner.Apply(f.t.Context(), plan.ID, "user:anna", true, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	item := itemOfInstance(done, inst.ID)
	if item.Result != store.ResultRemoved {
		f.t.Fatalf("%s (%s)", item.Result, item.ResultDetail)
	}
	archives, _, err := f.db.Archives(f.t.Context(), store.ArchiveFilter{InstanceID: inst.ID}, store.Page{Limit: 10})
	if err != nil || len(archives) != 1 || archives[0].State != store.ArchiveReady {
		f.t.Fatalf("archives: %+v, %v", archives, err)
	}
	f.t.Cleanup(func() { f.untagAll(archives[0]) })
	return item, archives[0]
}

// untagAll takes away what an archive may have left when its test ends.
func (f *undoField) untagAll(a store.Archive) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(f.t.Context()), time.Minute)
	defer cancel()
	for _, ref := range []string{layerRef(a.ID), a.KeepRef} {
		req, err := http.NewRequestWithContext(ctx, http.MethodDelete, "http://engine/images/"+ref+"?force=1", nil)
		if err != nil {
			f.t.Error(err)
			continue
		}
		resp, err := f.raw.Do(req)
		if err != nil {
			f.t.Error(err)
			continue
		}
		if err := resp.Body.Close(); err != nil {
			f.t.Error(err)
		}
	}
}

func (f *undoField) restore(id string, ch Choices) store.InstanceView {
	f.t.Helper()
	view, err := f.cleaner.Restore(f.t.Context(), id, ch, "user:anna")
	if err != nil {
		f.t.Fatal(err)
	}
	enginetest.RemoveAfter(f.t, f.adapter, view.ContainerID)
	return view
}

func (f *undoField) inspect(id string) docker.Container {
	f.t.Helper()
	ct, err := f.adapter.Inspect(f.t.Context(), id)
	if err != nil {
		f.t.Fatal(err)
	}
	return ct
}

func (f *undoField) hasImage(ref string) bool {
	f.t.Helper()
	_, err := f.adapter.InspectImage(f.t.Context(), ref)
	if err != nil && !errors.Is(err, docker.ErrNotFound) {
		f.t.Fatal(err)
	}
	return err == nil
}

// character is what of a container must be the same after an undo.
func character(ct docker.Container) map[string]any {
	var told struct {
		Config     map[string]any
		HostConfig struct {
			RestartPolicy, PortBindings any
		}
		NetworkSettings struct {
			Networks map[string]struct{ Aliases []string }
		}
	}
	if json.Unmarshal(ct.Raw, &told) != nil {
		return nil
	}
	networks := map[string][]string{}
	for name, n := range told.NetworkSettings.Networks {
		for _, alias := range n.Aliases {
			if alias != ct.ID[:12] {
				networks[name] = append(networks[name], alias)
			}
		}
		slices.Sort(networks[name])
	}
	var mounts []string
	for _, m := range ct.Mounts {
		mounts = append(mounts, fmt.Sprintf("%s %s %s %v", m.Type, m.Name, m.Target, m.ReadOnly))
	}
	slices.Sort(mounts)
	config := map[string]any{}
	for _, name := range []string{"Env", "Cmd", "Entrypoint", "WorkingDir", "User", "StopTimeout", "ExposedPorts", "Volumes"} {
		config[name] = told.Config[name]
	}
	if env, ok := config["Env"].([]any); ok {
		slices.SortFunc(env, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	}
	return map[string]any{
		"name": ct.Name, "labels": maps.Clone(ct.Labels), "config": config, "restart": told.HostConfig.RestartPolicy,
		"ports": told.HostConfig.PortBindings, "networks": networks, "mounts": mounts,
	}
}

func everythingAgain(t *testing.T, f *undoField) {
	network, _ := enginetest.Network(t, f.adapter)
	inst := f.plantUsed(network)
	before := character(f.inspect(inst.ContainerID))
	plan := f.planOf(1)
	if d := plan.Items[0].Details; !d.LayerKept || len(d.NotRestored) > 0 {
		t.Errorf("planned: layer kept %v, not restored %q", d.LayerKept, d.NotRestored)
	}
	_, archive := f.cleanUp(inst)
	if archive.LayerImage == "" || archive.KeepRef == "" || archive.LayerNote != "" {
		t.Fatalf("archive %+v", archive)
	}
	check, err := f.cleaner.CheckRestore(t.Context(), archive.ID, Choices{})
	if err != nil || len(check.Conflicts) > 0 || len(check.Lacks) > 0 {
		t.Fatalf("check: %+v %v", check, err)
	}
	view := f.restore(archive.ID, Choices{})
	ct := f.inspect(view.ContainerID)
	if diff := cmp.Diff(before, character(ct)); diff != "" {
		t.Errorf("it is another one (-before +after):\n%s", diff)
	}
	for path, text := range undoFiles {
		if got, ok := enginetest.ReadFile(t, f.adapter, view.ContainerID, path); !ok || got != text {
			t.Errorf("%s: %q, %v", path, got, ok)
		}
	}
	if view.ID != inst.ID || view.Name != inst.Name || view.Digest != inst.Digest || view.Status != store.StatusStopped {
		t.Errorf("row %+v", view)
	}
	if view.Class != store.ClassNeverStarted || view.Evidence != store.EvidenceCreatedAt || !view.StaleSince.IsZero() || !view.WarnedAt.IsZero() {
		t.Errorf("age: %s by %s, stale since %s", view.Class, view.Evidence, view.StaleSince)
	}
	spec, err := f.db.InstanceSpec(t.Context(), view.ID)
	if err != nil || len(spec.Env) != 1 || spec.Env[0].Value != "s3cret" {
		t.Errorf("spec %+v %v", spec, err)
	}
	own := docker.Owned{ID: view.ContainerID, Installation: f.db.InstallationID(), Instance: view.ID}
	if err := f.adapter.Start(t.Context(), own); err != nil {
		t.Errorf("it does not start: %v", err)
	}
	if _, err := f.cleaner.Restore(t.Context(), archive.ID, Choices{}, "user:ben"); !errors.Is(err, ErrConflicts) {
		t.Errorf("restored twice: %v", err)
	}
}

func imageIsKept(t *testing.T, f *undoField) {
	inst := f.plantUsed("")
	_, archive := f.cleanUp(inst)
	for _, ref := range []string{undoImage} {
		if _, err := f.adapter.RemoveImage(t.Context(), ref); err != nil {
			t.Fatal(err)
		}
	}
	if !f.hasImage(inst.ImageID) {
		t.Fatal("the image went with its name")
	}
	view := f.restore(archive.ID, Choices{})
	if got, ok := enginetest.ReadFile(t, f.adapter, view.ContainerID, "/written"); !ok || got != undoFiles["/written"] {
		t.Errorf("the writable layer: %q", got)
	}
	if _, ok := enginetest.ReadFile(t, f.adapter, view.ContainerID, "/app"); !ok {
		t.Error("the image's own file is not there")
	}
}

func copyIsNotOurs(t *testing.T, f *undoField) {
	inst := f.plantUsed("")
	_, archive := f.cleanUp(inst)
	id, err := f.adapter.Create(t.Context(), docker.CreateOptions{Name: enginetest.Name(t), Image: archive.LayerImage})
	if err != nil {
		t.Fatal(err)
	}
	enginetest.RemoveAfter(t, f.adapter, id)
	for name, value := range f.inspect(id).Labels {
		if strings.HasPrefix(name, "docker-watcher.") && value != "" {
			t.Errorf("a container that somebody made of the copy carries %s=%s", name, value)
		}
	}
	rows, err := f.adapter.List(t.Context(), docker.ListOptions{Labels: []string{docker.LabelInstallation + "=" + f.db.InstallationID()}})
	if err != nil || len(rows) > 0 {
		t.Errorf("listed as ours: %v %v", rows, err)
	}
	// The copy is in use now: to delete the archive must leave it, and says nothing else.
	if err := f.cleaner.DeleteArchive(t.Context(), archive.ID, "user:anna"); err != nil {
		t.Fatal(err)
	}
	if !f.exists(id) || !f.hasImage(archive.LayerImage) {
		t.Error("the image of somebody's container was taken away")
	}
}

// revivedWhileArchived starts the container right after its layer was committed.
func revivedWhileArchived(t *testing.T, f *undoField) {
	inst := f.plantUsed("")
	plan := f.planOf(1)
	once := make(chan struct{}, 1)
	once <- struct{}{}
	f.afterBegin(t, inst, func(ctx context.Context) {
		select {
		case <-once:
			if err := f.adapter.Start(ctx, f.owned(inst)); err != nil {
				t.Error(err)
			}
		default:
		}
	})
	done, err := f.cleaner.Apply(t.Context(), plan.ID, "user:anna", true, nil)
	if err != nil {
		t.Fatal(err)
	}
	if item := itemOfInstance(done, inst.ID); item.Result != store.ResultRevived {
		t.Errorf("%s (%s)", item.Result, item.ResultDetail)
	}
	if !f.exists(inst.ContainerID) {
		t.Error("it was removed")
	}
	f.wantNothingKept(t)
}

// afterBegin does something when the intention of a removal has been written.
func (f *undoField) afterBegin(t *testing.T, inst store.Instance, do func(context.Context)) {
	t.Helper()
	ctx := t.Context()
	f.db.OnCommit(func(all []store.Event) {
		for _, e := range all {
			if e.InstanceID == inst.ID && e.Kind == "instance.status" {
				do(ctx)
			}
		}
	})
}

// wantNothingKept looks for what archives of this test have left; others share the engine.
func (f *undoField) wantNothingKept(t *testing.T) {
	t.Helper()
	events, _, err := f.db.Events(t.Context(), store.EventFilter{}, store.Page{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, e := range events {
		if id, ok := e.Data["archive_id"].(string); ok {
			ids[id] = true
		}
	}
	if len(ids) != 1 {
		t.Errorf("archives %v, want one", ids)
	}
	for id := range ids {
		for _, ref := range []string{keepRef(id), layerRef(id)} {
			if f.hasImage(ref) {
				t.Errorf("left on the engine: %s", ref)
			}
		}
	}
	left, _, err := f.db.Archives(t.Context(), store.ArchiveFilter{States: []store.ArchiveState{
		store.ArchiveMaking, store.ArchiveReady, store.ArchiveRestoring, store.ArchiveDeleting,
	}}, store.Page{Limit: 10})
	if err != nil || len(left) > 0 {
		t.Errorf("archives left: %+v %v", left, err)
	}
}

func deletedArchive(t *testing.T, f *undoField) {
	inst := f.plantUsed("")
	volumes := f.volumesOf(inst)
	_, archive := f.cleanUp(inst)
	if err := f.cleaner.DeleteArchive(t.Context(), archive.ID, "user:anna"); err != nil {
		t.Fatal(err)
	}
	f.wantNothingKept(t)
	if !f.hasImage(undoImage) {
		t.Error("the image went with the archive")
	}
	for _, v := range volumes {
		if there, err := f.adapter.HasVolume(t.Context(), v); err != nil || !there {
			t.Errorf("volume %s: %v %v", v, there, err)
		}
	}
	if _, err := f.cleaner.Restore(t.Context(), archive.ID, Choices{}, "user:anna"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("restored from nothing: %v", err)
	}
}
