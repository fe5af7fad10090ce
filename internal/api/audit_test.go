package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// mutating are the operations of the document that could change something, by id, but setup first: it needs that nobody exists.
func mutating(t *testing.T) (all []documented) {
	t.Helper()
	for _, o := range operations(t) {
		if o.method != get {
			all = append(all, o)
		}
	}
	order := func(o documented) string {
		return strings.NewReplacer("setup", "0", "login", "1").Replace(o.ID)
	}
	slices.SortFunc(all, func(x, y documented) int { return strings.Compare(order(x), order(y)) })
	return all
}

// address fills the holes of a path.
func (o documented) address(at []string) string {
	path := o.path
	for _, in := range at {
		path = idHole.ReplaceAllStringFunc(path, func(hole string) string {
			if in == "" {
				return hole
			}
			filled := in
			in = ""
			return filled
		})
	}
	return path
}

// note remembers where the log ends.
func (a *auditBed) note() {
	a.t.Helper()
	var err error
	a.last, err = a.db.LastEventID(a.t.Context())
	a.must(err)
}

// since are the events since then that fit.
func (a *auditBed) since(fits func(store.Event) bool) (found []store.Event) {
	a.t.Helper()
	evs, err := a.db.EventsAfter(a.t.Context(), a.last, 200)
	a.must(err)
	for _, e := range evs {
		if fits(e) {
			found = append(found, e)
		}
	}
	return found
}

// isRefusal tells the kinds of events that a refused call leaves.
func isRefusal(e store.Event) bool {
	return slices.Contains([]string{kindRefused, kindForbidden, kindFailed, "registry.hook_refused"}, e.Kind)
}

// perform calls an operation with success.
func (a *auditBed) perform(o documented, headers ...string) (status int, text string, actor string) {
	a.t.Helper()
	call := a.calls[o.ID].ask(a)
	if call.who == nil {
		call.who = a.admin
	}
	actor = a.calls[o.ID].actor
	if actor == "" {
		s, err := call.who.Session(a.t.Context())
		a.must(err)
		actor = s.Actor
	}
	a.note()
	status, _, text = a.raw(call.who, o.method, o.address(call.at), call.body, headers...)
	return status, text, actor
}

// TestEveryCallThatChangesSomethingIsAnEvent makes each of them once, and looks for the one event that says who did it, from where,
// and of a change what is another one now. It fails when an operation has no row in auditTable.
func TestEveryCallThatChangesSomethingIsAnEvent(t *testing.T) {
	a := newAuditBed(t)
	ops := mutating(t)
	for _, o := range ops {
		row, known := a.calls[o.ID]
		if !known || (row.kind == "") == (row.none == "") || onlyLooks(o.ID) != (row.none != "") {
			t.Errorf("%s has no row that says which event it leaves, or why none", o.ID)
			continue
		}
		status, text, actor := a.perform(o)
		if status >= 300 {
			t.Errorf("%s: %d %s", o.ID, status, text)
			continue
		}
		if row.none != "" {
			if left := a.since(func(e store.Event) bool { return e.Actor == actor }); len(left) > 0 {
				t.Errorf("%s leaves %+v, although: %s", o.ID, left, row.none)
			}
			continue
		}
		a.wantEvent(o, row, actor)
	}
	for id := range a.calls {
		if !slices.ContainsFunc(ops, func(o documented) bool { return o.ID == id }) {
			t.Errorf("there is no call %s that could change something", id)
		}
	}
}

