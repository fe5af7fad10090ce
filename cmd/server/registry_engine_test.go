package main_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
)

// TestDeployFromAPrivateRegistry goes the whole way on a real engine: a registry that wants a login, set up by the API,
// tried, deployed from; without its login, or with a wrong one, nothing comes up, and its password is told nobody.
func TestDeployFromAPrivateRegistry(t *testing.T) {
	const canary = "canary-in-the-cage"
	engine := enginetest.Engine(t)
	login := enginetest.Login{Username: "anna", Password: canary}
	host := enginetest.PrivateRegistry(t, login)
	app, err := enginetest.BuildApp(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	image := host + "/shop"
	if err := enginetest.PushAppAs(t.Context(), login, app, image+":1.0", "1.0", enginetest.WithHealthcheck(200*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	d := launch(t, append(flags(t.TempDir(), enginetest.Endpoint(t)), "--log-level", "debug")...)
	c := d.client(d.setUp())
	project, err := c.CreateProject(t.Context(), client.NewProject{Name: "shop", Image: image})
	if err != nil {
		t.Fatal(err)
	}
	stage, err := c.CreateStage(t.Context(), client.NewStage{ProjectID: project.ID, Name: "preview", Kind: "preview"})
	if err != nil {
		t.Fatal(err)
	}
	deploy := func() client.Deploy {
		t.Helper()
		deploy, err := c.StartDeploy(t.Context(), stage.ID, client.DeployRequest{Tag: "1.0"})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "the deploy ends", func() bool {
			if deploy, err = c.Deploy(t.Context(), deploy.ID); err != nil {
				t.Fatal(err)
			}
			return deploy.Ended()
		})
		return deploy
	}
	refused := func(what string) {
		t.Helper()
		if got := deploy(); got.State != "failed" || !strings.Contains(got.Error, "wants a login") || strings.Contains(got.Error, canary) {
			t.Errorf("%s: %s, %s", what, got.State, got.Error)
		}
	}
	refused("before the registry is set up")
	if _, err := c.CreateRegistry(t.Context(), client.NewRegistry{Name: "here", Host: host, Username: "anna", Password: "wrong", PlainHTTP: true}); err != nil {
		t.Fatal(err)
	}
	refused("with a wrong password")
	right := canary
	if _, err := c.UpdateRegistry(t.Context(), "here", client.RegistryChange{Password: &right}); err != nil {
		t.Fatal(err)
	}
	if test, err := c.TestRegistry(t.Context(), "here", "shop"); err != nil || !test.OK || *test.Tags != 1 {
		t.Errorf("test: %+v, %v", test, err)
	}
	got := deploy()
	if got.State != "done" {
		t.Fatalf("with the right one: %s, %s", got.State, got.Error)
	}
	inst, err := c.Instance(t.Context(), got.InstanceID)
	if err != nil {
		t.Fatal(err)
	}
	enginetest.RemoveAfter(t, engine, inst.ContainerID)
	events, err := c.Events(t.Context(), client.EventFilter{}, client.Page{Limit: 500})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events.Items {
		for _, value := range e.Data {
			if text, ok := value.(string); ok && strings.Contains(text, canary) {
				t.Errorf("%s holds the password", e.Kind)
			}
		}
		if strings.Contains(e.Message, canary) {
			t.Errorf("%s holds the password", e.Kind)
		}
	}
	if strings.Contains(d.stderr.String(), canary) {
		t.Error("the log holds the password")
	}
}
