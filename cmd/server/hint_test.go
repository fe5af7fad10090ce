package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/config"
)

// TestWayBackFollowsLinksAndWorksAgain: the commands put the copy where the link to the database leads, as often as they are needed.
func TestWayBackFollowsLinksAndWorksAgain(t *testing.T) {
	data, disk := t.TempDir(), t.TempDir()
	link, file := filepath.Join(data, "docker-watcher.db"), filepath.Join(disk, "real one.db")
	for range 3 {
		for name, text := range map[string]string{file: "newer", file + "-wal": "of the newer", file + ".schema-1": "former"} {
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink(file, link); err != nil && !os.IsExist(err) {
			t.Fatal(err)
		}
		_, commands, found := strings.Cut(wayBack(config.Config{Data: data}), "since: ")
		if !found {
			t.Fatalf("it says %q", commands)
		}
		if out, err := exec.CommandContext(t.Context(), "sh", "-ec", commands).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", commands, err, out)
		}
		if got, err := os.ReadFile(link); err != nil || string(got) != "former" {
			t.Errorf("there is %q, %v", got, err)
		}
		if _, err := os.Lstat(file + "-wal"); err == nil {
			t.Error("what belongs to the newer one is beside the former one")
		}
	}
	kept, err := filepath.Glob(filepath.Join(disk, "newer-*", filepath.Base(file)))
	if err != nil || len(kept) != 3 {
		t.Errorf("kept are %v, %v", kept, err)
	}
}
