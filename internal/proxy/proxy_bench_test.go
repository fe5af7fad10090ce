package proxy

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
)

// thousand is a server with a thousand hosts that all lead to one target.
func thousand(b *testing.B, target string) (*Server, Table) {
	b.Helper()
	var t Table
	for n := range 1000 {
		t.Rules = append(t.Rules, rule(fmt.Sprintf("h%d.example", n), target))
	}
	s := NewServer(ServerOptions{Log: slog.New(slog.DiscardHandler)})
	if _, err := s.Apply(t); err != nil {
		b.Fatal(err)
	}
	return s, t
}

// BenchmarkRequest compares what a request costs here with a bare ReverseProxy.
func BenchmarkRequest(b *testing.B) {
	answer := make([]byte, 1024)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(answer) }))
	defer srv.Close()
	u, err := url.Parse(srv.URL)
	if err != nil {
		b.Fatal(err)
	}
	bare := &httputil.ReverseProxy{
		Rewrite:    func(pr *httputil.ProxyRequest) { pr.SetURL(u); pr.SetXForwarded() },
		BufferPool: &bufferPool{}, Transport: &http.Transport{MaxIdleConnsPerHost: idlePerTarget, DisableCompression: true},
	}
	s, _ := thousand(b, srv.URL)
	for name, h := range map[string]http.Handler{"bare": bare, "1000 hosts": s} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for n := range b.N {
				r := httptest.NewRequest(http.MethodGet, "http://placeholder/x", nil)
				r.Host = fmt.Sprintf("h%d.example", n%1000)
				w := httptest.NewRecorder()
				if h.ServeHTTP(w, r); w.Code != http.StatusOK {
					b.Fatal(w.Code)
				}
			}
		})
	}
}

// BenchmarkReload swaps tables of a thousand hosts.
func BenchmarkReload(b *testing.B) {
	s, t := thousand(b, "http://10.0.0.5:3000")
	for n := range b.N {
		t.Rules[0].Options.MaxBodyBytes = int64(n + 1)
		if _, err := s.Apply(t); err != nil {
			b.Fatal(err)
		}
	}
}
