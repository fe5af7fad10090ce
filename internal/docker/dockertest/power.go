package dockertest

import "time"

// downKind says why the engine does not answer.
type downKind int

const (
	up downKind = iota
	shutDown
	crashed
	powerCut
)

// Shutdown ends the engine in good order. Without LiveRestore its containers are stopped first.
func (e *Engine) Shutdown() {
	e.mu.Lock()
	if e.down == up && !e.o.LiveRestore && !e.o.podman() {
		e.down = shutDown // first, so that no policy restarts what stops now
		for _, c := range e.newestFirst() {
			switch {
			case c.processLives():
				c.state = Running
				c.exit(c.life.TermCode)
			case c.state == Restarting:
				c.stopTimers()
				c.state = Exited
				c.changed()
			}
		}
	}
	e.goDown(shutDown)
}

// Crash kills the engine but not its containers: until Boot they run with no engine.
func (e *Engine) Crash() {
	e.mu.Lock()
	e.goDown(crashed)
}

// PowerCut takes everything down at once. What the containers look like afterwards is decided at Boot.
func (e *Engine) PowerCut() {
	e.mu.Lock()
	e.goDown(powerCut)
}

// goDown is called with the engine locked and unlocks it.
func (e *Engine) goDown(kind downKind) {
	if e.down == up || e.down == shutDown {
		e.down = kind
	}
	if kind == powerCut {
		for _, c := range e.byID {
			c.stopTimers()
		}
	}
	e.past = nil
	e.mu.Unlock()
	e.hangUp()
}

// Boot starts the engine again after Shutdown, Crash or PowerCut.
func (e *Engine) Boot() {
	e.mu.Lock()
	kind := e.down
	if kind == up {
		e.mu.Unlock()
		return
	}
	e.down = up
	var again []*Container
	for _, c := range e.newestFirst() {
		if e.recover(c, kind) {
			again = append(again, c)
		}
	}
	for _, c := range again {
		c.start()
	}
	err := e.openLocked()
	e.mu.Unlock()
	if err != nil {
		panic(err)
	}
}

// Restart is Shutdown and Boot.
func (e *Engine) Restart() {
	e.Shutdown()
	e.Boot()
}

// Become changes the make of the engine, as an upgrade does: between Shutdown and Boot. Its identity stays.
func (e *Engine) Become(o Options) {
	e.mu.Lock()
	defer e.mu.Unlock()
	was := e.o
	e.o = o.withDefaults()
	e.o.EngineID, e.o.Name, e.o.DataRoot, e.o.ContainerIP = was.EngineID, was.Name, was.DataRoot, was.ContainerIP
	for _, c := range e.byID {
		c.changed()
	}
}

// recover brings one container to what the engine finds when it comes up. It reports whether
// the engine starts it again.
func (e *Engine) recover(c *Container, kind downKind) (startAgain bool) {
	had := c.processLives() || c.state == Restarting
	switch {
	case kind == shutDown || !had:
		return c.comesBack()
	case kind == crashed && (e.o.LiveRestore || e.o.podman()):
		return false // it runs on, nothing noticed
	case kind == powerCut && e.o.podman():
		c.afterPodmanReboot()
		return false
	}
	c.foundDead(kind)
	if kind == crashed {
		// The engine kills what it finds; of those only "always" comes back.
		return c.policy.name == "always"
	}
	return c.keepsUp() || c.policy.name == "on-failure"
}

// comesBack says whether a starting engine starts a container that it knows to have ended: "always"
// even when somebody stopped it.
func (c *Container) comesBack() bool {
	if c.e.o.podman() || c.state != Exited || c.started.IsZero() {
		return false
	}
	return c.policy.name == "always" || c.policy.name == "unless-stopped" && !c.manualStop
}

func (c *Container) keepsUp() bool {
	return c.policy.name == "always" || c.policy.name == "unless-stopped"
}

// foundDead marks a container whose process the engine no longer finds: the time is that of the
// engine's start, not of the end of the process.
func (c *Container) foundDead(kind downKind) {
	code := 255
	if kind == crashed {
		code = 0
	}
	c.runs++
	if c.processLives() {
		c.end(code)
	}
	c.state, c.exitCode = Exited, code
	c.finished = c.e.now()
	c.changed()
}

// afterPodmanReboot: podman forgets when the process ended, and its older generation even that it ran.
func (c *Container) afterPodmanReboot() {
	c.runs++
	if c.processLives() {
		c.end(0)
	}
	c.state, c.exitCode, c.finished = Exited, 0, time.Time{}
	if c.e.o.Flavour == Podman4 {
		c.state = Created
	}
	c.changed()
}
