// Command demo runs the main job of docker-watcher on a real engine and says what
// it does: deploy, watch, find stale, plan, apply exactly that plan, undo it.
//
// It needs DOCKER_HOST to name a private engine (make demo starts one) and drives
// the real programs bin/server and bin/docker-watcher.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
)

// previewStaleAfter is the threshold of the preview stage: long enough to see a
// container alive, short enough to wait for.
const previewStaleAfter = 5 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	began := time.Now()
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
	fmt.Printf("\nThe main job, seen working in %s.\n", time.Since(began).Round(time.Second))
}

func run(ctx context.Context) error {
	endpoint := os.Getenv("DOCKER_HOST")
	if endpoint == "" {
		return errors.New("DOCKER_HOST is not set: run it through make demo, which starts a private engine")
	}
	dir, err := os.MkdirTemp("", "dw-demo-")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	defer os.RemoveAll(dir)

	d := &demo{ctx: ctx, dir: dir, endpoint: endpoint}
	defer d.close()
	for _, step := range []func() error{
		d.pushImages, d.startService, d.makeStages, d.deployAll, d.letThemDie, d.findStale, d.tryPolicy,
		d.planAndApply, d.undo, d.showLog,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// demo carries what the steps hand on to one another.
type demo struct {
	ctx      context.Context
	dir      string
	endpoint string
	registry string
	url      string
	stop     []func()
	stopped  string // the container that we stop, and that somebody starts again
	crashed  string
	removed  string
	report   []byte // what the crashed one wrote into a file of its own
}

func (d *demo) close() {
	for _, stop := range slices.Backward(d.stop) {
		stop()
	}
}

func say(format string, args ...any) {
	fmt.Printf("\n== %s\n", fmt.Sprintf(format, args...))
}

func (d *demo) pushImages() error {
	say("A registry of our own and a tiny real image in three tags")
	folder := filepath.Join(d.dir, "registry")
	if err := os.Mkdir(folder, 0o700); err != nil {
		return fmt.Errorf("make a folder for the registry: %w", err)
	}
	addr, stop, err := enginetest.StartRegistry(d.ctx, folder)
	if err != nil {
		return fmt.Errorf("start the registry: %w", err)
	}
	d.stop = append(d.stop, stop)
	d.registry = addr
	app, err := enginetest.BuildApp(d.ctx, d.dir)
	if err != nil {
		return fmt.Errorf("build the image's program: %w", err)
	}
	for _, tag := range []string{"1.0", "1.1", "1.2"} {
		ref := addr + "/shop:" + tag
		if err := enginetest.PushApp(d.ctx, app, ref, tag); err != nil {
			return fmt.Errorf("push %s: %w", ref, err)
		}
		fmt.Println("pushed", ref)
	}
	return nil
}

var setupLink = regexp.MustCompile(`http://\S+/setup#code=\S+`)

func (d *demo) startService() error {
	say("The service, on the private engine")
	listener, err := new(net.ListenConfig).Listen(d.ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("find a free port: %w", err)
	}
	listen := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return fmt.Errorf("find a free port: %w", err)
	}
	logFile, err := os.Create(filepath.Join(d.dir, "server.log"))
	if err != nil {
		return fmt.Errorf("make the log file: %w", err)
	}
	defer logFile.Close()
	// Not ended with the context: it ends by its own signal, so that it can say goodbye to the engine.
	server := exec.CommandContext(context.WithoutCancel(d.ctx), "bin/server", "--listen", listen, "--data", filepath.Join(d.dir, "data"), "--docker-host", d.endpoint)
	server.Stderr = logFile
	out, err := server.StdoutPipe()
	if err != nil {
		return fmt.Errorf("start the service: %w", err)
	}
	if err := server.Start(); err != nil {
		return fmt.Errorf("start the service: %w", err)
	}
	d.stop = append(d.stop, func() {
		_ = server.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		_ = server.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		text, _ := os.ReadFile(logFile.Name()) // only to explain the error at hand
		return fmt.Errorf("the service did not start: %w\n%s", err, text)
	}
	fmt.Print(line)
	go func() { _, _ = io.Copy(io.Discard, out) }() // ends with the service
	link := setupLink.FindString(line)
	if link == "" {
		return fmt.Errorf("no setup link in %q", line)
	}
	d.url = strings.SplitAfter(link, listen)[0]
	return d.watcher("a very secret password\n", "setup", link, "--name", "anna", "--password-stdin")
}

func (d *demo) makeStages() error {
	say("A project with a production and a preview stage; a preview is stale after %s", previewStaleAfter)
	return d.all([][]string{
		{"project", "create", "shop", "--image", d.registry + "/shop"},
		{"stage", "create", "shop/production", "--kind", "production", "--port", "8080", "--health", "http:8080/healthz"},
		{"stage", "create", "shop/preview", "--kind", "preview", "--stale-after", previewStaleAfter.String(), "--keep-last", "0", "--port", "8080", "--health", "http:8080/healthz"},
	})
}

func (d *demo) deployAll() error {
	say("Deploys: production stays alive to the end; three previews will die, each in its own way")
	if err := d.watcher("", "deploy", "shop/production", "1.0"); err != nil {
		return err
	}
	for _, step := range []struct {
		tag  string
		name *string
		die  func(instance) error
	}{
		{"1.0", &d.stopped, d.stopIt},
		{"1.1", &d.crashed, d.crashIt},
		{"1.2", &d.removed, d.removeIt},
	} {
		if err := d.watcher("", "deploy", "shop/preview", step.tag); err != nil {
			return err
		}
		made, err := d.preview(step.tag)
		if err != nil {
			return err
		}
		*step.name = made.Name
		if err := step.die(made); err != nil {
			return err
		}
	}
	return d.watcher("", "ps")
}

func (d *demo) stopIt(i instance) error { return d.watcher("", "stop", i.Name) }

func (d *demo) crashIt(i instance) error {
	if len(i.Ports) == 0 {
		return fmt.Errorf("%s publishes no port", i.Name)
	}
	d.report = make([]byte, 3<<20)
	if _, err := rand.Read(d.report); err != nil {
		return fmt.Errorf("make a file for the container to hold: %w", err)
	}
	file := filepath.Join(d.dir, "report.bin")
	if err := os.WriteFile(file, d.report, 0o600); err != nil {
		return fmt.Errorf("make a file for the container to hold: %w", err)
	}
	if err := d.docker("cp", file, i.Name+":/report.bin"); err != nil {
		return err
	}
	url := fmt.Sprintf("http://127.0.0.1:%d/crash?code=7", i.Ports[0].Host)
	fmt.Printf("\n(a bug: GET %s)\n", url)
	answer, err := http.Get(url) //nolint:noctx // a crash cuts the answer off at once
	if err == nil {
		return answer.Body.Close()
	}
	return nil // the crash cut the answer off
}

func (d *demo) removeIt(i instance) error { return d.docker("rm", "-f", i.Name) }

func (d *demo) letThemDie() error {
	say("Time passes: %s and a bit", previewStaleAfter)
	select {
	case <-time.After(previewStaleAfter + 1500*time.Millisecond):
		return nil
	case <-d.ctx.Done():
		return d.ctx.Err()
	}
}

func (d *demo) findStale() error {
	say("What is stale now, and how do we know?")
	if err := d.all([][]string{{"stale", "scan"}, {"stale", "ls"}}); err != nil {
		return err
	}
	want := map[string]string{d.stopped: "exited", d.crashed: "failed", d.removed: "missing"}
	got := map[string]string{}
	var list struct {
		Items []struct{ Name, Class string }
	}
	if err := d.query(&list, "stale", "ls"); err != nil {
		return err
	}
	for _, item := range list.Items {
		got[item.Name] = item.Class
	}
	return same("stale containers and their classes", got, want)
}

// tryPolicy asks what a policy would do, and leaves everything as it is.
func (d *demo) tryPolicy() error {
	say("Could previews go by themselves, at night? The switch is turned on, a policy is tried, and nothing is written")
	if err := d.watcher("", "settings", "set", "auto_cleanup=on", "--yes"); err != nil {
		return err
	}
	if err := d.watcher("", "policy", "try", "shop/preview", "--action", "cleanup", "--cleanup-after", "2d", "--window", "mon-fri 02:00-05:00 Europe/Berlin"); err != nil {
		return err
	}
	var said struct {
		Policy struct{ Action *string }
	}
	if err := d.query(&said, "policy", "show", "shop/preview"); err != nil {
		return err
	}
	if said.Policy.Action != nil {
		return fmt.Errorf("trying a policy has set its action to %s", *said.Policy.Action)
	}
	return nil
}

var planID = regexp.MustCompile(`(?m)^plan (\w+):`)

func (d *demo) planAndApply() error {
	say("The plan: exactly what a cleanup would do. Nothing is touched")
	shown, err := d.shown("", "stale", "plan", "--project", "shop")
	if err != nil {
		return err
	}
	id := planID.FindStringSubmatch(shown)
	if id == nil {
		return errors.New("stale plan printed no plan id")
	}
	say("Between plan and apply somebody starts one of them again")
	if err := d.docker("start", d.stopped); err != nil {
		return err
	}
	say("Apply: the others are removed, the one that lives is left alone")
	err = d.watcher("", "stale", "apply", id[1])
	var left *exec.ExitError
	if !errors.As(err, &left) || left.ExitCode() != 6 {
		return fmt.Errorf("apply should end with exit code 6 (some left alone), got: %w", err)
	}
	var plan struct {
		Items []struct{ Name, Result string }
	}
	if err := d.query(&plan, "stale", "plan", "--show", id[1]); err != nil {
		return err
	}
	results := map[string]string{}
	for _, item := range plan.Items {
		results[item.Name] = item.Result
	}
	want := map[string]string{d.stopped: "revived", d.crashed: "removed", d.removed: "removed"}
	if err := same("results of the cleanup", results, want); err != nil {
		return err
	}
	return d.docker("ps", "--all", "--format", "table {{.Names}}\t{{.Status}}\t{{.Image}}")
}

// undo brings back what had crashed, with the file that it had written.
func (d *demo) undo() error {
	say("Somebody wants one of them back: it returns with what it had written into itself")
	if err := d.watcher("", "archive", "ls"); err != nil {
		return err
	}
	if err := d.watcher("", "archive", "restore", d.crashed, "--start"); err != nil {
		return err
	}
	back := filepath.Join(d.dir, "back.bin")
	if err := d.docker("cp", d.crashed+":/report.bin", back); err != nil {
		return err
	}
	report, err := os.ReadFile(back)
	if err != nil {
		return fmt.Errorf("read what came back: %w", err)
	}
	if !bytes.Equal(report, d.report) {
		return fmt.Errorf("the file that came back is not the one that was written: %d bytes of %d", len(report), len(d.report))
	}
	fmt.Printf("\n(its file is there, byte for byte: %d bytes)\n", len(report))
	return d.watcher("", "ps")
}

func (d *demo) showLog() error {
	say("The event log has it all")
	return d.watcher("", "events")
}

// instance is what the demo reads of a row of ps.
type instance struct {
	Name     string
	Stage    string
	ImageTag string `json:"image_tag"`
	Ports    []struct{ Container, Host int }
}

func (d *demo) preview(tag string) (instance, error) {
	var list struct{ Items []instance }
	if err := d.query(&list, "ps"); err != nil {
		return instance{}, err
	}
	for _, i := range list.Items {
		if i.Stage == "preview" && i.ImageTag == tag {
			return i, nil
		}
	}
	return instance{}, fmt.Errorf("no instance of shop/preview at %s is listed", tag)
}

func (d *demo) all(commands [][]string) error {
	for _, args := range commands {
		if err := d.watcher("", args...); err != nil {
			return err
		}
	}
	return nil
}

// watcher runs the command line as a person would, shown with what it prints.
func (d *demo) watcher(stdin string, args ...string) error {
	_, err := d.shown(stdin, args...)
	return err
}

// shown is watcher that hands back what was printed.
func (d *demo) shown(stdin string, args ...string) (string, error) {
	fmt.Printf("\n$ docker-watcher %s\n", quote(args))
	cmd := d.command("bin/docker-watcher", args...)
	cmd.Stdin = strings.NewReader(stdin)
	var printed bytes.Buffer
	cmd.Stdout = io.MultiWriter(os.Stdout, &printed)
	cmd.Stderr = cmd.Stdout
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("docker-watcher %s: %w", args[0], err)
	}
	return printed.String(), nil
}

// query runs the command line as a script would.
func (d *demo) query(into any, args ...string) error {
	cmd := d.command("bin/docker-watcher", append(args, "-o", "json")...)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("docker-watcher %s: %w: %s", args[0], err, complaint.String())
	}
	if err := json.Unmarshal(out, into); err != nil {
		return fmt.Errorf("read the answer of docker-watcher %s: %w", args[0], err)
	}
	return nil
}

// docker is what somebody does behind our back.
func (d *demo) docker(args ...string) error {
	fmt.Printf("\n(behind our back)\n$ docker %s\n", quote(args))
	cmd := d.command("docker", args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("docker %s: %w", args[0], err)
	}
	return nil
}

func (d *demo) command(name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(d.ctx, name, args...)
	cmd.Env = append(os.Environ(),
		"DOCKER_HOST="+d.endpoint,
		"DOCKER_WATCHER_URL="+d.url,
		"XDG_CONFIG_HOME="+filepath.Join(d.dir, "config"))
	return cmd
}

func quote(args []string) string {
	shown := make([]string, len(args))
	for i, a := range args {
		shown[i] = a
		if strings.ContainsAny(a, " \t{}") {
			shown[i] = strconv.Quote(a)
		}
	}
	return strings.Join(shown, " ")
}

// same ends the demo when what was seen is not what must be.
func same(what string, got, want map[string]string) error {
	if len(got) == len(want) {
		equal := true
		for k, v := range want {
			equal = equal && got[k] == v
		}
		if equal {
			return nil
		}
	}
	return fmt.Errorf("%s: got %v, want %v", what, got, want)
}
