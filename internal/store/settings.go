package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// DefaultSettings are in force until a setting is changed.
func DefaultSettings() Settings {
	return Settings{
		StaleThresholdDays:   7,
		EventRetentionDays:   90,
		ArchiveRetentionDays: 14,
		PlanMaxItems:         50,
		MassChangePercent:    50,
		AutoWarmUp:           time.Hour,
		ArchiveLayerMax:      1 << 30,
		PollInterval:         5 * time.Minute,
	}
}

// FieldError says what is wrong with one field, by its API name. Several come
// joined by errors.Join.
type FieldError struct {
	Field  string
	Reason string
}

func (e FieldError) Error() string { return e.Field + ": " + e.Reason }

const (
	settingThreshold  = "stale_threshold_days"
	settingInterval   = "scan_interval"
	settingEvents     = "event_retention_days"
	settingArchives   = "archive_retention_days"
	settingPlanItems  = "plan_max_items"
	settingMassChange = "mass_change_percent"
	settingCleanup    = "auto_cleanup"
	settingWarmUp     = "auto_warm_up"
	settingLayerMax   = "archive_layer_max_bytes"
	settingPoll       = "poll_interval"
	settingTrusted    = "trusted_proxies"
	settingRefused    = "refused_targets"
	settingFactor     = "require_second_factor"
	// settingPolicy is a row beside the settings: what the global policy says.
	settingPolicy = "cleanup_policy"

	autoInterval = "auto"
	minInterval  = 10 * time.Second
	maxInterval  = 30 * day
	minWarmUp    = time.Minute
	maxWarmUp    = 7 * day
	maxLayer     = 1 << 40
)

// whole is a setting that is a whole number within bounds.
type whole struct {
	name     string
	min, max int
	of       func(*Settings) *int
}

var wholes = []whole{
	{settingThreshold, 1, maxThresholdDays, func(s *Settings) *int { return &s.StaleThresholdDays }},
	{settingEvents, 1, 3650, func(s *Settings) *int { return &s.EventRetentionDays }},
	{settingArchives, 0, 365, func(s *Settings) *int { return &s.ArchiveRetentionDays }},
	{settingPlanItems, 1, 500, func(s *Settings) *int { return &s.PlanMaxItems }},
	{settingMassChange, 1, 100, func(s *Settings) *int { return &s.MassChangePercent }},
}

func (w whole) reason() string {
	return fmt.Sprintf("must be a whole number from %d to %d", w.min, w.max)
}

// Validate reports every wrong field, by its API name.
func (s Settings) Validate() error {
	var errs []error
	for _, w := range wholes {
		if n := *w.of(&s); n < w.min || n > w.max {
			errs = append(errs, FieldError{w.name, w.reason()})
		}
	}
	if s.ScanInterval != 0 && (s.ScanInterval < minInterval || s.ScanInterval > maxInterval || s.ScanInterval%time.Second != 0) {
		errs = append(errs, FieldError{settingInterval, intervalReason})
	}
	if s.AutoWarmUp < minWarmUp || s.AutoWarmUp > maxWarmUp || s.AutoWarmUp%time.Second != 0 {
		errs = append(errs, FieldError{settingWarmUp, warmUpReason})
	}
	if s.ArchiveLayerMax < 0 || s.ArchiveLayerMax > maxLayer {
		errs = append(errs, FieldError{settingLayerMax, layerMaxReason})
	}
	if s.PollInterval < minPoll || s.PollInterval > maxPoll || s.PollInterval%time.Second != 0 {
		errs = append(errs, FieldError{settingPoll, pollReason})
	}
	for _, n := range []struct{ name, text string }{{settingTrusted, s.TrustedProxies}, {settingRefused, s.RefusedTargets}} {
		if clean, ok := networks(n.text); !ok || clean != n.text {
			errs = append(errs, FieldError{n.name, networksReason})
		}
	}
	return errors.Join(errs...)
}

