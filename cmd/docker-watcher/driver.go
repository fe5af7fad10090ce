package main

import (
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

// printServing says how routes are served, and by what.
func (a *app) printServing(r client.Routing) {
	bad := func(word string) string { return a.screen.Paint(screen.Cell{Text: word, Tone: screen.Bad}) }
	switch {
	case r.State == "unreachable" && r.Driver != nil:
		a.screen.Printf("%s since %s: %s\nwhat was served before is served meanwhile\n", bad("unreachable"), a.when(r.Driver.ErrorAt).Text, screen.Tame(r.Driver.Error))
	case r.State == "drifted" && r.Driver != nil:
		a.screen.Printf("%s since %s: %s\n", bad("drifted"), a.when(r.Driver.DriftSince).Text, screen.Tame(r.Driver.Drift))
		if !r.Driver.Mends {
			a.screen.Printf("it is left so until a route changes (--proxy-drift tell)\n")
		}
	case r.State == "away" && r.DataPlane != nil:
		a.screen.Printf("%s: %s\nif it runs, it answers by the table that it has; it gets the newest one when it is back\n", bad("away"), screen.Tame(r.DataPlane.Away))
	case r.State == "refused":
		a.screen.Printf("%s since %s: %s\nthe former table is served\n", bad("refused"), a.when(r.ErrorAt).Text, screen.Tame(r.Error))
	default:
		places := r.Listen
		if r.ListenHTTPS != "" {
			places += " and over TLS at " + r.ListenHTTPS
		}
		a.screen.Printf("%s, %d served at %s\n", a.screen.Paint(screen.Cell{Text: strings.ReplaceAll(r.State, "_", " "), Tone: screen.Good}), r.Routes, places)
	}
	if p := r.DataPlane; p != nil && p.Away == "" {
		a.screen.Printf("by data plane %s, pid %d, since %s\n", screen.Tame(p.Version), p.PID, a.when(p.StartedAt).Text)
	}
	a.printDriver(r.Driver)
}

func (a *app) printDriver(d *client.Driver) {
	if d == nil {
		return
	}
	seen := "last asked"
	if d.SeenFrom != "" {
		seen = "last fetched by " + screen.Tame(d.SeenFrom)
	}
	a.screen.Printf("by %s %s, %s %s\n", d.Name, firstOf(screen.Tame(d.Version), "(it does not say its version)"), seen, a.when(d.SeenAt).Text)
}

func (a *app) routeLabels() *cobra.Command {
	return shows(a, &cobra.Command{
		Use: "labels DOMAIN", Short: "Show the Docker labels by which Traefik would serve a route",
		Long: `Shows labels for a container that say to Traefik's Docker provider what the route says, to be written down where the
container is started. Nothing is labelled by this. What lets somebody in is never shown: REPLACE-ME stands for it. In a
file of Compose each $ is written twice.`,
		Example:           "  docker-watcher route labels shop.example.com",
		Args:              takes(1, 1),
		ValidArgsFunction: a.routeDomains((*client.Client).Routes),
	}, func(c *cobra.Command, api *client.Client, args []string) (client.RouteLabels, error) {
		r, err := a.routeNamed(c.Context(), api, args[0])
		if err != nil {
			return client.RouteLabels{}, err
		}
		return api.RouteLabels(c.Context(), r.ID)
	}, func(l client.RouteLabels) {
		for _, name := range slices.Sorted(maps.Keys(l.Labels)) {
			a.screen.Printf("%s=%s\n", screen.Tame(name), screen.Tame(l.Labels[name]))
		}
		for _, name := range l.Missing {
			a.screen.Printf("to be written by you: %s\n", screen.Tame(name))
		}
	})
}
