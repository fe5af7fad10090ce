// Package waittest waits in tests, and not for ever.
package waittest

import (
	"testing"
	"time"
)

// Patience is how long anything may take, however slow the machine is: what never comes fails its test by name.
const Patience = time.Minute

// Next is what comes on a channel, or nothing when it is closed.
func Next[T any](t testing.TB, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(Patience):
		t.Fatalf("gave up waiting: %s", what)
	}
	return v
}

// Until waits for what others bring about; it looks at such a pace.
func Until(t testing.TB, what string, pace time.Duration, is func() bool) {
	t.Helper()
	late, look := time.NewTimer(Patience), time.NewTicker(pace)
	defer late.Stop()
	defer look.Stop()
	for !is() {
		select {
		case <-look.C:
		case <-late.C:
			t.Fatalf("gave up waiting: %s", what)
		}
	}
}
