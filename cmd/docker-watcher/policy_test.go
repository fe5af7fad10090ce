package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiny-forge/docker-watcher/client"
)

// policyService has a stage that says some words of its own, and a trial that would clean one up.
func policyService(t *testing.T, cleaned int) *service {
	t.Helper()
	s := newService(t)
	says := client.PolicyDocument{Level: "stage", Revision: 7, Policy: client.Policy{
		StaleAfter: new("3d"), Action: new("warn"), KeepLast: new(0), Window: &client.Window{Days: []string{"sat", "sun"}},
	}, InForce: &client.PolicyInForce{
		Project: "shop", Stage: "preview", StageKind: "preview", StaleAfter: "3d", Action: "warn", CleanupAfter: "24h", KeepLast: 0,
		MaxPerRun: 10, MaxSharePercent: 25, Window: client.Window{Days: []string{"sat", "sun"}},
		DecidedBy: client.PolicyFrom{StaleAfter: "stage", Action: "stage", CleanupAfter: "default", Window: "stage", KeepLast: "stage"},
	}}
	s.answers(t, "GET /api/stages/s1/policy", says)
	s.answers(t, "PUT /api/stages/s1/policy", says)
	s.answers(t, "GET /api/policies/global", client.PolicyDocument{Level: "global"})
	s.answers(t, "PUT /api/policies/global", client.PolicyDocument{Level: "global"})
	s.answers(t, "GET /api/projects/p1/policy", client.PolicyDocument{Level: "project", Revision: 3})
	s.answers(t, "PUT /api/projects/p1/policy", client.PolicyDocument{Level: "project", Revision: 4})
	s.answers(t, "GET /api/settings", client.Settings{})
	s.answers(t, "GET /api/policies", client.Policies{InForce: []client.PolicyInForce{
		{Project: "shop", Stage: "production", StageKind: "production", StaleAfter: "7d", Action: "warn", KeepLast: 2},
		{Project: "shop", Stage: "preview", StageKind: "preview", StaleAfter: "3d", Action: "cleanup", CleanupAfter: "2d", MaxPerRun: 10, MaxSharePercent: 25, Window: client.Window{From: "02:00", Until: "05:00"}, DecidedBy: client.PolicyFrom{Action: "project"}},
	}})
	trial := client.PolicyTrial{Considered: 40, Spared: client.TrialGroup{Count: 0}, NewlyCleaned: client.TrialGroup{Count: cleaned}}
	for range cleaned {
		trial.NewlyCleaned.Items = append(trial.NewlyCleaned.Items, client.TrialItem{
			Name: "shop-preview-a", Project: "shop", Stage: "preview", LastAliveAt: time.Date(2026, 11, 13, 12, 0, 0, 0, time.UTC),
			Then: client.Decision{Action: "cleanup", At: time.Date(2026, 11, 24, 2, 0, 0, 0, time.UTC), Why: "would be cleaned Tue 24 Nov 02:00 UTC, unless alive"},
		})
	}
	trial.FirstRuns = []client.FirstRun{
		{
			Host: "local", PlanAt: time.Date(2026, 11, 24, 1, 55, 0, 0, time.UTC), At: time.Date(2026, 11, 24, 2, 0, 0, 0, time.UTC),
			Due: cleaned, Takes: cleaned, Later: 2,
		},
		{Host: "far", Due: 40, Held: "40 instances are due at once, and its policies allow 20 in one run (max_per_run)"},
	}
	s.answers(t, "POST /api/policies/try", trial)
	return s
}

