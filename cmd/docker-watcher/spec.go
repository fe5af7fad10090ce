package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/tiny-forge/docker-watcher/client"
)

// specFlags are what containers are made with, as flags.
type specFlags struct {
	env, envFiles, ports, volumes, labels []string
	restart, command, grace               string
	health, healthTimeout                 string
	runFlags
}

func (f *specFlags) add(flags *pflag.FlagSet) {
	flags.StringArrayVarP(&f.env, "env", "e", nil, "secret environment variable NAME=VALUE (NAME alone: its value here); repeat")
	flags.StringArrayVar(&f.envFiles, "env-file", nil, "file of NAME=VALUE lines; repeat")
	flags.StringArrayVarP(&f.ports, "port", "p", nil, "publish [[IP:]HOST:]CONTAINER[/udp]; repeat")
	flags.StringArrayVarP(&f.volumes, "volume", "v", nil, "VOLUME:/PATH or /HOST/PATH:/PATH, with :ro to only read; repeat")
	flags.StringArrayVarP(&f.labels, "label", "l", nil, "label NAME=VALUE; docker-watcher.keep=true keeps it from cleanups; repeat")
	flags.StringVar(&f.restart, "restart", "", "no, always, unless-stopped, on-failure or on-failure:N")
	flags.StringVar(&f.command, "command", "", "command instead of the image's, words apart by blanks ('...' and \"...\" join words)")
	flags.StringVar(&f.grace, "stop-grace", "", "how long a stop may take before it is killed (default 10s)")
	flags.StringVar(&f.health, "health", "", "http:PORT/PATH or tcp:PORT (default: the image's HEALTHCHECK, else up for 10s)")
	flags.StringVar(&f.healthTimeout, "health-timeout", "", "how long a new container may take to become healthy")
	flags.StringVar(&f.health, "health-http", "", "")
	flags.Lookup("health-http").Hidden = true
	f.runFlags.add(flags)
}

// spec is what the flags say.
func (f *specFlags) spec() (*client.Spec, error) {
	s := &client.Spec{Restart: f.restart, StopGrace: f.grace}
	var errs []error
	keep := func(err error) { errs = append(errs, err) }
	var err error
	s.Env, err = f.environment()
	keep(err)
	s.Ports, err = each("--port", f.ports, parsePort)
	keep(err)
	s.Mounts, err = each("--volume", f.volumes, parseMount)
	keep(err)
	s.Labels, err = parseLabels(f.labels)
	keep(err)
	s.Command, err = words("--command", f.command)
	keep(err)
	s.Health, err = f.healthRule()
	keep(err)
	keep(f.runFlags.into(s))
	return s, errors.Join(errs...)
}

// change lays the flags that were set over a spec. Variables whose value is not sent keep it. Nil: nothing changes.
func (f *specFlags) change(flags *pflag.FlagSet, was client.Spec) (*client.Spec, error) {
	removed := f.takeRemovals()
	said, err := f.spec()
	if err != nil {
		return nil, err
	}
	touched := false
	set := func(apply func(), names ...string) {
		if slices.ContainsFunc(names, flags.Changed) {
			touched = true
			apply()
		}
	}
	set(func() { was.Env = mergeEnv(was.Env, said.Env, removed) }, "env", "env-file", "plain-env")
	set(func() { was.Ports = said.Ports }, "port")
	set(func() { was.Mounts = said.Mounts }, "volume")
	set(func() { was.Labels = said.Labels }, "label")
	set(func() { was.Restart = said.Restart }, "restart")
	set(func() { was.Command = said.Command }, "command")
	set(func() { was.StopGrace = said.StopGrace }, "stop-grace")
	set(func() {
		if said.Health.Kind == "" && was.Health != nil && !flags.Changed("health") && !flags.Changed("health-http") {
			was.Health.Timeout = said.Health.Timeout
			return
		}
		was.Health = said.Health
	}, "health", "health-http", "health-timeout")
	f.runFlags.change(set, &was, said)
	if !touched {
		return nil, nil
	}
	return &was, nil
}

// takeRemovals takes the variables written NAME- out of --env.
func (f *specFlags) takeRemovals() (names []string) {
	f.env = slices.DeleteFunc(f.env, func(e string) bool {
		name, gone := strings.CutSuffix(e, "-")
		if gone && !strings.Contains(e, "=") {
			names = append(names, name)
			return true
		}
		return false
	})
	return names
}

func mergeEnv(was, said []client.EnvVar, removed []string) []client.EnvVar {
	var merged []client.EnvVar
	for _, e := range was {
		replaced := slices.ContainsFunc(said, func(n client.EnvVar) bool { return n.Name == e.Name })
		if !replaced && !slices.Contains(removed, e.Name) {
			merged = append(merged, client.EnvVar{Name: e.Name}) // keeps its value, and whether it is secret
		}
	}
	return append(merged, said...)
}

