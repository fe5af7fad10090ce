// Package hosts keeps the Docker hosts of an installation: what may be one, how each is reached, which are in use. The
// store has the facts, the fleet has the engines of those in use, and a Keeper changes both together, each change one
// transaction with its event. Nothing here starts by itself; engines dial when somebody asks them.
package hosts

import (
	"errors"
	"strings"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// Facts are what people say of a host.
type Facts struct {
	Name     string
	Endpoint string // unix:///path, tcp://host:port or ssh://user@host:port[/path]
	Plain    bool   // tcp:// without TLS is allowed

	// Of tcp:// with TLS, in PEM.
	CA, Cert, Key, ServerName string
	// Of ssh://. HostKey is a line as in known_hosts; an admin has said yes to it.
	SSHKey, Passphrase, HostKey string
}

// Change is what is to be different; nil stays as it is.
type Change struct {
	Name, Endpoint              *string
	Plain                       *bool
	CA, Cert, Key, ServerName   *string
	SSHKey, Passphrase, HostKey *string
}

// Empty reports that nothing is to be different.
func (c Change) Empty() bool { return c == Change{} }

// Facts are what a change makes of nothing.
func (c Change) Facts() Facts { return Facts{}.with(c) }

// factsOf are those that the store has. The host of --docker-host is reached as that says.
func factsOf(h store.Host, s store.HostSecrets) Facts {
	return Facts{
		Name: h.Name, Endpoint: h.Endpoint, Plain: h.Access.Plain || h.Name == store.LocalHost,
		CA: h.Access.CA, Cert: h.Access.Cert, Key: s.TLSKey, ServerName: h.Access.ServerName,
		SSHKey: s.SSHKey, Passphrase: s.Passphrase, HostKey: h.Access.HostKey,
	}
}

func (f Facts) access() store.HostAccess {
	return store.HostAccess{Plain: f.Plain, CA: f.CA, Cert: f.Cert, ServerName: f.ServerName, HostKey: f.HostKey}
}

func (f Facts) secrets() store.HostSecrets {
	return store.HostSecrets{TLSKey: f.Key, SSHKey: f.SSHKey, Passphrase: f.Passphrase}
}

// with is what a change makes of the facts. What belonged to another kind of endpoint is forgotten with it, and a host key with
// the server that showed it; a key without its passphrase needs none.
func (f Facts) with(c Change) Facts {
	before := f
	set := func(to *string, from *string) {
		if from != nil {
			*to = *from
		}
	}
	set(&f.Name, c.Name)
	set(&f.Endpoint, c.Endpoint)
	if scheme(f.Endpoint) != scheme(before.Endpoint) {
		f = Facts{Name: f.Name, Endpoint: f.Endpoint}
	}
	if authority(f.Endpoint) != authority(before.Endpoint) {
		f.HostKey, f.Plain = "", false // both were said of the other one
	}
	if c.Plain != nil {
		f.Plain = *c.Plain
	}
	set(&f.CA, c.CA)
	set(&f.Cert, c.Cert)
	set(&f.Key, c.Key)
	set(&f.ServerName, c.ServerName)
	if c.SSHKey != nil {
		f.SSHKey, f.Passphrase = *c.SSHKey, ""
	}
	set(&f.Passphrase, c.Passphrase)
	set(&f.HostKey, c.HostKey)
	return f
}

func scheme(endpoint string) string {
	s, _, _ := strings.Cut(endpoint, "://")
	return s
}

// authority is the server's part of an endpoint, without its user.
func authority(endpoint string) string {
	_, rest, _ := strings.Cut(endpoint, "://")
	rest, _, _ = strings.Cut(rest, "/")
	if _, server, found := strings.Cut(rest, "@"); found {
		return server
	}
	return rest
}

// Way is how a host is reached, in a word: unix, tcp, tls or ssh.
func Way(h store.Host) string {
	s := scheme(h.Endpoint)
	if s == "tcp" && h.Access.Cert != "" {
		return "tls"
	}
	return s
}

// IsPlain reports that whoever is on the way can read along and command the engine.
func IsPlain(h store.Host) bool { return Way(h) == "tcp" }

// checked brings facts into the form in which they are kept; what is wrong with them are store.FieldErrors. A host may be asked who it
// is before its host key is known, and not be kept.
func (f Facts) checked(toKeep bool) (Facts, error) {
	var wrong []error
	if toKeep && store.ValidName(f.Name) != nil {
		wrong = append(wrong, store.FieldError{Field: "name", Reason: "must be 1 to 63 of a-z, 0-9 and -, and not begin with -"})
	}
	if f.HostKey != "" {
		line, err := docker.HostKeyLine(f.HostKey)
		if err != nil {
			return f, errors.Join(append(wrong, fieldOf(err))...)
		}
		f.HostKey = line
	}
	engine, err := docker.New(f.options())
	if err != nil {
		return f, errors.Join(append(wrong, fieldOf(err))...)
	}
	if scheme(f.Endpoint) == "ssh" && f.HostKey == "" && toKeep {
		wrong = append(wrong, store.FieldError{Field: "ssh.host_key", Reason: "the server's key is needed: a test shows it; compare its fingerprint on the host itself and send it"})
	}
	return f, errors.Join(append(wrong, engine.Close())...)
}

// fieldOf names the field by which the store and the API know it.
func fieldOf(err error) error {
	if m, ok := errors.AsType[docker.Misfit](err); ok {
		return store.FieldError{Field: m.Field, Reason: m.Reason}
	}
	return err
}

func (f Facts) options() docker.Options {
	o := docker.Options{Endpoint: f.Endpoint, Plain: f.Plain}
	if f.CA+f.Cert+f.Key+f.ServerName != "" {
		o.TLS = &docker.TLS{CA: f.CA, Cert: f.Cert, Key: f.Key, ServerName: f.ServerName}
	}
	if f.SSHKey+f.Passphrase+f.HostKey != "" || scheme(f.Endpoint) == "ssh" {
		o.SSH = &docker.SSH{Key: f.SSHKey, Passphrase: f.Passphrase, HostKey: f.HostKey}
	}
	return o
}
