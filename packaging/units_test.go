package packaging

import (
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/tiny-forge/docker-watcher/internal/config"
)

const stateFolder = "/var/lib/docker-watcher"

// unit is what a unit says, by key; an empty value is one, too.
type unit map[string][]string

func readUnit(t *testing.T, name string) unit {
	t.Helper()
	u := unit{}
	for line := range strings.Lines(read(t, "systemd/"+name)) {
		if key, value, is := strings.Cut(strings.TrimSpace(line), "="); is && !strings.HasPrefix(key, "#") {
			u[key] = append(u[key], value)
		}
	}
	return u
}

// one is the only value of a key.
func (u unit) one(t *testing.T, key string) string {
	t.Helper()
	if len(u[key]) != 1 {
		t.Errorf("%s is %q, which is not one value", key, u[key])
		return ""
	}
	return u[key][0]
}

func (u unit) environment() map[string]string {
	env := map[string]string{}
	for _, pair := range u["Environment"] {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	return env
}

// started is the configuration of the program that a unit starts, with more variables over its own.
func (u unit) started(t *testing.T, more map[string]string) config.Config {
	t.Helper()
	env := u.environment()
	maps.Copy(env, more)
	c, err := configured(strings.Fields(u.one(t, "ExecStart"))[1:], env)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// packaged are the places of what the Debian package holds; those that are built have a star.
func packaged(t *testing.T) []string {
	t.Helper()
	var p struct {
		Contents []struct{ Src, Dst, Type string }
		Scripts  map[string]string
	}
	if err := yaml.Unmarshal([]byte(read(t, "nfpm.yaml")), &p); err != nil {
		t.Fatal(err)
	}
	for _, script := range p.Scripts {
		if info, err := os.Stat(filepath.Join("..", script)); err != nil || info.Mode().Perm()&0o111 == 0 {
			t.Errorf("the script %s: %v", script, err)
		}
	}
	var places []string
	for _, c := range p.Contents {
		if c.Type == "symlink" || strings.HasPrefix(c.Src, "dist/") {
			places = append(places, c.Dst)
			continue
		}
		files, err := filepath.Glob(filepath.Join("..", c.Src))
		if err != nil || len(files) == 0 {
			t.Errorf("%s is packaged, and there is none: %v", c.Src, err)
		}
		for _, file := range files {
			if place := c.Dst; strings.HasSuffix(place, "/") {
				places = append(places, place+filepath.Base(file))
			} else {
				places = append(places, place)
			}
		}
	}
	return places
}

func TestPackageHoldsWhatIsRun(t *testing.T) {
	held := packaged(t)
	for _, want := range []string{"prometheus/alerts.yaml", "grafana/docker-watcher.json", "examples/compose.routes.yaml", "compose.yaml"} {
		if !slices.Contains(held, "/usr/share/doc/docker-watcher/examples/"+want) {
			t.Errorf("the package lacks %s", want)
		}
	}
	for _, name := range []string{"docker-watcher.service", "docker-watcher-proxy.service", "docker-watcher-proxy.socket"} {
		if !slices.Contains(held, "/usr/lib/systemd/system/"+name) {
			t.Errorf("the package lacks %s", name)
		}
		u := readUnit(t, name)
		for _, line := range u["ExecStart"] {
			if program := strings.Fields(line)[0]; !slices.Contains(held, program) {
				t.Errorf("%s starts %s, which the package lacks", name, program)
			}
		}
		for _, file := range u["EnvironmentFile"] {
			if !slices.Contains(held, strings.TrimPrefix(file, "-")) {
				t.Errorf("%s reads %s, which the package lacks", name, file)
			}
		}
		for page := range strings.FieldsSeq(strings.Join(u["Documentation"], " ")) {
			if strings.HasPrefix(page, "man:") && !slices.Contains(held, "/usr/share/man/man1/") {
				t.Errorf("%s names %s, which the package lacks", name, page)
			}
		}
	}
}

// TestOneUnitEach: two files of one name, and an operator does not know which is meant.
func TestOneUnitEach(t *testing.T) {
	at := map[string]string{}
	err := filepath.WalkDir(".", func(file string, _ os.DirEntry, err error) error {
		if ext := path.Ext(file); ext != ".service" && ext != ".socket" {
			return err
		}
		if former, is := at[filepath.Base(file)]; is {
			t.Errorf("%s and %s are one unit", former, file)
		}
		at[filepath.Base(file)] = file
		return err
	})
	if err != nil || len(at) != 3 {
		t.Errorf("%v, %v", at, err)
	}
	script := read(t, "../scripts/dist")
	for _, folder := range []string{"packaging/examples", "packaging/systemd", "packaging/prometheus", "packaging/grafana"} {
		if !strings.Contains(script, folder) {
			t.Errorf("the archives lack %s", folder)
		}
	}
}

// TestUnitsFitTogether: what systemd opens is what the data plane serves, and the daemon comes to it by the line of its settings.
func TestUnitsFitTogether(t *testing.T) {
	daemonUnit, planeUnit := readUnit(t, "docker-watcher.service"), readUnit(t, "docker-watcher-proxy.service")
	plane := planeUnit.started(t, nil)
	if alone := daemonUnit.started(t, nil); alone.ProxySocket != "" || alone.Data != stateFolder || plane.Data != stateFolder {
		t.Errorf("%+v and %+v", alone, plane)
	}
	settings := map[string]string{}
	for line := range strings.Lines(read(t, "docker-watcher.env")) {
		if name, value, is := strings.Cut(strings.TrimSpace(line), "="); is {
			settings[strings.TrimPrefix(name, "#")] = value
		}
	}
	const name = "DOCKER_WATCHER_PROXY_SOCKET"
	apart := daemonUnit.started(t, map[string]string{name: settings[name]})
	if apart.ProxySocket != plane.ProxySocket || apart.ProxySocket == "" {
		t.Errorf("the daemon looks for its data plane at %q, and it is at %q", apart.ProxySocket, plane.ProxySocket)
	}
	if held := readUnit(t, "docker-watcher-proxy.socket")["ListenStream"]; !slices.Equal(held, []string{plane.ProxyHTTP, plane.ProxyHTTPS}) {
		t.Errorf("systemd holds %v, and the data plane serves at %s and %s", held, plane.ProxyHTTP, plane.ProxyHTTPS)
	}
	if !slices.Contains(strings.Fields(daemonUnit.one(t, "After")), "docker-watcher-proxy.service") || planeUnit.one(t, "Requires") != "docker-watcher-proxy.socket" || planeUnit.one(t, "Also") != "docker-watcher-proxy.socket" {
		t.Error("they are not started one after the other, or not enabled together")
	}
}

// TestUnitsNameWhatThereIs: a variable of a unit is a flag that the help of its program lists.
func TestUnitsNameWhatThereIs(t *testing.T) {
	for name, help := range map[string]string{"docker-watcher.service": config.Help(), "docker-watcher-proxy.service": config.ProxyHelp()} {
		for variable := range readUnit(t, name).environment() {
			flag := "--" + strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(variable, "DOCKER_WATCHER_"), "_", "-"))
			if !strings.Contains(help, variable) || !strings.Contains(help, flag) {
				t.Errorf("%s sets %s, which is no flag", name, variable)
			}
		}
	}
}

