package stale

import (
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// ago is a moment before noon, when the observations of these tests are made.
func ago(d time.Duration) time.Time { return noon.Add(-d) }

func exitedAt(started, finished time.Time, code int) docker.Container {
	return docker.Container{
		State: docker.StateExited, CreatedAt: ago(365 * day), StartedAt: started, FinishedAt: finished, ExitCode: code,
	}
}

func running(started time.Time) docker.Container {
	return docker.Container{State: docker.StateRunning, Running: true, CreatedAt: ago(365 * day), StartedAt: started}
}

func edit[T any](v T, change func(*T)) T {
	change(&v)
	return v
}

// knownRunning is an instance that was seen running at t.
func knownRunning(t, started time.Time) store.Instance {
	return store.Instance{
		Status: store.StatusRunning, Intended: store.IntendedRunning, StartedAt: started,
		LastAliveAt: t, Evidence: store.EvidenceObserved, CheckedAt: t,
	}
}

// knownStopped is an instance that was seen stopped at t, by the engine's own end.
func knownStopped(t, started, finished time.Time) store.Instance {
	return store.Instance{
		Status: store.StatusStopped, Class: store.ClassExited, Intended: store.IntendedStopped, StartedAt: started, FinishedAt: finished,
		LastAliveAt: finished, Evidence: store.EvidenceFinishedAt, FirstSeenStoppedAt: t, CheckedAt: t,
	}
}

func TestInspected(t *testing.T) {
	whole := sight{at: noon, knownUntil: noon}
	blind := sight{at: noon, knownUntil: ago(8 * day)}
	start := ago(100 * day)
	looping := edit(knownStopped(ago(9*day), ago(9*day), ago(9*day).Add(time.Second)), func(i *store.Instance) {
		i.Status, i.Class, i.PolicyRun, i.RestartCount = store.StatusRestarting, store.ClassCrashLooping, true, 3
		i.LastAliveAt, i.Evidence = ago(10*day), store.EvidenceObserved
	})
	paused := edit(knownStopped(ago(9*day), start, time.Time{}), func(i *store.Instance) {
		i.Status, i.Class, i.LastAliveAt, i.Evidence = store.StatusPaused, store.ClassPaused, ago(9*day), store.EvidenceObserved
	})
	loop := func(state docker.State, started, finished time.Time, count int) docker.Container {
		return docker.Container{State: state, Running: true, CreatedAt: start, StartedAt: started, FinishedAt: finished, RestartCount: count, ExitCode: 7, RestartPolicy: "always"}
	}
	cases := []struct {
		name     string
		prev     store.Instance
		c        docker.Container
		sight    sight
		status   store.Status
		class    store.Class
		alive    time.Time
		evidence store.Evidence
		upper    bool
	}{
		{"running", store.Instance{}, running(start), sight{at: noon}, store.StatusRunning, "", noon, store.EvidenceObserved, false},
		{"running again, end of the run before still there", knownStopped(ago(2*day), start, ago(3*day)), edit(running(ago(time.Hour)), func(c *docker.Container) { c.FinishedAt = ago(3 * day) }), whole, store.StatusRunning, "", noon, store.EvidenceObserved, false},
		{"peer 1: stopped a minute ago while we were off for 8 days", knownRunning(ago(8*day), start), exitedAt(start, ago(time.Minute), 0), blind, store.StatusStopped, store.ClassExited, ago(time.Minute), store.EvidenceFinishedAt, false},
		{"peer 2: created a year ago, stopped now", store.Instance{}, exitedAt(start, noon, 0), sight{at: noon}, store.StatusStopped, store.ClassExited, noon, store.EvidenceFinishedAt, false},
		{"peer 3: never started", store.Instance{}, docker.Container{State: docker.StateCreated, CreatedAt: ago(8 * day)}, sight{at: noon}, store.StatusStopped, store.ClassNeverStarted, ago(8 * day), store.EvidenceCreatedAt, false},
		{"peer 3: start failed, never ran", store.Instance{}, docker.Container{State: docker.StateCreated, CreatedAt: ago(8 * day), ExitCode: 127, Error: "no such file"}, sight{at: noon}, store.StatusStopped, store.ClassNeverStarted, ago(8 * day), store.EvidenceCreatedAt, false},
		{"peer 4: 255 found after the engine came back", knownRunning(ago(30*day), start), exitedAt(start, ago(time.Hour), 255), sight{at: noon, knownUntil: ago(30 * day)}, store.StatusStopped, store.ClassFailed, ago(time.Hour), store.EvidenceFinishedAt, true},
		{"peer 5: end is zero after a reboot on podman", store.Instance{}, exitedAt(start, time.Time{}, 0), sight{at: noon}, store.StatusStopped, store.ClassExited, noon, store.EvidenceFirstSeenStopped, true},
		{"peer 5: podman 4.3 says created, with a start", knownRunning(ago(8*day), start), docker.Container{State: docker.StateCreated, CreatedAt: ago(99 * day), StartedAt: start}, blind, store.StatusStopped, store.ClassExited, noon, store.EvidenceFirstSeenStopped, true},
		{"peer 5: end before the start", store.Instance{}, exitedAt(ago(9*day), ago(10*day), 0), sight{at: noon}, store.StatusStopped, store.ClassExited, noon, store.EvidenceFirstSeenStopped, true},
		{"first look without an end is the anchor for the next", edit(knownStopped(ago(3*day), start, time.Time{}), func(i *store.Instance) {
			i.LastAliveAt, i.Evidence, i.UpperBound = ago(3*day), store.EvidenceFirstSeenStopped, true
		}), exitedAt(start, time.Time{}, 0), blind, store.StatusStopped, store.ClassExited, ago(3 * day), store.EvidenceFirstSeenStopped, true},
		{"peer 6: crash loop at first sight", store.Instance{}, loop(docker.StateRestarting, ago(4*time.Second), ago(3*time.Second), 5), sight{at: noon}, store.StatusRestarting, store.ClassCrashLooping, noon, store.EvidenceFirstSeenStopped, true},
		{"peer 6: crash loop goes on, nothing missed: not alive", looping, loop(docker.StateRestarting, ago(4*time.Second), ago(3*time.Second), 900), whole, store.StatusRestarting, store.ClassCrashLooping, ago(10 * day), store.EvidenceObserved, false},
		{"peer 6: crash loop in its second of running: not alive", looping, loop(docker.StateRunning, ago(time.Second), ago(3*time.Second), 900), whole, store.StatusRestarting, store.ClassCrashLooping, ago(10 * day), store.EvidenceObserved, false},
		{"crash loop ends: up for ten seconds", looping, loop(docker.StateRunning, ago(10*time.Second), ago(13*time.Second), 900), whole, store.StatusRunning, "", noon, store.EvidenceObserved, false},
		{"crash loop ends: healthy within ten seconds", looping, edit(loop(docker.StateRunning, ago(2*time.Second), ago(3*time.Second), 900), func(c *docker.Container) { c.Health = "healthy" }), whole, store.StatusRunning, "", noon, store.EvidenceObserved, false},
		{"crash loop across blind time may have lived", looping, loop(docker.StateRestarting, ago(4*time.Second), ago(3*time.Second), 900), blind, store.StatusRestarting, store.ClassCrashLooping, noon, store.EvidenceFirstSeenStopped, true},
		{"crash loop: a short look away changes nothing", looping, loop(docker.StateRestarting, ago(4*time.Second), ago(3*time.Second), 900), sight{at: noon, knownUntil: ago(time.Minute)}, store.StatusRestarting, store.ClassCrashLooping, ago(10 * day), store.EvidenceObserved, false},
		{"first crash of a run that a person started counts, however short", looping, loop(docker.StateRestarting, ago(4*time.Second), ago(3*time.Second), 1), whole, store.StatusRestarting, store.ClassCrashLooping, ago(3 * time.Second), store.EvidenceFinishedAt, false},
		{"a policy run that lasted ten seconds counts", looping, loop(docker.StateRestarting, ago(14*time.Second), ago(4*time.Second), 900), whole, store.StatusRestarting, store.ClassCrashLooping, ago(4 * time.Second), store.EvidenceFinishedAt, false},
		{"podman says exited between two runs of a loop", looping, edit(exitedAt(ago(2*time.Second), ago(time.Second), 7), func(c *docker.Container) { c.RestartCount, c.RestartPolicy = 40, "always" }), whole, store.StatusRestarting, store.ClassCrashLooping, ago(10 * day), store.EvidenceObserved, false},
		{"podman notes the start of a very short run after its end", looping, edit(exitedAt(ago(time.Second), ago(1003*time.Millisecond), 7), func(c *docker.Container) { c.RestartCount, c.RestartPolicy = 40, "always" }), whole, store.StatusRestarting, store.ClassCrashLooping, ago(10 * day), store.EvidenceObserved, false},
		{"a loop whose last end is long ago is one no more, whenever it was started", looping, edit(exitedAt(ago(time.Second), ago(11*time.Second), 7), func(c *docker.Container) { c.RestartCount, c.RestartPolicy = 40, "always" }), whole, store.StatusStopped, store.ClassFailed, ago(10 * day), store.EvidenceObserved, false},
		{"a loop that was stopped by hand is one no more", looping, edit(exitedAt(ago(12*time.Second), ago(11*time.Second), 7), func(c *docker.Container) { c.RestartCount, c.RestartPolicy = 40, "always" }), whole, store.StatusStopped, store.ClassFailed, ago(10 * day), store.EvidenceObserved, false},
		{"on-failure used up, last run short, watched throughout", looping, edit(exitedAt(ago(4*time.Second), ago(3*time.Second), 7), func(c *docker.Container) { c.RestartCount = 5 }), whole, store.StatusStopped, store.ClassFailed, ago(10 * day), store.EvidenceObserved, false},
		{"on-failure used up, found so", store.Instance{}, edit(exitedAt(ago(5*day), ago(5*day).Add(time.Second), 7), func(c *docker.Container) { c.RestartCount = 2 }), sight{at: noon}, store.StatusStopped, store.ClassFailed, ago(5 * day).Add(time.Second), store.EvidenceFinishedAt, true},
		{"a person's run counts, however short", knownStopped(ago(2*day), start, ago(9*day)), exitedAt(ago(time.Hour), ago(time.Hour).Add(time.Millisecond), 1), whole, store.StatusStopped, store.ClassFailed, ago(time.Hour).Add(time.Millisecond), store.EvidenceFinishedAt, false},
		{"peer 7: end in the future is put off", knownRunning(ago(8*day), start), exitedAt(start, noon.Add(30*day), 0), blind, store.StatusStopped, store.ClassExited, noon, store.EvidenceFirstSeenStopped, true},
		{"future end, looked at again: no step on", edit(knownStopped(ago(3*day), start, noon.Add(day)), func(i *store.Instance) {
			i.LastAliveAt, i.Evidence, i.UpperBound = ago(3*day), store.EvidenceFirstSeenStopped, true
		}), exitedAt(start, noon.Add(day), 0), blind, store.StatusStopped, store.ClassExited, ago(3 * day), store.EvidenceFirstSeenStopped, true},
		{"stored moment from a wrong clock is worked out again", edit(knownStopped(ago(time.Hour), start, ago(8*day)), func(i *store.Instance) { i.LastAliveAt = noon.Add(30 * day) }), exitedAt(start, ago(8*day), 0), whole, store.StatusStopped, store.ClassExited, ago(8 * day), store.EvidenceFinishedAt, false},
		{"stored moment within the tolerance stays", edit(knownStopped(ago(time.Hour), start, ago(8*day)), func(i *store.Instance) { i.LastAliveAt = noon.Add(59 * time.Second) }), exitedAt(start, ago(8*day), 0), whole, store.StatusStopped, store.ClassExited, noon.Add(59 * time.Second), store.EvidenceFinishedAt, false},
		{"an older end never moves it back", knownRunning(ago(time.Hour), start), exitedAt(start, ago(2*time.Hour), 0), whole, store.StatusStopped, store.ClassExited, ago(time.Hour), store.EvidenceObserved, false},
		{"paused found so", knownRunning(ago(time.Hour), start), edit(running(start), func(c *docker.Container) { c.State = docker.StatePaused }), blind, store.StatusPaused, store.ClassPaused, noon, store.EvidenceFirstSeenStopped, true},
		{"paused since an event told, though Running is true", paused, edit(running(start), func(c *docker.Container) { c.State = docker.StatePaused }), whole, store.StatusPaused, store.ClassPaused, ago(9 * day), store.EvidenceObserved, false},
		{"paused across blind time may have lived", paused, edit(running(start), func(c *docker.Container) { c.State = docker.StatePaused }), blind, store.StatusPaused, store.ClassPaused, noon, store.EvidenceFirstSeenStopped, true},
		{"our own stop of a paused one is not life", paused, exitedAt(start, ago(time.Second), 137), whole, store.StatusStopped, store.ClassFailed, ago(9 * day), store.EvidenceObserved, false},
		{"our own stop of a crash loop is not life", looping, edit(exitedAt(ago(4*time.Second), ago(3*time.Second), 7), func(c *docker.Container) { c.RestartCount = 40 }), whole, store.StatusStopped, store.ClassFailed, ago(10 * day), store.EvidenceObserved, false},
		{"a later start that failed keeps the run before", knownStopped(ago(2*day), start, ago(9*day)), edit(exitedAt(start, ago(9*day), 128), func(c *docker.Container) { c.Error = "port is taken" }), whole, store.StatusStopped, store.ClassFailed, ago(9 * day), store.EvidenceFinishedAt, false},
		{"out of memory", store.Instance{}, edit(exitedAt(start, ago(day), 137), func(c *docker.Container) { c.OOMKilled = true }), sight{at: noon}, store.StatusStopped, store.ClassOOM, ago(day), store.EvidenceFinishedAt, false},
		{"dead", store.Instance{}, edit(exitedAt(start, ago(day), 0), func(c *docker.Container) { c.State = docker.StateDead }), sight{at: noon}, store.StatusDead, store.ClassDead, ago(day), store.EvidenceFinishedAt, false},
		{"the engine is removing it", store.Instance{}, edit(exitedAt(start, ago(day), 0), func(c *docker.Container) { c.State = docker.StateRemoving }), sight{at: noon}, store.StatusDead, store.ClassDead, ago(day), store.EvidenceFinishedAt, false},
		{"a failed deploy stays one", store.Instance{Status: store.StatusFailed}, exitedAt(ago(day), ago(day), 1), whole, store.StatusFailed, store.ClassFailed, ago(day), store.EvidenceFinishedAt, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := inspected(c.prev, c.c, c.sight)
			if got.Status != c.status || got.Class != c.class {
				t.Errorf("it is %s (%s), want %s (%s)", got.Status, got.Class, c.status, c.class)
			}
			if !got.LastAliveAt.Equal(c.alive) || got.Evidence != c.evidence || got.UpperBound != c.upper {
				t.Errorf("last alive %s by %s (upper bound %v), want %s by %s (%v)",
					got.LastAliveAt, got.Evidence, got.UpperBound, c.alive, c.evidence, c.upper)
			}
			if again := inspected(got, c.c, c.sight); !sameRow(again, got) {
				t.Errorf("the same look once more changes it:\n%+v\n%+v", got, again)
			}
		})
	}
}

