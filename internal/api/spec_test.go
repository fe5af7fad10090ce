package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
)

// wholeSpec has everything that a spec can hold.
func wholeSpec() client.Spec {
	return client.Spec{
		Env:       []client.EnvVar{client.Env("PASSWORD", canary), client.PlainEnv("MODE", "one\ntwo")},
		Ports:     []client.Port{{Container: 8080}},
		Mounts:    []client.Mount{{Source: "data", Target: "/data"}},
		Networks:  []client.Network{{Name: "front", Aliases: []string{"web"}}, {Name: "back"}},
		Resources: &client.Resources{Memory: 64 << 20, CPUs: 0.5, Pids: 100}, Restart: "unless-stopped",
		Entrypoint: []string{"/app"}, User: "1000:1000", WorkDir: "/data", Init: true, ReadOnly: true,
		CapDrop: []string{"NET_RAW"}, Labels: map[string]string{"team": "shop"}, StopGrace: "2s",
		Healthcheck: &client.Healthcheck{Test: []string{"NONE"}}, Power: &client.Power{CapAdd: []string{"NET_ADMIN"}},
	}
}

// TestWholeSpec: what is written is answered, reaches the engine, and is compared with what runs there.
func TestWholeSpec(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		b.engine.Publish(dockertest.Image{Ref: "registry.test/shop:1.0"})
		b.engine.AddNetwork("front")
		b.engine.AddNetwork("back")
		_, err := b.admin.CreateProject(t.Context(), client.NewProject{Name: "shop", Image: "registry.test/shop"})
		b.must(err)
		spec := wholeSpec()
		st, err := b.admin.CreateStage(t.Context(), client.NewStage{ProjectID: "shop", Name: "preview", Kind: "preview", Spec: &spec})
		b.must(err)
		secret, plain, mode := true, false, "one\ntwo"
		want := spec
		want.Env = []client.EnvVar{{Name: "PASSWORD", Secret: &secret}, {Name: "MODE", Secret: &plain, Value: &mode}}
		if diff := cmp.Diff(want, st.Spec); diff != "" {
			t.Errorf("answered (-want +got):\n%s", diff)
		}
		if seen, err := b.viewer.Stage(t.Context(), st.ID); err != nil || seen.Spec.Env[1].Value != nil {
			t.Errorf("a viewer sees %+v, %v", seen.Spec.Env, err)
		}
		if d, err := b.viewer.DiffStage(t.Context(), st.ID, ""); err != nil || len(d.Instances) > 0 {
			t.Errorf("nothing runs: %+v, %v", d, err)
		}

		dep := b.deploy(st.ID, "1.0")
		if dep.State != "done" {
			t.Fatalf("%+v", dep)
		}
		i, err := b.db.Instance(t.Context(), dep.InstanceID)
		b.must(err)
		adapter, err := b.deps.Fleet.Engine(b.host.ID)
		b.must(err)
		c, err := adapter.Inspect(t.Context(), i.ContainerID)
		b.must(err)
		got, err := docker.ReadSetup(c.Raw)
		b.must(err)
		if got.Memory != 64<<20 || got.NanoCPUs != 500_000_000 || got.Pids != 100 || got.User != "1000:1000" || !got.Init || !got.ReadOnly ||
			len(got.Networks) != 2 || got.CapAdd[0] != "NET_ADMIN" || got.CapDrop[0] != "NET_RAW" {
			t.Errorf("the engine was asked for %+v", got)
		}
		d, err := b.viewer.DiffStage(t.Context(), st.ID, "")
		b.must(err)
		if len(d.Instances) != 1 || len(d.Instances[0].Differences) != 0 {
			t.Fatalf("right after the deploy: %+v", d)
		}

		_, err = b.admin.UpdateStage(t.Context(), st.ID, client.StageChange{Spec: &client.Spec{
			Env: []client.EnvVar{client.Env("PASSWORD", canary+"-2"), client.PlainEnv("MODE", "three")}, Networks: spec.Networks,
		}})
		b.must(err)
		d, err = b.operator.DiffStage(t.Context(), st.ID, "2.0")
		b.must(err)
		found := map[string]client.Difference{}
		for _, diff := range d.Instances[0].Differences {
			found[strings.TrimSpace(diff.Field+" "+diff.Name)] = diff
		}
		for field, change := range map[string]string{
			"image": "changed", "env PASSWORD": "changed", "env MODE": "changed", "ports 8080/tcp": "removed", "mounts /data": "removed", "resources.memory": "removed",
			"user": "removed", "power.cap_add NET_ADMIN": "removed", "healthcheck": "removed", "restart": "changed",
		} {
			if found[field].Change != change {
				t.Errorf("%s: %+v", field, found[field])
			}
		}
		if p := found["env PASSWORD"]; !p.Secret || p.Running != "" || p.Wanted != "" || found["env MODE"].Wanted != "three" || found["networks front"].Field != "" {
			t.Errorf("%+v", found)
		}
		d, err = b.viewer.DiffStage(t.Context(), st.ID, "")
		b.must(err)
		for _, diff := range d.Instances[0].Differences {
			if diff.Field == "env" && (diff.Running != "" || diff.Wanted != "" || !diff.Secret) {
				t.Errorf("a viewer sees %+v", diff)
			}
		}
	})
}

