package backup

import (
	"fmt"
	"os"
	"strings"
)

// RestoreCommand is what a person types to put a backup back with the program that runs, in whatever folder they are. Where the store is a
// database on a server its address, which may hold a password, is left to the environment; a shell in which that is not set refuses.
func RestoreCommand(file, data, store string) string {
	return restoreCommand(program(), file, data, store)
}

func restoreCommand(program, file, data, store string) string {
	return Quoted(program) + " restore " + Quoted(file) + storeFlags(data, store)
}

// SalvageCommand is what a person types, likewise, to see what can still be read of a store.
func SalvageCommand(data, store string) string {
	return Quoted(program()) + " salvage" + storeFlags(data, store)
}

func storeFlags(data, store string) string {
	flags := " --data " + Quoted(absolute(data))
	switch {
	case store == "":
		return flags
	case strings.Contains(store, "://"):
		return flags + ` --store "${DOCKER_WATCHER_STORE:?}"`
	}
	return flags + " --store " + Quoted(absolute(store))
}

// program is the whole name of the one that runs: it is called differently in a package, in an image and in a build.
func program() string {
	if name, err := os.Executable(); err == nil {
		return name
	}
	return "server"
}

// Quoted is a name that a shell takes as one word.
func Quoted(name string) string {
	if name != "" && !strings.ContainsAny(name, " '\"$`\\*?[]{}()<>|&;!#~") {
		return name
	}
	return fmt.Sprintf("'%s'", strings.ReplaceAll(name, "'", `'\''`))
}
