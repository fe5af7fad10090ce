package client

import (
	"context"
	"net/http"
)

// ComposeImport asks what a compose file would become, or makes one service of it a stage.
type ComposeImport struct {
	Text           string            `json:"text"`
	Values         map[string]string `json:"values,omitempty"` // of its variables
	ComposeProject string            `json:"compose_project,omitempty"`
	DryRun         bool              `json:"dry_run,omitempty"`

	Service string `json:"service,omitempty"` // empty: the only one
	Project string `json:"project,omitempty"` // id or name; made if there is none
	Stage   string `json:"stage,omitempty"`   // its name; made if there is none, else its spec is replaced
	Kind    string `json:"kind,omitempty"`    // of a new stage
	HostID  string `json:"host_id,omitempty"` // of a new stage
	Accept  bool   `json:"accept,omitempty"`  // what does not come along may be lost
}

// ComposeFile is what a compose file would become.
type ComposeFile struct {
	ComposeProject string            `json:"compose_project,omitempty"`
	Services       []ComposeService  `json:"services"`
	Variables      []ComposeVariable `json:"variables"`
	Notes          []ComposeNote     `json:"notes"`
	Stage          *Stage            `json:"stage,omitempty"` // nil in a dry run
}

// ComposeService is one service of the file.
type ComposeService struct {
	Name    string        `json:"name"`
	Line    int           `json:"line"`
	Image   string        `json:"image,omitempty"`
	Tag     string        `json:"tag,omitempty"`
	Project string        `json:"project"` // proposed, as the next
	Stage   string        `json:"stage"`
	Spec    Spec          `json:"spec"`
	Power   []string      `json:"power"` // over the host
	Blocked bool          `json:"blocked"`
	Notes   []ComposeNote `json:"notes"`
}

// ComposeNote is what is to be known of one line.
type ComposeNote struct {
	Kind   string `json:"kind"` // blocked | unsupported | told
	Line   int    `json:"line"`
	Key    string `json:"key,omitempty"`
	What   string `json:"what"`
	Remedy string `json:"remedy,omitempty"`
}

// ComposeVariable is one that the file asks for.
type ComposeVariable struct {
	Name    string `json:"name"`
	Line    int    `json:"line"`
	Given   bool   `json:"given"`
	Default bool   `json:"default"` // it does without a value
}

// ImportCompose reads a compose file; it writes nothing in a dry run.
func (c *Client) ImportCompose(ctx context.Context, i ComposeImport) (ComposeFile, error) {
	var f ComposeFile
	err := c.do(ctx, call{method: http.MethodPost, path: "/api/import/compose", body: i}, &f)
	return f, err
}
