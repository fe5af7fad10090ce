package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/routing"
)

// proxiesDoc is one of standalone proxies, as somebody may write it.
func proxiesDoc(rows ...string) json.RawMessage {
	return json.RawMessage(`{"document":"docker-watcher.standalone-proxies","version":1,"proxies":[` + strings.Join(rows, ",") + `]}`)
}

func (f *frontBed) actions(p client.ProxyImport) string {
	f.t.Helper()
	var words []string
	for n, i := range p.Items {
		if i.Index != n {
			f.t.Errorf("row %d is told as %d", n, i.Index)
		}
		words = append(words, i.Action)
	}
	return strings.Join(words, " ")
}

func TestWhatIsExportedCanBeImported(t *testing.T) {
	f := newFrontBed(t)
	ctx := t.Context()
	full := leadsTo("full.example", target(t, "full"), "http://10.0.0.9:3000")
	full.Notes, full.PathPrefix, full.HSTSSeconds, full.WebSockets, full.ConnectTimeout = new("old"), new("/a"), new(60), new(false), new("3s")
	full.BasicAuth = &[]client.Credential{{User: "anna", Password: "correct horse"}}
	full.HealthCheck = &client.HealthCheck{Path: "/healthz", Fails: 2}
	full.RequestHeaders = &[]client.Header{{Name: "Authorization", Value: "Bearer " + canary}, {Name: "X-Tenant", Value: "a"}}
	made, err := f.operator.CreateProxy(ctx, full)
	f.must(err)
	_, err = f.operator.CreateProxy(ctx, leadsTo("plain.example", target(t, "plain")))
	f.must(err)
	doc, err := f.viewer.ExportProxies(ctx)
	f.must(err)
	if bytes.Contains(doc, []byte(canary)) || bytes.Contains(doc, []byte("$2a$")) || bytes.Contains(doc, []byte("correct")) || !bytes.Contains(doc, []byte("are not in here")) {
		t.Errorf("the document is %s", doc)
	}
	told, err := f.operator.ImportProxies(ctx, doc, true)
	f.must(err)
	if f.actions(told) != "unchanged unchanged" || told.Unchanged != 2 || told.Applied {
		t.Errorf("told is %+v", told)
	}
	if done, err := f.operator.ImportProxies(ctx, doc, false); err != nil || !done.Applied || done.Changed+done.Created != 0 {
		t.Errorf("done is %+v, %v", done, err)
	}
	// Whatever was changed since comes back, its secrets stay.
	_, err = f.operator.UpdateProxy(ctx, made.ID, 0, client.ProxyFields{RouteFields: client.RouteFields{Domains: &[]string{"moved.example"}, Notes: new("new"), HealthCheck: &client.HealthCheck{}, WebSockets: new(true)}})
	f.must(err)
	told, err = f.operator.ImportProxies(ctx, doc, true)
	f.must(err)
	if f.actions(told) != "change unchanged" || fmt.Sprint(told.Items[0].Changed) != "[domains notes health_check no_websockets]" {
		t.Errorf("told is %+v", told)
	}
	if got, err := f.viewer.Proxy(ctx, made.ID); err != nil || got.Notes != "new" {
		t.Errorf("a dry run wrote: %+v, %v", got, err)
	}
	if _, err = f.operator.ImportProxies(ctx, doc, false); err != nil {
		t.Fatal(err)
	}
	row, err := f.db.Route(ctx, made.ID)
	f.must(err)
	o, err := routing.OptionsOf(row.Route)
	if err != nil || row.Notes != "old" || o.RequestHeaders[0].Value != "Bearer "+canary || len(o.BasicAuth) != 1 || o.BasicAuth[0].Hash == "" || o.HealthCheck.Fails != 2 || !o.NoWebSockets {
		t.Errorf("imported it is %+v, %+v, %v", row.Route, o, err)
	}
	if e := f.event("proxy.updated"); strings.Contains(fmt.Sprint(e), canary) {
		t.Errorf("the event tells a secret: %+v", e)
	}

	// Elsewhere its secrets have to be written in, and no site is opened without them.
	f.must(f.operator.DeleteProxy(ctx, made.ID))
	told, err = f.operator.ImportProxies(ctx, doc, true)
	f.must(err)
	if f.actions(told) != "refused unchanged" || !strings.Contains(fmt.Sprint(told.Items[0].Errors), "proxies[0].request_headers[0]") {
		t.Errorf("told is %+v", told)
	}
	_, err = f.operator.ImportProxies(ctx, doc, false)
	wantProblem(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
	whole := bytes.Replace(doc, []byte(`"name":"Authorization"`), []byte(`"name":"Authorization","value":"Bearer new"`), 1)
	told, err = f.operator.ImportProxies(ctx, whole, true)
	f.must(err)
	if !strings.Contains(fmt.Sprint(told.Items[0].Errors), "basic_auth[0]") {
		t.Errorf("without a password it is %+v", told.Items[0])
	}
	whole = bytes.Replace(whole, []byte(`"user":"anna"`), []byte(`"user":"anna","password":"battery staple"`), 1)
	if done, err := f.operator.ImportProxies(ctx, whole, false); err != nil || done.Created != 1 {
		t.Errorf("done is %+v, %v", done, err)
	}
	if again, err := f.operator.ImportProxies(ctx, whole, false); err != nil || again.Unchanged != 2 {
		t.Errorf("done again it is %+v, %v", again, err)
	}
	if status, _ := f.ask("full.example", "/a"); status != http.StatusUnauthorized {
		t.Errorf("it answers %d", status)
	}
}

func TestAnImportIsAllOrNothing(t *testing.T) {
	f := newFrontBed(t)
	ctx := t.Context()
	f.routed("shop", "shop")
	a, err := f.operator.CreateProxy(ctx, leadsTo("a.example", target(t, "a")))
	f.must(err)
	b, err := f.operator.CreateProxy(ctx, leadsTo("b.example", target(t, "b")))
	f.must(err)
	doc := proxiesDoc(
		`{"domains":["good.example"],"targets":["`+target(t, "good")+`"]}`,
		`{"domains":["shop.example"],"targets":["http://10.0.0.5"]}`,
		`{"domains":["good.example"],"targets":["http://10.0.0.5"]}`,
		`{"domains":["x y"],"targets":["http://169.254.169.254"],"connect_timeout":"soon"}`,
		`{"id":"`+a.ID+`","notes":"one"}`,
		`{"domains":["a.example"],"notes":"two"}`,
		`{"domains":["a.example","b.example"]}`,
		`{"domains":["meta.example"],"targets":["http://169.254.169.254"],"enabled":false}`,
		`{"domains":[]}`,
	)
	told, err := f.operator.ImportProxies(ctx, doc, true)
	f.must(err)
	if f.actions(told) != "create refused refused refused change refused refused refused refused" || told.Refused != 7 || told.Created != 1 || told.Changed != 1 {
		t.Errorf("told is %s: %+v", f.actions(told), told)
	}
	_, err = f.operator.ImportProxies(ctx, doc, false)
	p := problemIn(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
	said := fmt.Sprint(p.Errors)
	for _, want := range []string{
		"body.document.proxies[1].domains[0]", "leads to the stage shop/live", "body.document.proxies[2].domains[0]", "proxies[0] as well", "body.document.proxies[3].domains[0]",
		"body.document.proxies[3].connect_timeout", "body.document.proxies[5].id", "proxies[4] is about the same", "body.document.proxies[6].domains[1]", "body.document.proxies[7].targets[0]",
		"link-local", "body.document.proxies[8].domains",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not said in %s", want, said)
		}
	}
	if l, err := f.viewer.Proxies(ctx, client.RouteQuery{}); err != nil || len(l.Items) != 2 || l.Items[0].Notes != "" {
		t.Errorf("something was imported: %+v, %v", l.Items, err)
	}
	if status, _ := f.ask("good.example", "/"); status != 404 {
		t.Errorf("what was not imported answers %d", status)
	}

	// Two that change places do not stand in each other's way.
	swap := proxiesDoc(`{"id":"`+a.ID+`","domains":["b.example"]}`, `{"id":"`+b.ID+`","domains":["a.example"]}`)
	if done, err := f.operator.ImportProxies(ctx, swap, false); err != nil || done.Changed != 2 {
		t.Errorf("done is %+v, %v", done, err)
	}
	for host, want := range map[string]string{"a.example": "b", "b.example": "a", "shop.example": "shop"} {
		if status, body := f.ask(host, "/"); status != 200 || body != want {
			t.Errorf("%s answers %d %s, want %s", host, status, body, want)
		}
	}
	_, err = f.viewer.ImportProxies(ctx, swap, true)
	wantProblem(t, err, http.StatusForbidden, client.CodeForbidden)
	for _, wrong := range []string{`{}`, `{"document":"another","version":1,"proxies":[]}`, `{"document":"docker-watcher.standalone-proxies","version":2,"proxies":[]}`, `{"document":"docker-watcher.standalone-proxies","version":1,"proxies":[{"domain":"a"}]}`} {
		_, err = f.operator.ImportProxies(ctx, json.RawMessage(wrong), true)
		wantProblem(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
	}
}

// TestAnImportNeedsTheCertificatesThatItNames, and that they are good for its domains.
func TestAnImportNeedsTheCertificatesThatItNames(t *testing.T) {
	f := newFrontBed(t)
	ctx := t.Context()
	row := func(domain, certificate string) string {
		return fmt.Sprintf(`{"domains":[%q],"targets":["http://10.0.0.5"],"tls":"own","certificate":%q}`, domain, certificate)
	}
	chain, key := selfSigned(t, 100*24*time.Hour, "wiki.example")
	_, err := f.admin.UploadCertificate(ctx, "wiki", chain, key)
	f.must(err)
	doc := proxiesDoc(row("wiki.example", "wiki"), row("lost.example", "nobody"), row("other.example", "wiki"))
	told, err := f.operator.ImportProxies(ctx, doc, true)
	f.must(err)
	if f.actions(told) != "create refused refused" {
		t.Errorf("told is %s: %+v", f.actions(told), told)
	}
	for _, n := range []int{1, 2} {
		if e := told.Items[n].Errors; len(e) != 1 || e[0].Location != fmt.Sprintf("body.document.proxies[%d].certificate", n) {
			t.Errorf("row %d is told %+v", n, e)
		}
	}
	_, err = f.operator.ImportProxies(ctx, doc, false)
	wantFields(t, err, "body.document.proxies[1].certificate", "body.document.proxies[2].certificate")
	if l, err := f.viewer.Proxies(ctx, client.RouteQuery{}); err != nil || len(l.Items) != 0 {
		t.Errorf("something was imported: %+v, %v", l.Items, err)
	}
	if done, err := f.operator.ImportProxies(ctx, proxiesDoc(row("wiki.example", "wiki")), false); err != nil || done.Created != 1 {
		t.Errorf("done is %+v, %v", done, err)
	}
}

func TestALargeDocumentIsImportedQuickly(t *testing.T) {
	f := newFrontBed(t)
	var rows []string
	for n := range 300 {
		rows = append(rows, fmt.Sprintf(`{"domains":["s%d.example"],"targets":["http://10.0.0.5:3000"]}`, n))
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if done, err := f.operator.ImportProxies(ctx, proxiesDoc(rows...), false); err != nil || done.Created != 300 {
		t.Fatalf("done is %d, %v", done.Created, err)
	}
	if l, err := f.viewer.Proxies(ctx, client.RouteQuery{Limit: 1000}); err != nil || len(l.Items) != 300 || l.Items[0].State != "served" {
		t.Errorf("listed are %d, %v", len(l.Items), err)
	}
}
