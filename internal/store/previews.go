package store

import (
	"context"
	"slices"
	"time"
)

// mostPast bounds how many deploys of a stage are looked back at by rules.
const mostPast = 1000

// PastDeploys returns what rules read of the deploys of an image to a stage, newest first: tag, digest, state, actor, begin and end.
func (q queries) PastDeploys(ctx context.Context, stageID, image string) ([]Deploy, error) {
	return list(ctx, q, "read the past deploys of stage "+stageID, func(r row) (d Deploy, err error) {
		return d, r.Scan(&d.ImageTag, &d.Digest, &d.State, &d.Actor, at{&d.CreatedAt}, at{&d.EndedAt})
	}, `SELECT image_tag, digest, state, actor, created_at, ended_at FROM deploys WHERE stage_id = $1 AND image = $2 ORDER BY id DESC LIMIT $3`,
		stageID, clean(image), mostPast)
}

// WantTags writes which tags a stage whose tags run side by side is to run by its rule, newest first; none: nobody says.
func (tx *Tx) WantTags(ctx context.Context, stageID string, tags []string) error {
	text := ""
	if len(tags) > 0 {
		var err error
		if text, err = jsonOf("write the tags that stage "+stageID+" is to run", tags); err != nil {
			return err
		}
	}
	_, err := tx.exec(ctx, "write the tags that stage "+stageID+" is to run",
		`UPDATE stage_polls SET wanted = $1 WHERE stage_id = $2 AND wanted <> $1`, text, stageID)
	return err
}

// WantedTags returns what WantTags wrote last.
func (q queries) WantedTags(ctx context.Context, stageID string) ([]string, error) {
	rows, err := list(ctx, q, "read the tags that stage "+stageID+" is to run", func(r row) (tags []string, err error) { return tags, r.Scan(fromJSON{&tags}) },
		`SELECT wanted FROM stage_polls WHERE stage_id = $1 AND wanted <> ''`, stageID)
	return slices.Concat(rows...), err
}

// byDeploy are the instances of stage $1 that a deploy has made of an image of its registry. One that was adopted need not have come
// from there: its tag, if it has one, may never have been pushed.
const byDeploy = `SELECT instance_id FROM deploys WHERE stage_id = $1 AND kind = '` + string(DeployForward) + `'`

// CameByDeploy tells that a deploy has made an instance of an image of its registry.
func (q queries) CameByDeploy(ctx context.Context, i Instance) (bool, error) {
	found, err := list(ctx, q, "look whether a deploy has made instance "+i.ID, func(r row) (id string, err error) { return id, r.Scan(&id) },
		byDeploy+` AND instance_id = $2 LIMIT 1`, i.StageID, i.ID)
	return len(found) > 0, err
}

// NoteTags writes on the instances of a stage that run, and were deployed from an image, whether its registry has their tags: it
// listed these. From when the registry was first seen to have one no more is kept as it is. Only what is news is written, and nothing
// on what no deploy has made: nobody knows that the registry ever had its tag.
func (tx *Tx) NoteTags(ctx context.Context, stageID, image string, listed []string, now time.Time) error {
	what := "note which tags of stage " + stageID + " are gone"
	type running struct {
		id, tag string
		since   time.Time
	}
	all, err := list(ctx, tx.queries, what, func(r row) (i running, err error) { return i, r.Scan(&i.id, &i.tag, at{&i.since}) },
		`SELECT id, image_tag, tag_gone_since FROM instances
		WHERE stage_id = $1 AND image = $2 AND status IN ($3, $4, $5) AND image_tag NOT LIKE 'sha256:%' AND id IN (`+byDeploy+`)`,
		stageID, clean(image), string(StatusRunning), string(StatusPaused), string(StatusRestarting))
	if err != nil {
		return err
	}
	for _, i := range all {
		gone := !i.since.IsZero() && !DatedAhead(i.since, now) // else it was noted while the clock ran ahead
		switch there := slices.Contains(listed, i.tag); {
		case there && !i.since.IsZero():
			_, err = tx.exec(ctx, what, `UPDATE instances SET tag_gone_since = NULL, tag_checked_at = $1, updated_at = $1, revision = revision + 1 WHERE id = $2`, now.UnixMilli(), i.id)
		case !there && gone:
			_, err = tx.exec(ctx, what, `UPDATE instances SET tag_checked_at = $1 WHERE id = $2`, now.UnixMilli(), i.id)
		case !there:
			_, err = tx.exec(ctx, what, `UPDATE instances SET tag_gone_since = $1, tag_checked_at = $1, updated_at = $1, revision = revision + 1 WHERE id = $2`, now.UnixMilli(), i.id)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
