package auth

import (
	"strings"
	"testing"
	"time"
)

// TestCodesOfTheRFC has the vectors of RFC 6238, appendix B, for SHA-1.
func TestCodesOfTheRFC(t *testing.T) {
	secret := []byte("12345678901234567890")
	for at, want := range map[int64]string{
		59: "94287082", 1111111109: "07081804", 1111111111: "14050471", 1234567890: "89005924", 2000000000: "69279037", 20000000000: "65353130",
	} {
		if got := hotp(secret, uint64(stepOf(time.Unix(at, 0))), 8); got != want {
			t.Errorf("at %d: %s, want %s", at, got, want)
		}
	}
}

func TestMatchingStep(t *testing.T) {
	secret, now := []byte("12345678901234567890"), time.Unix(1111111111, 0)
	step := stepOf(now)
	for drift := int64(-3); drift <= 3; drift++ {
		got, ok := matchingStep(secret, hotp(secret, uint64(step+drift), codeDigits), now)
		if near := drift >= -1 && drift <= 1; ok != near || near && got != step+drift {
			t.Errorf("%d steps away: %d %t", drift, got-step, ok)
		}
	}
	for _, wrong := range []string{"", "0", "00000000", hotp(secret, uint64(step), 8), "٠٠٠٠٠٠"} {
		if _, ok := matchingStep(secret, wrong, now); ok {
			t.Errorf("%q is taken", wrong)
		}
	}
	if _, ok := matchingStep(secret, "x", time.Unix(0, 0)); ok {
		t.Error("at the begin of time")
	}
}

func TestFactorURI(t *testing.T) {
	uri := factorURI("anna@example.org", "docker-watcher", []byte("12345678901234567890"))
	if !strings.HasPrefix(uri, "otpauth://totp/docker-watcher:anna@example.org?") || !strings.Contains(uri, "secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ") || !strings.Contains(uri, "issuer=docker-watcher") {
		t.Error(uri)
	}
}
