package stale

import (
	"context"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// autoBed is a cleaner and a scanner of one process, with automatic cleanup switched on and the stage asking for it.
type autoBed struct {
	*cleanBed
	scanner *Scanner
	scans   int           // that the cleaner asked for
	step    time.Duration // between two runs
}

func inAutoBed(t *testing.T, test func(t *testing.T, b *autoBed)) {
	t.Helper()
	inBed(t, func(t *testing.T, bed *cleanBed) {
		b := &autoBed{cleanBed: bed, step: time.Minute}
		b.restart()
		b.settings(func(s *store.Settings) { s.AutoCleanup = true })
		b.policy(cleansUp(24*time.Hour, nil))
		test(t, b)
	})
}

// restart is a new process over the same store.
func (b *autoBed) restart() {
	b.scanner = NewScanner(b.db, b.fleet, b.log)
	b.cleaner = NewCleaner(b.db, b.fleet, b.log)
	b.cleaner.ScanBy(func(ctx context.Context, hostID string) error {
		b.scans++
		_, err := b.scanner.Scan(ctx, hostID, "automatic")
		return err
	})
}

func (b *autoBed) settings(edit func(*store.Settings)) {
	b.t.Helper()
	b.update(func(tx *store.Tx) error {
		s, err := tx.Settings(b.t.Context())
		if err != nil {
			return err
		}
		edit(&s)
		return tx.SaveSettings(b.t.Context(), s)
	})
}

// cleansUp is a policy that cleans up so long after the warning.
func cleansUp(after time.Duration, window *store.Window) store.Policy {
	action, many, all := store.ActionCleanup, 500, 100
	return store.Policy{Action: &action, CleanupAfter: &after, Window: window, MaxPerRun: &many, MaxSharePercent: &all}
}

// policy sets what the stage says.
func (b *autoBed) policy(p store.Policy) {
	b.t.Helper()
	b.update(func(tx *store.Tx) error {
		stage, err := tx.Stage(b.t.Context(), b.stage.ID)
		if err != nil {
			return err
		}
		return tx.SetStagePolicy(b.t.Context(), stage.ID, p, stage.Revision)
	})
}

func (b *autoBed) scan() {
	b.t.Helper()
	if _, err := b.scanner.Scan(b.t.Context(), b.host.ID, "manual"); err != nil {
		b.t.Fatal(err)
	}
}

func (b *autoBed) run() {
	b.t.Helper()
	if err := b.cleaner.RunAutomatic(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

// live lets time go by as the daemon does: a run every minute, a scan every hour.
func (b *autoBed) live(d time.Duration) {
	b.t.Helper()
	b.liveUntil(time.Now().Add(d), func() bool { return false })
}

// liveUntil ends early when something has come true, and reports whether it has.
func (b *autoBed) liveUntil(end time.Time, done func() bool) bool {
	b.t.Helper()
	var scanned time.Time
	for time.Now().Before(end) {
		if time.Since(scanned) >= time.Hour {
			b.scan()
			scanned = time.Now()
		}
		b.run()
		if done() {
			return true
		}
		time.Sleep(b.step)
	}
	return done()
}

// ripe plants what was warned of long enough ago to be due.
func (b *autoBed) ripe(name string, more func(*dockertest.Template)) (store.Instance, *dockertest.Container) {
	b.t.Helper()
	inst, ct := b.plant(name, 30, more)
	b.warnedAt(inst.ID, b.now().Add(-25*time.Hour))
	return inst, ct
}

func (b *autoBed) warnedAt(id string, at time.Time) {
	b.t.Helper()
	b.alter(id, func(i *store.Instance) { i.WarnedAt, i.StaleSince = at, at })
}

func (b *autoBed) plans() []store.Plan {
	b.t.Helper()
	plans, err := b.db.AutomaticPlans(b.t.Context(), time.Now())
	if err != nil {
		b.t.Fatal(err)
	}
	return plans
}

// planned lets time go by until an automatic plan waits, and returns it.
func (b *autoBed) planned() store.Plan {
	b.t.Helper()
	if !b.liveUntil(time.Now().Add(3*time.Hour), func() bool { return len(b.plans()) > 0 }) {
		b.t.Fatalf("no automatic plan was made; why: %s", b.why())
	}
	return b.plans()[0]
}

// why is what is decided of everything that is stale.
func (b *autoBed) why() (words []string) {
	b.t.Helper()
	views, _, _, err := b.db.StaleInstances(b.t.Context(), store.StaleFilter{}, store.Page{Limit: 1000})
	if err != nil {
		b.t.Fatal(err)
	}
	decisions, err := b.cleaner.Decisions(b.t.Context(), views)
	if err != nil {
		b.t.Fatal(err)
	}
	for i, d := range decisions {
		words = append(words, views[i].Name+": "+d.Why)
	}
	return words
}

func (b *autoBed) decision(inst store.Instance) Decision {
	b.t.Helper()
	decisions, err := b.cleaner.Decisions(b.t.Context(), []store.InstanceView{b.get(inst.ID)})
	if err != nil {
		b.t.Fatal(err)
	}
	return decisions[0]
}

func (b *autoBed) get(id string) store.InstanceView {
	b.t.Helper()
	v, err := b.db.Instance(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

func (b *autoBed) there(inst store.Instance) bool {
	b.t.Helper()
	_, err := b.db.Instance(b.t.Context(), inst.ID)
	row := err == nil
	if inst.ContainerID != "" && (b.engine.Container(inst.ContainerID) != nil) != row {
		b.t.Errorf("%s: row there: %v, its container is not so", inst.Name, row)
	}
	return row
}

func (b *autoBed) wantThere(inst store.Instance) {
	b.t.Helper()
	if !b.there(inst) {
		b.t.Errorf("%s was removed", inst.Name)
	}
}

func (b *autoBed) wantGone(inst store.Instance) {
	b.t.Helper()
	if b.there(inst) {
		b.t.Errorf("%s is still there: %v", inst.Name, b.why())
	}
}

func (b *autoBed) hostNow() store.Host {
	b.t.Helper()
	h, err := b.db.Host(b.t.Context(), b.host.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	return h
}
