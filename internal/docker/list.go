package docker

import (
	"bytes"
	"context"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/moby/moby/client"
)

// listTimeout is long: ten thousand rows take 25 s on an engine with the containerd store.
const listTimeout = 2 * time.Minute

// ListOptions filter on the server: by status and by our label.
type ListOptions struct {
	States []State
	Labels []string // key or key=value, all must match
}

// List returns the rows that match. An answer that is not whole is an error, never a short list.
func (e *Engine) List(ctx context.Context, o ListOptions) ([]Summary, error) {
	return call(ctx, e, "list containers", listTimeout, func(ctx context.Context, s *session) ([]Summary, error) {
		states := s.askable(o.States)
		if len(o.States) > 0 && len(states) == 0 {
			return nil, nil
		}
		filters := client.Filters{}
		for _, state := range states {
			filters.Add("status", string(state))
		}
		for _, label := range o.Labels {
			filters.Add("label", label)
		}
		return e.listRows(ctx, s, filters)
	})
}

// askable leaves out the states that an engine does not know: podman fails the whole list over them.
func (s *session) askable(states []State) []State {
	if !s.podman() {
		return states
	}
	return slices.DeleteFunc(slices.Clone(states), func(state State) bool {
		return state == StateRestarting || state == StateDead
	})
}

// bodies holds what a list was read into: 8 MB for ten thousand rows, of which nothing is kept.
var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func (e *Engine) listRows(ctx context.Context, s *session, filters client.Filters) ([]Summary, error) {
	from, err := e.get(ctx, s, "/containers/json", url.Values{"all": {"1"}}, filters)
	if err != nil {
		return nil, err
	}
	defer func() { _ = from.Close() }() // all of it was read, or the read's error is told
	body := bodies.Get().(*bytes.Buffer)
	defer bodies.Put(body)
	body.Reset()
	if _, err := body.ReadFrom(from); err != nil {
		return nil, err
	}
	return rows(body.Bytes())
}
