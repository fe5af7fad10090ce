package dockertest

import (
	"encoding/json"
	"net/http"
)

// networkID is the id of the default bridge.
const networkID = "3f9f74fc49cf437de1c22bfb44edd99658ffc256c9d9b5f5fd71d0cc0160035f"

type network struct {
	ID     string `json:"Id"`
	Name   string
	Driver string
	Scope  string
	Labels map[string]string
}

func defaultNetworks() map[string]*network {
	return map[string]*network{
		"bridge": {ID: networkID, Name: "bridge", Driver: "bridge", Scope: "local"},
		"host":   {ID: "a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90", Name: "host", Driver: "host", Scope: "local"},
		"none":   {ID: "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0", Name: "none", Driver: "null", Scope: "local"},
	}
}

func (e *Engine) routeNetworks(w http.ResponseWriter, r *request) {
	p := r.parts
	switch {
	case r.Method == http.MethodGet && len(p) == 1:
		e.mu.Lock()
		list := make([]*network, 0, len(e.networks))
		for _, name := range sortedKeys(e.networks) {
			list = append(list, e.networks[name])
		}
		e.mu.Unlock()
		e.answerJSON(w, http.StatusOK, list)
	case r.Method == http.MethodGet && len(p) == 2:
		e.mu.Lock()
		n := e.findNetwork(p[1])
		e.mu.Unlock()
		if n == nil {
			e.fail(w, http.StatusNotFound, "network "+p[1]+" not found")
			return
		}
		e.answerJSON(w, http.StatusOK, n)
	case r.Method == http.MethodPost && len(p) == 2 && p[1] == "create":
		e.serveCreateNetwork(w, r)
	case r.Method == http.MethodDelete && len(p) == 2:
		e.serveRemoveNetwork(w, p[1])
	default:
		e.fail(w, http.StatusNotFound, "page not found")
	}
}

func (e *Engine) findNetwork(ref string) *network {
	if n := e.networks[ref]; n != nil {
		return n
	}
	for _, n := range e.networks {
		if n.ID == ref {
			return n
		}
	}
	return nil
}

func (e *Engine) serveCreateNetwork(w http.ResponseWriter, r *request) {
	var b struct {
		Name   string
		Labels map[string]string
	}
	if err := json.NewDecoder(r.Body).Decode(&b); err != nil {
		e.fail(w, http.StatusBadRequest, "invalid JSON: "+err.Error())
		return
	}
	e.mu.Lock()
	if e.networks[b.Name] != nil {
		e.mu.Unlock()
		e.fail(w, http.StatusConflict, "network with name "+b.Name+" already exists")
		return
	}
	n := &network{ID: e.newID("network"), Name: b.Name, Driver: "bridge", Scope: "local", Labels: b.Labels}
	e.networks[b.Name] = n
	e.mu.Unlock()
	e.answerJSON(w, http.StatusCreated, map[string]string{"Id": n.ID, "Warning": ""})
}

func (e *Engine) serveRemoveNetwork(w http.ResponseWriter, ref string) {
	e.mu.Lock()
	n := e.findNetwork(ref)
	if n != nil {
		delete(e.networks, n.Name)
	}
	e.mu.Unlock()
	if n == nil {
		e.fail(w, http.StatusNotFound, "network "+ref+" not found")
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
