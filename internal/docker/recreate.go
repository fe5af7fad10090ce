package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// undoTimeout is for taking back what was made half.
const undoTimeout = 30 * time.Second

// RecreateOptions is a container to be made again.
type RecreateOptions struct {
	Inspect      []byte // whole JSON of an inspect, of any engine version
	Name         string
	Image        string            // id or reference to make it from
	Labels       map[string]string // all labels that it gets
	AnyPort      bool              // the engine may choose host ports instead of the old ones
	SkipNetworks []string          // networks that are gone and are left out
	FreeAddress  []string          // networks that are other ones by now: a fixed address of the old one is not asked for
}

// Recreate makes a container as an old inspect describes it and does not start it: configuration, resources, restart
// policy, networks with their aliases and fixed addresses, and mounts; anonymous volumes are mounted by their old
// name, so that their data is there again. ErrConflict: the name is taken. ErrNotFound: the image or a network is gone.
func (e *Engine) Recreate(ctx context.Context, o RecreateOptions) (id string, err error) {
	doing := "create container " + o.Name + " again"
	old, err := readBlueprint(o.Inspect)
	if err != nil {
		return "", fmt.Errorf("%s: %w: read its old inspect: %w", doing, ErrInvalid, err)
	}
	body, more, err := old.request(o)
	if err != nil {
		return "", fmt.Errorf("%s: %w: %w", doing, ErrInvalid, err)
	}
	if err := e.haveNetworks(ctx, old.networkNames(o.SkipNetworks)); err != nil {
		return "", fmt.Errorf("%s: %w", doing, err)
	}
	id, err = call(ctx, e, doing, createTimeout, func(ctx context.Context, s *session) (string, error) {
		var made struct{ ID string }
		err := e.post(ctx, s, "/containers/create", url.Values{"name": {o.Name}}, body, &made)
		return made.ID, err
	})
	if err != nil {
		return "", err
	}
	if err := e.connectAll(ctx, id, more); err != nil {
		return "", errors.Join(fmt.Errorf("%s: %w", doing, err), e.takeBack(ctx, id))
	}
	return id, nil
}

// haveNetworks asks first: Docker makes a container in a network that is not there, and only its start fails.
func (e *Engine) haveNetworks(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	there, err := e.Networks(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !slices.ContainsFunc(there, func(n Network) bool { return n.Name == name }) {
			return fmt.Errorf("%w: network %s", ErrNotFound, name)
		}
	}
	return nil
}

// connectAll brings a new container into the networks after the first: before API 1.44 it can be made in one only.
func (e *Engine) connectAll(ctx context.Context, id string, more map[string]endpoint) error {
	for _, name := range slices.Sorted(maps.Keys(more)) {
		_, err := call(ctx, e, "connect container "+id+" to network "+name, networkTimeout, func(ctx context.Context, s *session) (struct{}, error) {
			body := map[string]any{"Container": id, "EndpointConfig": more[name]}
			return struct{}{}, e.post(ctx, s, "/networks/"+url.PathEscape(name)+"/connect", nil, body, nil)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// takeBack removes a container that we made a moment ago and that nobody has seen yet.
func (e *Engine) takeBack(ctx context.Context, id string) error {
	ctx = context.WithoutCancel(ctx)
	_, err := call(ctx, e, "take back container "+id, undoTimeout, func(ctx context.Context, s *session) (struct{}, error) {
		answer, err := e.send(ctx, s, http.MethodDelete, "/containers/"+id, nil, nil)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, answer.Close()
	})
	return err
}

// blueprint is what an old inspect says of how a container was made. What we do not change is kept as it was written,
// also what only another version of the engine knows.
type blueprint struct {
	ID              string `json:"Id"`
	Config          map[string]json.RawMessage
	HostConfig      map[string]json.RawMessage
	State           struct{ Running bool }
	Mounts          []mountPoint
	NetworkSettings struct{ Networks map[string]*oldEndpoint }
}

func readBlueprint(inspect []byte) (blueprint, error) {
	var b blueprint
	if err := json.Unmarshal(inspect, &b); err != nil {
		return b, err
	}
	if b.ID == "" || b.Config == nil || b.HostConfig == nil {
		return b, errors.New("it is not of a container")
	}
	return b, nil
}

// request is what to ask the engine for, and the networks to connect to after that.
func (b blueprint) request(o RecreateOptions) (body map[string]any, more map[string]endpoint, err error) {
	config, err := b.config(o)
	if err != nil {
		return nil, nil, err
	}
	host := edit{fields: maps.Clone(b.HostConfig)}
	host.remove("ContainerIDFile") // a file on the machine of whoever made it first
	if o.AnyPort {
		host.freePorts()
	}
	host.linkAnew()
	host.nameLimits()
	host.limitOnce()
	host.mountAgain(b.Mounts)
	first, more := b.connect(&host, o)
	if host.err != nil {
		return nil, nil, host.err
	}
	body = map[string]any{"HostConfig": host.fields}
	for name, value := range config {
		body[name] = value
	}
	if first != nil {
		body["NetworkingConfig"] = map[string]any{"EndpointsConfig": first}
	}
	return body, more, nil
}

func (b blueprint) config(o RecreateOptions) (map[string]json.RawMessage, error) {
	c := edit{fields: maps.Clone(b.Config)}
	c.set("Image", o.Image)
	c.set("Labels", o.Labels)
	if c.text("Hostname") == shortID(b.ID) {
		c.remove("Hostname") // the engine's choice; it makes another one of the new id
	}
	if len(c.list("Entrypoint")) == 0 && len(c.list("Cmd")) > 0 {
		c.set("Entrypoint", []string{""}) // "none, not the image's either"
	}
	mode := textOf(b.HostConfig["NetworkMode"])
	if sharesNetwork(mode) {
		// All of these belong to the container whose network it uses.
		c.remove("Hostname", "Domainname", "ExposedPorts", "MacAddress")
	}
	if textOf(b.HostConfig["UTSMode"]) == "host" {
		c.remove("Hostname", "Domainname")
	}
	return c.fields, c.err
}

func shortID(id string) string { return id[:min(len(id), 12)] }

// edit changes some fields of an object and keeps the others. The first error stays.
type edit struct {
	fields map[string]json.RawMessage
	err    error
}

func (e *edit) set(name string, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		e.fail(err)
		return
	}
	e.fields[name] = text
}

func (e *edit) remove(names ...string) {
	for _, name := range names {
		delete(e.fields, name)
	}
}

func (e *edit) read(name string, into any) {
	if raw, ok := e.fields[name]; ok {
		if err := json.Unmarshal(raw, into); err != nil {
			e.fail(fmt.Errorf("%s: %w", name, err))
		}
	}
}

func (e *edit) text(name string) (out string) {
	e.read(name, &out)
	return out
}

func (e *edit) list(name string) (out []string) {
	e.read(name, &out)
	return out
}

func (e *edit) fail(err error) {
	if e.err == nil {
		e.err = err
	}
}

// textOf is a string in JSON; empty when it is none.
func textOf(raw json.RawMessage) string {
	var out string
	if json.Unmarshal(raw, &out) != nil {
		return ""
	}
	return out
}
