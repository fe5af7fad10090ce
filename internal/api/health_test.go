package api

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/schedule"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// unready fails when the daemon is ready, or says another reason, or not what to do.
func (b *bed) unready(check, detail, hint string) {
	b.t.Helper()
	status, _, text := b.raw(b.nobody, get, "/readyz", "")
	if status != http.StatusServiceUnavailable || !strings.Contains(text, `"ready":false`) || !strings.Contains(text, `"name":"`+check+`","ok":false,"detail":"`) ||
		!strings.Contains(text, detail) || !strings.Contains(text, hint) {
		b.t.Errorf("%s: %d %s", check, status, text)
	}
}

func (b *bed) ready() {
	b.t.Helper()
	if status, _, text := b.raw(b.nobody, get, "/readyz", ""); status != http.StatusOK || !strings.Contains(text, `"ready":true`) || strings.Contains(text, `"ok":false`) {
		b.t.Errorf("%d %s", status, text)
	}
}

// TestReadinessSaysWhy goes through the reasons that no other test has: an engine that is down is in TestHealthAndReadiness, a frozen
// one in TestFrozenHost, a damaged database in TestDamagedDatabase of the daemon.
func TestReadinessSaysWhy(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		b.scan()
		b.ready()
		time.Sleep(time.Minute)
		b.engine.Fail(dockertest.Fault{On: `^GET /containers/json`, Status: http.StatusInternalServerError})
		if _, err := b.operator.Scan(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		b.unready("engine:local", "the last scan could not judge it", "docker-watcher stale scan")
		b.engine.ClearFaults()
		time.Sleep(time.Minute)
		b.scan()
		b.ready()

		b.must(b.deps.Scheduler.Set(schedule.Job{Name: ScanJob, Spec: "@every 1h", Run: func(context.Context) error { return nil }}))
		b.ready()
		time.Sleep(2 * time.Hour) // and nobody runs it
		b.unready("scan", "a scan that was due did not come", "start a scan by hand")
	})
}

// TestReadinessOfScansThatHang: the job rings in time, and nobody hears it.
func TestReadinessOfScansThatHang(t *testing.T) {
	late := false
	pretend := dockertest.New(t, dockertest.Options{})
	b := newBedOn(t, docker.Options{Endpoint: pretend.Endpoint(), Dial: pretend.Dial}, func(b *bed) {
		b.deps.HostWorks = func() []HostWork {
			return []HostWork{{Job: ScanJob, HostID: b.host.ID, Running: true, Overdue: late}}
		}
	})
	b.engine = pretend
	b.must(b.deps.Scheduler.Set(schedule.Job{
		Name: ScanJob, Spec: "@every 1h", Run: func(context.Context) error { return nil },
		Elsewhere: func(schedule.Pace) schedule.Work { return schedule.Work{Overdue: late} },
	}))
	b.scan()
	b.ready()
	late = true
	b.unready("scan", "a scan that was due did not come", "start a scan by hand")
	e, err := b.admin.Doctor(t.Context())
	b.must(err)
	found := false
	for _, f := range e.Findings {
		found = found || f.Name == "job:"+ScanJob && f.Severity == "error" && f.Detail == "what was due did not come, or does not end on local"
	}
	if !found {
		t.Errorf("the doctor says %+v", e.Findings)
	}
	jobs, err := b.admin.Jobs(t.Context())
	b.must(err)
	if len(jobs) != 1 || !jobs[0].Overdue || len(jobs[0].Hosts) != 1 || jobs[0].Hosts[0].State != "overdue" {
		t.Errorf("the jobs are %+v", jobs)
	}
	_, _, text := b.raw(b.viewer, get, "/metrics", "")
	for _, line := range []string{"docker_watcher_scan_overdue 1", `docker_watcher_job_overdue{job_name="` + ScanJob + `"} 1`} {
		if !strings.Contains(text, line) {
			t.Errorf("the figures do not say %s", line)
		}
	}
}

// TestReadinessWithoutAStore: the file of the database is gone.
func TestReadinessWithoutAStore(t *testing.T) {
	b := newBed(t)
	o := store.Options{DataDir: t.TempDir()}
	deps := b.deps
	deps.DB = storetest.With(t, o)
	b.serve(New(deps))
	file := filepath.Join(o.DataDir, "docker-watcher.db")
	b.must(os.Rename(file, file+".away"))
	b.unready("store", "the database does not answer", "data folder")
	b.must(os.Rename(file+".away", file))
	b.ready()
}
