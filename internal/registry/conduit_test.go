package registry

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func pemOf(server *httptest.Server) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
}

func TestPlainHTTPIsSpokenOnlyWhereAllowed(t *testing.T) {
	var asked []string
	next := roundTripper(func(r *http.Request) (*http.Response, error) {
		asked = append(asked, r.URL.String())
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r, Header: http.Header{}}, nil
	})
	const never, stranger, allowed = 0, 1, 2 // from which on it is spoken to
	for url, from := range map[string]int{
		"https://ghcr.io/v2/":                    never,
		"https://10.0.0.7:5000/v2/":              never,
		"http://127.0.0.1:5000/v2/":              stranger,
		"http://127.8.9.1/v2/":                   stranger,
		"http://[::1]:5000/v2/":                  stranger,
		"http://localhost:5000/v2/":              stranger,
		"http://10.0.0.7:5000/v2/":               allowed,
		"http://192.168.1.2/v2/":                 allowed,
		"http://nas.local/v2/":                   allowed,
		"http://ghcr.io/v2/":                     allowed,
		"http://localhost.evil.example/v2/":      allowed,
		"http://127.0.0.1.evil.example:5000/v2/": allowed,
	} {
		for who, access := range map[string]Access{"a stranger": {}, "known": {Known: true}, "allowed": {Known: true, PlainHTTP: true}, "elsewhere": {Known: true, PlainHTTP: true}} {
			want := from == never || from == stranger && who == "a stranger" || who == "allowed"
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
			if err != nil {
				t.Fatal(err)
			}
			asked = nil
			access.Host = req.URL.Host
			if who == "elsewhere" {
				access.Host = "registry.example"
			}
			c := &conduit{next: next, access: access, limits: &limits{}}
			resp, err := c.RoundTrip(req)
			if err == nil {
				if err := resp.Body.Close(); err != nil {
					t.Error(err)
				}
			}
			if got := err == nil; got != want || len(asked) > 0 != want {
				t.Errorf("%s to %s: %v, asked %v; want it asked: %v", who, url, err, asked, want)
			}
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A registry that was set up without plain http is not spoken to by it, not even on this machine; its password least of all.
func TestAPasswordDoesNotGoOverPlainHTTP(t *testing.T) {
	var seen calls
	host := serve(t, seen.noted(nil))
	access := Access{Host: host, Username: "anna", Password: "s3cret"}
	_, err := knowing(access).Tags(t.Context(), host+"/acme/shop")
	wantClass(t, err, ClassPlainHTTP)
	if n := seen.count("/v2/"); n != 0 {
		t.Errorf("it was asked %d times", n)
	}
	push(t, host+"/acme/shop:1.0")
	access.PlainHTTP = true
	if _, err := knowing(access).Tags(t.Context(), host+"/acme/shop"); err != nil {
		t.Error(err)
	}
}

func TestOwnAuthority(t *testing.T) {
	server := serveOn(t, nil, httptest.NewTLSServer)
	other := serveOn(t, nil, httptest.NewTLSServer)
	host := strings.TrimPrefix(server.URL, "https://")
	ask := func(access Access) error {
		access.Host = host
		_, err := knowing(access).At(t.Context(), host)
		if err != nil {
			return err
		}
		c, err := knowing(access).At(t.Context(), host)
		if err != nil {
			return err
		}
		_, err = c.Check(t.Context(), "")
		return err
	}
	if err := ask(Access{CA: pemOf(server)}); err != nil {
		t.Errorf("with its authority: %v", err)
	}
	wantClass(t, ask(Access{}), ClassCertificate)
	wantClass(t, ask(Access{PlainHTTP: true}), ClassCertificate) // not spoken to by plain http instead
	if pemOf(other) != pemOf(server) {
		wantClass(t, ask(Access{CA: pemOf(other)}), ClassCertificate)
	}
	if err := ask(Access{CA: "no PEM"}); err == nil {
		t.Error("it was asked with a CA that is none")
	}
	for text, good := range map[string]bool{
		"": true, pemOf(server): true, "x": false, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----": false,
		pemOf(server) + "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n": false,
	} { // it would be shown
		if err := ValidCA(text); (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
}
