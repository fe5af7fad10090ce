//go:build bench && soak

package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
)

const (
	soakInstances = 10_000
	soakClients   = 200
	soakEvents    = 1_000 // of the engine, a second
	// soakChanges is how many of them change what an instance is, so that an event of ours is kept and told to every client.
	soakChanges = 100
	soakSamples = 120
)

// TestSoak runs the daemon as it is shipped for SOAK (30m) with ten thousand instances on a pretend engine that has a thousand events a second and
// something wrong with it once a minute, two hundred clients that follow the events, scans and cleanups. At the end nothing has grown, no client
// has missed an event or heard one twice, and nothing is gone but what plans name.
func TestSoak(t *testing.T) {
	lasts := 30 * time.Minute
	if text := os.Getenv("SOAK"); text != "" {
		var err error
		lasts, err = time.ParseDuration(text)
		must(t, err)
	}
	data := t.TempDir()
	y := seeded(t, data, soakInstances, 0)
	d := launch(t, build(t), data, y.engine)
	d.awaitScan(t, soakInstances)
	s := &soak{t: t, yard: y, daemon: d, gone: map[string]string{}, results: map[string]int{}, before: map[string]string{}}
	for _, c := range y.engine.Containers() {
		s.before[c.ID] = c.Name()
	}
	api, err := client.New(d.url, client.WithCredential(adminToken))
	must(t, err)
	s.api = api
	_, err = api.UpdateSettings(t.Context(), map[string]any{"scan_interval": "30s"})
	must(t, err)

	load, stopLoad := context.WithTimeout(t.Context(), lasts)
	defer stopLoad()
	clients, stopClients := context.WithCancel(t.Context())
	defer stopClients()
	var working, listening sync.WaitGroup
	for range soakClients {
		f := &follower{soak: s}
		s.followers = append(s.followers, f)
		listening.Go(func() { f.follow(clients) })
	}
	for _, part := range []func(context.Context){s.move, s.breakThings, s.cleanUp, s.leave} {
		working.Go(func() { part(load) })
	}
	s.sample(load, lasts/soakSamples)
	working.Wait()
	y.engine.ClearFaults()
	s.caughtUp()
	stopClients()
	listening.Wait()
	s.settle()
	s.judge()
}

// soak is one run.
type soak struct {
	*yard
	t         *testing.T
	daemon    *daemon
	api       *client.Client
	followers []*follower
	before    map[string]string // containers by id
	gone      map[string]string // those that a plan says are removed
	results   map[string]int    // of all items
	plans     int
	faults    int
	moves     atomic.Int64
	samples   []sample
}

// each calls f so many times a second until ctx ends, and makes up for a tick that came late.
func each(ctx context.Context, aSecond int, f func(n int)) {
	began := time.Now()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for due := int(time.Since(began).Seconds() * float64(aSecond)); n < due; n++ {
			f(n)
		}
	}
}

// move is the life on the engine: containers that run end and start again, and tell how they are.
func (s *soak) move(ctx context.Context) {
	var run []*dockertest.Container
	for _, c := range s.engine.Containers() {
		if c.Facts().State == dockertest.Running {
			run = append(run, c)
		}
	}
	down := map[int]bool{}
	each(ctx, soakEvents, func(n int) {
		s.moves.Add(1)
		if n%(soakEvents/soakChanges) != 0 {
			run[n%len(run)].SetHealth([]string{"healthy", "unhealthy"}[n/len(run)%2])
			return
		}
		// Each is moved again long after it was seen in its state: what goes faster than that is rightly told as one change.
		i := n / (soakEvents / soakChanges) % len(run)
		if down[i] = !down[i]; down[i] {
			run[i].Exit(0)
		} else {
			run[i].Start()
		}
	})
}

// breakThings lets something be wrong with the engine once a minute, and lets it be mended again.
func (s *soak) breakThings(ctx context.Context) {
	wrong := []func() (mend func()){
		func() func() { s.engine.CutEvents(); return func() {} },
		func() func() {
			return s.engine.Fail(dockertest.Fault{On: `^GET /containers/json`, Status: http.StatusInternalServerError})
		},
		func() func() { return s.engine.Fail(dockertest.Fault{On: `^GET /containers/json`, EmptyList: true}) },
		func() func() { return s.engine.Fail(dockertest.Fault{On: `.`, Reset: true}) },
		func() func() { return s.engine.Fail(dockertest.Fault{On: `^GET /containers/`, Hang: true}) },
		func() func() { return s.engine.Fail(dockertest.Fault{On: `^DELETE /containers/`, LoseReply: true}) },
	}
	for pause(ctx, 50*time.Second) {
		mend := wrong[s.faults%len(wrong)]()
		s.faults++
		pause(ctx, 10*time.Second)
		mend()
	}
}

