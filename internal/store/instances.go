package store

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// clockTolerance is how far in the future of the engine a time may lie.
const clockTolerance = 60 * time.Second

// InstanceFilter selects instances; zero fields do not filter.
type InstanceFilter struct {
	ProjectID string
	StageID   string
	HostID    string
	Statuses  []Status
	Text      string // in name, tag, image or container id
	Among     Among
}

// viewColumns are those of an InstanceView; the sealed env is not among them.
var viewColumns = `i.id, i.host_id, i.project_id, i.stage_id, i.name, i.container_id, i.ownership, i.engine_id, i.image, i.image_tag,
	i.image_id, i.digest, i.status, i.intended, i.container_created_at, i.started_at, i.finished_at, i.exit_code, i.oom_killed,
	i.restart_count, i.engine_error, i.policy_run, i.last_alive_at, i.evidence, i.upper_bound, i.first_seen_stopped_at, i.class,
	i.stale_since, i.warned_at, i.checked_at, i.check_error, i.held_back, i.pinned_at, i.pinned_by, i.pin_reason, i.snoozed_until,
	i.snoozed_by, i.snooze_reason, i.tag_checked_at, i.tag_gone_since, i.keep_label, i.rollback_kept, i.size_rw, i.size_at,
	i.created_at, i.updated_at, i.revision,
	p.name, s.name, s.kind, h.name, h.disabled_since, COALESCE(s.stale_after, p.stale_after, ` + globalThreshold + `)`

const viewJoins = ` JOIN projects p ON p.id = i.project_id JOIN stages s ON s.id = i.stage_id JOIN hosts h ON h.id = i.host_id`

func scanView(r row) (v InstanceView, err error) {
	var threshold int64
	err = r.Scan(&v.ID, &v.HostID, &v.ProjectID, &v.StageID, &v.Name, &v.ContainerID, text{(*string)(&v.Ownership)}, &v.EngineID, &v.Image, &v.ImageTag,
		&v.ImageID, &v.Digest, text{(*string)(&v.Status)}, text{(*string)(&v.Intended)}, at{&v.ContainerCreatedAt}, at{&v.StartedAt}, at{&v.FinishedAt}, count{&v.ExitCode},
		truth{&v.OOMKilled}, count{&v.RestartCount}, &v.EngineError, truth{&v.PolicyRun}, at{&v.LastAliveAt}, text{(*string)(&v.Evidence)}, truth{&v.UpperBound},
		at{&v.FirstSeenStoppedAt}, text{(*string)(&v.Class)}, at{&v.StaleSince}, at{&v.WarnedAt}, at{&v.CheckedAt}, &v.CheckError, &v.HeldBack,
		at{&v.PinnedAt}, &v.PinnedBy, &v.PinReason, at{&v.SnoozedUntil}, &v.SnoozedBy, &v.SnoozeReason,
		at{&v.TagCheckedAt}, at{&v.TagGoneSince}, truth{&v.KeepLabel},
		truth{&v.RollbackKept}, &v.SizeRw, at{&v.SizeAt}, at{&v.CreatedAt}, at{&v.UpdatedAt}, &v.Revision,
		&v.Project, &v.Stage, text{(*string)(&v.StageKind)}, &v.Host, at{&v.HostDisabled}, &threshold)
	v.StaleAfter = thresholdOf(threshold)
	return v, err
}

// Instance returns one instance.
func (q queries) Instance(ctx context.Context, id string) (InstanceView, error) {
	return one(ctx, q, "read instance "+id, scanView, `SELECT `+viewColumns+` FROM instances i`+viewJoins+` WHERE i.id = $1`, id)
}

// InstanceByContainer returns the instance that a container of a host is.
func (q queries) InstanceByContainer(ctx context.Context, hostID, containerID string) (InstanceView, error) {
	return one(ctx, q, "find the instance of container "+containerID, scanView,
		`SELECT `+viewColumns+` FROM instances i`+viewJoins+` WHERE i.host_id = $1 AND i.container_id = $2 AND i.container_id <> ''`,
		hostID, clean(containerID))
}

