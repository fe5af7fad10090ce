package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

func (a *app) showCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show INSTANCE",
		Short: "All about one container: its state, how its last run ended, what it is made of",
		Long: `Shows all that is known of one container: where it belongs, its state and since when, how its last run ended (exit code, out of
memory), what it was made of, its ports and where it is reached. The log of it is shown by "docker-watcher logs", what it uses by "top".`,
		Example: `  docker-watcher show shop-preview-a1b2c3
  docker-watcher show shop-preview-a1b2c3 -o json | jq .exit_code`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.instanceNames(),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			found, err := a.instance(c.Context(), api, args[0])
			if err != nil {
				return err
			}
			i, err := api.Instance(c.Context(), found.ID)
			if err != nil {
				return err
			}
			return a.show(i, func() { a.printInstance(i) })
		}),
	}
}

func (a *app) printInstance(i client.Instance) {
	ports := make([]string, 0, len(i.Ports))
	for _, p := range i.Ports {
		ports = append(ports, portText(p))
	}
	domains := make([]string, 0, len(i.Domains))
	for _, d := range i.Domains {
		domains = append(domains, strings.TrimSuffix(d, "/"))
	}
	facts := []struct {
		name string
		cell screen.Cell
	}{
		{"name", screen.Text(i.Name)},
		{"stage", screen.Text(i.Project + "/" + i.Stage)},
		{"image", screen.Text(i.Image + ":" + i.ImageTag)},
		{"digest", orNever(i.Digest)},
		{"status", statusCell(i.Status)},
		{"last run ended", lastEnd(i)},
		{"started", a.when(i.StartedAt)},
		{"ended", a.when(i.FinishedAt)},
		{"restarts", screen.Text(fmt.Sprint(i.RestartCount))},
		{"last alive", a.lastAlive(i.LastAliveAt, i.UpperBound)},
		{"last request", a.lastRequest(i.Requests, i.LastRequestAt)},
		{"stale", screen.Text(staleText(i))},
		{"kept", orNever(a.protection(i.Protection))},
		{"domains", orNever(strings.Join(domains, " "))},
		{"ports", orNever(strings.Join(ports, " "))},
		{"writable layer", size(i.Bytes)},
		{"engine says", orNever(i.EngineError)},
		{"host", screen.Text(i.Host)},
		{"container", orNever(i.ContainerID)},
		{"id", screen.Text(i.ID)},
	}
	for _, f := range facts {
		f.cell.Text = screen.Printable(f.cell.Text, false)
		a.screen.Printf("%-16s%s\n", f.name, a.screen.Paint(f.cell))
	}
}

// lastRequest tells when somebody came to an instance by its routes, and how often in all.
func (a *app) lastRequest(requests int64, at time.Time) screen.Cell {
	if requests == 0 {
		return orNever("")
	}
	c := a.when(at)
	c.Text += fmt.Sprintf(", %d in all", requests)
	return c
}

// lastEnd tells how the last run ended: not of one that never did.
func lastEnd(i client.Instance) screen.Cell {
	if i.FinishedAt.IsZero() || i.Status == "running" {
		return orNever("")
	}
	c := screen.Text(fmt.Sprintf("with code %d", i.ExitCode))
	if i.OOMKilled {
		c.Text += ", out of memory"
	}
	if i.ExitCode != 0 || i.OOMKilled {
		c.Tone = screen.Bad
	}
	return c
}

func staleText(i client.Instance) string {
	if i.Stale {
		return "yes, after " + i.StaleAfter
	}
	return "no, " + i.StaleAfter + " after it was last alive"
}
