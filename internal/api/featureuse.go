package api

import (
	"fmt"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// featureUse says whether a feature is in use, and how that is known.
type featureUse struct {
	inUse bool
	why   string
}

// sign is one of the things by which a feature is known to be in use.
type sign struct {
	is  bool
	why string
}

// some is a sign that counts.
func some(n int, singular, plural string) sign {
	if n == 1 {
		return sign{true, "1 " + singular}
	}
	return sign{n > 0, fmt.Sprintf("%d %s", n, plural)}
}

// first is the first sign that is there, else none.
func first(none string, signs ...sign) featureUse {
	for _, s := range signs {
		if s.is {
			return featureUse{true, s.why}
		}
	}
	return featureUse{false, none}
}

// featuresInUse tells of every feature whether it is in use, by what there is and by the switch of automatic cleanup.
func featuresInUse(u store.FeatureUse, autoCleanup bool) map[docker.Feature]featureUse {
	cleanup := first("automatic cleanup is off, and nothing was cleaned up",
		sign{autoCleanup, "automatic cleanup is on"},
		some(u.Cleanups, "cleanup was made", "cleanups were made"))
	return map[docker.Feature]featureUse{
		docker.FeatureWatch: {true, "everything stands on it"},
		docker.FeatureLogs: first("there is no instance to show logs of",
			some(u.Instances, "instance, whose logs and figures are shown", "instances, whose logs and figures are shown")),
		docker.FeatureAdopt: first("nothing was adopted", some(u.Adopted, "instance was adopted", "instances were adopted")),
		docker.FeatureDeploy: first("nothing was deployed, and no stage waits for it",
			some(u.Following, "stage deploys by itself", "stages deploy by themselves"),
			some(u.Deploys, "deploy was made", "deploys were made"),
			some(u.Empty, "stage waits for a deploy", "stages wait for a deploy")),
		docker.FeatureCleanup: cleanup,
		docker.FeatureUndo: first("nothing was removed that could be brought back",
			some(u.Archives, "removed instance is kept for it", "removed instances are kept for it"),
			sign{cleanup.inUse, "what is cleaned up may be brought back"}),
		docker.FeatureReclaim: first("nothing was reclaimed", some(u.Reclaims, "reclaim was made", "reclaims were made")),
	}
}
