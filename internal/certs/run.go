package certs

import (
	"context"
	"crypto/x509"
	"sync"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/guard"
)

const (
	leastPause = 100 * time.Millisecond // whatever is due next
	lookEvery  = time.Hour              // at most: timers stand still while the machine sleeps, and do not see that its clock is set
)

// Run gets and renews certificates until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	var orders sync.WaitGroup
	defer orders.Wait()
	places := make(chan struct{}, atOnce)
	for {
		at, events := k.pass(time.Now(), func(h *held) {
			orders.Go(func() {
				select {
				case places <- struct{}{}:
					defer func() { <-places }()
				case <-ctx.Done():
				}
				k.ask(ctx, h)
			})
		})
		for _, e := range events {
			k.o.Told(e)
		}
		if !k.sleep(ctx, at) {
			return nil
		}
	}
}

// sleep waits until a moment (zero: there is none) or until something has changed, or until the clock is to be looked at; false: ctx has ended.
func (k *Keeper) sleep(ctx context.Context, at time.Time) bool {
	long := lookEvery
	if !at.IsZero() {
		long = min(max(time.Until(at), leastPause), lookEvery)
	}
	timer := time.NewTimer(long)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-k.kick:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// pass does what is due, has the authority asked where that takes time, and says when something is due next.
func (k *Keeper) pass(now time.Time, ask func(*held)) (at time.Time, events []Event) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.forget()
	for _, h := range k.held {
		if h.busy {
			continue
		}
		if k.due(h, now) {
			h.wanted, h.again = h.again, false
			if h.id.Mode == Auto {
				h.busy = true
				ask(h)
				continue
			}
			events = append(events, k.vouch(h, now)...)
		}
		events = append(events, k.warn(h, now)...)
		if n := k.next(h, now); !n.IsZero() && (at.IsZero() || n.Before(at)) {
			at = n
		}
	}
	k.serve()
	return at, events
}

// due tells that a certificate has to be got now.
func (k *Keeper) due(h *held, now time.Time) bool {
	switch {
	case h.id.Mode == Own:
		return false
	case h.again:
		return true
	case now.Before(h.saved.notBefore(now)):
		return false
	case h.pair == nil || h.id.Mode == Auto && (k.foreign(h) || k.wishDue(h, now)):
		return true
	}
	leaf := h.pair.Leaf
	if h.id.Mode != Auto && leaf.NotBefore.After(now) {
		return true // of our own authority, made while the clock ran ahead: nobody takes it
	}
	return !now.Before(renewAt(leaf.NotBefore, leaf.NotAfter)) || !h.saved.RenewAt.IsZero() && !now.Before(h.saved.RenewAt)
}

// foreign tells that a certificate is of another authority than the one that is asked by now.
func (k *Keeper) foreign(h *held) bool {
	return h.saved.Directory != "" && h.saved.Directory != k.acme.directory()
}

// wishDue tells that the authority is to be asked when it would have a certificate renewed: that is how it tells of one that it revokes.
func (k *Keeper) wishDue(h *held, now time.Time) bool {
	return now.Sub(h.saved.asked(now)) >= askWishes
}

func (k *Keeper) next(h *held, now time.Time) time.Time {
	if h.pair == nil {
		return next(h.id.Mode, time.Time{}, time.Time{}, h.saved, now)
	}
	if h.id.Mode == Auto && k.foreign(h) {
		return h.saved.notBefore(now)
	}
	at := next(h.id.Mode, h.pair.Leaf.NotBefore, h.pair.Leaf.NotAfter, h.saved, now)
	if ask := later(h.saved.asked(now).Add(askWishes), h.saved.notBefore(now)); h.id.Mode == Auto && ask.Before(at) {
		return ask
	}
	return at
}

// vouch makes a certificate of our own authority.
func (k *Keeper) vouch(h *held, now time.Time) []Event {
	had := h.pair != nil
	a, err := k.o.Folder.authority(now)
	if err == nil {
		err = a.valid(now)
	}
	if err == nil {
		var chain, key []byte
		if chain, key, err = a.vouch(h.id.Name, now); err == nil {
			err = k.o.Folder.put(h.id, chain, key)
		}
	}
	if err != nil {
		return k.failed(h, troubleOf(Other, err.Error()), now)
	}
	return k.got(h, had, "", now)
}

