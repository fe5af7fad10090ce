package poll

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/tagrule"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestDecide(t *testing.T) {
	done := func(tag, digest string) func(*store.Follower) {
		return func(f *store.Follower) {
			f.Done = store.Deploy{Image: image, ImageTag: tag, Digest: digest, State: store.DeployDone, CreatedAt: noon.Add(-time.Hour)}
			f.Last = f.Done
		}
	}
	last := func(tag, digest string, at time.Time) func(*store.Follower) {
		return func(f *store.Follower) {
			f.Last = store.Deploy{Image: image, ImageTag: tag, Digest: digest, State: store.DeployFailed, CreatedAt: at}
		}
	}
	asked := func(digest string, done bool) func(*store.Follower) {
		return func(f *store.Follower) {
			f.Poll.AskedTag, f.Poll.AskedDigest, f.Poll.AskedAt, f.Poll.AskedDone = "1.1.0", digest, noon.Add(-time.Minute), done
		}
	}
	had := func(f *store.Follower) { f.Had = true }
	under := func(state store.DeployState) func(*store.Follower) {
		return func(f *store.Follower) {
			f.Last = store.Deploy{Image: image, ImageTag: "1.0.0", State: state, CreatedAt: noon.Add(-time.Minute)}
		}
	}
	created := tagrule.Rule{Kind: tagrule.Glob, Pattern: "*", Order: tagrule.ByCreated}
	both := func(fs ...func(*store.Follower)) func(*store.Follower) {
		return func(f *store.Follower) {
			for _, fn := range fs {
				fn(f)
			}
		}
	}
	for name, c := range map[string]struct {
		rule  tagrule.Rule // default: versions, with 1.0.0 and 1.1.0 there
		tags  []tagrule.Tag
		know  string // the digest of what is ready; "-": not known
		mode  store.Mode
		facts func(*store.Follower)
		want  Act
		why   string
	}{
		"auto, nothing was ever deployed":           {mode: store.ModeAuto, want: Deploy, why: "1.1.0 is ready"},
		"notify":                                    {mode: store.ModeNotify, want: Tell},
		"auto, an older one runs":                   {mode: store.ModeAuto, facts: done("1.0.0", "sha256:0"), want: Deploy},
		"auto, one that the rule does not take":     {mode: store.ModeAuto, facts: done("hotfix", "sha256:h"), want: Deploy},
		"auto, one of another repository":           {mode: store.ModeAuto, facts: func(f *store.Follower) { done("9.0.0", "sha256:9")(f); f.Done.Image, f.Last.Image = "other", "other" }, want: Deploy},
		"auto, what was asked for did not begin":    {mode: store.ModeAuto, facts: asked("sha256:1", false), want: Deploy},
		"auto, it began before a crash":             {mode: store.ModeAuto, facts: both(asked("sha256:1", false), last("1.1.0", "", noon)), want: Settle},
		"auto, its deploy was older than that":      {mode: store.ModeAuto, facts: both(asked("sha256:1", false), last("1.1.0", "sha256:x", noon.Add(-time.Hour))), want: Deploy},
		"auto, a moving tag moved":                  {rule: latest, tags: []tagrule.Tag{{Name: "latest"}}, mode: store.ModeAuto, facts: done("latest", "sha256:0"), want: Deploy},
		"auto, by when they were made":              {rule: created, tags: []tagrule.Tag{{Name: "a", Created: noon.Add(-2 * time.Hour)}, {Name: "b", Created: noon}}, mode: store.ModeAuto, facts: done("a", "sha256:0"), want: Deploy},
		"auto, newer than a deploy of what is gone": {rule: created, tags: []tagrule.Tag{{Name: "b", Created: noon}}, mode: store.ModeAuto, facts: done("a", "sha256:0"), want: Deploy},

		"manual":                                {mode: store.ModeManual, want: Nothing, why: "deployed by hand"},
		"nothing matches":                       {tags: []tagrule.Tag{{Name: "x"}}, mode: store.ModeAuto, want: Nothing, why: "none of 1 tag matches"},
		"a digest that is not known":            {know: "-", mode: store.ModeAuto, want: Nothing, why: "not known which image"},
		"told of":                               {mode: store.ModeNotify, facts: func(f *store.Follower) { f.Poll.ToldDigest = "sha256:1" }, want: Nothing, why: "was told"},
		"what the stage has":                    {mode: store.ModeAuto, facts: done("1.1.0", "sha256:1"), want: Nothing, why: "1.1.0 is what the stage has"},
		"the same by another name":              {mode: store.ModeNotify, facts: done("stable", "sha256:1"), want: Nothing, why: "the same image as stable"},
		"the same by its digest":                {mode: store.ModeAuto, facts: done("sha256:1", "sha256:1"), want: Nothing, why: "1.1.0 is what the stage has"},
		"a tag that was pushed again":           {mode: store.ModeAuto, facts: done("1.1.0", "sha256:old"), want: Nothing, why: "is not followed"},
		"a newer one runs":                      {mode: store.ModeAuto, facts: done("1.2.0", "sha256:2"), want: Nothing, why: "nothing goes back by itself"},
		"a newer one runs, and notify":          {mode: store.ModeNotify, facts: done("1.2.0", "sha256:2"), want: Nothing, why: "nothing goes back by itself"},
		"asked for already":                     {mode: store.ModeAuto, facts: asked("sha256:1", true), want: Nothing, why: "asked for already"},
		"rolled back by a person":               {mode: store.ModeAuto, facts: both(asked("sha256:1", true), done("1.0.0", "sha256:0")), want: Nothing, why: "asked for already"},
		"a person's deploy of it failed":        {mode: store.ModeAuto, facts: both(last("1.1.0", "", noon), had), want: Nothing, why: "had a deploy of it before"},
		"a person's deploy of that image":       {rule: latest, tags: []tagrule.Tag{{Name: "latest"}}, mode: store.ModeAuto, facts: both(last("latest", "sha256:1", noon), had), want: Nothing, why: "had a deploy of it before"},
		"gone back from before a poll saw it":   {mode: store.ModeAuto, facts: both(done("1.0.0", "sha256:0"), had), want: Nothing, why: "had a deploy of it before"},
		"a person's deploy is under way":        {mode: store.ModeAuto, facts: under(store.DeployChecking), want: Nothing, why: "another deploy is under way"},
		"a person's deploy waits":               {mode: store.ModeAuto, facts: under(store.DeployQueued), want: Nothing, why: "another deploy is under way"},
		"made before what is gone was deployed": {rule: created, tags: []tagrule.Tag{{Name: "b", Created: noon.Add(-2 * time.Hour)}}, mode: store.ModeAuto, facts: done("a", "sha256:0"), want: Nothing, why: "nothing goes back"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.rule.Kind == "" {
				c.rule = versions
			}
			if c.tags == nil {
				c.tags = []tagrule.Tag{{Name: "1.0.0"}, {Name: "1.1.0"}}
			}
			m, err := tagrule.Compile(c.rule)
			if err != nil {
				t.Fatal(err)
			}
			f := store.Follower{Image: image, Stage: store.Stage{Mode: c.mode, TagRule: &c.rule}}
			if c.facts != nil {
				c.facts(&f)
			}
			found := Finding{Verdict: m.Judge(c.tags, 0, noon), Digest: "sha256:1"}
			if c.know == "-" {
				found.Digest = ""
			}
			d := Decide(m, f, found, noon)
			if d.Act != c.want || !strings.Contains(d.Why, c.why) || d.Why == "" {
				t.Errorf("got %+v, want %s and %q", d, c.want, c.why)
			}
		})
	}
}

