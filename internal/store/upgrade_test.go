package store_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// ofTheFirstVersion fills a database of the first schema with one of everything that the next one touches.
func ofTheFirstVersion(exec func(query string, args ...any)) {
	at := noon.UnixMilli()
	exec(`INSERT INTO settings (name, value, updated_at) VALUES ('stale_threshold_days', '9', $1), ('auto_cleanup', 'true', $1)`, at)
	exec(`INSERT INTO hosts (id, name, endpoint, engine_id, data_root, engine_version, api_version, os, arch, clock_skew_ms, frozen_reason, watched_until,
		created_at, updated_at) VALUES ('h', 'one', 'unix:///x', 'e', '/d', '20.10', '1.41', 'linux', 'amd64', 0, '', $1, $1, $1)`, at)
	exec(`INSERT INTO projects (id, name, image, stale_after, created_at, updated_at, revision) VALUES ('p', 'shop', 'r.example/shop', NULL, $1, $1, 4)`, at)
	exec(`INSERT INTO stages (id, project_id, host_id, name, kind, stale_after, keep_last, spec, created_at, updated_at, revision)
		VALUES ('s', 'p', 'h', 'dev', 'dev', 3600000, 3, '{}', $1, $1, 5)`, at)
	for id, status := range map[string]string{"i": "stopped", "j": "removing"} {
		exec(`INSERT INTO instances (id, host_id, project_id, stage_id, name, container_id, ownership, engine_id, image, image_tag, image_id, digest, spec,
			status, intended, exit_code, oom_killed, restart_count, engine_error, policy_run, last_alive_at, evidence, upper_bound, class, stale_since,
			warned_at, check_error, held_back, pinned_by, pin_reason, snoozed_until, snoozed_by, snooze_reason, keep_label, rollback_kept, size_rw,
			created_at, updated_at, revision)
			VALUES ($1, 'h', 'p', 's', 'shop-dev', $2, 'created', 'e', 'r.example/shop', '1.0', 'sha256:1', '', '{}',
			$3, 'running', 1, 0, 0, '', 0, $4, 'finished_at', 0, 'failed', $4, $4, '', '', '', '', $4, 'user:anna', 'later', 0, 0, 0, $4, $4, 6)`,
			id, strings.Repeat(id, 64), status, at)
	}
	exec(`INSERT INTO removals (instance_id, plan_id, host_id, container_id, former, step, restart_count, labels, actor, created_at, updated_at)
		VALUES ('j', 'plan', 'h', 'c', 'stopped', 'deleting', 0, '{}', 'user:anna', $1, $1)`, at)
	exec(`INSERT INTO plans (id, state, single, created_at, created_by, expires_at, applied_at, applied_by, left_out)
		VALUES ('plan', 'applying', 0, $1, 'user:anna', $1, $1, 'user:anna', 0)`, at)
	exec(`INSERT INTO plan_items (plan_id, position, instance_id, host_id, engine_id, data_root, container_id, name, project_id, stage_id, project, stage,
		image_tag, status, class, evidence, upper_bound, reason, restart_count, labels, details, protection, result, result_detail)
		VALUES ('plan', 0, 'j', 'h', 'e', '/d', 'c', 'shop-dev', 'p', 's', 'shop', 'dev', '1.0', 'stopped', 'failed', 'finished_at', 0, 'old', 0,
		'{}', '{"bytes":7}', '{}', '', '')`)
	exec(`INSERT INTO event_log (id, time, severity, source, kind, message, instance_id, actor) VALUES (1, $1, 'warn', 'scanner', 'instance.stale', 'is stale', 'i', 'system')`, at)
	exec(`UPDATE sequences SET value = 1 WHERE name = 'event'`)
	exec(`INSERT INTO deploys (id, project_id, stage_id, host_id, instance_id, replaces, image, image_tag, digest, state, error, actor, created_at)
		VALUES ('d', 'p', 's', 'h', 'i', '', 'r.example/shop', '1.0', '', 'checking', '', 'user:anna', $1)`, at)
	exec(`INSERT INTO archives (id, instance_id, plan_id, host_id, project_id, stage_id, name, image, image_tag, image_id, digest, layer_image, bytes,
		instance_row, actor, removed_at, expires_at) VALUES ('a', 'x', '', 'h', 'p', 's', 'n', '', '', '', '', '', 0, '{}', '', $1, $1)`, at)
}

