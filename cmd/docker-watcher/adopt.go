package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

func (a *app) adoptCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "adopt",
		Short: "Containers that run already: see them, take them over, give them back",
		Long: `What is on a host and not docker-watcher's is foreign: it is shown by "adopt ls" with its
age, and never touched. An admin can take a container over, into a stage: one by one, or all of a
compose project at once.

Nothing on the engine is changed by that, neither by giving it back. From then on it is watched,
judged, warned of, cleaned up by plan (with an undo) and replaced by the next deploy of its
stage, as if docker-watcher had made it. Read docs/adoption.md before the first one.`,
		Example: `  docker-watcher adopt ls
  docker-watcher adopt compose shop --dry-run
  docker-watcher adopt add old-wiki --stage wiki/production --create
  docker-watcher adopt rm old-wiki`,
	}, a.adoptLs(), a.adoptAdd(), a.adoptCompose(), a.adoptRm())
}

// foreignPages reads all pages of the list, or up to limit items, and which hosts could not be asked.
func foreignPages(ctx context.Context, api *client.Client, f client.ForeignFilter, limit int) (all client.ForeignList, more bool, err error) {
	all.NotAsked = []client.NotAsked{}
	all.Items, more, err = everything(limit, func(p client.Page) (client.List[client.Foreign], error) {
		l, err := api.Foreign(ctx, f, p)
		all.NotAsked, all.Total = l.NotAsked, l.Total
		return client.List[client.Foreign]{Items: l.Items, NextCursor: l.NextCursor}, err
	})
	if all.Items == nil {
		all.Items = []client.Foreign{}
	}
	return all, more, err
}

func (a *app) adoptLs() *cobra.Command {
	var (
		f     client.ForeignFilter
		limit int
	)
	c := &cobra.Command{
		Use: "ls", Short: "List the containers that are not docker-watcher's",
		Long: `Lists every container that is on a host and not docker-watcher's, by compose project: when it
was last alive, how that is known, and the stage that it would best go to. Nothing is
touched. A host that could not be asked is named, and the exit code is 6 then.`,
		Example: `  docker-watcher adopt ls --compose shop
  docker-watcher adopt ls --class exited --class failed -o wide`,
		Args: takes(0, 0),
		RunE: a.with(func(c *cobra.Command, api *client.Client, _ []string) error {
			id, err := a.hostID(c, api, f.Host)
			if err != nil {
				return err
			}
			f.Host = id
			l, more, err := foreignPages(c.Context(), api, f, limit)
			if err != nil {
				return err
			}
			if err := a.show(l, func() { a.printForeign(l) }); err != nil {
				return err
			}
			if a.output != "json" {
				a.more(more)
			}
			return a.tellNotAsked(l.NotAsked)
		}),
	}
	c.Flags().StringVar(&f.Host, "host", "", "only on this host")
	c.Flags().StringVar(&f.Compose, "compose", "", "only of this compose project")
	c.Flags().StringVar(&f.Text, "text", "", "only with this in name, image, id or compose labels")
	c.Flags().StringArrayVar(&f.Classes, "class", nil, "only of this class: running exited failed oom never_started paused crash_looping dead; repeat")
	c.Flags().IntVar(&limit, "limit", 0, "at most so many (default: all)")
	return c
}

// tellNotAsked says which hosts are missing from a list; such a list is only a part.
func (a *app) tellNotAsked(hosts []client.NotAsked) error {
	for _, n := range hosts {
		a.screen.Notef("! %s was not asked, so that nothing is known of what is on it: %s\n", n.Host, screen.Tame(n.Why))
		if n.Hint != "" {
			a.screen.Notef("  %s\n", screen.Tame(n.Hint))
		}
	}
	if len(hosts) > 0 {
		return codeError(exitPartly)
	}
	return nil
}

