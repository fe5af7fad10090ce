package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

func (a *app) psCommand() *cobra.Command {
	var (
		f            client.InstanceFilter
		project, stg string
		limit        int
	)
	c := &cobra.Command{
		Use:   "ps",
		Short: "List the instances: the containers of all stages",
		Long: `Lists the containers that docker-watcher made or adopted, newest first: status, when each was last
alive, and where its ports are published. -o wide adds ids, evidence and protection.`,
		Example: `  docker-watcher ps
  docker-watcher ps --stage shop/preview --status stopped --status failed
  docker-watcher ps -o json | jq -r '.items[].name'`,
		Args: takes(0, 0),
		RunE: a.with(func(c *cobra.Command, api *client.Client, _ []string) error {
			var err error
			f.Live = true
			if f.Project, f.Stage, err = a.place(c, api, project, stg); err != nil {
				return err
			}
			items, more, err := everything(limit, func(p client.Page) (client.List[client.Instance], error) {
				return api.Instances(c.Context(), f, p)
			})
			if err != nil {
				return err
			}
			err = a.show(listOf(items), func() { a.printInstances(items) })
			a.more(more)
			return err
		}),
	}
	c.Flags().StringVar(&project, "project", "", "only of this project")
	c.Flags().StringVar(&stg, "stage", "", "only of this stage (PROJECT/STAGE)")
	c.Flags().StringArrayVar(&f.Statuses, "status", nil, "only of this status, such as running or stopped; repeat")
	c.Flags().StringVar(&f.Text, "text", "", "only with this in name, tag, image or container id")
	c.Flags().IntVar(&limit, "limit", 500, "at most so many (0: all)")
	return c
}

// place resolves --project and --stage to ids.
func (a *app) place(c *cobra.Command, api *client.Client, project, stage string) (projectID, stageID string, err error) {
	if project == "" && stage == "" {
		return "", "", nil
	}
	if stage == "" {
		p, err := a.project(c.Context(), api, project)
		return p.ID, "", err
	}
	if project != "" && !strings.Contains(stage, "/") {
		stage = project + "/" + stage
	}
	s, err := a.stage(c.Context(), api, stage)
	return s.ProjectID, s.ID, err
}

// more says that a list was cut off.
func (a *app) more(more bool) {
	if more {
		a.screen.Notef("there are more: add --limit 0 for all of them\n")
	}
}

func (a *app) printInstances(items []client.Instance) {
	t := screen.Table{Head: []string{"name", "stage", "tag", "status", "last alive", "ports"}}
	if a.wide() {
		t.Head = append(t.Head, "id", "host", "class", "evidence", "stale", "kept", "size", "container")
	}
	for _, i := range items {
		status := statusCell(i.Status)
		if i.Stale {
			status = screen.Cell{Text: i.Status + ", stale", Tone: screen.Warn}
		}
		var ports []string
		for _, p := range i.Ports {
			ports = append(ports, portText(p))
		}
		row := []screen.Cell{
			screen.Text(i.Name), screen.Text(i.Project + "/" + i.Stage), screen.Text(i.ImageTag), status,
			a.lastAlive(i.LastAliveAt, i.UpperBound), orNever(strings.Join(ports, " ")),
		}
		if a.wide() {
			row = append(row, screen.Text(i.ID), screen.Text(i.Host), orNever(i.Class), orNever(i.Evidence), screen.Text(fmt.Sprint(i.Stale)),
				orNever(a.protection(i.Protection)), size(i.Bytes), orNever(i.ContainerID))
		}
		t.Add(row...)
	}
	a.screen.Print(t)
}

// action is one of start, stop and restart.
type action struct {
	verb, done, short, long string
	do                      func(*client.Client, context.Context, string) (client.Instance, error)
}

func (a *app) stopCommand() *cobra.Command {
	return a.actionCommand(action{
		"stop", "stopped", "Stop containers",
		"Stops containers within the stop grace of their stage. Nothing is lost: start brings them back.\nFrom now on they age; the moment they were last alive is kept.",
		(*client.Client).StopInstance,
	})
}

func (a *app) startCommand() *cobra.Command {
	return a.actionCommand(action{
		"start", "started", "Start containers that are stopped or paused",
		"Starts containers that are stopped, and lets paused ones go on. A stale one is alive again by it.",
		(*client.Client).StartInstance,
	})
}

