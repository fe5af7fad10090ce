package caddy

import (
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// ownServer is the name of our own server in Caddy.
const ownServer = "docker_watcher"

// step is one write to Caddy's configuration.
type step struct {
	method string
	path   string // below /config
	body   any
}

// next is the write that brings the configuration, as it was read whole, nearer to holding our part as it is wanted, and holding it once;
// false: there is nothing to do. What is not ours is neither changed nor moved.
func next(config any, at Site, wanted any) (step, bool, error) {
	home, err := homeOf(config, at)
	if err != nil {
		return step{}, false, err
	}
	placed := false
	for _, p := range parts(config, nil) {
		switch {
		case placed || len(p.path) != len(home)+at.below() || !slices.Equal(p.path[:len(home)], home):
			return step{method: "DELETE", path: written(p.path)}, true, nil
		case !reflect.DeepEqual(p.value, wanted):
			return step{method: "PATCH", path: written(p.path), body: wanted}, true, nil
		}
		placed = true
	}
	if placed {
		return step{}, false, nil
	}
	return create(config, at, home, wanted)
}

// below is how deep our part is under its home: a route has a place in a list there.
func (s Site) below() int {
	if s.Server == "" {
		return 0
	}
	return 1
}

// homeOf is where our part belongs.
func homeOf(config any, at Site) ([]string, error) {
	servers := []string{"apps", "http", "servers"}
	found, _ := in(config, servers).(object)
	if at.Server == "" {
		if s, taken := found[ownServer].(object); taken && s["@id"] != ID {
			return nil, fmt.Errorf("Caddy has a server %s that is not ours: rename it, or lead our routes through it by --caddy-server %s", ownServer, ownServer) //nolint:staticcheck // a name
		}
		return append(servers, ownServer), nil
	}
	if _, known := found[at.Server].(object); !known {
		return nil, fmt.Errorf("Caddy has no server %q: it has %s", at.Server, listed(slices.Sorted(maps.Keys(found)))) //nolint:staticcheck // a name
	}
	return append(servers, at.Server, "routes"), nil
}

func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// create makes our part, with what is missing above it.
func create(config any, at Site, home []string, wanted any) (step, bool, error) {
	if at.Server != "" {
		if routes, _ := in(config, home).(list); len(routes) > 0 {
			return step{method: "PUT", path: written(append(home, "0")), body: wanted}, true, nil
		}
		return step{method: "POST", path: written(home), body: list{wanted}}, true, nil
	}
	for n := range home {
		above := home[:n+1]
		if in(config, above) == nil {
			return step{method: "POST", path: written(above), body: wrapped(home[n+1:], wanted)}, true, nil
		}
	}
	return step{}, false, fmt.Errorf("%s is there already", written(home))
}

// wrapped puts a value below names.
func wrapped(names []string, value any) any {
	for _, name := range slices.Backward(names) {
		value = object{name: value}
	}
	return value
}

// in is what is at a path of objects; nil: nothing is.
func in(value any, path []string) any {
	for _, name := range path {
		o, _ := value.(object)
		value = o[name]
	}
	return value
}

func written(path []string) string {
	var b strings.Builder
	for _, name := range path {
		b.WriteString("/" + url.PathEscape(name))
	}
	return b.String()
}

// part is something that bears our id.
type part struct {
	path  []string
	value any
}

// parts finds all that bears our id, in a fixed order, the last of a list first, so that a place stays right while others go.
func parts(value any, path []string) (out []part) {
	switch v := value.(type) {
	case object:
		if v["@id"] == ID {
			return []part{{slices.Clone(path), v}}
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			out = append(out, parts(v[name], append(path, name))...)
		}
	case list:
		for i, one := range slices.Backward(v) {
			out = append(out, parts(one, append(path, strconv.Itoa(i)))...)
		}
	}
	return out
}

// difference is the first place where what is there is not what is wanted, in words; empty: they are the same.
func difference(there, wanted any, path string) string {
	switch w := wanted.(type) {
	case object:
		t, ok := there.(object)
		if !ok {
			break
		}
		for _, name := range slices.Sorted(maps.Keys(w)) {
			if d := difference(t[name], w[name], path+"/"+name); d != "" {
				return d
			}
		}
		for _, name := range slices.Sorted(maps.Keys(t)) {
			if _, known := w[name]; !known {
				return path + "/" + name + " was added"
			}
		}
		return ""
	case list:
		t, ok := there.(list)
		if !ok || len(t) != len(w) {
			break
		}
		for i := range w {
			if d := difference(t[i], w[i], path+"/"+strconv.Itoa(i)); d != "" {
				return d
			}
		}
		return ""
	}
	if reflect.DeepEqual(there, wanted) {
		return ""
	}
	if there == nil {
		return path + " is gone"
	}
	return path + " was changed"
}
