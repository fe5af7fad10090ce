package api

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tiny-forge/docker-watcher/client"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// TestExportEvents reads more than a page back from both formats, with texts that would break either.
func TestExportEvents(t *testing.T) {
	b := newBed(t)
	const many = 1200
	at := time.Now()
	b.update(func(tx *store.Tx) error {
		var all []store.Event
		for n := range many {
			all = append(all, store.Event{
				Time: at.Add(time.Duration(n) * time.Millisecond), Severity: store.SeverityWarn, Source: store.SourceAPI, Kind: "test.made", Actor: "user:eve",
				Message: fmt.Sprintf("=HYPERLINK(\"x\"), \"quoted\"\nline %d", n), Data: map[string]any{"n": n, "html": "<b>"},
			})
		}
		return tx.Emit(t.Context(), all...)
	})
	f := client.EventFilter{Actor: "user:eve"}
	var text strings.Builder
	b.must(b.viewer.ExportEvents(t.Context(), f, "ndjson", &text))
	lines := strings.Split(strings.TrimSpace(text.String()), "\n")
	if len(lines) != many {
		t.Fatalf("%d lines", len(lines))
	}
	var first client.Event
	b.must(json.Unmarshal([]byte(lines[0]), &first))
	if first.Message != fmt.Sprintf("=HYPERLINK(\"x\"), \"quoted\"\nline %d", many-1) || first.Actor != "user:eve" || first.Data["html"] != "<b>" {
		t.Errorf("the newest is %+v", first)
	}
	text.Reset()
	b.must(b.viewer.ExportEvents(t.Context(), f, "csv", &text))
	rows, err := csv.NewReader(strings.NewReader(text.String())).ReadAll()
	b.must(err)
	if len(rows) != many+1 || rows[0][0] != "id" || rows[1][5] != "user:eve" || !strings.HasPrefix(rows[1][6], "'=HYPERLINK") || !strings.Contains(rows[1][11], `"n":1199`) {
		t.Errorf("%d rows, the first two: %q", len(rows), rows[:2])
	}
	if parsed, err := time.Parse(time.RFC3339, rows[1][1]); err != nil || !parsed.Equal(first.Time) {
		t.Errorf("its time: %q, %v", rows[1][1], err)
	}
	for _, none := range []client.EventFilter{{Actor: "user:adam"}, {Actor: "user:eve", Severities: []string{"error"}}} {
		text.Reset()
		b.must(b.viewer.ExportEvents(t.Context(), none, "ndjson", &text))
		if text.Len() > 0 {
			t.Errorf("%+v: %s", none, text.String())
		}
	}
	text.Reset()
	b.must(b.viewer.ExportEvents(t.Context(), client.EventFilter{Actor: "user:eve", From: at.Add(1100 * time.Millisecond)}, "ndjson", &text))
	if n := strings.Count(text.String(), "\n"); n < 99 || n > 101 {
		t.Errorf("%d events of the last hundred", n)
	}
	l, err := b.viewer.Events(t.Context(), client.EventFilter{Actor: "user:eve", Text: "line 7"}, client.Page{Limit: 500})
	b.must(err)
	if len(l.Items) != 111 {
		t.Errorf("%d events of that actor with that text", len(l.Items))
	}
	wantProblem(t, b.viewer.ExportEvents(t.Context(), f, "xml", &text), http.StatusUnprocessableEntity, client.CodeInvalid)
	wantProblem(t, b.nobody.ExportEvents(t.Context(), f, "csv", &text), http.StatusUnauthorized, client.CodeUnauthenticated)
}
