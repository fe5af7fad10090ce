// Package certs keeps the certificates by which the proxy serves domains over TLS.
//
// A Keeper is told which domains want one and by which way (Apply): of an authority by ACME, of our own authority, or one that was
// uploaded. It gets them, renews them, keeps them in one folder (0700, its files 0600) and answers handshakes from memory (Certificate);
// a domain that nobody asked for costs a look into a map, and never an order. What it does and what goes wrong it tells by one func
// (Told). All that it needs is that folder, what Apply says and a way to open sealed secrets: it works where no store is.
//
// Apply, Renew and Look do not wait. Run does the work until its context ends; while nothing is due it sleeps, and while no domain wants
// a certificate nothing is open and nothing ticks.
package certs

import (
	"crypto/tls"
	"errors"
	"time"
)

// Mode is the way to a certificate.
type Mode string

// The ways.
const (
	Auto     Mode = "auto"     // of an authority, by ACME
	Internal Mode = "internal" // of our own authority
	Own      Mode = "own"      // uploaded
)

// Want is a domain that is to be served over TLS.
type Want struct {
	Domain string
	Mode   Mode
	Name   string // of an uploaded certificate
}

// id names the certificate that a domain is served by.
func (w Want) id() ID {
	if w.Mode == Own {
		return ID{Own, w.Name}
	}
	return ID{w.Mode, w.Domain}
}

// ID names a certificate: its way, and its domain or the name under which it was uploaded.
type ID struct {
	Mode Mode
	Name string
}

// String is the form in which it is shown and asked for: auto:app.example.com.
func (i ID) String() string { return string(i.Mode) + ":" + i.Name }

// ParseID reads what String writes.
func ParseID(text string) (ID, error) {
	for _, m := range []Mode{Auto, Internal, Own} {
		if name, ok := cutMode(text, m); ok {
			return ID{m, name}, nil
		}
	}
	return ID{}, ErrUnknown
}

func cutMode(text string, m Mode) (name string, ok bool) {
	head := string(m) + ":"
	if len(text) <= len(head) || text[:len(head)] != head {
		return "", false
	}
	return text[len(head):], true
}

// ACME is how certificates are had of an authority.
type ACME struct {
	Email     string `json:"email,omitempty"`      // where the authority writes to; empty: it is not told
	Directory string `json:"directory,omitempty"`  // URL; empty: Let's Encrypt
	Roots     string `json:"roots,omitempty"`      // PEM: whom we believe that they are that authority; empty: those of the system
	EABKey    string `json:"eab_key_id,omitempty"` // names the account at the authority that ours belongs to; empty: to none
	EABSecret string `json:"eab_secret,omitempty"` // sealed; Options.Open opens it
	DNS       string `json:"dns,omitempty"`        // of DNSServices: domains are proven by records there; empty: by coming to them
	DNSToken  string `json:"dns_token,omitempty"`  // sealed as well
}

// LetsEncrypt is the directory that is asked unless another is named.
const LetsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

func (a ACME) directory() string {
	if a.Directory == "" {
		return LetsEncrypt
	}
	return a.Directory
}

// What a Keeper answers.
var (
	ErrUnknown = errors.New("there is no such certificate")
	ErrNone    = errors.New("no certificate for this name")
)

// Kind of an Event.
type Kind string

// The kinds of events.
const (
	Issued   Kind = "issued"   // the first one of a domain
	Renewed  Kind = "renewed"  // in the place of another
	Failed   Kind = "failed"   // it could not be had; the former one, if any, is served on
	Expiring Kind = "expiring" // it ends soon
)

// Event is what happened to a certificate.
type Event struct {
	ID       ID
	Kind     Kind
	Issuer   string
	NotAfter time.Time // of the one that is served; zero: none is
	Trouble  Trouble   // of Failed
	NextTry  time.Time // of Failed
}

// Status is how a certificate stands.
type Status struct {
	ID        ID
	Domains   []string // that are served by it
	Names     []string // that it covers
	Issuer    string
	NotBefore time.Time // zero: there is none yet
	NotAfter  time.Time
	RenewAt   time.Time // when it is asked for anew; zero: it is not, as it was uploaded
	Trouble   Trouble   // of the last try, if that failed
	FailedAt  time.Time
	NextTry   time.Time // after a failure
	Busy      bool      // it is being asked for now
}

// The states of a Status.
const (
	StatePending  = "pending"  // there is none yet
	StateValid    = "valid"    // it is good
	StateExpiring = "expiring" // it ends within two weeks, and should have been renewed
	StateExpired  = "expired"
	StateFailed   = "failed" // there is none, and the last try failed
)

// State says in a word how it stands at a moment.
func (s Status) State(now time.Time) string {
	switch {
	case s.NotAfter.IsZero() && s.Trouble.Kind != "":
		return StateFailed
	case s.NotAfter.IsZero():
		return StatePending
	case !now.Before(s.NotAfter):
		return StateExpired
	case warnedDays(s.ID.Mode, s.NotBefore, s.NotAfter, now) > 0:
		return StateExpiring
	}
	return StateValid
}

// pair is a certificate with its key, ready to be served.
type pair struct {
	tls.Certificate // its Leaf is always there
}
