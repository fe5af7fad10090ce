package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

func TestDeploysQueueUpAndAreCancelled(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		b.engine.Publish(dockertest.Image{Ref: "shop:1.0", PullTime: 30 * time.Second})
		st := b.shop("shop", "preview")
		start := func() client.Deploy {
			d, err := b.operator.StartDeploy(t.Context(), st.ID, client.DeployRequest{Tag: "1.0"})
			b.must(err)
			return d
		}
		first := start()
		time.Sleep(time.Second) // in the bubble's time
		older, third := start(), start()
		for id, want := range map[string]string{first.ID: "pulling", older.ID: "superseded", third.ID: "queued"} {
			if d, err := b.viewer.Deploy(t.Context(), id); err != nil || d.State != want {
				t.Errorf("%+v, %v, want %s", d, err, want)
			}
		}
		d, err := b.operator.CancelDeploy(t.Context(), third.ID)
		if err != nil || d.State != "cancelled" || !strings.HasPrefix(d.CancelledBy, "token:") {
			t.Errorf("%+v, %v", d, err)
		}
		p := problemIn(t, second(b.operator.CancelDeploy(t.Context(), third.ID)), http.StatusConflict, client.CodeWrongState)
		if !strings.Contains(p.Error(), "it is cancelled already") {
			t.Error(p)
		}
		wantProblem(t, second(b.operator.CancelDeploy(t.Context(), "nope")), http.StatusNotFound, client.CodeNotFound)
		if d, err = b.operator.CancelDeploy(t.Context(), first.ID); err != nil || d.CancelledBy == "" {
			t.Errorf("%+v, %v", d, err)
		}
		if d, err = b.viewer.FollowDeploy(t.Context(), first.ID, func(client.DeployLine) {}); err != nil || d.State != "cancelled" {
			t.Errorf("%+v, %v", d, err)
		}
		if i, err := b.viewer.Instances(t.Context(), client.InstanceFilter{}, client.Page{}); err != nil || len(i.Items) > 0 {
			t.Errorf("the cancelled ones left %+v, %v", i.Items, err)
		}
	})
}

// A former spec that gives power over the host is an admin's to bring back.
func TestRollbackToADangerousSpecNeedsAnAdmin(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		b.engine.Publish(dockertest.Image{Ref: "shop:1.0"})
		b.engine.Publish(dockertest.Image{Ref: "shop:1.1"})
		st := b.shop("shop", "preview")
		b.update(func(tx *store.Tx) error { return tx.SetGlobalPolicy(t.Context(), store.Policy{}) })
		keep := 2
		_, err := b.admin.UpdateStage(t.Context(), st.ID, client.StageChange{KeepLast: &keep})
		b.must(err)
		d, err := b.admin.StartDeploy(t.Context(), st.ID, client.DeployRequest{Tag: "1.0", Spec: &client.Spec{Mounts: []client.Mount{{Source: "/etc", Target: "/host"}}}})
		b.must(err)
		if d, err = b.viewer.FollowDeploy(t.Context(), d.ID, func(client.DeployLine) {}); err != nil || d.State != "done" {
			t.Fatalf("%+v, %v", d, err)
		}
		b.deploy(st.ID, "1.1")
		p := problemIn(t, second(b.operator.Rollback(t.Context(), st.ID, "")), http.StatusForbidden, client.CodeForbidden)
		if !strings.Contains(p.Error(), "it mounts /etc of the host") {
			t.Error(p)
		}
		all, err := b.viewer.Deploys(t.Context(), st.ID, client.Page{})
		if err != nil || len(all.Items) != 2 {
			t.Errorf("a refused rollback left %+v, %v", all.Items, err)
		}
		if _, err := b.admin.Rollback(t.Context(), st.ID, ""); err != nil {
			t.Error(err)
		}
	})
}

