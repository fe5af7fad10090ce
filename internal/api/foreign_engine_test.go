package api

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// TestPeer22NoMutatingRouteReachesAForeignContainer tries every operation of the OpenAPI document that may change something, as
// admin, with the id of a container that is not ours (full and short) wherever an id or a text can stand: in the path, in
// the query and in the body, each property by itself and all together. On a real engine; afterwards each container is to the
// letter what it was, and the engine has told of nothing that happened to it.
func TestPeer22NoMutatingRouteReachesAForeignContainer(t *testing.T) {
	t.Parallel()
	adapter := enginetest.Engine(t)
	image := loadApp(t, adapter, "dwt-foreign:1")
	b := newBedOn(t, docker.Options{Endpoint: enginetest.Endpoint(t)})
	st := b.shop("shop", "preview")
	b.update(func(tx *store.Tx) error { // its deploys fail at once, and ask nobody outside
		p, err := tx.Project(t.Context(), st.ProjectID)
		if err != nil {
			return err
		}
		p.Image = "127.0.0.1:1/shop"
		return tx.UpdateProject(t.Context(), p)
	})
	foreign := []string{
		b.runStranger(adapter, image, nil),
		b.runStranger(adapter, image, map[string]string{docker.LabelInstallation: "another", docker.LabelInstance: "x"}),
		b.runStranger(adapter, image, map[string]string{docker.LabelInstallation: b.db.InstallationID(), docker.LabelInstance: "no-such-row"}),
	}
	b.scan()
	since, before := time.Now().Add(-time.Minute), b.inspects(adapter, foreign)

	doc := readDocument(t)
	tried := map[string]int{}
	for _, op := range doc.mutating() {
		ours := b.real(st, adapter, image, op)
		for n, id := range foreign {
			for _, as := range []string{id, id[:12]} {
				bodies := op.bodies(as, b.host.ID)
				if n > 0 {
					bodies = bodies[len(bodies)-1:] // all properties at once
				}
				for _, path := range op.paths(as, ours) {
					for _, body := range bodies {
						status, _, text := b.raw(b.admin, op.method, path+op.query(as), body)
						tried[op.method+" "+op.path]++
						if status >= 500 && status != http.StatusServiceUnavailable {
							t.Errorf("%s %s %s: %d %s", op.method, path, body, status, text)
						}
					}
				}
			}
		}
	}
	for _, r := range (&server{}).routes() {
		if r.method != get && tried[r.method+" "+r.path] == 0 {
			t.Errorf("%s %s was not tried", r.method, r.path)
		}
	}
	b.scan()
	for id, was := range before {
		if diff := cmp.Diff(was, b.inspects(adapter, []string{id})[id]); diff != "" {
			t.Errorf("%s is not what it was:\n%s", id[:12], diff)
		}
	}
	for _, told := range enginetest.EventsOf(t, adapter, since, foreign...) {
		if action, id, _ := strings.Cut(told, " "); action != "create" && action != "start" {
			t.Errorf("the engine told of %s: %s", id, action)
		}
	}
}

