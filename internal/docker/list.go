package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
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
		body, err := e.listBody(ctx, s, filters)
		if err != nil {
			return nil, err
		}
		return rows(body)
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

// listBody is the answer, whole.
func (e *Engine) listBody(ctx context.Context, s *session, filters client.Filters) ([]byte, error) {
	body, err := e.get(ctx, s, "/containers/json", url.Values{"all": {"1"}}, filters)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }() // all of it was read, or the read's error is told
	return io.ReadAll(body)
}

// row is what we read of a container in a list.
type row struct {
	ID      string `json:"Id"`
	Names   []string
	Image   string
	Created int64
	State   string
	Labels  map[string]string
}

func rows(body []byte) ([]Summary, error) {
	var raw []row
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&raw); err != nil {
		return nil, err
	}
	out := make([]Summary, 0, len(raw))
	for _, r := range raw {
		if r.ID == "" {
			return nil, fmt.Errorf("%w: a row of its list has no id", ErrEngine)
		}
		out = append(out, r.summary())
	}
	return out, nil
}

func (r row) summary() Summary {
	s := Summary{ID: r.ID, Image: r.Image, State: foldState(r.State), Labels: r.Labels}
	if len(r.Names) > 0 {
		s.Name = ownName(r.Names)
	}
	if r.Created > 0 {
		s.Created = time.Unix(r.Created, 0).UTC()
	}
	return s
}

// ownName is the container's own among its names: a link of another one adds "/other/alias".
func ownName(names []string) string {
	for _, name := range names {
		if own := strings.TrimPrefix(name, "/"); !strings.Contains(own, "/") {
			return own
		}
	}
	return strings.TrimPrefix(names[0], "/")
}
