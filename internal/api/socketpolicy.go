package api

import (
	"context"
	"slices"

	"github.com/tiny-forge/docker-watcher/internal/docker"
)

type socketPolicyIn struct {
	Features []string `query:"feature,explode" maxItems:"20" enum:"watch,logs,adopt,deploy,cleanup,undo,reclaim" doc:"what is used; nothing: what is in use by what the daemon holds. What watching asks is always there"`
	All      bool     `query:"all" doc:"everything that an engine is ever asked"`
}

type socketPolicyJSON struct {
	Features []socketFeatureJSON `json:"features" nullable:"false" doc:"what there is to choose from"`
	Calls    []engineCallJSON    `json:"calls" nullable:"false" doc:"what an engine is asked for what was chosen, and nothing else"`
}

type socketFeatureJSON struct {
	Name  string `json:"name"`
	Text  string `json:"text"`
	Taken bool   `json:"taken" doc:"its calls are among those listed"`
	InUse bool   `json:"in_use"`
	Why   string `json:"why" doc:"how it is known that it is in use, or is not"`
}

type engineCallJSON struct {
	Method   string   `json:"method"`
	Path     string   `json:"path" doc:"without the version"`
	Pattern  string   `json:"pattern" doc:"a regular expression for the path, with or without the version"`
	Features []string `json:"features" nullable:"false"`
}

// socketPolicy tells what a proxy before an engine's socket has to let through.
func (s *server) socketPolicy(ctx context.Context, in *socketPolicyIn) (*out[socketPolicyJSON], error) {
	if in.All && len(in.Features) > 0 {
		return nil, invalid("query.all", "is given beside feature: one of the two says what is wanted")
	}
	use, err := s.d.DB.FeatureUse(ctx)
	if err != nil {
		return nil, err
	}
	settings, err := s.d.DB.Settings(ctx)
	if err != nil {
		return nil, err
	}
	var said socketPolicyJSON
	inUse := featuresInUse(use, settings.AutoCleanup)
	var chosen []docker.Feature
	for _, f := range docker.Features() {
		u := inUse[f.Feature]
		taken := in.All || f.Feature == docker.FeatureWatch || slices.Contains(in.Features, string(f.Feature)) || len(in.Features) == 0 && u.inUse
		said.Features = append(said.Features, socketFeatureJSON{Name: string(f.Feature), Text: f.Text, Taken: taken, InUse: u.inUse, Why: u.why})
		if taken {
			chosen = append(chosen, f.Feature)
		}
	}
	for _, c := range docker.EngineCalls(chosen...) {
		call := engineCallJSON{Method: c.Method, Path: c.Path, Pattern: c.Pattern()}
		for _, f := range c.For {
			call.Features = append(call.Features, string(f))
		}
		said.Calls = append(said.Calls, call)
	}
	return answer(said), nil
}
