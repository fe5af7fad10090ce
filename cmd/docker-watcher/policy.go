package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

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

// policyWord is one part of a policy as the command line calls it.
type policyWord struct {
	flag  string
	clear func(*client.Policy)
}

var policyWords = []policyWord{
	{"stale-after", func(p *client.Policy) { p.StaleAfter = nil }},
	{"action", func(p *client.Policy) { p.Action = nil }},
	{"cleanup-after", func(p *client.Policy) { p.CleanupAfter = nil }},
	{"window", func(p *client.Policy) { p.Window = nil }},
	{"keep-last", func(p *client.Policy) { p.KeepLast = nil }},
	{"max-per-run", func(p *client.Policy) { p.MaxPerRun = nil }},
	{"max-share", func(p *client.Policy) { p.MaxSharePercent = nil }},
}

// policyTexts are the words of a policy as its flags take them; what is inherited is not among them.
func policyTexts(p client.Policy) map[string]string {
	texts := map[string]string{}
	for name, v := range map[string]*string{"stale-after": p.StaleAfter, "action": p.Action, "cleanup-after": p.CleanupAfter} {
		if v != nil {
			texts[name] = *v
		}
	}
	for name, v := range map[string]*int{"keep-last": p.KeepLast, "max-per-run": p.MaxPerRun, "max-share": p.MaxSharePercent} {
		if v != nil {
			texts[name] = strconv.Itoa(*v)
		}
	}
	if p.Window != nil {
		texts["window"] = windowText(*p.Window)
	}
	return texts
}

func inForceTexts(f client.PolicyInForce) map[string]string {
	by := func(value, level string) string { return value + " (" + level + ")" }
	return map[string]string{
		"stale-after":   by(f.StaleAfter, f.DecidedBy.StaleAfter),
		"action":        by(f.Action, f.DecidedBy.Action),
		"cleanup-after": by(f.CleanupAfter, f.DecidedBy.CleanupAfter),
		"window":        by(windowText(f.Window), f.DecidedBy.Window),
		"keep-last":     by(strconv.Itoa(f.KeepLast), f.DecidedBy.KeepLast),
		"max-per-run":   strconv.Itoa(f.MaxPerRun),
		"max-share":     strconv.Itoa(f.MaxSharePercent),
	}
}

// policyFlags are the words of a policy as a person gives them.
type policyFlags struct {
	staleAfter, action, cleanupAfter, window string
	keepLast, maxPerRun, maxShare            int
	inherit                                  []string
}

func (f *policyFlags) add(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.staleAfter, "stale-after", "", "10s, 36h, 7d or never: after how long without a sign of life it is stale")
	flags.StringVar(&f.action, "action", "", "warn: nothing goes by itself; cleanup: it does, after the warning")
	flags.StringVar(&f.cleanupAfter, "cleanup-after", "", "grace between the warning and a cleanup, such as 36h or 2d")
	flags.StringVar(&f.window, "window", "", "when a cleanup may happen by itself, such as \"mon-fri 02:00-05:00 Europe/Berlin\", or always")
	flags.IntVar(&f.keepLast, "keep-last", 0, "good former containers kept for a rollback")
	flags.IntVar(&f.maxPerRun, "max-per-run", 0, "brake: if more than so many are due at once, nothing is done")
	flags.IntVar(&f.maxShare, "max-share", 0, "brake: the same for the percentage of the containers of a host")
	flags.StringSliceVar(&f.inherit, "inherit", nil, "words to take back, so that the level above decides: "+strings.Join(wordNames(), ","))
	for name, values := range map[string][]string{"action": {"warn\ttell, and do nothing", "cleanup\tclean it up after the grace"}, "inherit": wordNames()} {
		// It is refused only for a flag that does not exist.
		cobra.CheckErr(c.RegisterFlagCompletionFunc(name, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return values, cobra.ShellCompDirectiveNoFileComp
		}))
	}
}

func wordNames() (names []string) {
	for _, w := range policyWords {
		names = append(names, w.flag)
	}
	return names
}

// change puts what was given into what a level says now.
func (f *policyFlags) change(c *cobra.Command, p client.Policy) (client.Policy, error) {
	words := 0
	c.Flags().Visit(func(flag *pflag.Flag) {
		if flag.Name == "inherit" || slices.Contains(wordNames(), flag.Name) {
			words++
		}
	})
	if words == 0 {
		return p, fmt.Errorf("say what to change, such as --action cleanup")
	}
	for _, name := range f.inherit {
		i := slices.IndexFunc(policyWords, func(w policyWord) bool { return w.flag == name })
		if i < 0 {
			return p, fmt.Errorf("--inherit %s: one of %s", name, strings.Join(wordNames(), ", "))
		}
		if c.Flags().Changed(name) {
			return p, fmt.Errorf("--%s is given and taken back at once", name)
		}
		policyWords[i].clear(&p)
	}
	if c.Flags().Changed("window") {
		w, err := parseWindow(f.window)
		if err != nil {
			return p, fmt.Errorf("--window: %w", err)
		}
		p.Window = &w
	}
	p.StaleAfter = cmp.Or(given(c, "stale-after", &f.staleAfter), p.StaleAfter)
	p.Action = cmp.Or(given(c, "action", &f.action), p.Action)
	p.CleanupAfter = cmp.Or(given(c, "cleanup-after", &f.cleanupAfter), p.CleanupAfter)
	p.KeepLast = cmp.Or(given(c, "keep-last", &f.keepLast), p.KeepLast)
	p.MaxPerRun = cmp.Or(given(c, "max-per-run", &f.maxPerRun), p.MaxPerRun)
	p.MaxSharePercent = cmp.Or(given(c, "max-share", &f.maxShare), p.MaxSharePercent)
	return p, nil
}

