package api

import (
	"bytes"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/tiny-forge/docker-watcher/client"
)

// TestATargetThatHasSignedItself can be led to by its certificate, or by taking any, which is said wherever the proxy is shown.
func TestATargetThatHasSignedItself(t *testing.T) {
	f := newFrontBed(t)
	ctx := t.Context()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "safe") }))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}))

	for name, c := range map[string]struct {
		trial client.ProxyTrial
		ok    bool
	}{
		"by nobody":   {client.ProxyTrial{}, false},
		"by its own":  {client.ProxyTrial{TargetCA: ca}, true},
		"by whomever": {client.ProxyTrial{TargetTLSVerify: new(false)}, true},
	} {
		c.trial.Targets = []string{srv.URL}
		if got, err := f.operator.TryProxy(ctx, c.trial); err != nil || got.OK != c.ok {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	_, err := f.operator.TryProxy(ctx, client.ProxyTrial{Targets: []string{srv.URL}, TargetCA: "nonsense"})
	if p := problemIn(t, err, http.StatusUnprocessableEntity, client.CodeInvalid); p.Errors[0].Location != "body.target_ca" {
		t.Errorf("a trial with nonsense: %+v", p)
	}
	fields := leadsTo("a.example", srv.URL)
	fields.TargetCA = new("nonsense")
	_, err = f.operator.CreateProxy(ctx, fields)
	if p := problemIn(t, err, http.StatusUnprocessableEntity, client.CodeInvalid); p.Errors[0].Location != "body.target_ca" {
		t.Errorf("nonsense: %+v", p)
	}

	fields.TargetCA = nil
	made, err := f.operator.CreateProxy(ctx, fields)
	f.must(err)
	if made.Unverified() || made.TargetCA != "" {
		t.Errorf("one that says nothing of it is %+v", made)
	}
	f.expect("a.example", 502, "Nothing answers")
	change := func(fields client.RouteFields) client.Route {
		t.Helper()
		r, err := f.operator.UpdateProxy(ctx, made.ID, 0, client.ProxyFields{RouteFields: fields})
		f.must(err)
		return r
	}
	if r := change(client.RouteFields{TargetCA: &ca}); r.TargetCA != ca || r.Unverified() {
		t.Errorf("with its certificate it is %+v", r)
	}
	f.expect("a.example", 200, "safe")
	doc, err := f.viewer.ExportProxies(ctx)
	f.must(err)
	if !bytes.Contains(doc, []byte("BEGIN CERTIFICATE")) {
		t.Errorf("it is not exported: %s", doc)
	}
	if r := change(client.RouteFields{TargetCA: new(""), TargetTLSVerify: new(false)}); !r.Unverified() || r.TargetCA != "" {
		t.Errorf("unverified it is %+v", r)
	}
	f.expect("a.example", 200, "safe")
	if told, err := f.operator.ImportProxies(ctx, doc, false); err != nil || told.Changed != 1 {
		t.Errorf("imported: %+v, %v", told, err)
	}
	if r, err := f.viewer.Proxy(ctx, made.ID); err != nil || r.TargetCA != ca || r.Unverified() {
		t.Errorf("imported it is %+v, %v", r, err)
	}
	f.expect("a.example", 200, "safe")
}
