package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

func TestWantedTags(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		s, _ := storetest.Shop(t, db)
		want := func(tags ...string) {
			t.Helper()
			if got, err := db.WantedTags(t.Context(), s.ID); err != nil || cmp.Diff(tags, got) != "" {
				t.Errorf("got %v, %v; want %v", got, err, tags)
			}
		}
		want()
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.WantTags(ctx, s.ID, []string{"lost"}) }) // it was never polled
		want()
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SavePoll(ctx, store.StagePoll{StageID: s.ID}) })
		for _, tags := range [][]string{{"b", "a"}, {"c"}, nil} {
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.WantTags(ctx, s.ID, tags) })
			want(tags...)
		}
	})
}

func TestNoteTags(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		s, _ := storetest.Shop(t, db)
		made := map[string]store.Instance{}
		for name, change := range map[string]func(*store.Instance){
			"there": nil, "gone": nil,
			"paused":  func(i *store.Instance) { i.Status = store.StatusPaused },
			"stopped": func(i *store.Instance) { i.Status = store.StatusStopped },
			"other":   func(i *store.Instance) { i.Image = "elsewhere" },
			"digest":  func(i *store.Instance) { i.ImageTag = "sha256:1" },
			"adopted": func(i *store.Instance) { i.Ownership = store.OwnershipAdopted },
			"unnamed": func(i *store.Instance) { i.Ownership, i.ImageTag = store.OwnershipAdopted, "untagged" },
			"undone":  func(i *store.Instance) { i.Ownership = store.OwnershipCreated }, // one that was adopted came back by an undo
		} {
			made[name] = storetest.Instance(t, db, s, func(i *store.Instance) {
				i.Status, i.Image, i.ImageTag = store.StatusRunning, "shop", name
				if change != nil {
					change(i)
				}
			})
		}
		for name, i := range made {
			kind := store.DeployForward
			if name == "adopted" || name == "unnamed" || name == "undone" {
				kind = store.DeployAdoption
			}
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
				return tx.InsertDeploy(ctx, store.Deploy{
					ID: store.NewID(), Kind: kind, ProjectID: s.ProjectID, StageID: s.ID, HostID: s.HostID, InstanceID: i.ID, Image: i.Image, ImageTag: i.ImageTag,
					State: store.DeployDone, Actor: "user:anna", CreatedAt: noon, EndedAt: noon,
				})
			})
			if brought, err := db.CameByDeploy(t.Context(), i); err != nil || brought != (kind == store.DeployForward) {
				t.Errorf("%s came by a deploy: %v, %v", name, brought, err)
			}
		}
		note := func(after time.Duration, listed ...string) {
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
				return tx.NoteTags(ctx, s.ID, "shop", listed, noon.Add(after))
			})
		}
		want := func(facts map[string][2]time.Duration) {
			t.Helper()
			for name, i := range made {
				v, err := db.Instance(t.Context(), i.ID)
				if err != nil {
					t.Fatal(err)
				}
				f, gone := facts[name]
				if gone != !v.TagGoneSince.IsZero() || gone && (!v.TagGoneSince.Equal(noon.Add(f[0])) || !v.TagCheckedAt.Equal(noon.Add(f[1]))) {
					t.Errorf("%s is gone since %s, last seen so %s; want %v", name, v.TagGoneSince, v.TagCheckedAt, facts[name])
				}
			}
		}
		want(nil)
		note(0, "there")
		want(map[string][2]time.Duration{"gone": {}, "paused": {}})
		before := db.InstanceWrites()
		note(time.Hour, "there")
		want(map[string][2]time.Duration{"gone": {0, time.Hour}, "paused": {0, time.Hour}})
		if db.InstanceWrites() != before {
			t.Error("that nothing is new moved revisions")
		}
		note(2*time.Hour, "there", "gone")
		want(map[string][2]time.Duration{"paused": {0, 2 * time.Hour}})
	})
}

func TestPastDeploysAndWhatIsKept(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		s, i := storetest.Shop(t, db)
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			for n, image := range []string{"shop", "shop", "other"} {
				if err := tx.InsertDeploy(ctx, store.Deploy{
					ID: store.NewID(), ProjectID: s.ProjectID, StageID: s.ID, HostID: s.HostID, Image: image, ImageTag: string(rune('a' + n)), Digest: "d",
					State: store.DeployFailed, Actor: "system:auto", CreatedAt: noon, EndedAt: noon.Add(time.Minute),
				}); err != nil {
					return err
				}
			}
			return tx.SetRollbackKept(ctx, s.ID, []string{i.ID})
		})
		got, err := db.PastDeploys(t.Context(), s.ID, "shop")
		one := store.Deploy{ImageTag: "b", Digest: "d", State: store.DeployFailed, Actor: "system:auto", CreatedAt: noon, EndedAt: noon.Add(time.Minute)}
		two := one
		two.ImageTag = "a"
		if diff := cmp.Diff([]store.Deploy{one, two}, got); diff != "" || err != nil {
			t.Errorf("%s, %v", diff, err)
		}
		if kept, err := db.RollbackKept(t.Context(), s.ID); err != nil || len(kept) != 1 || kept[0] != i.ID {
			t.Errorf("%v, %v", kept, err)
		}
	})
}

func TestLeadBack(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		s, first := storetest.Shop(t, db)
		second := storetest.Instance(t, db, s)
		point := func(i store.Instance, domain string) {
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.PointDomain(ctx, i, domain, 80) })
		}
		point(first, "old.example")
		was, err := db.RouteLeads(t.Context(), s.ID)
		if err != nil || len(was) != 1 || was[0].InstanceID != first.ID || was[0].Port != 80 {
			t.Fatalf("%+v, %v", was, err)
		}
		since := time.Now().Add(-time.Minute)
		back := func(since time.Time) {
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.LeadBack(ctx, second.ID, was, since) })
		}
		want := func(when string, ofFirst, ofSecond int) {
			t.Helper()
			for id, n := range map[string]int{first.ID: ofFirst, second.ID: ofSecond} {
				if got, err := db.RoutesOf(t.Context(), id); err != nil || len(got) != n {
					t.Errorf("%s: %v, %v; want %d", when, got, err, n)
				}
			}
		}
		point(second, "old.example")
		point(second, "new.example")
		want("before", 0, 2)
		back(time.Now().Add(time.Minute))
		want("what was there before stays", 1, 1)
		back(since)
		want("what was made for it goes", 1, 0)
		back(since)
		want("twice", 1, 0)
	})
}
