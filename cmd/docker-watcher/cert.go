package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

func (a *app) certCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "cert",
		Short: "Certificates: what domains are served over TLS by",
		Long: `Domains are served over TLS by certificates of three kinds: those of an authority such as Let's Encrypt
(docker-watcher proxy edit DOMAIN --tls auto), those of docker-watcher's own authority, which clients have to
be told to trust (--tls internal), and those that you upload (--tls own --certificate NAME). The first two are
had and renewed by themselves. The daemon serves TLS at the address that --proxy-https gives it.`,
		Example: `  docker-watcher cert ls
  docker-watcher cert add wiki --chain fullchain.pem --key privkey.pem
  docker-watcher cert ca > docker-watcher-ca.pem`,
	}, a.certLs(), a.certShow(), a.certAdd(), a.certRm(), a.certRenew(), a.certCA(), a.certAuthority())
}

func (a *app) certLs() *cobra.Command {
	return lists(a, &cobra.Command{
		Use: "ls", Short: "List the certificates",
		Long:    "Lists the certificates that routes ask for, and the uploaded ones: until when each is good, and what is wrong with it.",
		Example: "  docker-watcher cert ls",
		Args:    takes(0, 0),
	}, func(c *cobra.Command, api *client.Client, _ []string) ([]client.Certificate, error) {
		return api.Certificates(c.Context())
	}, a.printCertificates)
}

func (a *app) printCertificates(list []client.Certificate) {
	t := screen.Table{Head: []string{"id", "state", "days left", "issuer", "serves"}}
	if a.wide() {
		t.Head = append(t.Head, "until", "renewed on", "next try")
	}
	for _, c := range list {
		days := screen.Cell{Text: screen.Never, Tone: screen.Faint}
		if c.DaysLeft != nil {
			days = screen.Text(fmt.Sprint(*c.DaysLeft))
		}
		row := []screen.Cell{screen.Text(c.ID), certificateState(c), days, screen.Text(c.Issuer), screen.Text(strings.Join(c.Domains, ", "))}
		if a.wide() {
			row = append(row, a.when(c.NotAfter), a.when(c.RenewAt), a.when(c.NextTryAt))
		}
		t.Add(row...)
	}
	a.screen.Print(t)
	for _, c := range list {
		if c.Trouble != "" {
			a.screen.Notef("%s: %s\nwhat to do: %s\n", c.ID, screen.Tame(c.TroubleText), screen.Tame(c.Hint))
		}
	}
	if len(list) > 0 && list[0].NotListening {
		a.screen.Notef("nothing is served over TLS: start the daemon with --proxy-https, such as --proxy-https :443\n")
	}
}

func certificateState(c client.Certificate) screen.Cell {
	if c.Busy {
		return screen.Cell{Text: "asked for now", Tone: screen.Warn}
	}
	switch c.State {
	case "valid":
		if c.Trouble != "" {
			return screen.Cell{Text: "valid, not renewed", Tone: screen.Warn}
		}
		return screen.Cell{Text: c.State, Tone: screen.Good}
	case "pending", "expiring":
		return screen.Cell{Text: c.State, Tone: screen.Warn}
	}
	return screen.Cell{Text: c.State, Tone: screen.Bad}
}

// certificateNamed finds one by its id, by the name under which it was uploaded, or by a domain that is served by it.
func (a *app) certificateNamed(ctx context.Context, api *client.Client, name string) (client.Certificate, error) {
	list, err := api.Certificates(ctx)
	if err != nil {
		return client.Certificate{}, err
	}
	for _, c := range list {
		if c.ID == name {
			return c, nil
		}
	}
	for _, c := range list {
		if c.Name == name {
			return c, nil
		}
	}
	return api.Certificate(ctx, name)
}

func (a *app) certShow() *cobra.Command {
	return shows(a, &cobra.Command{
		Use: "show ID", Short: "Show a certificate",
		Long:    "Shows what a certificate covers, by whom it is, until when it is good, and what is wrong with it. Keys are never shown.",
		Example: "  docker-watcher cert show auto:app.example.com\n  docker-watcher cert show app.example.com",
		Args:    takes(1, 1),
	}, func(c *cobra.Command, api *client.Client, args []string) (client.Certificate, error) {
		return a.certificateNamed(c.Context(), api, args[0])
	}, a.printCertificate)
}

