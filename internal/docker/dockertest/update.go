package dockertest

import (
	"encoding/json"
	"net/http"
)

// serveUpdate changes the restart policy, the one thing that it knows how to change. Podman 4 has no such call, and no later one is
// pretended to have it.
func (e *Engine) serveUpdate(w http.ResponseWriter, r *request, ref string) {
	if e.o.podman() {
		e.fail(w, http.StatusNotFound, "Not Found")
		return
	}
	var b struct {
		RestartPolicy struct {
			Name              string
			MaximumRetryCount int
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&b); err != nil {
		e.fail(w, http.StatusBadRequest, err.Error())
		return
	}
	e.mu.Lock()
	c := e.find(ref)
	if c == nil {
		e.mu.Unlock()
		e.noSuchContainer(w, ref)
		return
	}
	c.policy = restartPolicy{name: b.RestartPolicy.Name, max: b.RestartPolicy.MaximumRetryCount}
	c.changed()
	e.emit(c, "update", nil)
	e.mu.Unlock()
	e.answerJSON(w, http.StatusOK, map[string]any{"Warnings": nil})
}
