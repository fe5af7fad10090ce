package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// unfinishedFile is there from the copy before a migration until the last step of it: its text is the schema of that copy. A migration that
// begins anew with what it has half done must not copy that, for the copies that are worth something would have to go for it.
func (d *sqliteDatabase) unfinishedFile() string { return d.file + ".migrating" }

// halfDone says whether a migration that was begun with an older schema than this has not come to its end, and its copy is there.
func (d *sqliteDatabase) halfDone(schema int64) bool {
	text, err := os.ReadFile(d.unfinishedFile())
	if err != nil {
		return false
	}
	begun, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || begun >= schema {
		return false
	}
	_, err = os.Stat(d.formerName(begun))
	return err == nil
}

// beginMigration notes with which schema one begins.
func (d *sqliteDatabase) beginMigration(schema int64) error {
	err := d.endMigration()
	if err == nil {
		err = writeWhole(d.unfinishedFile(), []byte(strconv.FormatInt(schema, 10)))
	}
	if err == nil {
		err = syncFolder(filepath.Dir(d.file))
	}
	if err != nil {
		return fmt.Errorf("note that the schema is being changed: %w", err)
	}
	return nil
}

// endMigration notes that the schema is ours.
func (d *sqliteDatabase) endMigration() error {
	if err := os.Remove(d.unfinishedFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("note that the schema is changed: %w", err)
	}
	return nil
}
