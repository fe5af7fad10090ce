package proxy

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/http"
	"sync"

	"golang.org/x/crypto/bcrypt"
)

const (
	hashCost         = 10
	longestPassword  = 72 // what bcrypt reads of one
	shortestPassword = 8
	mostRemembered   = 1000
)

// HashPassword makes what a table holds of a password.
func HashPassword(password string) (string, error) {
	if len(password) < shortestPassword || len(password) > longestPassword {
		return "", fmt.Errorf("a password has %d to %d characters", shortestPassword, longestPassword)
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

// logins checks who may come in. A password that was right is remembered (under a key that only this process has) as long as its hash
// is in the table, so that it is hashed once and not with each request; wrong ones are hashed one at a time, so that guessing cannot
// take the machine.
type logins struct {
	key     [32]byte
	hashing sync.Mutex
	mu      sync.Mutex
	known   map[[sha256.Size]byte]struct{}
}

func newLogins() *logins {
	l := &logins{known: map[[sha256.Size]byte]struct{}{}}
	rand.Read(l.key[:]) // never fails
	return l
}

// admit tells whether a request names one of the people and their password.
func (l *logins) admit(r *http.Request, people []Credential) bool {
	user, password, given := r.BasicAuth()
	if !given || len(password) > longestPassword {
		return false
	}
	for _, c := range people {
		if c.User == user {
			return l.right(c, password)
		}
	}
	// As long as for a name that is known, so that names cannot be told apart.
	if len(people) > 0 {
		l.compare(people[0].Hash, "\x00"+password)
	}
	return false
}

func (l *logins) right(c Credential, password string) bool {
	mac := hmac.New(sha256.New, l.key[:])
	mac.Write([]byte(c.Hash + "\x00" + password))
	seal := [sha256.Size]byte(mac.Sum(nil))
	if l.remembers(seal) {
		return true
	}
	if !l.compare(c.Hash, password) {
		return false
	}
	l.remember(seal)
	return true
}

func (l *logins) compare(hash, password string) bool {
	l.hashing.Lock()
	defer l.hashing.Unlock()
	err := bcrypt.CompareHashAndPassword([]byte(hash), []byte(password))
	return err == nil
}

func (l *logins) remembers(seal [sha256.Size]byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.known[seal]
	return ok
}

func (l *logins) remember(seal [sha256.Size]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.known) >= mostRemembered {
		clear(l.known)
	}
	l.known[seal] = struct{}{}
}
