package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

func (a *app) registryCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "registry",
		Short: "Registries: where images come from, and how each is reached",
		Long: `A registry is where images come from. One that needs no login and speaks TLS with a certificate
that everybody trusts need not be set up; for all others say here how they are reached. Which one an
image comes from is said by the host in its name: ghcr.io/acme/shop is at ghcr.io, acme/shop at docker.io.

Passwords are sealed where they are kept, and shown to nobody.`,
		Example: `  docker-watcher registry add github ghcr.io --preset ghcr --username anna --password-stdin < token
  docker-watcher registry test github acme/shop
  docker-watcher registry ls`,
	}, a.registryLs(), a.registryAdd(), a.registryShow(), a.registryEdit(), a.registryTest(), a.registryRm(), a.registryHook(), a.registryPresets())
}

func (a *app) registryLs() *cobra.Command {
	return lists(a, &cobra.Command{
		Use: "ls", Short: "List the registries",
		Long:    "Lists the registries: who logs in, what the last test found, what each may still be asked.",
		Example: "  docker-watcher registry ls",
		Args:    takes(0, 0),
	}, func(c *cobra.Command, api *client.Client, _ []string) ([]client.Registry, error) {
		return api.Registries(c.Context())
	}, a.printRegistries)
}

func (a *app) printRegistries(registries []client.Registry) {
	t := screen.Table{Head: []string{"name", "host", "login", "last test", "tested", "may be asked", "tags"}}
	if a.wide() {
		t.Head = append(t.Head, "next check", "304s", "id", "preset", "plain http", "own ca")
	}
	for _, r := range registries {
		outcome, at := testOutcome(r.LastTest), screen.Text(screen.Never)
		if r.LastTest != nil {
			at = a.when(r.LastTest.At)
		}
		row := []screen.Cell{screen.Text(r.Name), screen.Text(r.Host), loginOf(r), outcome, at, a.allowance(r.Allowance), a.sightOf(r.Use)}
		if a.wide() {
			row = append(row, a.nextCheck(r.Use), unchanged(r.Traffic), screen.Text(r.ID), screen.Text(r.Preset), screen.Text(yesNo(r.PlainHTTP)), screen.Text(yesNo(r.CA != "")))
		}
		t.Add(row...)
	}
	a.screen.Print(t)
}

// unchanged is how many of the questions brought nothing new.
func unchanged(t *client.Traffic) screen.Cell {
	if t == nil {
		return screen.Cell{Text: screen.Never, Tone: screen.Faint}
	}
	return screen.Text(fmt.Sprintf("%d of %d", t.NotModified, t.Requests))
}

func loginOf(r client.Registry) screen.Cell {
	if !r.PasswordSet {
		return screen.Cell{Text: "none", Tone: screen.Faint}
	}
	return screen.Text(r.Username)
}

func (a *app) registryShow() *cobra.Command {
	return shows(a, &cobra.Command{
		Use: "show NAME", Short: "Show a registry",
		Long:              "Shows how a registry is reached, what the last test found, and what it may still be asked.",
		Example:           "  docker-watcher registry show github",
		Args:              takes(1, 1),
		ValidArgsFunction: a.registryNames(),
	}, func(c *cobra.Command, api *client.Client, args []string) (client.Registry, error) {
		return a.registry(c.Context(), api, args[0])
	}, a.printRegistry)
}

func (a *app) printRegistry(r client.Registry) {
	a.screen.Printf("registry %s\nhost %s\npreset %s\nlogin %s\n", r.Name, r.Host, r.Preset, screen.Tame(loginOf(r).Text))
	if r.PasswordSet {
		a.screen.Printf("password (sealed)\n")
	}
	a.screen.Printf("plain http %s\nown ca %s\nmay be asked %s\n", yesNo(r.PlainHTTP), yesNo(r.CA != ""), a.allowance(r.Allowance).Text)
	if l := r.Allowance; l != nil && l.Source != "" {
		a.screen.Printf("counted as %s\n", screen.Tame(l.Source))
	}
	a.printUse(r)
	if r.LastTest == nil {
		a.screen.Printf("last test never\n")
		return
	}
	a.screen.Printf("last test %s by %s\n", a.when(r.LastTest.At).Text, screen.Tame(r.LastTest.By))
	a.printTest(*r.LastTest)
}

func (a *app) registryRm() *cobra.Command {
	return removes(a, &cobra.Command{
		Use: "rm NAME", Short: "Remove a registry and its password",
		Long: `Removes a registry and its password. Images that were pulled stay; what is pulled from its host after
that is asked for without a login.`,
		Example:           "  docker-watcher registry rm attic --yes",
		ValidArgsFunction: a.registryNames(),
	}, removal[client.Registry]{
		find: a.registry,
		ask: func(r client.Registry) string {
			return fmt.Sprintf("Remove registry %s (%s)? %s.", r.Name, r.Host, consequence(r.Use))
		},
		remove: func(ctx context.Context, api *client.Client, r client.Registry) error {
			return api.DeleteRegistry(ctx, r.ID)
		},
		told: func(r client.Registry) string { return fmt.Sprintf("registry %s removed", r.Name) },
	})
}

// consequence is what becomes of those who use a registry that is removed.
func consequence(u client.RegistryUse) string {
	if u.Stages == 0 {
		return "No stage has its images from there"
	}
	return fmt.Sprintf("%s from there, %d of them by its tags: it will be asked without a login", images(u.Stages), u.Following)
}

func images(stages int) string {
	if stages == 1 {
		return "1 stage has its images"
	}
	return fmt.Sprintf("%d stages have their images", stages)
}

func (a *app) registryPresets() *cobra.Command {
	return lists(a, &cobra.Command{
		Use: "presets", Short: "What to write where, by kind of registry",
		Long:    "Says for each kind of registry which host, user name and password it takes. docs/registries.md says more.",
		Example: "  docker-watcher registry presets",
		Args:    takes(0, 0),
	}, func(c *cobra.Command, api *client.Client, _ []string) ([]client.RegistryPreset, error) {
		return api.RegistryPresets(c.Context())
	}, func(presets []client.RegistryPreset) {
		for _, p := range presets {
			a.screen.Printf("%s (--preset %s)\n  host      %s\n  username  %s\n  password  %s\n", p.Title, p.Kind,
				firstOf(p.Host, p.HostHint), firstOf(p.Username, p.UsernameHint), p.PasswordHint)
			if p.Note != "" {
				a.screen.Printf("  note      %s\n", p.Note)
			}
		}
	})
}

// registry finds one by its name or its id.
func (a *app) registry(ctx context.Context, api *client.Client, name string) (client.Registry, error) {
	r, err := api.Registry(ctx, name)
	if client.HasCode(err, client.CodeNotFound) {
		return r, &notFoundError{fmt.Sprintf("there is no registry %q", name), "docker-watcher registry ls lists them"}
	}
	return r, err
}

func (a *app) registryNames() completer {
	return a.completes(func(ctx context.Context, api *client.Client) ([]string, error) {
		registries, err := api.Registries(ctx)
		var names []string
		for _, r := range registries {
			names = append(names, r.Name+"\t"+r.Host)
		}
		return names, err
	})
}
