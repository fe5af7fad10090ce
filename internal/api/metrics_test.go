package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metricsql"
	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"go.yaml.in/yaml/v4"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/backup"
	"github.com/tiny-forge/docker-watcher/internal/schedule"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
	"github.com/tiny-forge/docker-watcher/internal/waittest"
)

// family is one figure as the handler writes it.
type family struct {
	help, kind string
	labels     map[string]bool
}

// scraped is what one scrape answered.
type scraped struct {
	t        *testing.T
	families map[string]*family
	samples  map[string]float64 // by name and labels, as written
}

var sampleShape = regexp.MustCompile(`^([a-z_:]+)(\{.*\})? (\S+)$`)

var labelShape = regexp.MustCompile(`([a-z_]+)="`)

func (b *bed) scrape() scraped {
	b.t.Helper()
	status, _, text := b.raw(b.viewer, get, "/metrics", "")
	if status != http.StatusOK {
		b.t.Fatalf("%d %s", status, text)
	}
	s := scraped{t: b.t, families: map[string]*family{}, samples: map[string]float64{}}
	for line := range strings.Lines(text) {
		s.read(strings.TrimSpace(line))
	}
	return s
}

func (s scraped) read(line string) {
	s.t.Helper()
	if rest, ok := strings.CutPrefix(line, "# HELP "); ok {
		name, help, _ := strings.Cut(rest, " ")
		s.families[name] = &family{help: help, labels: map[string]bool{}}
		return
	}
	if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
		name, kind, _ := strings.Cut(rest, " ")
		s.families[name].kind = kind
		return
	}
	parts := sampleShape.FindStringSubmatch(line)
	if parts == nil {
		s.t.Errorf("a line of another shape: %q", line)
		return
	}
	v, err := strconv.ParseFloat(parts[3], 64)
	if err != nil {
		s.t.Errorf("%q: %v", line, err)
	}
	s.samples[parts[1]+parts[2]] = v
	for _, label := range labelShape.FindAllStringSubmatch(parts[2], -1) {
		s.familyOf(parts[1]).labels[label[1]] = true
	}
}

// learn adds figures that another bed has.
func (s scraped) learn(other scraped) {
	for name, f := range other.families {
		if s.families[name] == nil {
			s.families[name] = f
		}
	}
}

// familyOf finds a figure by the name of one of its samples; nil: there is none.
func (s scraped) familyOf(name string) *family {
	if f := s.families[name]; f != nil {
		return f
	}
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if f := s.families[strings.TrimSuffix(name, suffix)]; f != nil && strings.HasSuffix(name, suffix) && f.kind != "gauge" && f.kind != "counter" {
			return f
		}
	}
	return nil
}

func (s scraped) want(sample string, want float64) {
	s.t.Helper()
	got, ok := s.samples["docker_watcher_"+sample]
	if !ok || got != want {
		s.t.Errorf("%s is %v (there: %v), want %v", sample, got, ok, want)
	}
}

// tells fails when one of the samples is missing, whatever it says.
func (s scraped) tells(samples []string) {
	s.t.Helper()
	for _, sample := range samples {
		if _, ok := s.samples["docker_watcher_"+sample]; !ok {
			s.t.Errorf("%s is not told", sample)
		}
	}
}

// absent fails when a figure has a sample that contains part.
func (s scraped) absent(name, part string) {
	s.t.Helper()
	for sample := range s.samples {
		if strings.HasPrefix(sample, "docker_watcher_"+name) && strings.Contains(sample, part) {
			s.t.Errorf("%s is told", sample)
		}
	}
}