// loadApp puts the test app on the engine.
func loadApp(t *testing.T, adapter *docker.Engine, ref string) string {
	t.Helper()
	app, err := enginetest.BuildApp(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	archive, err := enginetest.AppArchive(app, ref, "1")
	if err != nil {
		t.Fatal(err)
	}
	if err := adapter.LoadImage(t.Context(), archive); err != nil {
		t.Fatal(err)
	}
	enginetest.RemoveImageAfter(t, adapter, ref)
	return ref
}

// runStranger runs a container as somebody else would.
func (b *bed) runStranger(adapter *docker.Engine, image string, labels map[string]string, changes ...func(*docker.CreateOptions)) string {
	b.t.Helper()
	o := docker.CreateOptions{Name: enginetest.Name(b.t), Image: image, Labels: labels, Env: []string{"PASSWORD=" + canary}}
	for _, change := range changes {
		change(&o)
	}
	id, err := adapter.Create(b.t.Context(), o)
	b.must(err)
	enginetest.RemoveAfter(b.t, adapter, id)
	enginetest.ForceStart(b.t, adapter, id)
	return id
}

// inspects are the whole facts of some containers, by id, but for what a health check does by itself. Mounts come in any order.
func (b *bed) inspects(adapter *docker.Engine, ids []string) map[string]any {
	b.t.Helper()
	all := map[string]any{}
	for _, id := range ids {
		c, err := adapter.Inspect(b.t.Context(), id)
		b.must(err)
		var facts map[string]any
		b.must(json.Unmarshal(c.Raw, &facts))
		delete(facts, "ExecIDs")
		if state, ok := facts["State"].(map[string]any); ok {
			delete(state, "Health")
		}
		mounts, _ := facts["Mounts"].([]any)
		slices.SortFunc(mounts, func(a, b any) int { return strings.Compare(jsonText(a), jsonText(b)) })
		all[id] = facts
	}
	return all
}

// real is the id of a thing of ours that an operation may be about, for a foreign id in its body.
func (b *bed) real(st store.Stage, adapter *docker.Engine, image string, op operation) string {
	b.t.Helper()
	switch {
	case strings.HasPrefix(op.path, "/api/hosts/{id}"):
		return b.host.ID
	case strings.HasPrefix(op.path, "/api/stages/{id}") && op.method != remove:
		return st.ID
	case strings.HasPrefix(op.path, "/api/projects/{id}"):
		return st.ProjectID
	case strings.HasPrefix(op.path, "/api/leftovers/{id}"):
		all, err := b.viewer.Leftovers(b.t.Context(), "")
		b.must(err)
		if len(all) > 0 {
			return all[0].ID
		}
	case strings.HasPrefix(op.path, "/api/instances/{id}"), strings.HasPrefix(op.path, "/api/containers/stale/{id}"):
		return b.ours(st, adapter, image)
	}
	return ""
}

// ours is an instance with a container that never ran.
func (b *bed) ours(st store.Stage, adapter *docker.Engine, image string) string {
	b.t.Helper()
	i := store.Instance{
		ID: store.NewID(), HostID: b.host.ID, ProjectID: st.ProjectID, StageID: st.ID, Name: enginetest.Name(b.t), Ownership: store.OwnershipCreated,
		EngineID: b.host.EngineID, Image: "shop", ImageTag: "1.0", Status: store.StatusStopped, Intended: store.IntendedStopped,
	}
	var err error
	i.ContainerID, err = adapter.Create(b.t.Context(), docker.CreateOptions{Name: i.Name, Image: image, Labels: map[string]string{
		docker.LabelInstallation: b.db.InstallationID(), docker.LabelInstance: i.ID,
	}})
	b.must(err)
	enginetest.RemoveAfter(b.t, adapter, i.ContainerID)
	b.update(func(tx *store.Tx) error { return tx.InsertInstance(b.t.Context(), i) })
	return i.ID
}

// schema is what of a JSON schema is needed to write something that fits it.
type schema struct {
	Ref        string             `json:"$ref"`
	Type       any                `json:"type"` // a word, or several
	Enum       []any              `json:"enum"`
	Properties map[string]*schema `json:"properties"`
	Items      *schema            `json:"items"`
	MaxLength  int                `json:"maxLength"`
	Minimum    float64            `json:"minimum"`
}

// written is the document as others read it.
type written struct {
	Paths map[string]map[string]struct {
		Parameters []struct {
			Name, In string
			Schema   *schema
		}
		RequestBody struct {
			Content map[string]struct{ Schema *schema }
		}
	}
	Components struct{ Schemas map[string]*schema }
}

// operation is one that may change something.
type operation struct {
	doc          *written
	method, path string
	queries      map[string]*schema
	body         *schema // nil: it has none
}

func readDocument(t *testing.T) *written {
	t.Helper()
	var doc written
	if err := json.Unmarshal(documentOf(t), &doc); err != nil {
		t.Fatal(err)
	}
	return &doc
}

func (d *written) mutating() []operation {
	var all []operation
	for path, methods := range d.Paths {
		for method, what := range methods {
			op := operation{doc: d, method: strings.ToUpper(method), path: path, queries: map[string]*schema{}}
			if op.method == get {
				continue
			}
			for _, p := range what.Parameters {
				if p.In == "query" {
					op.queries[p.Name] = p.Schema
				}
			}
			op.body = what.RequestBody.Content["application/json"].Schema
			all = append(all, op)
		}
	}
	slices.SortFunc(all, func(a, b operation) int { return strings.Compare(a.path+a.method, b.path+b.method) })
	return all
}

// paths are the path with the foreign id in it, and with a thing of ours in its place where there is one.
func (op operation) paths(id, ours string) []string {
	paths := []string{replaceID(op.path, id)}
	if ours != "" && strings.Contains(op.path, "{id}") {
		paths = append(paths, replaceID(strings.Replace(op.path, "{id}", ours, 1), id))
	}
	return paths
}

func (op operation) query(id string) string {
	q := url.Values{}
	for name, s := range op.queries {
		if text, ok := op.fill(name, s, id, id).(string); ok {
			q.Set(name, text)
		} else {
			q.Set(name, "true")
		}
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}

// bodies are none, an empty one, one for each property alone, and last one with all of them.
func (op operation) bodies(id, hostID string) []string {
	bodies := []string{""}
	if op.body == nil {
		return bodies
	}
	whole, _ := op.fill("", op.body, id, hostID).(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(whole)) {
		bodies = append(bodies, jsonText(map[string]any{name: whole[name]}))
	}
	bodies = append(bodies, "{}")
	if _, has := whole["dry_run"]; has {
		without := map[string]any{}
		for name, value := range whole {
			if name != "dry_run" {
				without[name] = value
			}
		}
		bodies = append(bodies, jsonText(without))
	}
	return append(bodies, jsonText(whole))
}

func jsonText(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// fill writes a value that fits a schema, with the id wherever a text may stand.
func (op operation) fill(name string, s *schema, id, hostID string) any {
	if s == nil {
		return id
	}
	if s.Ref != "" {
		return op.fill(name, op.doc.Components.Schemas[s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]], id, hostID)
	}
	if len(s.Enum) > 0 {
		return s.Enum[0]
	}
	kind, _ := s.Type.(string)
	if kinds, many := s.Type.([]any); many {
		kind, _ = kinds[0].(string)
	}
	switch kind {
	case "object":
		filled := map[string]any{}
		for name, p := range s.Properties {
			if name != "$schema" {
				filled[name] = op.fill(name, p, id, hostID)
			}
		}
		return filled
	case "array":
		return []any{op.fill(name, s.Items, id, hostID)}
	case "boolean":
		return true
	case "integer", "number":
		return max(s.Minimum, 1)
	}
	switch {
	case name == "host_id" || name == "host":
		return hostID
	case s.MaxLength > 0 && s.MaxLength < len(id):
		return id[:s.MaxLength]
	}
	return id
}

// TestAdoptionOnARealEngine walks the whole story: a container that somebody made is taken over as it runs, replaced by a deploy
// of ours and kept, gone back to, stopped, found stale, removed, and restored with our labels.
func TestAdoptionOnARealEngine(t *testing.T) {
	t.Parallel()
	adapter := enginetest.Engine(t)
	registry := enginetest.Registry(t)
	app, err := enginetest.BuildApp(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	image := registry + "/adopted"
	for _, tag := range []string{"1.0", "1.1"} {
		if err := enginetest.PushApp(t.Context(), app, image+":"+tag, tag, enginetest.WithVolume("/cache"), enginetest.WithHealthcheck(100*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		enginetest.RemoveImageAfter(t, adapter, image+":"+tag)
	}
	b := newBedOn(t, docker.Options{Endpoint: enginetest.Endpoint(t)})
	if err := adapter.Pull(t.Context(), image+":1.0", "", nil); err != nil {
		t.Fatal(err)
	}
	volume := enginetest.Name(t)
	enginetest.RemoveVolumeAfter(t, adapter, volume)
	theirs := b.runStranger(adapter, image+":1.0", map[string]string{"com.docker.compose.project": "dwt-adopted", "com.docker.compose.service": "web"}, func(o *docker.CreateOptions) {
		o.Mounts, o.StopGrace = []docker.Mount{{Type: "volume", Name: volume, Target: "/data"}}, time.Second
		o.Ports = []docker.Port{{Container: enginetest.AppPort, HostIP: "127.0.0.1", Protocol: "tcp"}}
	})
	enginetest.WriteFile(t, adapter, theirs, "/data/rows", "in the named volume")
	enginetest.WriteFile(t, adapter, theirs, "/cache/hits", "in the anonymous volume")
	before := b.inspects(adapter, []string{theirs})

	l, err := b.viewer.Foreign(t.Context(), client.ForeignFilter{Compose: "dwt-adopted"}, client.Page{})
	b.must(err)
	if len(l.Items) != 1 || l.Items[0].ContainerID != theirs || l.Items[0].Proposal.Image != image || l.Items[0].Proposal.Project != "dwt-adopted" {
		t.Fatalf("got %+v", l.Items)
	}
	made, err := b.admin.Adopt(t.Context(), client.AdoptRequest{Compose: &client.AdoptCompose{HostID: "local", Project: "dwt-adopted"}, Make: true})
	b.must(err)
	one := made.Items[0]
	if len(made.Items) != 1 || one.Status != "running" || len(one.Spec.Mounts) != 2 || len(one.Spec.Env) != 1 || one.Spec.StopGrace != "1s" || len(one.Spec.Labels) != 0 || len(one.Left) != 0 {
		t.Errorf("got %+v", made.Items)
	}
	b.scan()
	if diff := cmp.Diff(before, b.inspects(adapter, []string{theirs})); diff != "" {
		t.Errorf("adopting it and scanning changed it:\n%s", diff)
	}

	noDrain := "0s"
	_, err = b.admin.UpdateStage(t.Context(), one.StageID, client.StageChange{Drain: &noDrain})
	b.must(err)

	// The next deploy puts ours in its place; it was stopped first, for both write to one volume, and is kept.
	ended := func(d client.Deploy) client.Deploy {
		t.Helper()
		await(t, "the deploy ends", func() bool {
			d, err = b.viewer.Deploy(t.Context(), d.ID)
			b.must(err)
			return d.Ended()
		})
		return d
	}
	started, err := b.operator.StartDeploy(t.Context(), one.StageID, client.DeployRequest{Tag: "1.1"})
	b.must(err)
	d := ended(started)
	if d.State != "done" || d.Replaces != one.InstanceID {
		t.Fatalf("got %+v", d)
	}
	ours, err := b.viewer.Instance(t.Context(), d.InstanceID)
	b.must(err)
	enginetest.RemoveAfter(t, adapter, ours.ContainerID)
	for name, text := range map[string]string{"/data/rows": "in the named volume", "/cache/hits": "in the anonymous volume"} {
		if got, ok := enginetest.ReadFile(t, adapter, ours.ContainerID, name); !ok || got != text {
			t.Errorf("in the container that took its place %s holds %q, %v", name, got, ok)
		}
	}
	kept, err := b.viewer.Instance(t.Context(), one.InstanceID)
	b.must(err)
	if ours.Ownership != "created" || kept.Status != "stopped" || kept.Protection == nil || kept.Protection.Kind != "rollback" || kept.ContainerID != theirs {
		t.Errorf("ours %s; the adopted one is %s, protected by %+v", ours.Ownership, kept.Status, kept.Protection)
	}
	back, err := b.operator.Rollback(t.Context(), one.StageID, "")
	b.must(err)
	if d := ended(back); d.State != "done" || d.InstanceID != one.InstanceID {
		t.Fatalf("got %+v", d)
	}

	// Stale, removed with its archive, restored.
	_, err = b.operator.StopInstance(t.Context(), one.InstanceID)
	b.must(err)
	st, err := b.viewer.Stage(t.Context(), one.StageID)
	b.must(err)
	after := "1s"
	_, err = b.admin.UpdateStage(t.Context(), st.ID, client.StageChange{StaleAfter: &after, Revision: st.Revision})
	b.must(err)
	await(t, "it is stale", func() bool {
		b.scan()
		i, err := b.viewer.Instance(t.Context(), one.InstanceID)
		b.must(err)
		return i.Stale
	})
	plan, err := b.operator.PlanOne(t.Context(), one.InstanceID)
	b.must(err)
	plan, err = b.operator.ApplyOne(t.Context(), one.InstanceID, plan.ID)
	b.must(err)
	t.Cleanup(b.forget)
	if plan.Items[0].Result != "removed" {
		t.Fatalf("got %+v", plan.Items[0])
	}
	if _, err := adapter.Inspect(t.Context(), theirs); err == nil {
		t.Error("its container is there still")
	}
	again, err := b.operator.Restore(t.Context(), plan.Items[0].ArchiveID, client.RestoreChoices{Start: true})
	b.must(err)
	enginetest.RemoveAfter(t, adapter, again.ContainerID)
	c, err := adapter.Inspect(t.Context(), again.ContainerID)
	b.must(err)
	if again.ID != one.InstanceID || again.Ownership != "created" || c.Labels[docker.LabelInstance] != one.InstanceID || !c.Running {
		t.Errorf("got %+v, labels %v", again, c.Labels)
	}
}
