package api

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
