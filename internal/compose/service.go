package compose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// serviceReader reads one service.
type serviceReader struct {
	*reader
	to  *Service
	has map[string]bool // keys that were read
}

func (r *reader) service(f field) Service {
	s := Service{Name: f.key, Line: f.line}
	sr := &serviceReader{reader: r, to: &s, has: map[string]bool{}}
	if f.item.kind != object {
		sr.note(Blocked, f.line, "", "it is no service: keys such as image: are expected", "mend that line")
		return s
	}
	for _, key := range f.item.fields {
		sr.key(key)
	}
	sr.wants(f.item, "")
	sr.closing(f)
	slices.SortStableFunc(s.Notes, func(a, b Note) int { return a.Line - b.Line })
	return s
}

func (r *serviceReader) note(kind Kind, line int, key, what, remedy string) {
	if len(r.to.Notes) < mostNotes {
		r.to.Notes = append(r.to.Notes, Note{Kind: kind, Line: line, Key: key, What: what, Remedy: remedy})
	}
}

// wants notes variables without a value.
func (r *serviceReader) wants(i *item, key string) {
	for _, name := range i.missing {
		r.note(Blocked, i.line, key, "the variable "+name+" has no value", "give it one: "+name+"=...")
	}
	for _, one := range i.items {
		r.wants(one, key)
	}
	for _, f := range i.fields {
		under := f.key
		if key != "" {
			under = key + "." + f.key
		}
		r.wants(f.item, under)
	}
}

// key reads one key of a service, or says that it does not come along.
func (r *serviceReader) key(f field) {
	r.has[f.key] = true
	if f.item.kind == nothing && f.key != "environment" {
		return // a key without a value says nothing
	}
	if !r.formed(f, f.key, formOf(f.key)) {
		return
	}
	switch f.key {
	case "image":
		r.image(f)
	case "ports":
		r.ports(f)
	case "volumes":
		r.volumes(f)
	case "networks":
		r.attach(f)
	case "network_mode", "pid", "ipc":
		r.namespace(f)
	case "healthcheck":
		r.healthcheck(f)
	case "deploy":
		r.deploy(f)
	case "environment", "command", "entrypoint", "labels", "restart", "user", "working_dir", "init", "read_only", "privileged",
		"cap_add", "cap_drop", "stop_grace_period", "mem_limit", "cpus", "pids_limit":
		r.simple(f)
	default:
		what, remedy, kind := unsupported(f.key)
		r.note(kind, f.line, f.key, what, remedy)
	}
}

// simple reads a key that compose-go turns into what a spec has.
func (r *serviceReader) simple(f field) {
	if (f.key == "command" || f.key == "entrypoint") && f.item.kind == list && len(f.item.items) == 0 {
		r.note(Unsupported, f.line, f.key, "an empty one, which takes away that of the image, cannot be said here", "name the program and its words")
		return
	}
	if f.key == "mem_limit" {
		f.item = asText(f.item)
	}
	s, ok := r.decode(f)
	if !ok {
		return
	}
	spec := &r.to.Spec
	switch f.key {
	case "environment":
		r.environment(f, s.Environment)
	case "command":
		spec.Command = s.Command
	case "entrypoint":
		spec.Entrypoint = s.Entrypoint
	case "labels":
		spec.Labels = s.Labels
	case "restart":
		spec.Restart = s.Restart
	case "user":
		spec.User = s.User
	case "working_dir":
		spec.WorkDir = s.WorkingDir
	case "init":
		spec.Init = s.Init != nil && *s.Init
	case "read_only":
		spec.ReadOnly = s.ReadOnly
	case "privileged":
		spec.Power.Privileged = s.Privileged
	case "cap_add":
		spec.Power.CapAdd = upper(s.CapAdd)
	case "cap_drop":
		spec.CapDrop = upper(s.CapDrop)
	case "stop_grace_period":
		spec.StopGrace = span(s.StopGracePeriod)
	case "mem_limit":
		spec.Resources.Memory = int64(s.MemLimit)
	case "cpus":
		spec.Resources.NanoCPUs = nanos(s.CPUS)
	case "pids_limit":
		spec.Resources.Pids = max(s.PidsLimit, 0)
	}
}

// image takes a reference apart.
func (r *serviceReader) image(f field) {
	ref := f.item.text()
	name, digest, pinned := strings.Cut(ref, "@")
	r.to.Tag = "latest"
	if at := strings.LastIndexByte(name, ':'); at > strings.LastIndexByte(name, '/') {
		name, r.to.Tag = name[:at], name[at+1:]
	}
	if pinned {
		r.to.Tag = digest
	}
	r.to.Image = name
	if name == "" {
		r.note(Blocked, f.line, f.key, "it names no image", "name one, such as ghcr.io/acme/shop:1.4.2")
	}
}

