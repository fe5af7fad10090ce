package main

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

func (a *app) staleCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "stale",
		Short: "What has not been alive for days, how we know, and cleaning it up",
		Long: `A container is stale when it is not running and has not been alive for longer than the threshold
of its stage, measured from when it really stopped. "plan" shows exactly what a cleanup
would do and touches nothing; "apply" does exactly that plan; "cleanup" does both and asks
in between. Volumes always stay. What came back to life meanwhile is left alone, and what was
removed can be brought back for some time: "undo".`,
		Example: `  docker-watcher stale ls
  docker-watcher stale plan --project shop
  docker-watcher stale apply 0q3v...
  docker-watcher stale cleanup shop-preview-a1b2c3
  docker-watcher stale undo`,
	}, a.staleLs(), a.staleScan(), a.stalePlan(), a.staleApply(), a.staleCleanup(),
		a.staleUndo(), a.staleCancel(), a.stalePin(), a.staleUnpin(), a.staleSnooze(), a.staleUnsnooze())
}

// staleFlags select stale containers.
type staleFlags struct {
	project, stage, host, text string
	classes                    []string
	olderThan                  int
	tagGone                    bool // of a plan
}

func (f *staleFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.project, "project", "", "only of this project")
	c.Flags().StringVar(&f.stage, "stage", "", "only of this stage (PROJECT/STAGE)")
	c.Flags().StringVar(&f.host, "host", "", "only on this host")
	c.Flags().StringVar(&f.text, "text", "", "only with this in name, tag, image or container id")
	c.Flags().StringArrayVar(&f.classes, "class", nil, "only of this class: exited failed oom never_started paused crash_looping dead missing engine_lost; repeat")
	c.Flags().IntVar(&f.olderThan, "older-than", 0, "only if not alive for more than so many days")
}

// addTagGone is for plans: what its registry has no more cannot be pulled again, so that it is kept without a yes.
func (f *staleFlags) addTagGone(c *cobra.Command) {
	c.Flags().BoolVar(&f.tagGone, "tag-gone", false, "also those whose image tag is gone from its registry")
}

// any tells whether a filter was given.
func (f *staleFlags) any() bool {
	return f.project+f.stage+f.host+f.text != "" || len(f.classes) > 0 || f.olderThan > 0
}

func (a *app) staleFilter(c *cobra.Command, api *client.Client, f staleFlags) (client.StaleFilter, error) {
	filter := client.StaleFilter{Text: f.text, Classes: f.classes, OlderThanDays: f.olderThan}
	var err error
	if filter.Project, filter.Stage, err = a.place(c, api, f.project, f.stage); err != nil {
		return filter, err
	}
	filter.Host, err = a.hostID(c, api, f.host)
	return filter, err
}

func (a *app) staleLs() *cobra.Command {
	var (
		f        staleFlags
		sort     string
		kept     string
		limit    int
		exitCode bool

		protections []string
	)
	c := &cobra.Command{
		Use: "ls", Short: "List what is stale and how we know",
		Long: `Lists the stale containers, the longest dead first: class, when each was last alive, what that
rests on (evidence), what keeps it from a cleanup, and what policy makes of it by itself and when
(-o wide says why).

Evidence: observed = seen running by us; finished_at = the engine's own end of the run;
first_seen_stopped = first seen not running, so it may be older; created_at = never started.`,
		Example: `  docker-watcher stale ls
  docker-watcher stale ls --stage shop/preview --class failed -o wide
  docker-watcher stale ls --exit-code >/dev/null || echo "something is stale"`,
		Args: takes(0, 0),
		RunE: a.with(func(c *cobra.Command, api *client.Client, _ []string) error {
			filter, err := a.staleFilter(c, api, f)
			if err != nil {
				return err
			}
			filter.Sort = sort
			if kept != "" {
				only, err := strconv.ParseBool(kept)
				if err != nil {
					return usagef(c, "--protected %q: true or false", kept)
				}
				filter.Protected = &only
			}
			filter.Protection = protections
			items, more, err := everything(limit, func(p client.Page) (client.List[client.StaleItem], error) {
				l, err := api.Stale(c.Context(), filter, p)
				return l.List, err
			})
			if err != nil {
				return err
			}
			err = a.show(listOf(items), func() { a.printStale(items) })
			a.more(more)
			if err == nil && exitCode && len(items) > 0 {
				return codeError(exitSomeStale)
			}
			return err
		}),
	}
	f.add(c)
	c.Flags().StringVar(&sort, "sort", "", "last_alive_at (oldest first), -last_alive_at, project or -bytes")
	c.Flags().StringVar(&kept, "protected", "", "true: only those that every cleanup keeps; false: only the others")
	c.Flags().StringArrayVar(&protections, "protection", nil, "only what this keeps: pinned snoozed keep_label rollback tag_gone; repeat")
	c.Flags().IntVar(&limit, "limit", 500, "at most so many (0: all)")
	c.Flags().BoolVar(&exitCode, "exit-code", false, "end with exit code 10 when something is listed")
	return c
}

