package stale

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	tagFresh     = 24 * time.Hour   // how old an answer may be before a tag is looked for again
	tagAtOnce    = 4                // lookups at once
	tagMost      = 200              // lookups in one run
	tagTimeout   = 10 * time.Second // one lookup
	tagPatience  = 3                // failures of one registry in one run
	planTagFresh = 10 * time.Minute // the same for a plan, which a person waits for
	planTagTime  = 3 * time.Second
	planTagsTime = 10 * time.Second // all lookups of a plan
)

// ErrTagGone is a registry's word that it has a tag no more.
var ErrTagGone = errors.New("the registry has the tag no more")

// tagged is an image at a tag, or at a digest.
type tagged struct{ image, tag string }

// registry is what stands before the first slash: good enough to leave one alone that does not answer.
func (t tagged) registry() string {
	host, _, _ := strings.Cut(t.image, "/")
	return host
}

// LookUpTagsBy sets how a tag is looked for: the digest it points to, ErrTagGone when the registry says that it
// has it no more, any other error when it could not be asked. Set before use; nil: nobody is asked.
func (c *Cleaner) LookUpTagsBy(look func(ctx context.Context, image, tag string) (digest string, err error)) {
	c.lookUp = look
}

// CheckTags asks registries whether the tags of stale instances are still there. Could not ask is not gone: it
// changes nothing, and those are asked for again after the others.
func (c *Cleaner) CheckTags(ctx context.Context) error {
	if c.lookUp == nil {
		return nil
	}
	first, again, err := c.tagsToCheck(ctx)
	if err != nil {
		return err
	}
	down := quietRegistries{}
	return errors.Join(c.checkTags(ctx, first, &down), c.checkTags(ctx, again, &down), ctx.Err())
}

// checkTags looks for some tags, a few at once. A registry that is down is left alone.
func (c *Cleaner) checkTags(ctx context.Context, tags []tagged, down *quietRegistries) error {
	errs := make([]error, len(tags))
	eachOf(len(tags), tagAtOnce, func(i int) {
		t := tags[i]
		if ctx.Err() != nil || down.has(t.registry()) {
			return
		}
		err := c.lookFor(ctx, t, tagTimeout)
		if err != nil && !errors.Is(err, ErrTagGone) {
			down.add(t.registry())
			c.log.Info("a tag could not be looked for", "image", t.image, "tag", t.tag, "error", err)
			return
		}
		errs[i] = c.settleTag(ctx, t, err != nil)
	})
	return errors.Join(errs...)
}

// tagsToCheck are those whose answer is old, and apart from them, to be asked for when the first are done, those that
// could not be asked for lately: else they could keep a registry from ever being asked for the others.
func (c *Cleaner) tagsToCheck(ctx context.Context) (first, again []tagged, err error) {
	now := time.Now()
	failed := c.unasked.since(now.Add(-tagFresh))
	found, err := c.db.TagsToCheck(ctx, now.Add(-tagFresh), now, tagMost+len(failed))
	if err != nil {
		return nil, nil, fmt.Errorf("find the tags to look for: %w", err)
	}
	for _, f := range found {
		t := tagged{f[0], f[1]}
		if failed[t].IsZero() {
			first = append(first, t)
		} else {
			again = append(again, t)
		}
	}
	slices.SortStableFunc(again, func(a, b tagged) int { return failed[a].Compare(failed[b]) })
	first = first[:min(len(first), tagMost)]
	return first, again[:min(len(again), tagMost-len(first))], nil
}

// lookFor asks once: nil, ErrTagGone, or that it could not be asked.
func (c *Cleaner) lookFor(ctx context.Context, t tagged, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_, err := c.lookUp(ctx, t.image, t.tag)
	c.unasked.note(t, err != nil && !errors.Is(err, ErrTagGone))
	return err
}

