package proxy

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	namesFor     = 10 * time.Second // an answer of DNS is held for good
	namesTimeout = time.Second
	mostNames    = 1000
)

// Names look up what names stand for, and remember it for a little while. What a name stood for last is believed as long as DNS does not
// answer.
type Names struct {
	// LookUp asks DNS; nil: the resolver of this machine.
	LookUp func(ctx context.Context, host string) ([]netip.Addr, error)

	mu    sync.Mutex
	known map[string]lookedUp
}

type lookedUp struct {
	addrs []netip.Addr
	at    time.Time
}

// of are the addresses that a host stands for. An address stands for itself.
func (n *Names) of(host string) []netip.Addr {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr.Unmap().WithZone("")}
	}
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	was := n.known[host]
	if !was.at.IsZero() && time.Since(was.at) < namesFor {
		return was.addrs
	}
	if n.known == nil || len(n.known) >= mostNames {
		n.known = map[string]lookedUp{}
	}
	now := lookedUp{addrs: was.addrs}
	if addrs := n.ask(host); len(addrs) > 0 {
		now.addrs = addrs
	}
	now.at = time.Now()
	n.known[host] = now
	return now.addrs
}

// ask looks a name up now; nothing: DNS does not know it, or does not answer.
func (n *Names) ask(host string) (clean []netip.Addr) {
	ctx, cancel := context.WithTimeout(context.Background(), namesTimeout) //nolint:forbidigo // who dials has no context to lend
	defer cancel()
	look := n.LookUp
	if look == nil {
		look = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	addrs, err := look(ctx, host)
	if err != nil {
		return nil
	}
	for _, a := range addrs {
		clean = append(clean, a.Unmap().WithZone(""))
	}
	return clean
}
