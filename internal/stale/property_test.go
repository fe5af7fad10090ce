package stale

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// world is one container as it truly is, and all that an engine would tell of it.
type world struct {
	now    time.Time
	policy string
	c      docker.Container
	gone   bool

	byPolicy  bool      // the run that goes on was begun by the restart policy
	lastAlive time.Time // the truth
	watched   bool
	pauses    bool
	// unseen: it was paused while nobody looked. If it ends so, the engine holds only its end, and by the
	// rule that end is its last sign of life.
	unseen bool
	events []docker.Event
}

func newWorld(policy string) *world {
	w := &world{now: noon, policy: policy}
	w.c = docker.Container{State: docker.StateCreated, CreatedAt: noon, RestartPolicy: policy}
	w.lastAlive = noon // never started: as old as its creation
	return w
}

func (w *world) tell(action string, code int) {
	w.events = append(w.events, docker.Event{Action: action, Time: w.now, ExitCode: code})
}

func (w *world) proven() bool { return !w.byPolicy || w.now.Sub(w.c.StartedAt) >= shortRun }

func (w *world) alive() bool { return w.c.State == docker.StateRunning && w.proven() }

func (w *world) pass(d time.Duration) {
	w.now = w.now.Add(d)
	if w.alive() {
		w.lastAlive = w.now
	}
}

func (w *world) start(byPolicy bool) {
	w.byPolicy, w.unseen = byPolicy, false
	if !byPolicy {
		w.c.RestartCount = 0
		w.lastAlive = w.now
	}
	w.c.State, w.c.Running, w.c.StartedAt, w.c.ExitCode = docker.StateRunning, true, w.now, 0
	w.tell("start", 0)
}

// end ends the run; the engine restarts it by itself if its policy says so and nobody stopped it.
func (w *world) end(code int, byHand bool) {
	if w.alive() {
		w.lastAlive = w.now
	}
	w.c.State, w.c.Running, w.c.FinishedAt, w.c.ExitCode = docker.StateExited, false, w.now, code
	if byHand {
		w.tell("kill", 0)
	}
	w.tell("die", code)
	if byHand {
		w.tell("stop", 0)
	} else if w.policy == "always" {
		w.c.State, w.c.Running = docker.StateRestarting, true
		w.c.RestartCount++
	}
}

func (w *world) remove() {
	if w.c.State == docker.StateRunning || w.c.State == docker.StatePaused {
		w.end(137, true)
	}
	w.gone = true
	w.tell("destroy", 0)
}

// act does one of the things that can happen now.
func (w *world) act(t *rapid.T) string {
	var can []string
	switch w.c.State {
	case docker.StateRunning:
		can = []string{"stop", "kill", "crash", "remove"}
		if w.pauses && w.proven() {
			can = append(can, "pause")
		}
	case docker.StatePaused:
		can = []string{"unpause", "kill", "remove"}
	case docker.StateRestarting:
		can = []string{"policy start", "policy start", "stop waiting", "remove"}
	case docker.StateCreated, docker.StateExited:
		can = []string{"start", "start", "start", "remove"}
	case docker.StateDead, docker.StateRemoving:
	}
	if w.gone {
		return "nothing"
	}
	what := rapid.SampledFrom(can).Draw(t, "act")
	switch what {
	case "start":
		w.start(false)
	case "policy start":
		w.start(true)
	case "stop":
		w.end(0, true)
	case "kill":
		w.end(137, true)
	case "crash":
		w.end(1, false)
	case "stop waiting":
		w.c.State, w.c.Running = docker.StateExited, false
		w.tell("stop", 0)
	case "pause":
		w.lastAlive = w.now
		w.c.State, w.unseen = docker.StatePaused, !w.watched
		w.tell("pause", 0)
	case "unpause":
		w.c.State, w.unseen = docker.StateRunning, false
		w.lastAlive = w.now
		w.tell("unpause", 0)
	case "remove":
		w.remove()
	}
	return what
}

// onlooker is the watcher: what it stores, and since when it looks.
type onlooker struct {
	row   store.Instance
	run   run
	on    bool
	until time.Time // it knows all until then
}