func (a *app) printForeign(l client.ForeignList) {
	if len(l.Items) == 0 {
		a.screen.Notef("no foreign containers on the hosts that were asked\n")
		return
	}
	t := screen.Table{Head: []string{"compose", "name", "host", "state", "last alive", "image", "would go to", "note"}}
	if a.wide() {
		t.Head = append(t.Head, "id", "evidence", "created")
	}
	for _, f := range l.Items {
		row := []screen.Cell{
			orNever(f.ComposeProject), screen.Text(f.Name), screen.Text(f.Host), foreignState(f), a.lastAlive(f.LastAliveAt, f.UpperBound), screen.Text(f.Image),
			screen.Text(f.Proposal.Project + "/" + f.Proposal.Stage), orNever(foreignNote(f)),
		}
		if !f.Adoptable {
			row[6] = orNever("")
		}
		if a.wide() {
			row = append(row, screen.Text(f.ContainerID), orNever(f.Evidence), a.when(f.CreatedAt))
		}
		t.Add(row...)
	}
	a.screen.Print(t)
}

func foreignState(f client.Foreign) screen.Cell {
	switch {
	case f.CheckError != "":
		return screen.Cell{Text: "unknown", Tone: screen.Bad}
	case f.Class == "":
		return screen.Cell{Text: f.Status, Tone: screen.Good}
	}
	return screen.Cell{Text: strings.ReplaceAll(f.Class, "_", " "), Tone: screen.Faint}
}

func foreignNote(f client.Foreign) string {
	switch {
	case f.Why != "":
		return f.Why
	case f.CheckError != "":
		return f.CheckError
	case f.Mark == "label_without_row":
		return "our label, and no row"
	case f.Mark == "other_installation":
		return "another docker-watcher's label"
	}
	return ""
}

// adoptFlags are what is said of a stage that may be made.
type adoptFlags struct {
	stage, kind, staleAfter, image string
	create, dryRun                 bool
}

func (a *app) adoptAdd() *cobra.Command {
	var (
		host string
		f    adoptFlags
	)
	c := &cobra.Command{
		Use: "add [HOST/]CONTAINER", Short: "Take one container over, into a stage",
		Long: `Takes a foreign container over. It is named by its name or its id (12 characters or more), with the
host before it or by --host where several have one of that name; the full id is what is
written down. Without --stage it goes where "adopt ls" says. A project or stage that does not exist
is made only with --create.

What would be made is shown first: the spec as far as the next deploy can make it again, what
that would do without, and what to know before the yes. --dry-run ends there. Needs an admin.`,
		Example: `  docker-watcher adopt add old-wiki --dry-run
  docker-watcher adopt add build-2/old-wiki --stage wiki/production --create --stale-after 30d
  docker-watcher adopt add 4c01db0b339c --stage shop/staging --yes`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.foreignNames(),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			found, err := a.foreign(c.Context(), api, host, args[0])
			if err != nil {
				return err
			}
			item := client.AdoptItem{HostID: found.HostID, ContainerID: found.ContainerID, Kind: f.kind, StaleAfter: f.staleAfter, Image: f.image}
			if f.stage == "" {
				item.Project, item.Stage = found.Proposal.Project, found.Proposal.Stage
				if item.Kind == "" {
					item.Kind = found.Proposal.Kind
				}
			} else {
				var ok bool
				if item.Project, item.Stage, ok = strings.Cut(f.stage, "/"); !ok {
					return usagef(c, "--stage %q: a stage is written PROJECT/STAGE, such as shop/preview", f.stage)
				}
			}
			return a.adopt(c, api, client.AdoptRequest{Items: []client.AdoptItem{item}, Make: f.create}, f.dryRun)
		}),
	}
	c.Flags().StringVar(&host, "host", "", "the host that it is on")
	c.Flags().StringVar(&f.stage, "stage", "", "PROJECT/STAGE that it goes into (default: as adopt ls says)")
	c.Flags().StringVar(&f.kind, "kind", "", "of a stage that is made: dev, staging, production or preview (default production)")
	c.Flags().StringVar(&f.staleAfter, "stale-after", "", "of a stage that is made: 10s, 36h, 7d or never (default: as the project)")
	c.Flags().StringVar(&f.image, "image", "", "repository of a project that is made (default: the container's)")
	c.Flags().BoolVar(&f.create, "create", false, "make the project and the stage if they do not exist")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "show what would be made, and make nothing")
	return c
}

