package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/tiny-forge/docker-watcher/internal/stale"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// policyJSON is what one level says; null is inherited.
type policyJSON struct {
	StaleAfter      *string              `json:"stale_after" doc:"10s, 36h, 7d or never"`
	Action          *string              `json:"action" enum:"warn,cleanup" doc:"what becomes of a stale instance by itself"`
	CleanupAfter    *string              `json:"cleanup_after" doc:"grace between the warning and an automatic cleanup: 0s to 365d, such as 24h"`
	Window          nullable[windowJSON] `json:"window" doc:"when automatic cleanup may act"`
	KeepLast        *int                 `json:"keep_last" doc:"good former instances that a stage keeps for rollback"`
	MaxPerRun       *int                 `json:"max_per_run" doc:"brake: automatic cleanup of more on one host does nothing"`
	MaxSharePercent *int                 `json:"max_share_percent" doc:"brake: the same for the share of its host's instances"`
}

type windowJSON struct {
	Days     []string `json:"days,omitempty" enum:"mon,tue,wed,thu,fri,sat,sun" maxItems:"7" doc:"absent: every day"`
	From     string   `json:"from,omitempty" maxLength:"5" doc:"such as 02:00"`
	Until    string   `json:"until,omitempty" maxLength:"5" doc:"such as 05:00; not after from: reaches into the next day; both absent: the whole day"`
	TimeZone string   `json:"time_zone,omitempty" maxLength:"100" doc:"IANA name; absent: UTC"`
}

// policyRequest describes a whole policy in the document; readPolicy is what reads it.
type policyRequest struct {
	StaleAfter      optional[string]     `json:"stale_after,omitzero" maxLength:"20" doc:"10s, 36h, 7d or never; null or absent: as the level above"`
	Action          optional[string]     `json:"action,omitzero" enum:"warn,cleanup" doc:"null or absent: as the level above, as for all that follows"`
	CleanupAfter    optional[string]     `json:"cleanup_after,omitzero" maxLength:"20" doc:"0s to 365d, such as 24h"`
	Window          optional[windowJSON] `json:"window,omitzero"`
	KeepLast        optional[int]        `json:"keep_last,omitzero" minimum:"0" maximum:"100"`
	MaxPerRun       optional[int]        `json:"max_per_run,omitzero" minimum:"1" maximum:"500"`
	MaxSharePercent optional[int]        `json:"max_share_percent,omitzero" minimum:"1" maximum:"100"`
}

func policyBody[I, O any](fn func(context.Context, *I) (*O, error)) mounter {
	return rawBody[policyRequest](fn, true)
}

// policyOf shows what a level says, by the store's own form of it.
func policyOf(p store.Policy) (policyJSON, error) {
	var j struct {
		policyJSON
		Window *windowJSON `json:"window"`
	}
	text, err := json.Marshal(p)
	if err == nil {
		err = json.Unmarshal(text, &j)
	}
	if err != nil {
		return policyJSON{}, fmt.Errorf("show a policy: %w", err)
	}
	j.policyJSON.Window = nullable[windowJSON]{j.Window}
	j.StaleAfter = staleAfterText(p.StaleAfter)
	return j.policyJSON, nil
}

// readPolicy reads a whole policy. What decides over what is deleted is read exactly:
// no key twice, none misspelt.
func readPolicy(where string, body []byte) (store.Policy, error) {
	keys, err := readObject(body)
	if err != nil {
		return store.Policy{}, under(where, err)
	}
	if window := bytes.TrimSpace(keys["window"]); len(window) > 0 && string(window) != "null" {
		if _, err := readObject(window); err != nil {
			return store.Policy{}, under(where+".window", err)
		}
	}
	var after *store.StaleAfter
	if text, there := keys["stale_after"]; there && string(text) != "null" {
		if after, err = readThreshold(where+".stale_after", text); err != nil {
			return store.Policy{}, err
		}
	}
	delete(keys, "stale_after")
	rest, err := json.Marshal(keys)
	if err != nil {
		return store.Policy{}, invalid(where, "it is not valid JSON")
	}
	var p store.Policy
	if err := json.Unmarshal(rest, &p); err != nil {
		return store.Policy{}, wrongFields(where, err)
	}
	p.StaleAfter = after
	return p, wrongFields(where, p.Validate())
}

