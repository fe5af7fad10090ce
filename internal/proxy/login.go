package proxy

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"sync"

	"golang.org/x/crypto/bcrypt"
)

const (
	hashCost         = 10
	longestPassword  = 72 // what bcrypt reads of one
	shortestPassword = 8
	mostRemembered   = 1000
)

// CheckPassword says why something can be nobody's password.
func CheckPassword(password string) error {
	if len(password) < shortestPassword || len(password) > longestPassword {
		return fmt.Errorf("a password has %d to %d characters", shortestPassword, longestPassword)
	}
	return nil
}

// HashPassword makes what a table holds of a password.
func HashPassword(password string) (string, error) {
	if err := CheckPassword(password); err != nil {
		return "", err
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), hashCost)
	if err != nil {
		return "", fmt.Errorf("hash a password: %w", err)
	}
	return string(hash), nil
}

// SamePassword tells whether a hash is of a password.
func SamePassword(hash, password string) bool {
	return hash != "" && bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
}

// errWrong is that a request does not say who makes it, or names nobody who may come in.
var errWrong = errors.New("no name and password of somebody who may come in")

// logins checks who may come in. A password that was right is remembered (under a key that only this process has) as long as its hash
// is in the table, so that it is hashed once and not with each request, and whoever has it does not wait behind those who guess.
type logins struct {
	key     [32]byte
	hashing *hashing
	mu      sync.Mutex
	known   map[seal]struct{}
}

func newLogins() *logins {
	l := &logins{hashing: newHashing(), known: map[seal]struct{}{}}
	rand.Read(l.key[:]) // never fails
	return l
}

// admit tells whether a request of a client names one of the people of a rule and their password: errWrong if not, errBusy when that
// was not looked at, and what ended the request while it waited.
func (l *logins) admit(r *http.Request, client netip.Addr, rule *Rule) error {
	user, password, given := r.BasicAuth()
	people := rule.Options.BasicAuth
	if !given || len(password) > longestPassword || len(people) == 0 {
		return errWrong
	}
	i := slices.IndexFunc(people, func(c Credential) bool { return c.User == user })
	known := i >= 0
	if !known {
		// As long as for a name that is known, so that names cannot be told apart.
		i, password = 0, "\x00"+password
	}
	q := &question{seal: l.sealOf(people[i].Hash, password), hash: people[i].Hash, password: password, rule: rule.ID, from: networkOf(client)}
	if known && l.remembers(q.seal) {
		return nil
	}
	right, err := l.hashing.ask(r.Context(), q)
	switch {
	case err != nil:
		return err
	case !right || !known:
		return errWrong
	}
	l.remember(q.seal)
	return nil
}

func (l *logins) sealOf(hash, password string) seal {
	mac := hmac.New(sha256.New, l.key[:])
	mac.Write([]byte(hash + "\x00" + password))
	return seal(mac.Sum(nil))
}

func (l *logins) remembers(s seal) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.known[s]
	return ok
}

func (l *logins) remember(s seal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.known) >= mostRemembered {
		clear(l.known)
	}
	l.known[s] = struct{}{}
}
