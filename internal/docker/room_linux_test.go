package docker

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/moby/moby/api/types/system"
)

// Only the data root of the very engine says how much room it has.
func TestRoomOfAnEngineOnThisMachine(t *testing.T) {
	id := func(letter string) string { return strings.Repeat(letter, 64) }
	own := []Network{{ID: id("a"), Name: "bridge", Scope: "local"}, {ID: id("b"), Name: "host", Scope: "local"}, {ID: id("f"), Name: "ingress", Scope: "swarm"}}
	type place struct {
		in       system.Info
		networks []Network
	}
	of23 := func(t *testing.T, p *place, id string) { write(t, filepath.Join(p.in.DockerRootDir, idFile), id) }
	before23 := func(t *testing.T, p *place, ids ...string) {
		write(t, filepath.Join(p.in.DockerRootDir, networksFile), "\x00\x01docker/network/v1.0/network/"+strings.Join(ids, "/\x00{}\x02"))
	}
	pipe := func(t *testing.T, path string) {
		t.Helper()
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		prepare func(t *testing.T, p *place)
		unknown string // what is said of it; empty: it is known
	}{
		"its own":               {func(t *testing.T, p *place) { of23(t, p, "6e0c8f4d-engine\n") }, ""},
		"its own, before 23":    {func(t *testing.T, p *place) { before23(t, p, id("a"), id("b"), id("c")) }, ""},
		"of another engine":     {func(t *testing.T, p *place) { of23(t, p, "another"); before23(t, p, id("a"), id("b")) }, "of another one"},
		"of another, before 23": {func(t *testing.T, p *place) { before23(t, p, id("c"), id("d")) }, "does not know its network bridge"},
		// As of a machine that was cloned, and whose engine has started since.
		"of one that was the same once": {func(t *testing.T, p *place) { before23(t, p, id("c"), id("b")) }, "does not know its network bridge"},
		"of one with a network more": {func(t *testing.T, p *place) {
			before23(t, p, id("a"), id("b"))
			p.networks = append(p.networks, Network{ID: id("e"), Name: "front", Scope: "local"})
		}, "does not know its network front"},
		"without networks":          {func(t *testing.T, p *place) { before23(t, p, id("a")); p.networks = p.networks[2:] }, "no network by which"},
		"with a network without id": {func(t *testing.T, p *place) { before23(t, p, id("a")); p.networks[0].ID = "" }, "does not know its network bridge"},
		"with a network's short id": {func(t *testing.T, p *place) { before23(t, p, id("a")); p.networks[0].ID = "aaaa" }, "does not know its network bridge"},
		"without an id": {func(t *testing.T, p *place) {
			p.in.ID = ""
			of23(t, p, "")
			before23(t, p, id("a"), id("b"))
		}, "of another one"},
		"not seen from here": {func(t *testing.T, p *place) {
			of23(t, p, "6e0c8f4d-engine")
			p.in.DockerRootDir += "/elsewhere"
		}, "is not its data root"},
		"an empty folder": {func(*testing.T, *place) {}, "is not its data root"},
		"images elsewhere": {func(t *testing.T, p *place) {
			of23(t, p, "6e0c8f4d-engine")
			p.in.Driver = "overlayfs"
		}, "neither does this machine"},
		"a pipe for its id":       {func(t *testing.T, p *place) { pipe(t, filepath.Join(p.in.DockerRootDir, idFile)) }, "not readable here"},
		"a pipe for its networks": {func(t *testing.T, p *place) { pipe(t, filepath.Join(p.in.DockerRootDir, networksFile)) }, "not readable here"},
		"a file for its folder": {func(t *testing.T, p *place) {
			write(t, filepath.Join(p.in.DockerRootDir, "file"), "")
			p.in.DockerRootDir += "/file"
		}, "not readable here"},
	} {
		t.Run(name, func(t *testing.T) {
			p := place{system.Info{ID: "6e0c8f4d-engine", Driver: "overlay2", DockerRootDir: t.TempDir()}, append([]Network{}, own...)}
			for _, dir := range []string{"overlay2", filepath.Dir(networksFile)} {
				if err := os.MkdirAll(filepath.Join(p.in.DockerRootDir, dir), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			c.prepare(t, &p)
			got := room(p.in, p.networks)
			if c.unknown == "" && (got.Bytes < 0 || got.Why != "") || c.unknown != "" && (got.Bytes != -1 || !strings.Contains(got.Why, c.unknown)) {
				t.Errorf("%+v; want it not to be known because %q", got, c.unknown)
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
