package poll

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
	"github.com/tiny-forge/docker-watcher/internal/tagrule"
)

func TestAutoDeploysEachImageOnce(t *testing.T) {
	b := newBed(t)
	st := b.stage("dev", store.ModeAuto, versions)
	b.pushed("1.0.0", "1.1.0", "2.0.0", "latest")
	b.round()
	b.want("dev 1.1.0")
	if row := b.row(st); row.NewestTag != "1.1.0" || row.ReadyTag != "1.1.0" || row.ReadyDigest != digestOf(image, "1.1.0") || !row.AskedDone || row.LastAt.IsZero() || row.Why == "" {
		t.Errorf("got %+v", row)
	}
	b.round() // while it is under way
	b.ends(st, store.DeployDone, digestOf(image, "1.1.0"))
	b.round()
	b.want("dev 1.1.0")
	if why := b.row(st).Why; why != "1.1.0 is what the stage has" {
		t.Error(why)
	}

	b.registry.set(func(p *pretended) {
		p.tags[image] = []string{"1.1.0", "1.2.0", "1.1.1"}
		p.digest[image+":1.2.0"] = digestOf(image, "1.1.0") // the same image under another name
	})
	b.round()
	b.want("dev 1.1.0")
	if why := b.row(st).Why; !strings.Contains(why, "the same image as 1.1.0") {
		t.Error(why)
	}
	b.pushed("1.3.0")
	b.round()
	b.want("dev 1.1.0", "dev 1.3.0")
	if n := len(b.events(kindReady)); n != 0 {
		t.Errorf("%d events of what is deployed anyway", n)
	}
}

func TestAFailedDeployIsNotTriedAgain(t *testing.T) {
	for name, rule := range map[string]tagrule.Rule{"of a version": versions, "of a moving tag": latest} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			st := b.stage("dev", store.ModeAuto, rule)
			b.pushed("1.0.0", "latest")
			b.round()
			tag := b.row(st).ReadyTag
			b.ends(st, store.DeployFailed, "") // the tag had gone before it could be pulled
			for range 3 {
				b.round()
			}
			b.restart()
			b.round()
			b.want("dev " + tag)
			if why := b.row(st).Why; !strings.Contains(why, "deploy it by hand") {
				t.Error(why)
			}
		})
	}
}

func TestAMovingTagIsFollowedByItsDigest(t *testing.T) {
	b := newBed(t)
	st := b.stage("demo", store.ModeAuto, latest)
	b.pushed("latest", "1.0.0")
	point := func(digest string) {
		b.registry.set(func(p *pretended) { p.digest[image+":latest"] = digest })
		b.round()
	}
	point("sha256:a")
	b.ends(st, store.DeployDone, "sha256:a")
	point("sha256:a")
	b.want("demo latest")
	point("sha256:b")
	b.want("demo latest", "demo latest")
	b.ends(st, store.DeployDone, "sha256:b")
	point("sha256:b")
	b.want("demo latest", "demo latest")

	fixed := b.stage("fixed", store.ModeAuto, tagrule.Rule{Kind: tagrule.Exact, Pattern: "1.0.0"})
	b.round()
	b.ends(fixed, store.DeployDone, "sha256:x")
	b.registry.set(func(p *pretended) { p.digest[image+":1.0.0"] = "sha256:y" })
	b.restart()
	b.round()
	b.want("demo latest", "demo latest", "fixed 1.0.0")
}

func TestNothingGoesBackByItself(t *testing.T) {
	b := newBed(t)
	st := b.stage("production", store.ModeAuto, versions)
	b.pushed("1.0.0", "1.1.0")
	b.has(st, "1.1.0")
	b.round()

	b.pushed("1.0.0") // the registry has lost what runs
	b.round()
	b.want()
	if why := b.row(st).Why; !strings.Contains(why, "nothing goes back by itself") {
		t.Error(why)
	}
	b.pushed("1.0.0", "1.1.0")
	b.has(st, "1.0.0") // somebody rolls back
	b.round()
	b.want()
	b.pushed("1.0.0", "1.1.0", "1.2.0")
	b.round()
	b.want("production 1.2.0")
}

