package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/client"
)

func archived(id, plan, name, state string) client.Archive {
	return client.Archive{
		ID: id, PlanID: plan, Name: name, State: state, Project: "shop", Stage: "preview", ImageTag: "1.0", RemovedBy: "user:anna",
		RemovedAt: time.Date(2026, 11, 23, 11, 0, 0, 0, time.UTC), ExpiresAt: time.Date(2026, 12, 7, 11, 0, 0, 0, time.UTC), Bytes: 3_100_000,
	}
}

const oneID, twoID = "aaaaaaaaaaaaaaa1", "aaaaaaaaaaaaaaa2"

// archives answers lists of archives as the service does: by plan and by state, newest first.
func archives(t *testing.T, s *service, all ...client.Archive) {
	t.Helper()
	s.mux.HandleFunc("GET /api/archives", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		l := client.ArchiveList{List: listOf[client.Archive](nil)}
		bytes := int64(0)
		for _, i := range all {
			if (q.Get("plan") == "" || q.Get("plan") == i.PlanID) && (len(q["state"]) == 0 || slices.Contains(q["state"], i.State)) && strings.Contains(i.Name, q.Get("text")) {
				l.Items = append(l.Items, i)
				bytes += i.Bytes
			}
		}
		n := len(l.Items)
		l.Total, l.Bytes = &n, &bytes
		writeJSON(t, w, l)
	})
	for _, i := range all {
		s.answers(t, "GET /api/archives/"+i.ID, i)
		s.answers(t, "POST /api/archives/"+i.ID+"/restore", map[string]any{
			"instance": client.Instance{Name: i.Name, Project: i.Project, Stage: i.Stage, ImageTag: i.ImageTag, Status: "stopped"},
		})
		s.answers(t, "DELETE /api/archives/"+i.ID, nil)
	}
}

func TestArchivesAreListed(t *testing.T) {
	s := newService(t)
	archives(t, s, archived(oneID, "plan2", "shop-preview-a", "ready"), archived(twoID, "plan1", "shop-preview-b", "restored"))
	got := s.run(t, "", "archive ls")
	has(t, "the list", got.out, oneID+"  shop-preview-a  shop/preview  1.0  60 minutes ago  user:anna  2026-12-07 11:00  2.96 MiB  ready", "restored")
	has(t, "beside", got.beside, "2 containers can be brought back; that costs 5.91 MiB")
	got = s.run(t, "", "archive ls --plan plan1 -o json")
	has(t, "of one plan", got.out, `"items": [`, twoID, "!! "+oneID)
	got = s.run(t, "", "archive show shop-preview-a")
	has(t, "one", got.out, "container    shop-preview-a of shop/preview", "kept until   2026-12-07 11:00", "layer        nothing changed in it")
	if got = s.run(t, "", "archive show nope"); got.code != exitNotFound {
		t.Errorf("one that is not there: exit code %d", got.code)
	}
	if got = s.run(t, "", "archive rm shop-preview-a"); got.code != exitUsage || len(got.done) > 0 {
		t.Errorf("rm without a yes: exit code %d, %q", got.code, got.done)
	}
	if got = s.run(t, "", "archive rm --yes "+twoID); got.code != 0 || !cmp.Equal(got.done, []string{"DELETE /api/archives/" + twoID}) {
		t.Errorf("rm: exit code %d, %q", got.code, got.done)
	}
}

func TestUndoTakesTheLastCleanup(t *testing.T) {
	one := archived(oneID, "plan2", "shop-preview-a", "ready")
	old := archived(twoID, "plan1", "shop-preview-b", "ready")
	byHand := archived("aaaaaaaaaaaaaaa3", "", "shop-preview-c", "ready")
	undone := one
	undone.State = "restored"
	both := old
	both.PlanID = "plan2"
	for _, c := range []struct {
		name  string
		all   []client.Archive
		typed string
		line  string
		code  int
		done  []string
	}{
		{"one container, by an operator's route", []client.Archive{byHand, one, old}, "", "stale undo", 0, []string{"POST /api/archives/" + oneID + "/restore {}"}},
		{"several are a plan's", []client.Archive{one, both}, "", "stale undo --start", 0, []string{`POST /api/plans/plan2/restore {"start":true}`}},
		{"a plan that is named", []client.Archive{one, old}, "", "stale undo plan1", 0, []string{"POST /api/archives/" + twoID + "/restore {}"}},
		{"asked on a terminal, a no", []client.Archive{one}, "n\n", "stale undo", exitError, nil},
		{"asked on a terminal, a yes", []client.Archive{one}, "y\n", "stale undo", 0, []string{"POST /api/archives/" + oneID + "/restore {}"}},
		{"undone already: not the one before it", []client.Archive{undone, old}, "", "stale undo", exitNotFound, nil},
		{"only by hand", []client.Archive{byHand}, "", "stale undo", exitNotFound, nil},
		{"nothing at all", nil, "", "stale undo", exitNotFound, nil},
		{"a plan of nothing", []client.Archive{one}, "", "stale undo plan9", exitNotFound, nil},
	} {
		s := newService(t)
		archives(t, s, c.all...)
		s.answers(t, "POST /api/plans/plan2/restore", client.PlanRestore{PlanID: "plan2", Results: []client.PlanRestoreItem{{Archive: one, Result: "restored"}}})
		got := s.run(t, c.typed, c.line)
		if got.code != c.code || !cmp.Equal(got.done, c.done) {
			t.Errorf("%s: exit code %d, it did %q: %s%s", c.name, got.code, got.done, got.out, got.beside)
		}
	}
}

