package hook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// mostNamed bounds how many repositories of one message count.
const mostNamed = 100

// ErrUnreadable is a body that is no message of any form that is known.
var ErrUnreadable = errors.New("the body is no JSON object")

// Named is what a message says that it is about.
type Named struct {
	Path  string // of a repository as in the names of images, in lower case, without a tag; its host stands before it if it was said
	Under bool   // a project of a forge: all repositories that begin with it are meant
}

// message is all that is read of one, whatever sends it; docs/registries.md lists the senders. Keys that several use in
// different ways are read as what they are.
type message struct {
	Events []event `json:"events"` // distribution
	event          // Azure sends one alone

	Repository   json.RawMessage `json:"repository"` // Docker Hub, GitHub, Gitea: an object; Quay and the generic form: a name
	Repositories []string        `json:"repositories"`
	Image        string          `json:"image"`

	Package         pack `json:"package"` // GitHub, Gitea, Forgejo
	RegistryPackage pack `json:"registry_package"`

	EventData struct { // Harbor
		Repository struct {
			RepoFullName string `json:"repo_full_name"`
		} `json:"repository"`
	} `json:"event_data"`

	ObjectKind       string `json:"object_kind"` // GitLab
	BuildStatus      string `json:"build_status"`
	ObjectAttributes struct {
		Status string `json:"status"`
	} `json:"object_attributes"`
	Project struct {
		Path string `json:"path_with_namespace"`
	} `json:"project"`
}

// event is a notification of the distribution registry, and of all that are built on it.
type event struct {
	Action json.RawMessage `json:"action"`
	Target struct {
		Repository string `json:"repository"`
	} `json:"target"`
}

// pack is a package of a forge.
type pack struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	Type      string `json:"type"`
	Kind      string `json:"package_type"`
	Owner     struct {
		Login    string `json:"login"`
		Username string `json:"username"`
	} `json:"owner"`
}

// Read says which repositories a message is about: none, if it is about something else, or only asks whether anybody is
// there. An error is that it cannot be read at all.
func Read(body []byte) ([]Named, error) {
	body = formless(bytes.TrimSpace(body))
	if len(body) == 0 {
		return nil, nil
	}
	if body[0] != '{' || !json.Valid(body) {
		return nil, ErrUnreadable
	}
	var m message
	// One key of another kind than was expected is no reason not to read the others.
	var kind *json.UnmarshalTypeError
	if err := json.Unmarshal(body, &m); err != nil && !errors.As(err, &kind) {
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	return m.names(), nil
}

// formless is the JSON in a form that GitHub sends when it is set up so.
func formless(body []byte) []byte {
	text, is := bytes.CutPrefix(body, []byte("payload="))
	if !is {
		return body
	}
	decoded, err := url.QueryUnescape(string(text))
	if err != nil {
		return body
	}
	return []byte(decoded)
}

func (m message) names() []Named {
	var found names
	for _, e := range append(m.Events, m.event) {
		if e.changes() {
			found.add(e.Target.Repository, false)
		}
	}
	found.add(m.repository(), false)
	for _, r := range m.Repositories {
		found.add(r, false)
	}
	found.add(m.Image, false)
	found.add(m.Package.path(), false)
	found.add(m.RegistryPackage.path(), false)
	found.add(m.EventData.Repository.RepoFullName, false)
	if m.mayHavePushed() {
		found.add(m.Project.Path, true)
	}
	return found
}

// mayHavePushed reports whether a message of GitLab is of the end of something that may have pushed an image: it has none
// for the push itself.
func (m message) mayHavePushed() bool {
	switch m.ObjectKind {
	case "pipeline":
		return m.ObjectAttributes.Status == "success"
	case "build":
		return m.BuildStatus == "success"
	}
	return m.ObjectKind != ""
}

// changes leaves out the pulls, of which a registry tells, too.
func (e event) changes() bool { return string(e.Action) != `"pull"` }

// repository is the repository of images that is named by the key of this name. GitHub and Gitea name one of sources there.
func (m message) repository() string {
	var name string
	if json.Unmarshal(m.Repository, &name) == nil {
		return name
	}
	var hub struct {
		RepoName string `json:"repo_name"`
	}
	if json.Unmarshal(m.Repository, &hub) != nil {
		return ""
	}
	return hub.RepoName
}

// path is the repository of a package that is an image.
func (p pack) path() string {
	for _, kind := range []string{p.Type, p.Kind} {
		if kind != "" && !strings.EqualFold(kind, "container") && !strings.EqualFold(kind, "docker") {
			return ""
		}
	}
	for _, owner := range []string{p.Namespace, p.Owner.Login, p.Owner.Username} {
		if owner != "" && p.Name != "" {
			return owner + "/" + p.Name
		}
	}
	return ""
}

type names []Named

var pathForm = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9._:-]*[a-z0-9])?(?:/[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?)*$`)

func (n *names) add(text string, under bool) {
	if len(*n) >= mostNamed || len(text) > 255 {
		return
	}
	path := strings.ToLower(untagged(text))
	if named := (Named{path, under}); pathForm.MatchString(path) && !slices.Contains(*n, named) {
		*n = append(*n, named)
	}
}

// untagged is the name of an image without its tag and digest.
func untagged(text string) string {
	text, _, _ = strings.Cut(text, "@")
	if at := strings.LastIndexByte(text, ':'); at > strings.LastIndexByte(text, '/') {
		text = text[:at]
	}
	return text
}
