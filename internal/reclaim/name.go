package reclaim

import (
	"strings"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	defaultRegistry = "docker.io"
	defaultOwner    = "library"
)

// canonical writes a name in full, so that docker's short form and podman's long one compare equal.
func canonical(ref string) string {
	repository, rest := splitName(ref)
	first, _, found := strings.Cut(repository, "/")
	switch {
	case !found:
		repository = defaultRegistry + "/" + defaultOwner + "/" + repository
	case first != "localhost" && !strings.ContainsAny(first, ".:"):
		repository = defaultRegistry + "/" + repository
	}
	if rest == "" {
		rest = ":latest"
	}
	return repository + rest
}

// splitName parts a name into its repository and the rest: :tag, @digest or nothing.
func splitName(ref string) (repository, rest string) {
	if at := strings.Index(ref, "@"); at >= 0 {
		return ref[:at], ref[at:]
	}
	if colon := strings.LastIndex(ref, ":"); colon > strings.LastIndex(ref, "/") {
		return ref[:colon], ref[colon:]
	}
	return ref, ""
}

// repositoryOf is the repository of a name, in full.
func repositoryOf(ref string) string {
	repository, _ := splitName(canonical(ref))
	return repository
}

func isArchiveTag(ref string) bool { return strings.HasPrefix(ref, store.ArchiveRepository+":") }

// layerOf is the id of the archive that keeps a writable layer by a name; ok is false for names of other kinds.
func layerOf(ref string) (id string, ok bool) {
	id, ok = strings.CutPrefix(ref, store.ArchiveRepository+":")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(id, store.LayerSuffix)
}
