package routing

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/proxy"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// counted is what a proxy has counted and nobody took.
type counted []proxy.Count

func (c *counted) TakeCounts() []proxy.Count {
	taken := *c
	*c = nil
	return taken
}

func (c *counted) PutBack(counts []proxy.Count) { *c = append(*c, counts...) }

func (c *counted) PendingCounts() []proxy.Count { return *c }

// Totals rise by what was kept, once: not by what waits still, and not by what could not be kept.
func TestTotalsAreOfWhatWasKept(t *testing.T) {
	o := store.Options{DataDir: t.TempDir()}
	db := storetest.With(t, o)
	from := &counted{}
	c := NewCounter(db, from, slog.New(slog.DiscardHandler))
	came := func(counts ...proxy.Count) { *from = append(*from, counts...) }
	want := func(routes, proxies proxy.Totals) {
		t.Helper()
		if got := c.Totals(); got[proxy.KindRoute] != routes || got[proxy.KindProxy] != proxies {
			t.Errorf("they are %+v, want %+v of routes and %+v of proxies", got, routes, proxies)
		}
	}
	keep := func() {
		t.Helper()
		if err := c.Keep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	want(proxy.Totals{}, proxy.Totals{})
	came(proxy.Count{Rule: "r", Kind: proxy.KindRoute, Requests: 3, Errors: 1}, proxy.Count{Rule: "p", Kind: proxy.KindProxy, Requests: 2})
	want(proxy.Totals{}, proxy.Totals{})
	keep()
	keep()
	want(proxy.Totals{Requests: 3, Errors: 1}, proxy.Totals{Requests: 2})

	// A data plane of a former version does not say the kind.
	came(proxy.Count{Rule: "r", Ref: "instance:i:80", Requests: 1}, proxy.Count{Rule: "p", Errors: 1})
	keep()
	want(proxy.Totals{Requests: 4, Errors: 1}, proxy.Totals{Requests: 2, Errors: 1})

	file := filepath.Join(o.DataDir, "docker-watcher.db")
	if err := os.Rename(file, file+".away"); err != nil {
		t.Fatal(err)
	}
	came(proxy.Count{Rule: "p", Kind: proxy.KindProxy, Requests: 7})
	if err := c.Keep(t.Context()); err == nil {
		t.Error("it was kept where there is no store")
	}
	want(proxy.Totals{Requests: 4, Errors: 1}, proxy.Totals{Requests: 2, Errors: 1})
	if err := os.Rename(file+".away", file); err != nil {
		t.Fatal(err)
	}
	keep()
	want(proxy.Totals{Requests: 4, Errors: 1}, proxy.Totals{Requests: 9, Errors: 1})
}
