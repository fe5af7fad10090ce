package certs

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	rootLife = 10 * 365 * day
	leafLife = 90 * day
	early    = time.Hour // clocks differ
)

// authority is our own: who trusts its root trusts what it vouches for.
type authority struct {
	root *x509.Certificate
	key  *ecdsa.PrivateKey
	text []byte // PEM of the root
}

func (f Folder) rootFile() string { return filepath.Join(string(f), "ca", "root.pem") }

// Root is the PEM of the root of our own authority, which clients are to trust. It is made when it is asked for first.
func (f Folder) Root(now time.Time) ([]byte, error) {
	a, err := f.authority(now)
	if err != nil {
		return nil, err
	}
	return a.text, nil
}

// authority reads our own authority, and makes it where there is none. Of two that make it at once one wins.
func (f Folder) authority(now time.Time) (*authority, error) {
	text, err := os.ReadFile(f.rootFile())
	if errors.Is(err, fs.ErrNotExist) {
		if err := f.makeRoot(now); err != nil {
			return nil, err
		}
		text, err = os.ReadFile(f.rootFile())
	}
	if err != nil {
		return nil, fmt.Errorf("read our own authority: %w", err)
	}
	return readAuthority(text)
}

func readAuthority(text []byte) (*authority, error) {
	key, err := readKey(text)
	if err != nil {
		return nil, err
	}
	_, rest := pem.Decode(text)
	block, _ := pem.Decode(rest)
	if block == nil {
		return nil, errors.New("read our own authority: its certificate is missing")
	}
	root, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read our own authority: %w", err)
	}
	return &authority{root: root, key: key, text: pem.EncodeToMemory(block)}, nil
}

func (f Folder) makeRoot(now time.Time) error {
	key, text, err := newKey()
	if err != nil {
		return err
	}
	draft := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{Organization: []string{"docker-watcher"}, CommonName: "own authority of " + now.UTC().Format(time.DateOnly)},
		NotBefore: now.Add(-early), NotAfter: now.Add(rootLife), IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, draft, draft, key.Public(), key)
	if err != nil {
		return fmt.Errorf("make our own authority: %w", err)
	}
	return f.writeOnce(f.rootFile(), slices.Concat(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
}

// writeOnce is write for a file that is never replaced.
func (f Folder) writeOnce(file string, text []byte) error {
	part := file + "." + rand.Text()
	if err := f.write(part, text); err != nil {
		return err
	}
	err := os.Link(part, file)
	if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	if err = errors.Join(err, os.Remove(part)); err != nil {
		return fmt.Errorf("keep %s: %w", filepath.Base(file), err)
	}
	return nil
}

// valid refuses one that was made while the clock ran ahead: nobody takes what it vouches for. It is not made anew by itself, as clients trust it.
func (a *authority) valid(now time.Time) error {
	if !a.root.NotBefore.After(now) {
		return nil
	}
	return fmt.Errorf("our own authority is valid only from %s on, as the clock ran ahead when it was made: remove ca/root.pem in the folder of the certificates to have another made, and trust that one",
		a.root.NotBefore.Format(time.DateOnly))
}

// vouch makes a certificate for a domain or an address.
func (a *authority) vouch(domain string, now time.Time) (chain, key []byte, err error) {
	leafKey, key, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	draft := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: shortName(domain)}, NotBefore: now.Add(-early), NotAfter: earlier(now.Add(leafLife), a.root.NotAfter),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	if ip := net.ParseIP(domain); ip != nil {
		draft.IPAddresses = []net.IP{ip}
	} else {
		draft.DNSNames = []string{domain}
	}
	der, err := x509.CreateCertificate(rand.Reader, draft, a.root, leafKey.Public(), a.key)
	if err != nil {
		return nil, nil, fmt.Errorf("vouch for %s: %w", domain, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), key, nil
}

// shortName is a name as a subject may hold it: 64 characters.
func shortName(domain string) string {
	if len(domain) > 64 {
		return ""
	}
	return domain
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// serial is a number that no other certificate has.
func serial() *big.Int {
	bytes := make([]byte, 16)
	rand.Read(bytes) // never fails
	bytes[0] &= 0x7f // positive
	bytes[0] |= 0x40 // and of one length
	return new(big.Int).SetBytes(bytes)
}
