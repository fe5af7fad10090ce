//go:build unix

package stale

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

var update = flag.Bool("update", false, "write the table of faults into docs/operations.md")

// fault is one thing that goes wrong around us. Its row of docs/operations.md is what its test asks.
type fault struct {
	name string
	seen string
	kept string
	test func(t *testing.T, app string)
}

const (
	nothingJudged = "no row moves, nothing is found stale, nothing is removed"
	exactly       = "exactly the planned ones are removed, each once and with its archive; all volumes stay"
)

var faults = []fault{
	{
		name: "engine stands still in the middle of a scan",
		seen: "the scan ends within its time limits; containers that could not be asked are `unknown`; the next scan finds what is stale",
		kept: nothingJudged, test: frozenInAScan,
	},
	{
		name: "engine stands still in the middle of an apply, and the daemon is told to stop meanwhile",
		seen: "items whose delete has no answer stay `removing`; the next look ends them once the engine answers",
		kept: exactly, test: frozenInAnApply,
	},
	{
		name: "engine killed and started again, its running containers gone with it",
		seen: "scans are blind while it is away; then what ran is known to have stopped when the engine came back; what its restart policy should have brought up again and did not is `engine_lost`, with a warning",
		kept: "nothing of it is stale; automatic cleanup leaves alone what was lost", test: killedWithItsContainers,
	},
	{
		name: "engine killed and started again, with `live-restore`",
		seen: "scans are blind while it is away; what ran goes on, with no event of its own",
		kept: "nothing was ever said to have stopped", test: killedWithLiveRestore,
	},
	{
		name: "socket refused",
		seen: "one `scan.blind` for as long as it lasts and one blind interval; a plan is refused, the items of one made before end as error",
		kept: nothingJudged, test: socketRefused,
	},
	{
		name: "event stream cut 100 times",
		seen: "one full scan after each break; what happened meanwhile is known by the engine's own times",
		kept: "each change is told once, none is lost", test: streamCut,
	},
	{
		name: "1,000 created and 50 exited containers",
		seen: "one scan of a few seconds; a plan of at most its limit",
		kept: exactly + "; the young created ones are not stale", test: many,
	},
	{
		name: "two clients apply at once",
		seen: "one of them gets a plan that is used up; of two plans each item is removed by one and `in_use` or `already_gone` in the other",
		kept: exactly, test: racingClients,
	},
	{
		name: "disk full under the database",
		seen: "scans and cleanups end with \"no room is left for the database\"; they go on when there is room",
		kept: "nothing is removed that could not be written down before", test: diskFull,
	},
	{
		name: "database file removed while the daemon runs",
		seen: "every write is refused and `/readyz` says so; all goes on when the file is put back",
		kept: "nothing is removed whose record would be lost", test: databaseRemoved,
	},
	{
		name: "database file lost for good",
		seen: "a start without it begins with an empty one and an installation id of its own; it knows and plans nothing",
		kept: "what the former one made is nobody's any more, and nothing of it is touched", test: databaseLost,
	},
	{
		name: "the engine's clock jumps by a month",
		seen: "the host is frozen while the clocks disagree; plans for it are refused",
		kept: nothingJudged, test: engineClockJumps,
	},
	{
		name: "our clock jumps by a month, or the machine sleeps",
		seen: "one blind interval, and no verdict from the scan that notices it",
		kept: nothingJudged, test: ownClockJumps,
	},
}

func TestFaults(t *testing.T) {
	app, err := enginetest.BuildApp(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel() // they mostly wait
			f.test(t, app)
		})
	}
}

const (
	faultsBegin = "<!-- faults: written by `make golden` from internal/stale/faults_test.go -->\n"
	faultsEnd   = "<!-- end of faults -->\n"
)

// TestFaultsGolden keeps the table of docs/operations.md what the tests are.
func TestFaultsGolden(t *testing.T) {
	file := filepath.Join("..", "..", "docs", "operations.md")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), faultsBegin)
	_, after, ended := strings.Cut(rest, faultsEnd)
	if !ok || !ended {
		t.Fatalf("%s has no place for the table of faults", file)
	}
	var b strings.Builder
	b.WriteString("\n| fault | what is seen | what stays true |\n| --- | --- | --- |\n")
	for _, f := range faults {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", f.name, f.seen, f.kept)
	}
	b.WriteString("\n")
	want := before + faultsBegin + b.String() + faultsEnd + after
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(text) != want {
		t.Errorf("the table of faults in %s is not what the tests say: run `make golden`", file)
	}
}

