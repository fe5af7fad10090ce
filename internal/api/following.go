package api

import (
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/tagrule"
)

// tagRuleJSON says which tags a stage follows.
type tagRuleJSON struct {
	Kind        string   `json:"kind" enum:"exact,glob,regex,semver,moving" doc:"moving: one tag whose image changes, such as latest"`
	Pattern     string   `json:"pattern" doc:"the tag, the glob, the regular expression (RE2, of the whole tag; its group called version, or its only one, orders) or the range"`
	PreReleases bool     `json:"pre_releases,omitempty" doc:"of semver: 2.0.0-rc.1 counts, too"`
	Order       string   `json:"order,omitempty" enum:"semver,natural,date,created" doc:"of glob and regex; absent: natural"`
	Ignore      []string `json:"ignore,omitempty" doc:"globs of tags that never match"`
}

func (r tagRuleJSON) read() tagrule.Rule {
	return tagrule.Rule{Kind: tagrule.Kind(r.Kind), Pattern: r.Pattern, PreReleases: r.PreReleases, Order: tagrule.Order(r.Order), Ignore: r.Ignore}
}

func tagRuleOf(r tagrule.Rule) tagRuleJSON {
	return tagRuleJSON{Kind: string(r.Kind), Pattern: r.Pattern, PreReleases: r.PreReleases, Order: string(r.Order), Ignore: r.Ignore}
}

// Following is how a stage follows its registry, and what that brought.
type Following struct {
	TagRule      nullable[tagRuleJSON]   `json:"tag_rule" doc:"null: it follows no tags"`
	Mode         string                  `json:"mode" enum:"auto,notify,manual" doc:"what becomes of a tag that is ready: deployed, told of, or only shown"`
	MinImageAge  string                  `json:"min_image_age" doc:"how old an image must be to be ready; 0s: any"`
	PollInterval *string                 `json:"poll_interval" doc:"null: as the setting says"`
	Poll         nullable[stagePollJSON] `json:"poll" doc:"null: its registry was never asked"`
}

type stagePollJSON struct {
	LastAt      moment `json:"last_at" doc:"when its registry was last asked"`
	NextAt      moment `json:"next_at" doc:"null: in the next round"`
	Error       string `json:"error,omitempty" doc:"why the registry could not be asked; what stands below is from before"`
	Since       moment `json:"since" doc:"since when it could not be asked"`
	NewestTag   string `json:"newest_tag,omitempty" doc:"the newest that the rule takes"`
	ReadyTag    string `json:"ready_tag,omitempty" doc:"the one that the stage would be brought to"`
	ReadyDigest string `json:"ready_digest,omitempty"`
	Why         string `json:"why,omitempty" doc:"what was decided, and why"`
}

func followingOf(st store.Stage, poll store.StagePoll) Following {
	j := Following{Mode: string(st.Mode), MinImageAge: store.SpanText(st.MinImageAge)}
	if st.TagRule != nil {
		rule := tagRuleOf(*st.TagRule)
		j.TagRule.value = &rule
	}
	if st.PollInterval > 0 {
		text := store.SpanText(st.PollInterval)
		j.PollInterval = &text
	}
	if poll.StageID != "" {
		j.Poll.value = &stagePollJSON{
			LastAt: moment(poll.LastAt), NextAt: moment(poll.NextAt), Error: poll.Error, Since: moment(poll.Since),
			NewestTag: poll.NewestTag, ReadyTag: poll.ReadyTag, ReadyDigest: poll.ReadyDigest, Why: poll.Why,
		}
	}
	return j
}

// NewFollowing is how a new stage follows its registry.
type NewFollowing struct {
	TagRule      *tagRuleJSON `json:"tag_rule,omitempty" doc:"absent: it follows no tags"`
	Mode         string       `json:"mode,omitempty" enum:"auto,notify,manual" doc:"default manual; auto and notify need a tag rule"`
	MinImageAge  string       `json:"min_image_age,omitempty" maxLength:"20" doc:"0s to 365d; default 0s"`
	PollInterval string       `json:"poll_interval,omitempty" maxLength:"20" doc:"30s to 7d; absent: as the setting says"`
}

