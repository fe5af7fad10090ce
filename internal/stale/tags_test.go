package stale

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

var errNoAnswer = errors.New("429 too many requests")

// tagBook is a registry as a test wants it.
type tagBook struct {
	mu    sync.Mutex
	words map[string]error // by image:tag; what is not in it is there
	hangs bool
	asked []string
	open  int
	most  int // at once
}

func (b *tagBook) look(ctx context.Context, image, tag string) (string, error) {
	b.mu.Lock()
	b.asked = append(b.asked, image+":"+tag)
	b.open++
	b.most = max(b.most, b.open)
	err, hangs := b.words[image+":"+tag], b.hangs
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		b.open--
		b.mu.Unlock()
	}()
	if hangs {
		<-ctx.Done()
		return "", ctx.Err()
	}
	return "sha256:0", err
}

func (b *tagBook) say(ref string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.words == nil {
		b.words = map[string]error{}
	}
	b.words[ref], b.asked, b.most = err, nil, 0
}

func (b *tagBook) calls() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.asked)
}

func inTagBed(t *testing.T, test func(t *testing.T, b *autoBed, book *tagBook)) {
	t.Helper()
	inAutoBed(t, func(t *testing.T, b *autoBed) {
		book := &tagBook{}
		b.cleaner.LookUpTagsBy(book.look)
		test(t, b, book)
	})
}

