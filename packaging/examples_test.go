// Package packaging holds what is packaged, and the examples beside it, against the program that reads them.
package packaging

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/config"
)

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// composed is what docker compose makes of some files.
func composed(t *testing.T, env map[string]string, files ...string) (*types.Project, error) {
	t.Helper()
	details := types.ConfigDetails{WorkingDir: ".", Environment: env}
	for _, name := range files {
		details.ConfigFiles = append(details.ConfigFiles, types.ConfigFile{Filename: name, Content: []byte(read(t, name))})
	}
	return loader.LoadWithContext(t.Context(), details, func(o *loader.Options) { o.SetProjectName("packaging", true) })
}

// configured is what the program makes of arguments and environment.
func configured(args []string, env map[string]string) (config.Config, error) {
	getenv := func(name string) string { return env[name] }
	if len(args) > 0 && args[0] == "proxy" {
		return config.LoadProxy(args[1:], getenv)
	}
	return config.Load(args, getenv)
}

const ourImage = "docker-watcher:latest"

// start reads a service as the program in it would, over what the image says.
func start(t *testing.T, s types.ServiceConfig) config.Config {
	t.Helper()
	env := environmentOfTheImage(t)
	for name, value := range s.Environment {
		if value != nil {
			env[name] = *value
		}
	}
	c, err := configured(s.Command, env)
	if err != nil {
		t.Fatalf("%s: %v", s.Name, err)
	}
	return c
}

func environmentOfTheImage(t *testing.T) map[string]string {
	t.Helper()
	env := map[string]string{}
	for line := range strings.Lines(read(t, "Dockerfile")) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] != "ENV" {
			continue
		}
		for _, pair := range words[1:] {
			name, value, _ := strings.Cut(pair, "=")
			env[name] = value
		}
	}
	return env
}

var examples = map[string]string{
	"alone":        "",
	"postgres":     "examples/compose.postgres.yaml",
	"routes":       "examples/compose.routes.yaml",
	"socket proxy": "examples/compose.socket-proxy.yaml",
}

func example(t *testing.T, name string) map[string]types.ServiceConfig {
	t.Helper()
	files := []string{"compose.yaml"}
	if examples[name] != "" {
		files = append(files, examples[name])
	}
	p, err := composed(t, map[string]string{"POSTGRES_PASSWORD": "a/b@c"}, files...)
	if err != nil {
		t.Fatal(err)
	}
	return p.Services
}

func mounts(s types.ServiceConfig, target string) bool {
	return slices.ContainsFunc(s.Volumes, func(v types.ServiceVolumeConfig) bool { return v.Target == target })
}

// TestComposeFiles: each is one that compose takes, starts our program with what it takes, keeps its data, and takes from it what it does not need.
func TestComposeFiles(t *testing.T) {
	for name := range examples {
		t.Run(name, func(t *testing.T) {
			for _, s := range example(t, name) {
				if s.Image != ourImage {
					continue
				}
				c := start(t, s)
				if c.Data != "/data" || !mounts(s, "/data") {
					t.Errorf("%s keeps its data in %s, which is no volume", s.Name, c.Data)
				}
				if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || s.Privileged || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
					t.Errorf("%s may more than it needs", s.Name)
				}
				for _, p := range s.Ports {
					if p.HostIP != "127.0.0.1" {
						t.Errorf("%s opens %s of all addresses", s.Name, p.Published)
					}
				}
				if s.NetworkMode == "host" && !strings.HasPrefix(c.Listen, "127.0.0.1:") && c.Listen != "" {
					t.Errorf("%s listens at %s of the host", s.Name, c.Listen)
				}
			}
		})
	}
}

