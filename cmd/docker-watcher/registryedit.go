package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
)

// registryFlags are what can be said of a registry on the command line.
type registryFlags struct {
	preset, username, ca string
	plainHTTP, stdin     bool
}

func (f *registryFlags) addTo(c *cobra.Command) {
	c.Flags().StringVar(&f.preset, "preset", "", "which kind it is: docker-watcher registry presets lists them")
	c.Flags().StringVar(&f.username, "username", "", "who logs in")
	c.Flags().BoolVar(&f.stdin, "password-stdin", false, "read the password or token from standard input, all of it")
	c.Flags().BoolVar(&f.plainHTTP, "plain-http", false, "allow to speak to it without TLS")
	c.Flags().StringVar(&f.ca, "ca", "", "file with the certificate of the authority that signed its own, as PEM")
}

func (a *app) registryAdd() *cobra.Command {
	var f registryFlags
	c := &cobra.Command{
		Use: "add NAME HOST", Short: "Set up a registry",
		Long: `Sets up a registry. HOST is what stands before the first / in the names of its images, with a port
where it has one. The password is asked for, or read from standard input: it is never an argument,
which everybody on the machine could read.`,
		Example: `  docker-watcher registry add github ghcr.io --preset ghcr --username anna --password-stdin < token
  docker-watcher registry add google europe-docker.pkg.dev --preset gcr --username _json_key --password-stdin < key.json
  docker-watcher registry add attic 10.0.0.7:5000 --plain-http`,
		Args: takes(2, 2),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			n := client.NewRegistry{Name: args[0], Host: args[1], Preset: f.preset, Username: f.username, PlainHTTP: f.plainHTTP}
			var err error
			if n.CA, err = readCA(f.ca); err != nil {
				return usagef(c, "--ca: %w", err)
			}
			if n.Username != "" || f.stdin {
				if n.Password, err = a.secretInput(c, f.stdin); err != nil {
					return err
				}
			}
			r, err := api.CreateRegistry(c.Context(), n)
			if err != nil {
				return err
			}
			return a.show(r, func() {
				a.screen.Printf("registry %s at %s is set up. Next: docker-watcher registry test %s\n", r.Name, r.Host, r.Name)
			})
		}),
	}
	f.addTo(c)
	return c
}

// mostToken is how much of a password is read from standard input: a key of Google's is 2.5 kB.
const mostToken = 20_000

// secretInput asks for a password on the terminal, or takes the whole of standard input, which for some registries has lines.
func (a *app) secretInput(c *cobra.Command, stdin bool) (string, error) {
	if !stdin {
		return a.password(c, false, false)
	}
	text, err := io.ReadAll(io.LimitReader(a.screen.In, mostToken+1))
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	password := strings.TrimRight(string(text), "\r\n")
	switch {
	case password == "":
		return "", usagef(c, "--password-stdin: standard input is empty")
	case len(text) > mostToken:
		return "", usagef(c, "--password-stdin: that is more than a password: over %d bytes", mostToken)
	}
	return password, nil
}

func readCA(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	text, err := os.ReadFile(file)
	return string(text), err
}

func (a *app) registryEdit() *cobra.Command {
	var f registryFlags
	var name, host string
	var noLogin bool
	c := &cobra.Command{
		Use: "edit NAME", Short: "Change a registry",
		Long: `Changes what is named by a flag and nothing else. With another host the password has to be given
again; --no-login takes user name and password away, --ca "" its own authority.`,
		Example: `  aws ecr get-login-password | docker-watcher registry edit amazon --password-stdin
  docker-watcher registry edit attic --plain-http=false --ca attic.pem`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.registryNames(),
		RunE: func(c *cobra.Command, args []string) error {
			change := client.RegistryChange{
				Name: given(c, "name", &name), Host: given(c, "host", &host), Preset: given(c, "preset", &f.preset),
				Username: given(c, "username", &f.username), PlainHTTP: given(c, "plain-http", &f.plainHTTP),
			}
			if err := a.readSecrets(c, f, noLogin, &change); err != nil {
				return err
			}
			if change == (client.RegistryChange{}) {
				return usagef(c, "say what to change: --name, --host, --preset, --username, --password-stdin, --no-login, --plain-http or --ca")
			}
			api, err := a.client()
			if err != nil {
				return err
			}
			r, err := a.registry(c.Context(), api, args[0])
			if err != nil {
				return err
			}
			change.Revision = r.Revision
			if r, err = api.UpdateRegistry(c.Context(), r.ID, change); err != nil {
				return err
			}
			return a.show(r, func() {
				a.screen.Printf("registry %s changed. Next: docker-watcher registry test %s\n", r.Name, r.Name)
			})
		},
	}
	f.addTo(c)
	c.Flags().StringVar(&name, "name", "", "another name")
	c.Flags().StringVar(&host, "host", "", "another host")
	c.Flags().BoolVar(&noLogin, "no-login", false, "take user name and password away")
	c.MarkFlagsMutuallyExclusive("no-login", "username")
	c.MarkFlagsMutuallyExclusive("no-login", "password-stdin")
	return c
}

// readSecrets reads what does not stand on the command line itself.
func (a *app) readSecrets(c *cobra.Command, f registryFlags, noLogin bool, change *client.RegistryChange) error {
	if c.Flags().Changed("ca") {
		ca, err := readCA(f.ca)
		if err != nil {
			return usagef(c, "--ca: %w", err)
		}
		change.CA = &ca
	}
	none := ""
	switch {
	case noLogin:
		change.Username, change.Password = &none, &none
	case f.stdin:
		password, err := a.secretInput(c, true)
		if err != nil {
			return err
		}
		change.Password = &password
	}
	return nil
}
