package stale

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// TestPropertyPoliciesProtectionAndUndo lets a small fleet live through time, the engine's own events, scans, changes of
// policy, protection, automatic runs, cleanups and restores in any order, and holds what must always be so: nothing goes
// that was alive, protected or not in a plan that is being applied; automatic cleanup acts only where and when it may, and
// never stops a process; who was removed has exactly one archive, and comes back as it was, as a new episode.
func TestPropertyPoliciesProtectionAndUndo(t *testing.T) {
	var seen tally
	lives := 0
	rapid.Check(t, func(rt *rapid.T) {
		asleep := rapid.IntRange(0, 1<<members-1).Draw(rt, "asleep")
		fates := rapid.SliceOfN(rapid.Custom(drawFate), 10, 40).Draw(rt, "fates")
		if lives++; underRace && lives > livesUnderRace {
			return
		}
		why := ""
		inBed(t, func(_ *testing.T, b *cleanBed) { why = newColony(b, &seen, asleep).live(fates) })
		if why != "" {
			rt.Fatal(why)
		}
	})
	t.Logf("what happened: %v", seen.counts)
	if missing := seen.missing(); !underRace && !t.Failed() && missing != "" {
		t.Errorf("the histories proved nothing: %s never happened", missing)
	}
}

// livesUnderRace are enough to find races; that the histories prove something is held without the detector.
const livesUnderRace = 25

// tally counts what happened in all histories.
type tally struct{ counts map[string]int }

func (c *tally) note(what string) {
	if c.counts == nil {
		c.counts = map[string]int{}
	}
	c.counts[what]++
}

func (c *tally) missing() string {
	for _, what := range []string{"removed by policy", "removed by hand", "restored", "warned of again", "held back", "kept by a plan", "called off"} {
		if c.counts[what] == 0 {
			return what
		}
	}
	return ""
}

// fate is one thing that happens.
type fate struct {
	what   string
	target int
	pick   int
	wait   time.Duration
}

func drawFate(t *rapid.T) fate {
	return fate{
		what: rapid.SampledFrom([]string{
			"hours", "hours", "hours", "half a day", "auto", "scan", "start", "stop", "stop", "crash", "pause", "remove outside",
			"policy", "policy", "policy", "switch", "pin", "pin", "unpin", "snooze", "unsnooze", "tag goes", "tag comes",
			"plan", "apply", "clean up", "clean up", "change of mind", "change of mind", "remove by hand", "call off", "call off", "restore", "restore", "restore and start", "delete archive", "expire",
			"outage", "clock", "new process",
		}).Draw(t, "what"),
		target: rapid.IntRange(0, members-1).Draw(t, "target"),
		pick:   rapid.IntRange(0, 1<<16).Draw(t, "pick"),
		wait:   rapid.SampledFrom([]time.Duration{time.Second, 7 * time.Minute, 2 * time.Hour}).Draw(t, "wait"),
	}
}

const (
	members   = 4
	ripeAfter = 5 * time.Hour
)

// member is one instance and what is true of it.
type member struct {
	id, name, tag string
	ct            *dockertest.Container
	labels        map[string]string

	outside bool   // somebody else removed its container
	bare    bool   // it came back from its spec alone: files and labels of its first container are lost
	removed bool   // by us
	dropped bool   // its archive is gone
	archive string // id, once removed

	pinned   bool
	snoozed  time.Time
	spared   time.Time // its plan was called off
	renewed  bool      // since its last warning something happened that may lead to another one
	warnings int
	owed     bool // restored, and not warned of since
}

// colony is the fleet, its cleaner, and what is true of them.
type colony struct {
	b       *cleanBed
	seen    *tally
	scanner *Scanner
	members []*member
	history []string

	policy  store.Policy
	on      bool
	warmUp  time.Duration
	down    bool
	pending string    // a plan of a person that waits
	began   time.Time // this process
	sighted time.Time // the end of the last blindness
	blind   bool
	off     time.Duration // by how much the clock was turned
	turned  bool          // and no run has seen it yet
	ran     bool          // this process has run: only between two runs can it tell that a clock was turned
	steady  time.Time
	gone    map[string]bool // tags that the registry has no more

	mu    sync.Mutex
	doing string // automatic, by hand, one by hand, or nothing
	plan  string
	one   *member
	deeds int // removals of this run
	wrong []string
}

