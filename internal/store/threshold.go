package store

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	day = 24 * time.Hour
	// maxThresholdDays bounds every threshold: ten years.
	maxThresholdDays = 3650
	// neverStale is how "never" is kept in a column of milliseconds.
	neverStale = -1
)

// ParseStaleAfter reads 10s, 36h, 7d or never; at least one second.
func ParseStaleAfter(s string) (StaleAfter, error) {
	if s == "never" {
		return StaleAfter{Never: true}, nil
	}
	after, err := parseSpan(s)
	if err != nil {
		return StaleAfter{}, fmt.Errorf("%w, or never", err)
	}
	if after < time.Second || after > maxThresholdDays*day {
		return StaleAfter{}, fmt.Errorf("must be from 1s to %dd, or never", maxThresholdDays)
	}
	return StaleAfter{After: after}, nil
}

// String is the text that ParseStaleAfter reads.
func (s StaleAfter) String() string {
	if s.Never {
		return "never"
	}
	return spanText(s.After)
}

// Validate reports a threshold that ParseStaleAfter would not have made.
func (s StaleAfter) Validate() error {
	_, err := ParseStaleAfter(s.String())
	return err
}

// spanUnits are the units of a span, largest first.
var spanUnits = []struct {
	letter string
	length time.Duration
}{{"d", day}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}}

// parseSpan reads one whole number with one unit: 10s, 90m, 36h, 7d.
func parseSpan(s string) (time.Duration, error) {
	for _, u := range spanUnits {
		digits, found := strings.CutSuffix(s, u.letter)
		if !found {
			continue
		}
		n, err := strconv.ParseUint(digits, 10, 32)
		if err != nil || digits[0] == '+' || time.Duration(n) > (1<<63-1)/u.length {
			break
		}
		return time.Duration(n) * u.length, nil
	}
	return 0, fmt.Errorf("must be a whole number and a unit, such as 10s, 36h or 7d")
}

// spanText is the shortest text of a span of whole seconds.
func spanText(d time.Duration) string {
	for _, u := range spanUnits {
		if d%u.length == 0 && d != 0 {
			return strconv.FormatInt(int64(d/u.length), 10) + u.letter
		}
	}
	return strconv.FormatInt(int64(d/time.Second), 10) + "s"
}

// thresholdMillis is how an optional threshold is kept.
func thresholdMillis(s *StaleAfter) any {
	switch {
	case s == nil:
		return nil
	case s.Never:
		return int64(neverStale)
	}
	return s.After.Milliseconds()
}

// threshold scans what thresholdMillis wrote.
type threshold struct{ to **StaleAfter }

// Scan reads a BIGINT or NULL.
func (t threshold) Scan(v any) error {
	switch ms := v.(type) {
	case nil:
		*t.to = nil
	case int64:
		s := thresholdOf(ms)
		*t.to = &s
	default:
		return fmt.Errorf("a threshold is kept as a number, not as %T", v)
	}
	return nil
}

func thresholdOf(ms int64) StaleAfter {
	if ms == neverStale {
		return StaleAfter{Never: true}
	}
	return StaleAfter{After: time.Duration(ms) * time.Millisecond}
}
