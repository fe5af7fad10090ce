//go:build bench

package bench

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/stale"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// rowCost is the least that a row of a list was seen to cost on a real engine: 0.22 s for 2,000 rows on Docker 20.10.
// Newer engines with a containerd store take ten times that.
const rowCost = 110 * time.Microsecond

// Ten thousand containers that are known, and an event stream that never broke: a scan costs its two lists.
func TestScanOfTenThousandKnown(t *testing.T) {
	real := dockertest.Docker28()
	real.RowCost = rowCost
	measured, floor := scanOfTenThousand(t, real)
	ratio(t, "scan of 10,000 known, stream unbroken, against the two bare lists", measured, floor, 1.25)
}

// The same on an engine whose lists cost nothing: what is left is all our own.
func TestScanOfTenThousandKnownByItself(t *testing.T) {
	measured, floor := scanOfTenThousand(t, dockertest.Docker28())
	note(t, figure{what: "our own part of that scan, on an engine that costs nothing", measured: short(measured - floor), ok: true})
}

func scanOfTenThousand(t *testing.T, o dockertest.Options) (measured, floor time.Duration) {
	t.Helper()
	dir := t.TempDir()
	db := storetest.With(t, store.Options{DataDir: dir})
	y := newYard(t, db, o)
	y.fill(t, 10_000, 5)
	scanner := stale.NewScanner(db, y.fleet, quiet)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- scanner.Watch(ctx) }()
	defer func() {
		cancel()
		must(t, <-ended)
	}()
	settled(t, scanner, y.host.ID)

	y.engine.ResetCalls()
	before := commits(t, dir)
	const rounds = 9
	scans := 0
	measured, floor = inTurn(t, rounds, func() error {
		scans++
		runs, err := scanner.Scan(ctx, y.host.ID, "manual")
		if err == nil && (runs[0].Known != 10_000 || runs[0].Stale != 5_000) {
			t.Errorf("the scan found %+v", runs[0])
		}
		return err
	}, func() error { return y.bareLists(ctx) })
	if o.RowCost == 0 {
		return measured, floor
	}
	most(t, "inspects of that scan", y.engine.Inspects(), 0, count)
	most(t, "list calls of that scan", (y.engine.Lists()-2*scans)/scans, 2, count)
	most(t, "write transactions of that scan", (commits(t, dir)-before)/scans, 1, count)
	return measured, floor
}

// settled scans until a scan needs no inspect: everybody was seen since the stream is whole.
func settled(t *testing.T, scanner *stale.Scanner, host string) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		runs, err := scanner.Scan(t.Context(), host, "manual")
		if err == nil && runs[0].Outcome == store.ScanOK && runs[0].Inspects == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the scanner does not settle: %+v %v", runs, err)
		}
	}
}

// bareLists are the two list calls that a scan cannot do without, at once as it does them.
func (y *yard) bareLists(ctx context.Context) error {
	labels := []string{docker.LabelInstallation + "=" + y.db.InstallationID()}
	g, ctx := errgroup.WithContext(ctx)
	for _, states := range [][]docker.State{
		{docker.StateRunning},
		{docker.StateCreated, docker.StateExited, docker.StatePaused, docker.StateRestarting, docker.StateDead, docker.StateRemoving},
	} {
		g.Go(func() error {
			_, err := y.adapter.List(ctx, docker.ListOptions{States: states, Labels: labels})
			return err
		})
	}
	return g.Wait()
}

// commits reads SQLite's own count of transactions, from the header of its write-ahead index.
func commits(t *testing.T, dir string) int {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "docker-watcher.db-shm"))
	must(t, err)
	defer func() { must(t, f.Close()) }()
	var n [4]byte
	_, err = f.ReadAt(n[:], 8)
	must(t, err)
	return int(binary.NativeEndian.Uint32(n[:]))
}

// After a gap everybody that is stopped is asked for by id.
func TestFirstScanAfterAGap(t *testing.T) {
	db := storetest.Open(t)
	y := newYard(t, db, dockertest.Docker28())
	y.fill(t, 1_000, 0)
	scanner := stale.NewScanner(db, y.fleet, quiet) // it watches nothing, so every scan is the first after a gap
	_, err := scanner.Scan(t.Context(), y.host.ID, "gap")
	must(t, err)
	ids := make([]string, 0, 1_000)
	for _, c := range y.engine.Containers() {
		ids = append(ids, c.ID)
	}
	measured, floor := inTurn(t, 15, func() error {
		runs, err := scanner.Scan(t.Context(), y.host.ID, "gap")
		if err == nil && runs[0].Inspects != len(ids) {
			t.Errorf("the scan made %d inspects", runs[0].Inspects)
		}
		return err
	}, func() error { return y.bareInspects(t.Context(), ids) })
	ratio(t, "first scan after a gap, 1,000 stopped, against 1,000 bare inspects 8 at a time", measured, floor, 1.5)
}

func (y *yard) bareInspects(ctx context.Context, ids []string) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for _, id := range ids {
		g.Go(func() error {
			_, err := y.adapter.Inspect(ctx, id)
			return err
		})
	}
	return g.Wait()
}
