package certs

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// challenges are what authorities ask for, while they ask. All is in memory: an order begins anew after a restart.
type challenges struct {
	mu    sync.RWMutex
	pages map[string]string           // by host and path
	certs map[string]*tls.Certificate // by domain
}

// solvers are the ways in which we prove a domain: by a page, where a listener serves it over http, and within TLS.
func (c *challenges) solvers(overHTTP bool) map[string]acmez.Solver {
	all := map[string]acmez.Solver{acme.ChallengeTypeTLSALPN01: withinTLS{c}}
	if overHTTP {
		all[acme.ChallengeTypeHTTP01] = byPage{c}
	}
	return all
}

// byPage proves a domain by a page of it.
type byPage struct{ c *challenges }

func pageOf(ch acme.Challenge) string { return ch.Identifier.Value + ch.HTTP01ResourcePath() }

// Present shows the page.
func (b byPage) Present(_ context.Context, ch acme.Challenge) error {
	b.c.mu.Lock()
	defer b.c.mu.Unlock()
	if b.c.pages == nil {
		b.c.pages = map[string]string{}
	}
	b.c.pages[pageOf(ch)] = ch.KeyAuthorization
	return nil
}

// CleanUp takes it away.
func (b byPage) CleanUp(_ context.Context, ch acme.Challenge) error {
	b.c.mu.Lock()
	defer b.c.mu.Unlock()
	delete(b.c.pages, pageOf(ch))
	return nil
}

// withinTLS proves a domain by a certificate that only the authority is shown.
type withinTLS struct{ c *challenges }

// Present shows it.
func (w withinTLS) Present(_ context.Context, ch acme.Challenge) error {
	cert, err := acmez.TLSALPN01ChallengeCert(ch)
	if err != nil {
		return fmt.Errorf("make the certificate of a challenge: %w", err)
	}
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	if w.c.certs == nil {
		w.c.certs = map[string]*tls.Certificate{}
	}
	w.c.certs[ch.Identifier.Value] = cert
	return nil
}

// CleanUp takes it away.
func (w withinTLS) CleanUp(_ context.Context, ch acme.Challenge) error {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	delete(w.c.certs, ch.Identifier.Value)
	return nil
}

const challengePath = "/.well-known/acme-challenge/"

// Challenge answers an authority that asks for a proof over http, and tells whether it did. Whatever else is asked for under that path
// is a matter of the target.
func (k *Keeper) Challenge(w http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodGet || !strings.HasPrefix(r.URL.Path, challengePath) {
		return false
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	c := &k.challenges
	c.mu.RLock()
	text, ok := c.pages[strings.ToLower(host)+r.URL.Path]
	c.mu.RUnlock()
	if !ok {
		return false
	}
	w.Header().Set("Content-Type", "text/plain")
	_, _ = io.WriteString(w, text)
	return true
}

// Certificate is what a client is shown. ErrNone: nobody asked for that name, or there is none yet.
func (k *Keeper) Certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := nameOf(hello)
	if slices.Contains(hello.SupportedProtos, acmez.ACMETLS1Protocol) {
		k.challenges.mu.RLock()
		defer k.challenges.mu.RUnlock()
		if cert := k.challenges.certs[name]; cert != nil {
			return cert, nil
		}
		return nil, ErrNone
	}
	if cert := (*k.served.Load())[name]; cert != nil {
		return cert, nil
	}
	return nil, ErrNone
}

// nameOf is the domain that a client wants; one that names none wants the address that it came to.
func nameOf(hello *tls.ClientHelloInfo) string {
	if hello.ServerName != "" {
		return strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	}
	if hello.Conn == nil {
		return ""
	}
	host, _, err := net.SplitHostPort(hello.Conn.LocalAddr().String())
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(host, "::ffff:")
}

// TLS is how a listener speaks TLS by the certificates.
func (k *Keeper) TLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: k.Certificate, NextProtos: []string{"h2", "http/1.1", acmez.ACMETLS1Protocol}}
}
