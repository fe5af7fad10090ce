package certs

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	atOnce    = 4 // orders under way
	askWishes = 12 * time.Hour
)

// Options say what a keeper stands on.
type Options struct {
	Folder Folder
	// OverHTTP tells that domains are served over http too, so that they can be proven by a page.
	OverHTTP bool
	// Open opens sealed secrets; nil: there are none.
	Open func(sealed string) (string, error)
	// Told is told what happens. It may write: no lock is held.
	Told func(Event)
	Log  *slog.Logger
}

// Keeper keeps certificates.
type Keeper struct {
	o          Options
	challenges challenges
	served     atomic.Pointer[map[string]*tls.Certificate] // by domain
	kick       chan struct{}
	first      time.Duration // pause after a failure
	names      names

	mu    sync.Mutex
	wants map[string]Want // by domain
	acme  ACME
	held  map[ID]*held
	state map[string]saved // as it is on disk, by ID; nil: not read yet
}

// held is a certificate that some domain wants.
type held struct {
	id    ID
	pair  *pair // nil: there is none
	saved saved
	busy  bool
	again bool // somebody wants it anew
	// wanted tells that what is under way was wanted by somebody.
	wanted bool
}

// New returns a keeper that keeps nothing yet.
func New(o Options) *Keeper {
	if o.Told == nil {
		o.Told = func(Event) {}
	}
	if o.Open == nil {
		o.Open = func(string) (string, error) { return "", errors.New("there is no key to open it with") }
	}
	k := &Keeper{o: o, kick: make(chan struct{}, 1), first: firstPause, names: names{services: dnsServices}, wants: map[string]Want{}, held: map[ID]*held{}}
	k.served.Store(&map[string]*tls.Certificate{})
	return k
}

// Apply says what is wanted from now on, all of it. What is on disk is served at once; the rest is got by Run.
func (k *Keeper) Apply(wants []Want, acme ACME) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.acme = acme
	k.wants = make(map[string]Want, len(wants))
	for _, w := range wants {
		k.wants[w.Domain] = w
		if id := w.id(); k.held[id] == nil {
			k.held[id] = k.take(id)
		}
	}
	k.forget()
	k.serve()
	k.wake()
}

// forget lets go of what no domain wants any more; it stays on disk. What is under way is let go of when it has ended.
func (k *Keeper) forget() {
	needed := make(map[ID]bool, len(k.held))
	for _, w := range k.wants {
		needed[w.id()] = true
	}
	maps.DeleteFunc(k.held, func(id ID, h *held) bool { return !needed[id] && !h.busy })
}

// take reads a certificate from disk, with what is remembered of it.
func (k *Keeper) take(id ID) *held {
	h := &held{id: id, saved: k.remembered()[id.String()]}
	k.read(h)
	return h
}

// read reads a certificate from disk anew.
func (k *Keeper) read(h *held) {
	p, err := k.o.Folder.get(h.id)
	if err == nil {
		h.pair = p
		if h.id.Mode == Own {
			h.saved.Trouble, h.saved.FailedAt = Trouble{}, time.Time{}
		}
		return
	}
	if h.id.Mode == Own {
		h.pair = nil
		h.saved.FailedAt, h.saved.Trouble = time.Now().UTC(), troubleOf(Unusable, err.Error())
		if errors.Is(err, fs.ErrNotExist) {
			h.saved.Trouble = troubleOf(Missing, "there is no uploaded certificate "+h.id.Name)
		}
		return
	}
	if !errors.Is(err, fs.ErrNotExist) {
		k.o.Log.Warn("a certificate on disk cannot be used: it is got anew", "certificate", h.id.String(), "error", err)
	}
}

// remembered is the state on disk.
func (k *Keeper) remembered() map[string]saved {
	if k.state == nil {
		state, err := k.o.Folder.readState()
		if err != nil {
			k.o.Log.Warn("what was known of certificates cannot be read", "error", err)
			state = map[string]saved{}
		}
		k.state = state
	}
	return k.state
}

// serve makes the map that handshakes are answered from.
func (k *Keeper) serve() {
	served := make(map[string]*tls.Certificate, len(k.wants))
	for domain, w := range k.wants {
		if h := k.held[w.id()]; h != nil && h.pair != nil {
			served[domain] = &h.pair.Certificate
		}
	}
	k.served.Store(&served)
}

// keep writes down what is known of a certificate.
func (k *Keeper) keep(h *held) {
	id := h.id.String()
	if k.remembered()[id] == h.saved {
		return
	}
	k.state[id] = h.saved
	if err := k.o.Folder.writeState(k.state); err != nil {
		k.o.Log.Error("what is known of certificates was not kept", "error", err)
	}
}

func (k *Keeper) wake() {
	select {
	case k.kick <- struct{}{}:
	default: // it was woken already
	}
}

// Renew asks for a certificate anew, now; of an uploaded one the file is read anew. ErrUnknown: nobody wants it.
func (k *Keeper) Renew(id ID) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	h := k.held[id]
	if h == nil {
		return ErrUnknown
	}
	if id.Mode == Own {
		k.read(h)
		k.serve()
	} else {
		h.again = true
	}
	k.wake()
	return nil
}

// Statuses are of all certificates that some domain wants.
func (k *Keeper) Statuses() []Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	domains := map[ID][]string{}
	for domain, w := range k.wants {
		domains[w.id()] = append(domains[w.id()], domain)
	}
	out := make([]Status, 0, len(domains))
	for id, list := range domains {
		slices.Sort(list)
		out = append(out, k.held[id].status(list))
	}
	slices.SortFunc(out, func(a, b Status) int {
		return cmp.Or(cmp.Compare(a.ID.Name, b.ID.Name), cmp.Compare(a.ID.Mode, b.ID.Mode))
	})
	return out
}

func (h *held) status(domains []string) Status {
	s := Status{ID: h.id, Domains: domains, Trouble: h.saved.Trouble, FailedAt: h.saved.FailedAt, Busy: h.busy}
	if h.id.Mode != Own && h.saved.Trouble.Kind != "" {
		s.NextTry = h.saved.NextTry
	}
	if h.pair == nil {
		return s
	}
	leaf := h.pair.Leaf
	s.Names, s.Issuer, s.NotBefore, s.NotAfter = namesOf(leaf), issuerOf(leaf), leaf.NotBefore.UTC(), leaf.NotAfter.UTC()
	if h.id.Mode != Own {
		s.RenewAt = renewAt(s.NotBefore, s.NotAfter)
		if !h.saved.RenewAt.IsZero() && h.saved.RenewAt.Before(s.RenewAt) {
			s.RenewAt = h.saved.RenewAt
		}
	}
	return s
}

// Describe is the status of an uploaded certificate that no domain wants.
func (f Folder) Describe(name string) (Status, error) {
	h := &held{id: ID{Own, name}}
	var err error
	if h.pair, err = f.get(h.id); err != nil {
		return Status{}, fmt.Errorf("describe: %w", err)
	}
	return h.status(nil), nil
}
