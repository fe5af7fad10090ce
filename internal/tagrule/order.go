package tagrule

import (
	"cmp"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
)

// candidate is a tag that matches, with what it is ordered by.
type candidate struct {
	Judged
	parsed *semver.Version // by version
	at     time.Time       // by date: the day; by created: the moment
}

// readKey reads what the order compares; it returns why the tag has none.
func (c *candidate) readKey(order Order, now time.Time) (err error) {
	switch order {
	case ByVersion:
		c.parsed, err = looseVersion(c.Version)
	case ByDate:
		c.at, err = dateIn(c.Version)
	case ByCreated:
		if plausible(c.Created, now) {
			c.at = c.Created
		}
	case Natural: // the text is all that it takes
	}
	return err
}

// compare is above zero when c is newer than o. It is a total order: no two different tags are equal.
func (c *candidate) compare(o *candidate) int {
	by := c.at.Compare(o.at)
	if c.parsed != nil && o.parsed != nil {
		by = c.parsed.Compare(o.parsed)
	}
	return cmp.Or(by, compareNaturally(c.Version, o.Version), compareNaturally(c.Name, o.Name))
}

// compareNaturally compares as people count: runs of digits are numbers. Only equal texts are equal.
func compareNaturally(a, b string) int {
	x, y := a, b
	for x != "" && y != "" {
		var p, q string
		p, x = cutRun(x)
		q, y = cutRun(y)
		if by := compareRuns(p, q); by != 0 {
			return by
		}
	}
	return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(a, b))
}

// cutRun splits off the digits, or what is none, that a text begins with.
func cutRun(s string) (run, rest string) {
	digits := isDigit(s[0])
	end := 1
	for end < len(s) && isDigit(s[end]) == digits {
		end++
	}
	return s[:end], s[end:]
}

func compareRuns(p, q string) int {
	if !isDigit(p[0]) || !isDigit(q[0]) {
		return cmp.Compare(p, q)
	}
	p, q = strings.TrimLeft(p, "0"), strings.TrimLeft(q, "0")
	return cmp.Or(cmp.Compare(len(p), len(q)), cmp.Compare(p, q))
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// dateForm finds 20260301, 2026-03-01, 2026_3_1 and 2026.03.01; what stands behind it is compared as people count.
var dateForm = regexp.MustCompile(`(?:^|[^0-9])(20[0-9]{2})(?:([01][0-9])([0-3][0-9])|[-_.]([01]?[0-9])[-_.]([0-3]?[0-9])(?:[^0-9]|$))`)

// dateIn is the first day that a version names.
func dateIn(version string) (time.Time, error) {
	for rest := version; ; {
		at := dateForm.FindStringSubmatchIndex(rest)
		if at == nil {
			return time.Time{}, errors.New("there is no date in " + version + ", such as 2026-03-01 or 20260301")
		}
		part := func(i int) string {
			if at[2*i] < 0 {
				return ""
			}
			return rest[at[2*i]:at[2*i+1]]
		}
		if day, ok := dayOf(part(1), part(2)+part(4), part(3)+part(5)); ok {
			return day, nil
		}
		rest = rest[at[3]:] // behind the year
	}
}

// dayOf refuses a day that no calendar has.
func dayOf(year, month, day string) (time.Time, bool) {
	y, errY := strconv.Atoi(year)
	m, errM := strconv.Atoi(month)
	d, errD := strconv.Atoi(day)
	at := time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC)
	return at, errors.Join(errY, errM, errD) == nil && m > 0 && int(at.Month()) == m && at.Day() == d
}
