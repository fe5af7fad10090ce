package stale

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/guard"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// Plan freezes the answer to "what would this cleanup do"; nothing is touched.
// A single one is refused when its instance is not stale or cannot be judged; a bulk one leaves
// such instances out, and is refused only when a host's refusal leaves nothing to plan.
func (c *Cleaner) Plan(ctx context.Context, sel Selection, actor string) (store.Plan, error) {
	d := c.newDraft(actor)
	err := d.draw(ctx, sel)
	if err == nil {
		err = c.keepPlan(ctx, d)
	}
	if err != nil {
		return store.Plan{}, c.refuse(ctx, refusal{action: "plan", instanceID: sel.InstanceID, actor: actor}, err)
	}
	return d.plan, nil
}

// draft is a plan in the making.
type draft struct {
	c     *Cleaner
	plan  store.Plan
	hosts *hostBook
	// looked at while drawing, by what became of it
	sizes    map[string]int64 // instance id -> bytes
	refusals []error          // of instances that could not be judged, in words
	layerMax int64            // bytes: a larger writable layer is not archived

	mu     sync.Mutex
	images map[string]*imageAsk

	tagsUntil time.Time        // until when tags are looked for
	unasked   map[tagged]error // tags that could not be asked for, and why
}

func (c *Cleaner) newDraft(actor string) *draft {
	now := time.Now().UTC()
	return &draft{
		c:     c,
		hosts: c.openHostBook(),
		sizes: map[string]int64{}, images: map[string]*imageAsk{}, unasked: map[tagged]error{},
		plan: store.Plan{
			ID: store.NewID(), State: store.PlanPlanned,
			CreatedAt: now, CreatedBy: actor, ExpiresAt: now.Add(planLife),
		},
	}
}

func (d *draft) draw(ctx context.Context, sel Selection) error {
	settings, err := d.c.db.Settings(ctx)
	if err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	d.layerMax = settings.ArchiveLayerMax
	d.plan.TagGoneYes = sel.TagGone
	if sel.InstanceID != "" {
		return d.drawSingle(ctx, sel.InstanceID)
	}
	if err := d.drawBulk(ctx, bulkFilter(sel, d.plan.CreatedAt), settings.PlanMaxItems); err != nil {
		return err
	}
	return d.countImages(ctx)
}

func (d *draft) drawSingle(ctx context.Context, id string) error {
	d.plan.Single = true
	view, err := d.c.db.Instance(ctx, id)
	if err != nil {
		return fmt.Errorf("read instance %s: %w", id, err)
	}
	if view.Status == store.StatusRemoving {
		return fmt.Errorf("%w: %s is being removed already", store.ErrConflict, view.Name)
	}
	if view.StaleSince.IsZero() {
		return fmt.Errorf("%w: %s is %s", ErrNotStale, view.Name, view.Status)
	}
	views, err := d.lookForTags(ctx, []store.InstanceView{view})
	if err != nil {
		return err
	}
	if len(views) == 0 {
		return fmt.Errorf("instance %s: %w", id, store.ErrNotFound)
	}
	item, err := d.look(ctx, views[0])
	if err != nil {
		return err
	}
	d.add(item)
	return d.countImages(ctx)
}

// bulkFilter leaves protected instances out unless they were asked for in so many words.
func bulkFilter(sel Selection, now time.Time) store.StaleFilter {
	f := sel.Filter
	f.Now, f.TagGoneYes = now, sel.TagGone
	explicit := len(f.InstanceIDs) > 0 || f.Protected != nil
	if sel.AllUnprotected || !explicit {
		f.Protected = new(bool)
	}
	return f
}

// drawBulk fills the plan up to limit items. Instances that turn out to be alive make room for
// the next ones, but no more than a few times the limit are looked at.
func (d *draft) drawBulk(ctx context.Context, f store.StaleFilter, limit int) error {
	matched, seen, cursor := 0, 0, ""
	for first := true; ; first = false {
		page := store.Page{Limit: limit - len(d.plan.Items), Cursor: cursor}
		views, next, total, err := d.c.db.StaleInstances(ctx, f, page)
		if err != nil {
			return fmt.Errorf("list stale instances: %w", err)
		}
		if first {
			matched = total
		}
		seen += len(views)
		if err := d.lookAtAll(ctx, views); err != nil {
			return err
		}
		if cursor = next; cursor == "" || len(d.plan.Items) >= limit || seen >= 4*limit {
			break
		}
	}
	d.plan.LeftOut = max(matched-seen, 0) + len(d.refusals)
	if len(d.plan.Items) == 0 && len(d.refusals) > 0 {
		return d.refusals[0]
	}
	return nil
}