// TestADecisionIsCarriedOutOnce: whatever the facts, once a decision was carried out the same facts lead to nothing.
func TestADecisionIsCarriedOutOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rule := rapid.SampledFrom([]tagrule.Rule{versions, latest, {Kind: tagrule.Glob, Pattern: "*"}}).Draw(t, "rule")
		m, err := tagrule.Compile(rule)
		if err != nil {
			t.Fatal(err)
		}
		digest := rapid.SampledFrom([]string{"", "sha256:0", "sha256:1"})
		tag := rapid.SampledFrom([]string{"", "1.0.0", "1.1.0", "latest", "x"})
		var tags []tagrule.Tag
		for _, n := range rapid.SliceOfDistinct(tag.Filter(func(s string) bool { return s != "" }), rapid.ID[string]).Draw(t, "tags") {
			tags = append(tags, tagrule.Tag{Name: n})
		}
		anyDeploy := rapid.Custom(func(t *rapid.T) store.Deploy {
			return store.Deploy{Image: image, ImageTag: tag.Draw(t, "tag"), Digest: digest.Draw(t, "digest"), CreatedAt: noon.Add(-time.Hour)}
		})
		f := store.Follower{
			Image: image, Last: anyDeploy.Draw(t, "last"), Done: anyDeploy.Draw(t, "done"),
			Stage: store.Stage{TagRule: &rule, Mode: rapid.SampledFrom([]store.Mode{store.ModeAuto, store.ModeNotify, store.ModeManual}).Draw(t, "mode")},
			Poll: store.StagePoll{
				ToldDigest: digest.Draw(t, "told"), AskedTag: tag.Draw(t, "asked"), AskedDigest: digest.Draw(t, "asked digest"),
				AskedAt: noon.Add(-time.Minute), AskedDone: rapid.Bool().Draw(t, "asked done"),
			},
		}
		found := Finding{Verdict: m.Judge(tags, 0, noon), Digest: digest.Draw(t, "found")}
		d := Decide(m, f, found, noon)
		if d.Why == "" {
			t.Fatal("no word of why")
		}
		if d.Act != Nothing && (found.Digest == "" || found.Ready == "" || f.Stage.Mode == store.ModeManual) {
			t.Fatalf("%+v of %+v", d, found)
		}
		if (d.Act == Tell) && f.Stage.Mode != store.ModeNotify || (d.Act == Deploy || d.Act == Settle) && f.Stage.Mode != store.ModeAuto {
			t.Fatalf("%s in mode %s", d.Act, f.Stage.Mode)
		}
		f.Poll = after(f.Poll, outcome{rule: m, found: found}, d, noon)
		if d.Act == Deploy {
			f.Last = store.Deploy{Image: image, ImageTag: found.Ready, CreatedAt: noon}
			if next := Decide(m, f, found, noon); next.Act != Settle {
				t.Fatalf("the deploy began, and then %+v", next)
			}
			f.Poll.AskedDone = true
		}
		if next := Decide(m, f, found, noon); next.Act != Nothing {
			t.Fatalf("%+v, and then %+v", d, next)
		}
	})
}
