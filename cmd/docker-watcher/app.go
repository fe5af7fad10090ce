package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

// app is what every command has at hand.
type app struct {
	screen    *screen.Screen
	getenv    func(string) string
	configDir func() (string, error)
	hostname  func() (string, error)
	secret    func() (string, error)
	version   string
	// rawTerminal makes keys come one by one, until it is restored; terminalSize is columns and rows now.
	rawTerminal  func() (restore func(), err error)
	terminalSize func() (width, height int)

	// Set by flags of the root.
	url    string
	output string
	exact  bool
	yes    bool

	started bool // a command has begun: an error before is one of usage
}

// run carries out one command line and returns its exit code.
func (a *app) run(ctx context.Context, args []string) int {
	args, plugin := pluginArgs(args, a.getenv)
	if plugin && len(args) == 1 && args[0] == pluginMetadataCommand {
		return a.ended(a.screen.JSON(metadata(a.version)))
	}
	root := a.root(plugin)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil && !a.started {
		err = &usageError{err: err, command: root.DisplayName()}
	}
	if err == nil {
		err = a.screen.Failed()
	}
	return a.ended(err)
}

func (a *app) root(plugin bool) *cobra.Command {
	root := &cobra.Command{
		Use:   "docker-watcher",
		Short: "Deploy containers, and clean up those that have been dead for days",
		Long: `docker-watcher deploys containers from a registry into the stages of a project,
watches them live, and tells which have not been alive for days, how it knows,
and what a cleanup would give back. It cleans up exactly what a plan has shown.

This is its command line. It speaks to the service at DOCKER_WATCHER_URL (or where
"docker-watcher login" went last, or http://127.0.0.1:8080) and proves itself by
DOCKER_WATCHER_TOKEN or by what login has stored.

Exit codes: 0 done, 1 error, 2 wrong usage or values, 3 not found, 4 conflict or not
stale, 5 not signed in or not allowed, 6 partly done, 10 something is stale
(only with "stale ls --exit-code").`,
		Example: `  docker-watcher setup http://127.0.0.1:8080/setup#code=...
  docker-watcher project create shop --image ghcr.io/acme/shop
  docker-watcher stage create shop/preview --kind preview --stale-after 3d --port 8080
  docker-watcher deploy shop/preview 1.4.2
  docker-watcher stale ls
  docker-watcher stale cleanup --all`,
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRunE: func(c *cobra.Command, _ []string) error {
			switch a.output {
			case "table", "wide", "json":
				a.started = true
				return checkFlags(c)
			}
			return fmt.Errorf("-o %q: one of table, wide, json", a.output)
		},
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetOut(a.screen.Out)
	root.SetErr(a.screen.Err)
	root.SetFlagErrorFunc(plainFlagError)
	flags := root.PersistentFlags()
	flags.StringVar(&a.url, "url", "", "address of the service (instead of DOCKER_WATCHER_URL)")
	flags.StringVarP(&a.output, "output", "o", "table", "table, wide or json")
	flags.BoolVar(&a.exact, "exact", false, "exact times in UTC instead of \"3 days ago\"")
	flags.BoolVarP(&a.yes, "yes", "y", false, "do it without asking")
	root.AddCommand(
		a.setupCommand(), a.loginCommand(), a.logoutCommand(), a.tokenCommand(), a.keysCommand(), a.userCommand(), a.accountCommand(), a.providerCommand(), a.statusCommand(),
		a.projectCommand(), a.stageCommand(), a.registryCommand(), a.tagCommand(), a.deployCommand(), a.rollbackCommand(), a.importCommand(),
		a.routeCommand(), a.proxyCommand(), a.certCommand(),
		a.psCommand(), a.showCommand(), a.logsCommand(), a.topCommand(), a.stopCommand(), a.startCommand(), a.restartCommand(), a.rmCommand(),
		a.staleCommand(), a.archiveCommand(), a.policyCommand(), a.reclaimCommand(), a.leftoversCommand(),
		a.adoptCommand(), a.backupCommand(), a.jobsCommand(), a.doctorCommand(),
		a.eventsCommand(), a.notifyCommand(), a.settingsCommand(), a.hostsCommand(), a.socketPolicyCommand(), a.versionCommand(), a.manCommand(),
	)
	root.SetHelpCommand(&cobra.Command{
		Use: "help [COMMAND]", Short: "Help about any command",
		RunE: func(c *cobra.Command, args []string) error {
			found, rest, err := c.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usagef(c.Root(), "there is no command %q", args)
			}
			return found.Help()
		},
	})
	if plugin {
		root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "docker watcher"}
		speakAsPlugin(root)
	}
	return root
}

// speakAsPlugin writes the examples as they are typed there.
func speakAsPlugin(c *cobra.Command) {
	c.Example = strings.ReplaceAll(c.Example, "docker-watcher ", "docker watcher ")
	for _, child := range c.Commands() {
		speakAsPlugin(child)
	}
}

// group is a command that only holds others.
func group(c *cobra.Command, children ...*cobra.Command) *cobra.Command {
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usagef(c, "there is no command %q", c.CommandPath()+" "+args[0])
		}
		return c.Help()
	}
	c.AddCommand(children...)
	return c
}

// takes checks the number of arguments and says which they are.
func takes(least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < least || most >= 0 && len(args) > most {
			return fmt.Errorf("%d arguments given; it is used so: %s", len(args), c.UseLine())
		}
		return nil
	}
}

// checkFlags refuses flags that exclude one another, and a needed one that is not there. The library would do so by itself, but only
// after a command has begun, where it is no matter of usage any more.
func checkFlags(c *cobra.Command) error {
	if err := errors.Join(c.ValidateRequiredFlags(), c.ValidateFlagGroups()); err != nil {
		return usagef(c, "%w", err)
	}
	return nil
}

// client reaches the service as whoever is signed in.
func (a *app) client() (*client.Client, error) {
	where, credential, err := a.target()
	if err != nil {
		return nil, err
	}
	return a.dial(where, credential)
}

func (a *app) dial(where, credential string) (*client.Client, error) {
	c, err := client.New(where, client.WithCredential(credential), client.WithUserAgent("docker-watcher-cli/"+a.version))
	if err != nil {
		return nil, &usageError{err: err}
	}
	return c, nil
}

// interrupted tells that the person has seen enough.
func interrupted(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return true
	default:
		return false
	}
}

// show writes a value as JSON or as what people read.
func (a *app) show(v any, people func()) error {
	if a.output == "json" {
		return a.screen.JSON(v)
	}
	people()
	return nil
}

func (a *app) wide() bool { return a.output == "wide" }

// confirm asks before something that cannot be taken back. Without a person to ask, --yes must be given.
func (a *app) confirm(c *cobra.Command, question string) error {
	if a.yes {
		return nil
	}
	if !a.screen.InputTerminal {
		return usagef(c, "nobody is there to be asked (%s): add --yes to do it", question)
	}
	sure, err := a.screen.Ask(question)
	if err != nil {
		return err
	}
	if !sure {
		return errDeclined
	}
	return nil
}

var errDeclined = errors.New("not done, as you wished")