func TestRestoreTellsWhatIsInTheWay(t *testing.T) {
	s := newService(t)
	archives(t, s, archived(twoID, "plan1", "shop-preview-b", "ready"))
	one := archived(oneID, "plan1", "shop-preview-a", "ready")
	s.answers(t, "GET /api/archives/"+oneID, one)
	conflicts := []client.RestoreConflict{
		{Kind: "name_taken", Subject: "shop-preview-a", Detail: "another container is called shop-preview-a", Choices: []string{"name"}},
		{Kind: "network_gone", Subject: "backend", Detail: "network backend is gone", Choices: []string{"skip_networks", "make_networks"}},
		{Kind: "stage_gone", Subject: "preview", Detail: "stage preview is gone"},
	}
	s.answersWith(t, "POST /api/archives/"+oneID+"/restore", http.StatusConflict, client.Problem{
		Status: http.StatusConflict, Code: client.CodeConflicts, Detail: "this stands in no line of its own", Conflicts: conflicts,
	})
	got := s.run(t, "", "archive restore "+oneID+" --any-port --name other")
	if got.code != exitConflict || got.out != "" || !cmp.Equal(got.done, []string{`POST /api/archives/` + oneID + `/restore {"name":"other","any_port":true}`}) {
		t.Errorf("exit code %d, %q, it writes %q", got.code, got.done, got.out)
	}
	has(t, "the refusal", got.beside, "! name taken: another container is called shop-preview-a (settle it with --name NAME)",
		"! network gone: network backend is gone (settle it with --skip-networks or --make-networks)", "! stage gone: stage preview is gone\n",
		"error: shop-preview-a was not brought back: 3 things in the way", "!! this stands in no line")
	if got = s.run(t, "", "archive restore "+twoID); got.code != 0 {
		t.Errorf("one that nothing is in the way of: exit code %d: %s", got.code, got.beside)
	}
	has(t, "what is said", got.out, "shop-preview-b is back in shop/preview at 1.0, stopped", "Next: docker-watcher start shop-preview-b")
	for _, line := range []string{"archive restore", "archive restore x --plan y", "archive restore --plan y --name z", "archive restore a b"} {
		if got := s.run(t, "", line); got.code != exitUsage || len(got.done) > 0 {
			t.Errorf("%s: exit code %d, it did %q", line, got.code, got.done)
		}
	}
}

func TestRestoreCanBeTried(t *testing.T) {
	s := newService(t)
	one := archived(oneID, "plan1", "shop-preview-a", "ready")
	s.answers(t, "GET /api/archives/"+oneID, one)
	s.answers(t, "POST /api/archives/"+oneID+"/restore", map[string]any{"check": client.RestoreCheck{
		Archive: one, Brings: []string{"volume data at /data"}, Lacks: []string{"what was in /tmp: it is a tmpfs"},
	}})
	got := s.run(t, "", "archive restore --dry-run "+oneID)
	if got.code != 0 || !cmp.Equal(got.done, []string{`POST /api/archives/` + oneID + `/restore {"dry_run":true}`}) {
		t.Errorf("exit code %d, %q", got.code, got.done)
	}
	has(t, "the answer", got.out, "shop-preview-a can be brought back", "+ volume data at /data", "- what was in /tmp: it is a tmpfs")
}

func TestRestoreOfAPlanInParts(t *testing.T) {
	one, two := archived(oneID, "plan1", "shop-preview-a", "ready"), archived(twoID, "plan1", "shop-preview-b", "ready")
	result := func(i client.Archive, what string) client.PlanRestoreItem {
		return client.PlanRestoreItem{Archive: i, Result: what}
	}
	for _, c := range []struct {
		name    string
		results []client.PlanRestoreItem
		code    int
		says    string
	}{
		{"all", []client.PlanRestoreItem{result(one, "restored"), result(two, "restored")}, 0, "2 of 2 containers back"},
		{"some", []client.PlanRestoreItem{result(one, "restored"), result(two, "conflicts")}, exitPartly, "1 of 2 containers back"},
		{"an error", []client.PlanRestoreItem{result(one, "conflicts"), result(two, "error")}, exitPartly, "0 of 2 containers back"},
		{"none, for what is in the way", []client.PlanRestoreItem{result(one, "conflicts"), result(two, "conflicts")}, exitConflict, "0 of 2 containers back"},
		{"nothing to do", nil, 0, ""},
	} {
		s := newService(t)
		s.answers(t, "POST /api/plans/plan1/restore", client.PlanRestore{PlanID: "plan1", Results: c.results})
		got := s.run(t, "", "archive restore --plan plan1")
		if got.code != c.code || !strings.Contains(got.out, c.says) {
			t.Errorf("%s: exit code %d, it says\n%s%s", c.name, got.code, got.out, got.beside)
		}
	}
}

