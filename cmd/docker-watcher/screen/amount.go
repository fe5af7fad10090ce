package screen

import (
	"fmt"
	"time"
)

// Never is shown for a time or a size that is not known.
const Never = "-"

// Ago tells how long ago a moment is, in its largest unit.
func Ago(t, now time.Time) string {
	if t.IsZero() {
		return Never
	}
	d := now.Sub(t)
	if d < 0 {
		return "in " + Span(-d)
	}
	if d < time.Second {
		return "just now"
	}
	return Span(d) + " ago"
}

// Span tells a duration in its largest unit.
func Span(d time.Duration) string {
	const day = 24 * time.Hour
	count := func(n time.Duration, unit string) string {
		if n == 1 {
			return "1 " + unit
		}
		return fmt.Sprintf("%d %ss", n, unit)
	}
	switch {
	case d < time.Second:
		return "less than a second"
	case d < 2*time.Minute:
		return count(d/time.Second, "second")
	case d < 2*time.Hour:
		return count(d/time.Minute, "minute")
	case d < 2*day:
		return count(d/time.Hour, "hour")
	case d < 60*day:
		return count(d/day, "day")
	case d < 730*day:
		return count(d/(30*day), "month")
	}
	return count(d/(365*day), "year")
}

// Exact tells a moment in UTC, as the API does.
func Exact(t time.Time) string {
	if t.IsZero() {
		return Never
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

var binaryUnits = []string{"KiB", "MiB", "GiB", "TiB", "PiB"}

// Bytes tells a size in binary units and three digits, as the page does.
func Bytes(n int64) string {
	if n < 0 {
		return Never
	}
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n), ""
	for _, u := range binaryUnits {
		f, unit = f/(1<<10), u
		if f < 1023.5 {
			break
		}
	}
	return fmt.Sprintf("%.*f %s", decimals(f), f, unit)
}

// decimals are as many as make three digits.
func decimals(f float64) int {
	switch {
	case f < 9.995:
		return 2
	case f < 99.95:
		return 1
	default:
		return 0
	}
}
