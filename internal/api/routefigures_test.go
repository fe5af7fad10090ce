package api

import (
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
)

// secure has certificates asked for in each way, one of which cannot be had, and one made anew.
func (f *frontBed) secure() {
	f.t.Helper()
	ctx := f.t.Context()
	trusted, _ := selfSigned(f.t, time.Hour, "ca.internal")
	_, err := f.admin.SetAuthority(ctx, client.Authority{Directory: "https://127.0.0.1:1/dir", Roots: trusted}, "", "")
	f.must(err)
	for _, name := range []string{"wiki", "unused"} {
		chain, key := selfSigned(f.t, 5*24*time.Hour, name+".example")
		_, err := f.admin.UploadCertificate(ctx, name, chain, key)
		f.must(err)
	}
	for domain, by := range map[string]string{"books.localhost": "internal", "app.internal": "auto", "wiki.example": "own"} {
		fields := leadsTo(domain, target(f.t, domain))
		if fields.TLS = &by; by == "own" {
			fields.Certificate = new("wiki")
		}
		_, err := f.operator.CreateProxy(ctx, fields)
		f.must(err)
	}
	f.event("certificate.issued")
	f.event("certificate.failed")
	_, err = f.admin.RenewCertificate(ctx, "internal:books.localhost")
	f.must(err)
	f.event("certificate.renewed")
}

func (f *frontBed) wantCertificates(s scraped) {
	s.t.Helper()
	for id, state := range map[string]string{"internal:books.localhost": "valid", "auto:app.internal": "failed", "own:wiki": "expiring"} {
		s.want(`certificate_state{certificate="`+id+`",state="`+state+`"}`, 1)
		s.want(`certificate_failing{certificate="`+id+`"}`, oneIf(state == "failed"))
		c, err := f.viewer.Certificate(s.t.Context(), id)
		f.must(err)
		if !c.NotAfter.IsZero() {
			s.want(`certificate_end_timestamp_seconds{certificate="`+id+`"}`, unixSeconds(c.NotAfter))
		}
	}
	s.absent("certificate_end", "app.internal") // there is none
	s.absent("certificate_", "unused")          // nobody is served by it
	for result, n := range map[string]float64{"issued": 1, "renewed": 1, "failed": 1} {
		s.want(`certificate_tries_total{result="`+result+`"}`, n)
	}
	s.absent("data_plane_up", "") // the daemon serves by itself
}

// figuresOfADataPlane looks at what is told of a data plane that is a process of its own while it is ended and started: nothing is lost
// of what was taken from it, and nothing falls or is told twice.
func figuresOfADataPlane(t *testing.T) scraped {
	t.Helper()
	a := newApartBed(t)
	ctx := t.Context()
	st := a.shop("shop", "preview")
	a.serving(st, "shop-1", target(t, "shop"))
	_, err := a.operator.CreateRoute(ctx, routeTo(st, "shop.example", 80))
	a.must(err)
	_, err = a.operator.CreateProxy(ctx, leadsTo("books.example", target(t, "books")))
	a.must(err)
	_, err = a.operator.CreateProxy(ctx, leadsTo("nowhere.example", "http://127.0.0.1:1"))
	a.must(err)
	asked := func(hosts ...string) {
		t.Helper()
		for _, host := range hosts {
			a.ask(host, "/")
		}
		a.must(a.deps.Routes.Counter.Keep(ctx))
	}
	want := func(up, routes, proxies, errors float64) scraped {
		t.Helper()
		s := a.scrape()
		s.t = t
		s.want(`data_plane_up`, up)
		s.want(`proxy_requests_total{kind="route"}`, routes)
		s.want(`proxy_requests_total{kind="proxy"}`, proxies)
		s.want(`proxy_errors_total{kind="route"}`, 0)
		s.want(`proxy_errors_total{kind="proxy"}`, errors)
		s.want(`certificate_tries_total{result="failed"}`, 0)
		return s
	}
	want(1, 0, 0, 0)
	asked("shop.example", "shop.example", "books.example", "nowhere.example", "nobody.example")
	want(1, 2, 2, 1)
	asked()
	s := want(1, 2, 2, 1)

	a.end()
	eventually(t, "it is away", func() bool { return a.deps.Routes.Apart().Away != "" })
	asked()
	want(0, 2, 2, 1).absent("certificate_state", "")
	a.start() // and has counted nothing
	eventually(t, "it is back", func() bool { return a.deps.Routes.Apart().Away == "" })
	want(1, 2, 2, 1)
	asked("books.example")
	want(1, 2, 3, 1)
	return s
}

// TestNoProxyHasNoFiguresOfOne: where nothing is served, no zero says that all is well.
func TestNoProxyHasNoFiguresOfOne(t *testing.T) {
	s := newBed(t).scrape()
	for _, name := range []string{"proxy_", "data_plane_", "certificate_", "outbox_", "channel_"} {
		s.absent(name, "")
	}
	s.want("scan_overdue", 0)
}
