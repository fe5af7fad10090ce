package dockertest

import (
	"encoding/hex"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

type volume struct {
	name      string
	anonymous bool
	created   time.Time
	size      int64             // beside the files
	files     map[string]string // path -> content
}

func (v *volume) bytes() int64 {
	sum := v.size
	for _, text := range v.files {
		sum += int64(len(text))
	}
	return sum
}

type mountPoint struct {
	kind   string // volume | bind
	name   string
	source string
	target string
	ro     bool
	vol    *volume
}

func (m mountPoint) encode(root string) map[string]any {
	out := map[string]any{"Type": m.kind, "Source": m.source, "Destination": m.target, "Mode": "", "RW": !m.ro, "Propagation": ""}
	if m.kind == "volume" {
		out["Name"], out["Driver"] = m.name, "local"
		out["Source"] = root + "/volumes/" + m.name + "/_data"
	}
	return out
}

// bind is the mount as a bind of HostConfig; anonymous volumes are not listed there, but by podman.
func (m mountPoint) bind(podman bool) string {
	source := m.source
	if m.kind == "volume" {
		if m.vol.anonymous && !podman {
			return ""
		}
		source = m.name
	}
	if m.ro {
		return source + ":" + m.target + ":ro"
	}
	return source + ":" + m.target
}

// Volumes returns the names of all volumes, the anonymous ones too.
func (e *Engine) Volumes() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return sortedKeys(e.volumes)
}

// AddVolume makes a named volume.
func (e *Engine) AddVolume(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.volume(name)
}

// volume finds or makes one; an empty name makes an anonymous one.
func (e *Engine) volume(name string) *volume {
	v := e.volumes[name]
	if v == nil {
		v = &volume{name: name, created: e.now(), files: map[string]string{}, anonymous: madeUp(name)}
		if name == "" {
			v.name, v.anonymous = e.newID("volume"), true
		}
		e.volumes[v.name] = v
		e.emitOther("volume", "create", v.name, map[string]string{"driver": "local"})
	}
	return v
}

// madeUp tells a name that an engine has given, also when a container asks for it again.
func madeUp(name string) bool {
	_, err := hex.DecodeString(name)
	return err == nil && len(name) == 64
}

// SetVolumeSize sets the bytes of a volume.
func (e *Engine) SetVolumeSize(name string, bytes int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.volumes[name].size = bytes
}

// RemoveVolume takes a volume away behind everybody's back.
func (e *Engine) RemoveVolume(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.volumes, name)
}

// volumeUsers counts the containers that have each volume mounted.
func (e *Engine) volumeUsers() map[string]int {
	users := map[string]int{}
	for _, c := range e.byID {
		for _, m := range c.mounts {
			if m.vol != nil {
				users[m.name]++
			}
		}
	}
	return users
}

// volumeMount reads "name:/target", "/host:/target" or "/target".
func (e *Engine) volumeMount(spec string) mountPoint {
	parts := strings.Split(spec, ":")
	m := mountPoint{kind: "volume", target: parts[0]}
	if len(parts) > 1 {
		m.source, m.target = parts[0], parts[1]
	}
	m.ro = len(parts) > 2 && slices.Contains(strings.Split(parts[2], ","), "ro")
	if strings.HasPrefix(m.source, "/") {
		m.kind = "bind"
		return m
	}
	m.vol = e.volume(m.source)
	m.name, m.source = m.vol.name, ""
	return m
}

// mountAll mounts what was asked for and an anonymous volume for each remaining volume of the image.
func (e *Engine) mountAll(c *Container, b createBody) {
	for _, bind := range b.HostConfig.Binds {
		c.mounts = append(c.mounts, e.volumeMount(bind))
	}
	for _, m := range b.HostConfig.Mounts {
		mp := mountPoint{kind: m.Type, source: m.Source, target: m.Target, ro: m.ReadOnly}
		if m.Type == "volume" {
			mp.vol = e.volume(m.Source)
			mp.name, mp.source = mp.vol.name, ""
		}
		c.mounts = append(c.mounts, mp)
	}
	for _, target := range c.image.volumes {
		if !slices.ContainsFunc(c.mounts, func(m mountPoint) bool { return m.target == target }) {
			c.mounts = append(c.mounts, e.volumeMount(target))
		}
	}
}

// dropAnonymous removes the container's anonymous volumes, as v=1 asks.
func (e *Engine) dropAnonymous(c *Container) {
	for _, m := range c.mounts {
		if m.vol != nil && m.vol.anonymous {
			delete(e.volumes, m.name)
			e.emitOther("volume", "destroy", m.name, map[string]string{"driver": "local"})
		}
	}
}

func (e *Engine) routeVolumes(w http.ResponseWriter, r *request) {
	p := r.parts
	switch {
	case r.Method == http.MethodGet && len(p) == 1:
		e.serveVolumes(w)
	case r.Method == http.MethodGet && len(p) == 2:
		e.serveVolume(w, p[1])
	case r.Method == http.MethodDelete && len(p) == 2:
		e.serveRemoveVolume(w, p[1])
	default:
		e.fail(w, http.StatusNotFound, "page not found")
	}
}

func (e *Engine) serveVolumes(w http.ResponseWriter) {
	e.mu.Lock()
	list := make([]map[string]any, 0, len(e.volumes))
	for _, name := range sortedKeys(e.volumes) {
		list = append(list, e.volumes[name].encode(e.o.DataRoot))
	}
	e.mu.Unlock()
	e.answerJSON(w, http.StatusOK, map[string]any{"Volumes": list, "Warnings": nil})
}

func (e *Engine) serveVolume(w http.ResponseWriter, name string) {
	e.mu.Lock()
	v, root := e.volumes[name], e.o.DataRoot
	e.mu.Unlock()
	if v == nil {
		e.fail(w, http.StatusNotFound, "get "+name+": no such volume")
		return
	}
	e.answerJSON(w, http.StatusOK, v.encode(root))
}

func (e *Engine) serveRemoveVolume(w http.ResponseWriter, name string) {
	e.mu.Lock()
	refusal := e.removeVolume(name)
	e.mu.Unlock()
	e.reply(w, refusal)
}

// removeVolume refuses what is in use, also with force.
func (e *Engine) removeVolume(name string) reply {
	v := e.volumes[name]
	if v == nil {
		return refuse(http.StatusNotFound, "get %s: no such volume", name)
	}
	for _, c := range e.newestFirst() {
		if slices.ContainsFunc(c.mounts, func(m mountPoint) bool { return m.vol == v }) {
			return refuse(http.StatusConflict, "remove %s: volume is in use - [%s]", name, c.ID)
		}
	}
	delete(e.volumes, name)
	e.emitOther("volume", "destroy", name, map[string]string{"driver": "local"})
	return done
}

func (v *volume) encode(root string) map[string]any {
	return map[string]any{
		"Name": v.name, "Driver": "local", "Scope": "local", "Labels": nil, "Options": nil,
		"Mountpoint": root + "/volumes/" + v.name + "/_data", "CreatedAt": v.created.Format(time.RFC3339),
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
