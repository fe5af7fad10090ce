package store

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// Files are the names of all that a store keeps in files, whether they are there or not: the key, the lock, and what belongs to a SQLite file.
func Files(o Options) ([]string, error) {
	names := []string{filepath.Join(o.DataDir, keyFile), folderLock(o.DataDir), filepath.Join(o.DataDir, RestoreMark)}
	if strings.Contains(o.URL, "://") {
		return names, nil
	}
	file := o.URL
	if file == "" {
		file = filepath.Join(o.DataDir, "docker-watcher.db")
	}
	file, err := filepath.Abs(file)
	if err != nil {
		return names, fmt.Errorf("find the database file: %w", err)
	}
	names = append(names, file, file+"-wal", file+"-shm", file+".lock")
	formers, err := (&sqliteDatabase{file: file}).formers()
	for _, f := range formers {
		names = append(names, f.name)
	}
	if errors.Is(err, fs.ErrNotExist) { // nor is there the folder
		err = nil
	}
	return names, err
}
