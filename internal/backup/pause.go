package backup

import (
	"fmt"
	"sync"
	"time"
)

const (
	// firstPause is how long after the first failure another try is made; each further pause is twice the one before, up to longestPause. A backup that
	// fails has read the whole store, and often filled a disk, for nothing.
	firstPause   = 10 * time.Minute
	longestPause = 6 * time.Hour
	// slack is how much sooner a try may come: the job that makes it keeps no exact time.
	slack = time.Minute
)

// pause is how tries by itself that fail again and again are put off.
type pause struct {
	mu       sync.Mutex
	failures int // in a row
	last     error
	until    time.Time
}

// pauseAfter is how long nothing is tried after so many failures in a row.
func pauseAfter(failures int) time.Duration {
	long := firstPause
	for range failures - 1 {
		if long *= 2; long >= longestPause {
			return longestPause
		}
	}
	return long
}

// failed notes that a try that began at a moment failed, and returns how many failed in a row, and that with when the next one comes.
func (p *pause) failed(err error, began time.Time) (failures int, told error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failures++
	p.last, p.until = err, began.Round(0).Add(pauseAfter(p.failures)) // by the calendar: the machine may sleep meanwhile
	return p.failures, p.told()
}

// told is the last failure with when the next try comes. The lock is held.
func (p *pause) told() error {
	return fmt.Errorf("%w; the next try comes at %s", p.last, p.until.UTC().Format(time.RFC3339))
}

// waits is the last failure while the next try is put off; nil: it may be made. One that is put off for longer than any pause was so by a
// clock that ran ahead.
func (p *pause) waits(now time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := p.until.Sub(now.Round(0))
	if p.last == nil || left <= slack || left > longestPause {
		return nil
	}
	return p.told()
}

// next is until when tries are put off; zero: they are not.
func (p *pause) next(now time.Time) time.Time {
	if p.waits(now) == nil {
		return time.Time{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.until
}

// over forgets all failures: one was made, or none is due.
func (p *pause) over() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failures, p.last, p.until = 0, nil, time.Time{}
}

// end has the next try made when it is asked for; that others failed before it is still known.
func (p *pause) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.until = time.Time{}
}
