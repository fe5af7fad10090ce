package api

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
)

// selfSigned is a certificate that somebody made, with its key.
func selfSigned(t *testing.T, lasts time.Duration, domains ...string) (chain, key string) {
	t.Helper()
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	draft := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "made by hand"}, DNSNames: domains,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(lasts),
	}
	der, err := x509.CreateCertificate(rand.Reader, draft, draft, signer.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return text("CERTIFICATE", der), text("PRIVATE KEY", keyDER)
}

func TestUploadedCertificates(t *testing.T) {
	f := newFrontBed(t)
	ctx := t.Context()
	chain, key := selfSigned(t, 100*24*time.Hour, "wiki.example", "www.wiki.example")
	to := target(t, "wiki")

	_, err := f.operator.UploadCertificate(ctx, "wiki", chain, key)
	wantProblem(t, err, http.StatusForbidden, client.CodeForbidden)
	wrong := leadsTo("wiki.example", to)
	wrong.TLS, wrong.Certificate = new("own"), new("wiki")
	_, err = f.operator.CreateProxy(ctx, wrong)
	wantFields(t, err, "body.certificate")
	made, err := f.admin.UploadCertificate(ctx, "wiki", chain, key)
	f.must(err)
	if made.ID != "own:wiki" || made.State != "valid" || *made.DaysLeft != 99 || !slices.Equal(made.Names, []string{"wiki.example", "www.wiki.example"}) || len(made.Domains) != 0 {
		t.Errorf("made %+v", made)
	}
	wrong.Domains = &[]string{"other.example"}
	_, err = f.operator.CreateProxy(ctx, wrong)
	wantFields(t, err, "body.certificate")
	wrong.Domains, wrong.TLS = &[]string{"wiki.example"}, new("auto")
	_, err = f.operator.CreateProxy(ctx, wrong)
	wantFields(t, err, "body.certificate", "body.tls")
	wrong.TLS = new("own")
	route, err := f.operator.CreateProxy(ctx, wrong)
	f.must(err)
	if route.TLS != "own" || route.Certificate != "wiki" || route.State != "served" {
		t.Errorf("the route is %+v", route)
	}
	l, err := f.viewer.Certificates(ctx)
	f.must(err)
	if len(l) != 1 || !slices.Equal(l[0].Domains, []string{"wiki.example"}) || l[0].Issuer != "made by hand" {
		t.Errorf("listed %+v", l)
	}

	elsewhere, elsewhereKey := selfSigned(t, 100*24*time.Hour, "elsewhere.example")
	_, err = f.admin.UploadCertificate(ctx, "wiki", elsewhere, elsewhereKey)
	wantFields(t, err, "body.chain")
	_, err = f.admin.UploadCertificate(ctx, "wiki", chain, elsewhereKey)
	wantFields(t, err, "body.key")
	_, err = f.admin.UploadCertificate(ctx, "Wiki", chain, key)
	wantFields(t, err, "path.name")
	wantProblem(t, f.admin.DeleteCertificate(ctx, "own:wiki"), http.StatusConflict, client.CodeConflict)
	_, err = f.operator.RenewCertificate(ctx, "own:wiki")
	wantProblem(t, err, http.StatusConflict, client.CodeWrongState)
	_, err = f.viewer.Certificate(ctx, "own:nobody")
	wantProblem(t, err, http.StatusNotFound, client.CodeNotFound)
	wantProblem(t, f.admin.DeleteCertificate(ctx, "own:../../../etc/passwd"), http.StatusNotFound, client.CodeNotFound)

	next, nextKey := selfSigned(t, 200*24*time.Hour, "wiki.example")
	made, err = f.admin.UploadCertificate(ctx, "wiki", next, nextKey)
	f.must(err)
	if *made.DaysLeft != 199 || !slices.Equal(made.Domains, []string{"wiki.example"}) {
		t.Errorf("its successor is %+v", made)
	}
	_, err = f.operator.UpdateProxy(ctx, route.ID, 0, client.ProxyFields{RouteFields: client.RouteFields{TLS: new("internal")}})
	f.must(err)
	f.must(f.admin.DeleteCertificate(ctx, "own:wiki"))
	for _, kind := range []string{"certificate.uploaded", "certificate.replaced", "certificate.removed"} {
		if e := f.event(kind); strings.Contains(fmt.Sprint(e), "PRIVATE") || e.Data["certificate"] != "own:wiki" {
			t.Errorf("%s says %+v", kind, e)
		}
	}
	if e := f.event("certificate.replaced"); !strings.Contains(fmt.Sprint(e.Data["difference"]), "names:map[from:[wiki.example www.wiki.example] to:[wiki.example]]") {
		t.Errorf("it does not say what is another one now: %v", e.Data)
	}
	if strings.Contains(f.logs.String(), "PRIVATE") {
		t.Error("a key is in the log")
	}
	names, err := f.deps.Routes.Folder.Uploads()
	if err != nil || len(names) != 0 {
		t.Errorf("left behind: %v, %v", names, err)
	}
}

