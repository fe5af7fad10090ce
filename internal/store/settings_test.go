package store_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

func patch(t testing.TB, text string) map[string]json.RawMessage {
	t.Helper()
	var p map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSettingsApply(t *testing.T) {
	got, err := store.DefaultSettings().Apply(patch(t, `{"stale_threshold_days": 3650, "scan_interval": "36h", "event_retention_days": 1.0,
		"archive_retention_days": 0, "plan_max_items": 5e2, "mass_change_percent": 100, "auto_cleanup": true,
		"auto_warm_up": "90m", "archive_layer_max_bytes": 0, "poll_interval": "30s",
		"trusted_proxies": "10.1.2.3/8,192.168.1.7 fd00::1", "refused_targets": ""}`))
	if err != nil {
		t.Fatal(err)
	}
	want := store.Settings{
		StaleThresholdDays: 3650, ScanInterval: 36 * time.Hour, EventRetentionDays: 1, ArchiveRetentionDays: 0, PlanMaxItems: 500,
		MassChangePercent: 100, AutoCleanup: true, AutoWarmUp: 90 * time.Minute, PollInterval: 30 * time.Second,
		TrustedProxies: "10.0.0.0/8, 192.168.1.7/32, fd00::1/128",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got, err := want.Apply(patch(t, `{"scan_interval": "auto"}`)); err != nil || got.ScanInterval != 0 || got.StaleThresholdDays != 3650 {
		t.Errorf("auto: %+v, %v", got, err)
	}
}

func TestSettingsRefuse(t *testing.T) {
	for field, values := range map[string][]string{
		"stale_threshold_days":    {`0`, `-1`, `3651`, `1e300`, `99999999999999999999`, `"7"`, `7.5`, `null`, `true`, `[7]`, `{}`, `-0.0`, `+7`},
		"event_retention_days":    {`0`, `3651`, `""`},
		"archive_retention_days":  {`-1`, `366`, `null`},
		"plan_max_items":          {`0`, `501`},
		"mass_change_percent":     {`0`, `101`},
		"auto_cleanup":            {`1`, `"true"`, `null`},
		"scan_interval":           {`"9s"`, `"31d"`, `"0s"`, `"-1h"`, `"+1h"`, `""`, `"h"`, `"1h30m"`, `"1.5h"`, `" 1h"`, `3600`, `null`, `"AUTO"`, `"99999999999d"`},
		"auto_warm_up":            {`"59s"`, `"8d"`, `"0s"`, `"auto"`, `3600`, `null`, `"1h30m"`},
		"archive_layer_max_bytes": {`-1`, `1099511627777`, `"1GiB"`, `0.5`, `null`},
		"poll_interval":           {`"29s"`, `"8d"`, `"auto"`, `300`, `null`, `""`},
		"trusted_proxies":         {`"10.0.0.0/33"`, `"everybody"`, `null`, `["10.0.0.0/8"]`, `"fe80::1%eth0"`},
		"refused_targets":         {`"10.0.0.0/8; 1.1.1.1"`, `7`},
		"cleanup_policy":          {`{}`},
		"stale_treshold_days":     {`7`},
		"":                        {`7`},
	} {
		for _, value := range values {
			p := map[string]json.RawMessage{field: json.RawMessage(value)}
			before := store.DefaultSettings()
			got, err := before.Apply(p)
			var wrong store.FieldError
			if !errors.As(err, &wrong) || wrong.Field != field || wrong.Reason == "" {
				t.Errorf("%s = %s: error is %v", field, value, err)
			}
			if got != before {
				t.Errorf("%s = %s: something changed", field, value)
			}
		}
	}
}

func TestSettingsRefuseAllOrNothing(t *testing.T) {
	before := store.DefaultSettings()
	got, err := before.Apply(patch(t, `{"stale_threshold_days": 3, "plan_max_items": 0, "nonsense": 1}`))
	if got != before {
		t.Errorf("half of it was taken: %+v", got)
	}
	if err == nil || !strings.Contains(err.Error(), "plan_max_items") || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("error is %v, want both fields", err)
	}
}

func TestSettingsAreKept(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		got, err := db.Settings(ctx)
		if err != nil || got != store.DefaultSettings() {
			t.Errorf("fresh: %+v, %v", got, err)
		}
		want := store.Settings{
			StaleThresholdDays: 3, ScanInterval: 90 * time.Minute, EventRetentionDays: 30, ArchiveRetentionDays: 7, PlanMaxItems: 10,
			MassChangePercent: 25, AutoCleanup: true, AutoWarmUp: 2 * time.Hour, ArchiveLayerMax: 5 << 30, PollInterval: time.Hour,
		}
		save := func(s store.Settings) error {
			return db.Update(ctx, func(tx *store.Tx) error { return tx.SaveSettings(ctx, s) })
		}
		for range 2 {
			if err := save(want); err != nil {
				t.Fatal(err)
			}
		}
		got, err = db.Settings(ctx)
		if err != nil || got.UpdatedAt.IsZero() {
			t.Errorf("updated at %v, %v", got.UpdatedAt, err)
		}
		want.UpdatedAt = got.UpdatedAt
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		bad := want
		bad.StaleThresholdDays, bad.ScanInterval = 0, time.Second
		err = save(bad)
		if err == nil || !strings.Contains(err.Error(), "stale_threshold_days") || !strings.Contains(err.Error(), "scan_interval") {
			t.Errorf("error is %v, want both fields", err)
		}
		if after, err := db.Settings(ctx); err != nil || after != got {
			t.Errorf("after a refused change: %+v, %v", after, err)
		}
		if err := save(store.DefaultSettings()); err != nil {
			t.Error(err)
		}
		back, err := db.Settings(ctx)
		back.UpdatedAt = time.Time{}
		if err != nil || back != store.DefaultSettings() {
			t.Errorf("back to the defaults: %+v, %v", back, err)
		}
		store.Exec(t, db, `UPDATE settings SET value = '"none"' WHERE name = 'plan_max_items'`)
		_, err = db.Settings(ctx)
		wantErr(t, err, store.ErrUnreadable)
	})
}

