package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

func (a *app) stageCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "stage",
		Short: "Stages: the places of a project where versions run",
		Long: `A stage is a place in a project where versions run, written PROJECT/STAGE. It holds what every
container there is made with (environment, ports, volumes, restart policy, command,
labels, health check), how long one may be dead before it is stale, and how many
former ones are kept for a rollback.`,
		Example: `  docker-watcher stage create shop/production --kind production --port 8080:8080 --restart unless-stopped
  docker-watcher stage show shop/production`,
	}, a.stageLs(), a.stageCreate(), a.stageShow(), a.stageSet(), a.stageDiff(), a.stageRule(), a.stageRm())
}

func (a *app) stageLs() *cobra.Command {
	return lists(a, &cobra.Command{
		Use: "ls [PROJECT]", Short: "List the stages",
		Long:              "Lists the stages of a project, or all of them.",
		Example:           "  docker-watcher stage ls shop",
		Args:              takes(0, 1),
		ValidArgsFunction: a.projectNames(),
	}, func(c *cobra.Command, api *client.Client, args []string) ([]client.Stage, error) {
		project, _, err := a.place(c, api, firstOf(args...), "")
		if err != nil {
			return nil, err
		}
		return api.Stages(c.Context(), project)
	}, a.printStages)
}

// kept says how many former instances a stage keeps, where it says so itself.
func kept(n *int) string {
	if n == nil {
		return "as its policy"
	}
	return fmt.Sprintf("last %d", *n)
}

func (a *app) printStages(stages []client.Stage) {
	t := screen.Table{Head: []string{"stage", "kind", "stale after", "keeps", "ports", "created"}}
	if a.wide() {
		t.Head = append(t.Head, "host", "id")
	}
	for _, s := range stages {
		var ports []string
		for _, p := range s.Spec.Ports {
			ports = append(ports, portText(p))
		}
		row := []screen.Cell{
			screen.Text(s.Project + "/" + s.Name), screen.Text(s.Kind), inherited(s.StaleAfter, "as the project"),
			screen.Text(kept(s.KeepLast)), orNever(strings.Join(ports, " ")), a.when(s.CreatedAt),
		}
		if a.wide() {
			row = append(row, screen.Text(s.Host), screen.Text(s.ID))
		}
		t.Add(row...)
	}
	a.screen.Print(t)
}

func (a *app) stageCreate() *cobra.Command {
	var (
		n        client.NewStage
		host     string
		keepLast int
		most     int
		spec     specFlags
	)
	c := &cobra.Command{
		Use: "create PROJECT/STAGE", Short: "Make a stage",
		Long: `Makes a stage of a project. What its containers are made with is said by flags, as docker run
has them. Values of --env are sealed: they are never shown again; those of --plain-env are shown
to operators. What gives a container power over its host (--privileged, --network host, --pid host,
--ipc host, --cap-add, a bind of the engine's socket) needs an admin and is told as a warning.

How a deploy proves that a new container is healthy: --health http:PORT/PATH asks for a
page, --health tcp:PORT connects; without it the image's HEALTHCHECK decides, and
without that one the container must stay up for 10 seconds.

A --port 8080 is published on a free port of 127.0.0.1. With a fixed host port, or a volume
that is written to, old and new cannot run at once: a deploy then stops the old one first
and starts it again if the new one fails.`,
		Example: `  docker-watcher stage create shop/preview --kind preview --stale-after 3d --keep-last 0 --port 8080
  docker-watcher stage create shop/production --kind production --restart unless-stopped \
      --port 127.0.0.1:8080:8080 --volume shop-data:/data --env-file prod.env --health http:8080/healthz`,
		Args: takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			project, name, ok := strings.Cut(args[0], "/")
			if !ok || project == "" || name == "" {
				return usagef(c, "%q: a stage is written PROJECT/STAGE, such as shop/preview", args[0])
			}
			made, err := spec.spec()
			if err != nil {
				return usagef(c, "%w", err)
			}
			n.Name, n.Spec, n.KeepLast = name, made, given(c, "keep-last", &keepLast)
			n.ParallelMax = given(c, "parallel-max", &most)
			return a.createStage(c, project, host, n)
		},
	}
	c.Flags().StringVar(&n.Kind, "kind", "preview", "dev, staging, production or preview")
	c.Flags().StringVar(&n.StaleAfter, "stale-after", "", "10s, 36h, 7d or never (default: as the project)")
	c.Flags().IntVar(&keepLast, "keep-last", 2, "good former containers kept for a rollback")
	c.Flags().StringVar(&n.Drain, "drain", "", "how long a former container runs on beside the new one (default 10s)")
	c.Flags().StringVar(&n.Strategy, "strategy", "", "replace: one serves; parallel: one of each tag, for previews (default replace)")
	c.Flags().IntVar(&most, "parallel-max", 10, "the most tags side by side; the oldest gives way")
	c.Flags().StringVar(&n.Domain, "domain", "", "with parallel: the domain of each tag, such as {{tag}}.{{project}}.example.com")
	c.Flags().StringVar(&host, "host", "", "the host it runs on (default: the daemon's own)")
	spec.add(c.Flags())
	return c
}

