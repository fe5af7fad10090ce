package docker_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
)

func newAt(t *testing.T, o docker.Options) *docker.Engine {
	t.Helper()
	e, err := docker.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func TestWaysThatCannotBeRight(t *testing.T) {
	a, b := enginetest.NewAuthority(t), enginetest.NewAuthority(t)
	cert, key := a.Issue("client")
	_, otherKey := b.Issue("client")
	plain, public := enginetest.SSHKey(t, "")
	sealed, _ := enginetest.SSHKey(t, "horse")
	const at, by = "tcp://10.0.0.5:2376", "ssh://deploy@10.0.0.5"
	for name, c := range map[string]struct {
		o     docker.Options
		field string
	}{
		"tcp without TLS":            {docker.Options{Endpoint: at}, "plain"},
		"tcp without a port":         {docker.Options{Endpoint: "tcp://10.0.0.5", Plain: true}, "endpoint"},
		"tcp without a host":         {docker.Options{Endpoint: "tcp://:2376", Plain: true}, "endpoint"},
		"tcp with a user":            {docker.Options{Endpoint: "tcp://a:b@10.0.0.5:2376", Plain: true}, "endpoint"},
		"https":                      {docker.Options{Endpoint: "https://10.0.0.5:2376"}, "endpoint"},
		"no certificate":             {docker.Options{Endpoint: at, TLS: &docker.TLS{CA: a.PEM}}, "tls.cert"},
		"no key":                     {docker.Options{Endpoint: at, TLS: &docker.TLS{CA: a.PEM, Cert: cert}}, "tls.key"},
		"key of another":             {docker.Options{Endpoint: at, TLS: &docker.TLS{CA: a.PEM, Cert: cert, Key: otherKey}}, "tls.key"},
		"no CA in it":                {docker.Options{Endpoint: at, TLS: &docker.TLS{CA: "x", Cert: cert, Key: key}}, "tls.ca"},
		"key as certificate":         {docker.Options{Endpoint: at, TLS: &docker.TLS{Cert: key, Key: key}}, "tls.cert"},
		"certificates on a socket":   {docker.Options{Endpoint: "unix:///x", TLS: &docker.TLS{Cert: cert, Key: key}}, "endpoint"},
		"ssh without a key":          {docker.Options{Endpoint: by}, "ssh.key"},
		"ssh without a user":         {docker.Options{Endpoint: "ssh://10.0.0.5", SSH: &docker.SSH{Key: plain}}, "endpoint"},
		"ssh with a password":        {docker.Options{Endpoint: "ssh://a:b@10.0.0.5", SSH: &docker.SSH{Key: plain}}, "endpoint"},
		"ssh with a query":           {docker.Options{Endpoint: by + "?x=y", SSH: &docker.SSH{Key: plain}}, "endpoint"},
		"no ssh key in it":           {docker.Options{Endpoint: by, SSH: &docker.SSH{Key: public}}, "ssh.key"},
		"encrypted, no passphrase":   {docker.Options{Endpoint: by, SSH: &docker.SSH{Key: sealed}}, "ssh.passphrase"},
		"encrypted, wrong one":       {docker.Options{Endpoint: by, SSH: &docker.SSH{Key: sealed, Passphrase: "cow"}}, "ssh.passphrase"},
		"a passphrase for nothing":   {docker.Options{Endpoint: by, SSH: &docker.SSH{Key: plain, Passphrase: "cow"}}, "ssh.passphrase"},
		"no host key in it":          {docker.Options{Endpoint: by, SSH: &docker.SSH{Key: plain, HostKey: "SHA256:abc"}}, "ssh.host_key"},
		"two host keys":              {docker.Options{Endpoint: by, SSH: &docker.SSH{Key: plain, HostKey: public + public}}, "ssh.host_key"},
		"a revoked host key":         {docker.Options{Endpoint: by, SSH: &docker.SSH{Key: plain, HostKey: "@revoked * " + public}}, "ssh.host_key"},
		"an ssh key on a socket":     {docker.Options{Endpoint: "unix:///x", SSH: &docker.SSH{Key: plain}}, "endpoint"},
		"an ssh key beside TLS's":    {docker.Options{Endpoint: at, Plain: true, SSH: &docker.SSH{Key: plain}}, "endpoint"},
		"certificates beside an ssh": {docker.Options{Endpoint: by, TLS: &docker.TLS{Cert: cert, Key: key}}, "endpoint"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := docker.New(c.o)
			misfit, ok := errors.AsType[docker.Misfit](err)
			if !ok || misfit.Field != c.field || !errors.Is(err, docker.ErrInvalid) {
				t.Fatalf("got %v, want the field %s", err, c.field)
			}
			for _, secret := range []string{plain, sealed, key, "horse", "cow"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("it tells a secret: %v", err)
				}
			}
		})
	}
	for name, o := range map[string]docker.Options{
		"plain tcp, allowed": {Endpoint: at, Plain: true},
		"TLS":                {Endpoint: at, TLS: &docker.TLS{CA: a.PEM, Cert: cert, Key: key}},
		"ssh, encrypted":     {Endpoint: by + ":2222/run/podman/podman.sock", SSH: &docker.SSH{Key: sealed, Passphrase: "horse", HostKey: "build-2 " + public}},
	} {
		newAt(t, o)
		if e := newAt(t, o); e.Endpoint() != o.Endpoint {
			t.Errorf("%s: at %s", name, e.Endpoint())
		}
	}
}

