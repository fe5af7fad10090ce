package stale

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// undoBed is a bed with one instance that has everything that an undo is about.
type undoBed struct {
	*cleanBed
	inst store.Instance
	ct   *dockertest.Container
}

var bedFiles = map[string]string{"/data/file": "named", "/scratch/file": "anonymous", "/tmp/file": "layer"}

func inUndoBed(t *testing.T, test func(t *testing.T, b *undoBed)) {
	t.Helper()
	inBed(t, func(t *testing.T, bed *cleanBed) {
		b := &undoBed{cleanBed: bed}
		b.lend()
		b.engine.AddNetwork("front")
		b.inst, b.ct = b.plantRich("shop-preview-a")
		test(t, b)
	})
}

// lend gives the cleaner the hands of somebody who only starts and stops.
func (b *cleanBed) lend() {
	act := func(id string, do func(*dockertest.Container)) error {
		view, err := b.db.Instance(b.t.Context(), id)
		if err != nil {
			return err
		}
		do(b.engine.Container(view.ContainerID))
		return nil
	}
	b.cleaner.LendHands(Hands{
		Stop:  func(_ context.Context, id, _ string) error { return act(id, (*dockertest.Container).Stop) },
		Start: func(_ context.Context, id, _ string) error { return act(id, (*dockertest.Container).Start) },
		Options: func(v store.InstanceView, spec store.Spec) docker.CreateOptions {
			o := docker.CreateOptions{Name: v.Name, Labels: maps.Clone(spec.Labels)}
			for _, e := range spec.Env {
				o.Env = append(o.Env, e.Name+"="+e.Value)
			}
			for _, n := range spec.Networks {
				o.Networks = append(o.Networks, docker.Attachment{Network: n.Name})
			}
			return o
		},
		LogIn: func(_ context.Context, image string) (string, error) { return "login of " + image, nil },
	})
}

// plantRich is plant of one with files everywhere, a port, a route, a network with an alias, and a spec.
func (b *cleanBed) plantRich(name string) (store.Instance, *dockertest.Container) {
	b.t.Helper()
	inst, ct := b.plant(name, 20, func(t *dockertest.Template) {
		t.SizeRw, t.Env, t.Labels["team"] = 0, []string{"COLOUR=red"}, "shop"
		t.Volumes, t.Ports = []string{name + "-data:/data", "/scratch"}, []string{"127.0.0.1:8080:80/tcp"}
	})
	for path, text := range bedFiles {
		ct.Write(path, text)
	}
	ct.Log("stdout", "its last words")
	b.connect(ct, "front", "web")
	b.route(inst, name+".example")
	return inst, ct
}

// route gives an instance a route: the store takes one only together with an instance that comes back.
func (b *cleanBed) route(inst store.Instance, domain string) {
	b.t.Helper()
	route := store.ArchivedRoute{
		ID: store.NewID(), Port: 80, TLS: "auto", Options: "{}", Enabled: true,
		Domains: []store.RouteAddress{{Domain: domain, PathPrefix: "/"}},
	}
	b.update(func(tx *store.Tx) error {
		ctx := b.t.Context()
		if err := tx.BeginRemoval(ctx, store.Removal{InstanceID: inst.ID, HostID: inst.HostID, ContainerID: inst.ContainerID, Former: inst.Status}, inst.Revision); err != nil {
			return err
		}
		if err := tx.FinishRemoval(ctx, inst.ID); err != nil {
			return err
		}
		return tx.RestoreInstance(ctx, inst, []store.ArchivedRoute{route})
	})
}

func (b *cleanBed) connect(ct *dockertest.Container, network, alias string) {
	b.t.Helper()
	body := fmt.Sprintf(`{"Container":%q,"EndpointConfig":{"Aliases":[%q]}}`, ct.ID, alias)
	w := httptest.NewRecorder()
	b.engine.ServeHTTP(w, httptest.NewRequestWithContext(b.t.Context(), http.MethodPost, "/v1.41/networks/"+network+"/connect", strings.NewReader(body)))
	if w.Code != http.StatusOK {
		b.t.Fatalf("connect: %d %s", w.Code, w.Body)
	}
}

