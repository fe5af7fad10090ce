package notify

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// TestPeer16TargetThatIsDownForADayLosesNothingAndDoublesNothing: a target that is down for a day is told of everything once, in order, and of no more than it must read.
func TestPeer16TargetThatIsDownForADayLosesNothingAndDoublesNothing(t *testing.T) {
	b, at := newBed(t), newTarget(t)
	b.rule("all", []store.Channel{b.channel("ops", at.URL)})
	at.does(refuses(http.StatusServiceUnavailable))
	now := dawn
	for hour := range 24 {
		evs := stale(3)
		if hour%5 == 0 {
			evs = append(evs, failed())
		}
		b.happens(evs...)
		for range 4 {
			b.pass(now)
			now = now.Add(15 * time.Minute)
		}
	}
	if len(at.told()) != 0 {
		t.Fatalf("it took %v", at.told())
	}
	if tries := len(at.all); tries < 24 || tries > 60 {
		t.Errorf("%d attempts in a day", tries)
	}
	at.does(nil)
	b.pass(now.Add(time.Hour))
	b.pass(now.Add(2 * time.Hour))

	var want []string
	evs, err := b.db.EventsAfter(t.Context(), 0, 1000)
	b.must(err)
	for _, e := range evs {
		if e.Source != store.SourceNotifier { // a channel is not told of itself
			want = append(want, strconv.FormatInt(e.ID, 10))
		}
	}
	told := at.told()
	count := 0
	for _, h := range at.got() {
		count += h.payload.Count
	}
	slices.SortFunc(told, func(a, b string) int { return len(a)*1000 - len(b)*1000 + cmpText(a, b) })
	// Of more than 50 a message shows 50 and counts them all.
	if count != len(want) || len(slices.Compact(slices.Clone(told))) != len(told) {
		t.Errorf("told of %d, %d of them shown: %v; happened: %d", count, len(told), told, len(want))
	}
	if n := len(at.got()); n > 4 {
		t.Errorf("%d messages after a day", n)
	}
	firsts := []int64{}
	for _, h := range at.got() {
		id, _ := strconv.ParseInt(h.payload.Events[0].ID, 10, 64)
		firsts = append(firsts, id)
	}
	if !slices.IsSorted(firsts) {
		t.Errorf("out of order: %v", firsts)
	}
	if b.kinds("channel.failing") != 1 || b.kinds("channel.recovered") != 1 || b.kinds("message.dead") != 0 {
		t.Errorf("failing %d, recovered %d, dead %d", b.kinds("channel.failing"), b.kinds("channel.recovered"), b.kinds("message.dead"))
	}
	if left := len(b.outbox(store.MessagePending)); left != 0 {
		t.Errorf("%d wait", left)
	}
}

func cmpText(a, b string) int {
	if a < b {
		return -1
	}
	if a > b {
		return 1
	}
	return 0
}

// TestPeer17ManyStaleAtOnceAreOneMessage, as after the first scan: many that become stale at once are one message, whatever the rule gathers.
func TestPeer17ManyStaleAtOnceAreOneMessage(t *testing.T) {
	for _, gather := range []time.Duration{0, 5 * time.Minute} {
		b, at := newBed(t), newTarget(t)
		b.rule("all", []store.Channel{b.channel("ops", at.URL)}, func(r *store.NotifyRule) { r.Gather = gather })
		b.happens(stale(700)...) // more than are read at once
		b.pass(dawn)
		if gather > 0 && len(at.got()) != 0 {
			t.Error("it was not gathered")
		}
		b.pass(dawn.Add(gather))
		b.pass(dawn.Add(time.Hour))
		if got := at.got(); len(got) != 1 || got[0].payload.Count != 700 || len(got[0].payload.Events) != mostShown {
			t.Errorf("gathering for %s: %d messages", gather, len(got))
		}
	}
}

