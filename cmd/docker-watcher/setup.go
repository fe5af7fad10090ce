package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
)

func (a *app) setupCommand() *cobra.Command {
	var (
		name  string
		stdin bool
	)
	c := &cobra.Command{
		Use:   "setup LINK",
		Short: "Make the first admin with the one-time link that the service printed",
		Long: `Makes the first admin with the one-time link that the service prints at its first
start, then makes an API token for this machine and stores it (readable by you
alone) in your configuration folder, so that all other commands work at once.

The link works once and for 24 hours. A password has at least 12 characters.`,
		Example: `  docker-watcher setup 'http://127.0.0.1:8080/setup#code=Xk3...' --name anna
  pass show watcher | docker-watcher setup 'http://...#code=Xk3...' --name anna --password-stdin`,
		Args: takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			where, code, err := splitLink(args[0])
			if err != nil {
				return usagef(c, "%w", err)
			}
			return a.setup(c, where, code, name, stdin)
		},
	}
	c.Flags().StringVar(&name, "name", "admin", "name of the first admin")
	c.Flags().BoolVar(&stdin, "password-stdin", false, "read the password from standard input")
	return c
}

func (a *app) setup(c *cobra.Command, where, code, name string, stdin bool) error {
	password, err := a.password(c, stdin, true)
	if err != nil {
		return err
	}
	nobody, err := a.dial(where, "")
	if err != nil {
		return err
	}
	credential, _, err := nobody.Setup(c.Context(), code, name, password)
	if client.HasCode(err, client.CodeSetUp) {
		return &hinted{err, "it has its first admin already: docker-watcher login " + where}
	}
	if err != nil {
		return err
	}
	session := nobody.As(credential)
	token, err := session.CreateToken(c.Context(), client.NewToken{Name: a.tokenName(), Role: "admin"})
	if err != nil {
		return fmt.Errorf("%s was made, but no token for this machine: %w", name, err)
	}
	if err := a.keep(where, server{Credential: token.Secret, Name: "token:" + token.Name}); err != nil {
		return err
	}
	if err := session.Logout(c.Context()); err != nil {
		return fmt.Errorf("end the session of the set-up: %w", err)
	}
	a.screen.Printf("%s is the first admin of %s.\n", name, where)
	a.screen.Printf("The token %q of this machine is stored. Next: docker-watcher project create NAME --image REPOSITORY\n", token.Name)
	return nil
}

func (a *app) tokenName() string {
	host, err := a.hostname()
	if err != nil || host == "" {
		return "cli"
	}
	return "cli-" + strings.ToLower(host)
}

// splitLink takes a setup link apart: http://host/setup#code=CODE, or the code alone after the #.
func splitLink(link string) (where, code string, err error) {
	u, err := url.Parse(link)
	if err != nil {
		return "", "", fmt.Errorf("read the link: %w", err)
	}
	code = strings.TrimPrefix(u.Fragment, "code=")
	if u.Scheme == "" || u.Host == "" || code == "" {
		return "", "", errors.New("that is no setup link: it looks like http://127.0.0.1:8080/setup#code=... (quote it for the shell)")
	}
	u.Fragment, u.RawQuery = "", ""
	u.Path = strings.TrimSuffix(strings.TrimSuffix(u.Path, "/"), "/setup")
	return u.String(), code, nil
}

func (a *app) loginCommand() *cobra.Command {
	var (
		name, code        string
		stdin, tokenStdin bool
	)
	c := &cobra.Command{
		Use:   "login [URL]",
		Short: "Sign in and keep the credential for the next commands",
		Long: `Signs in with a name and a password, or takes an API token, and stores the credential
in your configuration folder, readable by you alone. The service becomes the one
that all commands speak to. DOCKER_WATCHER_URL and DOCKER_WATCHER_TOKEN go before it.`,
		Example: `  docker-watcher login https://watcher.example.org --name anna
  docker-watcher login https://watcher.example.org --token-stdin < token`,
		Args: takes(0, 1),
		RunE: func(c *cobra.Command, args []string) error {
			where, _, err := a.target()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				where = args[0]
			}
			if tokenStdin {
				return a.loginToken(c.Context(), where)
			}
			return a.login(c, where, name, code, stdin)
		},
	}
	c.Flags().StringVar(&name, "name", "", "your name")
	c.Flags().BoolVar(&stdin, "password-stdin", false, "read the password from standard input")
	c.Flags().StringVar(&code, "code", "", "the code of your second factor, or a recovery code (asked for when it is needed)")
	c.Flags().BoolVar(&tokenStdin, "token-stdin", false, "read an API token from standard input and keep it")
	c.MarkFlagsMutuallyExclusive("password-stdin", "token-stdin")
	return c
}

