package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
	"github.com/tiny-forge/docker-watcher/internal/loopbacktest"
)

const (
	within     = time.Minute      // bounds every wait of a script
	allScripts = 15 * time.Minute // bounds all scripts: what runs longer is ended, and its script fails
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"docker-watcher": main})
}

// TestScripts tells the story of each feature against the real server binary on a pretend engine.
func TestScripts(t *testing.T) {
	build := sync.OnceValues(func() (string, error) { return buildServer(t) })
	testscript.RunT(listening{t}, testscript.Params{
		Dir: "testdata/script", Deadline: time.Now().Add(allScripts),
		Setup: func(env *testscript.Env) error {
			server, err := build()
			if err != nil {
				return err
			}
			// Sockets have short names; the script's own folder may be deep.
			short := t.TempDir()
			env.Values["world"] = &world{t: t, server: server, short: short, data: filepath.Join(env.WorkDir, "data"), published: map[string]dockertest.Image{}, pushed: map[string]string{}}
			env.Setenv("XDG_CONFIG_HOME", filepath.Join(env.WorkDir, "config"))
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("COLUMNS", "200")
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"engine":   positive(cmdEngine),
			"far":      positive(cmdFar),
			"publish":  positive(cmdPublish),
			"registry": positive(cmdRegistry),
			"inbox":    positive(cmdInbox),
			"got":      positive(cmdGot),
			"push":     positive(cmdPush),
			"depot":    positive(cmdDepot),
			"tells":    positive(cmdTells),
			"serve":    positive(cmdServe),
			"quit":     positive(cmdQuit),
			"happens":  positive(cmdHappens),
			"exits":    positive(cmdExits),
			"await":    positive(cmdAwait),
			"capture":  positive(cmdCapture),
			"removes":  positive(cmdRemoves),

			"holds":  positive(cmdHolds),
			"asked":  positive(cmdAsked),
			"comes":  positive(cmdComes),
			"crash":  positive(cmdCrash),
			"owners": positive(cmdOwners),

			"stranger": positive(cmdStranger),
			"reads":    positive(cmdReads),
			"uses":     positive(cmdUses),

			"second-factor": positive(cmdSecondFactor),

			"install-plugin": positive(cmdInstallPlugin),
		},
	})
}

func positive(run func(ts *testscript.TestScript, w *world, args []string)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg {
			ts.Fatalf("this command has no opposite")
		}
		w, ok := ts.Value("world").(*world)
		if !ok {
			ts.Fatalf("the script has no world")
		}
		run(ts, w, args)
	}
}

func buildServer(t *testing.T) (string, error) {
	binary := filepath.Join(t.TempDir(), "server")
	build := exec.Command("go", "build", "-trimpath", "-o", binary, "github.com/tiny-forge/docker-watcher/cmd/server")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is shipped
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the server: %w: %s", err, out)
	}
	return binary, nil
}

// world is what surrounds one script: an engine and a server.
type world struct {
	t      *testing.T // of all scripts
	server string
	short  string
	data   string
	engine *dockertest.Engine
	proc   *exec.Cmd
	ended  chan struct{}

	published map[string]dockertest.Image // by their names
	pushed    map[string]string           // digests of the registry, by name
}

// knows has an engine pull by the digest that the registry has of an image.
func (w *world) knows(ref, digest string) {
	w.pushed[ref] = digest
	if image, there := w.published[ref]; there {
		image.Digest = digest
		w.engine.Publish(image)
	}
}

// engine: a pretend engine begins to listen.
func cmdEngine(ts *testscript.TestScript, w *world, _ []string) {
	w.engine = dockertest.Start(dockertest.Options{})
	ts.Check(w.engine.Listen(filepath.Join(w.short, "engine.sock")))
	ts.Defer(w.engine.Close)
}

