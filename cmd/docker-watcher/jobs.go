package main

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

func (a *app) jobsCommand() *cobra.Command {
	c := a.jobsLs()
	c.Use, c.Short = "jobs", "What the service does by itself, and how the last runs ended"
	c.Example = `  docker-watcher jobs
  docker-watcher jobs run tag-check`
	c.AddCommand(a.jobsLs(), a.jobsRun())
	return c
}

func (a *app) jobsLs() *cobra.Command {
	return lists(a, &cobra.Command{
		Use: "ls", Short: "List the jobs",
		Long: `Lists what the service does by itself: when it last ran, how long that took, how many runs have failed since
one that did not, and when it runs next. Under a job that works on hosts stands how that ended on each. What
is late or failed says why below. The runs of a service that ended before are not known, but the scans are.`,
		Example: "  docker-watcher jobs ls -o wide",
		Args:    takes(0, 0),
	}, func(c *cobra.Command, api *client.Client, _ []string) ([]client.Job, error) {
		return api.Jobs(c.Context())
	}, a.printJobs)
}

func (a *app) printJobs(jobs []client.Job) {
	t := screen.Table{Head: []string{"job", "state", "last run", "took", "failed", "next"}}
	if a.wide() {
		t.Head = append(t.Head, "schedule")
	}
	for _, j := range jobs {
		row := []screen.Cell{
			screen.Text(j.Name), workState(j.State), a.when(j.LastStartedAt), screen.Text(took(j.DurationMS)), screen.Text(inARow(j.Failures)), a.when(j.NextAt),
		}
		if a.wide() {
			row = append(row, screen.Text(j.Schedule))
		}
		t.Add(row...)
		for _, h := range j.Hosts {
			t.Add(screen.Text("  on "+h.Host), workState(h.State), a.when(h.LastStartedAt), screen.Text(took(h.DurationMS)), screen.Text(inARow(h.Failures)))
		}
	}
	a.screen.Print(t)
	for _, j := range jobs {
		a.printTrouble(j.Name, j.State, j.LastError)
		for _, h := range j.Hosts {
			a.printTrouble(j.Name+" on "+h.Host, h.State, h.LastError)
		}
	}
}

// printTrouble says why something is not well.
func (a *app) printTrouble(name, state, why string) {
	if state == "overdue" {
		why = firstOf(why, "what was due did not come; docker-watcher doctor says more")
	}
	if why != "" {
		a.screen.Printf("! %s: %s\n", screen.Tame(name), screen.Tame(why))
	}
}

func workState(state string) screen.Cell {
	tone := screen.Plain
	switch state {
	case "well":
		tone = screen.Good
	case "failed", "overdue":
		tone = screen.Bad
	case "blind":
		tone = screen.Warn
	case "running":
		tone = screen.Blue
	case "waiting":
		tone = screen.Faint
	}
	return screen.Cell{Text: state, Tone: tone}
}

// took is how long a run lasted; empty when that is not known.
func took(ms *int64) string {
	if ms == nil {
		return ""
	}
	if *ms < 1000 {
		return strconv.FormatInt(*ms, 10) + " ms"
	}
	return (time.Duration(*ms) * time.Millisecond).Round(100 * time.Millisecond).String()
}

func inARow(failures int) string {
	if failures == 0 {
		return ""
	}
	return strconv.Itoa(failures)
}

func (a *app) jobsRun() *cobra.Command {
	return shows(a, &cobra.Command{
		Use: "run JOB", Short: "Have a job run now",
		Long:              "Has a job run now, without waiting for its end. The times at which it comes by itself stay as they are. Needs an admin.",
		Example:           "  docker-watcher jobs run tag-check",
		Args:              takes(1, 1),
		ValidArgsFunction: a.jobNames(),
	}, func(c *cobra.Command, api *client.Client, args []string) (client.Job, error) {
		return api.RunJob(c.Context(), args[0])
	}, func(j client.Job) {
		a.screen.Printf("%s runs; docker-watcher jobs tells how it ended\n", j.Name)
	})
}

func (a *app) jobNames() completer {
	return a.completes(func(ctx context.Context, api *client.Client) ([]string, error) {
		all, err := api.Jobs(ctx)
		var names []string
		for _, j := range all {
			names = append(names, j.Name+"\t"+j.State)
		}
		return names, err
	})
}
