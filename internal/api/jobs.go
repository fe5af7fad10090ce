package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/schedule"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// HostWork is what is known of the work that a job has done on one host, since the daemon began.
type HostWork struct {
	Job       string
	HostID    string
	Running   bool
	LastStart time.Time
	LastEnd   time.Time
	Took      time.Duration // the last that ended
	LastError string
	Failures  int  // in a row
	Overdue   bool // it did not come when it was due, does not end, or was not done well for too long
}

type jobJSON struct {
	Name          string         `json:"name"`
	Schedule      string         `json:"schedule" doc:"@every and a duration, or five cron fields in UTC"`
	State         string         `json:"state" enum:"well,waiting,running,failed,overdue" doc:"waiting: it has not run since the daemon began"`
	Running       bool           `json:"running"`
	NextAt        moment         `json:"next_at"`
	LastStartedAt moment         `json:"last_started_at"`
	LastEndedAt   moment         `json:"last_ended_at"`
	DurationMS    *int64         `json:"duration_ms" doc:"of the last run that ended"`
	LastError     string         `json:"last_error,omitempty"`
	Failures      int            `json:"failures" doc:"how many runs have failed since one that did not"`
	Overdue       bool           `json:"overdue" doc:"a run that was due did not come, or one does not end"`
	Hosts         []hostWorkJSON `json:"hosts" nullable:"false" doc:"of a job that has work done on each host: how that ended"`
}

type hostWorkJSON struct {
	HostID        string `json:"host_id"`
	Host          string `json:"host" doc:"its name"`
	State         string `json:"state" enum:"well,waiting,running,failed,blind,overdue" doc:"blind: the last scan could not judge the host"`
	Running       bool   `json:"running"`
	LastStartedAt moment `json:"last_started_at"`
	LastEndedAt   moment `json:"last_ended_at"`
	DurationMS    *int64 `json:"duration_ms" doc:"of the last that ended"`
	LastError     string `json:"last_error,omitempty"`
	Failures      int    `json:"failures" doc:"in a row"`
	Overdue       bool   `json:"overdue" doc:"the host was not looked at when it was due"`
}

// The states of what comes by itself.
const (
	workWell    = "well"
	workWaiting = "waiting"
	workRunning = "running"
	workFailed  = "failed"
	workBlind   = "blind"
	workOverdue = "overdue"
)

// workState says in one word how a piece of work does; what somebody has to know comes first.
func workState(overdue bool, lastError string, running, ended bool) string {
	switch {
	case overdue:
		return workOverdue
	case lastError != "":
		return workFailed
	case running:
		return workRunning
	case !ended:
		return workWaiting
	}
	return workWell
}

func jobOf(st schedule.Status) jobJSON {
	return jobJSON{
		Name: st.Name, Schedule: st.Spec, State: workState(st.Overdue, st.LastError, st.Running, !st.LastEnd.IsZero()), Running: st.Running,
		NextAt: moment(st.Next), LastStartedAt: moment(st.LastStart), LastEndedAt: moment(st.LastEnd), DurationMS: tookMS(st.Took, st.LastEnd),
		LastError: st.LastError, Failures: st.Failures, Overdue: st.Overdue, Hosts: []hostWorkJSON{},
	}
}

func tookMS(took time.Duration, ended time.Time) *int64 {
	if ended.IsZero() {
		return nil
	}
	return new(took.Milliseconds())
}

func hostWorkOf(w HostWork, host string) hostWorkJSON {
	return hostWorkJSON{
		HostID: w.HostID, Host: host, State: workState(w.Overdue, w.LastError, w.Running, !w.LastEnd.IsZero()), Running: w.Running,
		LastStartedAt: moment(w.LastStart), LastEndedAt: moment(w.LastEnd), DurationMS: tookMS(w.Took, w.LastEnd), LastError: w.LastError, Failures: w.Failures, Overdue: w.Overdue,
	}
}

// scanWork is how the scan of a host does. The newest scan that was kept counts as well as what a job has done: an event, a person or the
// daemon before this one may have asked for it.
func scanWork(w HostWork, newest store.ScanRun, since time.Time, interval time.Duration, now time.Time) hostWorkJSON {
	j := hostWorkOf(w, "")
	begun := since
	if newest.StartedAt.After(begun) {
		begun = newest.StartedAt
	}
	if newest.StartedAt.After(w.LastStart) && !w.Running {
		j.LastStartedAt, j.LastEndedAt = moment(newest.StartedAt), moment(newest.FinishedAt)
		j.DurationMS = tookMS(newest.FinishedAt.Sub(newest.StartedAt), newest.FinishedAt)
	}
	if w.LastStart.After(begun) {
		begun = w.LastStart
	}
	j.Overdue = w.Overdue || now.Sub(begun) > interval+max(interval/10, time.Minute)
	j.State = workState(j.Overdue, j.LastError, j.Running, !newest.FinishedAt.IsZero() || !w.LastEnd.IsZero())
	if newest.Outcome == store.ScanBlind && j.State != workOverdue && j.State != workFailed {
		j.State, j.LastError = workBlind, newest.Error
	}
	return j
}

