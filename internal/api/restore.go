package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/deploy"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/stale"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// restoreRequest describes the body in the document; readRestore is what reads it.
type restoreRequest struct {
	DryRun       bool   `json:"dry_run,omitempty" doc:"only tell what is in the way, what comes back and what does not"`
	Name         string `json:"name,omitempty" maxLength:"200" doc:"another container name"`
	AnyPort      bool   `json:"any_port,omitempty" doc:"let the engine choose the host ports"`
	SkipNetworks bool   `json:"skip_networks,omitempty" doc:"leave out networks that are gone"`
	MakeNetworks bool   `json:"make_networks,omitempty" doc:"make networks that are gone anew, as plain bridges"`
	PullImage    bool   `json:"pull_image,omitempty" doc:"pull the image by its digest if it is gone"`
	EmptyVolumes bool   `json:"empty_volumes,omitempty" doc:"go on with new empty volumes where the old ones are gone"`
	SkipRoutes   bool   `json:"skip_routes,omitempty" doc:"leave out routes whose address is taken"`
	Start        bool   `json:"start,omitempty" doc:"start it afterwards"`
}

// planRestoreRequest is the same for a whole plan, without a name.
type planRestoreRequest struct {
	DryRun       bool `json:"dry_run,omitempty" doc:"only tell what is in the way of each"`
	AnyPort      bool `json:"any_port,omitempty" doc:"let the engine choose the host ports"`
	SkipNetworks bool `json:"skip_networks,omitempty" doc:"leave out networks that are gone"`
	MakeNetworks bool `json:"make_networks,omitempty" doc:"make networks that are gone anew, as plain bridges"`
	PullImage    bool `json:"pull_image,omitempty" doc:"pull images by their digest if they are gone"`
	EmptyVolumes bool `json:"empty_volumes,omitempty" doc:"go on with new empty volumes where the old ones are gone"`
	SkipRoutes   bool `json:"skip_routes,omitempty" doc:"leave out routes whose address is taken"`
	Start        bool `json:"start,omitempty" doc:"start them afterwards"`
}

func restoreBody[I, O any](fn func(context.Context, *I) (*O, error)) mounter {
	return rawBody[restoreRequest](fn, false)
}

func planRestoreBody[I, O any](fn func(context.Context, *I) (*O, error)) mounter {
	return rawBody[planRestoreRequest](fn, false)
}

// readRestore reads what a person chose. A choice that was misspelt is refused: it
// would be missing when the restore is made.
func readRestore(body []byte, one bool) (c stale.Choices, dryRun bool, err error) {
	keys, err := readObject(body)
	if err != nil {
		return c, false, err
	}
	switches := map[string]*bool{
		"dry_run": &dryRun, "any_port": &c.AnyPort, "skip_networks": &c.SkipNetworks, "make_networks": &c.MakeNetworks,
		"pull_image": &c.PullImage, "empty_volumes": &c.EmptyVolumes, "skip_routes": &c.SkipRoutes, "start": &c.Start,
	}
	for _, name := range sortedKeys(keys) {
		if err := readChoice(name, keys[name], one, switches, &c.Name); err != nil {
			return stale.Choices{}, false, err
		}
	}
	if c.SkipNetworks && c.MakeNetworks {
		return stale.Choices{}, false, invalid("body.make_networks", "networks are left out or made anew, not both")
	}
	return c, dryRun, nil
}

func readChoice(name string, value json.RawMessage, one bool, switches map[string]*bool, newName *string) error {
	where := "body." + name
	if to, known := switches[name]; known {
		return readValue(where, value, to, "true or false")
	}
	if name == "name" && one {
		return readText(where, value, newName)
	}
	return invalid(where, "there is no such key")
}

type conflictJSON struct {
	Kind    string   `json:"kind" enum:"name_taken,port_taken,network_gone,image_gone,volume_gone,route_taken,stage_gone,instance_there,host"`
	Subject string   `json:"subject"`
	Detail  string   `json:"detail"`
	Choices []string `json:"choices" nullable:"false" doc:"keys of the request that would settle it; none: nothing does"`
}

func conflictsOf(conflicts []stale.Conflict) []conflictJSON {
	j := make([]conflictJSON, 0, len(conflicts))
	for _, c := range conflicts {
		j = append(j, conflictJSON{Kind: string(c.Kind), Subject: c.Subject, Detail: c.Detail, Choices: orNone(c.Choices)})
	}
	return j
}

