package poll

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/tagrule"
)

// eachTag tells that a stage runs one instance of each tag, and that a rule says of which.
func eachTag(st store.Stage) bool {
	return st.Strategy == store.StrategyParallel && st.Mode == store.ModeAuto
}

// LookAtEach judges the tags for a stage that runs one instance of each: the newest that are ready, at most so many, and what each of
// them points to now.
func (v *Visit) LookAtEach(ctx context.Context, q Question, most int, now time.Time) (Finding, error) {
	q.Known = Sighting{} // a tag may be pushed again
	found, err := v.Look(ctx, q, now)
	if err != nil || found.Ready == "" {
		return found, err
	}
	found.Each = []Sighting{{Tag: found.Ready, Digest: found.Digest}}
	if q.Rule.Rule().Kind == tagrule.Moving {
		return found, nil
	}
	left := mostAges
	for empty := 0; len(found.Each) < most; {
		next, tag, err := v.lookOnceBut(ctx, q, found.Each, now, &left)
		switch {
		case errors.Is(err, ErrNoImage) && empty < mostEmpty:
			empty++
			v.leaveOut(tag, now)
		case err != nil:
			return found, err
		case next.Tag == "":
			return found, nil
		default:
			found.Each = append(found.Each, next)
		}
	}
	return found, nil
}

// lookOnceBut finds the newest that is ready beside those that were taken. Of ErrNoImage it says of which tag.
func (v *Visit) lookOnceBut(ctx context.Context, q Question, taken []Sighting, now time.Time, left *int) (next Sighting, tag string, err error) {
	tags := slices.DeleteFunc(v.tags(q.Seen, now), func(t tagrule.Tag) bool {
		return slices.ContainsFunc(taken, func(s Sighting) bool { return s.Tag == t.Name })
	})
	verdict, tag, err := v.judge(ctx, q, tags, "", now, left)
	if err != nil || verdict.Ready == "" {
		return Sighting{}, tag, err
	}
	digest, err := v.digest(ctx, verdict.Ready)
	return Sighting{Tag: verdict.Ready, Digest: digest}, verdict.Ready, err
}

// Choice is what is done about one tag of a stage whose tags run side by side.
type Choice struct {
	Sighting
	Act Act
	Why string
}

// DecideEach says what is to be done about each tag. It is pure. The same image is deployed once at a tag, whatever became of it: what
// somebody stopped stays so. Another image at the tag is deployed anew, and one whose deploy failed is tried again.
func DecideEach(each []Sighting, past []store.Deploy, now time.Time) []Choice {
	choices := make([]Choice, 0, len(each))
	for _, s := range each {
		choices = append(choices, decideOne(s, past, now))
	}
	return choices
}

func decideOne(s Sighting, past []store.Deploy, now time.Time) Choice {
	inLane := func(d store.Deploy) bool { return d.ImageTag == s.Tag }
	c := Choice{Sighting: s, Act: Deploy, Why: "its deploy is asked for"}
	newest := slices.IndexFunc(past, inLane)
	if newest < 0 {
		return c
	}
	had := slices.ContainsFunc(past, func(d store.Deploy) bool { return inLane(d) && d.Digest == s.Digest })
	switch last := past[newest]; {
	case !last.State.Ended():
		c.Act, c.Why = Nothing, "its deploy is under way"
	case !had:
		c.Why = "its deploy is asked for, as it points to another image now"
	case last.State == store.DeployFailed:
		c.Act, c.Why = again(past, inLane, s.Tag, s.Digest, now)
	default:
		c.Act, c.Why = Nothing, "it was deployed"
	}
	return c
}

// settleEach keeps what looking brought for a stage whose tags run side by side, and returns the deploys to be asked for, the oldest
// tag first, so that the newest is the last to come and stays.
func (r *round) settleEach(ctx context.Context, tx *store.Tx, f store.Follower, o outcome, row store.StagePoll) (store.StagePoll, []store.StagePoll, error) {
	past, err := tx.PastDeploys(ctx, f.Stage.ID, f.Image)
	if err != nil {
		return row, nil, err
	}
	choices := DecideEach(o.found.Each, past, r.now)
	row = after(row, o, Decision{Act: Nothing, Why: whyEach(o.found, choices)}, r.now)
	var wanted []string
	var deploys []store.StagePoll
	for _, c := range slices.Backward(choices) {
		wanted = append(wanted, c.Tag)
		if c.Act == Deploy {
			asked := row
			asked.AskedTag, asked.AskedDigest = c.Tag, c.Digest
			deploys = append(deploys, asked)
		}
	}
	slices.Reverse(wanted)
	return row, deploys, errors.Join(tx.SavePoll(ctx, row), tx.WantTags(ctx, f.Stage.ID, wanted))
}

// whyEach tells of the tags whose turn something is, after how many are to run.
func whyEach(found Finding, choices []Choice) string {
	if len(choices) == 0 {
		return found.Why
	}
	text := []string{fmt.Sprintf("the newest %d that match run side by side", len(choices))}
	for _, c := range choices {
		if c.Why != "it was deployed" && len(text) < 4 {
			text = append(text, c.Tag+": "+c.Why)
		}
	}
	return strings.Join(text, "; ")
}
