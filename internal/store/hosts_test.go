package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

func TestHostAccess(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		access := store.HostAccess{CA: "ca", Cert: "cert", ServerName: "engine", HostKey: "ssh-ed25519 AAAA", Plain: true}
		h := storetest.Host(t, db, func(h *store.Host) { h.Name, h.Access, h.Revision = "build-2", access, 1 })
		got, err := db.HostByName(ctx, "build-2")
		if err != nil || got.ID != h.ID || cmp.Diff(access, got.Access) != "" || got.Revision != 1 || !got.DisabledSince.IsZero() {
			t.Fatalf("got %+v, %v", got, err)
		}
		if s, err := db.HostSecrets(ctx, h.ID); err != nil || s != (store.HostSecrets{}) {
			t.Errorf("secrets of one without: %+v, %v", s, err)
		}
		secrets := store.HostSecrets{TLSKey: "key", SSHKey: "other key", Passphrase: "horse"}
		got.Name, got.Endpoint, got.Access = "build-3", "tcp://10.0.0.5:2376", store.HostAccess{Cert: "new"}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.SetHostAccess(ctx, got), tx.SetHostSecrets(ctx, h.ID, secrets))
		})
		if s, err := db.HostSecrets(ctx, h.ID); err != nil || s != secrets {
			t.Errorf("secrets: %+v, %v", s, err)
		}
		// What is written of its health does not touch what people say of it.
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			h, err := tx.Host(ctx, h.ID)
			if err != nil {
				return err
			}
			h.EngineVersion, h.Access = "29", store.HostAccess{}
			return tx.UpdateHost(ctx, h)
		})
		after, err := db.Host(ctx, h.ID)
		if err != nil || after.Name != "build-3" || after.Access.Cert != "new" || after.EngineVersion != "29" || after.Revision != 2 {
			t.Errorf("got %+v, %v", after, err)
		}
		// A change on what is no longer so is refused, and so is a name that is taken.
		for name, change := range map[string]func(ctx context.Context, tx *store.Tx) error{
			"an old revision": func(ctx context.Context, tx *store.Tx) error { return tx.SetHostAccess(ctx, got) },
			"a taken name": func(ctx context.Context, tx *store.Tx) error {
				return tx.InsertHost(ctx, store.Host{ID: store.NewID(), Name: "build-3", Endpoint: "unix:///x"})
			},
		} {
			if err := db.Update(ctx, func(tx *store.Tx) error { return change(ctx, tx) }); !errors.Is(err, store.ErrConflict) {
				t.Errorf("%s: %v", name, err)
			}
		}
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.SetHostDisabled(ctx, h.ID, noon), tx.SetHostSecrets(ctx, h.ID, store.HostSecrets{}))
		})
		after, err = db.Host(ctx, h.ID)
		if s, secretErr := db.HostSecrets(ctx, h.ID); err != nil || secretErr != nil || s != (store.HostSecrets{}) || !after.DisabledSince.Equal(noon) || after.Revision != 3 {
			t.Errorf("got %+v %+v, %v %v", after, s, err, secretErr)
		}
	})
}

// TestHostSecretsAreBoundToTheirHost: sealed keys moved to another row do not open.
func TestHostSecretsAreBoundToTheirHost(t *testing.T) {
	o := store.Options{DataDir: t.TempDir()}
	db := storetest.With(t, o)
	a, b := storetest.Host(t, db), storetest.Host(t, db)
	storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
		return tx.SetHostSecrets(ctx, a.ID, store.HostSecrets{SSHKey: "BEGIN OPENSSH"})
	})
	store.Exec(t, db, `UPDATE hosts SET secrets = (SELECT secrets FROM hosts WHERE id = $1) WHERE id = $2`, a.ID, b.ID)
	if s, err := db.HostSecrets(t.Context(), b.ID); !errors.Is(err, store.ErrUnreadable) || s != (store.HostSecrets{}) {
		t.Errorf("got %+v, %v", s, err)
	}
	if _, err := db.HostSecrets(t.Context(), "none"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if h, err := db.Host(t.Context(), a.ID); err != nil || strings.Contains(h.Endpoint+h.Access.Cert, "OPENSSH") {
		t.Errorf("got %+v, %v", h, err)
	}
}

func TestDeleteHost(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		remove := func(id string) error {
			return db.Update(ctx, func(tx *store.Tx) error { return tx.DeleteHost(ctx, id, noon) })
		}
		s, i := storetest.Shop(t, db)
		wantUse := func(want store.HostUse) {
			t.Helper()
			got, err := db.UseOfHost(ctx, s.HostID, noon)
			if err != nil || got != want {
				t.Errorf("used by %+v, %v; want %+v", got, err, want)
			}
		}
		wantUse(store.HostUse{Instances: 1, Stages: 1})
		plan := func(state store.PlanState, expires time.Time) {
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
				return tx.InsertPlan(ctx, store.Plan{
					ID: store.NewID(), State: state, CreatedAt: noon, ExpiresAt: expires,
					Items: []store.PlanItem{{InstanceID: i.ID, HostID: s.HostID}, {InstanceID: "other", HostID: s.HostID}},
				})
			})
		}
		plan(store.PlanPlanned, noon.Add(-time.Minute)) // these are history
		plan(store.PlanApplied, noon.Add(time.Minute))
		plan(store.PlanCancelled, noon.Add(time.Minute))
		wantUse(store.HostUse{Instances: 1, Stages: 1})
		plan(store.PlanPlanned, noon.Add(time.Minute))
		wantUse(store.HostUse{Instances: 1, Stages: 1, Plans: 1})
		plan(store.PlanApplying, noon.Add(-time.Minute))
		wantUse(store.HostUse{Instances: 1, Stages: 1, Plans: 2, Removals: 1})
		a, c := anArchive(i)
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.InsertArchive(ctx, a, c); err != nil {
				return err
			}
			return tx.InsertDeploy(ctx, store.Deploy{ID: store.NewID(), ProjectID: s.ProjectID, StageID: s.ID, HostID: s.HostID, InstanceID: i.ID, State: store.DeployQueued})
		})
		if use, err := db.UseOfHost(ctx, s.HostID, noon); err != nil || use.Archives != 1 || use.Deploys != 1 || !use.Busy() || !use.Used() {
			t.Errorf("used by %+v, %v", use, err)
		}
		if err := remove(s.HostID); !errors.Is(err, store.ErrConflict) {
			t.Errorf("a host that is used: %v", err)
		}
		if _, err := db.Host(ctx, s.HostID); err != nil {
			t.Errorf("it is gone all the same: %v", err)
		}

		free := storetest.Host(t, db)
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(
				tx.InsertScanRun(ctx, store.ScanRun{ID: store.NewID(), HostID: free.ID, Outcome: store.ScanOK}),
				tx.OpenBlindInterval(ctx, store.BlindInterval{ID: store.NewID(), HostID: free.ID, From: noon, Reason: "unreachable"}),
			)
		})
		if err := remove(free.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Host(ctx, free.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("it is still there: %v", err)
		}
		if err := remove(free.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("twice: %v", err)
		}
	})
}
