package docker

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

const (
	// inspectTimeout: the inspect of one container can hang while all others answer.
	inspectTimeout = 10 * time.Second
	// sizeTimeout is longer: the engine walks the files of the writable layer.
	sizeTimeout = time.Minute
)

// Inspect returns all about one container, by id or name.
func (e *Engine) Inspect(ctx context.Context, id string) (Container, error) {
	return e.inspect(ctx, id, false, inspectTimeout)
}

// InspectSize also measures the writable layer, which can be slow.
func (e *Engine) InspectSize(ctx context.Context, id string) (Container, error) {
	return e.inspect(ctx, id, true, sizeTimeout)
}

func (e *Engine) inspect(ctx context.Context, id string, size bool, timeout time.Duration) (Container, error) {
	return call(ctx, e, "inspect container "+id, timeout, func(ctx context.Context, s *session) (Container, error) {
		got, err := s.cli.ContainerInspect(ctx, id, client.ContainerInspectOptions{Size: size})
		if err != nil {
			return Container{}, err
		}
		if got.Container.ID == "" || got.Container.State == nil {
			return Container{}, fmt.Errorf("%w: its answer has no container in it", ErrEngine)
		}
		return toContainer(got.Container, got.Raw), nil
	})
}

// ReadInspect reads an inspect that was kept.
func ReadInspect(raw []byte) (Container, error) {
	var in container.InspectResponse
	if err := json.Unmarshal(raw, &in); err != nil {
		return Container{}, fmt.Errorf("read a kept inspect: %w", err)
	}
	if in.ID == "" || in.State == nil {
		return Container{}, fmt.Errorf("read a kept inspect: %w: it has no container in it", ErrInvalid)
	}
	return toContainer(in, raw), nil
}

func toContainer(in container.InspectResponse, raw []byte) Container {
	c := Container{
		ID:            in.ID,
		Name:          strings.TrimPrefix(in.Name, "/"),
		ImageID:       in.Image,
		State:         foldState(string(in.State.Status)),
		Running:       in.State.Running,
		CreatedAt:     engineTime(in.Created),
		StartedAt:     engineTime(in.State.StartedAt),
		FinishedAt:    engineTime(in.State.FinishedAt),
		ExitCode:      in.State.ExitCode,
		OOMKilled:     in.State.OOMKilled,
		RestartCount:  in.RestartCount,
		RestartPolicy: string(container.RestartPolicyDisabled),
		Error:         in.State.Error,
		Health:        healthOf(in.State.Health),
		SizeRw:        -1,
		Raw:           raw,
	}
	if in.SizeRw != nil {
		c.SizeRw = *in.SizeRw
	}
	if in.HostConfig != nil && in.HostConfig.RestartPolicy.Name != "" {
		c.RestartPolicy = string(in.HostConfig.RestartPolicy.Name)
	}
	if in.Config != nil {
		c.Image = in.Config.Image
		c.Labels = in.Config.Labels
		c.HasHealthcheck = hasTest(in.Config.Healthcheck)
		c.tty = in.Config.Tty
	}
	for _, m := range in.Mounts {
		c.Mounts = append(c.Mounts, toMount(m))
	}
	c.Networks = addresses(in.NetworkSettings)
	c.Ports = publishedPorts(in)
	return c
}

func healthOf(h *container.Health) string {
	if h == nil || h.Status == container.NoHealthcheck {
		return ""
	}
	return string(h.Status)
}

func hasTest(h *container.HealthConfig) bool {
	return h != nil && len(h.Test) > 0 && h.Test[0] != "NONE"
}

func toMount(m container.MountPoint) Mount {
	return Mount{
		Type:      string(m.Type),
		Name:      m.Name,
		Source:    m.Source,
		Target:    m.Destination,
		ReadOnly:  !m.RW,
		Anonymous: m.Type == mount.TypeVolume && fullID(m.Name),
	}
}

func addresses(n *container.NetworkSettings) map[string]string {
	out := map[string]string{}
	if n == nil {
		return out
	}
	for name, end := range n.Networks {
		out[name] = ""
		if end != nil && end.IPAddress.IsValid() {
			out[name] = end.IPAddress.String()
		}
	}
	return out
}

// publishedPorts are the real bindings, or while there are none (it does not run) those asked for.
func publishedPorts(in container.InspectResponse) []Port {
	var out []Port
	if in.NetworkSettings != nil {
		out = toPorts(in.NetworkSettings.Ports)
	}
	if len(out) == 0 && in.HostConfig != nil {
		out = toPorts(in.HostConfig.PortBindings)
	}
	return out
}

func toPorts(bindings network.PortMap) []Port {
	var out []Port
	for port, hosts := range bindings {
		for _, h := range hosts {
			number, err := strconv.Atoi(h.HostPort)
			if err != nil {
				number = 0 // empty: the engine may choose and has not yet
			}
			out = append(out, Port{Container: int(port.Num()), Host: number, HostIP: addrText(h.HostIP), Protocol: string(port.Proto())})
		}
	}
	slices.SortFunc(out, func(a, b Port) int {
		return cmp.Or(cmp.Compare(a.Container, b.Container), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.HostIP, b.HostIP), cmp.Compare(a.Host, b.Host))
	})
	return out
}

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
