package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// Step is one step of trying a target, before a rule is saved or after.
type Step struct {
	Name   string // name, dial or answer
	OK     bool
	Detail string
	Took   time.Duration
}

// tryTimeout bounds each step.
const tryTimeout = 5 * time.Second

// Try looks a target's name up, dials it and asks it for a path, as the rule would, within the policy. The first step that does not
// succeed is the last.
func Try(ctx context.Context, policy Policy, target string, o Options, host, path string) []Step {
	var steps []Step
	do := func(name string, step func(context.Context) (string, error)) bool {
		began := time.Now()
		ctx, cancel := context.WithTimeout(ctx, tryTimeout)
		defer cancel()
		detail, err := step(ctx)
		if err != nil {
			detail = plainReason(err)
		}
		steps = append(steps, Step{name, err == nil, detail, time.Since(began)})
		return err == nil
	}
	u, err := ParseTarget(target, policy)
	if err != nil {
		return []Step{{Name: "name", Detail: err.Error()}}
	}
	t := transports{policy: func() Policy { return policy }, by: map[manner]*http.Transport{}}
	defer t.closeIdle()
	_ = do("name", func(ctx context.Context) (string, error) { return lookUp(ctx, policy, u.Hostname(), portOf(u)) }) &&
		do("dial", func(ctx context.Context) (string, error) {
			d := net.Dialer{Control: t.control}
			conn, err := d.DialContext(ctx, "tcp", hostPort(u))
			if err != nil {
				return "", err
			}
			return "connected to " + conn.RemoteAddr().String(), conn.Close()
		}) &&
		do("answer", func(ctx context.Context) (string, error) {
			if o.RewriteHost {
				host = u.Host
			}
			status, err := ask(ctx, t.of(o), host, &upstream{url: u}, path)
			switch {
			case err != nil:
				return "", err
			case status >= 500:
				return "", fmt.Errorf("it answers %d to %s", status, path)
			}
			return fmt.Sprintf("it answers %d to %s", status, path), nil
		})
	return steps
}

// lookUp finds the addresses of a name, and holds them against the policy.
func lookUp(ctx context.Context, policy Policy, host, port string) (string, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.String() + " is an address", nil
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return "", err
	}
	var found []string
	for _, a := range addrs {
		at, err := netip.ParseAddrPort(net.JoinHostPort(a.Unmap().String(), port))
		if err != nil {
			return "", fmt.Errorf("read the address of %s: %w", host, err)
		}
		if err := policy.Check(at); err != nil {
			return "", err
		}
		found = append(found, a.Unmap().String())
	}
	if len(found) == 0 {
		return "", errors.New("its name " + host + " has no address")
	}
	return strings.Join(found, ", "), nil
}

// Reachable tells whether something listens at an address, within the policy.
func Reachable(ctx context.Context, policy Policy, at string) error {
	t := transports{policy: func() Policy { return policy }}
	d := net.Dialer{Control: t.control}
	conn, err := d.DialContext(ctx, "tcp", at)
	if err != nil {
		return errors.New(plainReason(err))
	}
	return conn.Close()
}
