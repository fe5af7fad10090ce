package api

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

func TestMay(t *testing.T) {
	nobody := powers{}
	eyes := powers{role: viewer}
	shop := powers{grants: map[string]store.Role{"shop": operator, "blog": viewer}}
	both := powers{role: viewer, grants: map[string]store.Role{"shop": operator}}
	waiting := powers{role: admin, enrol: true, grants: map[string]store.Role{"shop": operator}}
	for _, tt := range []struct {
		who      powers
		need     store.Role
		where    scope
		projects []string
		want     bool
	}{
		{nobody, viewer, scopeAll, nil, false},
		{nobody, viewer, scopeSome, nil, false},
		{nobody, viewer, scopeSelf, nil, true},
		{nobody, viewer, scopeProject, []string{"shop"}, false},
		{eyes, viewer, scopeAll, nil, true},
		{eyes, operator, scopeAll, nil, false},
		{eyes, operator, scopeProject, []string{"shop"}, false},
		{shop, viewer, scopeAll, nil, false},
		{shop, admin, scopeSome, nil, false},
		{shop, operator, scopeSome, nil, true},
		{shop, operator, scopeStage, []string{"shop"}, true},
		{shop, operator, scopeStage, []string{"blog"}, false},
		{shop, viewer, scopeStage, []string{"blog"}, true},
		{shop, viewer, scopeStage, []string{"other"}, false},
		{shop, viewer, scopeStage, nil, false},
		{shop, viewer, scopeStage, []string{""}, false},
		{shop, admin, scopeProject, []string{"shop"}, false},
		{shop, viewer, scopePlan, []string{"shop", "blog"}, true},
		{shop, operator, scopePlan, []string{"shop", "blog"}, false},
		{shop, viewer, scopePlan, []string{"shop", "other"}, false},
		{both, viewer, scopeAll, nil, true},
		{both, operator, scopeAll, nil, false},
		{both, operator, scopeInstance, []string{"shop"}, true},
		{both, operator, scopeInstance, []string{"blog"}, false},
		{waiting, viewer, scopeSelf, nil, false},
		{waiting, viewer, scopeInstance, []string{"shop"}, false},
		{waiting, viewer, scopeEnrol, nil, true},
	} {
		if got := tt.who.may(tt.need, tt.where, tt.projects); got != tt.want {
			t.Errorf("%+v needs %s of %q in %v: %t", tt.who, tt.need, tt.where, tt.projects, got)
		}
	}
	if shop.visible().Has("other") || !shop.visible().Has("blog") || !eyes.visible().Has("other") || nobody.visible().Has("shop") {
		t.Error("what is visible")
	}
}

// TestScopesAreOfRoutes: each scope is one of a route that there is, and what {id} names is there to be looked up.
func TestScopesAreOfRoutes(t *testing.T) {
	for _, r := range (&server{}).routes() {
		if scopeOf(r.id).named() && !strings.Contains(r.path, "{id}") {
			t.Errorf("%s has the scope %s and no {id}", r.id, scopeOf(r.id))
		}
		if scopeOf(r.id) != scopeAll && (r.need == anyone || r.need == admin) {
			t.Errorf("%s has the scope %s and needs %q", r.id, scopeOf(r.id), r.need)
		}
	}
}

// twoProjects are one that carla may operate and one that she may not see, each with everything that an id can name.
type twoProjects struct {
	mine, theirs map[scope]string
	stages       map[string]store.Stage
}

