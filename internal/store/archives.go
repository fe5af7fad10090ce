package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

const archiveColumns = `id, state, instance_id, plan_id, host_id, project_id, stage_id, project, stage, name, image, image_tag, image_id,
	digest, keep_ref, layer_image, layer_note, bytes, class, last_alive_at, reason, volumes, networks, routes, actor, removed_at,
	expires_at, restored_at, restored_by, asked`

func scanArchive(r row) (a Archive, err error) {
	err = r.Scan(&a.ID, &a.State, &a.InstanceID, &a.PlanID, &a.HostID, &a.ProjectID, &a.StageID, &a.Project, &a.Stage, &a.Name, &a.Image,
		&a.ImageTag, &a.ImageID, &a.Digest, &a.KeepRef, &a.LayerImage, &a.LayerNote, &a.Bytes, &a.Class, at{&a.LastAliveAt}, &a.Reason,
		fromJSON{&a.Volumes}, fromJSON{&a.Networks}, fromJSON{&a.Routes}, &a.Actor, at{&a.RemovedAt}, at{&a.ExpiresAt},
		at{&a.RestoredAt}, &a.RestoredBy, &a.Asked)
	return a, err
}

// Archive returns one archive without its sealed part.
func (q queries) Archive(ctx context.Context, id string) (Archive, error) {
	return one(ctx, q, "read archive "+id, scanArchive, `SELECT `+archiveColumns+` FROM archives WHERE id = $1`, id)
}

// Archives returns a page of archives, newest removal first. Those that are being made have none yet and come last.
func (q queries) Archives(ctx context.Context, f ArchiveFilter, p Page) ([]Archive, string, error) {
	c, found, err := parseCursor(p.Cursor, "archives", 1, 1)
	if err != nil {
		return nil, "", err
	}
	query, args := archivesPage(f, c, found, p.limit()+1)
	items, err := list(ctx, q, "list the archives", scanArchive, query, args...)
	if err != nil {
		return nil, "", err
	}
	items, next := cut(items, p.limit(), func(a Archive) cursor {
		var removed int64
		if !a.RemovedAt.IsZero() {
			removed = a.RemovedAt.UnixMilli()
		}
		return cursor{List: "archives", Numbers: []int64{removed}, Texts: []string{a.ID}}
	})
	return items, next, nil
}

// archivesPage is the SQL of one page. SQLite looks up an index on an expression only for the first part, said by itself.
func archivesPage(f ArchiveFilter, c cursor, found bool, limit int) (string, arguments) {
	var a arguments
	w := f.where(&a)
	if found {
		removed, id := a.add(c.Numbers[0]), a.add(c.Texts[0])
		w.and(removedKey + ` <= ` + removed + ` AND (` + removedKey + `, id) < (` + removed + `, ` + id + `)`)
	}
	return `SELECT ` + archiveColumns + ` FROM archives` + w.String() + ` ORDER BY ` + removedKey + ` DESC, id DESC LIMIT ` + a.add(limit), a
}

const removedKey = `COALESCE(removed_at, 0)`

// ArchiveTotals returns how many ready archives match and the bytes that they hold.
func (q queries) ArchiveTotals(ctx context.Context, f ArchiveFilter) (n int, bytes int64, err error) {
	f.States = []ArchiveState{ArchiveReady}
	var a arguments
	w := f.where(&a)
	_, err = one(ctx, q, "add up the archives", func(r row) (struct{}, error) { return struct{}{}, r.Scan(&n, &bytes) },
		`SELECT count(*), CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM archives`+w.String(), a...)
	return n, bytes, err
}

// needingArchive is the condition on an archive a that an undo may yet need its image. One that does not never does again.
const needingArchive = `(a.state IN ('ready', 'restoring') OR a.state = 'making' AND EXISTS (SELECT 1 FROM removals WHERE archive_id = a.id))`

