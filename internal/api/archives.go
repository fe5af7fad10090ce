package api

import (
	"context"
	"slices"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// archiveJSON shows nothing of what is sealed: no env, no inspect, no log.
type archiveJSON struct {
	ID          string               `json:"id"`
	State       string               `json:"state" enum:"making,ready,restoring,restored,deleting"`
	InstanceID  string               `json:"instance_id"`
	PlanID      string               `json:"plan_id,omitempty" doc:"the plan that removed it; absent: removed by hand"`
	HostID      string               `json:"host_id"`
	Host        string               `json:"host" doc:"its name"`
	ProjectID   string               `json:"project_id"`
	Project     string               `json:"project" doc:"its name, as it was"`
	StageID     string               `json:"stage_id"`
	Stage       string               `json:"stage" doc:"its name, as it was"`
	Name        string               `json:"name" doc:"of the container"`
	Image       string               `json:"image"`
	ImageTag    string               `json:"image_tag"`
	ImageID     string               `json:"image_id,omitempty"`
	Digest      string               `json:"digest,omitempty"`
	ImageKept   bool                 `json:"image_kept" doc:"a tag of ours keeps the image on the engine"`
	LayerKept   bool                 `json:"layer_kept" doc:"the writable layer is kept as an image"`
	LayerNote   string               `json:"layer_note,omitempty" doc:"why the writable layer was not kept"`
	Bytes       int64                `json:"bytes" doc:"that keeping the writable layer costs"`
	Class       string               `json:"class,omitempty"`
	LastAliveAt moment               `json:"last_alive_at"`
	Reason      string               `json:"reason" doc:"why it was removed"`
	Volumes     []archivedVolumeJSON `json:"volumes" nullable:"false" doc:"stay on the engine"`
	Networks    []string             `json:"networks" nullable:"false"`
	Routes      []archivedRouteJSON  `json:"routes" nullable:"false"`
	RemovedBy   string               `json:"removed_by"`
	RemovedAt   moment               `json:"removed_at"`
	ExpiresAt   moment               `json:"expires_at" doc:"then it can no longer be restored"`
	RestoredAt  moment               `json:"restored_at"`
	RestoredBy  string               `json:"restored_by,omitempty"`
}

type archivedVolumeJSON struct {
	Name      string `json:"name"`
	Target    string `json:"target"`
	Anonymous bool   `json:"anonymous"`
}

type archivedRouteJSON struct {
	Port      int      `json:"port"`
	Addresses []string `json:"addresses" nullable:"false" doc:"domain and path"`
}

func archiveOf(a store.Archive, hosts hostNames) archiveJSON {
	j := archiveJSON{
		ID: a.ID, State: string(a.State), InstanceID: a.InstanceID, PlanID: a.PlanID, HostID: a.HostID, Host: hosts[a.HostID],
		ProjectID: a.ProjectID, Project: a.Project, StageID: a.StageID, Stage: a.Stage, Name: a.Name,
		Image: a.Image, ImageTag: a.ImageTag, ImageID: a.ImageID, Digest: a.Digest,
		ImageKept: a.KeepRef != "", LayerKept: a.LayerImage != "", LayerNote: a.LayerNote, Bytes: a.Bytes,
		Class: string(a.Class), LastAliveAt: moment(a.LastAliveAt), Reason: a.Reason,
		Volumes: make([]archivedVolumeJSON, 0, len(a.Volumes)), Networks: orNone(a.Networks), Routes: make([]archivedRouteJSON, 0, len(a.Routes)),
		RemovedBy: a.Actor, RemovedAt: moment(a.RemovedAt), ExpiresAt: moment(a.ExpiresAt),
		RestoredAt: moment(a.RestoredAt), RestoredBy: a.RestoredBy,
	}
	for _, v := range a.Volumes {
		j.Volumes = append(j.Volumes, archivedVolumeJSON{Name: v.Name, Target: v.Target, Anonymous: v.Anonymous})
	}
	for _, r := range a.Routes {
		route := archivedRouteJSON{Port: r.Port, Addresses: make([]string, 0, len(r.Domains))}
		for _, d := range r.Domains {
			route.Addresses = append(route.Addresses, d.Domain+d.PathPrefix)
		}
		j.Routes = append(j.Routes, route)
	}
	return j
}

// orNone is a list that is never null.
func orNone[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}

// hostNames are the names of the hosts by their ids.
type hostNames map[string]string

func (s *server) hostNames(ctx context.Context) (hostNames, error) {
	hosts, err := s.d.DB.Hosts(ctx)
	if err != nil {
		return nil, err
	}
	names := make(hostNames, len(hosts))
	for _, h := range hosts {
		names[h.ID] = h.Name
	}
	return names, nil
}

// ArchiveQuery selects archives.
type ArchiveQuery struct {
	Project  string   `query:"project" maxLength:"100" doc:"id or name"`
	Stage    string   `query:"stage" maxLength:"100" doc:"id, or name together with project"`
	Host     string   `query:"host" maxLength:"100" doc:"id"`
	Instance string   `query:"instance" maxLength:"100" doc:"id"`
	Plan     string   `query:"plan" maxLength:"100" doc:"id of the plan that removed them"`
	Text     string   `query:"text" maxLength:"200" doc:"in name, tag or image"`
	State    []string `query:"state,explode" maxItems:"5" enum:"making,ready,restoring,restored,deleting" doc:"absent: ready and restored"`
}

type listArchivesIn struct {
	PageQuery
	ArchiveQuery
}

type archiveList struct {
	Items      []archiveJSON `json:"items" nullable:"false"`
	NextCursor string        `json:"next_cursor,omitempty" doc:"ask for the next page with it; absent on the last page"`
	Total      *int          `json:"total,omitempty" doc:"how many of those that match can be restored; on the first page"`
	Bytes      *int64        `json:"bytes,omitempty" doc:"that these hold; on the first page"`
}

func (s *server) listArchives(ctx context.Context, in *listArchivesIn) (*out[archiveList], error) {
	f, err := s.archiveFilter(ctx, in.ArchiveQuery)
	if err != nil {
		return nil, err
	}
	archives, next, err := s.d.DB.Archives(ctx, f, in.page())
	if err != nil {
		return nil, err
	}
	hosts, err := s.hostNames(ctx)
	if err != nil {
		return nil, err
	}
	l := listOf(archives, next, func(a store.Archive) archiveJSON { return archiveOf(a, hosts) })
	body := archiveList{Items: l.Items, NextCursor: l.NextCursor}
	if in.Cursor == "" {
		total, bytes, err := s.d.DB.ArchiveTotals(ctx, f)
		if err != nil {
			return nil, err
		}
		body.Total, body.Bytes = &total, &bytes
	}
	return answer(body), nil
}

// archiveFilter reads a query. A project or stage that is gone still has its
// archives, so what names none that exists is taken for an id.
func (s *server) archiveFilter(ctx context.Context, q ArchiveQuery) (store.ArchiveFilter, error) {
	f := store.ArchiveFilter{HostID: q.Host, InstanceID: q.Instance, PlanID: q.Plan, Text: q.Text, Among: visible(ctx)}
	for _, state := range q.State {
		f.States = append(f.States, store.ArchiveState(state))
	}
	var err error
	if f.ProjectID, err = unlessGone(s.projectFilter(ctx, "query.project", q.Project))(q.Project); err != nil {
		return f, err
	}
	f.StageID, err = unlessGone(s.stageFilter(ctx, "query.stage", f.ProjectID, q.Stage))(q.Stage)
	return f, err
}

func (s *server) getArchive(ctx context.Context, in *ByID) (*out[archiveJSON], error) {
	a, err := s.archiveNow(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return answer(a), nil
}

func (s *server) archiveNow(ctx context.Context, id string) (archiveJSON, error) {
	a, err := s.d.DB.Archive(ctx, id)
	if err != nil {
		return archiveJSON{}, err
	}
	hosts, err := s.hostNames(ctx)
	if err != nil {
		return archiveJSON{}, err
	}
	return archiveOf(a, hosts), nil
}

// archiveLogs answers the last lines that a removed instance wrote.
func (s *server) archiveLogs(ctx context.Context, in *ByID) (*streamOut, error) {
	if _, err := s.d.DB.Archive(ctx, in.ID); err != nil {
		return nil, err
	}
	contents, err := s.d.DB.ArchiveContents(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &streamOut{Body: func(hc huma.Context) {
		_, w := humago.Unwrap(hc)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		// The caller left if this fails; there is nobody to tell.
		_, _ = w.Write(contents.Logs)
	}}, nil
}

func (s *server) deleteArchive(ctx context.Context, in *ByID) (*none, error) {
	if _, err := s.d.DB.Archive(ctx, in.ID); err != nil {
		return nil, err
	}
	acting, cancel := s.beyondCaller(ctx, actionTimeout)
	defer cancel()
	return nil, s.d.Cleaner.DeleteArchive(acting, in.ID, actorOf(ctx))
}

// archivesOfPlan are the ids of the archives that a plan left, by instance.
func (s *server) archivesOfPlan(ctx context.Context, planID string) (map[string]string, error) {
	ids := map[string]string{}
	f := store.ArchiveFilter{PlanID: planID}
	for p := (store.Page{Limit: mostIDs}); ; {
		archives, next, err := s.d.DB.Archives(ctx, f, p)
		if err != nil {
			return nil, err
		}
		for _, a := range slices.Backward(archives) { // the newest of an instance counts
			ids[a.InstanceID] = a.ID
		}
		if next == "" {
			return ids, nil
		}
		p.Cursor = next
	}
}
