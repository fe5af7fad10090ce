package dockertest

import (
	"encoding/binary"
	"net/http"
	"strconv"
	"strings"
	"time"
)

type logLine struct {
	at     time.Time
	stderr bool
	text   string
}

// Log writes a line to the container's output: stdout or stderr.
func (c *Container) Log(stream, text string) {
	defer c.lock()()
	c.write(stream == "stderr", text)
}

func (c *Container) write(stderr bool, text string) {
	c.logs = append(c.logs, logLine{at: c.e.now(), stderr: stderr, text: text})
	c.wakeLog()
}

// wakeLog tells all who follow that the log grew or that the container moved on.
func (c *Container) wakeLog() {
	close(c.logMoved)
	c.logMoved = make(chan struct{})
}

// writeGreeting is what the image's process says when it starts: by default what the test app does.
func (c *Container) writeGreeting() {
	for _, text := range c.image.greeting {
		c.write(false, text)
	}
	if c.image.greeting == nil {
		c.write(false, "serving "+c.variable("VERSION", "")+" on port "+c.variable("PORT", "8080"))
	}
}

func (c *Container) variable(name, otherwise string) string {
	for _, kv := range c.env {
		if value, ok := strings.CutPrefix(kv, name+"="); ok {
			otherwise = value // the last one counts
		}
	}
	return otherwise
}

// serveLogs answers GET /containers/{id}/logs, each line in a frame of its stream.
func (e *Engine) serveLogs(w http.ResponseWriter, r *request, ref string) {
	stdout, stderr := r.flag("stdout"), r.flag("stderr")
	since, ok := unixText(r.query.Get("since"))
	e.mu.Lock()
	c := e.find(ref)
	e.mu.Unlock()
	switch {
	case c == nil:
		e.noSuchContainer(w, ref)
		return
	case c.keepsNoLog() && e.podman():
		e.fail(w, http.StatusInternalServerError, "failed to obtain logs for Container '"+ref+"': this container is using the 'none' log driver, cannot read logs: this container is not logging output")
		return
	case c.keepsNoLog():
		e.fail(w, http.StatusNotImplemented, "configured logging driver does not support reading")
		return
	case !stdout && !stderr:
		e.fail(w, http.StatusBadRequest, "Bad parameters: you must choose at least one stream")
		return
	case !ok:
		e.fail(w, http.StatusBadRequest, "invalid value for since")
		return
	}
	wanted := func(l logLine) bool {
		return (l.stderr && stderr || !l.stderr && stdout) && !l.at.Before(since)
	}
	w.Header().Set("Content-Type", "application/vnd.docker.raw-stream")
	w.WriteHeader(http.StatusOK)
	flush(w)
	out := frameWriter{w: w, stamps: r.flag("timestamps")}
	next := c.logStart(r.query.Get("tail"), wanted)
	for {
		e.mu.Lock()
		lines, moved, over := c.logs[next:], c.logMoved, !c.processLives() && c.state != Restarting || c.gone
		next = len(c.logs)
		e.mu.Unlock()
		for _, l := range lines {
			if wanted(l) && !out.write(l) {
				return
			}
		}
		if !r.flag("follow") || over {
			return
		}
		flush(w)
		select {
		case <-moved:
		case <-r.Context().Done():
			return
		}
	}
}

func (c *Container) keepsNoLog() bool {
	defer c.lock()()
	log, _ := c.host["LogConfig"].(map[string]any)
	return log["Type"] == "none"
}

// logStart is the index of the first line that tail leaves.
func (c *Container) logStart(tail string, wanted func(logLine) bool) int {
	defer c.lock()()
	left, err := strconv.Atoi(tail)
	if err != nil || left < 0 {
		return 0
	}
	for i := len(c.logs); i > 0; i-- {
		if !wanted(c.logs[i-1]) {
			continue
		}
		if left == 0 {
			return i
		}
		left--
	}
	return 0
}

type frameWriter struct {
	w      http.ResponseWriter
	stamps bool
}

func (f frameWriter) write(l logLine) bool {
	text := l.text + "\n"
	if f.stamps {
		text = l.at.Format(time.RFC3339Nano) + " " + text
	}
	frame := make([]byte, 8, 8+len(text))
	frame[0] = 1
	if l.stderr {
		frame[0] = 2
	}
	binary.BigEndian.PutUint32(frame[4:], uint32(len(text))) //nolint:gosec // a line of a test's log is short
	_, err := f.w.Write(append(frame, text...))
	return err == nil
}
