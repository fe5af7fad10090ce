package dockertest

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// defaultGrace is how long a stop waits for a process when nobody says otherwise.
const defaultGrace = 10 * time.Second

// reply is what an action ends with: a status and, for an error, its text.
type reply struct {
	status  int
	message string
}

var done = reply{status: http.StatusNoContent}

func refuse(status int, format string, args ...any) reply {
	return reply{status: status, message: fmt.Sprintf(format, args...)}
}

// act runs f on a container with the engine locked, and answers with what it returns.
func (e *Engine) act(w http.ResponseWriter, ref string, f func(c *Container) reply) {
	e.mu.Lock()
	c := e.find(ref)
	if c == nil {
		e.mu.Unlock()
		e.noSuchContainer(w, ref)
		return
	}
	a := f(c)
	e.mu.Unlock()
	e.reply(w, a)
}

func (e *Engine) reply(w http.ResponseWriter, a reply) {
	if a.message != "" {
		e.fail(w, a.status, a.message)
		return
	}
	w.WriteHeader(a.status)
}

func (e *Engine) serveStart(w http.ResponseWriter, ref string) {
	e.act(w, ref, func(c *Container) reply {
		switch {
		case c.state == Paused && e.o.podman():
			return refuse(http.StatusInternalServerError, "unable to start container %s: container state improper", c.ID)
		case c.state == Paused:
			return refuse(http.StatusConflict, "cannot start a paused container, try unpause instead")
		case c.state == Dead || c.state == Removing:
			return refuse(http.StatusConflict, "container is marked for removal and cannot be started")
		case c.state == Running || c.state == Restarting:
			return reply{status: http.StatusNotModified}
		}
		c.restarts = 0
		if c.start() {
			return done
		}
		return c.startFailure()
	})
}

func (c *Container) startFailure() reply {
	status := http.StatusInternalServerError
	switch {
	case strings.HasPrefix(c.err, noNetwork):
		status = http.StatusNotFound
	case !c.e.o.podman() && (c.exitCode == 127 || c.exitCode == 126):
		status = http.StatusBadRequest
	}
	return refuse(status, "%s", c.err)
}

func (e *Engine) serveStop(w http.ResponseWriter, r *request, ref string) {
	e.mu.Lock()
	c := e.find(ref)
	if c == nil {
		e.mu.Unlock()
		e.noSuchContainer(w, ref)
		return
	}
	a := e.stop(c, c.graceFor(r))
	e.mu.Unlock()
	e.reply(w, a)
}

// stop is called with the engine locked, and unlocks it while it waits for the process.
func (e *Engine) stop(c *Container, grace time.Duration) reply {
	switch {
	case c.state == Restarting:
		c.stopRestarting()
		return done
	case c.state == Paused && e.o.podman():
		return refuse(http.StatusInternalServerError, "can only stop created or running containers. %s is in state paused: container state improper", c.ID)
	case c.state == Created && e.o.podman():
		return done
	case !c.processLives():
		return reply{status: http.StatusNotModified}
	}
	c.signal("15")
	if c.life.IgnoreTerm {
		e.awaitEnd(c, grace)
		if c.state == Running {
			c.tellKill("9")
			c.exit(137)
		}
	} else {
		c.exit(c.life.TermCode)
	}
	e.emit(c, "stop", nil)
	return done
}

// awaitEnd unlocks the engine until the process ended by itself or the grace is over. A stop goes on
// although its client went away, as with the real engine.
func (e *Engine) awaitEnd(c *Container, grace time.Duration) {
	ended := c.ended
	e.mu.Unlock()
	defer e.mu.Lock()
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
	}
}

func (c *Container) graceFor(r *request) time.Duration {
	if n, err := strconv.Atoi(r.query.Get("t")); err == nil {
		if n < 0 {
			return 365 * 24 * time.Hour
		}
		return time.Duration(n) * time.Second
	}
	if c.grace >= 0 {
		return c.grace
	}
	return defaultGrace
}

func (e *Engine) serveRestart(w http.ResponseWriter, r *request, ref string) {
	e.act(w, ref, func(c *Container) reply {
		switch {
		case c.state == Dead || c.state == Removing:
			return refuse(http.StatusConflict, "container is marked for removal and cannot be started")
		case c.state == Paused && e.o.podman():
			return refuse(http.StatusInternalServerError, "unable to restart a container in a paused or unknown state: container state improper")
		}
		if e.o.podman() {
			e.emit(c, "restart", nil)
		}
		if c.processLives() || c.state == Restarting {
			if a := e.stop(c, c.graceFor(r)); a.message != "" {
				return a
			}
		}
		c.restarts = 0
		if !c.start() {
			return c.startFailure()
		}
		if !e.o.podman() {
			e.emit(c, "restart", nil)
		}
		return done
	})
}

func (e *Engine) serveKill(w http.ResponseWriter, r *request, ref string) {
	e.act(w, ref, func(c *Container) reply {
		if !c.processLives() && e.o.podman() {
			return refuse(http.StatusInternalServerError, "can only kill running containers. %s is in state %s: container state improper", c.ID, c.state)
		}
		if !c.processLives() {
			return refuse(http.StatusConflict, "Cannot kill container: %s: Container %s is not running", ref, c.ID)
		}
		signal := strings.TrimPrefix(strings.ToUpper(r.query.Get("signal")), "SIG")
		switch signal {
		case "", "KILL", "9":
			if e.o.podman() {
				e.emit(c, "kill", nil)
			}
			c.signal("9")
			c.exit(137)
		case "TERM", "15":
			c.signal("15")
			if !c.life.IgnoreTerm {
				c.exit(c.life.TermCode)
			}
		default:
			return refuse(http.StatusBadRequest, "Invalid signal: %s", signal)
		}
		return done
	})
}