// TestInvariantsNotice: what every test of a fault ends with must be able to fail.
func TestInvariantsNotice(t *testing.T) {
	for name, c := range map[string]struct {
		meddle func(b *cleanBed, i store.Instance, ct *dockertest.Container)
		want   string
	}{
		"nothing":             {func(*cleanBed, store.Instance, *dockertest.Container) {}, ""},
		"a container is gone": {func(_ *cleanBed, _ store.Instance, ct *dockertest.Container) { ct.Remove() }, "no applied plan says so"},
		"a volume is gone":    {func(b *cleanBed, _ store.Instance, _ *dockertest.Container) { b.engine.RemoveVolume("data") }, "volume data"},
		"a wrong warning": {func(b *cleanBed, i store.Instance, _ *dockertest.Container) {
			b.emit(store.Event{Kind: "instance.stale", InstanceID: i.ID})
		}, "a wrong warning"},
		"a change told twice": {func(b *cleanBed, i store.Instance, _ *dockertest.Container) {
			b.emit(store.Event{Kind: "instance.status", InstanceID: i.ID, Data: map[string]any{"from": "running", "to": "stopped"}})
		}, "but it was stopped"},
		"a change that did not come about": {func(b *cleanBed, i store.Instance, _ *dockertest.Container) {
			b.emit(store.Event{Kind: "instance.status", InstanceID: i.ID, Data: map[string]any{"from": "stopped", "to": "running"}})
		}, "its events end with running"},
		"no archive": {func(b *cleanBed, i store.Instance, _ *dockertest.Container) {
			all, _, err := b.db.Archives(b.t.Context(), store.ArchiveFilter{}, store.Page{})
			if err != nil || len(all) != 1 {
				b.t.Fatalf("archives: %v %v", all, err)
			}
			if err := b.cleaner.DeleteArchive(b.t.Context(), all[0].ID, "user:anna"); err != nil {
				b.t.Fatal(err)
			}
		}, "was removed and has the archives"},
	} {
		t.Run(name, func(t *testing.T) {
			inBed(t, func(t *testing.T, b *cleanBed) {
				keep := newInvariants(b.db, b.adapter)
				gone, goneCt := b.plant("gone", 20, nil)
				plan := b.apply(b.planAll())
				inst, ct := b.plant("kept", 20, func(tpl *dockertest.Template) { tpl.Volumes = []string{"data:/data"} })
				keep.note(goneCt.ID, gone.Name, nil)
				keep.note(ct.ID, inst.Name, []string{"data"})
				keep.initial[gone.ID], keep.initial[inst.ID] = gone.Status, inst.Status
				keep.stale[gone.ID], keep.applied = true, []string{plan.ID}
				b.update(func(tx *store.Tx) error {
					next := inst
					next.StaleSince, next.WarnedAt = time.Time{}, time.Time{}
					return tx.RecordInstance(t.Context(), inst, &next, time.Now())
				})
				c.meddle(b, inst, ct)
				heard := &hearing{TB: t}
				keep.intact(heard)
				if said := strings.Join(heard.said, "\n"); c.want == "" && said != "" || !strings.Contains(said, c.want) {
					t.Errorf("noticed %q, want %q", said, c.want)
				}
			})
		})
	}
}

// hearing takes errors down instead of failing by them.
type hearing struct {
	testing.TB
	said []string
}

func (h *hearing) Errorf(format string, args ...any) {
	h.said = append(h.said, fmt.Sprintf(format, args...))
}

func (b *cleanBed) emit(e store.Event) {
	b.t.Helper()
	e.Time, e.Severity, e.Source = b.now(), store.SeverityInfo, store.SourceScanner
	b.update(func(tx *store.Tx) error { return tx.Emit(b.t.Context(), e) })
}

