package notify

import (
	"slices"
	"strings"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// Concerns reports whether a rule is for an event. An event that belongs to no project is not for a rule of some projects.
func Concerns(w store.NotifyWants, e store.Event) bool {
	return e.ID != 0 && among(w.Severities, e.Severity) && among(w.Sources, e.Source) && among(w.Projects, e.ProjectID) && kindAmong(w.Kinds, e.Kind)
}

func among[T comparable](wanted []T, is T) bool {
	return len(wanted) == 0 || slices.Contains(wanted, is)
}

func kindAmong(wanted []string, kind string) bool {
	return len(wanted) == 0 || slices.ContainsFunc(wanted, func(w string) bool {
		begin, open := strings.CutSuffix(w, "*")
		return w == kind || open && strings.HasPrefix(kind, begin)
	})
}

// aboutItself reports whether an event tells of a channel: it is not told there. A channel that fails would fill itself.
func aboutItself(channelID string, e store.Event) bool {
	return e.Source == store.SourceNotifier && e.Data["channel_id"] == channelID
}

// rank orders severities.
func rank(s store.Severity) int {
	switch s {
	case store.SeverityInfo:
		return 0
	case store.SeverityWarn:
		return 1
	case store.SeverityError:
		return 2
	}
	return 0
}

func worse(a, b store.Severity) store.Severity {
	if rank(b) > rank(a) {
		return b
	}
	return a
}
