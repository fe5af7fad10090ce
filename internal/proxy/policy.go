package proxy

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Policy says which addresses nobody may be led to. Private networks and this machine are allowed: that is where containers
// are. It is asked when a rule is checked, and again when its target is dialled, of the address that its name stands for then.
type Policy struct {
	// Own are the listeners of docker-watcher itself.
	Own []netip.AddrPort
	// OwnElsewhere are listeners of docker-watcher in another process, as far as they are known by now; nil: there are none.
	OwnElsewhere func() []netip.AddrPort
	// Engines are where engines listen that it commands, as host:port: who comes to one is root there. Names are looked up by Names.
	Engines []string
	// Names tell what the names of Engines stand for now; nil: only addresses are compared.
	Names *Names
	// Refused are what the admin refuses beside.
	Refused []netip.Prefix
	// Local tells whether an address is one of this machine; nil: only loopback is.
	Local func(netip.Addr) bool
	// Fits says which fields of a table the proxy that is to serve it cannot do, as FieldErrors; nil: it can do all.
	Fits func(Table) []error
}

// RefusedError says why an address may not be dialled.
type RefusedError struct{ Addr, Reason string }

func (e RefusedError) Error() string { return e.Addr + " is refused as a target: " + e.Reason }

type refusal struct {
	net    netip.Prefix
	reason string
}

const (
	reasonLink     = "a link-local address; clouds answer there with the machine's credentials"
	reasonMetadata = "the metadata service of a cloud, which hands out credentials"
	reasonNowhere  = "no address of a single machine"
	reasonEngine   = "a Docker engine listens there, and whoever comes to it is root on that machine"
	reasonLoop     = "docker-watcher itself listens there: requests would go round in a circle"
)

var refusals = []refusal{
	{netip.MustParsePrefix("169.254.0.0/16"), reasonLink},
	{netip.MustParsePrefix("fe80::/10"), reasonLink},
	{netip.MustParsePrefix("fd00:ec2::/32"), reasonMetadata},
	{netip.MustParsePrefix("fd20:ce::254/128"), reasonMetadata},
	{netip.MustParsePrefix("100.100.100.200/32"), reasonMetadata},
	{netip.MustParsePrefix("168.63.129.16/32"), reasonMetadata},
	{netip.MustParsePrefix("192.0.0.192/32"), reasonMetadata},
	{netip.MustParsePrefix("0.0.0.0/8"), reasonNowhere},
	{netip.MustParsePrefix("::/128"), reasonNowhere},
	{netip.MustParsePrefix("224.0.0.0/4"), reasonNowhere},
	{netip.MustParsePrefix("240.0.0.0/4"), reasonNowhere},
	{netip.MustParsePrefix("ff00::/8"), reasonNowhere},
}

// Prefixes of IPv6 that carry an address of IPv4 inside: by it they are judged as well.
var (
	nat64     = netip.MustParsePrefix("64:ff9b::/96")
	nat64Own  = netip.MustParsePrefix("64:ff9b:1::/48")
	sixToFour = netip.MustParsePrefix("2002::/16")
	compat    = netip.MustParsePrefix("::/96")
)

// Check says why an address may not be dialled; nil: it may.
func (p Policy) Check(at netip.AddrPort) error {
	for _, addr := range faces(at.Addr().WithZone("")) {
		if reason := p.reason(addr, at.Port()); reason != "" {
			return RefusedError{Addr: at.String(), Reason: reason}
		}
	}
	return nil
}

func (p Policy) reason(addr netip.Addr, port uint16) string {
	for _, r := range refusals {
		if r.net.Contains(addr) {
			return r.reason
		}
	}
	if within(p.Refused, addr) {
		return "the setting refused_targets refuses it"
	}
	if p.isEngine(addr, port) {
		return reasonEngine
	}
	ours := func(own netip.AddrPort) bool {
		return own.Port() == port && port != 0 && p.same(own.Addr().Unmap(), addr)
	}
	if slices.ContainsFunc(p.Own, ours) || p.OwnElsewhere != nil && slices.ContainsFunc(p.OwnElsewhere(), ours) {
		return reasonLoop
	}
	return ""
}

// isEngine tells whether an engine listens there. Names are looked up only of those that listen on the same port.
func (p Policy) isEngine(addr netip.Addr, port uint16) bool {
	for _, e := range p.Engines {
		host, text, err := net.SplitHostPort(e)
		if err != nil || text != strconv.Itoa(int(port)) {
			continue
		}
		for _, at := range p.Names.of(host) {
			if at == addr || p.here(at) && p.here(addr) {
				return true
			}
		}
	}
	return false
}

// here tells whether an address is one of this machine.
func (p Policy) here(addr netip.Addr) bool {
	return addr.IsLoopback() || p.Local != nil && p.Local(addr)
}

// same tells whether who listens at own is reached at addr.
func (p Policy) same(own, addr netip.Addr) bool {
	if !own.IsUnspecified() {
		return own == addr
	}
	return p.here(addr)
}

// faces are all the addresses that one stands for.
func faces(addr netip.Addr) []netip.Addr {
	if addr.Is4() || addr.Is4In6() {
		return []netip.Addr{addr.Unmap()}
	}
	b := addr.As16()
	switch {
	case nat64.Contains(addr), nat64Own.Contains(addr), compat.Contains(addr) && !addr.IsLoopback() && !addr.IsUnspecified():
		return []netip.Addr{addr, netip.AddrFrom4([4]byte(b[12:16]))}
	case sixToFour.Contains(addr):
		return []netip.Addr{addr, netip.AddrFrom4([4]byte(b[2:6]))}
	}
	return []netip.Addr{addr}
}

// checkName says why a name may not be a target, before anybody looks it up.
func (p Policy) checkName(host, port string) error {
	for _, e := range p.Engines {
		if strings.EqualFold(net.JoinHostPort(strings.TrimSuffix(host, "."), port), e) {
			return RefusedError{Addr: e, Reason: reasonEngine}
		}
	}
	if _, err := netip.ParseAddr(host); err != nil && looksLikeAddress(host) {
		return fmt.Errorf("%s is refused as a target: an address is written as four numbers, such as 10.0.0.5", host)
	}
	switch name := strings.TrimSuffix(strings.ToLower(host), "."); name {
	case "metadata.google.internal", "metadata.goog", "metadata", "instance-data", "instance-data.ec2.internal":
		return fmt.Errorf("%s is refused as a target: %s", name, reasonMetadata)
	}
	return nil
}

// looksLikeAddress tells that a name ends in a number, as 2852039166, 0xa9fea9fe and 0251.254.0251.254 do: some resolvers take it for an
// address in another form, and no domain ends so.
func looksLikeAddress(host string) bool {
	last := strings.ToLower(strings.TrimSuffix(host, "."))
	last = last[strings.LastIndexByte(last, '.')+1:]
	if digits(last) {
		return last != ""
	}
	hex, ok := strings.CutPrefix(last, "0x")
	_, err := strconv.ParseUint(hex, 16, 64)
	return ok && (hex == "" || err == nil)
}