func (a *auditBed) wantEvent(o documented, row audited, actor string) {
	a.t.Helper()
	var found []store.Event
	eventually(a.t, o.ID+" is "+row.kind+" by "+actor, func() bool {
		found = a.since(func(e store.Event) bool { return e.Kind == row.kind && strings.HasPrefix(e.Actor, actor) })
		return len(found) > 0
	})
	if len(found) != 1 {
		a.t.Errorf("%s leaves %d events: %+v", o.ID, len(found), found)
	}
	e := found[0]
	if e.Data["addr"] != "203.0.113.7" || e.Message == "" {
		a.t.Errorf("%s does not say from where: %+v", o.ID, e)
	}
	difference, _ := e.Data["difference"].(map[string]any)
	if len(difference) != len(row.diff) {
		a.t.Errorf("%s differs in %v, want %v", o.ID, difference, row.diff)
	}
	for _, field := range row.diff {
		one, _ := difference[field].(map[string]any)
		_, from := one["from"]
		_, to := one["to"]
		if one["changed"] != true && (!from || !to) {
			a.t.Errorf("%s does not say what %s was and is: %v", o.ID, field, difference)
		}
	}
	text, err := json.Marshal(e)
	a.must(err)
	for _, secret := range []string{canary, canaryKey, tokenInURL, longPassword, "another long one"} {
		if strings.Contains(string(text), secret) {
			a.t.Errorf("%s tells a secret: %s", o.ID, text)
		}
	}
}

// TestEveryRefusedCallIsAnEvent refuses each of them to who has no right to it, with ids and a body that are wrong, and where it is not
// what was seen; each leaves exactly one event, and changes nothing.
func TestEveryRefusedCallIsAnEvent(t *testing.T) {
	a := newAuditBed(t)
	asks := map[int]int{}
	for _, o := range mutating(t) {
		wrong := replaceID(o.path, "no-such-id")
		if o.Role != "anyone" && !onlyLooks(o.ID) {
			a.wantRefused(o, a.nobody, wrong, `{"no_such_key":1}`, stranger, kindRefused, asks)
		}
		switch store.Role(o.Role) {
		case operator, admin:
			a.wantRefused(o, a.viewer, wrong, `{"no_such_key":1}`, "token:viewer", kindForbidden, asks)
		case viewer, anyone:
		}
		if acceptsAnything[o.ID] || onlyLooks(o.ID) {
			continue
		}
		who, actor := a.admin, "token:admin"
		if strings.HasPrefix(o.path, hookBase) {
			who, actor = a.nobody, stranger
		}
		a.wantRefused(o, who, wrong, `{"no_such_key":1}`, actor, kindRefused, asks)
	}
	for _, status := range []int{401, 403, 404, 409, 422} {
		if asks[status] == 0 {
			t.Errorf("nothing was refused with %d: %v", status, asks)
		}
	}
}

// acceptsAnything are calls that name nothing and say nothing: only who asks can be wrong.
var acceptsAnything = map[string]bool{
	"make-backup": true, "delete-identity-provider": true,
}

// TestACallAgainstAnotherRevisionIsAnEvent: somebody else was quicker.
func TestACallAgainstAnotherRevisionIsAnEvent(t *testing.T) {
	a := newAuditBed(t)
	some := 0
	for _, o := range mutating(t) {
		if !o.takesIfMatch() {
			continue
		}
		some++
		status, text, actor := a.perform(o, "If-Match", `"999"`)
		if status != http.StatusPreconditionFailed {
			t.Errorf("%s: %d %s", o.ID, status, text)
			continue
		}
		a.wantOne(o, actor, kindRefused, status)
		if done := a.since(func(e store.Event) bool { return e.Kind == a.calls[o.ID].kind }); len(done) > 0 {
			t.Errorf("%s was done: %+v", o.ID, done)
		}
	}
	if some < 7 {
		t.Errorf("only %d calls ask for a revision", some)
	}
}

func (a *auditBed) wantRefused(o documented, who *client.Client, path, body, actor, kind string, asks map[int]int) {
	a.t.Helper()
	if o.method == remove {
		body = ""
	}
	a.note()
	status, _, text := a.raw(who, o.method, path, body)
	asks[status]++
	if status < 400 || status >= 500 {
		a.t.Errorf("%s as %s: %d %s", o.ID, actor, status, text)
		return
	}
	a.wantOne(o, actor, kind, status)
}

