package main

import (
	"context"
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
	return lists(a, &cobra.Command{
		Use: "ls", Short: "List the tokens, without their secrets",
		Long:    "Lists the API tokens with role, maker and last use. Secrets are never shown again.",
		Example: "  docker-watcher token ls",
		Args:    takes(0, 0),
	}, func(c *cobra.Command, api *client.Client, _ []string) ([]client.Token, error) {
		return api.Tokens(c.Context())
	}, a.printTokens)
}

func (a *app) printTokens(tokens []client.Token) {
	t := screen.Table{Head: []string{"name", "role", "created", "by", "expires", "last used"}}
	for _, tok := range tokens {
		t.Add(screen.Text(tok.Name), screen.Text(tok.Role), a.when(tok.CreatedAt), screen.Text(tok.CreatedBy), a.until(tok.ExpiresAt), a.when(tok.LastUsedAt))
	}
	a.screen.Print(t)
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
	return removes(a, &cobra.Command{
		Use: "revoke NAME", Short: "End a token at once",
		Long:    "Ends a token, by its name or id, at once and for good.",
		Example: "  docker-watcher token revoke ci",
	}, removal[client.Token]{
		find:   a.token,
		ask:    func(t client.Token) string { return fmt.Sprintf("End token %s (%s)?", t.Name, t.Role) },
		remove: func(ctx context.Context, api *client.Client, t client.Token) error { return api.RevokeToken(ctx, t.ID) },
		told:   func(t client.Token) string { return t.Name + " ended" },
	})
}

// token finds one by its name or its id.
func (a *app) token(ctx context.Context, api *client.Client, name string) (client.Token, error) {
	tokens, err := api.Tokens(ctx)
	if err != nil {
		return client.Token{}, err
	}
	for _, t := range tokens {
		if t.ID == name || t.Name == name {
			return t, nil
		}
	}
	return client.Token{}, &notFoundError{fmt.Sprintf("there is no token %q", name), "docker-watcher token ls shows them"}
}

// until shows a moment to come, or "never" for none.
func (a *app) until(t time.Time) screen.Cell {
	if t.IsZero() {
		return screen.Text("never")
	}
	return a.when(t)
}
