//go:build unix

package enginetest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	privateStart = 2 * time.Minute // all tests of a run may be at work beside it
	privateStop  = 90 * time.Second
	privateLook  = 20 * time.Millisecond
)

// Private is a real Docker engine of one test alone, which may be frozen, killed and started again.
type Private struct {
	t       testing.TB
	run     string // folder of its socket, pid file and log
	argv    []string
	environ []string
}

// StartPrivate starts one with scripts/engine, which also takes it apart when the test ends, however that comes about.
func StartPrivate(t testing.TB, flags ...string) *Private {
	t.Helper()
	// A thousand containers in memory are gone in a moment, on a disk in a minute.
	return StartPrivateIn(t, "2g", flags...)
}

// StartPrivateIn is StartPrivate with a data root in memory of a size, such as 64m: nothing more has room there.
func StartPrivateIn(t testing.TB, size string, flags ...string) *Private {
	t.Helper()
	script, err := engineScript()
	if err != nil {
		t.Fatal(err)
	}
	// Not of the test's context: it ends after what the test has yet to clean up.
	cmd := exec.Command(script, "run", "--", "sh", "-c", `echo "$DOCKER_HOST"; exec cat`) //nolint:noctx // see above
	cmd.Env = append(os.Environ(), "ENGINE_MEMORY="+size, "ENGINE_FLAGS="+strings.TrimSpace(os.Getenv("ENGINE_FLAGS")+" "+strings.Join(flags, " ")))
	var said bytes.Buffer
	cmd.Stderr = &said
	hold, err := cmd.StdinPipe() // it ends when this closes, so also with us
	if err != nil {
		t.Fatal(err)
	}
	answer, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &Private{t: t}
	t.Cleanup(func() { p.end(hold, cmd, &said) })
	told := make(chan string, 1)
	go func() {
		line, err := bufio.NewReader(answer).ReadString('\n')
		if err != nil {
			line = ""
		}
		told <- strings.TrimSpace(line)
	}()
	select {
	case endpoint := <-told:
		if endpoint == "" {
			t.Fatalf("no private engine: %s", said.String())
		}
		p.run = filepath.Dir(strings.TrimPrefix(endpoint, "unix://"))
	case <-time.After(privateStart):
		t.Fatalf("no private engine within %v", privateStart)
	}
	return p
}

// engineScript is found from wherever in the module a test runs.
func engineScript() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("look for scripts/engine: %w", err)
	}
	for {
		script := filepath.Join(dir, "scripts", "engine")
		if _, err := os.Stat(script); err == nil {
			return script, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("look for scripts/engine: not found above the test's folder")
		}
		dir = filepath.Dir(dir)
	}
}

func (p *Private) end(hold io.Closer, cmd *exec.Cmd, said *bytes.Buffer) {
	if p.run != "" {
		// A good end would take it long, and nobody needs it. It may be frozen, or gone already.
		_ = syscall.Kill(p.pid(), syscall.SIGKILL)
	}
	if err := hold.Close(); err != nil {
		p.t.Error(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			p.t.Errorf("end a private engine: %v: %s", err, said.String())
		}
	case <-time.After(privateStop):
		p.t.Errorf("a private engine did not end within %v", privateStop)
	}
}

// Endpoint is where it listens, also after it was started again.
func (p *Private) Endpoint() string { return "unix://" + filepath.Join(p.run, "s") }

func (p *Private) pid() int { return readPID(filepath.Join(p.run, "p")) }

// readPID is 0 when none is written there.
func readPID(file string) int {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return pid
}

// Freeze stops the engine in the middle of whatever it does: it takes connections and requests, and answers none.
func (p *Private) Freeze() {
	p.t.Helper()
	p.signal(syscall.SIGSTOP)
	tasks := filepath.Join("/proc", strconv.Itoa(p.pid()), "task", "*", "stat")
	p.await("all threads of the engine to stand still", func() bool {
		stats, err := filepath.Glob(tasks)
		if err != nil {
			p.t.Fatal(err)
		}
		return !slices.ContainsFunc(stats, func(stat string) bool { return stateIn(stat) != "T" })
	})
}

// Thaw lets it go on.
func (p *Private) Thaw() { p.signal(syscall.SIGCONT) }

func (p *Private) signal(s syscall.Signal) {
	p.t.Helper()
	if err := syscall.Kill(p.pid(), s); err != nil {
		p.t.Fatalf("%v the engine: %v", s, err)
	}
}

// Kill ends the engine at once; its containers run on until it comes again.
func (p *Private) Kill() {
	p.t.Helper()
	pid := p.pid()
	p.remember(pid)
	containerd := readPID(filepath.Join(p.run, containerdPID))
	p.signal(syscall.SIGKILL)
	p.await("the killed engine to end", func() bool { return ended(pid) && ended(containerd) })
	// Where process 1 waits for nobody, a new engine would take the dead containerd for one that lives.
	if err := os.Remove(filepath.Join(p.run, containerdPID)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		p.t.Fatal(err)
	}
}

// containerdPID is where an engine keeps the process of its containerd, which ends with it.
const containerdPID = "e/containerd/containerd.pid"

// remember how it was started.
func (p *Private) remember(pid int) {
	p.t.Helper()
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	for name, into := range map[string]*[]string{"cmdline": &p.argv, "environ": &p.environ} {
		text, err := os.ReadFile(filepath.Join(proc, name))
		if err != nil {
			p.t.Fatal(err)
		}
		*into = strings.Split(strings.Trim(string(text), "\x00"), "\x00")
	}
}

// ended says that a process is gone, or only waits to be waited for.
func ended(pid int) bool {
	state := stateIn(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	return state == "" || state == "Z"
}

// stateIn reads the letter of a process or thread: empty when it is gone.
func stateIn(stat string) string {
	text, err := os.ReadFile(stat)
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return rest[:min(len(rest), 1)]
}

// Start brings a killed engine back, as it was started at first, and waits until it answers.
func (p *Private) Start() {
	p.t.Helper()
	p.StartSoon()
	p.await("the engine to answer again", p.Answers)
}

// StartSoon is Start without the wait.
func (p *Private) StartSoon() {
	p.t.Helper()
	output, err := os.OpenFile(filepath.Join(p.run, "log"), os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	cmd := exec.Command(p.argv[0], p.argv[1:]...) //nolint:noctx // scripts/engine ends it
	cmd.Env, cmd.Stdout, cmd.Stderr = p.environ, output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	if closed := output.Close(); err == nil {
		err = closed
	}
	if err != nil {
		p.t.Fatal(err)
	}
	go func() { _ = cmd.Wait() }() // so that it does not stay as a zombie; how it ended is in its log
}

// Answers says whether the engine takes a request and answers it.
func (p *Private) Answers() bool {
	p.t.Helper()
	return socketAnswers(p.t.Context(), filepath.Join(p.run, "s"))
}

func (p *Private) await(what string, yes func() bool) {
	p.t.Helper()
	deadline, tick := time.After(privateStart), time.NewTicker(privateLook)
	defer tick.Stop()
	for !yes() {
		select {
		case <-tick.C:
		case <-deadline:
			log, err := os.ReadFile(filepath.Join(p.run, "log"))
			p.t.Fatalf("waited in vain for %s; its log (%v):\n%s", what, err, log)
		}
	}
}
