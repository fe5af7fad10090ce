package notify

import (
	"maps"
	"sync"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// Result is what became of an attempt.
type Result string

// The results of attempts.
const (
	Sent   Result = "sent"
	Failed Result = "failed" // it is tried again
	Dead   Result = "dead"   // it was given up
)

// Results are all of them.
func Results() []Result { return []Result{Sent, Failed, Dead} }

// tries count the attempts of this process.
type tries struct {
	mu sync.Mutex
	by map[string]map[Result]int64 // by the id of the channel
}

func (t *tries) count(channelID string, became store.MessageState) {
	result := Failed
	switch became {
	case store.MessageSent:
		result = Sent
	case store.MessageDead:
		result = Dead
	case store.MessagePending, store.MessageSending:
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.by == nil {
		t.by = map[string]map[Result]int64{}
	}
	if t.by[channelID] == nil {
		t.by[channelID] = map[Result]int64{}
	}
	t.by[channelID][result]++
}

// Tries are how often messages were tried to be sent to a channel since the start, by what became of it.
func (n *Notifier) Tries(channelID string) map[Result]int64 {
	n.tried.mu.Lock()
	defer n.tried.mu.Unlock()
	return maps.Clone(n.tried.by[channelID])
}
