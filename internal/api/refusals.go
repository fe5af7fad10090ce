package api

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2/validation"

	"github.com/tiny-forge/docker-watcher/internal/auth"
	"github.com/tiny-forge/docker-watcher/internal/events"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	// refusalWindow is how long refusals that are alike are counted before they are told as one.
	refusalWindow = 10 * time.Minute
	// What one caller has told apart in a window; more is counted together. A stranger is told apart by the address alone.
	mostRefusals  = 50
	mostStrangers = 20

	kindRefused   = "call.refused"
	kindForbidden = "auth.forbidden"
	kindFailed    = "auth.login_failed"
	stranger      = auth.Stranger
)

// Refusals tell the event log of calls that would have changed something and were refused, so that nobody can fill it by them: the
// first is told at once, others like it are counted and told as one when Run's window ends.
type Refusals struct {
	bus *events.Bus

	mu    sync.Mutex
	alike map[refusalKey]*refusals
	each  map[string]int // how many are told apart of each actor
}

// refusalKey is what refusals have in common that are told together.
type refusalKey struct {
	actor  string
	what   string // the operation; of a stranger the network they come from; empty: whatever has no room of its own
	status int
}

// refusals are some that are alike.
type refusals struct {
	first store.Event
	more  int // since it was last told
}

// NewRefusals tells by a bus.
func NewRefusals(bus *events.Bus) *Refusals {
	return &Refusals{bus: bus, alike: map[refusalKey]*refusals{}, each: map[string]int{}}
}

// Run tells, whenever a window ends, how many refusals came that are not told yet, until ctx ends. The rest is for Settle to tell, when nobody
// serves any more: what is under way when ctx ends may be refused yet.
func (r *Refusals) Run(ctx context.Context) error {
	tick := time.NewTicker(refusalWindow)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.Settle()
		case <-ctx.Done():
			return nil
		}
	}
}

// note tells of a refusal, or counts it.
func (r *Refusals) note(key refusalKey, e store.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, there := r.alike[key]; !there && r.each[key.actor] >= mostOf(key.actor) {
		key = refusalKey{actor: key.actor}
		e = further(e)
	}
	if like, there := r.alike[key]; there {
		like.more++
		return
	}
	r.alike[key] = &refusals{first: e}
	r.each[key.actor]++
	r.bus.Keep(e)
}

func mostOf(actor string) int {
	if actor == stranger {
		return mostStrangers
	}
	return mostRefusals
}

// further is the event of whatever a caller is refused beyond what is told apart.
func further(e store.Event) store.Event {
	return store.Event{
		Time: e.Time, Severity: store.SeverityInfo, Source: store.SourceAPI, Kind: kindRefused, Actor: e.Actor,
		Message: "many more calls of " + e.Actor + " were refused: they are only counted", Data: map[string]any{"addr": e.Data["addr"]},
	}
}

// Settle tells what was counted, and forgets what came no more.
func (r *Refusals) Settle() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, like := range r.alike {
		if like.more == 0 {
			delete(r.alike, key)
			if r.each[key.actor]--; r.each[key.actor] == 0 {
				delete(r.each, key.actor)
			}
			continue
		}
		r.bus.Keep(like.again(time.Now()))
		like.more = 0
	}
}

// again tells of those that came since, in the words of the first.
func (l *refusals) again(now time.Time) store.Event {
	e := l.first
	e.Time = now
	e.Message = fmt.Sprintf("%s (%d times more)", e.Message, l.more)
	e.Data = map[string]any{"count": l.more}
	maps.Copy(e.Data, l.first.Data)
	return e
}

