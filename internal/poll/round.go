package poll

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/tagrule"
)

// stagesAtOnce is how many stages of a repository look at once, each with one HEAD at the most.
const stagesAtOnce = 4

// round is one visit to a repository, for all stages that are due.
type round struct {
	poller   *Poller
	image    string
	registry string
	now      time.Time
	interval time.Duration // of a stage that says none
	closed   error         // why the registry is not asked in this round
}

// outcome is what looking brought for one stage.
type outcome struct {
	revision int64     // of the stage that was looked at
	due      time.Time // when that was to be polled, as its row said before the registry was asked
	rule     *tagrule.Matcher
	found    Finding
	tags     []string // that the registry listed
	err      error    // it could not be asked
}

// run polls the repository and writes what that brought, in one transaction. Asked is why it could not be asked.
func (r *round) run(ctx context.Context) (asked, err error) {
	followers, err := r.poller.db.Followers(ctx, r.image)
	if err != nil {
		return nil, fmt.Errorf("poll %s: %w", r.image, err)
	}
	outcomes, asked := r.look(ctx, r.due(followers))
	if ctx.Err() != nil {
		return asked, nil // what was cut off says nothing
	}
	deploys, err := r.write(ctx, outcomes)
	if err != nil {
		return asked, fmt.Errorf("poll %s: %w", r.image, err)
	}
	return asked, r.ask(ctx, deploys)
}

// due are the stages whose time has come, and those whose time comes within half of their interval: so the stages of one
// repository come to be polled together, whenever they began.
func (r *round) due(followers []store.Follower) (due []store.Follower) {
	for _, f := range followers {
		if !f.Poll.NextAt.After(r.now.Add(r.every(f)/2)) || f.Poll.LastAt.After(r.now) { // or it was polled while the clock ran ahead
			due = append(due, f)
		}
	}
	return due
}

// every is how often a stage is polled.
func (r *round) every(f store.Follower) time.Duration {
	if f.Stage.PollInterval > 0 {
		return f.Stage.PollInterval
	}
	return r.interval
}

// look asks the registry for all stages: one list, and a HEAD where a digest matters.
func (r *round) look(ctx context.Context, due []store.Follower) (map[string]outcome, error) {
	outcomes := make(map[string]outcome, len(due))
	all := make([]outcome, len(due))
	visit, asked := r.visit(ctx)
	eachOf(len(due), stagesAtOnce, func(i int) {
		all[i] = r.lookFor(ctx, visit, due[i])
		if all[i].err == nil && asked != nil {
			all[i].err = asked
		}
	})
	for i, f := range due {
		outcomes[f.Stage.ID] = all[i]
	}
	return outcomes, asked
}

// visit lists the tags, unless the registry is to be left alone.
func (r *round) visit(ctx context.Context) (*Visit, error) {
	if r.closed != nil {
		return nil, r.closed
	}
	if err := r.leftAlone(); err != nil {
		return nil, err
	}
	visit, err := r.poller.looker.Visit(ctx, r.image)
	if err != nil {
		r.poller.hold(r.registry, err, r.now)
		r.poller.log.InfoContext(ctx, "a registry could not be asked for tags", "image", r.image, "error", err)
	}
	return visit, err
}

// leftAlone is why the registry must not be asked now, if it wants that.
func (r *round) leftAlone() error {
	until := r.poller.heldUntil(r.registry, r.now)
	if until.IsZero() {
		return nil
	}
	return Refused{until, fmt.Errorf("%w: its registry %s wants to be left alone until %s", errNotAsked, r.registry, until.Format(time.RFC3339))}
}

