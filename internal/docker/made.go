package docker

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Made is how a container was made by whoever made it: what was asked for, without what its image gives by itself.
type Made struct {
	Env       []string // NAME=value
	Command   []string
	Labels    map[string]string
	Ports     []Port // as asked for; an empty address of the engine is all of them, 0.0.0.0
	Mounts    []Mount
	Restart   string // no | always | unless-stopped | on-failure[:n]
	StopGrace time.Duration
	Networks  []string // but for the engine's own
	// RemovedAtEnd: the engine removes it by itself when it ends (--rm).
	RemovedAtEnd bool
	// Others are what else was asked for, in words, each one a line of its own.
	Others []string
}

// Made reads how the container was made. Image are the defaults of its image; the zero value takes all as asked for.
func (c Container) Made(image Defaults) (Made, error) {
	var in madeInspect
	if err := json.Unmarshal(c.Raw, &in); err != nil {
		return Made{}, fmt.Errorf("read how container %s was made: %w", c.Name, err)
	}
	m := Made{
		Env: slices.DeleteFunc(without(in.Config.Env, image.Env), func(v string) bool { return ownVariable(v, c.ID) }), Labels: notIn(in.Config.Labels, image.Labels), Mounts: c.Mounts,
		Ports: in.HostConfig.ports(), Restart: in.HostConfig.restart(), RemovedAtEnd: in.HostConfig.AutoRemove,
	}
	if !slices.Equal(in.Config.Cmd, image.Command) {
		m.Command = in.Config.Cmd
	}
	if in.Config.StopTimeout != nil && *in.Config.StopTimeout > 0 {
		m.StopGrace = time.Duration(*in.Config.StopTimeout) * time.Second
	}
	for _, name := range slices.Sorted(maps.Keys(c.Networks)) {
		if !slices.Contains(engineNetworks, name) {
			m.Networks = append(m.Networks, name)
		}
	}
	m.Others = append(in.Config.others(image, c.ID), in.HostConfig.others()...)
	return m, nil
}

// madeInspect are the parts of an inspect that say what was asked for.
type madeInspect struct {
	Config     madeConfig
	HostConfig madeHost
}

type madeConfig struct {
	Env, Cmd, Entrypoint []string
	Labels               map[string]string
	User, WorkingDir     string
	Hostname, Domainname string
	StopSignal           string
	StopTimeout          *int
	Tty, OpenStdin       bool
	Healthcheck          *struct{ Test []string }
}

// others are what of the container itself was asked for, and is neither its image's nor of Made's own fields.
func (c madeConfig) others(image Defaults, id string) []string {
	var said []string
	say := func(is bool, format string, args ...any) {
		if is {
			said = append(said, fmt.Sprintf(format, args...))
		}
	}
	say(len(c.Entrypoint) > 0 && !slices.Equal(c.Entrypoint, image.Entrypoint), "the entrypoint %q", c.Entrypoint)
	say(len(c.Entrypoint) == 0 && len(image.Entrypoint) > 0, "that the entrypoint of its image is not used")
	say(c.User != image.User, "the user %q", c.User)
	say(strings.TrimSuffix(c.WorkingDir, "/") != strings.TrimSuffix(image.WorkingDir, "/"), "the working folder %q", c.WorkingDir)
	say(c.Hostname != "" && c.Hostname != shortID(id), "the host name %q", c.Hostname)
	say(c.Domainname != "", "the domain name %q", c.Domainname)
	say(c.StopSignal != "" && c.StopSignal != image.StopSignal && c.StopSignal != "SIGTERM" && c.StopSignal != "15", "the stop signal %s", c.StopSignal)
	say(c.Tty, "a terminal")
	say(c.OpenStdin, "an open standard input")
	return said
}

type madeHost struct {
	Privileged, PublishAllPorts, ReadonlyRootfs, AutoRemove, OomKillDisable bool
	Init                                                                    *bool
	CapAdd, CapDrop, SecurityOpt, ExtraHosts, DNS, Links, VolumesFrom       []string
	GroupAdd                                                                []string
	NetworkMode, PidMode, IpcMode, UTSMode, UsernsMode, Runtime             string
	Devices, DeviceRequests                                                 []json.RawMessage
	Memory, NanoCpus, CPUQuota, CPUShares, ShmSize                          int64
	CpusetCpus                                                              string
	PidsLimit                                                               *int64
	Tmpfs, Sysctls                                                          map[string]string
	LogConfig                                                               struct{ Config map[string]string }
	RestartPolicy                                                           struct {
		Name              string
		MaximumRetryCount int
	}
	PortBindings map[string][]struct{ HostIP, HostPort string }
}

