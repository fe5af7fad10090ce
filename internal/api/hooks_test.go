package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/hook"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// hookBed has a registry with a webhook, and stages that follow repositories there and elsewhere, polled and not due.
type hookBed struct {
	*bed
	registry client.Registry
	hook     client.Webhook
	stages   map[string]string // by image
}

func newHookBed(t *testing.T) *hookBed {
	t.Helper()
	return newHookBedOn(newBed(t))
}

func newHookBedOn(on *bed) *hookBed {
	t := on.t
	t.Helper()
	b := &hookBed{bed: on, stages: map[string]string{}}
	ctx := t.Context()
	var err error
	b.registry, err = b.admin.CreateRegistry(ctx, client.NewRegistry{Name: "depot", Host: "depot.example"})
	b.must(err)
	if b.registry.Hook != nil {
		t.Errorf("it has a webhook from the first: %+v", b.registry.Hook)
	}
	b.hook, err = b.admin.MakeHook(ctx, "depot")
	b.must(err)
	for _, image := range []string{"depot.example/acme/shop", "depot.example/acme/shop/api", "depot.example/acme/shopping", "other.example/acme/shop", "acme/shop", "depot.example/alone"} {
		p, err := b.admin.CreateProject(ctx, client.NewProject{Name: strings.NewReplacer("/", "-", ".", "-").Replace(image), Image: image})
		b.must(err)
		rule := semverRule
		st, err := b.admin.CreateStage(ctx, client.NewStage{ProjectID: p.ID, Name: "dev", Kind: "dev", TagRule: &rule})
		b.must(err)
		b.stages[image] = st.ID
	}
	b.rest()
	return b
}

// rest makes no stage due.
func (b *hookBed) rest() {
	b.t.Helper()
	b.update(func(tx *store.Tx) error {
		for _, id := range b.stages {
			if err := tx.SavePoll(b.t.Context(), store.StagePoll{StageID: id, NextAt: time.Now().Add(time.Hour)}); err != nil {
				return err
			}
		}
		return nil
	})
}

// due are the images that are to be polled now.
func (b *hookBed) due() (images []string) {
	b.t.Helper()
	polls, err := b.db.StagePolls(b.t.Context())
	b.must(err)
	for image, id := range b.stages {
		if !polls[id].NextAt.After(time.Now()) {
			images = append(images, image)
		}
	}
	slices.Sort(images)
	return images
}

func (b *hookBed) sign(body string) string {
	mac := hmac.New(sha256.New, []byte(b.hook.Secret))
	mac.Write([]byte(body))
	return hex.EncodeToString(mac.Sum(nil))
}

