package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

// levelGlobal is the word for the level above all projects.
const levelGlobal = "global"

func (a *app) policyCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "policy",
		Short: "What becomes of stale containers by itself, and when",
		Long: `A policy says when a container is stale and what becomes of it then: only a warning, or a cleanup by
itself after a grace, within a window, and never more at once than the brake allows. It is said
for all (global), for a project, or for a stage; the nearest word counts. Production stages
are only warned of unless they themselves say cleanup.

Nothing is ever cleaned up by itself unless the global switch is on:
docker-watcher settings set auto_cleanup=on`,
		Example: `  docker-watcher policy show
  docker-watcher policy try shop/preview --action cleanup --cleanup-after 2d
  docker-watcher policy set shop/preview --action cleanup --window "mon-fri 02:00-05:00 Europe/Berlin"`,
	}, a.policyShow(), a.policySet(), a.policyTry())
}

// level is one level that can say something: global, a project or a stage.
type level struct {
	kind, name       string // name: global, shop or shop/preview
	project, stageID string // id or name; id
}

// level finds what "global", a project or a stage names.
func (a *app) level(ctx context.Context, api *client.Client, name string) (level, error) {
	switch {
	case name == levelGlobal:
		return level{kind: levelGlobal, name: name}, nil
	case strings.Contains(name, "/"):
		s, err := a.stage(ctx, api, name)
		return level{kind: "stage", name: s.Project + "/" + s.Name, project: s.ProjectID, stageID: s.ID}, err
	}
	p, err := a.project(ctx, api, name)
	return level{kind: "project", name: p.Name, project: p.ID}, err
}

func (l level) String() string {
	if l.kind == levelGlobal {
		return "the global policy"
	}
	return "the policy of " + l.kind + " " + l.name
}

func (l level) read(ctx context.Context, api *client.Client) (client.PolicyDocument, error) {
	switch l.kind {
	case levelGlobal:
		return api.GlobalPolicy(ctx)
	case "project":
		return api.ProjectPolicy(ctx, l.project)
	}
	return api.StagePolicy(ctx, l.stageID)
}

func (l level) write(ctx context.Context, api *client.Client, p client.Policy, revision int64) (client.PolicyDocument, error) {
	switch l.kind {
	case levelGlobal:
		return api.SetGlobalPolicy(ctx, p)
	case "project":
		return api.SetProjectPolicy(ctx, l.project, p, revision)
	}
	return api.SetStagePolicy(ctx, l.stageID, p, revision)
}

func (a *app) policyShow() *cobra.Command {
	return &cobra.Command{
		Use: "show [global|PROJECT|PROJECT/STAGE]", Short: "Show which policy is in force where, and who decided it",
		Long: `Shows the policy in force for every stage and which level says what becomes of its stale containers;
-o wide says for each part who decided it. With a name it shows what that level itself says and,
for a stage, what is in force.`,
		Example: `  docker-watcher policy show
  docker-watcher policy show shop/preview
  docker-watcher policy show global -o json`,
		Args:              takes(0, 1),
		ValidArgsFunction: a.levelNames(),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			if len(args) == 0 {
				all, err := api.Policies(c.Context())
				if err != nil {
					return err
				}
				return a.show(all, func() { a.printPolicies(all) })
			}
			l, err := a.level(c.Context(), api, args[0])
			if err != nil {
				return err
			}
			d, err := l.read(c.Context(), api)
			if err != nil {
				return err
			}
			return a.show(d, func() { a.printPolicy(l, d) })
		}),
	}
}

func (a *app) printPolicies(all client.Policies) {
	t := screen.Table{Head: []string{"stage", "kind", "stale after", "then", "says", "after", "window", "keeps", "brake"}}
	if a.wide() {
		t.Head = append(t.Head, "decided by")
	}
	slices.SortFunc(all.InForce, func(x, y client.PolicyInForce) int {
		return cmp.Or(cmp.Compare(x.Project, y.Project), cmp.Compare(x.Stage, y.Stage))
	})
	for _, f := range all.InForce {
		grace, window, brake := screen.Cell{Text: screen.Never, Tone: screen.Faint}, orNever(""), orNever("")
		if f.Action == actionCleanup {
			grace, window = screen.Text(f.CleanupAfter), screen.Text(windowText(f.Window))
			brake = screen.Text(fmt.Sprintf("%d or %d%% a run", f.MaxPerRun, f.MaxSharePercent))
		}
		row := []screen.Cell{
			screen.Text(f.Project + "/" + f.Stage), screen.Text(f.StageKind), screen.Text(f.StaleAfter), actionCell(f.Action),
			{Text: f.DecidedBy.Action, Tone: screen.Faint},
			grace, window, screen.Text(fmt.Sprintf("last %d", f.KeepLast)), brake,
		}
		if a.wide() {
			d := f.DecidedBy
			row = append(row, screen.Text(fmt.Sprintf("stale after: %s, then: %s, after: %s, window: %s, keeps: %s", d.StaleAfter, d.Action, d.CleanupAfter, d.Window, d.KeepLast)))
		}
		t.Add(row...)
	}
	a.screen.Print(t)
	a.printSwitch(all.AutoCleanup)
}

func (a *app) printSwitch(on bool) {
	if on {
		a.screen.Notef("automatic cleanup is on\n")
		return
	}
	a.screen.Notef("automatic cleanup is off, nothing goes by itself: docker-watcher settings set auto_cleanup=on\n")
}

const actionCleanup = "cleanup"

func actionCell(action string) screen.Cell {
	if action == actionCleanup {
		return screen.Cell{Text: action, Tone: screen.Warn}
	}
	return screen.Text(action)
}

func (a *app) printPolicy(l level, d client.PolicyDocument) {
	a.screen.Printf("%s\n", l)
	t := screen.Table{Head: []string{"word", "it says"}}
	inForce := map[string]string{}
	if d.InForce != nil {
		t.Head = append(t.Head, "in force")
		inForce = inForceTexts(*d.InForce)
	}
	says := policyTexts(d.Policy)
	for _, w := range policyWords {
		row := []screen.Cell{screen.Text(w.flag), inherited(says[w.flag], "-")}
		if d.InForce != nil {
			row = append(row, screen.Text(inForce[w.flag]))
		}
		t.Add(row...)
	}
	a.screen.Print(t)
}

// levelNames completes to global, the projects and the stages.
func (a *app) levelNames() completer {
	return a.completes(func(ctx context.Context, api *client.Client) ([]string, error) {
		stages, err := api.Stages(ctx, "")
		names := []string{levelGlobal}
		for _, s := range stages {
			if !slices.Contains(names, s.Project) {
				names = append(names, s.Project)
			}
			names = append(names, s.Project+"/"+s.Name)
		}
		return names, err
	})
}
