package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/client"
)

func writeJSON(t *testing.T, w http.ResponseWriter, v any) {
	t.Helper()
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		t.Error(err)
	}
}

var (
	imageOne  = "sha256:" + strings.Repeat("1", 64)
	imageTwo  = "sha256:" + strings.Repeat("2", 64)
	anonymous = strings.Repeat("3f", 32)
)

func reclaimService(t *testing.T) *service {
	t.Helper()
	s := newService(t)
	n := int64(5_000_000)
	use := client.LastUse{Instance: "shop-preview-a", Project: "shop", Stage: "preview", LastUsedAt: time.Date(2026, 11, 13, 12, 0, 0, 0, time.UTC)}
	s.answers(t, "GET /api/hosts/h1/reclaim", client.Left{
		HostID: "h1", Host: "local", Bytes: 5_000_000,
		Images: []client.LeftImage{
			{ID: imageOne, Refs: []string{"registry.example/shop:1.0"}, Size: 12_000_000, Bytes: &n, Reclaimable: true, LastUse: use},
			{ID: imageTwo, Refs: []string{"registry.example/shop:1.1"}, Size: 12_000_000, Why: "an archive keeps it until 2026-12-07"},
		},
		Volumes: []client.LeftVolume{
			{Name: anonymous, Anonymous: true, Bytes: &n, LastUse: use, Removable: true},
			{Name: "shop-data", UsedBy: []string{"shop-production-b"}, Why: "a named volume is never removed: docker volume rm shop-data"},
		},
	})
	plan := client.ReclaimPlan{
		ID: "plan1", HostID: "h1", State: "planned", Bytes: 5_000_000, ExpiresAt: time.Date(2026, 11, 23, 12, 15, 0, 0, time.UTC),
		Items: []client.ReclaimItem{{ImageID: imageOne, Refs: []string{"registry.example/shop:1.0"}, Bytes: 5_000_000, LastUse: use}},
	}
	s.mux.HandleFunc("POST /api/hosts/h1/reclaim", func(w http.ResponseWriter, r *http.Request) {
		var body map[string]any
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		text, _ := json.Marshal(body) // it was JSON just now
		s.mu.Lock()
		s.done = append(s.done, "reclaim "+string(text))
		s.mu.Unlock()
		if body["plan_id"] == nil {
			writeJSON(t, w, plan)
			return
		}
		done := plan
		done.State, done.AppliedBy = "applied", "user:anna"
		done.Items = []client.ReclaimItem{plan.Items[0], plan.Items[0]}
		done.Items[0].Result, done.Items[1].Result, done.Items[1].Detail = "removed", "in_use", "container x uses it"
		writeJSON(t, w, done)
	})
	s.answers(t, "GET /api/reclaim/plans/plan1", plan)
	s.answers(t, "DELETE /api/hosts/h1/volumes/"+anonymous, nil)
	s.answersWith(t, "DELETE /api/hosts/h1/volumes/shop-data", http.StatusConflict, client.Problem{
		Status: http.StatusConflict, Code: client.CodeRefused, Detail: "shop-data is a named volume", Hint: "docker volume rm shop-data",
	})
	return s
}

func TestReclaim(t *testing.T) {
	s := reclaimService(t)
	got := s.run(t, "", "reclaim ls")
	has(t, "what is left", got.out, "registry.example/shop:1.0  111111111111  11.4 MiB  4.77 MiB    10 days ago", "shop-preview-a of shop/preview  can go",
		"stays: an archive keeps it until 2026-12-07", "3f3f3f3f3f3f  4.77 MiB", "an admin may remove it", "shop-data", "stays: a named volume is never removed",
		"local: 1 image can go, 4.77 MiB would come back; 2 volumes listed")
	if got = s.run(t, "", "reclaim ls -o json"); !strings.Contains(got.out, `"host": "local"`) {
		t.Errorf("as JSON: %s", got.out)
	}
	got = s.run(t, "", "reclaim plan")
	has(t, "a plan", got.out, "plan plan1: 1 image to remove, 4.77 MiB comes back; it may be applied for 15 minutes", " remove\n")
	if !cmp.Equal(got.done, []string{`reclaim {"dry_run":true}`}) {
		t.Errorf("it did %q", got.done)
	}
	for _, name := range []string{"registry.example/shop:1.0", imageOne, "111111111111"} {
		if got = s.run(t, "", "reclaim plan "+name); !cmp.Equal(got.done, []string{`reclaim {"dry_run":true,"images":["` + imageOne + `"]}`}) {
			t.Errorf("%s: it did %q", name, got.done)
		}
	}
	if got = s.run(t, "", "reclaim plan nope:1.0"); got.code != exitNotFound || len(got.done) > 0 {
		t.Errorf("an image that is not ours: exit code %d, it did %q", got.code, got.done)
	}
	if got = s.run(t, "n\n", "reclaim apply plan1"); got.code != exitError || len(got.done) > 0 {
		t.Errorf("a no: exit code %d, it did %q", got.code, got.done)
	}
	got = s.run(t, "", "reclaim apply plan1")
	if got.code != exitPartly || !cmp.Equal(got.done, []string{`reclaim {"plan_id":"plan1"}`}) {
		t.Errorf("exit code %d, it did %q", got.code, got.done)
	}
	has(t, "the results", got.out, "plan plan1: applied by user:anna", "removed", "in_use: container x uses it", "1 of 2 images gone")
}

