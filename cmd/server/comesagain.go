package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/poll"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// comesAgain reports whether work that was told of, and of which nothing is known since the start, is to be done yet: its host is in use, though its
// engine may not even be asked, or stages follow a registry that is not due for days.
func (w *selfWatch) comesAgain(ctx context.Context, t store.Told) (bool, error) {
	if t.HostID != "" {
		h, err := w.db.Host(ctx, t.HostID)
		if errors.Is(err, store.ErrNotFound) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("look whether %s is still to be done on its host: %w", t.Name, err)
		}
		return h.DisabledSince.IsZero(), nil
	}
	registry, polls := strings.CutPrefix(t.Name, workOn{pollWork, ""}.name()+" of ")
	if !polls {
		return false, nil
	}
	images, err := w.db.FollowedImages(ctx)
	if err != nil {
		return false, fmt.Errorf("look whether %s is still to be polled: %w", registry, err)
	}
	return slices.ContainsFunc(images, func(image string) bool { return poll.RegistryOf(image) == registry }), nil
}

// forget drops what is known of work that is over: at once where it went well, else when it does not come again. Polls may be days apart.
func (w *selfWatch) forget(ctx context.Context) error {
	for _, on := range w.over() {
		comes, err := w.comesAgain(ctx, store.Told{Name: on.name(), HostID: on.hostID()})
		if err != nil {
			return err
		}
		if !comes {
			w.drop(on)
		}
	}
	return nil
}

// over drops work that is over and went well, and returns what is over and failed.
func (w *selfWatch) over() (failed []workOn) {
	now := wall(time.Now())
	w.mu.Lock()
	defer w.mu.Unlock()
	for on, s := range w.works {
		switch {
		case !s.past(now):
		case s.failures > 0:
			failed = append(failed, on)
		default:
			delete(w.works, on)
		}
	}
	return failed
}

// drop forgets work, unless it came meanwhile.
func (w *selfWatch) drop(on workOn) {
	now := wall(time.Now())
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.works[on]; s != nil && s.past(now) {
		delete(w.works, on)
	}
}
