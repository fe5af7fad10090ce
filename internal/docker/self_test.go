package docker

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestSelfIn(t *testing.T) {
	id := strings.Repeat("0a", 32)
	for table, want := range map[string]string{
		"":                     "",
		"1 2 0:1 / / rw - a b": "",
		"36 30 8:1 / /home rw - ext4 x\n37 30 8:1 /var/lib/docker/containers/" + id + "/hostname /etc/hostname rw - ext4 /dev/sda rw": id,
		"37 30 8:1 /podman/containers/overlay-containers/" + id + "/userdata/hosts /etc/hosts rw - ext4 x":                            id,
		"37 30 8:1 /var/lib/docker/containers/" + id + "/hostname /mnt/etc/hostname rw - ext4 x":                                      "",
		"37 30 8:1 /var/lib/docker/volumes/" + id[:12] + "/_data /etc/hosts rw - ext4 x":                                              "",
	} {
		if got := selfIn(table); got != want {
			t.Errorf("%q: %q, want %q", table, got, want)
		}
	}
}

// Whoever asks, and by whatever right: the container that docker-watcher runs in is left alone, and its engine is not even asked.
func TestSelfIsNeverTouched(t *testing.T) {
	self := strings.Repeat("0a", 32)
	e, err := New(Options{Endpoint: "unix:///none", Self: self})
	if err != nil {
		t.Fatal(err)
	}
	ours := Owned{ID: self, Installation: "here", Instance: "i1"}
	for _, by := range []Owned{ours, {ID: self, Installation: "here", Adopted: true}, {ID: self, Installation: "here", Leftover: true}} {
		for name, act := range map[string]func(context.Context) error{
			"stop":    func(ctx context.Context) error { return e.Stop(ctx, by, time.Second) },
			"restart": func(ctx context.Context) error { return e.Restart(ctx, by, time.Second) },
			"pause":   func(ctx context.Context) error { return e.Pause(ctx, by) },
			"remove":  func(ctx context.Context) error { return e.Remove(ctx, by) },
		} {
			if err := act(t.Context()); !errors.Is(err, ErrNotOwned) || !strings.Contains(err.Error(), "docker-watcher itself") {
				t.Errorf("%s by %+v: %v", name, by, err)
			}
		}
	}
	if err := e.Stop(t.Context(), Owned{ID: strings.Repeat("0b", 32), Adopted: true}, time.Second); !errors.Is(err, ErrUnavailable) {
		t.Errorf("another one: %v, want its engine to be asked", err)
	}
}
