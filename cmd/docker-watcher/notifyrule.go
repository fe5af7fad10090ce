package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

func (a *app) ruleCommand() *cobra.Command {
	return group(&cobra.Command{
		Use: "rule", Short: "Rules: which events go to which channels, and when",
		Long: `A rule says which events go to which channels. What it is not told to look at, it takes whatever it is.
Warnings are gathered for some minutes into one message; errors go at once.`,
		Example: `  docker-watcher notify rule add warnings --channel ops --severity warn --severity error
  docker-watcher notify rule ls`,
	}, a.ruleLs(), a.ruleAdd(), a.ruleShow(), a.ruleEdit(), a.ruleRm())
}

func (a *app) ruleLs() *cobra.Command {
	return lists(a, &cobra.Command{
		Use: "ls", Short: "List the rules",
		Long:    "Lists the rules: what each wants, where it leads, and when.",
		Example: "  docker-watcher notify rule ls",
		Args:    takes(0, 0),
	}, func(c *cobra.Command, api *client.Client, _ []string) ([]client.NotifyRule, error) {
		return api.NotifyRules(c.Context())
	}, func(rules []client.NotifyRule) {
		t := screen.Table{Head: []string{"name", "on", "wants", "to", "when"}}
		for _, r := range rules {
			t.Add(screen.Text(r.Name), screen.Text(yesNo(r.Enabled)), screen.Text(wantsWords(r)), ruleTo(r), screen.Text(timingWords(r)))
		}
		a.screen.Print(t)
	})
}

func ruleTo(r client.NotifyRule) screen.Cell {
	if len(r.Channels) == 0 {
		return screen.Cell{Text: "nowhere", Tone: screen.Warn}
	}
	return screen.Text(namesOf(r.Channels))
}

func namesOf(all []client.Named) string {
	names := make([]string, len(all))
	for i, n := range all {
		names[i] = firstOf(n.Name, n.ID)
	}
	return strings.Join(names, ", ")
}

func wantsWords(r client.NotifyRule) string {
	var parts []string
	for _, list := range []string{strings.Join(r.Severities, ", "), strings.Join(r.Kinds, ", "), strings.Join(r.Sources, ", ")} {
		if list != "" {
			parts = append(parts, list)
		}
	}
	if len(r.Projects) > 0 {
		parts = append(parts, "of "+namesOf(r.Projects))
	}
	if len(parts) == 0 {
		return "everything"
	}
	return strings.Join(parts, "; ")
}

func timingWords(r client.NotifyRule) string {
	words := "at once"
	if r.GatherMinutes > 0 {
		words = fmt.Sprintf("gathered for %d min", r.GatherMinutes)
		if !r.GatherErrors {
			words += ", errors at once"
		}
	}
	if q := r.Quiet; q != nil {
		words += fmt.Sprintf(", quiet %s to %s %s", q.From, q.To, firstOf(q.Zone, "UTC"))
		if !q.HoldErrors {
			words += " but for errors"
		}
	}
	return words
}

// notifyFlags are what can be said of a rule on the command line.
type notifyFlags struct {
	channels, severities, sources, kinds, projects []string
	gather                                         int
	gatherErrors, holdErrors                       bool
	quiet, zone                                    string
}

func (f *notifyFlags) addTo(c *cobra.Command) {
	c.Flags().StringSliceVar(&f.channels, "channel", nil, "where to; repeat")
	c.Flags().StringSliceVar(&f.severities, "severity", nil, "info, warn or error; repeat")
	c.Flags().StringSliceVar(&f.sources, "source", nil, "of these parts only; repeat")
	c.Flags().StringSliceVar(&f.kinds, "kind", nil, "of these kinds only: instance.stale, or deploy.* for all that begin so; repeat")
	c.Flags().StringSliceVar(&f.projects, "project", nil, "of these projects only; repeat")
	c.Flags().IntVar(&f.gather, "gather", 5, "minutes for which to gather into one message; 0: at once")
	c.Flags().BoolVar(&f.gatherErrors, "gather-errors", false, "gather errors, too")
	c.Flags().StringVar(&f.quiet, "quiet", "", "quiet hours, such as 22:00-07:00; none: take them away")
	c.Flags().StringVar(&f.zone, "zone", "", "time zone of the quiet hours, such as Europe/Berlin (default UTC)")
	c.Flags().BoolVar(&f.holdErrors, "hold-errors", false, "hold errors back in quiet hours, too")
}

func (f *notifyFlags) change(c *cobra.Command) (client.NotifyRuleChange, error) {
	change := client.NotifyRuleChange{
		Channels: given(c, "channel", &f.channels), Severities: given(c, "severity", &f.severities), Sources: given(c, "source", &f.sources),
		Kinds: given(c, "kind", &f.kinds), Projects: given(c, "project", &f.projects), GatherMinutes: given(c, "gather", &f.gather),
		GatherErrors: given(c, "gather-errors", &f.gatherErrors),
	}
	switch from, to, both := strings.Cut(f.quiet, "-"); {
	case f.quiet == "none":
		change.NoQuiet = true
	case both:
		change.Quiet = &client.QuietHours{From: from, To: to, Zone: f.zone, HoldErrors: f.holdErrors}
	case f.quiet != "":
		return change, usagef(c, "--quiet: two times of day are expected, such as 22:00-07:00, or none")
	case c.Flags().Changed("zone") || c.Flags().Changed("hold-errors"):
		return change, usagef(c, "--zone and --hold-errors belong to --quiet")
	}
	return change, nil
}

