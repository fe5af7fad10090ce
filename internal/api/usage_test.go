package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
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

func TestUsageStream(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		i, box := b.runs("shop-1")
		box.SetUsage(0.5, 64<<20)
		box.SetTraffic(0, 0, 0, 0)
		samples, gaps := 0, 0
		clear := func() {}
		err := b.viewer.FollowUsage(t.Context(), i.ID, func(u client.Usage) error {
			if u.CPUPercent < 49 || u.CPUPercent > 51 || u.MemoryBytes != 64<<20 || u.PIDs != 5 {
				t.Errorf("%+v", u)
			}
			switch samples++; samples {
			case 3:
				clear = b.engine.Fail(dockertest.Fault{On: `/stats`, Hang: true})
			case 5:
				return errEnough
			}
			return nil
		}, func(text string) {
			if gaps++; text == "" {
				t.Error("a gap without words")
			}
			clear()
		})
		if !errors.Is(err, errEnough) || gaps == 0 || gaps > 2 { // the second may have begun before the first was heard of
			t.Errorf("%v after %d samples and %d gaps", err, samples, gaps)
		}
	})
}

func TestUsageHistory(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		i, box := b.runs("shop-1")
		h, err := b.viewer.UsageHistory(t.Context(), i.ID)
		b.must(err)
		if h.Items == nil || len(h.Items) != 0 || h.Since.IsZero() || h.StepSeconds != 15 {
			t.Errorf("after the start: %+v", h)
		}
		b.run("meter", b.deps.Meter.Run)
		for n := range int64(20) {
			box.SetTraffic(15_000*n, 1500*n, 0, 300*n)
			time.Sleep(15 * time.Second)
		}
		h, err = b.viewer.UsageHistory(t.Context(), i.ID)
		b.must(err)
		if len(h.Items) < 17 || len(h.Items) > 20 {
			t.Fatalf("%d samples in five minutes", len(h.Items))
		}
		last := h.Items[len(h.Items)-1]
		if last.RxRate < 900 || last.RxRate > 1100 || last.WriteRate < 18 || last.WriteRate > 22 || last.CPUPercent < 9.9 || last.CPUPercent > 10.1 {
			t.Errorf("%+v", last)
		}
		_, err = b.viewer.UsageHistory(t.Context(), "none")
		wantProblem(t, err, http.StatusNotFound, client.CodeNotFound)
	})
}

func TestUsageOfMany(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bed) {
		i, _ := b.runs("shop-1")
		b.runs("shop-2")
		b.plant(b.shop("old", "preview"), "old-1", 3)
		l, err := b.viewer.Usage(t.Context(), client.InstanceFilter{}, client.Page{})
		b.must(err)
		if len(l.Items) != 2 || l.Items[1].ID != i.ID || l.Items[1].Usage == nil || l.Items[1].Usage.MemoryBytes != 32<<20 || l.Items[1].Project != "shop-of-shop-1" || l.Items[1].Host != "local" {
			t.Errorf("%+v", l.Items)
		}
		l, err = b.viewer.Usage(t.Context(), client.InstanceFilter{Project: "shop-of-shop-2"}, client.Page{})
		b.must(err)
		if len(l.Items) != 1 || l.Items[0].Name != "shop-2" {
			t.Errorf("%+v", l.Items)
		}
		// An engine that does not answer leaves them unknown, or with what was known, and the list comes.
		b.engine.Fail(dockertest.Fault{On: `/stats`, Hang: true})
		b.runs("shop-3")
		begin := time.Now()
		l, err = b.viewer.Usage(t.Context(), client.InstanceFilter{}, client.Page{})
		b.must(err)
		if len(l.Items) != 3 || l.Items[0].Usage != nil || l.Items[2].Usage == nil || time.Since(begin) > 10*time.Second {
			t.Errorf("%+v after %s", l.Items, time.Since(begin))
		}
	})
}
