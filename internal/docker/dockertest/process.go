package dockertest

import (
	"slices"
	"strconv"
	"time"
)

// Docker's back-off between restarts; podman has none.
const (
	firstBackOff = 100 * time.Millisecond
	maxBackOff   = time.Minute
	calmRun      = 10 * time.Second // a run that lasted so long ends the back-off
	podmanPause  = 350 * time.Millisecond
)

// Start starts the container as `docker start` by another client does.
func (c *Container) Start() {
	defer c.lock()()
	if c.gone || c.processLives() || c.state == Restarting {
		return
	}
	c.restarts = 0
	c.start()
}

// Exit ends the process by itself with a code. The restart policy is honoured.
func (c *Container) Exit(code int) {
	defer c.lock()()
	c.exitNow(code)
}

// OOM lets the kernel's out-of-memory killer end the process.
func (c *Container) OOM() {
	defer c.lock()()
	c.exitOOM()
}

// Kill ends the process from outside the engine with SIGKILL: code 137, restart policy honoured.
func (c *Container) Kill() {
	defer c.lock()()
	c.exitNow(137)
}

// Stop stops the container as `docker stop` by another client does, without waiting a grace.
func (c *Container) Stop() {
	defer c.lock()()
	if c.state == Restarting {
		c.stopRestarting()
		return
	}
	if !c.processLives() {
		return
	}
	c.signal("15")
	code := c.life.TermCode
	if c.life.IgnoreTerm {
		c.tellKill("9")
		code = 137
	}
	c.exit(code)
	c.e.emit(c, "stop", nil)
}

// Pause freezes the process.
func (c *Container) Pause() {
	defer c.lock()()
	if c.state == Running {
		c.pause()
	}
}

// Unpause lets it go on.
func (c *Container) Unpause() {
	defer c.lock()()
	if c.state == Paused {
		c.unpause()
	}
}

// Lives changes what the process does, from its next start on.
func (c *Container) Lives(l Life) {
	defer c.lock()()
	c.life = l
	c.check = c.check || l.Health
}

// CrashLoop starts the container (again) so that each run crashes with code 7 after 20 ms and the engine
// restarts it, n times; then it stays up. 0 means for ever.
func (c *Container) CrashLoop(n int) {
	defer c.lock()()
	if c.processLives() {
		c.exit(7)
	}
	c.policy = restartPolicy{name: "always"}
	c.life = Life{ExitAfter: 20 * time.Millisecond, ExitCode: 7, Times: n}
	c.runs, c.restarts, c.backOff = 0, 0, 0
	c.start()
}

// start begins a run. It reports whether the process came up.
func (c *Container) start() bool {
	e := c.e
	c.stopTimers()
	c.manualStop = false
	if why, code := c.cannotStart(); why != "" {
		c.err, c.exitCode = why, code
		if e.o.Flavour == Podman4 {
			c.exitCode = 0
		}
		c.changed()
		return false
	}
	c.runs++
	c.state, c.exitCode, c.err, c.oomKilled = Running, 0, "", false
	c.started = e.now()
	c.ended = make(chan struct{})
	c.health = ""
	if c.check {
		c.health = "starting"
	}
	c.claimPorts()
	c.changed()
	c.writeGreeting()
	c.tellNetworks("connect")
	e.emit(c, "start", nil)
	c.scheduleLife()
	return true
}

// cannotStart says why the run fails before it began.
func (c *Container) cannotStart() (why string, code int) {
	if c.life.StartError != "" {
		code = c.life.StartCode
		if code == 0 {
			code = 127
		}
		return c.life.StartError, code
	}
	for _, a := range c.networks {
		if c.e.networks[a.name] == nil {
			return noNetwork + a.name + " not found", 128
		}
	}
	for _, p := range c.ports {
		if holder := c.e.ports[p.key()]; p.HostPort != "" && holder != nil && holder != c {
			return "driver failed programming external connectivity on endpoint " + c.name + ": Bind for " + p.hostAddr() +
				" failed: port is already allocated", 128
		}
	}
	return "", 0
}

// scheduleLife sets the timers of what the process will do by itself in this run.
func (c *Container) scheduleLife() {
	l := c.life
	if l.ExitAfter > 0 && (l.Times == 0 || c.runs <= l.Times) {
		c.after(l.ExitAfter, func() {
			if l.OOM {
				c.exitOOM()
				return
			}
			c.write(false, "exiting as told")
			c.exit(l.ExitCode)
		})
	}
	if !c.check || c.e.o.podman() {
		return // podman's health timers need systemd, which a container host may lack
	}
	if c.health == "starting" {
		wait := l.HealthAfter
		if wait == 0 {
			wait = time.Second
		}
		c.after(wait, func() {
			if l.Unhealthy {
				c.setHealth("unhealthy")
				return
			}
			c.setHealth("healthy")
		})
	}
	if l.CheckEvery > 0 {
		c.checkEvery(l.CheckEvery)
	}
}

