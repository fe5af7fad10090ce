package poll

import (
	"fmt"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// actor is who asks for deploys by a rule; only those are tried again.
const actor = "system:auto"

// retryAfter is how long after each failure of one image its deploy is tried again; after the last there is no other.
var retryAfter = []time.Duration{5 * time.Minute, 20 * time.Minute, time.Hour}

// again says whether a deploy that a rule asked for and that failed is tried again. Past are the deploys of the stage, newest first;
// lane keeps those of its place. One that somebody has meddled with since is not.
func again(past []store.Deploy, inLane func(store.Deploy) bool, tag, digest string, now time.Time) (act Act, why string) {
	failures, last := 0, store.Deploy{}
	for _, d := range past {
		if !inLane(d) {
			continue
		}
		failed := d.State == store.DeployFailed && d.Actor == actor && d.ImageTag == tag && d.Digest == digest
		if failures == 0 && !failed {
			return Nothing, "a deploy of it was asked for already. To try again, deploy it by hand"
		}
		if !failed {
			break
		}
		if failures == 0 {
			last = d
		}
		failures++
	}
	switch {
	case failures == 0:
		return Nothing, "a deploy of it was asked for already. To try again, deploy it by hand"
	case failures > len(retryAfter):
		return Nothing, fmt.Sprintf("its deploy failed %d times. To try again, deploy it by hand", failures)
	}
	due := last.EndedAt.Add(retryAfter[failures-1])
	if now.Before(due) && !store.DatedAhead(last.EndedAt, now) {
		return Nothing, fmt.Sprintf("its deploy failed, and is tried again after %s (%d of %d)", due.UTC().Format(time.RFC3339), failures, len(retryAfter))
	}
	return Deploy, fmt.Sprintf("its deploy failed, and is tried again (%d of %d)", failures, len(retryAfter))
}
