package main_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
	"github.com/tiny-forge/docker-watcher/internal/store/storetest"
)

// post is what a webhook was sent.
type post struct {
	key   string // Idempotency-Key
	taken bool
	said  struct {
		ID     string `json:"id"`
		Count  int    `json:"count"`
		Events []struct {
			ID   string `json:"id"`
			Kind string `json:"kind"`
		} `json:"events"`
	}
}

// webhook is one on a real listener, which may be out of order.
type webhook struct {
	*httptest.Server
	mu    sync.Mutex
	down  bool
	posts []post
}

func newWebhook(t *testing.T) *webhook {
	t.Helper()
	w := &webhook{}
	w.Server = httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		defer w.mu.Unlock()
		p := post{key: r.Header.Get("Idempotency-Key"), taken: !w.down}
		body, err := io.ReadAll(r.Body)
		if err != nil || json.Unmarshal(body, &p.said) != nil {
			t.Errorf("sent %q, %v", body, err)
		}
		w.posts = append(w.posts, p)
		if w.down {
			out.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(w.Close)
	return w
}

func (w *webhook) isDown(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = down
}

func (w *webhook) got() []post {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.posts)
}

// warnsBy has a daemon tell a webhook at once of what has become stale.
func warnsBy(t *testing.T, c *client.Client, w *webhook) (channel string) {
	t.Helper()
	made, err := c.CreateChannel(t.Context(), client.NewChannel{Name: "ops", URL: w.URL})
	if err != nil {
		t.Fatal(err)
	}
	name, none := "stale", 0
	_, err = c.CreateNotifyRule(t.Context(), client.NotifyRuleChange{
		Name: &name, Channels: &[]string{"ops"}, Kinds: &[]string{"instance.stale"}, GatherMinutes: &none,
	})
	if err != nil {
		t.Fatal(err)
	}
	return made.ID
}

// lowers sets the threshold, in days, below which seeded ones are dead; none is stale before.
func lowers(t *testing.T, c *client.Client, days int) {
	t.Helper()
	scans(t, c)
	if list, err := c.Stale(t.Context(), client.StaleFilter{}, client.Page{}); err != nil || len(list.Items) != 0 {
		t.Fatalf("before: %d are stale, %v", len(list.Items), err)
	}
	if _, err := c.UpdateSettings(t.Context(), map[string]any{"stale_threshold_days": days}); err != nil {
		t.Fatal(err)
	}
}

func scans(t *testing.T, c *client.Client) {
	t.Helper()
	if _, err := c.Scan(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
}

// outbox is all of the outbox of a daemon.
func outbox(t *testing.T, c *client.Client) []client.Message {
	t.Helper()
	page, err := c.Outbox(t.Context(), client.MessageFilter{}, client.Page{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	return page.Items
}

// TestPeer17ThresholdLoweredWith300HitsIsOnePost goes the whole way, from the setting through a scan, its events and the outbox to a webhook.
func TestPeer17ThresholdLoweredWith300HitsIsOnePost(t *testing.T) {
	t.Parallel()
	data, engine, at := t.TempDir(), dockertest.Serve(t, dockertest.Docker29()), newWebhook(t)
	seed(t, data, engine, 600, 5*24*time.Hour)
	d := launch(t, flags(data, engine.Endpoint())...)
	credential := d.setUp()
	c := d.client(credential)
	warnsBy(t, c, at)
	lowers(t, c, 4)
	eventually(t, "the webhook is told, and it is noted", func() bool {
		all := outbox(t, c)
		return len(at.got()) > 0 && len(all) == 1 && all[0].State == "sent"
	})
	one := at.got()[0]
	if one.said.Count != 300 || len(one.said.Events) != 50 || one.said.Events[0].Kind != "instance.stale" || one.key == "" || one.key != one.said.ID {
		t.Errorf("told of %d, %d of them shown, as %q", one.said.Count, len(one.said.Events), one.key)
	}
	if list, err := c.Stale(t.Context(), client.StaleFilter{}, client.Page{Limit: 1}); err != nil || list.Total == nil || *list.Total != 300 {
		t.Errorf("those that are stale: %+v, %v", list, err)
	}

	// Neither another scan nor another start tells of them again.
	scans(t, c)
	if code := d.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
	d = launch(t, flags(data, engine.Endpoint())...)
	c = d.client(credential)
	scans(t, c)
	if all := outbox(t, c); len(all) != 1 || all[0].State != "sent" || all[0].Count != 300 {
		t.Errorf("the outbox is %+v", all)
	}
	if n := len(at.got()); n != 1 {
		t.Errorf("the webhook was told %d times", n)
	}
}

// TestPeer16TargetDownIsToldOnceWhenItIsBack has the webhook out of order at first, and the daemon killed meanwhile.
func TestPeer16TargetDownIsToldOnceWhenItIsBack(t *testing.T) {
	t.Parallel()
	data, engine, at := t.TempDir(), dockertest.Serve(t, dockertest.Docker29()), newWebhook(t)
	seed(t, data, engine, 6, 5*24*time.Hour)
	d := launch(t, flags(data, engine.Endpoint())...)
	credential := d.setUp()
	c := d.client(credential)
	channel := warnsBy(t, c, at)
	at.isDown(true)
	lowers(t, c, 4)
	eventually(t, "the refusal is noted", func() bool {
		all := outbox(t, c)
		return len(all) == 1 && all[0].State == "pending" && all[0].Attempts == 1 && all[0].Error != ""
	})
	d.end(syscall.SIGKILL)
	patienceIsOver(t, data, channel)
	at.isDown(false)

	d = launch(t, flags(data, engine.Endpoint())...)
	c = d.client(credential)
	eventually(t, "it is told by itself", func() bool {
		all := outbox(t, c)
		return len(all) == 1 && all[0].State == "sent"
	})
	if _, err := c.RetryMessage(t.Context(), outbox(t, c)[0].ID); err == nil {
		t.Error("what was told can be told again")
	}
	scans(t, c)
	if all := outbox(t, c); len(all) != 1 || all[0].State != "sent" {
		t.Errorf("the outbox is %+v", all)
	}
	got := at.got()
	if len(got) != 2 || got[0].taken || !got[1].taken || got[0].key == "" || got[0].key != got[1].key {
		t.Fatalf("the webhook was sent %+v", got)
	}
	told := map[string]bool{}
	for _, e := range got[1].said.Events {
		told[e.ID] = true
	}
	if got[1].said.Count != 3 || len(told) != 3 {
		t.Errorf("told of %d, of which %d differ", got[1].said.Count, len(told))
	}
}

// patienceIsOver lets the quarter of a minute before the second attempt pass. The daemon must not run.
func patienceIsOver(t *testing.T, data, channel string) {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{DataDir: data, URL: storetest.URL(t, data)})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	storetest.Update(t, db, func(ctx context.Context, tx *store.Tx) error {
		return tx.ChannelFailed(ctx, channel, "503", now.Add(-time.Minute), now)
	})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
