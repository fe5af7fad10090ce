//go:build pictures

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// makeHistory tells two months of scans, cleanups and reclaimed images, and the chatter of the last day.
func (w *world) makeHistory() {
	for n := range 240 {
		at := w.now.Add(-time.Duration(n)*6*time.Hour - 9*time.Minute)
		w.scanned(at, w.staleAt(at)+n%5)
	}
	for n, c := range []struct{ days, items int }{{1, 3}, {2, 1}, {4, 6}, {7, 2}, {8, 4}, {11, 1}, {12, 9}, {15, 2}, {17, 5}, {21, 3}, {22, 8}, {26, 2}, {28, 4}} {
		w.cleaned(w.now.Add(time.Duration(c.days)*ago-2*time.Hour), c.items, n)
	}
	for _, days := range []int{3, 12, 19, 26} {
		w.reclaimed(w.now.Add(time.Duration(days)*ago), days)
	}
	w.left()
	w.chatter()
	blind := store.BlindInterval{
		ID: store.NewID(), HostID: w.host.ID, From: w.now.Add(9 * ago), To: w.now.Add(9*ago + 4*time.Hour), Reason: "unreachable", Detail: "connection refused",
	}
	w.update(func(ctx context.Context, tx *store.Tx) error { return tx.OpenBlindInterval(ctx, blind) })
}

// staleAt is how many of today's stale ones were stale at a moment; cleaned ones were there too.
func (w *world) staleAt(at time.Time) int {
	n := int(w.now.Sub(at).Hours()/24/3) + 12
	return n
}

func (w *world) scanned(at time.Time, stale int) {
	r := store.ScanRun{
		ID: store.NewID(), HostID: w.host.ID, Trigger: "schedule", StartedAt: at, FinishedAt: at.Add(31 * time.Millisecond), ListCalls: 2,
		Known: 31, Stale: stale, Outcome: store.ScanOK,
	}
	w.update(func(ctx context.Context, tx *store.Tx) error { return tx.InsertScanRun(ctx, r) })
}

// cleaned is a cleanup of the past; what it removed can be brought back for two weeks.
func (w *world) cleaned(at time.Time, items, seed int) {
	by := []string{"user:anna", "system:auto", "system:auto", "user:ben"}[seed%4]
	plan := store.Plan{
		ID: store.NewID(), State: store.PlanApplied, CreatedAt: at.Add(-time.Minute), CreatedBy: by, ExpiresAt: at.Add(14 * time.Minute),
		AppliedAt: at, AppliedBy: by, DoneAt: at.Add(4 * time.Second), Automatic: by == "system:auto",
	}
	names := []string{"checkout-api", "storefront", "docs-site"}
	for n := range items {
		project := names[(seed+n)%len(names)]
		s := w.stages[project+"/preview"]
		id := store.NewID()
		bytes := int64(20+(seed*131+n*97)%600) * mib
		plan.Items = append(plan.Items, store.PlanItem{
			InstanceID: id, HostID: w.host.ID, Name: fmt.Sprintf("%s-preview-%s", project, id[len(id)-6:]), ProjectID: s.ProjectID, StageID: s.ID,
			Project: project, Stage: "preview", ImageTag: fmt.Sprintf("pr-%d", 300+seed*9+n), Class: store.ClassExited, Result: store.ResultRemoved,
			DoneAt: at.Add(time.Duration(n) * 700 * time.Millisecond), Details: store.PlanDetails{Bytes: bytes}, LastAliveAt: at.Add(time.Duration(9+n) * ago),
			Reason: fmt.Sprintf("not alive for %d days, longer than 7 days", 9+n),
		})
	}
	w.update(func(ctx context.Context, tx *store.Tx) error { return tx.InsertPlan(ctx, plan) })
	for n, i := range plan.Items {
		w.archived(plan, i, n)
	}
	w.events = append(w.events, store.Event{
		Time: plan.DoneAt, Severity: store.SeverityInfo, Source: store.SourceCleaner, Kind: "cleanup.applied", Actor: by, HostID: w.host.ID,
		Message: fmt.Sprintf("cleanup removed %d of %d planned instances", items, items), Data: map[string]any{"plan_id": plan.ID, "items": items},
	})
}

func (w *world) archived(plan store.Plan, i store.PlanItem, n int) {
	if w.now.Sub(i.DoneAt) > 14*24*time.Hour {
		return
	}
	a := store.Archive{
		ID: store.NewID(), State: store.ArchiveReady, InstanceID: i.InstanceID, PlanID: plan.ID, HostID: i.HostID, ProjectID: i.ProjectID, StageID: i.StageID,
		Project: i.Project, Stage: i.Stage, Name: i.Name, Image: w.images + i.Project, ImageTag: i.ImageTag, Class: i.Class, Bytes: i.Details.Bytes / 3,
		LastAliveAt: i.LastAliveAt, Reason: i.Reason, Actor: plan.AppliedBy, RemovedAt: i.DoneAt, ExpiresAt: i.DoneAt.Add(-14 * ago),
		Volumes: []store.ArchivedVolume{{Name: i.Project + "-data", Target: "/var/lib/app"}}, Networks: []string{"bridge"},
	}
	if n == 1 {
		a.State, a.RestoredAt, a.RestoredBy = store.ArchiveRestored, i.DoneAt.Add(time.Hour), "user:anna"
	}
	w.update(func(ctx context.Context, tx *store.Tx) error {
		return tx.InsertArchive(ctx, a, store.ArchiveContents{Instance: store.Instance{ID: i.InstanceID, Name: i.Name}, Logs: []byte("bye\n")})
	})
}