func (b *autoBed) checkTags() {
	b.t.Helper()
	if err := b.cleaner.CheckTags(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

// ofTag plants a stale instance that was deployed from shop at a tag.
func (b *autoBed) ofTag(name, tag string) store.Instance {
	b.t.Helper()
	inst, _ := b.plant(name, 30, nil)
	b.alter(inst.ID, func(i *store.Instance) { i.ImageTag = tag })
	return inst
}

func TestATagThatIsGone(t *testing.T) {
	inTagBed(t, func(t *testing.T, b *autoBed, book *tagBook) {
		inst, same, other := b.ofTag("one", "1.0"), b.ofTag("two", "1.0"), b.ofTag("other", "2.0")
		book.say("shop:1.0", fmt.Errorf("404: %w", ErrTagGone))
		b.checkTags()
		if book.calls() != 2 {
			t.Errorf("asked %v", book.asked)
		}
		for _, i := range []store.Instance{inst, same} {
			v := b.get(i.ID)
			if p := v.Protection(b.now()); p.Kind != store.ProtectionTagGone || !v.WarnedAt.IsZero() {
				t.Errorf("%s: %+v, warned at %s", v.Name, p, v.WarnedAt)
			}
			b.wantEvent("instance.tag_gone", i.ID, 1)
		}
		if e := b.events("instance.tag_gone", inst.ID)[0]; e.Severity != store.SeverityWarn || !strings.Contains(e.Message, "1.0") {
			t.Errorf("told so: %+v", e)
		}
		if v := b.get(other.ID); v.Protection(b.now()).Kind != store.ProtectionNone || v.TagCheckedAt.IsZero() {
			t.Errorf("the other one: %+v", v.Protection(b.now()))
		}
		if w := b.decision(inst).Why; w != "kept: its registry has the tag no more: removing it needs an explicit yes" {
			t.Error(w)
		}
		b.checkTags()
		if book.calls() != 2 {
			t.Errorf("asked again at once: %v", book.asked)
		}
		time.Sleep(25 * time.Hour)
		b.checkTags()
		if book.calls() != 4 {
			t.Errorf("asked after a day: %v", book.asked)
		}
		b.wantEvent("instance.tag_gone", inst.ID, 1)
		b.scan()
		b.wantEvent("instance.stale", inst.ID, 0) // it is kept, so nobody is warned of it

		book.say("shop:1.0", nil)
		time.Sleep(25 * time.Hour)
		b.checkTags()
		if v := b.get(inst.ID); !v.TagGoneSince.IsZero() {
			t.Errorf("it is back, and gone since %s", v.TagGoneSince)
		}
		b.wantEvent("instance.tag_back", inst.ID, 1)
		b.wantEvent("instance.tag_back", other.ID, 0)
		b.scan()
		b.wantEvent("instance.stale", inst.ID, 1)

		book.say("shop:1.0", ErrTagGone) // a tag that comes and goes is news once an episode
		time.Sleep(25 * time.Hour)
		b.checkTags()
		b.wantEvent("instance.tag_gone", inst.ID, 1)
		if b.get(inst.ID).TagGoneSince.IsZero() {
			t.Error("gone again, and not noted")
		}
	})
}

// Could not ask is not gone, and does not end what is known either.
func TestATagThatCannotBeAskedFor(t *testing.T) {
	inTagBed(t, func(t *testing.T, b *autoBed, book *tagBook) {
		there, gone := b.ofTag("there", "1.0"), b.ofTag("gone", "2.0")
		book.say("shop:2.0", ErrTagGone)
		b.checkTags()
		time.Sleep(25 * time.Hour)
		book.say("shop:1.0", errNoAnswer)
		book.say("shop:2.0", errNoAnswer)
		b.checkTags()
		if v := b.get(there.ID); !v.TagGoneSince.IsZero() {
			t.Error("could not ask, and gone")
		}
		if v := b.get(gone.ID); v.TagGoneSince.IsZero() {
			t.Error("could not ask, and no longer gone")
		}
		b.wantEvent("instance.tag_gone", there.ID, 0)
		b.wantEvent("instance.tag_back", gone.ID, 0)
	})
}

// Those that could not be asked for stand behind the others, and a registry that fails is left alone for the rest of a run.
func TestTagsThatFailStandBehindTheOthers(t *testing.T) {
	inTagBed(t, func(t *testing.T, b *autoBed, book *tagBook) {
		for n := range 8 {
			b.ofTag(fmt.Sprintf("web-%d", n), fmt.Sprintf("%d.0", n))
			book.say(fmt.Sprintf("shop:%d.0", n), errNoAnswer)
		}
		b.checkTags()
		if n := book.calls(); n < tagPatience || n > tagPatience+tagAtOnce-1 {
			t.Errorf("a registry that fails was asked %d times", n)
		}
		if book.most > tagAtOnce {
			t.Errorf("%d at once", book.most)
		}
		book.say("shop:7.0", nil)
		b.checkTags()
		b.checkTags()
		if b.get(b.named("web-7").ID).TagCheckedAt.IsZero() {
			t.Errorf("the one that answers was not reached: %v", book.asked)
		}
	})
}

func (b *autoBed) named(name string) store.InstanceView {
	b.t.Helper()
	views, err := b.db.InstancesOfHost(b.t.Context(), b.host.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, v := range views {
		if v.Name == name {
			return v
		}
	}
	b.t.Fatalf("there is no %s", name)
	return store.InstanceView{}
}

func TestTagChecksAreBounded(t *testing.T) {
	inTagBed(t, func(t *testing.T, b *autoBed, book *tagBook) {
		for n := range tagMost + 10 {
			inst := b.row(fmt.Sprintf("web-%d", n))
			inst.ImageTag = fmt.Sprintf("%d.0", n)
			b.keep(&inst, b.now().Add(-30*24*time.Hour))
		}
		b.checkTags()
		if book.calls() != tagMost || book.most > tagAtOnce {
			t.Errorf("%d lookups, %d at once", book.calls(), book.most)
		}
		b.checkTags()
		if book.calls() != tagMost+10 {
			t.Errorf("%d lookups after two runs", book.calls())
		}
	})
}

// A registry that hangs holds nobody up for long: neither the check nor a plan.
func TestARegistryThatHangs(t *testing.T) {
	inTagBed(t, func(t *testing.T, b *autoBed, book *tagBook) {
		for n := range 20 {
			b.ofTag(fmt.Sprintf("web-%d", n), fmt.Sprintf("%d.0", n))
		}
		book.hangs = true
		begin := time.Now()
		plan := b.planAll()
		if took := time.Since(begin); took > planTagsTime+time.Second {
			t.Errorf("the plan took %s", took)
		}
		if len(plan.Items) != 20 {
			t.Fatalf("%d items", len(plan.Items))
		}
		for _, i := range plan.Items {
			if i.Protection.Kind != store.ProtectionNone || !strings.Contains(strings.Join(i.Details.Warnings, "; "), "could not be asked") {
				t.Errorf("%s: %+v, %v", i.Name, i.Protection, i.Details.Warnings)
			}
		}
		begin = time.Now()
		b.checkTags()
		if took := time.Since(begin); took > 2*tagTimeout {
			t.Errorf("the check took %s", took)
		}
	})
}

// A plan looks for tags itself: what is gone is kept, unless somebody says yes to that.
func TestAPlanLooksForTags(t *testing.T) {
	inTagBed(t, func(t *testing.T, b *autoBed, book *tagBook) {
		gone, there := b.ofTag("gone", "1.0"), b.ofTag("there", "2.0")
		book.say("shop:1.0", ErrTagGone)
		plan := b.planAll()
		item := itemOfInstance(plan, gone.ID)
		if plan.TagGoneYes || item.Protection.Kind != store.ProtectionTagGone || !strings.Contains(fmt.Sprint(item.Details.Warnings), "has the tag 1.0 no more") {
			t.Errorf("planned: %+v", item)
		}
		done := b.apply(plan)
		b.want(done, there, store.ResultRemoved)
		b.want(done, gone, store.ResultKept)
		if book.calls() != 2 {
			t.Errorf("asked %v", book.asked)
		}

		if again := b.planAll(); len(again.Items) != 0 {
			t.Errorf("a plan of all that is not kept: %+v", again.Items)
		}
		single, err := b.cleaner.Plan(t.Context(), Selection{InstanceID: gone.ID}, "user:anna")
		if err != nil || single.Items[0].Protection.Kind != store.ProtectionTagGone {
			t.Errorf("a plan of one: %+v, %v", single.Items, err)
		}
		if book.calls() != 2 {
			t.Errorf("asked again within minutes: %v", book.asked)
		}
		yes := b.plan(Selection{TagGone: true})
		if !yes.TagGoneYes || len(yes.Items) != 1 || yes.Items[0].Protection.Kind != store.ProtectionNone {
			t.Fatalf("with a yes: %+v", yes)
		}
		b.apply(yes)
		b.wantGone(gone)
	})
}

// A yes to tags that are gone is a yes to nothing else.
func TestAYesToGoneTagsIsNoYesToAPin(t *testing.T) {
	inTagBed(t, func(t *testing.T, b *autoBed, book *tagBook) {
		pinned, later, kept := b.ofTag("pinned", "1.0"), b.ofTag("later", "1.0"), b.ofTag("kept", "1.0")
		book.say("shop:1.0", ErrTagGone)
		b.checkTags()
		b.protect(pinned.ID, func(i *store.Instance) { i.PinnedAt, i.PinnedBy = b.now(), "user:bert" })
		yes := b.plan(Selection{TagGone: true})
		if item := itemOfInstance(yes, pinned.ID); item.InstanceID != "" {
			t.Errorf("a pinned one is planned: %+v", item)
		}
		b.protect(later.ID, func(i *store.Instance) { i.PinnedAt, i.PinnedBy = b.now(), "user:bert" })
		done := b.apply(yes)
		b.want(done, later, store.ResultKept)
		b.wantThere(pinned)
		b.wantGone(kept)
	})
}

// A tag that goes between plan and apply is heeded: nobody has said yes to that.
func TestATagThatGoesBetweenPlanAndApply(t *testing.T) {
	inTagBed(t, func(t *testing.T, b *autoBed, book *tagBook) {
		inst := b.ofTag("web", "1.0")
		plan := b.planAll()
		book.say("shop:1.0", ErrTagGone)
		time.Sleep(5 * time.Minute)
		if err := b.cleaner.settleTag(t.Context(), tagged{"shop", "1.0"}, true); err != nil {
			t.Fatal(err)
		}
		b.want(b.apply(plan), inst, store.ResultKept)
	})
}

// Automatic cleanup never takes what could not be pulled again.
func TestAutomaticCleanupKeepsWhatHasNoTag(t *testing.T) {
	inTagBed(t, func(t *testing.T, b *autoBed, book *tagBook) {
		inst, _ := b.ripe("web", nil)
		book.say("shop:1.0", ErrTagGone)
		b.live(3 * time.Hour)
		b.wantThere(inst)
		b.wantEvent("cleanup.planned", "", 0)
		b.wantEvent("instance.tag_gone", inst.ID, 1)
		book.say("shop:1.0", nil)
		time.Sleep(25 * time.Hour)
		b.checkTags()
		b.step = 30 * time.Minute
		b.live(23 * time.Hour) // the grace begins anew
		b.wantThere(inst)
		b.step = time.Minute
		b.live(3 * time.Hour)
		b.wantGone(inst)
	})
}

// Nobody is asked where nobody was set to be asked.
func TestTagsWithoutARegistry(t *testing.T) {
	inAutoBed(t, func(t *testing.T, b *autoBed) {
		inst := b.ofTag("web", "1.0")
		b.checkTags()
		plan := b.planAll()
		if len(plan.Items) != 1 || strings.Contains(fmt.Sprint(plan.Items[0].Details.Warnings), "tag") {
			t.Errorf("planned: %+v", plan.Items)
		}
		b.want(b.apply(plan), inst, store.ResultRemoved)
	})
}

// When protection ends the warning is given then, and the grace counts from it, whatever protected it.
func TestGraceCountsFromTheEndOfProtection(t *testing.T) {
	snooze := func(b *autoBed, id string) {
		if err := b.cleaner.Snooze(b.t.Context(), id, b.now().Add(26*time.Hour), "until the demo", "user:anna"); err != nil {
			b.t.Fatal(err)
		}
	}
	pin := func(b *autoBed, id string) {
		b.protect(id, func(i *store.Instance) { i.PinnedAt, i.PinnedBy = b.now(), "user:anna" })
	}
	for name, c := range map[string]struct {
		begin, end func(b *autoBed, id string)
		lasts      time.Duration
	}{
		"a snooze that runs out": {snooze, func(*autoBed, string) {}, 26 * time.Hour},
		"a snooze that somebody ends": {snooze, func(b *autoBed, id string) {
			if err := b.cleaner.Unsnooze(b.t.Context(), id, "user:bert"); err != nil {
				b.t.Fatal(err)
			}
		}, 25 * time.Hour},
		"a pin": {pin, func(b *autoBed, id string) {
			b.protect(id, func(i *store.Instance) { i.PinnedAt = time.Time{} })
		}, 25 * time.Hour},
		"a pin between two scans": {pin, func(b *autoBed, id string) {
			b.protect(id, func(i *store.Instance) { i.PinnedAt = time.Time{} })
		}, time.Second},
		"a tag that was gone": {
			func(b *autoBed, _ string) {
				if err := b.cleaner.settleTag(b.t.Context(), tagged{"shop", "1.0"}, true); err != nil {
					b.t.Fatal(err)
				}
			}, func(b *autoBed, _ string) {
				if err := b.cleaner.settleTag(b.t.Context(), tagged{"shop", "1.0"}, false); err != nil {
					b.t.Fatal(err)
				}
			}, 25 * time.Hour,
		},
		"kept for rollback": {
			func(b *autoBed, id string) {
				b.update(func(tx *store.Tx) error { return tx.SetRollbackKept(b.t.Context(), b.stage.ID, []string{id}) })
			}, func(b *autoBed, _ string) {
				b.update(func(tx *store.Tx) error { return tx.SetRollbackKept(b.t.Context(), b.stage.ID, nil) })
			}, 25 * time.Hour,
		},
	} {
		t.Run(name, func(t *testing.T) {
			inAutoBed(t, func(t *testing.T, b *autoBed) {
				inst, _ := b.ripe("web", nil) // it would go at once
				c.begin(b, inst.ID)
				b.step = 30 * time.Minute
				if c.lasts > time.Hour {
					b.live(c.lasts)
				}
				b.wantThere(inst)
				b.wantEvent("instance.stale", inst.ID, 0)
				c.end(b, inst.ID)
				ended := b.now()
				b.liveUntil(time.Now().Add(23*time.Hour), func() bool { return !b.there(inst) })
				b.wantThere(inst)
				b.wantEvent("instance.stale", inst.ID, 1)
				if v := b.get(inst.ID); v.WarnedAt.Before(ended.Add(-time.Second)) {
					t.Errorf("warned at %s, its protection ended at %s", v.WarnedAt, ended)
				}
				b.step = time.Minute
				b.live(3 * time.Hour)
				b.wantGone(inst)
			})
		})
	}
}

func TestSnooze(t *testing.T) {
	inAutoBed(t, func(t *testing.T, b *autoBed) {
		inst, _ := b.ripe("web", nil)
		now := b.now()
		for name, c := range map[string]struct {
			until  time.Time
			reason string
			field  string
		}{
			"now":              {now, "demo", "until"},
			"yesterday":        {now.Add(-24 * time.Hour), "demo", "until"},
			"no moment":        {time.Time{}, "demo", "until"},
			"more than a year": {now.Add(366 * 24 * time.Hour), "demo", "until"},
			"no reason":        {now.Add(time.Hour), " ", "reason"},
			"a novel":          {now.Add(time.Hour), strings.Repeat("ä", 201), "reason"},
		} {
			var wrong store.FieldError
			if err := b.cleaner.Snooze(t.Context(), inst.ID, c.until, c.reason, "user:anna"); !errors.As(err, &wrong) || wrong.Field != c.field {
				t.Errorf("%s: %v", name, err)
			}
		}
		b.wantEvent("instance.snoozed", inst.ID, 0)
		if err := b.cleaner.Snooze(t.Context(), store.NewID(), now.Add(time.Hour), "demo", "user:anna"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("nobody: %v", err)
		}
		if err := b.cleaner.Unsnooze(t.Context(), inst.ID, "user:anna"); err != nil {
			t.Error(err)
		}
		b.wantEvent("instance.unsnoozed", inst.ID, 0) // it was not

		until := now.Add(3625 * time.Hour)
		if err := b.cleaner.Snooze(t.Context(), inst.ID, until, strings.Repeat("ä", 200), "user:anna"); err != nil {
			t.Fatal(err)
		}
		if v := b.get(inst.ID); !v.SnoozedUntil.Equal(until) || v.SnoozedBy != "user:anna" || v.StaleSince.IsZero() {
			t.Errorf("snoozed: %+v", v.Instance)
		}
		e := b.events("instance.snoozed", inst.ID)
		if len(e) != 1 || e[0].Actor != "user:anna" || e[0].Data["until"] == "" {
			t.Errorf("told: %+v", e)
		}
		if plan := b.planAll(); len(plan.Items) != 0 {
			t.Errorf("planned: %+v", plan.Items)
		}
		if err := b.cleaner.Unsnooze(t.Context(), inst.ID, "user:bert"); err != nil {
			t.Fatal(err)
		}
		b.wantEvent("instance.unsnoozed", inst.ID, 1)
		if v := b.get(inst.ID); !v.SnoozedUntil.IsZero() || v.SnoozedBy != "" || v.SnoozeReason != "" {
			t.Errorf("still snoozed: %+v", v.Instance)
		}
	})
}

// A snooze beside a scan that writes the row loses neither.
func TestSnoozeBesideAScan(t *testing.T) {
	inAutoBed(t, func(t *testing.T, b *autoBed) {
		inst, ct := b.ripe("web", nil)
		b.scan()
		ct.Start()
		var g sync.WaitGroup
		g.Go(func() {
			if _, err := b.scanner.Scan(context.WithoutCancel(t.Context()), b.host.ID, "manual"); err != nil {
				t.Error(err)
			}
		})
		g.Go(func() {
			if err := b.cleaner.Snooze(context.WithoutCancel(t.Context()), inst.ID, b.now().Add(time.Hour), "demo", "user:anna"); err != nil {
				t.Error(err)
			}
		})
		g.Wait()
		b.scan()
		if v := b.get(inst.ID); v.Status != store.StatusRunning || v.SnoozedUntil.IsZero() {
			t.Errorf("%s, snoozed until %s", v.Status, v.SnoozedUntil)
		}
	})
}
