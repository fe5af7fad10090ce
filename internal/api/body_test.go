package api

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

func TestReadCleanup(t *testing.T) {
	yes := true
	for name, c := range map[string]struct {
		body  string
		one   bool // for a single instance: filters are not known
		want  cleanupWish
		wrong string // where, when it must be refused
	}{
		"absent":                   {body: ``},
		"empty object":             {body: `{}`},
		"empty object with spaces": {body: " { } \n"},
		"plan":                     {body: `{"dry_run":true}`, want: cleanupWish{dryRun: true}},
		"apply":                    {body: `{"plan_id":"p1"}`, want: cleanupWish{planID: "p1"}},
		"plan with filters": {
			body: `{"dry_run":true,"project":"shop","stage":"preview","host":"h","class":["exited"],"text":"x","protected":true,"older_than_days":3,"ids":["a"]}`,
			want: cleanupWish{dryRun: true, filter: StaleFilter{
				Project: "shop", Stage: "preview", Host: "h", Class: []string{"exited"}, Text: "x", Protected: &yes, OlderThanDays: 3, IDs: []string{"a"},
			}},
		},
		"one: plan":  {one: true, body: `{"dry_run":true}`, want: cleanupWish{dryRun: true}},
		"one: apply": {one: true, body: `{"plan_id":"p1"}`, want: cleanupWish{planID: "p1"}},

		"dry_run false":               {body: `{"dry_run":false}`, wrong: "body.dry_run"},
		"dry_run null":                {body: `{"dry_run":null}`, wrong: "body.dry_run"},
		"dry_run text":                {body: `{"dry_run":"true"}`, wrong: "body.dry_run"},
		"dry_run one":                 {body: `{"dry_run":1}`, wrong: "body.dry_run"},
		"dry_run twice":               {body: `{"dry_run":true,"dry_run":true}`, wrong: "body"},
		"dry_run of another spelling": {body: `{"Dry_Run":true}`, wrong: "body.Dry_Run"},
		"unknown key":                 {body: `{"force":true}`, wrong: "body.force"},
		"unknown key beside dry_run":  {body: `{"dry_run":true,"projekt":"shop"}`, wrong: "body.projekt"},
		"filters without dry_run":     {body: `{"project":"shop"}`, wrong: "body"},
		"plan_id and dry_run":         {body: `{"plan_id":"p1","dry_run":true}`, wrong: "body"},
		"plan_id and a filter":        {body: `{"plan_id":"p1","project":"shop"}`, wrong: "body"},
		"plan_id twice":               {body: `{"plan_id":"p1","plan_id":"p2"}`, wrong: "body"},
		"plan_id empty":               {body: `{"plan_id":""}`, wrong: "body.plan_id"},
		"plan_id null":                {body: `{"plan_id":null}`, wrong: "body.plan_id"},
		"plan_id number":              {body: `{"plan_id":7}`, wrong: "body.plan_id"},
		"plan_id huge":                {body: `{"plan_id":"` + strings.Repeat("p", 101) + `"}`, wrong: "body.plan_id"},
		"filter null":                 {body: `{"dry_run":true,"project":null}`, wrong: "body.project"},
		"filter empty":                {body: `{"dry_run":true,"project":""}`, wrong: "body.project"},
		"no ids":                      {body: `{"dry_run":true,"ids":[]}`, wrong: "body.ids"},
		"empty id":                    {body: `{"dry_run":true,"ids":[""]}`, wrong: "body.ids"},
		"no classes":                  {body: `{"dry_run":true,"class":[]}`, wrong: "body.class"},
		"unknown class":               {body: `{"dry_run":true,"class":["exited","running"]}`, wrong: "body.class[1]"},
		"class as text":               {body: `{"dry_run":true,"class":"exited"}`, wrong: "body.class"},
		"days below zero":             {body: `{"dry_run":true,"older_than_days":-1}`, wrong: "body.older_than_days"},
		"days broken":                 {body: `{"dry_run":true,"older_than_days":1.5}`, wrong: "body.older_than_days"},
		"days huge":                   {body: `{"dry_run":true,"older_than_days":1e12}`, wrong: "body.older_than_days"},
		"null":                        {body: `null`, wrong: "body"},
		"list":                        {body: `[]`, wrong: "body"},
		"text":                        {body: `"all"`, wrong: "body"},
		"spaces only":                 {body: `  `, wrong: "body"},
		"cut off":                     {body: `{"dry_run":true`, wrong: "body"},
		"something behind":            {body: `{} {"dry_run":true}`, wrong: "body"},
		"two objects":                 {body: `{"dry_run":true}{"plan_id":"x"}`, wrong: "body"},
		"a form":                      {body: `dry_run=true`, wrong: "body"},
		"one: filter":                 {one: true, body: `{"dry_run":true,"project":"shop"}`, wrong: "body.project"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readCleanup([]byte(c.body), !c.one)
			if c.wrong == "" {
				if err != nil || !reflect.DeepEqual(got, c.want) {
					t.Fatalf("got %+v, %v; want %+v", got, err, c.want)
				}
				return
			}
			p, ok := errors.AsType[*Problem](err)
			if !ok || p.Status != http.StatusUnprocessableEntity || p.Errors[0].Location != c.wrong {
				t.Fatalf("got %+v, %v (%+v); want it refused at %s", got, err, p, c.wrong)
			}
			if !reflect.DeepEqual(got, cleanupWish{}) {
				t.Errorf("a refused body still asks for %+v", got)
			}
		})
	}
}