func newColony(b *cleanBed, seen *tally, asleep int) *colony {
	c := &colony{b: b, seen: seen, warmUp: 10 * time.Minute, on: true, gone: map[string]bool{}}
	b.engine.Run(dockertest.Template{Name: "other", Image: "other:1"}) // so that the list is never empty
	for n := range members {
		m := c.settleIn(n)
		if asleep&(1<<n) != 0 {
			m.ct.Stop()
		}
		c.members = append(c.members, m)
	}
	b.update(func(tx *store.Tx) error {
		s := store.DefaultSettings()
		s.AutoCleanup, s.AutoWarmUp = true, c.warmUp
		return tx.SaveSettings(b.t.Context(), s)
	})
	c.newProcess()
	c.sighted = b.now().Add(-time.Hour)
	c.setPolicy(0)
	b.gate.hook(c.before, nil)
	return c
}

// settleIn makes one instance as a deploy leaves it, with files in its layer, in a named and in an anonymous volume.
func (c *colony) settleIn(n int) *member {
	b := c.b
	m := &member{name: fmt.Sprintf("shop-%d", n), tag: fmt.Sprintf("1.%d", n), renewed: true}
	inst := b.row(m.name)
	m.id, m.labels = inst.ID, b.labels(inst.ID)
	m.labels["team"] = m.name
	m.ct = b.engine.Run(dockertest.Template{
		Name: m.name, Image: "shop:" + m.tag, Labels: maps.Clone(m.labels), Volumes: []string{m.name + "-data:/data", "/scratch"},
	})
	for _, name := range files {
		m.ct.Write(name, name+" of "+m.name)
	}
	inst.ImageTag, inst.ContainerID, inst.Status = m.tag, m.ct.ID, store.StatusRunning
	inst.LastAliveAt, inst.StartedAt = b.now(), stamp(m.ct.Facts().Started)
	ct, err := b.adapter.Inspect(b.t.Context(), m.ct.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	inst = Observe(inst, ct, b.now())
	b.update(func(tx *store.Tx) error { return tx.InsertInstance(b.t.Context(), inst) })
	return m
}

var files = []string{"/data/file", "/scratch/file", "/tmp/file"}

// newProcess begins anew over the same store.
func (c *colony) newProcess() {
	log := slog.New(slog.DiscardHandler)
	c.scanner = NewScanner(c.b.db, c.b.fleet, log)
	cl := NewCleaner(c.b.db, c.b.fleet, log)
	cl.ScanBy(func(ctx context.Context, hostID string) error {
		_, err := c.scanner.Scan(ctx, hostID, "schedule")
		c.look(err)
		return err
	})
	cl.LookUpTagsBy(func(_ context.Context, _, tag string) (string, error) {
		if c.gone[tag] {
			return "", ErrTagGone
		}
		return "sha256:d", nil
	})
	cl.LendHands(Hands{
		Start: func(_ context.Context, id, _ string) error {
			c.of(id).ct.Start()
			return nil
		},
		Stop: func(_ context.Context, id, _ string) error {
			c.of(id).ct.Stop()
			return nil
		},
		Options: func(v store.InstanceView, _ store.Spec) docker.CreateOptions {
			return docker.CreateOptions{Name: v.Name, Labels: map[string]string{}}
		},
	})
	cl.auto.wall = func() time.Time { return time.Now().Add(c.off) }
	c.b.cleaner, c.began, c.steady, c.turned, c.ran = cl, time.Now(), time.Now(), false, false
}

func (c *colony) of(id string) *member {
	n := slices.IndexFunc(c.members, func(m *member) bool { return m.id == id })
	return c.members[n]
}

// live lets it all happen; it returns what was wrong.
func (c *colony) live(fates []fate) string {
	for _, f := range fates {
		c.pass(f.wait)
		c.history = append(c.history, fmt.Sprintf("%s %s %d", c.b.now().Format("02 15:04:05"), f.what, f.target))
		c.happen(f)
		c.check(f.what)
		if wrong := c.wrongs(); wrong != "" {
			return fmt.Sprintf("after %s: %s\nhistory:\n  %s", f.what, wrong, strings.Join(c.history, "\n  "))
		}
	}
	return ""
}

func (c *colony) wrongs() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.wrong, "\n")
}

func (c *colony) fault(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrong = append(c.wrong, fmt.Sprintf(format, args...))
}