func TestRollbackByTheAPI(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		b.engine.Publish(dockertest.Image{Ref: "shop:1.0"})
		b.engine.Publish(dockertest.Image{Ref: "shop:1.1"})
		st := b.shop("shop", "preview")
		b.update(func(tx *store.Tx) error { return tx.SetGlobalPolicy(t.Context(), store.Policy{}) })
		keep := 2
		_, err := b.admin.UpdateStage(t.Context(), st.ID, client.StageChange{KeepLast: &keep})
		b.must(err)
		first, last := b.deploy(st.ID, "1.0"), b.deploy(st.ID, "1.1")
		d, err := b.operator.Rollback(t.Context(), st.ID, "")
		b.must(err)
		if d.Kind != "rollback" || d.InstanceID != first.InstanceID || d.State != "queued" {
			t.Errorf("%+v", d)
		}
		if d, err = b.viewer.FollowDeploy(t.Context(), d.ID, func(client.DeployLine) {}); err != nil || d.State != "done" || d.Replaces != last.InstanceID {
			t.Errorf("%+v, %v", d, err)
		}
		p := problemIn(t, second(b.operator.Rollback(t.Context(), st.ID, "9.9")), http.StatusUnprocessableEntity, client.CodeInvalid)
		if len(p.Errors) != 1 || !strings.Contains(p.Errors[0].Message, `called "9.9": there is 1.1`) {
			t.Errorf("%+v", p)
		}
		wantProblem(t, second(b.operator.Rollback(t.Context(), st.ID, "1.0")), http.StatusConflict, client.CodeWrongState)
		wantProblem(t, second(b.operator.Rollback(t.Context(), "nope", "")), http.StatusNotFound, client.CodeNotFound)
	})
}

// TestDeployLogIsStreamedWhole reads the log as it grows, is cut off after each line, and resumes by the line's number.
func TestDeployLogIsStreamedWhole(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		b.engine.Publish(dockertest.Image{Ref: "shop:1.0", PullTime: 40 * time.Second, Size: 10_000_000})
		st := b.shop("shop", "preview")
		d, err := b.operator.StartDeploy(t.Context(), st.ID, client.DeployRequest{Tag: "1.0"})
		b.must(err)
		var streamed []client.DeployLine
		chatter := 0
		ended, err := b.viewer.FollowDeploy(t.Context(), d.ID, func(l client.DeployLine) {
			if l.Line == 0 {
				chatter++
				return
			}
			streamed = append(streamed, l)
		})
		b.must(err)
		lines, err := b.viewer.DeployLog(t.Context(), d.ID, 0)
		b.must(err)
		if diff := cmp.Diff(lines, streamed); diff != "" || ended.State != "done" || ended.InstanceID == "" {
			t.Errorf("the deploy is %s; the log and its stream differ: %s", ended.State, diff)
		}
		if chatter == 0 || len(lines) < 7 || !slices.ContainsFunc(lines, func(l client.DeployLine) bool { return l.TotalBytes > 0 }) {
			t.Errorf("%d lines and %d words on the pull between them", len(lines), chatter)
		}
		for n := range lines {
			rest, err := b.viewer.DeployLog(t.Context(), d.ID, int64(n))
			if err != nil || len(rest) != len(lines)-n {
				t.Errorf("after line %d: %d lines, %v", n, len(rest), err)
			}
			_, _, text := b.raw(b.viewer, get, "/api/deploys/"+d.ID+"/log", "", "Accept", "text/event-stream", "Last-Event-ID", strconv.Itoa(n))
			if got := strings.Count(text, "event: line\n"); got != len(lines)-n || !strings.Contains(text, "event: end\ndata: {") {
				t.Errorf("resumed after line %d: %d lines in %q", n, got, text)
			}
		}
	})
}

