// Package backup keeps copies of the store, and of what else lies in the data folder, beside it: made while the daemon runs, each opened and
// compared before it counts, so many kept. Restore puts one back where no daemon runs. The key file is in none of them: a backup
// that is lost tells no secret, for certificates and their keys are sealed in it too.
package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// The errors of backups.
var (
	ErrNotFound = errors.New("there is no such backup")
	ErrBusy     = errors.New("a backup is being made")
	ErrDamaged  = errors.New("the backup is damaged")
	ErrPutOff   = errors.New("no backup is tried now")
)

// The kinds of events.
const (
	kindMade    = "backup.made"
	kindFailed  = "backup.failed"
	kindRemoved = "backup.removed"
)

const (
	prefix = "docker-watcher-"
	suffix = ".tar.gz"
	stamp  = "20060102T150405Z"
)

var nameShape = regexp.MustCompile(`^docker-watcher-[0-9]{8}T[0-9]{6}Z\.tar\.gz$`)

// Options say where backups go, and what of.
type Options struct {
	Folder  string        // of the backups; made when the first one is
	Data    string        // the data folder
	Store   string        // where the store is, as the flag says it; empty: in the data folder
	Every   time.Duration // 0: none is made by itself
	Keep    int           // so many, and as many more of one Every; see surplus
	Version string        // of this program
	// Free is how many bytes are free on the disk of a folder, -1 where that is not known. Nil: it is not known.
	Free func(folder string) int64
}

// Backup is one that is there.
type Backup struct {
	Name  string
	At    time.Time
	Bytes int64
}

// By is who asks, and from where.
type By struct{ Actor, Addr string }

var itself = By{Actor: "system"}

// Keeper makes and keeps backups, one at a time.
type Keeper struct {
	db  *store.DB
	o   Options
	log *slog.Logger
	now func() time.Time

	since  time.Time // when this process began
	making sync.Mutex
	busy   atomic.Bool // for who asks meanwhile
	pause  pause       // of those that are made by itself

	tries struct{ made, failed atomic.Int64 }
}

// New joins the parts; it starts nothing.
func New(db *store.DB, o Options, log *slog.Logger) *Keeper {
	return &Keeper{db: db, o: o, log: log, now: time.Now, since: time.Now()}
}

// Folder is where backups are.
func (k *Keeper) Folder() string { return k.o.Folder }

// List is what is there, newest first.
func (k *Keeper) List() ([]Backup, error) {
	entries, err := os.ReadDir(k.o.Folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the backups: %w", err)
	}
	var all []Backup
	for _, e := range entries {
		at, ok := timeOf(e.Name())
		if !ok {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was just removed
		}
		if err != nil {
			return nil, fmt.Errorf("list the backups: %w", err)
		}
		all = append(all, Backup{Name: e.Name(), At: at, Bytes: info.Size()})
	}
	slices.SortFunc(all, func(a, b Backup) int { return strings.Compare(b.Name, a.Name) })
	return all, nil
}

// Dated is what of all may be gone by: without those that are dated after now by more than an hour, made while the clock ran ahead or named by
// somebody. No other is late, or let go of, because of them; what they hold is nobody's guess, so that only a person removes them.
func Dated(all []Backup, now time.Time) []Backup {
	return slices.DeleteFunc(slices.Clone(all), func(b Backup) bool { return store.DatedAhead(b.At, now) })
}

// NameAt is how a backup is called that is made at a moment: names are in the order of their moments.
func NameAt(at time.Time) string { return prefix + at.UTC().Format(stamp) + suffix }

func timeOf(name string) (time.Time, bool) {
	if !nameShape.MatchString(name) {
		return time.Time{}, false
	}
	at, err := time.Parse(stamp, strings.TrimSuffix(strings.TrimPrefix(name, prefix), suffix))
	return at, err == nil
}

