package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/loopbacktest"
	"github.com/tiny-forge/docker-watcher/internal/peertest"
)

// relying is where the provider sends people back to.
const relying = "http://127.0.0.1:8080"

// realProvider is tools/peers/op, an OpenID provider of Zitadel's code, as a process.
type realProvider struct {
	t       *testing.T
	program string
	issuer  string
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Scanner
}

func newRealProvider(t *testing.T) *realProvider {
	t.Helper()
	p := &realProvider{t: t, program: peertest.Build(t, "peers", "./op")}
	p.start(loopbacktest.Free(t)) // where it can be started again
	t.Cleanup(p.stop)
	return p
}

// start starts it at an address. One that hangs is killed, and the test fails.
func (p *realProvider) start(address string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 2*time.Minute)
	p.t.Cleanup(cancel)
	p.cmd = exec.CommandContext(ctx, p.program, address, relying)
	p.cmd.Stderr = p.t.Output()
	in, err := p.cmd.StdinPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.in, p.out = in, bufio.NewScanner(out)
	if !p.out.Scan() {
		p.t.Fatal("the provider does not say where it is")
	}
	p.issuer = p.out.Text()
}

// tell has it do something with its keys.
func (p *realProvider) tell(what string) {
	p.t.Helper()
	if _, err := fmt.Fprintln(p.in, what); err != nil || !p.out.Scan() || p.out.Text() != "done" {
		p.t.Fatalf("%s: %v, it says %q", what, err, p.out.Text())
	}
}

// stop ends it.
func (p *realProvider) stop() {
	_ = p.in.Close()
	_ = p.cmd.Wait() // once it has ended it has ended
}

