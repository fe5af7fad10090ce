package store

import (
	"context"
	"fmt"
	"time"
)

// Hook is the address at which a registry may say that it has something new. Its secret is not in it: see HookSecret.
type Hook struct {
	MadeAt  time.Time // when its secret was made; zero: there is none
	HeardAt time.Time // when somebody last brought the secret; zero: never
}

// HookSecret returns a registry together with the secret of its webhook, opened; ErrNotFound when there is no such
// registry, or it has no webhook.
func (q queries) HookSecret(ctx context.Context, id string) (Registry, string, error) {
	type hooked struct {
		Registry
		sealed []byte
	}
	what := "read the webhook of registry " + id
	found, err := one(ctx, q, what, func(r row) (h hooked, err error) {
		h.Registry, err = scanRegistry(with{r, &h.sealed})
		return h, err
	}, `SELECT `+registryColumns+`, CASE WHEN password IS NULL THEN 0 ELSE 1 END, hook_secret FROM registries WHERE id = $1 AND hook_secret IS NOT NULL`, clean(id))
	if err != nil {
		return Registry{}, "", err
	}
	plain, err := q.seal.open(found.sealed, place("registries", found.ID, "hook_secret"))
	if err != nil {
		return Registry{}, "", fmt.Errorf("open the secret of the webhook of registry %s: %w", found.Name, err)
	}
	return found.Registry, string(plain), nil
}

// SetHook gives a registry a webhook with a secret, in the place of the one that it had. No revision moves by it.
func (tx *Tx) SetHook(ctx context.Context, id, secret string) error {
	return tx.execOne(ctx, "make a webhook of registry "+id, ErrNotFound,
		`UPDATE registries SET hook_secret = $1, hook_made_at = $2, hook_heard_at = NULL WHERE id = $3`,
		tx.seal.close([]byte(secret), place("registries", id, "hook_secret")), now(), id)
}

// DeleteHook takes the webhook of a registry away; ErrNotFound when it has none.
func (tx *Tx) DeleteHook(ctx context.Context, id string) error {
	return tx.execOne(ctx, "take away the webhook of registry "+id, ErrNotFound,
		`UPDATE registries SET hook_secret = NULL, hook_made_at = NULL, hook_heard_at = NULL WHERE id = $1 AND hook_secret IS NOT NULL`, id)
}

// NoteHookHeard notes that somebody brought the secret of a webhook.
func (tx *Tx) NoteHookHeard(ctx context.Context, id string, at time.Time) error {
	return tx.execOne(ctx, "note that the webhook of registry "+id+" was heard", ErrNotFound,
		`UPDATE registries SET hook_heard_at = $1 WHERE id = $2 AND hook_secret IS NOT NULL`, millis(at), id)
}

// PollImagesAtOnce makes the stages due that follow one of these repositories, as of now, and returns how many were not due
// anyway. The moment is written for all of them: by it a round that is under way knows that it began before.
func (tx *Tx) PollImagesAtOnce(ctx context.Context, images []string, at time.Time) (int, error) {
	if len(images) == 0 {
		return 0, nil
	}
	a := arguments{at.UnixMilli()}
	following := ` FROM stages s JOIN projects p ON p.id = s.project_id LEFT JOIN stage_polls k ON k.stage_id = s.id
		WHERE s.tag_rule <> '' AND p.image IN ` + in(&a, images)
	n, err := one(ctx, tx.queries, "count the stages to poll", func(r row) (n int, err error) { return n, r.Scan(&n) },
		`SELECT COUNT(*)`+following+` AND k.next_at > $1`, a...)
	if err != nil {
		return 0, err
	}
	_, err = tx.exec(ctx, "have repositories polled", `INSERT INTO stage_polls (stage_id, next_at, error, newest_tag, newest_digest, ready_tag, ready_digest,
		why, told_digest, asked_tag, asked_digest, asked_done) SELECT s.id, CAST($1 AS BIGINT), '', '', '', '', '', '', '', '', '', 0`+following+`
		ON CONFLICT (stage_id) DO UPDATE SET next_at = excluded.next_at`, a...)
	return n, err
}

// ImageUse is a stage as it uses a repository.
type ImageUse struct {
	StageID, Stage     string
	ProjectID, Project string
	Image              string
	Follows            bool      // it has a tag rule
	Poll               StagePoll // its times, and why the registry could not be asked; no more is read
}

// ImageUses returns all stages as they use repositories, by project and stage.
func (q queries) ImageUses(ctx context.Context) ([]ImageUse, error) {
	return list(ctx, q, "list the stages by their repositories", func(r row) (u ImageUse, err error) {
		err = r.Scan(&u.StageID, &u.Stage, &u.ProjectID, &u.Project, &u.Image, truth{&u.Follows}, at{&u.Poll.LastAt}, at{&u.Poll.NextAt}, text{&u.Poll.Error}, at{&u.Poll.Since})
		u.Poll.StageID = u.StageID
		return u, err
	}, `SELECT s.id, s.name, p.id, p.name, p.image, CASE WHEN s.tag_rule = '' THEN 0 ELSE 1 END, k.last_at, k.next_at, k.error, k.since
		FROM stages s JOIN projects p ON p.id = s.project_id LEFT JOIN stage_polls k ON k.stage_id = s.id ORDER BY p.name, s.name`)
}
