package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/compose"
)

const composeFile = `name: acme
services:
  web:
    image: ghcr.io/acme/shop:1.4
    environment: [PASSWORD=` + canary + `, "MODE=${MODE}"]
    ports: ["8080:80"]
    build: .
  db:
    image: postgres:17
    privileged: true
    volumes: [./data:/var/lib/postgresql/data]
`

func TestComposeIsToldAndImported(t *testing.T) {
	b := newBed(t)
	in := client.ComposeImport{Text: composeFile, Values: map[string]string{"MODE": "demo"}, DryRun: true}
	f, err := b.admin.ImportCompose(t.Context(), in)
	b.must(err)
	web, db := f.Services[0], f.Services[1]
	if web.Blocked || web.Image != "ghcr.io/acme/shop" || web.Tag != "1.4" || web.Project != "acme-web" || len(web.Power) > 0 || f.ComposeProject != "acme" ||
		web.Spec.Ports[0].HostIP != "0.0.0.0" || web.Spec.Env[0].Value != nil {
		t.Errorf("got %+v", web)
	}
	if !db.Blocked || len(db.Power) != 1 || len(f.Variables) != 1 || !f.Variables[0].Given {
		t.Errorf("got %+v, %+v", db, f.Variables)
	}
	if all, err := b.admin.Projects(t.Context(), client.Page{}); err != nil || len(all.Items) > 0 {
		t.Errorf("a dry run made %+v, %v", all, err)
	}

	// Nothing is lost that nobody said yes to, and nothing is made of what is in the way.
	in.DryRun, in.Service, in.Project, in.Stage = false, "web", "shop", "production"
	_, err = b.admin.ImportCompose(t.Context(), in)
	if p := problemIn(t, err, http.StatusConflict, client.CodeNotAccepted); len(p.Errors) != 1 || !strings.Contains(p.Errors[0].Message, "line 7: build") || p.Hint == "" {
		t.Errorf("got %+v", p)
	}
	blocked := in
	blocked.Service, blocked.Accept = "db", true
	_, err = b.admin.ImportCompose(t.Context(), blocked)
	if p := problemIn(t, err, http.StatusUnprocessableEntity, client.CodeInvalid); !strings.Contains(p.Errors[0].Message, "line 11: volumes") {
		t.Errorf("got %+v", p)
	}
	if all, err := b.admin.Projects(t.Context(), client.Page{}); err != nil || len(all.Items) > 0 {
		t.Errorf("a refused import made %+v, %v", all, err)
	}

	in.Accept = true
	made, err := b.admin.ImportCompose(t.Context(), in)
	b.must(err)
	st, err := b.db.Stage(t.Context(), made.Stage.ID)
	b.must(err)
	if made.Stage.Project != "shop" || made.Stage.Kind != "production" || st.Spec.Env[1].Value != canary || st.Spec.Env[0].Value != "demo" || st.Spec.Env[1].Plain {
		t.Errorf("got %+v", made.Stage)
	}
	for _, kind := range []string{"project.created", "stage.created"} {
		if e := b.event(kind); strings.Contains(e.Message, canary) || e.Actor != "token:admin" {
			t.Errorf("%+v", e)
		}
	}
	if e := b.event("stage.created"); e.Data["compose_service"] != "web" {
		t.Errorf("%+v", e)
	}

	// Into the stage that is there: its spec is replaced, all else stays.
	in.Text = strings.ReplaceAll(composeFile, "8080:80", "8081:80")
	again, err := b.admin.ImportCompose(t.Context(), in)
	b.must(err)
	if again.Stage.ID != made.Stage.ID || again.Stage.Spec.Ports[0].Host != 8081 || again.Stage.Revision != made.Stage.Revision+1 {
		t.Errorf("got %+v", again.Stage)
	}
	in.Text = strings.ReplaceAll(composeFile, "acme/shop", "acme/other")
	_, err = b.admin.ImportCompose(t.Context(), in)
	if p := problemIn(t, err, http.StatusUnprocessableEntity, client.CodeInvalid); p.Errors[0].Location != "body.project" {
		t.Errorf("got %+v", p)
	}
}

