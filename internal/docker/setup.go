package docker

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
)

// usualPeriod is what a quota of processor time is of where nobody says otherwise, in microseconds.
const usualPeriod = 100_000

// Setup is what an inspect says that a container was made with, in the words of CreateOptions. What the image gave is in
// it too: an engine does not tell the two apart.
type Setup struct {
	Name       string
	Image      string
	Env        []string
	Entrypoint []string
	Command    []string
	User       string
	WorkDir    string
	Labels     map[string]string
	Ports      []Port       // as asked for: Host is 0 where the engine may choose, and an address that is left open is all of them, 0.0.0.0
	Mounts     []Mount      // volumes, also anonymous ones, which the image may have asked for, and folders of the host
	Networks   []Attachment // but for the engine's own
	Restart    string       // no | always | unless-stopped | on-failure[:n]
	StopGrace  int          // seconds; 0: the engine's
	Check      *Healthcheck
	Memory     int64
	NanoCPUs   int64
	Pids       int64
	Init       bool
	ReadOnly   bool
	CapAdd     []string
	CapDrop    []string
	Privileged bool

	HostNetwork, HostPID, HostIPC bool
}

// ReadSetup reads an inspect, whole.
func ReadSetup(inspect []byte) (Setup, error) {
	var in container.InspectResponse
	if err := json.Unmarshal(inspect, &in); err != nil {
		return Setup{}, fmt.Errorf("read an inspect: %w", err)
	}
	if in.ID == "" || in.Config == nil || in.HostConfig == nil {
		return Setup{}, fmt.Errorf("read an inspect: %w: it has no container in it", ErrInvalid)
	}
	s := Setup{Name: strings.TrimPrefix(in.Name, "/"), Restart: restartWords(in.HostConfig.RestartPolicy)}
	s.readConfig(in.Config)
	s.readHost(in.HostConfig)
	s.readMounts(in.Mounts)
	s.readNetworks(in)
	return s, nil
}

func (s *Setup) readConfig(c *container.Config) {
	s.Image, s.Env, s.Entrypoint, s.Command = c.Image, c.Env, c.Entrypoint, c.Cmd
	s.User, s.WorkDir, s.Labels = c.User, c.WorkingDir, c.Labels
	if c.StopTimeout != nil {
		s.StopGrace = *c.StopTimeout
	}
	if h := c.Healthcheck; h != nil && len(h.Test) > 0 {
		s.Check = &Healthcheck{Test: h.Test, Interval: h.Interval, Timeout: h.Timeout, StartPeriod: h.StartPeriod, Retries: h.Retries}
	}
}

func (s *Setup) readHost(h *container.HostConfig) {
	if !h.NetworkMode.IsHost() { // there they mean nothing
		s.Ports = toPorts(h.PortBindings)
	}
	for i := range s.Ports {
		s.Ports[i].HostIP = cmp.Or(s.Ports[i].HostIP, "0.0.0.0")
	}
	s.Memory, s.NanoCPUs = h.Memory, h.NanoCPUs
	if s.NanoCPUs == 0 && h.CPUQuota > 0 { // podman keeps it in that way
		s.NanoCPUs = h.CPUQuota * 1_000_000_000 / cmp.Or(h.CPUPeriod, usualPeriod)
	}
	if h.PidsLimit != nil && *h.PidsLimit > 0 {
		s.Pids = *h.PidsLimit
	}
	s.Init = h.Init != nil && *h.Init
	s.ReadOnly, s.Privileged = h.ReadonlyRootfs, h.Privileged
	s.CapAdd, s.CapDrop = capabilities(h.CapAdd), capabilities(h.CapDrop)
	s.HostNetwork, s.HostPID, s.HostIPC = h.NetworkMode.IsHost(), h.PidMode.IsHost(), h.IpcMode.IsHost()
}

// readMounts leaves out what CreateOptions has no words for.
func (s *Setup) readMounts(found []container.MountPoint) {
	for _, point := range found {
		m := toMount(point)
		switch {
		case m.Type == "volume" && m.Name != "":
			m.Source = m.Name
		case m.Type == "bind" && path.IsAbs(m.Source):
			m.Source = path.Clean(m.Source)
		default:
			continue
		}
		s.Mounts = append(s.Mounts, m)
	}
	slices.SortFunc(s.Mounts, func(a, b Mount) int { return cmp.Compare(a.Target, b.Target) })
}

// readNetworks leaves the engine's own networks out, and of the aliases the container's id and its name: it has them anyway.
func (s *Setup) readNetworks(in container.InspectResponse) {
	if in.NetworkSettings == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(in.NetworkSettings.Networks)) {
		if EngineNetwork(name) {
			continue
		}
		a := Attachment{Network: name}
		if end := in.NetworkSettings.Networks[name]; end != nil {
			a.Aliases = slices.DeleteFunc(slices.Clone(end.Aliases), func(alias string) bool { return alias == shortID(in.ID) || alias == s.Name })
			slices.Sort(a.Aliases)
			a.Aliases = slices.Compact(a.Aliases)
		}
		s.Networks = append(s.Networks, a)
	}
}

// capabilities are called alike by all engines: NET_ADMIN, not CAP_NET_ADMIN.
func capabilities(names []string) []string {
	var list []string
	for _, name := range names {
		list = append(list, strings.TrimPrefix(strings.ToUpper(name), "CAP_"))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func restartWords(p container.RestartPolicy) string {
	switch {
	case p.Name == "":
		return string(container.RestartPolicyDisabled)
	case p.MaximumRetryCount > 0:
		return fmt.Sprintf("%s:%d", p.Name, p.MaximumRetryCount)
	}
	return string(p.Name)
}
