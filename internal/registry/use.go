package registry

import (
	"maps"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote"
)

const (
	// idleAfter is after how long what was not asked for is forgotten: a registry or a repository that was removed, or that
	// nobody follows any more. Whoever asks again signs in again.
	idleAfter = 25 * time.Hour
	tidyEvery = time.Hour
)

// use is which repositories of a registry are in use, and the puller that is signed in to them.
type use struct {
	mu     sync.Mutex
	puller *remote.Puller
	last   map[string]time.Time // by repository
}

func (u *use) from() *remote.Puller {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.puller
}

func (u *use) note(repository string, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.last[repository] = now
}

// tidy forgets repositories that are not in use any more. The puller keeps what it signed in to for ever: another takes
// its place when there is something to forget.
func (u *use) tidy(before time.Time, another func() (*remote.Puller, error)) (inUse bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	had := len(u.last)
	maps.DeleteFunc(u.last, func(_ string, at time.Time) bool { return at.Before(before) })
	if len(u.last) > 0 && len(u.last) < had {
		if fresh, err := another(); err == nil {
			u.puller = fresh
		}
	}
	return len(u.last) > 0
}

// tidy forgets what is not in use any more, now and then. One that wants to be left alone still does afterwards.
func (r *Registries) tidy(now time.Time) {
	if now.Sub(r.tidied) < tidyEvery {
		return
	}
	r.tidied = now
	maps.DeleteFunc(r.clients, func(_ string, c *Client) bool {
		c.known.tidy(now.Add(-wholeAfter))
		if c.use.tidy(now.Add(-idleAfter), c.newPuller) || c.limits.now().RetryAt.After(now) {
			return false
		}
		c.transport.CloseIdleConnections()
		return true
	})
}
