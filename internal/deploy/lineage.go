package deploy

import (
	"context"
	"fmt"
	"slices"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// mostHistory bounds how many deploys of a stage are looked back at.
const mostHistory = 1000

// history is where the deploys of a stage are found.
type history interface {
	Deploys(ctx context.Context, projectID, stageID string, page store.Page) ([]store.Deploy, string, error)
}

// goodDeploys are the deploys of a stage that were done, newest first.
func goodDeploys(ctx context.Context, in history, stage store.Stage) (good []store.Deploy, err error) {
	for read, page := 0, (store.Page{Limit: 200}); read < mostHistory; {
		deploys, next, err := in.Deploys(ctx, stage.ProjectID, stage.ID, page)
		if err != nil {
			return nil, fmt.Errorf("read the deploys of stage %s: %w", stage.Name, err)
		}
		for _, dep := range deploys {
			if dep.State == store.DeployDone {
				good = append(good, dep)
			}
		}
		if next == "" {
			break
		}
		read, page.Cursor = read+len(deploys), next
	}
	return good, nil
}

// lineage reads what a stage has become out of its good deploys, which are newest first. The line is what serves and what led up to it,
// newest first: each is what is gone back to from the one before. Left is what was rolled back from, the last first: it led nowhere.
func lineage(good []store.Deploy) (line, left []string) {
	var stack, undone []store.Deploy // oldest first
	for _, dep := range slices.Backward(good) {
		undone = slices.DeleteFunc(undone, func(d store.Deploy) bool { return d.InstanceID == dep.InstanceID })
		if at := goneBackTo(stack, dep); at >= 0 {
			for _, d := range slices.Backward(stack[at:]) {
				if d.InstanceID != dep.InstanceID {
					undone = append(undone, d)
				}
			}
			stack = stack[:at]
		}
		stack = append(stack, dep)
	}
	return idsBackward(stack), idsBackward(undone)
}

// goneBackTo is where in the stack stands what a rollback went back to: its instance or, where another was made of it, the newest of
// the same image; -1: nowhere.
func goneBackTo(stack []store.Deploy, dep store.Deploy) int {
	if dep.Kind != store.DeployRollback {
		return -1
	}
	like := -1
	for at, d := range stack {
		switch {
		case d.InstanceID == dep.InstanceID:
			return at
		case d.Image == dep.Image && d.ImageTag == dep.ImageTag && d.Digest == dep.Digest:
			like = at
		}
	}
	return like
}

func idsBackward(deploys []store.Deploy) (ids []string) {
	for _, d := range slices.Backward(deploys) {
		ids = append(ids, d.InstanceID)
	}
	return ids
}