func TestReclaimOfVolumes(t *testing.T) {
	s := reclaimService(t)
	for _, c := range []struct {
		typed, line string
		code        int
		done        []string
	}{
		{"", "--yes 3f3f3f3f3f3f", 0, []string{"DELETE /api/hosts/h1/volumes/" + anonymous}},
		{"y\n", anonymous + " --break-undo", 0, []string{"DELETE /api/hosts/h1/volumes/" + anonymous + "?break_undo=true"}},
		{"n\n", anonymous, exitError, nil},
		{"", anonymous, exitUsage, nil},
		{"", "--yes shop-data", exitConflict, []string{"DELETE /api/hosts/h1/volumes/shop-data"}},
		{"", "--yes shop-da", exitNotFound, nil},
		{"", "--yes 3f3f", exitNotFound, nil},
		{"", "--yes somebody-elses", exitNotFound, nil},
		{"", "--yes --host nope " + anonymous, exitNotFound, nil},
	} {
		got := s.run(t, c.typed, "reclaim volume rm "+c.line)
		if got.code != c.code || !cmp.Equal(got.done, c.done) {
			t.Errorf("%s: exit code %d, it did %q: %s", c.line, got.code, got.done, got.beside)
		}
	}
}

func TestLeftovers(t *testing.T) {
	s := newService(t)
	subject := strings.Repeat("4c", 32)
	s.answers(t, "GET /api/leftovers", client.List[client.Leftover]{Items: []client.Leftover{
		{ID: "l1", Kind: "container_without_row", Subject: subject, Name: "shop-copy", Host: "local", NeedsYes: true, Step: "remove the container"},
		{ID: "l2", Kind: "route_to_nothing", Subject: "r1", Name: "shop.example/", Host: "local", Step: "delete the route"},
	}})
	s.answers(t, "POST /api/leftovers/l1/mend", nil)
	s.answers(t, "POST /api/leftovers/l2/mend", nil)
	got := s.run(t, "", "leftovers")
	has(t, "the list", got.out, "container without row  shop-copy", "remove the container", "route to nothing", "delete the route")
	for _, c := range []struct {
		name, typed, line string
		code              int
		done              []string
	}{
		{"a route needs no yes", "", "l2", 0, []string{"POST /api/leftovers/l2/mend"}},
		{"a route, a no", "n\n", "l2", exitError, nil},
		{"a route takes no container", "", "l2 --yes " + subject, exitUsage, nil},
		{"a container without its id", "", "l1", exitUsage, nil},
		{"a plain yes is not enough", "", "l1 --yes", exitUsage, nil},
		{"a container by its id", "", "l1 --yes " + subject, 0, []string{`POST /api/leftovers/l1/mend {"yes":"` + subject + `"}`}},
		{"typed in", "4c4c4c4c4c4c\n", "l1", 0, []string{`POST /api/leftovers/l1/mend {"yes":"` + subject + `"}`}},
		{"another typed in", "4c4c4c4c4c4d\n", "l1", exitError, nil},
		{"too little typed in", "4c\n", "l1", exitError, nil},
		{"y typed in", "y\n", "l1", exitError, nil},
		{"one that is not there", "", "l9", exitNotFound, nil},
	} {
		got := s.run(t, c.typed, "leftovers mend "+c.line)
		if got.code != c.code || !cmp.Equal(got.done, c.done) {
			t.Errorf("%s: exit code %d, it did %q: %s", c.name, got.code, got.done, got.beside)
		}
	}
	empty := newService(t)
	empty.answers(t, "GET /api/leftovers", client.List[client.Leftover]{})
	if got := empty.run(t, "", "leftovers"); got.code != 0 || got.out != "" || !strings.Contains(got.beside, "everything fits together") {
		t.Errorf("none: exit code %d: %q %q", got.code, got.out, got.beside)
	}
}

func TestBlindLedger(t *testing.T) {
	s := newService(t)
	from := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	s.answers(t, "GET /api/hosts/h1/blind", client.BlindLedger{
		From: from.AddDate(0, 0, -27), Seconds: 3 * 3600, ByReason: map[string]int64{"unreachable": 3600, "down": 7200},
		Items: []client.BlindEntry{{BlindInterval: client.BlindInterval{From: from, To: from.Add(3 * time.Hour), Reason: "unreachable", Detail: "no route"}, Seconds: 3 * 3600}},
	})
	got := s.run(t, "", "host blind local --since 30d")
	has(t, "the ledger", got.out, "2026-11-20 12:00  2026-11-20 15:00  3 hours  unreachable  no route",
		"nobody watched local for 3 hours since 2026-10-24 12:00 (2 hours down, 60 minutes unreachable)")
	if got = s.run(t, "", "hosts blind -o json"); got.code != 0 || !strings.Contains(got.out, `"seconds": 10800`) {
		t.Errorf("as JSON: exit code %d: %s", got.code, got.out)
	}
	if got = s.run(t, "", "host blind nope"); got.code != exitNotFound {
		t.Errorf("another host: exit code %d", got.code)
	}
	if got = s.run(t, "", "host blind --since ever"); got.code != exitUsage {
		t.Errorf("a wrong span: exit code %d", got.code)
	}
}
