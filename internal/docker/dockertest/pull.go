package dockertest

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// pullSteps is how many parts a layer is downloaded in.
const pullSteps = 4

// servePull answers POST /images/create: what a pull tells of itself, line by line.
func (e *Engine) servePull(w http.ResponseWriter, r *request) {
	repository, tag := r.query.Get("fromImage"), r.query.Get("tag")
	if tag == "" {
		repository, tag = splitRef(repository)
	}
	ref := repository + ":" + tag
	if strings.Contains(tag, ":") {
		ref = repository + "@" + tag
	}
	e.mu.Lock()
	img := e.registry[ref]
	if img == nil {
		// The client writes names of the default registry out in full, or strips that again.
		img = e.registry[strings.TrimPrefix(strings.TrimPrefix(ref, "docker.io/"), "library/")]
	}
	e.mu.Unlock()
	switch {
	case img == nil && e.podman():
		// Podman has said 200 before it knows.
		message := "initializing source docker://" + ref + ": reading manifest " + tag + ": manifest unknown"
		e.answerJSON(w, http.StatusOK, pullLine{Error: message, Detail: map[string]any{"message": message}})
		return
	case img == nil:
		e.fail(w, http.StatusNotFound, "manifest for "+ref+" not found: manifest unknown: manifest unknown")
		return
	case img.Auth != "" && r.Header.Get("X-Registry-Auth") != img.Auth:
		e.fail(w, http.StatusInternalServerError, "Head \""+ref+"\": no basic auth credentials")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	p := puller{w: w, r: r, img: img}
	if !p.tell(repository, tag) {
		return
	}
	e.mu.Lock()
	kept := e.keepImage(img)
	if by := repository + "@" + img.Digest; e.refs[by] == nil {
		e.refs[by] = kept
		kept.digests = append(kept.digests, by)
	}
	if !strings.Contains(tag, ":") {
		e.tag(kept, ref)
	}
	e.emitOther("image", "pull", ref, map[string]string{"name": repository})
	e.mu.Unlock()
	p.line(pullLine{Status: "Digest: " + img.Digest})
	p.line(pullLine{Status: "Status: Downloaded newer image for " + ref})
}

type pullLine struct {
	Status   string         `json:"status,omitempty"`
	Progress map[string]any `json:"progressDetail,omitempty"`
	ID       string         `json:"id,omitempty"`
	Error    string         `json:"error,omitempty"`
	Detail   map[string]any `json:"errorDetail,omitempty"`
}

type puller struct {
	w   http.ResponseWriter
	r   *request
	img *image
}

func (p puller) line(l pullLine) {
	// A client that went away is noticed by its context.
	_ = json.NewEncoder(p.w).Encode(l)
	flush(p.w)
}

// tell writes the progress; it reports whether the pull came to its end.
func (p puller) tell(repository, tag string) bool {
	p.line(pullLine{Status: "Pulling from " + repository, ID: tag})
	layers := cmp.Or(p.img.Layers, 2)
	total := p.img.size / int64(layers)
	for layer := range layers {
		p.line(pullLine{Status: "Pulling fs layer", Progress: map[string]any{}, ID: p.layer(layer)})
	}
	for layer := range layers {
		for step := range int64(pullSteps) {
			if !sleep(p.r, p.img.PullTime/time.Duration(layers*pullSteps)) {
				return false
			}
			done := total * (step + 1) / pullSteps
			p.line(pullLine{Status: "Downloading", Progress: map[string]any{"current": done, "total": total}, ID: p.layer(layer)})
		}
		if p.img.PullFail != "" {
			p.line(pullLine{Error: p.img.PullFail, Detail: map[string]any{"message": p.img.PullFail}})
			return false
		}
		p.line(pullLine{Status: "Verifying Checksum", Progress: map[string]any{}, ID: p.layer(layer)})
		p.line(pullLine{Status: "Download complete", Progress: map[string]any{}, ID: p.layer(layer)})
		p.line(pullLine{Status: "Extracting", Progress: map[string]any{"current": total, "total": total}, ID: p.layer(layer)})
		p.line(pullLine{Status: "Pull complete", Progress: map[string]any{}, ID: p.layer(layer)})
	}
	return true
}

func (p puller) layer(n int) string {
	at := 7 + n%40
	return p.img.id[at : at+12]
}
