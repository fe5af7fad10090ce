package deploy

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

func TestCompare(t *testing.T) {
	plain := func(name, value string) store.EnvVar { return store.EnvVar{Name: name, Value: value, Plain: true} }
	secret := func(name, value string) store.EnvVar { return store.EnvVar{Name: name, Value: value} }
	env := func(list ...store.EnvVar) store.Spec { return store.Spec{Env: list} }
	cases := []struct {
		name            string
		running, wanted store.Spec
		want            []Difference
	}{
		{"nothing", store.Spec{}, store.Spec{}, nil},
		{"env in another order", env(plain("A", "1"), secret("B", "2")), env(secret("B", "2"), plain("A", "1")), nil},
		{"a variable that becomes secret", env(plain("A", "1")), env(secret("A", "1")), nil},
		{"plain env", env(plain("A", "1"), plain("GONE", "x")), env(plain("A", "2"), plain("NEW", "y")), []Difference{
			{Field: "env", Name: "A", Change: Changed, Running: "1", Wanted: "2", Plain: true},
			{Field: "env", Name: "GONE", Change: Removed, Running: "x", Plain: true},
			{Field: "env", Name: "NEW", Change: Added, Wanted: "y", Plain: true},
		}},
		{"secret env is told without its values", env(secret("A", "1")), env(secret("A", "2"), secret("B", "3")), []Difference{
			{Field: "env", Name: "A", Change: Changed, Secret: true}, {Field: "env", Name: "B", Change: Added, Secret: true},
		}},
		{"what was secret stays so", env(secret("A", "1")), env(plain("A", "2")), []Difference{{Field: "env", Name: "A", Change: Changed, Secret: true}}},
		{
			"ports",
			store.Spec{Ports: []store.Port{{Container: 80, Host: 8080}, {Container: 53, Protocol: "udp"}}},
			store.Spec{Ports: []store.Port{{Container: 80, Host: 8081, HostIP: "127.0.0.1", Protocol: "tcp"}}},
			[]Difference{
				{Field: "ports", Name: "53/udp", Change: Removed, Running: "127.0.0.1:a free one"},
				{Field: "ports", Name: "80/tcp", Change: Changed, Running: "127.0.0.1:8080", Wanted: "127.0.0.1:8081"},
			},
		},
		{"the same port in other words", store.Spec{Ports: []store.Port{{Container: 80}}}, store.Spec{Ports: []store.Port{{Container: 80, HostIP: "127.0.0.1", Protocol: "tcp"}}}, nil},
		{
			"mounts",
			store.Spec{Mounts: []store.Mount{{Source: "data", Target: "/data"}}},
			store.Spec{Mounts: []store.Mount{{Source: "data", Target: "/data", ReadOnly: true}}},
			[]Difference{{Field: "mounts", Name: "/data", Change: Changed, Running: "data", Wanted: "data (read only)"}},
		},
		{
			"networks",
			store.Spec{Networks: []store.Network{{Name: "front", Aliases: []string{"b", "a"}}}},
			store.Spec{Networks: []store.Network{{Name: "front", Aliases: []string{"a", "b"}}, {Name: "back"}}},
			[]Difference{{Field: "networks", Name: "back", Change: Added, Wanted: "in it"}},
		},
		{
			"limits",
			store.Spec{Resources: store.Resources{Memory: 64 << 20, NanoCPUs: 500_000_000}},
			store.Spec{Resources: store.Resources{Memory: 1536 << 20, Pids: 9}},
			[]Difference{
				{Field: "resources.memory", Change: Changed, Running: "64 MiB", Wanted: "1536 MiB"},
				{Field: "resources.cpus", Change: Removed, Running: "0.5"},
				{Field: "resources.pids", Change: Added, Wanted: "9"},
			},
		},
		{"no restart in two words", store.Spec{Restart: "no"}, store.Spec{}, nil},
		{"restart", store.Spec{Restart: "always"}, store.Spec{}, []Difference{{Field: "restart", Change: Changed, Running: "always", Wanted: "no"}}},
		{
			"words that look alike",
			store.Spec{Command: []string{"a b"}},
			store.Spec{Command: []string{"a", "b"}},
			[]Difference{{Field: "command", Change: Changed, Running: `"a b"`, Wanted: "a b"}},
		},
		{"the usual grace", store.Spec{StopGrace: 10 * time.Second}, store.Spec{}, nil},
		{
			"a health check",
			store.Spec{},
			store.Spec{Healthcheck: store.Healthcheck{Test: []string{"CMD", "x"}, Interval: time.Second, Retries: 2}},
			[]Difference{{Field: "healthcheck", Change: Added, Wanted: "CMD x every 1s retries 2"}},
		},
		{
			"power",
			store.Spec{Power: store.Power{CapAdd: []string{"CAP_NET_ADMIN"}}},
			store.Spec{Power: store.Power{Privileged: true, CapAdd: []string{"NET_ADMIN"}}},
			[]Difference{{Field: "power.privileged", Change: Added, Wanted: "yes"}},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, Compare(c.running, c.wanted)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if again := Compare(c.wanted, c.wanted); len(again) > 0 {
				t.Errorf("it differs from itself: %+v", again)
			}
		})
	}
}

