package docker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

const createTimeout = time.Minute

// CreateOptions is a container to be made.
type CreateOptions struct {
	Name      string
	Image     string
	Env       []string
	Command   []string
	Labels    map[string]string
	Ports     []Port
	Mounts    []Mount // Type volume or bind
	Restart   string  // no | always | unless-stopped | on-failure[:n]
	StopGrace time.Duration

	Entrypoint []string     // empty: the image's
	User       string       // empty: the image's
	WorkDir    string       // empty: the image's
	Networks   []Attachment // user-defined ones; empty: the engine's default one
	Check      *Healthcheck // instead of the image's; nil: the image's
	Memory     int64        // bytes; 0: no limit, as the next two
	NanoCPUs   int64        // a billionth of a processor
	Pids       int64
	Init       bool // a process of the engine reaps what the program leaves
	ReadOnly   bool // the writable layer cannot be written to
	CapAdd     []string
	CapDrop    []string
	Privileged bool
	// The host's own, instead of the container's.
	HostNetwork, HostPID, HostIPC bool
}

// Attachment is a network and the names that a container has in it beside its own.
type Attachment struct {
	Network string
	Aliases []string
}

// Healthcheck is what an engine runs in a container to know its health; what is 0 is as the image or the engine has it.
type Healthcheck struct {
	Test                           []string // CMD and words, CMD-SHELL and a line, or NONE; empty: the image's
	Interval, Timeout, StartPeriod time.Duration
	Retries                        int
}

// Create makes a container and does not start it. ErrNotFound: the image or a network is not on the engine.
// ErrConflict: the name is taken.
func (e *Engine) Create(ctx context.Context, o CreateOptions) (id string, err error) {
	doing := "create container " + o.Name
	request, err := o.request()
	if err != nil {
		return "", fmt.Errorf("%s: %w", doing, err)
	}
	if err := e.haveNetworks(ctx, o.networkNames()); err != nil {
		return "", fmt.Errorf("%s: %w", doing, err)
	}
	id, err = call(ctx, e, doing, createTimeout, func(ctx context.Context, s *session) (string, error) {
		made, err := s.cli.ContainerCreate(ctx, request)
		return made.ID, err
	})
	if err != nil {
		return "", err
	}
	if err := e.connectAll(ctx, id, o.moreNetworks()); err != nil {
		return "", errors.Join(fmt.Errorf("%s: %w", doing, err), e.takeBack(ctx, id))
	}
	return id, nil
}

func (o CreateOptions) request() (client.ContainerCreateOptions, error) {
	exposed, bindings, err := portMap(o.Ports)
	if err != nil {
		return client.ContainerCreateOptions{}, err
	}
	host, err := o.hostConfig()
	if err != nil {
		return client.ContainerCreateOptions{}, err
	}
	host.PortBindings = bindings
	return client.ContainerCreateOptions{
		Name:             o.Name,
		HostConfig:       host,
		NetworkingConfig: o.firstNetwork(),
		Config: &container.Config{
			Image:        o.Image,
			Env:          o.Env,
			Entrypoint:   o.Entrypoint,
			Cmd:          o.Command,
			User:         o.User,
			WorkingDir:   o.WorkDir,
			Labels:       o.Labels,
			ExposedPorts: exposed,
			Healthcheck:  o.Check.request(),
			StopTimeout:  seconds(o.StopGrace),
		},
	}, nil
}

func (o CreateOptions) hostConfig() (*container.HostConfig, error) {
	restart, err := restartPolicy(o.Restart)
	if err != nil {
		return nil, err
	}
	host := &container.HostConfig{
		RestartPolicy: restart, NetworkMode: o.networkMode(), Privileged: o.Privileged, ReadonlyRootfs: o.ReadOnly,
		CapAdd: o.CapAdd, CapDrop: o.CapDrop,
		Resources: container.Resources{Memory: o.Memory, NanoCPUs: o.NanoCPUs},
	}
	if o.Pids > 0 {
		host.PidsLimit = &o.Pids
	}
	if o.Init {
		host.Init = &o.Init
	}
	if o.HostPID {
		host.PidMode = "host"
	}
	if o.HostIPC {
		host.IpcMode = container.IPCModeHost
	}
	for _, m := range o.Mounts {
		wanted, err := m.request()
		if err != nil {
			return nil, err
		}
		host.Mounts = append(host.Mounts, wanted)
	}
	return host, nil
}

