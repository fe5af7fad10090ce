package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

// hostFlags say how a host is reached. Keys are read from files, so that no list of processes shows them.
type hostFlags struct {
	ca, cert, key, serverName string
	sshKey, passphrase        string
	fingerprint               string
	plain, untested           bool
}

const howHosts = `An engine on this machine is unix:///path. Over the network it is tcp://host:port with
certificates on both sides (--tls-ca, --tls-cert, --tls-key), or ssh://user@host:port with a
private key (--ssh-key); the path of its socket stands behind if it is not
/var/run/docker.sock. tcp:// without certificates is open to whoever is on the way, and
refused without --plain.

An ssh server that is met for the first time shows its key: compare the fingerprint on the
host itself (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub) before you say yes. Where nobody is
there to be asked, --fingerprint SHA256:... is the yes; --yes is not.`

func (f *hostFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.ca, "tls-ca", "", "file of who signed the engine's certificate")
	flags.StringVar(&f.cert, "tls-cert", "", "file of our certificate")
	flags.StringVar(&f.key, "tls-key", "", "file of its key")
	flags.StringVar(&f.serverName, "tls-server-name", "", "name in the engine's certificate, if it is not the endpoint's host")
	flags.StringVar(&f.sshKey, "ssh-key", "", "file of the private key")
	flags.StringVar(&f.passphrase, "ssh-passphrase-file", "", "file of the key's passphrase (default: it is asked for)")
	flags.StringVar(&f.fingerprint, "fingerprint", "", "the ssh server's, as SHA256:..., where nobody is to be asked")
	flags.BoolVar(&f.plain, "plain", false, "allow tcp:// without certificates")
}

func (f *hostFlags) addUntested(flags *pflag.FlagSet) {
	flags.BoolVar(&f.untested, "untested", false, "keep it although it cannot be reached now")
}

// change is what the flags that were given say.
func (f *hostFlags) change(c *cobra.Command) (change client.HostChange, err error) {
	file := func(flag, name string) *string {
		if !c.Flags().Changed(flag) || err != nil {
			return nil
		}
		var text []byte
		if text, err = os.ReadFile(name); err != nil {
			err = usagef(c, "--%s: %w", flag, err)
			return nil
		}
		s := string(text)
		return &s
	}
	tls := client.HostTLSChange{CA: file("tls-ca", f.ca), Cert: file("tls-cert", f.cert), Key: file("tls-key", f.key), ServerName: given(c, "tls-server-name", &f.serverName)}
	ssh := client.HostSSHChange{Key: file("ssh-key", f.sshKey), Passphrase: file("ssh-passphrase-file", f.passphrase)}
	if ssh.Passphrase != nil {
		line := strings.TrimRight(*ssh.Passphrase, "\r\n")
		ssh.Passphrase = &line
	}
	if tls != (client.HostTLSChange{}) {
		change.TLS = &tls
	}
	if ssh != (client.HostSSHChange{}) {
		change.SSH = &ssh
	}
	change.Plain = given(c, "plain", &f.plain)
	return change, err
}

// newHost is a whole host of what the flags say.
func newHost(name, endpoint string, c client.HostChange) client.NewHost {
	n := client.NewHost{Name: name, Endpoint: endpoint, Plain: c.Plain != nil && *c.Plain}
	if t := c.TLS; t != nil {
		n.TLS = &client.HostTLS{CA: text(t.CA), Cert: text(t.Cert), Key: text(t.Key), ServerName: text(t.ServerName)}
	}
	if s := c.SSH; s != nil {
		n.SSH = &client.HostSSH{Key: text(s.Key), Passphrase: text(s.Passphrase), HostKey: text(s.HostKey)}
	}
	return n
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// asking carries out what may need a passphrase, which is asked for once when the service says so.
func asking[T any](a *app, change *client.HostChange, do func() (T, error)) (T, error) {
	v, err := do()
	p, ok := client.AsProblem(err)
	if !ok || !a.screen.InputTerminal || len(p.Errors) != 1 || p.Errors[0].Location != "body.ssh.passphrase" || change.SSH == nil {
		return v, err
	}
	phrase, err := a.hidden("Passphrase of the ssh key: ")
	if err != nil {
		return v, err
	}
	change.SSH.Passphrase = &phrase
	return do()
}

// meet has the key of an ssh server that is not known yet accepted by who is there, or by the fingerprint that was given. Test is
// what shows it.
func (a *app) meet(c *cobra.Command, f *hostFlags, change *client.HostChange, test func() (client.HostReport, error)) error {
	r, err := asking(a, change, test)
	if err != nil || r.Fault != client.FaultHostKey {
		return err
	}
	switch {
	case f.fingerprint == r.Fingerprint:
	case f.fingerprint != "":
		return &hinted{fmt.Errorf("the ssh server's key is %s, not %s", r.Fingerprint, f.fingerprint), "find out who answers there; nothing was changed"}
	case !a.screen.InputTerminal:
		return usagef(c, "the ssh server shows a key that is not known, with the fingerprint %s: once you have compared it on the host itself, say yes to it with --fingerprint %s", r.Fingerprint, r.Fingerprint)
	default:
		a.screen.Notef("The ssh server shows this key, which is not known:\n  %s\n  %s\n%s\n", screen.Tame(r.Fingerprint), screen.Tame(r.HostKey), screen.Tame(r.Hint))
		sure, err := a.screen.Ask("Is that the host's own key?")
		if err != nil {
			return err
		}
		if !sure {
			return errDeclined
		}
	}
	if change.SSH == nil {
		change.SSH = &client.HostSSHChange{}
	}
	change.SSH.HostKey = &r.HostKey
	return nil
}

func (a *app) hostsAdd() *cobra.Command {
	var f hostFlags
	c := &cobra.Command{
		Use: "add NAME ENDPOINT", Short: "Add a host",
		Long: `Adds a Docker engine under a name. It is tested before, and watched from then on; keys are sealed
and never shown again.

` + howHosts,
		Example: `  docker-watcher hosts add build-2 tcp://10.0.0.5:2376 --tls-ca ca.pem --tls-cert cert.pem --tls-key key.pem
  docker-watcher hosts add build-3 ssh://watcher@10.0.0.6 --ssh-key ~/.ssh/watcher
  docker-watcher hosts add podman unix:///run/podman/podman.sock`,
		Args: takes(2, 2),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			change, err := f.change(c)
			if err != nil {
				return err
			}
			if strings.HasPrefix(args[1], "ssh://") {
				if err := a.meet(c, &f, &change, func() (client.HostReport, error) {
					return api.TryHost(c.Context(), newHost(args[0], args[1], change))
				}); err != nil {
					return err
				}
			}
			h, err := api.CreateHost(c.Context(), newHost(args[0], args[1], change), f.untested)
			if err != nil {
				return err
			}
			return a.show(h, func() {
				a.screen.Printf("host %s added (%s). Next: docker-watcher stage create PROJECT/STAGE --host %s\n", h.Name, firstOf(h.Version, "not reached yet"), h.Name)
				a.warnOfPlain(h)
			})
		}),
	}
	f.add(c.Flags())
	f.addUntested(c.Flags())
	return c
}

