package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

func address(domain string) store.RouteAddress {
	return store.RouteAddress{Domain: domain, PathPrefix: "/"}
}

func standalone(domains ...string) store.Route {
	r := store.Route{ID: store.NewID(), Standalone: true, Targets: []string{"http://10.0.0.5:3000", "http://10.0.0.6:3000"}, TLS: "off", Options: "{}", Enabled: true, Owner: "user:anna", Notes: "Old Printer", Revision: 1}
	for _, d := range domains {
		r.Domains = append(r.Domains, address(d))
	}
	return r
}

func TestRoutesAndStandaloneProxies(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		stage, inst := storetest.Shop(t, db)
		proxy := standalone("b.example", "a.example")
		route := store.Route{ID: store.NewID(), ProjectID: stage.ProjectID, StageID: stage.ID, InstanceID: inst.ID, Port: 80, TLS: "off", Options: `{"maintenance":true}`, Enabled: true, Domains: []store.RouteAddress{{Domain: "b.example", PathPrefix: "/api"}}, Revision: 1}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.InsertRoute(ctx, proxy), tx.InsertRoute(ctx, route))
		})
		got, err := db.Route(t.Context(), proxy.ID)
		if err != nil || !got.Standalone || !slices.Equal(got.Targets, proxy.Targets) || !slices.Equal(got.Domains, []store.RouteAddress{address("a.example"), address("b.example")}) || got.Owner != "user:anna" || got.Revision != 1 || got.Instance != "" {
			t.Errorf("it is %+v, %v", got, err)
		}
		got, err = db.Route(t.Context(), route.ID)
		if err != nil || got.Standalone || got.Instance != inst.Name || got.Container != inst.ContainerID || got.Status != store.StatusRunning || got.Port != 80 || got.Options != route.Options || got.Host == "" {
			t.Errorf("it is %+v, %v", got, err)
		}
		expect := func(f store.RouteFilter, want ...string) {
			t.Helper()
			rows, _, err := db.Routes(t.Context(), f, store.Page{})
			var ids []string
			for _, r := range rows {
				ids = append(ids, r.ID)
			}
			if err != nil || !slices.Equal(ids, want) {
				t.Errorf("%+v finds %q, want %q, %v", f, ids, want, err)
			}
		}
		off := false
		expect(store.RouteFilter{}, route.ID)
		expect(store.RouteFilter{Standalone: true}, proxy.ID)
		expect(store.RouteFilter{All: true}, proxy.ID, route.ID)
		expect(store.RouteFilter{All: true, StageID: stage.ID}, route.ID)
		expect(store.RouteFilter{All: true, StageID: "another"})
		expect(store.RouteFilter{All: true, InstanceID: inst.ID, ProjectID: stage.ProjectID}, route.ID)
		expect(store.RouteFilter{All: true, Text: "PRINTER"}, proxy.ID)
		expect(store.RouteFilter{All: true, Text: "b.example/api"}, route.ID)
		expect(store.RouteFilter{All: true, Text: "%"})
		expect(store.RouteFilter{All: true, Enabled: &off})

		proxy.Enabled, proxy.Domains = false, []store.RouteAddress{address("c.example")}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.UpdateRoute(ctx, proxy) })
		expect(store.RouteFilter{All: true, Enabled: &off}, proxy.ID)
		if rows, err := db.EnabledRoutes(t.Context()); err != nil || len(rows) != 1 || rows[0].ID != route.ID {
			t.Errorf("enabled are %+v, %v", rows, err)
		}
		if err := db.Update(t.Context(), func(tx *store.Tx) error { return tx.UpdateRoute(t.Context(), proxy) }); !errors.Is(err, store.ErrConflict) {
			t.Errorf("a change of an old revision: %v", err)
		}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.DeleteProxy(ctx, proxy.ID), tx.DeleteRoute(ctx, route.ID))
		})
		expect(store.RouteFilter{All: true})
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.InsertRoute(ctx, standalone("a.example", "c.example"))
		})
	})
}

func TestADomainLeadsToOnePlace(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertRoute(ctx, standalone("a.example")) })
		second := standalone("b.example")
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.InsertRoute(ctx, second) })
		second.Domains = append(second.Domains, address("a.example"))
		for what, change := range map[string]func(tx *store.Tx) error{
			"added":   func(tx *store.Tx) error { return tx.InsertRoute(t.Context(), standalone("z.example", "a.example")) },
			"changed": func(tx *store.Tx) error { return tx.UpdateRoute(t.Context(), second) },
		} {
			err := db.Update(t.Context(), change)
			if field, taken := store.IsRouteTaken(err); !taken || field.Field != "domains[1]" {
				t.Errorf("%s: %v", what, err)
			}
		}
		if rows, _, err := db.Routes(t.Context(), store.RouteFilter{All: true}, store.Page{}); err != nil || len(rows) != 2 || len(rows[1].Domains) != 1 {
			t.Errorf("something of it was kept: %+v, %v", rows, err)
		}
	})
}

func TestRoutesAreListedPageByPage(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		const all = 7
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			for n := range all {
				if err := tx.InsertRoute(ctx, standalone(fmt.Sprintf("%d.example", all-n))); err != nil {
					return err
				}
			}
			return nil
		})
		var seen []string
		page := store.Page{Limit: 3}
		for {
			rows, next, err := db.Routes(t.Context(), store.RouteFilter{Standalone: true}, page)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rows {
				seen = append(seen, r.Domains[0].Domain)
			}
			if page.Cursor = next; next == "" {
				break
			}
		}
		if len(seen) != all || !slices.IsSorted(seen) {
			t.Errorf("seen are %q", seen)
		}
	})
}
