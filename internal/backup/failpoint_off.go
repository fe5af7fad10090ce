//go:build !failpoint

package backup

// failpoint is where a test build may be killed; see failpoint_on.go.
func failpoint(string) {}
