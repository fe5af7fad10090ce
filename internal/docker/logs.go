package docker

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
)

const (
	// logStall ends the reading of a log of which nothing comes any more. A followed one, once begun, may be quiet for ever.
	logStall = 30 * time.Second
	// longestLine is where a line that has no end yet is handed on in pieces.
	longestLine = 256 << 10
)

// LogOptions select lines of a log.
type LogOptions struct {
	Follow     bool
	Tail       int // 0: all
	Since      time.Time
	Timestamps bool
}

func (o LogOptions) request() client.ContainerLogsOptions {
	r := client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Follow: o.Follow, Timestamps: o.Timestamps}
	if o.Tail > 0 {
		r.Tail = strconv.Itoa(o.Tail)
	}
	if !o.Since.IsZero() {
		r.Since = o.Since.UTC().Format(time.RFC3339Nano)
	}
	return r
}

// LogLine is one line of a container's output, or a piece of one that is very long.
type LogLine struct {
	Stream string    // stdout | stderr
	Time   time.Time // when timestamps were asked for
	Text   string
	Piece  int  // from 0
	More   bool // the line goes on in the next piece of its stream
}

// Logs calls line for each line until the log ends, ctx ends or line returns an error, which is then the answer.
func (e *Engine) Logs(ctx context.Context, id string, o LogOptions, line func(LogLine) error) error {
	c, err := e.Inspect(ctx, id)
	if err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	return e.logsOf(ctx, c, o, line)
}

func (e *Engine) logsOf(ctx context.Context, c Container, o LogOptions, line func(LogLine) error) error {
	dog := watch(ctx, logStall)
	defer dog.end()
	lines := &lineSink{line: line, timed: o.Timestamps}
	err := e.copyLog(dog, c, o, lines)
	if lines.refused != nil {
		return lines.refused
	}
	return failure(ctx, "read the log of "+c.ID, dog.reason(err))
}

func (e *Engine) copyLog(dog *watchdog, c Container, o LogOptions, lines *lineSink) error {
	s, err := e.session(dog.ctx)
	if err != nil {
		return err
	}
	stream, err := s.cli.ContainerLogs(dog.ctx, c.ID, o.request())
	if err != nil {
		return noLog(err)
	}
	defer func() { _ = stream.Close() }() // read to its end, or given up
	from := dog.reader(stream)
	if o.Follow {
		dog.rest()
		from = stream
	}
	stdout, stderr := &lineWriter{sink: lines, stream: "stdout"}, &lineWriter{sink: lines, stream: "stderr"}
	if c.tty {
		_, err = io.Copy(stdout, from)
	} else {
		_, err = stdcopy.StdCopy(stdout, stderr, from)
	}
	if err != nil {
		return err
	}
	if err := stdout.flush(); err != nil {
		return err
	}
	return stderr.flush()
}

// noLog tells a log driver that keeps nothing apart from what fails.
func noLog(err error) error {
	if containsAny(err.Error(), "does not support reading", "cannot read logs") {
		return fmt.Errorf("%w: %s", errNoLog, words(err))
	}
	return err
}

// lineSink hands lines to the caller and remembers the caller's refusal.
type lineSink struct {
	line    func(LogLine) error
	timed   bool
	refused error
}

func (s *lineSink) put(l LogLine) error {
	s.refused = s.line(l)
	return s.refused
}

// cutStamp takes the time from the beginning of what an engine sent; rest is all of it where there is none.
func cutStamp(text []byte) (at time.Time, rest []byte) {
	if len(text) == 0 || text[0] < '0' || text[0] > '9' {
		return time.Time{}, text
	}
	end := bytes.IndexByte(text[:min(len(text), longestStamp+1)], ' ')
	if end < 0 {
		return time.Time{}, text
	}
	if at = engineTime(string(text[:end])); at.IsZero() {
		return time.Time{}, text
	}
	return at, text[end+1:]
}

// longestStamp is that of nanoseconds with a zone.
const longestStamp = len("2006-01-02T15:04:05.000000000+00:00")

// lineWriter cuts one stream into lines; an engine's frames end anywhere.
type lineWriter struct {
	sink   *lineSink
	stream string
	held   []byte
	// Of the line that is held: its pieces so far, and their time.
	pieces int
	at     time.Time
}

// Write takes one frame. An engine that cuts a long line into frames puts the time before each of them.
func (w *lineWriter) Write(p []byte) (int, error) {
	size := len(p)
	if w.sink.timed && (len(w.held) > 0 || w.pieces > 0) {
		_, p = cutStamp(p)
	}
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			w.held = append(w.held, p...)
			if len(w.held) > longestLine {
				return size, w.put(w.held, true)
			}
			return size, nil
		}
		text := p[:end]
		if len(w.held) > 0 {
			text = append(w.held, text...)
		}
		if err := w.put(text, false); err != nil {
			return 0, err
		}
		p = p[end+1:]
	}
	return size, nil
}

// put hands a line on, or a piece of one.
func (w *lineWriter) put(text []byte, more bool) error {
	if w.sink.timed && w.pieces == 0 {
		w.at, text = cutStamp(text)
	}
	l := LogLine{Stream: w.stream, Time: w.at, Text: string(bytes.TrimSuffix(text, []byte("\r"))), Piece: w.pieces, More: more}
	w.held = w.held[:0]
	if cap(w.held) > 2*longestLine {
		w.held = nil
	}
	if w.pieces++; !more {
		w.pieces = 0
	}
	return w.sink.put(l)
}

// flush puts out what has no line end.
func (w *lineWriter) flush() error {
	if len(w.held) == 0 && w.pieces == 0 {
		return nil
	}
	return w.put(w.held, false)
}
