package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

func (a *app) stalePlan() *cobra.Command {
	var (
		f    staleFlags
		show string
	)
	c := &cobra.Command{
		Use: "plan [INSTANCE...]", Short: "Show exactly what a cleanup would do; nothing is touched",
		Long: `Makes a plan and shows it: each container with its class and when it was last alive, what it gives
back, the volumes that stay, the routes that go. Nothing is touched. The plan is kept
for 15 minutes; "docker-watcher stale apply ID" does exactly it and nothing else.
Without names or filters it is about everything stale. --show prints an earlier plan again,
with the results if it was applied.`,
		Example: `  docker-watcher stale plan
  docker-watcher stale plan --project shop --older-than 30
  docker-watcher stale plan --show 0q3v...`,
		Args:              takes(0, -1),
		ValidArgsFunction: a.instanceNames(),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			var (
				p   client.Plan
				err error
			)
			switch {
			case show != "" && (f.any() || len(args) > 0):
				return usagef(c, "--show prints a plan as it is: give no names or filters with it")
			case show != "":
				p, err = api.Plan(c.Context(), show)
			default:
				p, err = a.makePlan(c, api, f, args, false)
			}
			if err != nil {
				return err
			}
			if err := a.show(p, func() { a.printPlan(p) }); err != nil || show != "" || len(args) > 0 {
				return err
			}
			return a.noteKept(c, api, f)
		}),
	}
	f.add(c)
	f.addTagGone(c)
	c.Flags().StringVar(&show, "show", "", "print the plan of this id again")
	return c
}

// makePlan plans for the named containers, or for all that the filters let through.
func (a *app) makePlan(c *cobra.Command, api *client.Client, f staleFlags, names []string, unprotected bool) (client.Plan, error) {
	if len(names) > 0 && f.any() {
		return client.Plan{}, usagef(c, "give names or filters, not both")
	}
	filter, err := a.staleFilter(c, api, f)
	if err != nil {
		return client.Plan{}, err
	}
	filter.TagGone = f.tagGone
	if unprotected && !f.tagGone {
		no := false
		filter.Protected = &no
	}
	for _, name := range names {
		i, err := a.instance(c.Context(), api, name)
		if err != nil {
			return client.Plan{}, err
		}
		switch {
		case len(names) == 1 && f.tagGone:
			return api.PlanOneTagGone(c.Context(), i.ID)
		case len(names) == 1:
			return api.PlanOne(c.Context(), i.ID)
		}
		filter.IDs = append(filter.IDs, i.ID)
	}
	return api.PlanCleanup(c.Context(), filter)
}

// noteKept says how many are stale as well, and are not in the plan because something protects them.
func (a *app) noteKept(c *cobra.Command, api *client.Client, f staleFlags) error {
	filter, err := a.staleFilter(c, api, f)
	if err != nil {
		return err
	}
	yes := true
	filter.Protected = &yes
	kept, err := api.Stale(c.Context(), filter, client.Page{Limit: 1})
	if err != nil {
		return err
	}
	if kept.Total != nil && *kept.Total > 0 {
		a.screen.Notef("%s more stale and kept by a protection: docker-watcher stale ls --protected true\n", count(*kept.Total, "container"))
	}
	return nil
}

// toGo counts the items of a plan that are not kept.
func toGo(p client.Plan) (n int) {
	for _, i := range p.Items {
		if i.Protection == nil {
			n++
		}
	}
	return n
}

