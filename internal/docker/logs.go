package docker

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
)

const (
	// logStall ends the reading of a log of which nothing comes any more. A followed one, once begun, may be quiet for ever.
	logStall = 30 * time.Second
	// longestLine is where a line without an end is cut.
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

// LogLine is one line of a container's output.
type LogLine struct {
	Stream string    // stdout | stderr
	Time   time.Time // when timestamps were asked for
	Text   string
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

func (s *lineSink) put(stream string, text []byte) error {
	l := LogLine{Stream: stream, Text: string(bytes.TrimSuffix(text, []byte("\r")))}
	if s.timed {
		stamp, rest, ok := strings.Cut(l.Text, " ")
		if at := engineTime(stamp); ok && !at.IsZero() {
			l.Time, l.Text = at, rest
		}
	}
	s.refused = s.line(l)
	return s.refused
}

// lineWriter cuts one stream into lines; an engine's frames end anywhere.
type lineWriter struct {
	sink   *lineSink
	stream string
	held   []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.held = append(w.held, p...)
	for {
		end := bytes.IndexByte(w.held, '\n')
		switch {
		case end >= 0:
			if err := w.sink.put(w.stream, w.held[:end]); err != nil {
				return 0, err
			}
			w.held = w.held[end+1:]
		case len(w.held) > longestLine:
			return len(p), w.flush()
		default:
			return len(p), nil
		}
	}
}

// flush puts out what has no line end.
func (w *lineWriter) flush() error {
	if len(w.held) == 0 {
		return nil
	}
	text := w.held
	w.held = nil
	return w.sink.put(w.stream, text)
}
