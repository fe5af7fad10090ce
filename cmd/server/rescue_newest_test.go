package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/backup"
)

// TestTheNewestBackup: one that is dated ahead is named only where there is no other.
func TestTheNewestBackup(t *testing.T) {
	now, folder := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC), t.TempDir()
	want := func(at time.Time) {
		t.Helper()
		name := ""
		if !at.IsZero() {
			name = filepath.Join(folder, backup.NameAt(at))
		}
		if got := newestBackup(folder, now); got != name {
			t.Errorf("the newest is %q, want %q", got, name)
		}
	}
	want(time.Time{})
	for _, step := range []struct{ made, want time.Time }{
		{now.AddDate(10, 0, 0), now.AddDate(10, 0, 0)},
		{now.Add(-48 * time.Hour), now.Add(-48 * time.Hour)},
		{now.Add(-24 * time.Hour), now.Add(-24 * time.Hour)},
		{now.Add(2 * time.Hour), now.Add(-24 * time.Hour)},
		{now.Add(time.Minute), now.Add(time.Minute)},
	} {
		if err := os.WriteFile(filepath.Join(folder, backup.NameAt(step.made)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		want(step.want)
	}
}