const (
	intervalReason = `must be "auto" or a duration from 10s to 30d, such as "36h" or "7d"`
	warmUpReason   = `must be a duration from 1m to 7d, such as "30m" or "1h"`
	networksReason = `must be a text of at most 500 addresses and networks with commas between them, such as "10.0.0.0/8, 192.168.1.7"`
	layerMaxReason = `must be a whole number of bytes from 0 to 1099511627776 (1 TiB)`
)

// JSON returns the settings under their API names.
func (s Settings) JSON() map[string]any {
	interval := autoInterval
	if s.ScanInterval != 0 {
		interval = spanText(s.ScanInterval)
	}
	m := map[string]any{
		settingInterval: interval, settingCleanup: s.AutoCleanup, settingFactor: s.RequireFactor,
		settingWarmUp: spanText(s.AutoWarmUp), settingLayerMax: s.ArchiveLayerMax, settingPoll: spanText(s.PollInterval),
		settingTrusted: s.TrustedProxies, settingRefused: s.RefusedTargets,
	}
	for _, w := range wholes {
		m[w.name] = *w.of(&s)
	}
	return m
}

// Apply returns the settings with a patch of API names and JSON values on them. It
// reports every key that is not known and every value that is not allowed, and
// changes nothing then.
func (s Settings) Apply(patch map[string]json.RawMessage) (Settings, error) {
	next := s
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(patch)) {
		if reason := next.set(name, patch[name]); reason != "" {
			errs = append(errs, FieldError{name, reason})
		}
	}
	if err := errors.Join(errs...); err != nil {
		return s, err
	}
	return next, nil
}

// set takes one value; it returns why not.
func (s *Settings) set(name string, raw json.RawMessage) (reason string) {
	raw = bytes.TrimSpace(raw)
	switch name {
	case settingInterval:
		return s.setInterval(raw)
	case settingWarmUp:
		return s.setWarmUp(raw)
	case settingPoll:
		return s.setPoll(raw)
	case settingTrusted:
		return setNetworks(&s.TrustedProxies, raw)
	case settingRefused:
		return setNetworks(&s.RefusedTargets, raw)
	case settingLayerMax:
		n, ok := wholeNumber(raw)
		if !ok || n < 0 || n > maxLayer {
			return layerMaxReason
		}
		s.ArchiveLayerMax = n
		return ""
	case settingCleanup:
		return setTruth(&s.AutoCleanup, raw)
	case settingFactor:
		return setTruth(&s.RequireFactor, raw)
	}
	for _, w := range wholes {
		if w.name != name {
			continue
		}
		n, ok := wholeNumber(raw)
		if !ok || n < int64(w.min) || n > int64(w.max) {
			return w.reason()
		}
		*w.of(s) = int(n)
		return ""
	}
	return "is not a setting"
}

func setTruth(to *bool, raw []byte) (reason string) {
	switch string(raw) {
	case "true", "false":
		*to = string(raw) == "true"
		return ""
	}
	return "must be true or false"
}

// wholeNumber reads a JSON number; 7.0 and 1e1 are whole, 7.5 and "7" are not.
func wholeNumber(raw []byte) (int64, bool) {
	if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil && json.Valid(raw) {
		return n, true
	}
	var f float64
	if string(raw) == "null" || json.Unmarshal(raw, &f) != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, false
	}
	return int64(f), true
}

func (s *Settings) setInterval(raw []byte) (reason string) {
	var text string
	if json.Unmarshal(raw, &text) != nil || string(raw) == "null" {
		return intervalReason
	}
	if text == autoInterval {
		s.ScanInterval = 0
		return ""
	}
	d, err := parseSpan(text)
	if err != nil || d < minInterval || d > maxInterval {
		return intervalReason
	}
	s.ScanInterval = d
	return ""
}

func (s *Settings) setWarmUp(raw []byte) (reason string) {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return warmUpReason
	}
	d, err := parseSpan(text)
	if err != nil || d < minWarmUp || d > maxWarmUp {
		return warmUpReason
	}
	s.AutoWarmUp = d
	return ""
}