func TestPolicyIsChangedWordByWord(t *testing.T) {
	s := policyService(t, 1)
	rest := `"keep_last":0,"max_per_run":null,"max_share_percent":null}`
	for _, c := range []struct {
		line string
		more []string
		want string
	}{
		{
			"policy set shop/preview --yes --action cleanup --cleanup-after 2d", nil,
			`PUT /api/stages/s1/policy if "7" {"stale_after":"3d","action":"cleanup","cleanup_after":"2d","window":{"days":["sat","sun"]},` + rest,
		},
		{
			"policy set shop/preview --yes --inherit action,window --inherit stale-after", nil,
			`PUT /api/stages/s1/policy if "7" {"stale_after":null,"action":null,"cleanup_after":null,"window":null,` + rest,
		},
		{
			"policy set shop/preview --yes --window",
			[]string{"mon-fri 02:00-05:00 Europe/Berlin"},
			`PUT /api/stages/s1/policy if "7" {"stale_after":"3d","action":"warn","cleanup_after":null,"window":{"days":["mon","tue","wed","thu","fri"],"from":"02:00","until":"05:00","time_zone":"Europe/Berlin"},` + rest,
		},
		{
			"policy set shop/preview --yes --window always --keep-last 3 --max-per-run 5 --max-share 10", nil,
			`PUT /api/stages/s1/policy if "7" {"stale_after":"3d","action":"warn","cleanup_after":null,"window":{},"keep_last":3,"max_per_run":5,"max_share_percent":10}`,
		},
		{
			"policy set shop --yes --action cleanup", nil,
			`PUT /api/projects/p1/policy if "3" {"stale_after":null,"action":"cleanup","cleanup_after":null,"window":null,"keep_last":null,"max_per_run":null,"max_share_percent":null}`,
		},
		{
			"policy set global --yes --max-share 10", nil,
			`PUT /api/policies/global {"stale_after":null,"action":null,"cleanup_after":null,"window":null,"keep_last":null,"max_per_run":null,"max_share_percent":10}`,
		},
	} {
		got := s.run(t, "", c.line, c.more...)
		if got.code != 0 || len(got.done) != 2 || !strings.HasPrefix(got.done[0], "POST /api/policies/try ") {
			t.Errorf("%s: exit code %d: %s%s\n%q", c.line, got.code, got.out, got.beside, got.done)
			continue
		}
		if diff := cmp.Diff(c.want, got.done[1]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.line, diff)
		}
	}
}

func TestPolicyIsShownBeforeItIsChanged(t *testing.T) {
	s := policyService(t, 1)
	got := s.run(t, "n\n", "policy set shop/preview --action cleanup")
	if got.code != exitError || len(got.done) != 1 {
		t.Errorf("a no: exit code %d, %q", got.code, got.done)
	}
	has(t, "what is shown", got.out, "the policy of stage shop/preview:", "action         warn -> cleanup", "!! stale-after",
		"newly cleaned  shop-preview-a  shop/preview  10 days ago", "2026-11-24 02:00", "would be cleaned Tue 24 Nov 02:00 UTC, unless alive",
		"40 containers looked at: 0 newly stale, 0 spared, 1 newly cleaned by themselves, 0 no longer, 0 at another time",
		"local: the first run would be announced at 2026-11-24 01:55 and remove 1 container at 2026-11-24 02:00, unless it is called off (2 more later)",
		"far: the first run would remove nothing: 40 instances are due at once, and its policies allow 20 in one run (max_per_run)")
	has(t, "the question", got.beside, "Change the policy of stage shop/preview?", "not done, as you wished")
	if got = s.run(t, "y\n", "policy set shop/preview --action cleanup"); got.code != 0 || len(got.done) != 2 {
		t.Errorf("a yes: exit code %d, %q", got.code, got.done)
	}
	if got = s.run(t, "", "policy set shop/preview --action cleanup"); got.code != exitUsage || len(got.done) != 1 {
		t.Errorf("a script without --yes: exit code %d, %q", got.code, got.done)
	}
	got = s.run(t, "", "policy set shop/preview --action cleanup --yes -o json")
	if got.code != 0 || !strings.HasPrefix(got.out, "{\n  \"level\": \"stage\"") {
		t.Errorf("as JSON: exit code %d: %s", got.code, got.out)
	}
}

func TestTryingAPolicyWritesNothing(t *testing.T) {
	s := policyService(t, 30)
	got := s.run(t, "", "policy try shop/preview --action cleanup")
	if got.code != 0 || len(got.done) != 1 {
		t.Errorf("exit code %d, %q: %s", got.code, got.done, got.beside)
	}
	has(t, "a long trial", got.out, "... and 10 more: -o wide or -o json", "30 newly cleaned by themselves")
	if got = s.run(t, "", "policy try global --stale-after 3d -o json"); got.code != 0 || !strings.Contains(got.out, `"newly_cleaned": {`) {
		t.Errorf("as JSON: exit code %d: %s%s", got.code, got.out, got.beside)
	}
}

