package store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

func aRegistry(edit ...func(*store.Registry)) store.Registry {
	g := store.Registry{
		ID: store.NewID(), Name: "harbor", Host: "harbor.example", Preset: "harbor", Username: "robot$ci", CA: "-----BEGIN CERTIFICATE-----",
		Revision: 1,
	}
	for _, e := range edit {
		e(&g)
	}
	return g
}

func TestRegistries(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		insert := func(g store.Registry, password string) error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertRegistry(ctx, g, password) })
		}
		g := aRegistry()
		if err := insert(g, "s3cret"); err != nil {
			t.Fatal(err)
		}
		open := aRegistry(func(g *store.Registry) { g.Name, g.Host, g.PlainHTTP, g.Username = "attic", "10.0.0.7:5000", true, "" })
		if err := insert(open, ""); err != nil {
			t.Fatal(err)
		}
		g.PasswordSet = true
		for _, want := range []store.Registry{g, open} {
			byName, err := db.RegistryByName(ctx, want.Name)
			if err != nil {
				t.Fatal(err)
			}
			byHost, err := db.RegistryByHost(ctx, want.Host)
			if err != nil || cmp.Diff(byName, byHost) != "" {
				t.Errorf("by host: %+v, %v", byHost, err)
			}
			want.CreatedAt, want.UpdatedAt = byName.CreatedAt, byName.UpdatedAt
			if diff := cmp.Diff(want, byName); diff != "" || byName.CreatedAt.IsZero() {
				t.Error(diff)
			}
		}
		for host, want := range map[string]string{g.Host: "s3cret", open.Host: ""} {
			if row, got, err := db.RegistryLogin(ctx, host); err != nil || got != want || row.Host != host {
				t.Errorf("%s: the password is %q, %v; want %q", row.Host, got, err, want)
			}
		}
		all, err := db.Registries(ctx)
		if err != nil || len(all) != 2 || all[0].Name != "attic" {
			t.Errorf("all: %+v, %v", all, err)
		}

		// A name and a host are one registry's alone.
		wantErr(t, insert(aRegistry(func(g *store.Registry) { g.Host = "other.example" }), ""), store.ErrConflict)
		wantErr(t, insert(aRegistry(func(g *store.Registry) { g.Name = "other" }), ""), store.ErrConflict)
		var field store.FieldError
		if err := insert(aRegistry(func(g *store.Registry) { g.Name = "Not A Name" }), ""); !errors.As(err, &field) || field.Field != "name" {
			t.Errorf("a bad name: %v", err)
		}
		_, err = db.Registry(ctx, "nobody")
		wantErr(t, err, store.ErrNotFound)
		_, _, err = db.RegistryLogin(ctx, "nobody.example")
		wantErr(t, err, store.ErrNotFound)
		_, err = db.RegistryByHost(ctx, "harbor")
		wantErr(t, err, store.ErrNotFound)

		remove := func(id string) error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.DeleteRegistry(ctx, id) })
		}
		if err := remove(g.ID); err != nil {
			t.Error(err)
		}
		wantErr(t, remove(g.ID), store.ErrNotFound)
	})
}