func TestEngineLost(t *testing.T) {
	start, crash := ago(100*day), ago(time.Hour)
	lost := func(change func(*docker.Container)) docker.Container {
		c := exitedAt(start, crash, 0)
		c.RestartPolicy = "unless-stopped"
		change(&c)
		return c
	}
	same := func(*docker.Container) {}
	gap := sight{at: noon, knownUntil: crash.Add(-time.Second)}
	cases := []struct {
		name string
		prev store.Instance
		c    docker.Container
		s    sight
		want bool
	}{
		{"unless-stopped left lying by a crash", knownRunning(crash, start), lost(same), gap, true},
		{"podman does not restart always after a reboot", knownRunning(crash, start), lost(func(c *docker.Container) {
			c.RestartPolicy, c.FinishedAt = "always", time.Time{}
		}), gap, true},
		{"we saw its end", knownRunning(crash, start), lost(same), sight{at: noon, knownUntil: noon}, false},
		{"it ended before we looked away", knownRunning(crash, start), lost(same), sight{at: noon, knownUntil: ago(time.Minute)}, false},
		{"it is meant to be stopped", edit(knownRunning(crash, start), func(i *store.Instance) { i.Intended = store.IntendedStopped }), lost(same), gap, false},
		{"it was stopped before", knownStopped(ago(9*day), start, ago(10*day)), lost(same), gap, false},
		{"no restart policy", knownRunning(crash, start), lost(func(c *docker.Container) { c.RestartPolicy = "no" }), gap, false},
		{"it failed", knownRunning(crash, start), lost(func(c *docker.Container) { c.ExitCode = 1 }), gap, false},
		{"it runs", knownRunning(crash, start), lost(func(c *docker.Container) { c.State = docker.StateRunning }), gap, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := inspected(c.prev, c.c, c.s)
			if is := got.Class == store.ClassEngineLost; is != c.want || (got.HeldBack != "") != c.want {
				t.Fatalf("class %s, held back %q; want engine_lost %v", got.Class, got.HeldBack, c.want)
			}
			if !c.want {
				return
			}
			if again := inspected(got, c.c, sight{at: noon.Add(day), knownUntil: noon.Add(day)}); again.Class != store.ClassEngineLost {
				t.Errorf("a day later it is %s", again.Class)
			}
			back := inspected(got, running(noon), sight{at: noon.Add(time.Minute), knownUntil: noon.Add(time.Minute)})
			if back.Class != "" || back.HeldBack != "" {
				t.Errorf("it runs again and is still %s, held back %q", back.Class, back.HeldBack)
			}
		})
	}
}

