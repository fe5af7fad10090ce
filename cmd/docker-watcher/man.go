package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// manCommand writes the manual pages; hidden, for it is asked for once an installation at most.
func (a *app) manCommand() *cobra.Command {
	return &cobra.Command{
		Use: "man FOLDER", Short: "Write the manual pages, one for each command", Hidden: true,
		Long:    "Writes a manual page for this command and for each one below it, to be read with man. A package brings them along; this is for who has only the program.",
		Example: "  docker-watcher man /usr/local/share/man/man1",
		Args:    takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil { //nolint:gosec // manual pages are for everybody
				return fmt.Errorf("make the folder of the manual pages: %w", err)
			}
			header := &doc.GenManHeader{Section: "1", Source: "docker-watcher " + a.version, Manual: "docker-watcher"} // SOURCE_DATE_EPOCH dates it
			root := c.Root()
			root.DisableAutoGenTag = true
			if err := doc.GenManTree(root, header, args[0]); err != nil {
				return fmt.Errorf("write the manual pages: %w", err)
			}
			return nil
		},
	}
}