func TestAWebhookAsksForAPoll(t *testing.T) {
	b := newHookBed(t)
	const body = `{"events":[{"action":"push","target":{"repository":"acme/shop","tag":"1.0"}},{"action":"push","target":{"repository":"acme/nobody"}}]}`
	secret := b.hook.Secret
	for what, c := range map[string]struct {
		path    string
		body    string
		headers []string
		want    []string
	}{
		"a bearer":           {"", body, []string{"Authorization", "Bearer " + secret}, []string{"depot.example/acme/shop"}},
		"a bare header":      {"", body, []string{"Authorization", secret}, []string{"depot.example/acme/shop"}},
		"a password":         {"", body, []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("any:"+secret))}, []string{"depot.example/acme/shop"}},
		"GitHub's signature": {"", body, []string{"X-Hub-Signature-256", "sha256=" + b.sign(body)}, []string{"depot.example/acme/shop"}},
		"Gitea's signature":  {"", body, []string{"X-Gitea-Signature", b.sign(body)}, []string{"depot.example/acme/shop"}},
		"Forgejo's":          {"", body, []string{"X-Forgejo-Signature", b.sign(body)}, []string{"depot.example/acme/shop"}},
		"GitLab's token": {
			"", `{"object_kind":"pipeline","object_attributes":{"status":"success"},"project":{"path_with_namespace":"Acme/Shop"}}`,
			[]string{"X-Gitlab-Token", secret},
			[]string{"depot.example/acme/shop", "depot.example/acme/shop/api"},
		},
		"the address": {"/" + secret, `{"repository":{"repo_name":"acme/shopping"}}`, nil, []string{"depot.example/acme/shopping"}},
		"a media type of its own": {
			"/" + secret, body, []string{"Content-Type", "application/vnd.docker.distribution.events.v2+json"}, []string{"depot.example/acme/shop"},
		},
		"a form":              {"/" + secret, "payload=%7B%22repository%22%3A%22acme%2Fshop%22%7D", []string{"Content-Type", "application/x-www-form-urlencoded"}, []string{"depot.example/acme/shop"}},
		"from another site":   {"/" + secret, body, []string{"Origin", "https://ci.example", "Sec-Fetch-Site", "cross-site"}, []string{"depot.example/acme/shop"}},
		"with the host":       {"/" + secret, `{"image":"depot.example/acme/shop:1.0"}`, nil, []string{"depot.example/acme/shop"}},
		"a name alone":        {"/" + secret, `{"repository":"alone"}`, nil, []string{"depot.example/alone"}},
		"with another host":   {"/" + secret, `{"image":"other.example/acme/shop:1.0"}`, nil, nil},
		"one nobody follows":  {"/" + secret, `{"repository":"acme/nobody"}`, nil, nil},
		"nothing in it":       {"/" + secret, ``, nil, nil},
		"asking who is there": {"/" + secret, `{"zen":"hello"}`, nil, nil},
	} {
		t.Run(what, func(t *testing.T) {
			b.rest()
			status, _, text := b.raw(nil, post, b.hook.Path+c.path, c.body, c.headers...)
			var said struct{ Asked []string }
			if err := json.Unmarshal([]byte(text), &said); err != nil || status != http.StatusAccepted || !slices.Equal(said.Asked, c.want) {
				t.Errorf("%d %s, want %v", status, text, c.want)
			}
			if due := b.due(); !slices.Equal(due, c.want) {
				t.Errorf("due: %v, want %v", due, c.want)
			}
		})
	}
	r, err := b.viewer.Registry(t.Context(), "depot")
	if err != nil || r.Hook == nil || r.Hook.HeardAt.IsZero() || r.Hook.Secret != "" || r.Hook.Path != "/api/hooks/"+r.ID {
		t.Errorf("%+v, %v", r.Hook, err)
	}
	if e := b.event("registry.hook_heard"); e.Actor != "webhook:depot" || e.Data["images"] == nil || e.Data["addr"] == nil || strings.Contains(e.Message, b.hook.Secret) {
		t.Errorf("%+v", e)
	}
	if status, _, text := b.raw(nil, post, b.hook.Path+"/"+secret, `[]`); status != http.StatusUnprocessableEntity || !strings.Contains(text, `"body"`) {
		t.Errorf("no message: %d %s", status, text)
	}
}

