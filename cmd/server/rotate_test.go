package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
)

// The daemon is killed at each step of a change of its key and started again: it opens its store, has one key, and reads
// what was sealed before; nobody has to know how far it came.
func TestKilledWhileItsKeyIsChanged(t *testing.T) {
	lethal := program(t, "-tags", "failpoint")
	for point, changed := range map[string]bool{
		"keys-aside": false, "keys-both": false, "keys-resealed": false, "keys-committed": true, "keys-settled": true,
	} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			engine := dockertest.Serve(t, dockertest.Docker29())
			data := t.TempDir()
			file := filepath.Join(data, "docker-watcher.key")
			d := launchCommand(t, exec.Command(lethal, withStore(t, flags(data, engine.Endpoint()))...), "DOCKER_WATCHER_FAILPOINT="+point)
			c := d.client(d.setUp())
			p, err := c.CreateProject(ctx, client.NewProject{Name: "shop", Image: "localhost/shop"})
			if err != nil {
				t.Fatal(err)
			}
			stage, err := c.CreateStage(ctx, client.NewStage{ProjectID: p.ID, Name: "dev", Kind: "dev", Spec: &client.Spec{
				Env: []client.EnvVar{client.Env("TOKEN", "t0ken")},
			}})
			if err != nil {
				t.Fatal(err)
			}
			before := read(t, file)
			if done, err := c.RotateKeys(ctx, false); err == nil {
				t.Fatalf("it was to be killed at %s, and answered %+v", point, done)
			}
			d.wantKilled()

			again := launch(t, flags(data, engine.Endpoint())...)
			c = again.client(c.Credential())
			if _, err := c.Stage(ctx, stage.ID); err != nil { // opens what is sealed of it
				t.Errorf("what was sealed before: %v", err)
			}
			now := read(t, file)
			if len(now) != 32 || (now != before) != changed {
				t.Errorf("the key file holds %d bytes; changed: %v, want %v", len(now), now != before, changed)
			}
			aside, err := filepath.Glob(file + ".*")
			if err != nil || len(aside) > 1 || changed && (len(aside) != 1 || read(t, aside[0]) != before) || !changed && len(aside) != 0 {
				t.Errorf("beside the key: %v, %v", aside, err)
			}
			if done, err := c.RotateKeys(ctx, false); err != nil || done.Resealed == 0 {
				t.Errorf("once more: %+v, %v", done, err)
			}
		})
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
