package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

func (a *app) proxyCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "proxy",
		Short: "Standalone proxies: lead domains to anything",
		Long: `A standalone proxy leads one or more domains to a target that you name: a URL, or a container of one of
the hosts. For the stages of a project use docker-watcher route instead: those follow each deploy.

Both are served by the daemon's own proxy, at the address that --proxy-http gives it, or by 'server proxy'. Before anything is
saved the whole table is checked, and what was served stays served when something is wrong with the new one.`,
		Example: `  docker-watcher proxy test http://10.0.0.5:3000
  docker-watcher proxy add wiki.example.com http://10.0.0.5:3000
  docker-watcher proxy ls
  docker-watcher proxy state`,
	}, a.proxyLs(), a.proxyShow(), a.proxyAdd(), a.proxyEdit(), a.proxyTest(), a.proxyRm(), a.proxyState(), a.proxyExport(), a.proxyImport())
}

func (a *app) proxyLs() *cobra.Command {
	var text string
	c := lists(a, &cobra.Command{
		Use: "ls", Short: "List the standalone proxies",
		Long:    "Lists the standalone proxies: where each leads, how its targets do, and when somebody last came.",
		Example: "  docker-watcher proxy ls\n  docker-watcher proxy ls --text example.com",
		Args:    takes(0, 0),
	}, func(c *cobra.Command, api *client.Client, _ []string) ([]client.Route, error) {
		return allRoutes(c.Context(), api.Proxies, client.RouteQuery{Text: text})
	}, a.printProxies)
	c.Flags().StringVar(&text, "text", "", "only those with this in a domain, a target or the note")
	return c
}

// allRoutes reads all pages of a list.
func allRoutes(ctx context.Context, page func(context.Context, client.RouteQuery) (client.List[client.Route], error), q client.RouteQuery) ([]client.Route, error) {
	items, _, err := everything(0, func(p client.Page) (client.List[client.Route], error) {
		q.Limit, q.Cursor = p.Limit, p.Cursor
		return page(ctx, q)
	})
	return items, err
}

func (a *app) printProxies(proxies []client.Route) {
	a.printRoutes(proxies, "target", func(r client.Route) string {
		if r.RedirectTo != "" {
			return "redirect to " + r.RedirectTo
		}
		return strings.Join(r.Targets, ", ")
	})
}

// printRoutes lists routes; to says where one leads.
func (a *app) printRoutes(routes []client.Route, head string, to func(client.Route) string) {
	t := screen.Table{Head: []string{"domain", head, "state", "requests", "last request"}}
	if a.wide() {
		t.Head = append(t.Head, "id", "errors", "open", "owner", "note")
	}
	for _, r := range routes {
		h := client.RouteHealth{}
		if r.Health != nil {
			h = *r.Health
		}
		requests := screen.Text(strconv.FormatInt(r.Requests, 10))
		if r.Health != nil && !h.Counted {
			requests = screen.Cell{Text: screen.Never, Tone: screen.Faint}
		}
		row := []screen.Cell{screen.Text(addresses(r)), screen.Text(to(r)), routeState(r), requests, a.when(r.LastRequestAt)}
		if a.wide() {
			row = append(row, screen.Text(r.ID), screen.Text(strconv.FormatInt(r.Errors, 10)), screen.Text(strconv.FormatInt(h.Open, 10)), screen.Text(r.Owner), screen.Text(r.Notes))
		}
		t.Add(row...)
	}
	a.screen.Print(t)
}

// addresses are what a route answers for, the first and how many more.
func addresses(r client.Route) string {
	if len(r.Domains) == 0 {
		return r.ID
	}
	text := r.Domains[0]
	if r.PathPrefix != "/" {
		text += r.PathPrefix
	}
	if more := len(r.Domains) - 1; more > 0 {
		text += fmt.Sprintf(" (+%d)", more)
	}
	return text
}

