package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

func (a *app) tokenCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "token",
		Short: "API tokens for scripts and other machines",
		Long: `API tokens for scripts and other machines. A token has a role (viewer, operator or
admin) and may expire; its secret is shown once. Scripts use it as DOCKER_WATCHER_TOKEN.`,
		Example: `  docker-watcher token create ci --role operator --expires 90d
  docker-watcher token revoke ci`,
	}, a.tokenLs(), a.tokenCreate(), a.tokenRevoke())
}

func (a *app) tokenLs() *cobra.Command {
	return &cobra.Command{
		Use: "ls", Short: "List the tokens, without their secrets",
		Long:    "Lists the API tokens with role, maker and last use. Secrets are never shown again.",
		Example: "  docker-watcher token ls",
		Args:    takes(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			api, err := a.client()
			if err != nil {
				return err
			}
			tokens, err := api.Tokens(c.Context())
			if err != nil {
				return err
			}
			return a.show(listOf(tokens), func() {
				t := screen.Table{Head: []string{"name", "role", "created", "by", "expires", "last used"}}
				for _, tok := range tokens {
					t.Add(screen.Text(tok.Name), screen.Text(tok.Role), a.when(tok.CreatedAt), screen.Text(tok.CreatedBy), a.until(tok.ExpiresAt), a.when(tok.LastUsedAt))
				}
				a.screen.Print(t)
			})
		},
	}
}

func (a *app) tokenCreate() *cobra.Command {
	var role, expires string
	c := &cobra.Command{
		Use: "create NAME", Short: "Make a token and show its secret once",
		Long: `Makes an API token. Its secret is printed once, alone on standard output, so that it can
be put into a file or a variable. Give it the smallest role that does: viewer reads,
operator deploys and cleans up single containers, admin does all.`,
		Example: `  docker-watcher token create ci --role operator --expires 90d > ci.token`,
		Args:    takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			n := client.NewToken{Name: args[0], Role: role}
			if expires != "" {
				d, err := span(expires)
				if err != nil {
					return usagef(c, "--expires: %w", err)
				}
				n.ExpiresAt = a.screen.Now().Add(d)
			}
			api, err := a.client()
			if err != nil {
				return err
			}
			made, err := api.CreateToken(c.Context(), n)
			if err != nil {
				return err
			}
			return a.show(made, func() {
				a.screen.Notef("token %s (%s) made; this is its secret, shown this once:\n", made.Name, made.Role)
				a.screen.Printf("%s\n", made.Secret)
			})
		},
	}
	c.Flags().StringVar(&role, "role", "operator", "viewer, operator or admin")
	c.Flags().StringVar(&expires, "expires", "", "after how long it expires, such as 90d (default never)")
	return c
}

func (a *app) tokenRevoke() *cobra.Command {
	return &cobra.Command{
		Use: "revoke NAME", Short: "End a token at once",
		Long:    "Ends a token, by its name or id, at once and for good.",
		Example: "  docker-watcher token revoke ci",
		Args:    takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			api, err := a.client()
			if err != nil {
				return err
			}
			tokens, err := api.Tokens(c.Context())
			if err != nil {
				return err
			}
			for _, tok := range tokens {
				if tok.ID != args[0] && tok.Name != args[0] {
					continue
				}
				if err := a.confirm(c, fmt.Sprintf("End token %s (%s)?", tok.Name, tok.Role)); err != nil {
					return err
				}
				if err := api.RevokeToken(c.Context(), tok.ID); err != nil {
					return err
				}
				a.screen.Printf("%s ended\n", tok.Name)
				return nil
			}
			return &notFoundError{fmt.Sprintf("there is no token %q", args[0]), "docker-watcher token ls shows them"}
		},
	}
}

// until shows a moment to come, or "never" for none.
func (a *app) until(t time.Time) screen.Cell {
	if t.IsZero() {
		return screen.Text("never")
	}
	return a.when(t)
}
