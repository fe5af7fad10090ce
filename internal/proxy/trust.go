package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
)

// longestCA bounds what a rule may say of whom it trusts, in bytes.
const longestCA = 64 << 10

// trust is how a rule knows its targets over TLS. The zero value is by the authorities of the system.
type trust struct {
	ca         string
	unverified bool
}

// config is what a connection to a target is made by; nil: as usual.
func (t trust) config() *tls.Config {
	if t == (trust{}) {
		return nil
	}
	c := &tls.Config{InsecureSkipVerify: t.unverified} //nolint:gosec // whoever made the rule said so, and is warned of it
	if t.ca != "" {
		c.RootCAs = x509.NewCertPool()
		c.RootCAs.AppendCertsFromPEM([]byte(t.ca)) // as it was validated
	}
	return c
}

// CheckTrust says what is wrong with the authority that a rule names.
func (o Options) CheckTrust() error {
	switch {
	case o.TargetCA == "":
		return nil
	case o.TargetUnverified:
		return errors.New("it would not be looked at, as the certificates of the targets are not verified (target_tls_verify): one of the two")
	case len(o.TargetCA) > longestCA:
		return fmt.Errorf("at most %d bytes", longestCA)
	case strings.Contains(o.TargetCA, "PRIVATE KEY"):
		return errors.New("it holds a private key, which is nobody's business here: only certificates")
	case !x509.NewCertPool().AppendCertsFromPEM([]byte(o.TargetCA)):
		return errors.New("a certificate as PEM is wanted, which begins with -----BEGIN CERTIFICATE-----: that of the authority, or the target's own where it has signed itself")
	}
	return nil
}

// distrust is what is wrong with the certificate of a target, and what to do; empty: nothing is, as far as an error says.
func distrust(err error) string {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok {
		return ""
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "its certificate is for another name or address than the one it is asked by: name it as its certificate does"
	}
	if wrong, ok := errors.AsType[x509.CertificateInvalidError](err); ok && wrong.Reason == x509.Expired {
		return "its certificate has expired, or is not valid yet"
	}
	return "its certificate is of nobody who is trusted: give the certificate of its authority, or its own, as target_ca, or set target_tls_verify to false"
}
