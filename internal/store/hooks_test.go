package store_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
	"github.com/tiny-forge/docker-watcher/internal/tagrule"
)

func TestHooks(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		g, other := aRegistry(), aRegistry(func(g *store.Registry) { g.Name, g.Host = "other", "other.example" })
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.InsertRegistry(ctx, g, "s3cret"), tx.InsertRegistry(ctx, other, ""))
		})
		none := func(id string) {
			t.Helper()
			if row, secret, err := db.HookSecret(ctx, id); !errors.Is(err, store.ErrNotFound) || secret != "" {
				t.Errorf("%+v, %q, %v; want that there is none", row, secret, err)
			}
		}
		none(g.ID)
		none("no-such")
		set := func(id, secret string) error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SetHook(ctx, id, secret) })
		}
		if err := set("no-such", "x"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("of no registry: %v", err)
		}
		heard := func(id string, at time.Time) error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.NoteHookHeard(ctx, id, at) })
		}
		if err := heard(g.ID, noon); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("heard without a webhook: %v", err)
		}
		for _, secret := range []string{"canary-first", "canary-second"} {
			if err := set(g.ID, secret); err != nil {
				t.Fatal(err)
			}
			row, got, err := db.HookSecret(ctx, g.ID)
			if err != nil || got != secret || row.Name != g.Name || row.Hook.MadeAt.IsZero() || !row.Hook.HeardAt.IsZero() || row.Revision != 1 {
				t.Fatalf("%+v, %q, %v", row, got, err)
			}
			if err := heard(g.ID, noon); err != nil {
				t.Fatal(err)
			}
			if row, err = db.Registry(ctx, g.ID); err != nil || !row.Hook.HeardAt.Equal(noon) || !row.PasswordSet {
				t.Errorf("%+v, %v", row, err)
			}
		}
		none(other.ID)
		drop := func(id string) error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.DeleteHook(ctx, id) })
		}
		if err := errors.Join(drop(g.ID)); err != nil {
			t.Fatal(err)
		}
		if err := drop(g.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a second time: %v", err)
		}
		none(g.ID)
		if row, password, err := db.RegistryLogin(ctx, g.Host); err != nil || password != "s3cret" || row.Hook != (store.Hook{}) {
			t.Errorf("%+v, %q, %v", row, password, err)
		}
	})
}

// Only those become due that follow the repositories named.
func TestPollImagesAtOnce(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		host := storetest.Host(t, db)
		later := time.Now().Add(time.Hour)
		rule := &tagrule.Rule{Kind: tagrule.Glob, Pattern: "*"}
		ids := map[string]string{}
		for name, image := range map[string]string{"a": "r.example/shop", "b": "r.example/shop", "c": "r.example/blog", "d": "r.example/shop"} {
			p := storetest.Project(t, db, func(p *store.Project) { p.Name, p.Image = "p"+name, image })
			st := storetest.Stage(t, db, host, p, func(s *store.Stage) {
				if s.Name = name; name != "d" {
					s.TagRule = rule
				}
			})
			ids[name] = st.ID
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
				return tx.SavePoll(ctx, store.StagePoll{StageID: st.ID, NextAt: later, Error: "why " + name})
			})
		}
		now := time.Now().UTC().Truncate(time.Millisecond)
		ask := func(images ...string) (n int) {
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) (err error) {
				now = now.Add(time.Millisecond)
				n, err = tx.PollImagesAtOnce(ctx, images, now)
				return err
			})
			return n
		}
		if n := ask(); n != 0 {
			t.Errorf("%d stages of no repository", n)
		}
		if n := ask("r.example/shop", "r.example/none"); n != 2 {
			t.Errorf("%d stages became due", n)
		}
		if n := ask("r.example/shop"); n != 0 {
			t.Errorf("%d stages became due that were", n)
		}
		uses, err := db.ImageUses(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var due, follow []string
		for _, u := range uses {
			if u.Poll.NextAt.Equal(now) { // of the last time that they were asked for
				due = append(due, u.Stage)
			}
			if u.Follows {
				follow = append(follow, u.Stage)
			}
			if u.StageID != ids[u.Stage] || u.Project != "p"+u.Stage || u.Poll.Error != "why "+u.Stage || !strings.HasPrefix(u.Image, "r.example/") {
				t.Errorf("%+v", u)
			}
		}
		if !slices.Equal(due, []string{"a", "b"}) || !slices.Equal(follow, []string{"a", "b", "c"}) {
			t.Errorf("due %v, following %v", due, follow)
		}
		images, err := db.FollowedImages(ctx)
		if err != nil || !slices.Equal(images, []string{"r.example/blog", "r.example/shop"}) {
			t.Errorf("followed: %v, %v", images, err)
		}
	})
}
