package dockertest

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// eventMemory is how many past events an engine can give back; none survive its restart.
const eventMemory = 256

// event is one line of the stream in both shapes: old engines repeat the actor at the top.
type event struct {
	Status string `json:"status,omitempty"`
	ID     string `json:"id,omitempty"`
	From   string `json:"from,omitempty"`
	Type   string
	Action string
	Actor  struct {
		ID         string
		Attributes map[string]string
	}
	Scope    string `json:"scope,omitempty"`
	Time     int64  `json:"time,omitempty"`
	TimeNano int64  `json:"timeNano,omitempty"`

	asked string // the name that filters know it by; podman shows another one
}

// subscriber is one open event stream. Its queue is bounded: who reads slowly loses events and is not told.
type subscriber struct {
	queue   chan event
	cut     chan struct{}
	filters filters
}

// WithoutEvents runs f while the engine tells nobody what happens, and remembers nothing of it.
func (e *Engine) WithoutEvents(f func()) {
	e.mu.Lock()
	e.muted++
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		e.muted--
		e.mu.Unlock()
	}()
	f()
}

// CutEvents breaks every event stream off in the middle.
func (e *Engine) CutEvents() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for s := range e.subs {
		close(s.cut)
		delete(e.subs, s)
	}
}

// Streams counts the open event streams.
func (e *Engine) Streams() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.subs)
}

func (e *Engine) emit(c *Container, action string, more map[string]string) {
	attributes := map[string]string{}
	maps.Copy(attributes, c.labels)
	attributes["image"] = c.imageRef
	attributes["name"] = c.name
	maps.Copy(attributes, more)
	if e.o.podman() {
		e.emitPodman(c, action, attributes)
		return
	}
	e.publish(e.newEvent("container", action, c.ID, attributes))
}

// emitPodman tells the same in podman's words: some are filtered by another name than they show,
// and a stop says no more than that the process died.
func (e *Engine) emitPodman(c *Container, action string, attributes map[string]string) {
	shown, asked := action, action
	attributes["containerExitCode"] = "0"
	attributes["podId"] = ""
	switch action {
	case "start":
		e.publish(e.newEvent("container", "init", c.ID, attributes))
	case "die":
		asked = "died"
		attributes["containerExitCode"] = attributes["exitCode"]
	case "destroy":
		shown, asked = "remove", "remove"
	case "stop":
		shown, asked = "cleanup", "cleanup"
	}
	ev := e.newEvent("container", shown, c.ID, attributes)
	ev.asked = asked
	e.publish(ev)
}

func (e *Engine) emitOther(kind, action, id string, attributes map[string]string) {
	e.publish(e.newEvent(kind, action, id, attributes))
}

func (e *Engine) newEvent(kind, action, id string, attributes map[string]string) event {
	now := e.now()
	ev := event{Type: kind, Action: action, asked: action, Scope: "local", Time: now.Unix(), TimeNano: now.UnixNano()}
	ev.Actor.ID, ev.Actor.Attributes = id, attributes
	return ev
}

func (e *Engine) publish(ev event) {
	if e.muted > 0 || e.down != up || e.closed {
		return
	}
	if len(e.past) == eventMemory {
		e.past = slices.Delete(e.past, 0, 1)
	}
	e.past = append(e.past, ev)
	for s := range e.subs {
		if !s.filters.passEvent(ev) {
			continue
		}
		select {
		case s.queue <- ev:
		default: // lost, silently: as with the real one
		}
	}
}

// serveEvents answers GET /events: what is remembered since a moment, then what comes.
func (e *Engine) serveEvents(w http.ResponseWriter, r *request) {
	since, until, ok := eventWindow(r)
	if !ok {
		e.fail(w, http.StatusBadRequest, "invalid value for since or until")
		return
	}
	s := &subscriber{queue: make(chan event, e.o.EventBuffer), cut: make(chan struct{}), filters: r.filters}
	e.mu.Lock()
	var past []event
	if !since.IsZero() && !e.o.podman() { // podman gives next to nothing back
		for _, ev := range e.past {
			if ev.TimeNano >= since.UnixNano() && (until.IsZero() || ev.TimeNano <= until.UnixNano()) && s.filters.passEvent(ev) {
				past = append(past, ev)
			}
		}
	}
	left := until.Sub(e.now())
	over := !until.IsZero() && left <= 0
	if !over {
		e.subs[s] = struct{}{}
	}
	e.mu.Unlock()
	defer e.unsubscribe(s)

	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	flush(w)
	out := eventWriter{w: w, old: r.api < 52}
	for _, ev := range past {
		if !out.write(ev) {
			return
		}
	}
	if over {
		return
	}
	var timeUp <-chan time.Time
	if !until.IsZero() {
		timer := time.NewTimer(left)
		defer timer.Stop()
		timeUp = timer.C
	}
	for {
		select {
		case ev := <-s.queue:
			if !out.write(ev) {
				return
			}
		case <-timeUp:
			return
		case <-s.cut:
			panic(http.ErrAbortHandler)
		case <-r.Context().Done():
			return
		}
	}
}

func (e *Engine) unsubscribe(s *subscriber) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.subs, s)
}

type eventWriter struct {
	w   http.ResponseWriter
	old bool
}

func (o eventWriter) write(ev event) bool {
	if o.old {
		ev.Status = ev.Action
		if ev.Type == "container" {
			ev.ID, ev.From = ev.Actor.ID, ev.Actor.Attributes["image"]
		} else {
			ev.Status = ""
		}
	}
	if err := json.NewEncoder(o.w).Encode(ev); err != nil {
		return false
	}
	flush(o.w)
	return true
}

// eventWindow reads since and until: seconds with a fraction, as the client writes them.
func eventWindow(r *request) (since, until time.Time, ok bool) {
	var ok1, ok2 bool
	since, ok1 = unixText(r.query.Get("since"))
	until, ok2 = unixText(r.query.Get("until"))
	return since, until, ok1 && ok2
}

// unixText reads "seconds.nanoseconds"; empty is zero.
func unixText(s string) (time.Time, bool) {
	if s == "" || s == "0" {
		return time.Time{}, true
	}
	whole, fraction, _ := strings.Cut(s, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	var nanos int64
	if fraction != "" {
		fraction = (fraction + "000000000")[:9]
		if nanos, err = strconv.ParseInt(fraction, 10, 64); err != nil {
			return time.Time{}, false
		}
	}
	return time.Unix(sec, nanos).UTC(), true
}