type restoreCheckJSON struct {
	Archive   archiveJSON    `json:"archive"`
	Conflicts []conflictJSON `json:"conflicts" nullable:"false" doc:"not settled by the choices given"`
	Brings    []string       `json:"brings" nullable:"false" doc:"in words: what comes back"`
	Lacks     []string       `json:"lacks" nullable:"false" doc:"in words: what does not"`
}

type restoreJSON struct {
	Check    nullable[restoreCheckJSON] `json:"check" doc:"of a dry run"`
	Instance nullable[instanceJSON]     `json:"instance" doc:"null after a dry run"`
}

type restoreIn struct {
	ByID
	RawBody []byte
}

// restore brings a removed instance back, or tells what that would take.
func (s *server) restore(ctx context.Context, in *restoreIn) (*out[restoreJSON], error) {
	choices, dryRun, err := readRestore(in.RawBody, true)
	if err != nil {
		return nil, err
	}
	a, err := s.d.DB.Archive(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if dryRun {
		return s.checkRestore(ctx, in.ID, choices)
	}
	if err := s.mayBringBack(ctx, a); err != nil {
		return nil, err
	}
	acting, cancel := s.beyondCaller(ctx, actionTimeout)
	defer cancel()
	v, err := s.d.Cleaner.Restore(acting, in.ID, choices, actorOf(ctx))
	if err != nil {
		return nil, restoreProblem(err)
	}
	item := instanceOf(v)
	return answer(restoreJSON{Instance: nullable[instanceJSON]{&item}}), nil
}

// mayBringBack refuses to all but admins a container with power over its host that its stage does not give: an admin may have taken
// it from the stage since. It comes back by its inspect where there is one, which knows more than the spec of one that was adopted.
func (s *server) mayBringBack(ctx context.Context, a store.Archive) error {
	st, err := s.d.DB.Stage(ctx, a.StageID)
	if errors.Is(err, store.ErrNotFound) {
		return nil // a conflict that nothing settles
	}
	if err != nil {
		return err
	}
	contents, err := s.d.DB.ArchiveContents(ctx, a.ID)
	if err != nil {
		return err
	}
	fresh := freshPower(contents.Instance.Spec, st.Spec)
	if len(contents.Inspect) > 0 {
		made, err := docker.ReadSetup(contents.Inspect)
		if err != nil {
			return fmt.Errorf("read how %s was made: %w", a.Name, err)
		}
		fresh = append(fresh, freshPower(deploy.Explicit(made, store.Spec{}, store.Spec{}), st.Spec)...)
	}
	slices.Sort(fresh)
	return s.onlyAdmin(ctx, slices.Compact(fresh))
}

func (s *server) checkRestore(ctx context.Context, id string, choices stale.Choices) (*out[restoreJSON], error) {
	check, err := s.d.Cleaner.CheckRestore(ctx, id, choices)
	if err != nil {
		return nil, restoreProblem(err)
	}
	hosts, err := s.hostNames(ctx)
	if err != nil {
		return nil, err
	}
	j := restoreCheckJSON{
		Archive: archiveOf(check.Archive, hosts), Conflicts: conflictsOf(check.Conflicts), Brings: orNone(check.Brings), Lacks: orNone(check.Lacks),
	}
	return answer(restoreJSON{Check: nullable[restoreCheckJSON]{&j}}), nil
}

// restoreProblem tells each conflict apart, so that a person can choose.
func restoreProblem(err error) error {
	if errors.Is(err, stale.ErrNotStarted) {
		return newProblem(http.StatusConflict, codeWrongState, err.Error()).hint("it stands stopped: put the cause right and start it")
	}
	refused, ok := errors.AsType[*stale.ConflictError](err)
	if !ok {
		return wrongFields("body", err)
	}
	p := newProblem(http.StatusConflict, codeConflicts, err.Error()).hint("send the same again with choices that settle them, or put the cause right")
	p.Conflicts = conflictsOf(refused.Check.Conflicts)
	return p
}

type planRestoreJSON struct {
	PlanID  string                `json:"plan_id"`
	Results []planRestoreItemJSON `json:"results" nullable:"false"`
}

type planRestoreItemJSON struct {
	Archive   archiveJSON            `json:"archive"`
	Result    string                 `json:"result" enum:"restored,possible,conflicts,error" doc:"possible: of a dry run"`
	Detail    string                 `json:"detail,omitempty"`
	Conflicts []conflictJSON         `json:"conflicts" nullable:"false"`
	Lacks     []string               `json:"lacks" nullable:"false" doc:"of a dry run, in words: what does not come back"`
	Instance  nullable[instanceJSON] `json:"instance"`
}

// restorePlan brings back everything that a plan removed, each by itself.
func (s *server) restorePlan(ctx context.Context, in *restoreIn) (*out[planRestoreJSON], error) {
	choices, dryRun, err := readRestore(in.RawBody, false)
	if err != nil {
		return nil, err
	}
	if _, err := s.d.DB.Plan(ctx, in.ID); err != nil {
		return nil, err
	}
	hosts, err := s.hostNames(ctx)
	if err != nil {
		return nil, err
	}
	if dryRun {
		return s.checkPlanRestore(ctx, in.ID, choices, hosts)
	}
	actor := actorOf(ctx)
	acting, cancel := s.beyondCaller(ctx, cleanupTimeout)
	defer cancel()
	results, err := s.d.Cleaner.RestorePlan(acting, in.ID, choices, actor, func(done, total int, r stale.RestoreResult) {
		s.tellRestored(in.ID, actor, done, total, r)
	})
	if err != nil {
		return nil, err
	}
	body := planRestoreJSON{PlanID: in.ID, Results: make([]planRestoreItemJSON, 0, len(results))}
	for _, r := range results {
		body.Results = append(body.Results, s.restoredItem(ctx, r, hosts))
	}
	return answer(body), nil
}

func (s *server) restoredItem(ctx context.Context, r stale.RestoreResult, hosts hostNames) planRestoreItemJSON {
	item := planRestoreItemJSON{
		Archive: archiveOf(r.Archive, hosts), Result: restoreResult(r), Conflicts: conflictsOf(r.Conflicts), Lacks: []string{},
	}
	if r.Err != nil {
		item.Detail = problemOf(ctx, s.log, r.Err).Detail
	}
	if r.Instance.ID != "" {
		shown := instanceOf(r.Instance)
		item.Instance = nullable[instanceJSON]{&shown}
	}
	return item
}

func restoreResult(r stale.RestoreResult) string {
	switch {
	case len(r.Conflicts) > 0:
		return "conflicts"
	case r.Err != nil:
		return "error"
	}
	return "restored"
}

// tellRestored spreads how far the restore of a plan is: chatter, not kept.
func (s *server) tellRestored(planID, actor string, done, total int, r stale.RestoreResult) {
	result := restoreResult(r)
	s.d.Bus.Publish(store.Event{
		Time: time.Now(), Severity: store.SeverityInfo, Source: store.SourceCleaner, Kind: "restore.progress",
		Message: r.Archive.Name + ": " + result, ProjectID: r.Archive.ProjectID, StageID: r.Archive.StageID,
		InstanceID: r.Archive.InstanceID, HostID: r.Archive.HostID, Actor: actor,
		Data: map[string]any{
			"plan_id": planID, "done": done, "total": total, "archive_id": r.Archive.ID, "instance_id": r.Archive.InstanceID,
			"name": r.Archive.Name, "result": result,
		},
	})
}

// checkPlanRestore asks of each archive of a plan what is in its way; nothing is touched.
func (s *server) checkPlanRestore(ctx context.Context, planID string, choices stale.Choices, hosts hostNames) (*out[planRestoreJSON], error) {
	body := planRestoreJSON{PlanID: planID, Results: []planRestoreItemJSON{}}
	f := store.ArchiveFilter{PlanID: planID, States: []store.ArchiveState{store.ArchiveReady}}
	for p := (store.Page{Limit: mostIDs}); ; {
		archives, next, err := s.d.DB.Archives(ctx, f, p)
		if err != nil {
			return nil, err
		}
		for _, a := range archives {
			body.Results = append(body.Results, s.checkedItem(ctx, a, choices, hosts))
		}
		if next == "" {
			return answer(body), nil
		}
		p.Cursor = next
	}
}

func (s *server) checkedItem(ctx context.Context, a store.Archive, choices stale.Choices, hosts hostNames) planRestoreItemJSON {
	check, err := s.d.Cleaner.CheckRestore(ctx, a.ID, choices)
	item := planRestoreItemJSON{
		Archive: archiveOf(a, hosts), Result: "possible", Conflicts: conflictsOf(check.Conflicts), Lacks: orNone(check.Lacks),
	}
	switch {
	case err != nil:
		item.Result, item.Detail = "error", problemOf(ctx, s.log, err).Detail
	case len(check.Conflicts) > 0:
		item.Result = "conflicts"
	}
	return item
}
