package dockertest

import (
	"net/http"
	"slices"
	"strings"
)

// serveImages answers GET /images/json; what images share only where the API knows the question.
func (e *Engine) serveImages(w http.ResponseWriter, r *request) {
	e.mu.Lock()
	list := e.imageRows(r.flag("shared-size") && r.api >= 42, r.api)
	e.mu.Unlock()
	e.answerJSON(w, http.StatusOK, list)
}

func (e *Engine) imageRows(tellShared bool, api int) []map[string]any {
	var shared map[string]int64
	if tellShared {
		shared = e.sharedSizes()
	}
	list := make([]map[string]any, 0, len(e.images))
	for _, id := range sortedKeys(e.images) {
		i := e.images[id]
		row := map[string]any{
			"Id": i.id, "RepoTags": slices.Clone(i.tags), "RepoDigests": slices.Clone(i.digests), "Created": i.created.Unix(), "Size": i.size, "SharedSize": -1, "Containers": -1, "Labels": i.labels, "ParentId": "",
		}
		switch {
		case e.o.podman():
			row["SharedSize"] = 0 // whatever they share
		case tellShared:
			row["SharedSize"] = shared[id]
		}
		if i.parent != nil {
			row["ParentId"] = i.parent.id
		}
		if len(i.tags)+len(i.digests) == 0 && api < 43 && !e.o.podman() {
			row["RepoTags"], row["RepoDigests"] = []string{"<none>:<none>"}, []string{"<none>@<none>"}
		}
		list = append(list, row)
	}
	return list
}

// sharedSizes adds up, for each image, the layers that another one has as well.
func (e *Engine) sharedSizes() map[string]int64 {
	users := map[string]int{}
	for _, i := range e.images {
		for _, l := range i.layers {
			users[l.id]++
		}
	}
	shared := map[string]int64{}
	for id, i := range e.images {
		for _, l := range i.layers {
			if users[l.id] > 1 {
				shared[id] += l.size
			}
		}
	}
	return shared
}

func (i *image) layerIDs() []string {
	ids := make([]string, 0, len(i.layers))
	for _, l := range i.layers {
		ids = append(ids, l.id)
	}
	return ids
}

// serveUsage answers GET /system/df, of images and volumes.
func (e *Engine) serveUsage(w http.ResponseWriter, r *request) {
	e.mu.Lock()
	images, volumes := e.imageRows(true, r.api), make([]map[string]any, 0, len(e.volumes))
	users := e.volumeUsers()
	for _, name := range sortedKeys(e.volumes) {
		v := e.volumes[name]
		row := v.encode(e.o.DataRoot)
		row["UsageData"] = map[string]any{"Size": v.bytes(), "RefCount": users[name]}
		volumes = append(volumes, row)
	}
	e.mu.Unlock()
	if r.api >= 52 {
		body := map[string]any{}
		if asked := r.query["type"]; len(asked) == 0 || strings.Contains(strings.Join(asked, " "), "image") {
			body["ImageUsage"] = map[string]any{"Items": images, "TotalCount": len(images)}
		}
		body["VolumeUsage"] = map[string]any{"Items": volumes, "TotalCount": len(volumes)}
		e.answerJSON(w, http.StatusOK, body)
		return
	}
	e.answerJSON(w, http.StatusOK, map[string]any{"LayersSize": 0, "Images": images, "Containers": []any{}, "Volumes": volumes, "BuildCache": []any{}})
}
