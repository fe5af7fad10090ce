package api

import (
	"context"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/stale"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

type staleJSON struct {
	ID           string                   `json:"id" doc:"of the instance"`
	Project      string                   `json:"project" doc:"its name"`
	ProjectID    string                   `json:"project_id"`
	Stage        string                   `json:"stage" doc:"its name"`
	StageID      string                   `json:"stage_id"`
	StageKind    string                   `json:"stage_kind" enum:"dev,staging,production,preview"`
	Host         string                   `json:"host" doc:"its name"`
	HostDisabled moment                   `json:"host_disabled_since" doc:"its host is not asked since: what is shown is what was known then; null: it is"`
	HostID       string                   `json:"host_id"`
	Name         string                   `json:"name" doc:"of the container"`
	ContainerID  string                   `json:"container_id,omitempty"`
	Image        string                   `json:"image"`
	ImageTag     string                   `json:"image_tag"`
	Status       string                   `json:"status"`
	Class        string                   `json:"class" enum:"exited,failed,oom,never_started,paused,crash_looping,dead,missing,engine_lost"`
	LastAliveAt  moment                   `json:"last_alive_at"`
	DaysStale    int                      `json:"days_stale" doc:"whole days since it was last alive, by the engine's clock"`
	StaleSince   moment                   `json:"stale_since"`
	StaleAfter   string                   `json:"stale_after" doc:"the threshold in force"`
	Evidence     string                   `json:"evidence" enum:"observed,finished_at,first_seen_stopped,created_at"`
	UpperBound   bool                     `json:"upper_bound" doc:"last_alive_at may be later than the truth, never earlier"`
	Reason       string                   `json:"reason" doc:"the verdict in words"`
	Protection   nullable[protectionJSON] `json:"protection"`
	Bytes        *int64                   `json:"bytes" doc:"of the writable layer; null: not known"`
	HeldBack     string                   `json:"held_back,omitempty" doc:"why automatic cleanup leaves it alone"`
	CheckError   string                   `json:"check_error,omitempty" doc:"why the last check could not tell"`
	Policy       decisionJSON             `json:"policy" doc:"what policy makes of it, and when"`
	TagGone      moment                   `json:"tag_gone_since,omitzero" doc:"since when its registry has the tag no more"`
	Blind        []blindSpanJSON          `json:"blind,omitempty" doc:"stretches of its age in which nobody watched"`
	BlindFor     int64                    `json:"blind_seconds" doc:"how long these are together"`
	BlindWords   string                   `json:"blind_words,omitempty" doc:"the same in words, and what it means"`
	Requests     int64                    `json:"requests,omitempty" doc:"that came to it by its routes"`
	LastRequest  moment                   `json:"last_request_at,omitzero" doc:"of the newest of them, also while it did not run"`
	Revision     int64                    `json:"revision"`
}

// staleItems shows stale instances with what policy makes of them and how much of their age nobody watched.
func (s *server) staleItems(ctx context.Context, views []store.InstanceView) ([]staleJSON, error) {
	decisions, err := s.d.Cleaner.Decisions(ctx, views)
	if err != nil {
		return nil, err
	}
	blind, err := s.d.Cleaner.BlindTime(ctx, views)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(views))
	for i := range views {
		ids[i] = views[i].ID
	}
	counts, err := s.requestsOf(ctx, ids...)
	if err != nil {
		return nil, err
	}
	items := make([]staleJSON, len(views))
	clocks := map[string]time.Time{}
	for i := range views {
		v, item := &views[i], &items[i] // both are too large to be copied by the hundred
		now, known := clocks[v.HostID]
		if !known {
			now = s.engineNow(v.HostID)
			clocks[v.HostID] = now
		}
		*item = staleOf(v, now)
		item.Policy = decisionOf(decisions[i])
		item.Requests, item.LastRequest = counts[v.ID].Requests, moment(counts[v.ID].LastAt)
		if intervals := blind[v.ID]; len(intervals) > 0 {
			item.Blind, item.BlindFor = blindSpansOf(intervals, v.LastAliveAt, now)
			item.BlindWords = stale.BlindEvidence(v.Instance, intervals, now)
		}
	}
	return items, nil
}

func staleOf(v *store.InstanceView, now time.Time) staleJSON {
	return staleJSON{
		ID: v.ID, Project: v.Project, ProjectID: v.ProjectID, Stage: v.Stage, StageID: v.StageID, StageKind: string(v.StageKind),
		Host: v.Host, HostDisabled: moment(v.HostDisabled), HostID: v.HostID, Name: v.Name, ContainerID: v.ContainerID, Image: v.Image, ImageTag: v.ImageTag,
		Status: string(v.Status), Class: string(v.Class), LastAliveAt: moment(v.LastAliveAt), DaysStale: daysBetween(v.LastAliveAt, now),
		StaleSince: moment(v.StaleSince), StaleAfter: v.StaleAfter.String(), Evidence: string(v.Evidence), UpperBound: v.UpperBound,
		Reason: stale.Judge(stale.FactsOf(v.Instance, now), stale.PolicyOf(v.StaleAfter), now).Reason, Protection: protectionOf(v.Protection(now)), Bytes: knownBytes(v.SizeRw, !v.SizeAt.IsZero()),
		HeldBack: v.HeldBack, CheckError: v.CheckError, TagGone: moment(v.TagGoneSince), Revision: v.Revision,
	}
}

