package hosts

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/internal/docker/enginetest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

func TestChangesOfFacts(t *testing.T) {
	ssh := Facts{Name: "a", Endpoint: "ssh://u@10.0.0.5:22", SSHKey: "key", Passphrase: "horse", HostKey: "line"}
	tls := Facts{Name: "a", Endpoint: "tcp://10.0.0.5:2376", CA: "ca", Cert: "cert", Key: "key", ServerName: "engine"}
	for name, c := range map[string]struct {
		from   Facts
		change Change
		want   Facts
	}{
		"nothing":                             {ssh, Change{}, ssh},
		"name":                                {ssh, Change{Name: new("b")}, Facts{Name: "b", Endpoint: ssh.Endpoint, SSHKey: "key", Passphrase: "horse", HostKey: "line"}},
		"another user":                        {ssh, Change{Endpoint: new("ssh://v@10.0.0.5:22")}, Facts{Name: "a", Endpoint: "ssh://v@10.0.0.5:22", SSHKey: "key", Passphrase: "horse", HostKey: "line"}},
		"another path":                        {ssh, Change{Endpoint: new("ssh://u@10.0.0.5:22/x.sock")}, Facts{Name: "a", Endpoint: "ssh://u@10.0.0.5:22/x.sock", SSHKey: "key", Passphrase: "horse", HostKey: "line"}},
		"new ssh key":                         {ssh, Change{SSHKey: new("new")}, Facts{Name: "a", Endpoint: ssh.Endpoint, SSHKey: "new", HostKey: "line"}},
		"ssh key forgotten":                   {ssh, Change{SSHKey: new("")}, Facts{Name: "a", Endpoint: ssh.Endpoint, HostKey: "line"}},
		"new CA":                              {tls, Change{CA: new("other")}, Facts{Name: "a", Endpoint: tls.Endpoint, CA: "other", Cert: "cert", Key: "key", ServerName: "engine"}},
		"another port keeps the certificates": {tls, Change{Endpoint: new("tcp://10.0.0.5:1")}, Facts{Name: "a", Endpoint: "tcp://10.0.0.5:1", CA: "ca", Cert: "cert", Key: "key", ServerName: "engine"}},
		// A yes was said to one server, and keys were given for one kind of way.
		"another server forgets its key": {ssh, Change{Endpoint: new("ssh://u@10.0.0.6:22")}, Facts{Name: "a", Endpoint: "ssh://u@10.0.0.6:22", SSHKey: "key", Passphrase: "horse"}},
		"another port forgets its key":   {ssh, Change{Endpoint: new("ssh://u@10.0.0.5:23")}, Facts{Name: "a", Endpoint: "ssh://u@10.0.0.5:23", SSHKey: "key", Passphrase: "horse"}},
		"plain is said of one server":    {Facts{Name: "a", Endpoint: "tcp://127.0.0.1:1", Plain: true}, Change{Endpoint: new("tcp://10.0.0.5:1")}, Facts{Name: "a", Endpoint: "tcp://10.0.0.5:1"}},
		"ssh to socket":                  {ssh, Change{Endpoint: new("unix:///x")}, Facts{Name: "a", Endpoint: "unix:///x"}},
		"plain is not kept for TLS":      {Facts{Name: "a", Endpoint: "tcp://x:1", Plain: true}, Change{Endpoint: new("ssh://u@x")}, Facts{Name: "a", Endpoint: "ssh://u@x"}},
		"TLS to ssh, all at once":        {tls, Change{Endpoint: new(ssh.Endpoint), SSHKey: new("key"), Passphrase: new("horse"), HostKey: new("line")}, ssh},
	} {
		if diff := cmp.Diff(c.want, c.from.with(c.change)); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
	if (Change{Plain: new(bool)}).Empty() || !(Change{}).Empty() {
		t.Error("a change that says something is empty, or the reverse")
	}
}

func TestFactsComeBackFromTheStore(t *testing.T) {
	f := Facts{
		Name: "a", Endpoint: "ssh://u@x", CA: "ca", Cert: "cert", Key: "tls key", ServerName: "n", SSHKey: "ssh key", Passphrase: "p", HostKey: "h", Plain: true,
	}
	h := store.Host{Name: f.Name, Endpoint: f.Endpoint, Access: f.access()}
	if diff := cmp.Diff(f, factsOf(h, f.secrets())); diff != "" {
		t.Error(diff)
	}
	for _, secret := range []string{f.Key, f.SSHKey, f.Passphrase} {
		if slices.Contains([]string{h.Access.CA, h.Access.Cert, h.Access.HostKey, h.Access.ServerName}, secret) {
			t.Errorf("%s is kept in the open", secret)
		}
	}
	// The host of --docker-host is as that flag says, also without TLS.
	if !factsOf(store.Host{Name: store.LocalHost, Endpoint: "tcp://x:1"}, store.HostSecrets{}).Plain {
		t.Error("the flag's own host is refused")
	}
	if factsOf(store.Host{Name: "other", Endpoint: "tcp://x:1"}, store.HostSecrets{}).Plain {
		t.Error("any host is allowed")
	}
}

func TestWhatIsWrongWithFacts(t *testing.T) {
	key, public := enginetest.SSHKey(t, "")
	for name, c := range map[string]struct {
		f      Facts
		toKeep bool
		fields []string
	}{
		"fine":                    {Facts{Name: "a", Endpoint: "unix:///x"}, true, nil},
		"no name, to test":        {Facts{Endpoint: "unix:///x"}, false, nil},
		"no name, to keep":        {Facts{Endpoint: "unix:///x"}, true, []string{"name"}},
		"two mistakes":            {Facts{Name: "A", Endpoint: "tcp://x:1"}, true, []string{"name", "plain"}},
		"no host key, to test":    {Facts{Endpoint: "ssh://u@x", SSHKey: key}, false, nil},
		"no host key, to keep":    {Facts{Name: "a", Endpoint: "ssh://u@x", SSHKey: key}, true, []string{"ssh.host_key"}},
		"host key":                {Facts{Name: "a", Endpoint: "ssh://u@x", SSHKey: key, HostKey: "[x]:22 " + public}, true, nil},
		"a fingerprint is no key": {Facts{Name: "a", Endpoint: "ssh://u@x", SSHKey: key, HostKey: "SHA256:abc"}, true, []string{"ssh.host_key"}},
		"a key for a socket":      {Facts{Name: "a", Endpoint: "unix:///x", SSHKey: key}, true, []string{"endpoint"}},
	} {
		f, err := c.f.checked(c.toKeep)
		var fields []string
		for _, one := range unjoined(err) {
			of, ok := errors.AsType[store.FieldError](one)
			if !ok {
				t.Errorf("%s: %v", name, one)
			}
			fields = append(fields, of.Field)
		}
		if !slices.Equal(fields, c.fields) {
			t.Errorf("%s: fields %v, want %v", name, fields, c.fields)
		}
		if err == nil && strings.HasPrefix(f.HostKey, "[") {
			t.Errorf("%s: the host key is kept as %q", name, f.HostKey)
		}
	}
}

func unjoined(err error) []error {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return many.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

func TestWhatNamesAHost(t *testing.T) {
	got := named(store.HostUse{Instances: 3, Stages: 1, Archives: 2, Plans: 1})
	want := "3 instances, 1 stage, 2 archives, 1 plan. To remove it, call its plans off or let them expire, then clean up or remove its instances, " +
		"then restore its archives or delete them, then remove its stages; or disable it"
	if got != want {
		t.Errorf("got %q", got)
	}
}