func (a *app) printCertificate(c client.Certificate) {
	a.screen.Printf("id %s\nstate %s\n", screen.Tame(c.ID), a.screen.Paint(certificateState(c)))
	for _, said := range []struct {
		name, text string
		worth      bool
	}{
		{"covers", strings.Join(c.Names, ", "), len(c.Names) > 0},
		{"serves", strings.Join(c.Domains, ", "), len(c.Domains) > 0},
		{"issuer", c.Issuer, c.Issuer != ""},
		{"good until", a.when(c.NotAfter).Text, !c.NotAfter.IsZero()},
		{"renewed", a.when(c.RenewAt).Text, !c.RenewAt.IsZero()},
		{"last try failed", c.TroubleText, c.Trouble != ""},
		{"what to do:", c.Hint, c.Hint != ""},
		{"next try", a.when(c.NextTryAt).Text, !c.NextTryAt.IsZero()},
	} {
		if said.worth {
			a.screen.Printf("%s %s\n", said.name, screen.Tame(said.text))
		}
	}
}

func (a *app) certAdd() *cobra.Command {
	var chain, key string
	c := &cobra.Command{
		Use: "add NAME --chain FILE --key FILE", Short: "Upload a certificate with its key, or its successor",
		Long: `Uploads a certificate with its key under a name that routes then choose (--tls own --certificate NAME).
Under a name that is taken the former one is replaced, and served no more from that moment. Checked are: that
both can be read, that the key belongs to the certificate, that it is good now, and that it covers the domains
of the routes that choose it. The key is never given back.`,
		Example: "  docker-watcher cert add wiki --chain fullchain.pem --key privkey.pem\n  docker-watcher proxy edit wiki.example.com --tls own --certificate wiki",
		Args:    takes(1, 1),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			if chain == "" || key == "" {
				return usagef(c, "give both files: --chain and --key")
			}
			chainText, err := os.ReadFile(chain)
			if err != nil {
				return fmt.Errorf("read the chain: %w", err)
			}
			keyText, err := os.ReadFile(key)
			if err != nil {
				return fmt.Errorf("read the key: %w", err)
			}
			made, err := api.UploadCertificate(c.Context(), args[0], string(chainText), string(keyText))
			if err != nil {
				return err
			}
			return a.show(made, func() {
				a.screen.Printf("certificate %s uploaded: it covers %s, until %s\n", made.Name, screen.Tame(strings.Join(made.Names, ", ")), a.when(made.NotAfter).Text)
			})
		}),
	}
	c.Flags().StringVar(&chain, "chain", "", "PEM file: the certificate first, then who vouches for it")
	c.Flags().StringVar(&key, "key", "", "PEM file of its private key, without a password")
	return c
}

func (a *app) certRm() *cobra.Command {
	return removes(a, &cobra.Command{
		Use: "rm NAME", Short: "Remove an uploaded certificate and its key",
		Long:    "Removes an uploaded certificate and its key from the disk of the daemon. One that a route chooses is not removed.",
		Example: "  docker-watcher cert rm wiki --yes",
	}, removal[client.Certificate]{
		find: func(ctx context.Context, api *client.Client, name string) (client.Certificate, error) {
			return api.Certificate(ctx, "own:"+strings.TrimPrefix(name, "own:"))
		},
		ask: func(c client.Certificate) string {
			return fmt.Sprintf("Remove the certificate %s and its key?", c.Name)
		},
		remove: func(ctx context.Context, api *client.Client, c client.Certificate) error {
			return api.DeleteCertificate(ctx, c.ID)
		},
		told: func(c client.Certificate) string { return fmt.Sprintf("certificate %s removed", c.Name) },
	})
}

func (a *app) certRenew() *cobra.Command {
	return shows(a, &cobra.Command{
		Use: "renew ID", Short: "Ask for a certificate anew, now",
		Long: `Asks for a certificate anew, also one that is still good: after a change at the authority, or when what was in
the way is mended. It does not wait: docker-watcher cert ls shows how it ends, and the former one is served meanwhile.`,
		Example: "  docker-watcher cert renew app.example.com",
		Args:    takes(1, 1),
	}, func(c *cobra.Command, api *client.Client, args []string) (client.Certificate, error) {
		found, err := a.certificateNamed(c.Context(), api, args[0])
		if err != nil {
			return found, err
		}
		return api.RenewCertificate(c.Context(), found.ID)
	}, func(c client.Certificate) { a.screen.Printf("certificate %s is asked for anew\n", screen.Tame(c.ID)) })
}