func TestNotifyTellsOnce(t *testing.T) {
	b := newBed(t)
	st := b.stage("production", store.ModeNotify, versions)
	b.pushed("1.0.0")
	b.round()
	b.round()
	b.restart()
	b.round()
	told := b.events(kindReady)
	if len(told) != 1 || told[0].StageID != st.ID || told[0].ProjectID != st.ProjectID || told[0].Data["image_tag"] != "1.0.0" ||
		!strings.Contains(told[0].Message, "docker-watcher deploy shop/production 1.0.0") {
		t.Fatalf("told: %+v", told)
	}
	b.pushed("1.0.0", "1.0.1")
	b.round()
	b.registry.set(func(p *pretended) { // another name of what was told of
		p.tags[image] = []string{"1.0.0", "1.0.1", "1.0.2"}
		p.digest[image+":1.0.2"] = digestOf(image, "1.0.1")
	})
	b.round()
	if n := len(b.events(kindReady)); n != 2 {
		t.Errorf("told %d times of two images", n)
	}
	b.want()
}

func TestManualOnlyRecords(t *testing.T) {
	b := newBed(t)
	st := b.stage("production", store.ModeManual, versions)
	b.pushed("1.0.0")
	b.round()
	if row := b.row(st); row.ReadyTag != "1.0.0" || !strings.Contains(row.Why, "by hand") {
		t.Errorf("got %+v", row)
	}
	if n := len(b.events(kindReady)); n != 0 {
		t.Errorf("%d events", n)
	}
	b.want()
}

// Could not ask is not gone: nothing is deployed, and nothing that was known is forgotten.
func TestCouldNotAsk(t *testing.T) {
	for name, fail := range map[string]func(p *pretended){
		"the list": func(p *pretended) { p.fails[image] = errNoAnswer },
		"the HEAD": func(p *pretended) {
			p.tags[image] = []string{"1.0.0", "1.1.0"}
			p.fails[image+":1.1.0"] = errNoAnswer
		},
		"a HEAD without a digest": func(p *pretended) {
			p.tags[image] = []string{"1.0.0", "1.1.0"}
			p.digest[image+":1.1.0"] = "<html>"
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			st := b.stage("dev", store.ModeAuto, versions)
			b.pushed("1.0.0")
			b.round()
			b.ends(st, store.DeployDone, digestOf(image, "1.0.0"))
			b.round()
			known := b.row(st)
			b.registry.set(fail)
			b.round()
			first := b.row(st)
			b.restart()
			b.round()
			row := b.row(st)
			if row.Error == "" || !row.Since.Equal(first.Since) || row.Since.IsZero() || row.ReadyTag != known.ReadyTag || row.ReadyDigest != known.ReadyDigest ||
				row.NewestTag != known.NewestTag || row.Why != known.Why {
				t.Errorf("known %+v\nthen %+v", known, row)
			}
			b.want("dev 1.0.0")
			if told := b.events(kindBlind); len(told) != 1 || told[0].Severity != store.SeverityWarn || told[0].Data["image"] != image {
				t.Errorf("told: %+v", told)
			}
			b.registry.set(func(p *pretended) { clear(p.fails); clear(p.digest); p.tags[image] = []string{"1.0.0", "1.1.0"} })
			b.round()
			if row := b.row(st); row.Error != "" || !row.Since.IsZero() {
				t.Errorf("it answers again: %+v", row)
			}
			if n := len(b.events(kindSighted)); n != 1 {
				t.Errorf("told %d times that it answers again", n)
			}
			b.want("dev 1.0.0", "dev 1.1.0")
		})
	}
}

// A registry's own word that it has no tags is an answer; what runs stays.
func TestNoTagsAtAll(t *testing.T) {
	b := newBed(t)
	st := b.stage("dev", store.ModeAuto, versions)
	b.pushed()
	b.round()
	if row := b.row(st); row.Error != "" || row.Why != "the repository has no tags" || row.ReadyTag != "" {
		t.Errorf("got %+v", row)
	}
	b.want()
}

