package dockertest

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
)

// networkID is the id of the default bridge.
const networkID = "3f9f74fc49cf437de1c22bfb44edd99658ffc256c9d9b5f5fd71d0cc0160035f"

// noNetwork begins the refusal of a start in a network that is gone.
const noNetwork = "network "

type network struct {
	ID     string `json:"Id"`
	Name   string
	Driver string
	Scope  string
	Labels map[string]string
}

func defaultNetworks(bridge string) map[string]*network {
	return map[string]*network{
		bridge: {ID: networkID, Name: bridge, Driver: "bridge", Scope: "local"},
		"host": {ID: "a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90", Name: "host", Driver: "host", Scope: "local"},
		"none": {ID: "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0", Name: "none", Driver: "null", Scope: "local"},
	}
}

// attachment is a container's place in a network, as it was asked for.
type attachment struct {
	name       string
	Aliases    []string
	IPAMConfig map[string]any
	MacAddress string
	DriverOpts map[string]string
}

// address that was asked for; empty when the engine may choose.
func (a attachment) address() string {
	fixed, _ := a.IPAMConfig["IPv4Address"].(string)
	return fixed
}

// AddNetwork makes a network.
func (e *Engine) AddNetwork(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.addNetwork(name, nil)
}

// RemoveNetwork takes a network away behind everybody's back.
func (e *Engine) RemoveNetwork(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.networks, name)
}

func (e *Engine) addNetwork(name string, labels map[string]string) *network {
	n := &network{ID: e.newID("network"), Name: name, Driver: "bridge", Scope: "local", Labels: labels}
	e.networks[name] = n
	return n
}

// attachments are the networks that a container is to be made in: a Docker engine does not look whether they are
// there, and before API 1.44 takes one only.
func (e *Engine) attachments(b createBody, api int) (list []attachment, refusal reply) {
	asked := b.NetworkingConfig.EndpointsConfig
	if len(asked) > 1 && api < 44 && !e.o.podman() {
		return nil, refuse(http.StatusBadRequest, "Container cannot be connected to network endpoints: %v", sortedKeys(asked))
	}
	mode := b.HostConfig.NetworkMode
	switch mode {
	case "", "default", "bridge":
		mode = e.o.defaultNetwork()
	}
	names := sortedKeys(asked)
	if !slices.Contains(names, mode) && (len(names) == 0 || !e.o.podman()) {
		names = append(names, mode)
	}
	for _, name := range names {
		a := attachment{}
		if asked[name] != nil {
			a = *asked[name]
		}
		a.name = name
		if e.o.podman() && e.findNetwork(name) == nil {
			return nil, refuse(http.StatusInternalServerError, "unable to find network with name or ID %s: network not found", name)
		}
		list = append(list, a)
	}
	slices.SortStableFunc(list, func(a, b attachment) int {
		switch {
		case a.name == mode && b.name != mode:
			return -1
		case b.name == mode && a.name != mode:
			return 1
		default:
			return 0
		}
	})
	return list, reply{}
}

// networkMode as shown: podman calls all of its networks a bridge.
func (c *Container) networkMode() string {
	switch {
	case len(c.networks) > 0 && c.networks[0].name == "host":
		return "host"
	case c.e.o.podman():
		return "bridge"
	case len(c.networks) == 0 || c.networks[0].name == "bridge":
		return "default"
	default:
		return c.networks[0].name
	}
}

// endpoints are the container's places in its networks; only a living process has addresses. Podman keeps a
// fixed address to itself.
func (c *Container) endpoints() map[string]any {
	out := map[string]any{}
	for _, a := range c.networks {
		end := map[string]any{"NetworkID": "", "IPAddress": "", "Gateway": "", "IPPrefixLen": 0, "IPAMConfig": nil, "Aliases": a.Aliases, "MacAddress": a.MacAddress, "DriverOpts": a.DriverOpts}
		if n := c.e.networks[a.name]; n != nil {
			end["NetworkID"] = n.ID
		}
		if a.IPAMConfig != nil && !c.e.o.podman() {
			end["IPAMConfig"] = a.IPAMConfig
		}
		if c.e.o.podman() || a.name != "bridge" && c.runs > 0 && minor(c.e.o.APIVersion) < 45 {
			end["Aliases"] = append(slices.Clone(a.Aliases), c.ID[:12])
		}
		if c.processLives() {
			end["IPAddress"], end["Gateway"], end["IPPrefixLen"], end["MacAddress"] = c.ip, "172.17.0.1", 16, "02:42:ac:11:00:02"
			if fixed := a.address(); fixed != "" {
				end["IPAddress"] = fixed
			}
		}
		out[a.name] = end
	}
	return out
}

