package deploy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

func TestRoom(t *testing.T) {
	for _, c := range []struct {
		packed, free int64
		room         bool
	}{{100, 200, true}, {100, 100, true}, {100, -1, true}, {0, 0, true}, {101, 100, false}, {1, 0, false}} {
		if why := noRoom(c.packed, c.free); (why == "") != c.room {
			t.Errorf("%d bytes with %d free: %q", c.packed, c.free, why)
		}
	}
	// What is missing is seen, however little it is.
	mustContain(t, noRoom(10_000_001, 10_000_000), "at least 11 MB", "10 MB are free")
	mustContain(t, needWords(10_000_000, 999, 998), "10 MB of the image", "at least 1 MB", "0 MB are free")
}

func TestWhatAnEngineHasOfAnImage(t *testing.T) {
	image := []Layer{{"base", 50}, {"tools", 30}, {"app", 20}}
	for name, c := range map[string]struct {
		there []string
		want  int
	}{
		"nothing":                  {nil, 0},
		"the base":                 {[]string{"base", "other"}, 1},
		"all of it and more":       {[]string{"base", "tools", "app", "extra"}, 3},
		"one less":                 {[]string{"base", "tools"}, 2},
		"the same on another base": {[]string{"other", "tools", "app"}, 0},
	} {
		if got := shared(image, c.there); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	if got := shared([]Layer{{"", 1}}, []string{""}); got != 0 {
		t.Errorf("what has no name is not the same: %d", got)
	}
	if got := packed(append(image, image[0], Layer{"base", 51})); got != 151 {
		t.Errorf("%d bytes, want that what comes twice counts once", got)
	}
}

func TestPlatformOfAnEngine(t *testing.T) {
	for engine, want := range map[string]Platform{
		"linux/x86_64": {"linux", "amd64", ""}, "linux/aarch64": {"linux", "arm64", ""}, "linux/armv7l": {"linux", "arm", "v7"},
		"linux/armv6l": {"linux", "arm", "v6"}, "linux/arm": {"linux", "arm", ""}, "/": {},
	} {
		os, arch, _ := strings.Cut(engine, "/")
		if got := platformOf(docker.Info{OS: os, Arch: arch}); got != want {
			t.Errorf("%s: %+v, want %+v", engine, got, want)
		}
	}
}

// measured says how large an image is, as a registry would, and notes what it was asked.
func (r *rig) measured(layers []Layer, err error) *[]string {
	var asked []string
	r.MeasureBy(func(_ context.Context, image, tag string, on Platform) ([]Layer, error) {
		asked = append(asked, fmt.Sprintf("%s at %s for %s/%s", image, tag, on.OS, on.Arch))
		return layers, err
	})
	return &asked
}

// logOf is the log of a deploy.
func (r *rig) logOf(id string) string {
	r.t.Helper()
	lines, err := r.db.DeployLog(r.t.Context(), id, 0, 100)
	if err != nil {
		r.t.Fatal(err)
	}
	var all []string
	for _, l := range lines {
		all = append(all, l.Text)
	}
	return strings.Join(all, "\n")
}

const pullRequest = `^POST /images/create`

func TestImageThatDoesNotFitIsNotPulled(t *testing.T) {
	bubbleOn(t, dockertest.Options{Free: "10 MB"}, store.Spec{}, func(t *testing.T, r *rig) {
		r.publish("small", "big")
		r.run()
		former := r.deploy("small")
		asked := r.measured([]Layer{{"sha256:base", 8_000_000}, {"sha256:app", 7_500_000}}, nil)
		pulls := len(r.pretend.Requests(pullRequest))
		d := r.end(r.begin("big").ID)
		if d.State != store.DeployFailed {
			t.Errorf("it is %s", d.State)
		}
		mustContain(t, d.Error, "not enough free space", "needs at least 16 MB", "10 MB are free", "docker-watcher reclaim", "page Reclaim")
		mustContain(t, r.logOf(d.ID), "free space of the engine: 10 MB; the image is 16 MB packed")
		if len(*asked) != 1 || (*asked)[0] != repository+" at big for linux/amd64" {
			t.Errorf("asked %q", *asked)
		}
		if got := len(r.pretend.Requests(pullRequest)); got != pulls {
			t.Errorf("%d pulls were begun", got-pulls)
		}
		r.expectServing(t, former.ID)
		r.expectNoOrphan(t, 1)
	})
}

func TestWhatTheEngineHasNeedsNoRoom(t *testing.T) {
	bubbleOn(t, dockertest.Options{Free: "10 MB"}, store.Spec{}, func(t *testing.T, r *rig) {
		r.publish("1.0")
		r.run()
		r.deploy("1.0")
		have, err := r.adapter.InspectImage(t.Context(), repository+":1.0")
		if err != nil || len(have.Layers) != 1 {
			t.Fatalf("%+v, %v", have, err)
		}
		r.pretend.Publish(dockertest.Image{Ref: repository + ":1.1", Base: repository + ":1.0", Size: 7 << 20})
		r.measured([]Layer{{have.Layers[0], 9_000_000}, {"sha256:app", 2_000_000}}, nil)
		d := r.end(r.begin("1.1").ID)
		if d.State != store.DeployDone {
			t.Errorf("it is %s: %s", d.State, d.Error)
		}
		mustContain(t, r.logOf(d.ID), "the image is 11 MB packed", "1 of its 2 layers are on the engine already")

		r.publish("1.2")
		r.measured([]Layer{{have.Layers[0], 9_000_000}, {"sha256:app", 12_000_000}}, nil)
		d = r.end(r.begin("1.2").ID)
		mustContain(t, d.Error, "of the 21 MB of the image it has a part already", "at least 12 MB", "10 MB are free")
	})
}

// What is not known refuses nothing.
func TestRoomThatIsNotKnown(t *testing.T) {
	for name, c := range map[string]struct {
		free   string
		layers []Layer
		err    error
		fault  *dockertest.Fault
		says   string
		asked  int
	}{
		"the free space":         {"", []Layer{{"a", 1 << 50}}, nil, nil, "free space of the engine: not known: ", 0},
		"the size":               {"10 MB", nil, errors.New("the registry does not answer"), nil, "not known before its pull: the registry does not answer", 1},
		"what the engine has":    {"10 MB", []Layer{{"a", 1 << 50}}, nil, &dockertest.Fault{On: `^GET /images/json`, Status: 500, Times: 1}, "the pull will find out whether it fits", 1},
		"how large it is in use": {"10 MB", []Layer{{"a", 9_000_000}}, nil, nil, "it may not fit", 1},
		"nothing: it is small":   {"10 MB", []Layer{{"a", 1_000_000}}, nil, nil, "the image is 1 MB packed", 1},
		"nothing: there is much": {"1 TB", []Layer{{"a", 1 << 50}}, nil, nil, "free space of the engine: 1000000 MB", 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubbleOn(t, dockertest.Options{Free: c.free}, store.Spec{}, func(t *testing.T, r *rig) {
				r.publish("1.0")
				asked := r.measured(c.layers, c.err)
				if c.fault != nil {
					r.pretend.Fail(*c.fault)
				}
				r.run()
				d := r.end(r.begin("1.0").ID)
				if d.State != store.DeployDone || len(*asked) != c.asked {
					t.Errorf("it is %s: %s; asked %q", d.State, d.Error, *asked)
				}
				mustContain(t, r.logOf(d.ID), c.says)
			})
		})
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
		mustContain(t, r.logOf(d.ID), "free space of the engine: 10 MB; the size of the image is not known before its pull")
	})
}
