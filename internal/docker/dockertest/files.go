package dockertest

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path"
	"strings"
)

// Write puts a file into the container, as its process would: into the writable layer or a volume.
func (c *Container) Write(name, text string) {
	defer c.lock()()
	c.writeFile(name, text)
}

// Read is what is in a file of the container.
func (c *Container) Read(name string) (text string, ok bool) {
	defer c.lock()()
	return c.readFile(name)
}

// mountAt is the mount that a path leads into, and the rest of the path; nil for the container's own files.
func (c *Container) mountAt(name string) (m *mountPoint, rest string) {
	name = path.Clean(name)
	for i := range c.mounts {
		target := path.Clean(c.mounts[i].target)
		if name == target || strings.HasPrefix(name, target+"/") {
			if m == nil || len(target) > len(path.Clean(m.target)) {
				m, rest = &c.mounts[i], strings.TrimPrefix(name, target)
			}
		}
	}
	return m, rest
}

func (c *Container) writeFile(name, text string) {
	m, rest := c.mountAt(name)
	switch {
	case m == nil:
		name = path.Clean(name)
		c.sizeRw += int64(len(text) - len(c.files[name]))
		if c.files == nil {
			c.files = map[string]string{}
		}
		c.files[name] = text
		c.changed()
	case m.vol != nil:
		m.vol.files[rest] = text
	}
}

func (c *Container) readFile(name string) (string, bool) {
	m, rest := c.mountAt(name)
	if m != nil {
		if m.vol == nil {
			return "", false
		}
		text, ok := m.vol.files[rest]
		return text, ok
	}
	if text, ok := c.files[path.Clean(name)]; ok {
		return text, true
	}
	text, ok := c.image.files[path.Clean(name)]
	return text, ok
}

// hasFolder says that files can be put at a path: the root and what is mounted.
func (c *Container) hasFolder(name string) bool {
	m, _ := c.mountAt(name)
	return m != nil || path.Clean(name) == "/"
}

// servePutFiles answers PUT /containers/{id}/archive.
func (e *Engine) servePutFiles(w http.ResponseWriter, r *request, ref string) {
	files, err := untar(r.Body)
	if err != nil {
		e.fail(w, http.StatusBadRequest, err.Error())
		return
	}
	folder := r.query.Get("path")
	e.act(w, ref, func(c *Container) reply {
		if !c.hasFolder(folder) {
			return refuse(http.StatusNotFound, "Could not find the file %s in container %s", folder, ref)
		}
		for name, text := range files {
			c.writeFile(path.Join(folder, name), text)
		}
		return reply{status: http.StatusOK}
	})
}

func untar(body io.Reader) (map[string]string, error) {
	files := map[string]string{}
	for r := tar.NewReader(body); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read archive: %w", err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			return nil, fmt.Errorf("read archive: %w", err)
		}
		files[h.Name] = string(text)
	}
}

// serveGetFile answers GET /containers/{id}/archive for a single file.
func (e *Engine) serveGetFile(w http.ResponseWriter, r *request, ref string) {
	name := r.query.Get("path")
	e.mu.Lock()
	c := e.find(ref)
	if c == nil {
		e.mu.Unlock()
		e.noSuchContainer(w, ref)
		return
	}
	text, ok := c.readFile(name)
	e.mu.Unlock()
	if !ok {
		e.fail(w, http.StatusNotFound, "Could not find the file "+name+" in container "+ref)
		return
	}
	var body bytes.Buffer
	out := tar.NewWriter(&body)
	if err := errors.Join(out.WriteHeader(&tar.Header{Name: path.Base(name), Mode: 0o644, Size: int64(len(text))}), written(io.WriteString(out, text)), out.Close()); err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/x-tar")
	w.WriteHeader(http.StatusOK)
	// A client that went away cannot be told.
	_, _ = w.Write(body.Bytes())
}

func written(_ int, err error) error { return err }

// Kinds of changes, as on the wire.
const (
	fileModified = 0
	fileAdded    = 1
)

// serveChanges answers GET /containers/{id}/changes: with the files, also the folders that the engine made to mount there.
func (e *Engine) serveChanges(w http.ResponseWriter, ref string) {
	e.mu.Lock()
	c := e.find(ref)
	if c == nil {
		e.mu.Unlock()
		e.noSuchContainer(w, ref)
		return
	}
	kinds := c.changes()
	e.mu.Unlock()
	list := make([]map[string]any, 0, len(kinds))
	for _, name := range sortedKeys(kinds) {
		list = append(list, map[string]any{"Path": name, "Kind": kinds[name]})
	}
	e.answerJSON(w, http.StatusOK, list)
}

func (c *Container) changes() map[string]int {
	kinds := map[string]int{}
	if !c.started.IsZero() {
		for _, m := range c.mounts {
			for dir := path.Clean(m.target); dir != "/"; dir = path.Dir(dir) {
				kinds[dir] = fileAdded
			}
		}
		if c.e.o.podman() {
			kinds["/etc"] = fileAdded
		}
	}
	for name := range c.files {
		kinds[name] = fileAdded
		if _, ok := c.image.files[name]; ok {
			kinds[name] = fileModified
		}
		for dir := path.Dir(name); dir != "/"; dir = path.Dir(dir) {
			kinds[dir] = fileModified
		}
	}
	if len(c.files) == 0 && c.sizeRw > 0 {
		kinds["/changed"] = fileAdded // a template said that there are bytes
	}
	return kinds
}

// serveCommit answers POST /commit.
func (e *Engine) serveCommit(w http.ResponseWriter, r *request) {
	ref := r.query.Get("container")
	if e.podman() && r.ContentLength == 0 {
		e.fail(w, http.StatusInternalServerError, "Decode(): EOF")
		return
	}
	e.mu.Lock()
	c := e.find(ref)
	if c == nil {
		e.mu.Unlock()
		e.noSuchContainer(w, ref)
		return
	}
	id := e.commit(c, e.shortRef(r.query.Get("repo")), r.query.Get("tag"), r.query["changes"])
	if e.o.podman() {
		id = strings.TrimPrefix(id, "sha256:")
	}
	e.mu.Unlock()
	e.answerJSON(w, http.StatusCreated, map[string]string{"Id": id})
}

func (e *Engine) commit(c *Container, repository, tag string, changes []string) (id string) {
	base := c.image
	img := e.newImage(Image{Size: base.size + c.sizeRw, Ports: base.ports, Volumes: base.volumes, Life: base.life, Greeting: base.greeting})
	img.parent, img.check = base, c.check
	img.layers = append(append([]layer{}, base.layers...), layer{id: "sha256:" + e.newID("layer"), size: c.sizeRw})
	img.entry, img.cmd, img.env = c.entry, c.command, c.env
	img.files, img.labels = map[string]string{}, map[string]string{}
	maps.Copy(img.files, base.files)
	maps.Copy(img.files, c.files)
	maps.Copy(img.labels, c.labels)
	for _, change := range changes {
		what, setting, _ := strings.Cut(change, " ")
		name, value, _ := strings.Cut(setting, "=")
		value = strings.Trim(value, `"`)
		switch what {
		case "LABEL":
			img.labels[name] = value
		case "ENV":
			img.env = mergeEnv([]string{name + "=" + value}, img.env)
		}
	}
	e.images[img.id] = img
	if repository != "" {
		if tag == "" {
			tag = "latest"
		}
		e.tag(img, repository+":"+tag)
	}
	e.emit(c, "commit", map[string]string{"comment": "", "imageID": img.id})
	return img.id
}
