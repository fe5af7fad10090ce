package notify

import (
	"slices"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// put is what is to come into the outbox: events for one message.
type put struct {
	channel, rule string
	urgent        bool
	due           time.Time
	severity      store.Severity
	events        []int64
}

// active reports whether a rule has anything told.
func active(r store.NotifyRule) bool { return r.Enabled && len(r.Channels) > 0 }

// plan says what becomes of events that come now, by rules that have each seen the log up to AfterID. Where several rules lead an
// event to one channel, the soonest does.
func plan(rules []store.NotifyRule, events []store.Event, now time.Time) (puts []put) {
	for _, e := range events {
		for channel, p := range routed(rules, e, now) {
			if p.channel = channel; !aboutItself(channel, e) {
				puts = join(puts, p, e)
			}
		}
	}
	slices.SortStableFunc(puts, func(a, b put) int { return int(a.events[0] - b.events[0]) })
	return puts
}

// routed is how an event goes to each channel that it goes to.
func routed(rules []store.NotifyRule, e store.Event, now time.Time) map[string]put {
	to := map[string]put{}
	for _, r := range rules {
		if !active(r) || e.ID <= r.AfterID || !Concerns(r.NotifyWants, e) {
			continue
		}
		due, urgent := When(r.NotifyTiming, e.Severity, now)
		for _, channel := range r.Channels {
			if known, is := to[channel]; !is || due.Before(known.due) || due.Equal(known.due) && urgent && !known.urgent {
				to[channel] = put{rule: r.ID, urgent: urgent, due: due}
			}
		}
	}
	return to
}

func join(puts []put, p put, e store.Event) []put {
	i := slices.IndexFunc(puts, func(o put) bool { return o.channel == p.channel && o.rule == p.rule && o.urgent == p.urgent })
	if i < 0 {
		p.severity, p.events = e.Severity, []int64{e.ID}
		return append(puts, p)
	}
	puts[i].severity, puts[i].events = worse(puts[i].severity, e.Severity), append(puts[i].events, e.ID)
	return puts
}
