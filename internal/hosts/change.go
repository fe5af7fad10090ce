package hosts

import (
	"context"
	"fmt"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// answerTimeout is how long an engine may think before it is taken for one that does not answer.
const answerTimeout = 5 * time.Second

// rewrite is a change of what people say of a host.
type rewrite struct {
	before    store.Host
	former, f Facts
	by        By
	moved     bool // it is reached otherwise: the rest is of that
	report    Report
	away      bool           // its engine does not answer
	engine    *docker.Engine // to be in use from then on; nil: the host is out of use
}

// Update changes what people say of a host, if its revision is still the one given. Of how it is reached, only while nothing is
// under way on it, or while its engine does not answer.
func (k *Keeper) Update(ctx context.Context, id string, revision int64, c Change, untested bool, by By) (store.Host, error) {
	h, former, err := k.facts(ctx, id)
	if err != nil {
		return h, err
	}
	if h.Name == store.LocalHost {
		return h, fmt.Errorf("change host %s: %w: change the flag and start the daemon anew", h.Name, ErrManaged)
	}
	w := rewrite{before: h, former: former, by: by}
	if w.f, err = former.with(c).checked(true); err != nil {
		return h, fmt.Errorf("change host %s: %w", h.Name, err)
	}
	if err := k.prepare(ctx, &w, untested); err != nil {
		return h, fmt.Errorf("change host %s: %w", h.Name, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	h.Name, h.Endpoint, h.Access, h.Revision = w.f.Name, w.f.Endpoint, w.f.access(), revision
	if err := k.db.Update(ctx, func(tx *store.Tx) error { return w.write(ctx, tx, h) }); err != nil {
		k.close(ctx, id, w.engine)
		return w.before, fmt.Errorf("change host %s: %w", w.before.Name, err)
	}
	if w.engine != nil {
		k.enter(ctx, id, w.engine)
	}
	return h, nil
}

// prepare does all of a change that may fail before anything is written.
func (k *Keeper) prepare(ctx context.Context, w *rewrite, untested bool) (err error) {
	rerouted := w.f
	rerouted.Name = w.former.Name
	if w.moved = rerouted != w.former; !w.moved {
		return nil
	}
	inUse := w.before.DisabledSince.IsZero()
	if w.report, err = k.usable(ctx, w.f, untested || !inUse, w.by); err != nil {
		return err
	}
	if w.away, err = k.away(ctx, w.before); err != nil || !inUse {
		return err
	}
	w.engine, err = k.engine(w.f)
	return err
}

func (w *rewrite) write(ctx context.Context, tx *store.Tx, h store.Host) error {
	var left store.HostUse
	if w.moved {
		var err error
		if left, err = idle(ctx, tx, w.before, w.away); err != nil {
			return err
		}
	}
	if err := tx.SetHostAccess(ctx, h); err != nil {
		return err
	}
	if err := tx.SetHostSecrets(ctx, h.ID, w.f.secrets()); err != nil {
		return err
	}
	if w.before.Endpoint != h.Endpoint && !w.sameEngine(left) {
		if err := freeze(ctx, tx, h.ID); err != nil {
			return err
		}
	}
	return tx.Emit(ctx, leaving(changed(w.before, h, w.former, w.f, w.by), left))
}

// sameEngine reports whether the engine at another endpoint was seen to be the one of before, or nothing of ours can be on that:
// an engine that knows none of ours would have them all look gone. Engines that do not say who they are, such as podman,
// cannot be told apart.
func (w *rewrite) sameEngine(left store.HostUse) bool {
	seen := w.report.OK() && w.report.Info.EngineID != "" && w.report.Info.EngineID == w.before.EngineID && w.report.Info.DataRoot == w.before.DataRoot
	return seen || w.before.LastScanAt.IsZero() && !left.Busy()
}

// freeze has nothing on a host judged or touched until an admin accepts who answers there.
func freeze(ctx context.Context, tx *store.Tx, id string) error {
	host, err := tx.Host(ctx, id)
	if err != nil {
		return err
	}
	host.FrozenSince, host.FrozenReason = time.Now().UTC(), store.FrozenEngineChanged
	return tx.UpdateHost(ctx, host)
}

// away reports that the engine of a host on which something is under way does not answer as the host is reached now. Nothing there
// comes to an end then, and nothing is torn by another way to it: what is under way has its host, its container's full id and
// its engine written down, and is taken up again only where that engine answers.
func (k *Keeper) away(ctx context.Context, h store.Host) (bool, error) {
	use, err := k.db.UseOfHost(ctx, h.ID, time.Now())
	if err != nil || !use.Busy() {
		return false, err
	}
	e, err := k.fleet.Engine(h.ID)
	if err != nil { // it is out of use, or cannot be reached at all as it is written down
		return true, nil
	}
	bounded, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	info, err := e.Info(bounded)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	another := h.FrozenReason == store.FrozenEngineChanged || h.EngineID != "" && (info.EngineID != h.EngineID || info.DataRoot != h.DataRoot)
	return err != nil || another, nil
}

// idle is ErrBusy while something is under way on a host that would be torn from it. Where its engine is away it returns what is
// left under way.
func idle(ctx context.Context, tx *store.Tx, h store.Host, away bool) (store.HostUse, error) {
	use, err := tx.UseOfHost(ctx, h.ID, time.Now())
	if err != nil || !use.Busy() {
		return store.HostUse{}, err
	}
	if !away {
		return store.HostUse{}, fmt.Errorf("%w: %s; wait until that has ended", ErrBusy, underWay(use))
	}
	return use, nil
}