// FuzzCompare: no value of a secret variable is ever told.
func FuzzCompare(f *testing.F) {
	f.Add("A", "s3cret-one", "s3cret-two")
	f.Fuzz(func(t *testing.T, name, was, will string) {
		if len(was) < 4 || len(will) < 4 || strings.Contains(name, was) || strings.Contains(name, will) {
			return
		}
		for _, d := range Compare(store.Spec{Env: []store.EnvVar{{Name: name, Value: was}}}, store.Spec{Env: []store.EnvVar{{Name: name, Value: will, Plain: true}}}) {
			if d.Running != "" || d.Wanted != "" {
				t.Errorf("%+v", d)
			}
		}
	})
}

func TestAsItRuns(t *testing.T) {
	deployed := store.Spec{
		Resources: store.Resources{Memory: 64 << 20}, Restart: "always", Networks: []store.Network{{Name: "front", Aliases: []string{"web"}}, {Name: "back"}},
	}
	same := docker.Setup{Memory: 64 << 20, Restart: "always", Pids: 2048, Networks: []docker.Attachment{{Network: "back"}, {Network: "front", Aliases: []string{"0123456789ab", "web"}}}}
	if diff := Compare(AsItRuns(deployed, same), deployed); len(diff) > 0 {
		t.Errorf("nothing was changed on the engine: %+v", diff)
	}
	altered := same
	altered.Memory, altered.Restart, altered.Networks = 0, "no", []docker.Attachment{{Network: "front"}}
	want := []Difference{
		{Field: "networks", Name: "back", Change: Added, Wanted: "in it"},
		{Field: "networks", Name: "front", Change: Changed, Running: "in it", Wanted: "as web"},
		{Field: "resources.memory", Change: Added, Wanted: "64 MiB"},
		{Field: "restart", Change: Changed, Running: "no", Wanted: "always"},
	}
	if diff := cmp.Diff(want, Compare(AsItRuns(deployed, altered), deployed)); diff != "" {
		t.Errorf("somebody changed it on the engine (-want +got):\n%s", diff)
	}
}

