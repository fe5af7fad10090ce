package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Folder is where certificates are kept: a file for each, its key before its chain. Nobody else may read them.
type Folder string

// saved is what is remembered of a certificate beside itself.
type saved struct {
	Trouble   Trouble   `json:"trouble,omitzero"` // of the last try
	FailedAt  time.Time `json:"failed_at,omitzero"`
	Failures  int       `json:"failures,omitempty"`  // in a row
	NextTry   time.Time `json:"next_try,omitzero"`   // not before
	RenewAt   time.Time `json:"renew_at,omitzero"`   // as the authority wishes it
	AskedAt   time.Time `json:"asked_at,omitzero"`   // when the authority was asked for its wish
	Directory string    `json:"directory,omitempty"` // of whom it is
	WarnedOf  time.Time `json:"warned_of,omitzero"`  // the end that was warned of
	WarnedAt  int       `json:"warned_at,omitempty"` // days before that
}

func (f Folder) file(id ID) string {
	return filepath.Join(string(f), string(id.Mode), id.Name+".pem")
}

// write keeps a file whole, 0600: a crash leaves the former one or this one.
func (f Folder) write(file string, text []byte) error {
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the folder of certificates: %w", err)
	}
	part, err := os.CreateTemp(dir, ".part-*") // 0600
	if err != nil {
		return fmt.Errorf("keep a certificate: %w", err)
	}
	_, err = part.Write(text)
	if err == nil {
		err = part.Sync()
	}
	if err = errors.Join(err, part.Close()); err == nil {
		err = os.Rename(part.Name(), file)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("keep a certificate: %w", err), os.Remove(part.Name()))
	}
	return nil
}

// put keeps a certificate with its key.
func (f Folder) put(id ID, chain, key []byte) error {
	return f.write(f.file(id), slices.Concat(bytes.TrimSpace(key), []byte("\n"), bytes.TrimSpace(chain), []byte("\n")))
}

// get reads a certificate; fs.ErrNotExist: there is none.
func (f Folder) get(id ID) (*pair, error) {
	text, err := os.ReadFile(f.file(id))
	if err != nil {
		return nil, fmt.Errorf("read certificate %s: %w", id, err)
	}
	c, err := tls.X509KeyPair(text, text)
	if err == nil && c.Leaf == nil {
		err = errNoLeaf
	}
	if err != nil {
		return nil, fmt.Errorf("read certificate %s: %w", id, err)
	}
	return &pair{c}, nil
}

// Uploads are the names of the uploaded certificates.
func (f Folder) Uploads() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(string(f), string(Own)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the uploaded certificates: %w", err)
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".pem"); ok && !strings.HasPrefix(name, ".") {
			names = append(names, name)
		}
	}
	return names, nil
}

// Put keeps an uploaded certificate, in the place of one of its name. It was checked.
func (f Folder) Put(name string, chain, key []byte) error {
	if err := CheckName(name); err != nil {
		return err
	}
	return f.put(ID{Own, name}, chain, key)
}

// Remove forgets an uploaded certificate.
func (f Folder) Remove(name string) error {
	if err := CheckName(name); err != nil {
		return ErrUnknown
	}
	err := os.Remove(f.file(ID{Own, name}))
	if errors.Is(err, fs.ErrNotExist) {
		return ErrUnknown
	}
	if err != nil {
		return fmt.Errorf("forget certificate %s: %w", name, err)
	}
	return nil
}

// Uncovered says which domains an uploaded certificate does not name. ErrUnknown: there is none of that name.
func (f Folder) Uncovered(name string, domains []string) ([]string, error) {
	if err := CheckName(name); err != nil {
		return nil, ErrUnknown
	}
	p, err := f.get(ID{Own, name})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrUnknown
	}
	if err != nil {
		return nil, err
	}
	return uncovered(p.Leaf, domains), nil
}

// Uncovered says which domains a certificate that was checked does not name.
func Uncovered(c *tls.Certificate, domains []string) []string { return uncovered(c.Leaf, domains) }

const stateFile = "state.json"

func (f Folder) readState() (map[string]saved, error) {
	text, err := os.ReadFile(filepath.Join(string(f), stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]saved{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the state of certificates: %w", err)
	}
	state := map[string]saved{}
	if err := json.Unmarshal(text, &state); err != nil {
		return nil, fmt.Errorf("read the state of certificates: %w", err)
	}
	return state, nil
}

func (f Folder) writeState(state map[string]saved) error {
	text, err := json.Marshal(state)
	if err != nil {
		return fmt.Errorf("keep the state of certificates: %w", err)
	}
	return f.write(filepath.Join(string(f), stateFile), text)
}

// newKey makes a key for a certificate or an account, and its PEM.
func newKey() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make a key: %w", err)
	}
	text, err := keyPEM(key)
	return key, text, err
}

func keyPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("write a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func readKey(text []byte) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("read a key: it is no PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read a key: %w", err)
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errors.New("read a key: it is of another kind")
	}
	return ec, nil
}
