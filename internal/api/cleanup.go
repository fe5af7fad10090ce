package api

import (
	"context"
	"net/http"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/stale"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

type planJSON struct {
	ID        string         `json:"id"`
	State     string         `json:"state" enum:"planned,applying,applied,cancelled"`
	Single    bool           `json:"single" doc:"made for one instance"`
	Automatic bool           `json:"automatic" doc:"made by a policy, applied by itself at apply_at"`
	CreatedAt stamp          `json:"created_at"`
	CreatedBy string         `json:"created_by"`
	ExpiresAt stamp          `json:"expires_at"`
	ApplyAt   moment         `json:"apply_at"`
	AppliedAt moment         `json:"applied_at"`
	AppliedBy string         `json:"applied_by,omitempty" doc:"or who called it off"`
	DoneAt    moment         `json:"done_at"`
	LeftOut   int            `json:"left_out" doc:"matched, but beyond the limit of one plan"`
	TagGone   bool           `json:"tag_gone_yes" doc:"also what its registry has no more is to be removed"`
	Bytes     int64          `json:"bytes" doc:"known to come back, of the items that are not kept"`
	Items     []planItemJSON `json:"items" nullable:"false"`
}

type planItemJSON struct {
	InstanceID   string                   `json:"instance_id"`
	HostID       string                   `json:"host_id"`
	ContainerID  string                   `json:"container_id,omitempty"`
	Name         string                   `json:"name"`
	Project      string                   `json:"project"`
	ProjectID    string                   `json:"project_id"`
	Stage        string                   `json:"stage"`
	StageID      string                   `json:"stage_id"`
	ImageTag     string                   `json:"image_tag"`
	Status       string                   `json:"status"`
	Class        string                   `json:"class"`
	LastAliveAt  moment                   `json:"last_alive_at"`
	Evidence     string                   `json:"evidence"`
	UpperBound   bool                     `json:"upper_bound"`
	Reason       string                   `json:"reason" doc:"the verdict in words"`
	Bytes        *int64                   `json:"bytes" doc:"of the writable layer; null: not known"`
	Image        string                   `json:"image,omitempty"`
	ImageBytes   int64                    `json:"image_bytes,omitempty" doc:"of the image, when nobody else uses it"`
	Volumes      []string                 `json:"volumes,omitempty" doc:"stay"`
	Routes       []string                 `json:"routes,omitempty" doc:"go"`
	Warnings     []string                 `json:"warnings,omitempty"`
	LayerKept    bool                     `json:"layer_kept" doc:"an undo brings the writable layer back"`
	NotRestored  []string                 `json:"not_restored,omitempty" doc:"in words: what an undo would not bring back"`
	Protection   nullable[protectionJSON] `json:"protection"`
	Result       string                   `json:"result,omitempty" enum:"removed,already_gone,revived,changed,kept,in_use,timeout,error"`
	ResultDetail string                   `json:"result_detail,omitempty"`
	DoneAt       moment                   `json:"done_at"`
	ArchiveID    string                   `json:"archive_id,omitempty" doc:"of the copy that can be restored"`
}

// planOf shows a plan, with the archives that it left by instance.
func planOf(p store.Plan, archives map[string]string) planJSON {
	j := planJSON{
		ID: p.ID, State: string(p.State), Single: p.Single, CreatedAt: stamp(p.CreatedAt), CreatedBy: p.CreatedBy,
		ExpiresAt: stamp(p.ExpiresAt), AppliedAt: moment(p.AppliedAt), AppliedBy: p.AppliedBy, DoneAt: moment(p.DoneAt),
		Automatic: p.Automatic, ApplyAt: moment(p.ApplyAt), LeftOut: p.LeftOut, TagGone: p.TagGoneYes, Items: make([]planItemJSON, 0, len(p.Items)),
	}
	for _, i := range p.Items {
		item := planItemOf(i)
		item.ArchiveID = archives[i.InstanceID]
		j.Items = append(j.Items, item)
		if i.Protection.Kind == store.ProtectionNone {
			j.Bytes += max(0, i.Details.Bytes)
		}
	}
	return j
}

func planItemOf(i store.PlanItem) planItemJSON {
	return planItemJSON{
		InstanceID: i.InstanceID, HostID: i.HostID, ContainerID: i.ContainerID, Name: i.Name, Project: i.Project, ProjectID: i.ProjectID,
		Stage: i.Stage, StageID: i.StageID, ImageTag: i.ImageTag, Status: string(i.Status), Class: string(i.Class),
		LastAliveAt: moment(i.LastAliveAt), Evidence: string(i.Evidence), UpperBound: i.UpperBound, Reason: i.Reason,
		Bytes: knownBytes(i.Details.Bytes, true), Image: i.Details.ImageRef, ImageBytes: i.Details.ImageBytes,
		Volumes: i.Details.Volumes, Routes: i.Details.Routes, Warnings: i.Details.Warnings,
		LayerKept: i.Details.LayerKept, NotRestored: i.Details.NotRestored, Protection: protectionOf(i.Protection),
		Result: string(i.Result), ResultDetail: i.ResultDetail, DoneAt: moment(i.DoneAt),
	}
}

type getPlanOut = out[planJSON]

func (s *server) getPlan(ctx context.Context, in *ByID) (*getPlanOut, error) {
	p, err := s.d.DB.Plan(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return s.showPlan(ctx, p)
}

// showPlan answers a plan; what it removed has an archive from which it can be restored.
func (s *server) showPlan(ctx context.Context, p store.Plan) (*out[planJSON], error) {
	var archives map[string]string
	if p.State == store.PlanApplying || p.State == store.PlanApplied {
		var err error
		if archives, err = s.archivesOfPlan(ctx, p.ID); err != nil {
			return nil, err
		}
	}
	return answer(planOf(p, archives)), nil
}

// cleanupRequest describes the body in the document; readCleanup is what reads it.
type cleanupRequest struct {
	DryRun  *bool  `json:"dry_run,omitempty" enum:"true" doc:"answer a plan of what matches the filters, touch nothing"`
	TagGone *bool  `json:"tag_gone,omitempty" enum:"true" doc:"beside dry_run: an explicit yes to removing also what its registry has no more"`
	PlanID  string `json:"plan_id,omitempty" doc:"apply this plan; nothing may stand beside it"`
	StaleFilter
}

type cleanupOneRequest struct {
	DryRun  *bool  `json:"dry_run,omitempty" enum:"true" doc:"answer a plan, touch nothing"`
	TagGone *bool  `json:"tag_gone,omitempty" enum:"true" doc:"beside dry_run: an explicit yes to removing it although its registry has the tag no more"`
	PlanID  string `json:"plan_id,omitempty" doc:"apply this plan of this instance; nothing may stand beside it"`
}

func cleanupBody[I, O any](fn func(context.Context, *I) (*O, error)) mounter {
	return rawBody[cleanupRequest](fn, false)
}

func cleanupOneBody[I, O any](fn func(context.Context, *I) (*O, error)) mounter {
	return rawBody[cleanupOneRequest](fn, false)
}

type cleanupIn struct{ RawBody []byte }

// cleanup plans or applies a cleanup of many. Only an absent body or {} does both at
// once, for everything that is stale and unprotected.
func (s *server) cleanup(ctx context.Context, in *cleanupIn) (*out[planJSON], error) {
	w, err := readCleanup(in.RawBody, true)
	if err != nil {
		return nil, err
	}
	if w.planID != "" {
		return s.apply(ctx, w.planID)
	}
	sel := stale.Selection{AllUnprotected: !w.dryRun, TagGone: w.tagGone}
	if w.dryRun {
		if sel.Filter, err = s.readStaleFilter(ctx, "body.", w.filter); err != nil {
			return nil, err
		}
	} else {
		sel.Filter.Now = time.Now()
	}
	return s.planAnd(ctx, sel, w.dryRun)
}

type cleanupOneIn struct {
	ByID
	RawBody []byte
}

// cleanupOne does the same for one instance, and for nothing but that instance.
func (s *server) cleanupOne(ctx context.Context, in *cleanupOneIn) (*out[planJSON], error) {
	w, err := readCleanup(in.RawBody, false)
	if err != nil {
		return nil, err
	}
	if _, err := s.d.DB.Instance(ctx, in.ID); err != nil && w.planID == "" {
		return nil, err
	}
	if w.planID == "" {
		return s.planAnd(ctx, stale.Selection{InstanceID: in.ID, TagGone: w.tagGone}, w.dryRun)
	}
	p, err := s.d.DB.Plan(ctx, w.planID)
	if err != nil {
		return nil, err
	}
	// Whoever may clean up one must not get at a plan of many by this door.
	if !p.Single || len(p.Items) != 1 || p.Items[0].InstanceID != in.ID {
		return nil, newProblem(http.StatusConflict, codeConflict, "the plan was not made for this instance")
	}
	return s.apply(ctx, w.planID)
}

// cleanupTimeout bounds a whole cleanup. It goes on when the caller leaves: its plan is
// applied exactly, and every item's result can be read from the plan later.
const cleanupTimeout = 30 * time.Minute

func (s *server) planAnd(ctx context.Context, sel stale.Selection, dryRun bool) (*out[planJSON], error) {
	p, err := s.d.Cleaner.Plan(ctx, sel, actorOf(ctx))
	if err != nil {
		return nil, err
	}
	if dryRun {
		return s.showPlan(ctx, p)
	}
	return s.apply(ctx, p.ID)
}

func (s *server) apply(ctx context.Context, planID string) (*out[planJSON], error) {
	actor := actorOf(ctx)
	applying, cancel := s.beyondCaller(ctx, cleanupTimeout)
	defer cancel()
	p, err := s.d.Cleaner.Apply(applying, planID, actor, true, func(done, total int, item store.PlanItem) {
		s.tellProgress(planID, actor, done, total, item)
	})
	if err != nil {
		return nil, err
	}
	return s.showPlan(ctx, p)
}

// tellProgress spreads how far a cleanup is: chatter, not kept. What happened to
// each item is an event of the cleaner's own.
func (s *server) tellProgress(planID, actor string, done, total int, item store.PlanItem) {
	s.d.Bus.Publish(store.Event{
		Time: time.Now(), Severity: store.SeverityInfo, Source: store.SourceCleaner, Kind: "cleanup.progress",
		Message: item.Name + ": " + string(item.Result), ProjectID: item.ProjectID, StageID: item.StageID,
		InstanceID: item.InstanceID, HostID: item.HostID, Actor: actor,
		Data: map[string]any{
			"plan_id": planID, "done": done, "total": total, "instance_id": item.InstanceID, "name": item.Name, "result": string(item.Result),
		},
	})
}