func (c *colony) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (c *colony) happen(f fate) {
	m := c.whom(f)
	switch f.what {
	case "hours", "half a day":
		c.letTimePass(f)
	case "auto":
		c.runAutomatic()
	case "scan":
		c.scan()
	case "policy":
		c.setPolicy(f.pick % len(rulings))
	case "switch":
		c.setSwitch(!c.on)
	case "outage":
		c.outage(f, m)
	case "clock":
		c.off += 2 * time.Hour
		c.turned = true
	case "new process":
		c.newProcess()
		c.must(c.b.cleaner.Recover(c.b.t.Context()), ErrBlind)
	case "expire":
		c.lookAtClock()
		_, err := c.b.cleaner.ExpireArchives(c.b.t.Context())
		c.must(err, ErrBlind)
	case "call off":
		c.callOff()
	case "plan", "apply", "clean up":
		c.cleanUp(f)
	case "change of mind":
		c.changeMind(f)
	case "tag goes", "tag comes":
		c.gone[m.tag] = f.what == "tag goes"
		m.renewed = true
		c.must(c.b.cleaner.CheckTags(c.b.t.Context()))
	case "restore", "restore and start", "delete archive", "remove by hand":
		c.undo(f.what, m)
	case "pin", "unpin", "snooze", "unsnooze":
		c.protect(f, m)
	default:
		c.outside(f.what, m)
	}
}

// whom is the member that a fate is for: the one that was drawn, or the next one that it can befall.
func (c *colony) whom(f fate) *member {
	gone := slices.Contains([]string{"restore", "restore and start", "delete archive"}, f.what)
	for n := range c.members {
		if m := c.members[(f.target+n)%members]; m.removed == gone {
			return m
		}
	}
	return c.members[f.target]
}

// outage is an engine that is away for a while, and all who do not know it.
func (c *colony) outage(f fate, m *member) {
	c.b.engine.Shutdown()
	c.down = true
	c.pass(f.wait)
	switch f.pick % 4 {
	case 0:
		c.scan()
	case 1:
		c.cleanUp(fate{what: "clean up", pick: f.pick / 4})
	case 2:
		c.undo("restore", m)
	}
	c.runAutomatic()
	c.pass(f.wait)
	c.b.engine.Boot()
	c.down = false
	c.must(c.b.cleaner.Recover(c.b.t.Context()))
}

// must notes an error that is not one of those that may be.
func (c *colony) must(err error, may ...error) bool {
	if err == nil {
		return true
	}
	if !slices.ContainsFunc(may, func(e error) bool { return errors.Is(err, e) }) && !c.down && !c.frozen() {
		c.fault("error: %v", err)
	}
	return false
}

// frozen is what the host is when all that we know of it vanished at once.
func (c *colony) frozen() bool {
	host, err := c.b.db.Host(c.b.t.Context(), c.b.host.ID)
	return err == nil && !host.FrozenSince.IsZero()
}

// outside is what happens on the engine beside us.
func (c *colony) outside(what string, m *member) {
	facts := m.ct.Facts()
	if c.down || !facts.Exists {
		return
	}
	runs := facts.State == dockertest.Running
	switch {
	case what == "start" && !runs && facts.State != dockertest.Paused:
		m.ct.Start()
		m.renewed = true
	case what == "stop" && runs:
		m.ct.Stop()
	case what == "crash" && runs:
		m.ct.Exit(1)
	case what == "pause" && runs:
		m.ct.Pause()
	case what == "remove outside" && !runs && facts.State != dockertest.Paused:
		m.ct.Remove()
		m.outside = true
	}
}

// letTimePass lets hours pass, with the jobs of the service.
func (c *colony) letTimePass(f fate) {
	hours := 1 + f.pick%5
	if f.what == "half a day" {
		hours = 12
	}
	for range hours {
		c.pass(50 * time.Minute)
		c.scan()
		c.runAutomatic()
		c.pass(6 * time.Minute)
		c.runAutomatic()
	}
}

func (c *colony) scan() {
	_, err := c.scanner.Scan(c.b.t.Context(), c.b.host.ID, "manual")
	c.look(err)
	c.must(err, ErrBlind)
	if err != nil || c.blind {
		return
	}
	for _, m := range c.members {
		v, err := c.b.db.Instance(c.b.t.Context(), m.id)
		if err != nil || v.StaleSince.IsZero() || c.protected(m, v) {
			continue
		}
		if v.WarnedAt.IsZero() || m.owed && len(c.b.events("instance.stale", m.id)) == m.warnings {
			c.fault("%s is stale and nothing protects it, but nobody was warned", m.name)
		}
	}
}

