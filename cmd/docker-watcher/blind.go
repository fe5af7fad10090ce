package main

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

// hostLedger is the blind time of one host.
type hostLedger struct {
	Host       string    `json:"host"`
	KnownSince time.Time `json:"known_since"` // nobody watched it before
	client.BlindLedger
}

// since is from when on the ledger says something: before it was known nobody watched a host.
func (l hostLedger) since() time.Time {
	if l.KnownSince.After(l.From) {
		return l.KnownSince
	}
	return l.From
}

func (a *app) hostsBlind() *cobra.Command {
	var since string
	c := lists(a, &cobra.Command{
		Use: "blind [HOST]", Short: "When nobody watched: the ledger of blind time",
		Long: `Lists the stretches of time in which hosts could not be watched, the newest first: docker-watcher was
down, the host did not answer, a scan could not judge. What happened in one is known only
from the engine's own records, so that a verdict across one says so.`,
		Example: `  docker-watcher host blind
  docker-watcher host blind local --since 90d -o json`,
		Args:              takes(0, 1),
		ValidArgsFunction: a.hostNames(),
	}, func(c *cobra.Command, api *client.Client, args []string) (all []hostLedger, err error) {
		back, err := span(since)
		if err != nil {
			return nil, usagef(c, "--since: %w", err)
		}
		hosts, err := a.eachHost(c.Context(), api, firstOf(args...))
		if err != nil {
			return nil, err
		}
		for _, h := range hosts {
			l, err := api.Blind(c.Context(), h.ID, a.screen.Now().Add(-back), time.Time{})
			if err != nil {
				return nil, err
			}
			all = append(all, hostLedger{h.Name, h.KnownSince, l})
		}
		return all, nil
	}, func(all []hostLedger) {
		for _, l := range all {
			a.printLedger(l)
		}
	})
	c.Flags().StringVar(&since, "since", "30d", "how far back, such as 36h or 90d")
	return c
}

func (a *app) printLedger(l hostLedger) {
	if len(l.Items) == 0 {
		a.screen.Printf("%s was watched without a gap since %s\n", l.Host, a.date(l.since()).Text)
		return
	}
	t := screen.Table{Head: []string{"from", "to", "for", "why", "detail"}}
	for _, i := range l.Items {
		to := a.date(i.To)
		if i.To.IsZero() {
			to = screen.Cell{Text: "now", Tone: screen.Bad}
		}
		t.Add(a.date(i.From), to, screen.Text(seconds(i.Seconds)), screen.Text(strings.ReplaceAll(i.Reason, "_", " ")), orNever(i.Detail))
	}
	a.screen.Print(t)
	var parts []string
	for reason, n := range l.ByReason {
		parts = append(parts, seconds(n)+" "+strings.ReplaceAll(reason, "_", " "))
	}
	slices.SortFunc(parts, cmp.Compare[string])
	a.screen.Printf("nobody watched %s for %s since %s (%s)\n", l.Host, seconds(l.Seconds), a.date(l.since()).Text, strings.Join(parts, ", "))
}

func seconds(n int64) string { return screen.Span(time.Duration(n) * time.Second) }
