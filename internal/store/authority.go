package store

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// Authority is who is asked for certificates, by ACME. The zero value is Let's Encrypt, without telling it anything.
type Authority struct {
	Email     string `json:"email,omitempty"`
	Directory string `json:"directory,omitempty"`
	Roots     string `json:"roots,omitempty"`      // PEM
	EABKey    string `json:"eab_key_id,omitempty"` // names the account there that ours belongs to
	EABSecret string `json:"-"`                    // sealed; OpenerOf opens it
	DNS       string `json:"dns,omitempty"`        // the service by whose records domains are proven; empty: none
	DNSToken  string `json:"-"`                    // sealed as well
}

const (
	secretAuthority = "acme"
	secretEAB       = "acme_eab"
	secretDNS       = "acme_dns"
)

// Authority returns who is asked for certificates.
func (q queries) Authority(ctx context.Context) (a Authority, err error) {
	text, err := q.Secret(ctx, secretAuthority)
	if errors.Is(err, ErrNotFound) {
		return a, nil
	}
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		return a, fmt.Errorf("read the authority: %w: %w", ErrUnreadable, err)
	}
	if a.EABKey != "" {
		if a.EABSecret, err = q.sealedSecret(ctx, secretEAB); err != nil {
			return a, err
		}
	}
	if a.DNS != "" {
		a.DNSToken, err = q.sealedSecret(ctx, secretDNS)
	}
	return a, err
}

// sealedSecret is a secret as it is kept, with its name before it, for who opens it elsewhere.
func (q queries) sealedSecret(ctx context.Context, name string) (string, error) {
	sealed, err := one(ctx, q, "read secret "+name, func(r row) (b []byte, err error) { return b, r.Scan(&b) }, `SELECT value FROM secrets WHERE name = $1`, name)
	if err != nil {
		return "", err
	}
	return name + ":" + base64.StdEncoding.EncodeToString(sealed), nil
}

// SaveAuthority writes who is asked for certificates. The secret of the account there and the token of the DNS service stay unless
// others are given.
func (tx *Tx) SaveAuthority(ctx context.Context, a Authority, eabSecret, dnsToken string) error {
	text, err := jsonOf("write the authority", a)
	if err != nil {
		return err
	}
	if err := tx.SetSecret(ctx, secretAuthority, text); err != nil {
		return err
	}
	if err := tx.keepSecret(ctx, secretEAB, a.EABKey != "", eabSecret); err != nil {
		return err
	}
	return tx.keepSecret(ctx, secretDNS, a.DNS != "", dnsToken)
}

// keepSecret writes a secret where one is given, and forgets it where none is needed.
func (tx *Tx) keepSecret(ctx context.Context, name string, needed bool, value string) error {
	if !needed {
		if err := tx.DeleteSecret(ctx, name); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		return nil
	}
	if value == "" {
		return nil
	}
	return tx.SetSecret(ctx, name, value)
}

// OpenerOf opens the sealed secrets of an Authority by the key in a data folder, for who has no store.
func OpenerOf(dataDir string) func(sealed string) (string, error) {
	return func(sealed string) (string, error) {
		s, err := loadKey(filepath.Join(dataDir, keyFile), false)
		if err != nil {
			return "", err
		}
		name, text, _ := strings.Cut(sealed, ":")
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return "", fmt.Errorf("open a sealed value: %w", ErrUnreadable)
		}
		plain, err := s.open(raw, place("secrets", name, "value"))
		return string(plain), err
	}
}
