package api

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/poll"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/tagrule"
)

const (
	// tryTimeout bounds how long a person waits for a registry.
	tryTimeout = time.Minute
	// mostMatched and mostOthers bound what is shown of the tags.
	mostMatched = 500
	mostOthers  = 200
)

type tryRuleIn struct {
	ByID
	Body struct {
		TagRule     *tagRuleJSON `json:"tag_rule,omitempty" doc:"absent: the stage's own"`
		MinImageAge string       `json:"min_image_age,omitempty" maxLength:"20" doc:"absent: the stage's own"`
		Tags        *[]string    `json:"tags,omitempty" maxItems:"5000" doc:"absent: those that the registry has"`
		Recent      bool         `json:"recent,omitempty" doc:"what the registry said within the last minute is good enough: for trying while somebody types"`
	}
}

type tryNewRuleIn struct {
	ByID
	Body struct {
		TagRule     tagRuleJSON `json:"tag_rule"`
		MinImageAge string      `json:"min_image_age,omitempty" maxLength:"20" doc:"absent: 0s"`
		Recent      bool        `json:"recent,omitempty" doc:"what the registry said within the last minute is good enough: for trying while somebody types"`
	}
}

type triedTagJSON struct {
	Tag       string `json:"tag"`
	Matched   bool   `json:"matched"`
	Why       string `json:"why" doc:"it matches, or does not"`
	Version   string `json:"version,omitempty" doc:"the part that orders it"`
	CreatedAt moment `json:"created_at" doc:"when its image was made, as far as that had to be asked"`
	Ready     bool   `json:"ready" doc:"the stage would be brought to it"`
}

type ruleTrialJSON struct {
	Image       string         `json:"image"`
	TagRule     tagRuleJSON    `json:"tag_rule"`
	MinImageAge string         `json:"min_image_age"`
	Asked       bool           `json:"asked" doc:"the registry was asked; else the tags are those of the request"`
	Considered  int            `json:"considered" doc:"tags"`
	Matched     int            `json:"matched"`
	Items       []triedTagJSON `json:"items" nullable:"false" doc:"those that match first, the newest first; at most 500 that match and 200 that do not"`
	NewestTag   string         `json:"newest_tag,omitempty"`
	ReadyTag    string         `json:"ready_tag,omitempty" doc:"the stage would be brought to it"`
	ReadyDigest string         `json:"ready_digest,omitempty" doc:"what it points to now"`
	ReadyAt     moment         `json:"ready_at" doc:"when the newest will be old enough"`
	Why         string         `json:"why" doc:"why that one, or why none"`
	Act         string         `json:"act,omitempty" enum:"nothing,tell,deploy" doc:"what the stage, in its mode and with what it has, would make of it now; absent where no registry was asked"`
	Decision    string         `json:"decision,omitempty" doc:"that in words"`
}

