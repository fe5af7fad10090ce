package main

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

func (a *app) socketPolicyCommand() *cobra.Command {
	var features []string
	var all bool
	format := "list"
	c := &cobra.Command{
		Use: "socket-policy", Short: "What a proxy before the engine's socket has to let through",
		Long: `Tells which calls the service makes of an engine, for what you use of it, so that a proxy before the
engine's socket can refuse all others. The features are watch (always there), logs, adopt, deploy, cleanup, undo, reclaim.
Without --feature and --all it is what is in use by what the service holds: instances, deploys, stages that wait for one, cleanups,
what is kept for an undo, and whether automatic cleanup is on. Each feature is told with how that is known. What you begin to use
later is refused until the proxy has a new list: name it by --feature beforehand, or take --all.

Formats: list; nginx (for the server of an nginx before the socket, by method and path); env (variables for proxies
in the manner of tecnativa/docker-socket-proxy, which know sections of the API only and so let through more than is needed).

Whoever may create containers may mount the host into one: with deploy or undo such a proxy is a hedge, not a wall.`,
		Example: `  docker-watcher socket-policy
  docker-watcher socket-policy --all --format nginx > engine.conf
  docker-watcher socket-policy --feature watch,cleanup --format nginx > engine.conf`,
		Args: takes(0, 0),
		RunE: a.with(func(c *cobra.Command, api *client.Client, _ []string) error {
			write, known := map[string]func(client.SocketPolicy){"list": a.listPolicy, "nginx": a.nginxPolicy, "env": a.envPolicy}[format]
			if !known {
				return usagef(c, "--format: %q is none of list, nginx, env", format)
			}
			if all && len(features) > 0 {
				return usagef(c, "--all is everything: leave --feature away")
			}
			p, err := socketPolicy(c.Context(), api, all, features)
			if err != nil {
				return err
			}
			return a.show(p, func() { write(p) })
		}),
	}
	c.Flags().StringSliceVar(&features, "feature", nil, "what is used of: watch, logs, adopt, deploy, cleanup, undo, reclaim (default what is in use)")
	c.Flags().BoolVar(&all, "all", false, "everything that an engine is ever asked")
	c.Flags().StringVar(&format, "format", format, "list, nginx or env")
	return c
}

func socketPolicy(ctx context.Context, api *client.Client, all bool, features []string) (client.SocketPolicy, error) {
	if all {
		return api.WholeSocketPolicy(ctx)
	}
	return api.SocketPolicy(ctx, features...)
}

func (a *app) listPolicy(p client.SocketPolicy) {
	f := screen.Table{Head: []string{"feature", "let through", "in use", "because"}}
	for _, of := range p.Features {
		if of.Told() {
			f.Add(screen.Text(of.Name), screen.Text(yesNo(*of.Taken)), screen.Text(yesNo(*of.InUse)), screen.Text(of.Why))
		}
	}
	if len(f.Rows) > 0 {
		a.screen.Print(f)
		a.screen.Printf("\n")
	}
	t := screen.Table{Head: []string{"method", "path", "for"}}
	for _, c := range p.Calls {
		t.Add(screen.Text(c.Method), screen.Text(c.Path), screen.Text(strings.Join(c.Features, ", ")))
	}
	a.screen.Print(t)
}

// commentFeatures writes which features are let through and why, for a file in which a number sign begins a comment. Of what an older daemon does not
// tell nothing is said: the calls are what counts.
func (a *app) commentFeatures(p client.SocketPolicy) {
	for _, f := range p.Features {
		if !f.Told() {
			continue
		}
		is, use := "refused", "not in use"
		if *f.Taken {
			is = "let through"
		}
		if *f.InUse {
			use = "in use"
		}
		a.screen.Printf("# %s: %s; %s: %s\n", f.Name, is, use, f.Why)
	}
}

// nginxPolicy writes a line for each path, with the methods that it takes. They stand beside one another, and not as locations, of which the first that fits
// would hide the others: /containers/json is a container by its looks.
func (a *app) nginxPolicy(p client.SocketPolicy) {
	a.commentFeatures(p)
	a.screen.Printf("# For the server of an nginx that passes on to the engine's socket:\n#   upstream engine { server unix:/var/run/docker.sock; }\n" +
		"proxy_buffering off;\nproxy_request_buffering off;\nproxy_read_timeout 1d;\nclient_max_body_size 0;\n" +
		"set $call \"$request_method $uri\";\nset $allowed no;\n")
	methods := map[string][]string{}
	for _, c := range p.Calls {
		methods[c.Pattern] = append(methods[c.Pattern], c.Method)
	}
	for _, pattern := range slices.Sorted(maps.Keys(methods)) {
		a.screen.Printf("if ($call ~ \"^(%s) %s\") { set $allowed yes; }\n", strings.Join(methods[pattern], "|"), strings.TrimPrefix(pattern, "^"))
	}
	a.screen.Printf("location / {\n\tif ($allowed = no) { return 403; }\n\tproxy_pass http://engine;\n}\n")
}

// envPolicy writes the switches by sections of the API.
func (a *app) envPolicy(p client.SocketPolicy) {
	on := map[string]bool{}
	for _, c := range p.Calls {
		section, _, _ := strings.Cut(strings.TrimPrefix(c.Path, "/"), "/")
		on[strings.ToUpper(strings.TrimPrefix(section, "_"))] = true
		if c.Method != "GET" && c.Method != "HEAD" {
			on["POST"] = true // of every method that is not to read
		}
	}
	a.screen.Notef("these let through whole sections: CONTAINERS=1 shows the environment of every container, and POST=1 lets through every change " +
		"in every section that is on, such as to run something in a container that is not ours. A list by method and path is narrower (--format nginx)\n")
	a.commentFeatures(p)
	for _, section := range slices.Sorted(maps.Keys(on)) {
		a.screen.Printf("%s=1\n", section)
	}
}
