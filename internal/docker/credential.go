package docker

import (
	"fmt"

	"github.com/moby/moby/api/pkg/authconfig"
	"github.com/moby/moby/api/types/registry"
)

// hubAddress is what engines know Docker Hub as where it comes to credentials.
const hubAddress = "https://index.docker.io/v1/"

// Credential is what a Pull brings to the registry at a host, as names of images write it; empty without a password.
func Credential(host, username, password string) (string, error) {
	if password == "" {
		return "", nil
	}
	address := host
	if host == "docker.io" {
		address = hubAddress
	}
	auth, err := authconfig.Encode(registry.AuthConfig{Username: username, Password: password, ServerAddress: address})
	if err != nil {
		return "", fmt.Errorf("write the credential for %s: %w", host, err)
	}
	return auth, nil
}
