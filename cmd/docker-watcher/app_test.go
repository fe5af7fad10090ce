package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

var update = flag.Bool("update", false, "write the golden files anew")

// newApp is the command line with its own streams and home.
func newApp(t *testing.T, input string) (a *app, out, complaint *bytes.Buffer) {
	t.Helper()
	home := t.TempDir()
	out, complaint = &bytes.Buffer{}, &bytes.Buffer{}
	return &app{
		screen: &screen.Screen{
			In: strings.NewReader(input), Out: out, Err: complaint, Width: 80,
			Now: func() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) },
		},
		getenv:    func(string) string { return "" },
		configDir: func() (string, error) { return home, nil },
		hostname:  func() (string, error) { return "desk", nil },
		secret:    func() (string, error) { return "", errors.New("nobody types") },
		version:   "1.2.3",
	}, out, complaint
}

// TestHelpGolden keeps every help text: it is what teaches the command line.
func TestHelpGolden(t *testing.T) {
	a, _, _ := newApp(t, "")
	var paths [][]string
	walk(a.root(false), func(c *cobra.Command) {
		paths = append(paths, strings.Fields(c.CommandPath())[1:])
	})
	var all bytes.Buffer
	for _, path := range paths {
		a, out, complaint := newApp(t, "")
		if code := a.run(t.Context(), append(path, "--help")); code != 0 || complaint.Len() > 0 {
			t.Errorf("%v --help: %d %s", path, code, complaint)
		}
		fmt.Fprintf(&all, "$ docker-watcher %s\n%s\n", strings.Join(append(path, "--help"), " "), out)
	}
	golden := filepath.Join("testdata", "help.golden")
	if *update {
		if err := os.WriteFile(golden, all.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), all.String()); diff != "" {
		t.Errorf("the help changed; `make golden` writes it anew (-golden +now):\n%s", diff)
	}
}

func TestEveryCommandTeaches(t *testing.T) {
	a, _, _ := newApp(t, "")
	walk(a.root(false), func(c *cobra.Command) {
		if c.Name() == "help" {
			return
		}
		if c.Short == "" || c.Long == "" || c.Example == "" {
			t.Errorf("%s: it has no short text, long text or example", c.CommandPath())
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && f.Usage == "" {
				t.Errorf("%s --%s: it is not explained", c.CommandPath(), f.Name)
			}
		})
	})
}

func walk(c *cobra.Command, visit func(*cobra.Command)) {
	visit(c)
	for _, child := range c.Commands() {
		walk(child, visit)
	}
}

// TestFlagsThatExcludeOneAnotherExitWithTwo tries each pair that some command excludes, as the library notes them at the flags.
func TestFlagsThatExcludeOneAnotherExitWithTwo(t *testing.T) {
	const noted = "cobra_annotation_mutually_exclusive"
	a, _, _ := newApp(t, "")
	tried := 0
	walk(a.root(false), func(c *cobra.Command) {
		groups := map[string]bool{}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			for _, g := range f.Annotations[noted] {
				groups[g] = true
			}
		})
		for g := range groups {
			args := strings.Fields(c.CommandPath())[1:]
			for name := range strings.FieldsSeq(g) {
				value := "x"
				if f := c.Flags().Lookup(name); f.Value.Type() == "bool" {
					value = "true"
				}
				args = append(args, "--"+name+"="+value)
			}
			for range strings.Count(c.Use, "[") + 2 { // as many words as it wants
				a, out, complaint := newApp(t, "")
				code := a.run(t.Context(), args)
				if code != exitUsage || out.Len() > 0 {
					t.Errorf("%q: exit code %d, writes %q, says %s", args, code, out, complaint)
				}
				if strings.Contains(complaint.String(), "none of the others can be") && strings.Contains(complaint.String(), c.CommandPath()+" --help") {
					tried++
					break
				}
				args = append(args, "x")
			}
		}
	})
	if tried < 12 {
		t.Errorf("only %d were refused for it", tried)
	}
}

