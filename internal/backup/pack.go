package backup

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	databaseName = "docker-watcher.db"
	manifestName = "manifest.json"
	// certificates are the one folder that comes along.
	certificates = "certificates"
	// mostManifest bounds what is read of a manifest that a stranger may have written.
	mostManifest = 1 << 20
)

// Manifest is the last entry of a backup: what the others must be.
type Manifest struct {
	Version      string            `json:"version"` // of the program that made it
	Installation string            `json:"installation_id"`
	At           time.Time         `json:"at"`
	Files        map[string]string `json:"files"` // SHA-256 by name
}

// make copies, checks, packs, reads again, and only then gives the backup its name.
func (k *Keeper) make(ctx context.Context) (b Backup, err error) {
	k.busy.Store(true)
	defer k.busy.Store(false)
	if err := os.MkdirAll(k.o.Folder, 0o700); err != nil {
		return b, fmt.Errorf("make the folder of the backups: %w", err)
	}
	if err := removeAll(k.o.Folder, makingPrefix); err != nil { // of one that was killed
		return b, err
	}
	if err := k.room(ctx); err != nil {
		return b, err
	}
	work, err := os.MkdirTemp(k.o.Folder, makingPrefix+"*")
	if err != nil {
		return b, fmt.Errorf("make a backup: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	at := k.now().UTC().Truncate(time.Second)
	copied := filepath.Join(work, databaseName)
	if err := k.db.CopyTo(ctx, store.Options{DataDir: work, URL: copied}, nil); err != nil {
		return b, fmt.Errorf("make a backup: %w", err)
	}
	installation, err := store.CheckFile(ctx, copied)
	if err != nil {
		return b, fmt.Errorf("check the copy: %w", err)
	}
	packed := filepath.Join(work, "packed")
	m := Manifest{Version: k.o.Version, Installation: installation, At: at, Files: map[string]string{}}
	if err := pack(ctx, packed, copied, k.o.Data, m, k.db.SealFile); err != nil {
		return b, fmt.Errorf("pack the backup: %w", err)
	}
	if err := os.Remove(copied); err != nil { // what is read again takes its room
		return b, fmt.Errorf("make a backup: %w", err)
	}
	if _, err := Unpack(ctx, packed, filepath.Join(work, "again")); err != nil {
		return b, fmt.Errorf("read the backup again: %w", err)
	}
	info, err := os.Stat(packed)
	if err != nil {
		return b, fmt.Errorf("keep the backup: %w", err)
	}
	name := prefix + at.Format(stamp) + suffix
	if err := publish(packed, filepath.Join(k.o.Folder, name), syncName); err != nil {
		return b, fmt.Errorf("keep the backup: %w", err)
	}
	return Backup{Name: name, At: at, Bytes: info.Size()}, nil
}

// publish gives a file that is on the disk another name, which is on the disk when it returns, or which it has no more: under the name of a backup
// nothing lies that may be gone after a power cut. One that has the name stays: ErrBusy.
func publish(file, name string, sync func(name string) error) error {
	err := os.Link(file, name)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w, or was this very second", ErrBusy)
	}
	if err != nil {
		return err
	}
	if err := errors.Join(sync(file), sync(filepath.Dir(name))); err != nil {
		if gone := os.Remove(name); gone != nil {
			return fmt.Errorf("%w; it is there, do not rely on it, and remove it: %w", err, gone)
		}
		return err
	}
	return nil
}

const (
	makingPrefix = ".making-" // begins the name of a folder of work
	workMargin   = 64 << 20   // bytes that the work leaves to others on its disk
)

// room refuses with store.ErrDiskFull to begin a backup that would fill the disk, which may be that of the database: its copy is there
// together with what was packed of it.
func (k *Keeper) room(ctx context.Context) error {
	if k.o.Free == nil {
		return nil
	}
	sizes, err := k.db.Sizes(ctx)
	if err != nil {
		return fmt.Errorf("look how large a backup becomes: %w", err)
	}
	need := 2*(sizes.Database+max(sizes.Log, 0)) + workMargin
	if free := k.o.Free(k.o.Folder); free >= 0 && free < need {
		return fmt.Errorf("make a backup: %w: %d MiB are needed in %s, and %d are free", store.ErrDiskFull, (need+1<<20-1)>>20, k.o.Folder, free>>20)
	}
	return nil
}

// packing writes the entries of a backup.
type packing struct {
	to   *tar.Writer
	m    Manifest
	seal func(name string, plain []byte) []byte
}

func pack(ctx context.Context, to, database, data string, m Manifest, seal func(name string, plain []byte) []byte) (err error) {
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	zip := gzip.NewWriter(f)
	p := packing{to: tar.NewWriter(zip), m: m, seal: seal}
	if err := p.file(database, databaseName); err != nil {
		return err
	}
	if err := p.folder(ctx, filepath.Join(data, certificates), certificates); err != nil {
		return err
	}
	text, err := json.Marshal(p.m)
	if err != nil {
		return err
	}
	if err := p.entry(manifestName, int64(len(text)), strings.NewReader(string(text))); err != nil {
		return err
	}
	return errors.Join(p.to.Close(), zip.Close(), f.Sync())
}

// folder packs every plain file of a folder that may not be there, sealed: they are keys and what belongs to them.
func (p *packing) folder(ctx context.Context, dir, as string) error {
	return filepath.WalkDir(dir, func(file string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // there is none, or it was removed meanwhile
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		return p.sealed(file, path.Join(as, filepath.ToSlash(rel)))
	})
}

func (p *packing) sealed(file, as string) error {
	plain, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // as above
	}
	if err != nil {
		return err
	}
	sealed := p.seal(as, plain)
	sum := sha256.Sum256(sealed)
	p.m.Files[as] = hex.EncodeToString(sum[:])
	return p.entry(as, int64(len(sealed)), bytes.NewReader(sealed))
}