func (s *Settings) setPoll(raw []byte) (reason string) {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return pollReason
	}
	d, err := parseSpan(text)
	if err != nil || d < minPoll || d > maxPoll {
		return pollReason
	}
	s.PollInterval = d
	return ""
}

// mostNetworks is how many networks a setting holds.
const mostNetworks = 500

// networks writes a list of addresses and networks in one way.
func networks(text string) (clean string, ok bool) {
	var out []string
	for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == ' ' }) {
		p, err := netip.ParsePrefix(part)
		if addr, addrErr := netip.ParseAddr(part); addrErr == nil && addr.Zone() == "" {
			p, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			return "", false
		}
		out = append(out, p.Masked().String())
	}
	return strings.Join(out, ", "), len(out) <= mostNetworks
}

func setNetworks(to *string, raw []byte) (reason string) {
	var text string
	if json.Unmarshal(raw, &text) != nil || string(raw) == "null" {
		return networksReason
	}
	clean, ok := networks(text)
	if !ok {
		return networksReason
	}
	*to = clean
	return ""
}

// Settings returns the settings in force.
func (q queries) Settings(ctx context.Context) (Settings, error) {
	s := DefaultSettings()
	type setting struct {
		name, value string
		updated     time.Time
	}
	rows, err := list(ctx, q, "read the settings", func(r row) (v setting, err error) {
		return v, r.Scan(&v.name, &v.value, at{&v.updated})
	}, `SELECT name, value, updated_at FROM settings WHERE name <> '`+settingPolicy+`' ORDER BY name`)
	if err != nil {
		return Settings{}, err
	}
	for _, v := range rows {
		if reason := s.set(v.name, json.RawMessage(v.value)); reason != "" {
			return Settings{}, fmt.Errorf("read the settings: %w: %w", ErrUnreadable, FieldError{v.name, reason})
		}
		if v.updated.After(s.UpdatedAt) {
			s.UpdatedAt = v.updated
		}
	}
	return s, nil
}

// SaveSettings writes the settings that differ from those in force.
func (tx *Tx) SaveSettings(ctx context.Context, s Settings) error {
	if err := s.Validate(); err != nil {
		return err
	}
	before, err := tx.Settings(ctx)
	if err != nil {
		return err
	}
	old := before.JSON()
	for name, value := range s.JSON() {
		if old[name] == value {
			continue
		}
		text, err := jsonOf("write the settings", value)
		if err != nil {
			return err
		}
		if err := tx.setSetting(ctx, name, text); err != nil {
			return err
		}
		if name != settingPoll {
			continue
		}
		if err := tx.pollAllAtOnce(ctx); err != nil {
			return err
		}
	}
	return nil
}

// setSetting writes one row of the settings.
func (tx *Tx) setSetting(ctx context.Context, name, value string) error {
	_, err := tx.exec(ctx, "write the settings",
		`INSERT INTO settings (name, value, updated_at) VALUES ($1, $2, $3)
		ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at`, name, value, now())
	return err
}

// globalThreshold is the SQL of the global threshold in milliseconds.
var globalThreshold = fmt.Sprintf(
	`COALESCE((SELECT CAST(value AS BIGINT) FROM settings WHERE name = '%s'), %d) * %d`,
	settingThreshold, DefaultSettings().StaleThresholdDays, day.Milliseconds())

// SmallestThreshold is the smallest stale threshold in force anywhere (global, projects, stages); it decides the auto scan interval.
func (q queries) SmallestThreshold(ctx context.Context) (time.Duration, error) {
	return one(ctx, q, "find the smallest threshold", func(r row) (time.Duration, error) {
		var ms int64
		err := r.Scan(&ms)
		return time.Duration(ms) * time.Millisecond, err
	}, `SELECT MIN(t) FROM (SELECT `+globalThreshold+` AS t
		UNION ALL SELECT MIN(stale_after) FROM projects WHERE stale_after > 0
		UNION ALL SELECT MIN(stale_after) FROM stages WHERE stale_after > 0) AS thresholds`)
}
