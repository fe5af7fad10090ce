package api

import (
	"context"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// canaries are the secrets that tests of a bed plant, in any of its tests: none may ever be told. Each bed adds the
// tokens of its own callers.
var canaries = []string{canary, "canary-in-the-cage-4711", "canary-of-a-site"}

// ear hears everything that a bed tells: every answer, its headers, and at the end the log and the events.
type ear struct {
	t       *testing.T
	mu      sync.Mutex
	secrets []string
}

func newEar(t *testing.T) *ear { return &ear{t: t, secrets: slices.Clone(canaries)} }

// keep adds a secret that must not be told from now on.
func (e *ear) keep(secret string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.secrets = append(e.secrets, secret)
}

// hear fails when a text tells a secret.
func (e *ear) hear(where, text string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.secrets {
		if at := strings.Index(text, s); at >= 0 {
			e.t.Errorf("%s tells a secret: ...%s", where, text[max(0, at-80):at+len(s)])
		}
	}
}

// mayTell are answers that hold what a container wrote itself.
func mayTell(path string) bool { return strings.HasSuffix(path, "/logs") }

// around hears what a handler answers.
func (e *ear) around(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if mayTell(r.URL.Path) {
			h.ServeHTTP(w, r)
			return
		}
		where := r.Method + " " + r.URL.Path
		heard := &heardWriter{ResponseWriter: w, hear: func(text string) { e.hear(where, text) }}
		defer func() {
			for name, values := range w.Header() {
				e.hear(where+", header "+name, strings.Join(values, " "))
			}
		}()
		h.ServeHTTP(heard, r)
	})
}

// heardWriter keeps the end of what was written, for what is written in two pieces.
type heardWriter struct {
	http.ResponseWriter
	hear func(string)
	end  string
}

func (w *heardWriter) Write(p []byte) (int, error) {
	text := w.end + string(p)
	w.hear(text)
	w.end = text[max(0, len(text)-100):]
	return w.ResponseWriter.Write(p)
}

func (w *heardWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// TestSecretsOfEveryKindAreToldNobody plants one of each kind and reads everything, as everybody. What the ear hears beside,
// in this test and in every other one of a bed, fails that test.
func TestSecretsOfEveryKindAreToldNobody(t *testing.T) {
	b := newBed(t)
	ctx := t.Context()
	st := b.shop("shop", "preview")
	inst, _ := b.plant(st, "shop-preview-a", 20, secretive)
	b.update(func(tx *store.Tx) error {
		return tx.SetHostSecrets(ctx, b.host.ID, store.HostSecrets{SSHKey: canary, TLSKey: canary, Passphrase: canary})
	})
	for path, body := range map[string]string{
		"/api/registries":             `{"name":"here","host":"127.0.0.1:9","username":"anna","password":"` + canary + `","plain_http":true}`,
		"/api/proxies":                `{"domains":["a.example"],"targets":["http://10.0.0.7:80"],"basic_auth":[{"user":"anna","password":"` + canary + `"}],"request_headers":[{"name":"Authorization","value":"` + canary + `"}]}`,
		"/api/notifications/channels": `{"name":"there","url":"https://hooks.example/` + canary + `","secret":"` + canary + `"}`,
	} {
		if status, _, text := b.raw(b.admin, post, path, body); status != http.StatusCreated {
			t.Fatalf("%s: %d %s", path, status, text)
		}
	}
	for path, body := range map[string]string{
		"/api/identity-provider":            `{"enabled":true,"issuer":"https://id.example","client_id":"dw","client_secret":"` + canary + `","external_url":"https://dw.example"}`,
		"/api/certificate-authorities/acme": `{"email":"","directory":"https://acme.example/dir","roots":"","eab_key_id":"k","eab_secret":"` + base64.RawURLEncoding.EncodeToString([]byte(canary)) + `","dns":"hetzner","dns_token":"` + canary + `"}`,
	} {
		if status, _, text := b.raw(b.admin, put, path, body); status != http.StatusOK {
			t.Fatalf("%s: %d %s", path, status, text)
		}
	}
	b.ear.keep(base64.RawURLEncoding.EncodeToString([]byte(canary)))
	hook, err := b.admin.MakeHook(ctx, "here")
	b.must(err)
	b.ear.keep(hook.Secret)
	invited, err := b.admin.CreateUser(ctx, client.NewUser{Name: "carla", Role: "viewer"})
	b.must(err)
	b.ear.keep(invited.LinkCode)
	made, err := b.admin.CreateToken(ctx, client.NewToken{Name: "ci", Role: "viewer"})
	b.must(err)
	b.ear.keep(made.Secret)
	b.scan()
	done := b.cleaned()
	for _, r := range (&server{}).routes() {
		if r.method != get || r.id == "stream-events" {
			continue
		}
		for _, id := range []string{st.ID, inst.ID, b.host.ID, "shop", "here", done.ID, done.Items[0].ArchiveID} {
			for _, who := range []*client.Client{b.nobody, b.viewer, b.operator, b.admin} {
				b.raw(who, get, replaceID(r.path, id), "")
			}
		}
	}
	for _, wrong := range []string{`{"a":"` + canary + `"}`, `"` + canary + `"`, `{"` + canary[:5] + `":["` + canary + `"]}`, `{"password":{"x":"` + canary + `"}}`} {
		for _, r := range (&server{}).routes() {
			if r.method == post || r.method == put || r.method == patch {
				b.raw(b.admin, r.method, replaceID(r.path, "here"), wrong)
			}
		}
	}
}

// TestTheEarHears: it would be worth nothing if it were deaf.
func TestTheEarHears(t *testing.T) {
	var said []string
	w := &heardWriter{ResponseWriter: &headOnly{header: http.Header{}}, hear: func(text string) { said = append(said, text) }}
	for _, piece := range []string{`{"password":"` + canary[:9], canary[9:] + `"}`} {
		if _, err := w.Write([]byte(piece)); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(said[len(said)-1], canary) {
		t.Errorf("a secret in two pieces is not heard: %q", said)
	}
}

// listen goes through the log and the events of a bed at its end.
func (b *bed) listen() {
	for line := range strings.Lines(b.logs.String()) {
		b.ear.hear("the log", line)
	}
	b.ear.mu.Lock()
	secrets := slices.Clone(b.ear.secrets)
	b.ear.mu.Unlock()
	for _, secret := range secrets {
		found, _, err := b.db.Events(context.WithoutCancel(b.t.Context()), store.EventFilter{Text: secret}, store.Page{})
		if err != nil {
			b.t.Errorf("read the events: %v", err)
		}
		for _, e := range found {
			b.t.Errorf("an event tells a secret: %s: %s", e.Kind, e.Message)
		}
	}
}