func (b *bed) twoProjects() twoProjects {
	b.t.Helper()
	ctx := b.t.Context()
	two := twoProjects{stages: map[string]store.Stage{}}
	for project, into := range map[string]*map[scope]string{"shop": &two.mine, "bank": &two.theirs} {
		st := b.shop(project, "dev")
		two.stages[project] = st
		i, _ := b.plant(st, project+"-one", 30)
		d := store.Deploy{ID: store.NewID(), ProjectID: st.ProjectID, StageID: st.ID, HostID: b.host.ID, Image: "shop", ImageTag: "1", State: store.DeployFailed, EndedAt: time.Now()}
		r := store.Route{ID: store.NewID(), ProjectID: st.ProjectID, StageID: st.ID, InstanceID: i.ID, Port: 80, TLS: "off", Options: "{}", Domains: []store.RouteAddress{{Domain: project + ".example.org", PathPrefix: "/"}}}
		a := store.Archive{ID: store.NewID(), InstanceID: store.NewID(), HostID: b.host.ID, ProjectID: st.ProjectID, StageID: st.ID, Project: project, Stage: "dev", Name: project + "-gone", State: store.ArchiveReady, RemovedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}
		b.update(func(tx *store.Tx) error {
			if err := tx.InsertDeploy(ctx, d); err != nil {
				return err
			}
			if err := tx.InsertRoute(ctx, r); err != nil {
				return err
			}
			if err := tx.InsertArchive(ctx, a, store.ArchiveContents{}); err != nil {
				return err
			}
			return tx.Emit(ctx, store.Event{Time: time.Now(), Severity: store.SeverityInfo, Source: store.SourceAPI, Kind: "project.updated", Message: project + " was changed", ProjectID: st.ProjectID})
		})
		*into = map[scope]string{
			scopeProject: st.ProjectID, scopeStage: st.ID, scopeInstance: i.ID, scopeDeploy: d.ID, scopeRoute: r.ID, scopeArchive: a.ID,
		}
	}
	b.scan()
	for _, ids := range []map[scope]string{two.mine, two.theirs} {
		_, _, text := b.raw(b.operator, post, "/api/containers/stale/"+ids[scopeInstance]+"/cleanup", `{"dry_run":true}`)
		var plan struct{ ID string }
		b.must(json.Unmarshal([]byte(text), &plan))
		ids[scopePlan] = plan.ID
	}
	return two
}

// TestAUserOfAnotherProject walks the document as somebody who may operate one project, with what belongs to another.
func TestAUserOfAnotherProject(t *testing.T) {
	b := newBed(t)
	two := b.twoProjects()
	carla := b.person("carla", "none", client.Grant{ProjectID: "shop", Role: "operator"})
	asked := 0
	for _, op := range operations(t) {
		where := scopeOf(op.ID)
		if op.Role == "anyone" || where == scopeSelf || where == scopeEnrol || where == scopeSome || strings.HasPrefix(op.path, "/api/hooks") {
			continue
		}
		body := ""
		if op.method != get && op.method != remove {
			body = `{"no_such_key":1}`
		}
		id := two.theirs[where]
		if where == scopeAll {
			id = two.theirs[scopeProject]
		}
		status, _, text := b.raw(carla, op.method, replaceID(op.path, id), body)
		want := http.StatusForbidden
		if where.named() {
			want = http.StatusNotFound
		}
		if status != want || strings.Contains(text, "bank") {
			t.Errorf("%s %s of another project: %d %s, want %d", op.method, op.path, status, text, want)
		}
		asked++
		if !where.named() || op.method == remove || op.ID == "get-logs" || op.ID == "get-instance-stats" || op.ID == "get-route-health" {
			continue // the pretend engine or proxy may have none
		}
		if status, _, text := b.raw(carla, op.method, replaceID(op.path, two.mine[where]), body); status == http.StatusForbidden || status == http.StatusNotFound || status == http.StatusUnauthorized {
			t.Errorf("%s %s of her own project: %d %s", op.method, op.path, status, text)
		}
	}
	if asked < 60 {
		t.Errorf("only %d routes were asked", asked)
	}
}

