package registry

import (
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
)

const (
	// DockerHub is the host of images whose names have none.
	DockerHub = "docker.io"
	// localHost is what podman puts before images that it got from nowhere.
	localHost = "localhost"
)

// HostOf is the host of the registry that an image comes from, read as engines read it: shop and acme/shop are Docker
// Hub's, ghcr.io/acme/shop is not.
func HostOf(image string) string {
	if !Named(image) {
		return DockerHub
	}
	first, _, _ := strings.Cut(image, "/")
	return canonical(first)
}

// Named reports whether the name of an image has a host in it.
func Named(image string) bool {
	first, _, more := strings.Cut(image, "/")
	return more && (first == localHost || strings.ContainsAny(first, ".:"))
}

// InNone reports whether an image is in no registry, so that none can be asked.
func InNone(image string) bool { return HostOf(image) == localHost }

// PathOf is the repository of an image without its host, as its registry knows it: acme/shop, and library/shop of Docker
// Hub's shop.
func PathOf(image string) string {
	path := image
	if Named(image) {
		_, path, _ = strings.Cut(image, "/")
	} else if !strings.Contains(image, "/") {
		return "library/" + image
	}
	if HostOf(image) == DockerHub && !strings.Contains(path, "/") {
		path = "library/" + path
	}
	return path
}

// canonical is the one way to write a host that has several.
func canonical(host string) string {
	switch host = strings.ToLower(host); host {
	case "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com", "hub.docker.com", "docker.com":
		return DockerHub
	}
	return host
}

var hostForm = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*(?::([0-9]{1,5}))?$`)

// ParseHost reads the host of a registry as somebody typed it. An error says what to write in its place.
func ParseHost(text string) (string, error) {
	host := canonical(text)
	switch {
	case strings.Contains(host, "://"):
		return "", fmt.Errorf("write the host without %s, as in the names of images", host[:strings.Index(host, "://")+3])
	case strings.Contains(host, "/"):
		return "", fmt.Errorf("write the host alone, without a path: what stands before the first / in the names of images")
	case strings.Contains(host, "@"):
		return "", fmt.Errorf("write the host alone: user name and password have fields of their own")
	}
	form := hostForm.FindStringSubmatch(host)
	if form == nil || len(host) > 255 {
		return "", fmt.Errorf("a host name or an IPv4 address, with a port where it has one, such as ghcr.io or 10.0.0.7:5000")
	}
	if port := form[1]; port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return "", fmt.Errorf("the port must be 1 to 65535")
		}
	}
	if !strings.ContainsAny(host, ".:") {
		return "", fmt.Errorf("%s cannot stand in the name of an image, for it would be read as a part of Docker Hub: add a port or a domain, such as %s:5000", host, host)
	}
	return host, nil
}

// Local reports whether a host is this machine.
func Local(host string) bool {
	if bare, _, err := net.SplitHostPort(host); err == nil {
		host = bare
	}
	ip := net.ParseIP(host)
	return host == localHost || ip != nil && ip.IsLoopback()
}

// reference reads a name as engines do.
func (c *Client) reference(image, tag string) (name.Reference, error) {
	separator := ":"
	if strings.HasPrefix(tag, "sha256:") {
		separator = "@"
	}
	ref, err := name.ParseReference(image+separator+tag, c.names...) // a short name, such as shop:1.0, is one of Docker Hub
	if err != nil {
		return nil, fmt.Errorf("read the name of an image: %w", err)
	}
	return ref, c.ours(ref.Context())
}

func (c *Client) repository(image string) (name.Repository, error) {
	repo, err := name.NewRepository(image, c.names...)
	if err != nil {
		return name.Repository{}, fmt.Errorf("read the name of a repository: %w", err)
	}
	return repo, c.ours(repo)
}

// ours keeps credentials from being used for what another registry has, and notes that the repository is in use.
func (c *Client) ours(repo name.Repository) error {
	if got := canonical(repo.RegistryStr()); got != c.access.Host {
		return fmt.Errorf("%s is at %s, not at %s", repo, got, c.access.Host)
	}
	c.use.note(repo.RepositoryStr(), time.Now())
	return nil
}
