package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

func (a *app) userCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "user",
		Short: "Who may sign in, and what each may",
		Long: `Who may sign in, and what each may: in all projects by a role (none, viewer, operator or
admin), and in single projects by --in. For admins only. Whoever has lost their way in is let in again
on the machine of the service, by "server user reset NAME".`,
		Example: `  docker-watcher user create bert --role viewer
  docker-watcher user create carla --role none --in shop=operator --in blog=viewer
  docker-watcher user disable bert`,
	}, a.userLs(), a.userCreate(), a.userChange(), a.userLink(), a.userDisable(), a.userEnable(), a.userSessions(), a.userSignOut(), a.userResetFactor(), a.userRm())
}

func (a *app) userLs() *cobra.Command {
	return lists(a, &cobra.Command{
		Use: "ls", Short: "List the users",
		Long: "Lists the users with what each may, whether they have a second factor, and when they last signed in.", Example: "  docker-watcher user ls",
		Args: takes(0, 0),
	}, func(c *cobra.Command, api *client.Client, _ []string) ([]client.User, error) {
		return api.Users(c.Context())
	}, a.printUsers)
}

func (a *app) printUsers(users []client.User) {
	t := screen.Table{Head: []string{"name", "role", "in", "state", "second factor", "signed in"}}
	for _, u := range users {
		t.Add(screen.Text(u.Name), screen.Text(u.Role), screen.Text(grantWords(u.Grants)), screen.Text(userState(u)), screen.Text(yesNo(u.SecondFactor)), a.when(u.SignedInAt))
	}
	a.screen.Print(t)
}

func grantWords(grants []client.Grant) string {
	words := make([]string, len(grants))
	for i, g := range grants {
		words[i] = firstOf(g.Project, g.ProjectID) + "=" + g.Role
	}
	return strings.Join(words, " ")
}

func userState(u client.User) string {
	switch {
	case !u.DisabledAt.IsZero():
		return "disabled"
	case !u.HasPassword && u.Provider == "":
		return "invited"
	}
	return "active"
}

const inHelp = "what they may in one project beyond their role: PROJECT=viewer or PROJECT=operator (may be given again)"

func readGrantFlags(c *cobra.Command, in []string) ([]client.Grant, error) {
	grants := []client.Grant{}
	for _, text := range in {
		project, role, ok := strings.Cut(text, "=")
		if !ok || project == "" || role == "" {
			return nil, usagef(c, "--in %q: it looks like shop=operator", text)
		}
		grants = append(grants, client.Grant{ProjectID: project, Role: role})
	}
	return grants, nil
}

func (a *app) userCreate() *cobra.Command {
	var (
		role  string
		in    []string
		stdin bool
		byIDP bool
	)
	c := &cobra.Command{
		Use: "create NAME", Short: "Make a user",
		Long: `Makes a user. They set their password by a one-time link, which is printed once, alone on
standard output, and is good for 72 hours; or --password-stdin gives them one now.`,
		Example: `  docker-watcher user create bert --role operator
  docker-watcher user create carla --role none --in shop=operator`,
		Args: takes(1, 1),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			n := client.NewUser{Name: args[0], Role: role, Provided: byIDP}
			var err error
			if n.Grants, err = readGrantFlags(c, in); err != nil {
				return err
			}
			if stdin {
				if n.Password, err = a.password(c, true, true); err != nil {
					return err
				}
			}
			u, err := api.CreateUser(c.Context(), n)
			if err != nil {
				return err
			}
			return a.show(u, func() { a.tellLink(u, u.Name+" ("+u.Role+") was made") })
		}),
	}
	c.Flags().StringVar(&role, "role", "viewer", "in all projects: none, viewer, operator or admin")
	c.Flags().StringArrayVar(&in, "in", nil, inHelp)
	c.Flags().BoolVar(&stdin, "password-stdin", false, "read their password from standard input")
	c.Flags().BoolVar(&byIDP, "by-provider", false, "they come in by the identity provider, under this name: no password, no link")
	c.MarkFlagsMutuallyExclusive("password-stdin", "by-provider")
	return c
}

// tellLink prints the link of a user alone on standard output, where there is one.
func (a *app) tellLink(u client.User, done string) {
	if u.LinkCode == "" {
		a.screen.Printf("%s.\n", done)
		return
	}
	where, _, err := a.target()
	if err != nil {
		where = ""
	}
	a.screen.Notef("%s; they set their password at this link, shown this once, within 72 hours:\n", done)
	a.screen.Printf("%s/password#code=%s\n", serverKey(where), u.LinkCode)
}

func (a *app) userChange() *cobra.Command {
	var (
		role string
		in   []string
		none bool
	)
	c := &cobra.Command{
		Use: "set NAME", Short: "Change what a user may",
		Long: `Changes what a user may: --role in all projects, --in in single ones, in place of all that
was given before. The last admin stays one.`,
		Example: `  docker-watcher user set bert --role operator
  docker-watcher user set bert --role none --in shop=operator
  docker-watcher user set bert --in-none`,
		Args: takes(1, 1),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			change := client.UserChange{Role: role}
			if len(in) > 0 || none {
				grants, err := readGrantFlags(c, in)
				if err != nil {
					return err
				}
				change.Grants = &grants
			}
			if change.Role == "" && change.Grants == nil {
				return usagef(c, "say what changes: --role, --in or --in-none")
			}
			u, err := api.UpdateUser(c.Context(), args[0], change)
			if err != nil {
				return err
			}
			return a.show(u, func() { a.printUsers([]client.User{u}) })
		}),
	}
	c.Flags().StringVar(&role, "role", "", "in all projects: none, viewer, operator or admin")
	c.Flags().StringArrayVar(&in, "in", nil, inHelp)
	c.Flags().BoolVar(&none, "in-none", false, "take everything away that was given in single projects")
	c.MarkFlagsMutuallyExclusive("in", "in-none")
	return c
}