// far: a second pretend engine listens, at FAR_SOCKET and behind a real ssh server at FAR_SSH. ssh-key is let in there, sealed-key
// is so too but needs its passphrase; FAR_FINGERPRINT is the server's.
func cmdFar(ts *testscript.TestScript, w *world, _ []string) {
	far := dockertest.Start(dockertest.Options{EngineID: "FAR", DataRoot: "/far/docker", Name: "far"})
	socket := filepath.Join(w.short, "far.sock")
	ts.Check(far.Listen(socket))
	ts.Defer(far.Close)
	s := enginetest.StartSSHD(w.t)
	sealed, public := enginetest.SSHKey(w.t, "horse")
	s.Authorize(public)
	for name, text := range map[string]string{"ssh-key": s.Key, "sealed-key": sealed} {
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
	ts.Setenv("FAR_SOCKET", "unix://"+socket)
	ts.Setenv("FAR_SSH", s.Endpoint(socket))
	ts.Setenv("FAR_FINGERPRINT", docker.Fingerprint(s.HostKey))
}

// publish REF [healthy|unhealthy|waits|exit=MS:CODE|volume=/PATH|slow=MS|login=USER:PASSWORD]...: an image can be pulled.
func cmdPublish(ts *testscript.TestScript, w *world, args []string) {
	image := dockertest.Image{Ref: args[0], Size: 12_300_000}
	for _, a := range args[1:] {
		name, value, _ := strings.Cut(a, "=")
		switch name {
		case "healthy":
			image.Health, image.Life.Health, image.Life.HealthAfter = true, true, 100*time.Millisecond
		case "unhealthy":
			image.Health, image.Life.Unhealthy, image.Life.HealthAfter = true, true, 100*time.Millisecond
		case "waits":
			image.Health, image.Life.Health, image.Life.HealthAfter = true, true, time.Hour
		case "exit":
			ms, code, _ := strings.Cut(value, ":")
			image.Life.ExitAfter, image.Life.ExitCode = time.Duration(number(ts, ms))*time.Millisecond, number(ts, code)
		case "volume":
			image.Volumes = append(image.Volumes, value)
		case "login":
			username, password, _ := strings.Cut(value, ":")
			host, _, _ := strings.Cut(args[0], "/")
			auth, err := docker.Credential(host, username, password)
			ts.Check(err)
			image.Auth = auth
		case "slow":
			image.PullTime = time.Duration(number(ts, value)) * time.Millisecond
		default:
			ts.Fatalf("publish: %q", a)
		}
	}
	image.Digest = w.pushed[image.Ref]
	w.published[image.Ref] = image
	w.engine.Publish(image)
}

// depot USER PASSWORD: a registry without images that wants a login; DEPOT is where.
func cmdDepot(ts *testscript.TestScript, _ *world, args []string) {
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if username, password, _ := r.BasicAuth(); username != args[0] || password != args[1] {
			w.Header().Set("Www-Authenticate", `Basic realm="depot"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Ratelimit-Limit", "100;w=21600")
		w.Header().Set("Ratelimit-Remaining", "76;w=21600")
		w.Header().Set("Docker-Ratelimit-Source", "203.0.113.7")
		inner.ServeHTTP(w, r)
	}))
	ts.Defer(server.Close)
	ts.Setenv("DEPOT", strings.TrimPrefix(server.URL, "http://"))
}

func number(ts *testscript.TestScript, text string) int {
	n, err := strconv.Atoi(text)
	ts.Check(err)
	return n
}

var readyForm = regexp.MustCompile(`open (http://[^/\s]+)(/setup#\S+)?`)

// serve [FLAG...]: the server starts; DOCKER_WATCHER_URL and SETUP_LINK are set.
func cmdServe(ts *testscript.TestScript, w *world, args []string) {
	if w.proc != nil {
		ts.Fatalf("the server runs already")
	}
	flags := append([]string{"--listen", "127.0.0.1:0", "--data", w.data, "--docker-host", "unix://" + filepath.Join(w.short, "engine.sock"), "--log-level", "warn"}, args...)
	w.proc = exec.Command(w.server, flags...)
	w.proc.Dir = ts.MkAbs(".")
	log, err := os.OpenFile(ts.MkAbs("server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ts.Check(err)
	w.proc.Stderr = log
	out, err := w.proc.StdoutPipe()
	ts.Check(err)
	ts.Check(w.proc.Start())
	ts.Check(log.Close())
	w.ended = make(chan struct{})
	line := make(chan string, 1)
	go func() {
		in := bufio.NewScanner(out)
		in.Scan()
		line <- in.Text()
		for in.Scan() { // what comes after is of no interest, but must not block the server
		}
		_ = w.proc.Wait() // it is ended by a signal
		close(w.ended)
	}()
	ts.Defer(func() { w.quit(ts) })
	select {
	case text := <-line:
		found := readyForm.FindStringSubmatch(text)
		if found == nil {
			ts.Fatalf("the server did not get ready: %q\n%s", text, ts.ReadFile("server.log"))
		}
		ts.Setenv("DOCKER_WATCHER_URL", found[1])
		ts.Setenv("SETUP_LINK", found[1]+found[2])
	case <-time.After(within):
		ts.Fatalf("the server did not get ready")
	}
}

// quit: the server is told to end.
func cmdQuit(ts *testscript.TestScript, w *world, _ []string) { w.quit(ts) }

func (w *world) quit(ts *testscript.TestScript) {
	if w.proc == nil {
		return
	}
	answers := askAtTheEnd(ts)
	if err := w.proc.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		ts.Logf("end the server: %v", err)
	}
	select {
	case <-w.ended:
	case <-time.After(within):
		ts.Logf("the server did not end by itself")
		_ = w.proc.Process.Kill() // it may just have ended
		<-w.ended
	}
	w.proc = nil
	for where, text := range map[string]string{"log": ts.ReadFile("server.log"), "figures and events": answers} {
		if secret := leaked(text); secret != "" {
			w.t.Errorf("the server (its %s) tells %s", where, secret)
		}
	}
}

// happens NAME start|stop|pause|remove|exit CODE|log TEXT|complain TEXT|oom|write PATH TEXT: something is done to a container behind our back.
func cmdHappens(ts *testscript.TestScript, w *world, args []string) {
	c := w.engine.Container(args[0])
	if c == nil {
		ts.Fatalf("there is no container %s", args[0])
	}
	switch args[1] {
	case "start":
		c.Start()
	case "stop":
		c.Stop()
	case "pause":
		c.Pause()
	case "remove":
		c.Remove()
	case "exit":
		c.Exit(number(ts, args[2]))
	case "log":
		c.Log("stdout", args[2])
	case "complain":
		c.Log("stderr", args[2])
	case "oom":
		c.OOM()
	case "write":
		c.Write(args[2], args[3])
	default:
		ts.Fatalf("happens: %q", args[1])
	}
}

// uses NAME PERCENT MIB: this much of a core and of the memory is used by a container from now on.
func cmdUses(ts *testscript.TestScript, w *world, args []string) {
	c := w.engine.Container(args[0])
	if c == nil {
		ts.Fatalf("there is no container %s", args[0])
	}
	c.SetUsage(float64(number(ts, args[1]))/100, int64(number(ts, args[2]))<<20)
}

// reads NAME PATH TEXT: this is what a file of a container holds.
func cmdReads(ts *testscript.TestScript, w *world, args []string) {
	c := w.engine.Container(args[0])
	if c == nil {
		ts.Fatalf("there is no container %s", args[0])
	}
	if text, there := c.Read(args[1]); !there || text != args[2] {
		ts.Fatalf("%s of %s holds %q (there: %v), want %q", args[1], args[0], text, there, args[2])
	}
}

// stranger NAME [OF | compose=PROJECT/SERVICE | runs | dead]...: a container is on the engine that somebody else made an hour ago; with
// the labels of another one, or of a compose service; it ended then, runs, or could not be removed.
func cmdStranger(ts *testscript.TestScript, w *world, args []string) {
	t := dockertest.Template{Name: args[0], Image: "registry.example/other:1", State: dockertest.Exited, Created: w.engine.Now().Add(-time.Hour)}
	for _, arg := range args[1:] {
		switch compose, ok := strings.CutPrefix(arg, "compose="); {
		case ok:
			project, service, _ := strings.Cut(compose, "/")
			t.Labels = map[string]string{"com.docker.compose.project": project, "com.docker.compose.service": service}
			t.Image = "registry.example/" + service + ":1"
		case arg == "runs":
			t.State = dockertest.Running
		case arg == "dead":
			t.State = dockertest.Dead
		default:
			t.Labels = w.labels(ts, arg)
		}
	}
	ts.Setenv("STRANGER", w.engine.Add(t).ID)
}

// labels asks the engine for those of a container.
func (w *world) labels(ts *testscript.TestScript, name string) map[string]string {
	asker := http.Client{Transport: &http.Transport{DialContext: w.engine.Dial, DisableKeepAlives: true}}
	res, err := asker.Get("http://engine/containers/" + name + "/json")
	ts.Check(err)
	defer res.Body.Close()
	var c struct {
		Config struct{ Labels map[string]string }
	}
	ts.Check(json.NewDecoder(res.Body).Decode(&c))
	return c.Config.Labels
}

// exits CODE PROGRAM ARGS...: it ends with just that code.
func cmdExits(ts *testscript.TestScript, _ *world, args []string) {
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	if code != number(ts, args[0]) {
		ts.Fatalf("%s exited with %d, want %s\n%s%s", strings.Join(args[1:], " "), code, args[0], ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}

// await REGEXP PROGRAM ARGS...: its standard output comes to match.
func cmdAwait(ts *testscript.TestScript, _ *world, args []string) {
	form, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	late := time.After(within)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		failed := ts.Exec(args[1], args[2:]...)
		if failed == nil && form.MatchString(ts.ReadFile("stdout")) {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			ts.Fatalf("%s never said %q; at last (%v):\n%s%s", strings.Join(args[1:], " "), args[0], failed, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
		}
	}
}

// capture NAME REGEXP: a variable is set to what the first group finds in the last standard output.
func cmdCapture(ts *testscript.TestScript, _ *world, args []string) {
	form, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	found := form.FindStringSubmatch(ts.ReadFile("stdout"))
	if found == nil {
		ts.Fatalf("nothing matches %q in:\n%s", args[1], ts.ReadFile("stdout"))
	}
	ts.Setenv(args[0], found[1])
}

// holds REGEXP: the engine lets requests of this kind wait. Those whose sender is killed are carried out
// all the same, as a real engine does.
func cmdHolds(_ *testscript.TestScript, w *world, args []string) {
	w.engine.ResetCalls()
	w.engine.Fail(dockertest.Fault{On: args[0], Delay: 3 * time.Second})
}

// asked REGEXP: such a request has reached the engine.
func cmdAsked(ts *testscript.TestScript, w *world, args []string) {
	late := time.After(within)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for len(w.engine.Requests(args[0])) == 0 {
		select {
		case <-tick.C:
		case <-late:
			ts.Fatalf("the engine was never asked to %s", args[0])
		}
	}
}

// comes NAME STATE: the engine has a container of this name in this state.
func cmdComes(ts *testscript.TestScript, w *world, args []string) {
	late := time.After(within)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if c := w.engine.Container(args[0]); c != nil && c.Facts().State == args[1] {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			ts.Fatalf("%s was never %s", args[0], args[1])
		}
	}
}

// crash: the server is killed where it stands, and the engine holds nothing up any more.
func cmdCrash(ts *testscript.TestScript, w *world, _ []string) {
	ts.Check(w.proc.Process.Kill())
	<-w.ended
	w.proc = nil
	w.engine.ClearFaults()
}

// owners N: there are so many containers of ours on the engine, and ps names each of them.
func cmdOwners(ts *testscript.TestScript, w *world, args []string) {
	ts.Check(ts.Exec("docker-watcher", "ps", "-o", "json"))
	known := ts.ReadFile("stdout")
	all := w.engine.Containers()
	if len(all) != number(ts, args[0]) {
		ts.Fatalf("%d containers, want %s", len(all), args[0])
	}
	for _, c := range all {
		if !strings.Contains(known, c.ID) {
			ts.Fatalf("container %s has no row", c.Name())
		}
	}
}

// removes N: the engine was asked so many times to remove a container, never by force and never with volumes.
func cmdRemoves(ts *testscript.TestScript, w *world, args []string) {
	all := w.engine.Removes()
	if len(all) != number(ts, args[0]) {
		ts.Fatalf("%d removals, want %s", len(all), args[0])
	}
	for _, r := range all {
		for _, key := range []string{"force", "v"} {
			if v := r.Query.Get(key); v == "1" || v == "true" {
				ts.Fatalf("removed by %s", r.Target())
			}
		}
	}
}

// install-plugin FILE: the command line is put where the docker client looks for its plugins.
func cmdInstallPlugin(ts *testscript.TestScript, _ *world, args []string) {
	program, err := exec.LookPath("docker-watcher")
	if err != nil {
		for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
			if found := filepath.Join(dir, "docker-watcher"); fileExists(found) {
				program, err = found, nil
				break
			}
		}
	}
	ts.Check(err)
	ts.Check(os.Symlink(program, ts.MkAbs(args[0])))
}

func fileExists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

func TestDeadAddressIsToldApart(t *testing.T) {
	a, _, complaint := newApp(t, "")
	if code := a.run(t.Context(), []string{"ps", "--url", "http://" + loopbacktest.Free(t)}); code != exitError {
		t.Errorf("exit code %d", code)
	}
	if text := complaint.String(); !strings.Contains(text, "is the service running there?") {
		t.Errorf("it says %q", text)
	}
}