func TestUsageErrorsExitWithTwo(t *testing.T) {
	for _, line := range []string{
		"nope", "stale nope", "ps extra", "ps --nope", "ps -o yaml", "deploy shop/preview", "project create", "project create shop",
		"stage create shop --kind dev", "stage create shop/x --port 99999", "stage create shop/x --env NOT_SET_ANYWHERE_HERE",
		"setup nonsense", "login --name anna", "settings set stale_threshold_days", "stale cleanup", "stale cleanup --all name",
		"stale plan --show x --project y", "events --since yesterday", "logs x --since never", "token create ci --expires soon", "help nope", "rm",
	} {
		a, out, complaint := newApp(t, "")
		if code := a.run(t.Context(), strings.Fields(line)); code != exitUsage {
			t.Errorf("%s: exit code %d, want %d: %s", line, code, exitUsage, complaint)
		}
		if !strings.HasPrefix(complaint.String(), "error: ") || out.Len() > 0 {
			t.Errorf("%s: it says %q and writes %q", line, complaint, out)
		}
	}
}

func TestExitCodes(t *testing.T) {
	problem := func(status int) error {
		return fmt.Errorf("doing it: %w", &client.Problem{Status: status, Detail: "no", Hint: "do that"})
	}
	for _, c := range []struct {
		err  error
		code int
		hint string
	}{
		{nil, 0, ""},
		{errors.New("it broke"), exitError, ""},
		{problem(400), exitUsage, "do that"},
		{problem(401), exitForbidden, "login"},
		{problem(403), exitForbidden, "do that"},
		{problem(404), exitNotFound, "do that"},
		{problem(409), exitConflict, "do that"},
		{problem(412), exitConflict, "do that"},
		{problem(422), exitUsage, "do that"},
		{problem(429), exitError, "do that"},
		{problem(500), exitError, "do that"},
		{problem(503), exitError, "do that"},
		{&notFoundError{"no such", "look there"}, exitNotFound, "look there"},
		{&hinted{problem(409), "my own"}, exitConflict, "my own"},
		{codeError(exitPartly), exitPartly, ""},
		{codeError(exitSomeStale), exitSomeStale, ""},
		{errDeclined, exitError, ""},
	} {
		code, hint := judge(c.err)
		if code != c.code || !strings.Contains(hint, c.hint) || c.hint == "" && hint != "" {
			t.Errorf("%v: %d %q, want %d %q", c.err, code, hint, c.code, c.hint)
		}
	}
}

func TestErrorCannotSteerTheTerminal(t *testing.T) {
	a, _, complaint := newApp(t, "")
	a.ended(errors.New("bad name \x1b[2Jx\u009bK"))
	if strings.ContainsAny(complaint.String(), "\x1b\u009b") {
		t.Errorf("%q", complaint)
	}
}

func TestAnswerThatDoesNotArriveIsAnError(t *testing.T) {
	a, _, complaint := newApp(t, "")
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = full.Close() }) // nothing was written to it
	a.screen.Out = full
	if code := a.run(t.Context(), []string{"version", "--url", "http://127.0.0.1:1"}); code != exitError || !strings.Contains(complaint.String(), "no space left") {
		t.Errorf("exit code %d: %s", code, complaint)
	}
}

func TestConfirm(t *testing.T) {
	c := &cobra.Command{Use: "rm"}
	for _, x := range []struct {
		name, input string
		person, yes bool
		want        error
		usage       bool
	}{
		{name: "a yes", input: "y\n", person: true},
		{name: "a long yes", input: "YES\n", person: true},
		{name: "a no", input: "n\n", person: true, want: errDeclined},
		{name: "just enter", input: "\n", person: true, want: errDeclined},
		{name: "something else", input: "yup\n", person: true, want: errDeclined},
		{name: "the end of input", person: true, want: errDeclined},
		{name: "--yes", yes: true},
		{name: "nobody there", input: "y\n", usage: true},
	} {
		a, _, _ := newApp(t, x.input)
		a.screen.InputTerminal, a.yes = x.person, x.yes
		err := a.confirm(c, "Remove it?")
		var usage *usageError
		if errors.As(err, &usage) != x.usage || !x.usage && !errors.Is(err, x.want) {
			t.Errorf("%s: %v", x.name, err)
		}
	}
}