func frozenInAScan(t *testing.T, app string) {
	engine := enginetest.StartPrivate(t)
	b := newFaultBed(t, engine.Endpoint(), app, store.Options{DataDir: t.TempDir()})
	var ended []store.Instance
	for _, name := range []string{"one", "two", "three"} {
		ended = append(ended, b.bring(name, b.stage, false))
	}
	up := b.bring("up", b.stage, true)
	b.tap.once(`^GET /v[0-9.]+/containers/[0-9a-f]{64}/json`, engine.Freeze)
	began := time.Now()
	runs, err := b.scanner.Scan(t.Context(), b.host.ID, "manual")
	if len(runs) != 1 || err == nil && runs[0].Outcome == store.ScanOK && runs[0].Stale > 0 {
		t.Errorf("the scan in which the engine stood still: %+v %v", runs, err)
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it took %v", took)
	}
	b.wantStatus(store.StatusRunning, append(ended, up)...)
	engine.Thaw()
	b.await("the three to be stale", func() bool {
		runs, err := b.scanner.Scan(t.Context(), b.host.ID, "manual")
		return err == nil && runs[0].Stale == len(ended)
	})
	b.wantStatus(store.StatusStopped, ended...)
	b.wantStatus(store.StatusRunning, up)
	b.wantKinds("instance.stale", len(ended))
	b.intact(t)
}

func frozenInAnApply(t *testing.T, app string) {
	engine := enginetest.StartPrivate(t)
	b := newFaultBed(t, engine.Endpoint(), app, store.Options{DataDir: t.TempDir()})
	b.deadOnes("one", "two", "three")
	b.container("bystander", docker.CreateOptions{})
	plan := b.planOf(3)
	frozen := make(chan struct{})
	b.tap.once(`^DELETE /v[0-9.]+/containers/`, func() {
		engine.Freeze()
		close(frozen)
	})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() {
		<-frozen
		stop()
	}()
	done, err := b.apply(ctx, plan.ID)
	if err != nil {
		t.Error(err)
	}
	left, err := b.scanField.db.Removals(t.Context())
	if err != nil || len(left) == 0 {
		t.Errorf("no removal waits for the engine: %v %v", results(done), err)
	}
	if b.cleaner.Recover(t.Context()) == nil {
		t.Error("a recovery ended although nobody answers")
	}
	engine.Thaw()
	b.recover()
	b.intact(t)
}

func killedWithItsContainers(t *testing.T, app string) {
	engine := enginetest.StartPrivate(t)
	b := newFaultBed(t, engine.Endpoint(), app, store.Options{DataDir: t.TempDir()})
	meant, job := b.bringWith("unless-stopped", "web", b.slow, true), b.bring("job", b.slow, true)
	ended := b.bring("ended", b.stage, false)
	stop := b.watch()
	killed := time.Now()
	engine.Kill()
	b.wantBlind()
	b.wantStatus(store.StatusRunning, meant, job)
	engine.Start()
	b.await("what ran to be found stopped", func() bool {
		return b.get(meant).Status == store.StatusStopped && b.get(job).Status == store.StatusStopped
	})
	b.await("what ended before to be stale", func() bool { return !b.get(ended).StaleSince.IsZero() || b.scan().Stale > 0 })
	stop()
	for _, i := range []store.Instance{meant, job} {
		v := b.get(i)
		if lost := v.Class == store.ClassEngineLost; lost != (i.ID == meant.ID) || lost != (v.HeldBack != "") || v.LastAliveAt.Before(killed.Add(-time.Second)) {
			t.Errorf("%s: class %s, held back %q, last alive %s; killed at %s", v.Name, v.Class, v.HeldBack, v.LastAliveAt, killed)
		}
	}
	b.wantKinds("instance.engine_lost", 1)
	b.intact(t)
}

