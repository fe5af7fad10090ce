package adopt

import (
	"strings"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// Labels that compose puts on what it makes.
const (
	labelCompose = "com.docker.compose.project"
	labelService = "com.docker.compose.service"
	composeOwn   = "com.docker.compose."
)

// Proposal is where a container would best be adopted to. Names that exist say so; nothing is written by it.
type Proposal struct {
	Project, Stage string
	Kind           store.StageKind
	Image          string // repository
	Tag            string // or digest; empty: the image has no name
	// ProjectKnown and StageKnown: there is one of that name.
	ProjectKnown, StageKnown bool
}

// named is all that a proposal is made of.
type named struct {
	container        string
	compose, service string
	image            string
	services         int // how many services its compose project has on the host
}

// propose is the rule: of a compose project with one service the project, of one with several project-service, of anything
// else the image's last name. A word for a kind of stage in the compose project's name, or in the container's, is the stage.
func propose(n named) Proposal {
	p := Proposal{Stage: "production", Kind: store.StageProduction}
	p.Image, p.Tag = splitImage(n.image)
	name, source := n.compose, n.compose
	if name == "" {
		name, source = lastOf(p.Image), n.container
	}
	words := wordsOf(source)
	for i, word := range words {
		kind, known := kinds[word]
		if !known {
			continue
		}
		p.Kind, p.Stage = kind, string(kind)
		if n.compose != "" {
			name = strings.Join(append(words[:i:i], words[i+1:]...), "-")
		}
		break
	}
	if n.compose != "" && n.service != "" && (n.services > 1 || slug(name) == "") {
		name += "-" + n.service
	}
	if p.Project = slug(name); p.Project == "" {
		p.Project = slug(n.container)
	}
	if p.Project == "" {
		p.Project = "adopted"
	}
	return p
}

// kinds are the words by which people call stages.
var kinds = map[string]store.StageKind{
	"prod": store.StageProduction, "production": store.StageProduction, "live": store.StageProduction,
	"staging": store.StageStaging, "stage": store.StageStaging, "stg": store.StageStaging, "test": store.StageStaging, "qa": store.StageStaging,
	"dev": store.StageDev, "development": store.StageDev,
	"preview": store.StagePreview, "review": store.StagePreview, "demo": store.StagePreview,
}

func wordsOf(name string) []string {
	return strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return r == '-' || r == '_' || r == '.' })
}

// slug is a name of a project or stage made of any name; empty if nothing of it is left.
func slug(name string) string {
	var b strings.Builder
	dash := false
	for _, r := range strings.ToLower(name) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			if dash && b.Len() > 0 {
				b.WriteByte('-')
			}
			dash = false
			b.WriteRune(r)
			continue
		}
		dash = true
	}
	const longest = 63
	return strings.TrimRight(b.String()[:min(b.Len(), longest)], "-")
}

func lastOf(repository string) string {
	return repository[strings.LastIndexByte(repository, '/')+1:]
}

// splitImage splits what a container was made of into repository and tag (or digest). Both are empty for an image that is named
// by nothing but its id; a repository without a tag means latest.
func splitImage(ref string) (repository, tag string) {
	if repo, digest, ok := strings.Cut(ref, "@"); ok {
		repo, _ = cutTag(repo)
		return repo, digest
	}
	if isImageID(ref) {
		return "", ""
	}
	if repository, tag = cutTag(ref); tag == "" && repository != "" {
		tag = "latest"
	}
	return repository, tag
}

// cutTag cuts a tag off; a colon before the last slash belongs to the port of a registry.
func cutTag(ref string) (repository, tag string) {
	at := strings.LastIndexByte(ref, ':')
	if at < 0 || strings.Contains(ref[at:], "/") {
		return ref, ""
	}
	return ref[:at], ref[at+1:]
}

// isImageID reports whether a reference is an id, whole or shortened, as a list shows it where the tag has moved on.
func isImageID(ref string) bool {
	hex, whole := strings.CutPrefix(ref, "sha256:")
	return strings.Trim(hex, "0123456789abcdef") == "" && (whole || len(hex) == 12 || len(hex) == 64)
}