// look notes whether a scan could see.
func (c *colony) look(err error) {
	switch {
	case errors.Is(err, ErrBlind):
		c.blind = true
	case err == nil && c.blind:
		c.blind, c.sighted = false, time.Now()
	}
}

// protected is what we know to protect an instance; of tags the registry's word, as it was passed on, stands in the row.
func (c *colony) protected(m *member, v store.InstanceView) bool {
	return m.pinned || m.snoozed.After(time.Now()) || !v.TagGoneSince.IsZero()
}

// rulings are what the stage may say.
var rulings = []func() store.Policy{
	func() store.Policy { return ruling(store.ActionCleanup, 0, nil, 10) },
	func() store.Policy {
		return ruling(store.ActionCleanup, time.Hour, &store.Window{From: 2 * 60, Until: 5 * 60, Zone: "Europe/Berlin"}, 10)
	},
	func() store.Policy {
		return ruling(store.ActionCleanup, 24*time.Hour, &store.Window{Days: []time.Weekday{time.Saturday, time.Tuesday}}, 10)
	},
	func() store.Policy { return ruling(store.ActionCleanup, time.Minute, nil, 1) },
	func() store.Policy { return ruling(store.ActionCleanup, 2*time.Hour, nil, 1) },
	func() store.Policy { return ruling(store.ActionWarn, 0, nil, 10) },
	func() store.Policy { return store.Policy{StaleAfter: &store.StaleAfter{After: ripeAfter}} },
	func() store.Policy {
		p := ruling(store.ActionCleanup, 0, nil, 10)
		p.StaleAfter = &store.StaleAfter{Never: true}
		return p
	},
}

func ruling(action store.PolicyAction, after time.Duration, w *store.Window, perRun int) store.Policy {
	share := 100
	return store.Policy{
		StaleAfter: &store.StaleAfter{After: ripeAfter}, Action: &action, CleanupAfter: &after, Window: w, MaxPerRun: &perRun, MaxSharePercent: &share,
	}
}

// setPolicy tries a policy, which changes nothing, and then sets it.
func (c *colony) setPolicy(n int) {
	ctx, b := c.b.t.Context(), c.b
	c.policy = rulings[n]()
	change := PolicyChange{Level: store.LevelStage, ProjectID: b.project.ID, StageID: b.stage.ID, Policy: c.policy}
	before := b.db.Commits()
	_, err := b.cleaner.TryPolicy(ctx, change)
	c.must(err)
	if b.db.Commits() != before {
		c.fault("trying a policy wrote something")
	}
	stage, err := b.db.Stage(ctx, b.stage.ID)
	c.must(err)
	c.must(b.cleaner.SetPolicy(ctx, change, stage.Revision, "user:anna"))
}

func (c *colony) setSwitch(on bool) {
	c.on = on
	c.b.update(func(tx *store.Tx) error {
		s, err := tx.Settings(c.b.t.Context())
		if err != nil {
			return err
		}
		s.AutoCleanup = on
		return tx.SaveSettings(c.b.t.Context(), s)
	})
}

func (c *colony) protect(f fate, m *member) {
	ctx, b := c.b.t.Context(), c.b
	v, err := b.db.Instance(ctx, m.id)
	if err != nil {
		return
	}
	m.renewed = true
	switch f.what {
	case "snooze":
		until := time.Now().Add(time.Duration(1+f.pick%40) * time.Hour)
		if c.must(b.cleaner.Snooze(ctx, m.id, until, "later", "user:anna")) {
			m.snoozed = until
		}
	case "unsnooze":
		c.must(b.cleaner.Unsnooze(ctx, m.id, "user:anna"))
		m.snoozed = time.Time{}
	default:
		m.pinned = f.what == "pin"
		v.PinnedAt, v.PinnedBy = time.Time{}, ""
		if m.pinned {
			v.PinnedAt, v.PinnedBy = b.now(), "user:anna"
		}
		b.update(func(tx *store.Tx) error { return tx.SetProtection(ctx, v.Instance) })
	}
}

