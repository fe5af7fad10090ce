package deploy

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

func TestValidateSpec(t *testing.T) {
	good := store.Spec{
		Env:     []store.EnvVar{{Name: "A", Value: "one\ntwo=three"}, {Name: "B"}},
		Ports:   []store.Port{{Container: 80}, {Container: 81, Host: 8081, HostIP: "0.0.0.0"}, {Container: 53, Host: 8081, Protocol: "udp"}},
		Mounts:  []store.Mount{{Source: "shop-data", Target: "/data"}, {Source: "/srv/shop", Target: "/srv", ReadOnly: true}},
		Restart: "on-failure:3", Labels: map[string]string{"team": "shop", "docker-watcher.keep": "true"}, StopGrace: time.Minute,
		Health: store.Health{Kind: store.HealthHTTP, Port: 80, Path: "/healthz", Timeout: time.Minute},
	}
	if err := ValidateSpec(good); err != nil {
		t.Errorf("a good one: %v", err)
	}
	if err := ValidateSpec(store.Spec{}); err != nil {
		t.Errorf("an empty one: %v", err)
	}
	cases := []struct {
		name string
		spec store.Spec
		says string
	}{
		{"env without a name", store.Spec{Env: []store.EnvVar{{Value: "x"}}}, "env name"},
		{"env name with =", store.Spec{Env: []store.EnvVar{{Name: "A=B"}}}, "env name"},
		{"env name with a line break", store.Spec{Env: []store.EnvVar{{Name: "A\nB"}}}, "line break"},
		{"env name that ends in a line break", store.Spec{Env: []store.EnvVar{{Name: "A\n"}}}, "line break"},
		{"env twice", store.Spec{Env: []store.EnvVar{{Name: "A"}, {Name: "A"}}}, "given twice"},
		{"env with a zero byte", store.Spec{Env: []store.EnvVar{{Name: "A", Value: "\x00"}}}, "zero byte"},
		{"port 0", store.Spec{Ports: []store.Port{{}}}, "container port"},
		{"port too high", store.Spec{Ports: []store.Port{{Container: 70000}}}, "container port"},
		{"host port negative", store.Spec{Ports: []store.Port{{Container: 80, Host: -1}}}, "host port"},
		{"host port twice", store.Spec{Ports: []store.Port{{Container: 80, Host: 8080}, {Container: 81, Host: 8080}}}, "published twice"},
		{"protocol", store.Spec{Ports: []store.Port{{Container: 80, Protocol: "sctp"}}}, "tcp or udp"},
		{"host ip", store.Spec{Ports: []store.Port{{Container: 80, HostIP: "localhost"}}}, "IP address"},
		{"mount without a target", store.Spec{Mounts: []store.Mount{{Source: "data"}}}, "absolute path"},
		{"mount over the root", store.Spec{Mounts: []store.Mount{{Source: "data", Target: "/"}}}, "not /"},
		{"mount source with ..", store.Spec{Mounts: []store.Mount{{Source: "/srv/../etc", Target: "/x"}}}, "without . and .."},
		{"mount source relative", store.Spec{Mounts: []store.Mount{{Source: "./data", Target: "/x"}}}, "name of a volume"},
		{"restart", store.Spec{Restart: "sometimes"}, "restart"},
		{"our label", store.Spec{Labels: map[string]string{"Docker-Watcher.instance": "x"}}, "docker-watcher's own"},
		{"keep label", store.Spec{Labels: map[string]string{"docker-watcher.keep": "yes"}}, "true or false"},
		{"swarm label", store.Spec{Labels: map[string]string{"com.docker.swarm.task.id": "x"}}, "Swarm"},
		{"grace", store.Spec{StopGrace: -time.Second}, "stop_grace"},
		{"health without a port", store.Spec{Health: store.Health{Kind: store.HealthTCP}}, "health port"},
		{"health path", store.Spec{Health: store.Health{Kind: store.HealthHTTP, Port: 80, Path: "healthz"}}, "health path"},
		{"health kind", store.Spec{Health: store.Health{Kind: "exec"}}, "health kind"},
	}
	for _, c := range cases {
		if err := ValidateSpec(c.spec); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want ErrInvalid that says %q", c.name, err, c.says)
		}
	}
	if err := inSpec(ValidateSpec(store.Spec{Restart: "x"})); !errors.Is(err, ErrInvalid) || !errors.Is(err, store.FieldError{Field: "spec.restart", Reason: `restart "x": one of no, always, unless-stopped, on-failure, on-failure:3`}) {
		t.Errorf("as a part of what was asked: %v", err)
	}
	both := ValidateSpec(store.Spec{Restart: "x", StopGrace: -1})
	if both == nil || !strings.Contains(both.Error(), "restart") || !strings.Contains(both.Error(), "stop_grace") {
		t.Errorf("two mistakes: %v", both)
	}
}

