package reclaim

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// facts are all that the fate of an image rests on.
type facts struct {
	names   []string // that the engine has it by
	known   []string // those of them that an archive of ours gave it
	digests []string // repository digests
	pulled  *store.PulledImage
	remnant *store.Remnant
	users   []string // instances of ours, whatever their stage and status
	kept    []string // archives that need it
	deploy  string   // one that is under way on its host and may want it in a moment
	// containers of anybody made of it or of an image built on it; asked only of what passes all else.
	containers []string
}

// verdict says what may become of an image: reclaimable, or what its result would be and why, in words.
type verdict struct {
	result store.CleanupResult // empty: reclaimable
	why    string
}

func (v verdict) reclaimable() bool { return v.result == "" }

// judge is the rule: an image goes only if we brought it, an instance of ours that was removed used it, nothing
// of anybody's uses it now, no archive keeps it, and every name that it has is ours.
func judge(f facts) verdict {
	if f.pulled == nil {
		return unbrought(f)
	}
	if f.pulled.Foreign {
		return verdict{store.ResultChanged, "it was here before docker-watcher asked for it"}
	}
	switch {
	case len(f.users) > 0:
		return verdict{store.ResultInUse, fmt.Sprintf("%s of ours on this host: %s", counted(len(f.users), "instance"), some(f.users))}
	case len(f.kept) > 0:
		return verdict{store.ResultKept, counted(len(f.kept), "archive") + " needed for an undo"}
	case f.remnant == nil:
		return verdict{store.ResultKept, "no removed instance of ours has used it"}
	}
	if foreign := foreignNames(f); len(foreign) > 0 {
		return verdict{store.ResultChanged, "somebody else has a name for it: " + some(foreign)}
	}
	switch {
	case f.deploy != "":
		return verdict{store.ResultInUse, "a deploy is under way on this host: " + f.deploy}
	case len(f.containers) > 0:
		return verdict{store.ResultInUse, fmt.Sprintf("%s made of it, or of an image built on it: %s", counted(len(f.containers), "container"), some(f.containers))}
	}
	return verdict{}
}

// unbrought is the verdict on an image that is not known to be our doing.
func unbrought(f facts) verdict {
	if len(f.kept) > 0 {
		return verdict{store.ResultKept, counted(len(f.kept), "archive") + " needed for an undo"}
	}
	orphans := slices.DeleteFunc(slices.Clone(f.names), func(name string) bool { return !isArchiveTag(name) || slices.Contains(f.known, name) })
	if len(orphans) > 0 {
		return verdict{store.ResultChanged, fmt.Sprintf("no archive that is known here has given it %s; if no other docker-watcher uses this engine, docker rmi takes it away", some(orphans))}
	}
	return verdict{store.ResultChanged, "it is not known who brought it here"}
}

// foreignNames are those that neither a deploy of ours nor an archive of ours gave it. The tag of an archive that we do not
// know belongs to another installation on the same engine.
func foreignNames(f facts) []string {
	ours, repositories := map[string]bool{}, map[string]bool{store.ArchiveRepository: true}
	know := func(ref string) {
		ours[canonical(ref)], repositories[repositoryOf(ref)] = true, true
	}
	for _, ref := range f.known {
		know(ref)
	}
	if f.pulled != nil && f.pulled.Ref != "" {
		know(f.pulled.Ref)
	}
	if f.remnant != nil {
		for _, ref := range f.remnant.Refs {
			know(ref)
		}
	}
	var foreign []string
	for _, name := range f.names {
		if !ours[canonical(name)] {
			foreign = append(foreign, name)
		}
	}
	for _, digest := range f.digests {
		if !repositories[repositoryOf(digest)] {
			foreign = append(foreign, digest)
		}
	}
	return foreign
}

// added are the names of now that are not among those of then.
func added(now, then []string) []string {
	return slices.DeleteFunc(slices.Clone(now), func(name string) bool { return slices.Contains(then, name) })
}

// fewNames are as many as a sentence bears.
const fewNames = 3

func some(names []string) string {
	short := make([]string, 0, fewNames)
	for _, n := range names[:min(len(names), fewNames)] {
		short = append(short, shortID(n))
	}
	words := strings.Join(short, ", ")
	if more := len(names) - fewNames; more > 0 {
		words += fmt.Sprintf(" and %d more", more)
	}
	return words
}

// shortID is how people know a container's id; other names stay as they are.
func shortID(name string) string {
	if len(name) == 64 && strings.Trim(name, "0123456789abcdef") == "" {
		return name[:12]
	}
	return name
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
