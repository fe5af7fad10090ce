package api

import (
	"context"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

type scanJSON struct {
	ID         string `json:"id"`
	HostID     string `json:"host_id"`
	Trigger    string `json:"trigger" enum:"schedule,manual,gap,start,settings"`
	StartedAt  stamp  `json:"started_at"`
	FinishedAt moment `json:"finished_at"`
	DurationMS int64  `json:"duration_ms"`
	ListCalls  int    `json:"list_calls"`
	Inspects   int    `json:"inspects"`
	Known      int    `json:"known" doc:"instances that were looked for"`
	Stale      int    `json:"stale" doc:"after the scan"`
	NewlyStale int    `json:"newly_stale"`
	Recovered  int    `json:"recovered"`
	Unknown    int    `json:"unknown" doc:"could not be asked"`
	Outcome    string `json:"outcome" enum:"ok,blind" doc:"a blind scan changed nothing"`
	Error      string `json:"error,omitempty"`
}

func scanOf(r store.ScanRun) scanJSON {
	j := scanJSON{
		ID: r.ID, HostID: r.HostID, Trigger: r.Trigger, StartedAt: stamp(r.StartedAt), FinishedAt: moment(r.FinishedAt),
		ListCalls: r.ListCalls, Inspects: r.Inspects, Known: r.Known, Stale: r.Stale, NewlyStale: r.NewlyStale,
		Recovered: r.Recovered, Unknown: r.Unknown, Outcome: string(r.Outcome), Error: r.Error,
	}
	if !r.FinishedAt.IsZero() {
		j.DurationMS = r.FinishedAt.Sub(r.StartedAt).Milliseconds()
	}
	return j
}

type scanIn struct {
	Body *struct {
		HostID string `json:"host_id,omitempty" maxLength:"100" doc:"absent: every host"`
	} `nameHint:"ScanRequest"`
}

// scanTimeout bounds a scan that somebody waits for.
const scanTimeout = 10 * time.Minute

// scan looks now. A host that could not be judged is a run with the outcome blind, not an error.
func (s *server) scan(ctx context.Context, in *scanIn) (*out[list[scanJSON]], error) {
	hostID := ""
	if in.Body != nil {
		hostID = in.Body.HostID
	}
	if hostID != "" {
		if _, err := s.d.DB.Host(ctx, hostID); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, scanTimeout)
	defer cancel()
	runs, err := s.d.Scanner.ScanFor(ctx, hostID, actorOf(ctx))
	if err != nil && len(runs) == 0 {
		return nil, err
	}
	if err != nil {
		s.log.WarnContext(ctx, "scan ended with an error", "error", err)
	}
	return answer(listOf(runs, "", scanOf)), nil
}

type listScansIn struct {
	PageQuery
	Host string `query:"host" maxLength:"100" doc:"id; absent: of all hosts"`
}

type scanHistory struct {
	Items      []scanJSON    `json:"items" nullable:"false"`
	NextCursor string        `json:"next_cursor,omitempty" doc:"ask for the next page with it; absent on the last page"`
	Schedule   *scheduleJSON `json:"schedule,omitempty"`
}

type scheduleJSON struct {
	IntervalSeconds int64  `json:"interval_seconds"`
	NextAt          moment `json:"next_at"`
	Running         bool   `json:"running"`
	LastStartedAt   moment `json:"last_started_at"`
	LastEndedAt     moment `json:"last_ended_at"`
	LastError       string `json:"last_error,omitempty"`
	Overdue         bool   `json:"overdue" doc:"a scan that was due did not come: stale containers go unseen"`
}

func (s *server) listScans(ctx context.Context, in *listScansIn) (*out[scanHistory], error) {
	runs, next, err := s.d.DB.ScanRuns(ctx, in.Host, in.page())
	if err != nil {
		return nil, err
	}
	l := listOf(runs, next, scanOf)
	body := scanHistory{Items: l.Items, NextCursor: l.NextCursor}
	if body.Schedule, err = s.scanSchedule(ctx); err != nil {
		return nil, err
	}
	return answer(body), nil
}

func (s *server) scanSchedule(ctx context.Context) (*scheduleJSON, error) {
	if s.d.Scheduler == nil {
		return nil, nil
	}
	interval, err := s.d.Scanner.Interval(ctx)
	if err != nil {
		return nil, err
	}
	st, ok := s.d.Scheduler.Status(ScanJob)
	if !ok {
		return nil, nil
	}
	return &scheduleJSON{
		IntervalSeconds: int64(interval.Seconds()), NextAt: moment(st.Next), Running: st.Running, LastStartedAt: moment(st.LastStart),
		LastEndedAt: moment(st.LastEnd), LastError: st.LastError, Overdue: st.Overdue,
	}, nil
}
