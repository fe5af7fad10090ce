package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

// mostCompose is the largest compose file that is sent.
const mostCompose = 1 << 20

func (a *app) importCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:     "import",
		Short:   "Make stages of what others describe",
		Long:    "Makes stages of what is described elsewhere.",
		Example: "  docker-watcher import compose compose.yaml --dry-run",
	}, a.importCompose())
}

func (a *app) importCompose() *cobra.Command {
	var (
		in                client.ComposeImport
		stage             string
		values, valueFile []string
	)
	c := &cobra.Command{
		Use: "compose FILE", Short: "Make a service of a compose file a stage",
		Long: `Reads a compose file ("-": from standard input) and makes one of its services a stage, whose
containers are made with the same environment, ports, volumes, networks, limits, command,
labels, health check and so on. Nothing is deployed; the last line says how to.

First it is told line by line what does not come along and what to do about it; nothing is
dropped in silence, and nothing is written before you say yes. --dry-run only tells.

Only this file is read: what env_file, include, extends, build or configs name is not. Variables
such as ${TAG} take the values of --set and --values-file and of nothing else. Values of the
environment become secret ones: they are sealed and never shown again.

Networks and volumes are called as compose calls them: after the project, which is the name: of
the file, or --compose-project, or the folder that the file is in.`,
		Example: `  docker-watcher import compose compose.yaml --dry-run
  docker-watcher import compose compose.yaml --service web --stage shop/production
  docker-watcher import compose - --service web --stage shop/dev --set TAG=1.4.2 <compose.yaml
  docker-watcher import compose compose.yaml --service web --stage shop/production --values-file .env --yes`,
		Args: takes(1, 1),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			var err error
			if in.Text, err = readCompose(c, args[0]); err != nil {
				return err
			}
			if in.Values, err = composeValues(values, valueFile); err != nil {
				return usagef(c, "%w", err)
			}
			project, name, ok := strings.Cut(stage, "/")
			if stage != "" && (!ok || project == "" || name == "") {
				return usagef(c, "--stage %q: it is written PROJECT/STAGE, such as shop/production", stage)
			}
			in.Project, in.Stage = project, name
			return a.doImport(c, api, in, args[0])
		}),
	}
	c.Flags().StringVar(&in.Service, "service", "", "the service to import (default: the only one)")
	c.Flags().StringVar(&stage, "stage", "", "PROJECT/STAGE to make or to give the spec to (default: as proposed)")
	c.Flags().StringVar(&in.Kind, "kind", "", "of a new stage: dev, staging, production or preview")
	c.Flags().StringVar(&in.HostID, "host", "", "of a new stage (default: the daemon's own)")
	c.Flags().StringArrayVar(&values, "set", nil, "value NAME=VALUE of a variable of the file; repeat")
	c.Flags().StringArrayVar(&valueFile, "values-file", nil, "file of NAME=VALUE lines, such as the .env beside the compose file; repeat")
	c.Flags().StringVar(&in.ComposeProject, "compose-project", "", "what compose calls networks and volumes after")
	c.Flags().BoolVar(&in.DryRun, "dry-run", false, "tell what would become of it, and write nothing")
	return c
}

func readCompose(c *cobra.Command, name string) (text string, err error) {
	from := c.InOrStdin()
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return "", err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		from = file
	}
	body, err := io.ReadAll(io.LimitReader(from, mostCompose+1))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	if len(body) > mostCompose {
		return "", &hinted{fmt.Errorf("%s is larger than 1 MiB", name), "give only the services that are to be imported"}
	}
	return string(body), nil
}

func composeValues(set, files []string) (map[string]string, error) {
	values := map[string]string{}
	for _, file := range files {
		lines, err := envFile(file)
		if err != nil {
			return nil, fmt.Errorf("--values-file: %w", err)
		}
		for _, line := range lines {
			name, value, _ := strings.Cut(line, "=")
			values[name] = value
		}
	}
	for _, one := range set {
		name, value, ok := strings.Cut(one, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("--set %q: it is written NAME=VALUE", one)
		}
		values[name] = value
	}
	return values, nil
}

