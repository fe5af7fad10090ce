package main

import (
	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

func (a *app) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use: "doctor", Short: "Examine the service and all that it stands on, with a remedy for each finding",
		Long: `Has the service look at everything now: its database (all of it is read), its disk and folder, each
engine and its clock, each registry, the jobs that run by themselves, the backups. Each finding that is not
well comes with what to do. Nothing is changed. Needs an admin.

Where the service does not run, "server doctor" on its machine looks at what it would stand on.

Exit code 1 when something is not well.`,
		Example: `  docker-watcher doctor
  docker-watcher doctor -o json | jq '.findings[] | select(.ok | not)'`,
		Args: takes(0, 0),
		RunE: a.with(func(c *cobra.Command, api *client.Client, _ []string) error {
			e, err := api.Doctor(c.Context())
			if err != nil {
				return err
			}
			if err := a.show(e, func() { a.printExamination(e) }); err != nil {
				return err
			}
			if !e.Well {
				return codeError(exitError)
			}
			return nil
		}),
	}
}

func (a *app) printExamination(e client.Examination) {
	t := screen.Table{Head: []string{"", "part", "found"}}
	for _, f := range e.Findings {
		mark := screen.Cell{Text: "ok", Tone: screen.Good}
		switch {
		case f.Severity == "warn":
			mark = screen.Cell{Text: "!", Tone: screen.Warn}
		case !f.OK:
			mark = screen.Cell{Text: "!!", Tone: screen.Bad}
		}
		t.Add(mark, screen.Text(f.Name), screen.Text(f.Detail))
		if f.Hint != "" {
			t.Add(screen.Text(""), screen.Text(""), screen.Text("→ "+f.Hint))
		}
	}
	a.screen.Print(t)
}
