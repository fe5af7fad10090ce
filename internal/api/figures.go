package api

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tiny-forge/docker-watcher/internal/backup"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/doctor"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// more are the figures of scans, cleanups, deploys and of what the daemon stands on. Their labels are names of hosts, projects, channels,
// certificates and jobs that exist, and words of ours: nobody outside can make one. Of a job the label is job_name, for Prometheus has a label job of its own.
type more struct {
	scanSeconds, scanLists, scanInspects, scanInstances, scanGood *prometheus.Desc
	staleByClass, items, deploys                                  *prometheus.Desc
	blind, blindSeconds                                           *prometheus.Desc
	answerSeconds, answerFailures                                 *prometheus.Desc
	waiting, storeBytes, diskFree                                 *prometheus.Desc
	jobFailures, jobOverdue, jobEnd                               *prometheus.Desc
	backups, newestBackup, backupBytes, backupTries               *prometheus.Desc
	proxyRequests, proxyErrors, planeUp                           *prometheus.Desc
	certificateEnd, certificateState, certificateFailing          *prometheus.Desc
	certificateTries                                              *prometheus.Desc
	outboxWaiting, outboxLate, outboxDead, outboxTries            *prometheus.Desc
	channelFailing                                                *prometheus.Desc
}

func newMore(desc func(name, help string, labels ...string) *prometheus.Desc) more {
	return more{
		scanSeconds:   desc("last_scan_seconds", "How long the newest scan of a host took.", "host"),
		scanLists:     desc("last_scan_list_calls", "Lists that the newest scan of a host asked its engine for.", "host"),
		scanInspects:  desc("last_scan_inspects", "Containers that the newest scan of a host asked its engine about one by one.", "host"),
		scanInstances: desc("last_scan_instances", "Instances that the newest scan of a host looked for.", "host"),
		scanGood:      desc("last_scan_good", "1 when the newest scan of a host could judge, 0 when it was blind.", "host"),

		staleByClass: desc("project_stale_instances", "Instances of a project that are stale now, by class; those that are protected included.", "project", "class"),
		items:        desc("cleanup_items_total", "Items of cleanup plans since the start, by what became of them; one that is ended later counts again.", "result"),
		deploys:      desc("deploys_total", "Deploys that ended since the start, by how.", "state"),

		blind:        desc("host_blind", "1 while nobody watches a host.", "host"),
		blindSeconds: desc("host_blind_seconds_total", "How long nobody watched a host, by reason; kept over restarts. Reasons may overlap.", "host", "reason"),

		answerSeconds:  desc("engine_answer_seconds", "How long an engine took to begin its answer; what takes its time by its nature (stop, wait, pull) is among them.", "host"),
		answerFailures: desc("engine_failures_total", "Requests to an engine that got no answer, those that were called off included.", "host"),

		waiting:    desc("events_waiting", "Events that wait for the store."),
		storeBytes: desc("store_bytes", "Size of the store: database, and for SQLite its write-ahead log (wal).", "part"),
		diskFree:   desc("data_disk_free_bytes", "What is free on the disk of the data folder."),

		jobFailures: desc("job_failures", "Runs of a job that failed in a row.", "job_name"),
		jobOverdue:  desc("job_overdue", "1 while a run of a job that was due did not come.", "job_name"),
		jobEnd:      desc("job_last_end_timestamp_seconds", "When a job last ended, well or not.", "job_name"),

		backups:      desc("backups", "Backups that are there."),
		newestBackup: desc("newest_backup_timestamp_seconds", "When the newest backup was made and checked; absent: there is none."),
		backupBytes:  desc("newest_backup_bytes", "Size of the newest backup; absent: there is none."),
		backupTries:  desc("backup_tries_total", "Backups that were tried since the start, by what became of them.", "result"),

		proxyRequests: desc("proxy_requests_total", "Requests to the reverse proxy, by the kind of rule that answered.", "kind"),
		proxyErrors:   desc("proxy_errors_total", "Answers of 500 and above and those that never came, by the kind of rule.", "kind"),
		planeUp:       desc("data_plane_up", "1 while the data plane, where that is a process of its own, can be reached."),

		certificateEnd:     desc("certificate_end_timestamp_seconds", "When the certificate ends that is served; absent: none is yet.", "certificate"),
		certificateState:   desc("certificate_state", "1 for the state that a certificate is in: pending, valid, expiring, expired or failed.", "certificate", "state"),
		certificateFailing: desc("certificate_failing", "1 while the newest try to have a certificate, or to have it anew, has failed; the one before is served on.", "certificate"),
		certificateTries:   desc("certificate_tries_total", "Certificates that were asked for since the start, by what became of it.", "result"),

		outboxWaiting:  desc("outbox_waiting", "Messages to a channel that are not sent yet, those that gather or wait for the end of quiet hours included.", "channel"),
		outboxLate:     desc("outbox_late_seconds", "How long the oldest message to a channel has been due; 0: none is, or the channel is off.", "channel"),
		outboxDead:     desc("outbox_dead", "Messages to a channel that were given up and wait for somebody to say what becomes of them.", "channel"),
		outboxTries:    desc("outbox_tries_total", "Messages that were tried to be sent since the start, by what became of it; one that failed is tried again.", "channel", "result"),
		channelFailing: desc("channel_failing", "1 while nothing gets through to a channel.", "channel"),
	}
}

