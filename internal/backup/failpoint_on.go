//go:build failpoint

package backup

import (
	"fmt"
	"os"
	"syscall"
)

// failpoint kills this process, as kill -9 would, when it comes to the point that the environment names.
// Only the tests of crashes are built with it.
func failpoint(name string) {
	if os.Getenv("DOCKER_WATCHER_FAILPOINT") != name { //nolint:forbidigo // a test build's only switch
		return
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
		panic(fmt.Sprintf("failpoint %s: %v", name, err))
	}
	select {}
}
