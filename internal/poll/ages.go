package poll

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/tagrule"
)

// digestFresh is for how long it is remembered when the image at a digest was made.
const digestFresh = 30 * 24 * time.Hour

// ages is what is remembered of images: when they were made. Of a repository that is not followed any more, and of a tag
// that it has no more, it is forgotten.
type ages struct {
	mu   sync.Mutex
	of   map[string]map[string]age // by repository, then by tag or digest
	kept int
}

// age is what a registry said of the image at a tag or digest.
type age struct {
	made, asked time.Time
	empty       bool // it has none
}

func (a *ages) note(image, ref string, got age) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.kept >= mostKept {
		clear(a.of)
		a.kept = 0
	}
	if a.of[image] == nil {
		a.of[image] = map[string]age{}
	}
	if _, known := a.of[image][ref]; !known {
		a.kept++
	}
	a.of[image][ref] = got
}

// old reports whether it was asked so long ago, or while the clock ran ahead.
func (g age) old(after time.Duration, now time.Time) bool {
	return now.Sub(g.asked) > after || store.DatedAhead(g.asked, now)
}

// recall is when an image was made, if that was ever asked; else zero.
func (a *ages) recall(image, ref string) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.of[image][ref].made
}

// all is what is remembered of a repository, without what is to be asked for again.
func (a *ages) all(image string, now time.Time) map[string]age {
	a.mu.Lock()
	defer a.mu.Unlock()
	found := maps.Clone(a.of[image])
	maps.DeleteFunc(found, func(_ string, g age) bool { return g.empty && g.old(emptyFresh, now) })
	return found
}

// old are some of the tags whose age was asked too long ago.
func (a *ages) old(image string, tags []tagrule.Judged, now time.Time) (names []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range tags {
		g, known := a.of[image][t.Name]
		if known && g.old(ageFresh, now) && len(names) < mostRefreshed {
			names = append(names, t.Name)
		}
	}
	return names
}

// keepTags forgets the tags that a repository has no more, and digests that were asked for long ago.
func (a *ages) keepTags(image string, tags []string, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.of[image]) == 0 {
		return
	}
	there := make(map[string]bool, len(tags))
	for _, name := range tags {
		there[name] = true
	}
	a.forget(image, func(ref string, g age) bool {
		return there[ref] || strings.HasPrefix(ref, "sha256:") && !g.old(digestFresh, now)
	})
}

// keepOnly forgets all other repositories.
func (a *ages) keepOnly(images []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for image := range a.of {
		if !slices.Contains(images, image) {
			a.forget(image, func(string, age) bool { return false })
		}
	}
}

func (a *ages) forget(image string, keep func(ref string, g age) bool) {
	before := len(a.of[image])
	maps.DeleteFunc(a.of[image], func(ref string, g age) bool { return !keep(ref, g) })
	a.kept -= before - len(a.of[image])
	if len(a.of[image]) == 0 {
		delete(a.of, image)
	}
}