func (n NewFollowing) apply(st *store.Stage) error {
	st.Mode = store.ModeManual
	if n.Mode != "" {
		st.Mode = store.Mode(n.Mode)
	}
	if n.TagRule != nil {
		rule := n.TagRule.read()
		st.TagRule = &rule
	}
	if err := readImageAge("body.min_image_age", n.MinImageAge, &st.MinImageAge); err != nil {
		return err
	}
	if err := readPollInterval(n.PollInterval, &st.PollInterval); err != nil {
		return err
	}
	return wrongFields("body", st.ValidFollowing())
}

// FollowingChange changes how a stage follows its registry: what is absent stays.
type FollowingChange struct {
	TagRule      optional[tagRuleJSON] `json:"tag_rule,omitzero" doc:"whole; null: it follows no tags"`
	Mode         *string               `json:"mode,omitempty" enum:"auto,notify,manual"`
	MinImageAge  *string               `json:"min_image_age,omitempty" maxLength:"20" doc:"0s to 365d"`
	PollInterval optional[string]      `json:"poll_interval,omitzero" maxLength:"20" doc:"30s to 7d; null: as the setting says"`
}

func (c FollowingChange) apply(st *store.Stage) error {
	switch {
	case c.TagRule.null:
		st.TagRule = nil
	case c.TagRule.set:
		rule := c.TagRule.value.read()
		st.TagRule = &rule
	}
	if c.Mode != nil {
		st.Mode = store.Mode(*c.Mode)
	}
	if c.MinImageAge != nil {
		if err := readImageAge("body.min_image_age", *c.MinImageAge, &st.MinImageAge); err != nil {
			return err
		}
	}
	if c.PollInterval.set {
		st.PollInterval = 0
		if err := readPollInterval(c.PollInterval.value, &st.PollInterval); err != nil {
			return err
		}
	}
	return wrongFields("body", st.ValidFollowing())
}

// readImageAge reads an age where there is one.
func readImageAge(where, text string, into *time.Duration) error {
	if text == "" {
		return nil
	}
	d, err := store.ParseImageAge(text)
	if err != nil {
		return invalid(where, err.Error())
	}
	*into = d
	return nil
}

func readPollInterval(text string, into *time.Duration) error {
	if text == "" {
		return nil
	}
	d, err := store.ParsePollInterval(text)
	if err != nil {
		return invalid("body.poll_interval", err.Error())
	}
	*into = d
	return nil
}

// pollSoon has the registry of a stage that follows asked now. Where a round is under way the next one does it.
func (s *server) pollSoon(st store.Stage) {
	if st.TagRule != nil {
		s.d.Scheduler.Trigger(PollJob)
	}
}

// changedStage adds to an event what of a stage is another one now. Of the variables of its spec only the names are said.
func changedStage(e store.Event, was, is store.Stage) store.Event {
	before, after := stageWords(was), stageWords(is)
	var names []string
	for _, name := range stageWordOrder {
		if before[name] != after[name] {
			names = append(names, name)
			e.Data[name] = map[string]any{"from": before[name], "to": after[name]}
		}
	}
	d := differenceOf(before, after)
	specDifference(d, was.Spec, is.Spec)
	e.Differ(d)
	for i, name := range names {
		sep := ", "
		if i == 0 {
			sep = ": "
		}
		e.Message += sep + name
	}
	return e
}

var stageWordOrder = []string{"name", "kind", "stale_after", "keep_last", "tag_rule", "mode", "min_image_age", "poll_interval", "drain", "strategy", "parallel_max", "domain"}

// stageWords are the parts of a stage as texts and numbers; nil: it says nothing itself.
func stageWords(st store.Stage) map[string]any {
	words := map[string]any{
		"name": st.Name, "kind": string(st.Kind), "mode": string(st.Mode), "min_image_age": store.SpanText(st.MinImageAge),
		"drain": st.Drain.String(), "strategy": string(st.Strategy), "parallel_max": st.ParallelMax, "domain": st.Domain,
	}
	if st.StaleAfter != nil {
		words["stale_after"] = st.StaleAfter.String()
	}
	if st.KeepLast != store.KeepInherit {
		words["keep_last"] = st.KeepLast
	}
	if st.TagRule != nil {
		words["tag_rule"] = st.TagRule.String()
	}
	if st.PollInterval > 0 {
		words["poll_interval"] = store.SpanText(st.PollInterval)
	}
	return words
}
