package docker

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	sshPort       = "22"
	engineSocket  = "/var/run/docker.sock"
	tunnelTimeout = 15 * time.Second // until we are let in
	// rejectedFor is how long nobody knocks again at a server that did not let us in, or that was not the right one:
	// servers lock out who keeps trying.
	rejectedFor = time.Minute
	// proofTimeout is how long a connection may take to prove that it still lives.
	proofTimeout = 10 * time.Second
)

// tunnel is one ssh connection, through which the remote engine's socket is dialed. It is made when it is first
// needed and made anew when it breaks.
type tunnel struct {
	dialTCP dial
	addr    string
	socket  string
	config  ssh.ClientConfig

	mu     sync.Mutex
	now    *knock // the last one; nil: none yet, or it broke
	closed bool
}

// knock is one try to be let in.
type knock struct {
	done   chan struct{} // closed when it is known how it went
	client *ssh.Client
	err    error
	until  time.Time // to which a failed one stands

	// Under the tunnel's lock.
	settled bool // it is known how it went
	proving bool // that it lives
}

func sshWay(o Options, u *url.URL) (way, error) {
	user := u.User.Username()
	_, hasPassword := u.User.Password()
	switch {
	case u.Hostname() == "" || user == "" || u.RawQuery != "" || u.Fragment != "":
		return way{}, Misfit{fieldEndpoint, fmt.Sprintf("%q: an engine over ssh is written ssh://user@host:port, with the path of its socket behind if that is not %s", u.Redacted(), engineSocket)}
	case hasPassword:
		return way{}, Misfit{fieldEndpoint, "passwords are not used: give a private key"}
	case o.SSH == nil:
		return way{}, Misfit{fieldSSHKey, "a private key is needed"}
	}
	signer, err := o.SSH.signer()
	if err != nil {
		return way{}, err
	}
	var known ssh.PublicKey
	if o.SSH.HostKey != "" {
		if known, err = readHostKey(o.SSH.HostKey); err != nil {
			return way{}, err
		}
	}
	port := u.Port()
	if port == "" {
		port = sshPort
	}
	socket := strings.TrimRight(u.Path, "/")
	if socket == "" {
		socket = engineSocket
	}
	t := &tunnel{addr: net.JoinHostPort(u.Hostname(), port), socket: socket}
	t.config = ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: hostKeyCheck(known),
		HostKeyAlgorithms: hostKeyAlgorithms(known), ClientVersion: "SSH-2.0-docker-watcher",
	}
	t.dialTCP = o.dialer("tcp", t.addr)
	return way{t.dial, t.close}, nil
}

// signer reads the private key.
func (s *SSH) signer() (ssh.Signer, error) {
	signer, err := ssh.ParsePrivateKey([]byte(s.Key))
	_, encrypted := errors.AsType[*ssh.PassphraseMissingError](err)
	switch {
	case err == nil && s.Passphrase != "":
		return nil, Misfit{fieldPassphrase, "the key is not encrypted: leave the passphrase out"}
	case err == nil:
		return signer, nil
	case encrypted && s.Passphrase == "":
		return nil, Misfit{fieldPassphrase, "the key is encrypted: its passphrase is needed"}
	case encrypted:
		if signer, err = ssh.ParsePrivateKeyWithPassphrase([]byte(s.Key), []byte(s.Passphrase)); err == nil {
			return signer, nil
		}
		if errors.Is(err, x509.IncorrectPasswordError) {
			return nil, Misfit{fieldPassphrase, "it does not open the key"}
		}
	}
	return nil, Misfit{fieldSSHKey, "it is no private key that can be read (PEM, or as ssh-keygen writes it)"}
}

// dial opens the engine's socket through the tunnel. A connection that has broken unnoticed costs one more try.
func (t *tunnel) dial(ctx context.Context) (net.Conn, error) {
	for again := true; ; again = false {
		k, err := t.knock(ctx)
		if err != nil {
			return nil, err
		}
		conn, err := k.client.DialContext(ctx, "unix", t.socket)
		if err == nil {
			return conn, nil
		}
		if refused, ok := errors.AsType[*ssh.OpenChannelError](err); ok {
			return nil, t.refusal(refused)
		}
		if ctx.Err() != nil {
			t.prove(k)
			return nil, err
		}
		t.drop(k)
		if !again {
			return nil, &refusedWay{ErrUnavailable, fmt.Sprintf("the ssh connection to %s broke: %v", t.addr, err), err}
		}
	}
}

// refusal is all that a server says, whatever the reason.
func (t *tunnel) refusal(err *ssh.OpenChannelError) error {
	return &refusedWay{ErrUnavailable, fmt.Sprintf(
		"the ssh server of %s lets %s in, but not to %s: see that an engine listens there, that the user may open it (group docker), and that sshd_config and authorized_keys do not forbid it (AllowStreamLocalForwarding and AllowTcpForwarding, no PermitOpen, port-forwarding beside restrict)",
		t.addr, t.config.User, t.socket), err}
}