// visit goes to the provider as a browser does, signs in there as somebody, and returns the address that it is sent back to.
func (b *bed) visit(where, name string) *url.URL {
	b.t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	var form io.Reader
	method := http.MethodGet
	for range 10 {
		req, err := http.NewRequestWithContext(b.t.Context(), method, where, form)
		b.must(err)
		if form != nil {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		res, err := transport.RoundTrip(req)
		b.must(err)
		text, err := io.ReadAll(res.Body)
		b.must(err)
		b.must(res.Body.Close())
		if res.StatusCode == http.StatusOK {
			id := regexp.MustCompile(`name="id" value="([^"]+)"`).FindSubmatch(text)
			if id == nil {
				b.t.Fatalf("%s is no page to sign in: %s", where, text)
			}
			form = strings.NewReader(url.Values{"id": {string(id[1])}, "username": {name}, "password": {"very secure"}}.Encode())
			method = http.MethodPost
			continue
		}
		to, err := res.Location()
		if err != nil {
			b.t.Fatalf("%s: %s %s", where, res.Status, text)
		}
		if strings.HasPrefix(to.String(), relying) {
			return to
		}
		where, method, form = to.String(), http.MethodGet, nil
	}
	b.t.Fatalf("the provider sends round and round: %s", where)
	return nil
}

// begun begins a sign-in: where the browser is sent, and its cookie.
func (b *bed) begun() (where, cookie string) {
	b.t.Helper()
	_, h, _ := b.raw(b.nobody, get, "/api/oidc/login", "")
	for _, c := range (&http.Response{Header: h}).Cookies() {
		cookie = c.Name + "=" + c.Value
	}
	return h.Get("Location"), cookie
}

// cameBack ends it: where the browser is sent then, and the session.
func (b *bed) cameBack(at *url.URL, cookie string) (where, credential string) {
	b.t.Helper()
	_, h, _ := b.raw(b.nobody, get, at.RequestURI(), "", "Cookie", cookie)
	for _, c := range (&http.Response{Header: h}).Cookies() {
		if c.Name == cookiePlain {
			credential = c.Value
		}
	}
	return h.Get("Location"), credential
}

// asks changes what the browser asks the provider for.
func asks(where, name, value string) string {
	u, err := url.Parse(where)
	if err != nil {
		panic(err) // it is ours
	}
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String()
}

// setProvider sets up the provider as a client of it.
func (b *bed) setProvider(issuer, id, secret string) {
	b.t.Helper()
	_, err := b.admin.SetIdentityProvider(b.t.Context(), client.IdentityProvider{
		Enabled: true, Issuer: issuer, ClientID: id, ClientSecret: secret, ExternalURL: relying, Scopes: []string{"groups"}, AutoCreate: true,
		AllowedGroups: []string{"ops"}, Rules: []client.ProviderRule{{Group: "ops", Role: "viewer"}, {Group: "shop team", Role: "operator", ProjectID: "shop"}},
	})
	b.must(err)
}

// TestSignInAtARealProvider goes the whole way at a provider that keeps the rules of OpenID Connect: discovery, PKCE, code, nonce, keys, UserInfo.
func TestSignInAtARealProvider(t *testing.T) {
	b, p := newBed(t), newRealProvider(t)
	b.shop("shop", "dev")
	b.person("root", "admin")
	signIn := func(name string) (where, credential string) {
		where, cookie := b.begun()
		return b.cameBack(b.visit(where, name), cookie)
	}
	comesIn := func(what string) string {
		t.Helper()
		where, credential := signIn("anna")
		me, err := b.nobody.As(credential).Me(t.Context())
		if where != "/" || err != nil || me.Name != "anna" || me.Role != "viewer" || len(me.Grants) != 1 || me.Grants[0].Project != "shop" || me.Grants[0].Role != "operator" {
			t.Errorf("%s: ended at %s: %+v, %v", what, where, me, err)
		}
		return credential
	}
	ends := func(what, want string, at *url.URL, cookie string) {
		t.Helper()
		if where, credential := b.cameBack(at, cookie); where != "/?sign_in="+want || credential != "" {
			t.Errorf("%s: ended at %s", what, where)
		}
	}

	b.setProvider(p.issuer, "told-in-the-token", "s3cret")
	comesIn("a client that is told all in the token")
	b.setProvider(p.issuer, "public", "")
	comesIn("a client without a secret")
	b.setProvider(p.issuer, "docker-watcher", "s3cret")
	credential := comesIn("a client that has to ask")
	if where, credential := signIn("bert"); where != "/?sign_in=not_allowed" || credential != "" {
		t.Errorf("somebody in no group ended at %s", where)
	}

	// The provider takes its own session back to us when she leaves.
	_, _, text := b.raw(b.nobody.As(credential), remove, "/api/session", "")
	var left struct {
		GoOn string `json:"go_on"`
	}
	b.must(json.Unmarshal([]byte(text), &left))
	if to := b.visit(left.GoOn, ""); to.String() != relying+"/" {
		t.Errorf("signed out, the provider sends her to %s", to)
	}

	where, cookie := b.begun()
	first := b.visit(where, "anna")
	if to, credential := b.cameBack(first, cookie); to != "/" || credential == "" {
		t.Errorf("ended at %s", to)
	}
	ends("the answer once more", "broken", first, cookie)
	where, cookie = b.begun()
	second := b.visit(where, "anna")
	replayed := *second
	replayed.RawQuery = url.Values{"state": {second.Query().Get("state")}, "code": {first.Query().Get("code")}}.Encode()
	ends("a code that was spent", "declined", &replayed, cookie)

	where, _ = b.begun()
	stolen := b.visit(where, "anna")
	where, cookie = b.begun()
	own := b.visit(where, "bert")
	injected := *own
	injected.RawQuery = url.Values{"state": {own.Query().Get("state")}, "code": {stolen.Query().Get("code")}}.Encode()
	ends("the code of another sign-in", "declined", &injected, cookie)

	for what, tt := range map[string]struct{ name, value, want string }{
		"another nonce":      {"nonce", "x", "declined"},
		"another state":      {"state", "x", "broken"},
		"another challenge":  {"code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "declined"},
		"nobody is asked":    {"prompt", "none", "declined"},
		"no word of anybody": {"scope", "email", "declined"},
	} {
		where, cookie := b.begun()
		ends(what, tt.want, b.visit(asks(where, tt.name, tt.value), "anna"), cookie)
	}
	b.setProvider(p.issuer, "docker-watcher", "wrong")
	where, cookie = b.begun()
	ends("a wrong secret", "declined", b.visit(where, "anna"), cookie)
	b.setProvider(p.issuer, "docker-watcher", "s3cret")

	p.tell("rotate")
	comesIn("another key")
	p.tell("hide")
	where, cookie = b.begun()
	ends("a key that is not published", "declined", b.visit(where, "anna"), cookie)

	where, cookie = b.begun()
	back := b.visit(where, "anna")
	p.stop()
	ends("a provider that went off on the way", "unavailable", back, cookie)
	if r, err := b.admin.TestIdentityProvider(t.Context()); err != nil || r.OK || r.Hint == "" || !strings.Contains(r.Error, "cannot be asked") {
		t.Errorf("down: %+v, %v", r, err)
	}
	if where, _ := b.begun(); where != "/?sign_in=unavailable" {
		t.Errorf("down: sent to %s", where)
	}
	p.start(strings.TrimPrefix(p.issuer, "http://"))
	comesIn("a provider that began anew, with other keys by the old names")
	if strings.Contains(b.logs.String(), "s3cret") {
		t.Error("the secret is told in the log")
	}
}