func readThreshold(where string, text json.RawMessage) (*store.StaleAfter, error) {
	var s string
	if err := readText(where, text, &s); err != nil {
		return nil, err
	}
	after, err := store.ParseStaleAfter(s)
	if err != nil {
		return nil, invalid(where, err.Error())
	}
	return &after, nil
}

// under puts the parts of a refusal below another location.
func under(where string, err error) error {
	p, ok := errors.AsType[*Problem](err)
	if !ok {
		return err
	}
	for i := range p.Errors {
		p.Errors[i].Location = where
	}
	return p
}

type policyFromJSON struct {
	StaleAfter   string `json:"stale_after" enum:"default,global,project,stage"`
	Action       string `json:"action" enum:"default,global,project,stage"`
	CleanupAfter string `json:"cleanup_after" enum:"default,global,project,stage"`
	Window       string `json:"window" enum:"default,global,project,stage"`
	KeepLast     string `json:"keep_last" enum:"default,global,project,stage"`

	MaxPerRun       string `json:"max_per_run" enum:"default,global,project,stage"`
	MaxSharePercent string `json:"max_share_percent" enum:"default,global,project,stage"`
}

type policyInForceJSON struct {
	ProjectID       string         `json:"project_id"`
	Project         string         `json:"project" doc:"its name"`
	StageID         string         `json:"stage_id"`
	Stage           string         `json:"stage" doc:"its name"`
	StageKind       string         `json:"stage_kind" enum:"dev,staging,production,preview"`
	StaleAfter      string         `json:"stale_after"`
	Action          string         `json:"action" enum:"warn,cleanup"`
	CleanupAfter    string         `json:"cleanup_after"`
	Window          windowJSON     `json:"window"`
	KeepLast        int            `json:"keep_last"`
	MaxPerRun       int            `json:"max_per_run"`
	MaxSharePercent int            `json:"max_share_percent"`
	DecidedBy       policyFromJSON `json:"decided_by" doc:"which level decided each part"`
}

func policyInForceOf(st store.Stage, project string, f store.PolicyInForce) (policyInForceJSON, error) {
	shown, err := policyOf(store.Policy{CleanupAfter: &f.CleanupAfter, Window: &f.Window})
	if err != nil {
		return policyInForceJSON{}, err
	}
	j := policyInForceJSON{
		ProjectID: st.ProjectID, Project: project, StageID: st.ID, Stage: st.Name, StageKind: string(st.Kind),
		StaleAfter: f.StaleAfter.String(), Action: string(f.Action), CleanupAfter: *shown.CleanupAfter,
		KeepLast: f.KeepLast, MaxPerRun: f.MaxPerRun, MaxSharePercent: f.MaxSharePercent,
		DecidedBy: policyFromJSON{
			StaleAfter: string(f.StaleAfterFrom), Action: string(f.ActionFrom), CleanupAfter: string(f.CleanupAfterFrom),
			Window: string(f.WindowFrom), KeepLast: string(f.KeepLastFrom),
			MaxPerRun: string(f.MaxPerRunFrom), MaxSharePercent: string(f.MaxSharePercentFrom),
		},
	}
	if shown.Window.value != nil {
		j.Window = *shown.Window.value
	}
	return j, nil
}

type policyDocumentJSON struct {
	Level     string                      `json:"level" enum:"global,project,stage"`
	ProjectID string                      `json:"project_id,omitempty"`
	Project   string                      `json:"project,omitempty" doc:"its name"`
	StageID   string                      `json:"stage_id,omitempty"`
	Stage     string                      `json:"stage,omitempty" doc:"its name"`
	Policy    policyJSON                  `json:"policy" doc:"what this level itself says"`
	InForce   nullable[policyInForceJSON] `json:"in_force" doc:"of a stage"`
	Revision  int64                       `json:"revision,omitempty" doc:"of the project or stage"`
}

