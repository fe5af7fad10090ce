package docker

import (
	"context"
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
}

// Create makes a container and does not start it. ErrNotFound: the image is not on the engine.
// ErrConflict: the name is taken.
func (e *Engine) Create(ctx context.Context, o CreateOptions) (id string, err error) {
	doing := "create container " + o.Name
	request, err := o.request()
	if err != nil {
		return "", fmt.Errorf("%s: %w", doing, err)
	}
	return call(ctx, e, doing, createTimeout, func(ctx context.Context, s *session) (string, error) {
		made, err := s.cli.ContainerCreate(ctx, request)
		return made.ID, err
	})
}

func (o CreateOptions) request() (client.ContainerCreateOptions, error) {
	restart, err := restartPolicy(o.Restart)
	if err != nil {
		return client.ContainerCreateOptions{}, err
	}
	exposed, bindings, err := portMap(o.Ports)
	if err != nil {
		return client.ContainerCreateOptions{}, err
	}
	host := &container.HostConfig{RestartPolicy: restart, PortBindings: bindings}
	for _, m := range o.Mounts {
		wanted, err := m.request()
		if err != nil {
			return client.ContainerCreateOptions{}, err
		}
		host.Mounts = append(host.Mounts, wanted)
	}
	return client.ContainerCreateOptions{
		Name:       o.Name,
		HostConfig: host,
		Config: &container.Config{
			Image:        o.Image,
			Env:          o.Env,
			Cmd:          o.Command,
			Labels:       o.Labels,
			ExposedPorts: exposed,
			StopTimeout:  seconds(o.StopGrace),
		},
	}, nil
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