// settleTag writes what a registry said of a tag, and tells of what that changes: once in each episode of an instance.
func (c *Cleaner) settleTag(ctx context.Context, t tagged, gone bool) error {
	now := time.Now().UTC()
	var since time.Time
	if gone {
		since = now
	}
	err := c.db.Update(ctx, func(tx *store.Tx) error {
		views, err := tx.StaleWithTag(ctx, t.image, t.tag)
		if err != nil {
			return err
		}
		if err := tx.SetTagChecked(ctx, t.image, t.tag, now, since); err != nil {
			return err
		}
		for _, v := range views {
			if err := tellTag(ctx, tx, v, gone, now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write what became of the tag %s:%s: %w", t.image, t.tag, err)
	}
	return nil
}

func tellTag(ctx context.Context, tx *store.Tx, v store.InstanceView, gone bool, now time.Time) error {
	e := store.Event{
		Time: now, Severity: store.SeverityInfo, Source: store.SourceScanner, Kind: kindTagBack, Actor: "system",
		Message:   fmt.Sprintf("%s (%s/%s): its registry has the tag %s again", v.Name, v.Project, v.Stage, v.ImageTag),
		ProjectID: v.ProjectID, StageID: v.StageID, InstanceID: v.ID, HostID: v.HostID,
		Data: map[string]any{"image": v.Image, "image_tag": v.ImageTag},
	}
	if !gone {
		if v.TagGoneSince.IsZero() {
			return nil
		}
		return tx.Emit(ctx, e)
	}
	told, err := toldOfTag(ctx, tx, v)
	if err != nil || told {
		return err
	}
	e.Severity, e.Kind = store.SeverityWarn, kindTagGone
	e.Message = fmt.Sprintf("%s (%s/%s) is kept: its registry has the tag %s no more, so that it could not be pulled again; removing it needs an explicit yes",
		v.Name, v.Project, v.Stage, v.ImageTag)
	return tx.Emit(ctx, e)
}

const (
	kindTagGone = "instance.tag_gone"
	kindTagBack = "instance.tag_back"
)

// toldOfTag reports whether it was said in this episode already that the tag is gone.
func toldOfTag(ctx context.Context, tx *store.Tx, v store.InstanceView) (bool, error) {
	f := store.EventFilter{InstanceID: v.ID, From: v.StaleSince, Severities: []store.Severity{store.SeverityWarn}}
	for cursor := ""; ; {
		events, next, err := tx.Events(ctx, f, store.Page{Cursor: cursor})
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(events, func(e store.Event) bool { return e.Kind == kindTagGone }) {
			return true, nil
		}
		if cursor = next; cursor == "" {
			return false, nil
		}
	}
}

// lookForTags looks for the tags of a page of instances, as long as the plan has time for that, and returns the page as
// it is then. What could not be asked is said in the plan and protects nothing.
func (d *draft) lookForTags(ctx context.Context, views []store.InstanceView) ([]store.InstanceView, error) {
	ask := d.tagsToAsk(views)
	if len(ask) == 0 {
		return views, nil
	}
	bounded, cancel := context.WithDeadline(ctx, d.tagsUntil)
	defer cancel()
	answers := make([]error, len(ask))
	eachOf(len(ask), tagAtOnce, func(i int) { answers[i] = d.lookForTag(bounded, ask[i]) })
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("look for tags: %w", err)
	}
	for i, t := range ask {
		gone := errors.Is(answers[i], ErrTagGone)
		if answers[i] != nil && !gone {
			d.unasked[t] = answers[i]
			continue
		}
		delete(d.unasked, t)
		if err := d.c.settleTag(ctx, t, gone); err != nil {
			return nil, err
		}
	}
	return d.reread(ctx, views)
}

func (d *draft) lookForTag(ctx context.Context, t tagged) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("no time was left for it: %w", err)
	}
	return d.c.lookFor(ctx, t, planTagTime)
}

// tagsToAsk are those of a page that nobody has asked for lately.
func (d *draft) tagsToAsk(views []store.InstanceView) []tagged {
	if d.c.lookUp == nil {
		return nil
	}
	if d.tagsUntil.IsZero() {
		d.tagsUntil = time.Now().Add(planTagsTime)
	}
	var ask []tagged
	for _, v := range views {
		t := tagged{v.Image, v.ImageTag}
		_, failed := d.unasked[t]
		if v.Image == "" || failed || d.plan.CreatedAt.Sub(believed(v.TagCheckedAt, d.plan.CreatedAt)) < planTagFresh || slices.Contains(ask, t) {
			continue
		}
		ask = append(ask, t)
	}
	return ask
}

// reread brings a page up to what was just written of it; who has gone meanwhile is left out.
func (d *draft) reread(ctx context.Context, views []store.InstanceView) ([]store.InstanceView, error) {
	now := make([]store.InstanceView, 0, len(views))
	for _, v := range views {
		v, err := d.c.db.Instance(ctx, v.ID)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read an instance again: %w", err)
		}
		now = append(now, v)
	}
	return now, nil
}

// tagWords is what a plan says of the tag of an instance, if anything.
func (d *draft) tagWords(v store.InstanceView) string {
	switch err := d.unasked[tagged{v.Image, v.ImageTag}]; {
	case err != nil:
		return fmt.Sprintf("whether its registry still has the tag %s could not be asked: %v", v.ImageTag, err)
	case !v.TagGoneSince.IsZero():
		return fmt.Sprintf("its registry has the tag %s no more (since %s or before): only an undo from its archive brings it back", v.ImageTag, moment(v.TagGoneSince))
	}
	return ""
}

// tries remembers which tags could not be asked for, and when.
type tries struct {
	mu   sync.Mutex
	when map[tagged]time.Time
}

func (t *tries) note(tag tagged, failed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !failed {
		delete(t.when, tag)
		return
	}
	if t.when == nil {
		t.when = map[tagged]time.Time{}
	}
	t.when[tag] = time.Now()
}

// since returns the tries from a moment on and forgets those before.
func (t *tries) since(from time.Time) map[tagged]time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	recent := make(map[tagged]time.Time, len(t.when))
	for tag, at := range t.when {
		if at.Before(from) {
			delete(t.when, tag)
			continue
		}
		recent[tag] = at
	}
	return recent
}

// quietRegistries counts the failures of registries in one run: who fails again and again is left alone until the next.
type quietRegistries struct {
	mu     sync.Mutex
	failed map[string]int
}

func (q *quietRegistries) has(name string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.failed[name] >= tagPatience
}

func (q *quietRegistries) add(name string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.failed == nil {
		q.failed = map[string]int{}
	}
	q.failed[name]++
}

// heeded is what protects an instance from a cleanup to which somebody has, or has not, said yes to tags that are gone.
func heeded(i *store.Instance, now time.Time, tagGoneYes bool) store.Protection {
	p := i.Protection(now)
	if tagGoneYes && p.Kind == store.ProtectionTagGone {
		return store.Protection{}
	}
	return p
}