// InstanceSpec opens the sealed spec that the instance was deployed with.
func (q queries) InstanceSpec(ctx context.Context, id string) (Spec, error) {
	return one(ctx, q, "read the spec of instance "+id, func(r row) (s Spec, err error) {
		var env []byte
		if err := r.Scan(fromJSON{&s}, &env); err != nil {
			return Spec{}, err
		}
		return s, q.openEnv(&s, env, "instances", id)
	}, `SELECT spec, spec_env FROM instances WHERE id = $1`, id)
}

// Instances returns a page of the instances, newest first.
func (q queries) Instances(ctx context.Context, f InstanceFilter, p Page) ([]InstanceView, string, error) {
	c, found, err := parseCursor(p.Cursor, "instances", 0, 1)
	if err != nil {
		return nil, "", err
	}
	var a arguments
	w := f.where(&a)
	if found {
		w.and(`i.id < ` + a.add(c.Texts[0]))
	}
	items, err := list(ctx, q, "list the instances", scanView,
		`SELECT `+viewColumns+` FROM instances i`+viewJoins+w.String()+` ORDER BY i.id DESC LIMIT `+a.add(p.limit()+1), a...)
	if err != nil {
		return nil, "", err
	}
	items, next := cut(items, p.limit(), func(v InstanceView) cursor { return cursor{List: "instances", Texts: []string{v.ID}} })
	return items, next, nil
}

func (f InstanceFilter) where(a *arguments) (w where) {
	w = about(a, f.ProjectID, f.StageID, f.HostID)
	f.Among.and(&w, a, `i.project_id`)
	if len(f.Statuses) > 0 {
		w.and(`i.status IN ` + in(a, plain(f.Statuses)))
	}
	if f.Text != "" {
		w.and(hasText(a, f.Text))
	}
	return w
}

// about selects instances by what they belong to.
func about(a *arguments, projectID, stageID, hostID string) (w where) {
	if projectID != "" {
		w.and(`i.project_id = ` + a.add(projectID))
	}
	if stageID != "" {
		w.and(`i.stage_id = ` + a.add(stageID))
	}
	if hostID != "" {
		w.and(`i.host_id = ` + a.add(hostID))
	}
	return w
}

// hasText selects instances by a part of what people call them.
func hasText(a *arguments, s string) string {
	mark := a.add(contains(s))
	return `(lower(i.name) LIKE ` + mark + ` ESCAPE '\' OR lower(i.image_tag) LIKE ` + mark + ` ESCAPE '\' OR lower(i.image) LIKE ` + mark +
		` ESCAPE '\' OR lower(i.container_id) LIKE ` + mark + ` ESCAPE '\')`
}

// plain turns values of a string type into strings: drivers take no others.
func plain[T ~string](values []T) []string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = clean(string(v))
	}
	return texts
}

// InstancesOfHost returns every instance of a host, without specs: what a scan looks for.
func (q queries) InstancesOfHost(ctx context.Context, hostID string) ([]InstanceView, error) {
	return list(ctx, q, "list the instances of host "+hostID, scanView,
		`SELECT `+viewColumns+` FROM instances i`+viewJoins+` WHERE i.host_id = $1 ORDER BY i.id`, hostID)
}

