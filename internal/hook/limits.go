package hook

import (
	"maps"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// A sender may come in bursts, as a build that pushes many tags does, and goes on at a pace.
	senderBurst = 60
	senderPace  = time.Second
	// Whoever does not know the secret has this many tries.
	strangerBurst = 10
	strangerPace  = 6 * time.Second
	// tellEvery is how often it is told that a webhook was refused.
	tellEvery = time.Hour
	mostKept  = 10_000

	sweepEvery = time.Second
)

// Limits slow senders and strangers down. It holds no more than some thousand of them; past that, all new ones share one
// allowance.
type Limits struct {
	mu    sync.Mutex
	kept  map[string]*rate.Limiter
	rest  *rate.Limiter
	swept time.Time
}

// NewLimits returns limits that have seen nobody.
func NewLimits() *Limits {
	return &Limits{kept: map[string]*rate.Limiter{}, rest: rate.NewLimiter(rate.Every(strangerPace), strangerBurst)}
}

// Heard counts a message to a webhook from somebody who knew the secret; false: it has too many.
func (l *Limits) Heard(id string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.get("heard "+id, senderBurst, senderPace, now).AllowN(now, 1)
}

// Patience reports whether somebody at an address may try to reach a webhook once more.
func (l *Limits) Patience(id, addr string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	k, known := l.kept[tries(id, addr)]
	if !known && len(l.kept) >= mostKept {
		k, known = l.rest, true
	}
	return !known || k.TokensAt(now) >= 1
}

// Refused counts a try without the secret. Tell says whether that is to be told: once in a while for each webhook.
func (l *Limits) Refused(id, addr string, now time.Time) (tell bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.get(tries(id, addr), strangerBurst, strangerPace, now).AllowN(now, 1)
	k := l.get("told "+id, 1, tellEvery, now)
	return k != l.rest && k.AllowN(now, 1)
}

func tries(id, addr string) string { return "tries " + id + " " + addr }

// get finds a limit, or makes one. When there are too many, those are forgotten that have all of their allowance.
func (l *Limits) get(key string, burst int, pace time.Duration, now time.Time) *rate.Limiter {
	if k, known := l.kept[key]; known {
		return k
	}
	if len(l.kept) >= mostKept && now.Sub(l.swept) >= sweepEvery {
		l.swept = now
		maps.DeleteFunc(l.kept, func(_ string, k *rate.Limiter) bool { return k.TokensAt(now) >= float64(k.Burst()) })
	}
	if len(l.kept) >= mostKept {
		return l.rest
	}
	k := rate.NewLimiter(rate.Every(pace), burst)
	l.kept[key] = k
	return k
}