// act does something in the name of somebody, so that what it removes can be judged.
func (c *colony) act(doing, plan string, one *member, do func()) {
	c.mu.Lock()
	c.doing, c.plan, c.one, c.deeds = doing, plan, one, 0
	c.mu.Unlock()
	do()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.doing, c.plan, c.one = "", "", nil
}

// lookAtClock is what each automatic run and each expiry does first.
func (c *colony) lookAtClock() {
	if c.turned && c.ran {
		c.steady = time.Now()
	}
	c.turned, c.ran = false, true
}

func (c *colony) runAutomatic() {
	c.lookAtClock()
	c.act("automatic", "", nil, func() { c.must(c.b.cleaner.RunAutomatic(c.b.t.Context()), ErrBlind) })
	host, err := c.b.db.Host(c.b.t.Context(), c.b.host.ID)
	if c.must(err) && host.AutoHeld != "" {
		c.seen.note("held back")
	}
}

func (c *colony) callOff() {
	ctx, b := c.b.t.Context(), c.b
	var plans []store.Plan
	for range 8 { // hours, in which one may be made
		c.scan()
		c.runAutomatic()
		var err error
		if plans, err = b.db.AutomaticPlans(ctx, time.Now()); !c.must(err) || len(plans) > 0 {
			break
		}
		c.pass(time.Hour)
	}
	if len(plans) == 0 {
		return
	}
	if !c.must(b.cleaner.CancelPlan(ctx, plans[0].ID, "user:anna")) {
		return
	}
	c.seen.note("called off")
	for _, item := range plans[0].Items {
		c.of(item.InstanceID).spared = time.Now().Add(24 * time.Hour)
	}
}

// cleanUp makes a plan for a person, applies the one that waits, or both at once.
func (c *colony) cleanUp(f fate) {
	ctx, b := c.b.t.Context(), c.b
	if f.what != "apply" {
		c.pending = ""
		sel := Selection{TagGone: f.pick%4 == 0, AllUnprotected: f.pick%2 == 0}
		if !sel.AllUnprotected {
			sel.Filter.StageID = b.stage.ID
		}
		plan, err := b.cleaner.Plan(ctx, sel, "user:anna")
		if !c.must(err, ErrBlind) || len(plan.Items) == 0 {
			return
		}
		c.pending = plan.ID
	}
	if f.what == "plan" || c.pending == "" {
		return
	}
	plan := c.pending
	c.pending = ""
	c.act("by hand", plan, nil, func() {
		done, err := b.cleaner.Apply(ctx, plan, "user:anna", true, nil)
		c.must(err, ErrPlanExpired, ErrPlanUsed)
		for _, item := range done.Items {
			if item.Result == store.ResultKept {
				c.seen.note("kept by a plan")
			}
		}
	})
}

// changeMind makes a plan, protects one that is in it, and applies it all the same.
func (c *colony) changeMind(f fate) {
	c.scan()
	c.cleanUp(fate{what: "plan", pick: f.pick})
	if c.pending == "" {
		return
	}
	plan, err := c.b.db.Plan(c.b.t.Context(), c.pending)
	if !c.must(err) {
		return
	}
	m := c.of(plan.Items[f.target%len(plan.Items)].InstanceID)
	c.protect(fate{what: []string{"pin", "snooze"}[f.pick%2], pick: f.pick}, m)
	c.cleanUp(fate{what: "apply"})
	if m.ct.Facts().Exists == m.outside {
		c.fault("%s was protected after the plan and removed all the same", m.name)
	}
}

// undo is what people do to one instance or its archive.
func (c *colony) undo(what string, m *member) {
	ctx, b := c.b.t.Context(), c.b
	if what == "remove by hand" {
		c.act("one by hand", "", m, func() {
			c.must(b.cleaner.Remove(ctx, m.id, "user:anna", true), ErrWrongState, store.ErrNotFound, ErrBlind)
		})
		return
	}
	if !m.removed {
		return
	}
	if what == "delete archive" {
		if c.must(b.cleaner.DeleteArchive(ctx, m.archive, "user:anna"), store.ErrNotFound) {
			m.dropped = true
		}
		return
	}
	view, err := b.cleaner.Restore(ctx, m.archive, Choices{Start: what == "restore and start"}, "user:anna")
	if view.ContainerID != "" {
		m.ct = b.engine.Container(view.ContainerID) // also when it could not be started
	}
	if c.must(err, store.ErrNotFound) {
		c.welcome(m, view)
	}
}

