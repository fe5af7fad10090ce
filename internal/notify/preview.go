package notify

import (
	"context"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// Preview makes of events what a channel with these templates would get; without events, what a test would send.
func (n *Notifier) Preview(ctx context.Context, t Templates, evs []store.Event) (Letter, error) {
	if len(evs) == 0 {
		return write(t, testView("preview", time.Now().UTC()))
	}
	shown := evs[:min(len(evs), mostShown)]
	v, err := n.viewOf(ctx, shown)
	if err != nil {
		return Letter{}, err
	}
	v.ID, v.Count, v.More = "preview", len(evs), len(evs)-len(shown)
	return write(t, v)
}

// MayDial says why an address that is written out in the URL of a channel may not be dialled; nil: it may, or a name leads there, which nobody
// looks up before a message is sent.
func (n *Notifier) MayDial(ctx context.Context, url string) error { return n.post.writtenOut(ctx, url) }

// Try sends a test message to an address, past the outbox, and says what the target answered.
func (n *Notifier) Try(ctx context.Context, to store.ChannelAddress, t Templates) store.ChannelTest {
	began := time.Now().UTC()
	test := store.ChannelTest{At: began}
	l, err := write(t, testView("test-"+store.NewID(), began))
	if err != nil {
		test.Error = "the template: " + err.Error()
		return test
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	answer, failure := n.post.send(ctx, to, l)
	test.Took, test.Answer = time.Since(began), answer
	if failure != nil {
		test.Error = failure.Text
	}
	return test
}