// trial is a change of a policy that was tried out.
type trial struct {
	level  level
	before client.PolicyDocument
	after  client.Policy
	off    bool // automatic cleanup is switched off
	client.PolicyTrial
}

// try reads what a level says, puts the change into it and asks what that would do.
func (a *app) try(c *cobra.Command, api *client.Client, name string, f *policyFlags) (t trial, err error) {
	// A wrong word is told before anything is asked.
	if _, err := f.change(c, client.Policy{}); err != nil {
		return t, usagef(c, "%w", err)
	}
	if t.level, err = a.level(c.Context(), api, name); err != nil {
		return t, err
	}
	if t.before, err = t.level.read(c.Context(), api); err != nil {
		return t, err
	}
	if t.after, err = f.change(c, t.before.Policy); err != nil {
		return t, usagef(c, "%w", err)
	}
	t.PolicyTrial, err = api.PolicyTry(c.Context(), client.PolicyChange{
		Level: t.level.kind, Project: t.level.project, Stage: t.level.stageID, Policy: t.after,
	})
	if err != nil {
		return t, err
	}
	settings, err := api.Settings(c.Context())
	t.off = !settings.AutoCleanup
	return t, err
}

func (a *app) policyTry() *cobra.Command {
	var f policyFlags
	c := &cobra.Command{
		Use: "try global|PROJECT|PROJECT/STAGE", Short: "Tell what a change of a policy would do today; nothing is written",
		Long: `Takes the flags of "policy set" and tells what they would do today: which containers would newly be
stale, which would be spared, which would newly be cleaned up by themselves and which no longer,
each with its moment. Nothing is written. Needs an operator.`,
		Example: `  docker-watcher policy try shop/preview --action cleanup --cleanup-after 2d
  docker-watcher policy try global --stale-after 3d -o json`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.levelNames(),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			t, err := a.try(c, api, args[0], &f)
			if err != nil {
				return err
			}
			return a.show(t.PolicyTrial, func() { a.printTrial(t) })
		}),
	}
	f.add(c)
	return c
}

func (a *app) policySet() *cobra.Command {
	var f policyFlags
	c := &cobra.Command{
		Use: "set global|PROJECT|PROJECT/STAGE", Short: "Change a policy, after showing what that would do",
		Long: `Changes the words that are named by a flag and nothing else; --inherit takes words back, so that the
level above decides them again. First it shows what the change would newly mark as stale, spare
or clean up by itself, and asks. In a script give --yes. Needs an admin.`,
		Example: `  docker-watcher policy set shop/preview --action cleanup --cleanup-after 2d --window "mon-fri 02:00-05:00 Europe/Berlin"
  docker-watcher policy set global --max-per-run 10 --max-share 25
  docker-watcher policy set shop/preview --inherit action,window --yes`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.levelNames(),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			t, err := a.try(c, api, args[0], &f)
			if err != nil {
				return err
			}
			if a.output != "json" {
				a.printTrial(t)
			}
			if err := a.confirm(c, fmt.Sprintf("Change %s?", t.level)); err != nil {
				return err
			}
			d, err := t.level.write(c.Context(), api, t.after, t.before.Revision)
			if err != nil {
				return err
			}
			return a.show(d, func() { a.screen.Printf("%s is changed\n", t.level) })
		}),
	}
	f.add(c)
	return c
}

func (a *app) printTrial(t trial) {
	before, after := policyTexts(t.before.Policy), policyTexts(t.after)
	a.screen.Printf("%s:\n", t.level)
	for _, w := range policyWords {
		if before[w.flag] != after[w.flag] {
			a.screen.Printf("  %-15s%s -> %s\n", w.flag, inherited(before[w.flag], "inherited").Text, inherited(after[w.flag], "inherited").Text)
		}
	}
	a.printEffects(t.PolicyTrial)
	if t.off {
		a.printSwitch(false)
	}
}

// shownOfGroup is how many of a group are shown where people read; -o wide and -o json have more.
const shownOfGroup = 20

// printEffects tells what a change would do to which container.
func (a *app) printEffects(t client.PolicyTrial) {
	table := screen.Table{Head: []string{"what", "name", "stage", "last alive", "when", "why"}}
	hidden := 0
	for _, group := range []struct {
		what string
		tone screen.Tone
		client.TrialGroup
	}{
		{"newly stale", screen.Warn, t.NewlyStale},
		{"spared", screen.Good, t.Spared},
		{"newly cleaned", screen.Bad, t.NewlyCleaned},
		{"no longer cleaned", screen.Good, t.NoLongerCleaned},
	} {
		items := group.Items
		if !a.wide() {
			items = items[:min(shownOfGroup, len(items))]
		}
		for _, i := range items {
			why := i.Then.Why
			if group.what == "newly stale" {
				why = firstOf(i.StaleReason, why)
			}
			table.Add(screen.Cell{Text: group.what, Tone: group.tone}, screen.Text(i.Name), screen.Text(i.Project+"/"+i.Stage),
				a.when(i.LastAliveAt), a.date(i.Then.At), screen.Text(why))
		}
		hidden += group.Count - len(items)
	}
	if len(table.Rows) > 0 {
		a.screen.Print(table)
	}
	if hidden > 0 {
		a.screen.Printf("... and %d more: -o wide or -o json\n", hidden)
	}
	a.screen.Printf("%s looked at: %d newly stale, %d spared, %d newly cleaned by themselves, %d no longer, %d at another time\n",
		count(t.Considered, "container"), t.NewlyStale.Count, t.Spared.Count, t.NewlyCleaned.Count, t.NoLongerCleaned.Count, t.Rescheduled)
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
