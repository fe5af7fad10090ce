package docker

import (
	"regexp"
	"slices"
	"strings"
)

// Feature is a part of the product by what it asks of an engine.
type Feature string

// The features. FeatureWatch is what everything else stands on.
const (
	FeatureWatch   Feature = "watch"
	FeatureLogs    Feature = "logs"
	FeatureDeploy  Feature = "deploy"
	FeatureCleanup Feature = "cleanup"
	FeatureUndo    Feature = "undo"
	FeatureReclaim Feature = "reclaim"
	FeatureAdopt   Feature = "adopt"
)

// Features are all of them, with what each is for.
func Features() []FeatureText {
	return []FeatureText{
		{FeatureWatch, "find containers, know when they stopped, tell what is stale; reads only"},
		{FeatureLogs, "logs, and what instances use; reads only"},
		{FeatureAdopt, "take containers over; reads only"},
		{FeatureDeploy, "deploy to stages, start, stop and restart instances"},
		{FeatureCleanup, "remove stale containers, and keep what an undo needs"},
		{FeatureUndo, "bring removed containers back"},
		{FeatureReclaim, "remove images and anonymous volumes that removed ones left"},
	}
}

// FeatureText says what a feature is for.
type FeatureText struct {
	Feature Feature
	Text    string
}

// EngineCall is one call of an engine's API, and the features that make it. Path is without the version and has
// {id}, {name} or {image} where one is named; an image's name may hold slashes.
type EngineCall struct {
	Method, Path string
	For          []Feature
}

// engineCalls is every call that this package makes; the test of the contract holds it against what is really asked.
func engineCalls() []EngineCall {
	const (
		watch, logs, deploy, cleanup   = FeatureWatch, FeatureLogs, FeatureDeploy, FeatureCleanup
		undo, reclaim, adopt, get, put = FeatureUndo, FeatureReclaim, FeatureAdopt, "GET", "POST"
	)
	return []EngineCall{
		{"HEAD", "/_ping", []Feature{watch}},
		{get, "/_ping", []Feature{watch}},
		{get, "/info", []Feature{watch}},
		{get, "/events", []Feature{watch}},
		{get, "/containers/json", []Feature{watch}},
		{get, "/containers/{id}/json", []Feature{watch}},
		{get, "/images/{image}/json", []Feature{adopt, deploy, cleanup, undo, reclaim}},
		{get, "/images/json", []Feature{deploy, cleanup, reclaim}},
		{get, "/containers/{id}/logs", []Feature{logs, deploy, cleanup}},
		{get, "/containers/{id}/stats", []Feature{logs}},
		{get, "/containers/{id}/changes", []Feature{cleanup}},
		{get, "/system/df", []Feature{cleanup, reclaim}},
		{get, "/networks", []Feature{deploy, undo}},
		{get, "/volumes", []Feature{cleanup, undo, reclaim}},
		{get, "/volumes/{name}", []Feature{undo}},
		{put, "/containers/create", []Feature{deploy, undo}},
		{put, "/containers/{id}/start", []Feature{deploy, cleanup, undo}},
		{put, "/containers/{id}/stop", []Feature{deploy, cleanup, undo}},
		{put, "/containers/{id}/restart", []Feature{deploy}},
		{put, "/containers/{id}/pause", []Feature{cleanup}},
		{put, "/containers/{id}/unpause", []Feature{deploy, cleanup}},
		{put, "/containers/{id}/update", []Feature{deploy}},
		{put, "/images/create", []Feature{deploy, undo}},
		{put, "/images/load", []Feature{undo}},
		{put, "/images/{image}/tag", []Feature{cleanup, undo, reclaim}},
		{put, "/commit", []Feature{cleanup}},
		{put, "/networks/create", []Feature{deploy, undo}},
		{put, "/networks/{name}/connect", []Feature{deploy, undo}},
		{"DELETE", "/containers/{id}", []Feature{deploy, cleanup, undo}},
		{"DELETE", "/images/{image}", []Feature{cleanup, undo, reclaim}},
		{"DELETE", "/volumes/{name}", []Feature{reclaim}},
	}
}

// EngineCalls are the calls that some features make, and those of FeatureWatch with them.
func EngineCalls(features ...Feature) []EngineCall {
	return slices.DeleteFunc(engineCalls(), func(c EngineCall) bool {
		return !slices.ContainsFunc(c.For, func(f Feature) bool { return f == FeatureWatch || slices.Contains(features, f) })
	})
}

// Pattern is a regular expression for the path, with or without a version before it.
func (c EngineCall) Pattern() string {
	path := regexp.QuoteMeta(c.Path)
	for hole, may := range map[string]string{`\{id\}`: `[A-Za-z0-9_.-]+`, `\{name\}`: `[A-Za-z0-9_.-]+`, `\{image\}`: `[A-Za-z0-9_./:@-]+`} {
		path = strings.ReplaceAll(path, hole, may)
	}
	return `^(/v[0-9.]+)?` + path + `$`
}

// Covers reports whether a request is this call.
func (c EngineCall) Covers(method, path string) bool {
	return c.Method == method && regexp.MustCompile(c.Pattern()).MatchString(path)
}