// livedIn is a bed in which everything happened that there is a figure for.
func livedIn(t *testing.T) *frontBed {
	t.Helper()
	f := newFrontBed(t)
	ctx := t.Context()
	st := f.shop("shop", "preview")
	f.plant(st, "shop-preview-a", 20)
	f.plant(f.shop("press", "dev"), "press-dev-a", 20)
	f.scan()
	plan, err := f.admin.PlanCleanup(ctx, client.StaleFilter{Project: "press"})
	f.must(err)
	_, err = f.admin.ApplyCleanup(ctx, plan.ID)
	f.must(err)
	f.update(func(tx *store.Tx) error {
		from := time.Now().Add(-time.Hour)
		if err := tx.OpenBlindInterval(ctx, store.BlindInterval{ID: store.NewID(), HostID: f.host.ID, From: from, To: from.Add(time.Minute), Reason: "unreachable"}); err != nil {
			return err
		}
		for state, n := range map[store.DeployState]int{store.DeployDone: 2, store.DeployFailed: 1} {
			for range n {
				d := store.Deploy{ID: store.NewID(), ProjectID: st.ProjectID, StageID: st.ID, HostID: f.host.ID, Image: "shop", ImageTag: "1.0", State: state, CreatedAt: time.Now()}
				if err := tx.InsertDeploy(ctx, d); err != nil {
					return err
				}
			}
		}
		return nil
	})
	ended := make(chan struct{})
	f.must(f.deps.Scheduler.Set(schedule.Job{Name: "broken", Spec: "@every 1h", Run: func(context.Context) error {
		close(ended)
		return fmt.Errorf("it is broken")
	}}))
	f.run("scheduler", f.deps.Scheduler.Run)
	eventually(t, "the job begins", func() bool { return f.deps.Scheduler.Trigger("broken") })
	waittest.Next(f.t, "the job runs", ended)
	eventually(t, "the job has ended", func() bool { s, _ := f.deps.Scheduler.Status("broken"); return !s.Running })
	_, err = f.deps.Backups.Make(ctx, backup.By{Actor: "system"})
	f.must(err)
	_, err = f.operator.CreateProxy(ctx, leadsTo("books.example", target(t, "books")))
	f.must(err)
	f.expect("books.example", http.StatusOK, "books")
	f.secure()
	f.notify()
	return f
}

func TestFigures(t *testing.T) {
	f := livedIn(t)
	s := f.scrape()
	t.Run("exact", func(t *testing.T) { s.t = t; f.wantFigures(s) })
	t.Run("certificates", func(t *testing.T) { s.t = t; f.wantCertificates(s) })
	t.Run("outbox", func(t *testing.T) { s.t = t; f.wantOutbox(s) })
	t.Run("data plane", func(t *testing.T) { s.learn(figuresOfADataPlane(t)) })
	t.Run("MetricsDocument", func(t *testing.T) { s.t = t; s.wantDocumented() })
	t.Run("alerts", func(t *testing.T) { s.t = t; s.wantAlerts() })
	t.Run("dashboard", func(t *testing.T) { s.t = t; s.wantDashboard() })
	t.Run("rolled back", func(t *testing.T) { f.rolledBack(t) })
	t.Run("out of use", func(t *testing.T) { f.outOfUse(t) })
}

