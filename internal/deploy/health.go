package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	lookFirst     = 25 * time.Millisecond // after the first look: most are up at once. Each pause is twice the one before
	lookEvery     = 250 * time.Millisecond
	upFor         = 10 * time.Second
	healthTimeout = 60 * time.Second // of an HTTP path, a TCP port or staying up
	checkTimeout  = 3 * time.Minute  // of an image's HEALTHCHECK, whose interval is 30 s by default
	probeTimeout  = 2 * time.Second
	maxInspects   = 20 // in a row that may fail before the engine is given up
)

// errDown ends the wait for health at once: it will not come.
var errDown = errors.New("not healthy")

// awaitHealthy waits until the new container is proved healthy, and returns how it was found then.
func (r *rollout) awaitHealthy(ctx context.Context) (docker.Container, error) {
	w := &watch{rule: r.spec.Health, host: engineHost(r.eng.Endpoint())}
	within := r.spec.Health.Timeout
	began, missed := time.Now(), 0
	for pause := lookFirst; ; pause = min(2*pause, lookEvery) {
		c, err := r.eng.Inspect(ctx, r.inst.ContainerID)
		switch {
		case errors.Is(err, docker.ErrNotFound):
			return c, fmt.Errorf("%w: %s was removed by somebody else meanwhile", errDown, r.inst.Name)
		case err != nil && missed == maxInspects:
			return c, fmt.Errorf("look at %s: %w", r.inst.Name, err)
		case err != nil:
			missed++
		default:
			missed = 0
			healthy, err := w.look(ctx, c, time.Now())
			if healthy || err != nil {
				return c, err
			}
			r.tellWhy(ctx, w)
			if within == 0 {
				within = w.patience(c)
			}
		}
		if within > 0 && time.Since(began) >= within {
			return c, fmt.Errorf("%w within %s: %s", errDown, within, w.why)
		}
		select {
		case <-ctx.Done():
			return c, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// tellWhy writes into the log what is still wanting, when that is news and not all the time.
func (r *rollout) tellWhy(ctx context.Context, w *watch) {
	if w.why != w.told && time.Since(w.toldAt) >= keepEvery {
		w.told, w.toldAt = w.why, time.Now()
		r.tell.note(ctx, "not healthy yet: "+w.why)
	}
}

// watch follows one container until its rule of health is met.
type watch struct {
	rule     store.Health
	host     string // where published ports are reached; empty: this machine
	started  time.Time
	restarts int
	since    time.Time // up since, as first seen
	why      string    // it is not healthy yet
	told     string    // of that, last
	toldAt   time.Time
}

func (w *watch) patience(c docker.Container) time.Duration {
	if w.rule.Kind == store.HealthAuto && checkedByEngine(c) {
		return checkTimeout
	}
	return healthTimeout
}

// checkedByEngine tells whether the engine runs the image's HEALTHCHECK; podman without
// systemd has one and leaves its result empty.
func checkedByEngine(c docker.Container) bool { return c.HasHealthcheck && c.Health != "" }

// look judges one inspect; an error means that it will never be healthy.
func (w *watch) look(ctx context.Context, c docker.Container, now time.Time) (bool, error) {
	if err := w.stays(c, now); err != nil {
		return false, err
	}
	if c.State != docker.StateRunning {
		w.why = "it is " + string(c.State)
		return false, nil
	}
	switch w.rule.Kind {
	case store.HealthHTTP:
		return w.asks(ctx, c, askHTTP), nil
	case store.HealthTCP:
		return w.asks(ctx, c, askTCP), nil
	case store.HealthAuto:
	default: // refused by ValidateSpec
	}
	if !checkedByEngine(c) {
		w.why = "it has not been up for " + upFor.String()
		return now.Sub(w.since) >= upFor, nil
	}
	w.why = "the image's HEALTHCHECK says " + c.Health
	if c.Health == "unhealthy" {
		return false, fmt.Errorf("%w: %s", errDown, w.why)
	}
	return c.Health == "healthy", nil
}

// stays tells a container that ended or was started again by the engine.
func (w *watch) stays(c docker.Container, now time.Time) error {
	if w.since.IsZero() {
		w.since, w.started, w.restarts = now, c.StartedAt, c.RestartCount
	}
	switch c.State {
	case docker.StateExited, docker.StateDead, docker.StateRemoving, docker.StateCreated:
		why := fmt.Sprintf("it ended with code %d", c.ExitCode)
		if c.OOMKilled {
			why = "it ran out of memory"
		}
		if c.Error != "" {
			why += " (" + c.Error + ")"
		}
		return fmt.Errorf("%w: %s", errDown, why)
	case docker.StateRestarting:
		return fmt.Errorf("%w: it crashes (code %d) and the engine starts it again and again", errDown, c.ExitCode)
	case docker.StateRunning, docker.StatePaused:
	default: // an unknown state is waited out
	}
	if c.RestartCount != w.restarts || !c.StartedAt.Equal(w.started) {
		return fmt.Errorf("%w: it crashed and was started again by the engine", errDown)
	}
	return nil
}

// asks tries every way to the container's port until one answers well.
func (w *watch) asks(ctx context.Context, c docker.Container, ask func(context.Context, string, string) error) bool {
	addrs := addresses(c, w.rule.Port, w.host)
	if len(addrs) == 0 {
		w.why = unreached(w.rule.Port, w.host)
		return false
	}
	var whys []string
	for _, addr := range addrs {
		err := ask(ctx, addr, w.rule.Path)
		if err == nil {
			return true
		}
		whys = append(whys, err.Error())
	}
	w.why = strings.Join(whys, "; ")
	return false
}

// unreached says that there is no way to a port, and what to do where the engine's machine is another one.
func unreached(port int, host string) string {
	if elsewhere(host) {
		return fmt.Sprintf("port %d cannot be reached from here: on %s it is published at a loopback address or not at all; publish it on an address that reaches this machine (host_ip of the port)", port, host)
	}
	return fmt.Sprintf("port %d is not published and the container has no address", port)
}

// addresses are the ways to a container's port: where it is published, then the container's own addresses, or those of a
// host whose network it uses. What only another machine can dial is none: here somebody else may answer at it.
func addresses(c docker.Container, port int, host string) []string {
	var list []string
	for _, p := range c.Ports {
		if p.Container != port || p.Host == 0 || p.Protocol == "udp" {
			continue
		}
		ip := p.HostIP
		if ip == "" || ip == "0.0.0.0" || ip == "::" {
			ip = cmp.Or(host, "127.0.0.1")
		} else if elsewhere(host) && loopback(ip) {
			continue
		}
		list = append(list, net.JoinHostPort(ip, strconv.Itoa(p.Host)))
	}
	for name, ip := range c.Networks {
		if name == "host" {
			list = append(list, net.JoinHostPort(cmp.Or(host, "127.0.0.1"), strconv.Itoa(port)))
		}
		if ip != "" && !elsewhere(host) {
			list = append(list, net.JoinHostPort(ip, strconv.Itoa(port)))
		}
	}
	return list
}

// elsewhere tells that the host of an engine is another machine than this one.
func elsewhere(host string) bool { return host != "" && !loopback(host) }

func loopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// engineHost is the machine of an engine that is reached over TCP or ssh; empty: this one.
func engineHost(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme == "unix" {
		return ""
	}
	return u.Hostname()
}

// askTCP connects. The engine's own port proxy accepts also when nothing listens behind it and then
// hangs up, so a connection that is closed at once does not count.
func askTCP(ctx context.Context, addr, _ string) error {
	dialer := net.Dialer{Timeout: probeTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // it was only opened to see that it can be
	if err := conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
		return err
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%s hung up at once", addr)
	}
	return nil
}

// askHTTP asks for a path; any answer of 200 to 399 is a good one.
func askHTTP(ctx context.Context, addr, path string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return fmt.Errorf("ask http://%s%s: %w", addr, path, err)
	}
	req.Header.Set("User-Agent", "docker-watcher health")
	req.Close = true
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, Proxy: nil},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // it is read to its end or given up
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)); err != nil {
		return fmt.Errorf("read http://%s%s: %w", addr, path, err)
	}
	if resp.StatusCode >= 400 {
		return fmt.Errorf("http://%s%s answers %d", addr, path, resp.StatusCode)
	}
	return nil
}