func (a *app) createStage(c *cobra.Command, project, host string, n client.NewStage) error {
	api, err := a.client()
	if err != nil {
		return err
	}
	p, err := a.project(c.Context(), api, project)
	if err != nil {
		return err
	}
	n.ProjectID = p.ID
	if n.HostID, err = a.hostID(c, api, host); err != nil {
		return err
	}
	s, err := api.CreateStage(c.Context(), n)
	if err != nil {
		return err
	}
	return a.show(s, func() {
		a.screen.Printf("stage %s/%s made. Next: docker-watcher deploy %s/%s TAG\n", p.Name, s.Name, p.Name, s.Name)
	})
}

// stageDeploys is a stage with its last deploys.
type stageDeploys struct {
	client.Stage
	Deploys []client.Deploy `json:"deploys"`
}

func (a *app) stageShow() *cobra.Command {
	return shows(a, &cobra.Command{
		Use: "show PROJECT/STAGE", Short: "Show a stage, what it makes containers with, and its last deploys",
		Long:              "Shows a stage: its policies, what its containers are made with (without the values of the environment) and its last deploys.",
		Example:           "  docker-watcher stage show shop/preview",
		Args:              takes(1, 1),
		ValidArgsFunction: a.stageNames(),
	}, func(c *cobra.Command, api *client.Client, args []string) (stageDeploys, error) {
		s, err := a.stage(c.Context(), api, args[0])
		if err != nil {
			return stageDeploys{}, err
		}
		deploys, err := api.Deploys(c.Context(), s.ID, client.Page{Limit: 10})
		return stageDeploys{s, deploys.Items}, err
	}, func(s stageDeploys) {
		a.printStage(s.Stage)
		a.printDeploys(s.Deploys)
	})
}

func (a *app) printStage(s client.Stage) {
	row := func(name, value string) {
		if value != "" {
			a.screen.Printf("%-13s%s\n", name, screen.Tame(value))
		}
	}
	row("stage", s.Project+"/"+s.Name)
	row("kind", s.Kind)
	row("host", s.Host)
	row("stale after", inherited(s.StaleAfter, "as the project").Text)
	row("keeps", kept(s.KeepLast))
	row("drains", s.Drain)
	if s.Strategy == "parallel" {
		row("tags", fmt.Sprintf("side by side, at most %d", s.ParallelMax))
		row("domains", s.Domain)
	}
	a.printFollowing(s, row)
	specWords(s.Spec, row)
}

func (a *app) printDeploys(deploys []client.Deploy) {
	if len(deploys) == 0 {
		return
	}
	a.screen.Printf("\n")
	t := screen.Table{Head: []string{"deploy", "tag", "state", "when", "by", "error"}}
	for _, d := range deploys {
		tone := screen.Good
		switch d.State {
		case "done":
		case "failed":
			tone = screen.Bad
		case "cancelled", "superseded":
			tone = screen.Faint
		default:
			tone = screen.Warn
		}
		short, _, _ := strings.Cut(d.Error, "\n")
		t.Add(screen.Text(d.ID), screen.Text(d.ImageTag), screen.Cell{Text: d.State, Tone: tone}, a.when(d.CreatedAt), screen.Text(d.Actor), screen.Text(short))
	}
	a.screen.Print(t)
}