func (a *app) certCA() *cobra.Command {
	return &cobra.Command{
		Use: "ca", Short: "Print the root of docker-watcher's own authority",
		Long: `Prints the root of docker-watcher's own authority as PEM. Who trusts it trusts the domains with --tls internal:
docs/routing.md says how systems and browsers are told to.`,
		Example: "  docker-watcher cert ca > docker-watcher-ca.pem",
		Args:    takes(0, 0),
		RunE: a.with(func(c *cobra.Command, api *client.Client, _ []string) error {
			root, err := api.OwnCA(c.Context())
			if err != nil {
				return err
			}
			a.screen.Printf("%s", root)
			return nil
		}),
	}
}

func (a *app) certAuthority() *cobra.Command {
	var email, directory, roots, keyID, dns string
	var stdin, dnsStdin bool
	c := &cobra.Command{
		Use: "authority", Short: "Show or change who is asked for certificates",
		Long: `Shows who is asked for the certificates of --tls auto, or changes what is named by a flag. Without a directory it
is Let's Encrypt. An authority that wants its accounts bound to yours there gives a key id and a secret.`,
		Example: `  docker-watcher cert authority
  docker-watcher cert authority --email ops@example.com
  docker-watcher cert authority --directory https://ca.internal/acme/acme/directory --roots ca.pem
  docker-watcher cert authority --eab-key-id kid-1 --eab-secret-stdin < secret
  docker-watcher cert authority --dns cloudflare --dns-token-stdin < token`,
		Args: takes(0, 0),
		RunE: a.with(func(c *cobra.Command, api *client.Client, _ []string) error {
			now, err := api.Authority(c.Context())
			if err != nil {
				return err
			}
			if c.Flags().NFlag() == 0 || !c.Flags().Changed("email") && !c.Flags().Changed("directory") && !c.Flags().Changed("roots") && !c.Flags().Changed("eab-key-id") && !c.Flags().Changed("dns") && !stdin && !dnsStdin {
				return a.show(now, func() { a.printAuthority(now) })
			}
			for flag, set := range map[string]func(){
				"email": func() { now.Email = email }, "directory": func() { now.Directory = directory }, "eab-key-id": func() { now.EABKeyID = keyID },
				"dns": func() { now.DNS = dns },
			} {
				if c.Flags().Changed(flag) {
					set()
				}
			}
			if c.Flags().Changed("roots") {
				if now.Roots, err = pemFile(roots); err != nil {
					return err
				}
			}
			secret, token := "", ""
			if stdin {
				if secret, err = a.secretInput(c, true); err != nil {
					return err
				}
			}
			if dnsStdin {
				if token, err = a.secretInput(c, true); err != nil {
					return err
				}
			}
			if now, err = api.SetAuthority(c.Context(), now, secret, token); err != nil {
				return err
			}
			return a.show(now, func() { a.printAuthority(now) })
		}),
	}
	c.Flags().StringVar(&email, "email", "", `where it writes to; "" tells it none`)
	c.Flags().StringVar(&directory, "directory", "", `URL of its ACME directory; "" is Let's Encrypt`)
	c.Flags().StringVar(&roots, "roots", "", `PEM file: whom we believe that they are a private authority; "" is whom the system believes`)
	c.Flags().StringVar(&keyID, "eab-key-id", "", `key id of an external account binding; "" is none`)
	c.Flags().BoolVar(&stdin, "eab-secret-stdin", false, "read the secret of the binding from standard input")
	c.Flags().StringVar(&dns, "dns", "", `cloudflare or hetzner: prove domains by records there (DNS-01); "" lets the authority come to them`)
	c.Flags().BoolVar(&dnsStdin, "dns-token-stdin", false, "read the API token of that service from standard input")
	c.MarkFlagsMutuallyExclusive("eab-secret-stdin", "dns-token-stdin")
	return c
}

// pemFile reads a file; no name is no text.
func pemFile(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("read the roots: %w", err)
	}
	return string(text), nil
}

func (a *app) printAuthority(now client.Authority) {
	a.screen.Printf("directory %s\n", screen.Tame(firstOf(now.Directory, now.DefaultDirectory+" (Let's Encrypt)")))
	a.screen.Printf("email %s\n", screen.Tame(firstOf(now.Email, "none is told")))
	if now.Roots != "" {
		a.screen.Printf("believed by %s\n", count(strings.Count(now.Roots, "BEGIN CERTIFICATE"), "root"))
	}
	if now.EABKeyID != "" {
		a.screen.Printf("account bound to %s\n", screen.Tame(now.EABKeyID))
	}
	if now.DNS != "" {
		a.screen.Printf("domains are proven by records of %s\n", screen.Tame(now.DNS))
	}
}