func (f *frontBed) wantFigures(s scraped) {
	t := s.t
	runs, _, err := f.db.ScanRuns(t.Context(), f.host.ID, store.Page{Limit: 1})
	f.must(err)
	s.want(`last_scan_seconds{host="local"}`, runs[0].FinishedAt.Sub(runs[0].StartedAt).Seconds())
	s.want(`last_scan_list_calls{host="local"}`, float64(runs[0].ListCalls))
	s.want(`last_scan_inspects{host="local"}`, float64(runs[0].Inspects))
	s.want(`last_scan_instances{host="local"}`, 2)
	s.want(`last_scan_good{host="local"}`, 1)
	s.want(`project_stale_instances{class="exited",project="shop"}`, 1)
	s.absent("project_stale_instances", "press")
	s.want(`cleanup_items_total{result="removed"}`, 1)
	s.want(`cleanup_items_total{result="error"}`, 0)
	s.want(`deploys_total{state="done"}`, 2)
	s.want(`deploys_total{state="failed"}`, 1)
	s.want(`deploys_total{state="cancelled"}`, 0)
	s.want(`host_blind{host="local"}`, 0)
	s.want(`host_blind_seconds_total{host="local",reason="unreachable"}`, 60)
	s.want(`events_waiting`, 0)
	s.want(`events_lost_total`, 0)
	s.want(`job_failures{job_name="broken"}`, 1)
	s.want(`job_overdue{job_name="broken"}`, 0)
	s.want(`backups`, 1)
	all, err := f.deps.Backups.List()
	f.must(err)
	s.want(`newest_backup_timestamp_seconds`, unixSeconds(all[0].At))
	s.want(`newest_backup_bytes`, float64(all[0].Bytes))
	s.want(`backup_tries_total{result="made"}`, 1)
	s.want(`backup_tries_total{result="failed"}`, 0)
	s.want(`proxy_errors_total{kind="proxy"}`, 0)
	s.want(`proxy_requests_total{kind="route"}`, 0)
	for _, more := range []string{
		`store_bytes{part="database"}`, `data_disk_free_bytes`, `proxy_requests_total{kind="proxy"}`, `engine_answer_seconds_count{host="local"}`, `engine_answer_seconds_sum{host="local"}`,
		`job_last_end_timestamp_seconds{job_name="broken"}`, `last_good_scan_timestamp_seconds{host="local"}`,
	} {
		if s.samples["docker_watcher_"+more] <= 0 {
			t.Errorf("%s is %v", more, s.samples["docker_watcher_"+more])
		}
	}
	if all, most := s.samples[`docker_watcher_engine_answer_seconds_count{host="local"}`], s.samples[`docker_watcher_engine_answer_seconds_bucket{host="local",le="+Inf"}`]; all != most {
		t.Errorf("%v answers, %v in the largest bucket", all, most)
	}
}

// rolledBack: what was not committed did not happen.
func (f *frontBed) rolledBack(t *testing.T) {
	before := f.db.Counts()
	err := f.db.Update(t.Context(), func(tx *store.Tx) error {
		d := store.Deploy{ID: store.NewID(), ProjectID: "p", StageID: "s", HostID: f.host.ID, State: store.DeployFailed, CreatedAt: time.Now()}
		return fmt.Errorf("after all not: %w", tx.InsertDeploy(t.Context(), d))
	})
	if err == nil || !maps.Equal(f.db.Counts().Deploys, before.Deploys) {
		t.Errorf("%v; %v, before %v", err, f.db.Counts(), before)
	}
}

// outOfUse: nobody is to be alarmed by a host that is meant to be out of use.
func (f *frontBed) outOfUse(t *testing.T) {
	f.update(func(tx *store.Tx) error {
		return tx.OpenBlindInterval(t.Context(), store.BlindInterval{ID: store.NewID(), HostID: f.host.ID, From: time.Now().Add(-time.Minute), Reason: "clock"})
	})
	s := f.scrape()
	s.t = t
	s.want(`host_blind{host="local"}`, 1)
	if v := s.samples[`docker_watcher_host_blind_seconds_total{host="local",reason="clock"}`]; v < 60 || v > 600 {
		t.Errorf("an open interval lasts %v s", v)
	}
	f.update(func(tx *store.Tx) error { return tx.SetHostDisabled(t.Context(), f.host.ID, time.Now()) })
	s = f.scrape()
	s.t = t
	for _, name := range []string{"host_", "last_scan_", "engine_", "auto_held"} {
		s.absent(name, `host="local"`)
	}
}