func (a *app) printStale(items []client.StaleItem) {
	if len(items) == 0 {
		a.screen.Notef("nothing is stale\n")
		return
	}
	t := screen.Table{Head: []string{"name", "stage", "tag", "class", "last alive", "days", "evidence", "kept", "size", "policy"}}
	if a.wide() {
		t.Head = append(t.Head, "id", "status", "stale after", "stale since", "last request", "decided by", "why", "reason")
	}
	for _, i := range items {
		row := []screen.Cell{
			screen.Text(i.Name), screen.Text(i.Project + "/" + i.Stage), screen.Text(i.ImageTag), classCell(i.Class),
			a.lastAlive(i.LastAliveAt, i.UpperBound), screen.Text(strconv.Itoa(i.DaysStale)), screen.Text(i.Evidence),
			orNever(a.protection(i.Protection)), size(i.Bytes), a.policyCell(i.Policy),
		}
		if a.wide() {
			row = append(row, screen.Text(i.ID), statusCell(i.Status), screen.Text(i.StaleAfter), a.when(i.StaleSince), a.lastRequest(i.Requests, i.LastRequest),
				orNever(i.Policy.Level), screen.Text(i.Policy.Why), screen.Text(i.Reason))
		}
		t.Add(row...)
	}
	a.screen.Print(t)
	for _, i := range items {
		if i.HeldBack != "" {
			a.screen.Printf("! %s: %s\n", i.Name, screen.Tame(i.HeldBack))
		}
		if i.BlindWords != "" {
			a.screen.Printf("! %s: %s\n", i.Name, screen.Tame(i.BlindWords))
		}
	}
}

// policyCell says in a few words what becomes of a stale container by itself; -o wide says why.
func (a *app) policyCell(d client.Decision) screen.Cell {
	switch {
	case d.Action != actionCleanup:
		return screen.Text("warns only")
	case d.At.IsZero():
		return screen.Cell{Text: "stays for now", Tone: screen.Faint}
	case !d.At.After(a.screen.Now()):
		return screen.Cell{Text: "goes at the next run", Tone: screen.Warn}
	}
	return screen.Cell{Text: "goes " + a.when(d.At).Text, Tone: screen.Warn}
}

func classCell(class string) screen.Cell {
	switch class {
	case "failed", "oom", "dead", "crash_looping":
		return screen.Cell{Text: class, Tone: screen.Bad}
	case "missing", "engine_lost", "paused":
		return screen.Cell{Text: class, Tone: screen.Warn}
	}
	return orNever(class)
}

func (a *app) staleScan() *cobra.Command {
	var host string
	c := &cobra.Command{
		Use: "scan", Short: "Look at every host now",
		Long: `Looks at every host now, or at one, and tells what the scan found and cost. A scan that could not
judge (the engine does not answer, or too much vanished at once) changes nothing, is shown
as blind, and ends with exit code 1.`,
		Example: `  docker-watcher stale scan
  docker-watcher stale scan --host local -o json`,
		Args: takes(0, 0),
		RunE: a.with(func(c *cobra.Command, api *client.Client, _ []string) error {
			id, err := a.hostID(c, api, host)
			if err != nil {
				return err
			}
			runs, err := api.Scan(c.Context(), id)
			if err != nil {
				return err
			}
			if err := a.show(listOf(runs), func() { a.printScans(runs) }); err != nil {
				return err
			}
			return blind(runs)
		}),
	}
	c.Flags().StringVar(&host, "host", "", "only this host")
	return c
}

func (a *app) printScans(runs []client.ScanRun) {
	t := screen.Table{Head: []string{"outcome", "known", "stale", "new", "recovered", "unknown", "list calls", "inspects", "took"}}
	if a.wide() {
		t.Head = append(t.Head, "host", "trigger", "id")
	}
	for _, r := range runs {
		tone := screen.Good
		if r.Outcome != "ok" {
			tone = screen.Bad
		}
		row := []screen.Cell{{Text: r.Outcome, Tone: tone}}
		for _, n := range []int{r.Known, r.Stale, r.NewlyStale, r.Recovered, r.Unknown, r.ListCalls, r.Inspects} {
			row = append(row, screen.Text(strconv.Itoa(n)))
		}
		row = append(row, screen.Text(ms(r.DurationMS)))
		if a.wide() {
			row = append(row, screen.Text(r.HostID), screen.Text(r.Trigger), screen.Text(r.ID))
		}
		t.Add(row...)
	}
	a.screen.Print(t)
}

func blind(runs []client.ScanRun) error {
	var errs []error
	for _, r := range runs {
		if r.Outcome != "ok" {
			errs = append(errs, fmt.Errorf("host %s could not be judged, nothing was changed: %s", r.HostID, r.Error))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return &hinted{errors.Join(errs...), "docker-watcher hosts says how the engine is"}
}
