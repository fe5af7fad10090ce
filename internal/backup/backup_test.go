package backup

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/canarytest"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// bed is a keeper over a fresh store.
type bed struct {
	*Keeper
	t    *testing.T
	db   *store.DB
	data string
	at   time.Time
}

func newBed(t *testing.T, every time.Duration) *bed {
	t.Helper()
	b := &bed{t: t, data: storetest.Dir(t), at: time.Date(2026, 11, 29, 3, 0, 0, 0, time.UTC)}
	b.db = storetest.With(t, store.Options{DataDir: b.data})
	b.Keeper = New(b.db, Options{Folder: filepath.Join(t.TempDir(), "made"), Data: b.data, Every: every, Keep: 2, Version: "1.2.3"}, canarytest.Log(t, b.db))
	storetest.Update(t, b.db, func(ctx context.Context, tx *store.Tx) error {
		return tx.InsertRegistry(ctx, store.Registry{ID: store.NewID(), Name: "here", Host: "registry.example", Username: "anna", CreatedAt: b.at}, canarytest.Word)
	})
	b.now = func() time.Time { return b.at }
	b.write(filepath.Join(b.data, certificates, "own", "shop.pem"), "a certificate")
	return b
}

func (b *bed) write(file, text string) {
	b.t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bed) made() Backup {
	b.t.Helper()
	made, err := b.Make(b.t.Context(), By{Actor: "user:anna", Addr: "10.0.0.1"})
	if err != nil {
		b.t.Fatal(err)
	}
	return made
}

func (b *bed) count(want int) {
	b.t.Helper()
	all, err := b.List()
	if err != nil || len(all) != want {
		b.t.Errorf("%d backups, %v; want %d", len(all), err, want)
	}
}

