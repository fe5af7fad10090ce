package poll

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// inTime runs a test at a time that passes as it wants. The store is opened outside: its parts live longer.
func inTime(t *testing.T, test func(t *testing.T, b *bed)) {
	t.Helper()
	db := storetest.SQLite(t)
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)))
		b := &bed{t: t, db: db, registry: newPretended()}
		b.host = storetest.Host(t, db)
		b.project = storetest.Project(t, db, func(p *store.Project) { p.Name, p.Image = "shop", image })
		b.poller = New(db, NewLooker(b.registry), b.deploy, slog.New(slog.DiscardHandler))
		test(t, b)
	})
}

// live has the job come round for a while, so often.
func (b *bed) live(d, every time.Duration) {
	b.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(every) {
		b.poll()
	}
}

// Each stage has its own interval, and those of one repository come to be polled together.
func TestHowOftenIsAsked(t *testing.T) {
	inTime(t, func(t *testing.T, b *bed) {
		for _, name := range []string{"a", "b", "c"} {
			b.stage(name, store.ModeManual, versions)
			b.live(100*time.Second, 50*time.Second) // they begin at different times
		}
		b.pushed("1.0.0")
		b.live(2*time.Hour, time.Minute)
		if n := b.registry.count("tags"); n < 20 || n > 32 { // 24 and the spread of a tenth, where each for itself were 72
			t.Errorf("asked %d times in two hours by three stages polled every 5 minutes", n)
		}
		b.stage("fast", store.ModeManual, versions, func(s *store.Stage) { s.PollInterval = time.Minute })
		b.pushed("1.0.0")
		b.live(time.Hour, 15*time.Second)
		if n := b.registry.count("tags"); n < 45 || n > 75 {
			t.Errorf("asked %d times in an hour with one stage polled every minute", n)
		}
	})
}

// What fails is asked more and more seldom, up to once an hour, and at once often again when it answers.
func TestBackOff(t *testing.T) {
	inTime(t, func(t *testing.T, b *bed) {
		st := b.stage("dev", store.ModeManual, versions, func(s *store.Stage) { s.PollInterval = time.Minute })
		b.registry.set(func(p *pretended) { p.fails[image] = errNoAnswer })
		b.live(time.Hour, time.Minute)
		if n := b.registry.count("tags"); n < 5 || n > 12 {
			t.Errorf("asked %d times in the first hour", n)
		}
		b.registry.set(func(*pretended) {})
		b.live(12*time.Hour, 5*time.Minute)
		if n := b.registry.count("tags"); n < 10 || n > 13 {
			t.Errorf("asked %d times in the next twelve", n)
		}
		b.registry.set(func(p *pretended) { clear(p.fails) })
		b.live(62*time.Minute, 5*time.Minute)
		b.registry.set(func(*pretended) {})
		b.live(10*time.Minute, 20*time.Second)
		if n := b.registry.count("tags"); n < 8 || b.row(st).Error != "" {
			t.Errorf("asked %d times in ten minutes after it answers again: %+v", n, b.row(st))
		}
	})
}