// SharedKeepRef is the name by which an archive of a host, that an undo may yet need, keeps an image; empty: there is none.
// In a transaction nobody else lets go of it before the end of that.
func (q queries) SharedKeepRef(ctx context.Context, hostID, imageID string) (string, error) {
	refs, err := list(ctx, q, "ask who keeps image "+imageID, func(r row) (ref string, err error) { return ref, r.Scan(&ref) },
		`SELECT keep_ref FROM archives a WHERE host_id = $1 AND image_id = $2 AND keep_ref <> '' AND `+needingArchive+` LIMIT 1`,
		hostID, clean(imageID))
	return strings.Join(refs, ""), err
}

// KeepRefNeeded reports whether an undo from an archive other than one may yet need the image that a name keeps.
func (q queries) KeepRefNeeded(ctx context.Context, ref, butID string) (bool, error) {
	return one(ctx, q, "ask who keeps an image as "+ref, func(r row) (needed bool, err error) { return needed, r.Scan(&needed) },
		`SELECT EXISTS (SELECT 1 FROM archives a WHERE keep_ref = $1 AND id <> $2 AND `+needingArchive+`)`, clean(ref), butID)
}

// ArchivesKeptBy returns the states of the archives that have a name on their image, by id.
func (q queries) ArchivesKeptBy(ctx context.Context, ref string) (map[string]ArchiveState, error) {
	archives, err := list(ctx, q, "list the archives of "+ref, func(r row) (a Archive, err error) { return a, r.Scan(&a.ID, &a.State) },
		`SELECT id, state FROM archives WHERE keep_ref = $1`, clean(ref))
	states := make(map[string]ArchiveState, len(archives))
	for _, a := range archives {
		states[a.ID] = a.State
	}
	return states, err
}

func (f ArchiveFilter) where(a *arguments) (w where) {
	for _, c := range []struct{ column, value string }{
		{"project_id", f.ProjectID},
		{"stage_id", f.StageID},
		{"host_id", f.HostID},
		{"instance_id", f.InstanceID},
		{"plan_id", f.PlanID},
	} {
		if c.value != "" {
			w.and(c.column + ` = ` + a.add(clean(c.value)))
		}
	}
	f.Among.and(&w, a, `project_id`)
	states := f.States
	if len(states) == 0 {
		states = []ArchiveState{ArchiveReady, ArchiveRestored}
	}
	w.and(`state IN ` + in(a, plain(states)))
	if f.Text != "" {
		mark := a.add(contains(f.Text))
		w.and(`(lower(name) LIKE ` + mark + ` ESCAPE '\' OR lower(image) LIKE ` + mark + ` ESCAPE '\' OR lower(image_tag) LIKE ` + mark +
			` ESCAPE '\' OR project LIKE ` + mark + ` ESCAPE '\' OR stage LIKE ` + mark + ` ESCAPE '\')`)
	}
	if !f.ExpiredBy.IsZero() {
		ahead, steady := f.ExpiredBy.Add(aheadAfter), f.Steady-aheadAfter
		w.and(`(expires_at <= ` + a.add(f.ExpiredBy.UnixMilli()) +
			` OR removed_at > ` + a.add(ahead.UnixMilli()) + ` AND expires_at - removed_at <= ` + a.add(steady.Milliseconds()) + `)`)
	}
	return w
}

// keptInstance is how the row of a removed instance is kept: the env values, which JSON leaves out, beside it.
type keptInstance struct {
	Instance Instance
	Env      []string
}

// sealedContents are the columns of archive_contents, in this order.
var sealedContents = [3]string{"instance_row", "inspect", "logs"}

// sealContents seals the three of them for an archive.
func (q queries) sealContents(id string, c ArchiveContents) (sealed [3][]byte, err error) {
	kept := keptInstance{Instance: c.Instance}
	for _, e := range c.Instance.Spec.Env {
		kept.Env = append(kept.Env, e.Value)
	}
	row, err := json.Marshal(kept)
	if err != nil {
		return sealed, fmt.Errorf("write the contents of archive %s: %w", id, err)
	}
	for n, plain := range [3][]byte{row, c.Inspect, c.Logs} {
		sealed[n] = q.seal.close(plain, place("archive_contents", id, sealedContents[n]))
	}
	return sealed, nil
}