func TestDeployLogOfWhatIsWrong(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		st := b.shop("shop", "preview")
		d := b.deploy(st.ID, "nope")
		for path, want := range map[string]int{
			"/api/deploys/" + d.ID + "/log":            http.StatusOK,
			"/api/deploys/" + d.ID + "/log?after=9999": http.StatusOK,
			"/api/deploys/" + d.ID + "/log?after=-1":   http.StatusUnprocessableEntity,
			"/api/deploys/" + d.ID + "/log?after=x":    http.StatusUnprocessableEntity,
			"/api/deploys/nope/log":                    http.StatusNotFound,
		} {
			status, h, text := b.raw(b.viewer, get, path, "")
			if status != want {
				t.Errorf("%s: %d %s", path, status, text)
			}
			var l client.List[client.DeployLine]
			if err := json.Unmarshal([]byte(text), &l); want == http.StatusOK && (err != nil || l.Items == nil || !strings.HasPrefix(h.Get("Content-Type"), "application/json")) {
				t.Errorf("%s: %s, %v", path, text, err)
			}
		}
		if status, _, text := b.raw(b.viewer, get, "/api/deploys/"+d.ID+"/log", "", "Accept", "text/event-stream", "Last-Event-ID", "one"); status != http.StatusUnprocessableEntity {
			t.Errorf("a wrong Last-Event-ID: %d %s", status, text)
		}
		lines, err := b.viewer.DeployLog(t.Context(), d.ID, 0)
		if err != nil || len(lines) == 0 || !strings.HasPrefix(lines[len(lines)-1].Text, "failed: ") || !strings.Contains(lines[len(lines)-1].Text, "check the image and the tag") {
			t.Errorf("%+v, %v", lines, err)
		}
	})
}

// The stream of a deploy ends when the daemon begins to stop, and when its reader was signed out.
func TestDeployLogEndsWithTheDaemon(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		b.engine.Publish(dockertest.Image{Ref: "shop:1.0", PullTime: 10 * time.Minute})
		d, err := b.operator.StartDeploy(t.Context(), b.shop("shop", "preview").ID, client.DeployRequest{Tag: "1.0"})
		b.must(err)
		texts := make(chan string)
		go func() {
			_, _, text := b.raw(b.viewer, get, "/api/deploys/"+d.ID+"/log", "", "Accept", "text/event-stream")
			texts <- text
		}()
		time.Sleep(40 * time.Second)
		close(b.stopping)
		text := <-texts
		if strings.Count(text, "event: ping\n") == 0 && strings.Count(text, "event: progress\n") == 0 || strings.Contains(text, "event: end\n") {
			t.Errorf("%q", text)
		}
		_, err = b.operator.CancelDeploy(t.Context(), d.ID)
		b.must(err)
	})
}