func TestListsShowOnlyOnesOwnProjects(t *testing.T) {
	b := newBed(t)
	two := b.twoProjects()
	carla := b.person("carla", "none", client.Grant{ProjectID: "shop", Role: "operator"})
	nobody := b.person("nora", "none")
	for _, r := range (&server{}).routes() {
		if scopeOf(r.id) != scopeSome || r.method != get || r.id == "stream-events" {
			continue
		}
		status, _, text := b.raw(carla, get, r.path, "")
		if status != http.StatusOK || strings.Contains(text, "bank") || strings.Contains(text, two.stages["bank"].ProjectID) || !strings.Contains(text, two.mine[scopeProject]) && r.id != "list-stats" {
			t.Errorf("%s: %d %s", r.path, status, text)
		}
		if status, _, _ := b.raw(nobody, get, r.path, ""); status != http.StatusForbidden {
			t.Errorf("%s for who may nothing: %d", r.path, status)
		}
		// Asked for by name, the other project is none that there is; by a stage of it, neither. The log of one that is gone is empty.
		for _, query := range []string{"?project=bank", "?stage=" + two.stages["bank"].ID, "?project_id=" + two.stages["bank"].ProjectID} {
			status, _, text := b.raw(carla, get, r.path+query, "")
			if strings.Contains(text, "bank-") || strings.Contains(text, "bank.example") || status >= 500 {
				t.Errorf("%s%s: %d %s", r.path, query, status, text)
			}
		}
	}
	// A limit comes after the filter: the newest event is of the other project, and the page is full all the same.
	if l, err := carla.Events(t.Context(), client.EventFilter{}, client.Page{Limit: 1}); err != nil || len(l.Items) != 1 || l.Items[0].ProjectID != two.mine[scopeProject] {
		t.Errorf("%+v, %v", l, err)
	}
	all, err := b.viewer.Events(t.Context(), client.EventFilter{}, client.Page{Limit: 200})
	b.must(err)
	mine, err := carla.Events(t.Context(), client.EventFilter{}, client.Page{Limit: 200})
	b.must(err)
	want := slices.DeleteFunc(all.Items, func(e client.Event) bool { return e.ProjectID != two.mine[scopeProject] })
	if len(mine.Items) == 0 || len(mine.Items) != len(want) {
		t.Errorf("%d events, want %d", len(mine.Items), len(want))
	}
	// A route into another project's stage is of a stage that is not there.
	status, _, text := b.raw(carla, post, "/api/routes", `{"stage_id":"`+two.stages["bank"].ID+`","domains":["x.example.org"],"port":80}`)
	if status != http.StatusUnprocessableEntity || !strings.Contains(text, "body.stage_id") {
		t.Errorf("a route into another project: %d %s", status, text)
	}
}

// TestNotificationsAreForAllProjects: channels, rules and the outbox name projects, events and people of all of them. Whoever has a role in single projects only
// sees none of it, nor figures of it in the overview; a viewer of all sees it.
func TestNotificationsAreForAllProjects(t *testing.T) {
	b := newBed(t)
	two := b.twoProjects()
	ctx := t.Context()
	carla := b.person("carla", "none", client.Grant{ProjectID: "shop", Role: "operator"})
	channel, err := b.admin.CreateChannel(ctx, client.NewChannel{Name: "bank-ops", URL: "http://127.0.0.1:1/hook"})
	b.must(err)
	rule := store.NotifyRule{
		ID: store.NewID(), Name: "bank-rule", Enabled: true, Channels: []string{channel.ID}, NotifyWants: store.NotifyWants{Projects: []string{two.stages["bank"].ProjectID}}, Revision: 1,
	}
	message := store.Message{ID: store.NewID(), ChannelID: channel.ID, RuleID: rule.ID, State: store.MessageDead, Severity: store.SeverityWarn, Title: "bank-one is stale", DueAt: time.Now(), CreatedAt: time.Now()}
	b.update(func(tx *store.Tx) error {
		if err := tx.InsertNotifyRule(ctx, rule); err != nil {
			return err
		}
		return tx.InsertMessage(ctx, message)
	})
	ids := map[string]string{"channels": channel.ID, "rules": rule.ID, "outbox": message.ID}
	asked := 0
	for _, r := range (&server{}).routes() {
		if !strings.HasPrefix(r.path, "/api/notifications/") {
			continue
		}
		asked++
		if where := scopeOf(r.id); where != scopeAll {
			t.Errorf("%s is of the scope %q", r.id, where)
		}
		path := r.path
		for kind, id := range ids {
			path = strings.Replace(path, kind+"/{id}", kind+"/"+id, 1)
		}
		body := ""
		if r.method == post || r.method == patch {
			body = `{}`
		}
		if status, _, text := b.raw(carla, r.method, path, body); status != http.StatusForbidden || strings.Contains(text, "bank") {
			t.Errorf("%s %s: %d %s", r.method, path, status, text)
		}
		if r.method != get {
			continue
		}
		if status, _, text := b.raw(b.viewer, get, path, ""); status != http.StatusOK || !strings.Contains(text, "bank") && r.id != "list-channel-kinds" {
			t.Errorf("%s for a viewer of all: %d %s", path, status, text)
		}
	}
	if asked < 15 {
		t.Errorf("only %d routes were asked", asked)
	}
	if status, _, text := b.raw(carla, get, "/api/overview", ""); status != http.StatusOK || strings.Contains(text, "bank") {
		t.Errorf("her overview: %d %s", status, text)
	}
}

