package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/failpoint"
)

// resealRows is how many rows are read at a time while they are sealed anew: the largest, of archives, may be megabytes.
const resealRows = 8

// Rotation is what a change of the key did.
type Rotation struct {
	Resealed int    // values
	Former   string // the file beside the key file that holds the old key; empty: nothing does
}

// RotateKey seals every sealed value anew, under a new key. It is one transaction, in which tell emits its events; nothing
// else is written meanwhile. The old key is kept aside in a file of its own, as backups that were made before need it,
// unless forget says that they need not be read again.
//
// The order holds against a crash at any point: the old key is put aside, the key file holds both keys, the values and the
// proof are committed, the key file holds the new one. Whoever opens a store with two keys takes the one that the proof in
// the database fits.
func (db *DB) RotateKey(ctx context.Context, forget bool, tell func(*Tx, Rotation) error) (Rotation, error) {
	var done Rotation
	err := db.Update(ctx, func(tx *Tx) (err error) {
		if done.Former, err = tx.seal.putAside(forget); err != nil {
			return err
		}
		failpoint.Here("keys-aside")
		fresh, err := tx.seal.begin()
		if err != nil {
			return err
		}
		failpoint.Here("keys-both")
		if done.Resealed, err = tx.reseal(ctx, db.base.sealedColumns(), fresh); err != nil {
			return err
		}
		archived, err := tx.resealArchives(ctx, fresh)
		if err != nil {
			return err
		}
		done.Resealed += archived
		tx.routes = true // the proxy holds sealed secrets too
		if err := tx.execOne(ctx, "write the proof of the key", ErrNotFound,
			`UPDATE meta SET value = $1 WHERE name = $2`, fresh.proof(), metaKeyCheck); err != nil {
			return err
		}
		err = tell(tx, done)
		failpoint.Here("keys-resealed")
		return err
	})
	failpoint.Here("keys-committed")
	settled := db.settleInTurn(context.WithoutCancel(ctx))
	failpoint.Here("keys-settled")
	if err != nil {
		return Rotation{}, errors.Join(err, settled)
	}
	return done, settled
}

// settleInTurn settles the keys while nobody writes.
func (db *DB) settleInTurn(ctx context.Context) error {
	if err := db.turn(ctx); err != nil {
		return err
	}
	defer func() { <-db.writing }()
	return db.settle(ctx)
}

// settleKeys finds out which of two keys counts, where that is open. It needs the turn of the writer.
func (db *DB) settleKeys(ctx context.Context) error {
	if !db.seal.keys.Load().both {
		return nil
	}
	return db.settle(ctx)
}

func (db *DB) settle(ctx context.Context) error {
	_, write := db.base.pools()
	var proof string
	// Not a mere read: a server may still be about to commit what we have no answer of, and holds the row until then.
	err := inTx(ctx, write, func(tx *sql.Tx) error {
		return fault("find out which key counts", tx.QueryRowContext(ctx, `UPDATE meta SET value = value WHERE name = $1 RETURNING value`, metaKeyCheck).Scan(&proof))
	})
	if err != nil {
		return err
	}
	return db.seal.settle(proof)
}

// asideLayout is how the moment of a rotation is written in the name of the old key's file.
const asideLayout = "20060102T150405.000Z"

// putAside gives the key file a second name, by which the old key is found when the first name leads to the new one.
func (s *sealer) putAside(forget bool) (string, error) {
	if forget {
		return "", nil
	}
	name := s.file + "." + time.Now().UTC().Format(asideLayout)
	if err := os.Link(s.file, name); err != nil {
		return "", fmt.Errorf("keep the old key aside: %w", err)
	}
	return filepath.Base(name), syncFolder(filepath.Dir(s.file))
}

// begin writes a new key before the old one into the key file. The old one goes on to count.
func (s *sealer) begin() (key, error) {
	fresh, err := newKey(freshKey())
	if err != nil {
		return key{}, err
	}
	ring := *s.keys.Load()
	if err := replaceKeys(s.file, fresh.raw, ring.now.raw); err != nil {
		return key{}, err
	}
	ring.other, ring.both = &fresh, true
	s.keys.Store(&ring)
	return fresh, nil
}

// settle leaves in the key file only the key that proof was made with. In memory the other one stays, for who reads what
// was there a moment before.
func (s *sealer) settle(proof string) error {
	if err := s.prove(proof); err != nil {
		return err
	}
	ring := *s.keys.Load()
	if ring.both {
		if err := replaceKeys(s.file, ring.now.raw); err != nil {
			return err
		}
		ring.both = false
		s.keys.Store(&ring)
	}
	s.clearAside(ring.now.raw)
	return nil
}

// clearAside removes what a rotation that came to nothing put aside: it is the key that counts. What cannot be looked at or removed stays and is
// told of: the store needs none of it.
func (s *sealer) clearAside(counts []byte) {
	names, err := filepath.Glob(s.file + ".*Z")
	if err != nil {
		s.log.Warn("old keys beside the key file could not be looked for", "error", err)
	}
	for _, name := range names {
		if _, err := time.Parse(asideLayout, strings.TrimPrefix(name, s.file+".")); err != nil {
			continue // somebody else's
		}
		raw, err := os.ReadFile(name)
		if err == nil && bytes.Equal(raw, counts) {
			err = os.Remove(name)
		}
		if err != nil {
			s.log.Warn("what lies beside the key file could not be looked at or removed: it may be a copy of the key that counts", "file", name, "error", err)
		}
	}
}

