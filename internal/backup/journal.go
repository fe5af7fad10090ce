package backup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/failpoint"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// journal says, on the disk and before anything is moved, what a restore moves aside: one that is run again moves what the first one has
// not, and takes nothing that the first one has brought for what was there before.
type journal struct {
	Backup string  `json:"backup"` // the file
	Digest string  `json:"digest"` // SHA-256 of the database in it
	Target string  `json:"target"` // the database file; empty: on a server
	Places []place `json:"places"`
}

// place is where something comes to.
type place struct {
	To     string   `json:"to"`
	Aside  string   `json:"aside"`  // a folder beside it, of the same disk
	Former []string `json:"former"` // whole names of what was there
}

// arrival is one thing that comes into its place.
type arrival struct{ from, to string }

// Unfinished is the backup whose restore into a data folder did not come to its end; empty: there is none, or it is not known.
func Unfinished(data string) string {
	j, err := readJournal(data)
	if err != nil || j == nil {
		return ""
	}
	return j.Backup
}

// readJournal answers nil when there is none.
func readJournal(data string) (*journal, error) {
	text, err := os.ReadFile(filepath.Join(data, store.RestoreMark))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // there is none, and that is no error
	}
	if err != nil {
		return nil, fmt.Errorf("read how far a restore came: %w", err)
	}
	var j journal
	if err := json.Unmarshal(text, &j); err != nil {
		return nil, fmt.Errorf("read how far a restore came: %s: %w", store.RestoreMark, err)
	}
	return &j, nil
}

// expect notes what is in a place now. What SQLite keeps beside a database belongs to it: beside another one it would spoil that.
func (j *journal) expect(to string, now time.Time) error {
	p := place{To: to, Aside: filepath.Join(filepath.Dir(to), "before-restore-"+now.UTC().Format(stamp))}
	for free, n := p.Aside, 2; ; n++ {
		if _, err := os.Lstat(p.Aside); errors.Is(err, fs.ErrNotExist) {
			break
		} else if err != nil {
			return fmt.Errorf("look what is there before the restore: %w", err)
		}
		p.Aside = fmt.Sprintf("%s-%d", free, n)
	}
	for _, name := range belonging(to) {
		if mounted(name) {
			return fmt.Errorf("%s is a mount of its own, which no restore can move aside: unmount it, and mount it again on the restored one", name)
		}
		if _, err := os.Lstat(name); err == nil {
			p.Former = append(p.Former, name)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("look what is there before the restore: %w", err)
		}
	}
	j.Places = append(j.Places, p)
	return nil
}

func belonging(to string) []string { return []string{to, to + "-wal", to + "-shm"} }

// write has the journal on the disk, whole, before it returns.
func (j *journal) write(data string) error {
	text, err := json.Marshal(j)
	if err != nil {
		return fmt.Errorf("note the restore: %w", err)
	}
	dir, err := os.MkdirTemp(data, workPrefix+"*") // removed with the rest of the work
	if err == nil {
		part := filepath.Join(dir, store.RestoreMark)
		err = os.WriteFile(part, text, 0o600)
		if err == nil {
			err = syncName(part)
		}
		if err == nil {
			err = os.Rename(part, filepath.Join(data, store.RestoreMark))
		}
		if err == nil {
			err = syncName(data)
		}
	}
	if err != nil {
		return fmt.Errorf("note the restore: %w", err)
	}
	failpoint.Here("noted")
	return nil
}

// bring moves aside what was in a place, unless that was done before, and brings what comes. Each is on the disk before the next begins.
func (j *journal) bring(c arrival) error {
	n := slices.IndexFunc(j.Places, func(p place) bool { return p.To == c.to })
	if n < 0 {
		return fmt.Errorf("put the restored files in their place: nothing is noted of %s", c.to)
	}
	p := j.Places[n]
	if err := p.clear(); err != nil {
		return fmt.Errorf("move the former files aside: %w", err)
	}
	err := os.Rename(c.from, c.to)
	if err == nil {
		err = syncName(filepath.Dir(c.to))
	}
	if err != nil {
		return fmt.Errorf("put the restored files in their place (the former ones are in %s): %w", p.Aside, err)
	}
	failpoint.Here("brought " + filepath.Base(c.to))
	return nil
}

func (p place) clear() error {
	for _, name := range p.Former {
		if err := os.Mkdir(p.Aside, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		there := filepath.Join(p.Aside, filepath.Base(name))
		if _, err := os.Lstat(there); err == nil {
			continue // before it was cut off
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.Rename(name, there); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		failpoint.Here("aside " + filepath.Base(name))
	}
	if len(p.Former) > 0 {
		if err := errors.Join(syncName(p.Aside), syncName(filepath.Dir(p.To))); err != nil {
			return err
		}
	}
	for _, name := range belonging(p.To) { // what is there now was brought before it was cut off
		if err := os.RemoveAll(name); err != nil {
			return err
		}
	}
	return nil
}

// aside are the folders with what was there before.
func (j *journal) aside() (folders []string) {
	for _, p := range j.Places {
		if len(p.Former) > 0 && !slices.Contains(folders, p.Aside) {
			folders = append(folders, p.Aside)
		}
	}
	return folders
}

// end lets the store be opened again.
func (j *journal) end(data string) error {
	if err := errors.Join(os.Remove(filepath.Join(data, store.RestoreMark)), syncName(data)); err != nil {
		return fmt.Errorf("note that the restore came to its end: %w", err)
	}
	return nil
}
