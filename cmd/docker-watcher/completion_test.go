package main

import (
	"strings"
	"testing"

	"github.com/tiny-forge/docker-watcher/client"
)

func TestNamesAreCompleted(t *testing.T) {
	s := reclaimService(t)
	archives(t, s, archived(oneID, "plan2", "shop-preview-a", "ready"), archived(twoID, "plan1", "shop-preview-b", "restored"))
	s.answers(t, "GET /api/plans", client.List[client.PlanSummary]{Items: []client.PlanSummary{{ID: "plan9", Items: 2, CreatedBy: "system:auto"}}})
	s.answers(t, "GET /api/leftovers", client.List[client.Leftover]{Items: []client.Leftover{{ID: "l1", Kind: "dead", Name: "shop-preview-c"}}})
	s.answers(t, "GET /api/settings", client.Settings{})
	for line, want := range map[string][]string{
		"archive restore":     {"shop-preview-a\tremoved 60 minutes ago by user:anna", "!! shop-preview-b"},
		"archive show":        {"shop-preview-a", "shop-preview-b"},
		"stale cancel":        {"plan9\t2 containers, by system:auto"},
		"stale apply":         {"plan9"},
		"stale snooze":        {"shop-preview-a"},
		"policy set":          {"global", "shop", "shop/preview"},
		"policy set --action": {"cleanup", "warn"},
		"policy set --inherit": {
			"keep-last", "window",
		},
		"leftovers mend":    {"l1\tdead shop-preview-c"},
		"reclaim volume rm": {anonymous, "!! shop-data"},
		"host blind":        {"local"},
		"settings set":      {"auto_cleanup=", "auto_warm_up="},
	} {
		a, out, beside := newApp(t, "")
		a.getenv = func(name string) string { return map[string]string{"DOCKER_WATCHER_URL": s.url}[name] }
		code := a.run(t.Context(), append(append([]string{"__complete"}, strings.Fields(line)...), ""))
		if code != 0 {
			t.Errorf("%s: exit code %d: %s", line, code, beside)
		}
		has(t, line, out.String(), want...)
	}
}