// FuzzReadCleanup looks for a body that widens what is removed: only nothing or an
// empty object may ask for everything.
func FuzzReadCleanup(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `{"dry_run":true}`, `{"plan_id":"x"}`, `{"dry_run":true,"project":"a"}`, `{"dry_run":false}`, `{"a":{"b":[1,2]}}`,
		`{"dry_run":true,"dry_run":false}`, "{\"\\u0064ry_run\":true}", `{"ids":["a"]}`, `{"":1}`, "\ufeff{}", `{"plan_id":"a","plan_id":"b"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, filters := range []bool{true, false} {
			w, err := readCleanup(body, filters)
			if err != nil {
				p, ok := errors.AsType[*Problem](err)
				if !ok || p.Status != http.StatusUnprocessableEntity {
					t.Fatalf("%q: %v", body, err)
				}
				continue
			}
			compact := strings.Join(strings.Fields(string(body)), "")
			everything := !w.dryRun && w.planID == ""
			if everything && compact != "" && compact != "{}" {
				t.Fatalf("%q was taken for everything", body)
			}
			if w.dryRun && w.planID != "" {
				t.Fatalf("%q both plans and applies", body)
			}
			if !w.dryRun && !reflect.DeepEqual(w.filter, StaleFilter{}) {
				t.Fatalf("%q filters without a plan", body)
			}
		}
	})
}

func TestWantedIsTheFilterOfTheLog(t *testing.T) {
	for name, c := range map[string]struct {
		q    EventQuery
		want bool
	}{
		"all":               {EventQuery{}, true},
		"its severity":      {EventQuery{Severity: []string{"info", "warn"}}, true},
		"another severity":  {EventQuery{Severity: []string{"error"}}, false},
		"its source":        {EventQuery{Source: []string{"scanner"}}, true},
		"another source":    {EventQuery{Source: []string{"api"}}, false},
		"its instance":      {EventQuery{Instance: "i1"}, true},
		"another instance":  {EventQuery{Instance: "i2"}, false},
		"another host":      {EventQuery{Host: "h2"}, false},
		"text in any case":  {EventQuery{Text: "STALE"}, true},
		"text not in it":    {EventQuery{Text: "fresh"}, false},
		"one of two misses": {EventQuery{Instance: "i1", Host: "h2"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := (&server{}).eventFilter(context.WithValue(t.Context(), visitKey{}, visit{powers: powers{role: viewer}}), c.q)
			if err != nil {
				t.Fatal(err)
			}
			if got := wanted(f)(sampleEvent()); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

// asProblem is the problem that an error of a reader must be.
func asProblem(t *testing.T, err error) *Problem {
	t.Helper()
	p, ok := errors.AsType[*Problem](err)
	if !ok || len(p.Errors) == 0 {
		t.Fatalf("got %v, want a problem with a place", err)
	}
	return p
}