func TestWrongPolicyWords(t *testing.T) {
	s := policyService(t, 0)
	for _, c := range []struct {
		code int
		args []string
	}{
		{exitUsage, []string{"shop/preview"}},
		{exitUsage, []string{"shop/preview", "--window", "at night"}},
		{exitUsage, []string{"shop/preview", "--inherit", "colour"}},
		{exitUsage, []string{"shop/preview", "--action", "warn", "--inherit", "action"}},
		{exitUsage, []string{"shop/preview", "--keep-last", "many"}},
		{exitUsage, []string{"--action", "warn"}},
		{exitNotFound, []string{"shop/nope", "--action", "warn"}},
	} {
		for _, verb := range []string{"set", "try"} {
			if got := s.run(t, "", "policy "+verb+" --yes", c.args...); got.code != c.code || len(got.done) > 0 {
				t.Errorf("policy %s %q: exit code %d, want %d; it did %q", verb, c.args, got.code, c.code, got.done)
			}
		}
	}
}

func TestPolicyIsShown(t *testing.T) {
	s := policyService(t, 0)
	got := s.run(t, "", "policy show")
	has(t, "all policies", got.out, "shop/preview     preview     3d           cleanup  project  2d     02:00-05:00  last 0  10 or 25% a run",
		"shop/production  production  7d           warn              -      -            last 2  -")
	has(t, "beside", got.beside, "automatic cleanup is off")
	got = s.run(t, "", "policy show shop/preview")
	has(t, "a stage's", got.out, "the policy of stage shop/preview", "action         warn     warn (stage)", "cleanup-after  -        24h (default)", "window         sat,sun  sat,sun (stage)")
	if got = s.run(t, "", "policy show global -o json"); got.code != 0 || !strings.Contains(got.out, `"level": "global"`) {
		t.Errorf("as JSON: exit code %d: %s", got.code, got.out)
	}
}

func TestSwitchingAutomaticCleanupOn(t *testing.T) {
	due, idle := policyService(t, 2), policyService(t, 0)
	for _, s := range []*service{due, idle} {
		s.answers(t, "PATCH /api/settings", client.Settings{AutoCleanup: true})
	}
	got := due.run(t, "n\n", "settings set auto_cleanup=on")
	if got.code != exitError || len(got.done) != 1 || !strings.HasSuffix(got.done[0], `"auto_cleanup":true}`) {
		t.Errorf("a no: exit code %d, %q", got.code, got.done)
	}
	has(t, "what is shown", got.out, "shop-preview-a", "2026-11-24 02:00")
	has(t, "the question", got.beside, "Let 2 containers be cleaned up, each at its time")
	for _, c := range []struct {
		name  string
		s     *service
		typed string
		line  string
		code  int
		asked int // requests that are not reads
	}{
		{"a yes", due, "y\n", "settings set auto_cleanup=on", 0, 2},
		{"--yes", due, "", "settings set auto_cleanup=true event_retention_days=30 --yes", 0, 2},
		{"a script without --yes", due, "", "settings set auto_cleanup=on", exitUsage, 1},
		{"nothing would go", idle, "", "settings set auto_cleanup=on", 0, 2},
		{"off is never asked about", due, "", "settings set auto_cleanup=off", 0, 1},
		{"others are never asked about", due, "", "settings set event_retention_days=30", 0, 1},
	} {
		got := c.s.run(t, c.typed, c.line)
		if got.code != c.code || len(got.done) != c.asked {
			t.Errorf("%s: exit code %d, %q: %s", c.name, got.code, got.done, got.beside)
		}
	}
	refused := newService(t)
	refused.answers(t, "GET /api/policies/global", client.PolicyDocument{})
	refused.answersWith(t, "POST /api/policies/try", http.StatusForbidden, client.Problem{Status: http.StatusForbidden, Code: client.CodeForbidden, Detail: "this needs an operator"})
	if got := refused.run(t, "", "settings set auto_cleanup=on --yes"); got.code != exitForbidden || len(got.done) != 1 {
		t.Errorf("a viewer: exit code %d, %q", got.code, got.done)
	}
}
