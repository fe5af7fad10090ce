package api

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tiny-forge/docker-watcher/internal/store"
)

// exportPage is how many events are read at once.
const exportPage = 500

type exportEventsIn struct {
	EventQuery
	EventTimes
	Format string `query:"format" enum:"ndjson,csv" default:"ndjson" doc:"one JSON object a line as the log has them, or comma-separated values"`
}

// exportEvents answers everything that a filter takes, as a file.
func (s *server) exportEvents(ctx context.Context, in *exportEventsIn) (*streamOut, error) {
	f, err := s.eventsBetween(ctx, in.EventQuery, in.EventTimes)
	if err != nil {
		return nil, err
	}
	items, next, err := s.d.DB.Events(ctx, f, store.Page{Limit: exportPage}) // what cannot be answered is told before a file is begun
	if err != nil {
		return nil, err
	}
	return &streamOut{Body: func(hc huma.Context) {
		r, w := humago.Unwrap(hc)
		ctx, cancel := s.untilStopping(r.Context())
		defer cancel()
		h := w.Header()
		h.Set("Content-Type", map[string]string{"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}[in.Format])
		h.Set("Content-Disposition", `attachment; filename="docker-watcher-events-`+time.Now().UTC().Format("20060102T150405Z")+`.`+in.Format+`"`)
		h.Set("Cache-Control", "no-store")
		steady := newSteadyWriter(w)
		to := newEventFile(steady, in.Format)
		err := to.write(items)
		for err == nil && next != "" {
			if items, next, err = s.d.DB.Events(ctx, f, store.Page{Limit: exportPage, Cursor: next}); err == nil {
				err = to.write(items)
			}
		}
		if err == nil {
			err = to.end()
		}
		steady.finish()
		if err != nil {
			panic(http.ErrAbortHandler) // half a log must not look like a whole one
		}
	}}, nil
}

// eventFile writes events in one format.
type eventFile struct {
	buffer *bufio.Writer
	json   *json.Encoder
	csv    *csv.Writer // nil: JSON
}

var eventColumns = []string{"id", "time", "severity", "source", "kind", "actor", "message", "project_id", "stage_id", "instance_id", "host_id", "data"}

func newEventFile(w io.Writer, format string) *eventFile {
	f := &eventFile{buffer: bufio.NewWriterSize(w, 32<<10)}
	if format == "csv" {
		f.csv = csv.NewWriter(f.buffer)
		_ = f.csv.Write(eventColumns) // a failure stays, and end tells it
		return f
	}
	f.json = json.NewEncoder(f.buffer)
	f.json.SetEscapeHTML(false)
	return f
}

func (f *eventFile) write(events []store.Event) error {
	for _, e := range events {
		if err := f.one(eventOf(e)); err != nil {
			return err
		}
	}
	return nil
}

func (f *eventFile) one(e eventJSON) error {
	if f.csv == nil {
		return f.json.Encode(e)
	}
	at, err := e.Time.MarshalJSON()
	if err != nil {
		return err
	}
	data, err := json.Marshal(e.Data)
	if err != nil {
		return err
	}
	row := []string{e.ID, strings.Trim(string(at), `"`), e.Severity, e.Source, e.Kind, e.Actor, e.Message, e.ProjectID, e.StageID, e.InstanceID, e.HostID, string(data)}
	for i, cell := range row {
		row[i] = harmless(cell)
	}
	return f.csv.Write(row)
}

// harmless keeps a spreadsheet from taking a text that somebody else wrote for a formula of its own.
func harmless(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

func (f *eventFile) end() error {
	if f.csv != nil {
		f.csv.Flush()
		if err := f.csv.Error(); err != nil {
			return err
		}
	}
	return f.buffer.Flush()
}