// tryRule tells what a rule would make of the tags that there are; nothing is written.
func (s *server) tryRule(ctx context.Context, in *tryRuleIn) (*out[ruleTrialJSON], error) {
	f, err := s.d.DB.Follower(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	rule, err := in.rule(&f.Stage)
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	body := ruleTrialJSON{Image: f.Image, TagRule: tagRuleOf(rule.Rule()), MinImageAge: store.SpanText(f.Stage.MinImageAge), Asked: in.Body.Tags == nil}
	if in.Body.Tags != nil {
		body.show(poll.Finding{Verdict: rule.Judge(namedTags(*in.Body.Tags), f.Stage.MinImageAge, now)})
		return answer(body), nil
	}
	found, err := s.lookFor(ctx, rule, f, in.Body.Recent, now)
	if err != nil {
		return nil, err
	}
	body.show(found)
	if f.Had, err = s.d.DB.HadDeploy(ctx, f, found.Ready, found.Digest); err != nil {
		return nil, err
	}
	d := poll.Decide(rule, f, found, now)
	body.Act, body.Decision = string(d.Act), d.Why
	if d.Act == poll.Settle {
		body.Act = string(poll.Nothing)
	}
	return answer(body), nil
}

// tryNewRule tells the same for a stage of a project that is yet to be made.
func (s *server) tryNewRule(ctx context.Context, in *tryNewRuleIn) (*out[ruleTrialJSON], error) {
	p, err := s.findProject(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	like := tryRuleIn{ByID: in.ByID}
	like.Body.TagRule, like.Body.MinImageAge = &in.Body.TagRule, in.Body.MinImageAge
	f := store.Follower{Image: p.Image}
	rule, err := like.rule(&f.Stage)
	if err != nil {
		return nil, err
	}
	found, err := s.lookFor(ctx, rule, f, in.Body.Recent, time.Now().UTC())
	if err != nil {
		return nil, err
	}
	body := ruleTrialJSON{Image: p.Image, TagRule: tagRuleOf(rule.Rule()), MinImageAge: store.SpanText(f.Stage.MinImageAge), Asked: true}
	body.show(found)
	return answer(body), nil
}

// rule is the one to be tried; it and its age are put into the stage, as they would be.
func (in *tryRuleIn) rule(st *store.Stage) (*tagrule.Matcher, error) {
	if in.Body.TagRule != nil {
		rule := in.Body.TagRule.read()
		st.TagRule = &rule
	}
	if st.TagRule == nil {
		return nil, invalid("body.tag_rule", "the stage has no tag rule: give the one to try")
	}
	if err := readImageAge("body.min_image_age", in.Body.MinImageAge, &st.MinImageAge); err != nil {
		return nil, err
	}
	if err := st.ValidFollowing(); err != nil {
		return nil, wrongFields("body", err)
	}
	return tagrule.Compile(*st.TagRule)
}

func namedTags(names []string) []tagrule.Tag {
	tags := make([]tagrule.Tag, 0, len(names))
	for _, n := range names {
		tags = append(tags, tagrule.Tag{Name: n})
	}
	return tags
}

// lookFor asks the registry, or looks at what it said a moment ago where that is recent enough. That it could not be asked is
// a problem, and never an answer.
func (s *server) lookFor(ctx context.Context, rule *tagrule.Matcher, f store.Follower, recent bool, now time.Time) (poll.Finding, error) {
	if s.d.Looker == nil {
		return poll.Finding{}, unasked(errors.New("no registry can be asked"), now)
	}
	// What one caller leaves in the middle another may look at.
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), tryTimeout)
	defer cancel()
	visit := s.visits.recall(f.Image, now)
	if !recent || visit == nil {
		var err error
		if visit, err = s.d.Looker.Visit(bounded, f.Image); err != nil {
			return poll.Finding{}, unasked(err, now)
		}
		s.visits.keep(f.Image, visit, now)
	}
	q := poll.QuestionOf(rule, f)
	q.Known = poll.Sighting{} // a person who tries wants to know what is so now
	found, err := visit.Look(bounded, q, now)
	if err != nil {
		s.visits.drop(f.Image)
		return poll.Finding{}, unasked(err, now)
	}
	return found, nil
}

const hintRegistry = "nothing is known of its tags now; try again later, or try the rule on tags that you name"

func unasked(err error, now time.Time) *Problem {
	p := newProblem(http.StatusServiceUnavailable, codeRegistry, "the registry could not be asked: "+err.Error()).hint(hintRegistry)
	if refused, ok := errors.AsType[poll.Refused](err); ok && refused.Until.After(now) {
		p = p.with("Retry-After", strconv.Itoa(int(math.Ceil(refused.Until.Sub(now).Seconds()))))
	}
	return p
}

func (t *ruleTrialJSON) show(f poll.Finding) {
	t.Considered, t.Matched = len(f.Matched)+len(f.Others), len(f.Matched)
	t.NewestTag, t.ReadyTag, t.ReadyAt, t.Why = f.Newest, f.Ready, moment(f.ReadyAt), f.Why
	if f.Ready != "" {
		t.ReadyDigest = f.Digest
	}
	t.Items = make([]triedTagJSON, 0, min(len(f.Matched), mostMatched)+min(len(f.Others), mostOthers))
	for _, j := range f.Matched[:min(len(f.Matched), mostMatched)] {
		t.Items = append(t.Items, triedTagJSON{Tag: j.Name, Matched: true, Why: j.Why, Version: j.Version, CreatedAt: moment(j.Created), Ready: j.Name == f.Ready})
	}
	for _, j := range f.Others[:min(len(f.Others), mostOthers)] {
		t.Items = append(t.Items, triedTagJSON{Tag: j.Name, Why: j.Why})
	}
}
