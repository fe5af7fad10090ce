package auth

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Guesses that are allowed at once, and the pace after them: for one name from
// one address, for one address whatever the name, and for one name from wherever. The last is wide, so that
// nobody is easily locked out by strangers, and still no crowd of addresses gets further than some thousand guesses a day.
const (
	nameBurst = 5
	namePace  = 10 * time.Second
	addrBurst = 30
	addrPace  = 2 * time.Second
	wideBurst = 100
	widePace  = 10 * time.Second

	// Sign-ins by the identity provider that one address begins: a house of people behind it, and by far not all that may be under way.
	beginBurst = 60
	beginPace  = 2 * time.Second

	throttleKeys = 10_000
	sweepEvery   = time.Second
)

// throttle slows guessing down. It holds no more than throttleKeys names and
// addresses; past that, all new ones share one allowance.
type throttle struct {
	mu    sync.Mutex
	keys  map[string]*allowance
	rest  *allowance
	swept time.Time
}

type allowance struct {
	limiter *rate.Limiter
	told    bool // the refusal of this flood was told; a flood has ended once all guesses are back
}

func newThrottle() *throttle {
	return &throttle{keys: make(map[string]*allowance), rest: newAllowance(addrBurst, addrPace)}
}

func newAllowance(burst int, pace time.Duration) *allowance {
	return &allowance{limiter: rate.NewLimiter(rate.Every(pace), burst)}
}

// allow counts one attempt. When it is refused, tell says whether this is the first refusal of a flood.
func (t *throttle) allow(addr, name string, now time.Time) (ok, tell bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sweep(now)
	host := NetworkOf(addr)
	asked := []*allowance{t.get(host, addrBurst, addrPace), t.get(host+"|"+name, nameBurst, namePace)}
	if name != "" {
		asked = append(asked, t.get("|"+name, wideBurst, widePace))
	}
	return spend(asked, now)
}

// allowBegin counts one sign-in by the identity provider that is begun, as allow does an attempt.
func (t *throttle) allowBegin(addr string, now time.Time) (ok, tell bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sweep(now)
	return spend([]*allowance{t.get("begin "+NetworkOf(addr), beginBurst, beginPace)}, now)
}

func spend(asked []*allowance, now time.Time) (ok, tell bool) {
	for _, a := range asked {
		if a.full(now) {
			a.told = false
		}
		if !a.limiter.AllowN(now, 1) {
			tell = !a.told
			a.told = true
			return false, tell
		}
	}
	return true, false
}

// forgive gives a name its guesses back after it signed in.
func (t *throttle) forgive(addr, name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.keys, NetworkOf(addr)+"|"+name)
}

func (t *throttle) get(key string, burst int, pace time.Duration) *allowance {
	a, ok := t.keys[key]
	if !ok {
		if len(t.keys) >= throttleKeys {
			return t.rest
		}
		a = newAllowance(burst, pace)
		t.keys[key] = a
	}
	return a
}

func (a *allowance) full(now time.Time) bool {
	return a.limiter.TokensAt(now) >= float64(a.limiter.Burst())
}

// sweep forgets, once the map is full, whoever has all guesses back.
func (t *throttle) sweep(now time.Time) {
	if len(t.keys) < throttleKeys || now.Sub(t.swept) < sweepEvery {
		return
	}
	t.swept = now
	for key, a := range t.keys {
		if a.full(now) {
			delete(t.keys, key)
		}
	}
}

// NetworkOf is an address without its port, and of IPv6 the network: one machine has a whole /64 of addresses.
func NetworkOf(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is6() {
		if network, err := ip.Prefix(64); err == nil {
			return network.String()
		}
	}
	return ip.String()
}
