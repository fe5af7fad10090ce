package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

func (a *app) stalePin() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use: "pin INSTANCE...", Short: "Keep containers from every cleanup",
		Long: `Pins containers: they are listed as before, nobody is told of them, and every cleanup keeps them
until they are unpinned.`,
		Example:           `  docker-watcher stale pin shop-preview-a1b2c3 --reason "demo for the customer in May"`,
		Args:              takes(1, -1),
		ValidArgsFunction: a.instanceNames(),
		RunE: a.toEach(func(api *client.Client, ctx context.Context, id string) (client.Instance, error) {
			return api.Pin(ctx, id, reason)
		}, func(i client.Instance) string { return i.Name + " is pinned: every cleanup keeps it" }),
	}
	c.Flags().StringVar(&reason, "reason", "", "why, for others to read")
	return c
}

func (a *app) staleUnpin() *cobra.Command {
	return &cobra.Command{
		Use: "unpin INSTANCE...", Short: "End the pin of containers",
		Long:              "Ends the pin of containers. If one is stale, the warning is given now.",
		Example:           "  docker-watcher stale unpin shop-preview-a1b2c3",
		Args:              takes(1, -1),
		ValidArgsFunction: a.instanceNames(),
		RunE:              a.toEach((*client.Client).Unpin, func(i client.Instance) string { return i.Name + " is no longer pinned" }),
	}
}

func (a *app) staleSnooze() *cobra.Command {
	var until, length, reason string
	c := &cobra.Command{
		Use: "snooze INSTANCE... --until DATE|--for SPAN --reason WHY", Short: "Keep containers from every cleanup until a date",
		Long: `Keeps containers from every cleanup, as a pin does, but only until a date. Others see until when,
who wants it and why. When the snooze ends and a container is still stale, the warning is
given then and any grace counts from it. At most a year; a second snooze replaces the first.

A date without a time is the beginning of that day, in the time zone of this machine.`,
		Example: `  docker-watcher stale snooze shop-preview-a1b2c3 --for 7d --reason "review next week"
  docker-watcher stale snooze shop-preview-a1b2c3 --until 2026-12-24 --reason "demo for the customer"
  docker-watcher stale snooze shop-preview-a1b2c3 --until "2026-12-24 18:00" --reason "demo"`,
		Args:              takes(1, -1),
		ValidArgsFunction: a.instanceNames(),
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		to, err := a.snoozeUntil(until, length)
		if err == nil && reason == "" {
			err = errors.New("say why with --reason: others will read it")
		}
		if err != nil {
			return usagef(c, "%w", err)
		}
		return a.toEach(func(api *client.Client, ctx context.Context, id string) (client.Instance, error) {
			if length != "" {
				return api.SnoozeFor(ctx, id, length, reason)
			}
			return api.Snooze(ctx, id, to, reason)
		}, func(i client.Instance) string {
			return fmt.Sprintf("%s is snoozed until %s: every cleanup keeps it", i.Name, screen.Exact(i.SnoozedUntil))
		})(c, args)
	}
	c.Flags().StringVar(&until, "until", "", "the date or time at which it ends, such as 2026-12-24")
	c.Flags().StringVar(&length, "for", "", "how long it lasts, such as 36h or 7d")
	c.Flags().StringVar(&reason, "reason", "", "why, for others to read")
	return c
}

// snoozeUntil reads the one of the two that is given. A span is counted by the service's clock.
func (a *app) snoozeUntil(until, length string) (time.Time, error) {
	switch {
	case (until == "") == (length == ""):
		return time.Time{}, errors.New("say how long with either --until DATE or --for SPAN")
	case length != "":
		_, err := span(length)
		return time.Time{}, err
	}
	return moment(until, a.screen.Now())
}

func (a *app) staleUnsnooze() *cobra.Command {
	return &cobra.Command{
		Use: "unsnooze INSTANCE...", Short: "End the snooze of containers",
		Long:              "Ends the snooze of containers. If one is stale, the warning is given now.",
		Example:           "  docker-watcher stale unsnooze shop-preview-a1b2c3",
		Args:              takes(1, -1),
		ValidArgsFunction: a.instanceNames(),
		RunE:              a.toEach((*client.Client).Unsnooze, func(i client.Instance) string { return i.Name + " is no longer snoozed" }),
	}
}