func (a *app) adoptCompose() *cobra.Command {
	var (
		host   string
		dryRun bool
	)
	c := &cobra.Command{
		Use: "compose [HOST/]PROJECT", Short: "Take all containers of a compose project over, or none",
		Long: `Takes over all that a compose project has on a host and that is not docker-watcher's already: each
into the stage that "adopt ls" says, which is made if it does not exist. All of them or, if
one cannot be taken now, none; what can never be adopted, such as docker-watcher itself, is left
out and named. What would be made is shown first. Needs an admin.`,
		Example: `  docker-watcher adopt compose shop --dry-run
  docker-watcher adopt compose build-2/shop --yes`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.composeNames(),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			where, name := host, args[0]
			if before, after, ok := strings.Cut(args[0], "/"); ok {
				where, name = before, after
			}
			h, err := a.composeHost(c.Context(), api, where, name)
			if err != nil {
				return err
			}
			return a.adopt(c, api, client.AdoptRequest{Compose: &client.AdoptCompose{HostID: h, Project: name}, Make: true}, dryRun)
		}),
	}
	c.Flags().StringVar(&host, "host", "", "the host that it is on")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "show what would be made, and make nothing")
	return c
}

// adopt shows what an adoption would make, asks, and makes it.
func (a *app) adopt(c *cobra.Command, api *client.Client, r client.AdoptRequest, dryRun bool) error {
	r.DryRun = true
	plan, err := api.Adopt(c.Context(), r)
	if err != nil {
		return createHint(err)
	}
	if dryRun {
		return a.show(plan, func() { a.printAdoption(plan) })
	}
	if a.screen.InputTerminal && !a.yes {
		a.printAdoption(plan)
	}
	if err := a.confirm(c, fmt.Sprintf("Take %s over? Nothing on the engine is changed; from then on cleanup may plan to remove it.", count(len(plan.Items), "container"))); err != nil {
		return err
	}
	r.DryRun = false
	done, err := api.Adopt(c.Context(), r)
	if err != nil {
		return createHint(err)
	}
	return a.show(done, func() { a.printAdoption(done) })
}

// createHint says by which flag projects and stages are made.
func createHint(err error) error {
	if err != nil && strings.Contains(err.Error(), "say that it may be made") {
		return &hinted{err, "add --create to make it"}
	}
	return err
}

func (a *app) printAdoption(done client.Adoption) {
	verb := "adopted"
	if done.DryRun {
		verb = "would be adopted"
	}
	for _, i := range done.Items {
		var fresh []string
		if i.MakesProject {
			fresh = append(fresh, "new project")
		}
		if i.MakesStage {
			fresh = append(fresh, "new stage of kind "+i.StageKind)
		}
		note := ""
		if len(fresh) > 0 {
			note = " (" + strings.Join(fresh, ", ") + ")"
		}
		a.screen.Printf("%s on %s %s into %s/%s%s\n", screen.Tame(i.Name), i.Host, verb, i.Project, i.Stage, note)
		a.screen.Printf("  %s; stale after %s%s\n", screen.Tame(i.Reason), i.StaleAfter, staleNote(i.Stale))
		for _, w := range i.Warnings {
			a.screen.Printf("  ! %s\n", screen.Tame(w))
		}
		if len(i.Left) > 0 {
			a.screen.Printf("  the next deploy would do without (an undo would not):\n")
		}
		for _, l := range i.Left {
			a.screen.Printf("  - %s\n", screen.Tame(l))
		}
	}
	for _, l := range done.LeftOut {
		a.screen.Printf("%s on %s is left out: %s\n", screen.Tame(l.Name), l.Host, screen.Tame(l.Why))
	}
	if !done.DryRun && len(done.Items) > 0 {
		a.screen.Printf("Nothing on the engine was changed. Next: docker-watcher ps; docker-watcher adopt rm NAME gives one back\n")
	}
}

func staleNote(stale bool) string {
	if stale {
		return ": the next scan calls it stale"
	}
	return ""
}