// InsertInstance adds an instance, with its spec.
func (tx *Tx) InsertInstance(ctx context.Context, i Instance) error {
	spec, env, err := tx.sealSpec(i.Spec, "instances", i.ID)
	if err != nil {
		return err
	}
	stamp := now()
	_, err = tx.exec(ctx, "add instance "+i.Name,
		`INSERT INTO instances (id, host_id, project_id, stage_id, name, container_id, ownership, engine_id, image, image_tag,
		image_id, digest, spec, spec_env, status, intended, container_created_at, started_at, finished_at, exit_code, oom_killed,
		restart_count, engine_error, policy_run, last_alive_at, evidence, upper_bound, first_seen_stopped_at, class, stale_since,
		warned_at, checked_at, check_error, held_back, pinned_at, pinned_by, pin_reason, snoozed_until, snoozed_by, snooze_reason,
		tag_checked_at, tag_gone_since, keep_label, rollback_kept, size_rw, size_at, created_at, updated_at, revision)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24,
		$25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40, $41, $42, $43, $44, $45, $46, $47, $48, $49)`,
		i.ID, i.HostID, i.ProjectID, i.StageID, clean(i.Name), clean(i.ContainerID), string(i.Ownership), clean(i.EngineID),
		clean(i.Image), clean(i.ImageTag), clean(i.ImageID), clean(i.Digest), clean(spec), env, string(i.Status), string(i.Intended),
		millis(i.ContainerCreatedAt), millis(i.StartedAt), millis(i.FinishedAt), i.ExitCode, bit(i.OOMKilled), i.RestartCount,
		clean(i.EngineError), bit(i.PolicyRun), millis(i.LastAliveAt), string(i.Evidence), bit(i.UpperBound),
		millis(i.FirstSeenStoppedAt), string(i.Class), millis(i.StaleSince), millis(i.WarnedAt), millis(i.CheckedAt),
		clean(i.CheckError), clean(i.HeldBack), millis(i.PinnedAt), clean(i.PinnedBy), clean(i.PinReason), millis(i.SnoozedUntil),
		clean(i.SnoozedBy), clean(i.SnoozeReason), millis(i.TagCheckedAt), millis(i.TagGoneSince), bit(i.KeepLabel), bit(i.RollbackKept),
		i.SizeRw, millis(i.SizeAt), orNow(i.CreatedAt, stamp), stamp, i.Revision)
	return err
}

// RecordInstance writes every fact of next (not its spec, not its protection) if the
// row is still as prev was (compare-and-set on Revision and Status; ErrConflict) and the status may
// move so (ErrBadTransition). last_alive_at never moves backwards by it, save where the stored value was
// beyond engineNow + 60 s; a value of next beyond that is not taken. Where the stored one stays because it
// is newer, its evidence stays with it. It sets next's Revision and what became of its last alive.
// The label docker-watcher.keep is a fact of the container and is written too. Into removing and out of it leads
// only the way of removals.go, which keeps the intention row beside it.
func (tx *Tx) RecordInstance(ctx context.Context, prev Instance, next *Instance, engineNow time.Time) error {
	if prev.Status != next.Status && (!prev.Status.CanBecome(next.Status) || prev.Status == StatusRemoving || next.Status == StatusRemoving) {
		return fmt.Errorf("record instance %s: %s to %s: %w", prev.ID, prev.Status, next.Status, ErrBadTransition)
	}
	what := "record instance " + prev.ID
	tx.moves = true
	limit, moves := millis(future(engineNow)), taken("$1", "$2")
	stored, err := list(ctx, tx.queries, what, scanAlive,
		`UPDATE instances SET
		evidence = CASE WHEN `+moves+` THEN $3 ELSE evidence END,
		upper_bound = CASE WHEN `+moves+` THEN $4 ELSE upper_bound END,
		last_alive_at = CASE WHEN `+moves+` THEN CAST($1 AS BIGINT) ELSE last_alive_at END,
		name = $5, container_id = $6, ownership = $7, engine_id = $8, image = $9, image_tag = $10, image_id = $11, digest = $12,
		status = $13, intended = $14, container_created_at = $15, started_at = $16, finished_at = $17, exit_code = $18,
		oom_killed = $19, restart_count = $20, engine_error = $21, policy_run = $22, first_seen_stopped_at = $23, class = $24,
		stale_since = $25, warned_at = $26, checked_at = $27, check_error = $28, held_back = $29, keep_label = $30,
		updated_at = $31, revision = revision + 1
		WHERE id = $32 AND revision = $33 AND status = $34
		RETURNING last_alive_at, evidence, upper_bound, revision`,
		millis(next.LastAliveAt), limit, string(next.Evidence), bit(next.UpperBound), clean(next.Name), clean(next.ContainerID),
		string(next.Ownership), clean(next.EngineID), clean(next.Image), clean(next.ImageTag), clean(next.ImageID), clean(next.Digest),
		string(next.Status), string(next.Intended), millis(next.ContainerCreatedAt), millis(next.StartedAt), millis(next.FinishedAt),
		next.ExitCode, bit(next.OOMKilled), next.RestartCount, clean(next.EngineError), bit(next.PolicyRun),
		millis(next.FirstSeenStoppedAt), string(next.Class), millis(next.StaleSince), millis(next.WarnedAt), millis(next.CheckedAt),
		clean(next.CheckError), clean(next.HeldBack), bit(next.KeepLabel), now(), prev.ID, prev.Revision, string(prev.Status))
	if err != nil {
		return tx.lose(err)
	}
	if len(stored) == 0 {
		return tx.moved(ctx, what, prev.ID)
	}
	next.LastAliveAt, next.Evidence, next.UpperBound, next.Revision = stored[0].LastAliveAt, stored[0].Evidence, stored[0].UpperBound, stored[0].Revision
	return nil
}

