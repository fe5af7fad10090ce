package api

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/tiny-forge/docker-watcher/internal/stale"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

type decisionJSON struct {
	Action string `json:"action" enum:"warn,cleanup"`
	Level  string `json:"level" enum:"default,global,project,stage" doc:"who decided the action"`
	At     moment `json:"at,omitzero" doc:"when automatic cleanup would take it if nothing changes; absent: it will not"`
	Why    string `json:"why" doc:"in words: what will happen and when, or why nothing will"`
}

func decisionOf(d stale.Decision) decisionJSON {
	return decisionJSON{Action: string(d.Action), Level: string(d.Level), At: moment(d.At), Why: d.Why}
}

// trialRequest describes the body in the document; readTrial is what reads it.
type trialRequest struct {
	Level       string        `json:"level" enum:"global,project,stage"`
	Project     string        `json:"project,omitempty" maxLength:"100" doc:"id or name"`
	Stage       string        `json:"stage,omitempty" maxLength:"100" doc:"id, or name together with project"`
	Policy      policyRequest `json:"policy" doc:"whole: null or absent is inherited"`
	AutoCleanup bool          `json:"auto_cleanup,omitempty" doc:"try the global switch as well"`
}

func trialBody[I, O any](fn func(context.Context, *I) (*O, error)) mounter {
	return rawBody[trialRequest](fn, true)
}

type trialGroupJSON struct {
	Count int             `json:"count"`
	Items []trialItemJSON `json:"items" nullable:"false" doc:"at most 200 of them"`
}

type trialItemJSON struct {
	InstanceID  string       `json:"instance_id"`
	Name        string       `json:"name" doc:"of the container"`
	ProjectID   string       `json:"project_id"`
	Project     string       `json:"project" doc:"its name"`
	StageID     string       `json:"stage_id"`
	Stage       string       `json:"stage" doc:"its name"`
	Class       string       `json:"class,omitempty"`
	LastAliveAt moment       `json:"last_alive_at"`
	StaleReason string       `json:"stale_reason,omitempty" doc:"the verdict then, in words"`
	Now         decisionJSON `json:"now"`
	Then        decisionJSON `json:"then"`
}

func trialGroupOf(count int, items []stale.TrialItem) trialGroupJSON {
	g := trialGroupJSON{Count: count, Items: make([]trialItemJSON, 0, len(items))}
	for _, i := range items {
		g.Items = append(g.Items, trialItemJSON{
			InstanceID: i.View.ID, Name: i.View.Name, ProjectID: i.View.ProjectID, Project: i.View.Project, StageID: i.View.StageID,
			Stage: i.View.Stage, Class: string(i.View.Class), LastAliveAt: moment(i.View.LastAliveAt), StaleReason: i.StaleReason,
			Now: decisionOf(i.Now), Then: decisionOf(i.Then),
		})
	}
	return g
}

type trialJSON struct {
	Considered      int            `json:"considered" doc:"instances that the change is about"`
	NewlyStale      trialGroupJSON `json:"newly_stale"`
	Spared          trialGroupJSON `json:"spared" doc:"stale now and not then"`
	NewlyCleaned    trialGroupJSON `json:"newly_cleaned" doc:"automatic cleanup would take them then, and not now"`
	NoLongerCleaned trialGroupJSON `json:"no_longer_cleaned" doc:"automatic cleanup would take them now, and not then"`
	Rescheduled     int            `json:"rescheduled" doc:"taken both times, at another moment"`
	FirstRuns       []firstRunJSON `json:"first_runs" nullable:"false" doc:"what automatic cleanup would do next then, on each host where it would anything, with the notice and the brake; soonest first"`
}

type firstRunJSON struct {
	HostID string `json:"host_id"`
	Host   string `json:"host" doc:"its name"`
	PlanAt stamp  `json:"plan_at" doc:"when it is announced; from then until at it may be called off"`
	At     stamp  `json:"at" doc:"when it would remove"`
	Due    int    `json:"due" doc:"instances that are due then"`
	Takes  int    `json:"takes" doc:"of those, that it would remove; the others wait for the runs after it"`
	Later  int    `json:"later" doc:"instances that come due after it"`
	Held   string `json:"held,omitempty" doc:"why it would remove nothing, in words: the brake, or how the host stands"`
}

