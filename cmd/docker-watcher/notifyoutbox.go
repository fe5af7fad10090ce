package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

func (a *app) outboxCommand() *cobra.Command {
	return group(&cobra.Command{
		Use: "outbox", Short: "The outbox: what waits, what was sent, what was given up",
		Long: `The outbox holds each message until its target has taken it: a target that is down is tried for three
days. What was given up stays until it is sent again or deleted; what was sent is forgotten after 30 days.`,
		Example: `  docker-watcher notify outbox ls --state dead
  docker-watcher notify outbox retry --all`,
	}, a.outboxLs(), a.outboxShow(), a.outboxRetry(), a.outboxRm())
}

func (a *app) outboxLs() *cobra.Command {
	var f client.MessageFilter
	var limit int
	c := lists(a, &cobra.Command{
		Use: "ls", Short: "List the messages, newest first",
		Long:    "Lists the messages, newest first: how far each has come, and when it is tried next.",
		Example: "  docker-watcher notify outbox ls --channel ops",
		Args:    takes(0, 0),
	}, func(c *cobra.Command, api *client.Client, _ []string) ([]client.Message, error) {
		items, _, err := everything(limit, func(p client.Page) (client.List[client.Message], error) { return api.Outbox(c.Context(), f, p) })
		return items, err
	}, func(messages []client.Message) {
		t := screen.Table{Head: []string{"id", "made", "channel", "state", "severity", "events", "tries", "next try", "what"}}
		for _, m := range messages {
			next := screen.Cell{Text: screen.Never, Tone: screen.Faint}
			if !m.NextAt.IsZero() {
				next = screen.Text(screen.Exact(m.NextAt))
			}
			t.Add(screen.Text(m.ID), a.when(m.CreatedAt), screen.Text(m.Channel), messageState(m.State), severityCell(m.Severity),
				screen.Text(fmt.Sprint(m.Count)), screen.Text(fmt.Sprint(m.Attempts)), next, screen.Text(firstOf(m.Error, m.Title)))
		}
		a.screen.Print(t)
	})
	c.Flags().StringVar(&f.State, "state", "", "pending, sending, sent or dead")
	c.Flags().StringVar(&f.Channel, "channel", "", "only for this channel")
	c.Flags().IntVar(&limit, "limit", defaultEvents, "at most so many, the newest (0: all)")
	return c
}

func messageState(state string) screen.Cell {
	switch state {
	case "sent":
		return screen.Cell{Text: state, Tone: screen.Good}
	case "dead":
		return screen.Cell{Text: "given up", Tone: screen.Bad}
	}
	return screen.Text(state)
}

func (a *app) outboxShow() *cobra.Command {
	return shows(a, &cobra.Command{
		Use: "show ID", Short: "Show a message and the events that it tells of",
		Long:    "Shows how far a message has come, and the events that it tells of.",
		Example: "  docker-watcher notify outbox show 06h2inud19nn74n6",
		Args:    takes(1, 1),
	}, func(c *cobra.Command, api *client.Client, args []string) (client.Message, error) {
		return a.message(c.Context(), api, args[0])
	}, func(m client.Message) {
		a.screen.Printf("message %s\nchannel %s\nrule %s\nstate %s\nevents %d\ntries %d\n", m.ID, m.Channel, firstOf(m.Rule, "(removed)"),
			a.screen.Paint(messageState(m.State)), m.Count, m.Attempts)
		if m.Error != "" {
			a.screen.Printf("error %s\n", screen.Tame(m.Error))
		}
		a.printEvents(m.Events)
	})
}

func (a *app) outboxRetry() *cobra.Command {
	var all bool
	var channel string
	c := &cobra.Command{
		Use: "retry [ID]", Short: "Have messages sent again now",
		Long: `Has a message sent again now, be it given up or waiting for its next attempt; with --all all that were
given up, of one channel or of all.`,
		Example: "  docker-watcher notify outbox retry --all --channel ops",
		Args:    takes(0, 1),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			if all == (len(args) == 1) {
				return usagef(c, "name a message, or say --all")
			}
			if !all {
				m, err := a.message(c.Context(), api, args[0])
				if err != nil {
					return err
				}
				if m, err = api.RetryMessage(c.Context(), m.ID); err != nil {
					return err
				}
				return a.show(m, func() { a.screen.Printf("message %s is sent again\n", m.ID) })
			}
			n, err := api.RetryOutbox(c.Context(), channel)
			if err != nil {
				return err
			}
			return a.show(map[string]int{"retried": n}, func() { a.screen.Printf("messages that are sent again: %d\n", n) })
		}),
	}
	c.Flags().BoolVar(&all, "all", false, "all that were given up")
	c.Flags().StringVar(&channel, "channel", "", "with --all: only of this channel")
	return c
}

func (a *app) outboxRm() *cobra.Command {
	return removes(a, &cobra.Command{
		Use: "rm ID", Short: "Take a message out of the outbox",
		Long:    "Takes a message out of the outbox. What it tells of stays in the event log.",
		Example: "  docker-watcher notify outbox rm 06h2inud19nn74n6 --yes",
	}, removal[client.Message]{
		find: a.message,
		ask: func(m client.Message) string {
			return fmt.Sprintf("Delete the message of %d events to %s (%s)? Nobody is told of them by it.", m.Count, m.Channel, m.State)
		},
		remove: func(ctx context.Context, api *client.Client, m client.Message) error {
			return api.DeleteMessage(ctx, m.ID)
		},
		told: func(m client.Message) string { return "message " + m.ID + " deleted" },
	})
}

func (a *app) message(ctx context.Context, api *client.Client, id string) (client.Message, error) {
	m, err := api.Message(ctx, id)
	if client.HasCode(err, client.CodeNotFound) {
		return m, &notFoundError{fmt.Sprintf("there is no message %q", id), "docker-watcher notify outbox ls lists them"}
	}
	return m, err
}
