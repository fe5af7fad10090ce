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

func (a *app) leftoversCommand() *cobra.Command {
	var where string
	c := lists(a, &cobra.Command{
		Use:   "leftovers",
		Short: "What does not fit together, and the one step that mends it",
		Long: `Lists what every scan finds that does not fit together: containers with our labels that we know nothing of,
containers that we know and that are gone, routes to nothing, removals that hang, containers
that the engine cannot remove. Each with the one step that mends it. Nothing of it is
touched by itself.`,
		Example: `  docker-watcher leftovers
  docker-watcher leftovers mend 06h0kc8n7klh2cng`,
		Args: takes(0, 0),
	}, func(c *cobra.Command, api *client.Client, _ []string) ([]client.Leftover, error) {
		id, err := a.hostID(c, api, where)
		if err != nil {
			return nil, err
		}
		return api.Leftovers(c.Context(), id)
	}, a.printLeftovers)
	c.Flags().StringVar(&where, "host", "", "only on this host")
	c.AddCommand(a.leftoversMend())
	return c
}

func (a *app) printLeftovers(items []client.Leftover) {
	if len(items) == 0 {
		a.screen.Notef("everything fits together\n")
		return
	}
	t := screen.Table{Head: []string{"id", "kind", "name", "host", "found", "detail", "step"}}
	if a.wide() {
		t.Head = append(t.Head, "subject", "seen")
	}
	for _, i := range items {
		row := []screen.Cell{
			screen.Text(i.ID),
			{Text: strings.ReplaceAll(i.Kind, "_", " "), Tone: screen.Warn},
			screen.Text(i.Name), screen.Text(i.Host),
			a.when(i.FoundAt), orNever(i.Detail), screen.Text(i.Step),
		}
		if a.wide() {
			row = append(row, screen.Text(i.Subject), a.when(i.SeenAt))
		}
		t.Add(row...)
	}
	a.screen.Print(t)
}

func (a *app) leftoversMend() *cobra.Command {
	var container string
	c := &cobra.Command{
		Use: "mend ID [--yes CONTAINER_ID]", Short: "Do the one step that mends a leftover",
		Long: `Does the one step that "docker-watcher leftovers" shows for it, after asking on a terminal. A container
that we know nothing of may be a copy of ours or somebody else's: it is removed only if --yes
gives its full id, which says that you looked at it; on a terminal the id is typed in. One
that runs is never removed: stop it yourself first. Needs an admin.`,
		Example: `  docker-watcher leftovers
  docker-watcher leftovers mend 06h0kc8n7klh2cng
  docker-watcher leftovers mend 06h0kc8n7klh2cng --yes 4c01db0b339c...`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.leftoverIDs(),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			all, err := api.Leftovers(c.Context(), "")
			if err != nil {
				return err
			}
			i := slices.IndexFunc(all, func(i client.Leftover) bool { return i.ID == args[0] })
			if i < 0 {
				return &notFoundError{fmt.Sprintf("there is no leftover %q", args[0]), "docker-watcher leftovers lists them"}
			}
			yes, err := a.sureToMend(c, all[i], container)
			if err != nil {
				return err
			}
			if err := api.Mend(c.Context(), all[i].ID, yes); err != nil {
				return err
			}
			return a.show(all[i], func() { a.screen.Printf("%s is mended\n", all[i].Name) })
		}),
	}
	// Instead of the yes of other commands: here a yes has to say to what.
	c.Flags().StringVarP(&container, "yes", "y", "", "the full id of the container that may be removed")
	return c
}

// sureToMend asks for the yes that a step needs: the full container id where a container is to go, else a plain yes
// on a terminal. The step of anything else is named by the leftover's id alone.
func (a *app) sureToMend(c *cobra.Command, i client.Leftover, given string) (string, error) {
	switch {
	case !i.NeedsYes && given != "":
		return "", usagef(c, "--yes is for a container that is to be removed; this is about %s", i.Name)
	case i.NeedsYes && given != "":
		return given, nil
	case !a.screen.InputTerminal && i.NeedsYes:
		return "", usagef(c, "look at the container, and give its full id with --yes to have it removed: %s", i.Subject)
	case !a.screen.InputTerminal:
		return "", nil
	}
	a.printLeftovers([]client.Leftover{i})
	if !i.NeedsYes {
		return "", a.confirm(c, firstUpper(i.Step)+"?")
	}
	a.screen.Notef("Container %s goes for good. Type its id (12 characters or more): ", i.Subject)
	typed, err := a.screen.Line()
	if err != nil {
		return "", err
	}
	if typed = strings.TrimSpace(typed); !containerForm.MatchString(typed) || !strings.HasPrefix(i.Subject, typed) {
		return "", errDeclined
	}
	return i.Subject, nil
}

func firstUpper(text string) string {
	if text == "" {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

func (a *app) leftoverIDs() completer {
	return a.completes(func(ctx context.Context, api *client.Client) ([]string, error) {
		items, err := api.Leftovers(ctx, "")
		var ids []string
		for _, i := range items {
			ids = append(ids, i.ID+"\t"+strings.ReplaceAll(i.Kind, "_", " ")+" "+i.Name)
		}
		return ids, err
	})
}
