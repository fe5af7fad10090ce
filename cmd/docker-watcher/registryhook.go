package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

func (a *app) registryHook() *cobra.Command {
	return group(&cobra.Command{
		Use:   "hook",
		Short: "The webhook by which a registry says that something was pushed",
		Long: `A webhook lets a registry, a forge or a build say that something was pushed: what it names is asked
for at once, and not only when its time has come. Nothing else in the message is believed. Whoever
sends shows the secret of the webhook, or signs with it. docs/registries.md says what to put where for
each product.`,
		Example: `  docker-watcher registry hook make github
  docker-watcher registry hook rm github`,
	}, a.hookMake(), a.hookRm())
}

func (a *app) hookMake() *cobra.Command {
	return &cobra.Command{
		Use: "make NAME", Short: "Make a webhook, or give it another secret, and show that once",
		Long: `Gives a registry a webhook, and prints its address and its secret: now and never again. Where it has
one already it gets another secret, and the former one counts no more. The last line is for senders
that can neither sign nor send a header: there the secret is a part of the address.`,
		Example:           "  docker-watcher registry hook make github",
		Args:              takes(1, 1),
		ValidArgsFunction: a.registryNames(),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			r, err := a.registry(c.Context(), api, args[0])
			if err != nil {
				return err
			}
			if r.Hook != nil {
				if err := a.confirm(c, fmt.Sprintf("Registry %s has a webhook. Give it another secret? The one that is in use counts no more.", r.Name)); err != nil {
					return err
				}
			}
			made, err := api.MakeHook(c.Context(), r.ID)
			if err != nil {
				return err
			}
			at, err := a.address(made.Path)
			if err != nil {
				return err
			}
			return a.show(made, func() {
				a.screen.Notef("the webhook of registry %s is made; its secret is shown this once\n", r.Name)
				a.screen.Printf("url %s\nsecret %s\nboth %s/%s\n", at, made.Secret, at, made.Secret)
			})
		}),
	}
}

func (a *app) hookRm() *cobra.Command {
	return removes(a, &cobra.Command{
		Use: "rm NAME", Short: "Take the webhook of a registry away",
		Long:              "Takes the webhook of a registry away: nothing that is sent to it counts. The registry is asked when its time has come, as before.",
		Example:           "  docker-watcher registry hook rm github --yes",
		ValidArgsFunction: a.registryNames(),
	}, removal[client.Registry]{
		find: a.registry,
		ask:  func(r client.Registry) string { return fmt.Sprintf("Take the webhook of registry %s away?", r.Name) },
		remove: func(ctx context.Context, api *client.Client, r client.Registry) error {
			return api.DeleteHook(ctx, r.ID)
		},
		told: func(r client.Registry) string { return fmt.Sprintf("the webhook of registry %s is gone", r.Name) },
	})
}

// address is a path of the daemon as others reach it, as far as we know.
func (a *app) address(path string) (string, error) {
	where, _, err := a.target()
	return strings.TrimSuffix(where, "/") + path, err
}

// printUse says who uses a registry, what asking it brought, and how much of that was nothing new.
func (a *app) printUse(r client.Registry) {
	u := r.Use
	a.screen.Printf("used by %s, %d of them follow %s\n", count(u.Stages, "stage"), u.Following, repositories(u.Repositories))
	if u.Following > 0 {
		a.screen.Printf("last asked %s, next check %s\n", a.when(u.LastAt).Text, a.nextCheck(u).Text)
	}
	if !u.Since.IsZero() {
		a.screen.Printf("%s %s for %s: %s\n", a.screen.Paint(screen.Cell{Text: "could not be asked since", Tone: screen.Bad}),
			a.when(u.Since).Text, count(u.Blind, "stage"), screen.Tame(u.Error))
	}
	if t := r.Traffic; t != nil {
		a.screen.Printf("asked %s since %s, %d times nothing had changed (304)\n", times(t.Requests), a.when(t.Since).Text, t.NotModified)
	}
	switch h := r.Hook; {
	case h == nil:
		a.screen.Printf("webhook none\n")
	case h.HeardAt.IsZero():
		a.screen.Printf("webhook %s, never heard\n", h.Path)
	default:
		a.screen.Printf("webhook %s, last heard %s\n", h.Path, a.when(h.HeardAt).Text)
	}
	for _, st := range r.Stages {
		follows := "does not follow tags"
		if st.Follows {
			follows = "follows " + st.Image
		}
		a.screen.Printf("  %s/%s %s\n", st.Project, st.Stage, follows)
	}
}

func (a *app) nextCheck(u client.RegistryUse) screen.Cell {
	if u.NextAt.IsZero() {
		return screen.Text("now")
	}
	return a.when(u.NextAt)
}

func repositories(n int) string {
	if n == 1 {
		return "1 repository"
	}
	return fmt.Sprintf("%d repositories", n)
}

func times(n int64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// sightOf says whether a registry can be asked for the tags that are followed.
func (a *app) sightOf(u client.RegistryUse) screen.Cell {
	switch {
	case u.Following == 0:
		return screen.Cell{Text: "not followed", Tone: screen.Faint}
	case u.Blind > 0:
		return screen.Cell{Text: "could not ask since " + a.when(u.Since).Text, Tone: screen.Bad}
	case u.LastAt.IsZero():
		return screen.Cell{Text: "not asked yet", Tone: screen.Faint}
	}
	return screen.Cell{Text: "asked " + a.when(u.LastAt).Text, Tone: screen.Good}
}