// ask has the authority give a certificate, or say that the one there is is still good.
func (k *Keeper) ask(ctx context.Context, h *held) {
	k.mu.Lock()
	a := asker{acme: k.acme, folder: k.o.Folder, solvers: k.challenges.solvers(k.o.OverHTTP), names: k.names, open: k.o.Open, log: k.o.Log}
	var former *x509.Certificate
	if h.pair != nil {
		former = h.pair.Leaf
	}
	only := former != nil && !k.foreign(h) && k.wishOnly(h, time.Now())
	if k.foreign(h) {
		former = nil // another authority replaces nothing of this one
	}
	had := h.pair != nil
	k.mu.Unlock()

	if only {
		k.noteWish(ctx, a, h, former)
		return
	}
	err := guard.Do(k.o.Log, "certificate order", func() error {
		chain, key, err := a.order(ctx, h.id.Name, former)
		if err != nil {
			return err
		}
		return k.o.Folder.put(h.id, chain, key)
	})
	k.mu.Lock()
	h.busy = false
	var events []Event
	switch {
	case err == nil:
		events = k.got(h, had, a.acme.directory(), time.Now())
	case ctx.Err() == nil:
		events = k.failed(h, diagnose(err), time.Now())
	}
	k.serve()
	k.wake()
	k.mu.Unlock()
	for _, e := range events {
		k.o.Told(e)
	}
}

// wishOnly tells that the certificate is good, and only the wish of the authority has to be asked for.
func (k *Keeper) wishOnly(h *held, now time.Time) bool {
	leaf := h.pair.Leaf
	return !h.wanted && now.Before(renewAt(leaf.NotBefore, leaf.NotAfter)) && (h.saved.RenewAt.IsZero() || now.Before(h.saved.RenewAt))
}

// noteWish asks the authority when it would have a certificate renewed. Not to know it is no harm.
func (k *Keeper) noteWish(ctx context.Context, a asker, h *held, leaf *x509.Certificate) {
	var at time.Time
	err := guard.Do(k.o.Log, "certificate renewal", func() (err error) {
		at, err = a.wish(ctx, leaf)
		return err
	})
	if err != nil {
		k.o.Log.Debug("an authority was not asked when to renew", "certificate", h.id.String(), "error", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	h.busy = false
	h.saved.AskedAt = time.Now().UTC()
	if err == nil {
		h.saved.RenewAt = at.UTC()
	}
	k.keep(h)
	k.wake()
}

// got serves what was got.
func (k *Keeper) got(h *held, had bool, directory string, now time.Time) []Event {
	p, err := k.o.Folder.get(h.id)
	if err != nil {
		return k.failed(h, troubleOf(Other, err.Error()), now)
	}
	h.pair = p
	h.saved = saved{Directory: directory, AskedAt: now.UTC()}
	k.keep(h)
	e := Event{ID: h.id, Kind: Issued, Issuer: issuerOf(p.Leaf), NotAfter: p.Leaf.NotAfter.UTC()}
	if had {
		e.Kind = Renewed
	}
	return []Event{e}
}

// failed notes that a certificate could not be had, and when it is tried again.
func (k *Keeper) failed(h *held, t Trouble, now time.Time) []Event {
	h.saved.Trouble, h.saved.FailedAt = t, now.UTC()
	h.saved.Failures++
	h.saved.NextTry = later(now.Add(pauseAfter(h.saved.Failures, k.first)), earlier(retryAfter(t), now.Add(longestWait))).UTC()
	k.keep(h)
	e := Event{ID: h.id, Kind: Failed, Trouble: t, NextTry: h.saved.NextTry}
	if h.pair != nil {
		e.NotAfter, e.Issuer = h.pair.Leaf.NotAfter.UTC(), issuerOf(h.pair.Leaf)
	}
	return []Event{e}
}

// warn tells once at each of the days that a certificate ends soon.
func (k *Keeper) warn(h *held, now time.Time) []Event {
	if h.pair == nil {
		return nil
	}
	leaf := h.pair.Leaf
	days, end := warnedDays(h.id.Mode, leaf.NotBefore, leaf.NotAfter, now), leaf.NotAfter.UTC()
	if h.saved.WarnedOf.Equal(end) && h.saved.WarnedAt < days || days == 0 && h.saved.WarnedOf.Equal(end) {
		h.saved.WarnedAt = days // it was warned of while the clock ran ahead, and has to be in its time
		if days == 0 {
			h.saved.WarnedOf = time.Time{}
		}
		k.keep(h)
	}
	if days == 0 || h.saved.WarnedOf.Equal(end) && h.saved.WarnedAt <= days {
		return nil
	}
	h.saved.WarnedOf, h.saved.WarnedAt = end, days
	k.keep(h)
	return []Event{{ID: h.id, Kind: Expiring, Issuer: issuerOf(leaf), NotAfter: end, Trouble: h.saved.Trouble}}
}
