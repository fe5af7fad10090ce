package docker

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/mount"
)

// madeInspect are the parts of an inspect that say what was asked for, beside those of Setup.
type madeInspect struct {
	State           struct{ Running bool }
	Config          madeConfig
	HostConfig      madeHost
	Mounts          []mountPoint
	NetworkSettings struct{ Networks map[string]*oldEndpoint }
}

type madeConfig struct {
	Hostname, Domainname string
	StopSignal           string
	Tty, OpenStdin       bool
	Healthcheck          *struct{ StartInterval time.Duration }
}

// others are what of the container itself was asked for, and is neither its image's nor of Made's own fields.
func (c madeConfig) others(image Defaults, hostNames []string) []string {
	var said []string
	say := func(is bool, format string, args ...any) {
		if is {
			said = append(said, fmt.Sprintf(format, args...))
		}
	}
	say(!slices.Contains(hostNames, c.Hostname), "the host name %q", c.Hostname)
	say(c.Domainname != "", "the domain name %q", c.Domainname)
	say(c.StopSignal != "" && c.StopSignal != image.StopSignal && c.StopSignal != "SIGTERM" && c.StopSignal != "15", "the stop signal %s", c.StopSignal)
	say(c.Tty, "a terminal")
	say(c.OpenStdin, "an open standard input")
	say(c.Healthcheck != nil && c.Healthcheck.StartInterval > 0, "how often its health is looked at while it starts")
	return said
}

// hostNames are those that say nothing: an engine calls a container after its id, or in the host's own network as the host.
func (in madeInspect) hostNames(id string) []string {
	names := []string{"", shortID(id)}
	if in.HostConfig.NetworkMode == "host" {
		names = append(names, in.Config.Hostname)
	}
	return names
}

type madeHost struct {
	Privileged, PublishAllPorts, AutoRemove, OomKillDisable           bool
	Binds, SecurityOpt, ExtraHosts, DNS, Links, VolumesFrom, GroupAdd []string
	NetworkMode, PidMode, IpcMode, UTSMode, UsernsMode, CpusetCpus    string
	Devices, DeviceRequests                                           []json.RawMessage
	Memory, MemorySwap, MemoryReservation, CPUShares, ShmSize         int64
	Tmpfs, Sysctls                                                    map[string]string
	Mounts                                                            []mount.Mount
	Ulimits                                                           []struct{ Name string }
	LogConfig                                                         struct{ Config map[string]string }
}

var (
	usualShm = []int64{64 << 20, 65_536_000} // bytes of /dev/shm, Docker's and podman's
	// propagations are those that nobody gets without asking.
	propagations = []mount.Propagation{mount.PropagationShared, mount.PropagationRShared, mount.PropagationSlave, mount.PropagationRSlave}
)

// others are what was asked of the host, and is not in Setup.
func (h madeHost) others() []string {
	var said []string
	say := func(is bool, format string, args ...any) {
		if is {
			said = append(said, fmt.Sprintf(format, args...))
		}
	}
	list := func(what string, items []string) { say(len(items) > 0, "%s %s", what, strings.Join(items, ", ")) }
	say(len(h.Devices)+len(h.DeviceRequests) > 0, "%d devices of the host", len(h.Devices)+len(h.DeviceRequests))
	say(h.NetworkMode == "none" || strings.HasPrefix(h.NetworkMode, "container:"), "the network mode %s", h.NetworkMode)
	for what, mode := range map[string]string{"process": h.PidMode, "IPC": h.IpcMode, "UTS": h.UTSMode, "user": h.UsernsMode} {
		spoken := mode == "host" && (what == "process" || what == "IPC")
		say(mode == "host" && !spoken || strings.HasPrefix(mode, "container:"), "the %s namespace of %s", what, mode)
	}
	say(h.PublishAllPorts, "every port of its image published")
	say(h.OomKillDisable, "that the kernel does not kill it for want of memory")
	say(h.MemoryReservation > 0, "a reservation of %s of memory", roundBytes(h.MemoryReservation))
	say(h.MemorySwap != 0 && h.MemorySwap != 2*h.Memory, "how much it may swap")
	say(h.CPUShares > 0, "a share of the processors")
	say(h.CpusetCpus != "", "the processors %s and no others", h.CpusetCpus)
	say(h.ShmSize > 0 && !slices.Contains(usualShm, h.ShmSize), "%s of shared memory", roundBytes(h.ShmSize))
	list("the security options", h.securityOptions())
	list("the known hosts", h.ExtraHosts)
	list("the name servers", h.DNS)
	list("the links", h.Links)
	list("the volumes of", h.VolumesFrom)
	list("the groups", h.GroupAdd)
	list("the limits", h.limits())
	list("the kernel settings", slices.Sorted(maps.Keys(h.Sysctls)))
	list("folders in memory at", slices.Sorted(maps.Keys(h.Tmpfs)))
	list("options of its log:", slices.Sorted(maps.Keys(h.LogConfig.Config)))
	slices.Sort(said)
	return said
}

