package registry

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// longestRetry bounds how long a registry can have itself left alone.
const longestRetry = 24 * time.Hour

// Allowance is what a registry says that it may still be asked.
type Allowance struct {
	Limit     int           // requests in a window; 0: it has told no limit
	Remaining int           // of them, now
	Window    time.Duration // 0: not told
	Source    string        // whom it counts, as it says: an address or an account
	RetryAt   time.Time     // it wants to be left alone until then; zero: it does not
	SeenAt    time.Time     // when it last said any of this; zero: never
}

// limits keep the newest word of a registry.
type limits struct {
	mu   sync.Mutex
	last Allowance
}

func (l *limits) now() Allowance {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

func (l *limits) note(resp *http.Response) {
	now := time.Now().UTC()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = l.last.after(resp.StatusCode, resp.Header, now)
}

// after is the allowance once an answer has come.
func (a Allowance) after(status int, h http.Header, now time.Time) Allowance {
	if limit, window, ok := quota(h.Get("Ratelimit-Limit")); ok {
		a.Limit, a.Window, a.SeenAt = limit, window, now
	}
	remaining, window, told := quota(h.Get("Ratelimit-Remaining"))
	if told {
		a.Remaining, a.SeenAt = remaining, now
	}
	if source := h.Get("Docker-Ratelimit-Source"); source != "" {
		a.Source, a.SeenAt = source, now
	}
	wait := time.Duration(0)
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		wait = retryAfter(h.Get("Retry-After"), now)
	}
	if wait > 0 {
		a.RetryAt, a.SeenAt = now.Add(wait), now
	} else if told && remaining == 0 {
		a.RetryAt = later(a.RetryAt, now, a.share(window))
	}
	return a
}

// share is how long one request of the allowance takes to come back on the average: a registry with nothing left does not tell when
// its window began, and is not left alone for the whole of it. 0: it has told no window.
func (a Allowance) share(window time.Duration) time.Duration {
	return min(cmp.Or(window, a.Window)/time.Duration(max(1, a.Limit)), longestRetry)
}

// later puts a moment off to a while from now, unless it is later already or there is no while.
func later(at, now time.Time, while time.Duration) time.Time {
	if end := now.Add(while); while > 0 && end.After(at) {
		return end
	}
	return at
}

// quota reads 100;w=21600: how many, and in how many seconds.
func quota(text string) (n int, window time.Duration, ok bool) {
	number, rest, _ := strings.Cut(text, ";")
	n, err := strconv.Atoi(strings.TrimSpace(number))
	if err != nil || n < 0 {
		return 0, 0, false
	}
	for part := range strings.SplitSeq(rest, ";") {
		if seconds, found := strings.CutPrefix(strings.TrimSpace(part), "w="); found {
			if s, err := strconv.Atoi(seconds); err == nil && s > 0 && s <= int(longestWindow/time.Second) {
				window = time.Duration(s) * time.Second
			}
		}
	}
	return n, window, true
}

const longestWindow = 366 * 24 * time.Hour

// retryAfter reads how long to wait: seconds, or a moment.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(strings.TrimSpace(text)); err == nil {
		return min(max(0, time.Duration(min(seconds, int(longestRetry/time.Second)))*time.Second), longestRetry)
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return min(max(0, at.Sub(now)), longestRetry)
}
