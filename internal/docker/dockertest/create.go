package dockertest

import (
	"encoding/json"
	"fmt"
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
	}
}

func (e *Engine) serveCreate(w http.ResponseWriter, r *request) {
	var b createBody
	if err := json.NewDecoder(r.Body).Decode(&b); err != nil {
		e.fail(w, http.StatusBadRequest, "invalid JSON: "+err.Error())
		return
	}
	name := strings.TrimPrefix(r.query.Get("name"), "/")
	e.mu.Lock()
	id, refusal := e.create(name, b)
	e.mu.Unlock()
	if refusal.status != 0 {
		e.reply(w, refusal)
		return
	}
	e.answerJSON(w, http.StatusCreated, map[string]any{"Id": id, "Warnings": []string{}})
}

func (e *Engine) create(name string, b createBody) (id string, refusal reply) {
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
	shown := b.Image
	if e.o.podman() && len(img.tags) > 0 {
		shown = img.tags[0]
	}
	c := e.put(Template{Name: name, Image: shown, State: Created, Labels: b.Labels, Env: append(slices.Clone(img.env), b.Env...), Command: b.Cmd})
	c.policy, c.autoRm, c.memory = policy, b.HostConfig.AutoRemove, b.HostConfig.Memory
	c.entry = img.entry
	if b.Entrypoint != nil {
		c.entry = b.Entrypoint
	}
	if b.Cmd == nil {
		c.command = img.cmd
	}
	if b.StopTimeout != nil {
		c.grace = time.Duration(*b.StopTimeout) * time.Second
	}
	if b.Healthcheck != nil && len(b.Healthcheck.Test) > 0 {
		c.check = b.Healthcheck.Test[0] != "NONE"
	}
	c.life = c.obeyEnv(img.life)
	c.bindPorts(b)
	e.mountAll(c, b)
	e.emit(c, "create", nil)
	return c.ID, reply{}
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