func (a *app) stageSet() *cobra.Command {
	var (
		name, kind, staleAfter  string
		drain, strategy, domain string
		most                    int
		keepLast                int
		spec                    specFlags
	)
	c := &cobra.Command{
		Use: "set PROJECT/STAGE", Short: "Change a stage",
		Long: `Changes what is named by a flag and nothing else; containers that run already keep what
they were made with until the next deploy. A list (--env, --port, --volume, --network,
--label, --cap-add) given here replaces that list whole, save for --env, which adds or replaces single variables
and takes one away with --env NAME- . --stale-after default follows the project again. What another
threshold or number of kept ones would newly mark, spare or clean up is shown first.`,
		Example: `  docker-watcher stage set shop/preview --stale-after 12h
  docker-watcher stage set shop/production --env LOG_LEVEL=debug --env OLD_FLAG-`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.stageNames(),
		RunE: func(c *cobra.Command, args []string) error {
			change := client.StageChange{
				Name: given(c, "name", &name), Kind: given(c, "kind", &kind),
				StaleAfter: givenOrDefault(c, "stale-after", &staleAfter), KeepLast: given(c, "keep-last", &keepLast),
				Drain: given(c, "drain", &drain), Strategy: given(c, "strategy", &strategy),
				ParallelMax: given(c, "parallel-max", &most), Domain: given(c, "domain", &domain),
			}
			if c.Flags().NFlag() == 0 {
				return usagef(c, "say what to change, such as --stale-after 3d")
			}
			api, err := a.client()
			if err != nil {
				return err
			}
			s, err := a.stage(c.Context(), api, args[0])
			if err != nil {
				return err
			}
			merged, err := spec.change(c.Flags(), s.Spec)
			if err != nil {
				return usagef(c, "%w", err)
			}
			change.Spec, change.Revision = merged, s.Revision
			if err := a.foretellPart(c, api, args[0], change.StaleAfter, change.KeepLast); err != nil {
				return err
			}
			if s, err = api.UpdateStage(c.Context(), s.ID, change); err != nil {
				return err
			}
			return a.show(s, func() { a.screen.Printf("stage %s/%s changed\n", s.Project, s.Name) })
		},
	}
	c.Flags().StringVar(&name, "name", "", "another name")
	c.Flags().StringVar(&kind, "kind", "", "dev, staging, production or preview")
	c.Flags().StringVar(&staleAfter, "stale-after", "", "10s, 36h, 7d, never, or default")
	c.Flags().IntVar(&keepLast, "keep-last", 2, "good former containers kept for a rollback")
	c.Flags().StringVar(&drain, "drain", "", "how long a former container runs on beside the new one, such as 30s")
	c.Flags().StringVar(&strategy, "strategy", "", "replace or parallel")
	c.Flags().IntVar(&most, "parallel-max", 10, "the most tags side by side; the oldest gives way")
	c.Flags().StringVar(&domain, "domain", "", "with parallel: the domain of each tag; empty for none")
	spec.add(c.Flags())
	return c
}

func (a *app) stageRm() *cobra.Command {
	return removes(a, &cobra.Command{
		Use: "rm PROJECT/STAGE", Short: "Remove a stage that has no containers",
		Long:              "Removes a stage. It must have no instances: remove or clean up those first.",
		Example:           "  docker-watcher stage rm shop/preview",
		ValidArgsFunction: a.stageNames(),
	}, removal[client.Stage]{
		find: a.stage,
		ask: func(s client.Stage) string {
			return fmt.Sprintf("Remove stage %s/%s and its settings?", s.Project, s.Name)
		},
		remove: func(ctx context.Context, api *client.Client, s client.Stage) error { return api.DeleteStage(ctx, s.ID) },
		told:   func(s client.Stage) string { return fmt.Sprintf("stage %s/%s removed", s.Project, s.Name) },
	})
}
