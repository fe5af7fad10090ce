package dockertest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

var validName = regexp.MustCompile(`^/?[a-zA-Z0-9][a-zA-Z0-9_.-]+$`)

// createBody is what we understand of a request to create a container.
type createBody struct {
	Image        string
	Cmd          []string
	Entrypoint   []string
	Env          []string
	Labels       map[string]string
	ExposedPorts map[string]struct{}
	StopTimeout  *int
	Healthcheck  *struct{ Test []string }
	HostConfig   struct {
		Binds         []string
		NetworkMode   string
		AutoRemove    bool
		Memory        int64
		RestartPolicy struct {
			Name              string
			MaximumRetryCount int
		}
		PortBindings map[string][]hostPort
		Mounts       []struct {
			Type, Source, Target string
			ReadOnly             bool
		}
		Ulimits []struct{ Name string }
	}
	NetworkingConfig struct {
		EndpointsConfig map[string]*attachment
	}

	config, host map[string]any // whole
}

func readCreate(body io.Reader) (createBody, error) {
	text, err := io.ReadAll(body)
	if err != nil {
		return createBody{}, err
	}
	b := createBody{config: map[string]any{}}
	if err := errors.Join(json.Unmarshal(text, &b), json.Unmarshal(text, &b.config)); err != nil {
		return b, err
	}
	b.host = map[string]any{}
	if host, ok := b.config["HostConfig"].(map[string]any); ok {
		b.host = host
	}
	delete(b.config, "HostConfig")
	delete(b.config, "NetworkingConfig")
	maps.DeleteFunc(b.config, func(_ string, v any) bool { return v == nil || v == "" })
	return b, nil
}

func (e *Engine) serveCreate(w http.ResponseWriter, r *request) {
	b, err := readCreate(r.Body)
	if err != nil {
		e.fail(w, http.StatusBadRequest, "invalid JSON: "+err.Error())
		return
	}
	name := strings.TrimPrefix(r.query.Get("name"), "/")
	e.mu.Lock()
	id, refusal := e.create(name, b, r.api)
	e.mu.Unlock()
	if refusal.status != 0 {
		e.reply(w, refusal)
		return
	}
	e.answerJSON(w, http.StatusCreated, map[string]any{"Id": id, "Warnings": []string{}})
}

func (e *Engine) create(name string, b createBody, api int) (id string, refusal reply) {
	if name != "" && !validName.MatchString(name) {
		if e.o.podman() {
			return "", refuse(http.StatusInternalServerError, "container create: running container create option: names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid argument")
		}
		return "", refuse(http.StatusBadRequest, "Invalid container name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", name)
	}
	img := e.findImage(b.Image)
	if img == nil {
		return "", refuse(http.StatusNotFound, "No such image: %s", b.Image)
	}
	if other := e.byName[name]; other != nil {
		return "", e.nameTaken(name, other)
	}
	if name == "" {
		name = fmt.Sprintf("unnamed_%d", e.serial)
	}
	policy := restartPolicy{name: b.HostConfig.RestartPolicy.Name, max: b.HostConfig.RestartPolicy.MaximumRetryCount}
	if policy.name == "" {
		policy.name = "no"
	}
	if !slices.Contains([]string{"no", "always", "unless-stopped", "on-failure"}, policy.name) {
		return "", refuse(http.StatusBadRequest, "invalid restart policy '%s'", policy.name)
	}
	networks, refusal := e.attachments(b, api)
	if refusal.status != 0 {
		return "", refusal
	}
	for _, l := range b.HostConfig.Ulimits {
		if strings.HasPrefix(l.Name, "RLIMIT_") {
			return "", refuse(http.StatusInternalServerError, "fill out specgen: ulimit option %q requires name=SOFT:HARD, failed to be parsed: invalid ulimit type: %s", l.Name, l.Name)
		}
	}
	shown := b.Image
	if e.o.podman() && len(img.tags) > 0 {
		shown = img.tags[0]
	}
	labels := maps.Clone(img.labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, b.Labels)
	c := e.put(Template{Name: name, Image: shown, State: Created, Labels: labels, Env: mergeEnv(b.Env, img.env), Command: b.Cmd})
	c.image, c.networks, c.config, c.host = img, networks, b.config, b.host
	if e.o.podman() && c.host["IpcMode"] == "host" {
		c.host["IpcMode"] = "shareable" // it does not heed what was asked for
	}
	c.policy, c.autoRm, c.memory = policy, b.HostConfig.AutoRemove, b.HostConfig.Memory
	c.entry = img.entry
	if len(b.Entrypoint) > 0 {
		c.entry = b.Entrypoint
	} else if b.Cmd == nil {
		c.command = img.cmd
	}
	if slices.Equal(b.Entrypoint, []string{""}) {
		c.entry = nil
	}
	if b.StopTimeout != nil {
		c.grace = time.Duration(*b.StopTimeout) * time.Second
	}
	if b.Healthcheck != nil && len(b.Healthcheck.Test) > 0 {
		c.check = b.Healthcheck.Test[0] != "NONE"
	}
	if h, ok := c.config["Healthcheck"].(map[string]any); ok && img.check {
		fillCheck(h)
	}
	c.life = c.obeyEnv(img.life)
	c.bindPorts(b)
	e.mountAll(c, b)
	e.emit(c, "create", nil)
	return c.ID, reply{}
}

