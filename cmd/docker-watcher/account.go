package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
)

func (a *app) accountCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "account",
		Short: "Your own password, sessions and second factor",
		Long: `Your own password, sessions and second factor. It needs a session ("docker-watcher login
--name"): an API token has none of these.`,
		Example: `  docker-watcher account show
  docker-watcher account password
  docker-watcher account second-factor on`,
	}, a.accountShow(), a.accountPassword(), a.accountSessions(), a.accountSignOut(), a.accountFactor())
}

func (a *app) accountShow() *cobra.Command {
	return shows(a, &cobra.Command{
		Use: "show", Short: "Who you are and what you may", Long: "Shows who you are, what you may, and whether you have a second factor.",
		Example: "  docker-watcher account show", Args: takes(0, 0),
	}, func(c *cobra.Command, api *client.Client, _ []string) (client.Me, error) { return api.Me(c.Context()) }, func(m client.Me) {
		a.screen.Printf("%s (%s), role %s\n", m.Name, m.Actor, m.Role)
		if len(m.Grants) > 0 {
			a.screen.Printf("in single projects: %s\n", grantWords(m.Grants))
		}
		switch f := m.SecondFactor; {
		case !f.Since.IsZero():
			a.screen.Printf("second factor: on, %d recovery codes left\n", f.CodesLeft)
		case f.Required:
			a.screen.Printf("second factor: off, but required\n")
		default:
			a.screen.Printf("second factor: off\n")
		}
	})
}

func (a *app) accountPassword() *cobra.Command {
	var stdin bool
	c := &cobra.Command{
		Use: "password", Short: "Change your password", Long: `Changes your password; your other sessions end. With --password-stdin standard input is two
lines: the password of now, and the new one.`,
		Example: "  docker-watcher account password", Args: takes(0, 0),
		RunE: a.with(func(c *cobra.Command, api *client.Client, _ []string) error {
			if !stdin {
				a.screen.Notef("first the password of now, then the new one twice\n")
			}
			current, err := a.password(c, stdin, false)
			if err != nil {
				return err
			}
			fresh, err := a.password(c, stdin, true)
			if err != nil {
				return err
			}
			if err := api.ChangePassword(c.Context(), current, fresh); err != nil {
				return err
			}
			a.screen.Printf("Your password is changed. Other sessions were ended.\n")
			return nil
		}),
	}
	c.Flags().BoolVar(&stdin, "password-stdin", false, "read both passwords from standard input, a line each")
	return c
}

func (a *app) accountSessions() *cobra.Command {
	return lists(a, &cobra.Command{
		Use: "sessions", Short: "List where you are signed in", Long: "Lists your sessions: device, address, since when, last seen.",
		Example: "  docker-watcher account sessions", Args: takes(0, 0),
	}, func(c *cobra.Command, api *client.Client, _ []string) ([]client.SessionItem, error) {
		return api.MySessions(c.Context())
	}, a.printSessions)
}

func (a *app) accountSignOut() *cobra.Command {
	var others bool
	c := &cobra.Command{
		Use: "sign-out [SESSION]", Short: "End one of your sessions, or all others",
		Long: "Ends one of your sessions by its id, or with --others all but the one of this command line.", Example: "  docker-watcher account sign-out --others",
		Args: takes(0, 1),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			if others == (len(args) == 1) {
				return usagef(c, "name a session or give --others")
			}
			if others {
				n, err := api.EndMyOtherSessions(c.Context())
				if err != nil {
					return err
				}
				a.screen.Printf("%d other sessions ended\n", n)
				return nil
			}
			sessions, err := api.MySessions(c.Context())
			if err != nil {
				return err
			}
			s, found := sessionNamed(sessions, args[0])
			if !found {
				return &notFoundError{fmt.Sprintf("you have no session %q", args[0]), "docker-watcher account sessions shows them"}
			}
			if err := api.EndMySession(c.Context(), s.ID); err != nil {
				return err
			}
			a.screen.Printf("the session from %s ended\n", s.Addr)
			return nil
		}),
	}
	c.Flags().BoolVar(&others, "others", false, "all but this one")
	return c
}