// securityOptions leaves out the one that engines add to what shares the host's own.
func (h madeHost) securityOptions() []string {
	if !h.Privileged && h.PidMode != "host" && h.IpcMode != "host" {
		return h.SecurityOpt
	}
	return without(h.SecurityOpt, []string{"label=disable"})
}

// limits are called RLIMIT_NOFILE by podman, which gives some by itself, and nofile by Docker, which gives none.
func (h madeHost) limits() []string {
	var names []string
	for _, l := range h.Ulimits {
		if !strings.HasPrefix(l.Name, "RLIMIT_") {
			names = append(names, l.Name)
		}
	}
	return names
}

// unmountable are the mounts that Setup has no words for, and what it has none for of the others.
func (in madeInspect) unmountable() []string {
	var said []string
	for _, m := range in.Mounts {
		_, inMemory := in.HostConfig.Tmpfs[m.Destination] // said already
		if _, ok := m.request(); !ok && !inMemory {
			said = append(said, fmt.Sprintf("what is mounted at %s (%s)", m.Destination, m.Type))
		}
	}
	for _, bind := range in.HostConfig.Binds { // an engine propagates some by itself, and does not say so here
		for option := range strings.SplitSeq(bind[strings.LastIndexByte(bind, ':')+1:], ",") {
			if slices.Contains(propagations, mount.Propagation(option)) {
				said = append(said, fmt.Sprintf("the propagation %s of %s", option, bindTarget(bind)))
			}
		}
	}
	for _, m := range in.HostConfig.Mounts {
		if m.BindOptions != nil && slices.Contains(propagations, m.BindOptions.Propagation) {
			said = append(said, fmt.Sprintf("the propagation %s of %s", m.BindOptions.Propagation, m.Target))
		}
		if m.VolumeOptions != nil && m.VolumeOptions.Subpath != "" {
			said = append(said, fmt.Sprintf("that only %s of its volume is mounted at %s", m.VolumeOptions.Subpath, m.Target))
		}
	}
	return said
}

// placed is what was asked for of its places in networks, beside being in them and its names there.
func (in madeInspect) placed() []string {
	var said []string
	own, others := "", 0
	for _, name := range slices.Sorted(maps.Keys(in.NetworkSettings.Networks)) {
		end := in.NetworkSettings.Networks[name]
		if EngineNetwork(name) {
			own = name
			continue
		}
		others++
		if end == nil {
			continue
		}
		for _, kind := range []string{"IPv4Address", "IPv6Address"} {
			if address, _ := end.IPAMConfig[kind].(string); address != "" {
				said = append(said, fmt.Sprintf("the address %s in %s", address, name))
			}
		}
		if end.MacAddress != "" && !in.State.Running { // else it may be made up
			said = append(said, fmt.Sprintf("the address %s in %s", end.MacAddress, name))
		}
		if len(end.Links)+len(end.DriverOpts) > 0 || end.GwPriority != 0 {
			said = append(said, "options of its place in "+name)
		}
	}
	if own != "" && others > 0 {
		said = append(said, "its place in the network "+own+", beside the others")
	}
	return said
}

// roundBytes is a number of bytes as people ask for it: in MiB where that is exact.
func roundBytes(n int64) string {
	const mebi = 1 << 20
	if n%mebi == 0 {
		return fmt.Sprintf("%d MiB", n/mebi)
	}
	return fmt.Sprintf("%d bytes", n)
}