func (p *packing) file(file, as string) (err error) {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	sum := sha256.New()
	if err := p.entry(as, info.Size(), io.TeeReader(io.LimitReader(f, info.Size()), sum)); err != nil {
		return err
	}
	p.m.Files[as] = hex.EncodeToString(sum.Sum(nil))
	return nil
}

func (p *packing) entry(name string, size int64, from io.Reader) error {
	if err := p.to.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: p.m.At, Format: tar.FormatPAX}); err != nil {
		return err
	}
	_, err := io.Copy(p.to, from)
	return err
}

// Unpack writes what is in a backup into a folder that it makes, and compares it with the manifest. ErrDamaged.
func Unpack(ctx context.Context, file, dir string) (m Manifest, err error) {
	f, err := os.Open(file)
	if err != nil {
		return m, fmt.Errorf("open the backup: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := os.Mkdir(dir, 0o700); err != nil {
		return m, fmt.Errorf("unpack the backup: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return m, fmt.Errorf("unpack the backup: %w", err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	zip, err := gzip.NewReader(f)
	if err != nil {
		return m, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	u := unpacking{from: tar.NewReader(zip), root: root, sums: map[string]string{}}
	for {
		if err := ctx.Err(); err != nil {
			return m, err
		}
		if err := u.next(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return m, err
		}
	}
	return u.manifest, u.compare()
}

// unpacking reads the entries of a backup.
type unpacking struct {
	from     *tar.Reader
	root     *os.Root // nothing is written outside of it, whatever an entry is called
	sums     map[string]string
	manifest Manifest
}

// next takes one entry; io.EOF after the last.
func (u *unpacking) next() error {
	h, err := u.from.Next()
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if h.Typeflag != tar.TypeReg || !fs.ValidPath(h.Name) {
		return fmt.Errorf("%w: it holds %q, which no backup of ours does", ErrDamaged, h.Name)
	}
	if h.Name == manifestName {
		if err := json.NewDecoder(io.LimitReader(u.from, mostManifest)).Decode(&u.manifest); err != nil {
			return fmt.Errorf("%w: its manifest: %w", ErrDamaged, err)
		}
		return nil
	}
	if err := u.root.MkdirAll(path.Dir(h.Name), 0o700); err != nil {
		return fmt.Errorf("unpack the backup: %w", err)
	}
	out, err := u.root.OpenFile(h.Name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("unpack the backup: %w", err)
	}
	sum := sha256.New()
	err = copyEntry(out, sum, u.from)
	if err = errors.Join(err, out.Close()); err != nil {
		return err
	}
	u.sums[h.Name] = hex.EncodeToString(sum.Sum(nil))
	return nil
}

// copyEntry tells a damaged backup from a disk that cannot take it.
func copyEntry(out io.Writer, sum hash.Hash, from io.Reader) error {
	broken := &reading{from: from}
	_, err := io.Copy(io.MultiWriter(out, sum), broken)
	if broken.err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, broken.err)
	}
	if err != nil {
		return fmt.Errorf("unpack the backup: %w", err)
	}
	return nil
}

// reading remembers whether it was the reading that failed.
type reading struct {
	from io.Reader
	err  error
}

func (r *reading) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

func (u *unpacking) compare() error {
	if u.manifest.Installation == "" {
		return fmt.Errorf("%w: it ends without its manifest", ErrDamaged)
	}
	if u.sums[databaseName] == "" {
		return fmt.Errorf("%w: there is no database in it", ErrDamaged)
	}
	for name, sum := range u.sums {
		if u.manifest.Files[name] != sum {
			return fmt.Errorf("%w: %s is not what was written", ErrDamaged, name)
		}
	}
	for name := range u.manifest.Files {
		if u.sums[name] == "" {
			return fmt.Errorf("%w: %s is missing", ErrDamaged, name)
		}
	}
	return nil
}
