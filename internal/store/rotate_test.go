package store_test

import (
	"bytes"
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// sealedWorld has a sealed value of each kind, and more archives than are read at a time.
type sealedWorld struct {
	stage    store.Stage
	instance store.Instance
	host     string
	registry string
	archives []store.Archive
	contents store.ArchiveContents
}

var hostKeys = store.HostSecrets{SSHKey: "BEGIN OPENSSH", Passphrase: "horse"}

func seal(t *testing.T, db *store.DB) (w sealedWorld) {
	t.Helper()
	h, p := storetest.Host(t, db), storetest.Project(t, db)
	w.stage = storetest.Stage(t, db, h, p, func(s *store.Stage) { s.Spec.Env = []store.EnvVar{{Name: "TOKEN", Value: "t0ken"}} })
	w.instance = storetest.Instance(t, db, w.stage, full)
	w.host = h.ID
	g := aRegistry()
	w.registry = g.ID
	storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
		return errors.Join(tx.SetHostSecrets(ctx, h.ID, hostKeys), tx.InsertRegistry(ctx, g, "s3cret"), tx.SetHook(ctx, g.ID, "h00k"), tx.SetSecret(ctx, "setup", "c0de"))
	})
	for range 20 {
		a, c := anArchive(w.instance)
		w.contents = c
		w.archives = append(w.archives, a)
		keep(t, db, a, c)
	}
	return w
}

// wantReadable reads every one of them.
func (w sealedWorld) wantReadable(t *testing.T, db *store.DB) {
	t.Helper()
	ctx := t.Context()
	keys, err := db.HostSecrets(ctx, w.host)
	spec, specErr := db.InstanceSpec(ctx, w.instance.ID)
	stage, stageErr := db.Stage(ctx, w.stage.ID)
	_, password, passwordErr := db.RegistryLogin(ctx, "harbor.example")
	_, hook, hookErr := db.HookSecret(ctx, w.registry)
	secret, secretErr := db.Secret(ctx, "setup")
	if err := errors.Join(err, specErr, stageErr, passwordErr, hookErr, secretErr); err != nil {
		t.Fatal(err)
	}
	if keys != hostKeys || spec.Env[0].Value != "swordfish" || stage.Spec.Env[0].Value != "t0ken" || password != "s3cret" || hook != "h00k" || secret != "c0de" {
		t.Errorf("read %+v, %+v, %+v, %q, %q, %q", keys, spec.Env, stage.Spec.Env, password, hook, secret)
	}
	for _, a := range w.archives {
		sameArchive(t, db, a, w.contents)
	}
}

func quiet(*store.Tx, store.Rotation) error { return nil }

func keyOf(t *testing.T, o store.Options) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(o.DataDir, "docker-watcher.key"))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// setAside are the names of the old keys beside the key file.
func setAside(t *testing.T, o store.Options) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(o.DataDir, "docker-watcher.key.*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestRotateKey(t *testing.T) {
	storetest.BothOptions(t, func(t *testing.T, o store.Options) {
		var w sealedWorld
		var former []byte
		closed(t, o, func(db *store.DB) {
			w = seal(t, db)
			former = keyOf(t, o)
			told := 0
			done, err := db.RotateKey(t.Context(), false, func(_ *store.Tx, r store.Rotation) error { told = r.Resealed; return nil })
			if err != nil {
				t.Fatal(err)
			}
			if all := store.SealedValues(t, db, former); done.Resealed != len(all) || told != len(all) || len(all) != 66 {
				t.Errorf("%d values were sealed anew, told were %d, there are %d", done.Resealed, told, len(all))
			}
			aside := filepath.Join(o.DataDir, done.Former)
			kept, err := os.ReadFile(aside)
			info, statErr := os.Stat(aside)
			if err := errors.Join(err, statErr); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(kept, former) || info.Mode().Perm() != 0o600 {
				t.Errorf("aside are %d bytes, mode %v", len(kept), info.Mode())
			}
			w.wantReadable(t, db)
		})
		if now := keyOf(t, o); len(now) != 32 || bytes.Equal(now, former) {
			t.Errorf("the key file holds %d bytes, or the old key", len(now))
		}
		db := storetest.With(t, o)
		w.wantReadable(t, db)
		for where, opens := range store.SealedValues(t, db, former) {
			if opens {
				t.Errorf("%s still opens with the old key", where)
			}
		}
	})
}

func TestForgottenKeyIsNotKept(t *testing.T) {
	o := store.Options{DataDir: t.TempDir()}
	db := storetest.With(t, o)
	w := seal(t, db)
	for range 2 {
		if done, err := db.RotateKey(t.Context(), true, quiet); err != nil || done.Former != "" || len(setAside(t, o)) != 0 {
			t.Fatalf("%+v, %v, beside the key: %v", done, err, setAside(t, o))
		}
	}
	w.wantReadable(t, db)
}

