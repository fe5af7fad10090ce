package proxy

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// selfSigned is a target over https whose certificate is of nobody, and the certificate.
func selfSigned(t *testing.T) (url, ca string) {
	t.Helper()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "safe") }))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv.URL, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}))
}

func TestWhomTargetsAreTrustedBy(t *testing.T) {
	url, ca := selfSigned(t)
	other := strings.Replace(url, "127.0.0.1", "localhost", 1) // which the certificate does not name
	r := newRig(t)
	set := func(ca string, unverified bool) func(*Options) {
		return func(o *Options) { o.TargetCA, o.TargetUnverified = ca, unverified }
	}
	r.apply(
		rule("usual.example", url), rule("named.example", url).with(set(ca, false)), rule("any.example", url).with(set("", true)),
		rule("misnamed.example", other).with(set(ca, false)), rule("still.example", url).with(func(o *Options) { o.ResponseTimeout = Span(time.Second) }),
		rule("checked.example", url).with(set(ca, false)).with(func(o *Options) { o.HealthCheck = &HealthCheck{Path: "/"} }),
	)
	r.run(r.Run)
	// What one rule takes opens nothing for another to the same target, also once there are connections.
	for range 2 {
		for host, want := range map[string]int{"named.example": 200, "any.example": 200, "checked.example": 200, "usual.example": 502, "still.example": 502, "misnamed.example": 502} {
			if status, text, _ := r.get(host, "/"); status != want || status == 200 && text != "safe" {
				t.Errorf("%s: %d %q, want %d", host, status, text, want)
			}
		}
	}
	r.apply(rule("named.example", url), rule("any.example", url))
	for _, host := range []string{"named.example", "any.example"} {
		if status, _, _ := r.get(host, "/"); status != 502 {
			t.Errorf("%s: a target that is not trusted any more answers %d", host, status)
		}
	}
}

func TestTryingATargetThatIsNotTrusted(t *testing.T) {
	url, ca := selfSigned(t)
	for name, c := range map[string]struct {
		target string
		o      Options
		want   string
	}{
		"by nobody":    {url, Options{}, "target_ca"},
		"by its own":   {url, Options{TargetCA: ca}, ""},
		"by whomever":  {url, Options{TargetUnverified: true}, ""},
		"another name": {strings.Replace(url, "127.0.0.1", "localhost", 1), Options{TargetCA: ca}, "another name"},
	} {
		steps := Try(t.Context(), Policy{}, c.target, c.o, "a.example", "/")
		last := steps[len(steps)-1]
		if last.OK != (c.want == "") || !strings.Contains(last.Detail, c.want) || strings.Contains(last.Detail, "x509") {
			t.Errorf("%s: %+v", name, last)
		}
	}
}

func TestWhatIsNoAuthority(t *testing.T) {
	_, ca := selfSigned(t)
	for name, o := range map[string]Options{
		"no PEM":         {TargetCA: "nonsense"},
		"a key":          {TargetCA: "-----BEGIN PRIVATE KEY-----\nMC4CAQ==\n-----END PRIVATE KEY-----\n"},
		"too long":       {TargetCA: ca + strings.Repeat("#", longestCA)},
		"never asked of": {TargetCA: ca, TargetUnverified: true},
	} {
		err := rule("a.example", "https://10.0.0.9").with(func(to *Options) { *to = o }).Validate(Policy{})
		if fields := FieldErrors(err); len(fields) != 1 || fields[0].Field != "target_ca" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := rule("a.example", "https://10.0.0.9").with(func(o *Options) { o.TargetCA = ca }).Validate(Policy{}); err != nil {
		t.Error(err)
	}
}
