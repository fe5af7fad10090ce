package dockertest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// filters are the values asked for, by key; all keys must match, one value of a key is enough
// (but every label).
type filters map[string][]string

// parseFilters reads both encodings that clients use: {"k":["v"]} and {"k":{"v":true}}.
func parseFilters(s string) (filters, error) {
	f := filters{}
	if s == "" {
		return f, nil
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal([]byte(s), &raw); err != nil {
		return nil, fmt.Errorf("invalid filter: %w", err)
	}
	for key, value := range raw {
		var list []string
		if json.Unmarshal(value, &list) == nil {
			f[key] = list
			continue
		}
		var set map[string]bool
		if err := json.Unmarshal(value, &set); err != nil {
			return nil, fmt.Errorf("invalid filter: %w", err)
		}
		for v, on := range set {
			if on {
				f[key] = append(f[key], v)
			}
		}
		slices.Sort(f[key])
	}
	return f, nil
}

// known are the container filters that we understand; others are refused so that a test sees it.
var knownFilters = []string{"status", "label", "id", "name", "ancestor", "volume"}

// The states that each make can be asked for.
var (
	dockerStates = []string{Created, Running, Paused, Restarting, Exited, Removing, Dead}
	podmanStates = []string{Created, Running, Paused, Exited, Removing, "stopped", "stopping", "initialized", "configured", "unknown"}
)

func (f filters) checkContainers(podman bool) error {
	for key, values := range f {
		if !slices.Contains(knownFilters, key) {
			return fmt.Errorf("invalid filter '%s'", key)
		}
		if key != "status" {
			continue
		}
		for _, v := range values {
			switch {
			case podman && !slices.Contains(podmanStates, v):
				return fmt.Errorf("unknown container state: %s: invalid argument", v)
			case !podman && !slices.Contains(dockerStates, v):
				return fmt.Errorf("invalid filter 'status=%s'", v)
			}
		}
	}
	return nil
}

func (f filters) passContainer(c *Container) bool {
	if states, asked := f["status"]; asked && !slices.Contains(states, c.listState()) {
		return false
	}
	if !labelsMatch(f["label"], c.labels) {
		return false
	}
	if ids, asked := f["id"]; asked && !slices.ContainsFunc(ids, func(id string) bool { return strings.HasPrefix(c.ID, id) }) {
		return false
	}
	if names, asked := f["name"]; asked && !slices.ContainsFunc(names, func(n string) bool {
		return strings.Contains(c.name, strings.Trim(n, "/^$"))
	}) {
		return false
	}
	if volumes, asked := f["volume"]; asked && !slices.ContainsFunc(c.mounts, func(m mountPoint) bool {
		return slices.Contains(volumes, m.name) || slices.Contains(volumes, m.target)
	}) {
		return false
	}
	if images, asked := f["ancestor"]; asked && !slices.ContainsFunc(images, c.madeFrom) {
		return false
	}
	return true
}

// madeFrom says whether an image, by id or reference, is what the container was made from, or is below that. Podman
// knows ids without their algorithm only, and does not look below.
func (c *Container) madeFrom(ref string) bool {
	if c.e.o.podman() {
		return strings.HasPrefix(c.image.id, "sha256:"+ref) && len(ref) >= 12 || c.e.refs[withTag(ref)] == c.image
	}
	for img := c.image; img != nil; img = img.parent {
		if strings.HasPrefix(img.id, "sha256:"+strings.TrimPrefix(ref, "sha256:")) && len(ref) >= 12 || c.e.refs[withTag(ref)] == img {
			return true
		}
	}
	return false
}

func (f filters) passEvent(ev event) bool {
	if v, asked := f["type"]; asked && !slices.Contains(v, ev.Type) {
		return false
	}
	if v, asked := f["event"]; asked && !slices.ContainsFunc(v, func(want string) bool {
		// health_status and the exec ones carry more after a colon.
		return ev.asked == want || strings.HasPrefix(ev.asked, want+":")
	}) {
		return false
	}
	if v, asked := f["container"]; asked && !slices.ContainsFunc(v, func(want string) bool {
		return ev.Type == "container" && (strings.HasPrefix(ev.Actor.ID, want) || ev.Actor.Attributes["name"] == want)
	}) {
		return false
	}
	if v, asked := f["image"]; asked && !slices.Contains(v, ev.Actor.Attributes["image"]) {
		return false
	}
	return labelsMatch(f["label"], ev.Actor.Attributes)
}

func labelsMatch(want []string, have map[string]string) bool {
	for _, w := range want {
		key, value, hasValue := strings.Cut(w, "=")
		got, ok := have[key]
		if !ok || hasValue && got != value {
			return false
		}
	}
	return true
}
