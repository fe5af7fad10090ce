package dockertest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"
)

type inspectState struct {
	Status     string
	Running    bool
	Paused     bool
	Restarting bool
	OOMKilled  bool
	Dead       bool
	Pid        int
	ExitCode   int
	Error      string
	StartedAt  string
	FinishedAt string
	Health     *healthState `json:",omitempty"`
}

type healthState struct {
	Status        string
	FailingStreak int
	Log           []any
}

// serveInspect answers GET /containers/{id}/json. What does not change is encoded once.
func (e *Engine) serveInspect(w http.ResponseWriter, r *request, ref string) {
	e.mu.Lock()
	c := e.find(ref)
	if c == nil {
		e.mu.Unlock()
		e.noSuchContainer(w, ref)
		return
	}
	c.inspects++
	body := c.facts
	if body == nil || r.flag("size") {
		body = c.encode(r.flag("size"))
		if !r.flag("size") {
			c.facts = body
		}
	}
	e.mu.Unlock()
	e.answer(w, http.StatusOK, body)
}

func (e *Engine) noSuchContainer(w http.ResponseWriter, ref string) {
	if e.podman() {
		e.answerJSON(w, http.StatusNotFound, map[string]any{
			"cause": "no such container", "response": http.StatusNotFound,
			"message": fmt.Sprintf("no container with name or ID %q found: no such container", ref),
		})
		return
	}
	e.fail(w, http.StatusNotFound, "No such container: "+ref)
}

func (c *Container) encode(size bool) []byte {
	path, args := c.argv()
	mounts := make([]map[string]any, 0, len(c.mounts))
	for _, m := range c.mounts {
		mounts = append(mounts, m.encode(c.e.o.DataRoot))
	}
	config := map[string]any{
		"Image": c.imageRef, "Env": c.env, "Cmd": c.command, "Entrypoint": c.entry,
		"Labels": c.labels, "ExposedPorts": c.exposed(), "Volumes": c.image.volumeSet(),
	}
	if c.labels == nil {
		config["Labels"] = map[string]string{}
	}
	if c.check && c.config["Healthcheck"] == nil {
		config["Healthcheck"] = imageCheck()
	}
	if c.grace >= 0 {
		config["StopTimeout"] = int(c.grace.Seconds())
	}
	out := map[string]any{
		"Id": c.ID, "Created": stamp(c.created), "Path": path, "Args": args, "State": c.inspectState(),
		"Image": c.image.id, "Name": "/" + c.name, "RestartCount": c.restarts, "Driver": "overlay2", "Platform": "linux",
		"HostConfig":  overlay(map[string]any{"LogConfig": map[string]any{"Type": "json-file", "Config": map[string]any{}}}, c.host, c.hostConfig()),
		"GraphDriver": map[string]any{"Name": "overlay2", "Data": nil},
		"Mounts":      mounts, "Config": overlay(map[string]any{"Hostname": c.ID[:12], "Tty": false}, c.config, config),
		"NetworkSettings": map[string]any{
			"Ports": c.published(), "Networks": c.endpoints(),
		},
	}
	if size {
		out["SizeRw"], out["SizeRootFs"] = c.sizeRw, c.image.size+c.sizeRw
	}
	body, err := json.Marshal(out)
	if err != nil {
		panic(err)
	}
	return append(body, '\n')
}

func (c *Container) inspectState() inspectState {
	s := inspectState{
		Status: c.state, Paused: c.state == Paused, Restarting: c.state == Restarting, Dead: c.state == Dead || c.state == Removing,
		// Docker calls a container running also while it waits to be restarted.
		Running:   c.processLives() || c.state == Restarting,
		OOMKilled: c.oomKilled, ExitCode: c.exitCode, Error: c.err,
		StartedAt: stamp(c.started), FinishedAt: stamp(c.finished),
	}
	if c.state == Restarting && c.e.o.podman() {
		s.Status, s.Restarting, s.Running = "stopped", false, false
	}
	if c.processLives() {
		s.Pid = 1000 + c.runs
	}
	if c.e.o.Flavour == Podman4 {
		s.Error = ""
	}
	if c.check && c.health != "" || c.e.o.Flavour == Podman4 {
		s.Health = &healthState{Status: c.health, Log: []any{}}
	}
	return s
}

// policyName is the restart policy as shown; podman has no word for none.
func (c *Container) policyName() string {
	if c.e.o.podman() && c.policy.name == "no" {
		return ""
	}
	return c.policy.name
}

// stamp writes a time as the engine does; never is the first of January of the year 1.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func (c *Container) argv() (path string, args []string) {
	argv := append(append([]string{}, c.entry...), c.command...)
	if len(argv) == 0 {
		argv = []string{"/app"}
	}
	return argv[0], argv[1:]
}

func (c *Container) commandText() string {
	if c.e.o.podman() {
		return ""
	}
	path, args := c.argv()
	return strings.Join(append([]string{path}, args...), " ")
}

// overlay puts objects upon one another; what a later one has is shown.
func overlay(layers ...map[string]any) map[string]any {
	out := map[string]any{}
	for _, l := range layers {
		maps.Copy(out, l)
	}
	return out
}

// hostConfig is what of it is ours to know; the rest is shown as it was asked for.
func (c *Container) hostConfig() map[string]any {
	out := map[string]any{
		"NetworkMode": c.networkMode(), "PortBindings": c.bindings(), "AutoRemove": c.autoRm, "Memory": c.memory,
		"RestartPolicy": map[string]any{"Name": c.policyName(), "MaximumRetryCount": c.policy.max},
	}
	if c.e.o.podman() {
		out["Ulimits"] = []map[string]any{{"Name": "RLIMIT_NOFILE", "Hard": 20000, "Soft": 20000}}
	}
	if c.e.o.podman() || c.host == nil {
		out["Binds"] = c.binds()
		delete(out, "Mounts")
	}
	return out
}

func (c *Container) binds() []string {
	var binds []string
	for _, m := range c.mounts {
		if b := m.bind(c.e.o.podman()); b != "" {
			binds = append(binds, b)
		}
	}
	return binds
}
