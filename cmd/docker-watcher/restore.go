package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

// addChoices gives a command the flags by which conflicts of a restore are settled; they are named as the API
// names the choices.
func addChoices(flags *pflag.FlagSet, ch *client.RestoreChoices) {
	flags.BoolVar(&ch.AnyPort, "any-port", false, "let the engine choose the host ports instead of the old ones")
	flags.BoolVar(&ch.SkipNetworks, "skip-networks", false, "leave out networks that are gone")
	flags.BoolVar(&ch.MakeNetworks, "make-networks", false, "make networks that are gone anew, as plain bridges")
	flags.BoolVar(&ch.PullImage, "pull-image", false, "pull the image by its digest if it is gone")
	flags.BoolVar(&ch.EmptyVolumes, "empty-volumes", false, "go on with new empty volumes where the old ones are gone")
	flags.BoolVar(&ch.SkipRoutes, "skip-routes", false, "leave out routes whose address is taken by now")
	flags.BoolVar(&ch.Start, "start", false, "start it afterwards")
}

func (a *app) archiveRestore() *cobra.Command {
	var (
		ch     client.RestoreChoices
		plan   string
		dryRun bool
	)
	c := &cobra.Command{
		Use: "restore ARCHIVE | --plan PLAN", Short: "Bring a removed container back, or all that a plan removed",
		Long: `Brings a removed container back, as it was: name, configuration, networks, volumes, image, routes
and stage. It stands stopped afterwards, unless --start is given, and counts as new: its age
starts over. With --plan everything that a plan removed comes back, each by itself (needs an
admin); exit code 6 when some could not.

What is in the way (its name or port is taken, a network, volume or the image is gone) is told
before anything is made, with the flags that would settle it; exit code 4. --dry-run only
tells that, and what would not come back.`,
		Example: `  docker-watcher archive restore shop-preview-a1b2c3
  docker-watcher archive restore shop-preview-a1b2c3 --dry-run
  docker-watcher archive restore 06h0kc8n7klh2cng --name shop-old --any-port --start
  docker-watcher archive restore --plan 0q3v...`,
		Args:              takes(0, 1),
		ValidArgsFunction: a.archiveNames("ready"),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			switch {
			case (plan == "") == (len(args) == 0):
				return usagef(c, "name one archive, or a plan with --plan")
			case plan != "" && ch.Name != "":
				return usagef(c, "--name is for one container, not for all of a plan")
			case plan != "":
				return a.restorePlan(c.Context(), api, plan, ch, dryRun)
			}
			found, err := a.archive(c.Context(), api, args[0])
			if err != nil {
				return err
			}
			if dryRun {
				return a.checkRestore(c.Context(), api, found, ch)
			}
			return a.restoreOne(c.Context(), api, found, ch)
		}),
	}
	addChoices(c.Flags(), &ch)
	c.Flags().StringVar(&ch.Name, "name", "", "another container name")
	c.Flags().StringVar(&plan, "plan", "", "everything that this plan removed")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "only tell what would come back and what is in the way")
	return c
}

func (a *app) checkRestore(ctx context.Context, api *client.Client, i client.Archive, ch client.RestoreChoices) error {
	check, err := api.CheckRestore(ctx, i.ID, ch)
	if err != nil {
		return err
	}
	if err := a.show(check, func() { a.printCheck(check) }); err != nil {
		return err
	}
	if len(check.Conflicts) > 0 {
		return codeError(exitConflict)
	}
	return nil
}

func (a *app) printCheck(check client.RestoreCheck) {
	if len(check.Conflicts) == 0 {
		a.screen.Printf("%s can be brought back\n", check.Archive.Name)
	} else {
		a.screen.Printf("%s cannot be brought back yet:\n", check.Archive.Name)
	}
	for _, line := range conflictLines(check.Conflicts) {
		a.screen.Printf("! %s\n", line)
	}
	for _, text := range check.Brings {
		a.screen.Printf("+ %s\n", screen.Tame(text))
	}
	for _, text := range check.Lacks {
		a.screen.Printf("- %s\n", screen.Tame(text))
	}
}

// conflictLines tells each thing in the way with the flags that would settle it.
func conflictLines(conflicts []client.RestoreConflict) (lines []string) {
	for _, x := range conflicts {
		line := strings.ReplaceAll(x.Kind, "_", " ") + ": " + firstOf(x.Detail, x.Subject)
		if len(x.Choices) > 0 {
			line += " (settle it with " + strings.Join(choiceFlags(x.Choices), " or ") + ")"
		}
		lines = append(lines, screen.Tame(line))
	}
	return lines
}

