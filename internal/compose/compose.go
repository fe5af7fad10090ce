// Package compose reads a compose file as text and says, for each of its services, the spec that it would become, and line by
// line what would not come along and what to do about it. It is pure: it opens no file, asks no network and sees no
// environment; values for ${VARIABLES} are given. What it takes of memory and time is bounded whatever the text is. The
// short and long forms of compose are read by the parts of compose-go that do just that; its loader, which goes to the
// file system, is not used.
package compose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

const (
	// MostBytes is the largest text that is read.
	MostBytes    = 1 << 20
	mostServices = 200
	mostNotes    = 2000
)

// Kind says how much a note matters.
type Kind string

// The kinds of notes, the worst first.
const (
	Blocked     Kind = "blocked"     // the service cannot be imported before this is mended
	Unsupported Kind = "unsupported" // it does not come along
	Told        Kind = "told"        // it comes along in another way, or means nothing here
)

// Note is what is to be known of one line of the file.
type Note struct {
	Kind   Kind
	Line   int    // from 1
	Key    string // such as deploy.replicas; within the service, if it is of one
	What   string
	Remedy string
}

// Variable is one that the text asks for.
type Variable struct {
	Name    string
	Line    int  // of its first use
	Given   bool // a value was given
	Default bool // it does without one
}

// Service is one service of the file.
type Service struct {
	Name  string
	Line  int
	Image string // repository; empty: it names none
	Tag   string
	Spec  store.Spec
	Notes []Note
}

// Blocked tells whether something must be mended before it can be imported.
func (s Service) Blocked() bool {
	return slices.ContainsFunc(s.Notes, func(n Note) bool { return n.Kind == Blocked })
}

// Lossy tells whether something of it does not come along.
func (s Service) Lossy() bool {
	return slices.ContainsFunc(s.Notes, func(n Note) bool { return n.Kind == Unsupported })
}

// File is a compose file that was read.
type File struct {
	Name      string // of the compose project, as the file says it
	Services  []Service
	Variables []Variable
	Notes     []Note // of what is outside of services
}

// Error is why a text is no compose file that can be read.
type Error struct {
	Line   int // 0: not of a line
	Reason string
	Remedy string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Reason
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.Reason)
}

// Options are what a text does not say.
type Options struct {
	Values map[string]string // of variables
	// Project is the name of the compose project, which networks and volumes on the host are called after; empty: as the file says.
	Project string
}

// Read reads a compose file. An error is an *Error.
func Read(text string, o Options) (File, error) {
	if len(text) > MostBytes {
		return File{}, &Error{Reason: "the file is larger than 1 MiB", Remedy: "give only the services that are to be imported"}
	}
	root, in, err := grow(text, o.Values)
	if err != nil {
		return File{}, err
	}
	if root.kind != object {
		return File{}, &Error{Line: root.line, Reason: "it is no compose file: a list of keys such as services: is expected", Remedy: "see docs.docker.com/compose for the form"}
	}
	r := &reader{in: in, project: o.Project, networks: map[string]string{}, volumes: map[string]string{}}
	if r.project == "" {
		r.project = root.field("name").text()
	}
	r.file.Name = r.project
	r.outside(root)
	services := root.field("services")
	if services.kind != object || len(services.fields) == 0 {
		return File{}, &Error{Line: max(services.line, root.line), Reason: "it has no services", Remedy: "a compose file names what it runs under services:"}
	}
	if len(services.fields) > mostServices {
		return File{}, &Error{Line: services.line, Reason: "it has more than 200 services", Remedy: "give only the services that are to be imported"}
	}
	r.many = len(services.fields) > 1
	for _, f := range services.fields {
		if !strings.HasPrefix(f.key, "x-") {
			r.file.Services = append(r.file.Services, r.service(f))
		}
	}
	r.file.Variables = in.variables()
	return r.file, nil
}

// reader gathers what a file says.
type reader struct {
	file              File
	in                *filler
	project           string
	many              bool              // services are in it
	networks, volumes map[string]string // as called in the file -> as called on the host
}

func (r *reader) note(kind Kind, line int, key, what, remedy string) {
	if len(r.file.Notes) < mostNotes {
		r.file.Notes = append(r.file.Notes, Note{Kind: kind, Line: line, Key: key, What: what, Remedy: remedy})
	}
}

// outside reads what is not of one service.
func (r *reader) outside(root *item) {
	for _, f := range root.fields {
		switch {
		case f.key == "services", f.key == "name", strings.HasPrefix(f.key, "x-"):
		case f.key == "version":
			r.note(Told, f.line, f.key, "it means nothing any more", "")
		case f.key == "networks":
			r.named(f, r.networks, "network")
		case f.key == "volumes":
			r.named(f, r.volumes, "volume")
		case f.key == "include":
			r.note(Unsupported, f.line, f.key, "no other file is read", "import that file by itself, or paste its services into this one")
		case f.key == "configs", f.key == "secrets":
			r.note(Unsupported, f.line, f.key, "files of this kind are not handed to containers", "put them on the host and mount them, or give them as a secret variable")
		default:
			r.note(Unsupported, f.line, f.key, "this key is not known", "take it out, or mend its name")
		}
	}
}

// named reads how networks or volumes of the file are called on the host.
func (r *reader) named(at field, into map[string]string, what string) {
	for _, f := range at.item.fields {
		name := f.item.field("name").text()
		external := f.item.field("external")
		if old := external.field("name").text(); name == "" && old != "" {
			name = old
		}
		if name == "" && (external.kind == object || external.text() == "true") {
			name = f.key
		}
		into[f.key] = name
		for _, option := range f.item.fields {
			switch option.key {
			case "name", "external":
			case "driver":
				if d := option.item.text(); d != "" && d != "bridge" && d != "local" {
					r.note(Unsupported, option.line, at.key+"."+f.key+".driver", "a "+what+" with the driver "+d+" is not made here", "make it on the host first: docker "+what+" create --driver "+d)
				}
			case "labels":
				r.note(Told, option.line, at.key+"."+f.key+".labels", "labels of a "+what+" are left to who makes it", "")
			default:
				if !strings.HasPrefix(option.key, "x-") {
					r.note(Unsupported, option.line, at.key+"."+f.key+"."+option.key, "a "+what+" with this option is not made here", "make it on the host first, with docker "+what+" create")
				}
			}
		}
	}
}

// onHost is what compose calls a network or volume of the file on the host.
func (r *reader) onHost(names map[string]string, name string) string {
	if called := names[name]; called != "" {
		return called
	}
	if r.project == "" {
		return name
	}
	return r.project + "_" + name
}
