package certs

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/mholt/acmez/v3/acme"
)

// Trouble is why a certificate could not be had, and what to do. The zero value is none.
type Trouble struct {
	Kind   TroubleKind `json:"kind,omitempty"`
	Detail string      `json:"detail,omitempty"` // as it was answered
	Hint   string      `json:"hint,omitempty"`
}

// TroubleKind tells troubles apart.
type TroubleKind string

// The kinds of troubles.
const (
	Unreachable   TroubleKind = "unreachable"    // the authority cannot come to us
	WrongDNS      TroubleKind = "dns"            // the name leads nowhere, or elsewhere
	RateLimited   TroubleKind = "rate_limited"   // it was asked too often
	Refused       TroubleKind = "refused"        // the authority does not vouch for the name
	WrongAccount  TroubleKind = "account"        // it does not know us
	AuthorityDown TroubleKind = "authority_down" // we cannot come to it
	Missing       TroubleKind = "missing"        // an uploaded one is not there
	Unusable      TroubleKind = "unusable"       // an uploaded one cannot be used
	Other         TroubleKind = "other"
)

var hints = map[TroubleKind]string{
	Unreachable:   "the authority comes to port 80 (and 443) of the domain: open and forward these ports to --proxy-http and --proxy-https",
	WrongDNS:      "let an A or AAAA record of the domain lead to this machine, and take away one that leads elsewhere",
	RateLimited:   "the authority was asked too often: it is tried again by itself when it may be",
	Refused:       "the authority does not vouch for this name: look at its CAA records, or use another way to a certificate",
	WrongAccount:  "check e-mail, directory and external account binding of the authority",
	AuthorityDown: "this machine cannot come to the authority: check its directory URL, its CA roots and the way out to it",
	Missing:       "upload it again, or choose another one for the routes that name it",
	Unusable:      "upload a good one in its place",
	Other:         "it is tried again by itself",
}

func troubleOf(kind TroubleKind, detail string) Trouble {
	return Trouble{Kind: kind, Detail: detail, Hint: hints[kind]}
}

// problems are what authorities call what is wrong; ends of the types of RFC 8555.
var problems = map[string]TroubleKind{
	"connection": Unreachable, "tls": Unreachable, "unauthorized": WrongDNS, "incorrectResponse": WrongDNS, "dns": WrongDNS, "rateLimited": RateLimited,
	"rejectedIdentifier": Refused, "caa": Refused, "unsupportedIdentifier": Refused, "accountDoesNotExist": WrongAccount, "externalAccountRequired": WrongAccount,
	"invalidContact": WrongAccount, "unsupportedContact": WrongAccount, "userActionRequired": WrongAccount, "serverInternal": AuthorityDown,
}

// diagnose says what an error of an order means.
func diagnose(err error) Trouble {
	if p, ok := errors.AsType[acme.Problem](err); ok {
		details := []string{p.Detail}
		for _, sub := range p.Subproblems {
			details = append(details, sub.Detail)
		}
		detail := strings.Join(details, "; ")
		kind, known := problems[p.Type[strings.LastIndexByte(p.Type, ':')+1:]]
		switch {
		case kind == WrongDNS && strings.Contains(strings.ToLower(detail), "connect"):
			kind = Unreachable // some authorities call by the same name what they found but could not come to
		case !known && p.Status == 429:
			kind = RateLimited
		case !known && p.Status >= 500:
			kind = AuthorityDown
		case !known:
			kind = Other
		}
		return troubleOf(kind, detail)
	}
	if _, ok := errors.AsType[net.Error](err); ok || errors.Is(err, context.DeadlineExceeded) {
		return troubleOf(AuthorityDown, err.Error())
	}
	return troubleOf(Other, err.Error())
}

// retryAfter is when a limited one may be tried again, which Let's Encrypt says in words; zero: it is not said.
func retryAfter(t Trouble) time.Time {
	if t.Kind != RateLimited {
		return time.Time{}
	}
	_, rest, found := strings.Cut(t.Detail, "retry after ")
	const form = "2006-01-02 15:04:05 MST"
	if !found || len(rest) < len(form) {
		return time.Time{}
	}
	at, err := time.Parse(form, rest[:len(form)])
	if err != nil {
		return time.Time{}
	}
	return at
}
