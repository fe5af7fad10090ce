package api

import (
	"context"

	"github.com/tiny-forge/docker-watcher/internal/stale"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

type leftoverJSON struct {
	ID         string `json:"id"`
	HostID     string `json:"host_id"`
	Host       string `json:"host" doc:"its name"`
	Kind       string `json:"kind" enum:"container_without_row,row_without_container,route_to_nothing,removing_too_long,dead"`
	Subject    string `json:"subject" doc:"full container id, instance id or route id"`
	Name       string `json:"name" doc:"what people know it by"`
	InstanceID string `json:"instance_id,omitempty"`
	ProjectID  string `json:"project_id,omitempty"`
	StageID    string `json:"stage_id,omitempty"`
	Detail     string `json:"detail"`
	Step       string `json:"step" doc:"the one step that mends it, in words"`
	NeedsYes   bool   `json:"needs_yes" doc:"mending it takes the full container id as a yes"`
	FoundAt    stamp  `json:"found_at"`
	SeenAt     stamp  `json:"seen_at" doc:"by the newest scan that found it"`
}

func leftoverOf(l store.Leftover, hosts hostNames) leftoverJSON {
	return leftoverJSON{
		ID: l.ID, HostID: l.HostID, Host: hosts[l.HostID], Kind: string(l.Kind), Subject: l.Subject, Name: l.Name, InstanceID: l.InstanceID,
		ProjectID: l.ProjectID, StageID: l.StageID, Detail: l.Detail, Step: stale.LeftoverStep(l.Kind),
		NeedsYes: l.Kind == store.LeftoverContainer, FoundAt: stamp(l.FoundAt), SeenAt: stamp(l.SeenAt),
	}
}

type listLeftoversIn struct {
	Host string `query:"host" maxLength:"100" doc:"id; absent: of all hosts"`
}

func (s *server) listLeftovers(ctx context.Context, in *listLeftoversIn) (*out[list[leftoverJSON]], error) {
	leftovers, err := s.d.DB.Leftovers(ctx, in.Host)
	if err != nil {
		return nil, err
	}
	hosts, err := s.hostNames(ctx)
	if err != nil {
		return nil, err
	}
	return answer(listOf(leftovers, "", func(l store.Leftover) leftoverJSON { return leftoverOf(l, hosts) })), nil
}

// mendRequest describes the body in the document; mendLeftover reads it.
type mendRequest struct {
	Yes string `json:"yes,omitempty" maxLength:"200" doc:"the full id of the container that is to be removed"`
}

func mendBody[I, O any](fn func(context.Context, *I) (*O, error)) mounter {
	return rawBody[mendRequest](fn, false)
}

type mendIn struct {
	ByID
	RawBody []byte
}

// mendLeftover carries out the one step that mends a leftover.
func (s *server) mendLeftover(ctx context.Context, in *mendIn) (*none, error) {
	keys, err := readObject(in.RawBody)
	if err != nil {
		return nil, err
	}
	yes := ""
	for _, name := range sortedKeys(keys) {
		if name != "yes" {
			return nil, invalid("body."+name, "there is no such key")
		}
		if err := readText("body.yes", keys[name], &yes); err != nil {
			return nil, err
		}
	}
	if _, err := s.d.DB.Leftover(ctx, in.ID); err != nil {
		return nil, err
	}
	acting, cancel := s.beyondCaller(ctx, actionTimeout)
	defer cancel()
	return nil, s.d.Cleaner.Mend(acting, in.ID, yes, actorOf(ctx))
}
