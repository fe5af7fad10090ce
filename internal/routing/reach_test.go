package routing

import (
	"slices"
	"strings"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/docker"
)

func TestWaysToAContainer(t *testing.T) {
	const here, there = "unix:///var/run/docker.sock", "ssh://deploy@nas.example"
	published := func(ip string) []docker.Port {
		return []docker.Port{{Container: 80, Host: 32768, HostIP: ip, Protocol: "tcp"}, {Container: 81, Host: 9, HostIP: "0.0.0.0", Protocol: "tcp"}, {Container: 80, Host: 53, Protocol: "udp"}}
	}
	bridge := map[string]string{"b": "172.18.0.2", "a": "172.17.0.2", "none": ""}
	for name, c := range map[string]struct {
		endpoint string
		c        docker.Container
		ways     []string
		why      string
		remedy   string
	}{
		"published here on all":           {here, docker.Container{Ports: published("0.0.0.0")}, []string{"127.0.0.1:32768"}, "", ""},
		"published here, podman's way":    {here, docker.Container{Ports: published("")}, []string{"127.0.0.1:32768"}, "", ""},
		"published here on loopback":      {here, docker.Container{Ports: published("127.0.0.1"), Networks: bridge}, []string{"127.0.0.1:32768", "172.17.0.2:80", "172.18.0.2:80"}, "", ""},
		"published here on an address":    {here, docker.Container{Ports: published("192.168.1.5")}, []string{"192.168.1.5:32768"}, "", ""},
		"published here on both families": {here, docker.Container{Ports: append(published("0.0.0.0"), published("::")...)}, []string{"127.0.0.1:32768"}, "", ""},
		"not published here":              {here, docker.Container{Networks: bridge}, []string{"172.17.0.2:80", "172.18.0.2:80"}, "", ""},
		"on the network of the host":      {here, docker.Container{Networks: map[string]string{"host": ""}}, []string{"127.0.0.1:80"}, "", ""},
		"an engine over tcp to loopback":  {"tcp://127.0.0.1:2375", docker.Container{Networks: bridge}, []string{"172.17.0.2:80", "172.18.0.2:80"}, "", ""},
		"not published, and no network":   {here, docker.Container{Name: "shop"}, nil, "port 80 is not published", "on 127.0.0.1"},
		"published there on all":          {there, docker.Container{Ports: published("0.0.0.0"), Networks: bridge}, []string{"nas.example:32768"}, "", ""},
		"published there on an address":   {there, docker.Container{Ports: published("10.8.0.2")}, []string{"10.8.0.2:32768"}, "", ""},
		"host network there":              {"tcp://10.0.0.9:2376", docker.Container{Networks: map[string]string{"host": ""}}, []string{"10.0.0.9:80"}, "", ""},
		"published there on loopback":     {there, docker.Container{Name: "shop", Ports: published("127.0.0.1"), Networks: bridge}, nil, "on 127.0.0.1 of its host only", "nas.example"},
		"not published there":             {there, docker.Container{Name: "shop", Networks: bridge}, nil, "another machine", "publish port 80"},
	} {
		got := waysTo(c.endpoint, c.c, 80)
		if !slices.Equal(got.ways, c.ways) || !strings.Contains(got.why, c.why) || (c.why == "") != (got.why == "") || !strings.Contains(got.remedy, c.remedy) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestContainersAsTargets(t *testing.T) {
	for text, want := range map[string]containerTarget{
		"container:shop-1:80": {"shop-1", 80, ""}, "container:shop:8080@nas": {"shop", 8080, "nas"},
	} {
		if got, named, err := parseContainer(text); err != nil || !named || got != want {
			t.Errorf("%s is %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"container:", "container:shop", "container::80", "container:shop:0", "container:shop:70000", "container:shop:80@", "container:a/b:80", "container:shop:80:81"} {
		if got, named, err := parseContainer(text); err == nil || !named {
			t.Errorf("%s is %+v", text, got)
		}
	}
	if _, named, err := parseContainer("http://shop:80"); named || err != nil {
		t.Error("a URL is taken for a container")
	}
}
