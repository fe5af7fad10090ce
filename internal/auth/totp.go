package auth

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // what RFC 6238 and every authenticator use; its weakness is none of HMAC's
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"time"
)

// A code of six digits, a new one every 30 seconds; one before and one after are taken, for clocks that differ.
const (
	codeDigits = 6
	codePeriod = 30 * time.Second
	codeDrift  = 1
)

// hotp is the code of a counter (RFC 4226).
func hotp(secret []byte, counter uint64, digits int) string {
	mac := hmac.New(sha1.New, secret)
	_ = binary.Write(mac, binary.BigEndian, counter) // a hash never fails
	sum := mac.Sum(nil)
	from := sum[len(sum)-1] & 0xf
	number := binary.BigEndian.Uint32(sum[from:from+4]) & 0x7fffffff
	limit := uint32(1)
	for range digits {
		limit *= 10
	}
	return fmt.Sprintf("%0*d", digits, number%limit)
}

// stepOf is which of the periods a moment lies in (RFC 6238).
func stepOf(now time.Time) int64 { return now.Unix() / int64(codePeriod/time.Second) }

// matchingStep finds the step that a code is of, around now.
func matchingStep(secret []byte, code string, now time.Time) (step int64, ok bool) {
	for drift := int64(-codeDrift); drift <= codeDrift; drift++ {
		at := stepOf(now) + drift
		if at >= 0 && subtle.ConstantTimeCompare([]byte(hotp(secret, uint64(at), codeDigits)), []byte(code)) == 1 {
			step, ok = at, true
		}
	}
	return step, ok
}

// secretText is a secret as people type it into an authenticator.
func secretText(secret []byte) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
}

// factorURI is what an authenticator reads from the picture.
func factorURI(user, issuer string, secret []byte) string {
	q := url.Values{"secret": {secretText(secret)}, "issuer": {issuer}}
	return (&url.URL{Scheme: "otpauth", Host: "totp", Path: "/" + issuer + ":" + user, RawQuery: q.Encode()}).String()
}