// engineNow is the clock by which a host's containers age.
func (s *server) engineNow(hostID string) time.Time {
	if s.d.Fleet != nil {
		if engine, err := s.d.Fleet.Engine(hostID); err == nil {
			return engine.Now()
		}
	}
	return time.Now()
}

const day = 24 * time.Hour

func daysBetween(from, to time.Time) int {
	if from.IsZero() || to.Before(from) {
		return 0
	}
	return int(to.Sub(from) / day)
}

// StaleQuery selects and orders stale instances.
type StaleQuery struct {
	Project       string   `query:"project" maxLength:"100" doc:"id or name"`
	Stage         string   `query:"stage" maxLength:"100" doc:"id, or name together with project"`
	Host          string   `query:"host" maxLength:"100" doc:"id"`
	Class         []string `query:"class,explode" maxItems:"20" enum:"exited,failed,oom,never_started,paused,crash_looping,dead,missing,engine_lost"`
	Text          string   `query:"text" maxLength:"200" doc:"in name, tag, image or container id"`
	Protected     string   `query:"protected" enum:"true,false" doc:"by the protection in force now"`
	Protection    []string `query:"protection,explode" maxItems:"5" enum:"pinned,snoozed,keep_label,rollback,tag_gone" doc:"by the kind of the protection in force now"`
	OlderThanDays int      `query:"older_than_days" minimum:"0" maximum:"36500" doc:"last alive more than so many days ago"`
	Sort          string   `query:"sort" enum:"last_alive_at,-last_alive_at,project,-bytes" default:"last_alive_at"`
}

type listStaleIn struct {
	PageQuery
	StaleQuery
}

type staleList struct {
	Items      []staleJSON `json:"items" nullable:"false"`
	NextCursor string      `json:"next_cursor,omitempty" doc:"ask for the next page with it; absent on the last page"`
	Total      *int        `json:"total,omitempty" doc:"how many match; on the first page"`
}

func (s *server) listStale(ctx context.Context, in *listStaleIn) (*out[staleList], error) {
	wish := StaleFilter{
		Project: in.Project, Stage: in.Stage, Host: in.Host, Class: in.Class, Text: in.Text, OlderThanDays: in.OlderThanDays,
		Protection: in.Protection,
	}
	if in.Protected != "" {
		protected := in.Protected == "true"
		wish.Protected = &protected
	}
	f, err := s.readStaleFilter(ctx, "query.", wish)
	if err != nil {
		return nil, err
	}
	f.Sort, f.Among = store.StaleSort(in.Sort), visible(ctx)
	views, next, total, err := s.d.DB.StaleInstances(ctx, f, in.page())
	if err != nil {
		return nil, err
	}
	items, err := s.staleItems(ctx, views)
	if err != nil {
		return nil, err
	}
	body := staleList{Items: items, NextCursor: next}
	if total >= 0 {
		body.Total = &total
	}
	return answer(body), nil
}

// StaleFilter says which stale instances are meant, in a list or a plan.
type StaleFilter struct {
	Project       string   `json:"project,omitempty" maxLength:"100" doc:"id or name"`
	Stage         string   `json:"stage,omitempty" maxLength:"100" doc:"id, or name together with project"`
	Host          string   `json:"host,omitempty" maxLength:"100" doc:"id"`
	Class         []string `json:"class,omitempty" maxItems:"20" enum:"exited,failed,oom,never_started,paused,crash_looping,dead,missing,engine_lost"`
	Text          string   `json:"text,omitempty" maxLength:"200" doc:"in name, tag, image or container id"`
	Protected     *bool    `json:"protected,omitempty" doc:"by the protection in force now"`
	Protection    []string `json:"protection,omitempty" maxItems:"5" enum:"pinned,snoozed,keep_label,rollback,tag_gone" doc:"by the kind of the protection in force now"`
	OlderThanDays int      `json:"older_than_days,omitempty" minimum:"0" maximum:"36500"`
	IDs           []string `json:"ids,omitempty" maxItems:"500" doc:"these instances"`
}

// readStaleFilter resolves the names in a filter. A name that does not exist is
// refused: an empty filter in its place would match everything.
func (s *server) readStaleFilter(ctx context.Context, where string, w StaleFilter) (store.StaleFilter, error) {
	f := store.StaleFilter{
		HostID: w.Host, InstanceIDs: w.IDs, Text: w.Text, Protected: w.Protected, Now: time.Now(),
		OlderThan: time.Duration(w.OlderThanDays) * day,
	}
	var err error
	if f.ProjectID, err = s.projectFilter(ctx, where+"project", w.Project); err != nil {
		return f, err
	}
	if f.StageID, err = s.stageFilter(ctx, where+"stage", f.ProjectID, w.Stage); err != nil {
		return f, err
	}
	for _, class := range w.Class {
		f.Classes = append(f.Classes, store.Class(class))
	}
	for _, kind := range w.Protection {
		f.Protections = append(f.Protections, store.ProtectionKind(kind))
	}
	return f, nil
}
