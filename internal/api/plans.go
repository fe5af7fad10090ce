package api

import (
	"context"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

type planSummaryJSON struct {
	ID         string         `json:"id"`
	State      string         `json:"state" enum:"planned,applying,applied,cancelled"`
	Single     bool           `json:"single" doc:"made for one instance"`
	Automatic  bool           `json:"automatic" doc:"made by a policy, applied by itself at apply_at"`
	CreatedAt  stamp          `json:"created_at"`
	CreatedBy  string         `json:"created_by"`
	ExpiresAt  stamp          `json:"expires_at"`
	ApplyAt    moment         `json:"apply_at"`
	AppliedAt  moment         `json:"applied_at"`
	AppliedBy  string         `json:"applied_by,omitempty" doc:"or who called it off"`
	DoneAt     moment         `json:"done_at"`
	LeftOut    int            `json:"left_out" doc:"matched, but beyond the limit of one plan"`
	TagGoneYes bool           `json:"tag_gone_yes"`
	Items      int            `json:"items" doc:"how many it has"`
	Results    map[string]int `json:"results" doc:"how many items came to each result"`
}

func planSummaryOf(p store.Plan, results map[store.CleanupResult]int) planSummaryJSON {
	j := planSummaryJSON{
		ID: p.ID, State: string(p.State), Single: p.Single, Automatic: p.Automatic, CreatedAt: stamp(p.CreatedAt), CreatedBy: p.CreatedBy,
		ExpiresAt: stamp(p.ExpiresAt), ApplyAt: moment(p.ApplyAt), AppliedAt: moment(p.AppliedAt), AppliedBy: p.AppliedBy,
		DoneAt: moment(p.DoneAt), LeftOut: p.LeftOut, TagGoneYes: p.TagGoneYes, Results: map[string]int{},
	}
	for result, n := range results {
		j.Items += n
		if result != "" {
			j.Results[string(result)] = n
		}
	}
	return j
}

type listPlansIn struct {
	PageQuery
	State     []string `query:"state,explode" maxItems:"4" enum:"planned,applying,applied,cancelled"`
	Automatic string   `query:"automatic" enum:"true,false" doc:"made by policies, or by people"`
}

func (s *server) listPlans(ctx context.Context, in *listPlansIn) (*out[list[planSummaryJSON]], error) {
	var f store.PlanFilter
	for _, state := range in.State {
		f.States = append(f.States, store.PlanState(state))
	}
	if in.Automatic != "" {
		automatic := in.Automatic == "true"
		f.Automatic = &automatic
	}
	plans, next, err := s.d.DB.Plans(ctx, f, in.page())
	if err != nil {
		return nil, err
	}
	ids := make([]string, 0, len(plans))
	for _, p := range plans {
		ids = append(ids, p.ID)
	}
	results, err := s.d.DB.PlanResults(ctx, ids)
	if err != nil {
		return nil, err
	}
	return answer(listOf(plans, next, func(p store.Plan) planSummaryJSON { return planSummaryOf(p, results[p.ID]) })), nil
}

// cancelPlan calls off a plan before anything is done.
func (s *server) cancelPlan(ctx context.Context, in *ByID) (*out[planJSON], error) {
	if _, err := s.d.DB.Plan(ctx, in.ID); err != nil {
		return nil, err
	}
	if err := s.d.Cleaner.CancelPlan(ctx, in.ID, actorOf(ctx)); err != nil {
		return nil, err
	}
	return s.getPlan(ctx, in)
}