func killedWithLiveRestore(t *testing.T, app string) {
	engine := enginetest.StartPrivate(t, "--live-restore")
	b := newFaultBed(t, engine.Endpoint(), app, store.Options{DataDir: t.TempDir()})
	ran := []store.Instance{b.bring("web", b.stage, true), b.bring("worker", b.stage, true)}
	stop := b.watch()
	before := b.get(ran[0])
	engine.Kill()
	b.wantBlind()
	engine.Start()
	b.await("a good scan", func() bool {
		runs, err := b.scanner.Scan(t.Context(), b.host.ID, "manual")
		return err == nil && runs[0].Known == len(ran)
	})
	stop()
	b.wantStatus(store.StatusRunning, ran...)
	if v := b.get(ran[0]); !v.StartedAt.Equal(before.StartedAt) || !v.LastAliveAt.After(before.LastAliveAt) {
		t.Errorf("it runs since %s (before: %s), last alive %s (before: %s)", v.StartedAt, before.StartedAt, v.LastAliveAt, before.LastAliveAt)
	}
	for _, e := range allEvents(t, b.scanField.db) {
		if e.InstanceID != "" {
			t.Errorf("an event of what never stopped: %s", e.Message)
		}
	}
	b.intact(t)
}

func socketRefused(t *testing.T, app string) {
	engine := enginetest.StartPrivate(t, "--live-restore")
	b := newFaultBed(t, engine.Endpoint(), app, store.Options{DataDir: t.TempDir()})
	dead, up := b.deadOnes("one", "two"), b.bring("up", b.stage, true)
	plan := b.planOf(len(dead))
	engine.Kill()
	for range 3 {
		b.wantBlind()
	}
	if _, err := b.cleaner.Plan(t.Context(), Selection{InstanceID: dead[0].ID}, "user:anna"); !errors.Is(err, ErrBlind) {
		t.Errorf("a plan for a host that does not answer: %v", err)
	}
	done, err := b.apply(t.Context(), plan.ID)
	if err != nil || results(done)[store.ResultError] != len(dead) {
		t.Errorf("a plan applied to a host that does not answer: %v %v", results(done), err)
	}
	b.wantKinds("scan.blind", 1)
	engine.Start()
	b.await("a good scan", func() bool {
		_, err := b.scanner.Scan(t.Context(), b.host.ID, "manual")
		return err == nil
	})
	intervals, err := b.scanField.db.BlindIntervals(t.Context(), b.host.ID, time.Time{})
	if err != nil || len(intervals) != 1 || intervals[0].To.IsZero() {
		t.Errorf("blind intervals: %+v %v", intervals, err)
	}
	b.wantStatus(store.StatusRunning, up)
	plan = b.planOf(len(dead))
	if done, err := b.apply(t.Context(), plan.ID); err != nil || results(done)[store.ResultRemoved] != len(dead) {
		t.Errorf("after that: %v %v", results(done), err)
	}
	b.intact(t)
}

// streamCut moves a container beside each cut: by turns just before it and while the stream is down.
func streamCut(t *testing.T, app string) {
	const cuts = 100
	b := newFaultBed(t, enginetest.Endpoint(t), app, store.Options{DataDir: t.TempDir()})
	all := make([]store.Instance, 4)
	want := map[string]store.Status{}
	for i := range all {
		all[i] = b.bring(fmt.Sprintf("app-%d", i), b.slow, true)
		want[all[i].ID] = store.StatusRunning
	}
	stop := b.watch()
	for n := range cuts {
		inst := all[n%len(all)]
		b.await("the last move to be known", func() bool { return b.get(inst).Status == want[inst.ID] })
		move := func() { want[inst.ID] = b.flip(inst, want[inst.ID]) }
		if n%2 == 0 {
			move()
			b.await("a stream to cut", b.tap.cut)
			continue
		}
		b.await("a stream to cut", b.tap.cutOff)
		move()
		b.tap.reopen()
	}
	for _, inst := range all {
		b.await("the last move to be known", func() bool { return b.get(inst).Status == want[inst.ID] })
	}
	stop()
	told := 0
	for _, e := range allEvents(t, b.scanField.db) {
		if _, _, moved := moveOf(e, ""); moved {
			told++
		}
	}
	if told != cuts {
		t.Errorf("%d changes were told of, %d were made", told, cuts)
	}
	b.intact(t)
}

// flip stops what runs and starts what does not.
func (b *faultBed) flip(inst store.Instance, is store.Status) store.Status {
	b.t.Helper()
	act, becomes := func() error { return b.scanField.adapter.Start(b.t.Context(), b.owned(inst)) }, store.StatusRunning
	if is == store.StatusRunning {
		act, becomes = func() error { return b.scanField.adapter.Stop(b.t.Context(), b.owned(inst), 0) }, store.StatusStopped
	}
	if err := act(); err != nil {
		b.t.Fatal(err)
	}
	return becomes
}

