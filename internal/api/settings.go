package api

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/tiny-forge/docker-watcher/internal/routing"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

type settingsJSON struct {
	StaleThresholdDays   int    `json:"stale_threshold_days" minimum:"1" maximum:"3650"`
	ScanInterval         string `json:"scan_interval" doc:"auto (a seventh of the smallest threshold in force, at least 1 h), or from 10s to 30d"`
	EventRetentionDays   int    `json:"event_retention_days"`
	ArchiveRetentionDays int    `json:"archive_retention_days"`
	PlanMaxItems         int    `json:"plan_max_items" doc:"of one cleanup"`
	MassChangePercent    int    `json:"mass_change_percent" doc:"share of a host's instances that may vanish or flip at once"`
	AutoCleanup          bool   `json:"auto_cleanup"`
	AutoWarmUp           string `json:"auto_warm_up" doc:"automatic cleanup waits so long after a start and after blind time"`
	ArchiveLayerMaxBytes int64  `json:"archive_layer_max_bytes" doc:"a larger writable layer is not kept for an undo"`
	PollInterval         string `json:"poll_interval" doc:"how often registries are asked for the tags of stages that do not say it themselves"`
	TrustedProxies       string `json:"trusted_proxies" doc:"networks of the proxies before this page and the built-in proxy whose X-Forwarded headers are believed"`
	RefusedTargets       string `json:"refused_targets" doc:"networks that no route may lead to, beside those that never may"`
	RequireFactor        bool   `json:"require_second_factor" doc:"whoever signs in by a password needs a second factor"`
	UpdatedAt            moment `json:"updated_at"`
	ScanIntervalSeconds  int64  `json:"scan_interval_seconds" doc:"in force now"`
}

// settingsChange describes a change in the document; store.Settings.Apply is what reads it.
type settingsChange struct {
	StaleThresholdDays   int    `json:"stale_threshold_days,omitempty" minimum:"1" maximum:"3650"`
	ScanInterval         string `json:"scan_interval,omitempty" doc:"auto, or from 10s to 30d"`
	EventRetentionDays   int    `json:"event_retention_days,omitempty" minimum:"1" maximum:"3650"`
	ArchiveRetentionDays int    `json:"archive_retention_days,omitempty" minimum:"0" maximum:"365"`
	PlanMaxItems         int    `json:"plan_max_items,omitempty" minimum:"1" maximum:"500"`
	MassChangePercent    int    `json:"mass_change_percent,omitempty" minimum:"1" maximum:"100"`
	AutoCleanup          bool   `json:"auto_cleanup,omitempty"`
	AutoWarmUp           string `json:"auto_warm_up,omitempty" doc:"from 1m to 7d"`
	ArchiveLayerMaxBytes int64  `json:"archive_layer_max_bytes,omitempty" minimum:"0" maximum:"1099511627776"`
	PollInterval         string `json:"poll_interval,omitempty" doc:"from 30s to 7d"`
	TrustedProxies       string `json:"trusted_proxies,omitempty" doc:"with commas between them, such as 10.0.0.0/8, 192.168.1.7"`
	RefusedTargets       string `json:"refused_targets,omitempty" doc:"as trusted_proxies"`
	RequireFactor        bool   `json:"require_second_factor,omitempty" doc:"whoever signs in by a password needs a second factor"`
}

func settingsBody[I, O any](fn func(context.Context, *I) (*O, error)) mounter {
	return rawBody[settingsChange](fn, true)
}

