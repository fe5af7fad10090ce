package backup

import (
	"fmt"
	"strings"
)

// RestoreCommand is what a person types to put a backup back. Where the store is a database on a server its address, which may hold a password, is
// left to the environment.
func RestoreCommand(file, data, store string) string {
	command := "server restore " + Quoted(file) + " --data " + Quoted(data)
	switch {
	case store == "":
		return command
	case strings.Contains(store, "://"):
		return command + ` --store "$DOCKER_WATCHER_STORE"`
	}
	return command + " --store " + Quoted(store)
}

// Quoted is a name that a shell takes as one word.
func Quoted(name string) string {
	if name != "" && !strings.ContainsAny(name, " '\"$`\\*?[]{}()<>|&;!#~") {
		return name
	}
	return fmt.Sprintf("'%s'", strings.ReplaceAll(name, "'", `'\''`))
}
