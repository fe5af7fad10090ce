package docker_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
)

func tellsWhoItIs(t *testing.T, s *subject) {
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	info, err := s.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if again.EngineID != info.EngineID || (info.EngineID != "") != s.hasID {
		t.Errorf("its id is %q and then %q", info.EngineID, again.EngineID)
	}
	if info.Name == "" || info.Version == "" || info.DataRoot == "" || info.OS != "linux" || info.Arch == "" || info.StorageDriver == "" {
		t.Errorf("something is missing: %+v", info)
	}
	if !strings.HasPrefix(info.APIVersion, "1.") {
		t.Errorf("API version %q", info.APIVersion)
	}
	if off := time.Since(info.SystemTime).Abs(); off > time.Minute {
		t.Errorf("the engine's clock is off by %v", off)
	}
	if skew, ok := s.Skew(); !ok || skew != 0 || info.Skew != 0 {
		t.Errorf("skew %v %v, of info %v", skew, ok, info.Skew)
	}
}

func created(t *testing.T, s *subject) {
	before := time.Now()
	id := s.create(t)
	c := s.inspect(t, id)
	if c.ID != id || c.State != docker.StateCreated || c.Running || c.ExitCode != 0 || c.RestartCount != 0 || c.RestartPolicy != "no" {
		t.Errorf("%+v", c)
	}
	if !c.StartedAt.IsZero() || !c.FinishedAt.IsZero() {
		t.Errorf("never started, yet started %v and finished %v", c.StartedAt, c.FinishedAt)
	}
	if c.CreatedAt.Before(before.Add(-5*time.Second)) || c.CreatedAt.After(time.Now().Add(5*time.Second)) {
		t.Errorf("created %v", c.CreatedAt)
	}
	if c.Labels[docker.LabelInstance] != instance || c.SizeRw != -1 || len(c.Raw) == 0 || c.HasHealthcheck || c.Health != "" {
		t.Errorf("%+v", c)
	}
	if !strings.HasPrefix(c.ImageID, "sha256:") || !s.namedAs(c.Image, s.image) {
		t.Errorf("image %q %q", c.Image, c.ImageID)
	}
	row, ok := s.listed(t, id, docker.ListOptions{States: []docker.State{docker.StateCreated, docker.StateExited}})
	if !ok || row.State != docker.StateCreated || row.Name != c.Name || row.Labels[docker.LabelInstance] != instance || !s.namedAs(row.Image, s.image) {
		t.Errorf("listed %v as %+v", ok, row)
	}
	if row.Created.Sub(c.CreatedAt).Abs() > time.Second {
		t.Errorf("listed as created %v, inspected %v", row.Created, c.CreatedAt)
	}
	if _, ok := s.listed(t, id, docker.ListOptions{States: []docker.State{docker.StateRunning}}); ok {
		t.Error("listed among the running ones")
	}
	if err := s.Stop(t.Context(), own(id), time.Second); err != nil {
		t.Errorf("a stop of what was never started: %v", err)
	}
	if c := s.inspect(t, id); c.State != docker.StateCreated || !c.FinishedAt.IsZero() {
		t.Errorf("after that: %s, finished %v", c.State, c.FinishedAt)
	}
}

// namedAs says whether an engine's name of an image is the one it was asked for by.
func (s *subject) namedAs(name, asked string) bool {
	return name == asked || !s.ownNames && strings.HasSuffix(name, "/"+asked)
}

func running(t *testing.T, s *subject) {
	id := s.run(t)
	c := s.inspect(t, id)
	if c.State != docker.StateRunning || !c.Running || c.StartedAt.IsZero() || !c.FinishedAt.IsZero() || c.StartedAt.Before(c.CreatedAt) {
		t.Errorf("%+v", c)
	}
	if row, ok := s.listed(t, id, docker.ListOptions{States: []docker.State{docker.StateRunning}}); !ok || row.State != docker.StateRunning {
		t.Errorf("listed %v as %s", ok, row.State)
	}
	if err := s.Start(t.Context(), own(id)); err != nil {
		t.Errorf("a start of what runs: %v", err)
	}
	if again := s.inspect(t, id); !again.StartedAt.Equal(c.StartedAt) {
		t.Error("a start of what runs has started it again")
	}
}

