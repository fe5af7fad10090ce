package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

// ruleKinds are the kinds of rules, which are flags, too.
var ruleKinds = []struct{ kind, help string }{
	{"exact", "one tag, such as 1.4.2; what it points to is not followed"},
	{"glob", "tags by *, ? and [a-z], such as 'main-*'"},
	{"regex", "tags by a regular expression for the whole tag, such as 'v(\\d+)'; its group (?<version>...), or its only one, orders"},
	{"semver", "versions in a range, such as '^1.4' or '>=2 <3'"},
	{"moving", "one tag whose image changes, such as latest: its digest is followed"},
}

// ruleFlags are the parts of a tag rule as a person gives them.
type ruleFlags struct {
	patterns map[string]*string
	pre      bool
	order    string
	ignore   []string
	minAge   string
}

func (f *ruleFlags) add(c *cobra.Command) {
	flags := c.Flags()
	f.patterns = map[string]*string{}
	for _, k := range ruleKinds {
		f.patterns[k.kind] = flags.String(k.kind, "", k.help)
	}
	flags.BoolVar(&f.pre, "pre", false, "with --semver: take pre-releases such as 2.0.0-rc.1, too")
	flags.StringVar(&f.order, "order", "", "of glob and regex: natural (build-9 before build-10), semver, date or created")
	flags.StringSliceVar(&f.ignore, "ignore", nil, "globs of tags that never match, such as '*-debug'; '' for none")
	flags.StringVar(&f.minAge, "min-age", "", "how old an image must be to be deployed, such as 36h or 2d; 0s for any")
	// It is refused only for a flag that does not exist.
	cobra.CheckErr(c.RegisterFlagCompletionFunc("order", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{"natural", "semver", "date", "created"}, cobra.ShellCompDirectiveNoFileComp
	}))
}

// change puts what was given into a rule; nil: nothing of it was given. Another kind begins anew, but for what is ignored.
func (f *ruleFlags) change(c *cobra.Command, was *client.TagRule) (*client.TagRule, error) {
	var rule client.TagRule
	if was != nil {
		rule = *was
	}
	said := false
	for _, k := range ruleKinds {
		if !c.Flags().Changed(k.kind) {
			continue
		}
		if said {
			return nil, fmt.Errorf("--%s and --%s: a rule is of one kind", rule.Kind, k.kind)
		}
		said = true
		if rule.Kind != k.kind {
			rule = client.TagRule{Kind: k.kind, Ignore: rule.Ignore}
		}
		rule.Pattern = *f.patterns[k.kind]
	}
	if c.Flags().Changed("pre") {
		said, rule.PreReleases = true, f.pre
	}
	if c.Flags().Changed("order") {
		said, rule.Order = true, f.order
	}
	if c.Flags().Changed("ignore") {
		said, rule.Ignore = true, slices.DeleteFunc(slices.Clone(f.ignore), func(g string) bool { return g == "" })
	}
	switch {
	case !said:
		return nil, nil
	case rule.Kind == "":
		return nil, errors.New("there is no rule yet: give one by --exact, --glob, --regex, --semver or --moving")
	}
	return &rule, nil
}

func (a *app) stageRule() *cobra.Command {
	var (
		f              ruleFlags
		mode, interval string
		none           bool
	)
	c := &cobra.Command{
		Use: "rule PROJECT/STAGE", Short: "Say which tags a stage follows, and what becomes of a new one",
		Long: `Says which tags of its repository a stage follows, and what becomes of one that is ready:

  manual  it is shown, and somebody deploys it (so it is without a rule, too)
  notify  one event tells of it, and somebody deploys it
  auto    it is deployed

Changes what is named by a flag and nothing else. Of the tags that match, the newest that is old
enough (--min-age) is ready. Nothing goes back by itself to an older tag, and nothing is deployed
twice by itself. Tags of signatures, attestations and bills of materials never match. Try a
rule first: docker-watcher tag try. Needs an admin.`,
		Example: `  docker-watcher stage rule shop/staging --semver '^1.4' --pre --mode auto
  docker-watcher stage rule shop/production --semver '^1.4' --min-age 2d --mode notify
  docker-watcher stage rule shop/dev --glob 'main-*' --ignore '*-debug' --mode auto --poll-interval 1m
  docker-watcher stage rule lab/demo --moving latest --mode auto
  docker-watcher stage rule shop/production --mode manual
  docker-watcher stage rule shop/dev --none`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.stageNames(),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			if c.Flags().NFlag() == 0 {
				return usagef(c, "say what to change, such as --semver '^1.4' --mode notify")
			}
			s, err := a.stage(c.Context(), api, args[0])
			if err != nil {
				return err
			}
			change := client.StageChange{
				Mode: given(c, "mode", &mode), MinImageAge: given(c, "min-age", &f.minAge),
				PollInterval: givenOrDefault(c, "poll-interval", &interval), Revision: s.Revision,
			}
			if change.TagRule, err = f.change(c, s.TagRule); err != nil {
				return usagef(c, "%w", err)
			}
			if none {
				if change.TagRule != nil {
					return usagef(c, "a rule is given and taken away at once")
				}
				change.TagRule = &client.TagRule{}
				if change.Mode == nil {
					manual := "manual"
					change.Mode = &manual
				}
			}
			if s, err = api.UpdateStage(c.Context(), s.ID, change); err != nil {
				return err
			}
			return a.show(s, func() { a.screen.Printf("stage %s/%s follows %s\n", s.Project, s.Name, followingText(s)) })
		}),
	}
	f.add(c)
	c.Flags().StringVar(&mode, "mode", "", "auto, notify or manual")
	c.Flags().StringVar(&interval, "poll-interval", "", "how often its registry is asked, such as 1m, or default")
	c.Flags().BoolVar(&none, "none", false, "take the rule away")
	// It is refused only for a flag that does not exist.
	cobra.CheckErr(c.RegisterFlagCompletionFunc("mode", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{"auto\tdeploy what is ready", "notify\ttell of it", "manual\tshow it"}, cobra.ShellCompDirectiveNoFileComp
	}))
	return c
}