func TestDrainOfAStage(t *testing.T) {
	b := newBed(t)
	b.shop("shop", "preview")
	made, err := b.admin.CreateStage(t.Context(), client.NewStage{ProjectID: "shop", Name: "one", Kind: "dev"})
	if err != nil || made.Drain != "10s" {
		t.Errorf("%+v, %v", made, err)
	}
	text := func(s string) *string { return &s }
	for drain, want := range map[string]string{"0s": "0s", "1m30s": "1m30s", "10m": "10m0s"} {
		if got, err := b.admin.UpdateStage(t.Context(), made.ID, client.StageChange{Drain: text(drain)}); err != nil || got.Drain != want {
			t.Errorf("%s: %+v, %v", drain, got, err)
		}
	}
	for _, drain := range []string{"-1s", "10m1s", "soon", ""} {
		_, err := b.admin.UpdateStage(t.Context(), made.ID, client.StageChange{Drain: text(drain)})
		p := problemIn(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
		if len(p.Errors) != 1 || p.Errors[0].Location != "body.drain" {
			t.Errorf("%q: %+v", drain, p)
		}
	}
	if _, err := b.admin.CreateStage(t.Context(), client.NewStage{ProjectID: "shop", Name: "two", Kind: "dev", Drain: "1h"}); err == nil {
		t.Error("a drain of an hour was taken")
	} else if p := (*client.Problem)(nil); !errors.As(err, &p) || p.Errors[0].Location != "body.drain" {
		t.Error(err)
	}
}

func TestStrategyOfAStage(t *testing.T) {
	b := newBed(t)
	b.shop("shop", "preview")
	made, err := b.admin.CreateStage(t.Context(), client.NewStage{ProjectID: "shop", Name: "one", Kind: "dev"})
	if err != nil || made.Strategy != "replace" || made.ParallelMax != 10 || made.Domain != "" {
		t.Errorf("%+v, %v", made, err)
	}
	text := func(s string) *string { return &s }
	number := func(n int) *int { return &n }
	got, err := b.admin.UpdateStage(t.Context(), made.ID, client.StageChange{Strategy: text("parallel"), ParallelMax: number(3), Domain: text("{{tag}}.example.com")})
	if err != nil || got.Strategy != "parallel" || got.ParallelMax != 3 || got.Domain != "{{tag}}.example.com" {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err = b.admin.UpdateStage(t.Context(), made.ID, client.StageChange{Name: text("two")}); err != nil || got.Strategy != "parallel" || got.ParallelMax != 3 {
		t.Errorf("another change: %+v, %v", got, err)
	}
	for name, c := range map[string]struct {
		change   client.StageChange
		location string
	}{
		"a domain without a tag": {client.StageChange{Domain: text("shop.example.com")}, "body.domain"},
		"a host port":            {client.StageChange{Spec: &client.Spec{Ports: []client.Port{{Container: 80, Host: 8080}}}}, "body.spec.ports[0].host"},
		"none at a time":         {client.StageChange{ParallelMax: number(0)}, "body.parallel_max"},
		"an unknown strategy":    {client.StageChange{Strategy: text("blue-green")}, "body.strategy"},
		"replace with a domain":  {client.StageChange{Strategy: text("replace")}, "body.domain"},
	} {
		_, err := b.admin.UpdateStage(t.Context(), made.ID, c.change)
		p := problemIn(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
		if len(p.Errors) != 1 || p.Errors[0].Location != c.location {
			t.Errorf("%s: %+v", name, p)
		}
	}
	_, err = b.operator.StartDeploy(t.Context(), made.ID, client.DeployRequest{Tag: "1.0", Spec: &client.Spec{Ports: []client.Port{{Container: 80}, {Container: 81, Host: 8080}}}})
	if p := problemIn(t, err, http.StatusUnprocessableEntity, client.CodeInvalid); len(p.Errors) != 1 || p.Errors[0].Location != "body.spec.ports[1].host" {
		t.Errorf("a deploy with a host port: %+v", p)
	}
	_, err = b.admin.CreateStage(t.Context(), client.NewStage{ProjectID: "shop", Name: "three", Kind: "preview", Strategy: "parallel", Domain: "{{tag}}"})
	if p := problemIn(t, err, http.StatusUnprocessableEntity, client.CodeInvalid); p.Errors[0].Location != "body.domain" {
		t.Errorf("%+v", p)
	}
}

func TestInstanceTellsWhatLeadsToIt(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		b.engine.Publish(dockertest.Image{Ref: "shop:pr_1"})
		b.engine.Publish(dockertest.Image{Ref: "shop:1.0"})
		live := b.shop("shop", "live")
		previews, err := b.admin.CreateStage(t.Context(), client.NewStage{
			ProjectID: "shop", Name: "pr", Kind: "preview", Strategy: "parallel", Domain: "{{tag}}.{{project}}.example.com",
			Spec: &client.Spec{Ports: []client.Port{{Container: 80}}},
		})
		b.must(err)
		plain := b.deploy(live.ID, "1.0")
		preview := b.deploy(previews.ID, "pr_1")
		i, err := b.viewer.Instance(t.Context(), preview.InstanceID)
		b.must(err)
		if len(i.Domains) != 1 || !strings.HasPrefix(i.Domains[0], "pr-1-") || !strings.HasSuffix(i.Domains[0], ".shop.example.com/") {
			t.Errorf("domains %q", i.Domains)
		}
		if i, err = b.viewer.Instance(t.Context(), plain.InstanceID); err != nil || len(i.Domains) > 0 {
			t.Errorf("domains %q of one that no route leads to, %v", i.Domains, err)
		}
	})
}
