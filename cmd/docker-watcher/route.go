package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

func (a *app) routeCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "route",
		Short: "Routes: lead domains to the stages of projects",
		Long: `A route leads one or more domains to an instance of a stage. It follows each deploy: when the new instance
is healthy, requests come to it, and those that have begun end on the former one. While its instance does
not run, the domain answers with a page that says since when. A cleanup of the instance takes its routes
away, and its undo brings them back.

Previews of a stage of the strategy parallel get theirs by themselves: docker-watcher stage create --help.
For anything that is no stage: docker-watcher proxy.`,
		Example: `  docker-watcher route add shop/production shop.example.com --port 8080
  docker-watcher route ls shop/production
  docker-watcher route test shop.example.com`,
	}, a.routeLs(), a.routeShow(), a.routeAdd(), a.routeEdit(), a.routeTest(), a.routeLabels(), a.routeRm())
}

func (a *app) routeLs() *cobra.Command {
	var text, leadsTo string
	var leftover bool
	c := lists(a, &cobra.Command{
		Use: "ls [PROJECT | PROJECT/STAGE]", Short: "List the routes of stages",
		Long: `Lists the routes of all stages, of a project or of one stage: where each leads, how that does, and when
somebody last came. With --leftover only those whose instance is gone, missing or stale: docker-watcher route rm
takes a route away, a cleanup of the instance takes its routes with it, and its undo brings them back.`,
		Example:           "  docker-watcher route ls\n  docker-watcher route ls shop/production\n  docker-watcher route ls --leftover",
		Args:              takes(0, 1),
		ValidArgsFunction: a.stageNames(),
	}, func(c *cobra.Command, api *client.Client, args []string) ([]client.Route, error) {
		q := client.RouteQuery{Text: text, LeadsTo: leadsTo}
		if leftover {
			q.LeadsTo = "leftover"
		}
		if len(args) > 0 {
			if s, err := a.stage(c.Context(), api, args[0]); err == nil {
				q.StageID = s.ID
			} else {
				p, projectErr := a.project(c.Context(), api, args[0])
				if projectErr != nil {
					return nil, err
				}
				q.ProjectID = p.ID
			}
		}
		return allRoutes(c.Context(), api.Routes, q)
	}, a.printStageRoutes)
	c.Flags().StringVar(&text, "text", "", "only those with this in a domain or the note")
	c.Flags().StringVar(&leadsTo, "leads-to", "", "only those whose instance is gone, missing, stopped or stale")
	c.Flags().BoolVar(&leftover, "leftover", false, "only those whose instance is gone, missing or stale")
	c.MarkFlagsMutuallyExclusive("leads-to", "leftover")
	return c
}

func (a *app) printStageRoutes(routes []client.Route) { a.printRoutes(routes, "leads to", whereTo) }

// whereTo is the instance to which a route leads, with what has become of it where that is nothing good.
func whereTo(r client.Route) string {
	to := fmt.Sprintf("%s/%s", r.Project, r.Stage)
	if r.Instance == "" {
		return to + " (its instance is gone)"
	}
	to += fmt.Sprintf(" %s:%d", r.Instance, r.Port)
	if r.InstanceStatus != "" && r.InstanceStatus != "running" {
		to += ", " + r.InstanceStatus
	}
	if !r.StaleSince.IsZero() {
		to += ", stale"
	}
	return to
}

func (a *app) routeShow() *cobra.Command {
	return shows(a, &cobra.Command{
		Use: "show DOMAIN", Short: "Show a route",
		Long:              "Shows all that is said of a route, and how its instance does.",
		Example:           "  docker-watcher route show shop.example.com",
		Args:              takes(1, 1),
		ValidArgsFunction: a.routeDomains((*client.Client).Routes),
	}, func(c *cobra.Command, api *client.Client, args []string) (client.Route, error) {
		return a.routeNamed(c.Context(), api, args[0])
	}, a.printRoute)
}

