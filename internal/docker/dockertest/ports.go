package dockertest

import (
	"strconv"
	"strings"
)

// portBinding is a port of a container on the host. The host port is a text as on the wire; bound is
// the one in force while it runs.
type portBinding struct {
	Container string // "80/tcp"
	HostIP    string
	HostPort  string
	bound     string
}

// parsePort reads [[ip:]host:]container[/protocol].
func parsePort(s string) portBinding {
	spec, protocol, ok := strings.Cut(s, "/")
	if !ok {
		protocol = "tcp"
	}
	parts := strings.Split(spec, ":")
	p := portBinding{Container: parts[len(parts)-1] + "/" + protocol}
	if len(parts) > 1 {
		p.HostPort = parts[len(parts)-2]
	}
	if len(parts) > 2 {
		p.HostIP = parts[0]
	}
	return p
}

func (p portBinding) key() string {
	_, protocol, _ := strings.Cut(p.Container, "/")
	return p.hostAddr() + "/" + protocol
}

func (p portBinding) hostAddr() string {
	ip := p.HostIP
	if ip == "" {
		ip = "0.0.0.0"
	}
	return ip + ":" + p.HostPort
}

func (p portBinding) row(podman bool) map[string]any {
	number, protocol, _ := strings.Cut(p.Container, "/")
	private, _ := strconv.Atoi(number) // parsed from a port that was accepted
	row := map[string]any{"PrivatePort": private, "Type": protocol}
	if public, err := strconv.Atoi(p.bound); err == nil {
		row["PublicPort"] = public
		row["IP"] = p.HostIP
		if p.HostIP == "" && !podman {
			row["IP"] = "0.0.0.0"
		}
	}
	return row
}

type hostPort struct {
	HostIP   string `json:"HostIp"`
	HostPort string
}

// bindings are as asked for, published as in force.
func (c *Container) bindings() map[string][]hostPort {
	out := map[string][]hostPort{}
	for _, p := range c.ports {
		out[p.Container] = append(out[p.Container], hostPort{p.HostIP, p.HostPort})
	}
	return out
}

func (c *Container) published() map[string][]hostPort {
	out := map[string][]hostPort{}
	if !c.processLives() {
		return out
	}
	for port := range c.exposed() {
		out[port] = nil
	}
	for _, p := range c.ports {
		out[p.Container] = append(out[p.Container], hostPort{p.HostIP, p.bound})
	}
	return out
}

func (c *Container) exposed() map[string]struct{} {
	out := map[string]struct{}{}
	for _, p := range c.image.ports {
		out[p] = struct{}{}
	}
	for _, p := range c.ports {
		out[p.Container] = struct{}{}
	}
	return out
}