// sealedColumn is a column that holds sealed values: every column of bytes does.
type sealedColumn struct{ table, key, name string }

func (q queries) sealedColumns(ctx context.Context, query string) ([]sealedColumn, error) {
	return list(ctx, q, "look for what is sealed", func(r row) (c sealedColumn, err error) {
		return c, r.Scan(&c.table, &c.key, &c.name)
	}, query)
}

// reseal seals every value anew under a key, and returns how many there were.
func (tx *Tx) reseal(ctx context.Context, query string, fresh key) (int, error) {
	columns, err := tx.sealedColumns(ctx, query)
	if err != nil {
		return 0, err
	}
	count := 0
	for _, c := range columns {
		n, err := tx.resealColumn(ctx, c, fresh)
		if err != nil {
			return 0, err
		}
		count += n
	}
	return count, nil
}

// resealArchives does the same for the secrets of routes that archives hold as they were, and returns how many there were.
func (tx *Tx) resealArchives(ctx context.Context, fresh key) (count int, err error) {
	const what = "seal the routes of archives anew"
	type archived struct{ id, routes, asked string }
	for after := ""; ; {
		rows, err := list(ctx, tx.queries, what, func(r row) (a archived, err error) { return a, r.Scan(&a.id, &a.routes, &a.asked) },
			`SELECT id, routes, asked FROM archives WHERE (routes LIKE '%"secrets"%' OR asked LIKE '%"secrets"%') AND id > $1 ORDER BY id LIMIT $2`, after, resealRows)
		if err != nil || len(rows) == 0 {
			return count, err
		}
		for _, a := range rows {
			routes, n, err := tx.resealRoutes([]byte(a.routes), fresh)
			if err != nil {
				return count, fmt.Errorf("%s: archive %s: %w", what, a.id, err)
			}
			asked, m, err := tx.resealAsked(a.asked, fresh)
			if err != nil {
				return count, fmt.Errorf("%s: archive %s: %w", what, a.id, err)
			}
			if err := tx.execOne(ctx, what, ErrNotFound, `UPDATE archives SET routes = $1, asked = $2 WHERE id = $3`, string(routes), asked, a.id); err != nil {
				return count, err
			}
			count, after = count+n+m, a.id
		}
	}
}

// resealRoutes seals the secrets in a list of routes anew.
func (tx *Tx) resealRoutes(text []byte, fresh key) ([]byte, int, error) {
	if len(text) == 0 {
		return text, 0, nil
	}
	var routes []ArchivedRoute
	if err := json.Unmarshal(text, &routes); err != nil {
		return nil, 0, fmt.Errorf("read archived routes: %w", err)
	}
	count := 0
	for i, r := range routes {
		if len(r.Secrets) == 0 {
			continue
		}
		where := place("routes", r.ID, "secrets")
		plain, err := tx.seal.open(r.Secrets, where)
		if err != nil {
			return nil, 0, fmt.Errorf("route %s: %w", r.ID, err)
		}
		routes[i].Secrets = fresh.close(plain, where)
		count++
	}
	out, err := json.Marshal(routes)
	if err != nil {
		return nil, 0, fmt.Errorf("write archived routes: %w", err)
	}
	return out, count, nil
}

// resealAsked does so in what a restore that is under way was asked for, and leaves the rest of that as it is.
func (tx *Tx) resealAsked(text string, fresh key) (string, int, error) {
	if text == "" {
		return text, 0, nil
	}
	var asked map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &asked); err != nil {
		return "", 0, fmt.Errorf("read what a restore was asked for: %w", err)
	}
	routes, count, err := tx.resealRoutes(asked["routes"], fresh)
	if err != nil || count == 0 {
		return text, 0, err
	}
	asked["routes"] = routes
	out, err := json.Marshal(asked)
	if err != nil {
		return "", 0, fmt.Errorf("write what a restore was asked for: %w", err)
	}
	return string(out), count, nil
}

type sealedValue struct {
	id     string
	sealed []byte
}

// resealColumn goes through the rows in the order of their keys, a few at a time.
func (tx *Tx) resealColumn(ctx context.Context, c sealedColumn, fresh key) (count int, err error) {
	what := "seal " + c.table + "." + c.name + " anew"
	read := fmt.Sprintf(`SELECT %[1]s, %[2]s FROM %[3]s WHERE length(%[2]s) > 0 AND %[1]s > $1 ORDER BY %[1]s LIMIT $2`, c.key, c.name, c.table)
	write := fmt.Sprintf(`UPDATE %s SET %s = $1 WHERE %s = $2`, c.table, c.name, c.key)
	for after := ""; ; {
		values, err := list(ctx, tx.queries, what, func(r row) (v sealedValue, err error) {
			return v, r.Scan(&v.id, &v.sealed)
		}, read, after, resealRows)
		if err != nil || len(values) == 0 {
			return count, err
		}
		for _, v := range values {
			where := place(c.table, v.id, c.name)
			plain, err := tx.seal.open(v.sealed, where)
			if err != nil {
				return count, fmt.Errorf("%s: row %s: %w", what, v.id, err)
			}
			if err := tx.execOne(ctx, what, ErrNotFound, write, fresh.close(plain, where), v.id); err != nil {
				return count, err
			}
			after = v.id
		}
		count += len(values)
	}
}