// checkEvery sends the three exec events of each health check.
func (c *Container) checkEvery(d time.Duration) {
	c.after(d, func() {
		c.e.emit(c, "exec_create: /app check", nil)
		c.e.emit(c, "exec_start: /app check", nil)
		c.e.emit(c, "exec_die", map[string]string{"exitCode": "0"})
		c.checkEvery(d)
	})
}

// after calls f with the engine locked, unless this run is over by then.
func (c *Container) after(d time.Duration, f func()) {
	run := c.runs
	c.timers = append(c.timers, time.AfterFunc(d, func() {
		defer c.lock()()
		if c.gone || c.runs != run || c.state != Running || c.e.closed {
			return
		}
		f()
	}))
}

func (c *Container) stopTimers() {
	for _, t := range c.timers {
		t.Stop()
	}
	c.timers = nil
}

func (c *Container) exitNow(code int) {
	if c.processLives() {
		c.exit(code)
	}
}

func (c *Container) exitOOM() {
	if !c.processLives() {
		return
	}
	// Podman 4 does not notice that it was the out-of-memory killer.
	c.oomKilled = c.e.o.Flavour != Podman4
	if c.oomKilled {
		c.e.emit(c, "oom", nil)
	}
	c.exit(137)
}

// exit ends the run: the process is gone, the engine noticed and decides what follows.
func (c *Container) exit(code int) {
	e := c.e
	lasted := e.now().Sub(c.started)
	c.end(code)
	attributes := map[string]string{"exitCode": strconv.Itoa(code)}
	if minor(e.o.APIVersion) >= 42 {
		attributes["execDuration"] = strconv.Itoa(int(lasted.Seconds()))
	}
	again := e.down == up && c.restartsAfter(code)
	if again {
		c.state = Restarting
		if !e.o.podman() { // podman counts when it restarts
			c.restarts++
		}
	}
	e.emit(c, "die", attributes)
	c.tellNetworks("disconnect")
	switch {
	case again:
		c.restartLater(lasted)
	case c.autoRm:
		c.destroy(true)
	}
}

// end notes that the process is gone.
func (c *Container) end(code int) {
	c.stopTimers()
	c.state, c.exitCode = Exited, code
	c.finished = c.e.now()
	c.dropPorts()
	close(c.ended)
	c.wakeLog()
	c.changed()
}

func (c *Container) restartsAfter(code int) bool {
	switch {
	case c.manualStop || c.autoRm:
		return false
	case c.policy.name == "always" || c.policy.name == "unless-stopped":
		return true
	case c.policy.name == "on-failure":
		return code != 0 && (c.policy.max == 0 || c.restarts < c.policy.max)
	}
	return false
}

// restartLater starts the next run after the back-off.
func (c *Container) restartLater(lasted time.Duration) {
	switch {
	case lasted >= calmRun || c.backOff == 0:
		c.backOff = firstBackOff
	default:
		c.backOff = min(2*c.backOff, maxBackOff)
	}
	wait := c.backOff
	if c.e.o.podman() {
		wait = podmanPause
	}
	run := c.runs
	c.timers = append(c.timers, time.AfterFunc(wait, func() {
		defer c.lock()()
		if c.gone || c.runs != run || c.state != Restarting || c.e.closed {
			return
		}
		if c.e.o.podman() {
			c.restarts++
			c.e.emit(c, "restart", nil)
		}
		if !c.start() {
			c.state = Exited
		}
	}))
}

// stopRestarting ends a crash loop between two runs.
func (c *Container) stopRestarting() {
	c.stopTimers()
	c.manualStop = true
	c.state = Exited
	c.changed()
	c.wakeLog()
	c.e.emit(c, "stop", nil)
}

// signal is what a stop begins with: the signal goes out, a frozen process is let go on to receive it.
func (c *Container) signal(number string) {
	c.manualStop = true
	c.tellKill(number)
	if c.state == Paused {
		c.unpause()
	}
	if number == "15" && !c.life.IgnoreTerm {
		c.write(true, "told to end")
	}
}

// tellKill sends the event of a signal that a stop sent; podman only tells of those that a kill sent.
func (c *Container) tellKill(number string) {
	if !c.e.o.podman() {
		c.e.emit(c, "kill", map[string]string{"signal": number})
	}
}

func (c *Container) pause() {
	c.state = Paused
	c.changed()
	c.e.emit(c, "pause", nil)
}

func (c *Container) unpause() {
	c.state = Running
	c.changed()
	c.e.emit(c, "unpause", nil)
}

func (c *Container) claimPorts() {
	for i := range c.ports {
		if c.ports[i].HostPort == "" || c.ports[i].HostPort == "0" {
			c.ports[i].bound = strconv.Itoa(49153 + c.e.nextEnd)
			c.e.nextEnd++
			continue
		}
		c.ports[i].bound = c.ports[i].HostPort
		c.e.ports[c.ports[i].key()] = c
	}
}

func (c *Container) dropPorts() {
	for i, p := range slices.All(c.ports) {
		c.ports[i].bound = ""
		if c.e.ports[p.key()] == c {
			delete(c.e.ports, p.key())
		}
	}
}