func many(t *testing.T, app string) {
	const created, exited, together = 1000, 50, 8
	engine := enginetest.StartPrivate(t)
	b := newFaultBed(t, engine.Endpoint(), app, store.Options{DataDir: t.TempDir()})
	ctx, adapter := t.Context(), b.scanField.adapter
	rows := make([]store.Instance, created+exited)
	eachOf(len(rows), together, func(i int) {
		stage := b.slow
		if i >= created {
			stage = b.stage
		}
		inst := storetest.NewInstance(stage, func(r *store.Instance) {
			r.Name, r.EngineID, r.CreatedAt = fmt.Sprintf("many-%d", i), b.host.EngineID, stamp(time.Now())
			r.Status, r.Intended = store.StatusStopped, store.IntendedStopped
		})
		id, err := adapter.Create(ctx, docker.CreateOptions{
			Name: fmt.Sprintf("many-%d", i), Image: cleanImage, Mounts: []docker.Mount{{Type: "volume", Name: "data", Target: "/data"}}, // or each has one of its own
			Labels: map[string]string{docker.LabelManaged: "true", docker.LabelInstallation: b.scanField.db.InstallationID(), docker.LabelInstance: inst.ID},
		})
		if err != nil {
			t.Error(err)
			return
		}
		inst.ContainerID = id
		if i >= created {
			if err := errors.Join(adapter.Start(ctx, b.owned(inst)), adapter.Stop(ctx, b.owned(inst), time.Second)); err != nil {
				t.Error(err)
				return
			}
		}
		b.note(id, inst.Name, nil)
		rows[i] = inst
	})
	if t.Failed() {
		return
	}
	b.volumes = append(b.volumes, "data")
	storetest.Update(t, b.scanField.db, func(ctx context.Context, tx *store.Tx) error {
		for i, inst := range rows {
			b.initial[inst.ID], b.stale[inst.ID] = inst.Status, i >= created
			if err := tx.InsertInstance(ctx, inst); err != nil {
				return err
			}
		}
		return nil
	})
	stop := b.watch()
	b.await("fifty to be stale", func() bool { return b.scan().Stale == exited })
	plan := b.planOf(exited)
	done, err := b.apply(ctx, plan.ID)
	if err != nil || results(done)[store.ResultRemoved] != exited {
		t.Errorf("%v %v", results(done), err)
	}
	if run := b.scan(); run.Stale != 0 || run.Known != created {
		t.Errorf("afterwards: %+v", run)
	}
	stop()
	b.intact(t)
}

func racingClients(t *testing.T, app string) {
	b := newFaultBed(t, enginetest.Endpoint(t), app, store.Options{DataDir: t.TempDir()})
	dead := b.deadOnes("one", "two", "three", "four")
	same, other := b.planOf(len(dead)), b.planOf(len(dead))
	plans := []string{same.ID, same.ID, other.ID}
	var mu sync.Mutex
	var used int
	var ends []store.Plan
	eachOf(len(plans), len(plans), func(i int) {
		done, err := b.cleaner.Apply(t.Context(), plans[i], fmt.Sprintf("user:%d", i), true, nil)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case errors.Is(err, ErrPlanUsed):
			used++
		case err != nil:
			t.Error(err)
		default:
			ends = append(ends, done)
		}
	})
	b.applied = []string{same.ID, other.ID}
	if used != 1 || len(ends) != 2 {
		t.Errorf("%d were told that the plan is used up, %d ended", used, len(ends))
	}
	by := map[string]int{}
	for _, end := range ends {
		for _, item := range end.Items {
			switch item.Result {
			case store.ResultRemoved:
				by[item.InstanceID]++
			case store.ResultInUse, store.ResultAlreadyGone:
			default:
				t.Errorf("%s: %s %s", item.Name, item.Result, item.ResultDetail)
			}
		}
	}
	for _, i := range dead {
		if by[i.ID] != 1 {
			t.Errorf("%s was removed %d times", i.Name, by[i.ID])
		}
	}
	b.intact(t)
}

