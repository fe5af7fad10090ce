package hosts

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

func event(h store.Host, kind string, severity store.Severity, by By, message string) store.Event {
	return store.Event{
		Time: time.Now().UTC(), Severity: severity, Source: store.SourceAPI, Kind: kind, Message: message, HostID: h.ID, Actor: by.Actor,
		Data: map[string]any{"addr": by.Addr, "host": h.Name, "endpoint": h.Endpoint, "way": Way(h)},
	}
}

// openly warns of a host that is reached without TLS.
func openly(e store.Event, h store.Host) store.Event {
	if IsPlain(h) {
		e.Severity = store.SeverityWarn
		e.Message += "; it is reached without TLS: whoever is on the way can command its engine"
	}
	return e
}

func added(h store.Host, r Report, untested bool, by By) store.Event {
	e := event(h, "host.added", store.SeverityInfo, by, "host "+h.Name+" was added at "+h.Endpoint)
	if h.Access.HostKey != "" {
		e.Data["fingerprint"] = docker.Fingerprint(h.Access.HostKey)
	}
	if untested {
		e.Data["untested"] = true
	}
	if len(r.SameAs) > 0 {
		e.Data["same_as"] = r.SameAs
		e.Message += "; it seems to be the engine of " + strings.Join(r.SameAs, " and ")
	}
	return openly(e, h)
}

func changed(before, h store.Host, former, f Facts, by By) store.Event {
	what := differing(former, f)
	e := event(h, "host.changed", store.SeverityInfo, by, "host "+before.Name+" was changed: "+strings.Join(what, ", "))
	e.Data["changed"] = what
	e.Differ(difference(former, f))
	if former.Endpoint != f.Endpoint {
		e.Data["former_endpoint"] = former.Endpoint
	}
	if former.HostKey != f.HostKey {
		e.Severity = store.SeverityWarn
		e.Data["former_fingerprint"], e.Data["fingerprint"] = docker.Fingerprint(former.HostKey), docker.Fingerprint(f.HostKey)
	}
	return openly(e, h)
}

// difference is what a change makes another, without keys. A host key is told by its fingerprint.
func difference(a, b Facts) store.Difference {
	d := store.Difference{}
	d.Note("name", a.Name, b.Name)
	d.Note("endpoint", a.Endpoint, b.Endpoint)
	d.Note("plain", a.Plain, b.Plain)
	d.Note("server_name", a.ServerName, b.ServerName)
	d.Note("ca", a.CA, b.CA)
	if a.HostKey != b.HostKey {
		d.Note("host_key", fingerprint(a.HostKey), fingerprint(b.HostKey))
	}
	d.NoteSecret("certificate", a.Cert != b.Cert || a.Key != b.Key)
	d.NoteSecret("ssh_key", a.SSHKey != b.SSHKey || a.Passphrase != b.Passphrase)
	return d
}

func fingerprint(hostKey string) any {
	if hostKey == "" {
		return nil
	}
	return docker.Fingerprint(hostKey)
}

// differing names the fields that a change touches, without their values.
func differing(a, b Facts) []string {
	var names []string
	for name, same := range map[string]bool{
		"name": a.Name == b.Name, "endpoint": a.Endpoint == b.Endpoint, "plain": a.Plain == b.Plain,
		"ca": a.CA == b.CA, "certificate": a.Cert == b.Cert && a.Key == b.Key, "server_name": a.ServerName == b.ServerName,
		"ssh_key": a.SSHKey == b.SSHKey && a.Passphrase == b.Passphrase, "host_key": a.HostKey == b.HostKey,
	} {
		if !same {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return []string{"nothing"}
	}
	slices.Sort(names)
	return names
}

func disabled(h store.Host, by By) store.Event {
	return event(h, "host.disabled", store.SeverityWarn, by,
		"host "+h.Name+" was disabled: nothing on it is watched, judged or cleaned up until it is enabled again")
}

func enabled(h store.Host, by By) store.Event {
	return openly(event(h, "host.enabled", store.SeverityInfo, by, "host "+h.Name+" was enabled again"), h)
}

func removed(h store.Host, by By) store.Event {
	return event(h, "host.removed", store.SeverityWarn, by, "host "+h.Name+" was removed; nothing on it was touched")
}

func tested(hostID string, f Facts, r Report, by By) store.Event {
	outcome := "it can be used"
	if !r.OK() {
		outcome = r.Error
	}
	h := store.Host{ID: hostID, Name: f.Name, Endpoint: f.Endpoint, Access: f.access()}
	e := event(h, "host.tested", store.SeverityInfo, by, "a host at "+f.Endpoint+" was tested: "+outcome)
	e.Data["ok"], e.Data["fault"] = r.OK(), string(r.Fault)
	return e
}

// leaving says what is left under way on a host whose engine does not answer.
func leaving(e store.Event, left store.HostUse) store.Event {
	if left.Busy() {
		e.Severity, e.Data["left"] = store.SeverityWarn, underWay(left)
		e.Message += "; its engine did not answer: " + underWay(left) + " under way there will be ended when it does"
	}
	return e
}

// underWay says what must end first.
func underWay(u store.HostUse) string {
	return words([]count{{u.Deploys, "deploy"}, {u.Removals, "unfinished job"}})
}

// named says what names a host, and what to do about it.
func named(u store.HostUse) string {
	var todo []string
	for _, c := range []struct {
		n    int
		what string
	}{
		{u.Deploys + u.Removals, "wait for what is under way"},
		{u.Plans, "call its plans off or let them expire"},
		{u.Instances, "clean up or remove its instances"},
		{u.Archives, "restore its archives or delete them"},
		{u.Stages, "remove its stages"},
	} {
		if c.n > 0 {
			todo = append(todo, c.what)
		}
	}
	return words([]count{
		{u.Instances, "instance"}, {u.Stages, "stage"}, {u.Archives, "archive"}, {u.Plans, "plan"}, {u.Deploys, "deploy"}, {u.Removals, "unfinished job"},
	}) + ". To remove it, " + strings.Join(todo, ", then ") + "; or disable it"
}

type count struct {
	n    int
	what string
}

func words(counts []count) string {
	var parts []string
	for _, c := range counts {
		switch {
		case c.n == 1:
			parts = append(parts, "1 "+c.what)
		case c.n > 1:
			parts = append(parts, fmt.Sprintf("%d %ss", c.n, c.what))
		}
	}
	return strings.Join(parts, ", ")
}
