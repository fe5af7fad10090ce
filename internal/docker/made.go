package docker

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Made is how a container was made by whoever made it: what was asked for, without what its image gives by itself.
type Made struct {
	Setup
	// RemovedAtEnd: the engine removes it by itself when it ends (--rm).
	RemovedAtEnd bool
	// Others are what else was asked for and Setup has no words for, each one a line of its own.
	Others []string
}

// Made reads how the container was made. Image are the defaults of its image; the zero value takes all as asked for.
func (c Container) Made(image Defaults) (Made, error) {
	asked, err := ReadSetup(c.Raw)
	if err != nil {
		return Made{}, fmt.Errorf("read how container %s was made: %w", c.Name, err)
	}
	var (
		in   madeInspect
		rest unspoken
	)
	if err := errors.Join(json.Unmarshal(c.Raw, &in), json.Unmarshal(c.Raw, &rest)); err != nil {
		return Made{}, fmt.Errorf("read how container %s was made: %w", c.Name, err)
	}
	m := Made{Setup: asked, RemovedAtEnd: in.HostConfig.AutoRemove}
	m.Env = slices.DeleteFunc(without(asked.Env, image.Env), func(v string) bool { return ownVariable(v, c.ID) })
	m.Labels = notIn(asked.Labels, image.Labels)
	m.Entrypoint, m.Command = program(asked, image)
	if asked.User == image.User {
		m.User = ""
	}
	if strings.TrimSuffix(asked.WorkDir, "/") == strings.TrimSuffix(image.WorkingDir, "/") {
		m.WorkDir = ""
	}
	m.Check = asked.Check.without(image.Check)
	podman := slices.Contains(asked.Env, podmanMark)
	if podman {
		if asked.Pids == podmanPids {
			m.Pids = 0
		}
		if asked.ReadOnly {
			maps.DeleteFunc(in.HostConfig.Tmpfs, func(at, _ string) bool { return slices.Contains(podmanFolders, at) })
		}
	}
	m.Others = slices.Concat(in.Config.others(image, in.hostNames(c.ID)), in.HostConfig.others(), in.unmountable(), in.placed(), rest.others(podman))
	return m, nil
}

// program is what must be asked for so that the same runs again. An image's command goes with the image's entrypoint only.
func program(asked Setup, image Defaults) (entrypoint, command []string) {
	switch {
	case len(asked.Entrypoint) == 0 && len(image.Entrypoint) > 0 && len(asked.Command) > 0:
		return asked.Command[:1:1], asked.Command[1:] // the image's was turned off
	case !slices.Equal(asked.Entrypoint, image.Entrypoint):
		return asked.Entrypoint, asked.Command
	case slices.Equal(asked.Command, image.Command):
		return nil, nil
	case len(asked.Command) == 0:
		return asked.Entrypoint, nil
	}
	return nil, asked.Command
}

// without is what was asked for of a check, part by part: an engine fills in from the image what was left open.
func (h *Healthcheck) without(image *Healthcheck) *Healthcheck {
	if h == nil || image == nil {
		return h
	}
	left := *h
	if slices.Equal(h.Test, image.Test) {
		left.Test = nil
	}
	for _, part := range []struct {
		is *time.Duration
		of time.Duration
	}{{&left.Interval, image.Interval}, {&left.Timeout, image.Timeout}, {&left.StartPeriod, image.StartPeriod}} {
		if *part.is == part.of {
			*part.is = 0
		}
	}
	if left.Retries == image.Retries {
		left.Retries = 0
	}
	if len(left.Test) == 0 && left.Interval == 0 && left.Timeout == 0 && left.StartPeriod == 0 && left.Retries == 0 {
		return nil
	}
	return &left
}

// What podman gives by itself.
const (
	podmanMark = "container=podman" // a variable
	podmanPids = 2048
)

var podmanFolders = []string{"/run", "/tmp", "/var/tmp"} // in memory, where the root folder cannot be written

// ownVariable reports whether a variable is one that podman itself gives to a container.
func ownVariable(v, id string) bool {
	return v == podmanMark || v == "HOSTNAME="+shortID(id)
}

func without(all, some []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(one string) bool { return slices.Contains(some, one) })
}

func notIn(all, some map[string]string) map[string]string {
	left := maps.Clone(all)
	maps.DeleteFunc(left, func(k, v string) bool {
		known, ok := some[k]
		return ok && known == v
	})
	return left
}

// FullID reports whether s can be the whole id of a container: 64 hex digits.
func FullID(s string) bool { return fullID(s) }