func (a *app) warnOfPlain(h client.Host) {
	if h.ReachedBy.Plain {
		a.screen.Printf("! %s is reached without TLS: whoever is on the way can command its engine\n", h.Name)
	}
}

func (a *app) hostsEdit() *cobra.Command {
	var f hostFlags
	var name, endpoint string
	c := &cobra.Command{
		Use: "edit NAME", Short: "Change a host",
		Long: `Changes what is named by a flag and nothing else; what is not given, keys above all, stays. It is
tested before. --fingerprint alone accepts the key that the ssh server shows now in place of
the known one. The host of --docker-host is changed by that flag only.

` + howHosts,
		Example: `  docker-watcher hosts edit build-2 --tls-cert new.pem --tls-key new-key.pem
  docker-watcher hosts edit build-3 --fingerprint SHA256:JzQ5h0Xv1y6hXb3mV0gkUe6t3iGkq6wGQe0yq2o8d2M`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.hostNames(),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			if c.Flags().NFlag() == 0 {
				return usagef(c, "say what to change, such as --endpoint tcp://10.0.0.5:2376")
			}
			change, err := f.change(c)
			if err != nil {
				return err
			}
			h, err := a.host(c.Context(), api, args[0])
			if err != nil {
				return err
			}
			change.Name, change.Endpoint, change.Revision = given(c, "name", &name), given(c, "endpoint", &endpoint), h.Revision
			if err := a.meetAnew(c, api, h, &f, &change); err != nil {
				return err
			}
			h, err = asking(a, &change, func() (client.Host, error) { return api.UpdateHost(c.Context(), h.ID, change, f.untested) })
			if err != nil {
				return err
			}
			return a.show(h, func() {
				a.screen.Printf("host %s changed\n", h.Name)
				a.warnOfPlain(h)
			})
		}),
	}
	c.Flags().StringVar(&name, "name", "", "another name")
	c.Flags().StringVar(&endpoint, "endpoint", "", "another endpoint")
	f.add(c.Flags())
	f.addUntested(c.Flags())
	return c
}

// meetAnew is meet for a host that is known: where its endpoint changes, or where a fingerprint is given.
func (a *app) meetAnew(c *cobra.Command, api *client.Client, h client.Host, f *hostFlags, change *client.HostChange) error {
	at := h.Endpoint
	if change.Endpoint != nil {
		at = *change.Endpoint
	}
	if !strings.HasPrefix(at, "ssh://") || f.fingerprint == "" && at == h.Endpoint {
		return nil
	}
	return a.meet(c, f, change, func() (client.HostReport, error) {
		forgetful := *change
		if f.fingerprint != "" { // whatever is known, see what is shown
			ssh, none := client.HostSSHChange{}, ""
			if change.SSH != nil {
				ssh = *change.SSH
			}
			ssh.HostKey = &none
			forgetful.SSH = &ssh
		}
		return api.TestHost(c.Context(), h.ID, forgetful)
	})
}

