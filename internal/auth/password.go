package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// What a hash costs: 19 MiB, two passes (the OWASP floor of argon2id). The
// parameters are kept with each hash, so that raising them locks nobody out.
const (
	argonMemory  = 19 * 1024 // KiB
	argonTime    = 2
	argonThreads = 1
	argonKey     = 32
	argonSalt    = 16

	// hashesAtOnce bounds the memory that a flood of logins can ask for.
	hashesAtOnce = 2

	shortestPassword = 12   // characters
	longestPassword  = 1024 // bytes
)

var errHash = errors.New("not a password hash that we know")

// hasher works out password hashes, a bounded number at once.
type hasher struct {
	slots  chan struct{}
	memory uint32 // KiB of a new hash
	// dummy is what the password of an unknown user is compared with, so that the answer takes as long.
	dummy func() string
}

func newHasher() *hasher {
	h := &hasher{slots: make(chan struct{}, hashesAtOnce), memory: argonMemory}
	h.dummy = sync.OnceValue(func() string { return h.encode(rand.Text()) })
	return h
}

// hash returns the PHC text of a password.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	release, err := h.acquire(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	return h.encode(password), nil
}

// matches compares in constant time. An empty hash stands for an unknown user: same work, never a match.
func (h *hasher) matches(ctx context.Context, encoded, password string) (bool, error) {
	if len(password) > longestPassword {
		return false, nil
	}
	release, err := h.acquire(ctx)
	if err != nil {
		return false, err
	}
	defer release()
	known := encoded != ""
	if !known {
		encoded = h.dummy()
	}
	ok, err := compare(encoded, password)
	return ok && known, err
}

func (h *hasher) acquire(ctx context.Context) (release func(), err error) {
	select {
	case h.slots <- struct{}{}:
		return func() { <-h.slots }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for a password check: %w", ctx.Err())
	}
}

func (h *hasher) encode(password string) string {
	salt := make([]byte, argonSalt)
	_, _ = rand.Read(salt) // never fails: the runtime ends the process first
	key := argon2.IDKey([]byte(password), salt, argonTime, h.memory, argonThreads, argonKey)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, argonTime, argonThreads, b64.EncodeToString(salt), b64.EncodeToString(key))
}

func compare(encoded, password string) (bool, error) {
	parts := strings.Split(encoded, "$")
	if len(parts) != 6 || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return false, errHash
	}
	var memory, passes uint32
	var threads uint8
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &passes, &threads); err != nil || passes == 0 || threads == 0 || memory > 1<<20 {
		return false, errHash
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		return false, errHash
	}
	want, err := base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil || len(want) < 16 {
		return false, errHash
	}
	got := argon2.IDKey([]byte(password), salt, passes, memory, threads, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}

// checkPassword refuses what is too short to be safe or too long to be meant.
func checkPassword(password string) error {
	if utf8.RuneCountInString(password) < shortestPassword {
		return ErrWeak
	}
	if len(password) > longestPassword {
		return fmt.Errorf("%w: a password is at most %d bytes", ErrInvalid, longestPassword)
	}
	return nil
}
