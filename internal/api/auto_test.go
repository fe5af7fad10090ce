package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
)

// autoStep is as long as the notice of an automatic plan: each run sees at most one of its two ends.
const autoStep = 5 * time.Minute

// automatic runs automatic cleanup again and again for so much time, as the daemon does.
func (b *bed) automatic(forSoLong time.Duration) {
	b.t.Helper()
	for end := time.Now().Add(forSoLong); time.Now().Before(end); time.Sleep(autoStep) { // in the bubble's time
		b.must(b.deps.Cleaner.RunAutomatic(b.t.Context()))
	}
}

// TestAutomaticPlanIsAnnouncedAndCalledOff: it is listed before anything is done, an operator calls it off, and nothing is
// removed; the next one, that nobody calls off, removes and can be undone.
func TestAutomaticPlanIsAnnouncedAndCalledOff(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		st := b.shop("shop", "preview")
		inst, ct := b.plant(st, "shop-preview-a", 20)
		for _, name := range []string{"shop-preview-r1", "shop-preview-r2", "shop-preview-r3", "shop-preview-r4"} {
			b.plant(st, name, 1)
		}
		b.scan()
		_, err := b.admin.SetStagePolicy(t.Context(), st.ID, client.Policy{Action: new("cleanup"), CleanupAfter: new("1h"), MaxSharePercent: new(100)}, 0)
		b.must(err)
		b.automatic(3 * time.Hour)
		if l, err := b.viewer.Plans(t.Context(), client.PlanFilter{Automatic: new(true)}, client.Page{}); err != nil || len(l.Items) != 0 || !ct.Facts().Exists {
			t.Fatalf("switched off, it planned %+v, %v", l.Items, err)
		}
		_, err = b.admin.UpdateSettings(t.Context(), map[string]any{"auto_cleanup": true, "auto_warm_up": "5m"})
		b.must(err)

		waiting := func() client.PlanSummary {
			t.Helper()
			for range 24 * time.Hour / autoStep {
				b.must(b.deps.Cleaner.RunAutomatic(t.Context()))
				l, err := b.viewer.Plans(t.Context(), client.PlanFilter{Automatic: new(true), States: []string{"planned"}}, client.Page{})
				b.must(err)
				if len(l.Items) == 1 {
					return l.Items[0]
				}
				time.Sleep(autoStep) // in the bubble's time
			}
			i, err := b.viewer.Instance(t.Context(), inst.ID)
			b.must(err)
			t.Fatalf("no automatic plan was made in a day: %+v", i.Policy)
			return client.PlanSummary{}
		}
		first := waiting()
		if !first.Automatic || first.CreatedBy != "system:auto" || !first.ApplyAt.After(time.Now()) || first.Items != 1 || !ct.Facts().Exists {
			t.Fatalf("got %+v", first)
		}
		if o, err := b.viewer.Overview(t.Context()); err != nil || o.NextPlan == nil || o.NextPlan.ID != first.ID || !o.AutoCleanup {
			t.Errorf("got %+v, %v", o, err)
		}
		off, err := b.operator.CancelPlan(t.Context(), first.ID)
		b.must(err)
		if e := b.event("cleanup.cancelled"); e.Actor != "token:operator" {
			t.Errorf("got %+v", e)
		}
		wantProblem(t, second(b.admin.ApplyCleanup(t.Context(), first.ID)), http.StatusConflict, client.CodePlanUsed)
		b.automatic(12 * time.Hour)
		if !ct.Facts().Exists {
			t.Fatal("what was called off was removed")
		}
		i, err := b.viewer.Instance(t.Context(), inst.ID)
		b.must(err)
		if i.Policy == nil || i.Policy.At.Before(time.Now()) || !strings.Contains(i.Policy.Why, "called off") {
			t.Errorf("it does not say until when it is spared: %+v", i.Policy)
		}

		next := waiting()
		if next.ID == first.ID || next.ApplyAt.Before(off.DoneAt.Add(24*time.Hour)) {
			t.Errorf("planned again too early: %+v", next)
		}
		b.automatic(15 * time.Minute)
		p, err := b.viewer.Plan(t.Context(), next.ID)
		b.must(err)
		if p.State != "applied" || p.AppliedBy != "system:auto" || p.Items[0].Result != "removed" || p.Items[0].ArchiveID == "" || ct.Facts().Exists {
			t.Fatalf("got %+v", p)
		}
		back, err := b.operator.Restore(t.Context(), p.Items[0].ArchiveID, client.RestoreChoices{})
		b.must(err)
		if back.ID != inst.ID || back.Stale {
			t.Errorf("got %+v", back)
		}
		b.scan()
		if again := b.engine.Container(inst.Name); again == nil || again.Facts().State != dockertest.Created {
			t.Error("it is not back on the engine")
		}
	})
}
