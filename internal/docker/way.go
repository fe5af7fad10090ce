package docker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"strings"
)

// TLS is how both sides of a tcp:// endpoint prove who they are, in PEM.
type TLS struct {
	CA         string // who signed the engine's certificate; empty: those that this machine trusts
	Cert, Key  string // ours
	ServerName string // in the engine's certificate; empty: the endpoint's host
}

// SSH is how both sides of an ssh:// endpoint prove who they are.
type SSH struct {
	Key        string // private, in PEM or in OpenSSH's own form
	Passphrase string // of the key
	// HostKey is the one that the server must show, as a line of known_hosts without names: "ssh-ed25519 AAAA...".
	// Without it every dial ends with an UnknownHostKey before anything of ours is shown.
	HostKey string
}

// Misfit is a fact of the way to an engine that cannot be right; it is an ErrInvalid.
type Misfit struct{ Field, Reason string }

func (m Misfit) Error() string { return m.Field + ": " + m.Reason }

// Unwrap says what kind of error it is.
func (m Misfit) Unwrap() error { return ErrInvalid }

// The fields of a Misfit.
const (
	fieldEndpoint   = "endpoint"
	fieldPlain      = "plain"
	fieldCA         = "tls.ca"
	fieldCert       = "tls.cert"
	fieldKey        = "tls.key"
	fieldSSHKey     = "ssh.key"
	fieldPassphrase = "ssh.passphrase"
	fieldHostKey    = "ssh.host_key"
)

// dial makes one connection to an engine.
type dial = func(ctx context.Context) (net.Conn, error)

// way is how connections to an engine are made, and what must be closed with it.
type way struct {
	dial  dial
	close func() error
}

func nothingToClose() error { return nil }

// wayTo reads the endpoint and what proves both sides, and refuses what cannot be right. It dials nothing.
func wayTo(o Options) (way, error) {
	u, err := url.Parse(o.Endpoint)
	if err != nil {
		return way{}, Misfit{fieldEndpoint, "it is no address: " + reasonOf(err)}
	}
	if o.TLS != nil && u.Scheme != "tcp" {
		return way{}, Misfit{fieldEndpoint, "certificates are for tcp:// only"}
	}
	if o.SSH != nil && u.Scheme != "ssh" {
		return way{}, Misfit{fieldEndpoint, "a key is for ssh:// only"}
	}
	switch {
	case u.Scheme == "unix" && u.Host == "" && strings.HasPrefix(u.Path, "/"):
		return way{socketDial(o.dialer("unix", u.Path), u.Path), nothingToClose}, nil
	case u.Scheme == "tcp" && u.Hostname() != "" && u.Port() != "" && strings.Trim(u.Path, "/") == "" && u.User == nil:
		return tcpWay(o, u)
	case u.Scheme == "ssh":
		return sshWay(o, u)
	}
	return way{}, Misfit{fieldEndpoint, fmt.Sprintf("%q is none of unix:///path, tcp://host:port and ssh://user@host:port", u.Redacted())}
}

// reasonOf is what url.Parse has to say, without the address, which stands beside it.
func reasonOf(err error) string {
	if of, ok := errors.AsType[*url.Error](err); ok {
		return of.Err.Error()
	}
	return err.Error()
}

// dialer connects to an address, or as the caller has said.
func (o Options) dialer(network, addr string) dial {
	if o.Dial != nil {
		return func(ctx context.Context) (net.Conn, error) { return o.Dial(ctx, network, addr) }
	}
	d := &net.Dialer{Timeout: dialTimeout}
	return func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, network, addr) }
}

// socketDial tells apart that a socket may not be used: the client drops the cause of that.
func socketDial(plain dial, path string) dial {
	return func(ctx context.Context) (net.Conn, error) {
		conn, err := plain(ctx)
		if errors.Is(err, fs.ErrPermission) {
			// Without its cause, or the client would put words of its own in its place.
			return nil, &refusedWay{ErrSocketRights, fmt.Sprintf("this user may not use the socket %s: permission denied", path), ErrUnavailable}
		}
		return conn, err
	}
}

func tcpWay(o Options, u *url.URL) (way, error) {
	plain := o.dialer("tcp", u.Host)
	if o.TLS == nil {
		if !o.Plain {
			return way{}, Misfit{fieldPlain, "tcp:// without TLS is open to whoever is on the way: give certificates, or allow it for this host"}
		}
		return way{plain, nothingToClose}, nil
	}
	config, err := o.TLS.config(u.Hostname())
	if err != nil {
		return way{}, err
	}
	return way{func(ctx context.Context) (net.Conn, error) { return dialTLS(ctx, plain, config) }, nothingToClose}, nil
}

// base is the address that requests bear: they all go by the way, so it only says who is meant.
func base(endpoint string) string {
	if strings.HasPrefix(endpoint, "ssh://") {
		return DefaultEndpoint
	}
	return endpoint
}

// refusedWay is a way that was not gone to its end, with what people can do about it in its text.
type refusedWay struct {
	kind error
	text string
	err  error
}

func (r *refusedWay) Error() string { return r.text }

// Unwrap makes it an error of its kind, and of what it comes from.
func (r *refusedWay) Unwrap() []error { return []error{r.kind, r.err} }

// noTLS tells apart an answer that was not encrypted.
func noTLS(err error) bool {
	_, ok := errors.AsType[tls.RecordHeaderError](err)
	return ok
}