// ruleText is a rule in words.
func ruleText(r *client.TagRule) string {
	if r == nil {
		return "no tags"
	}
	text := r.Kind + " " + r.Pattern
	if r.PreReleases {
		text += " with pre-releases"
	}
	if r.Order != "" {
		text += " by " + r.Order
	}
	if len(r.Ignore) > 0 {
		text += " but not " + strings.Join(r.Ignore, ", ")
	}
	return text
}

func followingText(s client.Stage) string {
	text := ruleText(s.TagRule) + ", " + s.Mode
	if s.MinImageAge != "0s" {
		text += ", images at least " + s.MinImageAge + " old"
	}
	return screen.Tame(text)
}

// printFollowing tells how a stage follows its registry and what that brought.
func (a *app) printFollowing(s client.Stage, row func(name, value string)) {
	row("tags", inherited(ruleText(s.TagRule), "").Text)
	row("mode", s.Mode)
	if s.TagRule == nil {
		return
	}
	row("min age", s.MinImageAge)
	row("polled", "every "+inherited(s.PollInterval, "poll_interval of the settings").Text)
	if p := s.Poll; p != nil {
		row("last asked", a.when(p.LastAt).Text)
		row("newest", p.NewestTag)
		row("ready", p.ReadyTag)
		row("decided", p.Why)
		if p.Error != "" {
			row("silent since", fmt.Sprintf("%s: %s", a.when(p.Since).Text, p.Error))
		}
	}
}

func (a *app) tagCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:     "tag",
		Short:   "Tags: which ones a rule takes",
		Long:    "Tags of a repository, as a tag rule sees them.",
		Example: "  docker-watcher tag try shop/production --semver '^1.4' --min-age 2d",
	}, a.tagTry())
}

func (a *app) tagTry() *cobra.Command {
	var (
		f    ruleFlags
		tags []string
	)
	c := &cobra.Command{
		Use: "try PROJECT/STAGE", Short: "Tell which tags a rule takes, in which order, and which one would be deployed",
		Long: `Tries a rule, or the stage's own, on the tags that the registry has now, or on those given by --tags.
Tells for every tag whether it matches and why, in order, the newest first, and which one
the stage would be brought to. Nothing is written. Where the registry cannot be asked that is
an error, and not that there are no tags. Needs an operator.`,
		Example: `  docker-watcher tag try shop/production
  docker-watcher tag try shop/production --semver '>=1.4 <2' --min-age 2d
  docker-watcher tag try shop/dev --regex 'main-(\d+)' --tags main-9,main-10,main-10.sig`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.stageNames(),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			s, err := a.stage(c.Context(), api, args[0])
			if err != nil {
				return err
			}
			try := client.RuleTry{MinImageAge: f.minAge, Tags: given(c, "tags", &tags)}
			if try.TagRule, err = f.change(c, s.TagRule); err != nil {
				return usagef(c, "%w", err)
			}
			t, err := api.TryRule(c.Context(), s.ID, try)
			if err != nil {
				return err
			}
			return a.show(t, func() { a.printRuleTrial(t) })
		}),
	}
	f.add(c)
	c.Flags().StringSliceVar(&tags, "tags", nil, "try it on these, and ask no registry")
	return c
}

func (a *app) printRuleTrial(t client.RuleTrial) {
	table := screen.Table{Head: []string{"tag", "matches", "version", "made", "why"}}
	hidden := t.Considered - len(t.Items)
	others := 0
	for _, i := range t.Items {
		matches := screen.Cell{Text: "no", Tone: screen.Faint}
		switch {
		case i.Ready:
			matches = screen.Cell{Text: "ready", Tone: screen.Good}
		case i.Matched:
			matches = screen.Text("yes")
		}
		if !i.Matched {
			if others++; others > shownOfGroup && !a.wide() {
				hidden++
				continue
			}
		}
		table.Add(screen.Text(i.Tag), matches, orNever(i.Version), a.date(i.CreatedAt), screen.Text(i.Why))
	}
	if len(table.Rows) > 0 {
		a.screen.Print(table)
	}
	if hidden > 0 {
		a.screen.Printf("... and %d more: -o wide or -o json\n", hidden)
	}
	a.screen.Printf("%s: %d of %s match %s\n", screen.Tame(t.Image), t.Matched, count(t.Considered, "tag"), screen.Tame(ruleText(&t.TagRule)))
	switch {
	case t.ReadyTag != "":
		a.screen.Printf("ready: %s, %s\n", screen.Tame(t.ReadyTag), screen.Tame(t.Why))
	default:
		a.screen.Printf("nothing is ready: %s\n", screen.Tame(t.Why))
	}
	if t.Decision != "" {
		a.screen.Printf("the stage now: %s\n", screen.Tame(t.Decision))
	}
}
