package dockertest

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Image is an image to be put on the engine or into the registry that it pulls from.
type Image struct {
	Ref      string // repository:tag
	ID       string // sha256:...; default made from Ref
	Digest   string // sha256:... that the registry knows it by; default made from ID
	Size     int64  // whole, with the layers of Base
	Base     string // reference of the image that it is built on, which must be on the engine
	Labels   map[string]string
	Ports    []string // "80/tcp"
	Volumes  []string // targets of anonymous volumes
	Health   bool     // has a HEALTHCHECK
	Life     Life     // of every container made from it
	Greeting []string // what a container writes when it starts; nil: what the test app writes
	Arch     string   // default amd64
	Auth     string   // only in a registry: the X-Registry-Auth that a pull must bring
	Layers   int      // only in a registry: how many are pulled; default 2
	PullTime time.Duration
	PullFail string // only in a registry: the pull breaks off in the middle with this message
}

type image struct {
	Image
	id       string
	tags     []string
	digests  []string
	size     int64
	parent   *image
	layers   []layer
	labels   map[string]string
	files    map[string]string // path -> content, of those that a test wrote
	ports    []string
	volumes  []string
	env      []string
	entry    []string
	cmd      []string
	check    bool
	life     Life
	greeting []string
	created  time.Time
}

// layer of an image; two images with the same one share its bytes.
type layer struct {
	id   string
	size int64
}

func (i *image) volumeSet() map[string]struct{} {
	out := map[string]struct{}{}
	for _, v := range i.volumes {
		out[v] = struct{}{}
	}
	return out
}

// AddImage puts an image on the engine and returns its id.
func (e *Engine) AddImage(i Image) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.keepImage(e.newImage(i)).id
}

// Publish puts an image into the registry, so that the engine can pull it, and returns its digest.
// Publishing another one under the same tag moves the tag.
func (e *Engine) Publish(i Image) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	img := e.newImage(i)
	repository, _ := splitRef(i.Ref)
	e.registry[withTag(i.Ref)] = img
	e.registry[repository+"@"+img.Digest] = img
	return img.Digest
}

// Images returns the references of the images on the engine.
func (e *Engine) Images() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return sortedKeys(e.refs)
}

func (e *Engine) newImage(i Image) *image {
	if i.ID == "" {
		i.ID = "sha256:" + e.newID("image "+i.Ref)
	}
	if i.Digest == "" {
		sum := sha256.Sum256([]byte("manifest of " + i.ID))
		i.Digest = "sha256:" + hex.EncodeToString(sum[:])
	}
	img := &image{
		Image: i, id: i.ID, size: cmp.Or(i.Size, 6<<20), labels: i.Labels, ports: i.Ports, volumes: i.Volumes, entry: []string{"/app"},
		check: i.Health || i.Life.Health, life: i.Life, greeting: i.Greeting, created: e.now(),
	}
	own := layer{id: "sha256:" + e.newID("layer"), size: img.size}
	if i.Base != "" {
		img.parent = e.imageFor(i.Base)
		img.layers = slices.Clone(img.parent.layers)
		own.size = max(0, img.size-img.parent.size)
	}
	img.layers = append(img.layers, own)
	return img
}

// keepImage puts an image on the engine; its tag moves away from the one that had it.
func (e *Engine) keepImage(img *image) *image {
	if have := e.images[img.id]; have != nil {
		img = have
	} else {
		e.images[img.id] = img
	}
	if img.Ref != "" && !strings.Contains(img.Ref, "@") {
		e.tag(img, withTag(img.Ref))
	}
	return img
}

func (e *Engine) tag(img *image, ref string) {
	if old := e.refs[ref]; old != nil && old != img {
		old.tags = slices.DeleteFunc(old.tags, func(t string) bool { return t == ref })
	}
	e.refs[ref] = img
	if !slices.Contains(img.tags, ref) {
		img.tags = append(img.tags, ref)
	}
}

// imageFor finds the image of a template, making one when there is none.
func (e *Engine) imageFor(ref string) *image {
	if ref == "" {
		ref = "example/app:v1"
	}
	if img := e.findImage(ref); img != nil {
		return img
	}
	return e.keepImage(e.newImage(Image{Ref: ref}))
}

