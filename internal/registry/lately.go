package registry

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// listFresh is for how long a list of tags is good enough to look for others in it.
	listFresh = time.Minute
	// mostListed is how long a list may be that is kept.
	mostListed = 20_000
)

// lately are the lists of tags of the last minute, so that many tags of one repository that are gone cost one list.
type lately struct {
	mu sync.Mutex
	of map[string]listing // by image
}

type listing struct {
	tags []string // sorted
	at   time.Time
}

// has reports whether a repository lists a tag. A digest is in no list; it is enough that there is one.
func (l *lately) has(ctx context.Context, r *Registries, image, tag string) (bool, error) {
	tags, known := l.recall(image, time.Now())
	if !known {
		var err error
		if tags, err = r.Tags(ctx, image); err != nil {
			return false, err
		}
		slices.Sort(tags)
		l.keep(image, listing{tags, time.Now()})
	}
	if strings.HasPrefix(tag, "sha256:") {
		return false, nil
	}
	_, there := slices.BinarySearch(tags, tag)
	return there, nil
}

func (l *lately) recall(image string, now time.Time) ([]string, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.of, func(_ string, k listing) bool { return now.Sub(k.at) > listFresh })
	k, known := l.of[image]
	return k.tags, known
}

func (l *lately) keep(image string, k listing) {
	if len(k.tags) > mostListed {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.of[image] = k
}
