package proxy

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/certs"
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
type ACME = certs.ACME

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
				const words = "%s has the TLS %s by rule %s already: a domain has one certificate, whatever the path"
				wrong = append(wrong, // of both, for either may be the one that is changed
					FieldError{Rule: r.ID, Field: "tls", Reason: fmt.Sprintf(words, a.Domain, first.tls, first.rule)},
					FieldError{Rule: first.rule, Field: "tls", Reason: fmt.Sprintf(words, a.Domain, r.Options.TLS, r.ID)})
			}
		}
	}
	return wrong
}

// wants are the domains that a table has served over TLS, and how.
func (t Table) wants() (out []certs.Want) {
	seen := map[string]bool{}
	for _, r := range t.Rules {
		if !r.Options.TLS.On() {
			continue
		}
		for _, a := range r.Addresses {
			if !seen[a.Domain] {
				seen[a.Domain] = true
				out = append(out, certs.Want{Domain: a.Domain, Mode: certs.Mode(r.Options.TLS), Name: r.Options.Certificate})
			}
		}
	}
	return out
}

// ServeTLS is Serve over TLS, by the certificates that the table asks for. HTTP/2 is spoken to who can.
func (s *Server) ServeTLS(ctx context.Context, l net.Listener, patience time.Duration) error {
	return s.serve(ctx, l, patience, s.certs.TLS())
}

// misdirected tells that a client came over TLS for one domain and asks for another one, which is not served so.
func (c *compiled) misdirected(r *http.Request) bool {
	return r.TLS != nil && !c.secured[hostOf(r.Host)]
}

// Certificates are how the certificates stand that the table asks for.
func (s *Server) Certificates(context.Context) ([]certs.Status, error) {
	if s.certs == nil {
		return nil, nil
	}
	return s.certs.Statuses(), nil
}

// RenewCertificate asks for a certificate anew, or reads an uploaded one anew. certs.ErrUnknown: the table asks for none such.
func (s *Server) RenewCertificate(_ context.Context, id certs.ID) error {
	if s.certs == nil {
		return certs.ErrUnknown
	}
	return s.certs.Renew(id)
}
