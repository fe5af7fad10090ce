package docker

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// changedPaths is how many paths are told; the rest is only counted.
const changedPaths = 20

// Changes is what a container changed in its writable layer.
type Changes struct {
	Count int
	Paths []string // the first few, sorted
}

// Changes reports whether a container changed files in its writable layer. What the engine itself makes there when
// it starts a container or mounts something does not count.
func (e *Engine) Changes(ctx context.Context, id string) (Changes, error) {
	c, err := e.Inspect(ctx, id)
	if err != nil {
		return Changes{}, err
	}
	return call(ctx, e, "look for changed files of container "+id, sizeTimeout, func(ctx context.Context, s *session) (Changes, error) {
		got, err := s.cli.ContainerDiff(ctx, c.ID, client.ContainerDiffOptions{})
		if err != nil {
			return Changes{}, err
		}
		return ownChanges(got.Changes, mountTargets(c)), nil
	})
}

// mountTargets are all paths at which something is mounted, memory too.
func mountTargets(c Container) []string {
	var told struct {
		HostConfig struct{ Tmpfs map[string]string }
	}
	var targets []string
	if json.Unmarshal(c.Raw, &told) == nil {
		for path := range told.HostConfig.Tmpfs {
			targets = append(targets, path)
		}
	}
	for _, m := range c.Mounts {
		targets = append(targets, m.Target)
	}
	return targets
}

// engineFiles are made or written by the engine in every container; a folder stands for all in it.
var engineFiles = []string{
	"/.dockerenv", "/dev", "/etc/hostname", "/etc/hosts", "/etc/mtab", "/etc/resolv.conf", "/proc",
	"/run/.containerenv", "/run/secrets", "/sys",
}

// ownChanges leaves out what the engine did, and folders that only show as modified because of what is in them.
func ownChanges(all []container.FilesystemChange, mounts []string) Changes {
	parents := map[string]bool{}
	for _, c := range all {
		for dir := parent(c.Path); dir != ""; dir = parent(dir) {
			parents[dir] = true
		}
	}
	var made []string
	for _, c := range all {
		switch {
		case parents[c.Path] && c.Kind == container.ChangeModify:
		case within(c.Path, engineFiles):
		case c.Kind != container.ChangeDelete && leadsTo(c.Path, mounts):
		case c.Kind == container.ChangeAdd && leadsTo(c.Path, engineFiles):
		default:
			made = append(made, c.Path)
		}
	}
	slices.Sort(made)
	return Changes{Count: len(made), Paths: slices.Clone(made[:min(len(made), changedPaths)])}
}

// parent is the folder of a path; empty for what lies in the root.
func parent(path string) string {
	return path[:max(strings.LastIndexByte(path, '/'), 0)]
}

// within tells whether a path is one of those, or in one of them.
func within(path string, those []string) bool {
	return slices.ContainsFunc(those, func(one string) bool { return path == one || strings.HasPrefix(path, one+"/") })
}

// leadsTo tells whether a path is one of those, or a folder on the way to one: engines make them to mount there.
func leadsTo(path string, those []string) bool {
	return slices.ContainsFunc(those, func(one string) bool {
		return path == strings.TrimSuffix(one, "/") || strings.HasPrefix(one, path+"/")
	})
}
