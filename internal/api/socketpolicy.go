package api

import (
	"context"
	"slices"

	"github.com/tiny-forge/docker-watcher/internal/docker"
)

type socketPolicyIn struct {
	Features []string `query:"feature,explode" maxItems:"20" enum:"watch,logs,adopt,deploy,cleanup,undo,reclaim" doc:"what is used; nothing: everything. What watching asks is always there"`
}

type socketPolicyJSON struct {
	Features []socketFeatureJSON `json:"features" nullable:"false" doc:"what there is to choose from"`
	Calls    []engineCallJSON    `json:"calls" nullable:"false" doc:"what an engine is asked for what was chosen, and nothing else"`
}

type socketFeatureJSON struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

type engineCallJSON struct {
	Method   string   `json:"method"`
	Path     string   `json:"path" doc:"without the version"`
	Pattern  string   `json:"pattern" doc:"a regular expression for the path, with or without the version"`
	Features []string `json:"features" nullable:"false"`
}

// socketPolicy tells what a proxy before an engine's socket has to let through.
func (s *server) socketPolicy(_ context.Context, in *socketPolicyIn) (*out[socketPolicyJSON], error) {
	var said socketPolicyJSON
	var chosen []docker.Feature
	for _, f := range docker.Features() {
		said.Features = append(said.Features, socketFeatureJSON{Name: string(f.Feature), Text: f.Text})
		if len(in.Features) == 0 || slices.Contains(in.Features, string(f.Feature)) {
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
