package plane

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"syscall"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/certs"
	"github.com/tiny-forge/docker-watcher/internal/proxy"
)

// ErrAway is that the plane cannot be reached. It may serve all the same: by the table that it has.
var ErrAway = errors.New("the data plane cannot be reached")

// awayError is ErrAway with why. Away marks it for those who do not know this package.
type awayError struct{ socket, why string }

func (e awayError) Error() string       { return ErrAway.Error() + " at " + e.socket + ": " + e.why }
func (e awayError) Is(other error) bool { return other == ErrAway }
func (e awayError) Away() bool          { return true }

// errLeft is that another plane has taken the place by now.
var errLeft = errors.New("another data plane has taken the place")

const (
	// comeback is how long a change waits for a plane that is being started anew, and how long one may be away before anybody is told.
	comeback    = 3 * time.Second
	retryPause  = 100 * time.Millisecond
	reportsLast = time.Second // before they are asked for anew
)

// ClientOptions say what a client stands on.
type ClientOptions struct {
	Socket  string
	Version string           // of the daemon
	Own     []netip.AddrPort // its listeners, to which the plane must lead nobody
	// Flipped, Missed, Certificate, Came and Went are called by Run, one at a time. Came is told each time that the plane was come to: what it answers by may
	// not be what it should; again says that Went was told before. Went is told why, once, until the plane is back.
	Flipped     func(proxy.Flip)
	Missed      func(ref string)
	Certificate func(certs.Event)
	Came        func(h Hello, again bool)
	Went        func(why string)
}

// Client is how the daemon has another process answer.
type Client struct {
	o    ClientOptions
	http *http.Client

	mu      sync.Mutex
	hello   Hello
	here    bool   // it can be reached, as far as we know
	why     string // it cannot
	table   proxy.Table
	hash    string        // of table, as we make it
	theirs  string        // the same table's, as the plane makes it
	owed    []proxy.Count // figures that could be kept nowhere yet
	reports map[string]proxy.Report
	asked   time.Time // for the reports
	asking  sync.Mutex
}

// NewClient joins the parts; it comes to nobody yet.
func NewClient(o ClientOptions) *Client {
	return &Client{o: o, why: "it was not asked yet", http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dialSocket(ctx, o.Socket) },
		// A kept connection would be to the plane before when another one has taken its place.
		DisableKeepAlives: true, DisableCompression: true,
	}}}
}

// Status is how things stand with the plane.
type Status struct {
	Hello
	Socket string
	Away   string // why it cannot be reached; empty: it can
}

// Status tells how things stand.
func (c *Client) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Status{Hello: c.hello, Socket: c.o.Socket}
	if !c.here {
		s.Away = c.why
	}
	return s
}

// Listeners are where the plane listens, as far as it was ever reached.
func (c *Client) Listeners() (all []netip.AddrPort) {
	for _, l := range c.Status().Listeners {
		if at, err := netip.ParseAddrPort(l.At); err == nil {
			all = append(all, at)
		}
	}
	return all
}

// Connect comes to the plane for the first time. An error is no reason not to go on: Run tries again.
func (c *Client) Connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	var h Hello
	err := c.call(ctx, http.MethodGet, pathHello, nil, &h)
	if err == nil {
		err = c.meet(ctx, h)
	}
	if err != nil {
		c.lose(err)
	}
	return err
}