func TestSwarmTaskIsNotOursToCollect(t *testing.T) {
	c := exitedAt(ago(90*day), ago(80*day), 0)
	c.Labels = map[string]string{docker.LabelSwarmTask: "abc"}
	got := Observe(store.Instance{}, c, noon)
	if v := Judge(FactsOf(got, noon), Policy{Threshold: day}, noon); v.Stale {
		t.Errorf("a swarm task is stale: %s", v.Reason)
	}
}

func TestKeepLabelIsRead(t *testing.T) {
	for value, want := range map[string]bool{"true": true, "false": false, "": false, "yes": false} {
		c := exitedAt(ago(90*day), ago(80*day), 0)
		c.Labels = map[string]string{docker.LabelKeep: value}
		if got := Observe(store.Instance{}, c, noon); got.KeepLabel != want {
			t.Errorf("keep=%q is read as %v", value, got.KeepLabel)
		}
	}
}

func TestGone(t *testing.T) {
	start := ago(100 * day)
	whole, blind := sight{at: noon, knownUntil: noon}, sight{at: noon, knownUntil: ago(8 * day)}
	known := knownStopped(ago(9*day), start, ago(9*day))
	missing := gone(known, whole)
	cases := []struct {
		name  string
		prev  store.Instance
		s     sight
		alive time.Time
		upper bool
	}{
		{"stopped, and we missed nothing", known, whole, ago(9 * day), false},
		{"stopped, but it may have lived while we were away", known, blind, noon, true},
		{"it ran when we last knew", knownRunning(ago(time.Hour), start), whole, noon, true},
		{"missing already: another blind time adds no life", missing, sight{at: noon.Add(30 * day), knownUntil: noon}, ago(9 * day), false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := gone(c.prev, c.s)
			if got.Status != store.StatusMissing || got.Class != store.ClassMissing {
				t.Errorf("it is %s (%s)", got.Status, got.Class)
			}
			if !got.LastAliveAt.Equal(c.alive) || got.UpperBound != c.upper {
				t.Errorf("last alive %s (upper bound %v), want %s (%v)", got.LastAliveAt, got.UpperBound, c.alive, c.upper)
			}
		})
	}
}