func TestComposeWithPostgreSQL(t *testing.T) {
	s := example(t, "postgres")
	c := start(t, s["docker-watcher"])
	if c.Store != "postgres://docker_watcher@postgres/docker_watcher?sslmode=disable" || *s["docker-watcher"].Environment["PGPASSWORD"] != "a/b@c" {
		t.Errorf("%s, %v", c.Store, s["docker-watcher"].Environment)
	}
	if name, password := s["postgres"].Environment["POSTGRES_USER"], s["postgres"].Environment["POSTGRES_PASSWORD"]; *name != "docker_watcher" || *password != "a/b@c" || len(s["postgres"].Ports) > 0 {
		t.Errorf("%+v", s["postgres"])
	}
	if _, err := composed(t, nil, "compose.yaml", examples["postgres"]); err == nil || !strings.Contains(err.Error(), "put one into .env") {
		t.Errorf("without a password: %v", err)
	}
}

func TestComposeWithRoutes(t *testing.T) {
	s := example(t, "routes")
	daemon, plane := start(t, s["docker-watcher"]), start(t, s["routes"])
	if daemon.ProxySocket == "" || daemon.ProxySocket != plane.ProxySocket || plane.ProxyHTTP != ":80" || plane.ProxyHTTPS != ":443" {
		t.Errorf("the daemon looks for it at %q, and it is %+v", daemon.ProxySocket, plane)
	}
	if mounts(s["routes"], "/var/run/docker.sock") || len(s["docker-watcher"].Ports) > 0 {
		t.Error("the data plane has the engine, or ports are published of a container that has none")
	}
	if len(s["docker-watcher"].CapAdd) > 0 || !slices.Equal(s["routes"].CapAdd, []string{"NET_BIND_SERVICE"}) {
		t.Error("the ports below 1024 are for the data plane alone")
	}
}

func TestComposeWithASocketProxy(t *testing.T) {
	s := example(t, "socket proxy")
	if c := start(t, s["docker-watcher"]); c.DockerHost != "tcp://engine:2375" || mounts(s["docker-watcher"], "/var/run/docker.sock") {
		t.Errorf("it has %s, and the socket beside it", c.DockerHost)
	}
	if e := s["engine"]; !mounts(e, "/var/run/docker.sock") || len(e.Ports) > 0 || len(e.Networks) != 1 {
		t.Errorf("the engine is open to others: %+v", e)
	}
	if _, err := os.Stat("examples/socket-proxy.conf"); err != nil || !mounts(s["engine"], "/etc/nginx/nginx.conf") {
		t.Error(err)
	}
}

// TestImage: what its Dockerfile says is what the program reads.
func TestImage(t *testing.T) {
	c, err := configured(nil, environmentOfTheImage(t))
	if err != nil || c.Listen != "0.0.0.0:8080" || c.Data != "/data" {
		t.Errorf("%v, %v", c, err)
	}
	if text := read(t, "Dockerfile"); !strings.Contains(text, `CMD ["/server", "health"]`) || !strings.Contains(config.Help(), "server health") {
		t.Error("its health check is none")
	}
}

// TestSettingsOfTheService: every line can be taken as it stands.
func TestSettingsOfTheService(t *testing.T) {
	for line := range strings.Lines(read(t, "docker-watcher.env")) {
		name, value, is := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "#"), "=")
		if !is || !strings.HasPrefix(name, "DOCKER_WATCHER_") {
			continue
		}
		if _, err := configured(nil, map[string]string{name: value}); err != nil {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
}

// TestIdentityProviderOfTheDocs: the example of docs/access.md is what the API takes, key by key.
func TestIdentityProviderOfTheDocs(t *testing.T) {
	_, rest, _ := strings.Cut(read(t, "../docs/access.md"), "```json\n")
	text, _, _ := strings.Cut(rest, "```")
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	var p client.IdentityProvider
	if err := d.Decode(&p); err != nil || !p.Enabled || len(p.Rules) == 0 {
		t.Errorf("%+v, %v", p, err)
	}
}

// TestDocsLeadToTheExamples: an example that no page names is found by nobody.
func TestDocsLeadToTheExamples(t *testing.T) {
	files, err := filepath.Glob("examples/*")
	if err != nil || len(files) < 5 {
		t.Fatal(files, err)
	}
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	var docs strings.Builder
	for _, name := range pages {
		docs.WriteString(read(t, name))
	}
	for _, name := range files {
		if !strings.Contains(docs.String(), "packaging/"+name) {
			t.Errorf("no page leads to packaging/%s", name)
		}
	}
}
