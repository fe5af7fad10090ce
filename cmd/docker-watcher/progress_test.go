package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
)

// stage is a service that answers one command, with the events that come meanwhile.
type stage struct {
	told     []client.Event
	streamed chan struct{} // closed when all were sent
	begun    chan struct{} // closed when what they are about has begun
	mux      *http.ServeMux
}

func newStage(t *testing.T, told ...client.Event) (*stage, string) {
	t.Helper()
	s := &stage{told: told, streamed: make(chan struct{}), begun: make(chan struct{}), mux: http.NewServeMux()}
	s.mux.HandleFunc("GET /api/events/stream", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		out := http.NewResponseController(w)
		_ = out.Flush() // a reader that has gone ends the request
		select {
		case <-s.begun:
		case <-r.Context().Done():
			return
		}
		for _, e := range s.told {
			text, err := json.Marshal(e)
			if err != nil {
				t.Error(err)
			}
			fmt.Fprintf(w, "event: event\ndata: %s\n\n", text)
			_ = out.Flush() // as above
		}
		close(s.streamed)
		<-r.Context().Done()
	})
	server := httptest.NewServer(s.mux)
	t.Cleanup(server.Close)
	return s, server.URL
}

func (s *stage) answers(t *testing.T, route string, v any) {
	t.Helper()
	s.mux.HandleFunc(route, func(w http.ResponseWriter, _ *http.Request) {
		if err := json.NewEncoder(w).Encode(v); err != nil {
			t.Error(err)
		}
	})
}

// wait ends when the events were sent.
func (s *stage) wait(t *testing.T) {
	select {
	case <-s.streamed:
	case <-time.After(within):
		t.Error("the events were never asked for")
	}
}

func item(id, plan string) client.Event {
	return client.Event{Kind: "cleanup.item", InstanceID: id, Message: id + ": removed", Data: map[string]any{"plan_id": plan, "result": "removed"}}
}

func TestBars(t *testing.T) {
	a, _, beside := newApp(t, "")
	a.screen.Terminal = true
	showDeploy(a.screen.Progress(), "1.0", client.DeployLine{State: "pulling", Text: "pulling: Downloading", DoneBytes: 6_000_000, TotalBytes: 12_000_000})
	if want := "\rpulling 1.0 [===============               ] 5.72 MiB of 11.4 MiB"; beside.String() != want {
		t.Errorf("a pull: %q, want %q", beside, want)
	}
	beside.Reset()
	showDeploy(a.screen.Progress(), "1.0", client.DeployLine{Line: 3, State: "checking", Text: "waiting until it is healthy"})
	showDeploy(a.screen.Progress(), "1.0", client.DeployLine{State: "checking", Text: "chatter"})
	showDeploy(a.screen.Progress(), "1.0", client.DeployLine{Line: 4, State: "failed", Text: "told after it"})
	if beside.String() != "waiting until it is healthy\n" {
		t.Errorf("a check: %q", beside)
	}
	beside.Reset()
	plan, ended, line := client.Plan{ID: "plan1", Items: make([]client.PlanItem, 3)}, map[string]bool{}, a.screen.Progress()
	for _, e := range []client.Event{
		item("i1", "plan1"), item("x1", "another"), item("i1", "plan1"), item("i2", "plan1"),
		{Kind: "instance.status", InstanceID: "i9", Data: map[string]any{"plan_id": "plan1"}},
	} {
		showItem(line, plan, ended, e)
	}
	if text := beside.String(); !strings.Contains(text, "2 of 3: i2: removed") || strings.Contains(text, "x1") || strings.Contains(text, "3 of 3") {
		t.Errorf("a cleanup: %q", text)
	}
}

func TestProgressOfAPlan(t *testing.T) {
	a, _, beside := newApp(t, "")
	a.screen.Terminal = true
	step, line := showProgress("bringing back", "restore.progress", "plan1"), a.screen.Progress()
	of := func(kind, plan string, done float64) client.Event {
		return client.Event{Kind: kind, Message: "shop-preview-a: restored", Data: map[string]any{"plan_id": plan, "done": done, "total": 3.0}}
	}
	step(line, of("restore.progress", "plan2", 1))
	step(line, of("cleanup.progress", "plan1", 1))
	if beside.Len() > 0 {
		t.Errorf("what is about something else is shown: %q", beside)
	}
	step(line, of("restore.progress", "plan1", 2))
	has(t, "the progress", beside.String(), "bringing back [====", "shop-preview-a: restored")
}

