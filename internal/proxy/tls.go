package proxy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// TLS says by which certificate the domains of a rule are served over https.
type TLS string

// The ways to a certificate. Empty is TLSOff.
const (
	TLSOff      TLS = "off"      // over http only
	TLSAuto     TLS = "auto"     // one of an authority, by ACME
	TLSInternal TLS = "internal" // one of our own authority, which clients have to be told to trust
	TLSOwn      TLS = "own"      // one that was uploaded
)

// modes are all ways, as they are written.
var modes = []TLS{TLSOff, TLSAuto, TLSInternal, TLSOwn}

// On tells that a rule is served over https.
func (t TLS) On() bool { return t != "" && t != TLSOff }

// ACME is how certificates are had of an authority.
type ACME struct {
	Email     string `json:"email,omitempty"`      // where the authority writes to; empty: it is not told
	Directory string `json:"directory,omitempty"`  // URL; empty: Let's Encrypt
	Roots     string `json:"roots,omitempty"`      // PEM: whom we believe that they are that authority; empty: those of the system
	EABKey    string `json:"eab_key_id,omitempty"` // names the account at the authority that ours belongs to; empty: to none
	EABSecret string `json:"eab_secret,omitempty"` // sealed, as the store keeps it
}

// localSuffixes are the ends of names that no public authority vouches for, as nobody owns them.
var localSuffixes = []string{"localhost", "local", "internal", "test", "invalid", "example", "lan", "home", "corp", "intranet", "home.arpa", "onion"}

// LocalName tells that no public authority vouches for a domain: an address, a name without a dot, or one that nobody owns.
func LocalName(domain string) bool {
	if _, err := netip.ParseAddr(domain); err == nil || !strings.Contains(domain, ".") {
		return true
	}
	return slices.ContainsFunc(localSuffixes, func(end string) bool { return strings.HasSuffix(domain, "."+end) })
}

func (c *checking) tls(r Rule) {
	o := r.Options
	switch {
	case o.TLS != "" && !slices.Contains(modes, o.TLS):
		c.bad("tls", "off, auto, internal or own")
	case o.TLS == TLSOwn && o.Certificate == "":
		c.bad("certificate", "the name of an uploaded certificate is needed")
	case o.TLS != TLSOwn && o.Certificate != "":
		c.bad("certificate", "only with the TLS own")
	}
}

// publicNames says which rules ask a public authority for what it does not vouch for. A private one may know more names.
func (t Table) publicNames() (wrong []error) {
	if t.ACME.Directory != "" {
		return nil
	}
	for _, r := range t.Rules {
		if r.Options.TLS != TLSAuto {
			continue
		}
		for _, a := range r.Addresses {
			if LocalName(a.Domain) {
				wrong = append(wrong, FieldError{Rule: r.ID, Field: "tls", Reason: fmt.Sprintf("no public authority vouches for %s: use internal, own, or a private ACME server", a.Domain)})
			}
		}
	}
	return wrong
}

// agreed says which rules of one domain ask for different certificates: a client is given one before it says its path.
func (t Table) agreed() (wrong []error) {
	type asked struct {
		rule, certificate string
		tls               TLS
	}
	by := map[string]asked{}
	for _, r := range t.Rules {
		if !r.Options.TLS.On() {
			continue
		}
		for _, a := range r.Addresses {
			first, found := by[a.Domain]
			if !found {
				by[a.Domain] = asked{r.ID, r.Options.Certificate, r.Options.TLS}
				continue
			}
			if first.tls != r.Options.TLS || first.certificate != r.Options.Certificate {
				wrong = append(wrong, FieldError{Rule: r.ID, Field: "tls", Reason: fmt.Sprintf("%s has the TLS %s by rule %s already: a domain has one certificate, whatever the path", a.Domain, first.tls, first.rule)})
			}
		}
	}
	return wrong
}
