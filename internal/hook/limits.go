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

// Limits slow senders and strangers down. What strangers do costs no sender anything: neither their tries nor how many they
// are, for each kind is counted by itself, and an address that is made up names nobody.
type Limits struct {
	mu        sync.Mutex
	senders   allowances // by registry
	strangers allowances // by address, whatever they tried to reach
	told      allowances // by registry
}

// NewLimits returns limits that have seen nobody.
func NewLimits() *Limits {
	return &Limits{
		senders: newAllowances(senderBurst, senderPace), strangers: newAllowances(strangerBurst, strangerPace), told: newAllowances(1, tellEvery),
	}
}

// Heard counts a message to the webhook of a registry from somebody who knew the secret; false: it has too many.
func (l *Limits) Heard(registryID string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.senders.of(registryID, now).AllowN(now, 1)
}

// Refused counts a try without the secret of somebody at an address; false: they have too many.
func (l *Limits) Refused(addr string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.strangers.of(addr, now).AllowN(now, 1)
}

// Tell reports whether it is to be told that the webhook of a registry, of one that there is, was tried without its secret:
// once in a while.
func (l *Limits) Tell(registryID string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.told.of(registryID, now).AllowN(now, 1)
}

// allowances are those of one kind. No more than some thousand are held; past that, all new ones share one.
type allowances struct {
	burst int
	pace  time.Duration
	kept  map[string]*rate.Limiter
	rest  *rate.Limiter
	swept time.Time
}

func newAllowances(burst int, pace time.Duration) allowances {
	return allowances{burst: burst, pace: pace, kept: map[string]*rate.Limiter{}, rest: rate.NewLimiter(rate.Every(pace), burst)}
}

// of finds an allowance, or makes one. When there are too many, those are forgotten of which nothing is used.
func (a *allowances) of(key string, now time.Time) *rate.Limiter {
	if k, known := a.kept[key]; known {
		return k
	}
	if len(a.kept) >= mostKept && now.Sub(a.swept) >= sweepEvery {
		a.swept = now
		maps.DeleteFunc(a.kept, func(_ string, k *rate.Limiter) bool { return k.TokensAt(now) >= float64(a.burst) })
	}
	if len(a.kept) >= mostKept {
		return a.rest
	}
	k := rate.NewLimiter(rate.Every(a.pace), a.burst)
	a.kept[key] = k
	return k
}
