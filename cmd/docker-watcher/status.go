package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

// overview is what `status` tells.
type overview struct {
	Version   string               `json:"version"`
	Actor     string               `json:"actor"`
	Role      string               `json:"role"`
	Hosts     []client.Host        `json:"hosts"`
	Instances map[string]int       `json:"instances"`           // by status
	More      bool                 `json:"instances_uncounted"` // there are more than were counted
	Stale     int                  `json:"stale"`
	LastScan  *client.ScanRun      `json:"last_scan,omitempty"`
	Schedule  *client.ScanSchedule `json:"schedule,omitempty"`

	Archives     int                 `json:"archives"`
	ArchiveBytes int64               `json:"archive_bytes"`
	AutoCleanup  bool                `json:"auto_cleanup"`
	NextPlan     *client.PlanSummary `json:"next_plan,omitempty"` // the next automatic one
	Leftovers    int                 `json:"leftovers"`
}

// countUpTo bounds how many instances are read to be counted by status.
const countUpTo = 5000

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "How the service, its hosts and its containers are",
		Long: `Tells in a few lines how everything is: who you are, whether each host answers and is
watched without a gap, how many instances run, how many are stale, when the last
scan was and when the next is due.`,
		Example: `  docker-watcher status
  docker-watcher status -o json | jq .stale`,
		Args: takes(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			o, err := a.overview(c)
			if err != nil {
				return err
			}
			return a.show(o, func() { a.printOverview(o) })
		},
	}
}

func (a *app) overview(c *cobra.Command) (overview, error) {
	o := overview{Instances: map[string]int{}}
	ctx := c.Context()
	api, err := a.client()
	if err != nil {
		return o, err
	}
	s, err := api.Session(ctx)
	if err != nil {
		return o, err
	}
	o.Version, o.Actor, o.Role = s.Version, s.Actor, s.Role
	if o.Hosts, err = api.Hosts(ctx); err != nil {
		return o, err
	}
	instances, more, err := everything(countUpTo, func(p client.Page) (client.List[client.Instance], error) {
		return api.Instances(ctx, client.InstanceFilter{}, p)
	})
	if err != nil {
		return o, err
	}
	o.More = more
	for _, i := range instances {
		o.Instances[i.Status]++
	}
	stale, err := api.Stale(ctx, client.StaleFilter{}, client.Page{Limit: 1})
	if err != nil {
		return o, err
	}
	if stale.Total != nil {
		o.Stale = *stale.Total
	}
	scans, err := api.Scans(ctx, "", client.Page{Limit: 1})
	if err != nil {
		return o, err
	}
	if len(scans.Items) > 0 {
		o.LastScan = &scans.Items[0]
	}
	o.Schedule = scans.Schedule
	figures, err := api.Overview(ctx)
	o.Archives, o.ArchiveBytes, o.Leftovers = figures.Archives, figures.ArchiveBytes, figures.Leftovers
	o.AutoCleanup, o.NextPlan = figures.AutoCleanup, figures.NextPlan
	return o, err
}

func (a *app) printOverview(o overview) {
	row := func(name, format string, args ...any) {
		a.screen.Printf("%-11s%s\n", name, fmt.Sprintf(format, args...))
	}
	row("service", "%s, you are %s (%s)", o.Version, firstOf(o.Actor, "nobody"), firstOf(o.Role, "no role"))
	for _, h := range o.Hosts {
		state := a.hostState(h)
		row("host", "%s %s %s, %s", h.Name, a.screen.Paint(state), firstOf(h.Version, "unknown version"), stream(h))
	}
	total := 0
	for _, n := range o.Instances {
		total += n
	}
	counted := fmt.Sprint(total)
	if o.More {
		counted = "more than " + counted
	}
	row("instances", "%s, %d running", counted, o.Instances["running"])
	tone := screen.Good
	if o.Stale > 0 {
		tone = screen.Warn
	}
	row("stale", "%s", a.screen.Paint(screen.Cell{Text: fmt.Sprint(o.Stale), Tone: tone}))
	row("archives", "%d, holding %s", o.Archives, screen.Bytes(o.ArchiveBytes))
	row("by itself", "%s", a.byItself(o))
	if o.Leftovers > 0 {
		row("leftovers", "%s: docker-watcher leftovers", a.screen.Paint(screen.Cell{Text: fmt.Sprint(o.Leftovers), Tone: screen.Warn}))
	}
	if o.LastScan != nil {
		row("last scan", "%s: %s, %d known, %d list calls, %d inspects, %d ms", a.when(o.LastScan.StartedAt).Text,
			o.LastScan.Outcome, o.LastScan.Known, o.LastScan.ListCalls, o.LastScan.Inspects, o.LastScan.DurationMS)
	}
	if s := o.Schedule; s != nil {
		due := a.when(s.NextAt).Text
		if s.Overdue {
			due += a.screen.Paint(screen.Cell{Text: " OVERDUE", Tone: screen.Bad})
		}
		row("next scan", "%s (every %s)", due, screen.Span(time.Duration(s.IntervalSeconds)*time.Second))
	}
}

// byItself says what automatic cleanup is about to do.
func (a *app) byItself(o overview) string {
	switch p := o.NextPlan; {
	case !o.AutoCleanup:
		return "nothing is cleaned up: auto_cleanup is off"
	case p == nil:
		return "nothing is planned"
	default:
		return fmt.Sprintf("%s %s, unless called off: docker-watcher stale cancel %s", count(p.Items, "container"), a.when(p.ApplyAt).Text, p.ID)
	}
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "The versions of the command line and of the service",
		Long:  "Tells the version of this command line and, where it can be reached, of the service.",
		Example: `  docker-watcher version
  docker-watcher version -o json`,
		Args: takes(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			versions := map[string]string{"client": a.version}
			api, err := a.client()
			if err != nil {
				return err
			}
			if s, err := api.Session(c.Context()); err == nil {
				versions["server"] = s.Version
			} else {
				versions["server_error"] = err.Error()
			}
			return a.show(versions, func() {
				a.screen.Printf("client %s\nserver %s\n", a.version, firstOf(versions["server"], "not reached: "+versions["server_error"]))
			})
		},
	}
}