// noteRefusal tells of a call that would have changed something and was answered by a problem, unless an event tells of that already.
func (s *server) noteRefusal(mux *http.ServeMux, w *trackedWriter, r *http.Request) {
	if w.status < http.StatusBadRequest || !mutates(r.Method) || w.problem != nil && w.problem.told {
		return
	}
	operation := w.operation
	if operation == "" {
		_, pattern := mux.Handler(r)
		operation = s.operationAt(pattern)
	}
	if operation == "" || onlyLooks(operation) {
		return // there is nothing that it could have changed
	}
	v := w.visit
	if v.method == "" {
		v = newVisit(r, s.peers.trusted(r)) // refused before anybody asked who it is
	}
	what, e := operation, refusedEvent(operation, v, w.status, w.problem)
	if w.problem != nil && w.problem.guess {
		what, e = "guess of "+operation, guessed(e) // else it could hide behind a refusal of the same status
	}
	s.d.Refusals.note(refusalOf(what, v, w.status), e)
}

func mutates(method string) bool {
	return method == post || method == put || method == patch || method == remove
}

// onlyLooks tells the operations that are sent as a change is and change nothing. The page asks some of them while somebody types.
func onlyLooks(operation string) bool {
	switch operation {
	case "try-rule", "try-new-rule", "try-policy", "try-proxy", "test-proxy", "test-route", "test-identity-provider", "preview-message":
		return true
	}
	return false
}

func refusalOf(what string, v visit, status int) refusalKey {
	if !v.known {
		return refusalKey{actor: stranger, what: auth.NetworkOf(v.addr), status: status}
	}
	return refusalKey{actor: v.caller.Actor, what: what + " from " + auth.NetworkOf(v.addr), status: status}
}

// operationAt is the id of the operation that a pattern of the mux leads to; empty: none.
func (s *server) operationAt(pattern string) string {
	for _, r := range s.routes() {
		if r.method+" "+r.path == pattern {
			return r.id
		}
	}
	return ""
}

const (
	longestField = 100
	mostFields   = 20
)

// longestPath bounds what a caller can have us keep of an address.
const longestPath = 300

// refusedEvent says who was refused what, and why. Of the request it repeats the address of the route and the names of wrong fields.
func refusedEvent(operation string, v visit, status int, p *Problem) store.Event {
	who, actor := "somebody at "+v.addr, stranger
	if v.known {
		who, actor = v.caller.Name, v.caller.Actor
	}
	path := v.path
	if len(path) > longestPath {
		path = strings.ToValidUTF8(path[:longestPath], "") + "…"
	}
	e := store.Event{
		Time: time.Now(), Severity: store.SeverityInfo, Source: store.SourceAPI, Kind: kindRefused, Actor: actor,
		Message: refusedWords(who, v.method+" "+path, status),
		Data:    map[string]any{"addr": v.addr, "operation": operation, "method": v.method, "path": path, "status": status},
	}
	if p == nil {
		e.Message += ": " + http.StatusText(status)
		return e
	}
	e.Message += ": " + p.Detail
	e.Data["code"] = p.Code
	if fields := wrongNames(p); len(fields) > 0 {
		e.Message += " (" + strings.Join(fields, ", ") + ")"
		e.Data["fields"] = fields
	}
	if p.ID != "" {
		e.Data["problem_id"] = p.ID
	}
	return e
}

// guessed makes the event of a refusal that of a failed sign-in, which it is as bad as: whoever sits at an open session may be somebody else.
func guessed(e store.Event) store.Event {
	e.Kind, e.Source, e.Severity = kindFailed, store.SourceAuth, store.SeverityWarn
	e.Message += ": a wrong password or code was given to confirm it"
	return e
}

func refusedWords(who, what string, status int) string {
	if status >= http.StatusInternalServerError {
		return what + " of " + who + " failed"
	}
	return who + " was refused " + what
}

// wrongNames are the fields that a problem names, but not a flood of them.
func wrongNames(p *Problem) (names []string) {
	for _, f := range p.Errors {
		if len(names) == mostFields {
			break
		}
		if f.Message == validation.MsgUnexpectedProperty {
			continue // whatever the caller made up
		}
		names = append(names, f.Location[:min(len(f.Location), longestField)])
	}
	return names
}
