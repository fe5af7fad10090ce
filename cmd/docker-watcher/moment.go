package main

import (
	"fmt"
	"time"
)

// moment reads a date or a time to come: 2026-12-24, "2026-12-24 18:00", both in the zone of this machine, or
// RFC 3339.
func moment(text string, now time.Time) (time.Time, error) {
	for _, layout := range []string{"2006-01-02", "2006-01-02 15:04", "2006-01-02T15:04", time.RFC3339} {
		t, err := time.ParseInLocation(layout, text, now.Location())
		if err != nil {
			continue
		}
		if !t.After(now) {
			return time.Time{}, fmt.Errorf("%s is over already", text)
		}
		return t, nil
	}
	return time.Time{}, fmt.Errorf("%q is no date: such as 2026-12-24, \"2026-12-24 18:00\" or 2026-12-24T18:00:00+01:00", text)
}