func (a *app) printPlan(p client.Plan) {
	what := fmt.Sprintf("%s to remove, %s comes back", count(toGo(p), "container"), screen.Bytes(p.Bytes))
	switch {
	case p.State == "planned" && p.Automatic:
		a.screen.Printf("plan %s: %s; by itself %s, unless called off: docker-watcher stale cancel %s\n", p.ID, what, a.when(p.ApplyAt).Text, p.ID)
	case p.State == "planned":
		a.screen.Printf("plan %s: %s; it may be applied for %s\n", p.ID, what, screen.Span(p.ExpiresAt.Sub(a.screen.Now()).Round(time.Minute)))
	default:
		a.screen.Printf("plan %s: %s by %s\n", p.ID, p.State, firstOf(p.AppliedBy, p.CreatedBy))
	}
	if len(p.Items) > 0 {
		a.screen.Print(a.planTable(p))
	}
	for _, i := range p.Items {
		for _, w := range i.Warnings {
			a.screen.Printf("! %s: %s\n", i.Name, screen.Tame(w))
		}
		for _, lost := range i.NotRestored {
			a.screen.Printf("- %s: what an undo lacks: %s\n", i.Name, screen.Tame(lost))
		}
	}
	if p.LeftOut > 0 {
		a.screen.Printf("! %d more match and are left out: a plan holds at most plan_max_items (docker-watcher settings get)\n", p.LeftOut)
	}
}

func (a *app) planTable(p client.Plan) screen.Table {
	t := screen.Table{Head: []string{"name", "stage", "tag", "class", "last alive", "frees", "volumes kept", "routes gone", "what"}}
	if a.wide() {
		t.Head = append(t.Head, "id", "evidence", "image", "why")
	}
	for _, i := range p.Items {
		row := []screen.Cell{
			screen.Text(i.Name), screen.Text(i.Project + "/" + i.Stage), screen.Text(i.ImageTag), classCell(i.Class),
			a.lastAlive(i.LastAliveAt, i.UpperBound), size(i.Bytes), orNever(strings.Join(a.idTexts(i.Volumes), " ")),
			orNever(strings.Join(i.Routes, " ")), a.whatBecomes(i),
		}
		if a.wide() {
			row = append(row, screen.Text(i.InstanceID), screen.Text(i.Evidence), orNever(i.Image), screen.Text(i.Reason))
		}
		t.Add(row...)
	}
	return t
}

// whatBecomes is what a plan does with an item, or what came of it.
func (a *app) whatBecomes(i client.PlanItem) screen.Cell {
	switch {
	case i.Result != "":
		return resultCell(i.Result)
	case i.Protection != nil:
		return screen.Cell{Text: "keep: " + a.protection(i.Protection), Tone: screen.Good}
	}
	return screen.Cell{Text: "remove", Tone: screen.Warn}
}

func resultCell(result string) screen.Cell {
	tone := screen.Bad
	switch result {
	case "removed", "already_gone":
		tone = screen.Plain
	case "revived", "kept":
		tone = screen.Good
	case "changed", "in_use":
		tone = screen.Warn
	}
	return screen.Cell{Text: result, Tone: tone}
}

func (a *app) staleApply() *cobra.Command {
	return &cobra.Command{
		Use: "apply PLAN", Short: "Do exactly what a plan says",
		Long: `Does exactly what a plan has shown and nothing else. Each container is looked at once more right
before: one that came back to life, changed, was pinned or is being deployed is left alone.
Exit code 6 when not everything that was to go is gone. On a terminal it shows the plan
and asks first.`,
		Example: `  docker-watcher stale plan --project shop
  docker-watcher stale apply 0q3v...`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.planNames("planned"),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			p, err := api.Plan(c.Context(), args[0])
			if err != nil {
				return err
			}
			// A script that names a plan has seen it; a person may want to see it again.
			if !a.yes && a.screen.InputTerminal && p.State == "planned" {
				a.printPlan(p)
				if err := a.confirm(c, a.question(p)); err != nil {
					return err
				}
			}
			return a.apply(c.Context(), api, p)
		}),
	}
}

func (a *app) question(p client.Plan) string {
	return fmt.Sprintf("Remove %s? Volumes stay.", count(toGo(p), "container"))
}