func (c *Container) tellNetworks(action string) {
	for _, a := range c.networks {
		if n := c.e.networks[a.name]; n != nil {
			c.e.emitOther("network", action, n.ID, map[string]string{"container": c.ID, "name": n.Name, "type": n.Driver})
		}
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
	case r.Method == http.MethodPost && len(p) == 3 && p[2] == "connect":
		e.serveConnect(w, r, p[1])
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
	for n := range maps.Values(e.networks) {
		if n.ID == ref {
			return n
		}
	}
	return nil
}

func (e *Engine) serveCreateNetwork(w http.ResponseWriter, r *request) {
	var b struct {
		Name           string
		Labels         map[string]string
		CheckDuplicate bool
	}
	if err := json.NewDecoder(r.Body).Decode(&b); err != nil {
		e.fail(w, http.StatusBadRequest, "invalid JSON: "+err.Error())
		return
	}
	e.mu.Lock()
	podman := e.o.podman()
	if e.networks[b.Name] != nil {
		e.mu.Unlock()
		if podman {
			e.fail(w, http.StatusInternalServerError, "network name "+b.Name+" already used: network already exists")
			return
		}
		e.fail(w, http.StatusConflict, "network with name "+b.Name+" already exists")
		return
	}
	n := e.addNetwork(b.Name, b.Labels)
	e.mu.Unlock()
	e.answerJSON(w, http.StatusCreated, map[string]string{"Id": n.ID, "Warning": ""})
}

func (e *Engine) serveConnect(w http.ResponseWriter, r *request, ref string) {
	var b struct {
		Container      string
		EndpointConfig attachment
	}
	if err := json.NewDecoder(r.Body).Decode(&b); err != nil {
		e.fail(w, http.StatusBadRequest, "invalid JSON: "+err.Error())
		return
	}
	e.act(w, b.Container, func(c *Container) reply {
		n := e.findNetwork(ref)
		switch {
		case n == nil && e.o.podman():
			return refuse(http.StatusNotFound, "unable to find network with name or ID %s: network not found", ref)
		case n == nil:
			return refuse(http.StatusNotFound, "network %s not found", ref)
		case slices.ContainsFunc(c.networks, func(a attachment) bool { return a.name == n.Name }):
			return refuse(http.StatusForbidden, "endpoint with name %s already exists in network %s", c.name, n.Name)
		}
		a := b.EndpointConfig
		a.name = n.Name
		c.networks = append(c.networks, a)
		c.changed()
		return reply{status: http.StatusOK}
	})
}

// serveRemoveNetwork refuses while it is used: by what runs, with podman by any container.
func (e *Engine) serveRemoveNetwork(w http.ResponseWriter, ref string) {
	e.mu.Lock()
	refusal := e.removeNetwork(ref)
	e.mu.Unlock()
	e.reply(w, refusal)
}

func (e *Engine) removeNetwork(ref string) reply {
	n := e.findNetwork(ref)
	if n == nil {
		return refuse(http.StatusNotFound, "network %s not found", ref)
	}
	for _, c := range e.byID {
		in := slices.ContainsFunc(c.networks, func(a attachment) bool { return a.name == n.Name })
		switch {
		case in && e.o.podman():
			return refuse(http.StatusInternalServerError, "%q has associated containers with it. Use -f to forcibly delete containers and pods: network is being used", n.Name)
		case in && c.processLives():
			return refuse(http.StatusForbidden, "error while removing network: network %s id %s has active endpoints", n.Name, n.ID)
		}
	}
	delete(e.networks, n.Name)
	return done
}
