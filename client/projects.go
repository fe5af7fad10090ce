package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Project is something that is deployed: a name and an image repository.
type Project struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	Image      string    `json:"image"`
	StaleAfter string    `json:"stale_after,omitempty"` // empty: the global threshold
	CreatedAt  time.Time `json:"created_at"`
	UpdatedAt  time.Time `json:"updated_at"`
	Revision   int64     `json:"revision"`
}

// NewProject asks for a project.
type NewProject struct {
	Name       string `json:"name"`
	Image      string `json:"image"`
	StaleAfter string `json:"stale_after,omitempty"`
}

// ProjectChange changes what is not nil. An empty StaleAfter inherits again.
type ProjectChange struct {
	Name       *string
	Image      *string
	StaleAfter *string
	Revision   int64 // the one that was seen; 0: whatever it is now
}

// Projects lists one page of the projects by name.
func (c *Client) Projects(ctx context.Context, p Page) (List[Project], error) {
	q := url.Values{}
	p.addTo(q)
	var l List[Project]
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/projects", query: q}, &l)
	return l, err
}

// Project returns one by id or by name.
func (c *Client) Project(ctx context.Context, idOrName string) (Project, error) {
	var p Project
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/projects/" + part(idOrName)}, &p)
	return p, err
}

// CreateProject makes a project.
func (c *Client) CreateProject(ctx context.Context, n NewProject) (Project, error) {
	var p Project
	err := c.do(ctx, call{method: http.MethodPost, path: "/api/projects", body: n}, &p)
	return p, err
}

// UpdateProject changes a project.
func (c *Client) UpdateProject(ctx context.Context, id string, change ProjectChange) (Project, error) {
	body := map[string]any{}
	put(body, "name", change.Name)
	put(body, "image", change.Image)
	putOrNull(body, "stale_after", change.StaleAfter)
	var p Project
	err := c.do(ctx, call{
		method: http.MethodPatch, path: "/api/projects/" + part(id), body: body, header: ifMatch(change.Revision),
	}, &p)
	return p, err
}

// DeleteProject removes a project that has no stages.
func (c *Client) DeleteProject(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/api/projects/" + part(id)}, nil)
}

func put[T any](body map[string]any, name string, value *T) {
	if value != nil {
		body[name] = *value
	}
}

// putOrNull sends null, which means to inherit, for an empty text.
func putOrNull(body map[string]any, name string, value *string) {
	switch {
	case value == nil:
	case *value == "":
		body[name] = nil
	default:
		body[name] = *value
	}
}
