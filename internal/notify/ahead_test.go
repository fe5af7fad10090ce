package notify

import (
	"net/http"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// TestAClockThatRanAhead: neither an attempt that failed while it did, nor what was gathered then, silences a channel once the clock is right.
func TestAClockThatRanAhead(t *testing.T) {
	b, at := newBed(t), newTarget(t)
	b.rule("all", []store.Channel{b.channel("ops", at.URL)}, func(r *store.NotifyRule) { r.Gather = 10 * time.Minute })
	at.does(refuses(http.StatusServiceUnavailable))
	ahead := dawn.AddDate(5, 0, 0)
	b.happens(failed())
	b.pass(ahead)
	b.happens(stale(1)...)
	b.pass(ahead.Add(time.Second))
	at.does(nil)

	b.happens(stale(1)...)
	b.pass(dawn)
	if got := at.told(); len(got) != 0 {
		t.Fatalf("told at once: %v", got)
	}
	b.pass(dawn.Add(9 * time.Minute))
	b.pass(dawn.Add(time.Hour))
	if got := at.got(); len(got) != 2 || got[1].payload.Count != 2 {
		t.Errorf("%d messages after an hour: %+v", len(got), got)
	}
	if left := b.outbox(store.MessagePending); len(left) != 0 {
		t.Errorf("there wait %+v", left)
	}
}

// TestAClockThatRanAheadAndATargetThatIsDown: it is given up in its time.
func TestAClockThatRanAheadAndATargetThatIsDown(t *testing.T) {
	b, at := newBed(t), newTarget(t)
	b.rule("all", []store.Channel{b.channel("ops", at.URL)})
	at.does(refuses(http.StatusServiceUnavailable))
	b.happens(failed())
	b.pass(dawn.AddDate(5, 0, 0))
	for hour := range 80 {
		b.pass(dawn.Add(time.Duration(hour) * time.Hour))
		if dead := len(b.outbox(store.MessageDead)); hour < 72 && dead != 0 {
			t.Fatalf("given up after %d hours", hour)
		}
	}
	if dead := len(b.outbox(store.MessageDead)); dead != 1 || b.kinds("message.dead") != 1 {
		t.Errorf("%d given up", dead)
	}
}

func TestBroughtNear(t *testing.T) {
	now := dawn
	night := store.QuietHours{From: "22:00", To: "06:00", Zone: "UTC"}
	rule := func(gather time.Duration, quiet store.QuietHours) *store.NotifyRule {
		return &store.NotifyRule{NotifyTiming: store.NotifyTiming{Gather: gather, Quiet: quiet}}
	}
	far := now.AddDate(1, 0, 0)
	evening := time.Date(2026, 11, 30, 23, 0, 0, 0, time.UTC)
	morning := time.Date(2026, 12, 1, 6, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		m    store.Message
		rule *store.NotifyRule
		now  time.Time
		want store.Message
	}{
		"due ahead":               {store.Message{DueAt: far}, rule(time.Hour, store.QuietHours{}), now, store.Message{DueAt: now.Add(time.Hour)}},
		"gathered as it should":   {store.Message{DueAt: now.Add(time.Hour)}, rule(time.Hour, store.QuietHours{}), now, store.Message{DueAt: now.Add(time.Hour)}},
		"due before":              {store.Message{DueAt: now.Add(-time.Hour)}, rule(time.Hour, store.QuietHours{}), now, store.Message{DueAt: now.Add(-time.Hour)}},
		"urgent":                  {store.Message{DueAt: far, Urgent: true}, rule(time.Hour, store.QuietHours{}), now, store.Message{DueAt: now, Urgent: true}},
		"held until the morning":  {store.Message{DueAt: morning}, rule(0, night), evening, store.Message{DueAt: morning}},
		"ahead, and in the night": {store.Message{DueAt: far}, rule(time.Minute, night), evening, store.Message{DueAt: morning}},
		"its rule is gone":        {store.Message{DueAt: far}, nil, now, store.Message{DueAt: now}},
		"in hand for years":       {store.Message{State: store.MessageSending, LeaseUntil: far}, nil, now, store.Message{State: store.MessageSending, LeaseUntil: now.Add(lease)}},
		"in hand":                 {store.Message{State: store.MessageSending, LeaseUntil: now.Add(time.Second)}, nil, now, store.Message{State: store.MessageSending, LeaseUntil: now.Add(time.Second)}},
		"tried in times to come":  {store.Message{TriedAt: far}, nil, now, store.Message{TriedAt: now}},
	} {
		if got := broughtNear(tt.m, tt.rule, tt.now); got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}