// A deploy that cannot be asked for is asked for again, and one that had begun before a crash is not.
func TestDeploysThatCouldNotBeAskedFor(t *testing.T) {
	b := newBed(t)
	st := b.stage("dev", store.ModeAuto, versions)
	b.pushed("1.0.0")
	b.refuse = errors.New("another deploy of this stage is under way")
	b.round()
	if row := b.row(st); row.AskedDone || !strings.Contains(row.Why, "another deploy of this stage is under way") {
		t.Errorf("got %+v", row)
	}
	b.refuse = nil
	b.round()
	b.want("dev 1.0.0")
	row := b.row(st)
	row.AskedDone = false // as a crash leaves it right after the deploy was queued
	b.update(func(ctx context.Context, tx *store.Tx) error { return tx.SavePoll(ctx, row) })
	b.restart()
	b.round()
	b.want("dev 1.0.0")
	if row := b.row(st); !row.AskedDone {
		t.Errorf("got %+v", row)
	}
}

func TestTheNewestThatIsOldEnough(t *testing.T) {
	b := newBed(t)
	st := b.stage("production", store.ModeAuto, versions, func(s *store.Stage) { s.MinImageAge = 24 * time.Hour })
	now := time.Now()
	b.registry.set(func(p *pretended) {
		p.tags[image] = []string{"1.0.0", "1.1.0", "1.2.0"}
		p.made[image+":1.2.0"], p.made[image+":1.1.0"] = now.Add(-time.Hour), now.Add(-48*time.Hour)
	})
	b.round()
	b.want("production 1.1.0")
	if row := b.row(st); row.NewestTag != "1.2.0" || row.ReadyTag != "1.1.0" {
		t.Errorf("got %+v", row)
	}
	if n := b.registry.count("made"); n != 2 {
		t.Errorf("asked %d times when an image was made", n)
	}
	b.round()
	if n := b.registry.count("made"); n != 2 {
		t.Errorf("asked again when an image was made: %d times", n)
	}
	b.registry.set(func(p *pretended) {
		p.tags[image] = []string{"1.1.0", "1.3.0"}
		p.fails[image+":1.3.0"] = errNoAnswer
	})
	b.round() // how old 1.3.0 is could not be asked
	if row := b.row(st); row.Error == "" {
		t.Errorf("got %+v", row)
	}
	b.want("production 1.1.0")
}

// An image that does not say when it was made is as old as it has been seen.
func TestAnImageThatDoesNotSayItsAge(t *testing.T) {
	for name, rule := range map[string]tagrule.Rule{"of a version": versions, "of a moving tag": latest} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			st := b.stage("dev", store.ModeAuto, rule, func(s *store.Stage) { s.MinImageAge = time.Hour })
			b.pushed("1.0.0", "latest")
			b.round()
			b.round()
			b.want()
			row := b.row(st)
			if row.NewestSeen.IsZero() || row.ReadyTag != "" {
				t.Fatalf("got %+v", row)
			}
			row.NewestSeen = row.NewestSeen.Add(-61 * time.Minute)
			b.update(func(ctx context.Context, tx *store.Tx) error { return tx.SavePoll(ctx, row) })
			b.restart()
			b.round()
			b.want("dev " + row.NewestTag)
		})
	}
}

// A moving tag that moved is another image, whose age begins anew.
func TestAMovedTagIsYoungAgain(t *testing.T) {
	b := newBed(t)
	st := b.stage("dev", store.ModeAuto, latest, func(s *store.Stage) { s.MinImageAge = time.Hour })
	b.pushed("latest")
	b.round()
	row := b.row(st)
	row.NewestSeen = row.NewestSeen.Add(-2 * time.Hour)
	b.update(func(ctx context.Context, tx *store.Tx) error { return tx.SavePoll(ctx, row) })
	b.registry.set(func(p *pretended) { p.digest[image+":latest"] = "sha256:another" })
	b.round()
	b.want()
	if now := b.row(st); now.NewestDigest != "sha256:another" || !now.NewestSeen.After(row.NewestSeen) {
		t.Errorf("got %+v", now)
	}
}

