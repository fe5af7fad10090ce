// Package e2e shows the page to a real browser: the real daemon on a real engine with a real registry, and
// what a person does there (page.test.mjs). The tests of the browser's side are run by Node.js.
package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	patience = time.Minute
	manyRows = 10_000
)

// TestPageInABrowser runs every flow of page.test.mjs.
func TestPageInABrowser(t *testing.T) {
	engine, registry, dir := enginetest.Engine(t), enginetest.Registry(t), t.TempDir()
	app, err := enginetest.BuildApp(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"1.0", "1.1", "1.2"} {
		if err := enginetest.PushApp(t.Context(), app, registry+"/page:"+tag, tag, enginetest.WithVolume("/var/lib/page")); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { removeOurs(t, engine.Endpoint()) })
	url, link := serve(t, filepath.Join(dir, "data"), engine.Endpoint())
	manyURL, _ := serve(t, withManyRows(t, dir), nobody(dir))
	tell(t, "page.test.mjs", "BASE_URL="+url, "SETUP_LINK="+link, "MANY_URL="+manyURL, "IMAGE="+registry+"/page", "ENGINE="+engine.Endpoint())
}

// daemon builds the daemon once for all tests, as make build does, for that takes seconds.
var daemon = sync.OnceValues(func() (string, error) {
	binary := filepath.Join(shared, "server")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "../../../cmd/server")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the daemon: %w: %s", err, out)
	}
	return binary, nil
})

// shared is a folder of all tests.
var shared string

func TestMain(m *testing.M) {
	if browser := os.Getenv(asBrowser); browser != "" {
		fmt.Fprintln(os.Stderr, becomeBrowser(browser))
		os.Exit(1)
	}
	os.Exit(inSharedFolder(m))
}

func inSharedFolder(m *testing.M) int {
	dir, err := os.MkdirTemp("", "dwe2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	shared = dir
	return m.Run()
}

var ready = regexp.MustCompile(`open (http://[^/\s]+)(\S*)`)

// nobody is the endpoint of an engine that is not there.
func nobody(dir string) string { return "unix://" + filepath.Join(dir, "nobody.sock") }

// serve starts a daemon and returns its address and its setup link.
func serve(t *testing.T, data, engine string, more ...string) (url, link string) {
	t.Helper()
	binary, err := daemon()
	if err != nil {
		t.Fatal(err)
	}
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(manyToken), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"--listen", "127.0.0.1:0", "--data", data, "--docker-host", engine, "--admin-token-file", token, "--proxy-http", "127.0.0.1:0"}
	if len(more) == 0 {
		args = append(args, "--proxy-https", "127.0.0.1:0")
	}
	cmd := exec.Command(binary, append(args, more...)...)
	cmd.Stderr = listen(t)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		late := time.AfterFunc(patience, func() {
			t.Error("a daemon does not end")
			_ = cmd.Process.Kill() // it may just have ended
		})
		_ = cmd.Wait()
		late.Stop()
	})
	lines := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n') // an early end is an empty line
		lines <- line
		_, _ = io.Copy(io.Discard, out)
	}()
	select {
	case line := <-lines:
		said := ready.FindStringSubmatch(line)
		if said == nil {
			t.Fatalf("the daemon did not become ready: %q", line)
		}
		askAtTheEnd(t, said[1])
		return said[1], said[1] + said[2]
	case <-time.After(patience):
		t.Fatal("the daemon did not become ready in time")
	}
	return "", ""
}

// manyToken is the admin token of the daemons; they live as long as the test.
const manyToken = "dwt_a-token-of-a-test-that-ends-with-it-0123456789"

// withManyRows is a data folder whose host has so many stale instances that a page must not show them all at once.
func withManyRows(t *testing.T, dir string) string {
	t.Helper()
	data := filepath.Join(dir, "many")
	db, err := store.Open(t.Context(), store.Options{DataDir: data})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	now := time.Now().UTC()
	host := store.Host{ID: store.NewID(), Name: "local", CreatedAt: now}
	project := store.Project{ID: store.NewID(), Name: "many", Image: "example.com/many", CreatedAt: now, UpdatedAt: now}
	stage := store.Stage{ID: store.NewID(), ProjectID: project.ID, HostID: host.ID, Name: "preview", Kind: store.StagePreview, CreatedAt: now}
	err = db.Update(t.Context(), func(tx *store.Tx) error {
		if err := tx.InsertHost(t.Context(), host); err != nil {
			return err
		}
		if err := tx.InsertProject(t.Context(), project); err != nil {
			return err
		}
		if err := tx.InsertStage(t.Context(), stage); err != nil {
			return err
		}
		for n := range manyRows {
			died := now.Add(-time.Duration(8*24+n) * time.Hour)
			if err := tx.InsertInstance(t.Context(), store.Instance{
				ID: store.NewID(), HostID: host.ID, ProjectID: project.ID, StageID: stage.ID, Name: fmt.Sprintf("many-preview-%05d", n),
				ContainerID: fmt.Sprintf("%064x", n+1), Ownership: store.OwnershipCreated, Image: project.Image, ImageTag: fmt.Sprintf("pr-%d", n),
				Status: store.StatusStopped, Class: store.ClassExited, Intended: store.IntendedStopped, LastAliveAt: died,
				Evidence: store.EvidenceFinishedAt, FinishedAt: died, StaleSince: now, WarnedAt: now, CreatedAt: died, UpdatedAt: now,
			}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// removeOurs takes away what the flows have left on the engine, which other tests share.
func removeOurs(t *testing.T, endpoint string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	docker := func(args ...string) string {
		cmd := exec.CommandContext(ctx, "docker", args...)
		cmd.Env = append(os.Environ(), "DOCKER_HOST="+endpoint)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Logf("docker %s: %v: %s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	for _, project := range []string{"page", "lanes"} {
		for id := range strings.FieldsSeq(docker("ps", "--all", "--quiet", "--filter", "label=docker-watcher.project="+project)) {
			docker("rm", "--force", "--volumes", id)
		}
	}
}
