package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

func (a *app) settingsCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "settings",
		Short: "The global settings",
		Long: `The global settings, such as stale_threshold_days: after how many days without a sign of life a
container is stale, where its project or stage says nothing else.`,
		Example: `  docker-watcher settings get
  docker-watcher settings set stale_threshold_days=14`,
	}, a.settingsGet(), a.settingsSet())
}

func (a *app) settingsGet() *cobra.Command {
	return &cobra.Command{
		Use: "get [NAME]", Short: "Show the settings, or one",
		Long: "Shows all settings, or the bare value of one.",
		Example: `  docker-watcher settings get
  docker-watcher settings get stale_threshold_days`,
		Args: takes(0, 1),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			s, err := api.Settings(c.Context())
			if err != nil {
				return err
			}
			values, err := settingValues(s)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				v, ok := values[args[0]]
				if !ok {
					return &notFoundError{fmt.Sprintf("there is no setting %q", args[0]), "docker-watcher settings get lists them"}
				}
				return a.show(v, func() { a.screen.Printf("%v\n", v) })
			}
			return a.show(s, func() { a.printSettings(values) })
		}),
	}
}

// settingValues are the settings by their API names.
func settingValues(s client.Settings) (map[string]any, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	var values map[string]any
	in := json.NewDecoder(bytes.NewReader(text))
	in.UseNumber() // bytes are no floats
	if err := in.Decode(&values); err != nil {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	return values, nil
}

func (a *app) printSettings(values map[string]any) {
	var names []string
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	t := screen.Table{Head: []string{"setting", "value"}}
	for _, name := range names {
		t.Add(screen.Text(name), screen.Text(settingText(name, values[name])))
	}
	a.screen.Print(t)
}

func (a *app) settingsSet() *cobra.Command {
	return &cobra.Command{
		Use: "set NAME=VALUE...", Short: "Change settings: all that are named or, if one is wrong, none",
		Long: `Changes settings, at once and together: if one value is refused nothing changes. A changed
threshold or interval takes effect at once. Needs an admin.

auto_cleanup=on is the switch without which nothing is ever cleaned up by itself. Before it is
turned on, and before stale_threshold_days changes, you see what that would newly mark, spare or
clean up and when, and are asked if anything would be cleaned up; a script gives --yes.`,
		Example: `  docker-watcher settings set stale_threshold_days=14
  docker-watcher settings set scan_interval=auto event_retention_days=30
  docker-watcher settings set archive_layer_max_bytes=500MiB
  docker-watcher settings set auto_cleanup=on`,
		Args:              takes(1, -1),
		ValidArgsFunction: a.settingNames(),
		RunE: func(c *cobra.Command, args []string) error {
			change := map[string]any{}
			for _, arg := range args {
				name, value, ok := strings.Cut(arg, "=")
				if !ok || name == "" {
					return usagef(c, "%q: it is written NAME=VALUE, such as stale_threshold_days=14", arg)
				}
				v, err := settingValue(name, value)
				if err != nil {
					return usagef(c, "%s: %w", name, err)
				}
				change[name] = v
			}
			return a.with(func(c *cobra.Command, api *client.Client, _ []string) error {
				if err := a.foretellSettings(c, api, change); err != nil {
					return err
				}
				s, err := api.UpdateSettings(c.Context(), change)
				if err != nil {
					return err
				}
				values, err := settingValues(s)
				if err != nil {
					return err
				}
				return a.show(s, func() { a.printSettings(values) })
			})(c, args)
		},
	}
}

// autoCleanup is the switch without which nothing is cleaned up by itself.
const autoCleanup = "auto_cleanup"

// requireFactor is the switch that asks a second factor of everybody who has a password.
const requireFactor = "require_second_factor"

// foretellSettings shows what another threshold for all, or turning automatic cleanup on, would do, and asks if something
// would be cleaned up. A threshold that cannot be is left to the service to refuse.
func (a *app) foretellSettings(c *cobra.Command, api *client.Client, change map[string]any) error {
	days, named := change["stale_threshold_days"].(int64)
	named = named && days >= 1 && days <= 3650
	on := change[autoCleanup] == true
	if !named && !on {
		return nil
	}
	global, err := api.GlobalPolicy(c.Context())
	if err != nil {
		return err
	}
	meant := client.PolicyChange{Level: levelGlobal, Policy: global.Policy}
	if named {
		after := fmt.Sprintf("%dd", days)
		meant.Policy.StaleAfter = &after
	}
	if on {
		meant.AutoCleanup = &on
	}
	return a.foretell(c, api, meant)
}

func (a *app) settingNames() completer {
	return a.completes(func(ctx context.Context, api *client.Client) ([]string, error) {
		s, err := api.Settings(ctx)
		if err != nil {
			return nil, err
		}
		values, err := settingValues(s)
		var names []string
		for name := range values {
			names = append(names, name+"=")
		}
		return names, err
	})
}

// settingValue sends what looks like a number or a yes as such; the service judges it. Bytes may be given as 1GiB.
func settingValue(name, text string) (any, error) {
	switch {
	case (name == autoCleanup || name == requireFactor) && (text == "on" || text == "off"):
		return text == "on", nil
	case strings.HasSuffix(name, bytesSuffix):
		return parseBytes(text)
	case text == "true" || text == "false":
		return text == "true", nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, nil
	}
	return text, nil
}

// bytesSuffix ends the names of settings that are sizes.
const bytesSuffix = "_bytes"

// settingText is a value as people read it.
func settingText(name string, value any) string {
	if n, ok := value.(json.Number); ok && strings.HasSuffix(name, bytesSuffix) {
		if bytes, err := n.Int64(); err == nil {
			return bytesText(bytes)
		}
	}
	return fmt.Sprint(value)
}
