package poll

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/deploy"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/events"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/tagrule"
)

// withDeployer is a bed whose deploys are carried out on a pretend engine.
func withDeployer(t *testing.T, test func(t *testing.T, b *bed, engine *dockertest.Engine)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)))
		b := newBed(t)
		engine := dockertest.New(t, dockertest.Options{})
		adapter, err := docker.New(docker.Options{Endpoint: engine.Endpoint(), Dial: engine.Dial, Log: b.log})
		if err != nil {
			t.Fatal(err)
		}
		fleet := docker.NewFleet()
		fleet.Add(b.host.ID, adapter)
		log := b.log
		bus := events.New(log)
		b.db.OnCommit(bus.Committed)
		deployer := deploy.New(b.db, fleet, bus, log)
		b.poller = New(b.db, NewLooker(b.registry), func(ctx context.Context, stageID, tag, digest string) error {
			_, err := deployer.Start(ctx, deploy.Request{StageID: stageID, Tag: tag, Digest: digest, Actor: "system:auto"})
			return err
		}, log)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- deployer.Run(ctx) }()
		test(t, b, engine)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := adapter.Close(); err != nil {
			t.Error(err)
		}
	})
}

// deploysOf waits until no deploy of a stage is open, and returns them, newest first.
func (b *bed) deploysOf(st store.Stage) []store.Deploy {
	b.t.Helper()
	for {
		open, err := b.db.OpenDeploys(b.t.Context())
		if err != nil {
			b.t.Fatal(err)
		}
		if len(open) == 0 {
			break
		}
		time.Sleep(time.Second)
	}
	all, _, err := b.db.Deploys(b.t.Context(), "", st.ID, store.Page{})
	if err != nil {
		b.t.Fatal(err)
	}
	return all
}

// A pushed tag is all that it takes; one that vanishes between poll and pull is a deploy that failed, in words, once, and
// what served goes on serving.
func TestFromThePushToTheContainer(t *testing.T) {
	withDeployer(t, func(t *testing.T, b *bed, engine *dockertest.Engine) {
		st := b.stage("dev", store.ModeAuto, versions)
		engine.Publish(dockertest.Image{Ref: image + ":1.0.0", Digest: digestOf(image, "1.0.0")})
		b.pushed("1.0.0")
		b.round()
		all := b.deploysOf(st)
		if len(all) != 1 || all[0].State != store.DeployDone || all[0].ImageTag != "1.0.0" || all[0].Actor != "system:auto" {
			t.Fatalf("got %+v", all)
		}
		b.round()
		if n := len(b.deploysOf(st)); n != 1 {
			t.Errorf("%d deploys of one push", n)
		}

		b.pushed("1.0.0", "1.1.0") // listed, but no engine can pull it
		for range 3 {
			b.round()
			all = b.deploysOf(st)
		}
		if len(all) != 2 || all[0].State != store.DeployFailed || all[0].ImageTag != "1.1.0" || !strings.Contains(all[0].Error, "deleted or moved since") {
			t.Fatalf("got %+v", all)
		}
		if why := b.row(st).Why; !strings.Contains(why, "is tried again after") {
			t.Error(why)
		}
		live, _, err := b.db.Instances(t.Context(), store.InstanceFilter{StageID: st.ID, Statuses: []store.Status{store.StatusRunning}}, store.Page{})
		if err != nil || len(live) != 1 || live[0].ImageTag != "1.0.0" {
			t.Errorf("serving: %+v, %v", live, err)
		}
		engine.Publish(dockertest.Image{Ref: image + ":1.2.0", Digest: digestOf(image, "1.2.0")})
		b.pushed("1.0.0", "1.1.0", "1.2.0")
		b.round()
		if all = b.deploysOf(st); len(all) != 3 || all[0].State != store.DeployDone || all[0].ImageTag != "1.2.0" {
			t.Errorf("got %+v", all)
		}
	})
}