// openContents is the reverse of sealContents.
func (q queries) openContents(id string, sealed [3][]byte) (c ArchiveContents, err error) {
	var opened [3][]byte
	for n := range sealed {
		if opened[n], err = q.seal.open(sealed[n], place("archive_contents", id, sealedContents[n])); err != nil {
			return ArchiveContents{}, err
		}
	}
	var kept keptInstance
	if err := json.Unmarshal(opened[0], &kept); err != nil || len(kept.Env) != len(kept.Instance.Spec.Env) {
		return ArchiveContents{}, fmt.Errorf("open the contents of archive %s: %w", id, ErrUnreadable)
	}
	for n := range kept.Env {
		kept.Instance.Spec.Env[n].Value = kept.Env[n]
	}
	return ArchiveContents{Instance: kept.Instance, Inspect: filled(opened[1]), Logs: filled(opened[2])}, nil
}

// filled makes nothing of what is empty.
func filled(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

// ArchiveContents returns the sealed part of an archive.
func (q queries) ArchiveContents(ctx context.Context, id string) (ArchiveContents, error) {
	return one(ctx, q, "open archive "+id, func(r row) (ArchiveContents, error) {
		var sealed [3][]byte
		if err := r.Scan(&sealed[0], &sealed[1], &sealed[2]); err != nil {
			return ArchiveContents{}, err
		}
		return q.openContents(id, sealed)
	}, `SELECT instance_row, inspect, logs FROM archive_contents WHERE archive_id = $1`, id)
}

// archiveTexts are the JSON columns of an archive.
func archiveTexts(what string, a Archive) (texts [3]string, err error) {
	for n, v := range [3]any{a.Volumes, a.Networks, a.Routes} {
		if texts[n], err = jsonOf(what, v); err != nil {
			return texts, err
		}
	}
	return texts, nil
}

// InsertArchive adds an archive that is being made, sealed contents included.
func (tx *Tx) InsertArchive(ctx context.Context, a Archive, c ArchiveContents) error {
	what := "add archive " + a.ID
	texts, err := archiveTexts(what, a)
	if err != nil {
		return err
	}
	if a.State == "" {
		a.State = ArchiveMaking
	}
	if _, err = tx.exec(ctx, what, `INSERT INTO archives (`+archiveColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,
		$12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30)`,
		a.ID, string(a.State), a.InstanceID, a.PlanID, a.HostID, a.ProjectID, a.StageID, clean(a.Project), clean(a.Stage), clean(a.Name),
		clean(a.Image), clean(a.ImageTag), clean(a.ImageID), clean(a.Digest), clean(a.KeepRef), clean(a.LayerImage), clean(a.LayerNote),
		a.Bytes, string(a.Class), millis(a.LastAliveAt), clean(a.Reason), clean(texts[0]), clean(texts[1]), clean(texts[2]),
		clean(a.Actor), millis(a.RemovedAt), millis(a.ExpiresAt), millis(a.RestoredAt), clean(a.RestoredBy), clean(a.Asked)); err != nil {
		return err
	}
	sealed, err := tx.sealContents(a.ID, c)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, what, `INSERT INTO archive_contents (archive_id, instance_row, inspect, logs) VALUES ($1, $2, $3, $4)`,
		a.ID, sealed[0], sealed[1], sealed[2])
	return err
}

// SetArchive writes what changed while it was made (what it is about, names on the engine, bytes, contents unless
// nil); its state, and when it was removed, expires or was restored, have methods of their own.
func (tx *Tx) SetArchive(ctx context.Context, a Archive, c *ArchiveContents) error {
	what := "update archive " + a.ID
	texts, err := archiveTexts(what, a)
	if err != nil {
		return err
	}
	if err := tx.execOne(ctx, what, ErrNotFound,
		`UPDATE archives SET name = $1, image = $2, image_tag = $3, image_id = $4, digest = $5, keep_ref = $6, layer_image = $7,
		layer_note = $8, bytes = $9, class = $10, last_alive_at = $11, reason = $12, volumes = $13, networks = $14, routes = $15
		WHERE id = $16`,
		clean(a.Name), clean(a.Image), clean(a.ImageTag), clean(a.ImageID), clean(a.Digest), clean(a.KeepRef), clean(a.LayerImage),
		clean(a.LayerNote), a.Bytes, string(a.Class), millis(a.LastAliveAt), clean(a.Reason), clean(texts[0]), clean(texts[1]),
		clean(texts[2]), a.ID); err != nil || c == nil {
		return err
	}
	sealed, err := tx.sealContents(a.ID, *c)
	if err != nil {
		return err
	}
	return tx.execOne(ctx, what, ErrNotFound,
		`UPDATE archive_contents SET instance_row = $1, inspect = $2, logs = $3 WHERE archive_id = $4`,
		sealed[0], sealed[1], sealed[2], a.ID)
}

// FinishArchive makes an archive ready: its instance is gone since at, and it may go after expires. ErrConflict
// unless it was being made.
func (tx *Tx) FinishArchive(ctx context.Context, id string, at, expires time.Time) error {
	return tx.moveArchive(ctx, id, ArchiveMaking,
		`UPDATE archives SET state = $1, removed_at = $2, expires_at = $3 WHERE id = $4 AND state = $5`,
		string(ArchiveReady), millis(at), millis(expires), id, string(ArchiveMaking))
}

// BeginRestore claims a ready archive for a restore, with what it was asked for; ErrConflict unless it was ready.
func (tx *Tx) BeginRestore(ctx context.Context, id, asked string) error {
	return tx.moveArchive(ctx, id, ArchiveReady, `UPDATE archives SET state = $1, asked = $2 WHERE id = $3 AND state = $4`,
		string(ArchiveRestoring), clean(asked), id, string(ArchiveReady))
}

// MoveArchive moves an archive from one state to another; ErrConflict unless it was in the first. What a restore
// was asked for is forgotten.
func (tx *Tx) MoveArchive(ctx context.Context, id string, from, to ArchiveState) error {
	return tx.moveArchive(ctx, id, from, `UPDATE archives SET state = $1, asked = '' WHERE id = $2 AND state = $3`,
		string(to), id, string(from))
}

// MarkRestored says that an archive was restored; ErrConflict unless a restore of it was under way.
func (tx *Tx) MarkRestored(ctx context.Context, id, by string, at time.Time) error {
	return tx.moveArchive(ctx, id, ArchiveRestoring,
		`UPDATE archives SET state = $1, asked = '', restored_at = $2, restored_by = $3 WHERE id = $4 AND state = $5`,
		string(ArchiveRestored), millis(at), clean(by), id, string(ArchiveRestoring))
}

// moveArchive runs a compare-and-set on the state of an archive.
func (tx *Tx) moveArchive(ctx context.Context, id string, from ArchiveState, query string, args ...any) error {
	what := "move archive " + id + " on"
	n, err := tx.exec(ctx, what, query, args...)
	if err != nil || n > 0 {
		return err
	}
	a, err := tx.Archive(ctx, id)
	if err != nil {
		return err
	}
	return fmt.Errorf("%s: it is %s, not %s: %w", what, a.State, from, ErrConflict)
}

// DeleteArchive forgets an archive.
func (tx *Tx) DeleteArchive(ctx context.Context, id string) error {
	return tx.execOne(ctx, "forget archive "+id, ErrNotFound, `DELETE FROM archives WHERE id = $1`, id)
}
