package api

import (
	"slices"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

func TestFeaturesInUse(t *testing.T) {
	const (
		watch, logs, adopt, deploy = docker.FeatureWatch, docker.FeatureLogs, docker.FeatureAdopt, docker.FeatureDeploy
		cleanup, undo, reclaim     = docker.FeatureCleanup, docker.FeatureUndo, docker.FeatureReclaim
	)
	for name, c := range map[string]struct {
		use  store.FeatureUse
		auto bool
		want []docker.Feature
		of   docker.Feature // whose reason is
		why  string
	}{
		"nothing":          {want: []docker.Feature{watch}, of: deploy, why: "nothing was deployed, and no stage waits for it"},
		"adopted":          {use: store.FeatureUse{Instances: 2, Adopted: 2}, want: []docker.Feature{watch, logs, adopt}, of: adopt, why: "2 instances were adopted"},
		"an empty stage":   {use: store.FeatureUse{Empty: 1}, want: []docker.Feature{watch, deploy}, of: deploy, why: "1 stage waits for a deploy"},
		"deployed":         {use: store.FeatureUse{Instances: 1, Deploys: 3}, want: []docker.Feature{watch, logs, deploy}, of: deploy, why: "3 deploys were made"},
		"by a rule":        {use: store.FeatureUse{Following: 1, Deploys: 3}, want: []docker.Feature{watch, deploy}, of: deploy, why: "1 stage deploys by itself"},
		"automatic":        {auto: true, want: []docker.Feature{watch, cleanup, undo}, of: undo, why: "what is cleaned up may be brought back"},
		"by hand":          {use: store.FeatureUse{Cleanups: 2}, want: []docker.Feature{watch, cleanup, undo}, of: cleanup, why: "2 cleanups were made"},
		"kept from before": {use: store.FeatureUse{Archives: 1}, want: []docker.Feature{watch, undo}, of: undo, why: "1 removed instance is kept for it"},
		"reclaimed":        {use: store.FeatureUse{Reclaims: 1}, want: []docker.Feature{watch, reclaim}, of: cleanup, why: "automatic cleanup is off, and nothing was cleaned up"},
	} {
		t.Run(name, func(t *testing.T) {
			told := featuresInUse(c.use, c.auto)
			for _, f := range docker.Features() {
				said, is := told[f.Feature]
				if !is || said.why == "" || said.inUse != slices.Contains(c.want, f.Feature) {
					t.Errorf("%s: %+v, %v", f.Feature, said, is)
				}
			}
			if told[c.of].why != c.why {
				t.Errorf("%s: %s", c.of, told[c.of].why)
			}
		})
	}
}
