package poll

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/guard"
	"github.com/tiny-forge/docker-watcher/internal/tagrule"
)

// Registry is what is asked for tags. Its errors say what was asked and that there was no answer; they are never read as
// that it has no tags.
type Registry interface {
	// Tags lists the tags of a repository, whole or not at all.
	Tags(ctx context.Context, image string) ([]string, error)
	// Digest is what a tag points to now. It costs a HEAD. ErrNoImage: the registry says that there is nothing at it.
	Digest(ctx context.Context, image, tag string) (string, error)
	// Created is when the image at a tag or a sha256 digest was made, as its builder says; a zero time from the registry is
	// answered as the epoch. ErrNoImage: the registry says that there is nothing at it.
	Created(ctx context.Context, image, tag string) (time.Time, error)
}

// ErrNoImage is a registry's own word that there is no image at a tag, which it may list all the same: what was pushed in
// part, or deleted meanwhile. Such a tag is left out, and holds up no other.
var ErrNoImage = errors.New("the registry has no image at the tag")

// Refused is an error of a registry that wants to be left alone.
type Refused struct {
	Until time.Time
	Err   error
}

func (r Refused) Error() string { return r.Err.Error() }

// Unwrap is what the registry said.
func (r Refused) Unwrap() error { return r.Err }

const (
	// mostAges bounds how many images one look asks when they were made; the next look goes on from there.
	mostAges = 100
	// agesAtOnce is how many of them at once.
	agesAtOnce = 4
	// ageFresh is after how long the age of a tag's image is asked again: a tag may be pushed again. Until then, and until
	// its turn has come, the old answer counts.
	ageFresh = 24 * time.Hour
	// mostRefreshed bounds how many old answers one look asks again.
	mostRefreshed = 20
	// mostKept bounds how many ages are remembered.
	mostKept = 50_000
	// emptyFresh is after how long a tag that had no image is asked for again.
	emptyFresh = time.Hour
	// mostEmpty bounds how many tags without an image one look leaves out.
	mostEmpty = 20
)

// Looker asks a registry what a rule must know, and remembers when images were made.
type Looker struct {
	registry Registry
	ages     ages
}

// NewLooker asks a registry; it asks nothing yet.
func NewLooker(registry Registry) *Looker {
	return &Looker{registry: registry, ages: ages{of: map[string]map[string]age{}}}
}

// keepOnly forgets what is remembered of other repositories.
func (l *Looker) keepOnly(images []string) { l.ages.keepOnly(images) }

// Visit lists the tags of a repository. All that is asked during the visit is asked once.
func (l *Looker) Visit(ctx context.Context, image string) (*Visit, error) {
	tags, err := l.registry.Tags(ctx, image)
	if err != nil {
		return nil, err
	}
	l.ages.keepTags(image, tags, time.Now())
	return &Visit{looker: l, Image: image, Tags: tags, heads: map[string]func() (string, error){}, empty: map[string]bool{}}, nil
}

// Visit is one visit to a repository, for all who follow it. It is safe for concurrent use.
type Visit struct {
	Image string
	Tags  []string

	looker *Looker
	mu     sync.Mutex
	heads  map[string]func() (string, error)
	empty  map[string]bool // tags of which the registry says that it has no image
}

// Question is what one stage wants to know.
type Question struct {
	Rule   *tagrule.Matcher
	MinAge time.Duration
	// Seen is a tag whose image, with this digest where the rule follows digests, was first seen at a moment.
	Seen Sighting
	// Known is a tag whose digest need not be asked for again. A rule that follows digests always asks.
	Known Sighting
}

// restsOnAge reports whether the answer depends on when images were made.
func (q Question) restsOnAge() bool { return q.MinAge > 0 || q.Rule.Rule().Order == tagrule.ByCreated }

// Sighting is an image at a tag.
type Sighting struct {
	Tag, Digest string
	At          time.Time
}

