package api

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tiny-forge/docker-watcher/internal/notify"
)

// collectOutbox tells of every channel, also at zero. Nobody is to be alarmed by what waits for one that is off.
func (f *figures) collectOutbox(ctx context.Context, ch chan<- prometheus.Metric) {
	channels, err := f.d.DB.Channels(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(f.more.outboxWaiting, err)
		return
	}
	oldest, err := f.d.DB.OldestDue(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(f.more.outboxLate, err)
		return
	}
	now := time.Now()
	for _, c := range channels {
		late := time.Duration(0)
		if due, waits := oldest[c.ID]; waits && c.Enabled {
			late = max(0, now.Sub(due))
		}
		gauge(ch, f.more.outboxWaiting, float64(c.Waiting), c.Name)
		gauge(ch, f.more.outboxLate, late.Seconds(), c.Name)
		gauge(ch, f.more.outboxDead, float64(c.Dead), c.Name)
		gauge(ch, f.more.channelFailing, oneIf(!c.Failing.IsZero()), c.Name)
		tries := f.d.Notifier.Tries(c.ID)
		for _, r := range notify.Results() {
			counter(ch, f.more.outboxTries, float64(tries[r]), c.Name, string(r))
		}
	}
}
