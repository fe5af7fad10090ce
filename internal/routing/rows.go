package routing

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/tiny-forge/docker-watcher/internal/proxy"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// refOf names a port of an instance in a table.
func refOf(instanceID string, port int) string { return refsOf(instanceID) + strconv.Itoa(port) }

// refsOf is how the names of all ports of an instance begin.
func refsOf(instanceID string) string { return instanceScheme + instanceID + ":" }

const (
	instanceScheme  = "instance:"
	containerScheme = "container:"
)

// containerTarget is a target that names a container: container:NAME:PORT, or container:NAME:PORT@HOST.
type containerTarget struct {
	name string
	port int
	host string // name of the host; empty: the local one
}

// parseContainer reads such a target; false: it is another kind.
func parseContainer(text string) (t containerTarget, ok bool, err error) {
	rest, ok := strings.CutPrefix(text, containerScheme)
	if !ok {
		return t, false, nil
	}
	at, host, named := strings.Cut(rest, "@")
	name, port, hasPort := strings.Cut(at, ":")
	number, err := strconv.Atoi(port)
	if name == "" || strings.ContainsAny(name, "/?#% ") || !hasPort || err != nil || number < 1 || number > 65535 || named && host == "" {
		return t, true, errors.New("a container is named container:NAME:PORT, or container:NAME:PORT@HOST on another host")
	}
	return containerTarget{name: name, port: number, host: host}, true, nil
}

// ruleOf is the rule of a row. Targets that are URLs have their address; the others get it when they are looked for.
func ruleOf(v store.RouteView) (proxy.Rule, error) {
	o, err := OptionsOf(v.Route)
	if err != nil {
		return proxy.Rule{}, proxy.FieldError{Rule: v.ID, Field: "options", Reason: err.Error()}
	}
	o.TLS = proxy.TLS(v.TLS)
	r := proxy.Rule{ID: v.ID, Kind: proxy.KindRoute, Options: o}
	for _, d := range v.Domains {
		r.Addresses = append(r.Addresses, proxy.Address(d))
	}
	if !v.Standalone {
		if o.RedirectTo == "" {
			r.Targets = []proxy.Target{{Ref: refOf(v.InstanceID, v.Port)}}
		}
		return r, nil
	}
	r.Kind = proxy.KindProxy
	var wrong []error
	for i, text := range v.Targets {
		t := proxy.Target{Ref: text}
		if _, named, err := parseContainer(text); err != nil {
			wrong = append(wrong, proxy.FieldError{Rule: v.ID, Field: targetField(i), Reason: err.Error()})
		} else if !named {
			t.URL = text
		}
		r.Targets = append(r.Targets, t)
	}
	return r, errors.Join(wrong...)
}

func targetField(i int) string { return fmt.Sprintf("targets[%d]", i) }

// WrongFields says what is wrong with a row by itself. No other row is looked at, and no engine is asked.
func WrongFields(r store.Route, policy proxy.Policy) []proxy.FieldError {
	rule, err := ruleOf(store.RouteView{Route: r})
	return FieldsOf(errors.Join(err, rule.Validate(policy)))
}

// Named finds hosts by their names: the store, or a transaction of it.
type Named interface {
	HostByName(ctx context.Context, name string) (store.Host, error)
}

// UnknownHosts says which targets name a host that is not there.
func UnknownHosts(ctx context.Context, hosts Named, targets []string) (wrong []proxy.FieldError, err error) {
	for i, text := range targets {
		t, _, err := parseContainer(text)
		if err != nil || t.host == "" {
			continue // said by others, or no host is named
		}
		_, err = hosts.HostByName(ctx, t.host)
		switch {
		case errors.Is(err, store.ErrNotFound):
			wrong = append(wrong, proxy.FieldError{Field: targetField(i), Reason: "there is no host " + t.host + ": name one of docker-watcher hosts"})
		case err != nil:
			return nil, err
		}
	}
	return wrong, nil
}

// enginesOf are where the engines of hosts listen on the network.
func enginesOf(hosts []store.Host) (out []string) {
	for _, h := range hosts {
		if u, err := url.Parse(h.Endpoint); err == nil && u.Scheme == "tcp" && u.Port() != "" {
			out = append(out, u.Host)
		}
	}
	return out
}
