package proxy

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/netip"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/crypto/bcrypt"
)

// The bounds of passwords that wait to be hashed: with more, whoever comes is sent away for a while, and costs nothing.
const (
	mostOfAddress     = 8  // different ones of one address at one site
	mostOfAddressEver = 32 // the same at all sites together: many people may come by one address
	mostOfRule        = 64
)

// errBusy is that too many passwords wait already to be hashed.
var errBusy = errors.New("too many passwords wait to be looked at")

// seal stands for a hash and a password that may be of it.
type seal [sha256.Size]byte

// question is whether a hash is of a password. Several may wait for the answer to one.
type question struct {
	seal           seal
	hash, password string
	rule           string       // where it is asked
	from           netip.Prefix // who asked it first

	asking int  // how many wait for the answer
	begun  bool // it is hashed
	done   chan struct{}
	right  bool // once done is closed
}

// hashing answers questions, a few at a time, so that guessing cannot take the machine. Rules come in turn, so that a flood at one site
// holds up no other; what is asked twice is hashed once; what nobody waits for any more is not hashed.
type hashing struct {
	places  int // how many at a time
	compare func(hash, password []byte) error

	mu      sync.Mutex
	busy    int // places in use
	asked   map[seal]*question
	waiting map[string][]*question // of each rule that has some, the oldest first
	turns   []string               // those rules, the next first
	from    map[asker]int          // how many of asked an address has
}

// asker is an address at one rule; with an empty one, at all of them.
type asker struct {
	rule string
	from netip.Prefix
}

func newHashing() *hashing {
	return &hashing{
		places: max(1, runtime.GOMAXPROCS(0)/2), compare: bcrypt.CompareHashAndPassword,
		asked: map[seal]*question{}, waiting: map[string][]*question{}, from: map[asker]int{},
	}
}

// ask waits for the answer, or until ctx ends. errBusy is that nothing was looked at.
func (h *hashing) ask(ctx context.Context, q *question) (right bool, err error) {
	if q, err = h.join(q); err != nil {
		return false, err
	}
	select {
	case <-q.done:
		return q.right, nil
	case <-ctx.Done():
		h.leave(q)
		return false, ctx.Err()
	}
}

// join puts a question into its queue, or finds the same one that was asked before.
func (h *hashing) join(q *question) (*question, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if same := h.asked[q.seal]; same != nil {
		same.asking++
		return same, nil
	}
	queue := h.waiting[q.rule]
	if len(queue) >= mostOfRule || h.from[asker{q.rule, q.from}] >= mostOfAddress || h.from[asker{from: q.from}] >= mostOfAddressEver {
		return nil, errBusy
	}
	if len(queue) == 0 {
		h.turns = append(h.turns, q.rule)
	}
	q.asking, q.done = 1, make(chan struct{})
	h.waiting[q.rule], h.asked[q.seal] = append(queue, q), q
	h.from[asker{q.rule, q.from}]++
	h.from[asker{from: q.from}]++
	if h.busy < h.places {
		h.busy++
		go h.work() // it ends with the last question
	}
	return q, nil
}

// leave is of one who does not wait any more. With the last one the question goes.
func (h *hashing) leave(q *question) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if q.asking--; q.asking > 0 || q.begun {
		return
	}
	queue := h.waiting[q.rule]
	if i := slices.Index(queue, q); i >= 0 {
		h.waiting[q.rule] = slices.Delete(queue, i, i+1)
	}
	if len(h.waiting[q.rule]) == 0 {
		delete(h.waiting, q.rule)
		h.turns = slices.DeleteFunc(h.turns, func(rule string) bool { return rule == q.rule })
	}
	h.forget(q)
}

func (h *hashing) work() {
	for q := h.next(); q != nil; q = h.next() {
		q.right = h.compare([]byte(q.hash), []byte(q.password)) == nil
		h.answered(q)
	}
}

// next takes the oldest question of the rule whose turn it is; nil: there is none, and the place is free.
func (h *hashing) next() *question {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.turns) == 0 {
		h.busy--
		return nil
	}
	rule := h.turns[0]
	h.turns = slices.Delete(h.turns, 0, 1)
	q := h.waiting[rule][0]
	q.begun = true
	if h.waiting[rule] = slices.Delete(h.waiting[rule], 0, 1); len(h.waiting[rule]) > 0 {
		h.turns = append(h.turns, rule)
	} else {
		delete(h.waiting, rule)
	}
	return q
}

func (h *hashing) answered(q *question) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forget(q)
	close(q.done)
}

// forget takes a question away, which is asked anew from now on.
func (h *hashing) forget(q *question) {
	delete(h.asked, q.seal)
	for _, who := range []asker{{q.rule, q.from}, {from: q.from}} {
		if h.from[who]--; h.from[who] <= 0 {
			delete(h.from, who)
		}
	}
}

// networkOf is what counts as one address: of IPv6 the network that one subscriber has for themselves.
func networkOf(addr netip.Addr) netip.Prefix {
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	p, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // whoever has no address shares one
	}
	return p
}