func diskFull(t *testing.T, app string) {
	dir := t.TempDir()
	mount(t, dir, "4m")
	b := newFaultBed(t, enginetest.Endpoint(t), app, store.Options{DataDir: dir})
	dead, up := b.deadOnes("one", "two"), b.bring("up", b.stage, true)
	plan := b.planOf(len(dead))
	filler := filepath.Join(dir, "filler")
	fill(t, filler)
	if _, err := b.scanner.Scan(t.Context(), b.host.ID, "manual"); !errors.Is(err, store.ErrDiskFull) {
		t.Errorf("a scan: %v", err)
	}
	if _, err := b.cleaner.Apply(t.Context(), plan.ID, "user:anna", true, nil); !errors.Is(err, store.ErrDiskFull) {
		t.Errorf("a cleanup: %v", err)
	}
	b.wantThere(append(dead, up)...)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	b.scan()
	plan = b.planOf(len(dead))
	if done, err := b.apply(t.Context(), plan.ID); err != nil || results(done)[store.ResultRemoved] != len(dead) {
		t.Errorf("with room again: %v %v", results(done), err)
	}
	b.intact(t)
	if err := b.scanField.db.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// mount puts a small file system in memory at dir.
func mount(t *testing.T, dir, size string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "size="+size, "docker-watcher-test", dir).CombinedOutput(); err != nil {
		t.Fatalf("this test needs to mount a tmpfs, so root: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.CommandContext(context.WithoutCancel(t.Context()), "umount", "-l", dir).CombinedOutput(); err != nil {
			t.Errorf("unmount %s: %v: %s", dir, err, out)
		}
	})
}

// fill writes a file until there is no room left.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	for size := 64 << 10; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func databaseRemoved(t *testing.T, app string) {
	dir := t.TempDir()
	b := newFaultBed(t, enginetest.Endpoint(t), app, store.Options{DataDir: dir})
	dead, up := b.deadOnes("one", "two"), b.bring("up", b.stage, true)
	plan := b.planOf(len(dead))
	file := filepath.Join(dir, "docker-watcher.db")
	saved := filepath.Join(t.TempDir(), "saved.db")
	if err := errors.Join(os.Link(file, saved), os.Remove(file)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.scanner.Scan(t.Context(), b.host.ID, "manual"); !errors.Is(err, store.ErrMoved) {
		t.Errorf("a scan: %v", err)
	}
	if _, err := b.cleaner.Apply(t.Context(), plan.ID, "user:anna", true, nil); !errors.Is(err, store.ErrMoved) {
		t.Errorf("a cleanup: %v", err)
	}
	if err := b.scanField.db.Ping(t.Context()); !errors.Is(err, store.ErrMoved) {
		t.Errorf("readiness: %v", err)
	}
	b.wantThere(append(dead, up)...)
	if err := os.Link(saved, file); err != nil {
		t.Fatal(err)
	}
	b.scan()
	if done, err := b.apply(t.Context(), plan.ID); err != nil || results(done)[store.ResultRemoved] != len(dead) {
		t.Errorf("put back: %v %v", results(done), err)
	}
	b.intact(t)
}

// databaseLost: a daemon that finds no database begins anew, and owns nothing of what the former one made.
func databaseLost(t *testing.T, app string) {
	dir := t.TempDir()
	b := newFaultBed(t, enginetest.Endpoint(t), app, store.Options{DataDir: dir})
	all := append(b.deadOnes("one", "two"), b.bring("up", b.stage, true))
	files, err := filepath.Glob(filepath.Join(dir, "docker-watcher.db*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v %v", files, err)
	}
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.scanField.db.Close(); err != nil {
		t.Fatal(err)
	}
	anew := newScanFieldIn(t, b.scanField.adapter, storetest.With(t, store.Options{DataDir: dir}))
	stop := anew.watch()
	if run := anew.scan(); run.Known != 0 || run.Stale != 0 {
		t.Errorf("a scan without the former database: %+v", run)
	}
	plan, err := anew.cleaner.Plan(t.Context(), Selection{}, "user:anna")
	if err != nil || len(plan.Items) > 0 {
		t.Errorf("a plan without the former database: %+v %v", plan.Items, err)
	}
	stop()
	b.wantThere(all...)
	b.volumesThere(t)
	for _, e := range allEvents(t, anew.db) {
		if e.InstanceID != "" {
			t.Errorf("an event of what is not its own: %s", e.Message)
		}
	}
}

