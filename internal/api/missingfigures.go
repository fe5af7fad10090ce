package api

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// missingAgain is after how long it is logged once more that figures are missing, for the same reason.
	missingAgain = time.Hour
	// missingOther is how long it is kept quiet about for any other: whoever scrapes asks every few seconds, and reasons may name a moment.
	missingOther = time.Minute
)

// missingFigures tells the log that figures could not be read, and why: once in a while, not at each scrape.
type missingFigures struct {
	log *slog.Logger
	now func() time.Time

	mu   sync.Mutex
	told time.Time
	why  string
}

// Println is told by the handler what went wrong in one scrape.
func (m *missingFigures) Println(words ...any) {
	why := strings.TrimSpace(fmt.Sprintln(words...))
	if !strings.HasPrefix(why, "error gathering") {
		return // who asked has gone before all was said
	}
	for _, word := range words {
		switch err := word.(type) {
		case prometheus.MultiError:
			why = reasonsOf(err)
		case error: // one alone
			why = reasonsOf(prometheus.MultiError{err})
		}
	}
	if m.isNews(why) {
		m.log.Warn("figures are missing", "error", why)
	}
}

// reasonsOf are our own words, each once: what gathers the figures puts before them all that it knows of each.
func reasonsOf(all prometheus.MultiError) string {
	var reasons []string
	for _, err := range all {
		if figure := errors.Unwrap(err); figure != nil && errors.Unwrap(figure) != nil {
			err = errors.Unwrap(figure)
		}
		if why := err.Error(); !slices.Contains(reasons, why) {
			reasons = append(reasons, why)
		}
	}
	return strings.Join(reasons, "; ")
}

func (m *missingFigures) isNews(why string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, quiet := m.now(), missingOther
	if why == m.why {
		quiet = missingAgain
	}
	if !m.told.IsZero() && now.Sub(m.told) < quiet {
		return false
	}
	m.told, m.why = now, why
	return true
}
