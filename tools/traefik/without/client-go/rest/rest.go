// Package rest stands where Kubernetes' client has its own: see tools/traefik.
package rest

import "errors"

// ErrNotInCluster is what Traefik knows by that it does not run in a cluster.
var ErrNotInCluster = errors.New("there is no cluster here")

// Config leads nowhere.
type Config struct{}

// InClusterConfig finds none.
func InClusterConfig() (*Config, error) { return nil, ErrNotInCluster }
