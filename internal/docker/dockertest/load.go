package dockertest

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// serveLoad reads a docker-archive: its tags, and of its configuration what a container shows.
func (e *Engine) serveLoad(w http.ResponseWriter, r *request) {
	loaded, err := readArchive(r.Body)
	if err != nil {
		e.fail(w, http.StatusBadRequest, "open archive: "+err.Error())
		return
	}
	e.mu.Lock()
	var lines strings.Builder
	for _, l := range loaded {
		img := e.newImage(Image{ID: l.id, Size: l.size, Health: l.health, Ports: l.ports, Volumes: l.volumes})
		img.entry, img.cmd, img.env, img.labels, img.layers = l.entry, l.cmd, l.env, l.labels, l.layers
		img = e.keepImage(img)
		for _, t := range l.tags {
			if e.o.podman() && !strings.Contains(strings.Split(t, "/")[0], ".") && !strings.Contains(strings.Split(t, "/")[0], ":") {
				t = "localhost/" + t
			}
			e.tag(img, withTag(t))
			fmt.Fprintf(&lines, "{\"stream\":\"Loaded image: %s\\n\"}\n", t)
		}
	}
	e.mu.Unlock()
	e.answer(w, http.StatusOK, []byte(lines.String()))
}

type loadedImage struct {
	id      string
	tags    []string
	size    int64
	health  bool
	ports   []string
	volumes []string
	entry   []string
	cmd     []string
	env     []string
	labels  map[string]string
	layers  []layer
}

func readArchive(body io.Reader) ([]loadedImage, error) {
	files, sizes := map[string][]byte{}, map[string]int64{}
	var size int64
	tr := tar.NewReader(body)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read archive: %w", err)
		}
		size += h.Size
		sizes[h.Name] = h.Size
		if h.Size > 1<<20 || h.Typeflag != tar.TypeReg {
			continue // a layer
		}
		if files[h.Name], err = io.ReadAll(tr); err != nil {
			return nil, fmt.Errorf("read archive: %w", err)
		}
	}
	var manifest []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	if err := json.Unmarshal(files["manifest.json"], &manifest); err != nil {
		return nil, fmt.Errorf("read manifest.json: %w", err)
	}
	var loaded []loadedImage
	for _, m := range manifest {
		var file struct {
			Config struct {
				Entrypoint   []string
				Cmd          []string
				Env          []string
				Labels       map[string]string
				ExposedPorts map[string]struct{}
				Volumes      map[string]struct{}
				Healthcheck  *struct{ Test []string }
			} `json:"config"`
		}
		if err := json.Unmarshal(files[m.Config], &file); err != nil {
			return nil, fmt.Errorf("read image configuration: %w", err)
		}
		sum := sha256.Sum256(files[m.Config])
		c := file.Config
		var layers []layer
		for _, name := range m.Layers {
			layers = append(layers, layer{id: "sha256:" + strings.TrimSuffix(name, ".tar.gz"), size: sizes[name]})
		}
		loaded = append(loaded, loadedImage{
			labels: c.Labels, layers: layers,
			id: "sha256:" + hex.EncodeToString(sum[:]), tags: m.RepoTags, size: size, health: c.Healthcheck != nil,
			ports: sortedKeys(c.ExposedPorts), volumes: sortedKeys(c.Volumes), entry: c.Entrypoint, cmd: c.Cmd, env: c.Env,
		})
	}
	return loaded, nil
}
