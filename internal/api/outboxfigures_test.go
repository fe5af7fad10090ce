package api

import (
	"net/http"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/notify"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// notify has an event told to channels of which one takes it, one is down, one refuses it for good and one is off.
func (f *frontBed) notify() {
	f.t.Helper()
	ctx := f.t.Context()
	answers := map[string]int{"ops": http.StatusOK, "down": http.StatusServiceUnavailable, "wrong": http.StatusBadRequest, "off": http.StatusOK}
	names, ids := []string{}, map[string]string{}
	for name, status := range answers {
		in := newInbox(f.t)
		in.status = status
		made, err := f.admin.CreateChannel(ctx, client.NewChannel{Name: name, URL: in.URL + "/" + tokenInURL})
		f.must(err)
		names, ids[name] = append(names, name), made.ID
	}
	_, err := f.admin.UpdateChannel(ctx, "off", client.ChannelChange{Enabled: new(false)})
	f.must(err)
	_, err = f.admin.CreateNotifyRule(ctx, client.NotifyRuleChange{Name: new("all"), Channels: &names, Kinds: &[]string{"instance.stale"}, GatherMinutes: new(0)})
	f.must(err)
	f.run("notifier", f.deps.Notifier.Run)
	f.update(func(tx *store.Tx) error { return tx.Emit(ctx, sampleEvent()) })
	eventually(f.t, "each channel was tried", func() bool {
		tries := f.deps.Notifier.Tries
		return tries(ids["ops"])[notify.Sent] == 1 && tries(ids["down"])[notify.Failed] == 1 && tries(ids["wrong"])[notify.Dead] == 1
	})
}

func (f *frontBed) wantOutbox(s scraped) {
	s.t.Helper()
	for name, want := range map[string]struct{ sent, failed, dead, waiting, failing float64 }{
		"ops": {sent: 1}, "down": {failed: 1, waiting: 1, failing: 1}, "wrong": {dead: 1}, "off": {waiting: 1},
	} {
		channel := `{channel="` + name + `"}`
		for result, n := range map[string]float64{"sent": want.sent, "failed": want.failed, "dead": want.dead} {
			s.want(`outbox_tries_total{channel="`+name+`",result="`+result+`"}`, n)
		}
		s.want(`outbox_waiting`+channel, want.waiting)
		s.want(`outbox_dead`+channel, want.dead)
		s.want(`channel_failing`+channel, want.failing)
		if late := s.samples[`docker_watcher_outbox_late_seconds`+channel]; (late > 0) != (name == "down") {
			s.t.Errorf("what is for %s has been due for %v s", name, late)
		}
	}
	s.absent("", tokenInURL)
}
