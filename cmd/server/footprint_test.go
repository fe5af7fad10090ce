package main_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
)

const (
	footprintInstances = 1000
	footprintLimit     = 40 << 20 // bytes that are resident while the daemon idles
	sizeLimit          = 40 << 20 // bytes of the program
)

// What grows it at once by a tenth is a call of reflect's Method or MethodByName with a name that is not constant, such as text/template's: the
// linker then keeps every exported method there is. What calls it: go build -ldflags=-dumpdep ./cmd/server 2>&1 | grep '<ReflectMethod>'.
func TestSizeOfTheProgram(t *testing.T) {
	info, err := os.Stat(binary)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", info.Size())
	if info.Size() > sizeLimit {
		t.Errorf("the program has %d bytes, more than %d", info.Size(), sizeLimit)
	}
}

// resident is the memory of a process that is in RAM.
func resident(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

func TestIdleFootprint(t *testing.T) {
	data := t.TempDir()
	engine := dockertest.Serve(t, dockertest.Docker29())
	seed(t, data, engine, footprintInstances, 3*24*time.Hour)
	d := launch(t, flags(data, engine.Endpoint())...)
	c := d.client(d.setUp())
	eventually(t, "a good scan of all instances", func() bool {
		scans, err := c.Scans(t.Context(), "", client.Page{})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range scans.Items {
			if s.Outcome == "ok" && s.Known == footprintInstances {
				return true
			}
		}
		return false
	})
	// Right after the first scan and a sign-in there is more; it is given back soon.
	var rss int64
	eventually(t, "a small daemon", func() bool {
		rss = resident(t, d.cmd.Process.Pid)
		return rss <= footprintLimit
	})
	t.Logf("%d MiB with %d instances", rss>>20, footprintInstances)
}
