package deploy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/proxy"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// No request fails over a hundred deploys under load, through the proxy as it is; containers answer as long as they run.
func TestNoRequestFailsOverAHundredDeploys(t *testing.T) {
	bubble(t, store.Spec{}, func(t *testing.T, r *rig) {
		for _, tag := range []string{"1.0", "1.1"} {
			r.pretend.Publish(dockertest.Image{Ref: repository + ":" + tag, Health: true, Life: dockertest.Life{HealthAfter: 20 * time.Millisecond}})
		}
		r.setDrain(t, 200*time.Millisecond)
		inside := containers{rig: r, doors: map[string]chan net.Conn{}}
		defer inside.stop()
		led := proxy.NewServer(proxy.ServerOptions{Dial: inside.dial, Log: r.log})
		r.SwitchBy(func(_ context.Context, _ store.Stage, to store.InstanceView) error {
			return lead(led, proxy.Target{Ref: to.ID, URL: "http://" + nameInside(to.ContainerID)})
		})
		r.run()
		r.deploy("1.0")
		load := newLoad(t, led, 40*time.Millisecond)
		var last store.InstanceView
		for n := range 100 {
			last = r.deploy([]string{"1.1", "1.0"}[n%2])
		}
		load.stop(t)
		r.expectServing(t, last.ID)
		if _, err := led.Apply(proxy.Table{}); err != nil { // idle connections end with it
			t.Error(err)
		}
	})
}

// lead has all requests go to one target.
func lead(by *proxy.Server, to proxy.Target) error {
	_, err := by.Apply(proxy.Table{Rules: []proxy.Rule{{
		ID: "shop", Kind: proxy.KindRoute, Addresses: []proxy.Address{{Domain: "shop.example", PathPrefix: "/"}}, Targets: []proxy.Target{to},
	}}})
	return err
}

// nameInside is a name of the network for a container, which only containers.dial knows.
func nameInside(id string) string { return "c" + id[:32] }

// containers answer requests in the place of the processes in the pretend ones: each as long as its container runs.
type containers struct {
	*rig
	mu      sync.Mutex
	doors   map[string]chan net.Conn // by container
	servers []*http.Server
}

// listener takes the connections of one container.
type listener struct {
	door  chan net.Conn
	ended chan struct{}
	once  sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.door:
		return c, nil
	case <-l.ended:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.ended) })
	return nil
}

func (l *listener) Addr() net.Addr { return &net.TCPAddr{} }

func (c *containers) runs(id string) bool {
	found := c.pretend.Container(id)
	return found != nil && found.Facts().State == "running"
}

func (c *containers) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	id := ""
	for _, one := range c.pretend.Containers() {
		if addr == nameInside(one.ID)+":80" {
			id = one.ID
		}
	}
	if id == "" || !c.runs(id) {
		return nil, errors.New("connection refused")
	}
	near, far := net.Pipe()
	select {
	case c.door(id) <- far:
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// door is where connections to a container go; the first one has it served.
func (c *containers) door(id string) chan net.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.doors[id] == nil {
		l := &listener{door: make(chan net.Conn), ended: make(chan struct{})}
		srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			select {
			case <-time.After(30 * time.Millisecond): // it works on it
			case <-req.Context().Done():
			}
			if !c.runs(id) {
				panic(http.ErrAbortHandler) // its process was killed
			}
			_, _ = fmt.Fprint(w, id)
		})}
		c.doors[id] = l.door
		c.servers = append(c.servers, srv)
		go func() { _ = srv.Serve(l) }()
	}
	return c.doors[id]
}

func (c *containers) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, srv := range c.servers {
		_ = srv.Close()
	}
}
