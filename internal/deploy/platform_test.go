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