func (a *app) adoptRm() *cobra.Command {
	return removes(a, &cobra.Command{
		Use: "rm INSTANCE", Short: "Give an adopted container back; it is not touched",
		Long: `Gives an adopted container back: docker-watcher forgets it and does not touch it, running or not. It is
foreign again. Refused while a deploy or a cleanup is at it, and while routes lead to it.
To remove the container itself is docker-watcher rm. Needs an admin.`,
		Example:           "  docker-watcher adopt rm old-wiki",
		ValidArgsFunction: a.adoptedNames(),
	}, removal[client.Instance]{
		find: a.instance,
		ask: func(i client.Instance) string {
			return fmt.Sprintf("Give %s of %s/%s back? The container stays as it is; nobody looks after it then.", i.Name, i.Project, i.Stage)
		},
		remove: func(ctx context.Context, api *client.Client, i client.Instance) error { return api.Unadopt(ctx, i.ID) },
		told: func(i client.Instance) string {
			return fmt.Sprintf("%s was given back; the container was not touched", i.Name)
		},
	})
}

// foreign finds one by its name or its id, on one host or the only one that has it.
func (a *app) foreign(ctx context.Context, api *client.Client, host, name string) (client.Foreign, error) {
	if before, after, ok := strings.Cut(name, "/"); ok {
		host, name = before, after
	}
	if host != "" {
		h, err := a.host(ctx, api, host)
		if err != nil {
			return client.Foreign{}, err
		}
		host = h.ID
	}
	l, _, err := foreignPages(ctx, api, client.ForeignFilter{Host: host, Text: name}, 0)
	if err != nil {
		return client.Foreign{}, err
	}
	var found []client.Foreign
	for _, f := range l.Items {
		if f.Name == name || containerForm.MatchString(name) && strings.HasPrefix(f.ContainerID, name) {
			found = append(found, f)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return client.Foreign{}, &notFoundError{fmt.Sprintf("%q names %d containers", name, len(found)), "say the host as well, HOST/" + name + ", or the id: docker-watcher adopt ls -o wide"}
	case len(l.NotAsked) > 0:
		return client.Foreign{}, &notFoundError{fmt.Sprintf("there is no foreign container %q on the hosts that could be asked; %s could not", name, l.NotAsked[0].Host), l.NotAsked[0].Hint}
	}
	return client.Foreign{}, &notFoundError{fmt.Sprintf("there is no foreign container %q", name), "docker-watcher adopt ls lists them"}
}

// composeHost is the host that has a compose project: the one that is named, or the only one.
func (a *app) composeHost(ctx context.Context, api *client.Client, host, project string) (string, error) {
	if host != "" {
		h, err := a.host(ctx, api, host)
		return h.ID, err
	}
	l, _, err := foreignPages(ctx, api, client.ForeignFilter{Compose: project}, 0)
	if err != nil {
		return "", err
	}
	hosts := map[string]string{}
	for _, f := range l.Items {
		hosts[f.HostID] = f.Host
	}
	switch len(hosts) {
	case 0:
		return "", &notFoundError{fmt.Sprintf("there is no compose project %q with foreign containers", project), "docker-watcher adopt ls lists them"}
	case 1:
		return l.Items[0].HostID, nil
	}
	return "", &notFoundError{fmt.Sprintf("%d hosts have a compose project %q", len(hosts), project), "say which: --host NAME"}
}

func (a *app) foreignNames() completer {
	return a.completes(func(ctx context.Context, api *client.Client) ([]string, error) {
		l, err := api.Foreign(ctx, client.ForeignFilter{}, client.Page{Limit: 500})
		var names []string
		for _, f := range l.Items {
			if f.Adoptable {
				names = append(names, f.Name+"\t"+f.Image)
			}
		}
		return names, err
	})
}

func (a *app) composeNames() completer {
	return a.completes(func(ctx context.Context, api *client.Client) ([]string, error) {
		l, err := api.Foreign(ctx, client.ForeignFilter{}, client.Page{Limit: 500})
		var names []string
		for _, f := range l.Items { // by compose project
			if name := f.ComposeProject; name != "" && (len(names) == 0 || names[len(names)-1] != name) {
				names = append(names, name)
			}
		}
		return names, err
	})
}

func (a *app) adoptedNames() completer {
	return a.completes(func(ctx context.Context, api *client.Client) ([]string, error) {
		l, err := api.Instances(ctx, client.InstanceFilter{}, client.Page{Limit: 500})
		var names []string
		for _, i := range l.Items {
			if i.Ownership == "adopted" {
				names = append(names, i.Name+"\t"+i.ImageTag+", "+i.Status)
			}
		}
		return names, err
	})
}