func (e *Engine) servePause(w http.ResponseWriter, ref string) {
	e.act(w, ref, func(c *Container) reply {
		switch {
		case e.o.podman() && c.state != Running:
			return refuse(http.StatusInternalServerError, "%q is not running, can't pause: container state improper", c.ID)
		case c.state == Paused:
			return refuse(http.StatusConflict, "Container %s is already paused", c.ID)
		case c.state == Restarting:
			return refuse(http.StatusConflict, "Container %s is restarting, wait until the container is running", c.ID)
		case c.state != Running:
			return refuse(http.StatusConflict, "Container %s is not running", c.ID)
		}
		c.pause()
		return done
	})
}

func (e *Engine) serveUnpause(w http.ResponseWriter, ref string) {
	e.act(w, ref, func(c *Container) reply {
		if c.state != Paused {
			return refuse(http.StatusInternalServerError, "Container %s is not paused", c.ID)
		}
		c.unpause()
		return done
	})
}

func (e *Engine) serveRename(w http.ResponseWriter, r *request, ref string) {
	e.act(w, ref, func(c *Container) reply {
		name := r.query.Get("name")
		if other := e.byName[name]; other != nil {
			return e.nameTaken(name, other)
		}
		old := c.name
		delete(e.byName, old)
		c.name = name
		e.byName[name] = c
		c.changed()
		e.emit(c, "rename", map[string]string{"oldName": "/" + old})
		return done
	})
}

func (e *Engine) nameTaken(name string, by *Container) reply {
	if e.o.podman() {
		return refuse(http.StatusInternalServerError, "creating container storage: the container name %q is already in use by %s. You have to remove that container to be able to reuse that name: that name is already in use", name, by.ID)
	}
	return refuse(http.StatusConflict, "Conflict. The container name %q is already in use by container %q. You have to remove (or rename) that container to be able to reuse that name.", "/"+name, by.ID)
}

// serveWait answers when the container is not running.
func (e *Engine) serveWait(w http.ResponseWriter, r *request, ref string) {
	e.mu.Lock()
	c := e.find(ref)
	if c == nil {
		e.mu.Unlock()
		e.noSuchContainer(w, ref)
		return
	}
	ended := c.ended
	e.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	flush(w)
	select {
	case <-ended:
	case <-r.Context().Done():
		return
	}
	e.mu.Lock()
	code := c.exitCode
	e.mu.Unlock()
	e.answerJSON(w, http.StatusOK, map[string]any{"StatusCode": code, "Error": nil})
}

// serveRemove answers DELETE /containers/{id}.
func (e *Engine) serveRemove(w http.ResponseWriter, r *request, ref string) {
	e.mu.Lock()
	c := e.find(ref)
	if c == nil {
		e.mu.Unlock()
		e.noSuchContainer(w, ref)
		return
	}
	a := e.remove(r, c)
	e.mu.Unlock()
	e.reply(w, a)
}

func (e *Engine) remove(r *request, c *Container) reply {
	if refusal := c.cannotRemove(r.flag("force")); refusal.status != 0 {
		return refusal
	}
	if c.processLives() {
		c.manualStop = true
		e.emit(c, "kill", map[string]string{"signal": "9"})
		c.exit(137)
	}
	if c.stuck {
		c.removeSlowly(r)
		if c.stuck {
			return refuse(http.StatusInternalServerError, "removal of container %s was broken off", c.ID)
		}
	}
	if c.rmError != "" {
		c.state, c.err = Dead, c.rmError
		c.changed()
		return refuse(http.StatusInternalServerError, "container %s: driver %q failed to remove root filesystem: %s", c.ID, "overlay2", c.rmError)
	}
	c.destroy(r.flag("v"))
	return done
}

func (c *Container) cannotRemove(force bool) reply {
	podman := c.e.o.podman()
	switch {
	case c.state == Removing:
		return refuse(http.StatusConflict, "removal of container %s is already in progress", c.ID)
	case force:
		return reply{}
	case podman && (c.processLives() || c.state == Restarting):
		return refuse(http.StatusInternalServerError,
			"cannot remove container %s as it is %s - running or paused containers cannot be removed without force: container state improper", c.ID, c.podmanState())
	case c.state == Running || c.state == Restarting:
		return refuse(http.StatusConflict, "You cannot remove a %s container %s. Stop the container before attempting removal or force remove", c.state, c.ID)
	case c.state == Paused:
		return refuse(http.StatusConflict, "You cannot remove a paused container %s. Unpause and then stop the container before attempting removal or force remove", c.ID)
	}
	return reply{}
}

// podmanState is the state in podman's refusals: a crash loop runs.
func (c *Container) podmanState() string {
	if c.state == Restarting {
		return Running
	}
	return c.state
}

// removeSlowly is "removing" until Unstick or until the client gives up; the state stays in the latter case.
func (c *Container) removeSlowly(r *request) {
	c.state = Removing
	c.changed()
	for c.stuck {
		moved := c.logMoved
		c.e.mu.Unlock()
		select {
		case <-moved:
		case <-r.Context().Done():
			c.e.mu.Lock()
			return
		}
		c.e.mu.Lock()
	}
}
