//go:build !failpoint

package deploy

// failpoint is where a test build may be killed; see failpoint_on.go.
func failpoint(string) {}