// A deploy that a rule asked for and that failed is tried again, a few times and ever later; a new image anew. What a person
// meddled with is not.
func TestAFailedDeployIsTriedAgain(t *testing.T) {
	withDeployer(t, func(t *testing.T, b *bed, engine *dockertest.Engine) {
		st := b.stage("dev", store.ModeAuto, latest)
		b.pushed("latest")
		begun := time.Now()
		var at []time.Duration
		for range 3 * 12 { // every five minutes for three hours
			b.round()
			all := b.deploysOf(st)
			if len(all) > len(at) {
				at = append(at, all[0].CreatedAt.Sub(begun).Truncate(time.Minute))
			}
			time.Sleep(5 * time.Minute)
		}
		if want := []time.Duration{0, 5 * time.Minute, 25 * time.Minute, 85 * time.Minute}; !slices.Equal(at, want) {
			t.Errorf("tried at %v, want %v", at, want)
		}
		if why := b.row(st).Why; !strings.Contains(why, "failed 4 times") || !strings.Contains(why, "deploy it by hand") {
			t.Error(why)
		}
		// Another image at the tag is tried anew, and comes up when the registry has it at last.
		digest := "sha256:" + strings.Repeat("d", 64)
		b.registry.set(func(p *pretended) { p.digest[image+":latest"] = digest })
		b.round()
		if all := b.deploysOf(st); len(all) != 5 || all[0].Digest != digest || all[0].State != store.DeployFailed {
			t.Fatalf("got %+v", all)
		}
		engine.Publish(dockertest.Image{Ref: image + ":latest", Digest: digest})
		time.Sleep(6 * time.Minute)
		b.round()
		if all := b.deploysOf(st); len(all) != 6 || all[0].State != store.DeployDone || all[0].Digest != digest {
			t.Errorf("got %+v", all)
		}
	})
}

// Every new tag gets its preview, a tag that is pushed again another, at the cap the newest win by the rule, and what was stopped
// stays so.
func TestPreviewsByARule(t *testing.T) {
	withDeployer(t, func(t *testing.T, b *bed, engine *dockertest.Engine) {
		st := b.stage("pr", store.ModeAuto, tagrule.Rule{Kind: tagrule.Glob, Pattern: "pr-*"}, func(s *store.Stage) {
			s.Strategy, s.ParallelMax, s.Domain = store.StrategyParallel, 2, "{{tag}}.example.com"
		})
		var tags []string
		push := func(tag string) {
			t.Helper()
			digest := engine.Publish(dockertest.Image{Ref: image + ":" + tag, ID: "sha256:" + strings.ReplaceAll(store.NewID()+store.NewID()+store.NewID()+store.NewID(), "-", "0")})
			if !slices.Contains(tags, tag) {
				tags = append(tags, tag)
			}
			b.registry.set(func(p *pretended) {
				p.tags[image] = append([]string{"latest"}, tags...)
				p.digest[image+":"+tag] = digest
			})
		}
		runs := func(deploys int, want ...string) []store.InstanceView {
			t.Helper()
			for range 2 { // the second has nothing to do
				b.round()
				if n := len(b.deploysOf(st)); n != deploys {
					t.Errorf("%d deploys, want %d: %s", n, deploys, b.row(st).Why)
				}
			}
			live, _, err := b.db.Instances(t.Context(), store.InstanceFilter{StageID: st.ID, Statuses: []store.Status{store.StatusRunning}}, store.Page{})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, v := range live {
				got = append(got, v.ImageTag)
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("run: %v, want %v", got, want)
			}
			return live
		}
		push("pr-1")
		push("pr-2")
		push("pr-3")
		runs(2, "pr-2", "pr-3") // of three that are new the newest two
		push("pr-2")
		runs(3, "pr-2", "pr-3") // pushed again
		push("pr-4")
		live := runs(4, "pr-3", "pr-4") // pr-2 is the youngest container, but not the newest by the rule
		if e := b.events("instance.stopped"); len(e) != 2 || !strings.Contains(e[0].Message, "at most 2 tags") {
			t.Errorf("%+v", e)
		}
		// One whose tag left is known as gone, but not because of an empty list.
		b.registry.set(func(p *pretended) { p.tags[image] = nil })
		b.round()
		tags = []string{"pr-3"}
		b.registry.set(func(p *pretended) { p.tags[image] = tags })
		gone := map[string]bool{}
		for range 2 {
			for _, v := range live {
				now, err := b.db.Instance(t.Context(), v.ID)
				if err != nil {
					t.Fatal(err)
				}
				gone[now.ImageTag] = !now.TagGoneSince.IsZero()
			}
			if gone["pr-3"] || gone["pr-4"] != (len(b.row(st).Why) > 0 && b.row(st).ReadyTag == "pr-3") {
				t.Errorf("gone: %v", gone)
			}
			b.round()
		}
	})
}