// fillCheck takes from the image's HEALTHCHECK what was left open.
func fillCheck(asked map[string]any) {
	for part, value := range imageCheck() {
		switch asked[part] {
		case nil, float64(0):
			asked[part] = value
		}
	}
}

// imageCheck is the HEALTHCHECK of every image that has one.
func imageCheck() map[string]any {
	return map[string]any{"Test": []string{"CMD", "/app", "check"}, "Interval": int64(time.Second)}
}

// mergeEnv adds what only the image sets.
func mergeEnv(own, image []string) []string {
	out := slices.Clone(own)
	for _, kv := range image {
		name, _, _ := strings.Cut(kv, "=")
		if !slices.ContainsFunc(own, func(o string) bool { return strings.HasPrefix(o, name+"=") }) {
			out = append(out, kv)
		}
	}
	return out
}

func (c *Container) bindPorts(b createBody) {
	for _, port := range sortedKeys(b.HostConfig.PortBindings) {
		for _, hp := range b.HostConfig.PortBindings[port] {
			if !strings.Contains(port, "/") {
				port += "/tcp"
			}
			c.ports = append(c.ports, portBinding{Container: port, HostIP: hp.HostIP, HostPort: hp.HostPort})
		}
	}
}

// obeyEnv lets the variables of the test app script the process, so that one test drives
// the real app and the pretended one.
func (c *Container) obeyEnv(l Life) Life {
	for _, kv := range c.env {
		key, value, _ := strings.Cut(kv, "=")
		n, err := strconv.Atoi(value)
		if err != nil && key != "IGNORE_TERM" {
			continue
		}
		switch key {
		case "EXIT_AFTER_MS":
			l.ExitAfter = max(time.Duration(n)*time.Millisecond, time.Millisecond)
		case "EXIT_CODE":
			l.ExitCode = n
		case "TERM_CODE":
			l.TermCode = n
		case "IGNORE_TERM":
			l.IgnoreTerm = value == "1"
		case "HOG_MB":
			if c.memory > 0 && int64(n)<<20 > c.memory {
				l.ExitAfter, l.OOM = 60*time.Millisecond, true
			}
		}
	}
	path, args := c.argv()
	if len(args) > 0 && args[0] != "get" {
		// The test app knows no other command and ends at once.
		l.ExitAfter, l.ExitCode = 10*time.Millisecond, 1
	}
	if strings.Contains(path, "nope") || strings.Contains(path, "no-such") {
		l.StartError = fmt.Sprintf("failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: %q: stat %s: no such file or directory: unknown", path, path)
	}
	return l
}
