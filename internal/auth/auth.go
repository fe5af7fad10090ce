// Package auth knows who a caller is: users with passwords, browser sessions and
// API tokens. Of every secret only a hash is kept, each is shown once, and no answer
// tells whether a name exists. Whoever calls decides what a role may do.
package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// The refusals of this package.
var (
	ErrDenied    = errors.New("wrong name, password, token or link")
	ErrExpired   = errors.New("expired")
	ErrSetUp     = errors.New("set up already")
	ErrWeak      = errors.New("too weak a password: at least 12 characters")
	ErrInvalid   = errors.New("invalid")
	ErrThrottled = errors.New("too many attempts: wait a minute and try again")

	ErrLastAdmin     = errors.New("this is the last admin who can sign in: make another one first")
	ErrLastWayIn     = errors.New("no admin could sign in any more: all of them come in by this identity provider")
	ErrChanged       = errors.New("this user was changed meanwhile")
	ErrNoPassword    = errors.New("this user has no password: they sign in by an identity provider or have not used their link yet")
	ErrWrongPassword = errors.New("that is not your password")

	ErrNameTaken  = errors.New("a user of your name comes in by a password here: ask an admin to rename or remove that one, or to make one for the identity provider")
	ErrNotInvited = errors.New("you are no user here yet: ask an admin to make one of your name for the identity provider")

	ErrFactorNeeded = errors.New("the code of the second factor is missing")
	ErrFactorWrong  = errors.New("the code is wrong, or was used already: wait for the next one")
	ErrFactorSet    = errors.New("a second factor is set up already")
	ErrNoFactor     = errors.New("there is no second factor")
)

// Caller is who makes a request, once known.
type Caller struct {
	Actor     string // "user:anna", "token:ci"
	Name      string
	Role      store.Role // in all projects; empty: only what grants say
	SessionID string     // empty for a token
	UserID    string     // empty for a token of the daemon
	Most      store.Role // the most that the token of a user may, whatever they may themselves; empty: no bound
	Until     time.Time  // when the token ends that was shown; zero: never, or a session
	MustEnrol bool       // may do nothing before a second factor is set up
}

// Service knows users, sessions and tokens.
type Service struct {
	db       *store.DB
	log      *slog.Logger
	hasher   *hasher
	throttle *throttle
	failures *failures
	provider func(context.Context, *store.Tx) (issuer string, err error) // by which people come in now

	mu      sync.Mutex
	touched map[string]time.Time // when the last use of a token was last written
}

// New joins its parts.
func New(db *store.DB, log *slog.Logger) *Service {
	return &Service{db: db, log: log, hasher: newHasher(), throttle: newThrottle(), failures: newFailures(), provider: noProvider, touched: make(map[string]time.Time)}
}

func noProvider(context.Context, *store.Tx) (string, error) { return "", nil }

// VouchedBy has the service know by which identity provider people come in now; the issuer is empty where there is none, as it is without this.
func (s *Service) VouchedBy(provider func(context.Context, *store.Tx) (issuer string, err error)) {
	s.provider = provider
}

var (
	nameRule   = regexp.MustCompile(`^[a-z0-9][a-z0-9._@-]{0,62}$`)
	codeLetter = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
)

// cleanName is the one spelling of a name.
func cleanName(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

func checkName(name string) error {
	if !nameRule.MatchString(name) {
		return fmt.Errorf("%w: a name is 1 to 63 of a-z, 0-9, dot, dash, underscore and @, and starts with a letter or digit", ErrInvalid)
	}
	return nil
}

// randomText is n random bytes in lower-case letters and digits.
func randomText(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: the runtime ends the process first
	return codeLetter.EncodeToString(b)
}

// digest is what is kept of a random secret: it has too much entropy to need a slow hash.
func digest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// record keeps an event of this package in a transaction of its own.
func (s *Service) record(ctx context.Context, e store.Event) {
	e.Time = time.Now().UTC()
	e.Source = store.SourceAuth
	err := s.db.Update(ctx, func(tx *store.Tx) error { return tx.Emit(ctx, e) })
	if err != nil {
		s.log.Error("event was not kept", "kind", e.Kind, "message", e.Message, "error", err)
	}
}