func TestPluginArgs(t *testing.T) {
	for _, c := range []struct {
		name   string
		args   string
		docker bool // run by the docker client
		want   string
		plugin bool
	}{
		{"by its own name", "stale ls", false, "stale ls", false},
		{"metadata", "docker-cli-plugin-metadata", true, "docker-cli-plugin-metadata", true},
		{"metadata by hand", "docker-cli-plugin-metadata", false, "docker-cli-plugin-metadata", true},
		{"docker watcher", "watcher", true, "", true},
		{"docker watcher stale ls", "watcher stale ls -o json", true, "stale ls -o json", true},
		{"docker's global flags", "--context prod watcher ps", true, "ps", true},
		{"docker help watcher", "help watcher stale", true, "help stale", true},
		{"completion", "__complete watcher sta", true, "__complete sta", true},
		{"an argument of that name is no plugin", "project show watcher", false, "project show watcher", false},
	} {
		getenv := func(name string) string {
			if c.docker && name == pluginEnv {
				return "/usr/bin/docker"
			}
			return ""
		}
		got, plugin := pluginArgs(strings.Fields(c.args), getenv)
		if strings.Join(got, " ") != c.want || plugin != c.plugin {
			t.Errorf("%s: %v %v, want %q %v", c.name, got, plugin, c.want, c.plugin)
		}
	}
}

func TestSplitLink(t *testing.T) {
	for link, want := range map[string][2]string{
		"http://127.0.0.1:8080/setup#code=abc":       {"http://127.0.0.1:8080", "abc"},
		"http://127.0.0.1:8080/setup#abc":            {"http://127.0.0.1:8080", "abc"},
		"https://host.example/watcher/setup#code=a-": {"https://host.example/watcher", "a-"},
	} {
		where, code, err := splitLink(link)
		if err != nil || where != want[0] || code != want[1] {
			t.Errorf("%s: %q %q %v", link, where, code, err)
		}
	}
	for _, link := range []string{"", "abc", "http://127.0.0.1:8080/setup", "/setup#code=abc", "http://host/setup#code=", "http://[::1"} {
		if _, _, err := splitLink(link); err == nil {
			t.Errorf("%q was taken for a setup link", link)
		}
	}
}

func TestCredentials(t *testing.T) {
	a, _, _ := newApp(t, "")
	if where, credential, err := a.target(); where != defaultURL || credential != "" || err != nil {
		t.Errorf("before login: %q %q %v", where, credential, err)
	}
	if err := a.keep("https://one.example/", server{Credential: "c1"}); err != nil {
		t.Fatal(err)
	}
	if err := a.keep("https://two.example", server{Credential: "c2"}); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	a.getenv = func(name string) string { return env[name] }
	check := func(name, where, credential string) {
		t.Helper()
		w, c, err := a.target()
		if w != where || c != credential || err != nil {
			t.Errorf("%s: %q %q %v", name, w, c, err)
		}
	}
	check("the last login", "https://two.example", "c2")
	env["DOCKER_WATCHER_URL"] = "https://one.example"
	check("another that is known", "https://one.example", "c1")
	env["DOCKER_WATCHER_URL"] = "https://evil.example"
	check("an unknown one gets no credential of others", "https://evil.example", "")
	env["DOCKER_WATCHER_TOKEN"] = "dw_x"
	check("a token of the environment", "https://evil.example", "dw_x")
	a.url = "https://one.example"
	check("--url goes first", "https://one.example", "dw_x")

	file, err := a.credentialsFile()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	env = map[string]string{}
	a.url = ""
	if _, _, err := a.target(); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a broken file: %v", err)
	}
}