// look folds a fresh inspect in, as a scan and an event do.
func (o *onlooker) look(w *world) {
	until := w.now
	if !o.on {
		until = o.until
	}
	if w.gone {
		o.row = gone(o.row, sight{at: w.now, knownUntil: until})
	} else {
		o.row = inspected(o.row, w.c, sight{at: w.now, knownUntil: until})
		o.run = o.run.seenAs(o.row, w.c)
	}
	o.until = w.now
}

// hear folds what happened since, if it listens.
func (o *onlooker) hear(w *world) {
	events := w.events
	w.events = nil
	if !o.on || len(events) == 0 {
		return
	}
	for _, ev := range events {
		o.row, o.run = told(o.row, o.run, ev)
	}
	o.look(w)
}

// scan is a scan while the stream is whole: those that run are seen to, the others are remembered.
func (o *onlooker) scan(w *world) {
	if o.row.Status == store.StatusRestarting {
		o.look(w) // the watcher looks again when a run has lasted
	}
	if isAlive(o.row) {
		advance(&o.row, w.now, store.EvidenceObserved, false)
	}
	o.until = w.now
}

func (o *onlooker) switchOn(w *world) {
	w.events = nil
	o.look(w)
	o.on = true
}

// TestPropertyVerdictIsThatOfTheTrueHistory: whatever happened, and whoever was not looking when, the verdict is the one
// that the true history gives; or it is flagged as an upper bound, and then never older than the truth.
func TestPropertyVerdictIsThatOfTheTrueHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(rapid.SampledFrom([]string{"no", "always"}).Draw(t, "policy"))
		o := &onlooker{row: store.Instance{Status: store.StatusStopped}}
		// What pauses or loops may, in a blink of under a minute, live without a trace that anybody could find.
		gap := 0
		if w.policy == "always" || rapid.Bool().Draw(t, "pauses") {
			gap, w.pauses = 120, true
		}
		history := ""
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			w.pass(time.Duration(rapid.SampledFrom([]int{1, 500, 9_999, 10_000, 10_001, 61_000, 3_600_000, 86_400_000}).Draw(t, "ms")) * time.Millisecond)
			what := ""
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0:
				what = w.flip(o, gap)
			case 1:
				if o.on {
					o.scan(w)
				}
			default:
				what = w.act(t)
				o.hear(w)
			}
			if what != "" {
				history += fmt.Sprintf("\n  %s %s", w.now.Format("02 15:04:05.000"), what)
			}
			if !o.on {
				continue
			}
			o.scan(w)
			if why := compare(o.row, w); why != "" {
				t.Fatalf("%s\nrow: %+v\ntruth: last alive %s, engine: %+v\nhistory:%s", why, o.row, w.lastAlive, w.c, history)
			}
		}
	})
}

// flip turns the watcher off or on; a blind time lasts at least so many seconds.
func (w *world) flip(o *onlooker, gap int) string {
	if o.on {
		o.on, w.watched = false, false
		return "the watcher goes off"
	}
	if !o.until.IsZero() && w.now.Sub(o.until) < time.Duration(gap)*time.Second {
		w.pass(time.Duration(gap) * time.Second)
	}
	o.switchOn(w)
	w.watched = true
	w.unseen = w.unseen && w.c.State != docker.StatePaused
	return "the watcher comes on"
}

// compare says where the row is wrong.
func compare(row store.Instance, w *world) string {
	if running := !w.gone && w.alive(); isAlive(row) != running {
		return fmt.Sprintf("it is %s, and alive: %v", row.Status, running)
	}
	off := row.LastAliveAt.Sub(w.lastAlive)
	switch {
	case off < 0:
		return fmt.Sprintf("last alive is %s older than the truth", -off)
	case !row.UpperBound && off > 0 && !w.unseen:
		return fmt.Sprintf("last alive is %s newer than the truth and not flagged", off)
	}
	for _, threshold := range []time.Duration{time.Second, time.Minute, time.Hour, day, 7 * day} {
		v := Judge(FactsOf(row, w.now), Policy{Threshold: threshold}, w.now)
		truth := !isAlive(row) && w.now.Sub(w.lastAlive) > threshold
		if v.Stale && !truth {
			return fmt.Sprintf("stale by a threshold of %s, but it was alive %s ago", threshold, w.now.Sub(w.lastAlive))
		}
		if !v.Stale && truth && !row.UpperBound && off <= 0 {
			return fmt.Sprintf("not stale by a threshold of %s, but it was alive %s ago: %s", threshold, w.now.Sub(w.lastAlive), v.Reason)
		}
	}
	return ""
}

