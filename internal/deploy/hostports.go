package deploy

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// freePorts refuses a deploy whose fixed host ports somebody else's container holds, before anything is pulled or stopped
// for it. What holds them and is not a container is told by the engine at the start.
func (r *rollout) freePorts(ctx context.Context) error {
	if r.dep.State != store.DeployPulling || !asksHostPort(r.spec) {
		return nil
	}
	held, err := r.eng.PublishedPorts(ctx)
	if err != nil {
		return because(fmt.Errorf("look whether the host ports are free: %w", err), "see that the engine is well, then deploy again")
	}
	former, _, err := r.formerInTheWay(ctx)
	if err != nil {
		return err
	}
	ours := map[string]bool{r.inst.Name: true}
	if former != nil {
		ours[former.Name] = true // it is stopped first
	}
	if port, by := takenPort(r.spec.Ports, held, ours); by != "" {
		return because(fmt.Errorf("spec.ports: the host port %s is held by the container %s", port, by),
			"give the stage another host port, or none so that the engine chooses, or stop "+by)
	}
	return nil
}

func asksHostPort(s store.Spec) bool {
	for _, p := range s.Ports {
		if p.Host > 0 {
			return true
		}
	}
	return false
}

// takenPort is the first host port that a container which is not among ours holds, and its name; all addresses collide with each.
func takenPort(wanted []store.Port, held map[string]string, ours map[string]bool) (port, by string) {
	for _, w := range wanted {
		p := enginePort(w)
		if p.Host == 0 {
			continue
		}
		for at, name := range held {
			address, protocol, _ := strings.Cut(at, "/")
			ip, number, err := net.SplitHostPort(address)
			if err != nil || ours[name] || protocol != p.Protocol || number != strconv.Itoa(p.Host) || !sameAddress(ip, p.HostIP) {
				continue
			}
			return net.JoinHostPort(p.HostIP, number) + "/" + protocol, name
		}
	}
	return "", ""
}

// joinNetworks connects the new container to the networks after its first one, should a crash have come between.
func (r *rollout) joinNetworks(ctx context.Context) error {
	if len(r.spec.Networks) < 2 || r.reused() {
		return nil
	}
	if err := r.eng.Join(ctx, r.owned(r.inst.Instance), attachments(r.spec)); err != nil {
		return because(fmt.Errorf("%s: %w", r.inst.Name, err), createAdvice(err, r.inst.Name))
	}
	return nil
}
