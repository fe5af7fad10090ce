// Command killtest puts a backup back into a data folder. Built with the tag failpoint it is what the test of this package kills in the
// middle, as kill -9 or a power cut would.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/backup"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: killtest FILE DATA_DIR STORE")
		os.Exit(2) //nolint:forbidigo // it says how it ended
	}
	to := store.Options{DataDir: os.Args[2], URL: os.Args[3]}
	if _, err := backup.Restore(context.Background(), os.Args[1], to, time.Now()); err != nil { //nolint:forbidigo // a command makes its own context
		fmt.Fprintln(os.Stderr, "killtest:", err)
		os.Exit(1) //nolint:forbidigo // as above
	}
}
