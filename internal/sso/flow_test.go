package sso

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/coreos/go-oidc/v3/oidc/oidctest"
)

// house is go-oidc's own test server, with a token endpoint that answers as a test says.
type house struct {
	provider  Provider
	key       *ecdsa.PrivateKey
	down      bool
	form      url.Values // of the last question to the token endpoint
	user      string     // and who asked it
	nonce     string
	claims    map[string]any
	status    int
	discovers int
	info      func(http.ResponseWriter) // the UserInfo endpoint; nil: there is none
	asked     int                       // how often it was asked
	says      map[string]any            // of itself, beside the usual or in its place
	leads     map[string]string         // where a path leads on to, without a query
	strangers int                       // how often it was asked by another address than its own
	pad       map[string]int            // how long the answer of an endpoint is made, in bytes, by its path
	answers   map[string]func(http.ResponseWriter)
}

func newHouse(t *testing.T) *house {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	h := &house{key: key}
	known := &oidctest.Server{PublicKeys: []oidctest.PublicKey{{PublicKey: key.Public(), KeyID: "k", Algorithm: oidc.ES256}}, Algorithms: []string{oidc.ES256}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(h.provider.Issuer, "//"+r.Host) {
			h.strangers++
		}
		if to := h.leads[r.URL.Path]; to != "" && r.URL.RawQuery == "" {
			http.Redirect(w, r, to, http.StatusTemporaryRedirect)
			return
		}
		if answer := h.answers[r.URL.Path]; answer != nil {
			answer(w)
			return
		}
		size, long := h.pad[r.URL.Path]
		if !long {
			h.serve(w, r, known)
			return
		}
		said := httptest.NewRecorder()
		h.serve(said, r, known)
		w.Header().Set("Content-Type", said.Header().Get("Content-Type"))
		_, _ = w.Write(padded(said.Body.Bytes(), size))
	}))
	t.Cleanup(server.Close)
	known.SetIssuer(server.URL)
	h.provider = Provider{Enabled: true, Issuer: server.URL, ClientID: "dw", ClientSecret: "s3cret", ExternalURL: "http://127.0.0.1:8080/"}
	return h
}

func (h *house) serve(w http.ResponseWriter, r *http.Request, known http.Handler) {
	switch {
	case h.down:
		http.Error(w, "down", http.StatusBadGateway)
	case r.URL.Path == "/token":
		h.token(w, r)
	case r.URL.Path == "/userinfo" && r.Header.Get("Authorization") == "Bearer a":
		h.asked++
		w.Header().Set("Content-Type", "application/json")
		h.info(w)
	case r.URL.Path == "/.well-known/openid-configuration":
		h.discovers++
		h.discovery(w, r, known)
	default:
		known.ServeHTTP(w, r)
	}
}

// discovery is that of the test server, with the UserInfo endpoint, which it has none of, and what a test says.
func (h *house) discovery(w http.ResponseWriter, r *http.Request, known http.Handler) {
	said := httptest.NewRecorder()
	known.ServeHTTP(said, r)
	var text map[string]any
	_ = json.Unmarshal(said.Body.Bytes(), &text) // a test sees what is missing then
	if h.info != nil {
		text["userinfo_endpoint"] = h.provider.Issuer + "/userinfo"
	}
	maps.Copy(text, h.says)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(text)
}

func (h *house) token(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm() // what it holds is looked at by the test
	h.form = r.PostForm
	h.user, _, _ = r.BasicAuth()
	w.Header().Set("Content-Type", "application/json")
	if h.status != 0 {
		w.WriteHeader(h.status)
		_, _ = w.Write([]byte(`{"error":"invalid_grant"}`))
		return
	}
	claims := map[string]any{"iss": h.provider.Issuer, "aud": "dw", "sub": "42", "exp": time.Now().Add(time.Minute).Unix(), "nonce": h.nonce, "preferred_username": "anna"}
	maps.Copy(claims, h.claims)
	text, _ := json.Marshal(claims)
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": oidctest.SignIDToken(h.key, "k", oidc.ES256, string(text))})
}

// begin begins a sign-in and returns what the provider would send back.
func (h *house) begin(t *testing.T, f *Flows) (state, cookie string, asked url.Values) {
	t.Helper()
	where, cookie, err := f.Begin(t.Context(), h.provider)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(where)
	if err != nil {
		t.Fatal(err)
	}
	asked = u.Query()
	h.nonce = asked.Get("nonce")
	return asked.Get("state"), cookie, asked
}