// pause waits; false: ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// cleanUp makes a plan of what is stale now and again, and applies it.
func (s *soak) cleanUp(ctx context.Context) {
	for pause(ctx, 20*time.Second) {
		plan, err := s.api.PlanCleanup(s.t.Context(), client.StaleFilter{})
		if err != nil {
			s.t.Logf("plan a cleanup: %v", err) // the engine does not answer, or the host is frozen: nothing may be removed
			continue
		}
		s.plans++
		if _, err := s.api.ApplyCleanup(s.t.Context(), plan.ID); err != nil {
			s.t.Logf("apply a plan: %v", err) // what became of its items is read from it at the end
		}
	}
}

// leave hangs up one client after the other, as people close a page: each resumes after what it heard last.
func (s *soak) leave(ctx context.Context) {
	for n := 0; pause(ctx, 200*time.Millisecond); n++ {
		s.followers[n%len(s.followers)].hangUp()
	}
}

// follower is one client of the stream of events.
type follower struct {
	soak     *soak
	last     atomic.Int64 // the id heard last; 0: none yet
	heard    atomic.Int64
	resumed  int
	mu       sync.Mutex
	conn     net.Conn
	mistakes []string
}

func (f *follower) hangUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.conn != nil {
		_ = f.conn.Close() // the reader says so
	}
}

func (f *follower) follow(ctx context.Context) {
	stop := context.AfterFunc(ctx, f.hangUp)
	defer stop()
	for ctx.Err() == nil {
		err := f.listen(ctx)
		if ctx.Err() == nil && f.last.Load() == 0 {
			f.mistakes = append(f.mistakes, err.Error())
			pause(ctx, time.Second)
		}
		f.resumed++
	}
}

func (f *follower) listen(ctx context.Context) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", strings.TrimPrefix(f.soak.daemon.url, "http://"))
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.conn = conn
	f.mu.Unlock()
	defer func() { _ = conn.Close() }() // hangUp may have done it
	resume := ""
	if last := f.last.Load(); last != 0 {
		resume = "Last-Event-ID: " + strconv.FormatInt(last, 10) + "\r\n"
	}
	if _, err := fmt.Fprintf(conn, "GET /api/events/stream HTTP/1.1\r\nHost: soak\r\nAuthorization: Bearer %s\r\n%s\r\n", adminToken, resume); err != nil {
		return err
	}
	in := bufio.NewReaderSize(conn, 64<<10)
	var kind string
	var id int64 // of the message; 0: it has none
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		field, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch field {
		case "event":
			kind = value
		case "id":
			if id, err = strconv.ParseInt(value, 10, 64); err != nil {
				return err
			}
		case "":
			f.message(kind, id)
			kind, id = "", 0
		}
	}
}

// message takes a whole one. Chatter has no id; the first hello says where the stream stands.
func (f *follower) message(kind string, id int64) {
	switch {
	case kind == "hello" && f.last.Load() == 0:
		f.last.Store(id)
	case kind == "event" && id != 0:
		f.hear(id)
	}
}

// hear notes an id. Whoever resumes hears on from the one after the last.
func (f *follower) hear(id int64) {
	if last := f.last.Load(); id != last+1 && len(f.mistakes) < 10 {
		f.mistakes = append(f.mistakes, fmt.Sprintf("after event %d came %d", last, id))
	}
	f.last.Store(id)
	f.heard.Add(1)
}

// sample is what the daemon holds at one moment.
type sample struct {
	resident               int64
	files, goroutines      int
	waiting, lost, clients float64
}

func (s *soak) sample(ctx context.Context, every time.Duration) {
	for pause(ctx, every) {
		body, err := s.daemon.get(s.t.Context(), "/metrics")
		if err != nil {
			s.t.Errorf("a scrape: %v", err)
			continue
		}
		files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.daemon.cmd.Process.Pid))
		must(s.t, err)
		figure := func(name string) float64 {
			for line := range strings.Lines(string(body)) {
				if rest, ok := strings.CutPrefix(line, name+" "); ok {
					v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
					must(s.t, err)
					return v
				}
			}
			s.t.Errorf("there is no %s", name)
			return 0
		}
		s.samples = append(s.samples, sample{
			resident: s.daemon.resident(s.t), files: len(files), goroutines: int(figure("go_goroutines")),
			waiting: figure("docker_watcher_events_waiting"), lost: figure("docker_watcher_events_lost_total"), clients: figure("docker_watcher_event_listeners"),
		})
	}
}

