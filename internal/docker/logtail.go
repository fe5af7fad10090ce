package docker

import (
	"bytes"
	"context"
	"errors"
)

// LogTail returns the last lines of a container's output, each with "stdout " or "stderr " before it, cut from the
// beginning to whole lines of at most maxBytes together. It is empty, which is no error, when the log
// driver keeps nothing that could be read.
func (e *Engine) LogTail(ctx context.Context, id string, lines int, maxBytes int64) ([]byte, error) {
	c, err := e.Inspect(ctx, id)
	if err != nil {
		return nil, err
	}
	return e.LogTailOf(ctx, c, lines, maxBytes)
}

// LogTailOf is LogTail of a container that was just inspected.
func (e *Engine) LogTailOf(ctx context.Context, c Container, lines int, maxBytes int64) ([]byte, error) {
	tail := &tailBuffer{limit: maxBytes}
	err := e.logsOf(ctx, c, LogOptions{Tail: lines}, func(l LogLine) error {
		tail.add(l)
		return nil
	})
	if err != nil && !errors.Is(err, errNoLog) {
		return nil, err
	}
	return bytes.Join(tail.lines, nil), nil
}

// tailBuffer holds the newest lines that fit.
type tailBuffer struct {
	lines [][]byte
	size  int64
	limit int64
}

func (b *tailBuffer) add(l LogLine) {
	line := []byte(l.Stream + " " + l.Text + "\n")
	b.lines = append(b.lines, line)
	b.size += int64(len(line))
	for b.size > b.limit {
		b.size -= int64(len(b.lines[0]))
		b.lines = b.lines[1:]
	}
}
