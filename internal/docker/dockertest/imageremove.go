package dockertest

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// shortRef is a name as a Docker engine keeps it: without the default registry. Podman keeps it whole.
func (e *Engine) shortRef(ref string) string {
	if e.o.podman() {
		return ref
	}
	return strings.TrimPrefix(strings.TrimPrefix(ref, "docker.io/"), "library/")
}

func (e *Engine) serveTag(w http.ResponseWriter, r *request, ref string) {
	e.mu.Lock()
	i := e.findImage(ref)
	if i != nil {
		name := e.shortRef(r.query.Get("repo")) + ":" + cmp.Or(r.query.Get("tag"), "latest")
		e.tag(i, name)
		e.emitOther("image", "tag", i.id, map[string]string{"name": name})
	}
	e.mu.Unlock()
	if i == nil {
		e.noSuchImage(w, ref)
		return
	}
	w.WriteHeader(http.StatusCreated)
}

func (e *Engine) serveRemoveImage(w http.ResponseWriter, r *request, ref string) {
	e.mu.Lock()
	i := e.findImage(ref)
	if i == nil {
		e.mu.Unlock()
		e.noSuchImage(w, ref)
		return
	}
	remove := e.removeName
	if e.isID(i, ref) {
		remove = e.removeID
	}
	items, refusal := remove(i, ref, r.flag("force"))
	e.mu.Unlock()
	if refusal.status != 0 {
		e.reply(w, refusal)
		return
	}
	e.answerJSON(w, http.StatusOK, items)
}

// isID tells a removal of a whole image from one of a name.
func (e *Engine) isID(i *image, ref string) bool {
	return strings.HasPrefix(i.id, "sha256:"+strings.TrimPrefix(ref, "sha256:"))
}

// gone is what a removal did, in the engine's words.
type gone []map[string]string

func (g *gone) untagged(name string) { *g = append(*g, map[string]string{"Untagged": name}) }

func (e *Engine) removeID(i *image, _ string, force bool) (items gone, refusal reply) {
	short := i.id[7:19]
	user := e.imageUser(i)
	switch {
	case len(i.tags) > 1 && !force && e.o.podman():
		return nil, refuse(http.StatusInternalServerError, "unable to delete image %q by ID with more than one tag (%v): please force removal", i.id[7:], i.tags)
	case len(i.tags) > 1 && !force:
		return nil, refuse(http.StatusConflict, "conflict: unable to delete %s (must be forced) - image is referenced in multiple repositories", short)
	case user != nil && e.o.podman() && !force:
		return nil, refuse(http.StatusConflict, "image %s is in use: image used by %s: image is in use by a container: consider listing external containers and force-removing image", i.id, user.ID)
	case user != nil && user.processLives():
		return nil, refuse(http.StatusConflict, "conflict: unable to delete %s (cannot be forced) - image is being used by running container %s", short, user.ID[:12])
	case user != nil && !force:
		return nil, refuse(http.StatusConflict, "conflict: unable to delete %s (must be forced) - image is being used by stopped container %s", short, user.ID[:12])
	case e.imageChild(i) != nil && !e.o.podman():
		return nil, refuse(http.StatusConflict, "conflict: unable to delete %s (cannot be forced) - image has dependent child images", short)
	}
	return e.deleteImage(i), reply{}
}

func (e *Engine) removeName(i *image, ref string, force bool) (items gone, refusal reply) {
	name := withTag(e.shortRef(ref))
	for _, other := range []string{"localhost/" + name, "docker.io/" + name} {
		if e.refs[name] == nil && e.refs[other] == i {
			name = other
		}
	}
	repository, _ := splitRef(name)
	if e.onlyName(i, repository) {
		switch user := e.imageUser(i); {
		case user != nil && !force && e.o.podman():
			return nil, refuse(http.StatusConflict, "image %s is in use: image used by %s: image is in use by a container: consider listing external containers and force-removing image", ref, user.ID)
		case user != nil && !force:
			return nil, refuse(http.StatusConflict, "conflict: unable to remove repository reference %q (must force) - container %s is using its referenced image %s", ref, user.ID[:12], i.id[7:19])
		case user == nil && e.imageChild(i) == nil:
			return e.deleteImage(i), reply{}
		}
	}
	e.untag(i, name, &items)
	return items, reply{}
}

// onlyName says that all names of an image are of one repository and at most one of them is a tag.
func (e *Engine) onlyName(i *image, repository string) bool {
	foreign := func(ref string) bool {
		other, _ := splitRef(ref)
		return other != repository
	}
	return len(i.tags) <= 1 && !slices.ContainsFunc(i.tags, foreign) && !slices.ContainsFunc(i.digests, foreign)
}

// untag takes a name away, and the digests of a repository with its last tag.
func (e *Engine) untag(i *image, name string, items *gone) {
	repository, _ := splitRef(name)
	same := func(ref string) bool {
		other, _ := splitRef(ref)
		return other == repository
	}
	drop := func(ref string) {
		delete(e.refs, ref)
		items.untagged(ref)
		e.emitOther("image", "untag", i.id, map[string]string{"name": i.id})
	}
	drop(name)
	keep := func(ref string) bool { return ref == name }
	i.tags, i.digests = slices.DeleteFunc(i.tags, keep), slices.DeleteFunc(i.digests, keep)
	if slices.ContainsFunc(i.tags, same) {
		return
	}
	for _, digest := range i.digests {
		if same(digest) {
			drop(digest)
		}
	}
	i.digests = slices.DeleteFunc(i.digests, same)
}

// deleteImage takes an image away with all its names; its layers go unless another image has them.
func (e *Engine) deleteImage(i *image) (items gone) {
	for _, name := range slices.Concat(i.tags, i.digests) {
		items.untagged(name)
	}
	delete(e.images, i.id)
	maps.DeleteFunc(e.refs, func(_ string, other *image) bool { return other == i })
	id := i.id
	if e.o.podman() {
		id = strings.TrimPrefix(id, "sha256:")
	}
	items = append(items, map[string]string{"Deleted": id})
	if !e.o.podman() {
		for _, l := range i.layers {
			if !e.hasLayer(l.id) {
				items = append(items, map[string]string{"Deleted": l.id})
			}
		}
	}
	e.emitOther("image", "delete", i.id, map[string]string{"name": i.id})
	return items
}

func (e *Engine) hasLayer(id string) bool {
	for _, i := range e.images {
		if slices.ContainsFunc(i.layers, func(l layer) bool { return l.id == id }) {
			return true
		}
	}
	return false
}

// imageUser is a container made from the image, one that runs if there is one.
func (e *Engine) imageUser(i *image) *Container {
	var user *Container
	for _, c := range e.byID {
		if c.image == i && (user == nil || c.processLives()) {
			user = c
		}
	}
	return user
}

// imageChild is an image built on this one.
func (e *Engine) imageChild(i *image) *image {
	for _, other := range e.images {
		if other.parent == i {
			return other
		}
	}
	return nil
}
