package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

func (a *app) stageDiff() *cobra.Command {
	var tag string
	c := shows(a, &cobra.Command{
		Use: "diff PROJECT/STAGE", Short: "What runs against what is wanted",
		Long: `Compares each running container of a stage, as its engine shows it now, with what the next deploy
would make: image, environment (values of secret variables are compared and not shown), ports,
volumes, networks, limits, restart policy, command, labels and the rest of the spec.
It changes nothing. With --tag the image is compared with that tag.`,
		Example: `  docker-watcher stage diff shop/production
  docker-watcher stage diff shop/production --tag 1.4.2 -o json`,
		Args:              takes(1, 1),
		ValidArgsFunction: a.stageNames(),
	}, func(c *cobra.Command, api *client.Client, args []string) (client.StageDiff, error) {
		s, err := a.stage(c.Context(), api, args[0])
		if err != nil {
			return client.StageDiff{}, err
		}
		return api.DiffStage(c.Context(), s.ID, tag)
	}, a.printDiff)
	c.Flags().StringVar(&tag, "tag", "", "compare with this tag (default: the one that is ready, or what runs)")
	return c
}

func (a *app) printDiff(d client.StageDiff) {
	if len(d.Instances) == 0 {
		a.screen.Printf("nothing runs there: a deploy makes everything anew\n")
	}
	for _, i := range d.Instances {
		a.screen.Printf("%s (%s, %s)\n", i.Name, i.ImageTag, i.Status)
		if i.Unsure != "" {
			a.screen.Printf("  its engine could not be asked, this is as it was deployed: %s\n", screen.Tame(i.Unsure))
		}
		if len(i.Differences) == 0 {
			a.screen.Printf("  runs as wanted\n")
			continue
		}
		t := screen.Table{Head: []string{"", "what", "runs", "wanted"}}
		for _, diff := range i.Differences {
			t.Add(changeCell(diff.Change), screen.Text(strings.TrimSpace(diff.Field+" "+diff.Name)), valueCell(diff, diff.Running, "added"), valueCell(diff, diff.Wanted, "removed"))
		}
		a.screen.Print(t)
	}
}

func changeCell(change string) screen.Cell {
	switch change {
	case "added":
		return screen.Cell{Text: "+", Tone: screen.Good}
	case "removed":
		return screen.Cell{Text: "-", Tone: screen.Bad}
	}
	return screen.Cell{Text: "~", Tone: screen.Warn}
}

// valueCell is one side of a difference; none is the change of which this side has nothing.
func valueCell(d client.Difference, value, none string) screen.Cell {
	switch {
	case d.Change == none:
		return orNever("")
	case d.Secret:
		return screen.Cell{Text: "(sealed)", Tone: screen.Faint}
	}
	return orNever(strings.ReplaceAll(value, "\n", "\\n"))
}
