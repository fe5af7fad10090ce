package api

import (
	"encoding/json"
	"testing"
	"time"
)

func TestMomentsAreWritten(t *testing.T) {
	berlin := time.FixedZone("CET", 3600)
	for want, m := range map[string]time.Time{
		`null`:                        {},
		`"2026-11-23T23:05:09.007Z"`:  time.Date(2026, 11, 23, 23, 5, 9, 7_999_999, time.UTC),
		`"2026-12-31T23:59:59.999Z"`:  time.Date(2027, 1, 1, 0, 59, 59, 999_000_000, berlin),
		`"1970-01-01T00:00:00.000Z"`:  time.UnixMilli(0),
		`"0001-02-03T04:05:06.000Z"`:  time.Date(1, 2, 3, 4, 5, 6, 0, time.UTC),
		`"12026-01-01T00:00:00.100Z"`: time.Date(12026, 1, 1, 0, 0, 0, 100_000_000, time.UTC),
	} {
		if got, err := json.Marshal(moment(m)); err != nil || string(got) != want {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
}

func FuzzMoment(f *testing.F) {
	f.Add(int64(0))
	f.Add(int64(1795478709007))
	f.Add(int64(-62135596800000))
	f.Fuzz(func(t *testing.T, ms int64) {
		m := time.UnixMilli(ms).UTC()
		if got, want := string(appendTime(nil, m)), m.Format(layout); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}
