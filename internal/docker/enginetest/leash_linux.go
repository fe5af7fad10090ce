package enginetest

import "syscall"

// leash ends a child when its parent is killed.
func leash() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
