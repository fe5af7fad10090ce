package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// try runs one write and returns its error.
func try(t *testing.T, db *store.DB, fn func(ctx context.Context, tx *store.Tx) error) error {
	t.Helper()
	return db.Update(t.Context(), func(tx *store.Tx) error { return fn(t.Context(), tx) })
}

func TestHosts(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		want := storetest.Host(t, db, func(h *store.Host) { h.Name = "b" })
		first := storetest.Host(t, db, func(h *store.Host) { h.Name = "a" })
		want.ClockSkew, want.FrozenSince, want.FrozenReason = -1500*time.Millisecond, noon, "clock skew"
		want.LastScanAt, want.LastGoodScan, want.EngineID = noon.Add(time.Second), noon.Add(2*time.Second), "another"
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.UpdateHost(ctx, want) })
		got, err := db.Host(t.Context(), want.ID)
		if err != nil {
			t.Fatal(err)
		}
		want.CreatedAt, want.UpdatedAt = got.CreatedAt, got.UpdatedAt
		if diff := cmp.Diff(want, got); diff != "" || got.CreatedAt.IsZero() {
			t.Error(diff)
		}
		for _, at := range []time.Time{noon.Add(time.Hour), noon} { // the second is older, and changes nothing
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SetWatchedUntil(ctx, want.ID, at) })
		}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.UpdateHost(ctx, want) })
		if got, err = db.Host(t.Context(), want.ID); err != nil || !got.WatchedUntil.Equal(noon.Add(time.Hour)) {
			t.Errorf("watched until %s, %v", got.WatchedUntil, err)
		}
		all, err := db.Hosts(t.Context())
		if err != nil || len(all) != 2 || all[0].ID != first.ID {
			t.Errorf("hosts: %+v, %v", all, err)
		}
		wantErr(t, try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.UpdateHost(ctx, store.Host{ID: "nobody"}) }), store.ErrNotFound)
		twin := first
		twin.ID = store.NewID()
		wantErr(t, try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertHost(ctx, twin) }), store.ErrConflict)
		_, err = db.Host(t.Context(), "nobody")
		wantErr(t, err, store.ErrNotFound)
	})
}

func TestProjects(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		p := storetest.Project(t, db, func(p *store.Project) { p.Name = "shop" })
		p.StaleAfter, p.Image = &store.StaleAfter{After: time.Hour}, "ghcr.io/acme/shop"
		update := func(p store.Project) error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.UpdateProject(ctx, p) })
		}
		if err := update(p); err != nil {
			t.Fatal(err)
		}
		wantErr(t, update(p), store.ErrConflict) // of an older revision now
		got, err := db.ProjectByName(ctx, "shop")
		if err != nil {
			t.Fatal(err)
		}
		want := p
		want.Revision, want.CreatedAt, want.UpdatedAt = 1, got.CreatedAt, got.UpdatedAt
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		wantErr(t, update(store.Project{ID: "nobody", Name: "x"}), store.ErrNotFound)
		other := storetest.Project(t, db, func(p *store.Project) { p.Name = "other" })
		other.Name = "shop"
		wantErr(t, update(other), store.ErrConflict)
		insert := func(name string) error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error {
				return tx.InsertProject(ctx, store.Project{ID: store.NewID(), Name: name})
			})
		}
		wantErr(t, insert("shop"), store.ErrConflict)
		for _, name := range []string{"", "-a", "A", "a b", "a_b", "ä", "a\n", strings.Repeat("a", 64)} {
			var field store.FieldError
			if err := insert(name); !errors.As(err, &field) || field.Field != "name" {
				t.Errorf("name %q: %v", name, err)
			}
		}
		for _, name := range []string{"a", "0", "a-", strings.Repeat("a", 63)} {
			if err := insert(name); err != nil {
				t.Errorf("name %q: %v", name, err)
			}
		}

		remove := func(id string) error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.DeleteProject(ctx, id) })
		}
		s := storetest.Stage(t, db, storetest.Host(t, db), p)
		wantErr(t, remove(p.ID), store.ErrConflict)
		if err := try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.DeleteStage(ctx, s.ID) }); err != nil {
			t.Fatal(err)
		}
		if err := remove(p.ID); err != nil {
			t.Error(err)
		}
		wantErr(t, remove(p.ID), store.ErrNotFound)
		_, err = db.Project(ctx, p.ID)
		wantErr(t, err, store.ErrNotFound)
	})
}

