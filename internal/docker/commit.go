package docker

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// commitTimeout: all files of the writable layer are copied, without a word meanwhile.
const commitTimeout = 10 * time.Minute

// ownLabels are all that mark a container as ours.
var ownLabels = []string{LabelManaged, LabelInstallation, LabelProject, LabelStage, LabelInstance, LabelKeep}

// Commit makes an image of a container's writable layer under ref, without a pause of what runs. Our labels are blanked
// on it, so that containers that others make of it never look like ours.
func (e *Engine) Commit(ctx context.Context, c Owned, ref string) (imageID string, err error) {
	doing := "commit container " + c.ID + " as " + ref
	got, err := e.confirm(ctx, c)
	if err != nil {
		return "", fmt.Errorf("%s: %w", doing, err)
	}
	return call(ctx, e, doing, commitTimeout, func(ctx context.Context, s *session) (string, error) {
		o := client.ContainerCommitOptions{Reference: ref, NoPause: true, Changes: blanked(got.Labels)}
		if s.podman() {
			o.Config = &container.Config{} // it wants one and reads nothing in it
		}
		made, err := s.cli.ContainerCommit(ctx, c.ID, o)
		return withAlgorithm(made.ID), refusedHere(err)
	})
}

// blanked are the changes that empty our labels; an engine cannot take a label away.
func blanked(labels map[string]string) []string {
	var changes []string
	for name := range labels {
		if slices.Contains(ownLabels, name) {
			changes = append(changes, "LABEL "+name+`=""`)
		}
	}
	slices.Sort(changes)
	return changes
}
