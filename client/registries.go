package client

import (
	"context"
	"net/http"
	"time"
)

// Registry is where images come from, and how it is reached. Its password is never told.
type Registry struct {
	ID          string        `json:"id"`
	Name        string        `json:"name"`
	Host        string        `json:"host"` // as in the names of its images
	Preset      string        `json:"preset"`
	Username    string        `json:"username,omitempty"`
	PasswordSet bool          `json:"password_set"`
	PlainHTTP   bool          `json:"plain_http"`
	CA          string        `json:"ca,omitempty"` // PEM
	LastTest    *RegistryTest `json:"last_test"`    // nil: it was never tried
	Allowance   *Allowance    `json:"allowance"`    // nil: it has said nothing
	Traffic     *Traffic      `json:"traffic"`      // nil: it was asked nothing since the daemon started
	Use         RegistryUse   `json:"use"`
	Hook        *Webhook      `json:"hook"` // nil: it has none
	// Stages are those whose images come from it; only of one registry that is asked for by itself.
	Stages []RegistryStage `json:"stages,omitempty"`

	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	Revision  int64     `json:"revision"`
}

// RegistryTest is what somebody saw who tried a registry.
type RegistryTest struct {
	At           time.Time `json:"at"`
	By           string    `json:"by"`
	OK           bool      `json:"ok"`
	TookMS       int64     `json:"took_ms"`
	Class        string    `json:"class,omitempty"` // of what went wrong, such as unauthorized
	Detail       string    `json:"detail,omitempty"`
	Remedy       string    `json:"remedy,omitempty"`
	Repository   string    `json:"repository,omitempty"`
	Tags         *int      `json:"tags,omitempty"`         // of Repository
	Repositories *int      `json:"repositories,omitempty"` // nil: it does not show them
	More         bool      `json:"more,omitempty"`         // than were counted
}

// Allowance is what a registry says that it may still be asked.
type Allowance struct {
	Limit         *int      `json:"limit"` // nil: it has told none
	Remaining     *int      `json:"remaining"`
	WindowSeconds int64     `json:"window_seconds,omitempty"`
	Source        string    `json:"source,omitempty"` // whom it counts
	RetryAt       time.Time `json:"retry_at,omitzero"`
	SeenAt        time.Time `json:"seen_at"`
}

// Traffic is what a registry was asked.
type Traffic struct {
	Since       time.Time `json:"since"`
	Requests    int64     `json:"requests"`
	NotModified int64     `json:"not_modified"` // of them were answered with 304
}

// RegistryUse is who uses a registry, and what polling it brought.
type RegistryUse struct {
	Stages       int       `json:"stages"`
	Following    int       `json:"following"`    // of them follow tags
	Repositories int       `json:"repositories"` // that those follow
	LastAt       time.Time `json:"last_at,omitzero"`
	NextAt       time.Time `json:"next_at,omitzero"` // zero: in the next round, or nothing follows it
	Blind        int       `json:"blind"`            // stages for which it could not be asked
	Since        time.Time `json:"since,omitzero"`   // since when it could not
	Error        string    `json:"error,omitempty"`
}

// RegistryStage is a stage whose images come from a registry.
type RegistryStage struct {
	ID      string `json:"id"`
	Project string `json:"project"`
	Stage   string `json:"stage"`
	Image   string `json:"image"`
	Follows bool   `json:"follows"` // tags
}

// Webhook is where a registry may say that something was pushed.
type Webhook struct {
	Path    string    `json:"path"` // behind the address of the daemon
	MadeAt  time.Time `json:"made_at"`
	HeardAt time.Time `json:"heard_at,omitzero"`
	Secret  string    `json:"secret,omitempty"` // only in the answer that made it
}

// RegistryPreset says what to write where for a kind of registry.
type RegistryPreset struct {
	Kind         string `json:"kind"`
	Title        string `json:"title"`
	Host         string `json:"host,omitempty"`
	HostHint     string `json:"host_hint,omitempty"`
	Username     string `json:"username,omitempty"`
	UsernameHint string `json:"username_hint,omitempty"`
	PasswordHint string `json:"password_hint"`
	Note         string `json:"note,omitempty"`
}

// NewRegistry asks for a registry.
type NewRegistry struct {
	Name      string `json:"name"`
	Host      string `json:"host"`
	Preset    string `json:"preset,omitempty"`
	Username  string `json:"username,omitempty"`
	Password  string `json:"password,omitempty"`
	PlainHTTP bool   `json:"plain_http,omitempty"`
	CA        string `json:"ca,omitempty"`
}

// RegistryChange changes what is not nil. An empty Password takes it away.
type RegistryChange struct {
	Name      *string
	Host      *string
	Preset    *string
	Username  *string
	Password  *string
	PlainHTTP *bool
	CA        *string
	Revision  int64 // the one that was seen; 0: whatever it is now
}

// Registries lists the registries by name.
func (c *Client) Registries(ctx context.Context) ([]Registry, error) {
	var l List[Registry]
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/registries"}, &l)
	return l.Items, err
}

// RegistryPresets says what to write where, by kind of registry.
func (c *Client) RegistryPresets(ctx context.Context) ([]RegistryPreset, error) {
	var l List[RegistryPreset]
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/registry-presets"}, &l)
	return l.Items, err
}

// Registry returns one by id or by name.
func (c *Client) Registry(ctx context.Context, idOrName string) (Registry, error) {
	var r Registry
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/registries/" + part(idOrName)}, &r)
	return r, err
}

// CreateRegistry sets up a registry.
func (c *Client) CreateRegistry(ctx context.Context, n NewRegistry) (Registry, error) {
	var r Registry
	err := c.do(ctx, call{method: http.MethodPost, path: "/api/registries", body: n}, &r)
	return r, err
}

// UpdateRegistry changes a registry.
func (c *Client) UpdateRegistry(ctx context.Context, id string, change RegistryChange) (Registry, error) {
	body := map[string]any{}
	put(body, "name", change.Name)
	put(body, "host", change.Host)
	put(body, "preset", change.Preset)
	put(body, "username", change.Username)
	putOrNull(body, "password", change.Password)
	put(body, "plain_http", change.PlainHTTP)
	put(body, "ca", change.CA)
	var r Registry
	err := c.do(ctx, call{
		method: http.MethodPatch, path: "/api/registries/" + part(id), body: body, header: ifMatch(change.Revision),
	}, &r)
	return r, err
}

// DeleteRegistry removes a registry and its password: its host is asked without a login from then on.
func (c *Client) DeleteRegistry(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/api/registries/" + part(id)}, nil)
}

// TestRegistry asks a registry now: for the tags of a repository, or, if repository is empty, how many there are. That it
// refuses is told by the answer and is no error.
func (c *Client) TestRegistry(ctx context.Context, id, repository string) (RegistryTest, error) {
	body := map[string]any{}
	if repository != "" {
		body["repository"] = repository
	}
	var t RegistryTest
	err := c.do(ctx, call{method: http.MethodPost, path: "/api/registries/" + part(id) + "/test", body: body}, &t)
	return t, err
}

// MakeHook gives a registry a webhook, or the one that it has another secret, which is told once.
func (c *Client) MakeHook(ctx context.Context, id string) (Webhook, error) {
	var h Webhook
	err := c.do(ctx, call{method: http.MethodPost, path: "/api/registries/" + part(id) + "/hook"}, &h)
	return h, err
}

// DeleteHook takes the webhook of a registry away.
func (c *Client) DeleteHook(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/api/registries/" + part(id) + "/hook"}, nil)
}
