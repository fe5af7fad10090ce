package deploy

import (
	"fmt"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/events"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// tellEvery keeps the chatter of a pull to four lines a second.
const tellEvery = 250 * time.Millisecond

// teller spreads how far one deploy has come. It is chatter: nothing of it is kept.
type teller struct {
	bus  *events.Bus
	dep  store.Deploy
	last time.Time
	done int64
	all  int64
}

func newTeller(bus *events.Bus, dep store.Deploy) *teller { return &teller{bus: bus, dep: dep} }

// state tells of a new state of the deploy.
func (t *teller) state(dep store.Deploy) {
	t.dep = dep
	t.say("deploy of " + reference(dep.Image, dep.ImageTag) + " is " + string(dep.State))
}

// pulled tells of a pull, at most every tellEvery, and always of its end.
func (t *teller) pulled(p docker.PullProgress) {
	t.done, t.all = p.Done, p.Total
	if time.Since(t.last) < tellEvery && (p.Total == 0 || p.Done < p.Total) {
		return
	}
	t.last = time.Now()
	t.say(fmt.Sprintf("pulling %s: %s", reference(t.dep.Image, t.dep.ImageTag), p.Status))
}

func (t *teller) say(message string) {
	t.bus.Publish(deployEvent(t.dep, store.SeverityInfo, "deploy.progress", message,
		map[string]any{"done_bytes": t.done, "total_bytes": t.all}))
}