func (a *app) hostsTest() *cobra.Command {
	var f hostFlags
	c := &cobra.Command{
		Use: "test NAME|ENDPOINT", Short: "Test a host, or what would be one",
		Long: `Asks an engine all that must be possible, by a connection of its own, and changes nothing:
version, clock, rights, latency. A disabled host can be tested, too. With an endpoint in place of a name it
tests what is not added yet.`,
		Example: `  docker-watcher hosts test build-2
  docker-watcher hosts test ssh://watcher@10.0.0.6 --ssh-key ~/.ssh/watcher`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.hostNames(),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			change, err := f.change(c)
			if err != nil {
				return err
			}
			r, err := asking(a, &change, func() (client.HostReport, error) { return a.testHost(c.Context(), api, args[0], change) })
			if err != nil {
				return err
			}
			if err := a.show(r, func() { a.printReport(r) }); err != nil || r.OK {
				return err
			}
			return codeError(exitError)
		}),
	}
	f.add(c.Flags())
	return c
}

func (a *app) testHost(ctx context.Context, api *client.Client, nameOrEndpoint string, change client.HostChange) (client.HostReport, error) {
	if strings.Contains(nameOrEndpoint, "://") {
		return api.TryHost(ctx, newHost("", nameOrEndpoint, change))
	}
	h, err := a.host(ctx, api, nameOrEndpoint)
	if err != nil {
		return client.HostReport{}, err
	}
	return api.TestHost(ctx, h.ID, change)
}

func (a *app) printReport(r client.HostReport) {
	row := func(name, value string) {
		if value != "" {
			a.screen.Printf("%-13s%s\n", name, screen.Tame(value))
		}
	}
	if r.Version != "" {
		row("engine", r.Version+", API "+r.APIVersion+", "+r.OS+"/"+r.Arch)
		row("name", r.EngineName)
		row("engine id", r.EngineID)
		row("data root", r.DataRoot)
		row("clock skew", fmt.Sprintf("%d ms", r.ClockSkewMS))
		row("latency", fmt.Sprintf("%.1f ms", r.LatencyMS))
		row("rights", "list: "+yesNo(r.CanList)+", inspect: "+yesNo(r.CanInspect))
		row("containers", fmt.Sprintf("%d, %d of them of this installation", r.Containers, r.Ours))
		row("same as", strings.Join(r.SameAs, ", "))
	}
	row("host key", r.HostKey)
	row("fingerprint", r.Fingerprint)
	if r.OK {
		a.screen.Printf("%s\n", a.screen.Paint(screen.Cell{Text: "it can be used", Tone: screen.Good}))
		return
	}
	a.screen.Printf("! %s\n", screen.Tame(r.Error))
	if r.Hint != "" {
		a.screen.Printf("  %s\n", screen.Tame(r.Hint))
	}
}

func (a *app) hostsDisable() *cobra.Command {
	return &cobra.Command{
		Use: "disable NAME", Short: "Take a host out of use",
		Long: `Takes a host out of use: nothing on it is watched, judged, deployed or cleaned up until it is
enabled again. Its containers run on. The time is blind time. Refused while something is under way on it.`,
		Example:           "  docker-watcher hosts disable build-2",
		Args:              takes(1, 1),
		ValidArgsFunction: a.hostNames(),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			h, err := a.host(c.Context(), api, args[0])
			if err != nil {
				return err
			}
			if err := a.confirm(c, fmt.Sprintf("Take %s out of use? Nothing on it is watched or cleaned up then.", h.Name)); err != nil {
				return err
			}
			if h, err = api.DisableHost(c.Context(), h.ID); err != nil {
				return err
			}
			return a.show(h, func() { a.screen.Printf("host %s is disabled\n", h.Name) })
		}),
	}
}

func (a *app) hostsEnable() *cobra.Command {
	return &cobra.Command{
		Use: "enable NAME", Short: "Put a host to use again",
		Long:              "Puts a disabled host to use again. Its blind time ends with its next good scan, which is made at once.",
		Example:           "  docker-watcher hosts enable build-2",
		Args:              takes(1, 1),
		ValidArgsFunction: a.hostNames(),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			h, err := a.host(c.Context(), api, args[0])
			if err != nil {
				return err
			}
			if h, err = api.EnableHost(c.Context(), h.ID); err != nil {
				return err
			}
			return a.show(h, func() { a.screen.Printf("host %s is in use\n", h.Name) })
		}),
	}
}

func (a *app) hostsRm() *cobra.Command {
	return removes(a, &cobra.Command{
		Use: "rm NAME", Short: "Forget a host that nothing names",
		Long: `Forgets a host, with what was seen of it. Nothing on the host itself is touched. Refused while
instances, stages, archives or plans name it.`,
		Example:           "  docker-watcher hosts rm build-2",
		ValidArgsFunction: a.hostNames(),
	}, removal[client.Host]{
		find:   a.host,
		ask:    func(h client.Host) string { return fmt.Sprintf("Forget host %s and what was seen of it?", h.Name) },
		remove: func(ctx context.Context, api *client.Client, h client.Host) error { return api.DeleteHost(ctx, h.ID) },
		told:   func(h client.Host) string { return "host " + h.Name + " removed" },
	})
}
