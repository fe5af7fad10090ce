package deploy

import (
	"fmt"
	"strings"

	"github.com/tiny-forge/docker-watcher/internal/docker"
)

// wrongPlatform says why an image cannot run on an engine; empty when it can, or where one of them does not tell.
func wrongPlatform(image docker.Image, engine docker.Info) string {
	has, wants := image.OS+"/"+arch(image.Arch), engine.OS+"/"+arch(engine.Arch)
	if image.OS == "" || image.Arch == "" || engine.OS == "" || engine.Arch == "" || has == wants || narrower[wants] == has {
		return ""
	}
	return fmt.Sprintf("it is made for %s, and the engine is %s", has, wants)
}

// narrower is what an engine runs as well as its own: the 32 bits of its family.
var narrower = map[string]string{"linux/amd64": "linux/386", "linux/arm64": "linux/arm"}

// arch brings the names that kernels and images have for one architecture together.
func arch(name string) string {
	switch name = strings.ToLower(name); name {
	case "x86_64", "x86-64":
		return "amd64"
	case "aarch64", "armv8":
		return "arm64"
	case "armv6l", "armv7l", "armhf", "armel":
		return "arm"
	case "i386", "i486", "i586", "i686", "x86":
		return "386"
	}
	return name
}