func (a *app) login(c *cobra.Command, where, name, code string, stdin bool) error {
	if name == "" {
		return usagef(c, "say who you are with --name")
	}
	password, err := a.password(c, stdin, false)
	if err != nil {
		return err
	}
	nobody, err := a.dial(where, "")
	if err != nil {
		return err
	}
	credential, s, err := nobody.LoginWithCode(c.Context(), name, password, code)
	if client.HasCode(err, client.CodeSecondFactor) && code == "" {
		if code, err = a.code(c, false); err != nil {
			return err
		}
		credential, s, err = nobody.LoginWithCode(c.Context(), name, password, code)
	}
	if client.HasCode(err, client.CodeSecondFactor) {
		return &hinted{err, "wait for the next code, or use a recovery code"}
	}
	if err != nil {
		return &hinted{err, "check the name, the password and the address " + where}
	}
	if err := a.keep(where, server{Credential: credential, Name: s.Actor}); err != nil {
		return err
	}
	a.screen.Printf("Signed in to %s as %s (%s).\n", where, firstOf(s.Name, name), s.Role)
	return nil
}

func (a *app) loginToken(ctx context.Context, where string) error {
	token, err := a.screen.Line()
	if err != nil {
		return fmt.Errorf("read the token: %w", err)
	}
	c, err := a.dial(where, strings.TrimSpace(token))
	if err != nil {
		return err
	}
	s, err := c.Session(ctx)
	if err != nil {
		return err
	}
	if s.State != "user" {
		return &hinted{&client.Problem{Status: 401, Detail: "the token is not known to " + where}, "make one with docker-watcher token create"}
	}
	if err := a.keep(where, server{Credential: c.Credential(), Name: s.Actor}); err != nil {
		return err
	}
	a.screen.Printf("Signed in to %s as %s (%s).\n", where, s.Actor, s.Role)
	return nil
}

func (a *app) logoutCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "logout",
		Short: "End the session and forget its credential",
		Long: `Ends the session at the service and removes the stored credential. An API token
is only forgotten here: "docker-watcher token revoke" ends it.`,
		Example: `  docker-watcher logout`,
		Args:    takes(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			where, credential, err := a.target()
			if err != nil {
				return err
			}
			if credential != "" && !strings.HasPrefix(credential, "dw_") {
				api, err := a.dial(where, credential)
				if err != nil {
					return err
				}
				if err := api.Logout(c.Context()); err != nil && !client.HasCode(err, client.CodeUnauthenticated) {
					return err
				}
			}
			if err := a.forget(where); err != nil {
				return err
			}
			a.screen.Printf("Signed out of %s.\n", where)
			return nil
		},
	}
}

// password asks for one on the terminal (twice where it is new), or reads a line of standard input.
func (a *app) password(c *cobra.Command, stdin, fresh bool) (string, error) {
	if stdin {
		line, err := a.screen.Line()
		if errors.Is(err, io.EOF) {
			return "", usagef(c, "--password-stdin: standard input is empty")
		}
		return line, err
	}
	if !a.screen.InputTerminal {
		return "", usagef(c, "there is no terminal to ask for the password: add --password-stdin")
	}
	first, err := a.hidden("Password: ")
	if err != nil || !fresh {
		return first, err
	}
	second, err := a.hidden("Once more: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", usagef(c, "the two passwords differ")
	}
	return first, nil
}

func (a *app) hidden(prompt string) (string, error) {
	a.screen.Notef("%s", prompt)
	text, err := a.secret()
	a.screen.Notef("\n")
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return text, nil
}
