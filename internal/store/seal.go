package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
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
type sealer struct {
	aead cipher.AEAD
	file string
}

// loadKey reads the key file, and makes it when create says so. A key is never
// made for a database that was sealed with another one.
func loadKey(file string, create bool) (*sealer, error) {
	key, err := readKey(file)
	if errors.Is(err, fs.ErrNotExist) {
		if !create {
			return nil, fmt.Errorf("%w: %s is missing, and the database was sealed with it: put it back from your backup", ErrBadKeyFile, file)
		}
		if err := makeKey(file); err != nil {
			return nil, err
		}
		key, err = readKey(file)
	}
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("use the key file: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("use the key file: %w", err)
	}
	return &sealer{aead: aead, file: file}, nil
}

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
	key, err := io.ReadAll(io.LimitReader(f, keySize+1))
	if err != nil {
		return nil, fmt.Errorf("read the key file: %w", err)
	}
	if len(key) != keySize {
		return nil, fmt.Errorf("%w: %s does not hold %d bytes: put the right one back from your backup", ErrBadKeyFile, file, keySize)
	}
	return key, nil
}

// makeKey writes a new key under another name first, so that a crash leaves no
// half a key, and gives it its name only where there is none yet.
func makeKey(file string) error {
	key := make([]byte, keySize)
	rand.Read(key) // never fails
	part := file + "." + NewID()
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("make the key file: %w", err)
	}
	_, err = f.Write(key)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Link(part, file)
	}
	if err = errors.Join(err, os.Remove(part)); err != nil {
		return fmt.Errorf("make the key file: %w", err)
	}
	return syncFolder(filepath.Dir(file))
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
func (s *sealer) close(plain, where []byte) []byte {
	nonce := make([]byte, s.aead.NonceSize(), 1+s.aead.NonceSize()+len(plain)+s.aead.Overhead())
	rand.Read(nonce) // never fails
	sealed := append([]byte{sealVersion}, nonce...)
	return s.aead.Seal(sealed, nonce, plain, where)
}

// open returns what close sealed for the same place.
func (s *sealer) open(sealed, where []byte) ([]byte, error) {
	head := 1 + s.aead.NonceSize()
	if len(sealed) < head || sealed[0] != sealVersion {
		return nil, fmt.Errorf("open a sealed value: %w", ErrCorrupt)
	}
	plain, err := s.aead.Open(nil, sealed[1:head], sealed[head:], where)
	if err != nil {
		return nil, fmt.Errorf("open a sealed value: %w", ErrCorrupt)
	}
	return plain, nil
}

const proofText = "docker-watcher"

// proof is a sealed text kept in the database, to tell at start whether a key fits it.
func (s *sealer) proof() string {
	return base64.StdEncoding.EncodeToString(s.close([]byte(proofText), place("meta", metaKeyCheck, "value")))
}

func (s *sealer) prove(proof string) error {
	sealed, err := base64.StdEncoding.DecodeString(proof)
	if err == nil {
		_, err = s.open(sealed, place("meta", metaKeyCheck, "value"))
	}
	if err != nil {
		return fmt.Errorf("%w: put back the key that %s held when the database was made", ErrWrongKey, s.file)
	}
	return nil
}
