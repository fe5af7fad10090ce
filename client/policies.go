package client

import (
	"context"
	"net/http"
	"time"
)

// Policy is what one level (global, project, stage) says; nil is inherited from the
// level above.
type Policy struct {
	StaleAfter      *string `json:"stale_after"`   // 10s, 36h, 7d or never
	Action          *string `json:"action"`        // warn | cleanup
	CleanupAfter    *string `json:"cleanup_after"` // such as 24h, 2d: grace between the warning and an automatic cleanup
	Window          *Window `json:"window"`        // when automatic cleanup may act
	KeepLast        *int    `json:"keep_last"`
	MaxPerRun       *int    `json:"max_per_run"`
	MaxSharePercent *int    `json:"max_share_percent"`
}

// Window is days and hours in a time zone. An end that is not after the begin
// reaches into the next day.
type Window struct {
	Days     []string `json:"days,omitempty"`      // mon .. sun; empty: every day
	From     string   `json:"from,omitempty"`      // 02:00
	Until    string   `json:"until,omitempty"`     // 05:00; both empty: the whole day
	TimeZone string   `json:"time_zone,omitempty"` // IANA name; empty: UTC
}

// PolicyDocument is what one level says. Revision is 0 for the global one.
type PolicyDocument struct {
	Level     string         `json:"level"` // global | project | stage
	ProjectID string         `json:"project_id,omitempty"`
	Project   string         `json:"project,omitempty"`
	StageID   string         `json:"stage_id,omitempty"`
	Stage     string         `json:"stage,omitempty"`
	Policy    Policy         `json:"policy"`
	InForce   *PolicyInForce `json:"in_force"` // of a stage
	Revision  int64          `json:"revision,omitempty"`
}

// PolicyInForce is the policy of one stage with every part decided, and who decided it.
type PolicyInForce struct {
	ProjectID       string     `json:"project_id"`
	Project         string     `json:"project"`
	StageID         string     `json:"stage_id"`
	Stage           string     `json:"stage"`
	StageKind       string     `json:"stage_kind"`
	StaleAfter      string     `json:"stale_after"`
	Action          string     `json:"action"`
	CleanupAfter    string     `json:"cleanup_after"`
	Window          Window     `json:"window"`
	KeepLast        int        `json:"keep_last"`
	MaxPerRun       int        `json:"max_per_run"`
	MaxSharePercent int        `json:"max_share_percent"`
	DecidedBy       PolicyFrom `json:"decided_by"`
}

// PolicyFrom says which level (default, global, project, stage) decided each part.
type PolicyFrom struct {
	StaleAfter   string `json:"stale_after"`
	Action       string `json:"action"`
	CleanupAfter string `json:"cleanup_after"`
	Window       string `json:"window"`
	KeepLast     string `json:"keep_last"`

	MaxPerRun       string `json:"max_per_run"`
	MaxSharePercent string `json:"max_share_percent"`
}

// Policies are all policies: what each level says, and what is in force for each stage.
type Policies struct {
	Global      Policy           `json:"global"`
	AutoCleanup bool             `json:"auto_cleanup"` // the global switch
	Projects    []PolicyDocument `json:"projects"`     // those that say something
	Stages      []PolicyDocument `json:"stages"`       // those that say something
	InForce     []PolicyInForce  `json:"in_force"`     // of every stage
}

// Decision is what policy makes of one instance, and when.
type Decision struct {
	Action string    `json:"action"`      // warn | cleanup
	Level  string    `json:"level"`       // who decided the action
	At     time.Time `json:"at,omitzero"` // when automatic cleanup would take it; zero: it will not
	Why    string    `json:"why"`
}

// Policies returns all policies.
func (c *Client) Policies(ctx context.Context) (Policies, error) {
	var p Policies
	err := c.do(ctx, call{method: http.MethodGet, path: "/api/policies"}, &p)
	return p, err
}

// GlobalPolicy returns what the global level says.
func (c *Client) GlobalPolicy(ctx context.Context) (PolicyDocument, error) {
	return c.policy(ctx, "/api/policies/global")
}

// ProjectPolicy returns what a project (id or name) says.
func (c *Client) ProjectPolicy(ctx context.Context, idOrName string) (PolicyDocument, error) {
	return c.policy(ctx, "/api/projects/"+part(idOrName)+"/policy")
}