// TestAFigureThatCannotBeReadIsCounted and left out, and takes no other with it.
func TestAFigureThatCannotBeReadIsCounted(t *testing.T) {
	b := newBed(t)
	d := b.deps
	d.DB = storetest.Open(t)
	var said bytes.Buffer
	d.Log = slog.New(slog.NewTextHandler(&said, nil))
	b.must(d.Scheduler.Set(schedule.Job{Name: "rings", Spec: "@every 1h", Run: func(context.Context) error { return nil }}))
	s := &server{d: d, log: d.Log, metrics: newMetrics(d)}
	mux := http.NewServeMux()
	huma.Get(humago.New(mux, huma.DefaultConfig("figures", "0")), "/metrics", s.showMetrics)
	scrape := func(ctx context.Context) scraped {
		t.Helper()
		answer := httptest.NewRecorder()
		mux.ServeHTTP(answer, httptest.NewRequestWithContext(ctx, get, "/metrics", nil))
		if answer.Code != http.StatusOK {
			t.Fatalf("%d %s", answer.Code, answer.Body)
		}
		got := scraped{t: t, families: map[string]*family{}, samples: map[string]float64{}}
		for line := range strings.Lines(answer.Body.String()) {
			got.read(strings.TrimSpace(line))
		}
		return got
	}
	const failed = `promhttp_metric_handler_errors_total{cause="gathering"}`
	withoutStore := []string{
		"events_waiting", "events_lost_total", "event_listeners", "data_disk_free_bytes", `deploys_total{state="done"}`, `cleanup_items_total{result="removed"}`, "scan_overdue",
		`job_overdue{job_name="rings"}`, `backup_tries_total{result="made"}`, "backups",
	}
	first := scrape(t.Context())
	first.want("archives", 0)
	if n, there := first.samples[failed]; !there || n != 0 {
		t.Errorf("failed before: %v, there: %t", n, there)
	}
	late, cancel := context.WithCancel(t.Context())
	cancel()
	unread := scrape(late)
	unread.absent("archives", "")
	unread.tells(withoutStore)
	said.Reset()
	s.metrics.missing.told = time.Time{}
	b.must(d.DB.Close())
	scrape(t.Context())
	second := scrape(t.Context())
	second.tells(withoutStore)
	second.absent("archives", "")
	if second.samples[failed] < 1 {
		t.Errorf("failed: %v", second.samples[failed])
	}
	if told := said.String(); strings.Count(told, "figures are missing") != 1 || strings.Count(told, "list the hosts: ") != 1 || strings.Contains(told, "fqName") {
		t.Errorf("the log says %q", told)
	}
}

// TestThatFiguresAreMissingIsLoggedOnceInAWhile: the same once an hour, and another reason not more often than once a minute.
func TestThatFiguresAreMissingIsLoggedOnceInAWhile(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	m := &missingFigures{now: func() time.Time { return now }}
	for i, step := range []struct {
		after time.Duration
		why   string
		news  bool
	}{
		{0, "closed", true},
		{15 * time.Second, "closed", false},
		{15 * time.Second, "at 12:00:30", false},
		{45 * time.Second, "at 12:01:15", true},
		{15 * time.Second, "closed", false},
		{time.Minute, "closed", true},
		{59 * time.Minute, "closed", false},
		{time.Minute, "closed", true},
	} {
		now = now.Add(step.after)
		if got := m.isNews(step.why); got != step.news {
			t.Errorf("step %d: news %t", i, got)
		}
	}
}

const (
	metricsDocument = "../../docs/metrics.md"
	tableBegin      = "<!-- metrics: written by `make golden` from what the handler answers -->\n"
	tableEnd        = "\n<!-- end of metrics -->"
)