func (b *faultBed) wantThere(all ...store.Instance) {
	b.t.Helper()
	for _, i := range all {
		if !b.exists(i.ContainerID) {
			b.t.Errorf("%s is gone", i.Name)
		}
	}
}

func engineClockJumps(t *testing.T, _ string) {
	inBed(t, func(t *testing.T, b *cleanBed) {
		keep := newInvariants(b.db, b.adapter)
		old, ct := b.plant("old", 20, nil)
		ended := b.engine.Now().Add(-day)
		fresh := b.engine.Add(dockertest.Template{
			Name: "young", Image: "shop:1.0", State: dockertest.Exited, Created: ended.Add(-day), Started: ended.Add(-time.Hour), Finished: ended,
		})
		young := b.row("young")
		young.ContainerID, young.Status, young.LastAliveAt, young.Evidence = fresh.ID, store.StatusStopped, stamp(ended), store.EvidenceFinishedAt
		b.update(func(tx *store.Tx) error { return tx.InsertInstance(t.Context(), young) })
		keep.note(ct.ID, old.Name, nil)
		keep.note(fresh.ID, young.Name, nil)
		keep.initial[old.ID], keep.initial[young.ID] = old.Status, young.Status
		keep.stale[old.ID] = true // as planted
		scanner := NewScanner(b.db, b.fleet, b.log)
		plan := b.planAll()
		for _, jump := range []time.Duration{30 * day, -30 * day} {
			b.engine.SetClock(jump)
			if _, err := scanner.Scan(t.Context(), b.host.ID, "manual"); !errors.Is(err, ErrBlind) {
				t.Errorf("%v: the scan ends with %v", jump, err)
			}
			if _, err := b.cleaner.Plan(t.Context(), Selection{InstanceID: old.ID}, "user:anna"); !errors.Is(err, ErrFrozen) {
				t.Errorf("%v: a plan: %v", jump, err)
			}
		}
		done, err := b.cleaner.Apply(t.Context(), plan.ID, "user:anna", true, nil)
		if err != nil || results(done)[store.ResultKept] != len(plan.Items) {
			t.Errorf("the plan made before: %v %v", results(done), err)
		}
		keep.applied = append(keep.applied, plan.ID)
		b.engine.SetClock(0)
		if _, err := scanner.Scan(t.Context(), b.host.ID, "manual"); err != nil {
			t.Errorf("with the right time again: %v", err)
		}
		plan = b.planAll()
		if len(plan.Items) != 1 {
			t.Errorf("planned: %+v", plan.Items)
		}
		b.apply(plan)
		keep.applied = append(keep.applied, plan.ID)
		keep.intact(t)
	})
}

func ownClockJumps(t *testing.T, _ string) {
	for name, jump := range map[string]time.Duration{"ahead": 30 * day, "back": -30 * day} {
		t.Run(name, func(t *testing.T) {
			inScanBed(t, dockertest.Docker28(), func(t *testing.T, b *scanBed) {
				keep := newInvariants(b.db, b.adapter)
				young, ct := b.dead("young", 3*day)
				old, oldCt := b.dead("old", 9*day)
				up, upCt := b.run("up")
				for inst, c := range map[*store.Instance]*dockertest.Container{&young: ct, &old: oldCt, &up: upCt} {
					keep.note(c.ID, inst.Name, nil)
					keep.initial[inst.ID] = inst.Status
				}
				b.scanner.wall = func() time.Time { return time.Now() }
				keep.stale[old.ID] = true
				b.scan()
				b.scanner.wall = func() time.Time { return time.Now().Add(jump) }
				b.pass(time.Minute)
				b.scanBlind()
				b.wantStaleList("old")
				b.pass(time.Minute)
				b.scan() // it was turned once: from here on both clocks go on alike
				b.wantStaleList("old")
				b.wantEvents("instance.stale", 1)
				b.wantEvents("scan.blind", 1)
				keep.intact(t)
			})
		})
	}
}
