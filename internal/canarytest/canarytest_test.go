package canarytest

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// listener is a test of which only the end and the failures count.
type listener struct {
	testing.TB
	ends   []func()
	failed []string
}

func (l *listener) Cleanup(f func()) { l.ends = append(l.ends, f) }

func (l *listener) Error(args ...any) { l.failed = append(l.failed, args[0].(string)) }

// TestTheEarHears: it would be worth nothing if it were deaf.
func TestTheEarHears(t *testing.T) {
	db, l := storetest.Open(t), &listener{TB: t}
	log := Log(l, db, "another")
	log.Debug("signing in", "password", "it is "+Word)
	log.Info("nothing", "host", "local")
	log.Warn("the answer was another")
	for _, e := range []store.Event{
		{Message: "with " + Word}, {Message: "fine", Data: map[string]any{"env": []string{"A=" + Word}}}, {Message: "fine", Data: map[string]any{"env": []string{"A"}}},
	} {
		e.Time, e.Severity, e.Source, e.Kind = time.Now(), store.SeverityInfo, store.SourceSystem, "test.told"
		storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.Emit(ctx, e) })
	}
	for _, end := range l.ends {
		end()
	}
	where := []string{"the log", "the log", "an event of kind test.told", "an event of kind test.told"}
	if !slices.EqualFunc(l.failed, where, strings.HasPrefix) {
		t.Errorf("heard %q", l.failed)
	}
}