type policiesJSON struct {
	Global      policyJSON           `json:"global"`
	AutoCleanup bool                 `json:"auto_cleanup" doc:"the global switch"`
	Projects    []policyDocumentJSON `json:"projects" nullable:"false" doc:"those that say something"`
	Stages      []policyDocumentJSON `json:"stages" nullable:"false" doc:"those that say something"`
	InForce     []policyInForceJSON  `json:"in_force" nullable:"false" doc:"of every stage"`
}

// listPolicies shows what each level says, and what is in force for each stage.
func (s *server) listPolicies(ctx context.Context, _ *none) (*out[policiesJSON], error) {
	settings, err := s.d.DB.Settings(ctx)
	if err != nil {
		return nil, err
	}
	body := policiesJSON{
		AutoCleanup: settings.AutoCleanup, Projects: []policyDocumentJSON{}, Stages: []policyDocumentJSON{}, InForce: []policyInForceJSON{},
	}
	global, err := s.globalPolicy(ctx)
	if err != nil {
		return nil, err
	}
	body.Global = global.Policy
	names, err := s.addProjectPolicies(ctx, &body)
	if err != nil {
		return nil, err
	}
	if err := s.addStagePolicies(ctx, names, &body); err != nil {
		return nil, err
	}
	return answer(body), nil
}

// addProjectPolicies adds the projects that say something, and returns the names of all.
func (s *server) addProjectPolicies(ctx context.Context, body *policiesJSON) (map[string]string, error) {
	names := map[string]string{}
	for p := (store.Page{Limit: 1000}); ; {
		projects, next, err := s.d.DB.Projects(ctx, p)
		if err != nil {
			return nil, err
		}
		for _, project := range projects {
			names[project.ID] = project.Name
			d, err := s.projectPolicy(ctx, project)
			if err != nil {
				return nil, err
			}
			if d.Policy != (policyJSON{}) {
				body.Projects = append(body.Projects, d)
			}
		}
		if next == "" {
			return names, nil
		}
		p.Cursor = next
	}
}

func (s *server) addStagePolicies(ctx context.Context, projects map[string]string, body *policiesJSON) error {
	stages, err := s.d.DB.Stages(ctx, "")
	if err != nil {
		return err
	}
	inForce, err := s.d.DB.Policies(ctx)
	if err != nil {
		return err
	}
	slices.SortStableFunc(stages, func(a, b store.Stage) int {
		return cmp.Or(cmp.Compare(projects[a.ProjectID], projects[b.ProjectID]), cmp.Compare(a.Name, b.Name))
	})
	for _, st := range stages {
		shown, err := policyInForceOf(st, projects[st.ProjectID], inForce[st.ID])
		if err != nil {
			return err
		}
		body.InForce = append(body.InForce, shown)
		d, err := s.stagePolicy(ctx, st, shown)
		if err != nil {
			return err
		}
		if d.Policy != (policyJSON{}) {
			body.Stages = append(body.Stages, d)
		}
	}
	return nil
}

func (s *server) globalPolicy(ctx context.Context) (policyDocumentJSON, error) {
	says, err := s.d.DB.GlobalPolicy(ctx)
	if err != nil {
		return policyDocumentJSON{}, err
	}
	shown, err := policyOf(says)
	return policyDocumentJSON{Level: string(store.LevelGlobal), Policy: shown}, err
}

func (s *server) projectPolicy(ctx context.Context, p store.Project) (policyDocumentJSON, error) {
	says, err := s.d.DB.ProjectPolicy(ctx, p.ID)
	if err != nil {
		return policyDocumentJSON{}, err
	}
	shown, err := policyOf(says)
	return policyDocumentJSON{Level: string(store.LevelProject), ProjectID: p.ID, Project: p.Name, Policy: shown, Revision: p.Revision}, err
}