// TestUnitsTakeWhatIsNotNeeded: both are of one account, that the package makes, and have little more than that.
func TestUnitsTakeWhatIsNotNeeded(t *testing.T) {
	install := read(t, "postinstall")
	for _, name := range []string{"docker-watcher.service", "docker-watcher-proxy.service"} {
		u := readUnit(t, name)
		for key, want := range map[string]string{
			"User": "docker-watcher", "Group": "docker-watcher", "StateDirectory": "docker-watcher", "StateDirectoryMode": "0700", "UMask": "0077",
			"NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes", "PrivateTmp": "yes", "PrivateDevices": "yes", "ProtectProc": "invisible",
			"ProtectKernelModules": "yes", "RestrictNamespaces": "yes", "MemoryDenyWriteExecute": "yes", "SystemCallArchitectures": "native",
		} {
			if u.one(t, key) != want {
				t.Errorf("%s: %s is %q instead of %s", name, key, u[key], want)
			}
		}
		for _, group := range u["SupplementaryGroups"] {
			if !strings.Contains(install, "groupadd --system "+group+"\n") {
				t.Errorf("%s needs the group %s, which nobody makes", name, group)
			}
		}
	}
	if !strings.Contains(install, "useradd --system --user-group") || strings.Contains(install, "systemctl enable --now docker-watcher\n") {
		t.Error("the package makes no account, or starts the service by itself")
	}
	plane := readUnit(t, "docker-watcher-proxy.service")
	if len(plane["SupplementaryGroups"]) > 0 || len(plane["AmbientCapabilities"]) > 0 || plane.one(t, "CapabilityBoundingSet") != "" {
		t.Error("the data plane has the engine's socket, or rights that it does not need: systemd opens its ports")
	}
}