// lookAtAll inspects a page of instances, a few at once, and adds those that are to be cleaned in their order.
func (d *draft) lookAtAll(ctx context.Context, views []store.InstanceView) error {
	views, err := d.lookForTags(ctx, views)
	if err != nil {
		return err
	}
	items := make([]store.PlanItem, len(views))
	errs := make([]error, len(views))
	besideHosts(len(views), planWorkers, func(i int) string { return views[i].HostID }, func(i int) { items[i], errs[i] = d.look(ctx, views[i]) })
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("plan a cleanup: %w", err)
	}
	for i, err := range errs {
		switch {
		case err == nil:
			d.add(items[i])
		case errors.Is(err, ErrNotStale): // it recovered since the last scan: simply not in the plan
		default:
			d.refusals = append(d.refusals, err)
		}
	}
	return nil
}

func (d *draft) add(item store.PlanItem) {
	item.PlanID, item.Position = d.plan.ID, len(d.plan.Items)
	if item.Details.Bytes >= 0 && item.ContainerID != "" {
		d.sizes[item.InstanceID] = item.Details.Bytes
	}
	d.plan.Items = append(d.plan.Items, item)
}

// look inspects one instance afresh and freezes what a removal will be bound to.
func (d *draft) look(ctx context.Context, view store.InstanceView) (store.PlanItem, error) {
	on, err := d.hosts.fit(ctx, view.HostID)
	if err != nil {
		return store.PlanItem{}, err
	}
	ct, err := inspectSized(ctx, on.engine, view.ContainerID)
	missing := errors.Is(err, docker.ErrNotFound)
	if err != nil && !missing {
		return store.PlanItem{}, fmt.Errorf("%w: inspect %s: %w", ErrBlind, view.Name, err)
	}
	if !missing {
		if err := ownable(view.Instance, ct, d.c.db.InstallationID()); err != nil {
			return store.PlanItem{}, err
		}
	}
	seen := rejudge(view, ct, missing, on.engine)
	if !seen.verdict.Stale {
		return store.PlanItem{}, fmt.Errorf("%w: %s: %s", ErrNotStale, view.Name, seen.verdict.Reason)
	}
	routes, err := d.c.db.RoutesOf(ctx, view.ID)
	if err != nil {
		return store.PlanItem{}, fmt.Errorf("read routes of %s: %w", view.Name, err)
	}
	item := planItem(view, seen, on, ct, missing)
	item.Details.Routes = routes
	d.foretell(ctx, on, &item, view.ImageID, ct)
	item.Protection = heeded(&seen.row, on.engine.Now(), d.plan.TagGoneYes)
	if words := d.tagWords(view); words != "" {
		item.Details.Warnings = append(item.Details.Warnings, words)
	}
	return item, nil
}

// inspectSized asks for the size as well; a size that takes too long is left unknown.
func inspectSized(ctx context.Context, e *docker.Engine, id string) (docker.Container, error) {
	if id == "" {
		return docker.Container{}, fmt.Errorf("never created: %w", docker.ErrNotFound)
	}
	sized, cancel := context.WithTimeout(ctx, sizeTimeout)
	defer cancel()
	ct, err := e.InspectSize(sized, id)
	if err == nil || errors.Is(err, docker.ErrNotFound) || ctx.Err() != nil {
		return ct, err
	}
	ct, err = inspect(ctx, e, id)
	ct.SizeRw = -1
	return ct, err
}

func inspect(ctx context.Context, e *docker.Engine, id string) (docker.Container, error) {
	ctx, cancel := context.WithTimeout(ctx, factsTimeout)
	defer cancel()
	return e.Inspect(ctx, id)
}

func planItem(view store.InstanceView, seen second, on standing, ct docker.Container, missing bool) store.PlanItem {
	item := store.PlanItem{
		InstanceID: view.ID, HostID: view.HostID, EngineID: on.info.EngineID, DataRoot: on.info.DataRoot,
		ContainerID: view.ContainerID, Name: view.Name,
		ProjectID: view.ProjectID, StageID: view.StageID, Project: view.Project, Stage: view.Stage, ImageTag: view.ImageTag,
		Status: seen.row.Status, Class: seen.verdict.Class, Evidence: seen.verdict.Evidence,
		UpperBound: seen.verdict.UpperBound, LastAliveAt: seen.verdict.LastAlive, Reason: seen.verdict.Reason,
		Details: store.PlanDetails{Bytes: -1, ImageRef: view.Image + ":" + view.ImageTag},
	}
	if !missing {
		item.StartedAt, item.FinishedAt, item.RestartCount, item.Labels = ct.StartedAt, ct.FinishedAt, ct.RestartCount, ct.Labels
		item.Details.Bytes, item.Details.ImageID = ct.SizeRw, ct.ImageID
		item.Details.Volumes = volumesOf(ct)
	}
	item.Details.Warnings = warningsOf(item, seen.row.HeldBack)
	return item
}

func volumesOf(ct docker.Container) []string {
	var names []string
	for _, m := range ct.Mounts {
		if m.Type == "volume" && m.Name != "" {
			names = append(names, m.Name)
		}
	}
	return names
}

