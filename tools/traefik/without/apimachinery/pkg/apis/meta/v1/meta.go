// Package v1 stands where Kubernetes' has its own: see tools/traefik.
package v1

// GetOptions are none.
type GetOptions struct{}
