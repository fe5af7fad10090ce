package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
)

func (a *app) providerCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "identity-provider",
		Short: "Let people sign in by OpenID Connect",
		Long: `Lets people sign in by an identity provider that speaks OpenID Connect (Keycloak,
Authentik, Google, Entra ID ...). Passwords and API tokens go on working. For admins only; docs/access.md explains each setting.`,
		Example: `  docker-watcher identity-provider set provider.json
  docker-watcher identity-provider test`,
	}, a.providerShow(), a.providerSet(), a.providerTest(), a.providerRm())
}

func (a *app) providerShow() *cobra.Command {
	return shows(a, &cobra.Command{
		Use: "show", Short: "Show the identity provider, without its secret", Long: "Shows the identity provider as JSON, as \"set\" takes it; the secret is never told.",
		Example: "  docker-watcher identity-provider show > provider.json", Args: takes(0, 0),
	}, func(c *cobra.Command, api *client.Client, _ []string) (client.IdentityProvider, error) {
		return api.IdentityProvider(c.Context())
	}, func(p client.IdentityProvider) {
		a.screen.Notef("register %s at the provider\n", p.CallbackURL)
		p.HasSecret, p.CallbackURL, p.Revision = false, "", "" // a file that is kept is set whatever was done since
		_ = a.screen.JSON(p)                                   // what cannot be written is told at the end
	})
}

func (a *app) providerSet() *cobra.Command {
	return &cobra.Command{
		Use: "set FILE", Short: "Set the identity provider up from a file of JSON", Args: takes(1, 1),
		Long: `Sets the identity provider up from a file of JSON, or from standard input where the file
is "-". A file without client_secret leaves the one that is there, as long as issuer and client_id stay.`,
		Example: "  docker-watcher identity-provider set provider.json",
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			p, err := a.readProvider(args[0])
			if err != nil {
				return usagef(c, "%w", err)
			}
			now, err := api.SetIdentityProvider(c.Context(), p)
			if err != nil {
				return err
			}
			return a.show(now, func() {
				a.screen.Printf("set up; register this at the provider: %s\n", now.CallbackURL)
			})
		}),
	}
}

func (a *app) readProvider(name string) (p client.IdentityProvider, err error) {
	in := a.screen.In
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return p, fmt.Errorf("read the provider: %w", err)
		}
		defer f.Close()
		in = f
	}
	read := json.NewDecoder(io.LimitReader(in, 1<<20))
	read.DisallowUnknownFields()
	if err := read.Decode(&p); err != nil {
		return p, fmt.Errorf("read the provider: %w", err)
	}
	return p, nil
}

func (a *app) providerTest() *cobra.Command {
	return &cobra.Command{
		Use: "test", Short: "Ask the provider what it says of itself", Long: "Asks the provider for its discovery document, as a sign-in would.",
		Example: "  docker-watcher identity-provider test", Args: takes(0, 0),
		RunE: a.with(func(c *cobra.Command, api *client.Client, _ []string) error {
			r, err := api.TestIdentityProvider(c.Context())
			if err != nil {
				return err
			}
			if !r.OK {
				return &hinted{errors.New(r.Error), r.Hint}
			}
			return a.show(r, func() { a.screen.Printf("the provider answers\n") })
		}),
	}
}

func (a *app) providerRm() *cobra.Command {
	c := removes(a, &cobra.Command{
		Use: "rm", Short: "Have nobody sign in by an identity provider", Long: "Removes the identity provider and its secret. Sessions that are open stay open.",
		Example: "  docker-watcher identity-provider rm",
	}, removal[client.IdentityProvider]{
		find: func(ctx context.Context, api *client.Client, _ string) (client.IdentityProvider, error) {
			return api.IdentityProvider(ctx)
		},
		ask: func(p client.IdentityProvider) string {
			return fmt.Sprintf("Remove the identity provider %s?", p.Issuer)
		},
		remove: func(ctx context.Context, api *client.Client, _ client.IdentityProvider) error {
			return api.DeleteIdentityProvider(ctx)
		},
		told: func(p client.IdentityProvider) string { return p.Issuer + " removed" },
	})
	run := c.RunE
	c.Args = takes(0, 0)
	c.RunE = func(c *cobra.Command, _ []string) error { return run(c, []string{""}) }
	return c
}