// doImport tells first, and then asks.
func (a *app) doImport(c *cobra.Command, api *client.Client, in client.ComposeImport, file string) error {
	dry := in.DryRun
	in.DryRun = true
	f, err := api.ImportCompose(c.Context(), in)
	if err == nil && f.ComposeProject == "" && file != "-" {
		in.ComposeProject = folderName(file)
		f, err = api.ImportCompose(c.Context(), in)
	}
	if err != nil {
		return err
	}
	if dry {
		return a.show(f, func() { a.printCompose(f, in.Service) })
	}
	at := slices.IndexFunc(f.Services, func(s client.ComposeService) bool {
		return s.Name == in.Service || in.Service == "" && len(f.Services) == 1
	})
	if at < 0 {
		var names []string
		for _, s := range f.Services {
			names = append(names, s.Name)
		}
		return usagef(c, "say which one: --service %s", strings.Join(names, " or "))
	}
	s := f.Services[at]
	in.DryRun, in.Service = false, s.Name
	in.Project, in.Stage = cmp.Or(in.Project, s.Project), cmp.Or(in.Stage, s.Stage)
	if a.output != "json" {
		a.printCompose(f, s.Name)
	}
	if !s.Blocked { // else the refusal says what to mend
		if in.HostID, err = a.hostID(c, api, in.HostID); err != nil {
			return err
		}
		if err := a.confirm(c, importQuestion(f, s, in)); err != nil {
			return err
		}
		in.Accept = true
	}
	made, err := api.ImportCompose(c.Context(), in)
	if err != nil {
		return err
	}
	return a.show(made, func() {
		a.screen.Printf("%s is imported into %s/%s. Next: docker-watcher deploy %s/%s %s\n", s.Name, in.Project, in.Stage, in.Project, in.Stage, s.Tag)
	})
}

func importQuestion(f client.ComposeFile, s client.ComposeService, in client.ComposeImport) string {
	lost := 0
	for _, n := range slices.Concat(f.Notes, s.Notes) {
		if n.Kind == "unsupported" {
			lost++
		}
	}
	question := fmt.Sprintf("Import %s into %s/%s?", s.Name, in.Project, in.Stage)
	switch {
	case lost == 1:
		question = fmt.Sprintf("Import %s into %s/%s, without the line that does not come along?", s.Name, in.Project, in.Stage)
	case lost > 1:
		question = fmt.Sprintf("Import %s into %s/%s, without the %d lines that do not come along?", s.Name, in.Project, in.Stage, lost)
	}
	if len(s.Power) > 0 {
		question += " Its containers get power over the host: " + strings.Join(s.Power, ", ") + "."
	}
	return question
}

// folderName is what compose calls a project after where the file says nothing.
func folderName(file string) string {
	whole, err := filepath.Abs(file)
	if err != nil {
		return ""
	}
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return -1
	}, strings.ToLower(filepath.Base(filepath.Dir(whole))))
	return strings.TrimLeft(name, "-_")
}

// printCompose tells of one service, or of all.
func (a *app) printCompose(f client.ComposeFile, only string) {
	for _, s := range f.Services {
		if only != "" && s.Name != only {
			continue
		}
		a.screen.Printf("service %s (line %d)\n", screen.Tame(s.Name), s.Line)
		row := func(name, value string) {
			if value != "" {
				a.screen.Printf("  %-13s%s\n", name, screen.Tame(value))
			}
		}
		row("image", s.Image)
		row("tag", s.Tag)
		row("proposed", s.Project+"/"+s.Stage)
		specWords(s.Spec, row)
		a.printNotes(s.Notes)
		a.screen.Printf("\n")
	}
	if len(f.Notes) > 0 {
		a.screen.Printf("outside of services\n")
		a.printNotes(f.Notes)
		a.screen.Printf("\n")
	}
}

func (a *app) printNotes(notes []client.ComposeNote) {
	if len(notes) == 0 {
		a.screen.Printf("  everything comes along\n")
		return
	}
	t := screen.Table{Head: []string{"line", "", "key", "why", "what to do"}}
	for _, n := range notes {
		kind := screen.Cell{Text: "note", Tone: screen.Faint}
		switch n.Kind {
		case "blocked":
			kind = screen.Cell{Text: "must be mended", Tone: screen.Bad}
		case "unsupported":
			kind = screen.Cell{Text: "not taken over", Tone: screen.Warn}
		}
		t.Add(screen.Text(fmt.Sprint(n.Line)), kind, screen.Text(n.Key), screen.Text(n.What), screen.Text(n.Remedy))
	}
	a.screen.Print(t)
}