// Finding is the verdict of a rule, and the digest of what is ready.
type Finding struct {
	tagrule.Verdict
	// Digest of the tag that is ready or, of a rule that follows digests, of its tag; empty: none, or not asked for.
	Digest string
	// Each are the tags that a stage is to run side by side, newest first; only LookAtEach finds them.
	Each []Sighting
}

// Look judges the tags by a rule. It asks for digests and for the age of images only as far as the answer rests on them.
func (v *Visit) Look(ctx context.Context, q Question, now time.Time) (Finding, error) {
	look := v.lookOnce
	if q.Rule.Rule().Kind == tagrule.Moving {
		look = v.lookAtDigest
	}
	left := mostAges
	for tries := 1; ; tries++ {
		found, tag, err := look(ctx, q, now, &left)
		if !errors.Is(err, ErrNoImage) || tries > mostEmpty {
			return v.tellEmpty(q, found), err
		}
		v.leaveOut(tag, now)
	}
}

// lookOnce looks at the tags that are not left out. Left is how many ages may still be asked for. Of ErrNoImage it says of which tag.
func (v *Visit) lookOnce(ctx context.Context, q Question, now time.Time, left *int) (found Finding, tag string, err error) {
	verdict, tag, err := v.judge(ctx, q, v.tags(q.Seen, now), "", now, left)
	switch {
	case err != nil:
		return Finding{}, tag, err
	case verdict.Ready == "":
		return Finding{Verdict: verdict}, "", nil
	case verdict.Ready == q.Known.Tag && q.Known.Digest != "":
		return Finding{Verdict: verdict, Digest: q.Known.Digest}, "", nil
	}
	digest, err := v.digest(ctx, verdict.Ready)
	if err != nil {
		return Finding{}, verdict.Ready, err
	}
	return Finding{Verdict: verdict, Digest: digest}, "", nil
}

// lookAtDigest looks for a rule that follows what one tag points to: it is the image at that digest that has an age.
func (v *Visit) lookAtDigest(ctx context.Context, q Question, now time.Time, left *int) (found Finding, tag string, err error) {
	there := q.Rule.Judge(v.tags(Sighting{}, now), 0, now)
	if there.Ready == "" {
		return Finding{Verdict: there}, "", nil
	}
	digest, err := v.digest(ctx, there.Ready)
	if err != nil {
		return Finding{}, there.Ready, err
	}
	at := tagrule.Tag{Name: there.Ready, Created: v.looker.ages.recall(v.Image, digest)}
	if q.Seen.Tag == at.Name && q.Seen.Digest == digest {
		at.Seen = q.Seen.At
	}
	verdict, tag, err := v.judge(ctx, q, []tagrule.Tag{at}, digest, now, left)
	if err != nil {
		return Finding{}, tag, err
	}
	verdict.Others = there.Others
	return Finding{Verdict: verdict, Digest: digest}, "", nil
}

// leaveOut has a tag left out that the registry has no image for, in this visit and for a while.
func (v *Visit) leaveOut(tag string, now time.Time) {
	v.looker.ages.note(v.Image, tag, age{asked: now, empty: true})
	v.mu.Lock()
	defer v.mu.Unlock()
	v.empty[tag] = true
}