func (w *world) reclaimed(at time.Time, seed int) {
	p := store.ReclaimPlan{
		ID: store.NewID(), HostID: w.host.ID, EngineID: w.host.EngineID, State: store.PlanApplied, CreatedAt: at, CreatedBy: "user:anna",
		ExpiresAt: at.Add(15 * time.Minute), AppliedAt: at, AppliedBy: "user:anna", DoneAt: at.Add(time.Second),
	}
	for n := range 3 {
		p.Items = append(p.Items, store.ReclaimItem{ImageID: fmt.Sprintf("sha256:%064x", seed*10+n), Bytes: int64(160+70*n+9*seed) * mib, Result: store.ResultRemoved})
	}
	w.update(func(ctx context.Context, tx *store.Tx) error { return tx.InsertReclaimPlan(ctx, p) })
}

// left are the images and volumes of removed instances that are still on the engine.
func (w *world) left() {
	for n, tag := range []string{"pr-212", "pr-233", "pr-240", "pr-251", "pr-266", "pr-279"} {
		project := []string{"checkout-api", "storefront", "docs-site"}[n%3]
		reference := w.images + project + ":" + tag
		id := w.engine.AddImage(dockertest.Image{Ref: reference, Size: int64(140+n*67) * mib})
		user := fmt.Sprintf("%s-preview-%04x", project, 7919*(n+3)%65536)
		used := w.now.Add(time.Duration(31+9*n) * ago)
		r := store.Remnant{
			HostID: w.host.ID, Kind: store.RemnantImage, Name: id, Refs: []string{reference}, InstanceID: store.NewID(), Instance: user, Project: project,
			Stage: "preview", ImageTag: tag, LastUsedAt: used, RemovedAt: used.Add(-8 * ago),
		}
		pulled := store.PulledImage{HostID: w.host.ID, ImageID: id, Ref: reference, PulledAt: used.Add(3 * ago)}
		w.update(func(ctx context.Context, tx *store.Tx) error {
			if n != 4 { // of one it is not known who brought it
				if err := tx.PutPulledImage(ctx, pulled); err != nil {
					return err
				}
			}
			return tx.PutRemnants(ctx, []store.Remnant{r})
		})
	}
}

// chatter is what else is said on a day, and the deploys of two weeks.
func (w *world) chatter() {
	say := func(hours float64, severity store.Severity, source store.Source, kind, message, actor string) {
		w.events = append(w.events, store.Event{
			Time: w.now.Add(-time.Duration(hours * float64(time.Hour))), Severity: severity, Source: source, Kind: kind, Message: message, Actor: actor, HostID: w.host.ID,
		})
	}
	say(0.3, store.SeverityInfo, store.SourceAuth, "auth.login", "anna signed in from 10.4.0.17", "user:anna")
	say(2.4, store.SeverityWarn, store.SourceAuth, "auth.login_failed", "sign-in as ben from 10.4.0.21 failed", "")
	say(2.3, store.SeverityInfo, store.SourceAuth, "auth.login", "ben signed in from 10.4.0.21", "user:ben")
	say(5.2, store.SeverityWarn, store.SourceScanner, "scan.blind", "local cannot be judged: the event stream ended", "")
	say(5.1, store.SeverityInfo, store.SourceScanner, "scan.sighted", "local can be judged again", "")
	say(7, store.SeverityInfo, store.SourceSettings, "policy.updated", "the policy of project docs-site was changed", "user:anna")
	say(9.7, store.SeverityInfo, store.SourceAPI, "token.created", "token ci (operator) was made", "user:anna")
	for n := range 70 {
		hours := float64((n*37)%24) + float64((n*13)%60)/60
		say(hours, store.SeverityInfo, store.SourceEngine, "instance.status", fmt.Sprintf("billing-dev restarted after a new %s", []string{"commit", "secret", "schema"}[n%3]), "")
	}
	keys := []string{"checkout-api/dev", "checkout-api/staging", "storefront/preview", "billing/dev", "search/staging", "docs-site/preview"}
	for n := range 64 {
		key := keys[(n*5)%len(keys)]
		s := w.stages[key]
		at := w.now.Add(-time.Duration(7+(n*53)%320) * time.Hour)
		e := store.Event{
			Time: at, Severity: store.SeverityInfo, Source: store.SourceDeployer, Kind: "deploy.done", ProjectID: s.ProjectID, StageID: s.ID, HostID: w.host.ID, Actor: "token:ci",
			Message: fmt.Sprintf("deployed build %d to %s", 900+n, key),
		}
		if n%11 == 4 {
			e.Severity, e.Kind = store.SeverityError, "deploy.failed"
			e.Message = fmt.Sprintf("deploy of build %d to %s failed: it was not healthy within 60s", 900+n, key)
		}
		w.events = append(w.events, e)
	}
}

func (w *world) sorted() []store.Event {
	slices.SortStableFunc(w.events, func(a, b store.Event) int { return a.Time.Compare(b.Time) })
	return slices.DeleteFunc(w.events, func(e store.Event) bool { return e.Time.After(w.now) || strings.TrimSpace(e.Message) == "" })
}

// makeSettings switches automatic cleanup on for the previews of one project.
func (w *world) makeSettings() {
	action, grace := store.ActionCleanup, 3*24*time.Hour
	window := store.Window{From: 2 * 60, Until: 5 * 60}
	w.update(func(ctx context.Context, tx *store.Tx) error {
		s, err := tx.Settings(ctx)
		if err != nil {
			return err
		}
		s.AutoCleanup = true
		if err := tx.SaveSettings(ctx, s); err != nil {
			return err
		}
		p, err := tx.Project(ctx, w.project["storefront"].ID)
		if err != nil {
			return err
		}
		return tx.SetProjectPolicy(ctx, p.ID, store.Policy{Action: &action, CleanupAfter: &grace, Window: &window}, p.Revision)
	})
}