func (a *app) accountFactor() *cobra.Command {
	return group(&cobra.Command{
		Use: "second-factor", Short: "A code of an authenticator beside your password",
		Long:    "A second factor: beside the password, a code of six digits that an authenticator shows anew every 30 seconds (TOTP).",
		Example: "  docker-watcher account second-factor on",
	}, a.factorOn(), a.factorOff(), a.factorCodes())
}

func (a *app) factorOn() *cobra.Command {
	var stdin bool
	c := &cobra.Command{
		Use: "on", Short: "Set up your second factor",
		Long: `Sets up your second factor: asks for your password, shows the secret for your authenticator
(the page shows it as a picture to be scanned), asks for a first code, and prints ten recovery codes, once.`,
		Example: "  docker-watcher account second-factor on", Args: takes(0, 0),
		RunE: a.with(func(c *cobra.Command, api *client.Client, _ []string) error {
			password, err := a.password(c, stdin, false)
			if err != nil {
				return err
			}
			offer, err := api.OfferSecondFactor(c.Context(), password)
			if err != nil {
				return err
			}
			a.screen.Notef("Put this into your authenticator:\n  secret  %s\n  link    %s\n", offer.Secret, offer.URI)
			code, err := a.code(c, stdin)
			if err != nil {
				return err
			}
			codes, err := api.ConfirmSecondFactor(c.Context(), code)
			if err != nil {
				return err
			}
			a.tellRecovery(codes)
			return nil
		}),
	}
	c.Flags().BoolVar(&stdin, "stdin", false, "read the password and then the code from standard input, a line each")
	return c
}

func (a *app) tellRecovery(codes []string) {
	a.screen.Notef("These recovery codes each let you in once without the authenticator; they are shown this once:\n")
	a.screen.Printf("%s\n", strings.Join(codes, "\n"))
}

func (a *app) factorOff() *cobra.Command {
	var stdin bool
	c := &cobra.Command{
		Use: "off", Short: "Take your second factor away", Long: "Takes your second factor away, against a code of it or a recovery code.",
		Example: "  docker-watcher account second-factor off", Args: takes(0, 0),
		RunE: a.with(func(c *cobra.Command, api *client.Client, _ []string) error {
			code, err := a.code(c, stdin)
			if err != nil {
				return err
			}
			if err := api.RemoveSecondFactor(c.Context(), code); err != nil {
				return err
			}
			a.screen.Printf("Your password alone lets you in now.\n")
			return nil
		}),
	}
	c.Flags().BoolVar(&stdin, "stdin", false, "read the code from standard input")
	return c
}

func (a *app) factorCodes() *cobra.Command {
	var stdin bool
	c := &cobra.Command{
		Use: "codes", Short: "Replace your recovery codes", Long: "Makes ten new recovery codes, against a code of your second factor; the former ones are worth nothing then.",
		Example: "  docker-watcher account second-factor codes", Args: takes(0, 0),
		RunE: a.with(func(c *cobra.Command, api *client.Client, _ []string) error {
			code, err := a.code(c, stdin)
			if err != nil {
				return err
			}
			codes, err := api.MakeRecoveryCodes(c.Context(), code)
			if err != nil {
				return err
			}
			a.tellRecovery(codes)
			return nil
		}),
	}
	c.Flags().BoolVar(&stdin, "stdin", false, "read the code from standard input")
	return c
}

// code asks for a code of the second factor.
func (a *app) code(c *cobra.Command, stdin bool) (string, error) {
	if !stdin && !a.screen.InputTerminal {
		return "", usagef(c, "there is no terminal to ask for the code")
	}
	if !stdin {
		a.screen.Notef("Code of your authenticator: ")
	}
	line, err := a.screen.Line()
	if err != nil {
		return "", fmt.Errorf("read the code: %w", err)
	}
	return strings.TrimSpace(line), nil
}
