// Package logs reads the log of a container for somebody who looks at it: chooses lines, keeps a place to go on from,
// and follows the container through its restarts at the pace of whoever reads. It holds no more than one batch of lines;
// a reader who is slow slows the engine's answer down, which costs the container nothing. Nothing here starts by itself:
// Read and Follow block until the log ends.
package logs

import (
	"context"
	"errors"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
)

// Source is the engine of the container.
type Source interface {
	Logs(ctx context.Context, id string, o docker.LogOptions, line func(docker.LogLine) error) error
	Inspect(ctx context.Context, id string) (docker.Container, error)
	Now() time.Time
}

// Choice selects lines.
type Choice struct {
	Stdout, Stderr bool
	Since, Until   time.Time // engine's clock; zero: no bound
	Tail           int       // only the last lines of the log are looked at; 0: all
	Search         Search
}

// Tally is how many lines were looked at, and how many of them hold what was searched for.
type Tally struct{ Looked, Matched int64 }

// options ask the engine for what is to be looked at. Both streams are read and one is left out here: so a place is the
// same whichever is chosen, and the last lines are the last ones of the log on every engine.
func (c Choice) options(follow bool, from Place) docker.LogOptions {
	o := docker.LogOptions{Follow: follow, Tail: c.Tail, Since: c.Since, Timestamps: true}
	if !from.Anchor.IsZero() {
		o.Tail, o.Since = 0, from.Anchor.Add(-margin)
	}
	return o
}

// picker picks lines one after another.
type picker struct {
	Choice
	seek  *seeker
	place Place
	tally Tally
	// whether the long line whose pieces come was picked, by stream
	out, err bool
}

func newPicker(c Choice, from Place) *picker {
	return &picker{Choice: c, seek: seek(from), place: from}
}

// errOver ends the reading of a log at its upper bound.
var errOver = errors.New("what follows is too new")

// pick tells whether a line is wanted; errOver: neither it nor any after it.
func (p *picker) pick(l docker.LogLine) (bool, error) {
	picked := &p.out
	if l.Stream == "stderr" {
		picked = &p.err
	}
	if l.Piece > 0 {
		return *picked, nil
	}
	*picked = false
	if p.seek.before(l.Time) {
		return false, nil
	}
	if !p.Until.IsZero() && l.Time.After(p.Until) {
		return false, errOver
	}
	p.place.pass(l.Time)
	if l.Stream == "stderr" && !p.Stderr || l.Stream != "stderr" && !p.Stdout {
		return false, nil
	}
	p.tally.Looked++
	if !p.Search.Match(l.Text) {
		return false, nil
	}
	p.tally.Matched++
	*picked = true
	return true, nil
}

// Read calls each for every chosen line from the beginning of the log, or piece of a long one, until the log ends or
// each returns an error, which is then the answer.
func Read(ctx context.Context, src Source, id string, c Choice, follow bool, each func(docker.LogLine) error) error {
	p := newPicker(c, Place{})
	err := src.Logs(ctx, id, c.options(follow, Place{}), func(l docker.LogLine) error {
		ok, err := p.pick(l)
		if err != nil || !ok {
			return err
		}
		return each(l)
	})
	if errors.Is(err, errOver) {
		return nil
	}
	return err
}
