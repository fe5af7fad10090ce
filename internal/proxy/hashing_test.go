package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"golang.org/x/crypto/bcrypt"

	"github.com/tiny-forge/docker-watcher/internal/waittest"
)

// desk is hashing at one place, whose every answer a test gives.
type desk struct {
	*hashing
	mu     sync.Mutex
	looked []string      // passwords, in the order in which they were hashed
	next   chan struct{} // lets one more be done
}

func newDesk() *desk {
	d := &desk{hashing: newHashing(), next: make(chan struct{})}
	d.places, d.compare = 1, d.look
	return d
}

// look takes a password for right that is its hash.
func (d *desk) look(hash, password []byte) error {
	d.mu.Lock()
	d.looked = append(d.looked, string(password))
	d.mu.Unlock()
	<-d.next
	if string(hash) != string(password) {
		return bcrypt.ErrMismatchedHashAndPassword
	}
	return nil
}

func (d *desk) seen() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.looked)
}

// asks is the question of the n-th client at a rule whether a password is "right".
func asks(rule string, n int, password string) *question {
	from := networkOf(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}))
	return &question{seal: seal([]byte(fmt.Sprintf("%-32.32s", rule+password))), hash: "right", password: password, rule: rule, from: from}
}

func TestAFloodAtOneSiteHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		var flood sync.WaitGroup
		for n := range 40 {
			flood.Go(func() {
				if right, err := d.ask(t.Context(), asks("a.example", n, fmt.Sprint("wrong ", n))); right || err != nil {
					t.Errorf("a wrong password is answered %v, %v", right, err)
				}
			})
		}
		synctest.Wait()
		let := make(chan error, 1)
		go func() {
			right, err := d.ask(t.Context(), asks("b.example", 99, "right"))
			if err == nil && !right {
				err = errWrong
			}
			let <- err
		}()
		synctest.Wait()
		d.next <- struct{}{} // what was under way
		d.next <- struct{}{} // one more of the flood
		d.next <- struct{}{}
		synctest.Wait()
		if i := slices.Index(d.seen(), "right"); i < 0 || i > 2 {
			t.Errorf("the right password at another site is the %d. to be looked at", i+1)
		}
		select {
		case err := <-let:
			if err != nil {
				t.Error(err)
			}
		default:
			t.Error("the right password at another site waits behind the flood")
		}
		close(d.next)
		flood.Wait()
		d.isEmpty(t)
	})
}

func (d *desk) isEmpty(t *testing.T) {
	t.Helper()
	synctest.Wait()
	if d.busy != 0 || len(d.asked)+len(d.waiting)+len(d.turns)+len(d.from) != 0 {
		t.Errorf("something is kept: %d at work, %v %v %v %v", d.busy, d.asked, d.waiting, d.turns, d.from)
	}
}

func TestWhoFloodsIsSentAway(t *testing.T) {
	for name, c := range map[string]struct {
		rule func(n int) string
		from func(n int) int
		most int
		// another one who may, and one who may not, come beside the flood
		may, mayNot *question
	}{
		"one address at one site": {
			func(int) string { return "a.example" }, func(int) int { return 1 }, mostOfAddress,
			asks("a.example", 2, "right"), asks("a.example", 1, "right"),
		},
		"one address, behind which there are others": {
			func(int) string { return "a.example" }, func(int) int { return 1 }, mostOfAddress,
			asks("b.example", 1, "right"), asks("a.example", 1, "right"),
		},
		"one address at many sites": {
			func(n int) string { return fmt.Sprint(n, ".example") }, func(int) int { return 1 }, mostOfAddressEver,
			asks("1.example", 2, "right"), asks("b.example", 1, "right"),
		},
		"many addresses at one site": { // one more is at work, and does not wait
			func(int) string { return "a.example" }, func(n int) int { return n }, mostOfRule + 1,
			asks("b.example", 1, "right"), asks("a.example", 999, "right"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk()
				var flood sync.WaitGroup
				var mu sync.Mutex
				busy := 0
				for n := range 300 {
					flood.Go(func() {
						_, err := d.ask(t.Context(), asks(c.rule(n), c.from(n), fmt.Sprint("wrong ", n)))
						if errors.Is(err, errBusy) {
							mu.Lock()
							busy++
							mu.Unlock()
						}
					})
					synctest.Wait()
				}
				if busy != 300-c.most {
					t.Errorf("%d of 300 are sent away, want all but %d", busy, c.most)
				}
				if _, err := d.ask(t.Context(), c.mayNot); !errors.Is(err, errBusy) {
					t.Errorf("one more is answered %v", err)
				}
				close(d.next)
				if right, err := d.ask(t.Context(), c.may); !right || err != nil {
					t.Errorf("somebody else is answered %v, %v", right, err)
				}
				flood.Wait()
				d.isEmpty(t)
			})
		})
	}
}

func TestWhoLeavesCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		ctx, leave := context.WithCancel(t.Context())
		var gone, stay sync.WaitGroup
		for n := range 20 {
			gone.Go(func() {
				if _, err := d.ask(ctx, asks("a.example", n, fmt.Sprint("gone ", n))); !errors.Is(err, context.Canceled) {
					t.Errorf("who leaves is answered %v", err)
				}
			})
			synctest.Wait()
		}
		for _, password := range []string{"right", "gone 5"} { // the latter is asked by two, one of whom stays
			stay.Go(func() {
				if right, err := d.ask(t.Context(), asks("a.example", 30, password)); right != (password == "right") || err != nil {
					t.Errorf("who stays is answered %v, %v", right, err)
				}
			})
			synctest.Wait()
		}
		leave()
		gone.Wait()
		close(d.next)
		stay.Wait()
		if seen, want := d.seen(), []string{"gone 0", "gone 5", "right"}; !slices.Equal(seen, want) {
			t.Errorf("hashed is %q, want %q: the first was under way already", seen, want)
		}
		d.isEmpty(t)
	})
}

// TestAPageFullOfPicturesAsksOnce: whoever comes with one password many times at once is hashed once and never sent away.
func TestAPageFullOfPicturesAsksOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if right, err := d.ask(t.Context(), asks("a.example", 1, "right")); !right || err != nil {
					t.Errorf("it is answered %v, %v", right, err)
				}
			})
		}
		synctest.Wait()
		close(d.next)
		all.Wait()
		if seen := d.seen(); len(seen) != 1 {
			t.Errorf("it was hashed %d times", len(seen))
		}
	})
}

func TestOneSubscriberIsOneAddress(t *testing.T) {
	for a, b := range map[string]string{"2001:db8::1": "2001:db8::ffff", "10.0.0.1": "10.0.0.1"} {
		if networkOf(netip.MustParseAddr(a)) != networkOf(netip.MustParseAddr(b)) {
			t.Errorf("%s and %s are two", a, b)
		}
	}
	for a, b := range map[string]string{"2001:db8::1": "2001:db8:0:1::1", "10.0.0.1": "10.0.0.2"} {
		if networkOf(netip.MustParseAddr(a)) == networkOf(netip.MustParseAddr(b)) {
			t.Errorf("%s and %s are one", a, b)
		}
	}
}

// TestTwoHundredThatGuess is a flood over the network: another site lets people in meanwhile, and the one that is flooded those whom it knows.
func TestTwoHundredThatGuess(t *testing.T) {
	quick, err := bcrypt.GenerateFromPassword([]byte("correct horse"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t)
	d := newDesk()
	d.compare = func(hash, password []byte) error {
		if string(password) == "correct horse" {
			return bcrypt.CompareHashAndPassword(hash, password)
		}
		return d.look(hash, password)
	}
	r.logins.hashing = d.hashing
	guarded := func(o *Options) { o.BasicAuth = []Credential{{"anna", string(quick)}} }
	r.apply(rule("a.example", says(t, "a")).with(guarded), rule("b.example", says(t, "b")).with(guarded))
	anna := func(q *http.Request) { q.SetBasicAuth("anna", "correct horse") }
	if status, _, _ := r.get("a.example", "/", anna); status != 200 {
		t.Fatalf("before the flood: %d", status)
	}
	ctx, leave := context.WithCancel(t.Context())
	var flood sync.WaitGroup
	sentAway := make(chan string, 200)
	for n := range 200 {
		flood.Go(func() {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.addr+"/", nil)
			if err != nil {
				t.Error(err)
				return
			}
			req.Host = "a.example"
			req.SetBasicAuth("anna", fmt.Sprint("wrong ", n))
			resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
			if err != nil {
				return // it left
			}
			_ = resp.Body.Close()
			sentAway <- fmt.Sprint(resp.StatusCode, " ", resp.Header.Get("Retry-After"))
		})
	}
	for range 200 - mostOfAddress {
		if got := waittest.Next(t, "one of many is sent away", sentAway); got != "429 5" {
			t.Errorf("one of many is answered %s", got)
		}
	}
	if status, _, _ := r.get("a.example", "/", anna); status != 200 {
		t.Errorf("the right password, which is known, is answered %d", status)
	}
	leave()
	flood.Wait()
	r.until("nobody waits for those who left", func() bool {
		d.hashing.mu.Lock()
		defer d.hashing.mu.Unlock()
		return len(d.waiting) == 0
	})
	close(d.next)
	if status, _, _ := r.get("b.example", "/", anna); status != 200 {
		t.Errorf("after the flood: %d", status)
	}
	if seen := d.seen(); len(seen) > 2 {
		t.Errorf("%d passwords of those who left were hashed: %q", len(seen), seen)
	}
}
