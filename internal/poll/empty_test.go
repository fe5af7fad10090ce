package poll

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/tagrule"
)

var byCreated = tagrule.Rule{Kind: tagrule.Glob, Pattern: "build-*", Order: tagrule.ByCreated}

// One tag that is listed without an image holds up nobody: it is left out, and that is said.
func TestATagWithoutAnImage(t *testing.T) {
	for name, c := range map[string]struct {
		rule  tagrule.Rule
		empty string
		ready string
	}{
		"by creation":                {byCreated, "build-2", "build-3"},
		"the newest by creation":     {byCreated, "build-3", "build-2"},
		"that is ready":              {versions, "1.1.0", "1.0.0"},
		"whose digest is followed":   {latest, "latest", ""},
		"that the rule cares not of": {versions, "build-1", "1.1.0"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			st := b.stage("dev", store.ModeManual, c.rule)
			now := time.Now()
			b.registry.set(func(p *pretended) {
				p.tags[image] = []string{"build-1", "build-2", "build-3", "1.0.0", "1.1.0", "latest"}
				for n := range 3 {
					p.made[fmt.Sprintf("%s:build-%d", image, n+1)] = now.Add(time.Duration(n-10) * time.Hour)
				}
				p.fails[image+":"+c.empty] = fmt.Errorf("%w: manifest unknown", ErrNoImage)
			})
			b.round()
			row := b.row(st)
			if row.Error != "" || row.ReadyTag != c.ready {
				t.Fatalf("got %+v", row)
			}
			said := strings.Contains(row.Why, "has no image for it: "+c.empty)
			if taken := !strings.Contains(name, "cares not"); said != taken {
				t.Errorf("it says %q", row.Why)
			}
		})
	}
}

// That one tag has no image says nothing of those that could not be asked for.
func TestATagWithoutAnImageBesideOneThatCouldNotBeAskedFor(t *testing.T) {
	b := newBed(t)
	st := b.stage("dev", store.ModeAuto, byCreated)
	b.registry.set(func(p *pretended) {
		p.tags[image] = []string{"build-1", "build-2", "build-3"}
		p.fails[image+":build-1"] = ErrNoImage
		p.fails[image+":build-2"] = errNoAnswer
	})
	b.round()
	if row := b.row(st); !strings.Contains(row.Error, errNoAnswer.Error()) || row.Since.IsZero() || row.ReadyTag != "" {
		t.Errorf("got %+v", row)
	}
	b.want()
}

// A tag without an image is asked for again after a while, and not in each round.
func TestATagWhoseImageComes(t *testing.T) {
	inTime(t, func(t *testing.T, b *bed) {
		st := b.stage("dev", store.ModeManual, byCreated)
		b.registry.set(func(p *pretended) {
			p.tags[image] = []string{"build-1", "build-2"}
			p.made[image+":build-1"], p.made[image+":build-2"] = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
			p.fails[image+":build-2"] = ErrNoImage
		})
		b.round()
		b.registry.set(func(p *pretended) { clear(p.fails) })
		b.round()
		if n := b.registry.count("made"); n != 0 || b.row(st).ReadyTag != "build-1" {
			t.Errorf("asked %d times, %+v", n, b.row(st))
		}
		time.Sleep(emptyFresh + time.Minute)
		b.round()
		if row := b.row(st); row.ReadyTag != "build-2" || strings.Contains(row.Why, "left out") {
			t.Errorf("got %+v", row)
		}
	})
}

// A deploy gets the digest that was judged: what the tag points to by then may be another image.
func TestTheJudgedImageIsDeployed(t *testing.T) {
	b := newBed(t)
	b.stage("dev", store.ModeAuto, latest)
	b.registry.set(func(p *pretended) {
		p.tags[image] = []string{"latest"}
		p.digest[image+":latest"] = "sha256:judged"
	})
	b.round()
	b.want("dev latest")
	if len(b.judged) != 1 || b.judged[0] != "sha256:judged" {
		t.Errorf("handed over: %q", b.judged)
	}
}

// A registry that hangs holds up neither the others nor the next round, and is not asked twice.
func TestARegistryThatHangsHoldsUpNobody(t *testing.T) {
	inTime(t, func(t *testing.T, b *bed) {
		b.repositories(1)
		quick := b.stage("quick", store.ModeManual, versions)
		b.pushed("1.0.0")
		release := make(chan struct{})
		b.registry.set(func(p *pretended) {
			p.gate = func(what string) {
				if what == "tags down.example/app0" {
					<-release
				}
			}
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.poller.Run(ctx) }()
		b.poller.Ask()
		synctest.Wait()
		if row := b.row(quick); row.ReadyTag != "1.0.0" {
			t.Errorf("got %+v", row)
		}
		time.Sleep(10 * time.Minute)
		b.poller.Ask()
		b.poller.Ask() // more than one at a time is one
		synctest.Wait()
		if n, slow := b.registry.count("tags "+image), b.registry.count("tags down.example/app0"); n != 2 || slow != 1 {
			t.Errorf("the quick one was asked %d times, the one that hangs %d times", n, slow)
		}
		close(release)
		time.Sleep(10 * time.Minute)
		b.poller.Ask()
		synctest.Wait()
		if slow := b.registry.count("tags down.example/app0"); slow != 2 {
			t.Errorf("it was asked %d times after it answered", slow)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// However many rounds come at once, and however soon one follows another, what is due is asked once.
func TestRoundsAtOnceAskOnce(t *testing.T) {
	inTime(t, func(t *testing.T, b *bed) {
		b.stage("quick", store.ModeManual, versions)
		for range 20 {
			b.pushed("1.0.0")
			var rounds sync.WaitGroup
			for range 8 {
				rounds.Go(func() {
					if err := b.poller.Round(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			rounds.Wait()
			if n := b.registry.count("tags " + image); n != 1 {
				t.Fatalf("asked %d times", n)
			}
			time.Sleep(10 * time.Minute)
		}
	})
}

// Of a repository that nobody follows any more, and of tags that are gone, nothing is remembered.
func TestWhatNobodyFollowsIsForgotten(t *testing.T) {
	inTime(t, func(t *testing.T, b *bed) {
		st := b.stage("dev", store.ModeManual, byCreated)
		b.pushed("build-1", "build-2")
		b.round()
		b.pushed("build-2", "build-3")
		b.round()
		looker := b.poller.looker
		if of := looker.ages.of[image]; len(of) != 2 || looker.ages.kept != 2 {
			t.Errorf("remembered: %v, counted %d", of, looker.ages.kept)
		}
		b.poller.held["gone.example"] = time.Now().Add(time.Minute)
		b.update(func(ctx context.Context, tx *store.Tx) error { return tx.DeleteStage(ctx, st.ID) })
		time.Sleep(2 * tidyEvery)
		b.poll()
		if len(looker.ages.of) != 0 || looker.ages.kept != 0 || len(b.poller.held) != 0 {
			t.Errorf("remembered: %v, counted %d; left alone: %v", looker.ages.of, looker.ages.kept, b.poller.held)
		}
	})
}