func (e *Engine) findImage(ref string) *image {
	if name, digest, ok := strings.Cut(ref, "@"); ok { // the digest decides, whatever tag stands before it
		repository, _ := splitRef(name)
		ref = repository + "@" + digest
	}
	if img := e.images[ref]; img != nil {
		return img
	}
	if img := e.refs[withTag(ref)]; img != nil {
		return img
	}
	hexID := strings.TrimPrefix(ref, "sha256:")
	if len(hexID) >= 12 {
		for id, img := range e.images {
			if strings.HasPrefix(id, "sha256:"+hexID) {
				return img
			}
		}
	}
	if short := e.shortRef(ref); short != ref {
		return e.findImage(short)
	}
	// A podman engine puts names without a registry under localhost.
	if e.o.podman() {
		return cmp.Or(e.refs["localhost/"+withTag(ref)], e.refs["docker.io/"+withTag(ref)])
	}
	return nil
}

func splitRef(ref string) (repository, tag string) {
	if repository, digest, ok := strings.Cut(ref, "@"); ok {
		return repository, digest
	}
	slash := strings.LastIndex(ref, "/")
	if colon := strings.LastIndex(ref, ":"); colon > slash {
		return ref[:colon], ref[colon+1:]
	}
	return ref, "latest"
}

// withTag is the reference as the engine keeps it.
func withTag(ref string) string {
	if strings.Contains(ref, "@") {
		return ref
	}
	repository, tag := splitRef(ref)
	return repository + ":" + tag
}

func (e *Engine) routeImages(w http.ResponseWriter, r *request) {
	p := r.parts
	name := strings.TrimPrefix(r.path, "/images/")
	switch {
	case r.Method == http.MethodGet && len(p) == 2 && p[1] == "json":
		e.serveImages(w, r)
	case r.Method == http.MethodPost && len(p) == 2 && p[1] == "create":
		e.servePull(w, r)
	case r.Method == http.MethodPost && len(p) == 2 && p[1] == "load":
		e.serveLoad(w, r)
	case r.Method == http.MethodGet && strings.HasSuffix(name, "/json"):
		e.serveImage(w, strings.TrimSuffix(name, "/json"))
	case r.Method == http.MethodPost && strings.HasSuffix(name, "/tag"):
		e.serveTag(w, r, strings.TrimSuffix(name, "/tag"))
	case r.Method == http.MethodDelete:
		e.serveRemoveImage(w, r, name)
	default:
		e.fail(w, http.StatusNotFound, "page not found")
	}
}

func (e *Engine) noSuchImage(w http.ResponseWriter, ref string) {
	e.fail(w, http.StatusNotFound, "no such image: "+ref+": No such image: "+withTag(ref))
}

func (e *Engine) serveImage(w http.ResponseWriter, ref string) {
	e.mu.Lock()
	i := e.findImage(ref)
	if i == nil {
		e.mu.Unlock()
		e.noSuchImage(w, ref)
		return
	}
	ports := map[string]struct{}{}
	for _, p := range i.ports {
		ports[p] = struct{}{}
	}
	config := map[string]any{"Entrypoint": i.entry, "Cmd": i.cmd, "Env": i.env, "ExposedPorts": ports, "Volumes": i.volumeSet(), "Labels": i.labels}
	if i.check && !e.o.podman() { // podman's Docker API keeps it to itself
		config["Healthcheck"] = imageCheck()
	}
	body := map[string]any{
		"Id": i.id, "RepoTags": append([]string{}, i.tags...), "RepoDigests": append([]string{}, i.digests...), "Size": i.size, "Os": "linux", "Architecture": cmp.Or(i.Arch, "amd64"),
		"Created": stamp(i.created), "Config": config, "RootFS": map[string]any{"Type": "layers", "Layers": i.layerIDs()},
	}
	if i.parent != nil {
		body["Parent"] = i.parent.id
	}
	e.mu.Unlock()
	e.answerJSON(w, http.StatusOK, body)
}
