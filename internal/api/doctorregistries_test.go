package api

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

func TestStrangeHosts(t *testing.T) {
	rows := []store.Registry{{Name: "hub", Host: "docker.io"}, {Name: "harbor", Host: "harbor.example"}}
	got := strangeHosts([]string{"quay.io/a/b", "ghcr.io/acme/shop", "acme/shop", "harbor.example/x/y", "localhost/shop", "GHCR.io/acme/press", "10.0.0.7:5000/shop"}, rows)
	if want := []string{"10.0.0.7:5000", "ghcr.io", "quay.io"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := strangeHosts([]string{"shop"}, nil); !slices.Equal(got, []string{"docker.io"}) {
		t.Errorf("a short name is at %v", got)
	}
}

// TestTheDoctorAsksWhatIsPolled: also the registries that nobody has set up, each once, and not those that nothing follows.
func TestTheDoctorAsksWhatIsPolled(t *testing.T) {
	b := newBed(t)
	ctx := t.Context()
	host, _ := aRegistryOf(t, "anna", "s3cret")
	follows := func(project, image, stage string, rule *client.TagRule) {
		t.Helper()
		if stage == "dev" {
			_, err := b.admin.CreateProject(ctx, client.NewProject{Name: project, Image: image})
			b.must(err)
		}
		_, err := b.admin.CreateStage(ctx, client.NewStage{ProjectID: project, Name: stage, Kind: "dev", TagRule: rule})
		b.must(err)
	}
	follows("shop", host+"/acme/shop", "dev", &semverRule)
	follows("shop", host+"/acme/shop", "next", &semverRule)
	follows("press", "127.0.0.1:1/press", "dev", &semverRule)
	follows("quiet", "127.0.0.1:2/quiet", "dev", nil)
	registries := func() map[string]client.Finding {
		t.Helper()
		e, err := b.admin.Doctor(ctx)
		b.must(err)
		all := map[string]client.Finding{}
		for _, f := range e.Findings {
			if name, is := strings.CutPrefix(f.Name, "registr"); is {
				if _, twice := all[name]; twice {
					t.Errorf("%s is told twice", f.Name)
				}
				all[name] = f
			}
		}
		return all
	}
	found := registries()
	if f := found["y:"+host]; !f.OK || f.Detail != host+" answers" {
		t.Errorf("who answers: %+v", f)
	}
	if f := found["y:127.0.0.1:1"]; f.Severity != "warn" || f.Hint == "" {
		t.Errorf("who does not: %+v", f)
	}
	if len(found) != 2 {
		t.Errorf("%+v", found)
	}

	_, err := b.admin.CreateRegistry(ctx, client.NewRegistry{Name: "here", Host: host, PlainHTTP: true})
	b.must(err)
	if found = registries(); len(found) != 2 || !found["y:here"].OK {
		t.Errorf("with a row of its own: %+v", found)
	}

	for n := range mostStrange {
		follows(fmt.Sprintf("many-%d", n), fmt.Sprintf("127.0.0.1:%d/many", n+1), "dev", &semverRule)
	}
	follows("last", "127.0.0.1:99/last", "dev", &semverRule)
	found = registries()
	if f := found["ies"]; !f.OK || !strings.HasPrefix(f.Detail, "1 more") || len(found) != 1+mostStrange+1 {
		t.Errorf("of many: %+v, %d in all", f, len(found))
	}
}
