package docker

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/mount"
)

// mountPoint of an inspect.
type mountPoint struct {
	Type        mount.Type
	Name        string
	Source      string
	Destination string
	Driver      string
	RW          bool
	Propagation mount.Propagation
}

// endpoint is a container's place in a network: what was asked for, without what the engine gave.
type endpoint struct {
	IPAMConfig map[string]any    `json:",omitempty"`
	Links      []string          `json:",omitempty"`
	Aliases    []string          `json:",omitempty"`
	DriverOpts map[string]string `json:",omitempty"`
	GwPriority int               `json:",omitempty"`
	MacAddress string            `json:",omitempty"`
}

// oldEndpoint is one as an inspect shows it.
type oldEndpoint struct {
	endpoint
	NetworkID string
}

// freePorts lets the engine choose the host's ports; the addresses stay.
func (e *edit) freePorts() {
	var bindings map[string][]map[string]string
	e.read("PortBindings", &bindings)
	for _, hosts := range bindings {
		for _, h := range hosts {
			delete(h, "HostPort")
		}
	}
	e.set("PortBindings", bindings)
}

// linkAnew writes the links of old as they are asked for: an inspect shows "/db:/web/db" for "db:db".
func (e *edit) linkAnew() {
	links := e.list("Links")
	for i, link := range links {
		target, alias, ok := strings.Cut(link, ":")
		if ok {
			links[i] = strings.TrimPrefix(target, "/") + ":" + path.Base(alias)
		}
	}
	if len(links) > 0 {
		e.set("Links", links)
	}
}

// nameLimits writes the names of limits as they are asked for: podman shows RLIMIT_NOFILE for nofile.
func (e *edit) nameLimits() {
	var limits []map[string]any
	e.read("Ulimits", &limits)
	for _, limit := range limits {
		if name, ok := limit["Name"].(string); ok {
			limit["Name"] = strings.ToLower(strings.TrimPrefix(name, "RLIMIT_"))
		}
	}
	if len(limits) > 0 {
		e.set("Ulimits", limits)
	}
}

// limitOnce says a limit of processors in one way only: podman shows it in two and takes one.
func (e *edit) limitOnce() {
	var cpus int64
	e.read("NanoCpus", &cpus)
	if cpus > 0 {
		e.remove("CpuPeriod", "CpuQuota")
	}
}

// mountAgain names all that was mounted and that the request of old left to the engine: anonymous volumes, those of
// the image, and those taken over from other containers, which may be gone.
func (e *edit) mountAgain(found []mountPoint) {
	var mounts []mount.Mount
	e.read("Mounts", &mounts)
	binds := slices.DeleteFunc(e.list("Binds"), func(bind string) bool { return !strings.Contains(bind, ":") })
	named := map[string]bool{}
	for _, bind := range binds {
		named[bindTarget(bind)] = true
	}
	var memory map[string]string
	e.read("Tmpfs", &memory)
	for target := range memory {
		named[path.Clean(target)] = true
	}
	for i, m := range mounts {
		named[path.Clean(m.Target)] = true
		if m.Type == mount.TypeVolume && m.Source == "" {
			mounts[i].Source = volumeAt(found, m.Target)
		}
	}
	for _, m := range found {
		if wanted, ok := m.request(); ok && !named[path.Clean(m.Destination)] {
			mounts = append(mounts, wanted)
		}
	}
	e.set("Binds", binds)
	e.set("Mounts", mounts)
	e.remove("VolumesFrom")
}

// bindTarget is the path in the container of "source:target[:options]".
func bindTarget(bind string) string {
	_, rest, _ := strings.Cut(bind, ":")
	target, _, _ := strings.Cut(rest, ":")
	return path.Clean(target)
}

func volumeAt(found []mountPoint, target string) string {
	for _, m := range found {
		if m.Type == mount.TypeVolume && path.Clean(m.Destination) == path.Clean(target) {
			return m.Name
		}
	}
	return ""
}

