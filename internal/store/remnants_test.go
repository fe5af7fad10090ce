package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

func TestRemnants(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		h, other := storetest.Host(t, db), storetest.Host(t, db)
		image := store.Remnant{
			HostID: h.ID, Kind: store.RemnantImage, Name: "sha256:1", Refs: []string{"shop:1", "keep:1"}, InstanceID: "i1", Instance: "shop-1",
			Project: "shop", Stage: "dev", ImageTag: "1", LastUsedAt: noon, RemovedAt: noon.Add(10 * time.Hour),
		}
		volume := store.Remnant{HostID: h.ID, Kind: store.RemnantVolume, Name: "data", Anonymous: true, InstanceID: "i1", RemovedAt: noon}
		elsewhere := image
		elsewhere.HostID = other.ID
		put := func(rs ...store.Remnant) {
			t.Helper()
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.PutRemnants(ctx, rs) })
		}
		have := func(host string, kind store.RemnantKind, want ...store.Remnant) {
			t.Helper()
			got, err := db.Remnants(ctx, host, kind)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("remnants: %v (-want +got):\n%s", err, diff)
			}
		}
		put()
		put(image, volume, elsewhere)
		have(h.ID, store.RemnantImage, image)
		have(h.ID, store.RemnantVolume, volume)
		have(other.ID, store.RemnantVolume)

		later := image
		later.Refs, later.InstanceID, later.LastUsedAt, later.RemovedAt = []string{"shop:2", "shop:1"}, "i2", noon.Add(time.Hour), noon.Add(2*time.Hour)
		put(later)
		later.Refs, later.RemovedAt = []string{"keep:1", "shop:1", "shop:2"}, image.RemovedAt
		have(h.ID, store.RemnantImage, later)
		before := image
		before.Refs, before.InstanceID, before.LastUsedAt, before.RemovedAt = []string{"old:1"}, "i0", noon.Add(-time.Hour), noon.Add(20*time.Hour)
		put(before) // was alive before the one that is known: not the last user, but removed last
		later.Refs, later.RemovedAt = []string{"keep:1", "old:1", "shop:1", "shop:2"}, before.RemovedAt
		have(h.ID, store.RemnantImage, later)
		have(other.ID, store.RemnantImage, elsewhere)

		remove := func(kind store.RemnantKind) error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.DeleteRemnant(ctx, h.ID, kind, image.Name) })
		}
		wantErr(t, remove(store.RemnantVolume), store.ErrNotFound)
		if err := remove(store.RemnantImage); err != nil {
			t.Fatal(err)
		}
		wantErr(t, remove(store.RemnantImage), store.ErrNotFound)
		have(h.ID, store.RemnantImage)
		have(other.ID, store.RemnantImage, elsewhere)
		nowhere := image
		nowhere.HostID = "nowhere"
		wantErr(t, try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.PutRemnants(ctx, []store.Remnant{nowhere}) }), store.ErrConflict)
	})
}

func TestPulledImages(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		h, other := storetest.Host(t, db), storetest.Host(t, db)
		ours := store.PulledImage{HostID: h.ID, ImageID: "sha256:1", Ref: "shop:1", PulledAt: noon}
		foreign := store.PulledImage{HostID: h.ID, ImageID: "sha256:2", Ref: "base:1", Foreign: true, PulledAt: noon}
		again := ours
		again.Foreign, again.Ref, again.PulledAt = true, "shop:2", noon.Add(time.Hour)
		claimed := foreign
		claimed.Foreign = false
		elsewhere := ours
		elsewhere.HostID, elsewhere.Foreign = other.ID, true
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			for _, p := range []store.PulledImage{ours, foreign, again, claimed, elsewhere} {
				if err := tx.PutPulledImage(ctx, p); err != nil {
					return err
				}
			}
			return nil
		})
		for host, want := range map[string]map[string]store.PulledImage{
			h.ID: {ours.ImageID: ours, foreign.ImageID: foreign}, other.ID: {ours.ImageID: elsewhere}, "nowhere": {},
		} {
			if got, err := db.PulledImages(t.Context(), host); err != nil || cmp.Diff(want, got) != "" {
				t.Errorf("the first word did not stay: %v, %s", err, cmp.Diff(want, got))
			}
		}
		forget := func() error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.DeletePulledImage(ctx, h.ID, ours.ImageID) })
		}
		if err := forget(); err != nil {
			t.Fatal(err)
		}
		wantErr(t, forget(), store.ErrNotFound)
		if got, err := db.PulledImages(t.Context(), other.ID); err != nil || len(got) != 1 {
			t.Errorf("another host's: %v, %v", got, err)
		}
	})
}