func TestRegistryChanges(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		g := aRegistry()
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertRegistry(ctx, g, "first") })
		update := func(g store.Registry, password *string) error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.UpdateRegistry(ctx, g, password) })
		}
		is := func(want string, revision int64) {
			t.Helper()
			got, err := db.Registry(ctx, g.ID)
			if err != nil || got.Revision != revision || got.PasswordSet != (want != "") {
				t.Errorf("%+v, %v", got, err)
			}
			if _, password, err := db.RegistryLogin(ctx, g.Host); err != nil || password != want {
				t.Errorf("the password is %q, %v; want %q", password, err, want)
			}
		}
		g.Host, g.PlainHTTP, g.CA = "harbor.example:8443", true, ""
		if err := update(g, nil); err != nil {
			t.Fatal(err)
		}
		is("first", 2)
		_, _, err := db.RegistryLogin(ctx, "harbor.example") // where it was before
		wantErr(t, err, store.ErrNotFound)
		second, none := "second", ""
		wantErr(t, update(g, &second), store.ErrConflict) // of an older revision now, and the password with it
		is("first", 2)
		g.Revision = 2
		if err := update(g, &second); err != nil {
			t.Fatal(err)
		}
		is("second", 3)
		g.Revision = 3
		if err := update(g, &none); err != nil {
			t.Fatal(err)
		}
		is("", 4)
		wantErr(t, update(store.Registry{ID: "nobody", Name: "x"}, nil), store.ErrNotFound)

		// What a test found is no change of the registry.
		test := store.RegistryTest{At: noon, By: "user:anna", Class: "rate_limited", Detail: "too many", Took: 12 * time.Millisecond, Repositories: -1}
		may := store.Allowance{Limit: 100, Remaining: 7, Window: 6 * time.Hour, Source: "203.0.113.7", RetryAt: noon.Add(time.Hour), SeenAt: noon}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SetRegistryTested(ctx, g.ID, test, may) })
		got, err := db.Registry(ctx, g.ID)
		if err != nil || got.Revision != 4 || cmp.Diff(test, got.LastTest) != "" || cmp.Diff(may, got.Allowance) != "" {
			t.Errorf("%+v, %v", got, err)
		}
		tested := func(g store.Registry, password *string) bool {
			t.Helper()
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SetRegistryTested(ctx, g.ID, test, may) })
			if err := update(g, password); err != nil {
				t.Fatal(err)
			}
			got, err := db.Registry(ctx, g.ID)
			if err != nil || got.LastTest.At.IsZero() != got.Allowance.SeenAt.IsZero() {
				t.Errorf("%+v, %v", got, err)
			}
			return !got.LastTest.At.IsZero()
		}
		// It counts for the way in which the registry was reached then.
		g.Revision, g.Name = 4, "renamed"
		if !tested(g, nil) {
			t.Error("a test is forgotten with a name")
		}
		g.Revision, g.PlainHTTP = 5, false
		if tested(g, nil) {
			t.Error("a test by plain http counts without it")
		}
		g.Revision = 6
		if tested(g, &second) {
			t.Error("a test of a former password counts")
		}
		wantErr(t, try(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.SetRegistryTested(ctx, "nobody", test, may)
		}), store.ErrNotFound)
	})
}

// TestRegistryPasswordsAreSealed looks into the files of the store, and moves a sealed password to another row.
func TestRegistryPasswordsAreSealed(t *testing.T) {
	const canary = "canary-in-the-cage"
	dir := t.TempDir()
	db := storetest.With(t, store.Options{DataDir: dir})
	one, other := aRegistry(), aRegistry(func(g *store.Registry) { g.Name, g.Host = "other", "other.example" })
	storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
		return errors.Join(tx.InsertRegistry(ctx, one, canary), tx.InsertRegistry(ctx, other, "x"), tx.SetHook(ctx, one.ID, canary))
	})
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), canary) {
			t.Errorf("%s holds the password", filepath.Base(file))
		}
	}
	store.Exec(t, db, `UPDATE registries SET password = (SELECT password FROM registries WHERE id = $1) WHERE id = $2`, one.ID, other.ID)
	if _, got, err := db.RegistryLogin(t.Context(), other.Host); !errors.Is(err, store.ErrUnreadable) || got != "" {
		t.Errorf("a password of another row opens: %q, %v", got, err)
	}
	store.Exec(t, db, `UPDATE registries SET hook_secret = (SELECT hook_secret FROM registries WHERE id = $1) WHERE id = $2`, one.ID, other.ID)
	if _, got, err := db.HookSecret(t.Context(), other.ID); !errors.Is(err, store.ErrUnreadable) || got != "" {
		t.Errorf("a webhook's secret of another row opens: %q, %v", got, err)
	}
}
