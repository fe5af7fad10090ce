package api

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/tiny-forge/docker-watcher/internal/docker/dockertest"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

func TestUsage(t *testing.T) {
	b := newBed(t)
	st := b.shop("shop", "preview")
	lives, _ := b.plant(st, "shop-preview-a", 1, func(i *store.Instance, tpl *dockertest.Template) {
		i.Status, tpl.State = store.StatusRunning, dockertest.Running
	})
	dead, _ := b.plant(st, "shop-preview-b", 1)
	gone, ct := b.plant(st, "shop-preview-c", 1)
	ct.Remove()

	for _, c := range []struct {
		id     string
		status int
		timed  bool
		memory int64
	}{
		{lives.ID, http.StatusOK, true, 32 << 20},
		{dead.ID, http.StatusOK, false, 0},
		{gone.ID, http.StatusConflict, false, 0},
		{"no-such-id", http.StatusNotFound, false, 0},
	} {
		status, _, text := b.raw(b.viewer, http.MethodGet, "/api/instances/"+c.id+"/stats", "")
		if status != c.status {
			t.Errorf("%s: status %d, want %d: %s", c.id, status, c.status, text)
			continue
		}
		if status != http.StatusOK {
			continue
		}
		var u struct {
			Time   *string `json:"time"`
			Memory int64   `json:"memory_bytes"`
		}
		b.must(json.Unmarshal([]byte(text), &u))
		if (u.Time != nil) != c.timed || u.Memory != c.memory {
			t.Errorf("%s: %s", c.id, text)
		}
	}
}