// environment takes values, or those of variables of the same name where there is none.
func (r *serviceReader) environment(f field, env map[string]*string) {
	lines := linesOf(f)
	for _, name := range sorted(env) {
		line := lines[name]
		value := env[name]
		if value == nil {
			value = r.in.lookup(name, max(line, f.line))
		}
		if value == nil {
			r.note(Blocked, max(line, f.line), "environment."+name, "it takes its value from who runs compose", "give it one: "+name+"=..., or take it out")
			continue
		}
		if !nameForm(name) {
			r.note(Unsupported, max(line, f.line), "environment."+name, "a name of letters, digits, '_', '.' and '-' is expected, beginning with a letter or '_'", "rename it")
			continue
		}
		r.to.Spec.Env = append(r.to.Spec.Env, store.EnvVar{Name: name, Value: *value})
	}
}

// linesOf says on which line each name of a list NAME=VALUE or of an object stands.
func linesOf(f field) map[string]int {
	lines := map[string]int{}
	for _, one := range f.item.items {
		name, _, _ := strings.Cut(one.text(), "=")
		lines[name] = one.line
	}
	for _, one := range f.item.fields {
		lines[one.key] = one.line
	}
	return lines
}

func nameForm(name string) bool {
	for i, c := range name {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		later := c >= '0' && c <= '9' || c == '.' || c == '-'
		if !letter && (i == 0 || !later) {
			return false
		}
	}
	return name != ""
}

// namespace reads whose network, processes or IPC it uses.
func (r *serviceReader) namespace(f field) {
	mode, power := f.item.text(), &r.to.Spec.Power
	switch {
	case mode == "host" && f.key == "network_mode":
		power.HostNetwork = true
	case mode == "host" && f.key == "pid":
		power.HostPID = true
	case mode == "host" && f.key == "ipc":
		power.HostIPC = true
	case mode == "bridge" && f.key == "network_mode", mode == "private" && f.key == "ipc", mode == "":
	default:
		r.note(Unsupported, f.line, f.key, fmt.Sprintf("%q is not possible here, only host", mode), "put both on a network of their own, and reach one another by name")
	}
}

// deploy reads the limits of a service; all else of it is Swarm's, or ours to do in another way.
func (r *serviceReader) deploy(f field) {
	for _, part := range f.item.fields {
		key := "deploy." + part.key
		switch part.key {
		case "resources":
			r.resources(part, key)
		case "replicas":
			if n := part.item.text(); n != "1" {
				r.note(Unsupported, part.line, key, "of a stage one container serves", "use the strategy parallel for several tags side by side, or a stage for each")
			}
		case "restart_policy":
			r.note(Unsupported, part.line, key, "the restart policy of Swarm is not read", "write restart: on-failure:3, or the like, beside image:")
		case "update_config", "rollback_config":
			r.note(Told, part.line, key, "a deploy replaces and rolls back in its own way", "")
		default:
			r.note(Unsupported, part.line, key, "it is Swarm's", "take it out")
		}
	}
}

func (r *serviceReader) resources(f field, under string) {
	for _, part := range f.item.fields {
		key := under + "." + part.key
		if part.key != "limits" {
			r.note(Unsupported, part.line, key, "nothing is set aside for a container", "limit the others instead")
			continue
		}
		for _, limit := range part.item.fields {
			switch limit.key {
			case "memory", "cpus", "pids":
				r.limit(limit, key+"."+limit.key)
			default:
				r.note(Unsupported, limit.line, key+"."+limit.key, "only cpus, memory and pids are limited", "take it out")
			}
		}
	}
}

// closing notes what is to be known of the service as a whole.
func (r *serviceReader) closing(f field) {
	switch {
	case !r.has["image"] && r.has["build"]:
		r.note(Blocked, f.line, "image", "it is built, and no image is named", "push the image to a registry, and name it under image:")
	case !r.has["image"]:
		r.note(Blocked, f.line, "image", "it names no image", "name one, such as ghcr.io/acme/shop:1.4.2")
	}
	p := r.to.Spec.Power
	if r.many && len(r.to.Spec.Networks) == 0 && !p.HostNetwork {
		network := r.onHost(map[string]string{}, "default")
		r.note(Told, f.line, "networks", "compose lets the services of a file reach each other by name; on the engine's default network they do not",
			"name a network that is on the host, such as "+network+", if it must reach others by name")
	}
	for _, n := range r.to.Spec.Networks {
		r.note(Told, f.line, "networks", "it needs the network "+n.Name+" on the host", "docker network create "+n.Name+", if it is not there")
	}
}