// tellEmpty says which tags were left out that the rule would take.
func (v *Visit) tellEmpty(q Question, found Finding) Finding {
	v.mu.Lock()
	defer v.mu.Unlock()
	var names []string
	for name := range v.empty {
		if q.Rule.Takes(name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return found
	}
	slices.Sort(names)
	for _, name := range names {
		found.Others = append(found.Others, tagrule.Judged{Tag: tagrule.Tag{Name: name}, Why: "the registry lists it and has no image for it"})
	}
	found.Why += "; left out, as the registry lists it and has no image for it: " + names[0]
	if more := len(names) - 1; more > 0 {
		found.Why += fmt.Sprintf(" and %d more", more)
	}
	return found
}

// tags are those of the repository with what is remembered of them, without those that are left out.
func (v *Visit) tags(seen Sighting, now time.Time) []tagrule.Tag {
	remembered := v.looker.ages.all(v.Image, now)
	v.mu.Lock()
	defer v.mu.Unlock()
	tags := make([]tagrule.Tag, 0, len(v.Tags))
	for _, name := range v.Tags {
		a := remembered[name]
		if a.empty {
			v.empty[name] = true
		}
		if v.empty[name] {
			continue
		}
		t := tagrule.Tag{Name: name, Created: a.made}
		if name == seen.Tag {
			t.Seen = seen.At
		}
		tags = append(tags, t)
	}
	return tags
}

// judge asks for the ages that the verdict needs, until it needs none or enough was asked. Digest is of the only tag of a
// rule that follows digests. Of ErrNoImage it says of which tag.
func (v *Visit) judge(ctx context.Context, q Question, tags []tagrule.Tag, digest string, now time.Time, left *int) (verdict tagrule.Verdict, tag string, err error) {
	at := make(map[string]int, len(tags))
	for i, t := range tags {
		at[t.Name] = i
	}
	refreshed := digest != "" || !q.restsOnAge() // the image at a digest never changes
	for {
		verdict := q.Rule.Judge(tags, q.MinAge, now)
		ask := verdict.Needs[:min(len(verdict.Needs), *left)]
		if len(ask) == 0 && !refreshed {
			refreshed, ask = true, v.looker.ages.old(v.Image, verdict.Matched, now)
			ask = ask[:min(len(ask), *left)]
		}
		if len(ask) == 0 {
			return verdict, "", nil
		}
		*left -= len(ask)
		made, tag, err := v.askAges(ctx, ask, digest, now)
		if err != nil {
			return tagrule.Verdict{}, tag, err
		}
		for i, name := range ask {
			tags[at[name]].Created = made[i]
		}
	}
}

// askAges asks when images were made, a few at once. What is known of the others is kept also when one has no image.
func (v *Visit) askAges(ctx context.Context, tags []string, digest string, now time.Time) (made []time.Time, tag string, err error) {
	made, errs := make([]time.Time, len(tags)), make([]error, len(tags))
	eachOf(len(tags), agesAtOnce, func(i int) {
		ref := tags[i]
		if digest != "" {
			ref = digest
		}
		made[i], errs[i] = v.looker.ask(ctx, v.Image, ref, now)
		if errors.Is(errs[i], ErrNoImage) {
			v.leaveOut(tags[i], now)
		}
	})
	for i, failed := range errs {
		switch {
		case failed == nil:
		case !errors.Is(failed, ErrNoImage):
			return nil, tags[i], failed
		case tag == "":
			tag, err = tags[i], failed
		}
	}
	return made, tag, err
}

// digest asks what a tag points to, once in a visit.
func (v *Visit) digest(ctx context.Context, tag string) (string, error) {
	v.mu.Lock()
	head, asked := v.heads[tag]
	if !asked {
		head = sync.OnceValues(func() (string, error) { return v.looker.registry.Digest(ctx, v.Image, tag) })
		v.heads[tag] = head
	}
	v.mu.Unlock()
	digest, err := head()
	switch {
	case err != nil:
		return "", err
	case !strings.HasPrefix(digest, "sha256:"):
		return "", fmt.Errorf("look up %s:%s: its registry answered without a digest", v.Image, tag)
	}
	return digest, nil
}

// ask asks when an image was made, and remembers it.
func (l *Looker) ask(ctx context.Context, image, ref string, now time.Time) (time.Time, error) {
	made, err := l.registry.Created(ctx, image, ref)
	if err != nil {
		return time.Time{}, err
	}
	if made.IsZero() {
		made = time.Unix(0, 0).UTC()
	}
	l.ages.note(image, ref, age{made: made, asked: now})
	return made, nil
}

// eachOf calls fn for 0 to n-1, some of them at once.
func eachOf(n, atOnce int, fn func(int)) {
	var g guard.Group
	slots := make(chan struct{}, atOnce)
	for i := range n {
		slots <- struct{}{}
		g.Go(func() {
			defer func() { <-slots }()
			fn(i)
		})
	}
	g.Wait()
}