// routeState says in a word how a route does: as it is served, and then as its targets are.
func routeState(r client.Route) screen.Cell {
	switch r.State {
	case "disabled":
		return screen.Cell{Text: "disabled", Tone: screen.Faint}
	case "no_listener":
		return screen.Cell{Text: "no listener", Tone: screen.Warn}
	case "not_served":
		return screen.Cell{Text: "not served", Tone: screen.Bad}
	case "unknown":
		return screen.Cell{Text: "unknown", Tone: screen.Warn}
	}
	if r.Maintenance {
		return screen.Cell{Text: "maintenance", Tone: screen.Warn}
	}
	up, unasked, worst := 0, 0, ""
	if r.Health != nil {
		for _, t := range r.Health.Targets {
			switch t.State {
			case "up":
				up++
			case "not_asked":
				unasked++
			default:
				worst = t.State
			}
		}
	}
	switch {
	case worst == "" && unasked > 0 && up == 0:
		return screen.Cell{Text: "not asked yet", Tone: screen.Faint}
	case worst == "":
		return screen.Cell{Text: "up", Tone: screen.Good}
	case up > 0:
		return screen.Cell{Text: fmt.Sprintf("%d of %d up", up, len(r.Health.Targets)), Tone: screen.Warn}
	}
	return screen.Cell{Text: worst, Tone: screen.Bad}
}

func (a *app) proxyShow() *cobra.Command {
	return shows(a, &cobra.Command{
		Use: "show DOMAIN", Short: "Show a standalone proxy",
		Long:              "Shows all that is said of a standalone proxy, and how each of its targets does.",
		Example:           "  docker-watcher proxy show wiki.example.com",
		Args:              takes(1, 1),
		ValidArgsFunction: a.routeDomains((*client.Client).Proxies),
	}, func(c *cobra.Command, api *client.Client, args []string) (client.Route, error) {
		return a.proxyNamed(c.Context(), api, args[0])
	}, a.printRoute)
}

// printRoute shows all that differs from an ordinary route.
func (a *app) printRoute(r client.Route) {
	line := func(name, format string, args ...any) {
		a.screen.Printf("%s %s\n", name, screen.Tame(fmt.Sprintf(format, args...)))
	}
	line("domains", "%s", strings.Join(r.Domains, ", "))
	if r.PathPrefix != "/" {
		line("path", "%s (taken off: %s)", r.PathPrefix, yesNo(r.StripPrefix))
	}
	a.screen.Printf("state %s\n", a.screen.Paint(routeState(r)))
	if r.Instance != "" {
		line("leads to", "%s of %s/%s, port %d", r.Instance, r.Project, r.Stage, r.Port)
	}
	for _, said := range []struct {
		name, text string
		worth      bool
	}{
		{"redirects to", r.RedirectTo, r.RedirectTo != ""},
		{"tls", tlsText(r), r.TLS != "" && r.TLS != "off"},
		{"redirects to https", "yes", r.RedirectHTTPS},
		{"hsts", strconv.Itoa(r.HSTSSeconds) + " s", r.HSTSSeconds > 0},
		{"host", "the target's own name", r.RewriteHost},
		{"websockets", "refused", !r.WebSockets},
		{"lets in", strings.Join(r.BasicAuth, ", "), len(r.BasicAuth) > 0},
		{"allowed addresses", strings.Join(r.AllowIPs, ", "), len(r.AllowIPs) > 0},
		{"denied addresses", strings.Join(r.DenyIPs, ", "), len(r.DenyIPs) > 0},
		{"certificates of targets", "NOT VERIFIED: who stands between can be the target", r.Unverified()},
		{"certificates of targets", "by an authority of their own", r.TargetCA != ""},
		{"compresses", "text, as gzip", r.Compress},
		{"access log", "each request is a line of the log", r.AccessLog},
		{"largest body", screen.Bytes(r.MaxBodyBytes), r.MaxBodyBytes > 0},
		{"maintenance", firstOf(r.MaintenanceNote, "yes"), r.Maintenance},
		{"owner", r.Owner, r.Owner != ""},
		{"note", r.Notes, r.Notes != ""},
	} {
		if said.worth {
			line(said.name, "%s", said.text)
		}
	}
	for _, h := range r.RequestHeaders {
		line("request header", "%s", headerText(h))
	}
	for _, h := range r.ResponseHeaders {
		line("response header", "%s", headerText(h))
	}
	line("timeouts", "connect %s, response %s", r.ConnectTimeout, r.ResponseTimeout)
	if h := r.HealthCheck; h != nil {
		line("health check", "%s every %s", h.Path, h.Interval)
	}
	line("requests", "%d, %d failed, last %s", r.Requests, r.Errors, a.when(r.LastRequestAt).Text)
	if r.Health == nil {
		line("targets", "%s", strings.Join(r.Targets, ", "))
		return
	}
	line("under way", "%d", r.Health.Open)
	for _, t := range r.Health.Targets {
		line("target", "%s: %s%s", firstOf(t.URL, t.Target), strings.ReplaceAll(t.State, "_", " "), troubleOf(t))
		if t.Said != "" {
			line("its engine said:", "%s", t.Said)
		}
		if t.Remedy != "" {
			line("what to do:", "%s", t.Remedy)
		}
	}
}