// lookFor looks for one stage. Without a visit only its rule is read.
func (r *round) lookFor(ctx context.Context, visit *Visit, f store.Follower) outcome {
	o := outcome{revision: f.Stage.Revision, due: f.Poll.NextAt}
	if o.rule, o.err = tagrule.Compile(*f.Stage.TagRule); o.err != nil {
		o.err = fmt.Errorf("its tag rule cannot be used: %w", o.err)
		return o
	}
	if visit == nil {
		return o
	}
	if o.err = r.leftAlone(); o.err != nil { // it said so during this visit
		return o
	}
	o.tags = visit.Tags
	if eachTag(f.Stage) {
		o.found, o.err = visit.LookAtEach(ctx, QuestionOf(o.rule, f), f.Stage.ParallelMax, r.now)
	} else {
		o.found, o.err = visit.Look(ctx, QuestionOf(o.rule, f), r.now)
	}
	r.poller.hold(r.registry, o.err, r.now)
	return o
}

// QuestionOf is what a stage wants to know, with what it knows already.
func QuestionOf(rule *tagrule.Matcher, f store.Follower) Question {
	return Question{
		Rule: rule, MinAge: f.Stage.MinImageAge,
		Seen:  Sighting{Tag: f.Poll.NewestTag, Digest: f.Poll.NewestDigest, At: f.Poll.NewestSeen},
		Known: Sighting{Tag: f.Poll.ReadyTag, Digest: f.Poll.ReadyDigest},
	}
}

// write decides for each stage as it is now, and keeps that with its events. It returns the deploys to be asked for.
func (r *round) write(ctx context.Context, outcomes map[string]outcome) (deploys []store.StagePoll, err error) {
	jitter := 0.9 + 0.2*rand.Float64() // which only spreads the load
	err = r.poller.db.Update(ctx, func(tx *store.Tx) error {
		deploys = nil
		followers, err := tx.Followers(ctx, r.image)
		if err != nil {
			return err
		}
		var before, after []store.StagePoll
		for _, f := range followers {
			before = append(before, f.Poll)
			o, looked := outcomes[f.Stage.ID]
			if !looked || o.revision != f.Stage.Revision { // it was changed meanwhile: the next round looks again
				after = append(after, f.Poll)
				continue
			}
			row, asks, err := r.settle(ctx, tx, f, o, jitter)
			if err != nil {
				return err
			}
			after = append(after, row)
			deploys = append(deploys, asks...)
		}
		return r.tellOfSight(ctx, tx, followers, before, after)
	})
	return deploys, err
}

// settle keeps what looking brought for one stage, and returns its row and the deploys to be asked for.
func (r *round) settle(ctx context.Context, tx *store.Tx, f store.Follower, o outcome, jitter float64) (store.StagePoll, []store.StagePoll, error) {
	row := f.Poll
	if !errors.Is(o.err, errNotAsked) {
		row.LastAt = r.now
	}
	if o.err != nil {
		row = r.fail(row, o.err)
	}
	row.NextAt = r.next(f, o, row.Since, jitter)
	if o.err != nil {
		return row, nil, tx.SavePoll(ctx, row)
	}
	if f.Stage.Strategy == store.StrategyParallel && len(o.tags) > 0 { // an empty list says nothing
		if err := tx.NoteTags(ctx, f.Stage.ID, f.Image, o.tags, r.now); err != nil {
			return row, nil, err
		}
	}
	if eachTag(f.Stage) {
		return r.settleEach(ctx, tx, f, o, row)
	}
	var err error
	if f.Had, err = tx.HadDeploy(ctx, f, o.found.Ready, o.found.Digest); err != nil {
		return row, nil, err
	}
	if f.Stage.Mode == store.ModeAuto && f.Last.State == store.DeployFailed {
		if f.Past, err = tx.PastDeploys(ctx, f.Stage.ID, f.Image); err != nil {
			return row, nil, err
		}
	}
	d := Decide(o.rule, f, o.found, r.now)
	row = after(row, o, d, r.now)
	if d.Act == Tell {
		if err := tx.Emit(ctx, readyEvent(f, row)); err != nil {
			return row, nil, err
		}
	}
	var asks []store.StagePoll
	if d.Act == Deploy {
		asks = append(asks, row)
	}
	return row, asks, errors.Join(tx.SavePoll(ctx, row), tx.WantTags(ctx, f.Stage.ID, nil))
}

