package api

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

// visitor sends requests as from an address.
func (b *bed) visitor(from string) func(method, path, body string, headers ...string) (status int, h http.Header, text string) {
	handler := New(b.deps)
	return func(method, path, body string, headers ...string) (int, http.Header, string) {
		b.t.Helper()
		r := httptest.NewRequestWithContext(b.t.Context(), method, path, strings.NewReader(body))
		r.RemoteAddr = from
		r.Header.Set("Content-Type", "application/json")
		for n := 0; n < len(headers); n += 2 {
			r.Header.Add(headers[n], headers[n+1])
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Code, w.Header(), w.Body.String()
	}
}

func TestWhoseWordIsBelieved(t *testing.T) {
	const (
		from  = "X-Forwarded-For"
		proto = "X-Forwarded-Proto"
	)
	for name, c := range map[string]struct {
		peer, trusted string
		says          []string
		want          visit // addr, https, local and unnamed
	}{
		"a client":                               {"203.0.113.9:5000", "", nil, visit{addr: "203.0.113.9"}},
		"a client that lies":                     {"203.0.113.9:5000", "10.0.0.0/8", []string{from, "10.0.0.1", proto, "https"}, visit{addr: "203.0.113.9", unnamed: true}},
		"somebody on this machine":               {"127.0.0.1:5000", "", nil, visit{addr: "127.0.0.1", local: true}},
		"the same by IPv6":                       {"[::1]:5000", "", nil, visit{addr: "::1", local: true}},
		"TLS on this machine":                    {"127.0.0.1:5000", "", []string{proto, "https"}, visit{addr: "127.0.0.1", https: true}},
		"TLS on this machine, with an address":   {"127.0.0.1:5000", "", []string{proto, "https", from, "6.6.6.6"}, visit{addr: "127.0.0.1", https: true, unnamed: true}},
		"a proxy without TLS on this machine":    {"127.0.0.1:5000", "", []string{from, "203.0.113.9"}, visit{addr: "127.0.0.1", unnamed: true}},
		"one that names itself":                  {"127.0.0.1:5000", "", []string{"Via", "1.1 nginx"}, visit{addr: "127.0.0.1"}},
		"a named one, without TLS":               {"127.0.0.1:5000", "127.0.0.1", []string{from, "203.0.113.9", proto, "http"}, visit{addr: "203.0.113.9"}},
		"a named one":                            {"10.0.0.2:5000", "10.0.0.2", []string{from, "203.0.113.9", proto, "https"}, visit{addr: "203.0.113.9", https: true}},
		"a named one, of a client that lies":     {"10.0.0.2:5000", "10.0.0.2", []string{from, "127.0.0.1, 203.0.113.9"}, visit{addr: "203.0.113.9"}},
		"a named one, that names one like us":    {"10.0.0.2:5000", "10.0.0.2", []string{from, "127.0.0.1", proto, "http"}, visit{addr: "127.0.0.1"}},
		"two named ones":                         {"10.0.0.2:5000", "10.0.0.0/8", []string{from, "6.6.6.6, 203.0.113.9", from, "10.0.0.7"}, visit{addr: "203.0.113.9"}},
		"a named one that says nothing":          {"10.0.0.2:5000", "10.0.0.2", nil, visit{addr: "10.0.0.2"}},
		"a named one that says nonsense":         {"10.0.0.2:5000", "10.0.0.2", []string{from, "<script>"}, visit{addr: "10.0.0.2"}},
		"a named one that itself is a client":    {"10.0.0.2:5000", "10.0.0.2", []string{from, "10.0.0.2"}, visit{addr: "10.0.0.2"}},
		"another one than the one that is named": {"10.0.0.3:5000", "10.0.0.2", []string{from, "203.0.113.9", proto, "https"}, visit{addr: "10.0.0.3", unnamed: true}},
		"no address":                             {"@", "10.0.0.2", []string{from, "203.0.113.9"}, visit{addr: "@", unnamed: true}},
	} {
		r := httptest.NewRequestWithContext(t.Context(), get, "/api/session", nil)
		r.RemoteAddr = c.peer
		for n := 0; n < len(c.says); n += 2 {
			r.Header.Add(c.says[n], c.says[n+1])
		}
		var trusted []netip.Prefix
		if c.trusted != "" {
			p, err := netip.ParsePrefix(c.trusted)
			if err != nil {
				a := netip.MustParseAddr(c.trusted)
				p = netip.PrefixFrom(a, a.BitLen())
			}
			trusted = append(trusted, p)
		}
		v := newVisit(r, trusted)
		if v.addr != c.want.addr || v.https != c.want.https || v.local != c.want.local || v.unnamed != c.want.unnamed {
			t.Errorf("%s: it is from %s, https %v, local %v, unnamed %v", name, v.addr, v.https, v.local, v.unnamed)
		}
	}
}

// TestAStrangerBehindTheSameProxyLocksNobodyOut: once the proxy is named, each client is one address.
func TestAStrangerBehindTheSameProxyLocksNobodyOut(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) { // where no guess comes back meanwhile
		code, err := b.deps.Auth.SetupCode(t.Context())
		b.must(err)
		_, _, err = b.nobody.Setup(t.Context(), code, "anna", "a long password")
		b.must(err)
		proxied := b.visitor("10.0.0.2:5000")
		token := "Bearer " + b.admin.Credential()
		if status, _, text := proxied(patch, "/api/settings", `{"trusted_proxies":"10.0.0.2"}`, "Authorization", token); status != http.StatusOK {
			t.Fatalf("the setting: %d %s", status, text)
		}
		guess := func(n int, from string) int {
			status, _, _ := proxied(post, "/api/session", fmt.Sprintf(`{"name":"nobody-%d","password":"guess"}`, n), "X-Forwarded-For", "6.6.6.6, "+from)
			return status
		}
		last := 0
		for n := range 60 {
			last = guess(n, "203.0.113.66")
		}
		if last != http.StatusTooManyRequests {
			t.Fatalf("a stranger that guesses is answered %d", last)
		}
		status, h, text := proxied(post, "/api/session", `{"name":"anna","password":"a long password"}`, "X-Forwarded-For", "203.0.113.9", "X-Forwarded-Proto", "https")
		if status != http.StatusOK {
			t.Fatalf("somebody else is answered %d %s", status, text)
		}
		cookie := (&http.Response{Header: h}).Cookies()[0]
		if cookie.Name != cookieSecure || strings.Contains(text, `"banner"`) {
			t.Errorf("over TLS at the proxy: %v %s", cookie, text)
		}
		_, _, text = proxied(get, "/api/me/sessions", "", "Cookie", cookie.Name+"="+cookie.Value, "X-Forwarded-For", "203.0.113.9", "X-Forwarded-Proto", "https")
		if !strings.Contains(text, `"203.0.113.9"`) || strings.Contains(text, "10.0.0.2") || strings.Contains(text, "6.6.6.6") {
			t.Errorf("the sessions are %s", text)
		}
		if status, _, text := proxied(patch, "/api/settings", `{"trusted_proxies":""}`, "Authorization", token); status != http.StatusOK {
			t.Fatalf("the setting: %d %s", status, text)
		}
		if status, _, _ := proxied(get, "/api/projects", "", "Cookie", cookie.Name+"="+cookie.Value, "X-Forwarded-For", "203.0.113.9", "X-Forwarded-Proto", "https"); status != http.StatusUnauthorized {
			t.Errorf("a proxy that is not named any more is still believed: %d", status)
		}
		if _, _, text := proxied(get, "/api/session", "", "Authorization", token, "X-Forwarded-For", "203.0.113.9"); !strings.Contains(text, "trusted_proxies") {
			t.Errorf("an admin is not told of a proxy that is not named: %s", text)
		}
	})
}
