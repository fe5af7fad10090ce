// Package hook reads what registries and forges send when something was pushed (webhooks): whether whoever sends it knows
// the secret, and which repositories it names. Nothing else in it is believed: what a repository really has, only the
// registry itself is asked. All of it is pure but for Limits, which is safe for concurrent use.
package hook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strings"
)

// NewSecret makes a secret that nobody guesses, in letters and digits that every form takes.
func NewSecret() string { return "dwh_" + rand.Text() + rand.Text()[:10] }

// Proof is what a request brings to show that it comes from somebody who knows the secret.
type Proof struct {
	Secrets    []string // the secret itself, from a header or the address
	Signatures []string // HMAC-SHA256 of the body under the secret, in hex, with or without sha256= before it
}

// Given reports whether there is anything to check.
func (p Proof) Given() bool { return len(p.Secrets)+len(p.Signatures) > 0 }

// Holds reports whether any part of the proof is right. How long that takes says nothing of the secret.
func (p Proof) Holds(secret string, body []byte) bool {
	right := 0
	want := sha256.Sum256([]byte(secret))
	for _, s := range p.Secrets {
		got := sha256.Sum256([]byte(s))
		right |= subtle.ConstantTimeCompare(got[:], want[:])
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	sum := mac.Sum(nil)
	for _, s := range p.Signatures {
		got, err := hex.DecodeString(strings.TrimPrefix(s, "sha256="))
		if err == nil {
			right |= subtle.ConstantTimeCompare(got, sum)
		}
	}
	return secret != "" && right == 1
}
