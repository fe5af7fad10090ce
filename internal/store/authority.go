package store

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
)

// Authority is who is asked for certificates, by ACME. The zero value is Let's Encrypt, without telling it anything.
type Authority struct {
	Email     string `json:"email,omitempty"`
	Directory string `json:"directory,omitempty"`
	Roots     string `json:"roots,omitempty"`      // PEM
	EABKey    string `json:"eab_key_id,omitempty"` // names the account there that ours belongs to
	EABSecret string `json:"-"`                    // sealed, base64; OpenerOf opens it
}

const (
	secretAuthority = "acme"
	secretEAB       = "acme_eab"
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
		return a, fmt.Errorf("read the authority: %w: %w", ErrCorrupt, err)
	}
	if a.EABKey == "" {
		return a, nil
	}
	sealed, err := one(ctx, q, "read secret "+secretEAB, func(r row) (b []byte, err error) { return b, r.Scan(&b) }, `SELECT value FROM secrets WHERE name = $1`, secretEAB)
	a.EABSecret = base64.StdEncoding.EncodeToString(sealed)
	return a, err
}

// SaveAuthority writes who is asked for certificates. The secret of the account there stays unless another is given.
func (tx *Tx) SaveAuthority(ctx context.Context, a Authority, secret string) error {
	text, err := jsonOf("write the authority", a)
	if err != nil {
		return err
	}
	if err := tx.SetSecret(ctx, secretAuthority, text); err != nil {
		return err
	}
	if a.EABKey == "" {
		if err := tx.DeleteSecret(ctx, secretEAB); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		return nil
	}
	if secret == "" {
		return nil
	}
	return tx.SetSecret(ctx, secretEAB, secret)
}

// OpenerOf opens the sealed secret of an Authority by the key in a data folder, for who has no store.
func OpenerOf(dataDir string) func(sealed string) (string, error) {
	return func(sealed string) (string, error) {
		s, err := loadKey(filepath.Join(dataDir, keyFile), false)
		if err != nil {
			return "", err
		}
		raw, err := base64.StdEncoding.DecodeString(sealed)
		if err != nil {
			return "", fmt.Errorf("open a sealed value: %w", ErrCorrupt)
		}
		plain, err := s.open(raw, place("secrets", secretEAB, "value"))
		return string(plain), err
	}
}
