package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// metrics are the figures of one server.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	figures  *figures
	missing  *missingFigures
}

func newMetrics(d Deps) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "docker_watcher_http_requests_total", Help: "Requests by route, method and status.",
		}, []string{"route", "method", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "docker_watcher_http_request_seconds", Help: "How long requests took, by route.",
			Buckets: []float64{.001, .005, .02, .1, .5, 2, 10},
		}, []string{"route"}),
		figures: newFigures(d),
		missing: &missingFigures{log: d.Log, now: time.Now},
	}
	m.registry.MustRegister(m.requests, m.seconds,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// served counts a request. What matched no route is counted together: a stranger
// must not be able to make labels.
func (m *metrics) served(r *http.Request, status int, took time.Duration) {
	route, method := r.Pattern, r.Method
	if route == "" {
		route, method = "none", "any"
	}
	if status == 0 {
		status = http.StatusOK
	}
	m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(route).Observe(took.Seconds())
}

// showMetrics answers in Prometheus' text format. It needs a viewer like every
// other reading: a token for the scraper is quickly made. Where the store does not answer in time, what is known without it is
// told: that is when it is looked for. What is missing then is counted in promhttp_metric_handler_errors_total, and told in the log.
func (s *server) showMetrics(context.Context, *none) (*streamOut, error) {
	return &streamOut{Body: func(hc huma.Context) {
		r, w := humago.Unwrap(hc)
		ctx, cancel := context.WithTimeout(r.Context(), figuresTimeout)
		defer cancel()
		now := prometheus.NewRegistry()
		now.MustRegister(scrape(func(ch chan<- prometheus.Metric) { s.metrics.figures.collect(ctx, ch) }))
		promhttp.HandlerFor(prometheus.Gatherers{s.metrics.registry, now}, promhttp.HandlerOpts{
			ErrorHandling: promhttp.ContinueOnError, Registry: s.metrics.registry, ErrorLog: s.metrics.missing,
		}).ServeHTTP(w, r)
	}}, nil
}

// scrape reads figures for one request, within its context.
type scrape func(chan<- prometheus.Metric)

// Describe names nothing beforehand.
func (scrape) Describe(chan<- *prometheus.Desc) {}

// Collect reads the figures.
func (f scrape) Collect(ch chan<- prometheus.Metric) { f(ch) }

// figures are read from the parts when they are asked for.
type figures struct {
	d                                                         Deps
	stale, lastGood, frozen, stream, overdue, listeners, lost *prometheus.Desc
	archives, archiveBytes, autoHeld, leftovers               *prometheus.Desc
	more                                                      more
}

func newFigures(d Deps) *figures {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("docker_watcher_"+name, help, labels, nil)
	}
	return &figures{
		d:         d,
		stale:     desc("stale_instances", "Instances that are stale now, by whether they are protected.", "protected"),
		lastGood:  desc("last_good_scan_timestamp_seconds", "When a host was last judged.", "host"),
		frozen:    desc("host_frozen", "1 while verdicts and cleanups of a host are held back.", "host"),
		stream:    desc("engine_stream_age_seconds", "How long the engine's event stream has been unbroken; 0: it is down.", "host"),
		overdue:   desc("scan_overdue", "1 while a scan that was due did not come."),
		listeners: desc("event_listeners", "Listeners of events inside the daemon."),
		lost:      desc("events_lost_total", "Events that found no room to wait for the store."),

		archives:     desc("archives", "Removed instances that can be restored."),
		archiveBytes: desc("archive_bytes", "What keeping their writable layers costs."),
		autoHeld:     desc("auto_held", "1 while automatic cleanup does nothing on a host.", "host"),
		leftovers:    desc("leftovers", "What does not fit together and waits to be mended.", "kind"),
		more:         newMore(desc),
	}
}

// figuresTimeout bounds the reading of all figures for one scrape.
const figuresTimeout = 5 * time.Second

// collect reads the figures. One that cannot be read is left out and counted as an error of the scrape: an
// old or a zero figure would hide that something is wrong, and without the others nobody would see what else is.
func (f *figures) collect(ctx context.Context, ch chan<- prometheus.Metric) {
	f.collectWithoutStore(ctx, ch)
	f.collectHosts(ctx, ch)
	f.collectArchives(ctx, ch)
	f.collectLeftovers(ctx, ch)
	f.collectSizes(ctx, ch)
	f.collectOutbox(ctx, ch)
	f.collectClasses(ctx, ch)
	f.collectStale(ctx, ch)
}

