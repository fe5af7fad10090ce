package api

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tiny-forge/docker-watcher/internal/events"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

type deployLineJSON struct {
	Line       int64  `json:"line" doc:"from 1; of a long log the first lines are dropped"`
	Time       stamp  `json:"time"`
	State      string `json:"state" enum:"queued,pulling,starting,checking,switching,draining,done,failed,cancelled,superseded"`
	Text       string `json:"text"`
	DoneBytes  int64  `json:"done_bytes,omitempty" doc:"of the pull"`
	TotalBytes int64  `json:"total_bytes,omitempty"`
}

func deployLineOf(l store.DeployLine) deployLineJSON {
	return deployLineJSON{
		Line: l.Line, Time: stamp(l.Time), State: string(l.State), Text: l.Text, DoneBytes: l.DoneBytes, TotalBytes: l.TotalBytes,
	}
}

// pullJSON is how far a deploy is between two lines of its log: chatter.
type pullJSON struct {
	State      any    `json:"state"`
	Text       string `json:"text"`
	DoneBytes  any    `json:"done_bytes"`
	TotalBytes any    `json:"total_bytes"`
}

const (
	// logPage is how many lines are read at a time; a whole log is not longer.
	logPage = 1000
	// logBuffer is how many events a reader of a log may be behind; one that lags reads the store anew.
	logBuffer = 1024
)

type deployLogIn struct {
	ByID
	After  int64  `query:"after" minimum:"0" doc:"only the lines after this one"`
	Header string `header:"Last-Event-ID" maxLength:"20" doc:"the same, of a stream that is resumed"`
}

// after is the number of the line to go on after. A browser that reconnects sends the header and, still, the query.
func (in *deployLogIn) after() (int64, error) {
	if in.Header == "" {
		return in.After, nil
	}
	n, err := strconv.ParseInt(in.Header, 10, 64)
	if err != nil || n < 0 {
		return 0, invalid("header.Last-Event-ID", "the number of a line is expected")
	}
	return n, nil
}

// deployLog answers the log of a deploy: as a list, or to whoever accepts text/event-stream as it grows. The stream has
// messages "line" with the line's number as id, "progress" between them, "ping" every 15 seconds and, last, "end" with the deploy.
func (s *server) deployLog(ctx context.Context, in *deployLogIn) (*streamOut, error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	d, err := s.d.DB.Deploy(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	lines, err := s.d.DB.DeployLog(ctx, d.ID, after, logPage)
	if err != nil {
		return nil, err
	}
	return &streamOut{Body: func(hc huma.Context) {
		if strings.Contains(hc.Header("Accept"), "text/event-stream") {
			s.followDeploy(hc, d.ID, after)
			return
		}
		writeJSON(hc, listOf(lines, "", deployLineOf))
	}}, nil
}

func (s *server) followDeploy(hc huma.Context, id string, after int64) {
	s.stream(hc, "stream of a deploy's log", func(ctx context.Context, out *feed) error {
		f := &deployFollower{db: s.d.DB, bus: s.d.Bus, out: out, id: id, after: after}
		return f.run(ctx)
	})
}

// deployFollower sends the log of one deploy. The store is what it reads; the bus only says when to look.
type deployFollower struct {
	db    *store.DB
	bus   *events.Bus
	out   *feed
	id    string
	after int64
}

func (f *deployFollower) run(ctx context.Context) error {
	if err := f.out.begin(); err != nil {
		return err
	}
	sub := f.bus.Subscribe(logBuffer)
	defer func() { sub.Close() }()
	for {
		ended, err := f.look(ctx)
		if err != nil || ended {
			return err
		}
		switch err := f.wait(ctx, sub); {
		case errors.Is(err, events.ErrLagged):
			sub.Close()
			sub = f.bus.Subscribe(logBuffer)
		case err != nil:
			return err
		}
	}
}

// look sends what is new in the log, and the end after the last line.
func (f *deployFollower) look(ctx context.Context) (ended bool, err error) {
	d, err := f.db.Deploy(ctx, f.id)
	if err != nil {
		return false, err
	}
	lines, err := f.db.DeployLog(ctx, f.id, f.after, logPage)
	if err != nil {
		return false, err
	}
	for _, l := range lines {
		if err := f.out.message(strconv.FormatInt(l.Line, 10), "line", deployLineOf(l)); err != nil {
			return false, err
		}
		f.after = l.Line
	}
	if !d.State.Ended() {
		return false, nil
	}
	return true, f.out.message("", "end", deployOf(d))
}

// wait returns when there may be something new; meanwhile it passes the chatter on.
func (f *deployFollower) wait(ctx context.Context, sub *events.Subscription) error {
	beat, cancel := context.WithTimeout(ctx, events.Heartbeat)
	defer cancel()
	for {
		evs, err := sub.Next(beat)
		if err != nil {
			if beat.Err() == nil || ctx.Err() != nil {
				return err
			}
			return f.out.beat()
		}
		news := false
		for _, e := range evs {
			if e.Data["deploy_id"] != f.id {
				continue
			}
			if logged, chatter := e.Data["logged"].(bool); chatter && !logged {
				p := pullJSON{State: e.Data["state"], Text: e.Message, DoneBytes: e.Data["done_bytes"], TotalBytes: e.Data["total_bytes"]}
				if err := f.out.message("", "progress", p); err != nil {
					return err
				}
				continue
			}
			news = true
		}
		if news {
			return nil
		}
	}
}
