package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// aPolicy says something on everything.
func aPolicy() store.Policy {
	action, after, keep, most, share := store.ActionCleanup, 36*time.Hour, 3, 20, 50
	return store.Policy{
		StaleAfter: &store.StaleAfter{After: 48 * time.Hour}, Action: &action, CleanupAfter: &after,
		Window:   &store.Window{Days: []time.Weekday{time.Monday}, From: hour(2, 0), Until: hour(5, 0), Zone: "Europe/Berlin"},
		KeepLast: &keep, MaxPerRun: &most, MaxSharePercent: &share,
	}
}

func says(action store.PolicyAction) store.Policy { return store.Policy{Action: &action} }

func TestResolve(t *testing.T) {
	said := aPolicy()
	inForce := store.PolicyInForce{
		StaleAfter: *said.StaleAfter, Action: *said.Action, CleanupAfter: *said.CleanupAfter, Window: *said.Window, KeepLast: 3,
		MaxPerRun: 20, MaxSharePercent: 50,
	}
	from := func(p store.PolicyInForce, l store.PolicyLevel) store.PolicyInForce {
		p.StaleAfterFrom, p.ActionFrom, p.CleanupAfterFrom, p.WindowFrom, p.KeepLastFrom = l, l, l, l, l
		p.MaxPerRunFrom, p.MaxSharePercentFrom = l, l
		return p
	}
	builtIn := from(store.PolicyInForce{
		StaleAfter: store.StaleAfter{After: 7 * 24 * time.Hour}, Action: store.ActionWarn, CleanupAfter: 24 * time.Hour, KeepLast: 2,
		MaxPerRun: 10, MaxSharePercent: 25,
	}, store.LevelDefault)
	spared := from(inForce, store.LevelProject)
	spared.Action, spared.ActionFrom = store.ActionWarn, store.LevelDefault
	threshold := builtIn
	threshold.StaleAfter.After, threshold.StaleAfterFrom = 14*24*time.Hour, store.LevelGlobal
	warned := from(inForce, store.LevelGlobal)
	warned.Action, warned.ActionFrom = store.ActionWarn, store.LevelStage
	var none store.Policy
	for _, c := range []struct {
		name                   string
		kind                   store.StageKind
		global, project, stage store.Policy
		days                   int
		want                   store.PolicyInForce
	}{
		{"nobody says anything", store.StageDev, none, none, none, 7, builtIn},
		{"only the global threshold", store.StageDev, none, none, none, 14, threshold},
		{"global", store.StagePreview, said, none, none, 7, from(inForce, store.LevelGlobal)},
		{"a project stands above it", store.StagePreview, says(store.ActionWarn), said, none, 7, from(inForce, store.LevelProject)},
		{"a stage stands above both", store.StagePreview, says(store.ActionWarn), says(store.ActionWarn), said, 14, from(inForce, store.LevelStage)},
		{"a stage may take it back", store.StageDev, said, none, says(store.ActionWarn), 7, warned},
		{"production is only warned of", store.StageProduction, said, said, none, 7, spared},
		{"production that says so itself", store.StageProduction, none, none, said, 7, from(inForce, store.LevelStage)},
	} {
		if diff := cmp.Diff(c.want, store.Resolve(c.kind, c.global, c.project, c.stage, c.days)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestPolicyText(t *testing.T) {
	want := aPolicy()
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	const whole = `{"action":"cleanup","cleanup_after":"36h","keep_last":3,"max_per_run":20,"max_share_percent":50,` +
		`"window":{"days":["mon"],"from":"02:00","until":"05:00","time_zone":"Europe/Berlin"}}`
	if string(text) != whole {
		t.Errorf("text is %s", text)
	}
	var got store.Policy
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	want.StaleAfter = nil // has a column of its own
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, empty := range []string{`{}`, `{"action":null,"window":null,"keep_last":null}`, `null`} {
		got := aPolicy()
		if err := json.Unmarshal([]byte(empty), &got); err != nil || cmp.Diff(store.Policy{}, got) != "" {
			t.Errorf("%s: %+v, %v", empty, got, err)
		}
	}
	if out, err := json.Marshal(store.Policy{}); err != nil || string(out) != `{}` {
		t.Errorf("nothing is %s, %v", out, err)
	}
}

func TestPolicyRefuses(t *testing.T) {
	for field, values := range map[string][]string{
		"action":            {`"remove"`, `""`, `true`, `"Cleanup"`},
		"cleanup_after":     {`"-1h"`, `"366d"`, `"1h30m"`, `3600`, `"never"`, `""`},
		"keep_last":         {`-1`, `101`, `"2"`, `1.5`},
		"max_per_run":       {`0`, `501`, `[]`},
		"max_share_percent": {`0`, `101`, `"25%"`},
		"window":            {`"always"`, `{"day":"mon"}`},
		"window.from":       {},
		"stale_after":       {`"7d"`, `null`},
		"actoin":            {`"warn"`, `null`},
	} {
		for _, value := range values {
			got := aPolicy()
			err := json.Unmarshal([]byte(`{"`+field+`":`+value+`}`), &got)
			var wrong store.FieldError
			if !errors.As(err, &wrong) || wrong.Field != field || wrong.Reason == "" {
				t.Errorf("%s = %s: error is %v", field, value, err)
			}
			if cmp.Diff(aPolicy(), got) != "" {
				t.Errorf("%s = %s: half of it was taken", field, value)
			}
		}
	}
	bad := aPolicy()
	*bad.Action, *bad.CleanupAfter, *bad.KeepLast, *bad.MaxPerRun, *bad.MaxSharePercent = "x", -1, 101, 0, 0
	bad.Window.Zone, bad.StaleAfter = "Mars", &store.StaleAfter{}
	err := bad.Validate()
	for _, field := range []string{"action", "cleanup_after", "keep_last", "max_per_run", "max_share_percent", "window.time_zone", "stale_after"} {
		if err == nil || !strings.Contains(err.Error(), field+": ") {
			t.Errorf("%s is not in: %v", field, err)
		}
	}
	if err := errors.Join(aPolicy().Validate(), store.Policy{}.Validate()); err != nil {
		t.Errorf("what is right is refused: %v", err)
	}
}

func TestPoliciesOfEachLevel(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		p := storetest.Project(t, db)
		s := storetest.Stage(t, db, storetest.Host(t, db), p, func(s *store.Stage) { s.KeepLast = store.KeepInherit })
		levels := func(global, project, stage store.Policy) {
			t.Helper()
			g, errG := db.GlobalPolicy(ctx)
			pr, errP := db.ProjectPolicy(ctx, p.ID)
			st, errS := db.StagePolicy(ctx, s.ID)
			if err := errors.Join(errG, errP, errS); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]store.Policy{global, project, stage}, []store.Policy{g, pr, st}); diff != "" {
				t.Errorf("levels (-want +got):\n%s", diff)
			}
			// What is in force follows at once, however it is asked for.
			settings, err := db.Settings(ctx)
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]store.PolicyInForce{s.ID: store.Resolve(s.Kind, global, project, stage, settings.StaleThresholdDays)}
			check := func(q interface {
				Policies(context.Context, ...string) (map[string]store.PolicyInForce, error)
			},
			) {
				t.Helper()
				for _, ids := range [][]string{nil, {s.ID, "nobody"}} {
					if got, err := q.Policies(ctx, ids...); err != nil || cmp.Diff(want, got) != "" {
						t.Errorf("in force: %v, %s", err, cmp.Diff(want, got))
					}
				}
			}
			check(db)
			check(db)
			storetest.Update(t, db, func(_ context.Context, tx *store.Tx) error {
				check(tx)
				return nil
			})
		}
		var none store.Policy
		levels(none, none, none)

		whole := aPolicy()
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SetGlobalPolicy(ctx, whole) })
		levels(whole, none, none)
		if settings, err := db.Settings(ctx); err != nil || settings.StaleThresholdDays != 2 {
			t.Errorf("global threshold: %+v, %v", settings, err)
		}
		setProject := func(p store.Policy, id string, revision int64) error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SetProjectPolicy(ctx, id, p, revision) })
		}
		setStage := func(p store.Policy, id string, revision int64) error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SetStagePolicy(ctx, id, p, revision) })
		}
		if err := errors.Join(setProject(says(store.ActionWarn), p.ID, 0), setStage(whole, s.ID, 0)); err != nil {
			t.Fatal(err)
		}
		levels(whole, says(store.ActionWarn), whole)
		if st, err := db.Stage(ctx, s.ID); err != nil || st.KeepLast != 3 || st.StaleAfter.String() != "2d" || st.Revision != 1 {
			t.Errorf("stage: %+v, %v", st, err)
		}
		wantErr(t, setProject(none, p.ID, 0), store.ErrConflict)
		wantErr(t, setStage(none, s.ID, 0), store.ErrConflict)
		wantErr(t, setProject(none, "nobody", 0), store.ErrNotFound)
		wantErr(t, setStage(none, "nobody", 0), store.ErrNotFound)
		wrong := says("remove")
		never := store.Policy{StaleAfter: &store.StaleAfter{Never: true}}
		hours := store.Policy{StaleAfter: &store.StaleAfter{After: 36 * time.Hour}}
		setGlobal := func(p store.Policy) error {
			return try(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SetGlobalPolicy(ctx, p) })
		}
		for _, err := range []error{setProject(wrong, p.ID, 1), setStage(wrong, s.ID, 1), setGlobal(wrong), setGlobal(never), setGlobal(hours)} {
			if _, wrong := errors.AsType[store.FieldError](err); !wrong {
				t.Errorf("error is %v", err)
			}
		}
		levels(whole, says(store.ActionWarn), whole)

		if err := errors.Join(setProject(never, p.ID, 1), setStage(none, s.ID, 1), setGlobal(none)); err != nil {
			t.Fatal(err)
		}
		levels(none, never, none)

		// The ways that were there before lead to the same places.
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			settings := store.DefaultSettings()
			settings.StaleThresholdDays = 3
			st, err := tx.Stage(ctx, s.ID)
			if err != nil {
				return err
			}
			st.KeepLast = 0
			pr, err := tx.Project(ctx, p.ID)
			if err != nil {
				return err
			}
			pr.StaleAfter = nil
			return errors.Join(tx.SaveSettings(ctx, settings), tx.UpdateStage(ctx, st), tx.UpdateProject(ctx, pr))
		})
		nothing := 0
		levels(store.Policy{StaleAfter: &store.StaleAfter{After: 3 * 24 * time.Hour}}, none, store.Policy{KeepLast: &nothing})
		_, err := db.ProjectPolicy(ctx, "nobody")
		wantErr(t, err, store.ErrNotFound)
		_, err = db.StagePolicy(ctx, "nobody")
		wantErr(t, err, store.ErrNotFound)
	})
}