func (s *server) getSettings(ctx context.Context, _ *none) (*out[settingsJSON], error) {
	now, err := s.d.DB.Settings(ctx)
	if err != nil {
		return nil, err
	}
	interval, err := s.d.Scanner.Interval(ctx)
	if err != nil {
		return nil, err
	}
	texts := now.JSON()
	text, _ := texts["scan_interval"].(string) // always there, as the store's own tests say
	warmUp, _ := texts["auto_warm_up"].(string)
	return answer(settingsJSON{
		StaleThresholdDays: now.StaleThresholdDays, ScanInterval: text, EventRetentionDays: now.EventRetentionDays,
		ArchiveRetentionDays: now.ArchiveRetentionDays, PlanMaxItems: now.PlanMaxItems, MassChangePercent: now.MassChangePercent,
		AutoCleanup: now.AutoCleanup, AutoWarmUp: warmUp, ArchiveLayerMaxBytes: now.ArchiveLayerMax, PollInterval: store.SpanText(now.PollInterval),
		TrustedProxies: now.TrustedProxies, RefusedTargets: now.RefusedTargets, RequireFactor: now.RequireFactor, UpdatedAt: moment(now.UpdatedAt), ScanIntervalSeconds: int64(interval.Seconds()),
	}), nil
}

type settingsIn struct{ RawBody []byte }

// updateSettings changes all that are named, or none. The new ones are in force at once.
func (s *server) updateSettings(ctx context.Context, in *settingsIn) (*out[settingsJSON], error) {
	patch, err := readObject(in.RawBody)
	if err != nil {
		return nil, err
	}
	if len(patch) == 0 {
		return nil, invalid("body", "at least one setting is expected")
	}
	var changed []string
	err = s.d.DB.Update(ctx, func(tx *store.Tx) error {
		before, err := tx.Settings(ctx)
		if err != nil {
			return err
		}
		after, err := before.Apply(patch)
		if err != nil {
			return wrongFields("body", err)
		}
		if changed = changedSettings(before, after); len(changed) == 0 {
			return nil
		}
		if err := s.saveSettings(ctx, tx, after, slices.Contains(changed, "refused_targets")); err != nil {
			return err
		}
		return tx.Emit(ctx, settingsEvent(ctx, before, after, changed))
	})
	if err != nil {
		return nil, err
	}
	if len(changed) > 0 {
		s.thresholdsChanged(ctx)
	}
	if slices.Contains(changed, "trusted_proxies") {
		s.peers.changed()
	}
	if slices.Contains(changed, "trusted_proxies") || slices.Contains(changed, "refused_targets") {
		if err := s.serveRoutes(ctx); err != nil {
			return nil, err
		}
	}
	return s.getSettings(ctx, &none{})
}

// saveSettings writes settings. What would have routes that are well refused is not saved, as then no table could be served any more.
func (s *server) saveSettings(ctx context.Context, tx *store.Tx, after store.Settings, refuses bool) error {
	save := func() error { return tx.SaveSettings(ctx, after) }
	if !refuses {
		return save()
	}
	return s.keepsTable(ctx, tx, "body.refused_targets", save)
}

// keepsTable saves something that all routes depend on, unless that made what was well in their table wrong: it is a matter of a field then.
func (s *server) keepsTable(ctx context.Context, tx *store.Tx, field string, save func() error) error {
	former, err := routing.TableFaults(ctx, tx, s.d.Routes.Policy)
	if err != nil {
		return err
	}
	if err := save(); err != nil {
		return err
	}
	now, err := routing.TableFaults(ctx, tx, s.d.Routes.Policy)
	if err != nil {
		return err
	}
	var fields []ProblemField
	for _, f := range now {
		if !slices.Contains(former, f) {
			fields = append(fields, ProblemField{field, fmt.Sprintf("%s is in the way (%s): %s; change it or switch it off first", f.Address, f.Field, f.Reason)})
		}
	}
	return wrongRoute(fields)
}

func changedSettings(before, after store.Settings) []string {
	old := before.JSON()
	var names []string
	for name, value := range after.JSON() {
		if !reflect.DeepEqual(old[name], value) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func settingsEvent(ctx context.Context, before, after store.Settings, changed []string) store.Event {
	e := apiEvent(ctx, "settings.changed", "settings changed: "+strings.Join(changed, ", "))
	e.Source = store.SourceSettings
	old, now := before.JSON(), after.JSON()
	for _, name := range changed {
		e.Data[name] = map[string]any{"from": old[name], "to": now[name]}
	}
	return e
}
