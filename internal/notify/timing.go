package notify

import (
	"errors"
	"fmt"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	firstBackoff = 15 * time.Second
	lastBackoff  = time.Hour
	// GiveUpAfter is how long a message is tried before it is a dead letter, from its first attempt on.
	GiveUpAfter = 72 * time.Hour
	// MaxGather is the longest that a rule may gather.
	MaxGather = 7 * 24 * time.Hour
)

// When says when an event of a severity that comes now is to be told by a rule. Urgent: at once, beside what is gathered.
func When(t store.NotifyTiming, severity store.Severity, now time.Time) (due time.Time, urgent bool) {
	if severity == store.SeverityError && !t.GatherErrors {
		due, urgent = now, true
	} else {
		due = now.Add(t.Gather)
	}
	if until := Held(t.Quiet, severity, due); until.After(due) {
		return until, false
	}
	return due, urgent
}

// Held says until when what is due at a moment is held back; that moment itself: it is not.
func Held(q store.QuietHours, worst store.Severity, due time.Time) time.Time {
	if worst == store.SeverityError && !q.HoldErrors {
		return due
	}
	return quietUntil(q, due)
}

// quietUntil is the first moment from t on that is not in quiet hours. It asks the clock on the wall of each minute, so that it
// is right on days on which that clock jumps.
func quietUntil(q store.QuietHours, t time.Time) time.Time {
	hours, err := parseQuiet(q)
	if err != nil || !hours.any || !hours.within(t) {
		return t
	}
	end := t.Truncate(time.Minute)
	for range 48 * 60 { // no quiet hours are longer
		if end = end.Add(time.Minute); !hours.within(end) {
			return end.UTC()
		}
	}
	return t
}

type quiet struct {
	any      bool
	from, to int // minutes of the day
	zone     *time.Location
}

func (h quiet) within(t time.Time) bool {
	hour, minute, _ := t.In(h.zone).Clock()
	at := hour*60 + minute
	if h.from < h.to {
		return at >= h.from && at < h.to
	}
	return at >= h.from || at < h.to
}

func parseQuiet(q store.QuietHours) (h quiet, err error) {
	if q.From == "" && q.To == "" {
		return quiet{}, nil
	}
	if h.from, err = minuteOf(q.From); err != nil {
		return quiet{}, fmt.Errorf("from: %w", err)
	}
	if h.to, err = minuteOf(q.To); err != nil {
		return quiet{}, fmt.Errorf("to: %w", err)
	}
	if h.from == h.to {
		return quiet{}, errors.New("from and to are the same: that would be always or never")
	}
	if q.Zone == "Local" {
		return quiet{}, errors.New("zone: name one, such as Europe/Berlin")
	}
	if h.zone, err = time.LoadLocation(q.Zone); err != nil {
		return quiet{}, errors.New("zone: there is no such time zone; they are named as Europe/Berlin")
	}
	h.any = true
	return h, nil
}

// ValidQuiet says what is wrong with quiet hours.
func ValidQuiet(q store.QuietHours) error {
	_, err := parseQuiet(q)
	return err
}

func minuteOf(text string) (int, error) {
	t, err := time.Parse("15:04", text)
	if err != nil || len(text) != len("15:04") {
		return 0, errors.New("a time of day such as 22:00 is expected")
	}
	return t.Hour()*60 + t.Minute(), nil
}

// Backoff is how long to wait after so many attempts that failed.
func Backoff(attempts int) time.Duration {
	wait := firstBackoff
	for range attempts - 1 {
		if wait *= 2; wait >= lastBackoff {
			return lastBackoff
		}
	}
	return wait
}

// GivenUp reports whether a message that was first tried then is a dead letter after a failure now.
func GivenUp(tried, now time.Time) bool { return now.Sub(tried) >= GiveUpAfter }