func (f *specFlags) environment() ([]client.EnvVar, error) {
	lines := []string{}
	for _, file := range f.envFiles {
		read, err := envFile(file)
		if err != nil {
			return nil, fmt.Errorf("--env-file: %w", err)
		}
		lines = append(lines, read...)
	}
	var env []client.EnvVar
	take := func(flag, line string, made func(name, value string) client.EnvVar) error {
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			if value, ok = os.LookupEnv(name); !ok {
				return fmt.Errorf("%s %s: it is not set here: write %s=VALUE", flag, name, name)
			}
		}
		// The last one said counts.
		env = slices.DeleteFunc(env, func(e client.EnvVar) bool { return e.Name == name })
		env = append(env, made(name, value))
		return nil
	}
	for _, line := range append(lines, f.env...) {
		if err := take("--env", line, client.Env); err != nil {
			return nil, err
		}
	}
	for _, line := range f.plainEnv {
		if err := take("--plain-env", line, client.PlainEnv); err != nil {
			return nil, err
		}
	}
	return env, nil
}

// envFile reads lines of NAME=VALUE, without those that are empty or begin with #, as docker does.
func envFile(name string) (lines []string, err error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	in := bufio.NewScanner(file)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		line := strings.TrimLeft(in.Text(), " \t")
		if line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines, in.Err()
}

func each[T any](flag string, texts []string, parse func(string) (T, error)) ([]T, error) {
	var all []T
	for _, text := range texts {
		v, err := parse(text)
		if err != nil {
			return nil, fmt.Errorf("%s %q: %w", flag, text, err)
		}
		all = append(all, v)
	}
	return all, nil
}

// parsePort reads [[IP:]HOST:]CONTAINER[/PROTOCOL].
func parsePort(text string) (p client.Port, err error) {
	rest, protocol, _ := strings.Cut(text, "/")
	p.Protocol = protocol
	if at := strings.LastIndex(rest, ":"); at >= 0 {
		host := rest[:at]
		rest = rest[at+1:]
		if ip, port, err := net.SplitHostPort(host); err == nil {
			p.HostIP, host = ip, port
		}
		if host != "" {
			if p.Host, err = port(host); err != nil {
				return p, err
			}
		}
	}
	p.Container, err = port(rest)
	return p, err
}

func port(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 65535 {
		return 0, fmt.Errorf("%q is no port: 1 to 65535, written [[IP:]HOST:]CONTAINER[/udp]", text)
	}
	return n, nil
}

func portText(p client.Port) string {
	text := strconv.Itoa(p.Container)
	if p.Host > 0 {
		text = firstOf(p.HostIP, "127.0.0.1") + ":" + strconv.Itoa(p.Host) + "->" + text
	}
	if p.Protocol == "udp" {
		text += "/udp"
	}
	return text
}

// parseMount reads SOURCE:TARGET[:ro].
func parseMount(text string) (m client.Mount, err error) {
	parts := strings.Split(text, ":")
	if len(parts) == 3 && (parts[2] == "ro" || parts[2] == "rw") {
		m.ReadOnly = parts[2] == "ro"
		parts = parts[:2]
	}
	if len(parts) != 2 || parts[0] == "" || !strings.HasPrefix(parts[1], "/") {
		return m, errors.New("it is written VOLUME:/PATH or /HOST/PATH:/PATH, with :ro to only read")
	}
	m.Source, m.Target = parts[0], parts[1]
	return m, nil
}

func mountText(m client.Mount) string {
	text := m.Source + ":" + m.Target
	if m.ReadOnly {
		text += ":ro"
	}
	return text
}

func parseLabels(texts []string) (map[string]string, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	labels := map[string]string{}
	for _, text := range texts {
		name, value, _ := strings.Cut(text, "=")
		if name == "" {
			return nil, fmt.Errorf("--label %q: it is written NAME=VALUE", text)
		}
		labels[name] = value
	}
	return labels, nil
}

// healthRule reads http:PORT/PATH and tcp:PORT; http://:PORT/PATH is the same.
func (f *specFlags) healthRule() (*client.Health, error) {
	h := &client.Health{Timeout: f.healthTimeout}
	if f.health == "" {
		return h, nil
	}
	kind, rest, ok := strings.Cut(f.health, ":")
	if _, err := strconv.Atoi(kind); err == nil || !ok {
		kind, rest = "http", f.health // --health-http 8080/healthz
	}
	rest = strings.TrimPrefix(strings.TrimPrefix(rest, "//"), ":")
	number, path, _ := strings.Cut(rest, "/")
	var err error
	if h.Port, err = port(number); err != nil || kind != "http" && kind != "tcp" || kind == "tcp" && path != "" {
		return nil, fmt.Errorf("--health %q: it is written http:PORT/PATH or tcp:PORT", f.health)
	}
	h.Kind = kind
	if kind == "http" {
		h.Path = "/" + path
	}
	return h, nil
}

// words takes a command apart at blanks; '...' and "..." join words and a backslash takes away a meaning.
func words(flag, text string) ([]string, error) {
	var (
		list  []string
		word  strings.Builder
		open  bool // a word has begun
		quote rune
		skip  bool
	)
	for _, r := range text {
		switch {
		case skip:
			word.WriteRune(r)
			skip = false
		case r == '\\' && quote != '\'':
			skip, open = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote, open = r, true
		case quote == 0 && (r == ' ' || r == '\t' || r == '\n'):
			if open {
				list = append(list, word.String())
			}
			word.Reset()
			open = false
		default:
			word.WriteRune(r)
			open = true
		}
	}
	if quote != 0 || skip {
		return nil, fmt.Errorf("%s %q: a quote is not closed", flag, text)
	}
	if open {
		list = append(list, word.String())
	}
	return list, nil
}
