package store

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
)

const (
	keyFile = "docker-watcher.key"
	keySize = 32
	// sealVersion is the first byte of everything sealed, so that a later way of
	// sealing can be told from this one.
	sealVersion = 1
)

// sealer seals secrets with AES-256-GCM. A sealed value is bound to the table, row
// and column that it was made for: moved elsewhere it does not open.
//
// There is one key, but for the time of a rotation, when the key file holds the new
// one and after it the old one: the proof in the database says which of them counts.
type sealer struct {
	file string
	log  *slog.Logger
	keys atomic.Pointer[keyring]
}

// keyring is what a sealer has at one moment.
type keyring struct {
	now   key
	other *key // opens what now does not; nil: none
	both  bool // the file holds both, until it is settled which of them counts
}

// key is the content of a key file, ready for use.
type key struct {
	raw  []byte
	aead cipher.AEAD
}

func newKey(raw []byte) (key, error) {
	block, err := aes.NewCipher(raw)
	if err != nil {
		return key{}, fmt.Errorf("use the key file: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return key{}, fmt.Errorf("use the key file: %w", err)
	}
	return key{raw: raw, aead: aead}, nil
}

// loadKey reads the key file, and makes it when create says so. A key is never
// made for a database that was sealed with another one.
func loadKey(file string, create bool) (*sealer, error) {
	raw, err := readKey(file)
	if errors.Is(err, fs.ErrNotExist) {
		if !create {
			return nil, fmt.Errorf("%w: %s is missing, and the database was sealed with it: put it back from your backup", ErrBadKeyFile, file)
		}
		if err := makeKey(file); err != nil {
			return nil, err
		}
		raw, err = readKey(file)
	}
	if err != nil {
		return nil, err
	}
	ring := keyring{both: len(raw) == 2*keySize}
	if ring.now, err = newKey(raw[:keySize]); err != nil {
		return nil, err
	}
	if ring.both {
		other, err := newKey(raw[keySize:])
		if err != nil {
			return nil, err
		}
		ring.other = &other
	}
	s := &sealer{file: file, log: slog.New(slog.DiscardHandler)}
	s.keys.Store(&ring)
	return s, nil
}

// readKey returns one key, or two in a row while they are rotated.
func readKey(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read the key file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read the key file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is not a plain file", ErrBadKeyFile, file)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%w: %s can be read by others (mode %04o): chmod 600 it, and think of what it sealed as known to them", ErrBadKeyFile, file, mode)
	}
	raw, err := io.ReadAll(io.LimitReader(f, 2*keySize+1))
	if err != nil {
		return nil, fmt.Errorf("read the key file: %w", err)
	}
	if len(raw) != keySize && len(raw) != 2*keySize {
		return nil, fmt.Errorf("%w: %s does not hold %d bytes: put the right one back from your backup", ErrBadKeyFile, file, keySize)
	}
	return raw, nil
}

// freshKey is a key that nobody had before.
func freshKey() []byte {
	raw := make([]byte, keySize)
	rand.Read(raw) // never fails
	return raw
}

// makeKey writes a new key under another name first, so that a crash leaves no
// half a key, and gives it its name only where there is none yet.
func makeKey(file string) error {
	part := file + "." + NewID()
	err := writeWhole(part, freshKey())
	if err == nil {
		err = os.Link(part, file)
	}
	if err = errors.Join(err, os.Remove(part)); err != nil {
		return fmt.Errorf("make the key file: %w", err)
	}
	return syncFolder(filepath.Dir(file))
}

// replaceKeys puts other keys into the key file, whole or not at all.
func replaceKeys(file string, keys ...[]byte) error {
	part := file + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) { // of a crash
		return fmt.Errorf("write the key file: %w", err)
	}
	err := writeWhole(part, bytes.Join(keys, nil))
	if err == nil {
		err = os.Rename(part, file)
	}
	if err != nil {
		return fmt.Errorf("write the key file: %w", err)
	}
	return syncFolder(filepath.Dir(file))
}

// writeWhole makes a file that only we may read, and has it on the disk before it returns.
func writeWhole(file string, content []byte) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncFolder makes a new name last through a power cut.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("make the key file last: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("make the key file last: %w", err)
	}
	return nil
}

// place binds a sealed value to where it is kept.
func place(table, id, column string) []byte {
	return []byte(table + "\x00" + id + "\x00" + column)
}

// close seals plain for a place.
func (s *sealer) close(plain, where []byte) []byte { return s.keys.Load().now.close(plain, where) }

// open returns what close sealed for the same place.
func (s *sealer) open(sealed, where []byte) ([]byte, error) {
	ring := s.keys.Load()
	plain, err := ring.now.open(sealed, where)
	if err != nil && ring.other != nil {
		return ring.other.open(sealed, where)
	}
	return plain, err
}

func (k key) close(plain, where []byte) []byte {
	nonce := make([]byte, k.aead.NonceSize(), 1+k.aead.NonceSize()+len(plain)+k.aead.Overhead())
	rand.Read(nonce) // never fails
	sealed := append([]byte{sealVersion}, nonce...)
	return k.aead.Seal(sealed, nonce, plain, where)
}

func (k key) open(sealed, where []byte) ([]byte, error) {
	head := 1 + k.aead.NonceSize()
	if len(sealed) < head || sealed[0] != sealVersion {
		return nil, fmt.Errorf("open a sealed value: %w", ErrUnreadable)
	}
	plain, err := k.aead.Open(nil, sealed[1:head], sealed[head:], where)
	if err != nil {
		return nil, fmt.Errorf("open a sealed value: %w", ErrUnreadable)
	}
	return plain, nil
}

const proofText = "docker-watcher"

// proof is a sealed text kept in the database, to tell at start whether a key fits it.
func (s *sealer) proof() string { return s.keys.Load().now.proof() }

func (k key) proof() string {
	return base64.StdEncoding.EncodeToString(k.close([]byte(proofText), place("meta", metaKeyCheck, "value")))
}

func (k key) proves(proof string) bool {
	sealed, err := base64.StdEncoding.DecodeString(proof)
	if err == nil {
		_, err = k.open(sealed, place("meta", metaKeyCheck, "value"))
	}
	return err == nil
}

// prove takes the key that fits the database for the one that counts. The file stays as it is.
// proveBeside is prove for who must leave the key file as it is, whichever of two keys counts.
func (s *sealer) proveBeside(proof string) error {
	if err := s.prove(proof); err != nil {
		return err
	}
	ring := *s.keys.Load()
	ring.both = false
	s.keys.Store(&ring)
	return nil
}

func (s *sealer) prove(proof string) error {
	ring := *s.keys.Load()
	switch {
	case ring.now.proves(proof):
		return nil
	case ring.other != nil && ring.other.proves(proof):
		former := ring.now
		ring.now, ring.other = *ring.other, &former
		s.keys.Store(&ring)
		return nil
	}
	return fmt.Errorf("%w: put back the key that %s held when the database was made", ErrWrongKey, s.file)
}