// wantDocumented compares the figures with the table of docs/metrics.md, or writes it.
func (s scraped) wantDocumented() {
	t := s.t
	table := &strings.Builder{}
	fmt.Fprint(table, "\n| figure | kind | labels | what it is |\n| --- | --- | --- | --- |\n")
	for _, name := range slices.Sorted(maps.Keys(s.families)) {
		f := s.families[name]
		if !strings.HasPrefix(name, "docker_watcher_") {
			continue
		}
		if strings.HasSuffix(name, "_total") != (f.kind == "counter") {
			t.Errorf("%s is a %s", name, f.kind)
		}
		var labels []string
		for _, label := range slices.Sorted(maps.Keys(f.labels)) {
			if label != "le" {
				labels = append(labels, "`"+label+"`")
			}
		}
		fmt.Fprintf(table, "| `%s` | %s | %s | %s |\n", name, f.kind, strings.Join(labels, ", "), f.help)
	}
	text, err := os.ReadFile(metricsDocument)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, begins := strings.Cut(string(text), tableBegin)
	_, tail, ends := strings.Cut(rest, tableEnd)
	if !begins || !ends {
		t.Fatalf("%s has no place for the table", metricsDocument)
	}
	now := head + tableBegin + table.String() + tableEnd + tail
	if *update {
		if err := os.WriteFile(metricsDocument, []byte(now), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if now != string(text) {
		t.Errorf("%s is not what the handler answers: run make golden and look at the difference", metricsDocument)
	}
}

// check tells what is wrong with a query: that it cannot be read, or names a figure or a label that there is not.
func (s scraped) check(query string) error {
	e, err := metricsql.Parse(query)
	if err != nil {
		return fmt.Errorf("%s: %w", query, err)
	}
	named := 0
	metricsql.VisitAll(e, func(e metricsql.Expr) {
		m, ok := e.(*metricsql.MetricExpr)
		if !ok {
			return
		}
		for _, group := range m.LabelFilterss {
			named++
			err = errors.Join(err, s.checkSelector(group))
		}
	})
	if named == 0 {
		return fmt.Errorf("%s asks for no figure", query)
	}
	return err
}

func (s scraped) checkSelector(filters []metricsql.LabelFilter) error {
	if len(filters) == 0 || filters[0].Label != "__name__" {
		return errors.New("a selector without a name")
	}
	name := filters[0].Value
	f := s.familyOf(name)
	if f == nil {
		return fmt.Errorf("there is no %s", name)
	}
	for _, l := range filters[1:] {
		if l.Label != "job" && l.Label != "instance" && !f.labels[l.Label] {
			return fmt.Errorf("%s has no label %s", name, l.Label)
		}
	}
	return nil
}

// alertFile is what is looked at of one here; Prometheus' own code reads the whole of it in peers_test.go.
type alertFile struct {
	Groups []struct {
		Rules []struct {
			Alert       string
			Expr        string
			Labels      map[string]string
			Annotations map[string]string
		}
	}
}

func (s scraped) wantAlerts() {
	t := s.t
	text, err := os.ReadFile(alertsFile)
	if err != nil {
		t.Fatal(err)
	}
	var file alertFile
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if err := s.check(r.Expr); err != nil {
				t.Errorf("%s: %v", r.Alert, err)
			}
			if r.Alert == "" || seen[r.Alert] || r.Annotations["summary"] == "" || r.Annotations["description"] == "" || r.Labels["severity"] == "" {
				t.Errorf("the rule %+v", r)
			}
			seen[r.Alert] = true
		}
	}
	if len(seen) < 10 {
		t.Errorf("%d rules", len(seen))
	}
	for _, wrong := range []string{"docker_watcher_nothing > 0", `docker_watcher_backups{host="a"}`, "sum(", "1 > 0"} {
		if s.check(wrong) == nil {
			t.Errorf("%s is let through", wrong)
		}
	}
}

// dashboard is what is looked at of one here; Grafana's own schema reads the whole of it in peers_test.go.
type dashboard struct {
	UID    string
	Panels []struct {
		ID      int
		Title   string
		GridPos struct{ H, W, X, Y int }
		Targets []struct{ Expr string }
	}
}

func (s scraped) wantDashboard() {
	t := s.t
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var board dashboard
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	if board.UID == "" || len(board.Panels) == 0 {
		t.Errorf("%+v", board)
	}
	taken, ids := map[[2]int]string{}, map[int]bool{}
	for _, p := range board.Panels {
		if ids[p.ID] || p.Title == "" || len(p.Targets) == 0 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("the panel %+v", p)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("%s lies over %s", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		for _, q := range p.Targets {
			if err := s.check(strings.ReplaceAll(q.Expr, "$job", "docker-watcher")); err != nil {
				t.Errorf("%s: %v", p.Title, err)
			}
		}
	}
}
