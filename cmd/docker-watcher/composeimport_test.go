package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// A huge file is refused here, before it is sent.
func TestReadCompose(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "My_Shop.1")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "compose.yaml")
	if err := os.WriteFile(file, []byte(strings.Repeat("#", 10<<20)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readCompose(&cobra.Command{}, file); err == nil || !strings.Contains(err.Error(), "larger than 1 MiB") {
		t.Errorf("got %v", err)
	}
	if _, err := readCompose(&cobra.Command{}, file+".nope"); err == nil {
		t.Error("a file that is not there was read")
	}
	if name := folderName(file); name != "my_shop1" {
		t.Errorf("the project is called %q", name)
	}
}

func TestMemorySize(t *testing.T) {
	for text, want := range map[string]int64{"": 0, "0": 0, "64m": 64 << 20, "1.5g": 1536 << 20, "512MiB": 512 << 20, "1kb": 1024, "1000": 1000} {
		if got, err := memorySize(text); err != nil || got != want {
			t.Errorf("%q: %d %v", text, got, err)
		}
	}
	for _, text := range []string{"lots", "-1", "1x", "m", "1e30g", "NaN"} {
		if got, err := memorySize(text); err == nil {
			t.Errorf("%q was read as %d", text, got)
		}
	}
}
