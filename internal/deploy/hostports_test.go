package deploy

import (
	"strings"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

func TestTakenPort(t *testing.T) {
	held := map[string]string{"127.0.0.1:8080/tcp": "theirs", "0.0.0.0:9090/tcp": "ours", "[::]:53/udp": "dns"}
	ours := map[string]bool{"ours": true}
	for name, c := range map[string]struct {
		port store.Port
		by   string
	}{
		"free":                       {store.Port{Container: 80, Host: 8081}, ""},
		"the engine chooses":         {store.Port{Container: 8080}, ""},
		"taken":                      {store.Port{Container: 80, Host: 8080}, "theirs"},
		"wanted everywhere":          {store.Port{Container: 80, Host: 8080, HostIP: "0.0.0.0"}, "theirs"},
		"of another address":         {store.Port{Container: 80, Host: 8080, HostIP: "10.0.0.1"}, ""},
		"of another protocol":        {store.Port{Container: 80, Host: 8080, Protocol: "udp"}, ""},
		"held by what is stopped":    {store.Port{Container: 80, Host: 9090}, ""},
		"held at all IPv6 addresses": {store.Port{Container: 53, Host: 53, Protocol: "udp"}, "dns"},
	} {
		if port, by := takenPort([]store.Port{c.port}, held, ours); by != c.by {
			t.Errorf("%s: %q by %q", name, port, by)
		}
	}
}

// A host port that another container holds is told before anything is pulled, stopped or made.
func TestHeldPortIsToldBeforeThePull(t *testing.T) {
	bubble(t, store.Spec{Ports: []store.Port{{Container: 80, Host: 8080}}}, func(t *testing.T, r *rig) {
		r.publish("1.0", "1.1")
		r.run()
		former := r.deploy("1.0")
		// Its own former one, which is stopped first, is not in the way.
		served := r.deploy("1.1")
		if r.state(former) != dockertest.Exited || r.state(served) != dockertest.Running {
			t.Fatalf("%s %s", r.state(former), r.state(served))
		}
		if err := r.StopInstance(t.Context(), served.ID, "user:anna"); err != nil {
			t.Fatal(err)
		}
		r.pretend.Run(dockertest.Template{Name: "theirs", Image: "other:1", Ports: []string{"127.0.0.1:8080:80/tcp"}})
		containers := len(r.pretend.Containers())
		d := r.end(r.begin("1.0").ID)
		if d.State != store.DeployFailed {
			t.Fatalf("%+v", d)
		}
		mustContain(t, d.Error, "spec.ports", "127.0.0.1:8080/tcp", "theirs", "another host port")
		if len(r.pretend.Containers()) != containers {
			t.Error("a container was made")
		}
	})
}

func TestNetworksOfASpec(t *testing.T) {
	spec := store.Spec{Networks: []store.Network{{Name: "front", Aliases: []string{"web"}}, {Name: "back"}}}
	bubble(t, spec, func(t *testing.T, r *rig) {
		r.publish("1.0", "1.1")
		r.run()
		r.pretend.AddNetwork("front")
		d := r.end(r.begin("1.0").ID)
		if d.State != store.DeployFailed || len(r.pretend.Containers()) > 0 {
			t.Fatalf("%+v, %d containers", d, len(r.pretend.Containers()))
		}
		mustContain(t, d.Error, "network back", "docker network create", "spec.networks")
		r.pretend.AddNetwork("back")
		v := r.deploy("1.1")
		c, err := r.adapter.Inspect(t.Context(), v.ContainerID)
		if err != nil || len(c.Networks) != 2 {
			t.Fatalf("%v %v", c.Networks, err)
		}
	})
}

// A crash between the making of a container and its later networks leaves one that is joined to them before it starts.
func TestNetworksAfterACrash(t *testing.T) {
	spec := store.Spec{Networks: []store.Network{{Name: "front"}, {Name: "back", Aliases: []string{"inner"}}}}
	bubble(t, spec, func(t *testing.T, r *rig) {
		r.publish("1.0")
		r.pretend.AddNetwork("front")
		r.pretend.AddNetwork("back")
		d := r.begin("1.0")
		v := r.instance(d.InstanceID)
		image := docker.CreateOptions{Name: v.Name, Image: repository + ":1.0"}
		if err := r.adapter.Pull(t.Context(), image.Image, "", nil); err != nil {
			t.Fatal(err)
		}
		half := createOptions(v, store.Spec{Networks: spec.Networks[:1]}, r.db.InstallationID())
		if _, err := r.adapter.Create(t.Context(), half); err != nil {
			t.Fatal(err)
		}
		r.run()
		if d = r.end(d.ID); d.State != store.DeployDone {
			t.Fatalf("%+v", d)
		}
		c, err := r.adapter.Inspect(t.Context(), r.instance(d.InstanceID).ContainerID)
		if err != nil || len(c.Networks) != 2 || !strings.Contains(string(c.Raw), "inner") {
			t.Fatalf("%v %v", c.Networks, err)
		}
	})
}

func TestHealthOnTheHostsNetwork(t *testing.T) {
	c := docker.Container{Networks: map[string]string{"host": ""}}
	if got := addresses(c, 8080, ""); len(got) != 1 || got[0] != "127.0.0.1:8080" {
		t.Errorf("got %v", got)
	}
	if got := addresses(c, 8080, "10.0.0.7"); len(got) != 1 || got[0] != "10.0.0.7:8080" {
		t.Errorf("on another machine: %v", got)
	}
}