func (a *app) routeAdd() *cobra.Command {
	var f routeFlags
	var port int
	var instance string
	c := &cobra.Command{
		Use: "add PROJECT/STAGE DOMAIN --port PORT", Short: "Lead a domain to a stage",
		Long: `Leads a domain to a port of the instance that serves a stage, at once, and to the next one after each deploy.

The proxy comes to a container by the port that it publishes, or on the machine of the daemon by its address on
its network. Where neither can be, it says so, and what to do: publish the port on 127.0.0.1 in the spec of the
stage (docker-watcher stage set --port), then deploy again.`,
		Example: `  docker-watcher route add shop/production shop.example.com --port 8080
  docker-watcher route add shop/production shop.example.com --port 9000 --path /api --strip-path`,
		Args:              takes(2, 2),
		ValidArgsFunction: a.stageNames(),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			if port == 0 {
				return usagef(c, "--port: say which port of the container")
			}
			s, err := a.stage(c.Context(), api, args[0])
			if err != nil {
				return err
			}
			fields := client.StageRouteFields{StageID: s.ID, Port: &port}
			if instance != "" {
				i, err := a.instance(c.Context(), api, instance)
				if err != nil {
					return err
				}
				fields.InstanceID = &i.ID
			}
			if fields.RouteFields, err = f.read(a, c, nil); err != nil {
				return err
			}
			fields.Domains = new(append([]string{args[1]}, f.also...))
			made, err := api.CreateRoute(c.Context(), fields)
			if err != nil {
				return err
			}
			return a.show(made, func() { a.tellRoute(made, "route", "added") })
		}),
	}
	f.addTo(c)
	c.Flags().IntVar(&port, "port", 0, "of the container")
	c.Flags().StringVar(&instance, "instance", "", "an instance of the stage instead of the one that serves")
	return c
}

func (a *app) routeEdit() *cobra.Command {
	var f routeFlags
	var port int
	c := &cobra.Command{
		Use: "edit DOMAIN", Short: "Change a route",
		Long: `Changes what is named by a flag and nothing else. Lists are given whole: --domain, --header and the others
replace what was there; an empty one (--header "") takes all away.`,
		Example: `  docker-watcher route edit shop.example.com --also www.shop.example.com
  docker-watcher route edit shop.example.com --health /healthz --maintenance=false`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.routeDomains((*client.Client).Routes),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			r, err := a.routeNamed(c.Context(), api, args[0])
			if err != nil {
				return err
			}
			change := client.StageRouteFields{Port: given(c, "port", &port)}
			if change.RouteFields, err = f.read(a, c, &r); err != nil {
				return err
			}
			if change == (client.StageRouteFields{}) {
				return usagef(c, "say what to change: see docker-watcher route edit --help")
			}
			if r, err = api.UpdateRoute(c.Context(), r.ID, r.Revision, change); err != nil {
				return err
			}
			return a.show(r, func() { a.tellRoute(r, "route", "changed") })
		}),
	}
	f.addTo(c)
	f.addEdit(c)
	c.Flags().IntVar(&port, "port", 0, "of the container")
	return c
}

func (a *app) routeTest() *cobra.Command {
	return &cobra.Command{
		Use: "test DOMAIN", Short: "Find the instance of a route, dial and ask it now",
		Long: `Tries where a route leads: finds the container, dials it and asks it, as the proxy would do it. The exit code
is 1 when it does not answer; then it says what to do.`,
		Example:           "  docker-watcher route test shop.example.com",
		Args:              takes(1, 1),
		ValidArgsFunction: a.routeDomains((*client.Client).Routes),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			r, err := a.routeNamed(c.Context(), api, args[0])
			if err != nil {
				return err
			}
			t, err := api.TestRoute(c.Context(), r.ID)
			return a.showRouteTest(t, err)
		}),
	}
}

func (a *app) routeRm() *cobra.Command {
	return removes(a, &cobra.Command{
		Use: "rm DOMAIN", Short: "Remove a route",
		Long: `Removes a route with all its domains, at once; what is under way ends as it began. The instance that it leads
to is not touched.`,
		Example:           "  docker-watcher route rm shop.example.com --yes",
		ValidArgsFunction: a.routeDomains((*client.Client).Routes),
	}, removal[client.Route]{
		find: a.routeNamed,
		ask: func(r client.Route) string {
			return fmt.Sprintf("Remove the route %s to %s/%s?", addresses(r), r.Project, r.Stage)
		},
		remove: func(ctx context.Context, api *client.Client, r client.Route) error {
			return api.DeleteRoute(ctx, r.ID)
		},
		told: func(r client.Route) string { return fmt.Sprintf("route %s removed", screen.Tame(addresses(r))) },
	})
}

// routeNamed finds one by a domain of it or by its id.
func (a *app) routeNamed(ctx context.Context, api *client.Client, name string) (client.Route, error) {
	r, err := api.Route(ctx, name)
	if client.HasCode(err, client.CodeNotFound) {
		return r, &notFoundError{fmt.Sprintf("there is no route %q", name), "docker-watcher route ls lists them; what leads to no stage is listed by docker-watcher proxy ls"}
	}
	return r, err
}