func TestTold(t *testing.T) {
	start := ago(100 * day)
	event := func(action string, code int) docker.Event {
		return docker.Event{Action: action, Time: noon, ExitCode: code}
	}
	always := run{started: start, restart: "always"}
	short := run{started: ago(time.Second), policy: true, restart: "always"}
	paused := edit(knownRunning(ago(day), start), func(i *store.Instance) { i.Status = store.StatusPaused })
	crashed := edit(knownStopped(ago(time.Minute), ago(2*time.Minute), ago(time.Minute)), func(i *store.Instance) { i.ExitCode = 1 })
	cases := []struct {
		name   string
		prev   store.Instance
		run    run
		ev     docker.Event
		status store.Status
		class  store.Class
		alive  time.Time
	}{
		{"die", knownRunning(ago(day), start), always, event("die", 0), store.StatusStopped, store.ClassExited, noon},
		{"die with a code", knownRunning(ago(day), start), always, event("die", 3), store.StatusStopped, store.ClassFailed, noon},
		{"a short policy run ends: no life", crashed, short, event("die", 1), store.StatusStopped, store.ClassFailed, ago(time.Minute)},
		{"paused, then killed: no life since the pause", paused, always, event("die", 137), store.StatusStopped, store.ClassFailed, ago(day)},
		{"pause", knownRunning(ago(day), start), always, event("pause", 0), store.StatusPaused, store.ClassPaused, noon},
		{"unpause", paused, always, event("unpause", 0), store.StatusRunning, "", noon},
		{"let go on to receive its signal", edit(paused, func(i *store.Instance) { i.Class = store.ClassPaused }), run{started: start, byHand: true, ending: true}, event("unpause", 0), store.StatusPaused, store.ClassPaused, ago(day)},
		{"started by a person after a stop", knownStopped(ago(day), start, ago(2*day)), run{started: start, restart: "always", byHand: true}, event("start", 0), store.StatusRunning, "", noon},
		{"started by a person, no policy", knownStopped(ago(day), start, ago(2*day)), run{started: start, restart: "no"}, event("start", 0), store.StatusRunning, "", noon},
		{"started by the policy proves nothing yet", crashed, always, event("start", 0), store.StatusRestarting, store.ClassCrashLooping, ago(time.Minute)},
		{"on-failure does not restart a good end", knownStopped(ago(day), start, ago(2*day)), run{started: start, restart: "on-failure:3"}, event("start", 0), store.StatusRunning, "", noon},
		{"destroy", knownStopped(ago(day), start, ago(2*day)), always, event("destroy", 0), store.StatusMissing, store.ClassMissing, ago(2 * day)},
		{"an event older than the last look changes no status", edit(knownRunning(ago(day), start), func(i *store.Instance) { i.CheckedAt = noon.Add(time.Second) }), always, event("die", 0), store.StatusRunning, "", noon},
		{"rename is nothing", knownStopped(ago(day), start, ago(2*day)), always, event("rename", 0), store.StatusStopped, store.ClassExited, ago(2 * day)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, _ := told(c.prev, c.run, c.ev)
			if got.Status != c.status || got.Class != c.class {
				t.Errorf("it is %s (%s), want %s (%s)", got.Status, got.Class, c.status, c.class)
			}
			if !got.LastAliveAt.Equal(c.alive) {
				t.Errorf("last alive %s, want %s", got.LastAliveAt, c.alive)
			}
		})
	}
}