// events counts those of a kind.
func (b *bed) events(kind string) (n int) {
	b.t.Helper()
	all, _, err := b.db.Events(b.t.Context(), store.EventFilter{}, store.Page{Limit: 500})
	if err != nil {
		b.t.Fatal(err)
	}
	for _, e := range all {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// TestBackUpAndRestore brings everything back into another data folder, and moves aside what was there.
func TestBackUpAndRestore(t *testing.T) {
	b := newBed(t, 0)
	_, inst := storetest.Shop(t, b.db)
	made := b.made()
	if made.Name != "docker-watcher-20261129T030000Z.tar.gz" || b.events(kindMade) != 1 {
		t.Errorf("made %+v", made)
	}
	file := filepath.Join(b.Folder(), made.Name)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 || info.Size() != made.Bytes {
		t.Errorf("the file: %v, %v", info, err)
	}
	if packed := unpacked(t, file); strings.Contains(packed, "a certificate") || !strings.Contains(packed, "certificates/own/shop.pem") {
		t.Error("the certificate is not in it, or not sealed")
	}
	key, err := os.ReadFile(filepath.Join(b.data, "docker-watcher.key"))
	if err != nil {
		t.Fatal(err)
	}
	there := t.TempDir()
	to := store.Options{DataDir: there}
	if _, err := Restore(t.Context(), file, to, b.at); !errors.Is(err, store.ErrBadKeyFile) {
		t.Errorf("without its key: %v", err)
	}
	b.write(filepath.Join(there, "docker-watcher.key"), string(key))
	r, err := Restore(t.Context(), file, to, b.at)
	if err != nil || len(r.Aside) > 0 || r.Manifest.Installation != b.db.InstallationID() || r.Manifest.Version != "1.2.3" {
		t.Fatalf("%+v, %v", r, err)
	}
	if text, err := os.ReadFile(filepath.Join(there, certificates, "own", "shop.pem")); err != nil || string(text) != "a certificate" {
		t.Errorf("the certificate: %q, %v", text, err)
	}
	open := func() {
		t.Helper()
		db, err := store.Open(t.Context(), to)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := db.Instance(t.Context(), inst.ID); err != nil || got.Name != inst.Name {
			t.Errorf("what came back: %+v, %v", got, err)
		}
		if _, err := Restore(t.Context(), file, to, b.at); !errors.Is(err, store.ErrLocked) {
			t.Errorf("while a daemon uses it: %v", err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	open()
	if r, err = Restore(t.Context(), file, to, b.at.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"docker-watcher.db", certificates} {
		if _, err := os.Stat(filepath.Join(r.Aside[0], name)); err != nil {
			t.Errorf("what was there before is lost: %v", err)
		}
	}
	open()
	left, err := filepath.Glob(filepath.Join(there, ".restoring-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// unpacked is all that is in a backup, without its compression.
func unpacked(t *testing.T, file string) string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	zip, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(zip)
	if err != nil {
		t.Fatal(err)
	}
	return string(all)
}

func TestRestoreIntoAServer(t *testing.T) {
	b := newBed(t, 0)
	_, inst := storetest.Shop(t, b.db)
	file := filepath.Join(b.Folder(), b.made().Name)
	key, err := os.ReadFile(filepath.Join(b.data, "docker-watcher.key"))
	if err != nil {
		t.Fatal(err)
	}
	to := store.Options{DataDir: t.TempDir(), URL: storetest.Postgres(t)}
	b.write(filepath.Join(to.DataDir, "docker-watcher.key"), string(key))
	if _, err := Restore(t.Context(), file, to, b.at); err != nil {
		t.Fatal(err)
	}
	if got, err := storetest.With(t, to).Instance(t.Context(), inst.ID); err != nil || got.Name != inst.Name {
		t.Errorf("what came back: %+v, %v", got, err)
	}
	if _, err := Restore(t.Context(), file, store.Options{DataDir: to.DataDir, URL: to.URL}, b.at); !errors.Is(err, store.ErrLocked) {
		t.Errorf("while a daemon uses it: %v", err)
	}
}

// TestADamagedBackupRestoresNothing flips a byte at many places, cuts it off, and adds what is not ours.
func TestADamagedBackupRestoresNothing(t *testing.T) {
	b := newBed(t, 0)
	whole, err := os.ReadFile(filepath.Join(b.Folder(), b.made().Name))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	try := func(what string, data []byte) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "backup")
		b.write(file, string(data))
		_, err := Restore(t.Context(), file, store.Options{DataDir: dir}, b.at)
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for i := 20; i < len(whole); i += len(whole) / 20 {
		flipped := append([]byte(nil), whole...)
		flipped[i] ^= 0x55
		try("a flipped byte", flipped)
	}
	try("cut off", whole[:len(whole)/2])
	try("empty", nil)
	try("no backup", []byte("hello"))
	for _, name := range []string{"../escaped", "/etc/escaped", "a/../../escaped"} {
		try(name, tarOf(t, name))
	}
	left, err := os.ReadDir(dir)
	left = slices.DeleteFunc(left, func(e os.DirEntry) bool { return e.Name() == "docker-watcher.lock" })
	if err != nil || len(left) > 0 {
		t.Errorf("left in the data folder: %v, %v", left, err)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(dir), "escaped")); err == nil {
		t.Error("an entry was written outside")
	}
}

func tarOf(t *testing.T, name string) []byte {
	t.Helper()
	r, w := io.Pipe()
	go func() {
		zip := gzip.NewWriter(w)
		to := tar.NewWriter(zip)
		err := to.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: 1})
		_, wrote := to.Write([]byte("x"))
		w.CloseWithError(errors.Join(err, wrote, to.Close(), zip.Close()))
	}()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestByItself(t *testing.T) {
	b := newBed(t, 24*time.Hour)
	tick := func(after time.Duration) error {
		b.at = b.at.Add(after)
		return b.IfDue(t.Context())
	}
	for _, step := range []struct {
		after time.Duration
		want  int
	}{{0, 1}, {10 * time.Minute, 1}, {24 * time.Hour, 2}, {25 * time.Hour, 2}} { // two are kept
		if err := tick(step.after); err != nil {
			t.Fatal(err)
		}
		b.count(step.want)
	}
	all, err := b.List()
	if err != nil || !all[0].At.Equal(b.at.Truncate(time.Second)) {
		t.Errorf("the newest is %v, %v", all, err)
	}
	// A folder that cannot be written is told once, and again after it was well.
	if err := os.Rename(b.Folder(), b.Folder()+".away"); err != nil {
		t.Fatal(err)
	}
	b.write(b.Folder(), "a file in its place")
	for range 2 {
		if err := tick(25 * time.Hour); err == nil {
			t.Error("no error")
		}
	}
	if n := b.events(kindFailed); n != 1 {
		t.Errorf("told %d times", n)
	}
	if made, failed := b.Tries(); made != 3 || failed != 2 {
		t.Errorf("%d were made and %d failed", made, failed)
	}
	if err := errors.Join(os.Remove(b.Folder()), os.Rename(b.Folder()+".away", b.Folder()), tick(20*time.Minute)); err != nil {
		t.Fatal(err)
	}
	b.count(2)
	b.o.Every = 0
	if err := tick(1000 * time.Hour); err != nil {
		t.Fatal(err)
	}
	b.count(2)
}

// TestThatFailsAgainAndAgain: the next try comes ever later, and says when; who has it run is not put off, and one that is made begins anew.
func TestThatFailsAgainAndAgain(t *testing.T) {
	b := newBed(t, 24*time.Hour)
	b.write(b.Folder(), "a file in its place")
	begin, tries := b.at, []time.Duration(nil)
	for b.at = begin; b.at.Before(begin.Add(30 * time.Hour)); b.at = b.at.Add(10*time.Minute - time.Millisecond) { // a job is never quite in time
		_, before := b.Tries()
		err := b.IfDue(t.Context())
		if err == nil || !strings.Contains(err.Error(), "not a directory") || !strings.Contains(err.Error(), "; the next try comes at "+b.PutOff().Format(time.RFC3339)) {
			t.Fatalf("%s: %v, put off until %s", b.at.Sub(begin), err, b.PutOff())
		}
		_, after := b.Tries()
		if after > before {
			tries = append(tries, b.at.Sub(begin).Round(time.Minute))
		}
		if errors.Is(err, ErrPutOff) != (after == before) {
			t.Errorf("%s: %v", b.at.Sub(begin), err)
		}
	}
	const m = time.Minute
	if want := []time.Duration{0, 10 * m, 30 * m, 70 * m, 150 * m, 310 * m, 630 * m, 990 * m, 1350 * m, 1710 * m}; !slices.Equal(tries, want) {
		t.Errorf("tried after %v, want %v", tries, want)
	}
	if n := b.events(kindFailed); n != 1 {
		t.Errorf("told %d times", n)
	}
	_, before := b.Tries()
	b.TryAgain()
	if err := b.IfDue(t.Context()); err == nil || !b.PutOff().After(b.at.Add(5*time.Hour)) {
		t.Errorf("asked for: %v, put off until %s", err, b.PutOff())
	}
	if _, after := b.Tries(); after != before+1 {
		t.Errorf("%d tries when it is asked for", after-before)
	}
	b.at = b.at.AddDate(-1, 0, 0) // the clock ran ahead: nobody waits for a year
	if err := b.IfDue(t.Context()); err == nil || b.PutOff().After(b.at.Add(longestPause)) {
		t.Errorf("after the clock was set back: %v, put off until %s", err, b.PutOff())
	}
	if err := os.Remove(b.Folder()); err != nil {
		t.Fatal(err)
	}
	b.made()
	b.making.Lock() // as by somebody who makes one
	if err := b.IfDue(t.Context()); !errors.Is(err, ErrPutOff) || !errors.Is(err, ErrBusy) {
		t.Errorf("while one is made: %v", err)
	}
	b.making.Unlock()
	if !b.PutOff().IsZero() {
		t.Errorf("one was made, and the next is put off until %s", b.PutOff())
	}
	if err := b.IfDue(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestAnotherKeyRestoresNothing: a key file that does not fit, none, and one that is no key; nothing is written, and the right one still does.
func TestAnotherKeyRestoresNothing(t *testing.T) {
	b := newBed(t, 0)
	file, name := filepath.Join(b.Folder(), b.made().Name), "docker-watcher.key"
	right, err := os.ReadFile(filepath.Join(b.data, name))
	if err != nil {
		t.Fatal(err)
	}
	other := t.TempDir()
	storetest.With(t, store.Options{DataDir: other})
	wrong, err := os.ReadFile(filepath.Join(other, name))
	if err != nil {
		t.Fatal(err)
	}
	for what, key := range map[string][]byte{"another": wrong, "none": nil, "no key": []byte("hello")} {
		t.Run(what, func(t *testing.T) {
			to := t.TempDir()
			b.write(filepath.Join(to, "docker-watcher.db"), "what was there before")
			if key != nil {
				b.write(filepath.Join(to, name), string(key))
			}
			before := contentOf(t, to)
			_, err := Restore(t.Context(), file, store.Options{DataDir: to}, b.at)
			want, words := store.ErrBadKeyFile, name
			if what == "another" {
				want, words = store.ErrWrongKey, "the key file does not fit the database"
			}
			if !errors.Is(err, want) || !strings.Contains(err.Error(), words) {
				t.Errorf("it says %v", err)
			}
			if after := contentOf(t, to); !maps.Equal(before, after) {
				t.Errorf("in the data folder is %v, and was %v", after, before)
			}
			b.write(filepath.Join(to, name), string(right))
			if r, err := Restore(t.Context(), file, store.Options{DataDir: to}, b.at); err != nil || len(r.Aside) != 1 {
				t.Errorf("with the right key: %+v, %v", r, err)
			}
		})
	}
}

// contentOf are the files of a folder but for the locks, which hold nothing.
func contentOf(t *testing.T, folder string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(folder, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() && name == folder || strings.HasSuffix(name, ".lock") {
			return err
		}
		if e.IsDir() {
			all[name] = "a folder"
			return nil
		}
		text, err := os.ReadFile(name)
		all[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestWhatIsMadeHasNotFailed: a backup that is there is not counted, nor told, as one that could not be made when only an old one stays.
func TestWhatIsMadeHasNotFailed(t *testing.T) {
	b := newBed(t, 24*time.Hour)
	b.o.Keep = 1
	// A folder that is not empty cannot be removed as a backup is.
	b.write(filepath.Join(b.Folder(), "docker-watcher-20251129T030000Z.tar.gz", "x"), "in the way")
	if err := b.IfDue(t.Context()); err == nil {
		t.Error("by itself: that the old one stays is not an error")
	}
	b.at = b.at.Add(time.Hour)
	if made, err := b.Make(t.Context(), By{Actor: "user:anna"}); err == nil || made.Name == "" {
		t.Errorf("by hand: %+v, %v", made, err)
	}
	if made, failed := b.Tries(); made != 2 || failed != 0 {
		t.Errorf("%d were made and %d failed", made, failed)
	}
	if told := b.events(kindFailed); told != 0 || b.events(kindMade) != 2 {
		t.Errorf("told %d times that none could be made", told)
	}
}

// A name is a second: another backup within it is refused, and the one that is there stays.
func TestTwoInOneSecond(t *testing.T) {
	b := newBed(t, 0)
	first := b.made()
	if _, err := b.Make(t.Context(), By{Actor: "user:anna"}); !errors.Is(err, ErrBusy) {
		t.Errorf("the second in a second: %v", err)
	}
	b.count(1)
	b.at = b.at.Add(time.Second)
	if second := b.made(); second.Name == first.Name {
		t.Errorf("both are called %s", first.Name)
	}
	b.count(2)
	if made, failed := b.Tries(); made != 2 || failed != 0 {
		t.Errorf("%d were made and %d failed", made, failed)
	}
}

// TestWhatMayNotBeOnTheDiskIsNoBackup: when the disk refuses the last word, nothing stays under the name, but for what had it before.
func TestWhatMayNotBeOnTheDiskIsNoBackup(t *testing.T) {
	broken := errors.New("the disk is broken")
	for name, refused := range map[string]string{"the file": "packed", "the folder": "made"} {
		t.Run(name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "made")
			b := &bed{t: t}
			packed, backup := filepath.Join(folder, ".making-1", "packed"), filepath.Join(folder, NameAt(time.Unix(0, 0)))
			b.write(packed, "whole")
			sync := func(name string) error {
				if filepath.Base(name) == refused {
					return broken
				}
				return syncName(name)
			}
			if err := publish(packed, backup, sync); !errors.Is(err, broken) {
				t.Errorf("it says %v", err)
			}
			if _, err := os.Lstat(backup); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("it is there: %v", err)
			}
			b.write(backup, "of before")
			if err := publish(packed, backup, sync); !errors.Is(err, ErrBusy) {
				t.Errorf("where there is one it says %v", err)
			}
			if text, err := os.ReadFile(backup); err != nil || string(text) != "of before" {
				t.Errorf("the one of before is %q, %v", text, err)
			}
		})
	}
}

func TestNamesOfBackups(t *testing.T) {
	b := newBed(t, 0)
	made := b.made()
	b.write(filepath.Join(b.Folder(), "notes.txt"), "x")
	b.write(filepath.Join(b.Folder(), "..", "docker-watcher-20200101T000000Z.tar.gz"), "x")
	b.count(1)
	for _, name := range []string{"notes.txt", "../docker-watcher-20200101T000000Z.tar.gz", "", ".", "docker-watcher-20200101T000000Z.tar.gz"} {
		if _, _, err := b.Open(name); !errors.Is(err, ErrNotFound) {
			t.Errorf("open %q: %v", name, err)
		}
		if err := b.Remove(t.Context(), name, By{}); !errors.Is(err, ErrNotFound) {
			t.Errorf("remove %q: %v", name, err)
		}
	}
	b.making.Lock()
	if _, err := b.Make(t.Context(), By{}); !errors.Is(err, ErrBusy) {
		t.Errorf("while another is made: %v", err)
	}
	b.making.Unlock()
	if err := b.Remove(t.Context(), made.Name, By{Actor: "user:anna"}); err != nil {
		t.Fatal(err)
	}
	b.count(0)
	if b.events(kindRemoved) != 1 {
		t.Error("the removal was not told")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Make(ctx, By{}); err == nil {
		t.Error("one was made although nobody waits for it")
	}
	b.count(0)
	left, err := filepath.Glob(filepath.Join(b.Folder(), ".making-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestDue: when the next one comes by itself follows from the newest, and from the start of the daemon where there is none.
func TestDue(t *testing.T) {
	b := newBed(t, 24*time.Hour)
	if got := b.Due(nil); !got.Equal(b.since) {
		t.Errorf("without any it is due at %s, want at the start, %s", got, b.since)
	}
	made := b.made()
	if got, want := b.Due([]Backup{made}), made.At.Add(24*time.Hour); !got.Equal(want) {
		t.Errorf("it is due at %s, want %s", got, want)
	}
	if b.Making() {
		t.Error("it is said to make one still")
	}
	if got := newBed(t, 0).Due([]Backup{made}); !got.IsZero() {
		t.Errorf("none is made by itself, and yet it is due at %s", got)
	}
}

// TestABackupThatIsDatedAhead: it keeps no other from being made, told as late, or let go of in its turn; and is not let go of itself.
func TestABackupThatIsDatedAhead(t *testing.T) {
	b := newBed(t, 24*time.Hour)
	b.since = b.at
	future := filepath.Join(b.Folder(), NameAt(b.at.AddDate(10, 0, 0)))
	b.write(future, "made by a wrong clock")
	if due := b.Due([]Backup{{At: b.at.AddDate(10, 0, 0)}}); !due.Equal(b.since) {
		t.Errorf("one is due at %s", due)
	}
	for range 4 {
		if err := b.IfDue(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.at = b.at.Add(25 * time.Hour)
	}
	b.count(3) // the two that are kept, and this one
	if made, failed := b.Tries(); made != 4 || failed != 0 || b.Late() {
		t.Errorf("%d were made and %d failed, late: %t", made, failed, b.Late())
	}
	if _, err := os.Stat(future); err != nil {
		t.Error(err)
	}
	b.at = b.at.Add(48 * time.Hour)
	if !b.Late() {
		t.Error("none was made for three days, and it is not late")
	}
	near := []Backup{{At: b.at.Add(50 * time.Minute)}} // the clock was set back a little
	if due := b.Due(near); !due.Equal(near[0].At.Add(24 * time.Hour)) {
		t.Errorf("beside one of a moment ahead another is due at %s", due)
	}
}

// TestSurplus: what is made by hand pushes out no day before it, and is not pushed out while it may be wanted.
func TestSurplus(t *testing.T) {
	noon := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		ages []time.Duration // newest first
		keep int
		gone []int
	}{
		"none is too many":     {[]time.Duration{0, 24 * time.Hour}, 2, nil},
		"the oldest goes":      {[]time.Duration{0, 24 * time.Hour, 48 * time.Hour}, 2, []int{2}},
		"by hand, of this day": {[]time.Duration{0, 10 * time.Minute, 7 * time.Hour, 31 * time.Hour, 55 * time.Hour}, 3, nil},
		"a day later":          {[]time.Duration{0, 24 * time.Hour, 24*time.Hour + 10*time.Minute, 31 * time.Hour, 55 * time.Hour, 79 * time.Hour}, 3, []int{3, 2, 5}},
		"by hand, on and on":   {[]time.Duration{0, 1, 2, 3, 4, 5, 24 * time.Hour}, 3, []int{5}},
		"by hand only":         {[]time.Duration{0, 1, 2}, 1, []int{2}},
		"the newest stays":     {[]time.Duration{0, time.Second, 48 * time.Hour}, 0, []int{2}},
	} {
		var all, want []Backup
		for _, age := range tt.ages {
			all = append(all, Backup{At: noon.Add(-age)})
		}
		for _, i := range tt.gone {
			want = append(want, all[i])
		}
		if got := surplus(all, tt.keep, 24*time.Hour); !slices.Equal(got, want) {
			t.Errorf("%s: %v go, want %v", name, got, want)
		}
	}
}

// TestWhatAKilledOneLeftIsRemoved: it may be as large as the database, each time.
func TestWhatAKilledOneLeftIsRemoved(t *testing.T) {
	b := newBed(t, 0)
	left := filepath.Join(b.Folder(), ".making-123")
	b.write(filepath.Join(left, databaseName), "half a copy")
	b.write(filepath.Join(b.Folder(), "notes.txt"), "of somebody else")
	b.made()
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is there still: %v", err)
	}
	if _, err := os.Stat(filepath.Join(b.Folder(), "notes.txt")); err != nil {
		t.Errorf("what is not ours: %v", err)
	}
}

// TestNoBackupFillsTheDisk of the database, which may be the same.
func TestNoBackupFillsTheDisk(t *testing.T) {
	b := newBed(t, 0)
	free := int64(workMargin)
	b.o.Free = func(folder string) int64 {
		if folder != b.Folder() {
			t.Errorf("asked for %s", folder)
		}
		return free
	}
	if _, err := b.Make(t.Context(), itself); !errors.Is(err, store.ErrDiskFull) || !strings.Contains(err.Error(), "64 are free") {
		t.Errorf("without room: %v", err)
	}
	b.count(0)
	for _, free = range []int64{1 << 30, -1} {
		b.made()
		b.at = b.at.Add(time.Second)
	}
	b.count(2)
}