// The stream of the log breaks in the middle: it is resumed after the last line that was seen.
func TestDeployIsWaitedFor(t *testing.T) {
	s, url := newStage(t)
	s.answers(t, "GET /api/projects/shop", client.Project{ID: "p1", Name: "shop"})
	s.answers(t, "GET /api/stages", client.List[client.Stage]{Items: []client.Stage{{ID: "s1", Project: "shop", Name: "preview"}}})
	s.answers(t, "POST /api/stages/s1/deploys", client.Deploy{ID: "d1", State: "queued"})
	var asked []string
	s.mux.HandleFunc("GET /api/deploys/d1/log", func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Header.Get("Last-Event-ID"))
		w.Header().Set("Content-Type", "text/event-stream")
		send := func(event string, id int, v any) {
			text, err := json.Marshal(v)
			if err != nil {
				t.Error(err)
			}
			fmt.Fprintf(w, "event: %s\nid: %d\ndata: %s\n\n", event, id, text)
		}
		if len(asked) == 1 {
			send("line", 1, client.DeployLine{Line: 1, State: "queued", Text: "first line"})
			return
		}
		send("line", 2, client.DeployLine{Line: 2, State: "checking", Text: "second line"})
		send("ping", 0, struct{}{})
		send("end", 0, client.Deploy{ID: "d1", State: "done", ImageTag: "1.0", InstanceID: "i1"})
	})
	s.answers(t, "GET /api/instances/i1", client.Instance{Name: "shop-preview-abcdef", Ports: []client.Port{{Container: 80, Host: 49153}}})

	a, out, beside := newApp(t, "")
	if code := a.run(t.Context(), []string{"deploy", "shop/preview", "1.0", "--url", url}); code != 0 {
		t.Fatalf("exit code %d: %s", code, beside)
	}
	if want := "shop/preview is at 1.0: shop-preview-abcdef is healthy at http://127.0.0.1:49153\n"; out.String() != want {
		t.Errorf("it writes %q, want %q", out, want)
	}
	if beside.String() != "first line\nsecond line\n" || !slices.Equal(asked, []string{"0", "1"}) {
		t.Errorf("beside it writes %q, after asking for %q", beside, asked)
	}
}

func TestPartlyDoneCleanup(t *testing.T) {
	s, url := newStage(t, item("i1", "plan1"), item("x1", "another"), client.Event{Kind: "instance.status", InstanceID: "i9", Data: map[string]any{"plan_id": "plan1"}}, item("i2", "plan1"))
	plan := client.Plan{ID: "plan1", State: "planned", Items: []client.PlanItem{{InstanceID: "i1", Name: "a"}, {InstanceID: "i2", Name: "b"}, {InstanceID: "i3", Name: "c"}}}
	s.answers(t, "GET /api/plans/plan1", plan)
	s.mux.HandleFunc("POST /api/containers/stale/cleanup", func(w http.ResponseWriter, _ *http.Request) {
		close(s.begun)
		s.wait(t)
		done := plan
		done.State = "applied"
		done.Items = []client.PlanItem{{Name: "a", Result: "removed"}, {Name: "b", Result: "removed"}, {Name: "c", Result: "timeout", ResultDetail: "the engine did not answer"}}
		if err := json.NewEncoder(w).Encode(done); err != nil {
			t.Error(err)
		}
	})
	a, out, beside := newApp(t, "")
	a.screen.Terminal = true
	if code := a.run(t.Context(), []string{"stale", "apply", "plan1", "--url", url}); code != exitPartly {
		t.Errorf("exit code %d, want %d: %s", code, exitPartly, beside)
	}
	if !strings.Contains(out.String(), "timeout  the engine did not answer") || !strings.Contains(out.String(), "2 of 3 containers gone") {
		t.Errorf("it writes %q", out)
	}
}
