package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/tiny-forge/docker-watcher/client"
)

func TestParsePort(t *testing.T) {
	for text, want := range map[string]client.Port{
		"8080":              {Container: 8080},
		"80:8080":           {Host: 80, Container: 8080},
		"127.0.0.1:80:8080": {HostIP: "127.0.0.1", Host: 80, Container: 8080},
		"0.0.0.0::8080":     {HostIP: "0.0.0.0", Container: 8080},
		"[::1]:80:8080":     {HostIP: "::1", Host: 80, Container: 8080},
		"53:53/udp":         {Host: 53, Container: 53, Protocol: "udp"},
	} {
		got, err := parsePort(text)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", text, err, diff)
		}
	}
	for _, text := range []string{"", "x", "0", "70000", "80:", "80:x", "-1:80", "a:b:80"} {
		if got, err := parsePort(text); err == nil {
			t.Errorf("%q was read as %+v", text, got)
		}
	}
}

func TestParseMount(t *testing.T) {
	for text, want := range map[string]client.Mount{
		"data:/data":    {Source: "data", Target: "/data"},
		"/srv/x:/x:ro":  {Source: "/srv/x", Target: "/x", ReadOnly: true},
		"data:/data:rw": {Source: "data", Target: "/data"},
	} {
		got, err := parseMount(text)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", text, err, diff)
		}
	}
	for _, text := range []string{"", "data", "data:", ":/data", "data:data", "a:/b:z", "a:/b:ro:c"} {
		if got, err := parseMount(text); err == nil {
			t.Errorf("%q was read as %+v", text, got)
		}
	}
}

func TestHealthRule(t *testing.T) {
	for text, want := range map[string]client.Health{
		"":                   {},
		"http:8080/healthz":  {Kind: "http", Port: 8080, Path: "/healthz"},
		"http:8080":          {Kind: "http", Port: 8080, Path: "/"},
		"http://:8080/a/b?c": {Kind: "http", Port: 8080, Path: "/a/b?c"},
		"8080/healthz":       {Kind: "http", Port: 8080, Path: "/healthz"},
		"tcp:5432":           {Kind: "tcp", Port: 5432},
	} {
		got, err := (&specFlags{health: text}).healthRule()
		if err != nil || *got != want {
			t.Errorf("%q: %+v %v", text, got, err)
		}
	}
	for _, text := range []string{"http", "http:", "tcp:x", "tcp:1/x", "udp:53", "https:443/", "0/x"} {
		if got, err := (&specFlags{health: text}).healthRule(); err == nil {
			t.Errorf("%q was read as %+v", text, got)
		}
	}
}

func TestWords(t *testing.T) {
	for text, want := range map[string][]string{
		"":                            nil,
		"serve --port 80":             {"serve", "--port", "80"},
		`sh -c 'echo "a b"; sleep 1'`: {"sh", "-c", `echo "a b"; sleep 1`},
		`a "b 'c'" d\ e`:              {"a", "b 'c'", "d e"},
		`a '' b`:                      {"a", "", "b"},
		`x"y"z`:                       {"xyz"},
	} {
		got, err := words("--command", text)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%q: %v %s", text, err, diff)
		}
	}
	for _, text := range []string{`a 'b`, `"`, `a\`} {
		if got, err := words("--command", text); err == nil {
			t.Errorf("%q was read as %q", text, got)
		}
	}
}

func TestEnvironment(t *testing.T) {
	file := filepath.Join(t.TempDir(), "prod.env")
	if err := os.WriteFile(file, []byte("# a comment\n\nA=from file\nB=x=y z \n  C=indented\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DW_TEST_FROM_HERE", "here")
	f := specFlags{envFiles: []string{file}, env: []string{"A=from flag", "DW_TEST_FROM_HERE", "EMPTY="}}
	got, err := f.environment()
	want := []client.EnvVar{client.Env("B", "x=y z "), client.Env("C", "indented"), client.Env("A", "from flag"), client.Env("DW_TEST_FROM_HERE", "here"), client.Env("EMPTY", "")}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	if _, err := (&specFlags{env: []string{"DW_TEST_NOT_SET"}}).environment(); err == nil {
		t.Error("a variable that is not set here was taken as empty")
	}
	if _, err := (&specFlags{envFiles: []string{file + ".nope"}}).environment(); err == nil {
		t.Error("a file that is not there was taken as empty")
	}
}

func TestSpecChange(t *testing.T) {
	was := client.Spec{
		Env: []client.EnvVar{{Name: "A"}, {Name: "B"}, {Name: "C"}}, Ports: []client.Port{{Container: 80}},
		Restart: "always", Health: &client.Health{Kind: "http", Port: 80, Path: "/"},
	}
	change := func(args ...string) *client.Spec {
		t.Helper()
		var f specFlags
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		f.add(flags)
		if err := flags.Parse(args); err != nil {
			t.Fatal(err)
		}
		got, err := f.change(flags, was)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := change(); got != nil {
		t.Errorf("nothing was asked for: %+v", got)
	}
	want := was
	want.Env = []client.EnvVar{{Name: "A"}, client.Env("B", "2"), client.Env("D", "4")}
	if diff := cmp.Diff(&want, change("--env", "B=2", "--env", "C-", "--env", "D=4")); diff != "" {
		t.Errorf("env (-want +got):\n%s", diff)
	}
	want = was
	want.Ports, want.Restart = []client.Port{{Container: 81}}, ""
	if diff := cmp.Diff(&want, change("--port", "81", "--restart", "")); diff != "" {
		t.Errorf("ports and restart (-want +got):\n%s", diff)
	}
	want = was
	want.Health = &client.Health{Kind: "http", Port: 80, Path: "/", Timeout: "2m"}
	if diff := cmp.Diff(&want, change("--health-timeout", "2m")); diff != "" {
		t.Errorf("health timeout (-want +got):\n%s", diff)
	}
}