func TestStreamOfOneProject(t *testing.T) {
	b := newBed(t)
	two := b.twoProjects()
	carla := b.person("carla", "none", client.Grant{ProjectID: "shop", Role: "viewer"})
	said := make(chan client.Event, 100)
	b.run("stream", func(ctx context.Context) error {
		return carla.Stream(ctx, client.StreamOptions{Once: true, After: "0"}, func(e client.Event) error { said <- e; return nil })
	})
	for _, project := range []string{"bank", "shop"} {
		b.update(func(tx *store.Tx) error {
			return tx.Emit(t.Context(), store.Event{Time: time.Now(), Severity: store.SeverityInfo, Source: store.SourceAPI, Kind: "end", Message: project, ProjectID: two.stages[project].ProjectID})
		})
	}
	deadline := time.After(patience)
	for {
		select {
		case e := <-said:
			if e.ProjectID != two.mine[scopeProject] {
				t.Errorf("she is told of %+v", e)
			}
			if e.Kind == "end" {
				return
			}
		case <-deadline:
			t.Fatal("her own event did not come")
		}
	}
}

func TestATokenInAProject(t *testing.T) {
	b := newBed(t)
	two := b.twoProjects()
	carla := b.person("carla", "none", client.Grant{ProjectID: "shop", Role: "operator"})
	_, err := carla.CreateToken(t.Context(), client.NewToken{Name: "up", Role: "admin"})
	wantProblem(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
	reads, err := carla.CreateToken(t.Context(), client.NewToken{Name: "reads", Role: "viewer"})
	b.must(err)
	token := b.nobody.As(reads.Secret)
	if _, err := token.Instance(t.Context(), two.mine[scopeInstance]); err != nil {
		t.Error(err)
	}
	_, err = token.Instance(t.Context(), two.theirs[scopeInstance])
	wantProblem(t, err, http.StatusNotFound, client.CodeNotFound)
	if status, _, _ := b.raw(token, post, "/api/instances/"+two.mine[scopeInstance]+"/pin", `{}`); status != http.StatusForbidden {
		t.Errorf("a viewer's token of an operator: %d", status)
	}
	if status, _, text := b.raw(carla, post, "/api/instances/"+two.mine[scopeInstance]+"/pin", `{"reason":"mine"}`); status != http.StatusOK {
		t.Errorf("the operator herself: %d %s", status, text)
	}
	// What is taken away is gone at the next request.
	none := []client.Grant{}
	_, err = b.admin.UpdateUser(t.Context(), "carla", client.UserChange{Grants: &none})
	b.must(err)
	_, err = token.Instance(t.Context(), two.mine[scopeInstance])
	wantProblem(t, err, http.StatusForbidden, client.CodeForbidden)
}