// StagePolicy returns what a stage says, and what is in force for it.
func (c *Client) StagePolicy(ctx context.Context, id string) (PolicyDocument, error) {
	return c.policy(ctx, "/api/stages/"+part(id)+"/policy")
}

func (c *Client) policy(ctx context.Context, path string) (PolicyDocument, error) {
	var d PolicyDocument
	err := c.do(ctx, call{method: http.MethodGet, path: path}, &d)
	return d, err
}

// SetGlobalPolicy replaces what the global level says.
func (c *Client) SetGlobalPolicy(ctx context.Context, p Policy) (PolicyDocument, error) {
	return c.setPolicy(ctx, "/api/policies/global", p, 0)
}

// SetProjectPolicy replaces what a project says; revision is the one that was seen, or 0.
func (c *Client) SetProjectPolicy(ctx context.Context, idOrName string, p Policy, revision int64) (PolicyDocument, error) {
	return c.setPolicy(ctx, "/api/projects/"+part(idOrName)+"/policy", p, revision)
}

// SetStagePolicy replaces what a stage says; revision is the one that was seen, or 0.
func (c *Client) SetStagePolicy(ctx context.Context, id string, p Policy, revision int64) (PolicyDocument, error) {
	return c.setPolicy(ctx, "/api/stages/"+part(id)+"/policy", p, revision)
}

func (c *Client) setPolicy(ctx context.Context, path string, p Policy, revision int64) (PolicyDocument, error) {
	var d PolicyDocument
	err := c.do(ctx, call{method: http.MethodPut, path: path, body: p, header: ifMatch(revision)}, &d)
	return d, err
}

// PolicyChange is a policy of one level as somebody would like to have it.
type PolicyChange struct {
	Level       string `json:"level"`                  // global | project | stage
	Project     string `json:"project,omitempty"`      // id or name
	Stage       string `json:"stage,omitempty"`        // id, or name together with Project
	Policy      Policy `json:"policy"`                 // whole: nil is inherited
	AutoCleanup *bool  `json:"auto_cleanup,omitempty"` // tries the global switch as well
}

// PolicyTrial is what a change of policy would do today.
type PolicyTrial struct {
	Considered      int        `json:"considered"`
	NewlyStale      TrialGroup `json:"newly_stale"`
	Spared          TrialGroup `json:"spared"` // stale now and not then
	NewlyCleaned    TrialGroup `json:"newly_cleaned"`
	NoLongerCleaned TrialGroup `json:"no_longer_cleaned"`
	Rescheduled     int        `json:"rescheduled"` // taken both times, at another moment
	FirstRuns       []FirstRun `json:"first_runs"`  // soonest first
}

// FirstRun is what automatic cleanup would do next on one host, with the notice and the brake.
type FirstRun struct {
	HostID string    `json:"host_id"`
	Host   string    `json:"host"`
	PlanAt time.Time `json:"plan_at"`        // when it is announced; from then until At it may be called off
	At     time.Time `json:"at"`             // when it would remove
	Due    int       `json:"due"`            // instances that are due then
	Takes  int       `json:"takes"`          // of those, that it would remove
	Later  int       `json:"later"`          // that come due after it
	Held   string    `json:"held,omitempty"` // why it would remove nothing, in words
}

// TrialGroup are the instances to which a change does one thing: Count of them, of
// which at most 200 are listed.
type TrialGroup struct {
	Count int         `json:"count"`
	Items []TrialItem `json:"items"`
}

// TrialItem is one instance of a trial.
type TrialItem struct {
	InstanceID  string    `json:"instance_id"`
	Name        string    `json:"name"`
	ProjectID   string    `json:"project_id"`
	Project     string    `json:"project"`
	StageID     string    `json:"stage_id"`
	Stage       string    `json:"stage"`
	Class       string    `json:"class,omitempty"`
	LastAliveAt time.Time `json:"last_alive_at,omitzero"`
	StaleReason string    `json:"stale_reason,omitempty"` // the verdict then, in words
	Now         Decision  `json:"now"`
	Then        Decision  `json:"then"`
}

// PolicyTry works out what a change would mark, spare and clean; nothing is written.
func (c *Client) PolicyTry(ctx context.Context, change PolicyChange) (PolicyTrial, error) {
	var t PolicyTrial
	err := c.do(ctx, call{method: http.MethodPost, path: "/api/policies/try", body: change}, &t)
	return t, err
}
