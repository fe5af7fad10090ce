package routing

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"

	"github.com/tiny-forge/docker-watcher/internal/docker"
)

// reach is how the proxy may come to a port of a running container, the best way first; or why it cannot, and what to do.
type reach struct {
	ways        []string // host:port
	why, remedy string
}

// waysTo works out from what the engine says of a container how a port of it is reached from here. A published port is: where it is
// published on all addresses or on one that we can come to. The container's own address is only on the machine of the engine.
func waysTo(endpoint string, c docker.Container, port int) reach {
	host, local := machineOf(endpoint)
	var r reach
	closed := "" // the address on which the port is published, but not for us
	for _, p := range c.Ports {
		if p.Container != port || p.Protocol != "tcp" || p.Host == 0 {
			continue
		}
		if ip := publishedAt(p.HostIP, host, local); ip != "" {
			r.add(ip, p.Host)
		} else {
			closed = p.HostIP
		}
	}
	if _, shared := c.Networks["host"]; shared {
		r.add(host, port)
	}
	if local {
		for _, ip := range slices.Sorted(maps.Values(c.Networks)) {
			if ip != "" {
				r.add(ip, port)
			}
		}
	}
	if len(r.ways) > 0 {
		return r
	}
	switch {
	case closed != "":
		r.why = fmt.Sprintf("port %d of %s is published on %s of its host only, which is another machine", port, c.Name, closed)
		r.remedy = fmt.Sprintf("publish it on an address of %s that this machine can come to", host)
	case local:
		r.why = fmt.Sprintf("%s has no address on a network of its engine, and port %d is not published", c.Name, port)
		r.remedy = fmt.Sprintf("publish port %d on 127.0.0.1 in the spec of its stage, or give it a network", port)
	default:
		r.why = fmt.Sprintf("%s runs on another machine and does not publish port %d", c.Name, port)
		r.remedy = fmt.Sprintf("publish port %d in the spec of its stage, on an address of %s that this machine can come to", port, host)
	}
	return r
}

func (r *reach) add(ip string, port int) {
	way := net.JoinHostPort(ip, strconv.Itoa(port))
	if !slices.Contains(r.ways, way) {
		r.ways = append(r.ways, way)
	}
}

// publishedAt is where a port is reached that is published on an address of its host; empty: from here it is not.
func publishedAt(ip, host string, local bool) string {
	addr, err := netip.ParseAddr(ip)
	switch {
	case ip == "" || err == nil && addr.IsUnspecified():
		return host
	case err == nil && addr.IsLoopback() && !local:
		return ""
	}
	return ip
}

// machineOf is the machine of an engine as it is reached from here, and whether that is this one.
func machineOf(endpoint string) (host string, local bool) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme == "unix" || u.Hostname() == "" {
		return "127.0.0.1", true
	}
	host = u.Hostname()
	if addr, err := netip.ParseAddr(host); host == "localhost" || err == nil && addr.IsLoopback() {
		return "127.0.0.1", true
	}
	return host, false
}