// networkMode is the network that a container is made in; the engine's default one is not named.
func (o CreateOptions) networkMode() container.NetworkMode {
	switch {
	case o.HostNetwork:
		return network.NetworkHost
	case len(o.Networks) > 0:
		return container.NetworkMode(o.Networks[0].Network)
	}
	return ""
}

// firstNetwork is the place in the network that a container is made in: before API 1.44 it can be one only.
func (o CreateOptions) firstNetwork() *network.NetworkingConfig {
	if len(o.Networks) == 0 || o.HostNetwork {
		return nil
	}
	first := o.Networks[0]
	return &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{first.Network: {Aliases: first.Aliases}}}
}

// moreNetworks are those to connect to after it was made.
func (o CreateOptions) moreNetworks() map[string]endpoint {
	if len(o.Networks) == 0 || o.HostNetwork {
		return nil
	}
	more := map[string]endpoint{}
	for _, a := range o.Networks[1:] {
		more[a.Network] = endpoint{Aliases: a.Aliases}
	}
	return more
}

func (o CreateOptions) networkNames() []string {
	var names []string
	for _, a := range o.Networks {
		names = append(names, a.Network)
	}
	return names
}

func (h *Healthcheck) request() *container.HealthConfig {
	if h == nil {
		return nil
	}
	return &container.HealthConfig{Test: h.Test, Interval: h.Interval, Timeout: h.Timeout, StartPeriod: h.StartPeriod, Retries: h.Retries}
}

func restartPolicy(text string) (container.RestartPolicy, error) {
	name, count, counted := strings.Cut(text, ":")
	policy := container.RestartPolicy{Name: container.RestartPolicyMode(name)}
	switch policy.Name {
	case "":
		policy.Name = container.RestartPolicyDisabled
	case container.RestartPolicyDisabled, container.RestartPolicyAlways, container.RestartPolicyUnlessStopped, container.RestartPolicyOnFailure:
	default:
		return policy, fmt.Errorf("%w: restart policy %q is not one of no, always, unless-stopped, on-failure[:n]", ErrInvalid, text)
	}
	if !counted {
		return policy, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || policy.Name != container.RestartPolicyOnFailure {
		return policy, fmt.Errorf("%w: restart policy %q: only on-failure takes a number of tries", ErrInvalid, text)
	}
	policy.MaximumRetryCount = n
	return policy, nil
}

func portMap(ports []Port) (network.PortSet, network.PortMap, error) {
	if len(ports) == 0 {
		return nil, nil, nil
	}
	exposed, bindings := network.PortSet{}, network.PortMap{}
	for _, p := range ports {
		key, err := network.ParsePort(strconv.Itoa(p.Container) + "/" + p.Protocol)
		if err != nil || p.Container == 0 {
			return nil, nil, fmt.Errorf("%w: container port %d/%s", ErrInvalid, p.Container, p.Protocol)
		}
		if p.Host < 0 || p.Host > 65535 {
			return nil, nil, fmt.Errorf("%w: host port %d", ErrInvalid, p.Host)
		}
		var binding network.PortBinding
		if p.Host != 0 {
			binding.HostPort = strconv.Itoa(p.Host)
		}
		if p.HostIP != "" {
			if binding.HostIP, err = netip.ParseAddr(p.HostIP); err != nil {
				return nil, nil, fmt.Errorf("%w: host address %q of port %d", ErrInvalid, p.HostIP, p.Container)
			}
		}
		exposed[key] = struct{}{}
		bindings[key] = append(bindings[key], binding)
	}
	return exposed, bindings, nil
}

func (m Mount) request() (mount.Mount, error) {
	out := mount.Mount{Type: mount.Type(m.Type), Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly}
	switch out.Type {
	case mount.TypeVolume:
		if m.Name != "" {
			out.Source = m.Name
		}
	case mount.TypeBind:
	default:
		return out, fmt.Errorf("%w: a mount at %s of type %q; only volume and bind are made", ErrInvalid, m.Target, m.Type)
	}
	return out, nil
}
