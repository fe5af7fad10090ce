//go:build failpoint

// Package failpoint kills this process where a test wants it to.
package failpoint

import (
	"fmt"
	"os"
	"syscall"
)

// Here kills this process, as kill -9 would, when it comes to the step that the environment names.
// Only the tests of crashes are built with it.
func Here(name string) {
	if os.Getenv("DOCKER_WATCHER_FAILPOINT") != name { //nolint:forbidigo // a test build's only switch
		return
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
		panic(fmt.Sprintf("failpoint %s: %v", name, err))
	}
	select {}
}