// TestRotationThatFailsChangesNothing: one value does not open, so none is touched, and the store goes on under its old key.
func TestRotationThatFailsChangesNothing(t *testing.T) {
	storetest.BothOptions(t, func(t *testing.T, o store.Options) {
		var w sealedWorld
		closed(t, o, func(db *store.DB) {
			w = seal(t, db)
			former := keyOf(t, o)
			store.Exec(t, db, `INSERT INTO secrets (name, value, updated_at) SELECT 'moved', value, updated_at FROM secrets WHERE name = 'setup'`)
			_, err := db.RotateKey(t.Context(), false, quiet)
			if wantErr(t, err, store.ErrUnreadable); !strings.Contains(err.Error(), "secrets.value") || !strings.Contains(err.Error(), "moved") {
				t.Errorf("%v: does not say which", err)
			}
			wrong := errors.New("no")
			store.Exec(t, db, `DELETE FROM secrets WHERE name = 'moved'`)
			_, err = db.RotateKey(t.Context(), false, func(*store.Tx, store.Rotation) error { return wrong })
			wantErr(t, err, wrong)
			ctx, cancel := context.WithCancel(t.Context())
			_, err = db.RotateKey(ctx, false, func(*store.Tx, store.Rotation) error { cancel(); return nil })
			wantErr(t, err, context.Canceled)
			if left := setAside(t, o); !bytes.Equal(keyOf(t, o), former) || len(left) != 0 {
				t.Errorf("the key file is another, or something is left beside it: %v", left)
			}
			w.wantReadable(t, db)
			storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.SetSecret(ctx, "setup", "c0de") })
		})
		w.wantReadable(t, storetest.With(t, o))
	})
}

// TestStoreOpensWithTwoKeys: the proof says which one counts, whichever comes first; with neither nothing is touched.
func TestStoreOpensWithTwoKeys(t *testing.T) {
	storetest.BothOptions(t, func(t *testing.T, o store.Options) {
		var w sealedWorld
		closed(t, o, func(db *store.DB) { w = seal(t, db) })
		right, wrong := keyOf(t, o), bytes.Repeat([]byte{7}, 32)
		file := filepath.Join(o.DataDir, "docker-watcher.key")
		for _, both := range [][]byte{append(bytes.Clone(wrong), right...), append(bytes.Clone(right), wrong...)} {
			if err := os.WriteFile(file, both, 0o600); err != nil {
				t.Fatal(err)
			}
			closed(t, o, func(db *store.DB) { w.wantReadable(t, db) })
			if !bytes.Equal(keyOf(t, o), right) {
				t.Error("the key file does not hold the one that counts alone")
			}
		}
		neither := bytes.Repeat([]byte{7}, 64)
		if err := os.WriteFile(file, neither, 0o600); err != nil {
			t.Fatal(err)
		}
		wantOpenErr(t, o, store.ErrWrongKey)
		if !bytes.Equal(keyOf(t, o), neither) {
			t.Error("the key file was touched")
		}
	})
}

// TestEverySealedPlaceIsAColumnOfBytes: those are what a rotation finds, by the schema, so what is sealed must be kept in one,
// under the key of its row.
func TestEverySealedPlaceIsAColumnOfBytes(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		known := map[string]bool{}
		for _, c := range store.SealedColumns(t, db) {
			table, key, column := c[0], c[1], c[2]
			if key == "" {
				t.Errorf("%s.%s: its table has no key of its own", table, column)
			}
			known[table+"."+column], known["."+column] = true, true
		}
		places := 0
		for _, call := range placeCalls(t) {
			table, _ := literal(call.Args[0])
			column, said := literal(call.Args[2])
			if table == "meta" || table == "files" || !said { // the proof; files of a backup; the contents of archives, whose columns are listed by name
				continue
			}
			places++
			if !known[table+"."+column] {
				t.Errorf("what is sealed for %s.%s is kept in no column of bytes: a rotation would not find it", table, column)
			}
		}
		if places < 8 {
			t.Errorf("only %d places were found in the source", places)
		}
	})
}

// placeCalls are the calls of place in this package.
func placeCalls(t *testing.T) (calls []*ast.CallExpr) {
	t.Helper()
	files, err := fs.Glob(os.DirFS("."), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if f, ok := call.Fun.(*ast.Ident); ok && f.Name == "place" {
				calls = append(calls, call)
			}
			return true
		})
	}
	return calls
}

func literal(e ast.Expr) (text string, ok bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok {
		return "", false
	}
	text, err := strconv.Unquote(lit.Value)
	return text, err == nil
}

// TestAnOldKeyThatCannotBeReadEndsNoStart, nor the next change of the key, and is told of; a copy beside it is removed all the same.
func TestAnOldKeyThatCannotBeReadEndsNoStart(t *testing.T) {
	o := store.Options{DataDir: t.TempDir()}
	var w sealedWorld
	closed(t, o, func(db *store.DB) { w = seal(t, db) })
	key := filepath.Join(o.DataDir, "docker-watcher.key")
	unreadable, copied := key+".20260101T000000.000Z", key+".20260102T000000.000Z"
	if err := errors.Join(os.MkdirAll(filepath.Join(unreadable, "full"), 0o700), os.WriteFile(copied, keyOf(t, o), 0o600)); err != nil {
		t.Fatal(err)
	}
	logged := &bytes.Buffer{}
	o.Log = slog.New(slog.NewTextHandler(logged, nil))
	db := storetest.With(t, o)
	w.wantReadable(t, db)
	if !strings.Contains(logged.String(), "level=WARN") || !strings.Contains(logged.String(), unreadable) || strings.Contains(logged.String(), copied) {
		t.Errorf("told is %s", logged)
	}
	if left := setAside(t, o); len(left) != 1 || left[0] != unreadable {
		t.Errorf("left are %v", left)
	}
	if _, err := db.RotateKey(t.Context(), true, quiet); err != nil {
		t.Error(err)
	}
	w.wantReadable(t, db)
}