// Whoever does not show the secret learns nothing and moves nothing, whoever else they are.
func TestAWebhookIsNotForStrangers(t *testing.T) {
	b := newHookBed(t)
	silent, err := b.admin.CreateRegistry(t.Context(), client.NewRegistry{Name: "silent", Host: "silent.example"})
	b.must(err)
	const body = `{"repository":"acme/shop"}`
	refusals := map[string]bool{}
	for what, c := range map[string]struct {
		path    string
		who     *client.Client
		headers []string
	}{
		"no secret":          {b.hook.Path, nil, nil},
		"an admin's token":   {b.hook.Path, b.admin, nil},
		"a wrong address":    {b.hook.Path + "/dwh_wrong", nil, nil},
		"a wrong signature":  {b.hook.Path, nil, []string{"X-Hub-Signature-256", "sha256=" + b.sign(`{}`)}},
		"a wrong token":      {b.hook.Path, nil, []string{"X-Gitlab-Token", b.hook.Secret[1:]}},
		"no webhook":         {hookBase + silent.ID + "/" + b.hook.Secret, nil, nil},
		"no registry":        {hookBase + "no-such-id/" + b.hook.Secret, nil, nil},
		"a registry by name": {hookBase + "depot/" + b.hook.Secret, nil, nil},
	} {
		status, h, text := b.raw(c.who, post, c.path, body, c.headers...)
		if status != http.StatusNotFound || h.Get("Set-Cookie") != "" {
			t.Errorf("%s: %d %s", what, status, text)
		}
		refusals[text] = true
	}
	if len(refusals) != 1 {
		t.Errorf("the refusals differ: %v", refusals)
	}
	if due := b.due(); len(due) != 0 {
		t.Errorf("due: %v", due)
	}
	if e := b.event("registry.hook_refused"); e.Severity != "warn" || e.Data["registry"] != "depot" || e.Data["addr"] != "203.0.113.7" {
		t.Errorf("%+v", e)
	}
	told := 0
	l, err := b.viewer.Events(t.Context(), client.EventFilter{}, client.Page{Limit: 200})
	b.must(err)
	for _, e := range l.Items {
		if e.Kind == "registry.hook_refused" {
			told++
		}
	}
	if told != 1 {
		t.Errorf("told %d times", told)
	}
	if strings.Contains(b.logs.String(), b.hook.Secret) {
		t.Error("the log holds the secret")
	}
}

// The former secret counts no more after another was made, and none after the webhook was removed.
func TestAWebhookGetsAnotherSecret(t *testing.T) {
	b := newHookBed(t)
	ctx := t.Context()
	send := func(secret string) int {
		status, _, _ := b.raw(nil, post, b.hook.Path+"/"+secret, `{"repository":"acme/shop"}`)
		return status
	}
	again, err := b.admin.MakeHook(ctx, b.registry.ID)
	b.must(err)
	if again.Secret == b.hook.Secret || again.Path != b.hook.Path || send(b.hook.Secret) != http.StatusNotFound || send(again.Secret) != http.StatusAccepted {
		t.Errorf("another secret: %+v", again)
	}
	b.must(b.admin.DeleteHook(ctx, "depot"))
	if send(again.Secret) != http.StatusNotFound {
		t.Error("it counts after the webhook was removed")
	}
	wantProblem(t, b.admin.DeleteHook(ctx, "depot"), http.StatusNotFound, client.CodeNotFound)
	_, err = b.admin.MakeHook(ctx, "nobody")
	wantProblem(t, err, http.StatusNotFound, client.CodeNotFound)
	_, err = b.operator.MakeHook(ctx, "depot")
	wantProblem(t, err, http.StatusForbidden, client.CodeForbidden)
	for _, kind := range []string{"registry.hook_made", "registry.hook_rotated", "registry.hook_removed"} {
		if e := b.event(kind); e.Actor != "token:admin" || e.Data["registry"] != "depot" {
			t.Errorf("%+v", e)
		}
	}
}

func TestAWebhookIsSlowedDown(t *testing.T) {
	b := newHookBed(t)
	until := func(path string, want int) {
		t.Helper()
		for range 200 {
			status, h, text := b.raw(nil, post, path, `{"repository":"acme/nobody"}`)
			switch status {
			case http.StatusTooManyRequests:
				if h.Get("Retry-After") == "" {
					t.Error("it does not say how long to wait")
				}
				return
			case want:
			default:
				t.Fatalf("%d %s", status, text)
			}
		}
		t.Errorf("%s was never too much", path)
	}
	until(b.hook.Path+"/"+b.hook.Secret, http.StatusAccepted)
	until(b.hook.Path, http.StatusNotFound)
	until(hookBase+"no-such-id", http.StatusNotFound)
	if status, _, text := b.raw(nil, post, b.hook.Path+"/"+b.hook.Secret, strings.Repeat("x", maxBody+1)); status != http.StatusRequestEntityTooLarge {
		t.Errorf("a large one: %d %.80s", status, text)
	}
}

