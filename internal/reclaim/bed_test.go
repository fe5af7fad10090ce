package reclaim

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/canarytest"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// bed is a reclaimer over a real SQLite file and a pretend engine, in a bubble whose clock stands in 2026.
type bed struct {
	*Reclaimer
	t      *testing.T
	engine *dockertest.Engine
	host   store.Host
	stage  store.Stage
}

func inBed(t *testing.T, o dockertest.Options, test func(t *testing.T, b *bed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)))
		engine := dockertest.New(t, o)
		adapter, err := docker.New(docker.Options{Endpoint: engine.Endpoint(), Dial: engine.Dial, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		b := newBed(t, adapter)
		b.engine = engine
		test(t, b)
		if err := adapter.Close(); err != nil {
			t.Error(err)
		}
	})
}

// newBed is a bed on any engine.
func newBed(t *testing.T, adapter *docker.Engine) *bed {
	t.Helper()
	info, err := adapter.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{t: t}
	db := storetest.Open(t)
	b.host = storetest.Host(t, db, func(h *store.Host) { h.Name, h.EngineID, h.DataRoot = "local", info.EngineID, info.DataRoot })
	b.stage = storetest.Stage(t, db, b.host, storetest.Project(t, db), func(s *store.Stage) { s.Spec.Env = []store.EnvVar{canarytest.Env()} })
	fleet := docker.NewFleet()
	fleet.Add(b.host.ID, adapter)
	b.Reclaimer = New(db, fleet, canarytest.Log(t, db))
	return b
}

func (b *bed) update(fn func(ctx context.Context, tx *store.Tx) error) {
	b.t.Helper()
	storetest.Update(b.t, b.db, fn)
}

// brought puts an image on the engine that a deploy of ours has pulled.
func (b *bed) brought(ref string, edit ...func(*dockertest.Image)) string {
	b.t.Helper()
	i := dockertest.Image{Ref: ref, Size: 10 << 20}
	for _, e := range edit {
		e(&i)
	}
	id := b.engine.AddImage(i)
	b.note(id, ref, false)
	return id
}

func (b *bed) note(id, ref string, foreign bool) {
	b.t.Helper()
	b.update(func(ctx context.Context, tx *store.Tx) error {
		return tx.PutPulledImage(ctx, store.PulledImage{HostID: b.host.ID, ImageID: id, Ref: ref, Foreign: foreign, PulledAt: time.Now().Add(-time.Hour)})
	})
}

// used remembers a removed instance that used an image.
func (b *bed) used(id string, refs ...string) {
	b.t.Helper()
	b.update(func(ctx context.Context, tx *store.Tx) error {
		return tx.PutRemnants(ctx, []store.Remnant{{
			HostID: b.host.ID, Kind: store.RemnantImage, Name: id, Refs: refs, InstanceID: store.NewID(), Instance: "shop-dev-gone",
			Project: "shop", Stage: "dev", ImageTag: "1.0", LastUsedAt: time.Now().AddDate(0, 0, -20), RemovedAt: time.Now(),
		}})
	})
}

// left is an image that we brought, that a removed instance used, and that nobody needs.
func (b *bed) left(ref string, edit ...func(*dockertest.Image)) string {
	b.t.Helper()
	id := b.brought(ref, edit...)
	b.used(id, ref)
	return id
}

// keep adds an archive that needs an image.
func (b *bed) keep(imageID string, edit ...func(*store.Archive)) store.Archive {
	b.t.Helper()
	a := store.Archive{
		ID: store.NewID(), State: store.ArchiveMaking, InstanceID: store.NewID(), HostID: b.host.ID, Name: "shop-dev-kept",
		Image: "shop", ImageTag: "1.0", ImageID: imageID, Actor: "user:anna",
	}
	a.KeepRef = store.ArchiveRepository + ":" + a.ID
	for _, e := range edit {
		e(&a)
	}
	b.update(func(ctx context.Context, tx *store.Tx) error {
		if err := tx.InsertArchive(ctx, a, store.ArchiveContents{}); err != nil {
			return err
		}
		return tx.FinishArchive(ctx, a.ID, time.Now(), time.Now().AddDate(0, 0, 14))
	})
	return a
}

// plant adds an instance that uses an image.
func (b *bed) plant(imageID string, edit ...func(*store.Instance)) store.Instance {
	b.t.Helper()
	return storetest.Instance(b.t, b.db, b.stage, append([]func(*store.Instance){func(i *store.Instance) {
		i.ImageID, i.Status, i.Name = imageID, store.StatusStopped, "shop-dev-here"
	}}, edit...)...)
}

func (b *bed) tag(id, ref string) {
	b.t.Helper()
	e, err := b.fleet.Engine(b.host.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := e.TagImage(b.t.Context(), id, ref); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bed) look() Left {
	b.t.Helper()
	left, err := b.Look(b.t.Context(), b.host.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	return left
}

func (b *bed) image(id string) Image {
	b.t.Helper()
	left := b.look()
	at := slices.IndexFunc(left.Images, func(i Image) bool { return i.ID == id })
	if at < 0 {
		b.t.Fatalf("image %s is not listed: %+v", id, left.Images)
	}
	return left.Images[at]
}

func (b *bed) plan(ids ...string) store.ReclaimPlan {
	b.t.Helper()
	plan, err := b.Plan(b.t.Context(), b.host.ID, ids, "user:anna")
	if err != nil {
		b.t.Fatal(err)
	}
	return plan
}

func (b *bed) apply(plan store.ReclaimPlan) store.ReclaimPlan {
	b.t.Helper()
	done, err := b.Apply(b.t.Context(), plan.ID, "user:anna", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return done
}

// there are the names by which the engine has an image; ok is false when it has none such.
func (b *bed) there(id string) (names []string, ok bool) {
	b.t.Helper()
	e, err := b.fleet.Engine(b.host.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	img, err := e.InspectImage(b.t.Context(), id)
	if errors.Is(err, docker.ErrNotFound) {
		return nil, false
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return slices.Sorted(slices.Values(img.Tags)), true
}

func (b *bed) events(kind string) []store.Event {
	b.t.Helper()
	all, _, err := b.db.Events(b.t.Context(), store.EventFilter{}, store.Page{Limit: 1000})
	if err != nil {
		b.t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(e store.Event) bool { return e.Kind != kind })
}

func (b *bed) wantEvents(kind string, n int) {
	b.t.Helper()
	if got := b.events(kind); len(got) != n {
		b.t.Errorf("%d events %s, want %d: %v", len(got), kind, n, got)
	}
}

// wantRefused checks a refusal, its words and its event.
func (b *bed) wantRefused(err, want error, says string) {
	b.t.Helper()
	if !errors.Is(err, want) || !strings.Contains(err.Error(), says) {
		b.t.Errorf("got %v, want %v that says %q", err, want, says)
	}
	if got := b.events("reclaim.refused"); len(got) == 0 || got[0].Actor != "user:anna" {
		b.t.Errorf("no event of the refusal: %v", got)
	}
}