func TestProjectPages(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		var want []string
		for n := range 12 {
			want = append(want, fmt.Sprintf("p-%02d", n))
			storetest.Project(t, db, func(p *store.Project) { p.Name = want[n] })
		}
		for _, limit := range []int{0, 1, 5, 12, 5000} {
			var got []string
			for cursor := ""; ; {
				items, next, err := db.Projects(t.Context(), store.Page{Limit: limit, Cursor: cursor})
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range items {
					got = append(got, p.Name)
				}
				if cursor = next; next == "" {
					break
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("limit %d: %s", limit, diff)
			}
		}
		_, _, err := db.Projects(t.Context(), store.Page{Cursor: "x"})
		wantErr(t, err, store.ErrBadCursor)
	})
}

func TestStages(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		h, p := storetest.Host(t, db), storetest.Project(t, db)
		var i store.Instance
		full(&i)
		s := storetest.Stage(t, db, h, p, func(s *store.Stage) {
			s.Name, s.Kind, s.Spec, s.StaleAfter, s.Drain = "preview", store.StagePreview, i.Spec, &store.StaleAfter{Never: true}, 1500*time.Millisecond
			s.Strategy, s.ParallelMax, s.Domain = store.StrategyParallel, 7, "{{tag}}.example.com"
		})
		same := func(want store.Stage) {
			t.Helper()
			got, err := db.StageByName(ctx, p.ID, want.Name)
			if err != nil {
				t.Fatal(err)
			}
			want.CreatedAt, want.UpdatedAt = got.CreatedAt, got.UpdatedAt
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		}
		same(s)
		update := func(s store.Stage) error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.UpdateStage(ctx, s) })
		}
		changed := s
		changed.Name, changed.Spec, changed.StaleAfter, changed.KeepLast, changed.Drain = "renamed", store.Spec{Env: []store.EnvVar{{Name: "A", Value: "B"}}}, nil, 0, time.Minute
		if err := update(changed); err != nil {
			t.Fatal(err)
		}
		wantErr(t, update(changed), store.ErrConflict)
		changed.Revision = 1
		same(changed)
		changed.Spec.Env = nil
		if err := update(changed); err != nil {
			t.Fatal(err)
		}
		if got, err := db.Stage(ctx, s.ID); err != nil || len(got.Spec.Env) != 0 {
			t.Errorf("env: %+v, %v", got.Spec.Env, err)
		}
		wantErr(t, update(store.Stage{ID: "nobody", Name: "x", HostID: h.ID}), store.ErrNotFound)

		storetest.Stage(t, db, h, storetest.Project(t, db))
		ofProject, err := db.Stages(ctx, p.ID)
		if err != nil || len(ofProject) != 1 {
			t.Errorf("of the project: %+v, %v", ofProject, err)
		}
		all, err := db.Stages(ctx, "")
		if err != nil || len(all) != 2 {
			t.Errorf("all: %+v, %v", all, err)
		}
		insert := func(s store.Stage) error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertStage(ctx, s) })
		}
		wantErr(t, insert(store.Stage{ID: store.NewID(), ProjectID: p.ID, HostID: h.ID, Name: "renamed"}), store.ErrConflict)
		wantErr(t, insert(store.Stage{ID: store.NewID(), ProjectID: "nobody", HostID: h.ID, Name: "x"}), store.ErrConflict)
		remove := func() error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.DeleteStage(ctx, s.ID) })
		}
		storetest.Instance(t, db, s)
		wantErr(t, remove(), store.ErrConflict)
		_, err = db.StageByName(ctx, p.ID, "preview")
		wantErr(t, err, store.ErrNotFound)
	})
}
