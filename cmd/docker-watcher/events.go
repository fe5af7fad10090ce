package main

import (
	"encoding/json"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

func (a *app) eventsCommand() *cobra.Command {
	var (
		f                               client.EventFilter
		project, stg, name, since, till string
		format                          string
		limit                           int
		follow, chatter                 bool
	)
	c := &cobra.Command{
		Use:   "events",
		Short: "What happened, newest last; -f follows",
		Long: `Shows the event log, newest last. Every change of state, every attempt at a cleanup and everything that
anyone does leaves one event. -f goes on with what happens from now on, without a gap.
With -f and -o json it writes one JSON object a line. --export writes everything that the
filters take as a file for an audit: newest first, as lines of JSON or as CSV.`,
		Example: `  docker-watcher events --severity warn --since 7d
  docker-watcher events -f --stage shop/preview
  docker-watcher events --instance shop-preview-a1b2c3 -o json
  docker-watcher events --actor user:anna --since 30d --export csv > anna.csv`,
		Args: takes(0, 0),
		RunE: a.with(func(c *cobra.Command, api *client.Client, _ []string) error {
			var err error
			if f.Project, f.Stage, err = a.place(c, api, project, stg); err != nil {
				return err
			}
			if name != "" {
				if f.Instance, err = a.instanceOrID(c, api, name); err != nil {
					return err
				}
			}
			if err := a.period(c, &f, since, till); err != nil {
				return err
			}
			if format != "" {
				return api.ExportEvents(c.Context(), f, format, a.screen.Out)
			}
			if follow && limit == defaultEvents && !c.Flags().Changed("limit") {
				limit = 10
			}
			items, more, err := everything(limit, func(p client.Page) (client.List[client.Event], error) {
				return api.Events(c.Context(), f, p)
			})
			if err != nil {
				return err
			}
			if follow {
				return a.follow(c, api, f, items, chatter)
			}
			slices.Reverse(items)
			err = a.show(listOf(items), func() { a.printEvents(items) })
			if more && a.output != "json" {
				a.screen.Notef("there are older ones: --limit 0 shows all\n")
			}
			return err
		}),
	}
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what happens from now on")
	c.Flags().BoolVar(&chatter, "chatter", false, "with -f: also progress, which is not kept")
	c.Flags().StringArrayVar(&f.Severities, "severity", nil, "info, warn or error; repeat")
	c.Flags().StringArrayVar(&f.Sources, "source", nil, "scanner, cleaner, deployer, poller, proxy, engine, auth, settings, api, system or notifier; repeat")
	c.Flags().StringVar(&project, "project", "", "only of this project")
	c.Flags().StringVar(&stg, "stage", "", "only of this stage (PROJECT/STAGE)")
	c.Flags().StringVar(&name, "instance", "", "only of this instance (name, or id of one that is gone)")
	c.Flags().StringVar(&f.Actor, "actor", "", "only what this one did, such as user:anna, token:ci or system:auto")
	c.Flags().StringVar(&format, "export", "", "write all of them as a file: ndjson or csv")
	c.Flags().StringVar(&f.Text, "text", "", "only with this in the message")
	c.Flags().StringVar(&since, "since", "", "only younger than, such as 36h or 7d")
	c.Flags().StringVar(&till, "until", "", "only older than, such as 36h or 7d")
	c.Flags().IntVar(&limit, "limit", defaultEvents, "at most so many, the newest (0: all)")
	return c
}

const defaultEvents = 50

// instanceOrID takes the id of an instance that is gone as well: its events are still there.
func (a *app) instanceOrID(c *cobra.Command, api *client.Client, name string) (string, error) {
	if idForm.MatchString(name) {
		return name, nil
	}
	i, err := a.instance(c.Context(), api, name)
	return i.ID, err
}

func (a *app) period(c *cobra.Command, f *client.EventFilter, since, until string) error {
	now := a.screen.Now()
	if since != "" {
		d, err := span(since)
		if err != nil {
			return usagef(c, "--since: %w", err)
		}
		f.From = now.Add(-d)
	}
	if until != "" {
		d, err := span(until)
		if err != nil {
			return usagef(c, "--until: %w", err)
		}
		f.To = now.Add(-d)
	}
	return nil
}

// follow shows the newest events and joins the stream right after them.
func (a *app) follow(c *cobra.Command, api *client.Client, f client.EventFilter, newest []client.Event, chatter bool) error {
	after := ""
	if len(newest) > 0 {
		after = newest[0].ID
	}
	for _, e := range slices.Backward(newest) {
		if err := a.printEvent(e); err != nil {
			return err
		}
	}
	o := client.StreamOptions{Filter: f, After: after, Disconnected: func(err error) {
		a.screen.Notef("the stream broke off (%v); connecting again\n", err)
	}}
	o.Filter.From, o.Filter.To = f.To, f.To
	err := api.Stream(c.Context(), o, func(e client.Event) error {
		if e.ID == "" && !chatter {
			return nil
		}
		return a.printEvent(e)
	})
	if interrupted(c.Context()) {
		return nil
	}
	return err
}

// printEvent writes one line of a stream.
func (a *app) printEvent(e client.Event) error {
	if a.output == "json" {
		return json.NewEncoder(a.screen.Out).Encode(e)
	}
	t := e.Time.Local().Format("15:04:05")
	if a.exact || a.wide() {
		t = screen.Exact(e.Time)
	}
	a.screen.Printf("%s  %s  %-20s  %s\n", t, a.screen.Paint(severityCell(e.Severity)), e.Kind, screen.Tame(e.Message))
	return nil
}

func (a *app) printEvents(items []client.Event) {
	t := screen.Table{Head: []string{"when", "severity", "kind", "by", "message"}}
	if a.wide() {
		t.Head = append(t.Head, "id", "source", "instance")
	}
	for _, e := range items {
		row := []screen.Cell{a.when(e.Time), severityCell(e.Severity), screen.Text(e.Kind), orNever(e.Actor), screen.Text(e.Message)}
		if a.wide() {
			row = append(row, screen.Text(e.ID), screen.Text(e.Source), orNever(e.InstanceID))
		}
		t.Add(row...)
	}
	a.screen.Print(t)
}

func severityCell(s string) screen.Cell {
	switch s {
	case "warn":
		return screen.Cell{Text: s, Tone: screen.Warn}
	case "error":
		return screen.Cell{Text: s, Tone: screen.Bad}
	}
	return screen.Text(s)
}