func TestErrorsDoNotWaitForWhatIsGathered(t *testing.T) {
	b, at := newBed(t), newTarget(t)
	b.rule("all", []store.Channel{b.channel("ops", at.URL)}, func(r *store.NotifyRule) { r.Gather = 10 * time.Minute })
	b.happens(stale(2)...)
	b.pass(dawn)
	b.happens(failed())
	b.pass(dawn.Add(time.Minute))
	if got := at.got(); len(got) != 1 || got[0].payload.Severity != "error" || got[0].payload.Count != 1 {
		t.Fatalf("%+v", got)
	}
	b.happens(stale(1)...)
	b.pass(dawn.Add(9 * time.Minute))
	b.pass(dawn.Add(10 * time.Minute))
	if got := at.got(); len(got) != 2 || got[1].payload.Severity != "warn" || got[1].payload.Count != 3 {
		t.Errorf("%d messages", len(got))
	}
}

func TestNothingIsMadeWithoutARuleThatWantsIt(t *testing.T) {
	b, at := newBed(t), newTarget(t)
	b.happens(stale(3)...)
	b.pass(dawn)
	ops := b.channel("ops", at.URL)
	b.rule("off", []store.Channel{ops}, func(r *store.NotifyRule) { r.Enabled = false })
	b.rule("other", []store.Channel{ops}, func(r *store.NotifyRule) { r.Kinds = []string{"deploy.*"} })
	b.rule("shop", []store.Channel{ops}, func(r *store.NotifyRule) { r.Projects = []string{"p"} })
	b.pass(dawn)
	b.happens(stale(3)...)
	b.pass(dawn.Add(time.Hour))
	if got := at.got(); len(got) != 0 {
		t.Errorf("told of %+v", got)
	}
	if all := b.outbox(""); len(all) != 0 {
		t.Errorf("in the outbox: %+v", all)
	}
	if rules, _ := b.db.NotifyRules(t.Context()); b.n.seen[rules[1].ID] == 0 {
		t.Error("what was seen in vain is seen again each time")
	}
}

func TestTwoRulesTellAChannelOnceAndTheSooner(t *testing.T) {
	b, at := newBed(t), newTarget(t)
	ops := []store.Channel{b.channel("ops", at.URL)}
	b.rule("slow", ops, func(r *store.NotifyRule) { r.Gather = time.Hour })
	b.rule("swift", ops, func(r *store.NotifyRule) { r.Kinds = []string{"instance.stale"} })
	b.happens(stale(1)...)
	b.pass(dawn)
	b.pass(dawn.Add(2 * time.Hour))
	if got := at.got(); len(got) != 1 || got[0].payload.Count != 1 {
		t.Errorf("%d messages", len(got))
	}
}

func TestWhatAChannelThatIsOffMissedComesAsOneMessage(t *testing.T) {
	b, at := newBed(t), newTarget(t)
	ops := b.channel("ops", at.URL, func(c *store.Channel) { c.Enabled = false })
	b.rule("all", []store.Channel{ops})
	for i := range 20 {
		b.happens(stale(2)...)
		b.pass(dawn.Add(time.Duration(i) * 12 * time.Hour)) // ten days: longer than anything is tried
	}
	if len(at.all) != 0 {
		t.Fatal("it was off")
	}
	ops.Enabled = true
	b.update(func(tx *store.Tx) error { return tx.UpdateChannel(t.Context(), ops, nil) })
	b.pass(dawn.AddDate(0, 0, 11))
	if got := at.got(); len(got) != 1 || got[0].payload.Count != 40 {
		t.Errorf("%d messages", len(got))
	}
}

func TestWhatARuleWithoutChannelsMissedComesWhenItHasOne(t *testing.T) {
	b, at := newBed(t), newTarget(t)
	r := b.rule("all", nil)
	b.happens(stale(3)...)
	b.pass(dawn)
	r.Channels = []string{b.channel("ops", at.URL).ID}
	b.update(func(tx *store.Tx) error { return tx.UpdateNotifyRule(t.Context(), r) })
	b.pass(dawn.Add(time.Hour))
	b.pass(dawn.Add(2 * time.Hour))
	if got := at.got(); len(got) != 1 || got[0].payload.Count != 3 {
		t.Errorf("%d messages", len(got))
	}
	r.Enabled, r.Revision = false, 2
	b.update(func(tx *store.Tx) error { return tx.UpdateNotifyRule(t.Context(), r) })
	b.happens(stale(1)...)
	r.Enabled, r.Revision = true, 3
	b.update(func(tx *store.Tx) error { return tx.UpdateNotifyRule(t.Context(), r) })
	b.pass(dawn.Add(3 * time.Hour))
	if got := at.got(); len(got) != 1 {
		t.Error("what happened while the rule was off was told")
	}
}