func choiceFlags(choices []string) (flags []string) {
	for _, choice := range choices {
		flag := "--" + strings.ReplaceAll(choice, "_", "-")
		if choice == "name" {
			flag += " NAME"
		}
		flags = append(flags, flag)
	}
	return flags
}

// restoreOne brings one back; what is in the way is told line by line before the error.
func (a *app) restoreOne(ctx context.Context, api *client.Client, i client.Archive, ch client.RestoreChoices) error {
	line := a.screen.Progress()
	line.Step("bringing back "+i.Name, 0, 0, "")
	made, err := api.Restore(ctx, i.ID, ch)
	line.Clear()
	if p, ok := client.AsProblem(err); ok && p.Code == client.CodeConflicts {
		for _, text := range conflictLines(p.Conflicts) {
			a.screen.Notef("! %s\n", text)
		}
		short := *p // the lines above have its detail
		short.Detail = fmt.Sprintf("%s was not brought back: %s in the way", i.Name, count(len(p.Conflicts), "thing"))
		return &short
	}
	if err != nil {
		return err
	}
	return a.show(made, func() {
		a.screen.Printf("%s is back in %s/%s at %s, %s\n", made.Name, made.Project, made.Stage, made.ImageTag, made.Status)
		if made.Status != "running" {
			a.screen.Printf("Next: docker-watcher start %s\n", made.Name)
		}
	})
}

func (a *app) restorePlan(ctx context.Context, api *client.Client, plan string, ch client.RestoreChoices, dryRun bool) error {
	var (
		done client.PlanRestore
		err  error
	)
	if dryRun {
		done, err = api.CheckRestorePlan(ctx, plan, ch)
	} else {
		done, err = watched(ctx, a, api, func() (client.PlanRestore, error) { return api.RestorePlan(ctx, plan, ch) },
			showProgress("bringing back", "restore.progress", plan))
	}
	if err != nil {
		return err
	}
	if err := a.show(done, func() { a.printRestored(done) }); err != nil {
		return err
	}
	return restoredCode(done)
}

// restoredCode is 0 when all came back (or could), the code of a conflict when none did for that reason, and
// else that of a job partly done.
func restoredCode(done client.PlanRestore) error {
	var fine, conflicts int
	for _, r := range done.Results {
		switch r.Result {
		case "restored", "possible":
			fine++
		case "conflicts":
			conflicts++
		}
	}
	switch len(done.Results) {
	case fine:
		return nil
	case conflicts:
		return codeError(exitConflict)
	}
	return codeError(exitPartly)
}

func (a *app) printRestored(done client.PlanRestore) {
	if len(done.Results) == 0 {
		a.screen.Notef("plan %s has nothing to bring back\n", done.PlanID)
		return
	}
	t := screen.Table{Head: []string{"name", "stage", "tag", "result", "detail"}}
	back := 0
	for _, r := range done.Results {
		tone := screen.Good
		switch r.Result {
		case "restored", "possible":
			back++
		case "conflicts":
			tone = screen.Warn
		default:
			tone = screen.Bad
		}
		i := r.Archive
		t.Add(screen.Text(i.Name), screen.Text(i.Project+"/"+i.Stage), screen.Text(i.ImageTag), screen.Cell{Text: r.Result, Tone: tone}, orNever(r.Detail))
	}
	a.screen.Print(t)
	for _, r := range done.Results {
		for _, text := range conflictLines(r.Conflicts) {
			a.screen.Printf("! %s: %s\n", r.Archive.Name, text)
		}
		for _, text := range r.Lacks {
			a.screen.Printf("- %s: %s\n", r.Archive.Name, screen.Tame(text))
		}
	}
	a.screen.Printf("%d of %s back\n", back, count(len(done.Results), "container"))
}

func (a *app) staleUndo() *cobra.Command {
	var (
		ch     client.RestoreChoices
		dryRun bool
	)
	c := &cobra.Command{
		Use: "undo [PLAN]", Short: "Bring back what the last cleanup removed",
		Long: `Brings back what the last cleanup removed, whoever or whatever applied it, or what the plan that is
named removed. On a terminal it says first which plan that is, and asks. It is the short
way of "docker-watcher archive restore --plan", which explains the flags. Several
containers at once need an admin.`,
		Example: `  docker-watcher stale undo
  docker-watcher stale undo --dry-run
  docker-watcher stale undo 0q3v... --any-port`,
		Args: takes(0, 1),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			items, err := a.undoable(c.Context(), api, firstOf(args...))
			if err != nil {
				return err
			}
			plan := items[0].PlanID
			if !dryRun && a.screen.InputTerminal {
				question := fmt.Sprintf("Bring back what plan %s removed %s (by %s): %s?", plan, a.when(items[0].RemovedAt).Text, items[0].RemovedBy, archivedNames(items))
				if err := a.confirm(c, question); err != nil {
					return err
				}
			}
			// One container is an operator's business; a whole plan is an admin's.
			switch {
			case len(items) > 1:
				return a.restorePlan(c.Context(), api, plan, ch, dryRun)
			case dryRun:
				return a.checkRestore(c.Context(), api, items[0], ch)
			}
			return a.restoreOne(c.Context(), api, items[0], ch)
		}),
	}
	addChoices(c.Flags(), &ch)
	c.Flags().BoolVar(&dryRun, "dry-run", false, "only tell what would come back and what is in the way")
	return c
}

