package poll

import (
	"fmt"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/tagrule"
)

// Act is what there is to do about a tag that is ready.
type Act string

// The acts.
const (
	Nothing Act = "nothing"
	Tell    Act = "tell"   // one event
	Deploy  Act = "deploy" // ask for a deploy
	Settle  Act = "settle" // the deploy that was asked for before a crash did begin
)

// Decision is what is done about a tag that is ready, and why.
type Decision struct {
	Act Act
	Why string
	Has bool // the stage has what is ready: if somebody takes it back, it is neither told of nor deployed again
}

// Decide says what is to be done for a stage about what was found. It is pure, and a decision that was carried out once
// is not made again: the same image is told of once, and deployed once.
func Decide(rule *tagrule.Matcher, f store.Follower, found Finding, now time.Time) Decision {
	if found.Ready == "" {
		return Decision{Act: Nothing, Why: found.Why}
	}
	if found.Digest == "" {
		return Decision{Act: Nothing, Why: "it is not known which image " + found.Ready + " points to"}
	}
	if eachTag(f.Stage) {
		c := decideOne(Sighting{Tag: found.Ready, Digest: found.Digest}, f.Past, now)
		return Decision{Act: c.Act, Why: fmt.Sprintf("%s is ready: %s; %s", found.Ready, found.Why, c.Why)}
	}
	if f.Done.Digest == found.Digest {
		return Decision{Act: Nothing, Why: found.same(f.Done.ImageTag) + " is what the stage has", Has: true}
	}
	if why := settled(rule, f, found, now); why != "" {
		return Decision{Act: Nothing, Why: why}
	}
	ready := fmt.Sprintf("%s is ready: %s", found.Ready, found.Why)
	switch f.Stage.Mode {
	case store.ModeNotify:
		if f.Poll.ToldDigest == found.Digest {
			return Decision{Act: Nothing, Why: ready + "; that was told"}
		}
		return Decision{Act: Tell, Why: ready}
	case store.ModeAuto:
		return decideDeploy(f, found, ready, now)
	case store.ModeManual:
	}
	return Decision{Act: Nothing, Why: ready + "; the stage is deployed by hand"}
}

// settled says why what is ready is nothing new to the stage; empty: it is new.
func settled(rule *tagrule.Matcher, f store.Follower, found Finding, now time.Time) string {
	has := f.Done.ImageTag
	if has == "" {
		return "" // nothing was ever deployed
	}
	if f.Done.Image != f.Image || rule.Rule().Kind == tagrule.Moving {
		return ""
	}
	if has == found.Ready {
		return fmt.Sprintf("%s is what the stage has; that it points to another image now is not followed (a moving rule would)", has)
	}
	if newer, takes := rule.Newer(found.tag(found.Ready, f.Done.CreatedAt), found.tag(has, f.Done.CreatedAt), now); takes && !newer {
		return fmt.Sprintf("the stage has %s, which is newer than %s: nothing goes back by itself", has, found.Ready)
	}
	return ""
}

// same names a tag, and the one that the stage has if it has another name.
func (f Finding) same(has string) string {
	if has == f.Ready || strings.HasPrefix(has, "sha256:") {
		return f.Ready
	}
	return fmt.Sprintf("%s, the same image as %s,", f.Ready, has)
}

// tag is a tag as it was found; of one that the registry has no more, its image was made before its deploy at the latest.
func (f Finding) tag(name string, deployed time.Time) tagrule.Tag {
	for _, j := range f.Matched {
		if j.Name == name {
			return j.Tag
		}
	}
	return tagrule.Tag{Name: name, Created: deployed}
}

// decideDeploy looks at the deploys that there were: none is asked for twice, and none of what the stage had before, for
// somebody may have gone back from it. One that is under way, and whatever waits behind it, comes first. One that failed is tried
// again a few times.
func decideDeploy(f store.Follower, found Finding, ready string, now time.Time) Decision {
	if f.Poll.AskedDigest == found.Digest {
		ofIt := f.Last.ImageTag == found.Ready && f.Last.Image == f.Image
		switch {
		case f.Poll.AskedDone:
			act, why := again(f.Past, func(store.Deploy) bool { return true }, found.Ready, found.Digest, now)
			return Decision{Act: act, Why: ready + "; " + why}
		case ofIt && !f.Last.CreatedAt.Before(f.Poll.AskedAt):
			return Decision{Act: Settle, Why: ready + "; its deploy has begun"}
		}
	}
	switch {
	case f.Last.State != "" && !f.Last.State.Ended():
		return Decision{Act: Nothing, Why: ready + "; another deploy is under way, it is looked at again after that"}
	case f.Had && f.Poll.AskedDigest != found.Digest:
		return Decision{Act: Nothing, Why: ready + "; the stage had a deploy of it before. To have it again, deploy it by hand"}
	}
	return Decision{Act: Deploy, Why: ready + "; its deploy is asked for"}
}
