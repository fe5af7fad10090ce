package api

import (
	"net/http"
	"slices"
	"testing"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
)

// wantWithin fails for what was asked of the engine since the last time beyond what some features ask.
func (b *bed) wantWithin(features ...docker.Feature) {
	b.t.Helper()
	calls := docker.EngineCalls(features...)
	requests := b.engine.Requests("")
	if len(requests) == 0 {
		b.t.Errorf("%v: nothing was asked at all", features)
	}
	for _, r := range requests {
		if !slices.ContainsFunc(calls, func(c docker.EngineCall) bool { return c.Covers(r.Method, r.Path) }) {
			b.t.Errorf("%v: %s is asked, which a proxy for these would refuse", features, r.Target())
		}
	}
	b.engine.ResetCalls()
}

// TestFeaturesAskWhatTheySay uses one feature after the other and looks at what each asked of the engine.
func TestFeaturesAskWhatTheySay(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		ctx := t.Context()
		b.engine.Publish(dockertest.Image{Ref: "registry.test/shop:1.0", Size: 5 << 20})
		_, err := b.admin.CreateProject(ctx, client.NewProject{Name: "web", Image: "registry.test/shop"})
		b.must(err)
		st, err := b.admin.CreateStage(ctx, client.NewStage{ProjectID: "web", Name: "dev", Kind: "dev", KeepLast: new(0)})
		b.must(err)
		old, ct := b.plant(b.shop("shop", "preview"), "shop-preview-a", 20, secretive)
		ct.Write("/srv/notes", "written by hand")
		b.scan()
		_, err = b.viewer.Foreign(ctx, client.ForeignFilter{}, client.Page{})
		b.must(err)
		b.wantWithin(docker.FeatureWatch)

		d := b.deploy(st.ID, "1.0")
		if d.State != "done" {
			t.Fatalf("%+v", d)
		}
		b.wantInUse(docker.FeatureWatch, docker.FeatureLogs, docker.FeatureDeploy)
		for _, act := range []string{"restart", "stop", "start"} {
			if status, _, text := b.raw(b.operator, post, "/api/instances/"+d.InstanceID+"/"+act, ""); status != http.StatusOK {
				t.Fatalf("%s: %d %s", act, status, text)
			}
		}
		b.wantWithin(docker.FeatureDeploy)

		for _, read := range []string{"logs", "stats"} {
			if status, _, text := b.raw(b.operator, get, "/api/instances/"+d.InstanceID+"/"+read, ""); status != http.StatusOK {
				t.Fatalf("%s: %d %s", read, status, text)
			}
		}
		b.wantWithin(docker.FeatureLogs)

		done := b.cleaned()
		if len(done.Items) != 1 || done.Items[0].InstanceID != old.ID || done.Items[0].Result != "removed" {
			t.Fatalf("%+v", done.Items)
		}
		b.wantWithin(docker.FeatureCleanup)
		b.wantInUse(docker.FeatureWatch, docker.FeatureLogs, docker.FeatureDeploy, docker.FeatureCleanup, docker.FeatureUndo)

		_, err = b.operator.CheckRestore(ctx, done.Items[0].ArchiveID, client.RestoreChoices{})
		b.must(err)
		_, err = b.operator.Restore(ctx, done.Items[0].ArchiveID, client.RestoreChoices{})
		b.must(err)
		b.wantWithin(docker.FeatureUndo)

		b.must(b.operator.RemoveInstance(ctx, d.InstanceID, true))
		b.wantWithin(docker.FeatureCleanup)
		left, err := b.viewer.Left(ctx, b.host.ID)
		b.must(err)
		for _, image := range left.Images {
			for _, id := range image.ArchiveIDs {
				b.must(b.admin.DeleteArchive(ctx, id))
			}
		}
		b.wantWithin(docker.FeatureCleanup) // an archive that expires needs no more
		plan, err := b.admin.PlanReclaim(ctx, b.host.ID)
		b.must(err)
		_, err = b.admin.ApplyReclaim(ctx, b.host.ID, plan.ID)
		b.must(err)
		b.wantWithin(docker.FeatureReclaim)
		b.wantInUse(docker.FeatureWatch, docker.FeatureLogs, docker.FeatureDeploy, docker.FeatureCleanup, docker.FeatureUndo, docker.FeatureReclaim)
	})
}

// wantInUse fails unless these are the features that are said to be in use, and let through by default.
func (b *bed) wantInUse(features ...docker.Feature) {
	b.t.Helper()
	p, err := b.viewer.SocketPolicy(b.t.Context())
	b.must(err)
	for _, f := range p.Features {
		if want := slices.Contains(features, docker.Feature(f.Name)); !f.Told() || *f.InUse != want || *f.Taken != want || f.Why == "" {
			b.t.Errorf("%s: %q, told %v, and %v are in use", f.Name, f.Why, f.Told(), features)
		}
	}
}

func TestSocketPolicy(t *testing.T) {
	b := newBed(t)
	all, err := b.viewer.WholeSocketPolicy(t.Context())
	b.must(err)
	watch, err := b.viewer.SocketPolicy(t.Context(), "watch")
	b.must(err)
	if len(watch.Calls) == 0 || len(all.Calls) <= len(watch.Calls) || len(all.Features) != len(docker.Features()) {
		t.Errorf("%d calls of all, %d of watch, %d features", len(all.Calls), len(watch.Calls), len(all.Features))
	}
	for _, c := range watch.Calls {
		if c.Method != "GET" && c.Method != "HEAD" || c.Pattern == "" || !slices.Contains(c.Features, "watch") {
			t.Errorf("watching asks %+v", c)
		}
	}
	used, err := b.viewer.SocketPolicy(t.Context())
	b.must(err)
	if len(used.Calls) != len(watch.Calls) {
		t.Errorf("nothing is used but watching, which asks %d calls, and %d are said", len(watch.Calls), len(used.Calls))
	}
	if status, _, text := b.raw(b.viewer, get, "/api/socket-policy?all=true&feature=watch", ""); status != http.StatusUnprocessableEntity {
		t.Errorf("all, and some: %d %s", status, text)
	}
	_, err = b.viewer.SocketPolicy(t.Context(), "exec")
	wantProblem(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
	_, err = b.nobody.SocketPolicy(t.Context())
	wantProblem(t, err, http.StatusUnauthorized, client.CodeUnauthenticated)
}