func tlsText(r client.Route) string {
	if r.Certificate != "" {
		return r.TLS + ", " + r.Certificate
	}
	return r.TLS
}

func headerText(h client.Header) string {
	if h.Secret {
		return h.Name + ": (not shown)"
	}
	if h.Value == "" {
		return h.Name + " is taken away"
	}
	return h.Name + ": " + h.Value
}

func troubleOf(t client.TargetHealth) string {
	if t.Detail == "" {
		return ""
	}
	return ", " + t.Detail
}

func (a *app) proxyAdd() *cobra.Command {
	var f routeFlags
	c := &cobra.Command{
		Use: "add DOMAIN [TARGET...]", Short: "Lead a domain to any target",
		Long: `Leads a domain to a target, at once:
  http://10.0.0.5:3000       a URL; https as well, and with a path under which all goes
  container:NAME:PORT        a container of the host of --docker-host, wherever it is reached now
  container:NAME:PORT@HOST   one of another host

Several targets share the requests: who has the fewest under way gets the next, and one that cannot be
reached is left out. With --redirect-to there is no target.

Refused are domains that lead elsewhere already, targets that lead back to docker-watcher or to a Docker
engine, and addresses at which clouds hand out credentials.`,
		Example: `  docker-watcher proxy add wiki.example.com http://10.0.0.5:3000
  docker-watcher proxy add api.example.com container:api-1:8080 container:api-2:8080 --health /healthz
  docker-watcher proxy add old.example.com --redirect-to https://www.example.com --redirect-code 301
  docker-watcher proxy add nas.example.com https://10.0.0.9 --target-ca nas.pem --basic-auth anna --password-stdin < password`,
		Args: takes(1, -1),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			fields, err := f.read(a, c, nil)
			if err != nil {
				return err
			}
			fields.Domains = new(append([]string{args[0]}, f.also...))
			made, err := api.CreateProxy(c.Context(), client.ProxyFields{Targets: new(args[1:]), RouteFields: fields})
			if err != nil {
				return err
			}
			return a.show(made, func() { a.tellRoute(made, "standalone proxy", "added") })
		}),
	}
	f.addTo(c)
	return c
}

