//go:build !linux

package enginetest

import "syscall"

func leash() *syscall.SysProcAttr { return nil }