// TestSecretStaysSecret: nobody gets to read a value by calling it plain, not an admin either.
func TestSecretStaysSecret(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	_, err := b.admin.UpdateStage(t.Context(), st.ID, client.StageChange{Spec: &client.Spec{Env: []client.EnvVar{client.Env("KEY", canary)}}})
	b.must(err)
	plain := false
	open := &client.Spec{Env: []client.EnvVar{{Name: "KEY", Secret: &plain}}}
	_, err = b.admin.UpdateStage(t.Context(), st.ID, client.StageChange{Spec: open})
	if p := problemIn(t, err, http.StatusUnprocessableEntity, client.CodeInvalid); p.Errors[0].Location != "body.spec.env[0].secret" {
		t.Errorf("%+v", p)
	}
	_, err = b.operator.StartDeploy(t.Context(), st.ID, client.DeployRequest{Tag: "1.0", Spec: open})
	wantProblem(t, err, http.StatusUnprocessableEntity, client.CodeInvalid)
	// One that is known may be called plain, and plain ones stay so when nothing is said.
	_, err = b.admin.UpdateStage(t.Context(), st.ID, client.StageChange{Spec: &client.Spec{Env: []client.EnvVar{client.PlainEnv("KEY", "known")}}})
	b.must(err)
	now, err := b.admin.UpdateStage(t.Context(), st.ID, client.StageChange{Spec: &client.Spec{Env: []client.EnvVar{{Name: "KEY"}}}})
	b.must(err)
	if e := now.Spec.Env[0]; e.Value == nil || *e.Value != "known" {
		t.Errorf("%+v", e)
	}
}

// TestPowerNeedsAnAdmin: each option that gives power over the host is an admin's, and is told as a warning.
func TestPowerNeedsAnAdmin(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	for name, power := range map[string]client.Power{
		"privileged": {Privileged: true}, "network": {HostNetwork: true}, "processes": {HostPID: true}, "memory": {HostIPC: true}, "NET_ADMIN": {CapAdd: []string{"NET_ADMIN"}},
	} {
		_, err := b.operator.StartDeploy(t.Context(), st.ID, client.DeployRequest{Tag: "1.0", Spec: &client.Spec{Power: &power}})
		if p := problemIn(t, err, http.StatusForbidden, client.CodeForbidden); !strings.Contains(p.Detail, name) {
			t.Errorf("%s: %v", name, p)
		}
	}
	_, err := b.admin.UpdateStage(t.Context(), st.ID, client.StageChange{Spec: &client.Spec{Power: &client.Power{Privileged: true}}})
	b.must(err)
	if e := b.event("stage.updated"); e.Severity != "warn" || !strings.Contains(e.Message, "it is privileged") {
		t.Errorf("the event does not tell of the power given: %+v", e)
	}
	// What an admin put into the stage an operator deploys, and nothing more.
	_, err = b.operator.StartDeploy(t.Context(), st.ID, client.DeployRequest{Tag: "1.0", Spec: &client.Spec{Power: &client.Power{Privileged: true, HostPID: true}}})
	wantProblem(t, err, http.StatusForbidden, client.CodeForbidden)
}

// TestStagePowerIsForItsOwnProgram: what an admin gave to the program of a stage no operator gives to another, or takes more of.
func TestStagePowerIsForItsOwnProgram(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	set := func(spec client.Spec) {
		_, err := b.admin.UpdateStage(t.Context(), st.ID, client.StageChange{Spec: &spec})
		b.must(err)
	}
	try := func(image string, spec *client.Spec) error {
		_, err := b.operator.StartDeploy(t.Context(), st.ID, client.DeployRequest{Tag: "1.0", Image: image, Spec: spec})
		return err
	}
	bind := func(source string, readOnly bool) []client.Mount {
		return []client.Mount{{Source: source, Target: "/x", ReadOnly: readOnly}}
	}
	refused := func(name, why string, err error) {
		t.Helper()
		if p, ok := client.AsProblem(err); !ok || p.Status != http.StatusForbidden || !strings.Contains(p.Detail, why) {
			t.Errorf("%s: %v, want it forbidden: %s", name, err, why)
		}
	}
	taken := func(name string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}

	privileged := client.Power{Privileged: true}
	set(client.Spec{Power: &privileged})
	refused("another image", "it is privileged", try("evil", nil))
	refused("another command", "it is privileged", try("", &client.Spec{Power: &privileged, Command: []string{"sh"}}))
	refused("another entrypoint", "it is privileged", try("", &client.Spec{Power: &privileged, Entrypoint: []string{"sh"}}))
	refused("a variable that its program obeys", "it is privileged", try("", &client.Spec{Power: &privileged, Env: []client.EnvVar{client.Env("LD_PRELOAD", "/x")}}))
	refused("a check that is run in it", "it is privileged", try("", &client.Spec{Power: &privileged, Healthcheck: &client.Healthcheck{Test: []string{"CMD", "sh"}}}))
	taken("its own program", try("", nil))
	taken("its own program, spelt out", try("shop", &client.Spec{Power: &privileged}))
	taken("another program without the power", try("evil", &client.Spec{}))

	set(client.Spec{Mounts: bind("/var/run/docker.sock", true)})
	refused("another image", "it mounts /var/run/docker.sock of the host", try("evil", nil))

	set(client.Spec{Mounts: bind("/", true)})
	refused("the host's files to write", "it mounts the host's root folder to write", try("", &client.Spec{Mounts: bind("/", false)}))

	set(client.Spec{})
	for _, folder := range []string{"/home/alice", "/home/alice/.ssh", "/mnt/engine/volumes", "/srv/shop"} {
		refused("a folder that the stage does not have", "it mounts "+folder+" of the host", try("", &client.Spec{Mounts: bind(folder, false)}))
	}
	taken("a named volume", try("", &client.Spec{Mounts: bind("data", false)}))
	taken("another image where there is no power", try("evil", nil))
}
