package stale

import (
	"context"
	"errors"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// digestAbove is how many may become stale in one scan before those who are told of things get one piece of news.
const digestAbove = 10

// seen is how an instance was looked at.
type seen struct {
	gen    int // of the stream in which this is the whole truth; 0: it is not known to be
	answer answer
}

// write is all that one pass has to write, in one transaction.
type write struct {
	host    string
	at      time.Time // engine's clock, now
	listed  time.Time // engine's clock, when it was asked for its lists
	touch   bool      // those that run were seen running then
	except  []string  // but these
	checked []string  // those that were asked about and are as we knew them
	changes []change
	seen    map[string]seen

	written map[string]store.Instance // by id, as the store has them now
	lost    map[string]bool           // those that somebody else was at
}

// add takes a change in, if there is anything to write. That an inspect was made is worth a note too: it
// is from when on a row can be relied upon.
func (w *write) add(c change, asked bool) {
	switch {
	case c.differs():
		w.changes = append(w.changes, c)
	case asked:
		w.checked = append(w.checked, c.next.ID)
	}
}

// digest marks the warnings of a scan that found so many that they are told of at once.
func (w *write) digest(run store.ScanRun) {
	var warnings []*store.Event
	for i := range w.changes {
		for j := range w.changes[i].events {
			if ev := &w.changes[i].events[j]; ev.Kind == "instance.stale" {
				warnings = append(warnings, ev)
			}
		}
	}
	if len(warnings) <= digestAbove {
		return
	}
	for _, ev := range warnings {
		ev.Data["digest"] = map[string]any{"scan_id": run.ID, "count": len(warnings)}
	}
}

// commit writes it all. An instance that somebody else changed meanwhile is left for the next pass; the others go on.
func (w *write) commit(ctx context.Context, db *store.DB, more func(context.Context, *store.Tx) error) error {
	return db.Update(ctx, func(tx *store.Tx) error {
		w.written, w.lost = make(map[string]store.Instance, len(w.changes)), map[string]bool{}
		var events []store.Event
		for _, c := range w.changes {
			next := c.next
			err := tx.RecordInstance(ctx, c.prev, &next, w.at)
			if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrBadTransition) {
				w.lost[next.ID] = true
				continue
			}
			if err != nil {
				return err
			}
			w.written[next.ID] = next
			events = append(events, c.events...)
		}
		if len(w.checked) > 0 {
			if err := tx.TouchChecked(ctx, w.checked, w.listed); err != nil {
				return err
			}
		}
		if w.touch {
			if err := tx.TouchRunning(ctx, w.host, w.listed, append(w.except, keys(w.lost)...)); err != nil {
				return err
			}
		}
		if more != nil {
			if err := more(ctx, tx); err != nil {
				return err
			}
		}
		if len(events) == 0 {
			return nil
		}
		return tx.Emit(ctx, events...)
	})
}

func keys(m map[string]bool) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	return out
}

// remember brings the memory up to what was written.
func (w *write) remember(m *memory, db *store.DB) {
	m.account(db, len(w.written) > 0)
	if len(w.lost) > 0 {
		m.writes = -1 // somebody else was at them: read them anew
	}
	for id, next := range w.written {
		if e, ok := m.byID[id]; ok {
			e.view.Instance = next
			e.foresee()
		}
	}
	for _, id := range w.checked {
		if e, ok := m.byID[id]; ok {
			e.view.CheckedAt = stamp(w.listed)
		}
	}
	for id, s := range w.seen {
		e, ok := m.byID[id]
		if !ok {
			continue
		}
		e.gen = s.gen
		if w.lost[id] {
			e.gen = 0
			e.view.Revision = -1 // read it anew
			continue
		}
		if s.answer.err != nil {
			continue
		}
		e.run = e.run.seenAs(e.view.Instance, s.answer.c)
		if e.view.Status == store.StatusRestarting {
			e.due = lookAgain(s.answer)
		}
	}
	for id := range w.lost {
		if e, ok := m.byID[id]; ok {
			e.gen, e.view.Revision = 0, -1
		}
	}
}

// lookAgain is when one in a crash loop must be looked at again although no event will say so: when the
// run that goes on has lasted, or when the engine should have begun another.
func lookAgain(a answer) time.Time {
	if a.c.State == docker.StateRestarting {
		return time.Time{} // an event will tell of its next start
	}
	return time.Now().Add(shortRun - a.at.Sub(laterOf(a.c.StartedAt, a.c.FinishedAt)))
}