func TestApplyEndsWithItsUndo(t *testing.T) {
	gone := func(id, archive string) client.PlanItem {
		return client.PlanItem{InstanceID: id, Name: id, Result: "removed", ArchiveID: archive}
	}
	for _, c := range []struct {
		name  string
		items []client.PlanItem
		want  string
	}{
		{"several", []client.PlanItem{gone("i1", oneID), gone("i2", twoID)}, "Undo: docker-watcher archive restore --plan plan1 (until 2026-12-07 11:00)\n"},
		{"one", []client.PlanItem{gone("i1", oneID), {InstanceID: "i2", Result: "kept", Protection: &client.Protection{Kind: "pinned"}}}, "Undo: docker-watcher archive restore " + oneID + " (until 2026-12-07 11:00)\n"},
		{"none", []client.PlanItem{{InstanceID: "i2", Result: "kept", Protection: &client.Protection{Kind: "pinned"}}}, ""},
	} {
		s := newService(t)
		archives(t, s, archived(oneID, "plan1", "shop-preview-a", "ready"))
		s.answers(t, "GET /api/plans/plan1", client.Plan{ID: "plan1", State: "planned", Items: c.items})
		s.answers(t, "POST /api/containers/stale/cleanup", client.Plan{ID: "plan1", State: "applied", Items: c.items})
		got := s.run(t, "", "stale apply plan1 --yes")
		_, undo, _ := strings.Cut(got.out, " gone\n")
		if got.code != 0 || undo != c.want {
			t.Errorf("%s: exit code %d, it ends with %q: %s", c.name, got.code, undo, got.beside)
		}
		if got = s.run(t, "", "stale apply plan1 --yes -o json"); strings.Contains(got.out, "Undo") {
			t.Errorf("%s: the JSON is spoilt: %s", c.name, got.out)
		}
	}
}

func TestCancel(t *testing.T) {
	s := newService(t)
	s.answers(t, "POST /api/plans/plan1/cancel", client.Plan{ID: "plan1", State: "cancelled"})
	s.answersWith(t, "POST /api/plans/plan2/cancel", http.StatusConflict, client.Problem{Status: http.StatusConflict, Code: client.CodePlanUsed, Detail: "the plan was applied already"})
	if got := s.run(t, "", "stale cancel plan1"); got.code != 0 || !strings.Contains(got.out, "plan plan1 is called off") {
		t.Errorf("exit code %d: %s%s", got.code, got.out, got.beside)
	}
	if got := s.run(t, "", "stale cancel plan2"); got.code != exitConflict {
		t.Errorf("too late: exit code %d", got.code)
	}
}

func TestSnooze(t *testing.T) {
	s := newService(t)
	until := time.Date(2026, 12, 24, 0, 0, 0, 0, time.UTC)
	s.answers(t, "POST /api/instances/i1/snooze", client.Instance{Name: "shop-preview-a", SnoozedUntil: until})
	s.answers(t, "DELETE /api/instances/i1/snooze", client.Instance{Name: "shop-preview-a"})
	for _, c := range []struct {
		args []string
		done string
		says string
	}{
		{[]string{"snooze", "shop-preview-a", "--until", "2026-12-24", "--reason", "demo in May"}, `POST /api/instances/i1/snooze {"reason":"demo in May","until":"2026-12-24T00:00:00Z"}`, "shop-preview-a is snoozed until 2026-12-24T00:00:00.000Z"},
		{[]string{"snooze", "shop-preview-a", "--for", "7d", "--reason", "x"}, `POST /api/instances/i1/snooze {"for":"7d","reason":"x"}`, "is snoozed until"},
		{[]string{"unsnooze", "shop-preview-a"}, "DELETE /api/instances/i1/snooze", "shop-preview-a is no longer snoozed"},
	} {
		got := s.run(t, "", "stale", c.args...)
		if got.code != 0 || !cmp.Equal(got.done, []string{c.done}) || !strings.Contains(got.out, c.says) {
			t.Errorf("%q: exit code %d, it did %q: %s%s", c.args, got.code, got.done, got.out, got.beside)
		}
	}
	for _, args := range [][]string{
		{"shop-preview-a"},
		{"--for", "7d", "--reason", "x"},
		{"shop-preview-a", "--for", "7d"},
		{"shop-preview-a", "--reason", "x"},
		{"shop-preview-a", "--for", "7d", "--until", "2026-12-24", "--reason", "x"},
		{"shop-preview-a", "--for", "soon", "--reason", "x"},
		{"shop-preview-a", "--until", "2026-11-01", "--reason", "x"},
		{"shop-preview-a", "--until", "christmas", "--reason", "x"},
	} {
		if got := s.run(t, "", "stale snooze", args...); got.code != exitUsage || len(got.done) > 0 {
			t.Errorf("%q: exit code %d, it did %q", args, got.code, got.done)
		}
	}
}
