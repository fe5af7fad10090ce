package dockertest

import (
	"maps"
	"net/url"
	"regexp"
	"time"
)

// rememberedCalls bounds the log of requests; the counts go on.
const rememberedCalls = 100_000

// Request is one request that the engine got, whether it then answered or not.
type Request struct {
	Time   time.Time // true time, not the engine's
	Method string
	Path   string // without the version
	Query  url.Values
	API    string // version that was asked for
}

// Target is what Fault.On and Requests match against.
func (r Request) Target() string { return r.Method + " " + r.Path + "?" + r.Query.Encode() }

type calls struct {
	log    []Request
	counts map[string]int
}

func newCalls() calls { return calls{counts: map[string]int{}} }

func (c *calls) add(r Request, endpoint string) {
	c.counts[endpoint]++
	if len(c.log) >= rememberedCalls {
		c.log = append(c.log[:0:0], c.log[rememberedCalls/2:]...)
	}
	c.log = append(c.log, r)
}

// Count returns the number of requests to an endpoint since the last ResetCalls, named like
// "GET /containers/json", "GET /containers/{id}/json", "DELETE /containers/{id}", "GET /events".
func (e *Engine) Count(endpoint string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.calls.counts[endpoint]
}

// Counts returns all counts by endpoint.
func (e *Engine) Counts() map[string]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.calls.counts)
}

// Lists counts the list calls.
func (e *Engine) Lists() int { return e.Count("GET /containers/json") }

// Inspects counts the inspects of containers.
func (e *Engine) Inspects() int { return e.Count("GET /containers/{id}/json") }

// Removes returns the requests to remove a container, with their force and v.
func (e *Engine) Removes() []Request { return e.Requests(`^DELETE /containers/`) }

// Requests returns those whose Target matches the regexp, in their order.
func (e *Engine) Requests(pattern string) []Request {
	on := regexp.MustCompile(pattern)
	e.mu.Lock()
	defer e.mu.Unlock()
	var found []Request
	for _, r := range e.calls.log {
		if on.MatchString(r.Target()) {
			found = append(found, r)
		}
	}
	return found
}

// ResetCalls forgets all requests so far.
func (e *Engine) ResetCalls() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls = newCalls()
	for _, c := range e.byID {
		c.inspects = 0
	}
}