// undoable is what can be brought back of a plan; without one it is the last plan that removed something. If that
// was undone already nothing is, rather than what the plan before it removed.
func (a *app) undoable(ctx context.Context, api *client.Client, plan string) ([]client.Archive, error) {
	if plan == "" {
		last, err := a.lastRemoval(ctx, api)
		if err != nil {
			return nil, err
		}
		plan = last
	}
	items, _, err := everything(0, func(p client.Page) (client.List[client.Archive], error) {
		l, err := api.Archives(ctx, client.ArchiveFilter{Plan: plan, States: []string{"ready"}}, p)
		return l.List, err
	})
	if err == nil && len(items) == 0 {
		err = &notFoundError{"plan " + plan + " has nothing that can be brought back", "it removed nothing, or that was brought back or has expired: docker-watcher archive ls"}
	}
	return items, err
}

// lastRemoval is the plan of the newest removal that a plan made.
func (a *app) lastRemoval(ctx context.Context, api *client.Client) (string, error) {
	p := client.Page{Limit: 100}
	for {
		l, err := api.Archives(ctx, client.ArchiveFilter{}, p)
		if err != nil {
			return "", err
		}
		for _, i := range l.Items {
			if i.PlanID != "" {
				return i.PlanID, nil
			}
		}
		if l.NextCursor == "" {
			return "", &notFoundError{"no cleanup has removed anything that can be brought back", "docker-watcher archive ls lists what was removed by hand"}
		}
		p.Cursor = l.NextCursor
	}
}

func archivedNames(items []client.Archive) string {
	var names []string
	for _, i := range items[:min(3, len(items))] {
		names = append(names, i.Name)
	}
	text := strings.Join(names, ", ")
	if more := len(items) - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func (a *app) staleCancel() *cobra.Command {
	return shows(a, &cobra.Command{
		Use: "cancel PLAN", Short: "Call off a plan before it is applied",
		Long: `Calls off a plan that is not applied yet. That is how an announced automatic cleanup is stopped:
what was in its plan is not planned automatically again for a day.`,
		Example:           "  docker-watcher stale cancel 0q3v...",
		Args:              takes(1, 1),
		ValidArgsFunction: a.planNames("planned"),
	}, func(c *cobra.Command, api *client.Client, args []string) (client.Plan, error) {
		return api.CancelPlan(c.Context(), args[0])
	}, func(p client.Plan) { a.screen.Printf("plan %s is called off: nothing of it is done\n", p.ID) })
}

// planNames completes to plans in one of these states.
func (a *app) planNames(states ...string) completer {
	return a.completes(func(ctx context.Context, api *client.Client) ([]string, error) {
		l, err := api.Plans(ctx, client.PlanFilter{States: states}, client.Page{Limit: 100})
		var ids []string
		for _, p := range l.Items {
			ids = append(ids, fmt.Sprintf("%s\t%s, by %s %s", p.ID, count(p.Items, "container"), p.CreatedBy, screen.Ago(p.CreatedAt, a.screen.Now())))
		}
		return ids, err
	})
}

// undoHint says how what was just removed comes back.
func (a *app) undoHint(ctx context.Context, api *client.Client, p client.Plan) error {
	var ids []string
	for _, i := range p.Items {
		if i.ArchiveID != "" && (i.Result == "removed" || i.Result == "already_gone") {
			ids = append(ids, i.ArchiveID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	kept, err := api.Archive(ctx, ids[0])
	if err != nil {
		return fmt.Errorf("ask until when it can be undone: %w", err)
	}
	what := "--plan " + p.ID
	if len(ids) == 1 {
		what = ids[0]
	}
	a.screen.Printf("Undo: docker-watcher archive restore %s (until %s)\n", what, a.date(kept.ExpiresAt).Text)
	return nil
}