// taken is when the new time (a placeholder) of a sign of life replaces the stored
// one, given the newest valid moment (another): it is valid itself, and not older
// than a valid one. A stored time that is not valid gives way to any that is, also to none.
func taken(at, limit string) string {
	at, limit = `CAST(`+at+` AS BIGINT)`, `CAST(`+limit+` AS BIGINT)`
	return `((` + at + ` IS NULL OR ` + limit + ` IS NULL OR ` + at + ` <= ` + limit + `)
	AND (last_alive_at IS NULL OR last_alive_at > ` + limit + ` OR ` + at + ` >= last_alive_at))`
}

// future is the newest moment that is valid; a zero engineNow bounds nothing.
func future(engineNow time.Time) time.Time {
	if engineNow.IsZero() {
		return engineNow
	}
	return engineNow.Add(clockTolerance)
}

func scanAlive(r row) (i Instance, err error) {
	return i, r.Scan(at{&i.LastAliveAt}, &i.Evidence, truth{&i.UpperBound}, &i.Revision)
}

// lose marks the transaction as lost by an error of the database.
func (tx *Tx) lose(err error) error {
	if tx.broken == nil {
		tx.broken = err
	}
	return err
}

// moved is why a compare-and-set on an instance found nothing.
func (tx *Tx) moved(ctx context.Context, what, id string) error {
	i, err := tx.Instance(ctx, id)
	if err != nil {
		return err
	}
	return fmt.Errorf("%s: it changed meanwhile and is %s now: %w", what, i.Status, ErrConflict)
}

// UpdateLastAliveAt moves last_alive_at forward to at, never backwards, unless the
// stored value lies beyond engineNow + 60 s. A moment beyond that is no sign of
// life and changes nothing. For an instance that is not running the revision
// rises too: whoever judged it before must look again.
func (tx *Tx) UpdateLastAliveAt(ctx context.Context, id string, at, engineNow time.Time) error {
	what := "move last alive of instance " + id
	if at.IsZero() {
		return fmt.Errorf("%s: no time given", what)
	}
	n, err := tx.exec(ctx, what,
		`UPDATE instances SET last_alive_at = CAST($1 AS BIGINT), evidence = $2, upper_bound = 0, updated_at = $3,
		revision = revision + CASE WHEN status = 'running' THEN 0 ELSE 1 END
		WHERE id = $4 AND `+taken("$1", "$5"),
		at.UnixMilli(), string(EvidenceObserved), now(), id, millis(future(engineNow)))
	if err != nil || n > 0 {
		return err
	}
	_, err = tx.Instance(ctx, id)
	return err
}

// TouchRunning does the same for every instance of the host whose status is running, but for the given ids. One statement.
func (tx *Tx) TouchRunning(ctx context.Context, hostID string, at time.Time, except []string) error {
	what := "touch the running instances of host " + hostID
	if at.IsZero() {
		return fmt.Errorf("%s: no time given", what)
	}
	if len(except) > maxListed {
		return tx.touchOthers(ctx, what, hostID, at, except)
	}
	_, err := tx.touch(ctx, what, hostID, at, `id NOT IN `, except)
	return err
}

// maxListed is how many ids one statement lists: SQLite looks placeholders up one
// by one, so that more of them cost more each.
const maxListed = 1000

