package store

import (
	"context"
	"time"
)

// SetTagChecked writes that a tag was looked for in its registry, on every stale instance with that image and tag: gone
// is when it was first found gone (an earlier moment that is known stays), zero: it is there. It raises the revision
// only of those for which that is news.
func (tx *Tx) SetTagChecked(ctx context.Context, image, tag string, at, gone time.Time) error {
	what := "note that " + image + ":" + tag + " was looked for"
	news := ` AND tag_gone_since IS NULL`
	if gone.IsZero() {
		news = ` AND tag_gone_since IS NOT NULL`
	}
	if _, err := tx.exec(ctx, what,
		`UPDATE instances SET tag_gone_since = $1, warned_at = NULL, updated_at = $2, revision = revision + 1 WHERE image = $3 AND image_tag = $4 AND `+ofStale+news,
		millis(gone), now(), clean(image), clean(tag)); err != nil {
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

// TagsToCheck returns image and tag of stale instances not checked since before, at most n, those never checked first.
func (q queries) TagsToCheck(ctx context.Context, before time.Time, n int) ([][2]string, error) {
	return list(ctx, q, "find the tags to look for", func(r row) (t [2]string, err error) { return t, r.Scan(&t[0], &t[1]) },
		`SELECT image, image_tag FROM instances WHERE `+ofStale+` AND image <> '' AND COALESCE(tag_checked_at, 0) < $1
		GROUP BY image, image_tag ORDER BY MIN(COALESCE(tag_checked_at, 0)), image, image_tag LIMIT $2`, before.UnixMilli(), n)
}
