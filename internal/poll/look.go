package poll

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/tagrule"
)

// Registry is what is asked for tags. Its errors say what was asked and that there was no answer; they are never read as
// that it has no tags.
type Registry interface {
	// Tags lists the tags of a repository, whole or not at all.
	Tags(ctx context.Context, image string) ([]string, error)
	// Digest is what a tag points to now. It costs a HEAD.
	Digest(ctx context.Context, image, tag string) (string, error)
	// Created is when the image at a tag or a sha256 digest was made, as its builder says; a zero time from the registry is
	// answered as the epoch.
	Created(ctx context.Context, image, tag string) (time.Time, error)
}

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
)

// Looker asks a registry what a rule must know, and remembers when images were made.
type Looker struct {
	registry Registry
	mu       sync.Mutex
	made     map[place]age
}

// place is a tag or a digest of a repository.
type place struct{ image, ref string }

type age struct{ made, asked time.Time }

// NewLooker asks a registry; it asks nothing yet.
func NewLooker(registry Registry) *Looker {
	return &Looker{registry: registry, made: map[place]age{}}
}

// Visit lists the tags of a repository. All that is asked during the visit is asked once.
func (l *Looker) Visit(ctx context.Context, image string) (*Visit, error) {
	tags, err := l.registry.Tags(ctx, image)
	if err != nil {
		return nil, err
	}
	return &Visit{looker: l, Image: image, Tags: tags, heads: map[string]func() (string, error){}}, nil
}

// Visit is one visit to a repository, for all who follow it. It is safe for concurrent use.
type Visit struct {
	Image string
	Tags  []string

	looker *Looker
	mu     sync.Mutex
	heads  map[string]func() (string, error)
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
}

// Look judges the tags by a rule. It asks for digests and for the age of images only as far as the answer rests on them.
func (v *Visit) Look(ctx context.Context, q Question, now time.Time) (Finding, error) {
	if q.Rule.Rule().Kind == tagrule.Moving {
		return v.lookAtDigest(ctx, q, now)
	}
	verdict, err := v.judge(ctx, q, v.tags(q.Seen), "", now)
	switch {
	case err != nil:
		return Finding{}, err
	case verdict.Ready == "":
		return Finding{Verdict: verdict}, nil
	case verdict.Ready == q.Known.Tag && q.Known.Digest != "":
		return Finding{verdict, q.Known.Digest}, nil
	}
	digest, err := v.digest(ctx, verdict.Ready)
	if err != nil {
		return Finding{}, err
	}
	return Finding{verdict, digest}, nil
}

// lookAtDigest looks for a rule that follows what one tag points to: it is the image at that digest that has an age.
func (v *Visit) lookAtDigest(ctx context.Context, q Question, now time.Time) (Finding, error) {
	there := q.Rule.Judge(v.tags(Sighting{}), 0, now)
	if there.Ready == "" {
		return Finding{Verdict: there}, nil
	}
	digest, err := v.digest(ctx, there.Ready)
	if err != nil {
		return Finding{}, err
	}
	tag := tagrule.Tag{Name: there.Ready, Created: v.looker.recall(place{v.Image, digest})}
	if q.Seen.Tag == tag.Name && q.Seen.Digest == digest {
		tag.Seen = q.Seen.At
	}
	verdict, err := v.judge(ctx, q, []tagrule.Tag{tag}, digest, now)
	if err != nil {
		return Finding{}, err
	}
	verdict.Others = there.Others
	return Finding{verdict, digest}, nil
}

// tags are those of the repository with what is remembered of them.
func (v *Visit) tags(seen Sighting) []tagrule.Tag {
	tags := make([]tagrule.Tag, 0, len(v.Tags))
	for _, name := range v.Tags {
		t := tagrule.Tag{Name: name, Created: v.looker.recall(place{v.Image, name})}
		if name == seen.Tag {
			t.Seen = seen.At
		}
		tags = append(tags, t)
	}
	return tags
}

// judge asks for the ages that the verdict needs, until it needs none or enough was asked. Digest is of the only tag of a
// rule that follows digests.
func (v *Visit) judge(ctx context.Context, q Question, tags []tagrule.Tag, digest string, now time.Time) (tagrule.Verdict, error) {
	at := make(map[string]int, len(tags))
	for i, t := range tags {
		at[t.Name] = i
	}
	refreshed := digest != "" || !q.restsOnAge() // the image at a digest never changes
	for left := mostAges; ; {
		verdict := q.Rule.Judge(tags, q.MinAge, now)
		ask := verdict.Needs[:min(len(verdict.Needs), left)]
		if len(ask) == 0 && !refreshed {
			refreshed, ask = true, v.looker.old(v.Image, verdict.Matched, now)
			ask = ask[:min(len(ask), left)]
		}
		if len(ask) == 0 {
			return verdict, nil
		}
		left -= len(ask)
		made, err := v.ages(ctx, ask, digest, now)
		if err != nil {
			return tagrule.Verdict{}, err
		}
		for i, name := range ask {
			tags[at[name]].Created = made[i]
		}
	}
}

// ages asks when images were made, a few at once.
func (v *Visit) ages(ctx context.Context, tags []string, digest string, now time.Time) ([]time.Time, error) {
	made, errs := make([]time.Time, len(tags)), make([]error, len(tags))
	eachOf(len(tags), agesAtOnce, func(i int) {
		ref := tags[i]
		if digest != "" {
			ref = digest
		}
		made[i], errs[i] = v.looker.ask(ctx, place{v.Image, ref}, now)
	})
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return made, nil
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
func (l *Looker) ask(ctx context.Context, p place, now time.Time) (time.Time, error) {
	made, err := l.registry.Created(ctx, p.image, p.ref)
	if err != nil {
		return time.Time{}, err
	}
	if made.IsZero() {
		made = time.Unix(0, 0).UTC()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.made) >= mostKept {
		clear(l.made)
	}
	l.made[p] = age{made, now}
	return made, nil
}

// recall is when an image was made, if that was ever asked; else zero.
func (l *Looker) recall(p place) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.made[p].made
}

// old are some of the tags whose age was asked too long ago.
func (l *Looker) old(image string, tags []tagrule.Judged, now time.Time) (names []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range tags {
		a, known := l.made[place{image, t.Name}]
		if known && now.Sub(a.asked) > ageFresh && len(names) < mostRefreshed {
			names = append(names, t.Name)
		}
	}
	return names
}

// eachOf calls fn for 0 to n-1, some of them at once.
func eachOf(n, atOnce int, fn func(int)) {
	var g sync.WaitGroup
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
