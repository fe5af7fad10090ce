package docker

import (
	"errors"
	"testing"
)

func TestCreateRefusesBeforeAsking(t *testing.T) {
	for name, o := range map[string]CreateOptions{
		"restart policy":           {Restart: "sometimes"},
		"tries of always":          {Restart: "always:3"},
		"tries that are no number": {Restart: "on-failure:x"},
		"negative tries":           {Restart: "on-failure:-1"},
		"no container port":        {Ports: []Port{{Host: 80}}},
		"huge container port":      {Ports: []Port{{Container: 70000}}},
		"huge host port":           {Ports: []Port{{Container: 80, Host: 70000}}},
		"host address":             {Ports: []Port{{Container: 80, HostIP: "localhost"}}},
		"mount type":               {Mounts: []Mount{{Type: "tmpfs", Target: "/x"}}},
	} {
		if _, err := o.request(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
}

func TestCreateRequest(t *testing.T) {
	got, err := CreateOptions{
		Restart: "on-failure:3",
		Ports:   []Port{{Container: 80, HostIP: "127.0.0.1"}, {Container: 53, Host: 5353, Protocol: "udp"}},
		Mounts:  []Mount{{Type: "volume", Name: "data", Target: "/data"}, {Type: "bind", Source: "/srv", Target: "/srv", ReadOnly: true}},
	}.request()
	if err != nil {
		t.Fatal(err)
	}
	if p := got.HostConfig.RestartPolicy; p.Name != "on-failure" || p.MaximumRetryCount != 3 {
		t.Errorf("restart policy %+v", p)
	}
	if len(got.HostConfig.PortBindings) != 2 || len(got.Config.ExposedPorts) != 2 {
		t.Errorf("ports %+v", got.HostConfig.PortBindings)
	}
	for port, bindings := range got.HostConfig.PortBindings {
		if port.String() == "80/tcp" && (bindings[0].HostPort != "" || bindings[0].HostIP.String() != "127.0.0.1") {
			t.Errorf("a free port became %+v", bindings)
		}
	}
	if m := got.HostConfig.Mounts; m[0].Source != "data" || m[1].Source != "/srv" || !m[1].ReadOnly {
		t.Errorf("mounts %+v", m)
	}
	if got.Config.StopTimeout != nil {
		t.Errorf("a stop timeout of %d was made up", *got.Config.StopTimeout)
	}
}