// welcome holds that what comes back is what went.
func (c *colony) welcome(m *member, v store.InstanceView) {
	c.seen.note("restored")
	ctx, b := c.b.t.Context(), c.b
	ct, err := b.adapter.Inspect(ctx, v.ContainerID)
	if !c.must(err) {
		return
	}
	if v.ID != m.id || v.Name != m.name || ct.Name != m.name || v.ImageTag != m.tag {
		c.fault("%s came back as %s (%s), tag %s", m.name, v.Name, ct.Name, v.ImageTag)
	}
	if !v.StaleSince.IsZero() || !v.WarnedAt.IsZero() || v.HeldBack != "" {
		c.fault("%s came back in its old episode: %+v", m.name, v)
	}
	m.bare = m.bare || m.outside
	for key, want := range m.labels {
		if got := ct.Labels[key]; got != want && (!m.bare || key == docker.LabelInstance) {
			c.fault("%s came back with the label %s=%q, it was %q", m.name, key, got, want)
		}
	}
	if !m.bare {
		for _, name := range files {
			if text, _ := m.ct.Read(name); text != name+" of "+m.name {
				c.fault("%s came back with %q in %s", m.name, text, name)
			}
		}
	}
	m.removed, m.outside, m.pinned, m.snoozed, m.archive = false, false, false, time.Time{}, ""
	m.renewed, m.owed = true, true
}

// before judges each request to the engine before it is carried out.
func (c *colony) before(method, path string) {
	_, rest, found := strings.Cut(path, "/containers/")
	if !found || method == "GET" {
		return
	}
	id, deed, _ := strings.Cut(rest, "/")
	c.mu.Lock()
	doing, plan, one := c.doing, c.plan, c.one
	c.mu.Unlock()
	if doing == "automatic" && slices.Contains([]string{"stop", "kill", "restart", "pause", "unpause", "start"}, deed) {
		c.fault("automatic cleanup asked to %s %s", deed, id)
	}
	if method != "DELETE" {
		return
	}
	n := slices.IndexFunc(c.members, func(m *member) bool { return m.ct.ID == id })
	if n < 0 {
		c.fault("somebody else's container %s was to be removed", id)
		return
	}
	m := c.members[n]
	if why := c.mayRemove(doing, plan, one, m); why != "" {
		c.fault("%s was to be removed (%s): %s", m.name, doing, why)
	}
}

// mayRemove says why the container of an instance must not be removed now; empty: it may.
func (c *colony) mayRemove(doing, planID string, one, m *member) string {
	ctx := c.b.t.Context()
	v, err := c.b.db.Instance(ctx, m.id)
	switch facts := m.ct.Facts(); {
	case err != nil:
		return err.Error()
	case v.Status != store.StatusRemoving:
		return "nothing of it was written down"
	case facts.State != dockertest.Exited && facts.State != dockertest.Created && facts.Exists:
		return "it is " + facts.State
	case m.pinned:
		return "it is pinned"
	case doing == "one by hand" && one == m:
		return ""
	case m.snoozed.After(time.Now()):
		return "it is snoozed"
	}
	var plan store.Plan
	switch doing {
	case "automatic":
		plans, err := c.b.db.UnfinishedPlans(ctx)
		if err != nil || len(plans) != 1 || !plans[0].Automatic || plans[0].ApplyAt.After(time.Now()) {
			return fmt.Sprintf("no automatic plan is due: %+v, %v", plans, err)
		}
		if plan = plans[0]; plan.ID == "" {
			return "it is in no plan"
		}
		if why := c.mayAct(m); why != "" {
			return why
		}
	case "by hand":
		if plan, err = c.b.db.Plan(ctx, planID); err != nil {
			return err.Error()
		}
	default:
		return "nobody asked for it"
	}
	if item := itemOfInstance(plan, m.id); item.ContainerID != m.ct.ID || item.Protection.Kind != store.ProtectionNone || plan.State != store.PlanApplying {
		return "it is not planned: " + string(plan.State)
	}
	if !v.TagGoneSince.IsZero() && (doing == "automatic" || !plan.TagGoneYes) {
		return "its tag is gone, and nobody said yes"
	}
	return ""
}

