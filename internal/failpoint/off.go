//go:build !failpoint

// Package failpoint has the steps at which a test build may be killed, to see that what was cut off there is mended by the next start.
package failpoint

// Here is a step, by its name. In what is shipped it is nothing; see on.go.
func Here(string) {}