// warningsOf says in words what a person should know before saying yes.
func warningsOf(item store.PlanItem, heldBack string) []string {
	var words []string
	switch item.Class {
	case store.ClassPaused:
		words = append(words, "its process is still there, paused: it will be stopped")
	case store.ClassCrashLooping:
		words = append(words, "the engine starts it again and again: it will be stopped")
	case store.ClassEngineLost:
		words = append(words, "it was meant to run and was lost with its engine: starting it may be what is wanted")
	case store.ClassDead:
		words = append(words, "an earlier removal failed on the engine")
	case store.ClassMissing:
		words = append(words, "the container is gone from the engine: only what we keep of it, and its routes, go")
	case store.ClassNone, store.ClassExited, store.ClassFailed, store.ClassOOM, store.ClassNeverStarted:
		// nothing that the class itself does not say
	}
	if item.UpperBound {
		words = append(words, "the moment of its end is only an upper bound: it may have been dead for longer")
	}
	if heldBack != "" {
		words = append(words, "held back from automatic cleanup: "+heldBack)
	}
	if item.Details.Bytes < 0 && item.ContainerID != "" && item.Class != store.ClassMissing {
		words = append(words, "the size of its writable layer is not known")
	}
	return words
}

// countImages adds an image's bytes to the last planned user of it, if everybody
// who uses it is in the plan. What cannot be told is left out: it is only information.
func (d *draft) countImages(ctx context.Context) error {
	last := map[string]int{}       // image id -> position of its last user here
	planned := map[string]string{} // container id -> host
	for i, item := range d.plan.Items {
		planned[item.ContainerID] = item.HostID
		if item.Details.ImageID != "" && item.Protection.Kind == store.ProtectionNone {
			last[item.HostID+"\x00"+item.Details.ImageID] = i
		}
	}
	var mu sync.Mutex
	order := make([]int, 0, len(last))
	for _, i := range last {
		order = append(order, i)
	}
	besideHosts(len(order), planWorkers, func(n int) string { return d.plan.Items[order[n]].HostID }, func(n int) {
		item := d.plan.Items[order[n]]
		size, warning := d.imageBytes(ctx, item, planned)
		mu.Lock()
		defer mu.Unlock()
		details := &d.plan.Items[order[n]].Details
		details.ImageBytes = size
		if warning != "" {
			details.Warnings = append(details.Warnings, warning)
		}
	})
	return ctx.Err()
}

func (d *draft) imageBytes(ctx context.Context, item store.PlanItem, planned map[string]string) (int64, string) {
	on, err := d.hosts.fit(ctx, item.HostID)
	if err != nil {
		return 0, ""
	}
	ctx, cancel := context.WithTimeout(ctx, factsTimeout)
	defer cancel()
	users, err := on.engine.ImageUsers(ctx, item.Details.ImageID)
	if err != nil {
		return 0, "who else uses its image could not be told"
	}
	for _, id := range users {
		if host, ok := planned[id]; !ok || host != item.HostID {
			return 0, ""
		}
	}
	img, err := on.engine.InspectImage(ctx, item.Details.ImageID)
	if errors.Is(err, docker.ErrNotFound) {
		return 0, "its image is gone from the engine"
	}
	if err != nil {
		return 0, "the size of its image could not be told"
	}
	return img.Size, ""
}

// keepPlan writes plan, sizes and event in one transaction.
func (c *Cleaner) keepPlan(ctx context.Context, d *draft) error {
	err := c.db.Update(ctx, func(tx *store.Tx) error {
		if err := onlyPlan(ctx, tx, d.plan); err != nil {
			return err
		}
		for id, bytes := range d.sizes {
			// One that somebody removed meanwhile has no size any more; its item will say so.
			if err := tx.SetSize(ctx, id, bytes, d.plan.CreatedAt); err != nil && !errors.Is(err, store.ErrNotFound) {
				return fmt.Errorf("keep size of %s: %w", id, err)
			}
		}
		if err := tx.InsertPlan(ctx, d.plan); err != nil {
			return err
		}
		return tx.Emit(ctx, plannedEvent(d))
	})
	if err != nil {
		return fmt.Errorf("keep plan: %w", err)
	}
	return nil
}

// besideHosts is eachOf with so many workers for each host: one that hangs takes nobody else's turn.
func besideHosts(n, workers int, hostOf func(i int) string, do func(i int)) {
	byHost := map[string][]int{}
	for i := range n {
		byHost[hostOf(i)] = append(byHost[hostOf(i)], i)
	}
	var wg guard.Group
	for _, on := range byHost {
		wg.Go(func() { eachOf(len(on), workers, func(i int) { do(on[i]) }) })
	}
	wg.Wait()
}

// eachOf calls do for 0..n-1, at most workers at once, and waits for all.
func eachOf(n, workers int, do func(i int)) {
	next := make(chan int)
	var wg guard.Group
	for range min(n, workers) {
		wg.Go(func() {
			for i := range next {
				wg.Try(func() { do(i) })
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}