func (h madeHost) restart() string {
	switch p := h.RestartPolicy; {
	case p.Name == "":
		return "no"
	case p.Name == "on-failure" && p.MaximumRetryCount > 0:
		return p.Name + ":" + strconv.Itoa(p.MaximumRetryCount)
	default:
		return p.Name
	}
}

// ports are those that were asked for, in order. What cannot be read is left to others.
func (h madeHost) ports() []Port {
	var ports []Port
	for _, key := range slices.Sorted(maps.Keys(h.PortBindings)) {
		number, protocol, _ := strings.Cut(key, "/")
		container, err := strconv.Atoi(number)
		if err != nil {
			continue
		}
		for _, b := range h.PortBindings[key] {
			host, err := strconv.Atoi(b.HostPort)
			if err != nil {
				host = 0 // empty: the engine chose
			}
			ports = append(ports, Port{Container: container, Host: host, HostIP: everyAddress(b.HostIP), Protocol: protocol})
		}
	}
	return ports
}

// everyAddress is the address that an empty one stands for in an inspect.
func everyAddress(ip string) string {
	if _, err := netip.ParseAddr(ip); err != nil {
		return "0.0.0.0"
	}
	return ip
}

// What engines give by themselves, Docker and podman.
var (
	usualShm  = []int64{64 << 20, 65_536_000} // bytes of /dev/shm
	usualPids = []int64{0, -1, 2048}
)

// others are what was asked of the host beside ports, mounts and restart policy.
func (h madeHost) others() []string {
	var said []string
	say := func(is bool, format string, args ...any) {
		if is {
			said = append(said, fmt.Sprintf(format, args...))
		}
	}
	list := func(what string, items []string) { say(len(items) > 0, "%s %s", what, strings.Join(items, ", ")) }
	say(h.Privileged, "all power over its host (privileged)")
	list("the added capabilities", h.CapAdd)
	list("the dropped capabilities", h.CapDrop)
	say(len(h.Devices)+len(h.DeviceRequests) > 0, "%d devices of the host", len(h.Devices)+len(h.DeviceRequests))
	say(h.NetworkMode == "host" || h.NetworkMode == "none" || strings.HasPrefix(h.NetworkMode, "container:"), "the network mode %s", h.NetworkMode)
	for what, mode := range map[string]string{"process": h.PidMode, "IPC": h.IpcMode, "UTS": h.UTSMode, "user": h.UsernsMode} {
		say(mode == "host" || strings.HasPrefix(mode, "container:"), "the %s namespace of %s", what, mode)
	}
	say(h.PublishAllPorts, "every port of its image published")
	say(h.ReadonlyRootfs, "a root folder that cannot be written")
	say(h.OomKillDisable, "that the kernel does not kill it for want of memory")
	say(h.Init != nil && *h.Init, "an init process")
	say(h.Memory > 0, "a limit of %s of memory", roundBytes(h.Memory))
	say(h.NanoCpus > 0 || h.CPUQuota > 0 || h.CPUShares > 0 || h.CpusetCpus != "", "a limit of processors")
	say(h.PidsLimit != nil && !slices.Contains(usualPids, *h.PidsLimit), "a limit of processes")
	say(h.ShmSize > 0 && !slices.Contains(usualShm, h.ShmSize), "%s of shared memory", roundBytes(h.ShmSize))
	list("the security options", h.SecurityOpt)
	list("the known hosts", h.ExtraHosts)
	list("the name servers", h.DNS)
	list("the links", h.Links)
	list("the volumes of", h.VolumesFrom)
	list("the groups", h.GroupAdd)
	list("the kernel settings", slices.Sorted(maps.Keys(h.Sysctls)))
	list("folders in memory at", slices.Sorted(maps.Keys(h.Tmpfs)))
	list("options of its log:", slices.Sorted(maps.Keys(h.LogConfig.Config)))
	slices.Sort(said)
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

// ownVariable reports whether a variable is one that podman itself gives to a container.
func ownVariable(v, id string) bool {
	return v == "container=podman" || v == "HOSTNAME="+shortID(id)
}

func without(all, some []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(one string) bool { return slices.Contains(some, one) })
}

func notIn(all, some map[string]string) map[string]string {
	left := maps.Clone(all)
	maps.DeleteFunc(left, func(k, v string) bool {
		known, ok := some[k]
		return ok && known == v
	})
	return left
}

// FullID reports whether s can be the whole id of a container: 64 hex digits.
func FullID(s string) bool { return fullID(s) }
