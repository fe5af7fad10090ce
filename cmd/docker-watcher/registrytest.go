package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

func (a *app) registryTest() *cobra.Command {
	return &cobra.Command{
		Use: "test NAME [REPOSITORY]", Short: "Ask a registry now what it shows",
		Long: `Asks a registry now: whether it takes the login, what it shows, what it may still be asked, and how
long it took. With a REPOSITORY, such as acme/shop, its tags are counted: most registries show no
catalogue. The exit code is 1 when something is wrong; then it says what to do.`,
		Example: `  docker-watcher registry test github acme/shop
  docker-watcher registry test attic`,
		Args:              takes(1, 2),
		ValidArgsFunction: a.registryNames(),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			r, err := a.registry(c.Context(), api, args[0])
			if err != nil {
				return err
			}
			test, err := api.TestRegistry(c.Context(), r.ID, strings.Join(args[1:], ""))
			if err != nil {
				return err
			}
			if r, err = api.Registry(c.Context(), r.ID); err != nil {
				return err
			}
			if err := a.show(test, func() {
				a.printTest(test)
				if may := a.allowance(r.Allowance); may.Text != screen.Never {
					a.screen.Printf("it may be asked %s\n", may.Text)
				}
			}); err != nil || test.OK {
				return err
			}
			return codeError(exitError)
		}),
	}
}

func (a *app) printTest(t client.RegistryTest) {
	took := (time.Duration(t.TookMS) * time.Millisecond).String()
	if !t.OK {
		a.screen.Printf("%s after %s: %s\nwhat to do: %s\n", a.screen.Paint(testOutcome(&t)), took, screen.Tame(t.Detail), screen.Tame(t.Remedy))
		return
	}
	sees := "it shows no catalogue: name a repository to see more"
	switch {
	case t.Tags != nil:
		sees = fmt.Sprintf("%s has %s", t.Repository, counted(*t.Tags, t.More, "tag", "tags"))
	case t.Repositories != nil:
		sees = "it shows " + counted(*t.Repositories, t.More, "repository", "repositories")
	}
	a.screen.Printf("%s within %s: %s\n", a.screen.Paint(testOutcome(&t)), took, screen.Tame(sees))
}

func counted(n int, more bool, one, many string) string {
	switch {
	case more:
		return fmt.Sprintf("%d %s and more", n, many)
	case n == 1:
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func testOutcome(t *client.RegistryTest) screen.Cell {
	switch {
	case t == nil:
		return screen.Cell{Text: "never", Tone: screen.Faint}
	case t.OK:
		return screen.Cell{Text: "ok", Tone: screen.Good}
	}
	return screen.Cell{Text: strings.ReplaceAll(t.Class, "_", " "), Tone: screen.Bad}
}

// allowance says what a registry may still be asked: 76 of 100 in 6 hours.
func (a *app) allowance(l *client.Allowance) screen.Cell {
	switch {
	case l == nil:
		return screen.Cell{Text: screen.Never, Tone: screen.Faint}
	case l.RetryAt.After(a.screen.Now()):
		return screen.Cell{Text: "nothing until " + screen.Exact(l.RetryAt), Tone: screen.Warn}
	case l.Limit == nil || l.Remaining == nil:
		return screen.Cell{Text: screen.Never, Tone: screen.Faint}
	}
	text := fmt.Sprintf("%d of %d", *l.Remaining, *l.Limit)
	if l.WindowSeconds > 0 {
		text += " in " + screen.Span(time.Duration(l.WindowSeconds)*time.Second)
	}
	cell := screen.Text(text)
	if *l.Remaining == 0 {
		cell.Tone = screen.Warn
	}
	return cell
}