func TestImageIDsInUse(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		s, i := storetest.Shop(t, db, func(i *store.Instance) { i.ImageID = "sha256:1" })
		twin := storetest.Instance(t, db, s, func(i *store.Instance) { i.ImageID, i.Status = "sha256:1", store.StatusFailed })
		storetest.Instance(t, db, s, func(i *store.Instance) { i.ImageID = "" })
		storetest.Shop(t, db, func(i *store.Instance) { i.ImageID = "sha256:elsewhere" })
		want := map[string][]string{}
		for _, state := range []store.ArchiveState{store.ArchiveMaking, store.ArchiveReady, store.ArchiveRestoring, store.ArchiveRestored, store.ArchiveDeleting} {
			a, c := anArchive(i)
			a.State, a.ImageID = state, "sha256:"+string(state)
			keep(t, db, a, c)
			if state != store.ArchiveRestored {
				want[a.ImageID] = []string{a.ID}
			}
		}
		instances, archives, err := db.ImageIDsInUse(t.Context(), s.HostID)
		if err != nil || cmp.Diff(map[string][]string{"sha256:1": {i.ID, twin.ID}}, instances) != "" || cmp.Diff(want, archives) != "" {
			t.Errorf("instances %v, archives %v, %v", instances, archives, err)
		}
	})
}

func TestReclaimPlans(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		use := store.Remnant{HostID: "h", Kind: store.RemnantImage, Name: "sha256:1", Refs: []string{"shop:1"}, InstanceID: "i", LastUsedAt: noon, RemovedAt: noon}
		p := store.ReclaimPlan{
			ID: store.NewID(), HostID: "h", EngineID: "e", DataRoot: "/d", State: store.PlanPlanned, CreatedAt: noon, CreatedBy: "user:anna",
			ExpiresAt: noon.Add(15 * time.Minute),
			Items: []store.ReclaimItem{
				{ImageID: "sha256:2", Refs: []string{"shop:2"}, Bytes: 1 << 40},
				{ImageID: "sha256:1", Refs: []string{"shop:1", "keep:1"}, Bytes: 5, LastUse: use},
			},
		}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertReclaimPlan(ctx, p) })
		same := func(unfinished ...store.ReclaimPlan) {
			t.Helper()
			got, err := db.ReclaimPlan(ctx, p.ID)
			if diff := cmp.Diff(p, got); diff != "" || err != nil {
				t.Errorf("%v, %s", err, diff)
			}
			left, err := db.UnfinishedReclaimPlans(ctx)
			if diff := cmp.Diff(unfinished, left); diff != "" || err != nil {
				t.Errorf("unfinished: %v, %s", err, diff)
			}
		}
		claim := func(id string, now time.Time) error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.ClaimReclaimPlan(ctx, id, "user:bert", now) })
		}
		finish := func() error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error {
				return tx.FinishReclaimPlan(ctx, p.ID, noon.Add(time.Hour))
			})
		}
		result := func(image string) error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error {
				return tx.SetReclaimResult(ctx, p.ID, image, store.ResultInUse, "a container uses it")
			})
		}
		same()
		wantErr(t, claim(p.ID, p.ExpiresAt), store.ErrConflict)
		wantErr(t, claim("nobody", noon), store.ErrNotFound)
		wantErr(t, finish(), store.ErrConflict)
		same()
		if err := claim(p.ID, noon.Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		wantErr(t, claim(p.ID, noon.Add(time.Second)), store.ErrConflict)
		if err := result("sha256:1"); err != nil {
			t.Fatal(err)
		}
		wantErr(t, result("sha256:9"), store.ErrNotFound)
		p.State, p.AppliedAt, p.AppliedBy = store.PlanApplying, noon.Add(time.Second), "user:bert"
		p.Items[1].Result, p.Items[1].Detail = store.ResultInUse, "a container uses it"
		same(p)
		if err := finish(); err != nil {
			t.Fatal(err)
		}
		wantErr(t, finish(), store.ErrConflict)
		p.State, p.DoneAt = store.PlanApplied, noon.Add(time.Hour)
		same()
		_, err := db.ReclaimPlan(ctx, "nobody")
		wantErr(t, err, store.ErrNotFound)
	})
}
