package proxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// KeepTable writes a table to a file, for the next start. A crash leaves the former one or this one, never half of one.
func KeepTable(file string, t Table) error {
	text, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("write the last good table: %w", err)
	}
	return writeTable(file, text)
}

// KeptTable reads what KeepTable wrote; without it the table is empty.
func KeptTable(file string) (t Table, err error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return t, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &t)
	}
	if err != nil {
		return Table{}, fmt.Errorf("read the last good table: %w", err)
	}
	return t, nil
}
