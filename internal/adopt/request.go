package adopt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// Wish is one container that is to be taken over, and where to.
type Wish struct {
	HostID      string
	ContainerID string // full
	Project     string // id or name; a name of none is a new one
	Stage       string // name in it, likewise
	// Of a new stage: its kind (empty: production), and when its instances count as stale (nil: as its project).
	Kind       store.StageKind
	StaleAfter *store.StaleAfter
	Image      string // repository of a new project; empty: the container's
}

// Whole names a compose project that is taken over as a whole.
type Whole struct{ HostID, Project string }

// Request asks for an adoption: all of it or nothing.
type Request struct {
	Items []Wish
	// Whole, if set, is all that a compose project has on a host and that is not ours yet: what Items do not name goes where it
	// is proposed to. What can never be adopted is left out of it, save where Items name it.
	Whole Whole
	// Make allows projects and stages that do not exist to be made.
	Make   bool
	DryRun bool // tell what would be made, and make nothing
	By     By
}

// field is the fault of one item of a request.
func field(i int, name, format string, args ...any) error {
	return store.FieldError{Field: fmt.Sprintf("items[%d].%s", i, name), Reason: fmt.Sprintf(format, args...)}
}

// check reports every fault that a request has by itself.
func (r Request) check() error {
	var wrong []error
	if len(r.Items) == 0 || len(r.Items) > MostAtOnce {
		wrong = append(wrong, store.FieldError{Field: "items", Reason: fmt.Sprintf("1 to %d containers at once, not %d", MostAtOnce, len(r.Items))})
	}
	seen := map[[2]string]bool{}
	for i, w := range r.Items {
		if !docker.FullID(w.ContainerID) {
			wrong = append(wrong, field(i, "container_id",
				"it must be the full id, 64 hex digits: a name or a shortened id may be another container's tomorrow"))
		}
		if seen[[2]string{w.HostID, w.ContainerID}] {
			wrong = append(wrong, field(i, "container_id", "it is named twice"))
		}
		seen[[2]string{w.HostID, w.ContainerID}] = true
		for name, value := range map[string]string{"project": w.Project, "stage": w.Stage} {
			if err, bad := errors.AsType[store.FieldError](store.ValidName(value)); bad {
				wrong = append(wrong, field(i, name, "%s", err.Reason))
			}
		}
		if !slices.Contains([]store.StageKind{"", store.StageDev, store.StageStaging, store.StageProduction, store.StagePreview}, w.Kind) {
			wrong = append(wrong, field(i, "kind", "one of dev, staging, production, preview"))
		}
	}
	return errors.Join(wrong...)
}

// complete adds what a whole compose project has and the items do not name; left is what can never be adopted of it.
func (a *Adopter) complete(ctx context.Context, r Request) (whole Request, left []Foreign, err error) {
	if r.Whole == (Whole{}) {
		return r, nil, nil
	}
	h, err := a.db.Host(ctx, r.Whole.HostID)
	if err != nil {
		return r, nil, err
	}
	all, err := a.on(ctx, h)
	if err != nil {
		return r, nil, fmt.Errorf("list what compose project %s has on %s: %w", r.Whole.Project, h.Name, err)
	}
	all = slices.DeleteFunc(all, func(f Foreign) bool { return f.Compose != r.Whole.Project })
	sortByKey(all)
	if len(all) == 0 {
		return r, nil, store.FieldError{Field: "compose", Reason: fmt.Sprintf("on %s there is nothing of compose project %q that is not ours already", h.Name, r.Whole.Project)}
	}
	for i, w := range r.Items {
		if !slices.ContainsFunc(all, func(f Foreign) bool { return f.ID == w.ContainerID && h.ID == w.HostID }) {
			return r, nil, field(i, "container_id", "it does not belong to compose project %s on %s, or is ours already", r.Whole.Project, h.Name)
		}
	}
	all = slices.DeleteFunc(all, func(f Foreign) bool {
		return slices.ContainsFunc(r.Items, func(w Wish) bool { return f.ID == w.ContainerID })
	})
	some, left, err := a.sortOut(ctx, all)
	if err != nil {
		return r, nil, err
	}
	for _, f := range some {
		r.Items = append(r.Items, Wish{HostID: h.ID, ContainerID: f.ID, Project: f.Proposal.Project, Stage: f.Proposal.Stage, Kind: f.Proposal.Kind})
	}
	if len(r.Items) == 0 && len(left) > 0 {
		return r, nil, fmt.Errorf("all that compose project %s has on %s %w: %s", r.Whole.Project, h.Name, ErrNotAdoptable, whyNot(left))
	}
	return r, left, nil
}

// sortOut looks at some containers, proposes where those go that can be adopted, and leaves out the others. What has gone
// meanwhile is in neither.
func (a *Adopter) sortOut(ctx context.Context, all []Foreign) (some, left []Foreign, err error) {
	gone, err := a.look(ctx, all)
	if err != nil {
		return nil, nil, err
	}
	for i, f := range all {
		switch {
		case gone[i]:
		case f.Why() != "":
			left = append(left, f)
		default:
			some = append(some, f)
		}
	}
	return some, left, a.proposeAll(ctx, some)
}

// whyNot says of each why it can never be adopted.
func whyNot(left []Foreign) string {
	said := make([]string, len(left))
	for i, f := range left {
		said[i] = f.Name + ": " + f.Why()
	}
	return strings.Join(said, "; ")
}
