package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Window is when automatic cleanup may act: days of the week and hours, in a time zone, by the clock on the
// wall there. A window whose end is not after its begin reaches into the next day; its days are those on which
// it begins. Where the clocks are put forward past a window, that night has none.
type Window struct {
	Days  []time.Weekday // none: every day
	From  TimeOfDay
	Until TimeOfDay // both zero: the whole day
	Zone  string    // IANA name; empty is UTC
}

// TimeOfDay is minutes since midnight; its text is 15:04.
type TimeOfDay int

const (
	minutesOfDay = 24 * 60
	// mostSteps bounds the search for the next window: a year of days, with the changes of the clock.
	mostSteps = 400
)

// String is 15:04, and 24:00 at the end of the day.
func (t TimeOfDay) String() string { return fmt.Sprintf("%02d:%02d", int(t)/60, int(t)%60) }

// ParseTimeOfDay reads 15:04; 24:00 is the end of the day.
func ParseTimeOfDay(s string) (TimeOfDay, error) {
	hours, minutes, found := strings.Cut(s, ":")
	h, err := strconv.ParseUint(hours, 10, 8)
	m, err2 := strconv.ParseUint(minutes, 10, 8)
	t := TimeOfDay(h*60 + m)
	if !found || err != nil || err2 != nil || len(hours) != 2 || len(minutes) != 2 || m > 59 || t > minutesOfDay {
		return 0, errors.New("must be a time of day such as 02:00, at most 24:00")
	}
	return t, nil
}

// zones remembers the time zones that were read; only names of real ones come into it.
var zones sync.Map

// location returns the time zone of the window.
func (w Window) location() (*time.Location, error) {
	if w.Zone == "Local" {
		return nil, errors.New("is not the name of a time zone")
	}
	if known, ok := zones.Load(w.Zone); ok {
		if l, ok := known.(*time.Location); ok {
			return l, nil
		}
	}
	l, err := time.LoadLocation(w.Zone)
	if err != nil {
		return nil, fmt.Errorf("must be the name of a time zone such as Europe/Berlin: %w", err)
	}
	zones.Store(w.Zone, l)
	return l, nil
}

// Always reports whether the window is the whole of every day.
func (w Window) Always() bool {
	return (len(w.Days) == 0 || len(w.Days) == 7) && (w.From == w.Until || w.From == 0 && w.Until == minutesOfDay)
}

// Contains reports whether a moment lies in the window. No moment lies in a window whose time zone is not known.
func (w Window) Contains(t time.Time) bool {
	l, err := w.location()
	return err == nil && w.holds(t.In(l))
}

// holds is Contains for a moment in the zone of the window.
func (w Window) holds(local time.Time) bool {
	at, day := TimeOfDay(local.Hour()*60+local.Minute()), local.Weekday()
	if w.From < w.Until {
		return w.on(day) && w.From <= at && at < w.Until
	}
	return w.on(day) && at >= w.From || w.on((day+6)%7) && at < w.Until
}

// on reports whether the window begins on a day of the week.
func (w Window) on(day time.Weekday) bool { return len(w.Days) == 0 || slices.Contains(w.Days, day) }

// Next returns the first moment from t on that lies in the window; zero when there is none.
func (w Window) Next(t time.Time) time.Time {
	l, err := w.location()
	if err != nil {
		return time.Time{}
	}
	local := t.In(l)
	for range mostSteps {
		if w.holds(local) {
			return local.In(t.Location())
		}
		local = w.step(local)
	}
	return time.Time{}
}

// In returns a moment as a clock on the wall in the zone of the window shows it.
func (w Window) In(t time.Time) time.Time {
	l, err := w.location()
	if err != nil {
		return t.UTC()
	}
	return t.In(l)
}

// step returns the next moment at which a window can begin: at its hour, or where the clocks change.
func (w Window) step(local time.Time) time.Time {
	year, month, date := local.Date()
	_, offset := local.Zone()
	begin := time.Date(year, month, date, 0, int(w.From), 0, 0, time.FixedZone("", offset))
	if !begin.After(local) {
		begin = begin.Add(day)
	}
	if _, change := local.ZoneBounds(); !change.IsZero() && change.Before(begin) {
		return change.In(local.Location())
	}
	return begin.In(local.Location())
}

// weekdays are the days as they are written, Sunday first as in package time.
var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// Validate reports every wrong field, by its API name.
func (w Window) Validate() error {
	var errs []error
	wrong := func(field, reason string) { errs = append(errs, FieldError{"window." + field, reason}) }
	for n, d := range w.Days {
		switch {
		case d < time.Sunday || d > time.Saturday:
			wrong("days", "must be days of the week, sun to sat")
		case slices.Contains(w.Days[:n], d):
			wrong("days", "names "+weekdays[d]+" twice")
		}
	}
	if w.From < 0 || w.From >= minutesOfDay {
		wrong("from", "must be a time of day from 00:00 to 23:59")
	}
	if w.Until < 0 || w.Until > minutesOfDay {
		wrong("until", "must be a time of day from 00:00 to 24:00")
	}
	if _, err := w.location(); err != nil {
		wrong("time_zone", err.Error())
	}
	return errors.Join(errs...)
}

// windowJSON is how a window is written.
type windowJSON struct {
	Days  []string `json:"days,omitempty"`
	From  string   `json:"from,omitempty"`
	Until string   `json:"until,omitempty"`
	Zone  string   `json:"time_zone,omitempty"`
}

// MarshalJSON writes {"days":["mon"],"from":"02:00","until":"05:00","time_zone":"Europe/Berlin"}; the whole of every day is {}.
func (w Window) MarshalJSON() ([]byte, error) {
	v := windowJSON{Zone: w.Zone}
	if w.From != 0 || w.Until != 0 {
		v.From, v.Until = w.From.String(), w.Until.String()
	}
	for _, d := range w.Days {
		if d < time.Sunday || d > time.Saturday {
			return nil, FieldError{"window.days", "must be days of the week, sun to sat"}
		}
		v.Days = append(v.Days, weekdays[d])
	}
	return json.Marshal(v)
}

// UnmarshalJSON reads what MarshalJSON writes; keys that it does not know are refused.
func (w *Window) UnmarshalJSON(raw []byte) error {
	var v windowJSON
	if err := strictly(raw, &v); err != nil {
		return FieldError{"window", err.Error()}
	}
	read := Window{Zone: v.Zone}
	var errs []error
	for _, name := range v.Days {
		d := slices.Index(weekdays, name)
		if d < 0 {
			errs = append(errs, FieldError{"window.days", "must be days of the week, sun to sat"})
			continue
		}
		read.Days = append(read.Days, time.Weekday(d))
	}
	for _, t := range []struct {
		field, text string
		to          *TimeOfDay
	}{{"from", v.From, &read.From}, {"until", v.Until, &read.Until}} {
		if t.text == "" {
			continue
		}
		at, err := ParseTimeOfDay(t.text)
		if err != nil {
			errs = append(errs, FieldError{"window." + t.field, err.Error()})
		}
		*t.to = at
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	*w = read
	return nil
}