func TestThereAndBack(t *testing.T) {
	h, f := newHouse(t), NewFlows()
	state, cookie, asked := h.begin(t, f)
	if asked.Get("client_id") != "dw" || asked.Get("redirect_uri") != "http://127.0.0.1:8080/api/oidc/callback" || asked.Get("code_challenge_method") != "S256" ||
		asked.Get("scope") != "openid profile email" || len(state) < 20 || len(h.nonce) < 20 || asked.Get("nonce") == state || asked.Has("client_secret") {
		t.Errorf("asked %v", asked)
	}
	who, err := f.Finish(t.Context(), h.provider, state, cookie, "code")
	if err != nil || who.Subject != "42" || who.Name != "anna" || who.Issuer != h.provider.Issuer {
		t.Fatalf("%+v, %v", who, err)
	}
	sum := sha256.Sum256([]byte(h.form.Get("code_verifier")))
	if base64.RawURLEncoding.EncodeToString(sum[:]) != asked.Get("code_challenge") || h.user != "dw" || h.form.Get("code") != "code" {
		t.Errorf("PKCE: %v as %q", h.form, h.user)
	}
	if _, err := f.Finish(t.Context(), h.provider, state, cookie, "code"); !errors.Is(err, ErrBroken) {
		t.Errorf("the answer once more: %v", err)
	}
	h.begin(t, f)
	if h.discovers != 1 {
		t.Errorf("the provider was asked %d times what it is", h.discovers)
	}
}

func TestWhatMustNotLetAnybodyIn(t *testing.T) {
	h, f := newHouse(t), NewFlows()
	for what, tt := range map[string]struct {
		change func(*house)
		state  func(state, cookie string) (string, string, string)
		want   error
	}{
		"another browser":     {state: func(s, _ string) (string, string, string) { return s, "other", "code" }, want: ErrBroken},
		"no cookie":           {state: func(s, _ string) (string, string, string) { return s, "", "code" }, want: ErrBroken},
		"a made-up state":     {state: func(_, c string) (string, string, string) { return "x", c, "code" }, want: ErrBroken},
		"no code":             {state: func(s, c string) (string, string, string) { return s, c, "" }, want: ErrDeclined},
		"a refused code":      {change: func(h *house) { h.status = http.StatusBadRequest }, want: ErrDeclined},
		"a broken provider":   {change: func(h *house) { h.status = http.StatusBadGateway }, want: ErrUnavailable},
		"another nonce":       {change: func(h *house) { h.nonce = "x" }, want: ErrDeclined},
		"another audience":    {change: func(h *house) { h.claims = map[string]any{"aud": "other"} }, want: ErrDeclined},
		"another issuer":      {change: func(h *house) { h.claims = map[string]any{"iss": "https://evil.example"} }, want: ErrDeclined},
		"an expired token":    {change: func(h *house) { h.claims = map[string]any{"exp": time.Now().Add(-time.Hour).Unix()} }, want: ErrDeclined},
		"a stranger's key":    {change: func(h *house) { h.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }, want: ErrDeclined},
		"no token of theirs":  {change: func(h *house) { h.claims = map[string]any{"exp": "soon"} }, want: ErrDeclined},
		"a provider gone off": {change: func(h *house) { h.down = true }, want: ErrUnavailable},
	} {
		state, cookie, _ := h.begin(t, f)
		code, key := "code", h.key
		if tt.state != nil {
			state, cookie, code = tt.state(state, cookie)
		}
		if tt.change != nil {
			tt.change(h)
		}
		if who, err := f.Finish(t.Context(), h.provider, state, cookie, code); !errors.Is(err, tt.want) || who.Subject != "" {
			t.Errorf("%s: %+v, %v", what, who, err)
		}
		h.status, h.claims, h.down, h.key = 0, nil, false, key
	}
}

func TestAProviderThatIsDownIsAskedAnew(t *testing.T) {
	h, f := newHouse(t), NewFlows()
	h.down = true
	for range 2 {
		if _, _, err := f.Begin(t.Context(), h.provider); !errors.Is(err, ErrUnavailable) {
			t.Fatalf("down: %v", err)
		}
	}
	if err := f.Test(t.Context(), h.provider); !errors.Is(err, ErrUnavailable) {
		t.Errorf("the test: %v", err)
	}
	h.down = false
	if _, _, err := f.Begin(t.Context(), h.provider); err != nil {
		t.Errorf("up again: %v", err)
	}
}

func TestSecretOfAFile(t *testing.T) {
	h, f := newHouse(t), NewFlows()
	file := filepath.Join(t.TempDir(), "secret")
	h.provider.ClientSecret, h.provider.ClientSecretFile = "", file
	if _, _, err := f.Begin(t.Context(), h.provider); !errors.Is(err, ErrUnavailable) {
		t.Errorf("no such file: %v", err)
	}
	if err := os.WriteFile(file, []byte("of a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if secret, err := f.secret(h.provider); secret != "of a file" || err != nil {
		t.Errorf("%q, %v", secret, err)
	}
}

func TestFlowsAreBounded(t *testing.T) {
	f, now := NewFlows(), time.Now()
	for i := range 3 * mostFlows {
		f.keep(string(rune(i)), flow{ends: now.Add(time.Minute)}, now)
	}
	if len(f.open) > mostFlows {
		t.Errorf("%d flows are kept", len(f.open))
	}
	f.keep("late", flow{browser: sha256.Sum256([]byte("c")), ends: now}, now.Add(-time.Second))
	if _, err := f.take("late", "c", now); !errors.Is(err, ErrBroken) {
		t.Errorf("one that has ended: %v", err)
	}
}
