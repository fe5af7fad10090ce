package deploy

import (
	"context"
	"errors"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

func TestPullLogsIn(t *testing.T) {
	for _, c := range []struct {
		name  string
		login string
		err   error
		state store.DeployState
		says  []string
	}{
		{"with the right login", "login of " + repository, nil, store.DeployDone, nil},
		{"with another one", "another", nil, store.DeployFailed, []string{"denied", "wants a login, or another one"}},
		{"when it cannot be found out", "", errors.New("the store is away"), store.DeployFailed, []string{"find the login for the registry of " + repository, "the store is away"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
				r.pretend.Publish(dockertest.Image{Ref: repository + ":1.0", Auth: "login of " + repository})
				var asked []string
				r.LogInBy(func(_ context.Context, image string) (string, error) {
					asked = append(asked, image)
					return c.login, c.err
				})
				r.run()
				d := r.end(r.begin("1.0").ID)
				if d.State != c.state || len(asked) != 1 || asked[0] != repository {
					t.Errorf("%s, asked for the login of %v", d.State, asked)
				}
				mustContain(t, d.Error, c.says...)
			})
		})
	}
}

// TestAPanicInADeploy fails it, as an error does, and the next one of the stage has its turn.
func TestAPanicInADeploy(t *testing.T) {
	bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
		r.publish("1.0")
		stumbles := true
		r.LogInBy(func(context.Context, string) (string, error) {
			if stumbles {
				panic("oops")
			}
			return "", nil
		})
		r.run()
		d := r.end(r.begin("1.0").ID)
		if d.State != store.DeployFailed {
			t.Errorf("it is %s", d.State)
		}
		mustContain(t, d.Error, "panic: oops")
		stumbles = false
		r.deploy("1.0")
	})
}
