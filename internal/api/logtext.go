package api

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/logs"
)

// copyLogs answers the log as text. Nothing of it is left out, however slow the reader: only one who stops reading is left.
func (s *server) copyLogs(hc huma.Context, asked logsAsked) {
	r, w := humago.Unwrap(hc)
	ctx, cancel := s.untilStopping(r.Context())
	defer cancel()
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Accel-Buffering", "no")
	asked.name(h)
	w.WriteHeader(http.StatusOK)
	steady := newSteadyWriter(w)
	defer steady.finish()
	var to io.Writer = steady
	err := steady.flush()
	if asked.Download == "gzip" {
		packed := gzip.NewWriter(steady)
		to = packed
		defer func() {
			if err == nil {
				_ = packed.Close() // the reader left if this fails
			}
		}()
	}
	if err == nil {
		err = logs.Read(ctx, asked.engine, asked.instance.ContainerID, asked.choice, asked.Follow, func(l docker.LogLine) error {
			if err := writeLogLine(to, l, asked.Timestamps); err != nil || !asked.Follow {
				return err
			}
			return steady.flush()
		})
	}
	if err != nil && ctx.Err() == nil && !errors.Is(err, errReaderGone) {
		s.log.WarnContext(ctx, "log stream broke off", "instance", asked.instance.ID, "error", err)
	}
	if err != nil && (!asked.Follow || ctx.Err() == nil) && !errors.Is(err, errReaderGone) {
		panic(http.ErrAbortHandler) // half a log must not look like a whole one
	}
}

// name makes it a file, called after the instance and the moment.
func (asked logsAsked) name(h http.Header) {
	if asked.Download == "" {
		return
	}
	file := asked.instance.Name + "_" + time.Now().UTC().Format("2006-01-02T15-04-05Z") + ".log"
	if asked.Download == "gzip" {
		file += ".gz"
		h.Set("Content-Type", "application/gzip")
	}
	h.Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", file))
	h.Set("Cache-Control", "no-store")
}

func writeLogLine(out io.Writer, l docker.LogLine, timed bool) error {
	text := l.Text
	if timed && l.Piece == 0 && !l.Time.IsZero() {
		text = l.Time.UTC().Format(layout) + " " + text
	}
	if !l.More {
		text += "\n"
	}
	_, err := io.WriteString(out, text)
	return err
}