func TestQuietHoursHoldAllButErrorsAndThenOneDigest(t *testing.T) {
	b, at := newBed(t), newTarget(t)
	b.rule("all", []store.Channel{b.channel("ops", at.URL)}, func(r *store.NotifyRule) {
		r.Gather = 5 * time.Minute
		r.Quiet = store.QuietHours{From: "22:00", To: "07:00"}
	})
	night := time.Date(2026, 3, 2, 21, 58, 0, 0, time.UTC)
	for i := range 6 {
		b.happens(stale(1)...)
		b.pass(night.Add(time.Duration(i) * time.Hour))
	}
	b.happens(failed())
	b.pass(night.Add(6 * time.Hour))
	if got := at.got(); len(got) != 1 || got[0].payload.Severity != "error" {
		t.Fatalf("at night: %+v", got)
	}
	b.pass(time.Date(2026, 3, 3, 6, 59, 59, 0, time.UTC))
	if len(at.got()) != 1 {
		t.Fatal("too early")
	}
	b.pass(time.Date(2026, 3, 3, 7, 0, 0, 0, time.UTC))
	if got := at.got(); len(got) != 2 || got[1].payload.Count != 6 {
		t.Errorf("in the morning: %d messages", len(got))
	}
}

func TestWhatFailsIntoTheNightIsNotTriedThere(t *testing.T) {
	b, at := newBed(t), newTarget(t)
	b.rule("all", []store.Channel{b.channel("ops", at.URL)}, func(r *store.NotifyRule) { r.Quiet = store.QuietHours{From: "22:00", To: "07:00"} })
	at.does(refuses(http.StatusBadGateway))
	b.happens(stale(1)...)
	b.pass(time.Date(2026, 3, 2, 21, 59, 50, 0, time.UTC))
	tries := len(at.all)
	at.does(nil)
	for hour := range 8 {
		b.pass(time.Date(2026, 3, 2, 22+hour, 30, 0, 0, time.UTC))
	}
	if len(at.all) != tries {
		t.Error("it was tried in quiet hours")
	}
	b.pass(time.Date(2026, 3, 3, 7, 0, 0, 0, time.UTC))
	if len(at.got()) != 1 {
		t.Error("it was not sent afterwards")
	}
}

func TestAMessageIsGivenUpAndCanBeSentAgain(t *testing.T) {
	b, at := newBed(t), newTarget(t)
	b.rule("all", []store.Channel{b.channel("ops", at.URL)})
	at.does(refuses(http.StatusUnauthorized))
	b.happens(stale(1)...)
	now := dawn
	for ; now.Before(dawn.Add(GiveUpAfter)); now = now.Add(30 * time.Minute) {
		b.pass(now)
	}
	if len(b.outbox(store.MessageDead)) != 0 {
		t.Fatal("given up before its time")
	}
	b.pass(now.Add(time.Hour))
	dead := b.outbox(store.MessageDead)
	if len(dead) != 1 || dead[0].Error != "it answered 401 Unauthorized" || dead[0].EndedAt.IsZero() || b.kinds("message.dead") != 1 {
		t.Fatalf("%+v", dead)
	}
	b.must(prune(b, 0)) // whatever the retention: its events are still needed
	at.does(nil)
	b.update(func(tx *store.Tx) error { return tx.RetryMessage(t.Context(), dead[0].ID, now) })
	b.happens(stale(1)...)
	b.pass(now.Add(time.Hour))
	got := at.got()
	if len(got) != 2 || got[0].payload.ID != dead[0].ID || len(got[0].payload.Events) != 1 || got[1].payload.Count != 1 {
		t.Errorf("%d messages: %+v", len(got), got)
	}
	if err := b.db.Update(t.Context(), func(tx *store.Tx) error { return tx.RetryMessage(t.Context(), dead[0].ID, now) }); err == nil {
		t.Error("what was sent can be sent again")
	}
}