func gauge(ch chan<- prometheus.Metric, d *prometheus.Desc, v float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func counter(ch chan<- prometheus.Metric, d *prometheus.Desc, v float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
}

// unixSeconds is a moment as Prometheus counts.
func unixSeconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func (f *figures) collectScans(ctx context.Context, ch chan<- prometheus.Metric, names map[string]string) {
	runs, err := f.d.DB.LastScans(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(f.more.scanSeconds, err)
		return
	}
	for _, r := range runs {
		name, ok := names[r.HostID]
		if !ok {
			continue
		}
		gauge(ch, f.more.scanSeconds, r.FinishedAt.Sub(r.StartedAt).Seconds(), name)
		gauge(ch, f.more.scanLists, float64(r.ListCalls), name)
		gauge(ch, f.more.scanInspects, float64(r.Inspects), name)
		gauge(ch, f.more.scanInstances, float64(r.Known), name)
		gauge(ch, f.more.scanGood, oneIf(r.Outcome == store.ScanOK), name)
	}
}

func (f *figures) collectBlind(ctx context.Context, ch chan<- prometheus.Metric, names map[string]string) {
	times, err := f.d.DB.BlindTimes(ctx, time.Now())
	if err != nil {
		ch <- prometheus.NewInvalidMetric(f.more.blind, err)
		return
	}
	open := map[string]bool{}
	for _, t := range times {
		if name, ok := names[t.HostID]; ok {
			counter(ch, f.more.blindSeconds, t.Time.Seconds(), name, t.Reason)
			open[t.HostID] = open[t.HostID] || t.Open
		}
	}
	for id, name := range names {
		gauge(ch, f.more.blind, oneIf(open[id]), name)
	}
}

func (f *figures) collectAnswers(ch chan<- prometheus.Metric, names map[string]string) {
	bounds := docker.AnswerBounds()
	for id, name := range names {
		engine, err := f.d.Fleet.Engine(id)
		if err != nil {
			continue // it is told by host_blind
		}
		a := engine.Answers()
		buckets := make(map[float64]uint64, len(bounds))
		for i, bound := range bounds {
			buckets[bound.Seconds()] = uint64(a.Within[i])
		}
		ch <- prometheus.MustNewConstHistogram(f.more.answerSeconds, uint64(a.Count), a.Sum.Seconds(), buckets, name)
		counter(ch, f.more.answerFailures, float64(a.Failures), name)
	}
}

func (f *figures) collectClasses(ctx context.Context, ch chan<- prometheus.Metric) {
	classes, err := f.d.DB.StaleByClass(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(f.more.staleByClass, err)
		return
	}
	for _, c := range classes {
		gauge(ch, f.more.staleByClass, float64(c.Count), c.Project, string(c.Class))
	}
}

// Told even at zero, so that the first one is a rise and no new line.
var (
	cleanupResults = []store.CleanupResult{
		store.ResultRemoved, store.ResultAlreadyGone, store.ResultRevived, store.ResultChanged, store.ResultKept, store.ResultInUse, store.ResultTimeout,
		store.ResultError,
	}
	deployEnds = []store.DeployState{store.DeployDone, store.DeployFailed, store.DeployCancelled, store.DeploySuperseded}
)

func (f *figures) collectEnds(ch chan<- prometheus.Metric) {
	counts := f.d.DB.Counts()
	for _, r := range cleanupResults {
		counter(ch, f.more.items, float64(counts.Items[r]), string(r))
	}
	for _, s := range deployEnds {
		counter(ch, f.more.deploys, float64(counts.Deploys[s]), string(s))
	}
}

func (f *figures) collectDisk(ch chan<- prometheus.Metric) {
	if free := doctor.FreeIn(f.d.DataDir); free >= 0 {
		gauge(ch, f.more.diskFree, float64(free))
	}
}

func (f *figures) collectSizes(ctx context.Context, ch chan<- prometheus.Metric) {
	sizes, err := f.d.DB.Sizes(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(f.more.storeBytes, err)
		return
	}
	gauge(ch, f.more.storeBytes, float64(sizes.Database), "database")
	if sizes.Log >= 0 {
		gauge(ch, f.more.storeBytes, float64(sizes.Log), "wal")
	}
}

func (f *figures) collectJobs(ch chan<- prometheus.Metric) {
	overdue := false
	if f.d.Scheduler != nil {
		st, ok := f.d.Scheduler.Status(ScanJob)
		overdue = ok && st.Overdue
		for _, j := range f.d.Scheduler.All() {
			gauge(ch, f.more.jobFailures, float64(j.Failures), j.Name)
			gauge(ch, f.more.jobOverdue, oneIf(j.Overdue), j.Name)
			if !j.LastEnd.IsZero() {
				gauge(ch, f.more.jobEnd, unixSeconds(j.LastEnd), j.Name)
			}
		}
	}
	gauge(ch, f.overdue, oneIf(overdue))
}

func (f *figures) collectBackups(ch chan<- prometheus.Metric) {
	if f.d.Backups == nil {
		return
	}
	made, failed := f.d.Backups.Tries()
	counter(ch, f.more.backupTries, float64(made), "made")
	counter(ch, f.more.backupTries, float64(failed), "failed")
	all, err := f.d.Backups.List()
	if err != nil {
		ch <- prometheus.NewInvalidMetric(f.more.backups, err)
		return
	}
	gauge(ch, f.more.backups, float64(len(all)))
	if all = backup.Dated(all, time.Now()); len(all) > 0 { // a file that is dated ahead would hide that no other is made
		gauge(ch, f.more.newestBackup, unixSeconds(all[0].At))
		gauge(ch, f.more.backupBytes, float64(all[0].Bytes))
	}
}