// collectWithoutStore is first: a store that is slow may use up the time of all that come after it.
func (f *figures) collectWithoutStore(ctx context.Context, ch chan<- prometheus.Metric) {
	f.collectEvents(ch)
	f.collectEnds(ch)
	f.collectDisk(ch)
	f.collectJobs(ch)
	f.collectBackups(ch)
	f.collectProxy(ch)
	f.collectCertificates(ctx, ch)
}

func (f *figures) collectEvents(ch chan<- prometheus.Metric) {
	gauge(ch, f.listeners, float64(f.d.Bus.Listeners()))
	counter(ch, f.lost, float64(f.d.Bus.Lost()))
	gauge(ch, f.more.waiting, float64(f.d.Bus.Waiting()))
}

func (f *figures) collectStale(ctx context.Context, ch chan<- prometheus.Metric) {
	for _, protected := range []bool{false, true} {
		filter := store.StaleFilter{Protected: &protected, Now: time.Now()}
		_, _, total, err := f.d.DB.StaleInstances(ctx, filter, store.Page{Limit: 1})
		if err != nil {
			ch <- prometheus.NewInvalidMetric(f.stale, err)
			return
		}
		ch <- prometheus.MustNewConstMetric(f.stale, prometheus.GaugeValue, float64(total), strconv.FormatBool(protected))
	}
}

// collectHosts tells of the hosts, and of what is told by their names.
func (f *figures) collectHosts(ctx context.Context, ch chan<- prometheus.Metric) {
	hosts, err := f.d.DB.Hosts(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(f.lastGood, err)
		return
	}
	names := map[string]string{}
	for _, h := range hosts {
		if !h.DisabledSince.IsZero() {
			continue // nobody is to be alarmed by a host that is meant to be out of use
		}
		names[h.ID] = h.Name
		if !h.LastGoodScan.IsZero() {
			ch <- prometheus.MustNewConstMetric(f.lastGood, prometheus.GaugeValue, float64(h.LastGoodScan.UnixMilli())/1000, h.Name)
		}
		ch <- prometheus.MustNewConstMetric(f.frozen, prometheus.GaugeValue, oneIf(!h.FrozenSince.IsZero()), h.Name)
		ch <- prometheus.MustNewConstMetric(f.autoHeld, prometheus.GaugeValue, oneIf(h.AutoHeld != ""), h.Name)
		if engine, err := f.d.Fleet.Engine(h.ID); err == nil {
			ch <- prometheus.MustNewConstMetric(f.stream, prometheus.GaugeValue, engine.StreamAge().Seconds(), h.Name)
		}
	}
	f.collectAnswers(ch, names)
	f.collectScans(ctx, ch, names)
	f.collectBlind(ctx, ch, names)
}

func (f *figures) collectArchives(ctx context.Context, ch chan<- prometheus.Metric) {
	n, bytes, err := f.d.DB.ArchiveTotals(ctx, store.ArchiveFilter{})
	if err != nil {
		ch <- prometheus.NewInvalidMetric(f.archives, err)
		return
	}
	ch <- prometheus.MustNewConstMetric(f.archives, prometheus.GaugeValue, float64(n))
	ch <- prometheus.MustNewConstMetric(f.archiveBytes, prometheus.GaugeValue, float64(bytes))
}

// leftoverKinds are told even at zero, so that an alarm on one has a line to look at.
var leftoverKinds = []store.LeftoverKind{
	store.LeftoverContainer, store.LeftoverRow, store.LeftoverRoute, store.LeftoverRemoving, store.LeftoverDead,
}

func (f *figures) collectLeftovers(ctx context.Context, ch chan<- prometheus.Metric) {
	leftovers, err := f.d.DB.Leftovers(ctx, "")
	if err != nil {
		ch <- prometheus.NewInvalidMetric(f.leftovers, err)
		return
	}
	counts := map[store.LeftoverKind]int{}
	for _, l := range leftovers {
		counts[l.Kind]++
	}
	for _, kind := range leftoverKinds {
		ch <- prometheus.MustNewConstMetric(f.leftovers, prometheus.GaugeValue, float64(counts[kind]), string(kind))
	}
}

func oneIf(on bool) float64 {
	if on {
		return 1
	}
	return 0
}