func TestDecideEach(t *testing.T) {
	one := []Sighting{{Tag: "a", Digest: "1"}}
	past := func(tag, digest string, state store.DeployState, by string, ago time.Duration) store.Deploy {
		return store.Deploy{ImageTag: tag, Digest: digest, State: state, Actor: by, CreatedAt: noon.Add(-ago), EndedAt: noon.Add(-ago)}
	}
	for name, c := range map[string]struct {
		past []store.Deploy
		want Act
		why  string
	}{
		"never deployed":                   {nil, Deploy, "asked for"},
		"another tag was":                  {[]store.Deploy{past("b", "1", store.DeployDone, actor, time.Hour)}, Deploy, "asked for"},
		"another image was":                {[]store.Deploy{past("a", "0", store.DeployDone, actor, time.Hour)}, Deploy, "another image now"},
		"another image failed":             {[]store.Deploy{past("a", "0", store.DeployFailed, actor, 0)}, Deploy, "another image now"},
		"another is under way":             {[]store.Deploy{past("a", "0", store.DeployPulling, actor, 0)}, Nothing, "under way"},
		"deployed":                         {[]store.Deploy{past("a", "1", store.DeployDone, actor, time.Hour)}, Nothing, "was deployed"},
		"deployed by a person":             {[]store.Deploy{past("a", "1", store.DeployDone, "user:anna", time.Hour)}, Nothing, "was deployed"},
		"cancelled":                        {[]store.Deploy{past("a", "1", store.DeployCancelled, actor, time.Hour)}, Nothing, "was deployed"},
		"failed just now":                  {[]store.Deploy{past("a", "1", store.DeployFailed, actor, time.Minute)}, Nothing, "tried again after"},
		"failed a while ago":               {[]store.Deploy{past("a", "1", store.DeployFailed, actor, time.Hour)}, Deploy, "tried again (1 of 3)"},
		"failed by a clock that ran ahead": {[]store.Deploy{past("a", "1", store.DeployFailed, actor, -year)}, Deploy, "tried again (1 of 3)"},
		"failed for a person":              {[]store.Deploy{past("a", "1", store.DeployFailed, "user:anna", time.Hour)}, Nothing, "by hand"},
		"failed too often":                 {slices.Repeat([]store.Deploy{past("a", "1", store.DeployFailed, actor, 9*time.Hour)}, 4), Nothing, "failed 4 times"},
		"failed, with another's beside":    {[]store.Deploy{past("b", "1", store.DeployDone, actor, 0), past("a", "1", store.DeployFailed, actor, time.Hour)}, Deploy, "tried again"},
		"gone back and forth":              {[]store.Deploy{past("a", "0", store.DeployDone, actor, 0), past("a", "1", store.DeployDone, actor, time.Hour)}, Nothing, "was deployed"},
	} {
		if got := DecideEach(one, c.past, noon); len(got) != 1 || got[0].Act != c.want || !strings.Contains(got[0].Why, c.why) {
			t.Errorf("%s: %+v, want %s: %s", name, got, c.want, c.why)
		}
	}
}
