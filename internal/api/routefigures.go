package api

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tiny-forge/docker-watcher/internal/certs"
	"github.com/tiny-forge/docker-watcher/internal/proxy"
)

// planeTimeout bounds how long a scrape waits for a data plane: one that hangs must not take the other figures with it.
const planeTimeout = 2 * time.Second

func (f *figures) collectProxy(ch chan<- prometheus.Metric) {
	if f.d.Routes.Apart != nil {
		gauge(ch, f.more.planeUp, oneIf(f.d.Routes.Apart().Away == ""))
	}
	totals, ok := f.d.Routes.totals()
	if !ok {
		return
	}
	for _, kind := range []proxy.Kind{proxy.KindRoute, proxy.KindProxy} {
		counter(ch, f.more.proxyRequests, float64(totals[kind].Requests), string(kind))
		counter(ch, f.more.proxyErrors, float64(totals[kind].Errors), string(kind))
	}
}

// totals are what the built-in proxy has answered; false: there is none. Those of a data plane are what was taken from it: its own begin
// anew with each process of it, and at a moment that nobody here knows.
func (r Routes) totals() (map[proxy.Kind]proxy.Totals, bool) {
	if r.Apart != nil {
		return r.Counter.Totals(), true
	}
	p, ok := r.Proxy.(interface {
		Totals() map[proxy.Kind]proxy.Totals
	})
	if !ok {
		return nil, false
	}
	return p.Totals(), true
}

// certificateResults are told even at zero, as are the others.
var certificateResults = []certs.Kind{certs.Issued, certs.Renewed, certs.Failed}

// collectCertificates tells of those that the table in force asks for: nobody is to be alarmed by one that nobody uses.
func (f *figures) collectCertificates(ctx context.Context, ch chan<- prometheus.Metric) {
	r := f.d.Routes
	if r.Certificates == nil || r.Router == nil {
		return
	}
	counts := r.Router.CertificateCounts()
	for _, k := range certificateResults {
		counter(ch, f.more.certificateTries, float64(counts[k]), string(k))
	}
	ctx, cancel := context.WithTimeout(ctx, planeTimeout)
	defer cancel()
	all, err := r.Certificates.Certificates(ctx)
	if isAway(err) {
		return // it is told by data_plane_up
	}
	if err != nil {
		ch <- prometheus.NewInvalidMetric(f.more.certificateEnd, err)
		return
	}
	now := time.Now()
	for _, c := range all {
		id := c.ID.String()
		gauge(ch, f.more.certificateState, 1, id, c.State(now))
		gauge(ch, f.more.certificateFailing, oneIf(c.Trouble.Kind != ""), id)
		if !c.NotAfter.IsZero() {
			gauge(ch, f.more.certificateEnd, unixSeconds(c.NotAfter), id)
		}
	}
}