func (b *cleanBed) settings(change func(*store.Settings)) {
	b.t.Helper()
	s, err := b.db.Settings(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	change(&s)
	b.update(func(tx *store.Tx) error { return tx.SaveSettings(b.t.Context(), s) })
}

// archives are all that the store has, in any state.
func (b *cleanBed) archives(of store.Instance) []store.Archive {
	b.t.Helper()
	all, _, err := b.db.Archives(b.t.Context(), store.ArchiveFilter{InstanceID: of.ID, States: []store.ArchiveState{
		store.ArchiveMaking, store.ArchiveReady, store.ArchiveRestoring, store.ArchiveRestored, store.ArchiveDeleting,
	}}, store.Page{Limit: 100})
	if err != nil {
		b.t.Fatal(err)
	}
	return all
}

// removed cleans the instance up and returns its archive.
func (b *cleanBed) removed(inst store.Instance) store.Archive {
	b.t.Helper()
	b.want(b.apply(b.plan(Selection{InstanceID: inst.ID})), inst, store.ResultRemoved)
	all := b.archives(inst)
	if len(all) != 1 || all[0].State != store.ArchiveReady {
		b.t.Fatalf("archives of %s: %+v", inst.Name, all)
	}
	return all[0]
}

func (b *cleanBed) restored(a store.Archive, ch Choices) store.InstanceView {
	b.t.Helper()
	view, err := b.cleaner.Restore(b.t.Context(), a.ID, ch, "user:ben")
	if err != nil {
		b.t.Fatal(err)
	}
	return view
}

// kept are the names that archives have on the engine.
func (b *cleanBed) kept() []string {
	var names []string
	for _, name := range b.engine.Images() {
		if strings.HasPrefix(name, keepRef("")) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// wantNothingKept checks that a removal that came to nothing has left nothing.
func (b *cleanBed) wantNothingKept(of store.Instance) {
	b.t.Helper()
	if names := b.kept(); len(names) > 0 {
		b.t.Errorf("left on the engine: %v", names)
	}
	if all := b.archives(of); len(all) > 0 {
		b.t.Errorf("archives left: %+v", all)
	}
	b.wantEvent("archive.discarded", of.ID, 1)
	b.wantEvent("archive.made", of.ID, 0)
}

// wantBack checks that an instance is there as it was, as one container.
func (b *undoBed) wantBack(view store.InstanceView, name string) {
	b.t.Helper()
	ct := b.engine.Container(view.ContainerID)
	if ct == nil || ct.Name() != name {
		b.t.Fatalf("its container is not there: %+v", view)
	}
	for path, text := range bedFiles {
		if got, ok := ct.Read(path); !ok || got != text {
			b.t.Errorf("%s: %q, want %q", path, got, text)
		}
	}
	got, err := b.adapter.Inspect(b.t.Context(), view.ContainerID)
	if err != nil {
		b.t.Fatal(err)
	}
	want := b.labels(b.inst.ID)
	want["team"] = "shop"
	if !maps.Equal(got.Labels, want) {
		b.t.Errorf("labels %v, want %v", got.Labels, want)
	}
	if view.ID != b.inst.ID || view.Status != store.StatusStopped || view.Intended != store.IntendedStopped {
		b.t.Errorf("row: %s is %s, meant to be %s", view.ID, view.Status, view.Intended)
	}
	b.wantOne(view.ID)
}

// wantOne checks that one container and one row are that instance.
func (b *cleanBed) wantOne(id string) {
	b.t.Helper()
	rows, err := b.adapter.List(b.t.Context(), docker.ListOptions{Labels: []string{docker.LabelInstance + "=" + id}})
	if err != nil || len(rows) != 1 {
		b.t.Errorf("%d containers are instance %s: %v", len(rows), id, err)
	}
	if _, err := b.db.Instance(b.t.Context(), id); err != nil {
		b.t.Errorf("its row: %v", err)
	}
}

// settled ends what was left to a recovery.
func (b *cleanBed) settled() {
	b.t.Helper()
	b.engine.ClearFaults()
	for range 2 {
		if err := b.cleaner.Recover(b.t.Context()); err != nil {
			b.t.Errorf("recover: %v", err)
		}
		time.Sleep(lateAnswer)
	}
	if _, err := b.cleaner.ExpireArchives(b.t.Context()); err != nil {
		b.t.Errorf("expire: %v", err)
	}
	b.wantNoRemovals()
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

func (b *cleanBed) imageOf(inst store.Instance) string {
	b.t.Helper()
	ct, err := b.adapter.Inspect(b.t.Context(), inst.ContainerID)
	if err != nil {
		b.t.Fatal(err)
	}
	return ct.ImageID
}
