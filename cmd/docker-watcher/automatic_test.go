package main

import (
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
)

func TestWhatGoesByItselfIsShown(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 4, 0, 0, time.UTC)
	s := newService(t)
	s.answers(t, "GET /api/session", client.Session{})
	s.answers(t, "GET /api/scans", client.ScanList{})
	s.answers(t, "GET /api/containers/stale", client.StaleList{List: client.List[client.StaleItem]{Items: []client.StaleItem{
		{Name: "a", Policy: client.Decision{Action: "cleanup", At: at}, BlindWords: "nobody watched for 2 hours: it may have run in between"},
		{Name: "b", Policy: client.Decision{Action: "cleanup", At: at.Add(-time.Hour)}},
		{Name: "c", Policy: client.Decision{Action: "cleanup", Why: "automatic cleanup is switched off"}},
		{Name: "d", Policy: client.Decision{Action: "warn"}},
	}}})
	s.answers(t, "GET /api/overview", client.Overview{
		Archives: 3, ArchiveBytes: 6_200_000, AutoCleanup: true, Leftovers: 2, NextPlan: &client.PlanSummary{ID: "plan9", Items: 2, ApplyAt: at},
	})
	s.answers(t, "GET /api/plans/plan9", client.Plan{ID: "plan9", State: "planned", Automatic: true, ApplyAt: at, Items: []client.PlanItem{
		{Name: "a", NotRestored: []string{"what its process holds in memory"}}, {Name: "b"},
	}})
	got := s.run(t, "", "status")
	has(t, "status", got.out, "archives   3, holding 5.91 MiB", "by itself  2 containers in 4 minutes, unless called off: docker-watcher stale cancel plan9", "leftovers  2: docker-watcher leftovers")
	got = s.run(t, "", "stale ls")
	has(t, "stale ls", got.out, "goes in 4 minutes\n", "goes at the next run\n", "stays for now\n", "warns only\n", "! a: nobody watched for 2 hours: it may have run in between\n")
	got = s.run(t, "", "stale ls -o wide")
	has(t, "stale ls -o wide", got.out, "automatic cleanup is switched off", "goes 2026-11-23T12:04:00.000Z")
	got = s.run(t, "", "stale plan --show plan9")
	has(t, "the plan", got.out, "plan plan9: 2 containers to remove, 0 B comes back; by itself in 4 minutes, unless called off: docker-watcher stale cancel plan9\n",
		"- a: what an undo lacks: what its process holds in memory\n", "!! - b")
	if len(got.done) > 0 {
		t.Errorf("looking did %q", got.done)
	}
}

func TestHeldBackHostsAreShown(t *testing.T) {
	a, out, _ := newApp(t, "")
	a.printHosts([]client.Host{
		{Name: "one", Reachable: true, AutoHeld: "12 instances are due at once", AutoHeldSince: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)},
		{Name: "two", Reachable: true},
	})
	has(t, "hosts", out.String(), "! one: automatic cleanup does nothing there since 2 hours ago: 12 instances are due at once\n", "!! ! two")
}
