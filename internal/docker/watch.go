package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"
)

const (
	redialFirst = 100 * time.Millisecond
	redialMax   = 30 * time.Second
	// steady is how long a stream must have lived for the next redial to be quick again.
	steady = 10 * time.Second
	// connectTimeout is for the beginning of the stream's answer, which engines send at once.
	connectTimeout = 15 * time.Second
	// quietLimit is how long a stream may be silent before the engine is asked whether it is still there.
	quietLimit = 5 * time.Minute
)

// Event is one line of the engine's event stream, or a Gap: from here on the stream
// is whole again, but something may have been missed since the last event, so everything must be looked at again once.
type Event struct {
	Gap         bool
	Reason      string // of a gap: connected | reconnected | overflow
	Action      string // create start die oom stop kill pause unpause restart destroy rename health_status
	ContainerID string
	Time        time.Time // engine's clock
	ExitCode    int
	Attributes  map[string]string // of a health_status also "health": healthy | unhealthy | running
}

// actions are asked for on the server: the two or three exec events of every health check would drown the rest.
var actions = []string{"create", "start", "die", "oom", "stop", "kill", "pause", "unpause", "restart", "destroy", "rename", "health_status"}

// podmanActions are its own words for die and destroy.
var podmanActions = map[string]string{"died": "die", "remove": "destroy"}

// Watch follows the event stream for ever: it redials, reads into a bounded queue of its own and calls
// handle in order, from one goroutine, first of all with a Gap. It returns only when ctx ends.
func (e *Engine) Watch(ctx context.Context, handle func(Event)) error {
	queue := newEventQueue()
	var reader sync.WaitGroup
	reader.Go(func() { e.follow(ctx, queue) })
	defer reader.Wait()
	for {
		batch, err := queue.take(ctx)
		if err != nil {
			return err
		}
		for _, ev := range batch {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			handle(ev)
		}
	}
}

// StreamAge is how long the event stream has been unbroken; zero while it is down.
func (e *Engine) StreamAge() time.Duration {
	since := e.unbroken.Load()
	if since == nil {
		return 0
	}
	return time.Since(*since)
}

// follow keeps a stream open until ctx ends.
func (e *Engine) follow(ctx context.Context, queue *eventQueue) {
	reason, wait := "connected", min(redialFirst, e.redialMax)
	level := slog.LevelWarn // an outage is told once
	for {
		began := time.Now()
		opened, err := e.stream(ctx, queue, reason)
		e.unbroken.Store(nil)
		if ctx.Err() != nil {
			return
		}
		if opened {
			reason, level = "reconnected", slog.LevelWarn
			if time.Since(began) >= steady {
				wait = min(redialFirst, e.redialMax)
			}
		}
		e.log.Log(ctx, level, "event stream is down", "endpoint", e.endpoint, "was_open", opened, "retry_in", wait, "error", err)
		level = slog.LevelDebug
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait/2 + rand.N(wait)): // spread, so that many watchers of a restarted engine do not come at once
		}
		wait = min(2*wait, e.redialMax)
	}
}

// stream reads one stream to its end; opened tells whether it ever began. The client is made anew
// after it, for an engine that ends its stream may come back as another version.
func (e *Engine) stream(ctx context.Context, queue *eventQueue, reason string) (opened bool, err error) {
	const doing = "follow the engine's events"
	dog := watch(ctx, connectTimeout)
	defer dog.end()
	s, err := e.session(dog.ctx)
	if err != nil {
		return false, failure(ctx, doing, dog.reason(err))
	}
	defer e.drop(s)
	body, err := e.get(dog.ctx, s, "/events", url.Values{}, s.eventFilters())
	if err != nil {
		return false, failure(ctx, doing, dog.reason(err))
	}
	defer func() { _ = body.Close() }() // a stream is never read to a good end
	dog.rest()
	e.markUnbroken()
	e.log.InfoContext(ctx, "event stream is open", "endpoint", e.endpoint, "reason", reason)
	queue.put(Event{Gap: true, Reason: reason, Time: e.Now().UTC().Round(0)})
	return true, failure(ctx, doing, e.readEvents(dog, body, queue))
}

// readEvents does nothing but read and append, so that the engine never waits for us.
func (e *Engine) readEvents(dog *watchdog, from io.Reader, queue *eventQueue) error {
	var guard sync.WaitGroup
	alive := make(chan struct{}, 1)
	guard.Go(func() { e.guardSilence(dog, alive) })
	defer guard.Wait()
	defer dog.cancel(nil)
	for messages := json.NewDecoder(from); ; {
		var message events.Message
		if err := messages.Decode(&message); err != nil {
			return dog.reason(err)
		}
		select {
		case alive <- struct{}{}:
		default:
		}
		if ev, ok := toEvent(message); ok && queue.put(ev) {
			e.markUnbroken()
			e.log.WarnContext(dog.ctx, "events came faster than they were handled", "endpoint", e.endpoint)
		}
	}
}

// guardSilence asks whether the engine is still there when its stream says nothing for long: the other
// end may have vanished without closing the connection.
func (e *Engine) guardSilence(dog *watchdog, alive <-chan struct{}) {
	quiet := time.NewTimer(quietLimit)
	defer quiet.Stop()
	for {
		select {
		case <-dog.ctx.Done():
			return
		case <-alive:
		case <-quiet.C:
			if err := e.Ping(dog.ctx); err != nil {
				dog.cancel(fmt.Errorf("the stream is silent: %w", err))
				return
			}
		}
		quiet.Reset(quietLimit)
	}
}

func (e *Engine) markUnbroken() {
	now := time.Now()
	e.unbroken.Store(&now)
}

func (s *session) eventFilters() client.Filters {
	f := client.Filters{}.Add("type", string(events.ContainerEventType)).Add("event", actions...)
	if s.podman() {
		for own := range maps.Keys(podmanActions) {
			f.Add("event", own)
		}
	}
	return f
}

// toEvent brings a message of any engine into our shape; ok is false for one that is not about a container.
func toEvent(m events.Message) (ev Event, ok bool) {
	if m.Type != events.ContainerEventType || m.Actor.ID == "" {
		return Event{}, false
	}
	action, detail, _ := strings.Cut(string(m.Action), ":")
	if ours, renamed := podmanActions[action]; renamed {
		action = ours
	}
	ev = Event{Action: action, ContainerID: m.Actor.ID, Time: eventTime(m), Attributes: maps.Clone(m.Actor.Attributes)}
	if detail = strings.TrimSpace(detail); action == string(events.ActionHealthStatus) && detail != "" {
		if ev.Attributes == nil {
			ev.Attributes = map[string]string{}
		}
		ev.Attributes["health"] = detail
	}
	ev.ExitCode = exitCode(m.Actor.Attributes)
	return ev, true
}

func eventTime(m events.Message) time.Time {
	switch {
	case m.TimeNano > 0:
		return time.Unix(0, m.TimeNano).UTC()
	case m.Time > 0:
		return time.Unix(m.Time, 0).UTC()
	default:
		return time.Time{}
	}
}

// exitCode reads docker's attribute or podman's; without one it is 0.
func exitCode(attributes map[string]string) int {
	for _, key := range []string{"exitCode", "containerExitCode"} {
		if code, err := strconv.Atoi(attributes[key]); err == nil {
			return code
		}
	}
	return 0
}