func (m mountPoint) request() (mount.Mount, bool) {
	out := mount.Mount{Type: m.Type, Source: m.Source, Target: m.Destination, ReadOnly: !m.RW}
	switch m.Type {
	case mount.TypeVolume:
		out.Source = m.Name
		if m.Driver != "" && m.Driver != "local" {
			out.VolumeOptions = &mount.VolumeOptions{DriverConfig: &mount.Driver{Name: m.Driver}}
		}
	case mount.TypeBind:
		if m.Propagation != "" {
			out.BindOptions = &mount.BindOptions{Propagation: m.Propagation}
		}
	default:
		return out, false
	}
	return out, true
}

// sharesNetwork tells a container that has no network of its own but another container's.
func sharesNetwork(mode string) bool {
	return strings.HasPrefix(mode, "container:") || strings.HasPrefix(mode, "ns:")
}

// engineNetworks are those that every engine has; they know no aliases.
var engineNetworks = []string{"bridge", "default", "host", "nat", "none", "podman"}

// EngineNetwork tells whether a network is one that engines have of themselves, by whatever name.
func EngineNetwork(name string) bool { return slices.Contains(engineNetworks, name) }

// networkNames are those to connect to that an engine may not have.
func (b blueprint) networkNames(skip []string) []string {
	if sharesNetwork(textOf(b.HostConfig["NetworkMode"])) {
		return nil
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(b.NetworkSettings.Networks)), func(name string) bool {
		return slices.Contains(engineNetworks, name) || slices.Contains(skip, name)
	})
}

// connect says which network it is made in and which ones follow. When all of its own are left out it gets the engine's
// default one, for its published ports need one.
func (b blueprint) connect(host *edit, o RecreateOptions) (first, more map[string]endpoint) {
	mode := host.text("NetworkMode")
	if sharesNetwork(mode) {
		return nil, nil
	}
	names := b.networkNames(o.SkipNetworks)
	more = map[string]endpoint{}
	for _, name := range names {
		wanted := b.endpoint(name)
		if slices.Contains(o.FreeAddress, name) {
			wanted.IPAMConfig = nil
		}
		more[name] = wanted
	}
	primary := b.networkName(mode)
	own := b.engineNetwork()
	if slices.Contains(engineNetworks, primary) && own != "" || len(b.NetworkSettings.Networks) == 0 {
		return nil, more // the engine's default one comes by the mode alone, whichever name the mode has for it
	}
	if _, ok := more[primary]; !ok {
		if len(names) == 0 {
			if !slices.Contains(engineNetworks, primary) {
				host.set("NetworkMode", "bridge")
			}
			return nil, nil
		}
		primary = names[0] // podman's mode is "bridge" for all networks
	}
	host.set("NetworkMode", primary)
	first = map[string]endpoint{primary: more[primary]}
	delete(more, primary)
	if own != "" {
		more[own] = endpoint{}
	}
	return first, more
}

// engineNetwork is the one of the engine's own networks that it was in; empty: none.
func (b blueprint) engineNetwork() string {
	for _, name := range slices.Sorted(maps.Keys(b.NetworkSettings.Networks)) {
		if slices.Contains(engineNetworks, name) {
			return name
		}
	}
	return ""
}

// networkName is the name of the network that a mode means, which can be given by id.
func (b blueprint) networkName(mode string) string {
	for name, end := range b.NetworkSettings.Networks {
		if end != nil && end.NetworkID != "" && end.NetworkID == mode {
			return name
		}
	}
	return mode
}

// endpoint is what is asked for again of a network.
func (b blueprint) endpoint(name string) endpoint {
	old := b.NetworkSettings.Networks[name]
	if old == nil {
		return endpoint{}
	}
	wanted := old.endpoint
	wanted.Aliases = slices.DeleteFunc(slices.Clone(old.Aliases), func(alias string) bool { return alias == shortID(b.ID) })
	if b.State.Running {
		wanted.MacAddress = "" // an engine shows the one that it made up as well, while it is in use
	}
	return wanted
}
