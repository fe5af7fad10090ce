package compose

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

const whole = `
name: shop
x-base: &base
  restart: unless-stopped
  labels: {team: shop}
services:
  web:
    <<: *base
    image: ghcr.io/acme/shop:${TAG:-1.4}
    ports: ["8080:80", "127.0.0.1::9000/udp", {target: 81, published: "8081", mode: host}]
    environment:
      - A=1
      - LINES=${LINES}
      - PRICE=$$5
      - GIVEN
    volumes:
      - data:/data
      - /srv/x:/x:ro
      - {type: volume, source: outer, target: /outer, read_only: true}
    networks:
      front: {aliases: [www]}
      own:
    command: sh -c "echo hi"
    entrypoint: [/app, 1]
    healthcheck: {test: curl -f x, interval: 30s, retries: 3}
    mem_limit: 512m
    cpus: ${CPUS:-0.5}
    deploy: {resources: {limits: {pids: 100}}}
    stop_grace_period: 1m30s
    init: "true"
    read_only: true
    cap_add: [net_admin]
    cap_drop: [ALL]
    user: 1000:1000
    working_dir: /x
    pid: host
networks: {front: {external: true}, own: {}}
volumes: {data: {}, outer: {name: elsewhere}}
`

func read(t *testing.T, text string, values map[string]string) File {
	t.Helper()
	f, err := Read(text, Options{Values: values})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestRead(t *testing.T) {
	f := read(t, whole, map[string]string{"LINES": "one\ntwo", "GIVEN": "yes"})
	want := store.Spec{
		Env: []store.EnvVar{{Name: "A", Value: "1"}, {Name: "GIVEN", Value: "yes"}, {Name: "LINES", Value: "one\ntwo"}, {Name: "PRICE", Value: "$5"}},
		Ports: []store.Port{
			{Container: 80, Host: 8080, HostIP: "0.0.0.0", Protocol: "tcp"},
			{Container: 9000, HostIP: "127.0.0.1", Protocol: "udp"},
			{Container: 81, Host: 8081, HostIP: "0.0.0.0"},
		},
		Mounts: []store.Mount{
			{Source: "shop_data", Target: "/data"}, {Source: "/srv/x", Target: "/x", ReadOnly: true}, {Source: "elsewhere", Target: "/outer", ReadOnly: true},
		},
		Networks:   []store.Network{{Name: "front", Aliases: []string{"web", "www"}}, {Name: "shop_own", Aliases: []string{"web"}}},
		Resources:  store.Resources{Memory: 512 << 20, NanoCPUs: 500_000_000, Pids: 100},
		Restart:    "unless-stopped",
		Entrypoint: []string{"/app", "1"}, Command: []string{"sh", "-c", "echo hi"}, User: "1000:1000", WorkDir: "/x", Init: true, ReadOnly: true,
		CapDrop: []string{"ALL"}, Labels: map[string]string{"team": "shop"}, StopGrace: 90 * time.Second,
		Healthcheck: store.Healthcheck{Test: []string{"CMD-SHELL", "curl -f x"}, Interval: 30 * time.Second, Retries: 3},
		Power:       store.Power{HostPID: true, CapAdd: []string{"NET_ADMIN"}},
	}
	s := f.Services[0]
	if diff := cmp.Diff(want, s.Spec); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	if s.Image != "ghcr.io/acme/shop" || s.Tag != "1.4" || s.Blocked() || s.Lossy() || f.Name != "shop" || len(f.Notes) > 0 {
		t.Errorf("%s %s, notes %+v %+v", s.Image, s.Tag, s.Notes, f.Notes)
	}
	variables := []Variable{{"TAG", 9, false, true}, {"LINES", 13, true, true}, {"GIVEN", 15, true, true}, {"CPUS", 27, false, true}}
	if diff := cmp.Diff(variables, f.Variables); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
}

// TestNothingIsDropped: each line that does not come along is told, with its line.
func TestNothingIsDropped(t *testing.T) {
	for _, c := range []struct {
		line string
		kind Kind
		key  string
	}{
		{"build: .", Unsupported, "build"},
		{"env_file: .env", Unsupported, "env_file"},
		{"extends: {file: /etc/passwd, service: x}", Unsupported, "extends"},
		{"label_file: /etc/passwd", Unsupported, "label_file"},
		{"depends_on: [db]", Unsupported, "depends_on"},
		{"container_name: web", Unsupported, "container_name"},
		{"devices: [/dev/sda]", Unsupported, "devices"},
		{"security_opt: [seccomp=unconfined]", Unsupported, "security_opt"},
		{"frobnicate: 1", Unsupported, "frobnicate"},
		{"Ports: [80]", Unsupported, "Ports"},
		{"x-mine: 1", Told, "x-mine"},
		{"expose: [80]", Told, "expose"},
		{"pull_policy: always", Told, "pull_policy"},
		{"network_mode: service:db", Unsupported, "network_mode"},
		{"pid: container:x", Unsupported, "pid"},
		{"ipc: shareable", Unsupported, "ipc"},
		{"command: []", Unsupported, "command"},
		{"tmpfs: /run", Unsupported, "tmpfs"},
		{"deploy: {replicas: 2}", Unsupported, "deploy.replicas"},
		{"deploy: {placement: {}}", Unsupported, "deploy.placement"},
		{"deploy: {restart_policy: {condition: any}}", Unsupported, "deploy.restart_policy"},
		{"deploy: {resources: {reservations: {cpus: '1'}}}", Unsupported, "deploy.resources.reservations"},
		{"deploy: {resources: {limits: {devices: []}}}", Unsupported, "deploy.resources.limits.devices"},
		{"healthcheck: {test: x, start_interval: 1s}", Unsupported, "healthcheck.start_interval"},
		{"ports: [{target: 80, extra: 1}]", Unsupported, "ports.extra"},
		{"ports: ['8000-8010:80']", Unsupported, "ports"},
		{"volumes: [/data]", Unsupported, "volumes"},
		{"volumes: [{type: tmpfs, target: /x}]", Unsupported, "volumes"},
		{"volumes: [{type: volume, source: a, target: /x, volume: {nocopy: true}}]", Unsupported, "volumes.volume"},
		{"volumes: ['data:/x:nocopy']", Unsupported, "volumes"},
		{"networks: {front: {ipv4_address: 10.0.0.2}}", Unsupported, "networks.front.ipv4_address"},
		{"environment: ['1A=x']", Unsupported, "environment.1A"},
		// And what stands in the way.
		{"volumes: [./conf:/conf]", Blocked, "volumes"},
		{"volumes: [~/conf:/conf]", Blocked, "volumes"},
		{"volumes: data:/data", Blocked, "volumes"},
		{"environment: [FROM_SHELL]", Blocked, "environment.FROM_SHELL"},
		{"environment: {FROM_SHELL: }", Blocked, "environment.FROM_SHELL"},
		{"environment: ['A=${NOT_GIVEN}']", Blocked, "environment"},
		{"environment: ['A=${NOT_GIVEN:?told}']", Blocked, "environment"},
		{"mem_limit: lots", Blocked, "mem_limit"},
		{"mem_limit: [1]", Blocked, "mem_limit"},
		{"restart: {a: b}", Blocked, "restart"},
		{"cap_add: NET_ADMIN", Blocked, "cap_add"},
		{"environment: {A: [b]}", Blocked, "environment"},
		{"networks: front", Blocked, "networks"},
		{"deploy: [a]", Blocked, "deploy"},
		{"healthcheck: {test: {a: b}}", Blocked, "healthcheck.test"},
		{"healthcheck: [a]", Blocked, "healthcheck"},
		{"cpus: many", Blocked, "cpus"},
		{"privileged: perhaps", Blocked, "privileged"},
		{"ports: [99999]", Blocked, "ports"},
		{"ports: ['1-65535:1-65535']", Blocked, "ports"},
		{"ports: 80", Blocked, "ports"},
		{"ports: [[80]]", Blocked, "ports"},
		{"labels: [[a]]", Blocked, "labels"},
		{"command: {a: b}", Blocked, "command"},
		{"stop_grace_period: soon", Blocked, "stop_grace_period"},
		{"healthcheck: {test: [x], interval: never}", Blocked, "healthcheck"},
	} {
		t.Run(c.line, func(t *testing.T) {
			s := read(t, "services:\n  web:\n    image: shop\n    "+c.line+"\n", nil).Services[0]
			at := slices.IndexFunc(s.Notes, func(n Note) bool { return n.Kind == c.kind && n.Line == 4 && n.Key == c.key })
			if at < 0 {
				t.Fatalf("not told: %+v of %+v", s.Notes, s.Spec)
			}
			if n := s.Notes[at]; n.What == "" || n.Remedy == "" && n.Kind != Told {
				t.Errorf("it says not why, or what to do: %+v", n)
			}
		})
	}
	for _, line := range []string{"include: [other.yaml]", "configs: {a: {file: /etc/passwd}}", "secrets: {a: {file: /etc/passwd}}", "volumes: {a: {driver_opts: {}}}", "networks: {a: {driver: macvlan}}", "frobnicate: 1"} {
		f := read(t, "services: {web: {image: shop}}\n"+line, nil)
		if len(f.Notes) != 1 || f.Notes[0].Kind != Unsupported || f.Notes[0].Line != 2 || f.Notes[0].Remedy == "" {
			t.Errorf("%s: %+v", line, f.Notes)
		}
	}
}

// TestAnEmptyValueIsNotEnough where a variable must have one; where it must only be given, it is.
func TestAnEmptyValueIsNotEnough(t *testing.T) {
	for text, lacks := range map[string]bool{
		"${A:?told}": true, "x ${A:?}": true, "${A:-b}${A:?told}": true, "${B:-${A:?told}}": true,
		"${A?told}": false, "${A}": false, "${A:-b}": false, "${B:-b}": false, "$$A": false,
	} {
		f := read(t, "services:\n  web:\n    image: shop\n    environment: ['V="+text+"']\n", map[string]string{"A": ""})
		s := f.Services[0]
		told := slices.ContainsFunc(s.Notes, func(n Note) bool { return n.Kind == Blocked && n.Line == 4 && strings.Contains(n.What, "variable A ") })
		if told != lacks || s.Blocked() != lacks {
			t.Errorf("%s: %+v of %+v", text, s.Notes, s.Spec.Env)
		}
		if at := slices.IndexFunc(f.Variables, func(v Variable) bool { return v.Name == "A" }); lacks && (at < 0 || !f.Variables[at].Given || f.Variables[at].Default) {
			t.Errorf("%s: %+v", text, f.Variables)
		}
		if slices.ContainsFunc(f.Variables, func(v Variable) bool { return v.Name == "" }) {
			t.Errorf("%s: a variable without a name: %+v", text, f.Variables)
		}
	}
}

// TestNoFileIsRead: whatever a file names, and whatever the process has in its environment, nothing of it comes in.
func TestNoFileIsRead(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("CANARY=canary-7f3a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CANARY", "canary-7f3a")
	text := fmt.Sprintf(`
include: [%[1]s]
services:
  web:
    image: shop:${CANARY:-1}
    env_file: %[1]s
    label_file: %[1]s
    extends: {file: %[1]s, service: x}
    build: {context: %[1]s}
    environment: {CANARY: , B: "${CANARY-}"}
    configs: [a]
configs: {a: {file: %[1]s}}
secrets: {b: {environment: CANARY}}
`, secret)
	if got := fmt.Sprintf("%+v", read(t, text, nil)); strings.Contains(got, "canary-7f3a") {
		t.Errorf("it came in: %s", got)
	}
}

func TestImage(t *testing.T) {
	digest := "sha256:" + strings.Repeat("a", 64)
	for ref, want := range map[string][2]string{
		"nginx": {"nginx", "latest"}, "ghcr.io/a/b:1.2": {"ghcr.io/a/b", "1.2"}, "localhost:5000/a": {"localhost:5000/a", "latest"},
		"localhost:5000/a:1@" + digest: {"localhost:5000/a", digest},
	} {
		if s := read(t, "services: {web: {image: '"+ref+"'}}", nil).Services[0]; [2]string{s.Image, s.Tag} != want {
			t.Errorf("%s: %s %s", ref, s.Image, s.Tag)
		}
	}
	for _, text := range []string{"services: {web: {build: .}}", "services: {web: {restart: always}}", "services: {web: {image: ''}}", "services: {web: }", "services: {web: [a]}"} {
		if s := read(t, text, nil).Services[0]; !s.Blocked() {
			t.Errorf("%s: %+v", text, s)
		}
	}
}

func TestServicesWithoutANetwork(t *testing.T) {
	f := read(t, "name: shop\nservices:\n  web: {image: a}\n  db: {image: b}\n", nil)
	for _, s := range f.Services {
		if len(s.Notes) != 1 || s.Notes[0].Kind != Told || !strings.Contains(s.Notes[0].Remedy, "shop_default") {
			t.Errorf("%s: %+v", s.Name, s.Notes)
		}
	}
}

func TestRefused(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'k'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat("*"+string(c-1)+",", 10), ","))
	}
	for name, c := range map[string]struct {
		text string
		line int
	}{
		"nothing":                    {"", 0},
		"no YAML":                    {"services:\n  web: [", 2},
		"no object":                  {"- a", 1},
		"no services":                {"version: '3'", 1},
		"services is a list":         {"services: [a]", 1},
		"empty services":             {"services: {}", 1},
		"two documents":              {"services: {a: {image: b}}\n---\nservices: {}\n", 2},
		"a key twice":                {"services:\n  web:\n    image: a\n    image: b\n", 4},
		"an alias in itself":         {"services: &a\n  web: *a\n", 2},
		"a bomb of aliases":          {bomb + "services: {web: {image: a, x-a: *k}}", 0},
		"a bomb of merges":           {"services:\n  web:\n    image: a\n" + strings.Repeat("    x: {", 1), 0},
		"deeply nested":              {"services: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000), 1},
		"variables in variables":     {"services: {web: {image: '" + strings.Repeat("${A:-", 300) + strings.Repeat("}", 300) + "'}}", 1},
		"a sign that is no variable": {"services: {web: {image: 'a${'}}", 1},
		"too large":                  {strings.Repeat("#", MostBytes+1), 0},
		"too many services":          {"services:\n" + strings.Repeat("  a%d: {image: b}\n", 201), 2},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "too many services" {
				c.text = "services:\n"
				for i := range 201 {
					c.text += fmt.Sprintf("  a%d: {image: b}\n", i)
				}
			}
			began := time.Now()
			_, err := Read(c.text, Options{})
			var e *Error
			if !errors.As(err, &e) || e.Reason == "" || e.Remedy == "" || c.line > 0 && e.Line != c.line {
				t.Errorf("got %#v", err)
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// FuzzRead: no panic, bounded work, and what comes out can be told: every note has its line in the file.
func FuzzRead(f *testing.F) {
	f.Add(whole, "LINES", "x")
	f.Add("services: {a: {image: 'b:${T}', ports: ['1-9:1-9', {target: 1}], command: a 'b}}", "T", "1")
	f.Add("a: &a {b: c}\nservices: {x: {<<: *a, <<: [*a, *a], image: d, deploy: {resources: {limits: {cpus: .5}}}}}", "A", "")
	f.Add("services: {a: {environment: {X: }, labels: [1, 2=3], networks: [n], volumes: [a:b:c:d], healthcheck: {test: [NONE]}}}", "X", "${X}")
	f.Add("services: {a: {image: !!binary aGk=, cpus: .inf, mem_limit: -1, ulimits: 3, stop_grace_period: 9999999h}}", "X", "")
	f.Fuzz(func(t *testing.T, text, name, value string) {
		began := time.Now()
		file, err := Read(text, Options{Values: map[string]string{name: value}})
		if took := time.Since(began); took > 30*time.Second {
			t.Fatalf("it took %s", took)
		}
		var e *Error
		if err != nil {
			if !errors.As(err, &e) || e.Reason == "" {
				t.Fatalf("%#v", err)
			}
			return
		}
		lines := strings.Count(text, "\n") + strings.Count(text, "\r") + strings.Count(text, "\u0085") + strings.Count(text, "\u2028") + strings.Count(text, "\u2029") + 1
		for _, s := range file.Services {
			for _, n := range append(slices.Clone(s.Notes), file.Notes...) {
				if n.Line < 1 || n.Line > lines || n.What == "" {
					t.Fatalf("%+v in %d lines", n, lines)
				}
			}
			if s.Image == "" && !s.Blocked() {
				t.Fatalf("%s has no image and can be imported", s.Name)
			}
			if len(s.Spec.Ports) > 2*mostPorts {
				t.Fatalf("%d ports", len(s.Spec.Ports))
			}
		}
	})
}