func (a *app) ruleAdd() *cobra.Command {
	var f notifyFlags
	c := &cobra.Command{
		Use: "add NAME", Short: "Make a rule",
		Long:    "Makes a rule. It sees what happens from now on.",
		Example: "  docker-watcher notify rule add nights --channel ops --severity warn,error --quiet 22:00-07:00 --zone Europe/Berlin",
		Args:    takes(1, 1),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			change, err := f.change(c)
			if err != nil {
				return err
			}
			change.Name = &args[0]
			r, err := api.CreateNotifyRule(c.Context(), change)
			if err != nil {
				return err
			}
			return a.show(r, func() {
				a.screen.Printf("rule %s: %s to %s, %s\n", r.Name, wantsWords(r), ruleTo(r).Text, timingWords(r))
			})
		}),
	}
	f.addTo(c)
	return c
}

func (a *app) ruleShow() *cobra.Command {
	return shows(a, &cobra.Command{
		Use: "show NAME", Short: "Show a rule",
		Long:              "Shows what a rule wants, where it leads, and when.",
		Example:           "  docker-watcher notify rule show nights",
		Args:              takes(1, 1),
		ValidArgsFunction: a.ruleNames(),
	}, func(c *cobra.Command, api *client.Client, args []string) (client.NotifyRule, error) {
		return a.rule(c.Context(), api, args[0])
	}, func(r client.NotifyRule) {
		a.screen.Printf("rule %s\non %s\nwants %s\nto %s\nwhen %s\n", r.Name, yesNo(r.Enabled), wantsWords(r), a.screen.Paint(ruleTo(r)), timingWords(r))
	})
}

func (a *app) ruleEdit() *cobra.Command {
	var f notifyFlags
	var name string
	var on, off bool
	c := &cobra.Command{
		Use: "edit NAME", Short: "Change a rule",
		Long: `Changes what is named by a flag and nothing else. What happens while a rule is off is not told. A list
is replaced whole; an empty one wants all.`,
		Example:           "  docker-watcher notify rule edit nights --quiet none --gather 30",
		Args:              takes(1, 1),
		ValidArgsFunction: a.ruleNames(),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			change, err := f.change(c)
			if err != nil {
				return err
			}
			change.Name = given(c, "name", &name)
			if on || off {
				change.Enabled = &on
			}
			if change == (client.NotifyRuleChange{}) {
				return usagef(c, "say what to change")
			}
			r, err := a.rule(c.Context(), api, args[0])
			if err != nil {
				return err
			}
			change.Revision = r.Revision
			if r, err = api.UpdateNotifyRule(c.Context(), r.ID, change); err != nil {
				return err
			}
			return a.show(r, func() {
				a.screen.Printf("rule %s: %s to %s, %s\n", r.Name, wantsWords(r), ruleTo(r).Text, timingWords(r))
			})
		}),
	}
	f.addTo(c)
	c.Flags().StringVar(&name, "name", "", "another name")
	c.Flags().BoolVar(&off, "off", false, "have nothing told")
	c.Flags().BoolVar(&on, "on", false, "have things told again, from now on")
	c.MarkFlagsMutuallyExclusive("on", "off")
	return c
}

func (a *app) ruleRm() *cobra.Command {
	return removes(a, &cobra.Command{
		Use: "rm NAME", Short: "Remove a rule",
		Long:              "Removes a rule. What it put into the outbox is sent.",
		Example:           "  docker-watcher notify rule rm nights --yes",
		ValidArgsFunction: a.ruleNames(),
	}, removal[client.NotifyRule]{
		find: a.rule,
		ask: func(r client.NotifyRule) string {
			return "Remove rule " + r.Name + "? What it would tell is told no more."
		},
		remove: func(ctx context.Context, api *client.Client, r client.NotifyRule) error {
			return api.DeleteNotifyRule(ctx, r.ID)
		},
		told: func(r client.NotifyRule) string { return "rule " + r.Name + " removed" },
	})
}

// rule finds one by its name or its id.
func (a *app) rule(ctx context.Context, api *client.Client, name string) (client.NotifyRule, error) {
	r, err := api.NotifyRule(ctx, name)
	if client.HasCode(err, client.CodeNotFound) {
		return r, &notFoundError{fmt.Sprintf("there is no rule %q", name), "docker-watcher notify rule ls lists them"}
	}
	return r, err
}

func (a *app) ruleNames() completer {
	return a.completes(func(ctx context.Context, api *client.Client) ([]string, error) {
		rules, err := api.NotifyRules(ctx)
		var names []string
		for _, r := range rules {
			names = append(names, r.Name)
		}
		return names, err
	})
}