func portsAndVolumes(t *testing.T, s *subject) {
	volume := enginetest.Name(t)
	id := s.run(t, func(o *docker.CreateOptions) {
		o.Ports = []docker.Port{{Container: enginetest.AppPort, HostIP: "127.0.0.1", Protocol: "tcp"}}
		o.Mounts = []docker.Mount{{Type: "volume", Name: volume, Target: "/kept"}}
	})
	c := s.inspect(t, id)
	if len(c.Ports) != 1 || c.Ports[0].Container != enginetest.AppPort || c.Ports[0].Host == 0 || c.Ports[0].HostIP != "127.0.0.1" {
		t.Errorf("ports %+v", c.Ports)
	}
	address := ""
	for _, ip := range c.Networks {
		address = ip
	}
	if address == "" {
		t.Errorf("no address: %v", c.Networks)
	}
	var named, anonymous int
	for _, m := range c.Mounts {
		switch {
		case m.Anonymous && m.Target == "/data" && len(m.Name) == 64:
			anonymous++
		case m.Name == volume && m.Target == "/kept" && !m.Anonymous && !m.ReadOnly:
			named++
		}
	}
	if named != 1 || anonymous != 1 {
		t.Errorf("mounts %+v", c.Mounts)
	}
}

func stopped(t *testing.T, s *subject) {
	id := s.run(t)
	s.awaitOutput(t, id, "serving")
	if err := s.Stop(t.Context(), own(id), 5*time.Second); err != nil {
		t.Fatal(err)
	}
	c := s.inspect(t, id)
	if c.State != docker.StateExited || c.Running || c.ExitCode != 0 || c.FinishedAt.Before(c.StartedAt) || c.OOMKilled {
		t.Errorf("%+v", c)
	}
	if row, ok := s.listed(t, id, docker.ListOptions{States: []docker.State{docker.StateExited}}); !ok || row.State != docker.StateExited {
		t.Errorf("listed %v as %s", ok, row.State)
	}
	if err := s.Stop(t.Context(), own(id), time.Second); err != nil {
		t.Errorf("a second stop: %v", err)
	}
	if again := s.inspect(t, id); !again.FinishedAt.Equal(c.FinishedAt) {
		t.Error("a second stop has moved the time of the first")
	}
	if err := s.Pause(t.Context(), own(id)); !errors.Is(err, docker.ErrConflict) {
		t.Errorf("a pause of what is stopped: %v", err)
	}
}

// awaitOutput waits for a line of the container's, so that its process is known to be up.
func (s *subject) awaitOutput(t *testing.T, id, text string) {
	t.Helper()
	s.awaitOutputs(t, id, text, 1)
}