func (s *server) listJobs(ctx context.Context, _ *none) (*out[list[jobJSON]], error) {
	if s.d.Scheduler == nil {
		return answer(listOf([]schedule.Status{}, "", jobOf)), nil
	}
	l := listOf(s.d.Scheduler.All(), "", jobOf)
	hosts, err := s.d.DB.Hosts(ctx)
	if err != nil {
		return nil, err
	}
	for i, j := range l.Items {
		works := s.worksOf(j.Name)
		if j.Name == ScanJob {
			if l.Items[i].Hosts, err = s.scansOf(ctx, hosts, works); err != nil {
				return nil, err
			}
			continue
		}
		for _, h := range hosts {
			if w, known := works[h.ID]; known && h.DisabledSince.IsZero() {
				l.Items[i].Hosts = append(l.Items[i].Hosts, hostWorkOf(w, h.Name))
			}
		}
	}
	return answer(l), nil
}

// worksOf are the works of a job, by the id of their host.
func (s *server) worksOf(job string) map[string]HostWork {
	of := map[string]HostWork{}
	if s.d.HostWorks == nil {
		return of
	}
	for _, w := range s.d.HostWorks() {
		if w.Job == job {
			of[w.HostID] = w
		}
	}
	return of
}

// scansOf tells of every host in use how its scan does.
func (s *server) scansOf(ctx context.Context, hosts []store.Host, works map[string]HostWork) ([]hostWorkJSON, error) {
	interval, err := s.d.Scanner.Interval(ctx)
	if err != nil {
		return nil, err
	}
	runs, err := s.d.DB.LastScans(ctx)
	if err != nil {
		return nil, err
	}
	newest := map[string]store.ScanRun{}
	for _, r := range runs {
		newest[r.HostID] = r
	}
	all, now := []hostWorkJSON{}, time.Now()
	for _, h := range hosts {
		if !h.DisabledSince.IsZero() {
			continue
		}
		w := works[h.ID]
		w.HostID = h.ID
		j := scanWork(w, newest[h.ID], h.CreatedAt, interval, now)
		j.Host = h.Name
		all = append(all, j)
	}
	return all, nil
}

type jobName struct {
	Name string `path:"name" maxLength:"100" doc:"as it is listed"`
}

// runJob has a job run now, and tells who asked for it.
func (s *server) runJob(ctx context.Context, in *jobName) (*out[jobJSON], error) {
	st, known := schedule.Status{}, false
	if s.d.Scheduler != nil {
		st, known = s.d.Scheduler.Status(in.Name)
	}
	if !known {
		return nil, newProblem(http.StatusNotFound, codeNotFound, fmt.Sprintf("there is no job %q", in.Name))
	}
	if st.Running {
		return nil, jobIsRunning(in.Name)
	}
	if err := s.nothingToBackUp(in.Name); err != nil && st.Failures == 0 { // after a failure a run says that it is mended
		return nil, err
	}
	v := visitOf(ctx)
	err := s.d.DB.Update(ctx, func(tx *store.Tx) error {
		return tx.Emit(ctx, store.Event{
			Time: time.Now().UTC(), Severity: store.SeverityInfo, Source: store.SourceSystem, Kind: "job.asked", Actor: v.caller.Actor,
			Message: "job " + in.Name + " was asked to run", Data: map[string]any{"job": in.Name, "addr": v.addr},
		})
	})
	if err != nil {
		return nil, fmt.Errorf("write the run of a job to the event log: %w", err)
	}
	if in.Name == BackupJob {
		s.d.Backups.TryAgain()
	}
	if !s.d.Scheduler.Trigger(in.Name) { // it was due that very moment
		return nil, jobIsRunning(in.Name)
	}
	st, _ = s.d.Scheduler.Status(in.Name) // jobs are not taken away
	return answer(jobOf(st)), nil
}

// nothingToBackUp refuses to run the job of backups while none is due: it would make none, and whoever asks wants one.
func (s *server) nothingToBackUp(job string) error {
	if job != BackupJob {
		return nil
	}
	all, err := s.d.Backups.List()
	if err != nil {
		return nil //nolint:nilerr // the run meets it too, and says it with its job
	}
	if due := s.d.Backups.Due(all); due.IsZero() || due.After(time.Now()) {
		return newProblem(http.StatusConflict, codeWrongState, "no backup is due").hint("docker-watcher backup make makes one now")
	}
	return nil
}

func jobIsRunning(name string) *Problem {
	return newProblem(http.StatusConflict, codeBusy, "job "+name+" is running already")
}
