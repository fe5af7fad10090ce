package certs

import "time"

const (
	firstPause = 5 * time.Minute // after the first failure; authorities forgive 5 an hour
	pauseTimes = 4               // each further pause is so many times the one before
	longPause  = 6 * time.Hour
)

// pauseAfter is how long to wait after so many failures in a row.
func pauseAfter(failures int, first time.Duration) time.Duration {
	pause := first
	for range failures - 1 {
		if pause *= pauseTimes; pause >= longPause {
			return longPause
		}
	}
	return min(pause, longPause)
}

// renewAt is when a certificate is asked for anew: when a third of its time is left.
func renewAt(notBefore, notAfter time.Time) time.Time {
	return notAfter.Add(-notAfter.Sub(notBefore) / 3)
}

// longestWait is how far ahead an authority may have the next try put off: the limits of Let's Encrypt are of a week.
const longestWait = 8 * day

// notBefore is when the next try may be made, as it is to be believed at a moment; zero: at any time. A failure in times to come, and a wait longer than
// any authority asks for, were written while the clock ran ahead.
func (s saved) notBefore(now time.Time) time.Time {
	if s.FailedAt.After(now.Add(firstPause)) || s.NextTry.After(now.Add(longestWait)) {
		return time.Time{}
	}
	return s.NextTry
}

// asked is when the authority was last asked for its wish, as it is to be believed at a moment; zero: never.
func (s saved) asked(now time.Time) time.Time {
	if s.AskedAt.After(now.Add(firstPause)) {
		return time.Time{}
	}
	return s.AskedAt
}

const day = 24 * time.Hour

// warnDays are how many days before the end it is warned of, the last first.
var warnDays = []int{3, 14}

// warnedDays is which warning is due at a moment; 0: none. One that is renewed by itself is warned of only where its renewal is overdue by then.
func warnedDays(mode Mode, notBefore, notAfter, now time.Time) int {
	for _, days := range warnDays {
		from := notAfter.Add(-time.Duration(days) * day)
		if now.Before(from) {
			continue
		}
		if mode == Own || renewAt(notBefore, notAfter).Add(day).Before(from) {
			return days
		}
	}
	return 0
}

// next is when a certificate has to be looked at again; zero: never. A pair of zero times is none.
func next(mode Mode, notBefore, notAfter time.Time, s saved, now time.Time) time.Time {
	if mode == Own {
		return nextWarning(mode, notBefore, notAfter, now)
	}
	try := s.notBefore(now)
	at := try
	if !notAfter.IsZero() {
		at = later(renewAt(notBefore, notAfter), try)
		if !s.RenewAt.IsZero() && s.RenewAt.Before(at) {
			at = later(s.RenewAt, try)
		}
		if warning := nextWarning(mode, notBefore, notAfter, now); !warning.IsZero() && warning.Before(at) {
			return warning
		}
	}
	if at.IsZero() {
		return now
	}
	return at
}

// nextWarning is when the next warning may be due; zero: none.
func nextWarning(mode Mode, notBefore, notAfter, now time.Time) (at time.Time) {
	if notAfter.IsZero() {
		return at
	}
	for _, days := range warnDays {
		from := notAfter.Add(-time.Duration(days) * day)
		if from.After(now) && warnedDays(mode, notBefore, notAfter, from) == days {
			at = from
		}
	}
	return at
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