// wantFields wants a problem of exactly these fields.
func wantFields(t *testing.T, err error, fields ...string) {
	t.Helper()
	p := problemIn(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
	var got []string
	for _, f := range p.Errors {
		got = append(got, f.Location)
	}
	slices.Sort(got)
	if !slices.Equal(slices.Compact(got), fields) {
		t.Errorf("wrong are %v, want %v", got, fields)
	}
}

func TestCertificatesOfOurOwnAuthority(t *testing.T) {
	f := newFrontBed(t)
	ctx := t.Context()
	fields := leadsTo("app.internal", target(t, "app"))
	fields.TLS = new("internal")
	_, err := f.operator.CreateProxy(ctx, fields)
	f.must(err)
	e := f.event("certificate.issued")
	if e.Data["certificate"] != "internal:app.internal" || e.Source != "proxy" {
		t.Errorf("told %+v", e)
	}
	before, err := f.viewer.Certificate(ctx, "internal:app.internal")
	f.must(err)
	if before.State != "valid" || before.RenewAt.IsZero() || before.Busy {
		t.Errorf("it is %+v", before)
	}
	root, err := f.viewer.OwnCA(ctx)
	f.must(err)
	if !x509.NewCertPool().AppendCertsFromPEM(root) || strings.Contains(string(root), "KEY") {
		t.Errorf("the root is %s", root)
	}
	_, err = f.viewer.RenewCertificate(ctx, before.ID)
	wantProblem(t, err, http.StatusForbidden, client.CodeForbidden)
	_, err = f.operator.RenewCertificate(ctx, before.ID)
	f.must(err)
	f.event("certificate.renewed")
	fields.TLS, fields.Domains = new("auto"), &[]string{"other.internal"}
	_, err = f.operator.CreateProxy(ctx, fields)
	wantFields(t, err, "body.tls")
}

func TestTheAuthorityThatIsAsked(t *testing.T) {
	f := newFrontBed(t)
	ctx := t.Context()
	_, err := f.operator.Authority(ctx)
	wantProblem(t, err, http.StatusForbidden, client.CodeForbidden)
	now, err := f.admin.Authority(ctx)
	f.must(err)
	if now.Directory != "" || !strings.Contains(now.DefaultDirectory, "letsencrypt") || now.EABSecretSet {
		t.Errorf("at first it is %+v", now)
	}
	for field, c := range map[string]struct {
		a      client.Authority
		secret string
	}{
		"body.email":      {client.Authority{Email: "nobody"}, ""},
		"body.directory":  {client.Authority{Directory: "http://ca.example/dir"}, ""},
		"body.roots":      {client.Authority{Roots: "x"}, ""},
		"body.eab_secret": {client.Authority{EABKeyID: "kid"}, ""},
		"body.eab_key_id": {client.Authority{}, canaryKey},
	} {
		_, err := f.admin.SetAuthority(ctx, c.a, c.secret, "")
		wantFields(t, err, field)
	}
	chain, _ := selfSigned(t, time.Hour, "ca.internal")
	now, err = f.admin.SetAuthority(ctx, client.Authority{Email: "ops@example.com", Directory: "https://127.0.0.1:1/dir", Roots: chain, EABKeyID: "kid", DNS: "hetzner"}, canaryKey, canaryKey)
	f.must(err)
	if !now.EABSecretSet || now.EABKeyID != "kid" {
		t.Errorf("it is %+v", now)
	}
	now.Email = ""
	if now, err = f.admin.SetAuthority(ctx, now, "", ""); err != nil || !now.EABSecretSet {
		t.Errorf("the secret does not stay: %+v, %v", now, err)
	}
	table, err := os.ReadFile(f.file)
	f.must(err)
	if !strings.Contains(string(table), "127.0.0.1:1/dir") || strings.Contains(string(table), canaryKey) {
		t.Errorf("the table holds the secret in clear, or not the authority: %s", table)
	}
	if strings.Contains(f.logs.String(), canaryKey) || strings.Contains(fmt.Sprint(f.event("certificate.authority")), canaryKey) {
		t.Error("the secret is told")
	}

	fields := leadsTo("app.internal", target(t, "app")) // of a private authority
	fields.TLS = new("auto")
	_, err = f.operator.CreateProxy(ctx, fields)
	f.must(err)
	e := f.event("certificate.failed")
	if e.Severity != "warn" || e.Data["trouble"] != "authority_down" || !strings.Contains(e.Message, "CA roots") {
		t.Errorf("told %+v", e)
	}
	got, err := f.viewer.Certificate(ctx, "auto:app.internal")
	f.must(err)
	if got.State != "failed" || got.Hint == "" || got.NextTryAt.IsZero() {
		t.Errorf("it is %+v", got)
	}
	if files, err := filepath.Glob(filepath.Join(string(f.deps.Routes.Folder), "auto", "*")); err != nil || len(files) != 0 {
		t.Errorf("on disk is %v, %v", files, err)
	}
}

const canaryKey = "c2VjcmV0LWNhbmFyeS1vZi10aGUtYWNjb3VudA"

// TestAnAuthorityThatVouchesForLessIsRefused while routes need what only the former one vouches for: no table could be served any more.
func TestAnAuthorityThatVouchesForLessIsRefused(t *testing.T) {
	f := newFrontBed(t)
	ctx := t.Context()
	private := client.Authority{Directory: "https://127.0.0.1:1/dir"}
	_, err := f.admin.SetAuthority(ctx, private, "", "")
	f.must(err)
	fields := leadsTo("app.internal", target(t, "app"))
	fields.TLS = new("auto")
	made, err := f.operator.CreateProxy(ctx, fields)
	f.must(err)
	_, err = f.admin.SetAuthority(ctx, client.Authority{}, "", "")
	p := problemIn(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
	if len(p.Errors) != 1 || p.Errors[0].Location != "body.directory" || !strings.Contains(p.Errors[0].Message, "app.internal") || !strings.Contains(p.Errors[0].Message, "switch it off first") {
		t.Errorf("it says %+v", p.Errors)
	}
	if now, err := f.admin.Authority(ctx); err != nil || now.Directory != private.Directory {
		t.Errorf("it is %+v, %v", now, err)
	}
	private.Email = "ops@example.com" // what is in nobody's way is saved
	_, err = f.admin.SetAuthority(ctx, private, "", "")
	f.must(err)
	_, err = f.operator.SwitchProxy(ctx, made.ID, false)
	f.must(err)
	_, err = f.admin.SetAuthority(ctx, client.Authority{}, "", "")
	f.must(err)
	if state, err := f.viewer.Routing(ctx); err != nil || state.State != "in_step" {
		t.Errorf("the table is %+v, %v", state, err)
	}
}