// TestASignalThatWasOutlivedIsNoStop: what was sent to it before it was paused does not keep it from living on after that.
func TestASignalThatWasOutlivedIsNoStop(t *testing.T) {
	start := ago(100 * day)
	row, r := knownRunning(ago(9*day), start), run{started: start}
	tell := func(action string, at time.Time) {
		row, r = told(row, r, docker.Event{Action: action, Time: at})
	}
	tell("kill", ago(8*day))
	tell("pause", ago(8*day))
	r = r.seenAs(row, docker.Container{})
	tell("unpause", ago(time.Second))
	if row.Status != store.StatusRunning || !row.LastAliveAt.Equal(ago(time.Second)) {
		t.Errorf("it lives on: %s, last alive %s", row.Status, row.LastAliveAt)
	}
	tell("die", noon)
	if row.Status != store.StatusStopped || !row.LastAliveAt.Equal(noon) {
		t.Errorf("it ended: %s, last alive %s", row.Status, row.LastAliveAt)
	}
}

func TestToldEndOutlivesA255(t *testing.T) {
	start, end := ago(time.Hour), ago(time.Minute)
	prev, _ := told(knownRunning(ago(30*time.Minute), start), run{started: start}, docker.Event{Action: "die", Time: end, ExitCode: 255})
	got := inspected(prev, exitedAt(start, end.Add(-5*time.Millisecond), 255), sight{at: noon, knownUntil: noon})
	if got.UpperBound || !got.LastAliveAt.Equal(end) || got.Evidence != store.EvidenceObserved {
		t.Errorf("an event told the end, but it is %s by %s (upper bound %v)", got.LastAliveAt, got.Evidence, got.UpperBound)
	}
}

func TestUnaskedConcludesNothing(t *testing.T) {
	prev := knownStopped(ago(day), ago(90*day), ago(80*day))
	got := unasked(prev, "no answer in 10s")
	prev.CheckError = "no answer in 10s"
	if !sameRow(got, prev) {
		t.Errorf("more than the reason changed:\n%+v\n%+v", prev, got)
	}
}
