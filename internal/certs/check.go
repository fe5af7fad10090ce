package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// FieldError says what is wrong with a field of an upload.
type FieldError struct {
	Field  string // name, chain or key
	Reason string
}

func (e FieldError) Error() string { return e.Field + ": " + e.Reason }

const (
	mostPEM  = 256 << 10
	longName = 100
)

// CheckName says what is wrong with a name for an upload.
func CheckName(name string) error {
	if len(name) > longName || !regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`).MatchString(name) {
		return FieldError{"name", "small letters, digits, '.', '-' and '_', at most 100"}
	}
	return nil
}

// Check reads a chain and its key as they are uploaded. It says which field is wrong and why.
func Check(chain, key []byte, now time.Time) (*tls.Certificate, error) {
	if len(chain) > mostPEM || len(key) > mostPEM {
		return nil, FieldError{"chain", "it is longer than a chain of certificates can be"}
	}
	if err := checkChain(chain); err != nil {
		return nil, err
	}
	if err := checkKey(key); err != nil {
		return nil, err
	}
	c, err := tls.X509KeyPair(chain, key)
	switch {
	case err != nil && strings.Contains(err.Error(), "does not match"):
		return nil, FieldError{"key", "it is not the key of the first certificate of the chain"}
	case err != nil:
		return nil, FieldError{"key", "it cannot be used: " + strings.TrimPrefix(err.Error(), "tls: ")}
	}
	switch leaf := c.Leaf; {
	case !now.Before(leaf.NotAfter):
		return nil, FieldError{"chain", "it has expired on " + leaf.NotAfter.UTC().Format(time.DateOnly)}
	case now.Before(leaf.NotBefore):
		return nil, FieldError{"chain", "it is not valid before " + leaf.NotBefore.UTC().Format(time.DateOnly)}
	case len(leaf.DNSNames) == 0 && len(leaf.IPAddresses) == 0:
		return nil, FieldError{"chain", "the first certificate names no domain (subject alternative names)"}
	}
	return &c, nil
}

func checkChain(chain []byte) error {
	rest, found := chain, 0
	for {
		block, more := pem.Decode(rest)
		if block == nil {
			break
		}
		if rest = more; block.Type != "CERTIFICATE" {
			return FieldError{"chain", fmt.Sprintf("only certificates belong here, and there is a block %q", block.Type)}
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return FieldError{"chain", fmt.Sprintf("certificate %d cannot be read: %v", found+1, err)}
		}
		found++
	}
	switch {
	case found == 0:
		return FieldError{"chain", "it is no PEM: it begins with -----BEGIN CERTIFICATE-----"}
	case len(bytes.TrimSpace(rest)) > 0:
		return FieldError{"chain", "there is something behind the last certificate that is none"}
	}
	return nil
}

func checkKey(key []byte) error {
	block, _ := pem.Decode(key)
	switch {
	case block == nil:
		return FieldError{"key", "it is no PEM: it begins with -----BEGIN PRIVATE KEY-----"}
	case strings.Contains(block.Type, "ENCRYPTED") || block.Headers["DEK-Info"] != "":
		return FieldError{"key", "it is encrypted: take the password off first (openssl pkey)"}
	case !strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return FieldError{"key", fmt.Sprintf("a private key is wanted, and there is a block %q", block.Type)}
	}
	return nil
}

// uncovered are the domains that a certificate does not name.
func uncovered(leaf *x509.Certificate, domains []string) (out []string) {
	for _, d := range domains {
		name := d
		if strings.Contains(d, ":") {
			name = "[" + d + "]" // an address
		}
		if leaf.VerifyHostname(name) != nil {
			out = append(out, d)
		}
	}
	return out
}

// namesOf are what a certificate covers.
func namesOf(leaf *x509.Certificate) []string {
	names := append([]string{}, leaf.DNSNames...)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// issuerOf is who vouches for it, in a few words.
func issuerOf(leaf *x509.Certificate) string {
	for _, text := range append(append([]string{}, leaf.Issuer.Organization...), leaf.Issuer.CommonName) {
		if text != "" {
			if cn := leaf.Issuer.CommonName; cn != "" && cn != text {
				return text + " " + cn
			}
			return text
		}
	}
	return leaf.Issuer.String()
}

var errNoLeaf = errors.New("it holds no certificate")