func TestPoliciesAreReadOnce(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		s, i := storetest.Shop(t, db)
		ask := func() store.PolicyInForce {
			t.Helper()
			all, err := db.Policies(t.Context(), s.ID)
			if err != nil {
				t.Fatal(err)
			}
			return all[s.ID]
		}
		ask()
		store.Exec(t, db, `UPDATE stages SET policy = '{"action":"cleanup"}'`) // behind our back
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
			return tx.SetIntended(ctx, i.ID, store.IntendedStopped)
		})
		if ask().Action != store.ActionWarn {
			t.Error("read anew although no policy was written")
		}
		boom := errors.New("boom")
		wantErr(t, try(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.SetGlobalPolicy(ctx, store.Policy{}), boom)
		}), boom)
		storetest.Stage(t, db, storetest.Host(t, db), storetest.Project(t, db))
		if ask().Action != store.ActionCleanup {
			t.Error("not read anew although a stage was added")
		}
		all, err := db.Policies(t.Context())
		if err != nil || len(all) != 2 {
			t.Fatalf("%d policies, %v", len(all), err)
		}
		clear(all) // ours, not the store's
		if all, err := db.Policies(t.Context()); err != nil || len(all) != 2 {
			t.Errorf("%d policies, %v", len(all), err)
		}
	})
}