func TestExplicit(t *testing.T) {
	now := docker.Setup{
		Env: []string{"PATH=/bin", "A=1", "OF=the image"}, Entrypoint: []string{"/image"}, Labels: map[string]string{"vendor": "x", "team": "shop"},
		Restart: "no", Pids: 2048, StopGrace: 10, Check: &docker.Healthcheck{Test: []string{"CMD", "x"}}, Mounts: []docker.Mount{{Source: "data", Target: "/data"}},
	}
	wanted := store.Spec{Env: []store.EnvVar{{Name: "A", Value: "1"}}, Labels: map[string]string{"team": "shop"}, Mounts: []store.Mount{{Source: "data", Target: "/data"}}}
	var written store.Spec
	if diff := Compare(Explicit(now, wanted, written), wanted); len(diff) > 0 {
		t.Errorf("what the image gives is a difference: %+v", diff)
	}
	wanted.Env[0].Value, wanted.User, wanted.Entrypoint = "2", "1", []string{"/own"}
	want := []Difference{
		{Field: "env", Name: "A", Change: Changed, Secret: true},
		{Field: "entrypoint", Change: Changed, Running: "/image", Wanted: "/own"},
		{Field: "user", Change: Added, Wanted: "1"},
	}
	if diff := cmp.Diff(want, Compare(Explicit(now, wanted, written), wanted)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// That the value which is wanted may be seen opens none that the container had before.
	wanted.Env[0].Plain = true
	written.Env = []store.EnvVar{{Name: "A", Value: "1"}, {Name: "OF", Value: "the image", Plain: true}}
	if diff := cmp.Diff(want, Compare(Explicit(now, wanted, written), wanted)); diff != "" {
		t.Errorf("a secret one (-want +got):\n%s", diff)
	}
	written.Env[0].Plain = true
	want[0] = Difference{Field: "env", Name: "A", Change: Changed, Running: "1", Wanted: "2", Plain: true}
	if diff := cmp.Diff(want, Compare(Explicit(now, wanted, written), wanted)); diff != "" {
		t.Errorf("a plain one (-want +got):\n%s", diff)
	}
}

// What a container is adopted with is no difference from it, in whichever words its engine shows that.
func TestExplicitInOtherWords(t *testing.T) {
	anonymous := strings.Repeat("ab", 32)
	now := docker.Setup{
		Name: "web", Restart: "no", Command: []string{"sh", "-l"}, Networks: []docker.Attachment{{Network: "front", Aliases: []string{"shop"}}},
		Ports:  []docker.Port{{Container: 80, HostIP: "0.0.0.0", Protocol: "tcp"}, {Container: 9, HostIP: "0.0.0.0", Protocol: "sctp"}},
		Mounts: []docker.Mount{{Source: anonymous, Target: "/cache", Anonymous: true}, {Source: strings.Repeat("cd", 32), Target: "/of-image", Anonymous: true}},
		Check:  &docker.Healthcheck{Test: []string{"CMD", "/of-image"}, Interval: 5 * time.Second, Timeout: 30 * time.Second, Retries: 3},
	}
	wanted := store.Spec{
		Entrypoint: []string{"sh"}, Command: []string{"-l"}, Networks: []store.Network{{Name: "front", Aliases: []string{"shop", "web"}}},
		Ports: []store.Port{{Container: 80, HostIP: "0.0.0.0"}}, Mounts: []store.Mount{{Source: anonymous, Target: "/cache"}}, Healthcheck: store.Healthcheck{Interval: 5 * time.Second},
	}
	if diff := Compare(Explicit(now, wanted, store.Spec{}), wanted); len(diff) > 0 {
		t.Errorf("it differs from itself: %+v", diff)
	}
	wanted.Entrypoint, wanted.Healthcheck.Interval, wanted.Networks[0].Aliases = []string{"bash"}, time.Second, []string{"other"}
	var fields []string
	for _, d := range Compare(Explicit(now, wanted, store.Spec{}), wanted) {
		fields = append(fields, d.Field)
	}
	if diff := cmp.Diff([]string{"networks", "entrypoint", "healthcheck"}, fields); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDiffering(t *testing.T) {
	a := store.Spec{Env: []store.EnvVar{{Name: "A", Value: "1"}, {Name: "B", Value: "1"}}, Restart: "no"}
	b := store.Spec{Env: []store.EnvVar{{Name: "A", Value: "2"}}, Ports: []store.Port{{Container: 80}}}
	if diff := cmp.Diff([]string{"env", "ports"}, Differing(a, b)); diff != "" {
		t.Error(diff)
	}
	if got := Differing(a, store.Spec{Env: a.Env, Health: store.Health{Kind: store.HealthTCP, Port: 80}}); got != nil {
		t.Errorf("no policy and the policy no differ, or how a deploy proves health: %v", got)
	}
}

func TestCompareImage(t *testing.T) {
	i := store.Instance{Image: "shop", ImageTag: "1.0", Digest: "sha256:aa"}
	for name, c := range map[string]struct {
		wanted  Wanted
		differs bool
	}{
		"the same":                     {Wanted{Image: "shop", Tag: "1.0"}, false},
		"any tag":                      {Wanted{Image: "shop"}, false},
		"its digest":                   {Wanted{Image: "shop", Tag: "sha256:aa"}, false},
		"another tag":                  {Wanted{Image: "shop", Tag: "1.1"}, true},
		"another repository":           {Wanted{Image: "shop2"}, true},
		"the tag pushed again":         {Wanted{Image: "shop", Tag: "1.0", Digest: "sha256:bb"}, true},
		"the tag with the same digest": {Wanted{Image: "shop", Tag: "1.0", Digest: "sha256:aa"}, false},
	} {
		if got := compareImage(i, c.wanted); (len(got) > 0) != c.differs {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