// knock returns the connection in use, or the one that somebody is making, or begins one.
func (t *tunnel) knock(ctx context.Context) (*knock, error) {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil, &refusedWay{ErrUnavailable, "the way to the engine was closed", net.ErrClosed}
	}
	k := t.now
	if k == nil || k.over() {
		k = &knock{done: make(chan struct{})}
		t.now = k
		// Whoever comes next can use it, so that it is not given up when the first one is.
		go t.connect(context.WithoutCancel(ctx), k)
	}
	t.mu.Unlock()
	select {
	case <-k.done:
		return k, k.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// over reports a failure that does not stand any more.
func (k *knock) over() bool {
	select {
	case <-k.done:
		return k.err != nil && !time.Now().Before(k.until)
	default:
		return false
	}
}

func (t *tunnel) connect(ctx context.Context, k *knock) {
	defer close(k.done)
	ctx, cancel := context.WithTimeout(ctx, tunnelTimeout)
	defer cancel()
	k.client, k.err = t.shakeHands(ctx)
	if errors.Is(k.err, ErrRejected) || errors.Is(k.err, ErrUntrusted) {
		k.until = time.Now().Add(rejectedFor)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	k.settled = true
	if t.closed && k.client != nil {
		_ = k.client.Close() // nobody has used it
		k.client, k.err = nil, &refusedWay{ErrUnavailable, "the way to the engine was closed", net.ErrClosed}
	}
}

func (t *tunnel) shakeHands(ctx context.Context) (*ssh.Client, error) {
	raw, err := t.dialTCP(ctx)
	if err != nil {
		return nil, err
	}
	if tcp, ok := raw.(*net.TCPConn); ok { // so that a peer that vanished is noticed within a minute or so
		_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 4})
	}
	hangUp := context.AfterFunc(ctx, func() { _ = raw.Close() })
	config := t.config
	conn, channels, requests, err := ssh.NewClientConn(raw, t.addr, &config)
	if err != nil {
		hangUp()
		_ = raw.Close()
		return nil, t.failure(ctx, err)
	}
	if !hangUp() {
		_ = conn.Close()
		return nil, t.failure(ctx, context.Cause(ctx))
	}
	return ssh.NewClient(conn, channels, requests), nil
}

// failure says in words why we were not let in.
func (t *tunnel) failure(ctx context.Context, err error) error {
	if unknown, ok := errors.AsType[*UnknownHostKey](err); ok {
		return unknown
	}
	if told, ok := errors.AsType[*refusedWay](err); ok {
		return told
	}
	switch {
	case ctx.Err() != nil:
		return &refusedWay{ErrTimeout, fmt.Sprintf("the ssh server of %s did not let us in within %s", t.addr, tunnelTimeout), err}
	case strings.Contains(err.Error(), "unable to authenticate"):
		return &refusedWay{ErrRejected, fmt.Sprintf("the ssh server of %s does not accept the key for user %s: its public half must stand in that user's authorized_keys", t.addr, t.config.User), err}
	case strings.Contains(err.Error(), "no common algorithm for host key"):
		return &refusedWay{ErrUntrusted, fmt.Sprintf("the ssh server of %s has no key of the known one's kind (%s) any more", t.addr, strings.Join(t.config.HostKeyAlgorithms, ", ")), err}
	}
	return &refusedWay{ErrUnavailable, fmt.Sprintf("ssh to %s: %s", t.addr, strings.TrimPrefix(err.Error(), "ssh: ")), err}
}

// prove finds out whether a connection on which somebody waited in vain still lives, and drops it if not.
func (t *tunnel) prove(k *knock) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if k.proving {
		return
	}
	k.proving = true
	go func() {
		late := time.AfterFunc(proofTimeout, func() { t.drop(k) })
		defer late.Stop()
		if _, _, err := k.client.SendRequest("keepalive@openssh.com", true, nil); err != nil {
			t.drop(k)
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		k.proving = false
	}()
}

// drop makes the next dial begin anew.
func (t *tunnel) drop(k *knock) {
	t.mu.Lock()
	if t.now == k {
		t.now = nil
	}
	t.mu.Unlock()
	_ = k.client.Close() // it is broken, or nobody hears it
}

func (t *tunnel) close() error {
	t.mu.Lock()
	t.closed = true
	k := t.now
	made := k != nil && k.settled && k.client != nil // else who makes it sees that it is not wanted any more
	t.mu.Unlock()
	if !made {
		return nil
	}
	if err := k.client.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close the ssh connection to %s: %w", t.addr, err)
	}
	return nil
}
