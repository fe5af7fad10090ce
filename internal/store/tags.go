package store

import (
	"context"
	"time"
)

// SetTagChecked writes that a tag was looked for in its registry, on every stale instance with that image and tag: gone
// is when it was first found gone (an earlier moment that is known stays, and no later one than an hour), zero: it is there. It raises the revision
// only of those for which that is news.
func (tx *Tx) SetTagChecked(ctx context.Context, image, tag string, at, gone time.Time) error {
	what := "note that " + image + ":" + tag + " was looked for"
	news, args := ` AND (tag_gone_since IS NULL OR tag_gone_since > $5)`, []any{millis(gone), now(), clean(image), clean(tag), millis(gone.Add(aheadAfter))}
	if gone.IsZero() {
		news, args = ` AND tag_gone_since IS NOT NULL`, args[:4]
	}
	if _, err := tx.exec(ctx, what,
		`UPDATE instances SET tag_gone_since = $1, warned_at = NULL, updated_at = $2, revision = revision + 1 WHERE image = $3 AND image_tag = $4 AND `+ofStale+news,
		args...); err != nil {
		return err
	}
	_, err := tx.exec(ctx, what, `UPDATE instances SET tag_checked_at = $1 WHERE image = $2 AND image_tag = $3 AND `+ofStale,
		millis(at), clean(image), clean(tag))
	return err
}

// StaleWithTag returns the stale instances that were deployed from an image at a tag.
func (q queries) StaleWithTag(ctx context.Context, image, tag string) ([]InstanceView, error) {
	return list(ctx, q, "list the stale instances of "+image+":"+tag, scanView,
		`SELECT `+viewColumns+` FROM instances i`+viewJoins+` WHERE i.image = $1 AND i.image_tag = $2 AND i.stale_since IS NOT NULL
		AND i.status <> 'removing' ORDER BY i.id`, clean(image), clean(tag))
}

// ofStale is the condition of the indexes that hold stale instances only.
const ofStale = `stale_since IS NOT NULL AND status <> 'removing'`

// TagsToCheck returns image and tag of stale instances not checked since before, at most n, those never checked first. What was checked after now, while
// the clock ran ahead, was not.
func (q queries) TagsToCheck(ctx context.Context, before, now time.Time, n int) ([][2]string, error) {
	return list(ctx, q, "find the tags to look for", func(r row) (t [2]string, err error) { return t, r.Scan(&t[0], &t[1]) },
		`SELECT image, image_tag FROM instances WHERE `+ofStale+` AND image <> '' AND (COALESCE(tag_checked_at, 0) < $1 OR tag_checked_at > $2)
		GROUP BY image, image_tag ORDER BY MIN(COALESCE(tag_checked_at, 0)), image, image_tag LIMIT $3`, before.UnixMilli(), millis(now.Add(aheadAfter)), n)
}