func TestComposeThatCannotBeImported(t *testing.T) {
	b := newBed(t)
	for name, c := range map[string]struct {
		change func(*client.ComposeImport)
		where  string
	}{
		"no YAML":         {func(i *client.ComposeImport) { i.Text = "services: [" }, "body.text"},
		"no service":      {func(i *client.ComposeImport) { i.Text = "services: {}" }, "body.text"},
		"which service":   {func(i *client.ComposeImport) { i.Service = "" }, "body.service"},
		"unknown service": {func(i *client.ComposeImport) { i.Service = "api" }, "body.service"},
		"no project":      {func(i *client.ComposeImport) { i.Project = "" }, "body.project"},
		"project's name":  {func(i *client.ComposeImport) { i.Project = "No Name" }, "body.project"},
		"no stage":        {func(i *client.ComposeImport) { i.Stage = "" }, "body.stage"},
		"stage's name":    {func(i *client.ComposeImport) { i.Stage = "../x" }, "body.stage"},
		"host":            {func(i *client.ComposeImport) { i.HostID = "nowhere" }, "body.host_id"},
		"a variable":      {func(i *client.ComposeImport) { i.Values = nil }, "body.text"},
		"a label of ours": {func(i *client.ComposeImport) {
			i.Text += "    labels: [docker-watcher.managed=false]\n"
			i.Service = "db"
		}, "body.text"},
		"too little memory":   {func(i *client.ComposeImport) { i.Text = "services: {web: {image: a, mem_limit: 1k}}" }, "body.text"},
		"an image that is no": {func(i *client.ComposeImport) { i.Text = "services: {web: {image: 'A B'}}" }, "body.text"},
	} {
		t.Run(name, func(t *testing.T) {
			in := client.ComposeImport{Text: composeFile, Values: map[string]string{"MODE": "x"}, Service: "web", Project: "shop", Stage: "dev", Accept: true}
			c.change(&in)
			_, err := b.admin.ImportCompose(t.Context(), in)
			if p := problemIn(t, err, http.StatusUnprocessableEntity, client.CodeInvalid); p.Errors[0].Location != c.where || strings.Contains(p.Error(), canary) {
				t.Errorf("got %+v", p)
			}
		})
	}
	// An unknown key is none.
	if status, _, body := b.raw(b.admin, post, "/api/import/compose", `{"text":"services: {}","dryrun":true}`); status != http.StatusUnprocessableEntity || !strings.Contains(body, "body.dryrun") {
		t.Errorf("%d %s", status, body)
	}
	if all, err := b.admin.Projects(t.Context(), client.Page{}); err != nil || len(all.Items) > 0 {
		t.Errorf("something was made: %+v, %v", all, err)
	}
	_, err := b.operator.ImportCompose(t.Context(), client.ComposeImport{Text: composeFile, DryRun: true})
	wantProblem(t, err, http.StatusForbidden, client.CodeForbidden)
}

// However large a file is, it is said where that is and what to do. One that is just small enough is read, whatever JSON makes of it.
func TestALargeComposeFile(t *testing.T) {
	b := newBed(t)
	const end = "\nservices: {web: {image: shop}}\n"
	look := func(text string) error {
		_, err := b.admin.ImportCompose(t.Context(), client.ComposeImport{Text: text, DryRun: true})
		return err
	}
	for what, c := range map[string]struct {
		text   string
		status int
		code   string
	}{
		"a byte too many":   {strings.Repeat("#", compose.MostBytes+1-len(end)) + end, http.StatusUnprocessableEntity, client.CodeInvalid},
		"of wide signs":     {strings.Repeat("#", 2) + strings.Repeat("ü", compose.MostBytes/2) + end, http.StatusUnprocessableEntity, client.CodeInvalid},
		"more than is read": {strings.Repeat("#", maxComposeBody+1-len(`{"text":"","dry_run":true}`)), http.StatusRequestEntityTooLarge, client.CodeTooLarge},
	} {
		p := problemIn(t, look(c.text), c.status, c.code)
		if len(p.Errors) != 1 || p.Errors[0].Location != "body.text" || !strings.Contains(p.Errors[0].Message, "larger than 1 MiB") || !strings.Contains(p.Hint, "only the services") {
			t.Errorf("%s: %+v", what, p)
		}
	}
	b.must(look(strings.Repeat("# \"\n", (compose.MostBytes-len(end))/4) + end))
	status, _, body := b.raw(b.admin, post, "/api/projects", `{"name":"`+strings.Repeat("a", maxBody-10)+`"}`)
	if status != http.StatusRequestEntityTooLarge || strings.Contains(body, "body.text") || !strings.Contains(body, `"hint"`) {
		t.Errorf("of another kind: %d %s", status, body)
	}
}