// TestWhatAThousandStagesCost: 20 lists, and one HEAD a stage at the most.
func TestWhatAThousandStagesCost(t *testing.T) {
	b := newBed(t)
	ctx := t.Context()
	each := 50 // stages of a repository
	if underRace {
		each = 4
	}
	b.update(func(_ context.Context, tx *store.Tx) error {
		for r := range 20 {
			p := store.Project{ID: store.NewID(), Name: fmt.Sprintf("p%d", r), Image: fmt.Sprintf("r%d.example/app", r%3) + fmt.Sprint(r)}
			if err := tx.InsertProject(ctx, p); err != nil {
				return err
			}
			for s := range each {
				st := store.Stage{
					ID: store.NewID(), ProjectID: p.ID, HostID: b.host.ID, Name: fmt.Sprintf("s%d", s), Kind: store.StageDev, Mode: store.ModeManual,
					TagRule: &tagrule.Rule{Kind: tagrule.Glob, Pattern: fmt.Sprintf("s%d-*", s)},
				}
				if s%2 == 0 {
					st.TagRule = &tagrule.Rule{Kind: tagrule.Moving, Pattern: fmt.Sprintf("s%d-2", s)}
				}
				if err := tx.InsertStage(ctx, st); err != nil {
					return err
				}
				b.registry.tags[p.Image] = append(b.registry.tags[p.Image], fmt.Sprintf("s%d-1", s), fmt.Sprintf("s%d-2", s))
			}
		}
		return nil
	})
	b.poll()
	if tags, heads, made := b.registry.count("tags"), b.registry.count("head"), b.registry.count("made"); tags != 20 || heads != 20*each || made != 0 {
		t.Errorf("the first round cost %d lists, %d HEADs, %d images; want 20, %d, 0", tags, heads, made, 20*each)
	}
	b.registry.set(func(*pretended) {})
	b.poll()
	if n := b.registry.count("tags"); n != 0 {
		t.Errorf("%d lists although nothing is due", n)
	}
	b.round()
	if tags, heads := b.registry.count("tags"), b.registry.count("head"); tags != 20 || heads != 10*each {
		t.Errorf("the second cost %d lists, %d HEADs; want 20, and %d of moving tags", tags, heads, 10*each)
	}
	polls, err := b.db.StagePolls(ctx)
	if err != nil || len(polls) != 20*each {
		t.Fatalf("%d polls, %v", len(polls), err)
	}
	for _, row := range polls {
		if !strings.HasSuffix(row.ReadyTag, "-2") {
			t.Fatalf("got %+v", row)
		}
	}
}

// Stages that ask for the same tag share its HEAD.
func TestOneHeadForAll(t *testing.T) {
	b := newBed(t)
	for n := range 30 {
		b.stage(fmt.Sprintf("s%d", n), store.ModeManual, versions)
	}
	b.pushed("1.0.0")
	b.poll()
	if tags, heads := b.registry.count("tags"), b.registry.count("head"); tags != 1 || heads != 1 {
		t.Errorf("%d lists, %d HEADs", tags, heads)
	}
}

// What was changed while the registry was asked is looked at again, and not by what it said before.
func TestAStageThatIsChangedMeanwhile(t *testing.T) {
	b := newBed(t)
	st := b.stage("dev", store.ModeAuto, versions)
	gone := b.stage("gone", store.ModeAuto, versions)
	b.pushed("1.0.0", "2.0.0")
	b.registry.set(func(p *pretended) {
		p.gate = func(what string) {
			if what != "tags "+image {
				return
			}
			p.gate = nil
			b.update(func(ctx context.Context, tx *store.Tx) error {
				st.TagRule = &tagrule.Rule{Kind: tagrule.Semver, Pattern: "^2"}
				return errors.Join(tx.UpdateStage(ctx, st), tx.DeleteStage(ctx, gone.ID))
			})
		}
	})
	b.poll()
	b.want()
	b.poll()
	b.want("dev 2.0.0")
}

