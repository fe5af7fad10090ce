package api

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/events"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// TestRefusalsCannotFillTheLog: however often and in however many ways somebody is refused.
func TestRefusalsCannotFillTheLog(t *testing.T) {
	a := newAuditBed(t)
	a.note()
	for range 10 {
		a.raw(a.nobody.As("dw_wrong"), post, "/api/projects", `{}`)
		a.raw(a.nobody.As("dw_wrong"), post, "/api/backups", ``)
		a.raw(a.viewer, post, "/api/projects", `{}`)
		a.raw(a.admin, post, "/api/projects", `{"image":"secret `+canary+`"}`)
	}
	eventually(t, "the first of each", func() bool { return len(a.since(isRefusal)) == 3 })
	a.note()
	a.deps.Refusals.Settle()
	counts := map[string]float64{}
	eventually(t, "how many more there were", func() bool {
		for _, e := range a.since(isRefusal) {
			counts[e.Actor], _ = e.Data["count"].(float64)
		}
		return len(counts) == 3
	})
	if counts[stranger] != 19 || counts["token:viewer"] != 9 || counts["token:admin"] != 9 {
		t.Errorf("counted %v", counts)
	}
	a.note()
	a.deps.Refusals.Settle() // nothing came since
	a.deps.Refusals.Settle()
	for _, o := range mutating(t) { // in every way
		a.raw(a.viewer, o.method, replaceID(o.path, "no-such-id"), "")
	}
	eventually(t, "the rest together", func() bool {
		return len(a.since(func(e store.Event) bool { return strings.HasPrefix(e.Message, "many more calls of token:viewer") })) == 1
	})
	if n := len(a.since(func(e store.Event) bool { return isRefusal(e) && e.Actor == "token:viewer" })); n != mostRefusals+1 {
		t.Errorf("%d events", n)
	}
	if n := a.deps.Refusals.each["token:viewer"]; n != mostRefusals+1 {
		t.Errorf("%d are held", n)
	}
}

// TestStrangersAreToldApartByTheirNetworks, and only so many.
func TestStrangersAreToldApartByTheirNetworks(t *testing.T) {
	b := newBed(t)
	for n := range 2_000 {
		v := visit{method: post, path: "/api/projects", addr: fmt.Sprintf("10.0.%d.%d", n/250, n%250)}
		b.deps.Refusals.note(refusalOf("POST /api/projects", v, 401), refusedEvent("create-project", v, 401, nil))
	}
	if n := len(b.deps.Refusals.alike); n != mostStrangers+1 {
		t.Errorf("%d are held", n)
	}
	b.deps.Refusals.Settle()
	b.deps.Refusals.Settle()
	if len(b.deps.Refusals.alike) != 0 || len(b.deps.Refusals.each) != 0 {
		t.Errorf("what comes no more is held: %v, %v", b.deps.Refusals.alike, b.deps.Refusals.each)
	}
}

// TestRefusedEventsRepeatNothingThatWasSent: whoever sent it may have put a secret in the wrong place.
func TestRefusedEventsRepeatNothingThatWasSent(t *testing.T) {
	const misplaced = "typed-in-the-wrong-place" // the answer, to who sent it, repeats it
	a := newAuditBed(t)
	for body, code := range map[string]string{
		`{"` + misplaced + `":1}`: codeInvalid, `{"name":"` + canary + `!","image":"` + canary + ` x"}`: codeInvalid, `"` + canary + `"`: codeInvalid, strings.Repeat("x", maxBody+1): codeTooLarge,
	} {
		a.note()
		a.raw(a.admin, post, "/api/projects", body)
		eventually(t, code, func() bool { return len(a.since(isRefusal)) == 1 })
		if e := a.since(isRefusal)[0]; e.Data["code"] != code || strings.Contains(fmt.Sprint(e), canary) || strings.Contains(fmt.Sprint(e), misplaced) {
			t.Errorf("told %+v", e)
		}
		a.deps.Refusals.Settle()
	}
}

// TestWhatOnlyLooksIsNoRefusal: the page asks while somebody types, and half a word is no attempt at anything.
func TestWhatOnlyLooksIsNoRefusal(t *testing.T) {
	a := newAuditBed(t)
	a.note()
	for _, o := range mutating(t) {
		if !onlyLooks(o.ID) {
			continue
		}
		if status, _, text := a.raw(a.admin, o.method, replaceID(o.path, "no-such-id"), `{"no_such_key":1}`); status < 400 || status >= 500 {
			t.Errorf("%s: %d %s", o.ID, status, text)
		}
	}
	a.raw(a.admin, post, "/api/projects", `{}`)
	eventually(t, "what would have changed something", func() bool {
		return len(a.since(func(e store.Event) bool { return e.Data["operation"] == "create-project" })) == 1
	})
	if told := a.since(isRefusal); len(told) != 1 {
		t.Errorf("told %+v", told)
	}
}

// TestRefusalsAreToldAfterTheirWindowAndAtTheEnd: what was counted is not lost when the daemon stops.
func TestRefusalsAreToldAfterTheirWindowAndAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := events.New(slog.New(slog.DiscardHandler))
		r := NewRefusals(bus)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		refuse := func() {
			v := visit{method: post, path: "/api/projects", addr: "203.0.113.7"}
			r.note(refusalOf("POST /api/projects", v, 401), refusedEvent("create-project", v, 401, nil))
		}
		waiting := func(want int, when string) {
			t.Helper()
			synctest.Wait()
			if got := bus.Waiting(); got != want {
				t.Errorf("%s %d events are told, want %d", when, got, want)
			}
		}
		refuse()
		refuse()
		waiting(1, "at once")
		time.Sleep(refusalWindow - time.Second)
		waiting(1, "before the window ends")
		time.Sleep(2 * time.Second)
		waiting(2, "at its end")
		time.Sleep(2 * refusalWindow)
		waiting(2, "when none came since")
		refuse()
		waiting(3, "of the next")
		refuse()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		refuse() // by a server that ends what is under way
		r.Settle()
		waiting(4, "after the end")
		r.Settle()
		waiting(4, "when there is no more to tell")
	})
}