// Open reads one. ErrNotFound.
func (k *Keeper) Open(name string) (io.ReadCloser, Backup, error) {
	at, ok := timeOf(name)
	if !ok {
		return nil, Backup{}, fmt.Errorf("%w: %q", ErrNotFound, name)
	}
	f, err := os.Open(filepath.Join(k.o.Folder, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, Backup{}, fmt.Errorf("%w: %q", ErrNotFound, name)
	}
	if err != nil {
		return nil, Backup{}, fmt.Errorf("open the backup: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, Backup{}, errors.Join(fmt.Errorf("open the backup: %w", err), f.Close())
	}
	return f, Backup{Name: name, At: at, Bytes: info.Size()}, nil
}

// Late says that one was due and did not come: the newest is older than twice the time that it should be.
func (k *Keeper) Late() bool {
	if k.o.Every <= 0 {
		return false
	}
	all, err := k.List()
	if all = Dated(all, k.now()); err != nil || len(all) == 0 {
		return err != nil || k.now().Sub(k.since) > 2*k.o.Every
	}
	return k.now().Sub(all[0].At) > 2*k.o.Every
}

// Making says that one is being made.
func (k *Keeper) Making() bool { return k.busy.Load() }

// Every is how old the newest may become before another is made by itself; 0: none is.
func (k *Keeper) Every() time.Duration { return k.o.Every }

// Keep is how many are kept.
func (k *Keeper) Keep() int { return k.o.Keep }

// Due is when one is to be made by itself, where those of all are there, newest first. Zero: never.
func (k *Keeper) Due(all []Backup) time.Time {
	all = Dated(all, k.now())
	switch {
	case k.o.Every <= 0:
		return time.Time{}
	case len(all) == 0:
		return k.since
	}
	return all[0].At.Add(k.o.Every)
}

// RestoreCommand is what puts one back, on the machine of the daemon.
func (k *Keeper) RestoreCommand(name string) string {
	return RestoreCommand(absolute(filepath.Join(k.o.Folder, name)), k.o.Data, k.o.Store)
}

// absolute is a path that means the same in every folder.
func absolute(path string) string {
	if whole, err := filepath.Abs(path); err == nil {
		return whole
	}
	return path
}

// Make makes one now for an actor, and lets go of the oldest when there are more than are kept. ErrBusy.
func (k *Keeper) Make(ctx context.Context, by By) (Backup, error) {
	if !k.making.TryLock() {
		return Backup{}, ErrBusy
	}
	defer k.making.Unlock()
	b, err := k.make(ctx)
	if err == nil {
		return b, k.kept(ctx, b, by)
	}
	if !errors.Is(err, ErrBusy) {
		k.tries.failed.Add(1)
	}
	return b, err
}

// Tries are how many backups were made since the start, and how many could not be. One that was made and not told of, or that the oldest
// did not make room for, is made.
func (k *Keeper) Tries() (made, failed int64) { return k.tries.made.Load(), k.tries.failed.Load() }

// kept tells of a backup that was made, and lets go of those that are too many.
func (k *Keeper) kept(ctx context.Context, b Backup, by By) error {
	k.tries.made.Add(1)
	k.pause.over()
	err := k.tell(ctx, store.SeverityInfo, kindMade, by, "backup "+b.Name+" made and checked", map[string]any{"backup": b.Name, "bytes": b.Bytes})
	all, listErr := k.List()
	if err := errors.Join(err, listErr); err != nil {
		return err
	}
	for _, old := range surplus(Dated(all, k.now()), k.o.Keep, k.o.Every) {
		if err := os.Remove(filepath.Join(k.o.Folder, old.Name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("let go of an old backup: %w", err)
		}
		k.log.InfoContext(ctx, "an old backup was let go of", "backup", old.Name)
	}
	return nil
}

// surplus is what goes of those that are there, newest first. Those of the time within which another is made by itself count as one, up to
// as many more as are kept: they were made by hand, before something that may yet have to be undone, and push out none of the days
// before. Once they are older, what was soon followed by another goes before the oldest.
func surplus(all []Backup, keep int, every time.Duration) (gone []Backup) {
	left, keep := slices.Clone(all), max(keep, 1)
	for {
		i := tooMany(left, keep, every)
		if i < 0 {
			return gone
		}
		gone, left = append(gone, left[i]), slices.Delete(left, i, i+1)
	}
}

// tooMany is the next that goes; -1: none.
func tooMany(left []Backup, keep int, every time.Duration) int {
	young := 0 // beside the newest
	for young+1 < len(left) && left[0].At.Sub(left[young+1].At) < every {
		young++
	}
	oldest := len(left) - 1
	for i := oldest; len(left) > keep && i > young; i-- {
		if i > 0 && left[i-1].At.Sub(left[i].At) < every/2 {
			return i
		}
	}
	switch {
	case len(left)-young > keep:
		return oldest
	case len(left) > 2*keep:
		return young
	}
	return -1
}

// Remove lets go of one. ErrNotFound.
func (k *Keeper) Remove(ctx context.Context, name string, by By) error {
	if _, ok := timeOf(name); !ok {
		return fmt.Errorf("%w: %q", ErrNotFound, name)
	}
	err := os.Remove(filepath.Join(k.o.Folder, name))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %q", ErrNotFound, name)
	}
	if err != nil {
		return fmt.Errorf("remove the backup: %w", err)
	}
	return k.tell(ctx, store.SeverityInfo, kindRemoved, by, "backup "+name+" removed", map[string]any{"backup": name})
}

// IfDue makes one when the newest is older than Every. That none could be made is told once, until one is; the next try comes ever later, up to six
// hours. ErrPutOff until then, with the failure, at no cost, and while somebody makes one.
func (k *Keeper) IfDue(ctx context.Context) error {
	if k.o.Every <= 0 {
		return nil
	}
	if !k.making.TryLock() {
		return fmt.Errorf("%w: %w", ErrPutOff, ErrBusy)
	}
	defer k.making.Unlock()
	began := k.now()
	if err := k.pause.waits(began); err != nil {
		return fmt.Errorf("%w: %w", ErrPutOff, err)
	}
	b, err := k.makeIfDue(ctx)
	switch {
	case err == nil && b.Name != "":
		return k.kept(ctx, b, itself)
	case err == nil:
		k.pause.over()
		return nil
	case ctx.Err() != nil:
		return err
	}
	k.tries.failed.Add(1)
	failures, told := k.pause.failed(err, began)
	if failures > 1 {
		return told
	}
	return errors.Join(told, k.tell(ctx, store.SeverityWarn, kindFailed, itself, "no backup could be made: "+err.Error()+
		"; see that "+k.o.Folder+" has room and may be written, then: docker-watcher backup make", map[string]any{"error": err.Error()}))
}

// TryAgain has the next try by itself made when its job is asked to run, and put off no longer: somebody has mended what made it fail.
func (k *Keeper) TryAgain() { k.pause.end() }

// PutOff is until when no backup is tried by itself, because others failed; zero: it is not put off.
func (k *Keeper) PutOff() time.Time { return k.pause.next(k.now()) }

// makeIfDue answers one without a name when none is due.
func (k *Keeper) makeIfDue(ctx context.Context) (Backup, error) {
	all, err := k.List()
	all = Dated(all, k.now())
	if err != nil || len(all) > 0 && k.now().Sub(all[0].At) < k.o.Every {
		return Backup{}, err
	}
	return k.make(ctx)
}

func (k *Keeper) tell(ctx context.Context, severity store.Severity, kind string, by By, message string, data map[string]any) error {
	if by.Addr != "" {
		data["addr"] = by.Addr
	}
	err := k.db.Update(ctx, func(tx *store.Tx) error {
		return tx.Emit(ctx, store.Event{
			Time: k.now().UTC(), Severity: severity, Source: store.SourceSystem, Kind: kind, Actor: by.Actor, Message: message, Data: data,
		})
	})
	if err != nil {
		return fmt.Errorf("write the backup to the event log: %w", err)
	}
	return nil
}
