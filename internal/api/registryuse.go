package api

import (
	"context"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/registry"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// registryUseJSON is who uses a registry, and what polling it brought.
type registryUseJSON struct {
	Stages       int    `json:"stages" doc:"whose images come from it"`
	Following    int    `json:"following" doc:"of them follow tags, so that it is asked"`
	Repositories int    `json:"repositories" doc:"that those follow"`
	LastAt       moment `json:"last_at" doc:"when it was last asked for tags; null: never"`
	NextAt       moment `json:"next_at" doc:"the next check; null: in the next round, or nothing follows it"`
	Blind        int    `json:"blind" doc:"stages for which it could not be asked"`
	Since        moment `json:"since" doc:"since when it could not be asked, for any of them; null: it could"`
	Error        string `json:"error,omitempty" doc:"why not"`
}

type registryStageJSON struct {
	ID      string `json:"id"`
	Project string `json:"project"`
	Stage   string `json:"stage"`
	Image   string `json:"image"`
	Follows bool   `json:"follows" doc:"it follows tags"`
}

type trafficJSON struct {
	Since       stamp `json:"since" doc:"it is counted from here: a start of the daemon, or a change of how it is reached"`
	Requests    int64 `json:"requests"`
	NotModified int64 `json:"not_modified" doc:"of them were answered with 304: nothing new"`
}

// usesByHost are the stages by the registry that their images come from.
func (s *server) usesByHost(ctx context.Context) (map[string][]store.ImageUse, error) {
	all, err := s.d.DB.ImageUses(ctx)
	if err != nil {
		return nil, err
	}
	uses := map[string][]store.ImageUse{}
	for _, u := range all {
		host := registry.HostOf(u.Image)
		uses[host] = append(uses[host], u)
	}
	return uses, nil
}

func registryUseOf(uses []store.ImageUse) registryUseJSON {
	j := registryUseJSON{Stages: len(uses)}
	images := map[string]bool{}
	soon := false // one is due now
	for _, u := range uses {
		if !u.Follows {
			continue
		}
		j.Following++
		images[u.Image] = true
		soon = soon || u.Poll.NextAt.IsZero()
		if time.Time(j.LastAt).Before(u.Poll.LastAt) {
			j.LastAt = moment(u.Poll.LastAt)
		}
		j.NextAt = sooner(j.NextAt, u.Poll.NextAt)
		if !u.Poll.Since.IsZero() {
			j.Blind++
			if j.Since = sooner(j.Since, u.Poll.Since); time.Time(j.Since).Equal(u.Poll.Since) {
				j.Error = u.Poll.Error
			}
		}
	}
	if j.Repositories = len(images); soon {
		j.NextAt = moment{}
	}
	return j
}

// sooner is the earlier of two moments; a zero one is none.
func sooner(m moment, at time.Time) moment {
	if have := time.Time(m); have.IsZero() || !at.IsZero() && at.Before(have) {
		return moment(at)
	}
	return m
}

func registryStagesOf(uses []store.ImageUse) []registryStageJSON {
	stages := make([]registryStageJSON, 0, len(uses))
	for _, u := range uses {
		stages = append(stages, registryStageJSON{ID: u.StageID, Project: u.Project, Stage: u.Stage, Image: u.Image, Follows: u.Follows})
	}
	return stages
}

func trafficOf(t registry.Traffic) trafficJSON {
	return trafficJSON{Since: stamp(t.Since), Requests: t.Requests, NotModified: t.NotModified}
}
