package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

func (a *app) projectCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "project",
		Short: "Projects: something that is deployed, with its image",
		Long: `A project is something that is deployed: a name and an image repository. Its stages
(docker-watcher stage) are the places where versions of that image run.`,
		Example: `  docker-watcher project create shop --image ghcr.io/acme/shop
  docker-watcher project ls`,
	}, a.projectLs(), a.projectCreate(), a.projectShow(), a.projectSet(), a.projectRm())
}

func (a *app) projectLs() *cobra.Command {
	return lists(a, &cobra.Command{
		Use: "ls", Short: "List the projects",
		Long:    "Lists the projects with their image and the threshold after which their containers are stale.",
		Example: "  docker-watcher project ls -o json",
		Args:    takes(0, 0),
	}, func(c *cobra.Command, api *client.Client, _ []string) ([]client.Project, error) {
		projects, _, err := everything(0, func(p client.Page) (client.List[client.Project], error) {
			return api.Projects(c.Context(), p)
		})
		return projects, err
	}, a.printProjects)
}

func (a *app) printProjects(projects []client.Project) {
	t := screen.Table{Head: []string{"name", "image", "stale after", "created"}}
	if a.wide() {
		t.Head = append(t.Head, "id")
	}
	for _, p := range projects {
		row := []screen.Cell{screen.Text(p.Name), screen.Text(p.Image), inherited(p.StaleAfter, "default"), a.when(p.CreatedAt)}
		if a.wide() {
			row = append(row, screen.Text(p.ID))
		}
		t.Add(row...)
	}
	a.screen.Print(t)
}

// inherited shows a value of its own, or where it comes from.
func inherited(value, from string) screen.Cell {
	if value == "" {
		return screen.Cell{Text: from, Tone: screen.Faint}
	}
	return screen.Text(value)
}

func (a *app) projectCreate() *cobra.Command {
	var n client.NewProject
	c := &cobra.Command{
		Use: "create NAME --image REPOSITORY", Short: "Make a project",
		Long: `Makes a project. The image is a repository without a tag: the tag is said at each deploy.
Names have lower-case letters, digits and hyphens.`,
		Example: `  docker-watcher project create shop --image ghcr.io/acme/shop
  docker-watcher project create lab --image 127.0.0.1:5000/lab --stale-after 36h`,
		Args: takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if n.Image == "" {
				return usagef(c, "say which image it deploys with --image, such as --image ghcr.io/acme/%s", args[0])
			}
			n.Name = args[0]
			api, err := a.client()
			if err != nil {
				return err
			}
			p, err := api.CreateProject(c.Context(), n)
			if err != nil {
				return err
			}
			return a.show(p, func() {
				a.screen.Printf("project %s made. Next: docker-watcher stage create %s/preview --kind preview\n", p.Name, p.Name)
			})
		},
	}
	c.Flags().StringVar(&n.Image, "image", "", "image repository, without a tag")
	c.Flags().StringVar(&n.StaleAfter, "stale-after", "", "threshold of its stages: 10s, 36h, 7d or never (default: the global one)")
	return c
}

// projectStages is a project with its stages.
type projectStages struct {
	client.Project
	Stages []client.Stage `json:"stages"`
}

func (a *app) projectShow() *cobra.Command {
	return shows(a, &cobra.Command{
		Use: "show NAME", Short: "Show a project and its stages",
		Long:              "Shows a project with its stages.",
		Example:           "  docker-watcher project show shop",
		Args:              takes(1, 1),
		ValidArgsFunction: a.projectNames(),
	}, func(c *cobra.Command, api *client.Client, args []string) (projectStages, error) {
		p, err := a.project(c.Context(), api, args[0])
		if err != nil {
			return projectStages{}, err
		}
		stages, err := api.Stages(c.Context(), p.ID)
		return projectStages{p, stages}, err
	}, func(p projectStages) {
		a.screen.Printf("project %s\nimage %s\nstale after %s\n\n", p.Name, p.Image, inherited(p.StaleAfter, "default").Text)
		a.printStages(p.Stages)
	})
}

func (a *app) projectSet() *cobra.Command {
	var name, image, staleAfter string
	c := &cobra.Command{
		Use: "set NAME", Short: "Change a project",
		Long: `Changes what is named by a flag and nothing else. --stale-after default makes the project
follow the global threshold again. What another threshold would newly mark, spare or clean up is
shown first.`,
		Example:           "  docker-watcher project set shop --stale-after 3d",
		Args:              takes(1, 1),
		ValidArgsFunction: a.projectNames(),
		RunE: func(c *cobra.Command, args []string) error {
			change := client.ProjectChange{
				Name: given(c, "name", &name), Image: given(c, "image", &image), StaleAfter: givenOrDefault(c, "stale-after", &staleAfter),
			}
			if change.Name == nil && change.Image == nil && change.StaleAfter == nil {
				return usagef(c, "say what to change: --name, --image or --stale-after")
			}
			api, err := a.client()
			if err != nil {
				return err
			}
			p, err := a.project(c.Context(), api, args[0])
			if err != nil {
				return err
			}
			change.Revision = p.Revision
			if err := a.foretellPart(c, api, args[0], change.StaleAfter, nil); err != nil {
				return err
			}
			if p, err = api.UpdateProject(c.Context(), p.ID, change); err != nil {
				return err
			}
			return a.show(p, func() { a.screen.Printf("project %s changed\n", p.Name) })
		},
	}
	c.Flags().StringVar(&name, "name", "", "another name")
	c.Flags().StringVar(&image, "image", "", "another image repository")
	c.Flags().StringVar(&staleAfter, "stale-after", "", "10s, 36h, 7d, never, or default")
	return c
}

// given is the value of a flag if it was set on the command line.
func given[T any](c *cobra.Command, flag string, value *T) *T {
	if c.Flags().Changed(flag) {
		return value
	}
	return nil
}

// givenOrDefault reads "default" as the empty text, which inherits.
func givenOrDefault(c *cobra.Command, flag string, value *string) *string {
	v := given(c, flag, value)
	if v != nil && *v == "default" {
		empty := ""
		return &empty
	}
	return v
}

func (a *app) projectRm() *cobra.Command {
	return removes(a, &cobra.Command{
		Use: "rm NAME", Short: "Remove a project that has no stages",
		Long:              "Removes a project. It must have no stages: remove those first.",
		Example:           "  docker-watcher project rm lab --yes",
		ValidArgsFunction: a.projectNames(),
	}, removal[client.Project]{
		find: a.project,
		ask:  func(p client.Project) string { return fmt.Sprintf("Remove project %s (%s)?", p.Name, p.Image) },
		remove: func(ctx context.Context, api *client.Client, p client.Project) error {
			return api.DeleteProject(ctx, p.ID)
		},
		told: func(p client.Project) string { return fmt.Sprintf("project %s removed", p.Name) },
	})
}