// touch runs the statement of TouchRunning for the ids that are (not) listed.
func (tx *Tx) touch(ctx context.Context, what, hostID string, at time.Time, listed string, ids []string) (int, error) {
	a := arguments{at.UnixMilli(), string(EvidenceObserved), hostID}
	w := where{`host_id = $3`, `status = 'running'`, `(last_alive_at IS NULL OR last_alive_at < $1 OR last_alive_at > ` +
		a.add(at.Add(clockTolerance).UnixMilli()) + `)`}
	if len(ids) > 0 {
		w.and(listed + in(&a, plain(ids)))
	}
	return tx.exec(ctx, what, `UPDATE instances SET last_alive_at = $1, evidence = $2, upper_bound = 0`+w.String(), a...)
}

// touchOthers is TouchRunning for more exceptions than one statement can list: it
// lists those that are meant instead, some at a time.
func (tx *Tx) touchOthers(ctx context.Context, what, hostID string, at time.Time, except []string) error {
	left := make(map[string]bool, len(except))
	for _, id := range except {
		left[id] = true
	}
	ids, err := list(ctx, tx.queries, what, func(r row) (id string, err error) { return id, r.Scan(&id) },
		`SELECT id FROM instances WHERE host_id = $1 AND status = 'running'`, hostID)
	if err != nil {
		return err
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return left[id] })
	for part := range slices.Chunk(ids, maxListed) {
		if _, err := tx.touch(ctx, what, hostID, at, `id IN `, part); err != nil {
			return err
		}
	}
	return nil
}

// SetProtection writes the pin and snooze fields of i (compare-and-set on Revision). The warning of a standing episode is
// given anew when nothing protects the instance any more: what grace it has counts from then.
func (tx *Tx) SetProtection(ctx context.Context, i Instance) error {
	what := "protect instance " + i.ID
	n, err := tx.exec(ctx, what,
		`UPDATE instances SET pinned_at = $1, pinned_by = $2, pin_reason = $3, snoozed_until = $4, snoozed_by = $5, snooze_reason = $6,
		warned_at = NULL, updated_at = $7, revision = revision + 1 WHERE id = $8 AND revision = $9`,
		millis(i.PinnedAt), clean(i.PinnedBy), clean(i.PinReason), millis(i.SnoozedUntil), clean(i.SnoozedBy), clean(i.SnoozeReason),
		now(), i.ID, i.Revision)
	if err != nil || n > 0 {
		return err
	}
	return tx.moved(ctx, what, i.ID)
}

// SetIntended writes what was last asked of an instance.
func (tx *Tx) SetIntended(ctx context.Context, id string, want Intended) error {
	return tx.execOne(ctx, "set what is intended for instance "+id, ErrNotFound,
		`UPDATE instances SET intended = $1, updated_at = $2, revision = revision + 1 WHERE id = $3`, string(want), now(), id)
}

// SetSize writes the bytes of the writable layer and when they were measured.
func (tx *Tx) SetSize(ctx context.Context, id string, bytes int64, at time.Time) error {
	return tx.execOne(ctx, "set the size of instance "+id, ErrNotFound,
		`UPDATE instances SET size_rw = $1, size_at = $2 WHERE id = $3`, bytes, millis(at), id)
}

// SetRollbackKept marks exactly these instances of a stage as kept for rollback.
func (tx *Tx) SetRollbackKept(ctx context.Context, stageID string, ids []string) error {
	var a arguments
	kept := `0`
	if len(ids) > 0 {
		kept = `CASE WHEN id IN ` + in(&a, ids) + ` THEN 1 ELSE 0 END`
	}
	_, err := tx.exec(ctx, "mark what stage "+stageID+" keeps for rollback",
		`UPDATE instances SET rollback_kept = `+kept+`, warned_at = NULL, updated_at = `+a.add(now())+`, revision = revision + 1
		WHERE stage_id = `+a.add(stageID)+` AND rollback_kept <> `+kept, a...)
	return err
}

// RollbackKept are the ids of the instances of a stage that are marked so, in their order.
func (q queries) RollbackKept(ctx context.Context, stageID string) ([]string, error) {
	return list(ctx, q, "read what stage "+stageID+" keeps for rollback", func(r row) (id string, err error) { return id, r.Scan(&id) },
		`SELECT id FROM instances WHERE stage_id = $1 AND rollback_kept <> 0 ORDER BY id`, stageID)
}