func (a *app) staleCleanup() *cobra.Command {
	var (
		f           staleFlags
		all, dryRun bool
	)
	c := &cobra.Command{
		Use: "cleanup [INSTANCE...]", Short: "Plan, ask, and apply",
		Long: `Plans, shows the plan, asks, and applies exactly it: for the containers that are named, for those
that the filters let through, or with --all for everything that is stale and not protected.
Cleaning up several needs an admin. A container that is not stale is refused (exit code 4).`,
		Example: `  docker-watcher stale cleanup shop-preview-a1b2c3
  docker-watcher stale cleanup --stage shop/preview --older-than 14
  docker-watcher stale cleanup --all --yes`,
		Args:              takes(0, -1),
		ValidArgsFunction: a.instanceNames(),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 && !all && !f.any() {
				return usagef(c, "say what to clean up: names, filters such as --project, or --all")
			}
			if all && (len(args) > 0 || f.any()) {
				return usagef(c, "--all is everything: give no names or filters with it")
			}
			api, err := a.client()
			if err != nil {
				return err
			}
			p, err := a.makePlan(c, api, f, args, all)
			if err != nil {
				return err
			}
			if dryRun || toGo(p) == 0 {
				return a.show(p, func() {
					a.printPlan(p)
					if toGo(p) == 0 {
						a.screen.Printf("there is nothing to remove\n")
					}
				})
			}
			return a.cleanup(c, api, p)
		},
	}
	f.add(c)
	f.addTagGone(c)
	c.Flags().BoolVar(&all, "all", false, "everything that is stale and not protected")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "only show the plan")
	return c
}

func (a *app) cleanup(c *cobra.Command, api *client.Client, p client.Plan) error {
	if !a.yes {
		if a.screen.InputTerminal {
			a.printPlan(p)
		}
		if err := a.confirm(c, a.question(p)); err != nil {
			return err
		}
	}
	return a.apply(c.Context(), api, p)
}

// apply does a plan, with progress, and tells what came of each item.
func (a *app) apply(ctx context.Context, api *client.Client, p client.Plan) error {
	done, err := a.applyWatched(ctx, api, p)
	if err != nil {
		return err
	}
	if err := a.show(done, func() { a.printResults(done) }); err != nil {
		return err
	}
	if a.output != "json" {
		if err := a.undoHint(ctx, api, done); err != nil {
			return err
		}
	}
	if len(leftAlone(done)) > 0 {
		return codeError(exitPartly)
	}
	return nil
}

func (a *app) applyWatched(ctx context.Context, api *client.Client, p client.Plan) (client.Plan, error) {
	ended := map[string]bool{}
	return watched(ctx, a, api, func() (client.Plan, error) {
		if p.Single && len(p.Items) == 1 {
			return api.ApplyOne(ctx, p.Items[0].InstanceID, p.ID)
		}
		return api.ApplyCleanup(ctx, p.ID)
	}, func(line *screen.Progress, e client.Event) { showItem(line, p, ended, e) })
}

// showItem shows that one item of a plan has ended.
func showItem(line *screen.Progress, p client.Plan, ended map[string]bool, e client.Event) {
	if e.Kind != "cleanup.item" || e.Data["plan_id"] != p.ID {
		return
	}
	ended[e.InstanceID] = true
	line.Step("cleaning up", int64(len(ended)), int64(len(p.Items)), fmt.Sprintf("%d of %d: %s", len(ended), len(p.Items), e.Message))
}

// leftAlone are the items that were to go and are still there.
func leftAlone(p client.Plan) (left []client.PlanItem) {
	for _, i := range p.Items {
		switch {
		case i.Result == "removed", i.Result == "already_gone":
		case i.Result == "kept" && i.Protection != nil:
		default:
			left = append(left, i)
		}
	}
	return left
}

func (a *app) printResults(p client.Plan) {
	t := screen.Table{Head: []string{"name", "stage", "tag", "result", "detail"}}
	gone := 0
	for _, i := range p.Items {
		if i.Result == "removed" || i.Result == "already_gone" {
			gone++
		}
		t.Add(screen.Text(i.Name), screen.Text(i.Project+"/"+i.Stage), screen.Text(i.ImageTag), resultCell(i.Result), orNever(i.ResultDetail))
	}
	a.screen.Print(t)
	a.screen.Printf("%d of %s gone\n", gone, count(len(p.Items), "container"))
}