func TestDangerous(t *testing.T) {
	for source, want := range map[string]bool{
		"/": true, "/var/run/docker.sock": true, "/run/podman/podman.sock": true, "/etc": true, "/var/lib/docker": true, "/var/run/": true,
		"/etc/cron.d": true, "/root/.ssh": true, "/home/anna/.ssh": true, "/home": true, "/var/lib/docker/volumes": true, "/dev/sda": true,
		"/home/anna": true, "/home/anna/site": true, "data": false, "/srv/shop": false, "/homes": false, "/etcetera": false, "/var/lib/shop": false,
	} {
		if got := len(Dangerous(store.Spec{Mounts: []store.Mount{{Source: source, Target: "/x"}}})) > 0; got != want {
			t.Errorf("%s: dangerous %v, want %v", source, got, want)
		}
	}
}

func TestBeyond(t *testing.T) {
	mounts := func(source string, readOnly bool) store.Spec {
		return store.Spec{Mounts: []store.Mount{{Source: source, Target: "/x", ReadOnly: readOnly}}}
	}
	for name, c := range map[string]struct {
		rule         func(store.Spec) []string
		spec, former store.Spec
		want         []string
	}{
		"the same":                {Dangerous, mounts("/etc", false), mounts("/etc", false), nil},
		"read what was written":   {Dangerous, mounts("/etc", true), mounts("/etc", false), nil},
		"write what was read":     {Dangerous, mounts("/etc", false), mounts("/etc", true), []string{"it mounts /etc of the host to write"}},
		"the root folder, too":    {Dangerous, mounts("/", false), mounts("/", true), []string{"it mounts the host's root folder to write"}},
		"below what was approved": {Dangerous, mounts("/etc/cron.d", true), mounts("/etc", false), []string{"it mounts /etc/cron.d of the host"}},
		"a harmless folder":       {Dangerous, mounts("/srv/shop", false), store.Spec{}, nil},
		"any folder":              {HostAccess, mounts("/srv/shop", true), store.Spec{}, []string{"it mounts /srv/shop of the host"}},
		"a volume":                {HostAccess, mounts("data", false), store.Spec{}, nil},
	} {
		if diff := cmp.Diff(c.want, Beyond(c.rule, c.spec, c.former), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestCannotOverlap(t *testing.T) {
	port := func(host int, ip string) store.Spec {
		return store.Spec{Ports: []store.Port{{Container: 80, Host: host, HostIP: ip}}}
	}
	mount := func(source string, readOnly bool) store.Spec {
		return store.Spec{Mounts: []store.Mount{{Source: source, Target: "/x", ReadOnly: readOnly}}}
	}
	cases := []struct {
		name         string
		former, next store.Spec
		want         bool
	}{
		{"nothing", store.Spec{}, store.Spec{}, false},
		{"ports that the engine chooses", port(0, ""), port(0, ""), false},
		{"the same port", port(8080, ""), port(8080, ""), true},
		{"other ports", port(8080, ""), port(8081, ""), false},
		{"the same port of other addresses", port(8080, "127.0.0.1"), port(8080, "10.0.0.1"), false},
		{"everywhere and one address", port(8080, "0.0.0.0"), port(8080, "127.0.0.1"), true},
		{"the same port of another protocol", port(53, ""), store.Spec{Ports: []store.Port{{Container: 53, Host: 53, Protocol: "udp"}}}, false},
		{"a volume both write to", mount("data", false), mount("data", false), true},
		{"a volume that one only reads", mount("data", false), mount("data", true), false},
		{"other volumes", mount("data", false), mount("other", false), false},
	}
	for _, c := range cases {
		if why := cannotOverlap(c.former, c.next); (why != "") != c.want {
			t.Errorf("%s: %q, want a reason: %v", c.name, why, c.want)
		}
	}
}

func TestCreateOptions(t *testing.T) {
	v := store.InstanceView{Instance: store.Instance{ID: "0123456789abcdef", Name: "shop-preview-abcdef", Image: repository, ImageTag: "1.0"}, Project: "shop", Stage: "preview"}
	got := createOptions(v, store.Spec{
		Env: []store.EnvVar{{Name: "A", Value: "x\ny"}}, Ports: []store.Port{{Container: 80}}, Command: []string{"serve", "a b"},
		Mounts: []store.Mount{{Source: "data", Target: "/data"}, {Source: "/srv", Target: "/srv", ReadOnly: true}},
		Labels: map[string]string{"team": "shop"}, Restart: "always",
	}, "inst")
	want := docker.CreateOptions{
		Name: "shop-preview-abcdef", Image: repository + ":1.0", Env: []string{"A=x\ny"}, Command: []string{"serve", "a b"}, Restart: "always",
		StopGrace: 10 * time.Second,
		Labels: map[string]string{
			"team": "shop", docker.LabelManaged: "true", docker.LabelInstallation: "inst", docker.LabelProject: "shop",
			docker.LabelStage: "preview", docker.LabelInstance: "0123456789abcdef",
		},
		Ports:  []docker.Port{{Container: 80, HostIP: "127.0.0.1", Protocol: "tcp"}},
		Mounts: []docker.Mount{{Type: "volume", Name: "data", Source: "data", Target: "/data"}, {Type: "bind", Source: "/srv", Target: "/srv", ReadOnly: true}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestValidateReference(t *testing.T) {
	digest := "sha256:" + strings.Repeat("a", 64)
	for _, c := range []struct {
		repository, tag string
		good            bool
	}{
		{"shop", "1.0", true},
		{"ghcr.io/acme/shop", "v1.2.3-rc.1", true},
		{"127.0.0.1:5000/shop", "latest", true},
		{"registry.example/a/b__c/d-e.f", digest, true},
		{"localhost:5000/shop", strings.Repeat("x", 128), true},
		{"", "1.0", false},
		{"Shop", "1.0", false},
		{"ghcr.io/acme/shop:1.0", "1.0", false},
		{"shop@" + digest, "1.0", false},
		{"https://ghcr.io/shop", "1.0", false},
		{"shop/", "1.0", false},
		{"shop", "", false},
		{"shop", "-x", false},
		{"shop", "a b", false},
		{"shop", "a/b", false},
		{"shop", strings.Repeat("x", 129), false},
		{"shop", "sha256:short", false},
		{"shop;rm -rf", "1", false},
	} {
		if err := ValidateReference(c.repository, c.tag); (err == nil) != c.good || err != nil && !errors.Is(err, ErrInvalid) {
			t.Errorf("%q at %q: %v, want good: %v", c.repository, c.tag, err, c.good)
		}
	}
}

// FuzzReference: what is let through is one word with one tag, whatever it was made of.
func FuzzReference(f *testing.F) {
	f.Add("ghcr.io/acme/shop", "1.0")
	f.Add("127.0.0.1:5000/shop", "sha256:"+strings.Repeat("0", 64))
	f.Add("a@b", "c:d")
	f.Fuzz(func(t *testing.T, repository, tag string) {
		if ValidateReference(repository, tag) != nil {
			return
		}
		ref := reference(repository, tag)
		if strings.ContainsAny(ref, " \t\n\x00?#&%\\") || strings.HasPrefix(ref, "-") || strings.HasPrefix(ref, "/") {
			t.Errorf("%q was let through", ref)
		}
		if slash := strings.LastIndex(repository, "/"); strings.Contains(repository[slash+1:], ":") || strings.Contains(repository, "@") {
			t.Errorf("repository %q holds a tag", repository)
		}
	})
}

// FuzzLabels: no label of a user replaces one of ours.
func FuzzLabels(f *testing.F) {
	f.Add("team", "shop")
	f.Add("docker-watcher.managed", "false")
	f.Add("DOCKER-WATCHER.instance", "x")
	f.Fuzz(func(t *testing.T, name, value string) {
		spec := store.Spec{Labels: map[string]string{name: value}}
		if ValidateSpec(spec) != nil {
			return
		}
		v := store.InstanceView{Instance: store.Instance{ID: "0123456789abcdef", Name: "n", Image: "i", ImageTag: "t"}, Project: "p", Stage: "s"}
		got := createOptions(v, spec, "inst").Labels
		if got[docker.LabelInstance] != v.ID || got[docker.LabelInstallation] != "inst" || got[docker.LabelManaged] != "true" {
			t.Errorf("label %q=%q made %v", name, value, got)
		}
		if name != docker.LabelKeep && strings.HasPrefix(strings.ToLower(name), "docker-watcher.") {
			t.Errorf("%q was let through", name)
		}
	})
}