func prune(b *bed, keep time.Duration) error {
	return b.db.Update(b.t.Context(), func(tx *store.Tx) error {
		_, err := tx.PruneEvents(b.t.Context(), time.Now().Add(time.Hour-keep), 1000)
		return err
	})
}

func TestAMessageThatIsRefusedForWhatItIsHoldsUpNoOther(t *testing.T) {
	b, at := newBed(t), newTarget(t)
	b.rule("all", []store.Channel{b.channel("ops", at.URL)})
	at.does(func(w http.ResponseWriter, p Payload) {
		if p.Events[0].Kind == "instance.stale" {
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	b.happens(stale(1)...)
	b.pass(dawn)
	b.happens(failed())
	b.pass(dawn.Add(time.Second))
	if len(at.got()) != 1 || len(b.outbox(store.MessageDead)) != 1 || b.kinds("channel.failing") != 0 {
		t.Errorf("%d sent, dead %+v", len(at.got()), b.outbox(store.MessageDead))
	}
}

// What was in hand when the daemon was killed is sent again under the same key, and nothing comes into the outbox twice.
func TestAfterACrashTheSameKeyIsUsed(t *testing.T) {
	b, at := newBed(t), newTarget(t)
	b.rule("all", []store.Channel{b.channel("ops", at.URL)})
	b.happens(stale(2)...)
	_, err := b.n.spread(t.Context(), dawn)
	b.must(err)
	ops, err := b.db.ChannelByName(t.Context(), "ops")
	b.must(err)
	m, c, err := b.n.claim(t.Context(), ops.ID, dawn)
	b.must(err)
	_, failure, err := b.n.send(t.Context(), m, c)
	if err != nil || failure != nil {
		t.Fatal(err, failure)
	}
	// Here it is killed. Nobody else may have it in hand before its lease ends.
	b.pass(dawn.Add(time.Second))
	if len(at.got()) != 1 {
		t.Fatal("it was taken from whoever had it in hand")
	}
	again := New(b.db, b.n.bus, Options{Version: "test", Log: b.n.log})
	b.n = again
	b.must(again.release(t.Context()))
	b.pass(dawn.Add(2 * time.Second))
	got := at.got()
	if len(got) != 2 || got[0].header.Get("Idempotency-Key") != got[1].header.Get("Idempotency-Key") || got[0].payload.ID != got[1].payload.ID ||
		got[0].header.Get("Idempotency-Key") != m.ID || got[1].payload.Count != 2 {
		t.Errorf("%+v", got)
	}
	b.pass(dawn.Add(time.Hour))
	if len(at.got()) != 2 {
		t.Error("it is sent for ever")
	}

	// Whoever had it in hand is not heard of any more, and the daemon lives: the lease ends.
	b.happens(stale(1)...)
	_, err = b.n.spread(t.Context(), dawn)
	b.must(err)
	m, _, err = b.n.claim(t.Context(), ops.ID, dawn)
	b.must(err)
	b.pass(dawn.Add(lease - time.Second))
	if len(at.got()) != 2 {
		t.Error("it was taken from whoever had it in hand")
	}
	b.pass(dawn.Add(lease))
	if got := at.got(); len(got) != 3 || got[2].payload.ID != m.ID {
		t.Error("it stays in hand for ever")
	}
}

// The loops themselves, on the clock on the wall.
func TestRun(t *testing.T) {
	b, at := newBed(t), newTarget(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.n.Run(ctx) }()
	ops := b.channel("ops", at.URL)
	b.update(func(tx *store.Tx) error {
		r := store.NotifyRule{ID: store.NewID(), Name: "all", Enabled: true, Revision: 1, Channels: []string{ops.ID}}
		if err := tx.InsertNotifyRule(t.Context(), r); err != nil {
			return err
		}
		// All in one, so that it is one message, however late the first of it is looked at.
		return tx.Emit(t.Context(), append(stale(2), store.Event{Severity: store.SeverityInfo, Source: store.SourceAPI, Kind: "rule.created", Message: "made"})...)
	})
	select {
	case <-at.came:
	case <-time.After(time.Minute):
		t.Fatal("nothing came")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := at.got(); len(got) != 1 || got[0].payload.Count < 1 {
		t.Errorf("%+v", got)
	}
}