// inFrontTLS serves a pretend engine with TLS, as an engine with --tlsverify does.
func inFrontTLS(t *testing.T, e *dockertest.Engine, a *enginetest.Authority, newest uint16) (endpoint string) {
	t.Helper()
	cert, key := a.Issue("engine")
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM([]byte(a.PEM))
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients, MaxVersion: newest, //nolint:gosec // the test tries both
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go relay(t.Context(), c, e)
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return "tcp://" + l.Addr().String()
}

func relay(ctx context.Context, c net.Conn, e *dockertest.Engine) {
	defer func() { _ = c.Close() }()
	inner, err := e.Dial(ctx, "", "")
	if err != nil {
		return
	}
	defer func() { _ = inner.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	go func() {
		_, _ = io.Copy(inner, c)
		_ = inner.Close()
	}()
	_, _ = io.Copy(c, inner)
}

func TestTLS(t *testing.T) {
	for name, newest := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			ours, others := enginetest.NewAuthority(t), enginetest.NewAuthority(t)
			pretend := dockertest.Serve(t, dockertest.Options{})
			pretend.Run(dockertest.Template{Name: "app"})
			at := inFrontTLS(t, pretend, ours, newest)
			cert, key := ours.Issue("client")
			strange, strangeKey := others.Issue("client")
			for name, c := range map[string]struct {
				with docker.TLS
				kind error
				says string
			}{
				"as it should be":       {docker.TLS{CA: ours.PEM, Cert: cert, Key: key}, nil, ""},
				"by its name":           {docker.TLS{CA: ours.PEM, Cert: cert, Key: key, ServerName: "engine"}, nil, ""},
				"a strange client":      {docker.TLS{CA: ours.PEM, Cert: strange, Key: strangeKey}, docker.ErrRejected, "does not accept our certificate"},
				"a strange server":      {docker.TLS{CA: others.PEM, Cert: cert, Key: key}, docker.ErrUntrusted, "unknown authority"},
				"the machine's trust":   {docker.TLS{Cert: cert, Key: key}, docker.ErrUntrusted, "not to be trusted"},
				"by another's name":     {docker.TLS{CA: ours.PEM, Cert: cert, Key: key, ServerName: "other"}, docker.ErrUntrusted, "other"},
				"again as it should be": {docker.TLS{CA: ours.PEM, Cert: cert, Key: key}, nil, ""},
			} {
				e := newAt(t, docker.Options{Endpoint: at, TLS: &c.with})
				for range 3 {
					rows, err := e.List(t.Context(), docker.ListOptions{})
					if c.kind == nil && (err != nil || len(rows) != 1) {
						t.Errorf("%s: %d rows, %v", name, len(rows), err)
					}
					if c.kind != nil && (!errors.Is(err, c.kind) || !errors.Is(err, docker.ErrUnavailable) || !strings.Contains(err.Error(), c.says)) {
						t.Errorf("%s: %v", name, err)
					}
				}
			}
		})
	}
}

func TestTLSWhereNoneIsSpoken(t *testing.T) {
	a := enginetest.NewAuthority(t)
	cert, key := a.Issue("client")
	pretend := dockertest.Serve(t, dockertest.Options{})
	e := newAt(t, docker.Options{Endpoint: "tcp://10.0.0.5:2376", Dial: pretend.Dial, TLS: &docker.TLS{CA: a.PEM, Cert: cert, Key: key}})
	if err := e.Ping(t.Context()); !errors.Is(err, docker.ErrUntrusted) || !strings.Contains(err.Error(), "speaks no TLS") {
		t.Errorf("got %v", err)
	}
	plain := newAt(t, docker.Options{Endpoint: inFrontTLS(t, pretend, a, tls.VersionTLS13), Plain: true})
	if err := plain.Ping(t.Context()); err == nil || errors.Is(err, docker.ErrNotFound) {
		t.Errorf("plain against TLS: %v", err)
	}
}

// over is an engine behind a real ssh server.
func over(t *testing.T, s *enginetest.SSHD, e *dockertest.Engine, change func(*docker.SSH)) *docker.Engine {
	t.Helper()
	with := docker.SSH{Key: s.Key, HostKey: s.HostKey}
	if change != nil {
		change(&with)
	}
	return newAt(t, docker.Options{Endpoint: s.Endpoint(e.Endpoint()), SSH: &with})
}