func (s *subject) awaitOutputs(t *testing.T, id, text string, times int) {
	t.Helper()
	eventually(t, "the line "+text, func() bool {
		found := 0
		if err := s.Logs(t.Context(), id, docker.LogOptions{}, func(l docker.LogLine) error {
			if strings.Contains(l.Text, text) {
				found++
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return found >= times
	})
}

func stopIgnored(t *testing.T, s *subject) {
	id := s.run(t, env("IGNORE_TERM=1"))
	s.awaitOutput(t, id, "serving")
	began := time.Now()
	if err := s.Stop(t.Context(), own(id), time.Second); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 900*time.Millisecond {
		t.Errorf("stopped after %v, before its grace", took)
	}
	if c := s.inspect(t, id); c.State != docker.StateExited || c.ExitCode != 137 || c.OOMKilled {
		t.Errorf("%s %d, out of memory %v", c.State, c.ExitCode, c.OOMKilled)
	}
}

func exitedByItself(t *testing.T, s *subject) {
	for _, code := range []string{"0", "7"} {
		id := s.run(t, env("EXIT_AFTER_MS=50", "EXIT_CODE="+code))
		c := s.await(t, id, "the end of the process", inState(docker.StateExited))
		if c.Running || c.ExitCode != int(code[0]-'0') || c.FinishedAt.Add(s.startLag).Before(c.StartedAt) || c.RestartCount != 0 {
			t.Errorf("%+v", c)
		}
	}
}

func startedAgain(t *testing.T, s *subject) {
	id := s.run(t)
	if err := s.Stop(t.Context(), own(id), time.Second); err != nil {
		t.Fatal(err)
	}
	first := s.inspect(t, id)
	if err := s.Start(t.Context(), own(id)); err != nil {
		t.Fatal(err)
	}
	c := s.inspect(t, id)
	if c.State != docker.StateRunning || !c.StartedAt.After(first.FinishedAt) {
		t.Errorf("%s since %v, stopped before at %v", c.State, c.StartedAt, first.FinishedAt)
	}
	if !c.FinishedAt.Equal(first.FinishedAt) {
		t.Errorf("while it runs again its last end is %v, was %v", c.FinishedAt, first.FinishedAt)
	}
}

func paused(t *testing.T, s *subject) {
	id := s.run(t)
	if err := s.Pause(t.Context(), own(id)); err != nil {
		t.Fatal(err)
	}
	if c := s.inspect(t, id); c.State != docker.StatePaused || !c.Running {
		t.Errorf("%s, running %v", c.State, c.Running)
	}
	if row, ok := s.listed(t, id, docker.ListOptions{States: []docker.State{docker.StatePaused}}); !ok || row.State != docker.StatePaused {
		t.Errorf("listed %v as %s", ok, row.State)
	}
	for doing, err := range map[string]error{
		"pause":  s.Pause(t.Context(), own(id)),
		"start":  s.Start(t.Context(), own(id)),
		"remove": s.Remove(t.Context(), own(id)),
	} {
		if !errors.Is(err, docker.ErrConflict) {
			t.Errorf("%s of a paused one: %v", doing, err)
		}
	}
	if err := s.Unpause(t.Context(), own(id)); err != nil {
		t.Fatal(err)
	}
	if c := s.inspect(t, id); c.State != docker.StateRunning {
		t.Errorf("after unpause: %s", c.State)
	}
	if err := s.Unpause(t.Context(), own(id)); err == nil {
		t.Error("an unpause of what is not paused succeeded")
	}
	if err := s.Pause(t.Context(), own(id)); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(t.Context(), own(id), 2*time.Second); err != nil {
		t.Fatalf("a stop of a paused one: %v", err)
	}
	if c := s.inspect(t, id); c.State != docker.StateExited || c.Running {
		t.Errorf("after the stop: %s, running %v", c.State, c.Running)
	}
}

func crashLoop(t *testing.T, s *subject) {
	id := s.run(t, policy("always"), env("EXIT_AFTER_MS=20", "EXIT_CODE=7"))
	s.await(t, id, "three restarts", func(c docker.Container) bool { return c.RestartCount >= 3 })
	seen := map[docker.State]bool{}
	s.await(t, id, "a wait between two runs", func(c docker.Container) bool {
		seen[c.State] = true
		if c.State == docker.StateRestarting && !c.Running {
			t.Error("restarting, but not running: no docker says so")
		}
		return seen[docker.StateRestarting] || !s.showsRestarting && (seen[docker.StateExited] || seen[docker.StateRunning])
	})
	switch err := s.Remove(t.Context(), own(id)); {
	case err == nil && !s.guardsCrashLoop:
		return // it was asked between two runs
	case !errors.Is(err, docker.ErrConflict):
		t.Errorf("a removal in a crash loop: %v", err)
	}
	s.endLoop(t, id)
}

// endLoop stops a crash loop and removes it. On podman a stop that comes between two runs ends nothing.
func (s *subject) endLoop(t *testing.T, id string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		if err := s.Stop(ctx, own(id), 2*time.Second); err != nil {
			t.Fatal(err)
		}
		if c := s.await(t, id, "the end of the loop", inState(docker.StateExited)); c.Running {
			t.Errorf("%+v", c)
		}
		err := s.Remove(ctx, own(id))
		if !s.guardsCrashLoop && errors.Is(err, docker.ErrConflict) {
			continue // the next run had begun
		}
		if err != nil {
			t.Errorf("a removal after the loop: %v", err)
		}
		return
	}
}

func onFailureUsedUp(t *testing.T, s *subject) {
	id := s.run(t, policy("on-failure:2"), env("EXIT_AFTER_MS=20", "EXIT_CODE=7"))
	c := s.await(t, id, "the last try", func(c docker.Container) bool { return c.State == docker.StateExited && c.RestartCount == 2 })
	if c.ExitCode != 7 || c.RestartPolicy != "on-failure" || c.FinishedAt.IsZero() {
		t.Errorf("%+v", c)
	}
}

func failedStart(t *testing.T, s *subject) {
	status, answer := s.request(t, http.MethodPost, "/containers/create?name="+enginetest.Name(t), map[string]any{
		"Image": s.image, "Entrypoint": []string{"/nope"}, "Labels": labels(),
	})
	if status != http.StatusCreated {
		t.Fatalf("%d %s", status, answer)
	}
	_, id, _ := strings.Cut(string(answer), `"Id":"`)
	id = id[:64]
	enginetest.RemoveAfter(t, s.side, id)
	err := s.Start(t.Context(), own(id))
	if err == nil || !strings.Contains(err.Error(), "/nope") {
		t.Errorf("the start of nothing: %v", err)
	}
	c := s.inspect(t, id)
	if c.State != docker.StateCreated || !c.StartedAt.IsZero() || !c.FinishedAt.IsZero() || c.Running {
		t.Errorf("%+v", c)
	}
	if s.keepsStartError && (c.ExitCode != 127 || c.Error == "") {
		t.Errorf("exit code %d, error %q", c.ExitCode, c.Error)
	}
}

func restart(t *testing.T, s *subject) {
	id := s.run(t)
	first := s.inspect(t, id)
	if err := s.Restart(t.Context(), own(id), time.Second); err != nil {
		t.Fatal(err)
	}
	c := s.inspect(t, id)
	if c.State != docker.StateRunning || !c.StartedAt.After(first.StartedAt) || c.RestartCount != 0 {
		t.Errorf("%s since %v (before %v), restart count %d", c.State, c.StartedAt, first.StartedAt, c.RestartCount)
	}
	if err := s.Stop(t.Context(), own(id), time.Second); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(t.Context(), own(id), time.Second); err != nil {
		t.Fatalf("a restart of what is stopped: %v", err)
	}
	if c := s.inspect(t, id); c.State != docker.StateRunning {
		t.Errorf("after that: %s", c.State)
	}
}

// anotherRestart: the policy of a container can be changed while it runs, or it is said that it cannot and all stays as it was.
func anotherRestart(t *testing.T, s *subject) {
	id := s.create(t, func(o *docker.CreateOptions) { o.Restart = "always" })
	if err := s.Start(t.Context(), own(id)); err != nil {
		t.Fatal(err)
	}
	err := s.SetRestart(t.Context(), own(id), "unless-stopped")
	want := "unless-stopped"
	if !s.changesRestart {
		want = "always"
	}
	if (err == nil) != s.changesRestart {
		t.Errorf("change it: %v", err)
	}
	if c := s.inspect(t, id); c.RestartPolicy != want || c.State != docker.StateRunning {
		t.Errorf("it is %s with the policy %s, want %s", c.State, c.RestartPolicy, want)
	}
	if err := s.SetRestart(t.Context(), own(id), "sometimes"); !errors.Is(err, docker.ErrInvalid) {
		t.Errorf("a policy that there is not: %v", err)
	}
	if err := s.Stop(t.Context(), own(id), time.Second); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, s *subject) {
	id := s.run(t)
	if err := s.Remove(t.Context(), own(id)); !errors.Is(err, docker.ErrConflict) {
		t.Errorf("a removal of what runs: %v", err)
	}
	if c := s.inspect(t, id); c.State != docker.StateRunning {
		t.Errorf("after the refusal: %s", c.State)
	}
	if err := s.Stop(t.Context(), own(id), time.Second); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(t.Context(), own(id)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Inspect(t.Context(), id); !errors.Is(err, docker.ErrNotFound) {
		t.Errorf("an inspect after the removal: %v", err)
	}
	if err := s.Remove(t.Context(), own(id)); !errors.Is(err, docker.ErrNotFound) {
		t.Errorf("a second removal: %v", err)
	}
	if _, ok := s.listed(t, id, docker.ListOptions{}); ok {
		t.Error("still listed")
	}
}

func removedByMany(t *testing.T, s *subject) {
	id := s.create(t)
	results := make(chan error, 4)
	var all sync.WaitGroup
	for range cap(results) {
		all.Go(func() { results <- s.Remove(t.Context(), own(id)) })
	}
	all.Wait()
	close(results)
	removed := 0
	for err := range results {
		switch {
		case err == nil:
			removed++
		case !errors.Is(err, docker.ErrNotFound) && !errors.Is(err, docker.ErrConflict):
			t.Errorf("one of many removals: %v", err)
		}
	}
	if _, err := s.Inspect(t.Context(), id); !errors.Is(err, docker.ErrNotFound) {
		t.Errorf("afterwards: %v", err)
	}
	if removed == 0 {
		t.Error("nobody was told to have removed it")
	}
}

func volumesStay(t *testing.T, s *subject) {
	named := enginetest.Name(t)
	id := s.create(t, func(o *docker.CreateOptions) {
		o.Mounts = []docker.Mount{{Type: "volume", Name: named, Target: "/kept"}}
	})
	mounts := s.inspect(t, id).Mounts
	if len(mounts) != 2 {
		t.Fatalf("mounts %+v", mounts)
	}
	if err := s.Remove(t.Context(), own(id)); err != nil {
		t.Fatal(err)
	}
	for _, m := range mounts {
		if status, answer := s.request(t, http.MethodGet, "/volumes/"+m.Name, nil); status != http.StatusOK {
			t.Errorf("the volume at %s is gone: %d %s", m.Target, status, answer)
		}
	}
}

func notThere(t *testing.T, s *subject) {
	ctx, id := t.Context(), strings.Repeat("0badc0de", 8)
	_, inspected := s.Inspect(ctx, id)
	_, sized := s.InspectSize(ctx, id)
	_, sampled := s.Figures(ctx, id)
	for doing, err := range map[string]error{
		"inspect": inspected, "size": sized, "stats": sampled,
		"start": s.Start(ctx, own(id)), "stop": s.Stop(ctx, own(id), time.Second), "restart": s.Restart(ctx, own(id), time.Second),
		"pause": s.Pause(ctx, own(id)), "unpause": s.Unpause(ctx, own(id)), "remove": s.Remove(ctx, own(id)),
		"logs": s.Logs(ctx, id, docker.LogOptions{}, func(docker.LogLine) error { return nil }),
	} {
		if !errors.Is(err, docker.ErrNotFound) {
			t.Errorf("%s: %v", doing, err)
		}
	}
}

func cannotCreate(t *testing.T, s *subject) {
	taken := enginetest.Name(t)
	first := s.create(t, func(o *docker.CreateOptions) { o.Name = taken })
	_, err := s.Create(t.Context(), docker.CreateOptions{Name: taken, Image: s.image})
	if !errors.Is(err, docker.ErrConflict) {
		t.Errorf("a name that is taken: %v", err)
	}
	if c := s.inspect(t, taken); c.ID != first {
		t.Errorf("the name leads to %s, not to %s", c.ID, first)
	}
	_, err = s.Create(t.Context(), docker.CreateOptions{Name: enginetest.Name(t), Image: "dwt/nothing:1.0"})
	if !errors.Is(err, docker.ErrNotFound) {
		t.Errorf("an image that is not there: %v", err)
	}
	_, err = s.Create(t.Context(), docker.CreateOptions{Name: ".bad name", Image: s.image})
	if err == nil || s.refusesNames && !errors.Is(err, docker.ErrInvalid) {
		t.Errorf("a name that is none: %v", err)
	}
}

func notOurs(t *testing.T, s *subject) {
	mine := s.run(t)
	foreign := s.runForeign(t, nil)
	swarm := s.runForeign(t, map[string]string{docker.LabelInstallation: installation, docker.LabelInstance: instance, docker.LabelSwarmTask: "task"})
	name := s.inspect(t, mine).Name
	tests := map[string]docker.Owned{
		"another installation":       {ID: mine, Installation: "other", Instance: instance},
		"another instance":           {ID: mine, Installation: installation, Instance: "two"},
		"no installation":            {ID: mine, Instance: instance},
		"no instance":                {ID: mine, Installation: installation},
		"a short id":                 own(mine[:12]),
		"a name":                     own(name),
		"no id":                      own(""),
		"without labels":             own(foreign),
		"a Swarm task":               own(swarm),
		"a Swarm task, adopted":      {ID: swarm, Adopted: true},
		"adopted, but by a short id": {ID: foreign[:12], Adopted: true},
	}
	for what, owned := range tests {
		for doing, err := range map[string]error{
			"stop": s.Stop(t.Context(), owned, time.Second), "restart": s.Restart(t.Context(), owned, time.Second),
			"pause": s.Pause(t.Context(), owned), "remove": s.Remove(t.Context(), owned),
		} {
			if !errors.Is(err, docker.ErrNotOwned) {
				t.Errorf("%s of %s: %v", doing, what, err)
			}
		}
	}
	for _, id := range []string{mine, foreign, swarm} {
		if c := s.inspect(t, id); c.State != docker.StateRunning || !c.FinishedAt.IsZero() {
			t.Errorf("%s was touched: %s, ended at %v", id, c.State, c.FinishedAt)
		}
	}
	if err := s.Stop(t.Context(), docker.Owned{ID: foreign, Adopted: true}, time.Second); err != nil {
		t.Errorf("a stop of an adopted one: %v", err)
	}
}

// runForeign runs a container beside the adapter, as another tool would.
func (s *subject) runForeign(t *testing.T, labels map[string]string) string {
	t.Helper()
	id, err := s.Create(t.Context(), docker.CreateOptions{Name: enginetest.Name(t), Image: s.image, Labels: labels})
	if err != nil {
		t.Fatal(err)
	}
	if status, answer := s.request(t, http.MethodPost, "/containers/"+id+"/start", nil); status != http.StatusNoContent {
		t.Fatalf("start: %d %s", status, answer)
	}
	t.Cleanup(func() { s.removeBy(t, id) })
	return id
}

func listFilters(t *testing.T, s *subject) {
	mark := enginetest.Name(t)
	marked := func(o *docker.CreateOptions) { o.Labels["mark"] = mark }
	up := s.run(t, marked)
	down := s.create(t, marked, func(o *docker.CreateOptions) { o.Labels["kind"] = "down" })
	s.create(t)
	tests := []struct {
		name string
		o    docker.ListOptions
		want []string
	}{
		{"a label and its value", docker.ListOptions{Labels: []string{"mark=" + mark}}, []string{up, down}},
		{"two labels", docker.ListOptions{Labels: []string{"mark=" + mark, "kind"}}, []string{down}},
		{"another value", docker.ListOptions{Labels: []string{"mark=" + mark + "x"}}, nil},
		{"a state", docker.ListOptions{Labels: []string{"mark=" + mark}, States: []docker.State{docker.StateRunning}}, []string{up}},
		{"two states", docker.ListOptions{Labels: []string{"mark=" + mark}, States: []docker.State{docker.StateRunning, docker.StateCreated}}, []string{up, down}},
		{"all that is not running", docker.ListOptions{Labels: []string{"mark=" + mark}, States: []docker.State{docker.StateCreated, docker.StateExited, docker.StateDead}}, []string{down}},
		{"a state that nobody is in", docker.ListOptions{Labels: []string{"mark=" + mark}, States: []docker.State{docker.StateDead}}, nil},
	}
	for _, tt := range tests {
		rows, err := s.List(t.Context(), tt.o)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		var got []string
		for _, r := range rows {
			got = append(got, r.ID)
		}
		slices.Sort(got)
		slices.Sort(tt.want)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func size(t *testing.T, s *subject) {
	id := s.create(t)
	c, err := s.InspectSize(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if c.SizeRw < 0 || c.ID != id {
		t.Errorf("size %d of %s", c.SizeRw, c.ID)
	}
}

func health(t *testing.T, s *subject) {
	id := s.run(t, func(o *docker.CreateOptions) { o.Image = s.checked })
	if c := s.inspect(t, id); !c.HasHealthcheck {
		t.Error("its health check is not seen")
	}
	if s.healthMoves {
		s.await(t, id, "healthy", func(c docker.Container) bool { return c.Health == "healthy" })
	} else if c := s.inspect(t, id); c.Health != "starting" && c.Health != "" {
		t.Errorf("health %q of an engine that does not check", c.Health)
	}
	if err := s.Stop(t.Context(), own(id), time.Second); err != nil {
		t.Fatal(err)
	}
	if c := s.inspect(t, id); c.Running {
		t.Error("health has kept it running")
	}
}

func logOfBothStreams(t *testing.T, s *subject) {
	id := s.run(t)
	s.awaitOutput(t, id, "serving 1.0 on port 8080")
	if err := s.Stop(t.Context(), own(id), 2*time.Second); err != nil {
		t.Fatal(err)
	}
	read := func(o docker.LogOptions) (lines []docker.LogLine) {
		t.Helper()
		if err := s.Logs(t.Context(), id, o, func(l docker.LogLine) error {
			lines = append(lines, l)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return lines
	}
	all := read(docker.LogOptions{})
	want := []docker.LogLine{{Stream: "stdout", Text: "serving 1.0 on port 8080"}, {Stream: "stderr", Text: "told to end"}}
	if !slices.Equal(all, want) {
		t.Errorf("%+v, want %+v", all, want)
	}
	if tail := read(docker.LogOptions{Tail: 1}); len(tail) != 1 || tail[0].Text != "told to end" {
		t.Errorf("the last line: %+v", tail)
	}
	stamped := read(docker.LogOptions{Timestamps: true})
	if len(stamped) != 2 || stamped[0].Time.IsZero() || stamped[0].Text != want[0].Text || stamped[1].Time.Before(stamped[0].Time) {
		t.Errorf("with times: %+v", stamped)
	}
	if later := read(docker.LogOptions{Since: time.Now().Add(time.Hour)}); len(later) != 0 {
		t.Errorf("from the future: %+v", later)
	}
	enough := errors.New("enough")
	if err := s.Logs(t.Context(), id, docker.LogOptions{}, func(docker.LogLine) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("the reader's own refusal: %v", err)
	}
}

func logFollowed(t *testing.T, s *subject) {
	id := s.run(t)
	lines := make(chan string, 16)
	ended := make(chan error, 1)
	go func() {
		ended <- s.Logs(t.Context(), id, docker.LogOptions{Follow: true}, func(l docker.LogLine) error {
			lines <- l.Text
			return nil
		})
	}()
	awaitLine(t, lines, "serving")
	if err := s.Stop(t.Context(), own(id), 2*time.Second); err != nil {
		t.Fatal(err)
	}
	awaitLine(t, lines, "told to end")
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("the log of what ended: %v", err)
		}
	case <-time.After(patience):
		t.Error("the log goes on although the container ended")
	}
}

func awaitLine(t *testing.T, lines <-chan string, text string) {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case l := <-lines:
			if strings.Contains(l, text) {
				return
			}
		case <-deadline:
			t.Fatalf("no line %q", text)
		}
	}
}

func stats(t *testing.T, s *subject) {
	id := s.run(t)
	s.awaitOutput(t, id, "serving")
	f, err := s.Figures(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if f.MemoryBytes <= 0 || f.MemoryLimit < f.MemoryBytes || f.PIDs <= 0 || f.CPU <= 0 || time.Since(f.Time).Abs() > time.Minute {
		t.Errorf("%+v", f)
	}
}

func images(t *testing.T, s *subject) {
	ctx := t.Context()
	img, err := s.InspectImage(ctx, s.image)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(img.ID, "sha256:") || img.OS != "linux" || img.Size <= 0 || img.HasHealthcheck || !slices.Equal(img.ExposedPorts, []int{enginetest.AppPort}) {
		t.Errorf("%+v", img)
	}
	if !slices.ContainsFunc(img.Tags, func(tag string) bool { return s.namedAs(tag, s.image) }) {
		t.Errorf("tags %v", img.Tags)
	}
	checked, err := s.InspectImage(ctx, s.checked)
	if err != nil || checked.HasHealthcheck != s.tellsImageCheck || checked.ID == img.ID {
		t.Errorf("%+v %v", checked, err)
	}
	if _, err := s.InspectImage(ctx, "dwt/nothing:1.0"); !errors.Is(err, docker.ErrNotFound) {
		t.Errorf("an image that is not there: %v", err)
	}
	created, up := s.create(t), s.run(t)
	other := s.create(t, func(o *docker.CreateOptions) { o.Image = s.checked })
	users, err := s.ImageUsers(ctx, img.ID)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(users, created) || !slices.Contains(users, up) || slices.Contains(users, other) {
		t.Errorf("users %v; want %s and %s, but not %s", users, created, up, other)
	}
	if users, err := s.ImageUsers(ctx, "sha256:"+strings.Repeat("0", 64)); !errors.Is(err, docker.ErrNotFound) {
		t.Errorf("users of an image that is not there: %v %v", users, err)
	}
}
