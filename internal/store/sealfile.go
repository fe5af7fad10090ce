package store

import (
	"fmt"
	"path/filepath"
)

// SealFile seals the content of a file that leaves the data folder, for the name that it has there.
func (db *DB) SealFile(name string, plain []byte) []byte {
	return db.seal.close(plain, fileplace(name))
}

// OpenFile returns the content of a file that SealFile has sealed, by the key in a data folder.
func OpenFile(dataDir, name string, sealed []byte) ([]byte, error) {
	s, err := loadKey(filepath.Join(dataDir, keyFile), false)
	if err != nil {
		return nil, err
	}
	plain, err := s.open(sealed, fileplace(name))
	if err != nil {
		return nil, fmt.Errorf("open the file %s: %w", name, err)
	}
	return plain, nil
}

// fileplace binds a sealed file to its name.
func fileplace(name string) []byte { return place("files", name, "content") }
