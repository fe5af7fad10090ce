package deploy

import (
	"strings"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

func TestPlatform(t *testing.T) {
	for _, c := range []struct {
		image, engine string
		fits          bool
	}{
		{"linux/amd64", "linux/x86_64", true},
		{"linux/arm64", "linux/aarch64", true},
		{"linux/386", "linux/x86_64", true},
		{"linux/arm", "linux/armv7l", true},
		{"linux/arm", "linux/aarch64", true},
		{"linux/", "linux/x86_64", true},
		{"linux/amd64", "/", true},
		{"linux/arm64", "linux/x86_64", false},
		{"linux/amd64", "linux/aarch64", false},
		{"linux/amd64", "linux/i686", false},
		{"windows/amd64", "linux/x86_64", false},
	} {
		has, of := strings.Split(c.image, "/"), strings.Split(c.engine, "/")
		why := wrongPlatform(docker.Image{OS: has[0], Arch: has[1]}, docker.Info{OS: of[0], Arch: of[1]})
		if (why == "") != c.fits {
			t.Errorf("%s on %s: %q", c.image, c.engine, why)
		}
	}
}

func TestImageOfAnotherPlatformIsRefused(t *testing.T) {
	bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
		r.publish("1.0")
		r.pretend.Publish(dockertest.Image{Ref: repository + ":arm", Arch: "arm64"})
		r.run()
		former := r.deploy("1.0")
		d := r.end(r.begin("arm").ID)
		if d.State != store.DeployFailed {
			t.Errorf("it is %s", d.State)
		}
		mustContain(t, d.Error, "linux/arm64", "linux/amd64", "push the image for the engine's platform")
		r.expectServing(t, former.ID)
		r.expectNoOrphan(t, 1)
	})
}

func TestRoom(t *testing.T) {
	for _, c := range []struct {
		packed, free int64
		room         bool
	}{{100, 200, true}, {100, 100, true}, {100, -1, true}, {0, 0, true}, {101, 100, false}, {1, 0, false}} {
		if why := noRoom(c.packed, c.free); (why == "") != c.room {
			t.Errorf("%d bytes with %d free: %q", c.packed, c.free, why)
		}
	}
}

func TestPullThatDoesNotFitIsGivenUp(t *testing.T) {
	bubbleOn(t, dockertest.Options{Free: "10 MB"}, store.Spec{}, func(t *testing.T, r *rig) {
		r.pretend.Publish(dockertest.Image{Ref: repository + ":small", Size: 9_000_000})
		r.pretend.Publish(dockertest.Image{Ref: repository + ":big", Size: 30_000_000, PullTime: 20 * 60e9})
		r.run()
		former := r.deploy("small")
		d := r.end(r.begin("big").ID)
		if d.State != store.DeployFailed || d.EndedAt.Sub(d.CreatedAt).Minutes() > 15 {
			t.Errorf("it is %s after %s", d.State, d.EndedAt.Sub(d.CreatedAt))
		}
		mustContain(t, d.Error, "not enough free space", "10 MB are free", "docker-watcher reclaim")
		r.expectServing(t, former.ID)
		lines, err := r.db.DeployLog(t.Context(), d.ID, 0, 100)
		if err != nil || len(lines) < 3 || lines[2].Text != "free space of the engine: 10 MB" {
			t.Errorf("%+v, %v", lines, err)
		}
	})
}
