package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

func (a *app) hostsCommand() *cobra.Command {
	c := a.hostsLs()
	c.Use, c.Aliases = "hosts", []string{"host"}
	c.Short = "The Docker engines and how well they are seen"
	c.Example = `  docker-watcher hosts
  docker-watcher hosts add build-2 ssh://watcher@10.0.0.6 --ssh-key ~/.ssh/watcher
  docker-watcher hosts test build-2
  docker-watcher hosts accept local
  docker-watcher host blind local --since 7d`
	c.AddCommand(a.hostsLs(), a.hostsAdd(), a.hostsTest(), a.hostsEdit(), a.hostsDisable(), a.hostsEnable(), a.hostsRm(), a.hostsAccept(), a.hostsBlind())
	return c
}

func (a *app) hostsLs() *cobra.Command {
	return lists(a, &cobra.Command{
		Use:   "ls",
		Short: "List the hosts",
		Long: `Lists the hosts: version, the API that was agreed on, the skew of the engine's clock, how
long its event stream has been unbroken, the last good scan. A frozen host is not
judged and not cleaned up until an admin accepts it; a disabled one until an admin enables it.`,
		Example: `  docker-watcher hosts ls -o wide`,
		Args:    takes(0, 0),
	}, func(c *cobra.Command, api *client.Client, _ []string) ([]client.Host, error) {
		return api.Hosts(c.Context())
	}, a.printHosts)
}

func (a *app) printHosts(hosts []client.Host) {
	t := screen.Table{Head: []string{"name", "state", "version", "api", "clock skew", "events", "last good scan"}}
	if a.wide() {
		t.Head = append(t.Head, "id", "endpoint", "way", "data root", "engine id")
	}
	for _, h := range hosts {
		row := []screen.Cell{
			screen.Text(h.Name), a.hostState(h), orNever(h.Version), orNever(h.APIVersion),
			screen.Text((time.Duration(h.ClockSkewMS) * time.Millisecond).String()), screen.Text(stream(h)), a.when(h.LastGoodScanAt),
		}
		if a.wide() {
			row = append(row, screen.Text(h.ID), screen.Text(h.Endpoint), screen.Text(h.ReachedBy.Way), orNever(h.DataRoot), orNever(h.EngineID))
		}
		t.Add(row...)
	}
	a.screen.Print(t)
	for _, h := range hosts {
		switch {
		case !h.DisabledSince.IsZero():
			a.screen.Printf("! %s is disabled since %s: nothing on it is watched or judged (an admin ends it: docker-watcher hosts enable %s)\n", h.Name, a.when(h.DisabledSince).Text, h.Name)
			continue
		case !h.Reachable:
			a.screen.Printf("! %s: %s\n", h.Name, screen.Tame(firstOf(h.Error, "it does not answer")))
		case h.Frozen:
			a.screen.Printf("! %s is frozen: %s (an admin ends it: docker-watcher hosts accept %s)\n", h.Name, screen.Tame(h.FrozenReason), h.Name)
		}
		if h.AutoHeld != "" {
			a.screen.Printf("! %s: automatic cleanup does nothing there since %s: %s\n", h.Name, a.when(h.AutoHeldSince).Text, screen.Tame(h.AutoHeld))
		}
		if h.Hint != "" {
			a.screen.Printf("  %s\n", screen.Tame(h.Hint))
		}
	}
}

func (a *app) hostState(h client.Host) screen.Cell {
	switch {
	case !h.DisabledSince.IsZero():
		return screen.Cell{Text: "disabled", Tone: screen.Warn}
	case !h.Reachable:
		return screen.Cell{Text: "unreachable", Tone: screen.Bad}
	case h.Frozen:
		return screen.Cell{Text: "frozen", Tone: screen.Warn}
	}
	return screen.Cell{Text: "ok", Tone: screen.Good}
}

// stream tells how long the events of an engine have been seen without a gap.
func stream(h client.Host) string {
	if h.StreamAgeSeconds <= 0 {
		return "no event stream"
	}
	return "events unbroken for " + screen.Span(time.Duration(h.StreamAgeSeconds)*time.Second)
}

func (a *app) hostsAccept() *cobra.Command {
	return &cobra.Command{
		Use:   "accept NAME",
		Short: "End the freeze of a host by an admin's word",
		Long: `Ends the freeze of a host: what it shows now is taken as true. A host freezes when its engine
changed, when too much vanished at once, or when its clock is off. Look at it first.`,
		Example: `  docker-watcher hosts
  docker-watcher hosts accept local`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.hostNames(),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			h, err := a.host(c.Context(), api, args[0])
			if err != nil {
				return err
			}
			if h.Frozen {
				if err := a.confirm(c, fmt.Sprintf("%s is frozen: %s. Take what it shows now as true?", h.Name, h.FrozenReason)); err != nil {
					return err
				}
			}
			if h, err = api.AcceptHost(c.Context(), h.ID); err != nil {
				return err
			}
			return a.show(h, func() { a.screen.Printf("%s is accepted\n", h.Name) })
		}),
	}
}
