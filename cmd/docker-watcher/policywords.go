package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tiny-forge/docker-watcher/client"
)

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
		return p, errors.New("say what to change, such as --action cleanup")
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
