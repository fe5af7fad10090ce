package proxy

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// Flip is that a health check finds a target down, or up again.
type Flip struct {
	Rule   string // its id
	Kind   Kind
	Domain string // the first of the rule
	Ref    string // of the target
	Up     bool
	Why    string // it is down
	At     time.Time
}

// The bounds of health checks that run side by side: one site whose targets are slow to answer holds up no other.
const (
	checksAtOnce = 64
	checksOfOne  = 4 // rule
)

// checkup is what is known of the checks of one target. It begins anew when the rule asks for another check.
type checkup struct {
	asks  HealthCheck
	due   time.Time
	good  int // answers in a row
	bad   int
	under bool // one is under way
}

type checked struct {
	up  *upstream
	e   *entry
	k   *checkup // that it was made for
	why string   // empty: it is well
}

// Run checks the health of the targets whose rules ask for it, until ctx ends. While none does, it sleeps.
func (s *Server) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(checksAtOnce)
	results := make(chan checked, checksAtOnce)
	known := map[*upstream]*checkup{}
	for ctx.Err() == nil {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		next := s.beginChecks(ctx, group, known, results)
		s.awaitCheck(ctx, known, next, changed, results)
	}
	return group.Wait()
}

// beginChecks begins those that are due, who waits longest first, and returns when the next one is; zero: none is, or there is no room for
// it before another has ended.
func (s *Server) beginChecks(ctx context.Context, group *errgroup.Group, known map[*upstream]*checkup, results chan<- checked) (next time.Time) {
	now := time.Now()
	due, next := s.dueChecks(known, now)
	for _, c := range due {
		if !group.TryGo(func() error {
			c.why = check(ctx, c.e, c.up, c.k.asks)
			report(ctx, results, c)
			return nil
		}) {
			break
		}
		c.k.under, c.k.due = true, now.Add(time.Duration(c.k.asks.Interval))
	}
	return next
}

// dueChecks are the checks that may begin now, and when the next one is due.
func (s *Server) dueChecks(known map[*upstream]*checkup, now time.Time) (due []checked, next time.Time) {
	wanted := map[*upstream]bool{}
	for _, e := range s.current.Load().byID {
		if e.rule.Options.HealthCheck == nil {
			continue
		}
		h := e.rule.Options.HealthCheck.filled()
		var own []checked
		room := checksOfOne
		for _, up := range e.upstreams {
			wanted[up] = true
			k := known[up]
			if k == nil || k.asks != h {
				k = &checkup{asks: h, due: now}
				known[up] = k
			}
			switch {
			case k.under:
				room--
			case !k.due.After(now):
				own = append(own, checked{up: up, e: e, k: k})
			case next.IsZero() || k.due.Before(next):
				next = k.due
			}
		}
		slices.SortFunc(own, byDue)
		due = append(due, own[:min(len(own), max(room, 0))]...)
	}
	for up := range known {
		if !wanted[up] {
			delete(known, up)
			up.unchecked() // nobody asks any more
		}
	}
	slices.SortFunc(due, byDue)
	return due, next
}

func byDue(a, b checked) int { return a.k.due.Compare(b.k.due) }

func report(ctx context.Context, results chan<- checked, c checked) {
	select {
	case results <- c:
	case <-ctx.Done():
	}
}

// awaitCheck waits until something has to be done.
func (s *Server) awaitCheck(ctx context.Context, known map[*upstream]*checkup, next time.Time, changed <-chan struct{}, results <-chan checked) {
	var due <-chan time.Time
	if !next.IsZero() {
		timer := time.NewTimer(max(time.Until(next), 10*time.Millisecond))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-ctx.Done():
	case <-changed:
	case <-due:
	case c := <-results:
		if c.k.under = false; known[c.up] == c.k { // else it was of a check that the rule asks for no more
			s.note(c.k, c)
		}
	}
}

// note counts a result, and tells when it takes a target out or brings it back.
func (s *Server) note(k *checkup, c checked) {
	h := c.e.rule.Options.HealthCheck.filled()
	if c.why == "" {
		k.good, k.bad = k.good+1, 0
		c.up.answered(time.Now())
	} else {
		k.good, k.bad = 0, k.bad+1
	}
	down := c.up.down.Load()
	switch {
	case !down && k.bad >= h.Fails:
		c.up.trouble.Store(&c.why)
		s.flip(c, false)
	case down && k.good >= h.Passes:
		c.up.trouble.Store(nil)
		s.flip(c, true)
	}
}

func (s *Server) flip(c checked, up bool) {
	c.up.down.Store(!up)
	if s.flipped != nil {
		s.flipped(Flip{Rule: c.e.rule.ID, Kind: c.e.rule.Kind, Domain: c.e.rule.Addresses[0].String(), Ref: c.up.ref, Up: up, Why: c.why, At: time.Now().UTC()})
	}
}

// check asks a target once, and says what is wrong; empty: it is well.
func check(ctx context.Context, e *entry, up *upstream, h HealthCheck) string {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(h.Timeout))
	defer cancel()
	status, err := ask(ctx, e.transport, e.hostFor(up), up, h.Path)
	switch {
	case err != nil:
		return plainReason(err)
	case status >= 400:
		return fmt.Sprintf("it answers %d to %s", status, h.Path)
	}
	return ""
}

// hostFor is the Host that a check of a target names.
func (e *entry) hostFor(up *upstream) string {
	if e.rule.Options.RewriteHost {
		return up.url.Host
	}
	return e.rule.Addresses[0].Domain
}

// answerLimit is how much of the answer to a check is read, so that its connection can serve again.
const answerLimit = 64 << 10

func ask(ctx context.Context, transport http.RoundTripper, host string, up *upstream, path string) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://placeholder"+path, nil)
	if err != nil {
		return 0, fmt.Errorf("make a request: %w", err)
	}
	*req.URL, req.Host = joined(up.url, req.URL), host
	req.Header.Set("User-Agent", "docker-watcher-health")
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()                                                 // the status was read, which is all
	if _, err := io.CopyN(io.Discard, resp.Body, answerLimit); err != nil && err != io.EOF { //nolint:errorlint // CopyN says it so
		return 0, err
	}
	return resp.StatusCode, nil
}