func TestSSH(t *testing.T) {
	s := enginetest.StartSSHD(t)
	pretend := dockertest.Serve(t, dockertest.Options{})
	app := pretend.Run(dockertest.Template{Name: "app"})
	e := over(t, s, pretend, nil)

	// Twenty at once go through one connection.
	errs := make(chan error, 20)
	for range cap(errs) {
		go func() {
			_, err := e.Inspect(t.Context(), app.ID)
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}

	// A connection that breaks is an engine that cannot be asked, and is made anew.
	watched := make(chan docker.Event, 100)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Watch(ctx, func(ev docker.Event) { watched <- ev }) }()
	wantGap(t, watched, "connected")
	s.Cut()
	wantGap(t, watched, "reconnected")
	app.Stop()
	wantEvent(t, watched, "the end of the app", func(ev docker.Event) bool { return ev.Action == "die" && ev.ContainerID == app.ID })
	s.Stop()
	if _, err := e.Inspect(t.Context(), app.ID); !errors.Is(err, docker.ErrUnavailable) || errors.Is(err, docker.ErrNotFound) {
		t.Errorf("without a server: %v", err)
	}
	s.Start()
	if c, err := e.Inspect(t.Context(), app.ID); err != nil || c.State != docker.StateExited {
		t.Errorf("after it came back: %v, %v", c.State, err)
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("watch ended with %v", err)
	}
}

func wantGap(t *testing.T, watched <-chan docker.Event, reason string) {
	t.Helper()
	wantEvent(t, watched, "gap "+reason, func(ev docker.Event) bool { return ev.Gap && ev.Reason == reason })
}

func wantEvent(t *testing.T, watched <-chan docker.Event, what string, is func(docker.Event) bool) {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case ev := <-watched:
			if is(ev) {
				return
			}
		case <-late:
			t.Fatalf("no event: %s", what)
		}
	}
}

func TestSSHThatStandsStill(t *testing.T) {
	s := enginetest.StartSSHD(t)
	pretend := dockertest.Serve(t, dockertest.Options{})
	app := pretend.Run(dockertest.Template{Name: "app"})
	e := over(t, s, pretend, nil)
	if err := e.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Freeze()
	defer s.Thaw()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := e.Inspect(ctx, app.ID); !errors.Is(err, docker.ErrTimeout) {
		t.Errorf("got %v", err)
	}
	s.Thaw()
	if _, err := e.Inspect(t.Context(), app.ID); err != nil {
		t.Errorf("after it went on: %v", err)
	}
}

func TestSSHRefusals(t *testing.T) {
	s := enginetest.StartSSHD(t)
	closed := enginetest.StartSSHD(t, "AllowStreamLocalForwarding no")
	pretend := dockertest.Serve(t, dockertest.Options{})
	app := pretend.Run(dockertest.Template{Name: "app"})
	otherKey, otherLine := enginetest.SSHKey(t, "")
	for name, c := range map[string]struct {
		e    *docker.Engine
		kind error
		says string
	}{
		"another host key": {over(t, s, pretend, func(w *docker.SSH) { w.HostKey = otherLine }), docker.ErrUntrusted, "another key than the known one"},
		"host key of a kind that it has not": {over(t, s, pretend, func(w *docker.SSH) {
			w.HostKey = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYMjNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg="
		}), docker.ErrUntrusted, "no key of the known one's kind"},
		"a key that is not let in": {over(t, s, pretend, func(w *docker.SSH) { w.Key = otherKey }), docker.ErrRejected, "authorized_keys"},
		"sockets are forbidden":    {over(t, closed, pretend, nil), docker.ErrUnavailable, "AllowStreamLocalForwarding"},
		"no socket there":          {newAt(t, docker.Options{Endpoint: s.Endpoint("/tmp/none.sock"), SSH: &docker.SSH{Key: s.Key, HostKey: s.HostKey}}), docker.ErrUnavailable, "/tmp/none.sock"},
	} {
		_, err := c.e.Inspect(t.Context(), app.ID)
		if !errors.Is(err, c.kind) || !errors.Is(err, docker.ErrUnavailable) || errors.Is(err, docker.ErrNotFound) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFirstContact: nothing of ours is shown to a server whose key nobody has said yes to.
func TestFirstContact(t *testing.T) {
	// As docs/hosts.md recommends: sockets, and nothing else.
	s := enginetest.StartSSHD(t, "AllowStreamLocalForwarding local", "AllowTcpForwarding local", "PermitTTY no", "X11Forwarding no")
	pretend := dockertest.Serve(t, dockertest.Options{})
	err := over(t, s, pretend, func(w *docker.SSH) { w.HostKey = "" }).Ping(t.Context())
	unknown, ok := errors.AsType[*docker.UnknownHostKey](err)
	if !ok || !errors.Is(err, docker.ErrUntrusted) || unknown.Line != s.HostKey || unknown.Fingerprint != docker.Fingerprint(s.HostKey) || !strings.HasPrefix(unknown.Fingerprint, "SHA256:") {
		t.Fatalf("got %v", err)
	}
	if calls := pretend.Requests("."); len(calls) > 0 {
		t.Errorf("the engine was asked: %v", calls)
	}
	if err := over(t, s, pretend, func(w *docker.SSH) { w.HostKey = unknown.Line }).Ping(t.Context()); err != nil {
		t.Errorf("after a yes: %v", err)
	}
}
