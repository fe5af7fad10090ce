package api

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

type overviewJSON struct {
	Stale         int                       `json:"stale" doc:"all, kept ones included"`
	Kept          int                       `json:"kept" doc:"of those, protected"`
	StaleBytes    int64                     `json:"stale_bytes" doc:"of writable layers, known to come back with a cleanup of what is not kept"`
	ByAge         []ageBucketJSON           `json:"by_age" nullable:"false" doc:"stale ones that are not kept, by how long ago they were last alive"`
	ByProject     []projectStaleJSON        `json:"by_project" nullable:"false" doc:"most first"`
	Archives      int                       `json:"archives" doc:"that can be restored"`
	ArchiveBytes  int64                     `json:"archive_bytes" doc:"that these hold"`
	FailedDeploys []deployJSON              `json:"failed_deploys" nullable:"false" doc:"of the last day, newest first, at most 20"`
	Hosts         []overviewHostJSON        `json:"hosts" nullable:"false"`
	LastScanAt    moment                    `json:"last_scan_at" doc:"when the host that was not judged for longest was last judged; null: one never was"`
	NextScanAt    moment                    `json:"next_scan_at"`
	ScanOverdue   bool                      `json:"scan_overdue" doc:"a scan that was due did not come"`
	AutoCleanup   bool                      `json:"auto_cleanup" doc:"the global switch"`
	NextPlan      nullable[planSummaryJSON] `json:"next_plan" doc:"the next automatic plan that waits for its moment"`
	Leftovers     int                       `json:"leftovers"`
}

type ageBucketJSON struct {
	FromDays int `json:"from_days"`
	ToDays   int `json:"to_days,omitempty" doc:"absent: no end"`
	Count    int `json:"count"`
}

type projectStaleJSON struct {
	ProjectID string `json:"project_id"`
	Project   string `json:"project" doc:"its name"`
	Count     int    `json:"count"`
	Bytes     int64  `json:"bytes"`
}

type overviewHostJSON struct {
	ID             string `json:"id"`
	Name           string `json:"name"`
	LastGoodScanAt moment `json:"last_good_scan_at"`
	DisabledSince  moment `json:"disabled_since" doc:"it is not asked, judged or acted on; null: it is in use"`
	BlindSince     moment `json:"blind_since"`
	BlindReason    string `json:"blind_reason,omitempty"`
	FrozenSince    moment `json:"frozen_since"`
	FrozenReason   string `json:"frozen_reason,omitempty"`
	AutoHeld       string `json:"auto_held,omitempty" doc:"why automatic cleanup does nothing on it"`
	AutoHeldSince  moment `json:"auto_held_since"`
}

const failedShown = 20

// overview tells what needs somebody now, from the store alone: no engine is waited for.
func (s *server) overview(ctx context.Context, _ *none) (*out[overviewJSON], error) {
	now := time.Now()
	var body overviewJSON
	for _, add := range []func(context.Context, time.Time, *overviewJSON) error{
		s.addStaleFigures, s.addArchiveFigures, s.addFailedDeploys, s.addHosts, s.addScanTimes, s.addAutomatic,
	} {
		if err := add(ctx, now, &body); err != nil {
			return nil, err
		}
	}
	return answer(body), nil
}

func (s *server) addStaleFigures(ctx context.Context, now time.Time, body *overviewJSON) error {
	figures, err := s.d.DB.StaleByProject(ctx, now, visible(ctx))
	if err != nil {
		return err
	}
	ages := store.StaleAges()
	body.ByAge = make([]ageBucketJSON, len(ages)+1)
	for i, bound := range ages {
		body.ByAge[i].ToDays, body.ByAge[i+1].FromDays = int(bound/day), int(bound/day)
	}
	body.ByProject = make([]projectStaleJSON, 0, len(figures))
	for _, f := range figures {
		body.Stale += f.Count
		body.Kept += f.Kept
		body.StaleBytes += f.Bytes
		for i, n := range f.ByAge {
			body.ByAge[i].Count += n
		}
		body.ByProject = append(body.ByProject, projectStaleJSON{ProjectID: f.ProjectID, Project: f.Project, Count: f.Count, Bytes: f.Bytes})
	}
	slices.SortStableFunc(body.ByProject, func(a, b projectStaleJSON) int { return cmp.Compare(b.Count, a.Count) })
	return nil
}

func (s *server) addArchiveFigures(ctx context.Context, _ time.Time, body *overviewJSON) (err error) {
	body.Archives, body.ArchiveBytes, err = s.d.DB.ArchiveTotals(ctx, store.ArchiveFilter{Among: visible(ctx)})
	return err
}

func (s *server) addFailedDeploys(ctx context.Context, now time.Time, body *overviewJSON) error {
	failed, err := s.d.DB.FailedDeploysAmong(ctx, visible(ctx), now.Add(-day), failedShown)
	body.FailedDeploys = listOf(failed, "", deployOf).Items
	return err
}

func (s *server) addHosts(ctx context.Context, _ time.Time, body *overviewJSON) error {
	if visible(ctx) != nil { // hosts are of no one project
		body.Hosts = []overviewHostJSON{}
		return nil
	}
	hosts, err := s.d.DB.Hosts(ctx)
	if err != nil {
		return err
	}
	blind, err := s.d.DB.OpenBlind(ctx)
	if err != nil {
		return err
	}
	leftovers, err := s.d.DB.Leftovers(ctx, "")
	if err != nil {
		return err
	}
	body.Leftovers = len(leftovers)
	body.Hosts = make([]overviewHostJSON, 0, len(hosts))
	judged := 0
	for _, h := range hosts {
		shown := overviewHostJSON{
			ID: h.ID, Name: h.Name, DisabledSince: moment(h.DisabledSince), LastGoodScanAt: moment(h.LastGoodScan), FrozenSince: moment(h.FrozenSince), FrozenReason: h.FrozenReason,
			AutoHeld: h.AutoHeld, AutoHeldSince: moment(h.AutoHeldSince),
		}
		if at := slices.IndexFunc(blind, func(b store.BlindInterval) bool { return b.HostID == h.ID }); at >= 0 {
			shown.BlindSince, shown.BlindReason = moment(blind[at].From), blind[at].Reason
		}
		if h.DisabledSince.IsZero() {
			if judged == 0 || h.LastGoodScan.Before(time.Time(body.LastScanAt)) {
				body.LastScanAt = moment(h.LastGoodScan)
			}
			judged++
		}
		body.Hosts = append(body.Hosts, shown)
	}
	return nil
}

func (s *server) addScanTimes(ctx context.Context, _ time.Time, body *overviewJSON) error {
	schedule, err := s.scanSchedule(ctx)
	if err != nil || schedule == nil {
		return err
	}
	body.NextScanAt, body.ScanOverdue = schedule.NextAt, schedule.Overdue
	return nil
}

func (s *server) addAutomatic(ctx context.Context, now time.Time, body *overviewJSON) error {
	settings, err := s.d.DB.Settings(ctx)
	if err != nil {
		return err
	}
	body.AutoCleanup = settings.AutoCleanup
	if visible(ctx) != nil { // a plan may hold what is not theirs to see
		return nil
	}
	plans, err := s.d.DB.AutomaticPlans(ctx, now)
	if err != nil || len(plans) == 0 {
		return err
	}
	next := slices.MinFunc(plans, func(a, b store.Plan) int { return a.ApplyAt.Compare(b.ApplyAt) })
	shown := planSummaryOf(next, map[store.CleanupResult]int{"": len(next.Items)})
	body.NextPlan = nullable[planSummaryJSON]{&shown}
	return nil
}
