package store

import (
	"context"
	"slices"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/tagrule"
)

// StagePoll is what asking its registry last brought for a stage, and what was done about it.
type StagePoll struct {
	StageID string
	LastAt  time.Time // when the registry was last asked, with or without an answer
	NextAt  time.Time // when it will be asked again; zero: at once
	Error   string    // why it could not be asked; empty: it could
	Since   time.Time // since when it could not be asked

	NewestTag    string    // the newest that the rule takes, as far as the registry could be asked
	NewestDigest string    // of a tag whose digest is followed
	NewestSeen   time.Time // when it, with this digest, was first seen
	ReadyTag     string    // the one that the stage would be brought to; empty: none
	ReadyDigest  string
	Why          string // what was decided, and why

	ToldDigest string // the image that the last event of a ready tag told of
	// Asked is the deploy that was last asked for by itself. While it is not done it is not certain that the deploy began.
	AskedTag    string
	AskedDigest string
	AskedAt     time.Time
	AskedDone   bool
}

// Follower is a stage that follows a repository, with all that a decision about it rests on.
type Follower struct {
	Stage   Stage // without its kind, threshold and spec
	Project string
	Image   string
	Poll    StagePoll
	Last    Deploy   // the newest, however it ended: tag, digest, state, image and begin; zero: none
	Done    Deploy   // the newest that was done
	Had     bool     // it had a deploy of what is ready before; see HadDeploy
	Past    []Deploy // see PastDeploys; read where a rule looks back
}

const pollColumns = `stage_id, last_at, next_at, error, since, newest_tag, newest_digest, newest_seen, ready_tag, ready_digest, why, told_digest,
	asked_tag, asked_digest, asked_at, asked_done`

// into are the places of pollColumns, each of which may be NULL where a stage was never polled.
func (p *StagePoll) into() []any {
	return []any{
		text{&p.StageID},
		at{&p.LastAt},
		at{&p.NextAt},
		text{&p.Error},
		at{&p.Since},
		text{&p.NewestTag},
		text{&p.NewestDigest},
		at{&p.NewestSeen},
		text{&p.ReadyTag},
		text{&p.ReadyDigest},
		text{&p.Why},
		text{&p.ToldDigest},
		text{&p.AskedTag},
		text{&p.AskedDigest},
		at{&p.AskedAt},
		truthOrNull{&p.AskedDone},
	}
}

// StagePolls returns what asking registries brought, by stage id: of all stages, or only of those named. A stage whose registry was never asked
// is left out.
func (q queries) StagePolls(ctx context.Context, stageIDs ...string) (map[string]StagePoll, error) {
	var a arguments
	var w where
	if len(stageIDs) > 0 {
		w.and(`stage_id IN ` + in(&a, stageIDs))
	}
	rows, err := list(ctx, q, "read what polling brought", func(r row) (p StagePoll, err error) { return p, r.Scan(p.into()...) },
		`SELECT `+pollColumns+` FROM stage_polls`+w.String(), a...)
	if err != nil {
		return nil, err
	}
	polls := make(map[string]StagePoll, len(rows))
	for _, p := range rows {
		polls[p.StageID] = p
	}
	return polls, nil
}

// ImagesToPoll returns the repositories of which at least one stage is due, or was polled after now: while the clock ran ahead.
func (q queries) ImagesToPoll(ctx context.Context, now time.Time) ([]string, error) {
	return list(ctx, q, "find the repositories to poll", func(r row) (image string, err error) { return image, r.Scan(&image) },
		`SELECT DISTINCT p.image FROM stages s JOIN projects p ON p.id = s.project_id LEFT JOIN stage_polls k ON k.stage_id = s.id
		WHERE s.tag_rule <> '' AND (COALESCE(k.next_at, 0) <= $1 OR k.last_at > $2) ORDER BY p.image`, now.UnixMilli(), now.UnixMilli())
}

// FollowedImages returns the repositories that at least one stage follows.
func (q queries) FollowedImages(ctx context.Context) ([]string, error) {
	return list(ctx, q, "find the repositories that are followed", func(r row) (image string, err error) { return image, r.Scan(&image) },
		`SELECT DISTINCT p.image FROM stages s JOIN projects p ON p.id = s.project_id WHERE s.tag_rule <> '' ORDER BY p.image`)
}

// Followers returns the stages that follow a repository.
func (q queries) Followers(ctx context.Context, image string) ([]Follower, error) {
	return list(ctx, q, "list the stages that follow "+image, scanFollower, followers+` WHERE p.image = $1 AND s.tag_rule <> '' ORDER BY s.id`, clean(image))
}

// Follower returns one stage as it follows its repository, with or without a rule; of one whose tags run side by side with its past.
func (q queries) Follower(ctx context.Context, stageID string) (Follower, error) {
	f, err := one(ctx, q, "read how stage "+stageID+" follows its repository", scanFollower, followers+` WHERE s.id = $1`, stageID)
	if err == nil && f.Stage.Strategy == StrategyParallel {
		f.Past, err = q.PastDeploys(ctx, stageID, f.Image)
	}
	return f, err
}

