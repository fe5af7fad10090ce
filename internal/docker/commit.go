package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// commitTimeout: all files of the writable layer are copied, without a word meanwhile.
const commitTimeout = 10 * time.Minute

// ownLabels are all that mark a container as ours.
var ownLabels = []string{LabelManaged, LabelInstallation, LabelProject, LabelStage, LabelInstance, LabelKeep}

// envName is a name that a change of an image's environment can be written with.
var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)

// Commit makes an image of a container's writable layer under ref, without a pause of what runs. Our labels are blanked
// on it, so that containers that others make of it never look like ours, and so are the values of its environment, which
// may be secrets: Recreate brings them from the inspect.
func (e *Engine) Commit(ctx context.Context, c Owned, ref string) (imageID string, err error) {
	doing := "commit container " + c.ID + " as " + ref
	got, err := e.confirm(ctx, c)
	if err != nil {
		return "", fmt.Errorf("%s: %w", doing, err)
	}
	changes, err := blanked(got)
	if err != nil {
		return "", fmt.Errorf("%s: %w", doing, err)
	}
	return call(ctx, e, doing, commitTimeout, func(ctx context.Context, s *session) (string, error) {
		o := client.ContainerCommitOptions{Reference: ref, NoPause: true, Changes: changes}
		if s.podman() {
			o.Config = &container.Config{} // it wants one and reads nothing in it
		}
		made, err := s.cli.ContainerCommit(ctx, c.ID, o)
		return withAlgorithm(made.ID), refusedHere(err)
	})
}

// blanked are the changes that empty our labels and the environment; an engine cannot take a name away.
func blanked(c Container) ([]string, error) {
	var changes []string
	for name := range c.Labels {
		if slices.Contains(ownLabels, name) {
			changes = append(changes, "LABEL "+name+`=""`)
		}
	}
	var inspect struct{ Config struct{ Env []string } }
	if err := json.Unmarshal(c.Raw, &inspect); err != nil {
		return nil, fmt.Errorf("read its environment: %w", err)
	}
	for _, variable := range inspect.Config.Env {
		if name, _, _ := strings.Cut(variable, "="); envName.MatchString(name) {
			changes = append(changes, "ENV "+name+`=""`)
		}
	}
	slices.Sort(changes)
	return changes, nil
}