func (a *app) userLink() *cobra.Command {
	return &cobra.Command{
		Use: "link NAME", Short: "Give a user a one-time link to set a password with",
		Long:    "Makes a one-time link with which a user sets a password, in place of a former link. Their password works until it is used.",
		Example: "  docker-watcher user link bert",
		Args:    takes(1, 1),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			u, err := api.MakePasswordLink(c.Context(), args[0])
			if err != nil {
				return err
			}
			return a.show(u, func() { a.tellLink(u, "a link for "+u.Name+" was made") })
		}),
	}
}

func (a *app) userDisable() *cobra.Command {
	return removes(a, &cobra.Command{
		Use: "disable NAME", Short: "Keep a user out",
		Long: "Keeps a user out: their sessions end and their tokens open nothing, at once.", Example: "  docker-watcher user disable bert",
	}, removal[client.User]{
		find: findUser, ask: func(u client.User) string {
			return fmt.Sprintf("Disable %s, end their sessions and stop their tokens?", u.Name)
		},
		remove: func(ctx context.Context, api *client.Client, u client.User) error {
			_, err := api.DisableUser(ctx, u.ID)
			return err
		},
		told: func(u client.User) string { return u.Name + " disabled" },
	})
}

func findUser(ctx context.Context, api *client.Client, name string) (client.User, error) {
	return api.User(ctx, name)
}

func (a *app) userEnable() *cobra.Command {
	return &cobra.Command{
		Use: "enable NAME", Short: "Let a user in again", Long: "Lets a disabled user in again. Their tokens work again; they sign in anew.",
		Example: "  docker-watcher user enable bert", Args: takes(1, 1),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			u, err := api.EnableUser(c.Context(), args[0])
			if err != nil {
				return err
			}
			return a.show(u, func() { a.screen.Printf("%s enabled\n", u.Name) })
		}),
	}
}

func (a *app) userSessions() *cobra.Command {
	return lists(a, &cobra.Command{
		Use: "sessions NAME", Short: "List where a user is signed in",
		Long: "Lists the sessions of a user: device, address, since when, last seen.", Example: "  docker-watcher user sessions bert", Args: takes(1, 1),
	}, func(c *cobra.Command, api *client.Client, args []string) ([]client.SessionItem, error) {
		return api.UserSessions(c.Context(), args[0])
	}, a.printSessions)
}

func (a *app) printSessions(sessions []client.SessionItem) {
	t := screen.Table{Head: []string{"id", "device", "address", "since", "seen", ""}}
	for _, s := range sessions {
		t.Add(screen.Text(s.ID), screen.Text(s.Device), screen.Text(s.Addr), a.when(s.CreatedAt), a.when(s.SeenAt), screen.Text(map[bool]string{true: "this one"}[s.Current]))
	}
	a.screen.Print(t)
}

func (a *app) userSignOut() *cobra.Command {
	return removes(a, &cobra.Command{
		Use: "sign-out NAME", Short: "End every session of a user",
		Long: "Ends every session of a user. Their password and tokens stay as they are.", Example: "  docker-watcher user sign-out bert",
	}, removal[client.User]{
		find: findUser, ask: func(u client.User) string { return fmt.Sprintf("Sign %s out everywhere?", u.Name) },
		remove: func(ctx context.Context, api *client.Client, u client.User) error {
			_, err := api.EndUserSessions(ctx, u.ID)
			return err
		},
		told: func(u client.User) string { return u.Name + " signed out everywhere" },
	})
}

func (a *app) userResetFactor() *cobra.Command {
	return removes(a, &cobra.Command{
		Use: "reset-second-factor NAME", Short: "Take the second factor of a user away who has lost it",
		Long: "Takes the second factor and the recovery codes of a user away, so that the password alone lets them in. Be sure who asks.", Example: "  docker-watcher user reset-second-factor bert",
	}, removal[client.User]{
		find: findUser, ask: func(u client.User) string {
			return fmt.Sprintf("Take the second factor of %s away? The password alone will do then.", u.Name)
		},
		remove: func(ctx context.Context, api *client.Client, u client.User) error {
			return api.ResetSecondFactor(ctx, u.ID)
		},
		told: func(u client.User) string { return u.Name + " has no second factor now" },
	})
}

func (a *app) userRm() *cobra.Command {
	return removes(a, &cobra.Command{
		Use: "rm NAME", Short: "Remove a user with their sessions and tokens",
		Long: "Removes a user for good, with their sessions and tokens. What they did stays in the event log. The last admin cannot be removed.", Example: "  docker-watcher user rm bert",
	}, removal[client.User]{
		find: findUser, ask: func(u client.User) string {
			return fmt.Sprintf("Remove %s with their sessions and tokens?", u.Name)
		},
		remove: func(ctx context.Context, api *client.Client, u client.User) error { return api.DeleteUser(ctx, u.ID) },
		told:   func(u client.User) string { return u.Name + " removed" },
	})
}

// sessionNamed finds one of several by its id or the beginning of it.
func sessionNamed(sessions []client.SessionItem, id string) (client.SessionItem, bool) {
	at := slices.IndexFunc(sessions, func(s client.SessionItem) bool { return s.ID == id })
	if at < 0 {
		return client.SessionItem{}, false
	}
	return sessions[at], true
}