// caughtUp waits until every client has heard the newest event.
func (s *soak) caughtUp() {
	deadline := time.Now().Add(2 * time.Minute)
	for {
		body, err := s.daemon.get(s.t.Context(), "/api/events?limit=1")
		must(s.t, err)
		var page struct {
			Items []struct {
				ID string `json:"id"`
			} `json:"items"`
		}
		must(s.t, json.Unmarshal(body, &page))
		newest, err := strconv.ParseInt(page.Items[0].ID, 10, 64)
		must(s.t, err)
		behind := 0
		for _, f := range s.followers {
			if f.last.Load() < newest {
				behind++
			}
		}
		if behind == 0 {
			return
		}
		if time.Now().After(deadline) {
			s.t.Errorf("%d clients are behind event %d", behind, newest)
			return
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// settle waits for the last removals to be ended, and reads from every plan what became of its items.
func (s *soak) settle() {
	ctx := s.t.Context()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		_, err := s.api.Scan(ctx, "")
		if err == nil || time.Now().After(deadline) {
			must(s.t, err)
			break
		}
		time.Sleep(time.Second)
	}
	for cursor := ""; ; {
		page, err := s.api.Plans(ctx, client.PlanFilter{}, client.Page{Cursor: cursor, Limit: 100})
		must(s.t, err)
		for _, p := range page.Items {
			plan, err := s.api.Plan(ctx, p.ID)
			must(s.t, err)
			for _, item := range plan.Items {
				s.results[strings.TrimSpace(item.Result+" "+item.ResultDetail)]++
				switch item.Result {
				case "removed", "already_gone":
					s.gone[item.ContainerID] = item.Name
				case "error", "timeout":
					s.gone[item.ContainerID] = "" // its delete may have been done by an engine whose answer was lost
				}
			}
		}
		if cursor = page.NextCursor; cursor == "" {
			return
		}
	}
}

func (s *soak) judge() {
	t := s.t
	there := map[string]bool{}
	for _, c := range s.engine.Containers() {
		there[c.ID] = true
	}
	removed := 0
	for id, name := range s.before {
		named, planned := s.gone[id]
		switch {
		case !there[id] && !planned:
			t.Errorf("%s is gone, and no plan says so", name)
		case there[id] && named != "":
			t.Errorf("%s is there, though a plan says that it is gone", name)
		case !there[id]:
			removed++
		}
	}
	var heard int64
	resumed := 0
	for i, f := range s.followers {
		for _, m := range f.mistakes {
			t.Errorf("client %d: %s", i, m)
		}
		heard += f.heard.Load()
		resumed += f.resumed
	}
	if heard == 0 || removed == 0 || s.plans == 0 {
		t.Errorf("heard %d events, removed %d, made %d plans: the run shows nothing", heard, removed, s.plans)
	}
	t.Logf("%d events of the engine, %d faults, %d plans, %d removed, items %v, %d events heard by %d clients, %d resumed",
		s.moves.Load(), s.faults, s.plans, removed, s.results, heard, soakClients, resumed)
	s.flat()
}

// flat compares the last quarter of the time with the second: the first is a start.
func (s *soak) flat() {
	t := s.t
	n := len(s.samples) / 4
	if n < 5 {
		t.Fatalf("%d samples are too few", len(s.samples))
	}
	second, last := s.samples[n:2*n], s.samples[3*n:]
	median := func(of []sample, what func(sample) int64) int64 {
		var all []int64
		for _, v := range of {
			all = append(all, what(v))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	for _, f := range []struct {
		name  string
		what  func(sample) int64
		slack int64 // beside a tenth
	}{
		{"bytes resident", func(v sample) int64 { return v.resident }, 8 << 20},
		{"goroutines", func(v sample) int64 { return int64(v.goroutines) }, 50},
		{"file handles", func(v sample) int64 { return int64(v.files) }, 30},
	} {
		before, after := median(second, f.what), median(last, f.what)
		t.Logf("%s: %d in the second quarter, %d in the last", f.name, before, after)
		if after > before+before/10+f.slack {
			t.Errorf("%s grow: %d in the second quarter, %d in the last", f.name, before, after)
		}
	}
	if lost := s.samples[len(s.samples)-1].lost; lost > 0 {
		t.Errorf("%v events were lost", lost)
	}
}