func (a *app) restartCommand() *cobra.Command {
	return a.actionCommand(action{
		"restart", "restarted", "Stop and start containers",
		"Stops containers within their stop grace and starts them again.",
		(*client.Client).RestartInstance,
	})
}

func (a *app) actionCommand(act action) *cobra.Command {
	return &cobra.Command{
		Use: act.verb + " INSTANCE...", Short: act.short, Long: act.long,
		Example:           "  docker-watcher " + act.verb + " shop-preview-a1b2c3",
		Args:              takes(1, -1),
		ValidArgsFunction: a.instanceNames(),
		RunE:              a.toEach(act.do, func(i client.Instance) string { return i.Name + " " + act.done }),
	}
}

// toEach does something to each instance that is named, and says so; as JSON it lists what became of them.
func (a *app) toEach(do func(*client.Client, context.Context, string) (client.Instance, error), told func(client.Instance) string) func(*cobra.Command, []string) error {
	return a.with(func(c *cobra.Command, api *client.Client, args []string) error {
		var done []client.Instance
		err := a.eachInstance(c.Context(), api, args, func(i client.Instance) error {
			i, err := do(api, c.Context(), i.ID)
			if err != nil {
				return err
			}
			done = append(done, i)
			if a.output != "json" {
				a.screen.Printf("%s\n", told(i))
			}
			return nil
		})
		if a.output == "json" {
			if shown := a.screen.JSON(listOf(done)); shown != nil {
				return shown
			}
		}
		return err
	})
}

// eachInstance goes through the names and on after an error. Of several some of which failed, the
// exit code is that of a job partly done.
func (a *app) eachInstance(ctx context.Context, api *client.Client, names []string, do func(client.Instance) error) error {
	failed := 0
	for _, name := range names {
		i, err := a.instance(ctx, api, name)
		if err == nil {
			err = do(i)
		}
		if err == nil {
			continue
		}
		if failed++; len(names) == 1 {
			return err
		}
		a.ended(fmt.Errorf("%s: %w", name, err))
	}
	switch failed {
	case 0:
		return nil
	case len(names):
		return codeError(exitError)
	}
	return codeError(exitPartly)
}

func (a *app) rmCommand() *cobra.Command {
	var stop bool
	c := &cobra.Command{
		Use:   "rm INSTANCE...",
		Short: "Remove containers that are not stale",
		Long: `Removes containers; their volumes stay, and "docker-watcher archive restore" brings them back for
some time. One that runs is removed only with --stop. A stale one is
for "docker-watcher stale cleanup", which shows a plan first; a pinned one is kept until
it is unpinned.`,
		Example: `  docker-watcher rm shop-preview-a1b2c3
  docker-watcher rm --stop --yes shop-preview-a1b2c3`,
		Args:              takes(1, -1),
		ValidArgsFunction: a.instanceNames(),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			if err := a.confirmRm(c, api, args, stop); err != nil {
				return err
			}
			return a.eachInstance(c.Context(), api, args, func(i client.Instance) error {
				if err := api.RemoveInstance(c.Context(), i.ID, stop); err != nil {
					return err
				}
				a.screen.Printf("%s removed. Undo: docker-watcher archive restore %s\n", i.Name, i.Name)
				return nil
			})
		}),
	}
	c.Flags().BoolVar(&stop, "stop", false, "stop those that run first")
	return c
}

// confirmRm shows what would go before it asks.
func (a *app) confirmRm(c *cobra.Command, api *client.Client, names []string, stop bool) error {
	if a.yes {
		return nil
	}
	var items []client.Instance
	for _, name := range names {
		i, err := a.instance(c.Context(), api, name)
		if err != nil {
			return err
		}
		items = append(items, i)
	}
	if a.screen.InputTerminal {
		a.printInstances(items)
	}
	question := fmt.Sprintf("Remove %s? Volumes stay.", count(len(items), "container"))
	if stop {
		question = fmt.Sprintf("Stop and remove %s? Volumes stay.", count(len(items), "container"))
	}
	return a.confirm(c, question)
}

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// ms shows a duration that the API tells in milliseconds.
func ms(n int64) string { return (time.Duration(n) * time.Millisecond).String() }