// TestUpgradeKeepsWhatIsThere opens a database that the first version left.
func TestUpgradeKeepsWhatIsThere(t *testing.T) {
	storetest.BothOptions(t, func(t *testing.T, o store.Options) {
		store.AtVersion(t, o, 1, ofTheFirstVersion)
		db := storetest.With(t, o)
		ctx := t.Context()

		v := view(t, db, "i")
		if v.Status != store.StatusStopped || !v.StaleSince.Equal(noon) || v.SnoozeReason != "later" || v.Revision != 6 || v.StaleAfter.After != time.Hour {
			t.Errorf("instance: %+v", v)
		}
		if !v.TagCheckedAt.IsZero() || !v.TagGoneSince.IsZero() || v.Protection(noon).Kind != store.ProtectionNone {
			t.Errorf("its tag: %+v", v)
		}
		settings, err := db.Settings(ctx)
		if err != nil || settings.StaleThresholdDays != 9 || !settings.AutoCleanup || settings.AutoWarmUp != time.Hour || settings.ArchiveLayerMax != 1<<30 {
			t.Errorf("settings: %+v, %v", settings, err)
		}
		days, keep := store.StaleAfter{After: 9 * 24 * time.Hour}, 3
		if got, err := db.GlobalPolicy(ctx); err != nil || cmp.Diff(store.Policy{StaleAfter: &days}, got) != "" {
			t.Errorf("global policy: %+v, %v", got, err)
		}
		if got, err := db.StagePolicy(ctx, "s"); err != nil || cmp.Diff(store.Policy{StaleAfter: &store.StaleAfter{After: time.Hour}, KeepLast: &keep}, got) != "" {
			t.Errorf("policy of the stage: %+v, %v", got, err)
		}
		if got, err := db.Policies(ctx); err != nil || got["s"].KeepLast != 3 || got["s"].KeepLastFrom != store.LevelStage || got["s"].Action != store.ActionWarn {
			t.Errorf("in force: %+v, %v", got, err)
		}
		h, err := db.Host(ctx, "h")
		if err != nil || h.AutoHeld != "" || !h.WatchedUntil.Equal(noon) {
			t.Errorf("host: %+v, %v", h, err)
		}
		plans, err := db.UnfinishedPlans(ctx)
		if err != nil || len(plans) != 1 || plans[0].Automatic || plans[0].TagGoneYes || !plans[0].ApplyAt.IsZero() || plans[0].Items[0].Details.Bytes != 7 {
			t.Errorf("plans: %+v, %v", plans, err)
		}
		removals, err := db.Removals(ctx)
		if err != nil || len(removals) != 1 || removals[0].ArchiveID != "" || removals[0].Step != store.RemovalDeleting {
			t.Errorf("removals: %+v, %v", removals, err)
		}
		if events, _, err := db.Events(ctx, store.EventFilter{InstanceID: "i"}, store.Page{}); err != nil || len(events) != 1 {
			t.Errorf("events: %+v, %v", events, err)
		}
		if registries, err := db.Registries(ctx); err != nil || len(registries) != 0 {
			t.Errorf("registries: %+v, %v", registries, err)
		}
		if archives := archiveIDs(t, db, store.ArchiveFilter{}, 10); len(archives) != 0 {
			t.Errorf("archives: %v", archives)
		}

		open, err := db.OpenDeploys(ctx)
		if err != nil || len(open) != 1 || open[0].Kind != store.DeployForward || open[0].CancelledBy != "" {
			t.Errorf("deploys: %+v, %v", open, err)
		}
		if s, err := db.Stage(ctx, "s"); err != nil || s.Drain != 10*time.Second {
			t.Errorf("stage: %+v, %v", s, err)
		}

		// And it works as a new one does.
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.FinishRemoval(ctx, "j"); err != nil {
				return err
			}
			if err := tx.InsertRegistry(ctx, aRegistry(), "s3cret"); err != nil {
				return err
			}
			return tx.SetStagePolicy(ctx, "s", store.Policy{}, 5)
		})
		s, err := db.Stage(ctx, "s")
		if err != nil || s.KeepLast != store.KeepInherit || s.TagRule != nil || s.Mode != store.ModeManual || s.MinImageAge != 0 || s.PollInterval != 0 {
			t.Fatalf("stage: %+v, %v", s, err)
		}
		i := storetest.Instance(t, db, s)
		a, c := anArchive(i)
		keepIt := func(ctx context.Context, tx *store.Tx) error { return tx.InsertArchive(ctx, a, c) }
		storetest.Update(t, db, keepIt)
		sameArchive(t, db, a, c)
	})
}