// fail keeps that the registry could not be asked, and all that was known before.
func (r *round) fail(row store.StagePoll, err error) store.StagePoll {
	if row.Since.IsZero() {
		row.Since = r.now
	}
	row.Error = err.Error()
	return row
}

// next is when a stage is polled again; since is since when its registry could not be asked. What somebody set meanwhile
// stays: it may be of a push that the registry did not know of when it was asked.
func (r *round) next(f store.Follower, o outcome, since time.Time, jitter float64) time.Time {
	if !f.Poll.NextAt.Equal(o.due) {
		return f.Poll.NextAt
	}
	at := r.now.Add(time.Duration(float64(r.every(f)) * jitter))
	if o.err == nil {
		return at
	}
	wait := min(r.now.Sub(since), longestWait) // it doubles: as long as it has lasted
	at = later(at, r.now.Add(max(wait, r.every(f))))
	if _, refused := errors.AsType[Refused](o.err); refused {
		at = later(at, r.poller.heldUntil(r.registry, r.now))
	}
	return at
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// after is the row of a stage after an answer and a decision.
func after(row store.StagePoll, o outcome, d Decision, now time.Time) store.StagePoll {
	row.Error, row.Since, row.Why = "", time.Time{}, d.Why
	digest := ""
	if o.rule.Rule().Kind == tagrule.Moving {
		digest = o.found.Digest
	}
	if row.NewestTag != o.found.Newest || row.NewestDigest != digest || store.DatedAhead(row.NewestSeen, now) {
		row.NewestTag, row.NewestDigest, row.NewestSeen = o.found.Newest, digest, now
	}
	row.ReadyTag, row.ReadyDigest = o.found.Ready, ""
	if row.ReadyTag != "" {
		row.ReadyDigest = o.found.Digest
	}
	if d.Has {
		row.ToldDigest = row.ReadyDigest
		row.AskedTag, row.AskedDigest, row.AskedAt, row.AskedDone = row.ReadyTag, row.ReadyDigest, now, true
	}
	switch d.Act {
	case Nothing:
	case Tell:
		row.ToldDigest = row.ReadyDigest
	case Deploy:
		row.AskedTag, row.AskedDigest, row.AskedAt, row.AskedDone = row.ReadyTag, row.ReadyDigest, now, false
	case Settle:
		row.AskedDone = true
	}
	return row
}

// ask asks for the deploys that were decided. What could not be asked for is decided anew in the next round.
func (r *round) ask(ctx context.Context, deploys []store.StagePoll) error {
	var errs []error
	for _, row := range deploys {
		if ctx.Err() != nil {
			break
		}
		err := r.poller.deploy(ctx, row.StageID, row.AskedTag, row.AskedDigest)
		if err != nil {
			r.poller.log.InfoContext(ctx, "a deploy could not be asked for", "stage_id", row.StageID, "tag", row.AskedTag, "error", err)
		}
		errs = append(errs, r.noteAsked(ctx, row, err))
	}
	return errors.Join(errs...)
}

// noteAsked keeps whether a deploy began, so that it is asked for once.
func (r *round) noteAsked(ctx context.Context, asked store.StagePoll, failed error) error {
	err := r.poller.db.Update(ctx, func(tx *store.Tx) error {
		rows, err := tx.StagePolls(ctx, asked.StageID)
		if err != nil {
			return err
		}
		row, there := rows[asked.StageID]
		if !there || row.AskedDigest != asked.AskedDigest {
			return nil // the stage is gone, or it has moved on
		}
		row.AskedDone = failed == nil
		if failed != nil {
			row.Why = fmt.Sprintf("%s is ready, but its deploy could not be asked for, and will be again: %v", asked.AskedTag, failed)
		}
		return tx.SavePoll(ctx, row)
	})
	if err != nil {
		return fmt.Errorf("keep that a deploy of %s to stage %s was asked for: %w", asked.AskedTag, asked.StageID, err)
	}
	return nil
}
