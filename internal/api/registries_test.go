package api

import (
	"encoding/base64"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	inprocess "github.com/google/go-containerregistry/pkg/registry"

	"github.com/tiny-forge/docker-watcher/client"
)

func harbor(edit ...func(*client.NewRegistry)) client.NewRegistry {
	n := client.NewRegistry{Name: "harbor", Host: "Harbor.Example", Preset: "harbor", Username: "robot$ci", Password: "s3cret"}
	for _, e := range edit {
		e(&n)
	}
	return n
}

func TestRegistries(t *testing.T) {
	b := newBed(t)
	ctx := t.Context()
	made, err := b.admin.CreateRegistry(ctx, harbor())
	b.must(err)
	if made.Host != "harbor.example" || !made.PasswordSet || made.Revision != 1 || made.LastTest != nil || made.Allowance != nil {
		t.Errorf("made %+v", made)
	}
	_, err = b.admin.CreateRegistry(ctx, client.NewRegistry{Name: "attic", Host: "10.0.0.7:5000", PlainHTTP: true})
	b.must(err)
	all, err := b.viewer.Registries(ctx)
	b.must(err)
	if len(all) != 2 || all[0].Name != "attic" || all[0].Preset != "generic" || all[0].PasswordSet || !all[0].PlainHTTP {
		t.Errorf("all: %+v", all)
	}
	for _, name := range []string{made.ID, "harbor"} {
		if got, err := b.viewer.Registry(ctx, name); err != nil || got.ID != made.ID {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	renamed, other := "depot", "other.example"
	got, err := b.admin.UpdateRegistry(ctx, "harbor", client.RegistryChange{Name: &renamed, Revision: 1})
	b.must(err)
	if got.Name != "depot" || got.Host != "harbor.example" || !got.PasswordSet || got.Username != "robot$ci" || got.Revision != 2 {
		t.Errorf("changed: %+v", got)
	}
	_, err = b.admin.UpdateRegistry(ctx, "depot", client.RegistryChange{Name: &renamed, Revision: 1})
	wantProblem(t, err, http.StatusPreconditionFailed, client.CodeRevision)

	// With another host the password is asked for again: nobody may have it sent to a host of their own.
	_, err = b.admin.UpdateRegistry(ctx, "depot", client.RegistryChange{Host: &other})
	p := problemIn(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
	if p.Errors[0].Location != "body.password" || !strings.Contains(p.Errors[0].Message, "harbor.example") {
		t.Errorf("it says %+v", p.Errors)
	}
	again, none := "again", ""
	if got, err = b.admin.UpdateRegistry(ctx, "depot", client.RegistryChange{Host: &other, Password: &again}); err != nil || got.Host != other || !got.PasswordSet {
		t.Errorf("%+v, %v", got, err)
	}
	if row, password, err := b.db.RegistryLogin(ctx, other); err != nil || password != again || row.Name != "depot" {
		t.Errorf("%+v, %q, %v", row, password, err)
	}
	if got, err = b.admin.UpdateRegistry(ctx, "depot", client.RegistryChange{Username: &none, Password: &none}); err != nil || got.PasswordSet || got.Username != "" {
		t.Errorf("%+v, %v", got, err)
	}

	b.must(b.admin.DeleteRegistry(ctx, "depot"))
	_, err = b.viewer.Registry(ctx, made.ID)
	wantProblem(t, err, http.StatusNotFound, client.CodeNotFound)
	wantProblem(t, b.admin.DeleteRegistry(ctx, "depot"), http.StatusNotFound, client.CodeNotFound)
	_, err = b.operator.TestRegistry(ctx, "depot", "")
	wantProblem(t, err, http.StatusNotFound, client.CodeNotFound)

	if e := b.event("registry.created"); e.Actor != "token:admin" || e.Data["host"] == nil || e.Data["addr"] == nil {
		t.Errorf("%+v", e)
	}
	if e := b.event("registry.updated"); len(e.Data["changed"].([]any)) == 0 {
		t.Errorf("%+v", e)
	}
	b.event("registry.removed")
	presets, err := b.viewer.RegistryPresets(ctx)
	b.must(err)
	if !slices.ContainsFunc(presets, func(p client.RegistryPreset) bool { return p.Kind == "gcr" && p.Username == "_json_key" }) {
		t.Errorf("presets: %+v", presets)
	}
}

func TestRegistriesOfBadInput(t *testing.T) {
	b := newBed(t)
	ctx := t.Context()
	_, err := b.admin.CreateRegistry(ctx, harbor())
	b.must(err)
	for what, c := range map[string]struct {
		n     client.NewRegistry
		where []string
	}{
		"a name":                     {harbor(func(n *client.NewRegistry) { n.Name = "My Harbor" }), []string{"body.name"}},
		"no host":                    {harbor(func(n *client.NewRegistry) { n.Host = "" }), []string{"body.host"}},
		"a URL":                      {harbor(func(n *client.NewRegistry) { n.Host = "https://other.example" }), []string{"body.host"}},
		"a path":                     {harbor(func(n *client.NewRegistry) { n.Host = "other.example/acme" }), []string{"body.host"}},
		"a bare word":                {harbor(func(n *client.NewRegistry) { n.Host = "registry" }), []string{"body.host"}},
		"a preset":                   {harbor(func(n *client.NewRegistry) { n.Preset = "quay" }), []string{"body.preset"}},
		"a password alone":           {harbor(func(n *client.NewRegistry) { n.Username = "" }), []string{"body.username"}},
		"a user name alone":          {harbor(func(n *client.NewRegistry) { n.Password = "" }), []string{"body.password"}},
		"a user name with a colon":   {harbor(func(n *client.NewRegistry) { n.Username = "a:b" }), []string{"body.username"}},
		"a CA that is none":          {harbor(func(n *client.NewRegistry) { n.CA = "-----BEGIN" }), []string{"body.ca"}},
		"many things":                {client.NewRegistry{Name: "x", Host: "a/b", Preset: "y", CA: "z", Password: "p"}, []string{"body.host", "body.preset", "body.username", "body.ca"}},
		"a CA as large as a house":   {harbor(func(n *client.NewRegistry) { n.CA = strings.Repeat("x", 300_000) }), []string{"body.ca"}},
		"a name that is taken":       {harbor(func(n *client.NewRegistry) { n.Host = "other.example" }), []string{"body.name"}},
		"a host that is taken":       {harbor(func(n *client.NewRegistry) { n.Name = "other" }), []string{"body.host"}},
		"Docker Hub by another name": {harbor(func(n *client.NewRegistry) { n.Name, n.Host = "hub", "https://hub.docker.com" }), []string{"body.host"}},
	} {
		_, err := b.admin.CreateRegistry(ctx, c.n)
		p, ok := client.AsProblem(err)
		if !ok {
			t.Errorf("%s: %v", what, err)
			continue
		}
		var where []string
		for _, e := range p.Errors {
			where = append(where, e.Location)
		}
		wantStatus := http.StatusUnprocessableEntity
		if strings.HasSuffix(what, "taken") {
			wantStatus = http.StatusConflict
		}
		if p.Status != wantStatus || !slices.Equal(where, c.where) {
			t.Errorf("%s: %d, wrong are %v, want %v: %v", what, p.Status, where, c.where, p)
		}
	}
	for _, body := range []string{`{"url":"x"}`, `{"password":7}`, `{"host":""}`, `{"name":"A"}`, `[]`} {
		if status, _, text := b.raw(b.admin, http.MethodPatch, "/api/registries/harbor", body); status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %s", body, status, text)
		}
	}
	for _, body := range []string{`{"repository":"Acme"}`, `{"repository":"a b"}`, `{"repository":"shop:1.0"}`, `{"repository":"../x"}`, `{"what":1}`} {
		if status, _, text := b.raw(b.operator, http.MethodPost, "/api/registries/harbor/test", body); status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %s", body, status, text)
		}
	}
	if all, err := b.viewer.Registries(ctx); err != nil || len(all) != 1 {
		t.Errorf("something was made of it: %+v, %v", all, err)
	}
}

// aRegistryOf serves a registry in this process that wants a login, and sends back what it was sent when told to.
func aRegistryOf(t *testing.T, username, password string) (host string, hostile *atomic.Bool) {
	t.Helper()
	hostile = &atomic.Bool{}
	inner := inprocess.New(inprocess.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, secret, ok := r.BasicAuth()
		switch {
		case !ok || name != username || secret != password:
			w.Header().Set("Www-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
		case hostile.Load():
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"errors":[{"code":"BAD","message":"`+r.Header.Get("Authorization")+" "+secret+`"}]}`)
		default:
			w.Header().Set("Ratelimit-Limit", "100;w=21600")
			w.Header().Set("Ratelimit-Remaining", "76;w=21600")
			w.Header().Set("Docker-Ratelimit-Source", "203.0.113.7")
			inner.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://"), hostile
}

func TestTryingARegistry(t *testing.T) {
	b := newBed(t)
	ctx := t.Context()
	host, _ := aRegistryOf(t, "anna", "s3cret")
	n := client.NewRegistry{Name: "here", Host: host, Username: "anna", Password: "s3cret", PlainHTTP: true}
	made, err := b.admin.CreateRegistry(ctx, n)
	b.must(err)
	got, err := b.operator.TestRegistry(ctx, "here", "")
	b.must(err)
	if !got.OK || got.Class != "" || got.Repositories == nil || *got.Repositories != 0 || got.Tags != nil || got.By != "token:operator" {
		t.Errorf("test: %+v", got)
	}
	r, err := b.viewer.Registry(ctx, "here")
	b.must(err)
	if r.LastTest == nil || !r.LastTest.OK || r.Allowance == nil || *r.Allowance.Limit != 100 || *r.Allowance.Remaining != 76 ||
		r.Allowance.WindowSeconds != 21600 || r.Allowance.Source != "203.0.113.7" || r.Revision != made.Revision {
		t.Errorf("after it: %+v, %+v", r, r.Allowance)
	}
	for repository, class := range map[string]string{"acme/none": "not_found", host + "/acme/none": "not_found"} {
		got, err := b.operator.TestRegistry(ctx, "here", repository)
		if err != nil || got.OK || got.Class != class || got.Remedy == "" || got.Detail == "" || got.Repository != "acme/none" || got.Tags != nil {
			t.Errorf("%s: %+v, %v", repository, got, err)
		}
	}
	wrong := "wrong"
	r, err = b.admin.UpdateRegistry(ctx, "here", client.RegistryChange{Password: &wrong})
	b.must(err)
	if r.LastTest != nil || r.Allowance != nil {
		t.Errorf("with another password it counts as tried: %+v", r)
	}
	if got, err := b.operator.TestRegistry(ctx, "here", ""); err != nil || got.OK || got.Class != "unauthorized" || got.Repositories != nil {
		t.Errorf("with a wrong password: %+v, %v", got, err)
	}
	no := false
	_, err = b.admin.UpdateRegistry(ctx, "here", client.RegistryChange{PlainHTTP: &no})
	b.must(err)
	if got, err := b.operator.TestRegistry(ctx, "here", ""); err != nil || got.OK || got.Class != "plain_http" {
		t.Errorf("without plain http: %+v, %v", got, err)
	}
	if e := b.event("registry.tested"); e.Severity != "warn" || e.Data["class"] == nil {
		t.Errorf("%+v", e)
	}
}

// TestPasswordsOfRegistriesAreToldNobody greps every answer, event and line of the log for one.
func TestPasswordsOfRegistriesAreToldNobody(t *testing.T) {
	const canary = "canary-in-the-cage-4711"
	b := newBed(t)
	host, hostile := aRegistryOf(t, "anna", canary)
	var told strings.Builder
	ask := func(who *client.Client, method, path, body string) {
		_, header, text := b.raw(who, method, path, body)
		told.WriteString(method + " " + path + ": " + text + "\n")
		b.must(header.Write(&told))
	}
	ask(b.admin, post, "/api/registries", `{"name":"here","host":"`+host+`","username":"anna","password":"`+canary+`","plain_http":true}`)
	ask(b.admin, post, "/api/registries", `{"name":"here","host":"`+host+`","username":"anna","password":"`+canary+`"}`)    // taken
	ask(b.admin, post, "/api/registries", `{"name":"Bad Name","host":"x","password":"`+canary+`"}`)                         // invalid
	ask(b.admin, post, "/api/registries", `{"name":"there","host":"anna:`+canary+`@x.example"}`)                            // where it does not belong
	ask(b.admin, post, "/api/registries", `{"name":"there","host":"x.example","ca":"`+canary+`"}`)                          //
	ask(b.admin, post, "/api/registries", `{"name":"there","host":"x.example","password":["`+canary+`"]}`)                  // of another type
	ask(b.viewer, post, "/api/registries", `{"name":"there","host":"x.example","username":"anna","password":"`+canary+`"}`) // not allowed
	ask(b.admin, patch, "/api/registries/here", `{"password":"`+canary+`"}`)                                                //
	ask(b.admin, patch, "/api/registries/here", `{"host":"other.example"}`)                                                 //
	for range 2 {
		for _, who := range []*client.Client{b.viewer, b.operator, b.admin} {
			ask(who, get, "/api/registries", "")
			ask(who, get, "/api/registries/here", "")
			ask(who, post, "/api/registries/here/test", "")
			ask(who, post, "/api/registries/here/test", `{"repository":"acme/shop"}`)
		}
		hostile.Store(true) // now it throws back what it is sent
	}
	ask(b.admin, remove, "/api/registries/here", "")
	b.event("registry.removed")
	ask(b.admin, get, "/api/events?limit=1000", "")
	told.WriteString(b.logs.String())
	for _, form := range []string{canary, base64.StdEncoding.EncodeToString([]byte("anna:" + canary)), url.QueryEscape(canary)} {
		for line := range strings.Lines(told.String()) {
			if strings.Contains(line, form) {
				t.Errorf("it is told: %.300s", line)
			}
		}
	}
	if text := told.String(); !strings.Contains(text, "***") || !strings.Contains(text, `"password_set":true`) || !strings.Contains(text, "registry.tested") {
		t.Errorf("the canary was not put to the proof: %s", text)
	}
}

func TestAPasswordInClearIsWarnedOf(t *testing.T) {
	b := newBed(t)
	for host, severity := range map[string]string{"10.0.0.7:5000": "warn", "127.0.0.1:5000": "info"} {
		_, err := b.admin.CreateRegistry(t.Context(), client.NewRegistry{Name: "r" + host[:2], Host: host, Username: "anna", Password: "s3cret", PlainHTTP: true})
		b.must(err)
		if e := b.event("registry.created"); e.Severity != severity {
			t.Errorf("%s: %+v", host, e)
		}
		b.must(b.admin.DeleteRegistry(t.Context(), "r"+host[:2]))
	}
}
