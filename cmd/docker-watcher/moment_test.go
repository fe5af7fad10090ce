package main

import (
	"testing"
	"time"
)

func TestMoment(t *testing.T) {
	zone := time.FixedZone("CET", 3600)
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, zone)
	for text, want := range map[string]time.Time{
		"2026-12-24":                time.Date(2026, 12, 24, 0, 0, 0, 0, zone),
		"2026-12-24 18:30":          time.Date(2026, 12, 24, 18, 30, 0, 0, zone),
		"2026-12-24T18:30":          time.Date(2026, 12, 24, 18, 30, 0, 0, zone),
		"2026-12-24T18:30:00Z":      time.Date(2026, 12, 24, 18, 30, 0, 0, time.UTC),
		"2026-11-23T13:00:00+01:00": time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
	} {
		if got, err := moment(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %s %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "tomorrow", "24.12.2026", "2026-13-01", "2026-11-23", "2025-12-24", "2026-11-23T11:59:59+01:00", "7d"} {
		if got, err := moment(text, now); err == nil {
			t.Errorf("%q is read as %s", text, got)
		}
	}
}