// wantOne wants exactly one event of a refusal, by somebody, that says what and from where.
func (a *auditBed) wantOne(o documented, actor, kind string, status int) {
	a.t.Helper()
	var found []store.Event
	eventually(a.t, fmt.Sprintf("the refusal of %s to %s (%d)", o.ID, actor, status), func() bool {
		found = a.since(isRefusal)
		return len(found) > 0
	})
	e := found[0]
	if len(found) != 1 || e.Kind != kind || e.Actor != actor || e.Data["addr"] != "203.0.113.7" || e.Data["method"] != o.method || e.Data["path"] == "" {
		a.t.Errorf("%s to %s (%d): %+v", o.ID, actor, status, found)
	}
	if kind == kindRefused && (e.Severity != store.SeverityInfo || e.Data["operation"] != o.ID || e.Data["status"] != float64(status) || e.Data["code"] == nil) {
		a.t.Errorf("%s to %s (%d) does not say what and why: %+v", o.ID, actor, status, e)
	}
	a.deps.Refusals.Settle() // what is alike is told again
}

// TestAWrongPasswordOfWhoIsSignedInIsTheirs: whoever sits at their open session guesses it, and events of their name show that, and at what.
func TestAWrongPasswordOfWhoIsSignedInIsTheirs(t *testing.T) {
	const password, code = `{"current_password":"` + canary + `","password":"another long one"}`, `{"code":"000000"}`
	a := newAuditBed(t)
	a.person("root", "admin")
	offered := func() *client.Client { who, _ := a.offered(); return who }
	ops := mutating(t)
	for id, tt := range map[string]struct {
		who  func() *client.Client
		body string
	}{
		"change-password": {a.someone, password}, "offer-second-factor": {a.someone, `{"current_password":"` + canary + `"}`},
		"confirm-second-factor": {offered, code}, "make-recovery-codes": {a.enrolled, code}, "remove-second-factor": {a.enrolled, code},
	} {
		i := slices.IndexFunc(ops, func(o documented) bool { return o.ID == id })
		if i < 0 {
			t.Fatalf("there is no %s", id)
		}
		o, guesser, body := ops[i], tt.who(), tt.body
		a.raw(guesser, o.method, o.path, `{}`) // a guess does not hide behind it
		a.note()
		for range 3 {
			if status, _, text := a.raw(guesser, o.method, o.path, body); status != http.StatusUnprocessableEntity {
				t.Errorf("%s: %d %s", id, status, text)
			}
		}
		actor := "user:" + a.somebody.Name
		of := func(e store.Event) bool { return e.Kind == kindFailed && e.Actor == actor }
		eventually(t, id+" by "+actor, func() bool { return len(a.since(of)) > 0 })
		a.deps.Refusals.Settle()
		eventually(t, "the others of "+id, func() bool { return len(a.since(of)) > 1 })
		told := a.since(of)
		for _, e := range told {
			if e.Data["operation"] != id || e.Data["method"] != o.method || e.Data["path"] != o.path || e.Data["status"] != 422.0 || e.Data["addr"] != "203.0.113.7" ||
				e.Severity != store.SeverityWarn || strings.Contains(fmt.Sprint(e), canary) {
				t.Errorf("%s: %+v", id, e)
			}
		}
		if len(told) != 2 || told[1].Data["count"] != 2.0 || len(a.since(func(e store.Event) bool { return e.Kind == kindFailed && e.Actor != actor })) > 0 {
			t.Errorf("%s: %+v", id, told)
		}
	}
}

// TestTheAuditTableIsToldToPeople: docs/events.md has every kind that a call leaves.
func TestTheAuditTableIsToldToPeople(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "events.md"))
	if err != nil {
		t.Fatal(err)
	}
	for id, row := range auditTable() {
		if row.kind == "" {
			continue
		}
		noun, verb, _ := strings.Cut(row.kind, ".")
		if !strings.Contains(string(text), "`"+row.kind+"`") && !strings.Contains(string(text), "`."+verb+"`") && !strings.Contains(string(text), "`"+noun+".*`") {
			t.Errorf("%s of %s is not in docs/events.md", row.kind, id)
		}
	}
}