// tellRoute says what was done to a route, and what is in the way of it.
func (a *app) tellRoute(r client.Route, what, done string) {
	a.screen.Printf("%s %s %s: %s\n", what, screen.Tame(addresses(r)), done, a.screen.Paint(routeState(r)))
	if r.Unverified() {
		a.screen.Printf("%s\n", a.screen.Paint(screen.Cell{Text: "the certificates of its targets are not verified: who stands between can be the target", Tone: screen.Warn}))
	}
	if r.State == "no_listener" {
		a.screen.Printf("nothing is served yet: start the daemon with --proxy-http, such as --proxy-http :80, or with --proxy-socket where server proxy runs\n")
	}
	if r.State == "unknown" {
		a.screen.Printf("the data plane cannot be reached, and hears of it when it is back: docker-watcher proxy state\n")
	}
	if r.Health == nil {
		return
	}
	for _, t := range r.Health.Targets {
		if t.State != "up" && t.State != "not_asked" {
			a.screen.Printf("%s is %s%s\n", screen.Tame(firstOf(t.URL, t.Target)), t.State, screen.Tame(troubleOf(t)))
		}
		if t.Remedy != "" {
			a.screen.Printf("what to do: %s\n", screen.Tame(t.Remedy))
		}
	}
}

func (a *app) proxyEdit() *cobra.Command {
	var f routeFlags
	var targets []string
	c := &cobra.Command{
		Use: "edit DOMAIN", Short: "Change a standalone proxy",
		Long: `Changes what is named by a flag and nothing else. Lists are given whole: --target, --domain, --header
and the others replace what was there; an empty one (--header "") takes all away.`,
		Example: `  docker-watcher proxy edit wiki.example.com --target http://10.0.0.6:3000
  docker-watcher proxy edit wiki.example.com --maintenance --maintenance-note "back at noon"
  docker-watcher proxy edit wiki.example.com --enabled=false`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.routeDomains((*client.Client).Proxies),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			r, err := a.proxyNamed(c.Context(), api, args[0])
			if err != nil {
				return err
			}
			fields, err := f.read(a, c, &r)
			if err != nil {
				return err
			}
			change := client.ProxyFields{Targets: given(c, "target", &targets), RouteFields: fields}
			if change == (client.ProxyFields{}) {
				return usagef(c, "say what to change: see docker-watcher proxy edit --help")
			}
			if r, err = api.UpdateProxy(c.Context(), r.ID, r.Revision, change); err != nil {
				return err
			}
			return a.show(r, func() { a.tellRoute(r, "standalone proxy", "changed") })
		}),
	}
	f.addTo(c)
	f.addEdit(c)
	c.Flags().StringArrayVar(&targets, "target", nil, "where it leads, all of them")
	return c
}

func (a *app) proxyTest() *cobra.Command {
	var path, domain string
	var trust targetTrust
	c := &cobra.Command{
		Use: "test DOMAIN | TARGET...", Short: "Look targets up, dial and ask them now",
		Long: `Tries the targets of a standalone proxy, or targets that you think of: looks the name up, dials, and asks
for a path, as the proxy would do it. Nothing is saved. The exit code is 1 when one does not answer; then
it says what to do.`,
		Example: `  docker-watcher proxy test wiki.example.com
  docker-watcher proxy test http://10.0.0.5:3000 --path /healthz
  docker-watcher proxy test container:api-1:8080`,
		Args:              takes(1, -1),
		ValidArgsFunction: a.routeDomains((*client.Client).Proxies),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			if strings.Contains(args[0], ":") {
				ca, verify, err := trust.read(c)
				if err != nil {
					return err
				}
				trial := client.ProxyTrial{Targets: args, Domain: domain, Path: path, TargetTLSVerify: verify}
				if ca != nil {
					trial.TargetCA = *ca
				}
				t, err := api.TryProxy(c.Context(), trial)
				return a.showRouteTest(t, err)
			}
			if len(args) > 1 {
				return usagef(c, "one domain at a time, or targets such as http://10.0.0.5:3000")
			}
			r, err := a.proxyNamed(c.Context(), api, args[0])
			if err != nil {
				return err
			}
			t, err := api.TestProxy(c.Context(), r.ID)
			return a.showRouteTest(t, err)
		}),
	}
	c.Flags().StringVar(&path, "path", "", "of a target that you think of: what to ask for (default /)")
	c.Flags().StringVar(&domain, "domain", "", "of a target that you think of: the domain to ask for (default its own name)")
	trust.addTo(c)
	return c
}