// What was pushed while the registry was asked is not forgotten with what that brought: it was asked before.
func TestAPushWhileTheRegistryIsAsked(t *testing.T) {
	for name, c := range map[string]struct {
		polled bool // before
		fails  error
	}{"never polled": {}, "polled": {polled: true}, "could not be asked": {polled: true, fails: errNoAnswer}} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			st := b.stage("dev", store.ModeAuto, versions)
			if c.polled {
				b.round()
				b.update(func(ctx context.Context, tx *store.Tx) error { return tx.PollAtOnce(ctx, st.ID) })
			}
			b.pushed("1.0.0")
			heard := time.Now().UTC().Truncate(time.Millisecond)
			b.registry.set(func(p *pretended) {
				if c.fails != nil {
					p.fails[image] = c.fails
				}
				p.gate = func(string) {
					p.gate = nil
					b.update(func(ctx context.Context, tx *store.Tx) error {
						_, err := tx.PollImagesAtOnce(ctx, []string{image}, heard)
						return err
					})
				}
			})
			b.poll()
			if row := b.row(st); !row.NextAt.Equal(heard) || row.LastAt.IsZero() || (row.Error == "") != (c.fails == nil) {
				t.Errorf("after the round that began before: %+v", row)
			}
			b.registry.set(func(p *pretended) { p.tags[image] = []string{"1.0.0", "1.1.0"}; clear(p.fails) })
			b.poll()
			if row := b.row(st); row.ReadyTag != "1.1.0" || !row.NextAt.After(time.Now()) {
				t.Errorf("after the next: %+v", row)
			}
			b.poll() // and once is enough
			if n := b.registry.count("tags"); n != 1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

// A poll that is cut off by the end of the daemon says nothing of the registry.
func TestAPollThatIsCutOff(t *testing.T) {
	b := newBed(t)
	st := b.stage("dev", store.ModeAuto, versions)
	ctx, cancel := context.WithCancel(t.Context())
	b.registry.set(func(p *pretended) {
		p.gate = func(string) { cancel() }
		p.fails[image] = context.Canceled
	})
	if err := b.poller.Round(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if row := b.row(st); row.Error != "" || !row.Since.IsZero() {
		t.Errorf("got %+v", row)
	}
	if n := len(b.events(kindBlind)); n != 0 {
		t.Errorf("%d events", n)
	}
}

// repositories makes stages of several repositories of one registry.
func (b *bed) repositories(n int) (stages []store.Stage) {
	for i := range n {
		p := storetest.Project(b.t, b.db, func(p *store.Project) { p.Image = fmt.Sprintf("down.example/app%d", i) })
		stages = append(stages, storetest.Stage(b.t, b.db, b.host, p, func(s *store.Stage) {
			rule := versions
			s.Mode, s.TagRule = store.ModeAuto, &rule
		}))
	}
	return stages
}

func TestARegistryThatWantsToBeLeftAlone(t *testing.T) {
	b := newBed(t)
	stages := b.repositories(4)
	other := b.stage("other", store.ModeManual, versions)
	b.pushed("1.0.0")
	until := time.Now().Add(2 * time.Hour)
	b.registry.set(func(p *pretended) {
		for i := range stages {
			p.fails[fmt.Sprintf("down.example/app%d", i)] = fmt.Errorf("list: %w", Refused{until, errors.New("429 too many requests")})
		}
	})
	b.round()
	if n := b.registry.count("tags"); n != 2 { // one of the four, and the other registry
		t.Errorf("%d lists", n)
	}
	for _, st := range stages {
		if row := b.row(st); row.Error == "" || row.NextAt.Before(until.Add(-time.Second)) {
			t.Errorf("got %+v", row)
		}
	}
	if row := b.row(other); row.ReadyTag != "1.0.0" {
		t.Errorf("the other registry: %+v", row)
	}
	b.registry.set(func(p *pretended) { clear(p.fails) })
	b.round() // due by their rows, but it is left alone
	if n := b.registry.count("tags"); n != 1 {
		t.Errorf("%d lists while it wants to be left alone", n)
	}
	b.want()
}

func TestARegistryThatIsDown(t *testing.T) {
	b := newBed(t)
	stages := b.repositories(8)
	b.registry.set(func(p *pretended) {
		for i := range stages {
			p.fails[fmt.Sprintf("down.example/app%d", i)] = errNoAnswer
		}
	})
	b.round()
	if n := b.registry.count("tags"); n != patience {
		t.Errorf("asked %d times", n)
	}
	unasked := 0
	for _, st := range stages {
		row := b.row(st)
		if row.Error == "" || row.Since.IsZero() {
			t.Errorf("got %+v", row)
		}
		if row.LastAt.IsZero() {
			unasked++
		}
	}
	if unasked != len(stages)-patience {
		t.Errorf("%d are said not to have been asked", unasked)
	}
}

// The age of a tag's image is asked again after a day, for a tag may be pushed again; until then the old answer counts.
func TestAgesAreAskedAgain(t *testing.T) {
	b := newBed(t)
	m, err := tagrule.Compile(tagrule.Rule{Kind: tagrule.Glob, Pattern: "*", Order: tagrule.ByCreated})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	looker := NewLooker(b.registry)
	look := func(at time.Time) Finding {
		t.Helper()
		v, err := looker.Visit(t.Context(), image)
		if err != nil {
			t.Fatal(err)
		}
		f, err := v.Look(t.Context(), Question{Rule: m}, at)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	b.registry.set(func(p *pretended) {
		for n := range 130 {
			tag := fmt.Sprintf("t%d", n)
			p.tags[image] = append(p.tags[image], tag)
			p.made[image+":"+tag] = now.Add(-time.Duration(n+1) * time.Hour)
		}
	})
	if f := look(now); f.Ready != "" || f.Newest != "" || len(f.Needs) != 130-mostAges || b.registry.count("made") != mostAges {
		t.Errorf("the first look: ready %q, needs %d, asked %d times", f.Ready, len(f.Needs), b.registry.count("made"))
	}
	if f := look(now); f.Ready != "t0" || b.registry.count("made") != 130 {
		t.Errorf("the second: ready %q, asked %d times", f.Ready, b.registry.count("made"))
	}
	b.registry.set(func(p *pretended) { p.made[image+":t7"] = now })
	if f := look(now.Add(23 * time.Hour)); f.Ready != "t0" || b.registry.count("made") != 0 {
		t.Errorf("within a day: ready %q, asked %d times", f.Ready, b.registry.count("made"))
	}
	if f := look(now.Add(25 * time.Hour)); f.Ready != "t7" || b.registry.count("made") != mostRefreshed {
		t.Errorf("after a day: ready %q, asked %d times", f.Ready, b.registry.count("made"))
	}
}

// TestAPanicInAPoll fails the poll of that registry and holds nothing: the next one comes to its end.
func TestAPanicInAPoll(t *testing.T) {
	b := newBed(t)
	b.stage("dev", store.ModeAuto, versions)
	b.pushed("1.0.0")
	w := &heard{}
	stumbles := true
	b.poller = New(b.db, NewLooker(b.registry), func(ctx context.Context, stageID, tag, digest string) error {
		if stumbles {
			panic("oops")
		}
		return b.deploy(ctx, stageID, tag, digest)
	}, b.log)
	b.poller.WatchBy(w)
	if err := b.poller.Round(t.Context()); err == nil || err.Error() != "panic: oops" {
		t.Errorf("it ended with %v", err)
	}
	if last := len(w.errs) - 1; w.told[len(w.told)-1] != "ended registry.example" || w.errs[last] == nil || w.errs[last].Error() != "panic: oops" {
		t.Errorf("the witness was told %q, %v", w.told, w.errs)
	}
	stumbles = false
	b.round()
	b.want("dev 1.0.0")
}
