package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

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

// foretell shows what a change would do to any container, before it is made, and asks if some would then be cleaned up by
// themselves.
func (a *app) foretell(c *cobra.Command, api *client.Client, change client.PolicyChange) error {
	t, err := api.PolicyTry(c.Context(), change)
	if err != nil {
		return err
	}
	touches := t.NewlyStale.Count + t.Spared.Count + t.NewlyCleaned.Count + t.NoLongerCleaned.Count
	if a.output != "json" && (touches > 0 || change.AutoCleanup != nil) {
		a.printEffects(t)
	}
	if t.NewlyCleaned.Count == 0 {
		return nil
	}
	return a.confirm(c, fmt.Sprintf("Let %s be cleaned up, each at its time, and others as they come due?", count(t.NewlyCleaned.Count, "container")))
}

// foretellPart is foretell of a change of a threshold (empty: inherited again) or of what is kept, which are parts of a policy.
func (a *app) foretellPart(c *cobra.Command, api *client.Client, name string, staleAfter *string, keepLast *int) error {
	if staleAfter == nil && keepLast == nil {
		return nil
	}
	l, err := a.level(c.Context(), api, name)
	if err != nil {
		return err
	}
	d, err := l.read(c.Context(), api)
	if err != nil {
		return err
	}
	p := d.Policy
	if keepLast != nil {
		p.KeepLast = keepLast
	}
	if staleAfter != nil {
		p.StaleAfter = staleAfter
		if *staleAfter == "" {
			p.StaleAfter = nil
		}
	}
	return a.foretell(c, api, client.PolicyChange{Level: l.kind, Project: l.project, Stage: l.stageID, Policy: p})
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
	a.printFirstRuns(t.FirstRuns)
}

// printFirstRuns tells what would come of it first on each host, notice and brake included.
func (a *app) printFirstRuns(runs []client.FirstRun) {
	for _, r := range runs {
		if r.Held != "" {
			a.screen.Printf("%s: the first run would remove nothing: %s\n", r.Host, r.Held)
			continue
		}
		a.screen.Printf("%s: the first run would be announced at %s and remove %s at %s, unless it is called off%s\n",
			r.Host, a.date(r.PlanAt).Text, count(r.Takes, "container"), a.date(r.At).Text, afterwards(r))
	}
}

// afterwards tells what a first run leaves for the runs after it.
func afterwards(r client.FirstRun) string {
	if left := r.Due - r.Takes + r.Later; left > 0 {
		return fmt.Sprintf(" (%d more later)", left)
	}
	return ""
}
