package store_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

func TestRequestCounts(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		_, inst := storetest.Shop(t, db)
		proxy := standalone("a.example")
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertRoute(ctx, proxy) })
		writes := db.RouteWrites()
		add := func(counts ...store.RequestCount) {
			t.Helper()
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.AddRequests(ctx, counts) })
		}
		add(store.RequestCount{ID: proxy.ID, Requests: 3, Errors: 1, LastAt: noon}, store.RequestCount{ID: inst.ID, Requests: 1, LastAt: noon}, store.RequestCount{ID: "gone", Requests: 9, LastAt: noon})
		add(store.RequestCount{ID: proxy.ID, Requests: 2, LastAt: noon.Add(-time.Hour)})
		if db.RouteWrites() != writes {
			t.Error("a request that is counted has the table of routes made anew")
		}
		got, err := db.RequestCounts(ctx, proxy.ID, inst.ID, "nobody")
		if err != nil || len(got) != 2 || got[proxy.ID] != (store.RequestCount{ID: proxy.ID, Requests: 5, Errors: 1, LastAt: noon}) || got[inst.ID].Requests != 1 {
			t.Errorf("counted are %+v, %v", got, err)
		}
		if got, err := db.RequestCounts(ctx); err != nil || len(got) != 0 {
			t.Errorf("of nobody: %+v, %v", got, err)
		}
		for _, c := range []struct {
			before time.Time
			want   int
		}{{noon, 0}, {noon.Add(time.Hour), 1}} {
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
				n, err := tx.PruneRequestCounts(ctx, c.before)
				if n != c.want {
					t.Errorf("before %s %d are forgotten, want %d", c.before, n, c.want)
				}
				return err
			})
		}
		if got, err := db.RequestCounts(ctx, proxy.ID, inst.ID, "gone"); err != nil || len(got) != 2 {
			t.Errorf("left are %+v, %v", got, err)
		}
	})
}

func TestWhatMovesTheTableOfRoutes(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		stage, _ := storetest.Shop(t, db)
		moves := func(what string, want bool, fn func(ctx context.Context, tx *store.Tx) error) {
			t.Helper()
			before := db.RouteWrites()
			storetest.Update(t, db, fn)
			if moved := db.RouteWrites() != before; moved != want {
				t.Errorf("%s: moved is %t", what, moved)
			}
		}
		host := store.Host{ID: store.NewID(), Name: "second", Endpoint: "tcp://engine.lan:2376", Revision: 1}
		moves("a new host", true, func(ctx context.Context, tx *store.Tx) error { return tx.InsertHost(ctx, host) })
		moves("a host out of use", true, func(ctx context.Context, tx *store.Tx) error {
			return tx.SetHostDisabled(ctx, host.ID, noon)
		})
		moves("what a scan notes", false, func(ctx context.Context, tx *store.Tx) error {
			h, err := tx.Host(ctx, stage.HostID)
			h.LastScanAt = noon
			return errors.Join(err, tx.UpdateHost(ctx, h))
		})
		moves("settings", true, func(ctx context.Context, tx *store.Tx) error {
			s, err := tx.Settings(ctx)
			s.RefusedTargets = "10.0.0.0/8"
			return errors.Join(err, tx.SaveSettings(ctx, s))
		})
		moves("an event", false, func(ctx context.Context, tx *store.Tx) error {
			return tx.Emit(ctx, store.Event{Time: noon, Severity: store.SeverityInfo, Source: store.SourceSystem, Kind: "test.done", Message: "done", Actor: "system"})
		})
	})
}

func TestSecretsOfRoutesAreSealed(t *testing.T) {
	const secret = "a-secret-that-nobody-may-read"
	storetest.BothOptions(t, func(t *testing.T, o store.Options) {
		db := storetest.With(t, o)
		ctx := t.Context()
		stage, inst := storetest.Shop(t, db)
		proxy := standalone("a.example")
		proxy.Secrets = secret
		route := store.Route{
			ID: store.NewID(), ProjectID: stage.ProjectID, StageID: stage.ID, InstanceID: inst.ID, Port: 80, TLS: "off", Options: `{}`, Secrets: secret, Enabled: true,
			Owner: "user:anna", Notes: "for the fair", Domains: []store.RouteAddress{address("b.example")}, Revision: 1,
		}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.InsertRoute(ctx, proxy), tx.InsertRoute(ctx, route))
		})
		for _, id := range []string{proxy.ID, route.ID} {
			if got, err := db.Route(ctx, id); err != nil || got.Secrets != secret || got.Owner != "user:anna" || got.Notes == "" {
				t.Errorf("it is %+v, %v", got.Route, err)
			}
		}
		kept, err := db.ArchivedRoutes(ctx, inst.ID)
		if err != nil || len(kept) != 1 || len(kept[0].Secrets) == 0 || bytes.Contains(kept[0].Secrets, []byte(secret)) || kept[0].Notes != "for the fair" {
			t.Errorf("an archive would keep %+v, %v", kept, err)
		}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.DeleteRoute(ctx, route.ID), tx.RestoreRoute(ctx, inst, kept[0]))
		})
		if got, err := db.Route(ctx, route.ID); err != nil || got.Secrets != secret || got.Owner != "user:anna" {
			t.Errorf("put back it is %+v, %v", got.Route, err)
		}
		for _, file := range []string{"docker-watcher.db", "docker-watcher.db-wal"} {
			if raw, err := os.ReadFile(filepath.Join(o.DataDir, file)); err == nil && bytes.Contains(raw, []byte(secret)) {
				t.Errorf("%s holds the secret open", file)
			}
		}
		proxy.Secrets = ""
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.UpdateRoute(ctx, proxy) })
		if got, err := db.Route(ctx, proxy.ID); err != nil || got.Secrets != "" {
			t.Errorf("without secrets it is %+v, %v", got.Route, err)
		}
	})
}