// HadDeploy reports whether there ever was a deploy of an image to a stage, however it ended: by its digest, or by its tag where
// the stage does not follow a tag that moves.
func (q queries) HadDeploy(ctx context.Context, f Follower, tag, digest string) (bool, error) {
	if f.Stage.TagRule != nil && f.Stage.TagRule.Kind == tagrule.Moving {
		tag = ""
	}
	return one(ctx, q, "look for a deploy of "+tag+" to stage "+f.Stage.ID, func(r row) (had bool, err error) { return had, r.Scan(&had) },
		`SELECT EXISTS (SELECT 1 FROM deploys WHERE stage_id = $1 AND image = $2 AND (digest = $3 AND digest <> '' OR image_tag = $4 AND image_tag <> ''))`,
		f.Stage.ID, clean(f.Image), clean(digest), clean(tag))
}

func scanFollower(r row) (f Follower, err error) {
	st := &f.Stage
	stage := []any{
		&st.ID, &st.ProjectID, &st.HostID, &st.Name, &st.Revision, &f.Project, &f.Image,
		fromJSON{&st.TagRule},
		&st.Mode,
		span{&st.MinImageAge},
		span{&st.PollInterval},
		&st.Strategy, &st.ParallelMax,
	}
	err = r.Scan(slices.Concat(stage, f.Poll.into(), outlineOf(&f.Last), outlineOf(&f.Done))...)
	f.Poll.StageID = st.ID
	return f, err
}

// outlineOf are the places of what is read of a deploy, if there is one.
func outlineOf(d *Deploy) []any {
	return []any{text{&d.Image}, text{&d.ImageTag}, text{&d.Digest}, &d.State, at{&d.CreatedAt}}
}

const followers = `SELECT s.id, s.project_id, s.host_id, s.name, s.revision, p.name, p.image, s.tag_rule, s.mode, s.min_image_age, s.poll_interval,
		s.strategy, s.parallel_max,
		k.stage_id, k.last_at, k.next_at, k.error, k.since, k.newest_tag, k.newest_digest, k.newest_seen, k.ready_tag, k.ready_digest, k.why, k.told_digest,
		k.asked_tag, k.asked_digest, k.asked_at, k.asked_done,
		l.image, l.image_tag, l.digest, COALESCE(l.state, ''), l.created_at, d.image, d.image_tag, d.digest, COALESCE(d.state, ''), d.created_at
		FROM stages s JOIN projects p ON p.id = s.project_id LEFT JOIN stage_polls k ON k.stage_id = s.id
		LEFT JOIN deploys l ON l.id = (SELECT id FROM deploys WHERE stage_id = s.id ORDER BY id DESC LIMIT 1)
		LEFT JOIN deploys d ON d.id = (SELECT id FROM deploys WHERE stage_id = s.id AND state = 'done' ORDER BY id DESC LIMIT 1)`

// SavePoll writes what polling brought for a stage that is there.
func (tx *Tx) SavePoll(ctx context.Context, p StagePoll) error {
	_, err := tx.exec(ctx, "write what polling brought for stage "+p.StageID,
		`INSERT INTO stage_polls (`+pollColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
		ON CONFLICT (stage_id) DO UPDATE SET last_at = excluded.last_at, next_at = excluded.next_at, error = excluded.error, since = excluded.since,
		newest_tag = excluded.newest_tag, newest_digest = excluded.newest_digest, newest_seen = excluded.newest_seen, ready_tag = excluded.ready_tag, ready_digest = excluded.ready_digest,
		why = excluded.why, told_digest = excluded.told_digest, asked_tag = excluded.asked_tag, asked_digest = excluded.asked_digest,
		asked_at = excluded.asked_at, asked_done = excluded.asked_done`,
		p.StageID, millis(p.LastAt), millis(p.NextAt), clean(p.Error), millis(p.Since), clean(p.NewestTag), clean(p.NewestDigest), millis(p.NewestSeen), clean(p.ReadyTag),
		clean(p.ReadyDigest), clean(p.Why), clean(p.ToldDigest), clean(p.AskedTag), clean(p.AskedDigest), millis(p.AskedAt), bit(p.AskedDone))
	return err
}

// pollAllAtOnce makes every stage due.
func (tx *Tx) pollAllAtOnce(ctx context.Context) error {
	_, err := tx.exec(ctx, "have every stage polled", `UPDATE stage_polls SET next_at = NULL`)
	return err
}

// forgetPolls forgets what polling brought for the stages of a project: it was of another repository.
func (tx *Tx) forgetPolls(ctx context.Context, projectID string) error {
	_, err := tx.exec(ctx, "forget what polling brought for project "+projectID,
		`DELETE FROM stage_polls WHERE stage_id IN (SELECT id FROM stages WHERE project_id = $1)`, projectID)
	return err
}

// PollAtOnce makes a stage due: its registry is asked in the next round.
func (tx *Tx) PollAtOnce(ctx context.Context, stageID string) error {
	_, err := tx.exec(ctx, "have stage "+stageID+" polled", `UPDATE stage_polls SET next_at = NULL WHERE stage_id = $1`, stageID)
	return err
}