// mayAct says why automatic cleanup must not act on an instance now; empty: it may.
func (c *colony) mayAct(m *member) string {
	now := time.Now()
	inForce := store.Resolve(c.b.stage.Kind, store.Policy{}, store.Policy{}, c.policy, store.DefaultSettings().StaleThresholdDays)
	warnings := c.b.events("instance.stale", m.id)
	host, err := c.b.db.Host(c.b.t.Context(), c.b.host.ID)
	c.mu.Lock()
	c.deeds++
	deeds := c.deeds
	c.mu.Unlock()
	switch {
	case err != nil:
		return err.Error()
	case !c.on:
		return "it is switched off"
	case inForce.Action != store.ActionCleanup:
		return "its policy only warns"
	case !inForce.Window.Contains(now):
		return "its window is closed"
	case len(warnings) == 0 || warnings[0].Time.Add(inForce.CleanupAfter).After(now):
		return "the grace is not over"
	case m.spared.After(now):
		return "its plan was called off"
	case deeds > inForce.MaxPerRun:
		return "too many in one run"
	case now.Before(c.began.Add(c.warmUp)), now.Before(c.sighted.Add(c.warmUp)), now.Before(c.steady.Add(c.warmUp)):
		return fmt.Sprintf("it is warming up: began %s, blind until %s, steady since %s", c.began, c.sighted, c.steady)
	case c.blind:
		return "the host is blind"
	case host.AutoHeld != "" || !host.FrozenSince.IsZero():
		return "it is held back: " + host.AutoHeld + host.FrozenReason
	}
	return ""
}

// check holds what must be so after everything.
func (c *colony) check(what string) {
	ctx, b := c.b.t.Context(), c.b
	if left, err := b.db.Removals(ctx); err != nil || len(left) > 0 && !c.down {
		c.fault("removals under way: %+v, %v", left, err)
	}
	for _, m := range c.members {
		_, err := b.db.Instance(ctx, m.id)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			c.fault("read %s: %v", m.name, err)
			return
		}
		c.checkArchives(m, errors.Is(err, store.ErrNotFound), what)
		c.checkWarnings(m)
		if facts := m.ct.Facts(); !facts.Exists && !m.removed && !m.outside {
			c.fault("the container of %s is gone, and its row is there", m.name)
		} else if facts.Exists && m.removed {
			c.fault("%s was removed, and its container is %s", m.name, facts.State)
		}
	}
	if f := b.engine.Container("other"); f == nil || !c.down && f.Facts().State == "" {
		c.fault("the container of somebody else is gone")
	}
}

// checkArchives holds that a removed one has exactly one archive until it is restored, deleted or expires.
func (c *colony) checkArchives(m *member, gone bool, what string) {
	archives, err := c.b.cleaner.archives(c.b.t.Context(), store.ArchiveFilter{InstanceID: m.id, States: []store.ArchiveState{
		store.ArchiveMaking, store.ArchiveReady, store.ArchiveRestoring, store.ArchiveDeleting,
	}})
	if !c.must(err) {
		return
	}
	if gone && !m.removed {
		m.removed, m.dropped, m.archive = true, false, ""
		if what == "auto" || what == "hours" || what == "half a day" {
			c.seen.note("removed by policy")
		} else {
			c.seen.note("removed by hand")
		}
		if len(archives) == 1 {
			m.archive = archives[0].ID
		}
	}
	switch {
	case len(archives) > 1:
		c.fault("%s has %d archives", m.name, len(archives))
	case len(archives) == 1 && archives[0].State != store.ArchiveReady && !c.down:
		c.fault("the archive of %s is %s", m.name, archives[0].State)
	case len(archives) == 1 && !gone:
		c.fault("%s is there, and so is an archive", m.name)
	case len(archives) == 0 && gone && !m.dropped && what != "expire":
		c.fault("%s was removed and has no archive", m.name)
	}
	m.dropped = m.dropped || gone && len(archives) == 0
}

// checkWarnings holds that nobody is warned of twice in one episode.
func (c *colony) checkWarnings(m *member) {
	n := len(c.b.events("instance.stale", m.id))
	if n == m.warnings {
		return
	}
	if !m.renewed || n > m.warnings+1 && !m.outside {
		c.fault("%s was warned of again: %d warnings, %d before", m.name, n, m.warnings)
	}
	if m.owed {
		c.seen.note("warned of again")
	}
	m.warnings, m.renewed, m.owed = n, m.pinned || m.snoozed.After(time.Now()), false
}