// step is one thing that happens in a drawn history.
type step struct {
	what string
	wait time.Duration
}

// TestPropertyScannerSeesTheTrueHistory is the same through scanner, watcher, store, wire and a pretend engine.
func TestPropertyScannerSeesTheTrueHistory(t *testing.T) {
	whats := []string{"start", "start", "stop", "kill", "crash", "oom", "remove", "off", "on", "scan"}
	waits := []time.Duration{time.Millisecond, 2 * time.Second, staleInHistory / 20, staleInHistory * 3 / 2}
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) step {
			return step{rapid.SampledFrom(whats).Draw(rt, "what"), rapid.SampledFrom(waits).Draw(rt, "wait")}
		}), 1, 12).Draw(rt, "steps")
		why := ""
		inScanBed(t, dockertest.Options{}, func(_ *testing.T, b *scanBed) { why = play(b, steps) })
		if why != "" {
			rt.Fatal(why)
		}
	})
}

// staleInHistory is the threshold of what is played: no longer than it must be, for the watcher writes down twice a
// minute that it has missed nothing.
const staleInHistory = 4 * time.Hour

// play lets a history happen and compares, whenever a scan can know, what is stored with what is true.
func play(b *scanBed, steps []step) string {
	inst, ct := b.run("web")
	b.run("other") // so that the list is never empty
	b.stageThreshold(store.StaleAfter{After: staleInHistory})
	truth, warned := time.Now(), 0
	check := func() string {
		v := b.get(inst)
		wantStale := !isAlive(v.Instance) && time.Since(truth) > staleInHistory
		off := v.LastAliveAt.Sub(truth)
		switch {
		case isAlive(v.Instance) != (ct.Facts().Exists && ct.Facts().State == dockertest.Running):
			return fmt.Sprintf("it is %s, the engine says %+v", v.Status, ct.Facts())
		case off < -time.Millisecond, off > time.Millisecond && !v.UpperBound && !isAlive(v.Instance):
			return fmt.Sprintf("last alive %s by %s, in truth %s", v.LastAliveAt, v.Evidence, truth)
		case !v.StaleSince.IsZero() && !wantStale, v.StaleSince.IsZero() && wantStale && !v.UpperBound:
			return fmt.Sprintf("stale since %s, last alive %s, in truth %s", v.StaleSince, v.LastAliveAt, truth)
		}
		if n := len(b.events("instance.stale")); n < warned {
			return fmt.Sprintf("%d warnings, %d before", n, warned)
		}
		return ""
	}
	for _, s := range steps {
		if ct.Facts().State == dockertest.Running && ct.Facts().Exists {
			b.pass(s.wait)
			truth = time.Now()
		} else {
			b.pass(s.wait)
		}
		b.happen(s.what, ct)
		b.settle()
		if f := ct.Facts(); f.Exists && f.State == dockertest.Running {
			truth = time.Now()
		}
		b.scan()
		if f := ct.Facts(); f.Exists && f.State == dockertest.Running {
			truth = time.Now()
		}
		if why := check(); why != "" {
			return fmt.Sprintf("after %s: %s\n%v", s.what, why, steps)
		}
	}
	return ""
}

func (b *scanBed) happen(what string, ct *dockertest.Container) {
	f := ct.Facts()
	runs := f.Exists && f.State == dockertest.Running
	switch {
	case what == "off":
		b.restart()
	case what == "on" && b.stop == nil:
		b.watch()
	case what == "scan":
		b.scan()
	case !f.Exists:
	case what == "start" && !runs:
		ct.Start()
	case what == "stop" && runs:
		ct.Stop()
	case what == "kill" && runs:
		ct.Kill()
	case what == "crash" && runs:
		ct.Exit(1)
	case what == "oom" && runs:
		ct.OOM()
	case what == "remove":
		ct.Remove()
	}
}
