package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // zones are known where the system has no list of them

	"github.com/tiny-forge/docker-watcher/client"
)

// weekdays in the order in which people write a week.
var weekdays = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

// windowForm is what --window understands, for the errors of it.
const windowForm = "it is written such as \"mon-fri 02:00-05:00 Europe/Berlin\", \"22:00-06:00\", \"sat,sun\" or \"always\""

var (
	hoursForm = regexp.MustCompile(`^(\d{1,2}:\d{2})-(\d{1,2}:\d{2})$`)
	daysForm  = regexp.MustCompile(`^[a-z]{3,}([,-][a-z]{3,})*$`)
)

// parseWindow reads "mon-fri 02:00-05:00 Europe/Berlin": days, hours and zone, each of which may be left out.
// Without days it is every day, without hours the whole day, without a zone UTC.
func parseWindow(text string) (client.Window, error) {
	var w client.Window
	words := strings.Fields(text)
	if len(words) == 0 {
		return w, fmt.Errorf("an empty window: %s", windowForm)
	}
	if words[0] == "always" {
		if len(words) > 1 {
			return w, fmt.Errorf("%q: \"always\" stands alone", text)
		}
		return w, nil
	}
	var err error
	if lower := strings.ToLower(words[0]); daysForm.MatchString(lower) && !zoneExists(words[0]) {
		if w.Days, err = parseDays(lower); err != nil {
			return client.Window{}, err
		}
		words = words[1:]
	}
	if len(words) > 0 {
		if m := hoursForm.FindStringSubmatch(words[0]); m != nil {
			if w.From, w.Until, err = parseHours(m[1], m[2]); err != nil {
				return client.Window{}, err
			}
			words = words[1:]
		}
	}
	if len(words) > 0 {
		if !zoneExists(words[0]) {
			return client.Window{}, fmt.Errorf("%q is neither hours nor a time zone: %s", words[0], windowForm)
		}
		w.TimeZone = words[0]
		words = words[1:]
	}
	if len(words) > 0 {
		return client.Window{}, fmt.Errorf("%q is one word too many: %s", words[0], windowForm)
	}
	return w, nil
}

// zoneExists says whether a word names a time zone; the zone of this machine is not one, as the service runs elsewhere.
func zoneExists(word string) bool {
	if word == "Local" {
		return false
	}
	_, err := time.LoadLocation(word)
	return err == nil
}

// parseDays reads mon-fri, sat,sun or fri-mon, each day once and in the order of the week.
func parseDays(text string) ([]string, error) {
	var in [7]bool
	for part := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(part, "-")
		from, err := weekday(first)
		if err != nil {
			return nil, err
		}
		to := from
		if isRange {
			if to, err = weekday(last); err != nil {
				return nil, err
			}
		}
		for d := from; ; d = (d + 1) % 7 {
			in[d] = true
			if d == to {
				break
			}
		}
	}
	var days []string
	for d, yes := range in {
		if yes {
			days = append(days, weekdays[d])
		}
	}
	if len(days) == 7 {
		return nil, nil
	}
	return days, nil
}

func weekday(word string) (int, error) {
	for d, name := range weekdays {
		if word == name || word == strings.ToLower(time.Weekday((d+1)%7).String()) {
			return d, nil
		}
	}
	return 0, fmt.Errorf("%q is no day: mon, tue, wed, thu, fri, sat or sun", word)
}

// parseHours reads the two ends; the end may be 24:00, and one before the beginning is on the next day.
func parseHours(from, until string) (string, string, error) {
	a, err := clock(from, 24*60-1)
	if err != nil {
		return "", "", err
	}
	b, err := clock(until, 24*60)
	if err != nil {
		return "", "", err
	}
	if a == b {
		return "", "", fmt.Errorf("%s-%s is no time at all: leave the hours out for the whole day", from, until)
	}
	return clockText(a), clockText(b), nil
}

func clock(text string, most int) (int, error) {
	var h, m int
	if _, err := fmt.Sscanf(text, "%d:%d", &h, &m); err != nil || m > 59 || h*60+m > most {
		return 0, fmt.Errorf("%q is no time of day: 00:00 to 23:59, or 24:00 for an end", text)
	}
	return h*60 + m, nil
}

func clockText(minutes int) string { return fmt.Sprintf("%02d:%02d", minutes/60, minutes%60) }

// windowText is a window as parseWindow reads it.
func windowText(w client.Window) string {
	var words []string
	if len(w.Days) > 0 && len(w.Days) < 7 {
		words = append(words, daysText(w.Days))
	}
	if w.From != w.Until {
		words = append(words, w.From+"-"+w.Until)
	}
	if len(words) == 0 {
		return "always"
	}
	if w.TimeZone != "" {
		words = append(words, w.TimeZone)
	}
	return strings.Join(words, " ")
}

// daysText writes three days or more that follow one another as a range.
func daysText(days []string) string {
	var parts []string
	for d := 0; d < 7; d++ {
		if !slices.Contains(days, weekdays[d]) {
			continue
		}
		last := d
		for last < 6 && slices.Contains(days, weekdays[last+1]) {
			last++
		}
		if last-d >= 2 {
			parts = append(parts, weekdays[d]+"-"+weekdays[last])
			d = last
			continue
		}
		parts = append(parts, weekdays[d])
	}
	return strings.Join(parts, ",")
}