func (s *server) stagePolicy(ctx context.Context, st store.Stage, inForce policyInForceJSON) (policyDocumentJSON, error) {
	says, err := s.d.DB.StagePolicy(ctx, st.ID)
	if err != nil {
		return policyDocumentJSON{}, err
	}
	shown, err := policyOf(says)
	return policyDocumentJSON{
		Level: string(store.LevelStage), ProjectID: st.ProjectID, Project: inForce.Project, StageID: st.ID, Stage: st.Name,
		Policy: shown, InForce: nullable[policyInForceJSON]{&inForce}, Revision: st.Revision,
	}, err
}

func (s *server) getGlobalPolicy(ctx context.Context, _ *none) (*out[policyDocumentJSON], error) {
	d, err := s.globalPolicy(ctx)
	if err != nil {
		return nil, err
	}
	return answer(d), nil
}

func (s *server) getProjectPolicy(ctx context.Context, in *ByID) (*versioned[policyDocumentJSON], error) {
	p, err := s.findProject(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	d, err := s.projectPolicy(ctx, p)
	if err != nil {
		return nil, err
	}
	return atRevision(d, p.Revision), nil
}

func (s *server) getStagePolicy(ctx context.Context, in *ByID) (*versioned[policyDocumentJSON], error) {
	st, err := s.d.DB.Stage(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	project, err := s.d.DB.Project(ctx, st.ProjectID)
	if err != nil {
		return nil, err
	}
	inForce, err := s.d.DB.Policies(ctx, st.ID)
	if err != nil {
		return nil, err
	}
	shown, err := policyInForceOf(st, project.Name, inForce[st.ID])
	if err != nil {
		return nil, err
	}
	d, err := s.stagePolicy(ctx, st, shown)
	if err != nil {
		return nil, err
	}
	return atRevision(d, st.Revision), nil
}

type putGlobalPolicyIn struct{ RawBody []byte }

func (s *server) putGlobalPolicy(ctx context.Context, in *putGlobalPolicyIn) (*out[policyDocumentJSON], error) {
	if err := s.setPolicy(ctx, stale.PolicyChange{Level: store.LevelGlobal}, in.RawBody, 0); err != nil {
		return nil, err
	}
	return s.getGlobalPolicy(ctx, &none{})
}

type putPolicyIn struct {
	ByID
	Match
	RawBody []byte
}

func (s *server) putProjectPolicy(ctx context.Context, in *putPolicyIn) (*versioned[policyDocumentJSON], error) {
	p, err := s.findProject(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if err := in.check(p.Revision); err != nil {
		return nil, err
	}
	change := stale.PolicyChange{Level: store.LevelProject, ProjectID: p.ID}
	if err := s.setPolicy(ctx, change, in.RawBody, p.Revision); err != nil {
		return nil, err
	}
	return s.getProjectPolicy(ctx, &ByID{ID: p.ID})
}

func (s *server) putStagePolicy(ctx context.Context, in *putPolicyIn) (*versioned[policyDocumentJSON], error) {
	st, err := s.d.DB.Stage(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if err := in.check(st.Revision); err != nil {
		return nil, err
	}
	change := stale.PolicyChange{Level: store.LevelStage, ProjectID: st.ProjectID, StageID: st.ID}
	if err := s.setPolicy(ctx, change, in.RawBody, st.Revision); err != nil {
		return nil, err
	}
	return s.getStagePolicy(ctx, &in.ByID)
}

// setPolicy writes the policy of one level; a threshold may have moved with it.
func (s *server) setPolicy(ctx context.Context, change stale.PolicyChange, body []byte, revision int64) error {
	var err error
	if change.Policy, err = readPolicy("body", body); err != nil {
		return err
	}
	if err := s.d.Cleaner.SetPolicy(ctx, change, revision, actorOf(ctx)); err != nil {
		return wrongFields("body", err)
	}
	s.thresholdsChanged(ctx)
	return nil
}
