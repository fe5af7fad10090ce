package api

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/logs"
)

type logLineJSON struct {
	Stream string `json:"stream" enum:"stdout,stderr"`
	Time   moment `json:"time" doc:"by the engine's clock"`
	Text   string `json:"text"`
	Cut    int64  `json:"cut,omitempty" doc:"bytes of a very long line that are left out at its end"`
}

// logLinesJSON is a message "lines". Its id is the place to go on from.
type logLinesJSON struct {
	Lines   []logLineJSON `json:"lines" nullable:"false" doc:"none: so far has been looked"`
	Looked  int64         `json:"looked" doc:"lines of the chosen streams that were looked at, since the stream began"`
	Matched int64         `json:"matched" doc:"those of them that hold what was searched for"`
}

// logTurnJSON is a message "skipped", "stopped", "started" or, the last one, "end".
type logTurnJSON struct {
	Kind       string `json:"kind" enum:"skipped,stopped,started,read,ended,gone"`
	Text       string `json:"text" doc:"for people"`
	Lines      int64  `json:"lines,omitempty" doc:"how many were skipped"`
	ExitCode   int    `json:"exit_code" doc:"of what ended"`
	OOMKilled  bool   `json:"oom_killed"`
	FinishedAt moment `json:"finished_at"`
	StartedAt  moment `json:"started_at"`
}

func logTurnOf(t logs.Turn) logTurnJSON {
	j := logTurnJSON{Kind: string(t.Kind), Text: turnWords(t), Lines: t.Lines}
	if c := t.Container; c.ID != "" {
		j.ExitCode, j.OOMKilled, j.FinishedAt, j.StartedAt = c.ExitCode, c.OOMKilled, moment(c.FinishedAt), moment(c.StartedAt)
	}
	return j
}

func turnWords(t logs.Turn) string {
	switch t.Kind {
	case logs.Skipped:
		return thousands(t.Lines) + " lines skipped: they came faster than they were read"
	case logs.Started:
		return "it was started again"
	case logs.AllRead:
		return "the end of the log"
	case logs.Gone:
		return "the container is gone"
	case logs.Stopped, logs.Ended:
		return endWords(t.Container)
	}
	return string(t.Kind)
}

// endWords say how the last run ended.
func endWords(c docker.Container) string {
	switch {
	case c.StartedAt.IsZero():
		return "it was never started"
	case c.OOMKilled:
		return fmt.Sprintf("it ended with code %d: out of memory", c.ExitCode)
	}
	return fmt.Sprintf("it ended with code %d", c.ExitCode)
}

// thousands writes 1234567 as 1,234,567.
func thousands(n int64) string {
	text := strconv.FormatInt(n, 10)
	var parts []string
	for len(text) > 3 {
		parts = append([]string{text[len(text)-3:]}, parts...)
		text = text[:len(text)-3]
	}
	return strings.Join(append([]string{text}, parts...), ",")
}

// streamLogs sends the log in messages that can be resumed. A reader of what happens now who is too slow for it is told
// how many lines were skipped; what lies in the past waits for its reader.
func (s *server) streamLogs(hc huma.Context, asked logsAsked) {
	s.stream(hc, "stream of a log", func(ctx context.Context, f *feed) error {
		if err := f.begin(); err != nil {
			return err
		}
		return logs.Follow(ctx, asked.engine, asked.instance.ContainerID, asked.choice, asked.from, asked.Follow, logReader{f})
	})
}

// logReader is a feed that listens to a log.
type logReader struct{ *feed }

// Lines sends a batch.
func (r logReader) Lines(place logs.Place, lines []logs.Line, t logs.Tally) error {
	batch := logLinesJSON{Lines: make([]logLineJSON, 0, len(lines)), Looked: t.Looked, Matched: t.Matched}
	for _, l := range lines {
		batch.Lines = append(batch.Lines, logLineJSON{Stream: l.Stream, Time: moment(l.Time), Text: l.Text, Cut: l.Cut})
	}
	return r.message(place.String(), "lines", batch)
}

// Turn sends what happened beside the lines.
func (r logReader) Turn(place logs.Place, turn logs.Turn) error {
	event := string(turn.Kind)
	switch turn.Kind {
	case logs.AllRead, logs.Ended, logs.Gone:
		event = "end"
	case logs.Skipped, logs.Stopped, logs.Started:
	}
	return r.message(place.String(), event, logTurnOf(turn))
}

// Beat sends a sign of life.
func (r logReader) Beat() error { return r.beat() }