func firstRunsOf(runs []stale.FirstRun) []firstRunJSON {
	out := make([]firstRunJSON, len(runs))
	for i, r := range runs {
		out[i] = firstRunJSON{
			HostID: r.HostID, Host: r.Host, PlanAt: stamp(r.PlanAt), At: stamp(r.At), Due: r.Due, Takes: r.Takes, Later: r.Later, Held: r.Held,
		}
	}
	return out
}

type trialIn struct{ RawBody []byte }

// tryPolicy works out what a change of policy would do today; nothing is written.
func (s *server) tryPolicy(ctx context.Context, in *trialIn) (*out[trialJSON], error) {
	change, err := s.readTrial(ctx, in.RawBody)
	if err != nil {
		return nil, err
	}
	t, err := s.d.Cleaner.TryPolicy(ctx, change)
	if err != nil {
		return nil, wrongFields("body.policy", err)
	}
	return answer(trialJSON{
		Considered: t.Considered, NewlyStale: trialGroupOf(t.Counts.NewlyStale, t.NewlyStale), Spared: trialGroupOf(t.Counts.Spared, t.Spared),
		NewlyCleaned: trialGroupOf(t.Counts.NewCleaned, t.NewCleaned), NoLongerCleaned: trialGroupOf(t.Counts.NoLonger, t.NoLonger), Rescheduled: t.Rescheduled,
		FirstRuns: firstRunsOf(t.FirstRuns),
	}), nil
}

func (s *server) readTrial(ctx context.Context, body []byte) (stale.PolicyChange, error) {
	var change stale.PolicyChange
	keys, err := readObject(body)
	if err != nil {
		return change, err
	}
	var level, project, stage string
	for _, name := range sortedKeys(keys) {
		if err := readTrialKey(name, keys[name], &level, &project, &stage, &change); err != nil {
			return change, err
		}
	}
	if _, there := keys["policy"]; !there {
		return change, invalid("body.policy", "the whole policy to be tried is expected; {} inherits everything")
	}
	return s.aim(ctx, change, level, project, stage)
}

func readTrialKey(name string, value json.RawMessage, level, project, stage *string, change *stale.PolicyChange) (err error) {
	where := "body." + name
	switch name {
	case "level":
		return readText(where, value, level)
	case "project":
		return readText(where, value, project)
	case "stage":
		return readText(where, value, stage)
	case "auto_cleanup":
		change.AutoCleanup = new(bool)
		return readValue(where, value, change.AutoCleanup, "true or false")
	case "policy":
		change.Policy, err = readPolicy(where, value)
		return err
	}
	return invalid(where, "there is no such key")
}

// aim finds the project or stage that a change is about: exactly what its level needs.
func (s *server) aim(ctx context.Context, change stale.PolicyChange, level, project, stage string) (stale.PolicyChange, error) {
	change.Level = store.PolicyLevel(level)
	if !slices.Contains([]store.PolicyLevel{store.LevelGlobal, store.LevelProject, store.LevelStage}, change.Level) {
		return change, invalid("body.level", "global, project or stage is expected")
	}
	switch {
	case change.Level == store.LevelGlobal && project != "":
		return change, invalid("body.project", "the global level has no project")
	case change.Level != store.LevelStage && stage != "":
		return change, invalid("body.stage", "only the level stage has a stage")
	case change.Level == store.LevelProject && project == "":
		return change, invalid("body.project", "say which project")
	case change.Level == store.LevelStage && stage == "":
		return change, invalid("body.stage", "say which stage")
	}
	var err error
	if change.ProjectID, err = s.projectFilter(ctx, "body.project", project); err != nil {
		return change, err
	}
	if change.StageID, err = s.stageFilter(ctx, "body.stage", change.ProjectID, stage); err != nil || change.StageID == "" {
		return change, err
	}
	st, err := s.d.DB.Stage(ctx, change.StageID)
	if err == nil && change.ProjectID != "" && st.ProjectID != change.ProjectID {
		return change, invalid("body.stage", "it is a stage of another project")
	}
	change.ProjectID = st.ProjectID
	return change, err
}
