package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/cmd/docker-watcher/screen"
)

// mostProxies is the largest document of standalone proxies that is sent.
const mostProxies = 3 << 20

func (a *app) proxyExport() *cobra.Command {
	return &cobra.Command{
		Use: "export", Short: "Write all standalone proxies to standard output",
		Long: `Writes all standalone proxies as one JSON document, for a backup or for another installation. Passwords and
the values of secret headers are not in it: where a proxy is there already when it is imported, its own
stay; for a new one write them into the document, as "password" and "value", else it is refused.`,
		Example: "  docker-watcher proxy export > proxies.json",
		Args:    takes(0, 0),
		RunE: a.with(func(c *cobra.Command, api *client.Client, _ []string) error {
			doc, err := api.ExportProxies(c.Context())
			if err != nil {
				return err
			}
			var text bytes.Buffer
			if err := json.Indent(&text, doc, "", "  "); err != nil {
				return fmt.Errorf("read the document: %w", err)
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), text.String())
			return err
		}),
	}
}

func (a *app) proxyImport() *cobra.Command {
	var dry bool
	c := &cobra.Command{
		Use: "import FILE", Short: "Bring the standalone proxies to what a document says",
		Long: `Reads a document of standalone proxies ("-": from standard input) and tells line by line what it would
change; then, when you say yes, all of it is done at once, or nothing. --dry-run only tells.

A proxy of the document is the one that has its id, else the one that has one of its domains with the
path; else it is a new one. What the document does not say of it stays. Proxies that are not in the
document are left alone.`,
		Example: "  docker-watcher proxy import proxies.json --dry-run\n  docker-watcher proxy import - --yes < proxies.json",
		Args:    takes(1, 1),
		RunE: a.with(func(c *cobra.Command, api *client.Client, args []string) error {
			doc, err := readDocument(c, args[0])
			if err != nil {
				return err
			}
			told, err := api.ImportProxies(c.Context(), doc, true)
			if err != nil {
				return err
			}
			if dry || told.Refused > 0 || told.Created+told.Changed == 0 {
				return a.endImport(told)
			}
			if a.output != "json" {
				a.printProxyImport(told)
			}
			if err := a.confirm(c, fmt.Sprintf("Create %d and change %d?", told.Created, told.Changed)); err != nil {
				return err
			}
			done, err := api.ImportProxies(c.Context(), doc, false)
			if err != nil {
				return err
			}
			return a.show(done, func() { a.screen.Printf("%d created, %d changed\n", done.Created, done.Changed) })
		}),
	}
	c.Flags().BoolVar(&dry, "dry-run", false, "tell what would become of each, and write nothing")
	return c
}

// endImport shows what a document would change. One that is refused is an error of whoever wrote it.
func (a *app) endImport(told client.ProxyImport) error {
	if err := a.show(told, func() { a.printProxyImport(told) }); err != nil || told.Refused == 0 {
		return err
	}
	return codeError(exitUsage)
}

func (a *app) printProxyImport(p client.ProxyImport) {
	t := screen.Table{Head: []string{"line", "domain", "what", "of it"}}
	for _, i := range p.Items {
		what := screen.Cell{Text: i.Action}
		about := strings.Join(i.Changed, ", ")
		switch i.Action {
		case "create":
			what.Tone = screen.Good
		case "change":
			what.Tone = screen.Warn
		case "unchanged":
			what.Tone = screen.Faint
		case "refused":
			what.Tone = screen.Bad
			var why []string
			for _, e := range i.Errors {
				_, field, _ := strings.Cut(e.Location, "].")
				why = append(why, field+": "+e.Message)
			}
			about = strings.Join(why, "; ")
		}
		t.Add(screen.Text(fmt.Sprintf("proxies[%d]", i.Index)), screen.Text(i.Name), what, screen.Text(about))
	}
	a.screen.Print(t)
	a.screen.Printf("%d to create, %d to change, %d as they are, %d refused\n", p.Created, p.Changed, p.Unchanged, p.Refused)
	if p.Refused > 0 {
		a.screen.Printf("nothing is imported while one is refused\n")
	}
}

func readDocument(c *cobra.Command, name string) (doc json.RawMessage, err error) {
	from := c.InOrStdin()
	if name != "-" {
		file, opened := os.Open(name)
		if opened != nil {
			return nil, opened
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		from = file
	}
	doc, err = io.ReadAll(io.LimitReader(from, mostProxies+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", name, err)
	case len(doc) > mostProxies:
		return nil, &hinted{fmt.Errorf("%s is larger than 3 MiB", name), "import it in several parts"}
	case !json.Valid(doc):
		return nil, &hinted{fmt.Errorf("%s is no JSON document", name), "docker-watcher proxy export writes one"}
	}
	return doc, nil
}