// meet notes what a plane says of itself, and what it answers by.
func (c *Client) meet(ctx context.Context, h Hello) error {
	if h.Protocol != Protocol {
		return fmt.Errorf("the data plane %s speaks protocol %d and this daemon speaks %d: have both of the same version", h.Version, h.Protocol, Protocol)
	}
	c.mu.Lock()
	known := h.Hash == c.theirs
	c.mu.Unlock()
	var t proxy.Table
	var hash string
	if !known {
		var s served
		if err := c.call(ctx, http.MethodGet, pathTable, nil, &s); err != nil {
			return err
		}
		// What a newer plane knows beside is let be: the next table says all.
		if err := json.Unmarshal(s.Table, &t); err != nil {
			return fmt.Errorf("read the table of the data plane: %w", err)
		}
		t.Own, h.Hash = nil, s.Hash
		if s.Hash != "" {
			var err error
			if hash, err = t.Hash(); err != nil {
				return err
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hello, c.here, c.why, c.reports = h, true, "", nil
	if !known {
		c.table, c.hash, c.theirs = t, hash, h.Hash
	}
	return nil
}

func (c *Client) lose(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.here, c.why, c.reports = false, err.Error(), nil
}

// Apply has the plane answer by a table. An error means that it answers as before, or, if it is ErrAway, that nobody knows: it is asked when
// it is back.
func (c *Client) Apply(t proxy.Table) (hash string, err error) {
	ours, err := t.Hash()
	if err != nil {
		return "", err
	}
	told := t
	told.Own = c.o.Own
	text, err := json.Marshal(told)
	if err != nil {
		return "", fmt.Errorf("write the table: %w", err)
	}
	ctx, cancel := within(callLimit)
	defer cancel()
	var s served
	if err := c.persist(ctx, func() error { return c.call(ctx, http.MethodPut, pathTable, text, &s) }); err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.table, c.hash, c.theirs, c.reports = t, ours, s.Hash, nil
	return ours, nil
}

// within bounds a call that is made for whoever asks the proxy, whose calls have no contexts.
func within(limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), limit) //nolint:forbidigo // see above
}

// persist tries again while a plane is being started anew, or another one takes the place; not where it is known to be away.
func (c *Client) persist(ctx context.Context, try func() error) error {
	if c.Status().Away != "" {
		return try()
	}
	return c.insist(ctx, try)
}

// insist tries again for as long as a plane may take to come back.
func (c *Client) insist(ctx context.Context, try func() error) error {
	for until := time.Now().Add(comeback); ; {
		err := try()
		if !errors.Is(err, errLeft) && !errors.Is(err, ErrAway) || time.Now().After(until) || !pause(ctx, retryPause) {
			return err
		}
	}
}

// InForce is the table that the plane answered by when it was last asked, and its hash.
func (c *Client) InForce() (proxy.Table, string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.table, c.hash
}

// Drained waits until nothing is open on targets that have left the table and whose names begin so, or until ctx ends. Where the
// plane has to be started anew, nothing of the former one is open.
func (c *Client) Drained(ctx context.Context, prefix string) error {
	for {
		call, cancel := context.WithTimeout(ctx, longestAsk+callLimit)
		var d drained
		err := c.call(call, http.MethodGet, pathDrained+"?prefix="+url.QueryEscape(prefix), nil, &d)
		cancel()
		if d.Drained && err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil && !errors.Is(err, ErrAway) && !errors.Is(err, errLeft) {
			return err
		}
		if err != nil && !pause(ctx, retryPause) {
			return ctx.Err()
		}
	}
}

// Report tells how a rule of the table in force does, as of a moment ago; false: it is in none, or the plane cannot be reached.
func (c *Client) Report(rule string) (proxy.Report, bool) {
	c.asking.Lock()
	defer c.asking.Unlock()
	c.mu.Lock()
	here, old := c.here, c.reports == nil || time.Since(c.asked) > reportsLast
	c.mu.Unlock()
	if here && old {
		c.askReports()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.reports[rule]
	return r, ok && c.here
}

// askReports asks how all rules do. When nobody answers, what was known stays for a while more.
func (c *Client) askReports() {
	ctx, cancel := within(dialLimit)
	defer cancel()
	var all map[string]proxy.Report
	err := c.call(ctx, http.MethodGet, pathReports, nil, &all)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = time.Now()
	switch {
	case err == nil:
		c.reports = all
	case c.reports == nil:
		c.reports = map[string]proxy.Report{}
	}
}

// call asks the plane once.
func (c *Client) call(ctx context.Context, method, path string, body []byte, into any) error {
	resp, err := c.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, tableLimit)).Decode(into); err != nil {
		return c.away(err)
	}
	return nil
}

// send asks, and returns an answer that is good.
func (c *Client) send(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://plane"+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("ask the data plane: %w", err)
	}
	req.Header.Set("User-Agent", c.o.Version)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.away(err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, errors.Join(faultIn(resp), resp.Body.Close())
	}
	return resp, nil
}

// away says in plain words why nobody answers, so that the same reason is told once.
func (c *Client) away(err error) error {
	why := err.Error()
	var op *net.OpError
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		why = "it does not run"
	case errors.Is(err, fs.ErrPermission):
		why = "this user may not come to its socket"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		why = "it does not answer in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &op):
		why = "it ended"
	}
	return awayError{c.o.Socket, why}
}

// faultIn is why a plane says no.
func faultIn(resp *http.Response) error {
	var f fault
	if err := json.NewDecoder(io.LimitReader(resp.Body, tableLimit)).Decode(&f); err != nil || f.Error == "" {
		return fmt.Errorf("the data plane answers %s and says no more: have it and the daemon of the same version", resp.Status)
	}
	switch {
	case f.Left:
		return errLeft
	case f.Unknown:
		return certs.ErrUnknown
	}
	var wrong []error
	for _, w := range f.Fields {
		wrong = append(wrong, proxy.FieldError(w))
	}
	if len(wrong) > 0 {
		return errors.Join(wrong...)
	}
	return errors.New(f.Error)
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