func (a *app) showRouteTest(t client.RouteTest, err error) error {
	if err != nil {
		return err
	}
	if err := a.show(t, func() { a.printRouteTest(t) }); err != nil || t.OK {
		return err
	}
	return codeError(exitError)
}

func (a *app) printRouteTest(t client.RouteTest) {
	for _, target := range t.Targets {
		outcome := screen.Cell{Text: "ok", Tone: screen.Good}
		if !target.OK {
			outcome = screen.Cell{Text: "does not answer", Tone: screen.Bad}
		}
		a.screen.Printf("%s %s\n", screen.Tame(target.Target), a.screen.Paint(outcome))
		for _, s := range target.Steps {
			a.screen.Printf("  %s: %s (%s)\n", s.Name, screen.Tame(s.Detail), time.Duration(s.TookMS)*time.Millisecond)
		}
		if target.Remedy != "" {
			a.screen.Printf("what to do: %s\n", screen.Tame(target.Remedy))
		}
	}
}

func (a *app) proxyRm() *cobra.Command {
	return removes(a, &cobra.Command{
		Use: "rm DOMAIN", Short: "Remove a standalone proxy",
		Long: `Removes a standalone proxy with all its domains, at once; what is under way ends as it began. To stop
serving it for a while: docker-watcher proxy edit DOMAIN --enabled=false.`,
		Example:           "  docker-watcher proxy rm wiki.example.com --yes",
		ValidArgsFunction: a.routeDomains((*client.Client).Proxies),
	}, removal[client.Route]{
		find: a.proxyNamed,
		ask:  func(r client.Route) string { return fmt.Sprintf("Remove the standalone proxy %s?", addresses(r)) },
		remove: func(ctx context.Context, api *client.Client, r client.Route) error {
			return api.DeleteProxy(ctx, r.ID)
		},
		told: func(r client.Route) string { return fmt.Sprintf("standalone proxy %s removed", addresses(r)) },
	})
}

func (a *app) proxyState() *cobra.Command {
	return shows(a, &cobra.Command{
		Use: "state", Short: "What is served, and whether it is what is asked for",
		Long: `Shows where routes and standalone proxies are served, and whether the table that is served is the one that
is asked for. When it is not, it says what is in the way; what was served before is served meanwhile.
Of a proxy that is a program of its own (--proxy-driver of the daemon) it says how that stands.`,
		Example: "  docker-watcher proxy state",
		Args:    takes(0, 0),
	}, func(c *cobra.Command, api *client.Client, _ []string) (client.Routing, error) {
		return api.Routing(c.Context())
	}, func(r client.Routing) {
		if r.State == "off" {
			a.screen.Printf("nothing is served: start the daemon with --proxy-http, such as --proxy-http :80, with --proxy-socket where server proxy runs, or with another --proxy-driver\n")
			return
		}
		a.printServing(r)
		a.screen.Printf("asked for %s\nserved %s\n", firstOf(r.DesiredHash, screen.Never), firstOf(r.AppliedHash, screen.Never))
	})
}

// proxyNamed finds one by a domain of it or by its id.
func (a *app) proxyNamed(ctx context.Context, api *client.Client, name string) (client.Route, error) {
	r, err := api.Proxy(ctx, name)
	if client.HasCode(err, client.CodeNotFound) {
		return r, &notFoundError{fmt.Sprintf("there is no standalone proxy %q", name), "docker-watcher proxy ls lists them; those of stages are listed by docker-watcher route ls"}
	}
	return r, err
}

func (a *app) routeDomains(page func(*client.Client, context.Context, client.RouteQuery) (client.List[client.Route], error)) completer {
	return a.completes(func(ctx context.Context, api *client.Client) ([]string, error) {
		l, err := page(api, ctx, client.RouteQuery{Limit: 1000})
		var names []string
		for _, r := range l.Items {
			names = append(names, r.Domains...)
		}
		return names, err
	})
}