func TestParseStaleAfter(t *testing.T) {
	for text, want := range map[string]store.StaleAfter{
		"1s": {After: time.Second}, "10s": {After: 10 * time.Second}, "36h": {After: 36 * time.Hour}, "7d": {After: 7 * 24 * time.Hour},
		"90m": {After: 90 * time.Minute}, "3650d": {After: 3650 * 24 * time.Hour}, "never": {Never: true},
	} {
		got, err := store.ParseStaleAfter(text)
		if err != nil || got != want || got.String() != text || got.Validate() != nil {
			t.Errorf("%s: %v (%s), %v", text, got, got.String(), err)
		}
	}
	if got, err := store.ParseStaleAfter("48h"); err != nil || got.String() != "2d" {
		t.Errorf("48h: %v, %v", got, err)
	}
	for _, text := range []string{
		"", "0s", "-1s", "+1s", "1", "s", "1.5h", "1h30m", "500ms", " 7d", "7 d", "7D", "Never", "never ", "3651d", "99999999999999999999s",
		"4294967295d", "1e3s", "٣d", "0x10s", "1_0s", "7d\n",
	} {
		if got, err := store.ParseStaleAfter(text); err == nil {
			t.Errorf("%q was taken as %v", text, got)
		}
	}
	for _, s := range []store.StaleAfter{{}, {After: time.Millisecond}, {After: -time.Hour}, {After: 4000 * 24 * time.Hour}} {
		if s.Validate() == nil {
			t.Errorf("%v is valid", s)
		}
	}
}

func FuzzParseStaleAfter(f *testing.F) {
	for _, s := range []string{"10s", "36h", "7d", "never", "", "-1s", "1h30m", "9223372036854775807s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := store.ParseStaleAfter(text)
		if err != nil {
			return
		}
		if !s.Never && (s.After < time.Second || s.After > 3650*24*time.Hour) {
			t.Fatalf("%q is %v", text, s.After)
		}
		again, err := store.ParseStaleAfter(s.String())
		if err != nil || again != s {
			t.Fatalf("%q is %v, and back %v, %v", text, s, again, err)
		}
	})
}

func FuzzSettingsApply(f *testing.F) {
	for _, s := range []string{`{"stale_threshold_days": 7}`, `{"scan_interval": "36h"}`, `{"auto_cleanup": null}`, `{"plan_max_items": 1e2}`, `{"x": []}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var p map[string]json.RawMessage
		if json.Unmarshal([]byte(text), &p) != nil {
			return
		}
		before := store.DefaultSettings()
		got, err := before.Apply(p)
		if err != nil && got != before {
			t.Fatalf("%s was refused and taken", text)
		}
		if err := got.Validate(); err != nil {
			t.Fatalf("%s was taken: %v", text, err)
		}
		out, err := json.Marshal(got.JSON())
		if err != nil {
			t.Fatal(err)
		}
		if again, err := before.Apply(patch(t, string(out))); err != nil || again != got {
			t.Fatalf("%s does not come back: %v", out, err)
		}
	})
}

func TestSettingsJSONNamesAreThoseOfTheIssue(t *testing.T) {
	want := map[string]any{
		"stale_threshold_days": 7, "scan_interval": "auto", "event_retention_days": 90, "archive_retention_days": 14,
		"plan_max_items": 50, "mass_change_percent": 50, "auto_cleanup": false, "auto_warm_up": "1h",
		"archive_layer_max_bytes": int64(1 << 30), "poll_interval": "5m",
		"trusted_proxies": "", "refused_targets": "", "require_second_factor": false,
	}
	if diff := cmp.Diff(want, store.DefaultSettings().JSON()); diff != "" {
		t.Error(diff)
	}
}