// Strangers cannot switch webhooks off, not even from the address of a sender: neither by what they make up nor by the webhook itself. What they
// are answered does not tell what there is.
func TestStrangersDoNotSwitchAWebhookOff(t *testing.T) {
	inBubble(t, func(t *testing.T, on *bed) { // where no try comes back meanwhile
		b := newHookBedOn(on)
		const body = `{"repository":"acme/shop"}`
		for n := range 40 {
			status, _, text := b.raw(nil, post, fmt.Sprintf("%smade-up-%d/x", hookBase, n), body)
			if status != http.StatusNotFound && status != http.StatusTooManyRequests {
				t.Fatalf("%d %s", status, text)
			}
			if n == 39 && status != http.StatusTooManyRequests {
				t.Error("made-up addresses are never too many")
			}
		}
		if status, _, text := b.raw(nil, post, b.hook.Path+"/wrong", body); status != http.StatusTooManyRequests {
			t.Errorf("it is answered otherwise where there is a webhook: %d %s", status, text)
		}
		b.event("registry.hook_refused") // told, all the same
		if status, _, text := b.raw(nil, post, b.hook.Path+"/"+b.hook.Secret, body); status != http.StatusAccepted {
			t.Errorf("who knows the secret is refused: %d %s", status, text)
		}
	})
}

// Docker Hub's images have several names.
func TestTheWebhookOfDockerHub(t *testing.T) {
	for image, named := range map[string]string{
		"nginx": "library/nginx", "library/nginx": "nginx", "docker.io/nginx": "docker.io/library/nginx", "acme/shop": "acme/shop",
		"registry-1.docker.io/acme/shop": "index.docker.io/acme/shop",
	} {
		if !isNamed(image, "docker.io", []hook.Named{{Path: named}}) {
			t.Errorf("%s is not what is meant by %s", image, named)
		}
	}
	for image, named := range map[string]string{"nginx": "acme/nginx", "acme/shop": "ghcr.io/acme/shop", "acme/shopping": "acme/shop"} {
		if isNamed(image, "docker.io", []hook.Named{{Path: named}, {Path: named + "/x"}}) {
			t.Errorf("%s is what is meant by %s", image, named)
		}
	}
}

// What polling brought is shown with the registry, and who uses it.
func TestARegistryShowsItsUse(t *testing.T) {
	b := newHookBed(t)
	ctx := t.Context()
	since, next := time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC), time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)
	b.update(func(tx *store.Tx) error {
		return tx.SavePoll(ctx, store.StagePoll{StageID: b.stages["depot.example/acme/shop"], LastAt: next.Add(-time.Hour), NextAt: next, Error: "no route", Since: since})
	})
	r, err := b.viewer.Registry(ctx, "depot")
	b.must(err)
	want := client.RegistryUse{Stages: 4, Following: 4, Repositories: 4, LastAt: since, NextAt: next, Blind: 1, Since: since, Error: "no route"}
	if r.Use != want || len(r.Stages) != 4 || r.Stages[0].Project != "depot-example-acme-shop" || r.Stages[0].Stage != "dev" || !r.Stages[0].Follows || r.Traffic != nil {
		t.Errorf("%+v\n%+v", r.Use, r)
	}
	b.update(func(tx *store.Tx) error { return tx.PollAtOnce(ctx, b.stages["depot.example/acme/shop/api"]) })
	all, err := b.viewer.Registries(ctx)
	b.must(err)
	if len(all) != 1 || all[0].Use.Stages != 4 || !all[0].Use.NextAt.IsZero() || all[0].Stages != nil {
		t.Errorf("%+v", all)
	}
}
