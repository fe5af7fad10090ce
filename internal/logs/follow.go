package logs

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/events"
)

const (
	// A batch goes out when it holds so many lines or bytes, or when nothing more came for a moment.
	batchLines = 500
	batchBytes = 96 << 10
	batchPause = 50 * time.Millisecond

	// longestShown is where a line is cut, in bytes; how much was cut is told.
	longestShown = 32 << 10
	// ahead is how many lines the engine may be ahead of the reader, beside what the connections hold.
	ahead = 64

	// tellLooked is how often it is told how much was looked at where nothing is found.
	tellLooked = time.Second

	// patience is for how long, in all, a reader of what happens now may hold the log up before it is brought back to
	// now; what is fresh is now. To get there is tried for leap.
	patience = 2 * time.Second
	fresh    = 2 * time.Second // some engines tell whole seconds
	leap     = 5 * time.Second

	// again is for how long a container that ended may come back before its log is over, and lookAgain how often it is
	// looked whether it did.
	again     = 3 * time.Second
	lookAgain = 500 * time.Millisecond
)

// Line is one that was chosen.
type Line struct {
	Stream string
	Time   time.Time
	Text   string
	Cut    int64 // bytes that are left out at its end
}

// Turn is what happens to a log beside its lines.
type Turn struct {
	Kind      TurnKind
	Lines     int64            // that were skipped
	Container docker.Container // as it was last seen: stopped, started, ended
}

// TurnKind says what happens.
type TurnKind string

// The kinds.
const (
	Skipped TurnKind = "skipped" // the reader was too slow for what happens now
	Stopped TurnKind = "stopped" // its process ended; it may be started again
	Started TurnKind = "started" // it was started again, and the log goes on
	AllRead TurnKind = "read"    // the last: all was read
	Ended   TurnKind = "ended"   // the last: it does not run, and was not started again
	Gone    TurnKind = "gone"    // the last: there is no such container any more
)

// Listener is told of a log, from one goroutine. While it takes its time, nothing more is read. An error ends the following.
type Listener interface {
	// Lines are told in order; place is where to go on after them. None: so far has been looked.
	Lines(place Place, lines []Line, t Tally) error
	Turn(place Place, turn Turn) error
	// Beat is called every events.Heartbeat.
	Beat() error
}

// Follow tells the lines from a place on, goes on with what comes and through restarts of the container, and ends with a
// last turn; without follow it ends with what there is. The engine's error, that of the listener or of ctx ends it too.
func Follow(ctx context.Context, src Source, id string, c Choice, from Place, follow bool, to Listener) error {
	f := &follower{src: src, id: id, picker: newPicker(c, from), follow: follow, to: to, beat: time.NewTicker(events.Heartbeat), tell: time.NewTicker(tellLooked)}
	defer f.beat.Stop()
	defer f.tell.Stop()
	return f.run(ctx)
}

type follower struct {
	src    Source
	id     string
	picker *picker
	follow bool
	to     Listener
	beat   *time.Ticker
	tell   *time.Ticker

	batch []Line
	bytes int
	told  Tally // with the last lines

	live    bool          // it has come to now once: what is older was asked for and is never skipped
	held    time.Duration // by the reader, since it was last at now
	leaping time.Time     // since when lines are skipped; zero: they are not
	skipped int64
}

func (f *follower) run(ctx context.Context) error {
	for {
		before, err := f.inspect(ctx)
		if err != nil {
			return err
		}
		if err := f.read(ctx); err != nil {
			return err
		}
		if !f.follow {
			return f.to.Turn(f.picker.place, Turn{Kind: AllRead})
		}
		goesOn, err := f.awaitStart(ctx, before)
		if err != nil || !goesOn {
			return err
		}
		f.picker.seek = seek(f.picker.place)
	}
}

// inspect answers a container without an id for one that is gone.
func (f *follower) inspect(ctx context.Context) (docker.Container, error) {
	c, err := f.src.Inspect(ctx, f.id)
	if errors.Is(err, docker.ErrNotFound) {
		return docker.Container{}, nil
	}
	return c, err
}

// read tells the log until the engine ends it.
func (f *follower) read(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	lines, ended := make(chan longLine, ahead), make(chan error, 1)
	options := f.picker.options(f.follow, f.picker.place)
	go func() { ended <- f.pump(ctx, options, lines) }()
	defer func() {
		cancel()
		for range lines { // so that the pump sees that it is over
		}
	}()
	pause := time.NewTimer(batchPause)
	defer pause.Stop()
	for {
		select {
		case l, more := <-lines:
			if !more {
				if err := f.settle(); err != nil {
					return err
				}
				return <-ended
			}
			if len(f.batch) == 0 {
				pause.Reset(batchPause)
			}
			if err := f.take(l); err != nil {
				if errors.Is(err, errOver) {
					return f.settle()
				}
				return err
			}
			if err := f.due(); err != nil {
				return err
			}
		case <-pause.C:
			if len(lines) > 0 {
				pause.Reset(batchPause)
				continue
			}
			if err := f.settle(); err != nil {
				return err
			}
		case <-f.beat.C:
			if err := f.to.Beat(); err != nil {
				return err
			}
		case <-f.tell.C:
			if err := f.flush(true); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// longLine is a line of which only the beginning is kept.
type longLine struct {
	docker.LogLine
	cut int64 // bytes of it that are not
}

// pump hands on what the engine sends, and closes lines after it.
func (f *follower) pump(ctx context.Context, o docker.LogOptions, lines chan<- longLine) error {
	defer close(lines)
	held := map[string]longLine{} // by stream: the lines that are not yet whole
	err := f.src.Logs(ctx, f.id, o, func(l docker.LogLine) error {
		line := longLine{LogLine: l}
		if l.Piece > 0 {
			line = held[l.Stream]
			line.cut += int64(len(l.Text))
		}
		if l.More {
			if l.Piece == 0 {
				line.cut = int64(max(0, len(l.Text)-longestSearched))
				line.Text = strings.Clone(l.Text[:min(len(l.Text), longestSearched)])
			}
			held[l.Stream] = line
			return nil
		}
		select {
		case lines <- line:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	if errors.Is(err, docker.ErrNotFound) {
		return nil // what was told of it before stands; that it is gone is seen next
	}
	return err
}

// due does what is due although lines keep coming.
func (f *follower) due() error {
	select {
	case <-f.beat.C:
		return f.to.Beat()
	case <-f.tell.C:
		return f.flush(true)
	default:
		return nil
	}
}

// take puts a line into the batch, unless lines are skipped.
func (f *follower) take(l longLine) error {
	ok, err := f.picker.pick(l.LogLine)
	if err != nil {
		return err
	}
	isFresh := !l.Time.Before(f.src.Now().Add(-fresh))
	if isFresh {
		f.live = true
	}
	if isFresh || time.Since(f.leaping) >= leap {
		if err := f.land(); err != nil {
			return err
		}
	}
	if !ok {
		return nil
	}
	text, cut := l.Text, l.cut
	if len(text) > longestShown {
		text = strings.ToValidUTF8(text[:longestShown], "\uFFFD")
		cut += int64(len(l.Text) - longestShown)
	}
	f.batch = append(f.batch, Line{Stream: l.Stream, Time: l.Time, Text: text, Cut: cut})
	f.bytes += len(text)
	if f.bytes < batchBytes && len(f.batch) < batchLines {
		return nil
	}
	if !f.leaping.IsZero() {
		f.drop()
		return nil
	}
	return f.flush(false)
}

// drop skips the older half of the batch.
func (f *follower) drop() {
	n := (len(f.batch) + 1) / 2
	for _, l := range f.batch[:n] {
		f.bytes -= len(l.Text)
	}
	f.skipped += int64(n)
	f.batch = append(f.batch[:0], f.batch[n:]...)
}

// land ends the skipping of lines and tells how many were. What waits in the batch comes after them, so that there is no
// place yet to go on from.
func (f *follower) land() error {
	if f.leaping.IsZero() {
		return nil
	}
	n := f.skipped
	f.leaping, f.held, f.skipped = time.Time{}, 0, 0
	if n == 0 {
		return nil
	}
	return f.to.Turn(Place{}, Turn{Kind: Skipped, Lines: n})
}

// settle tells all that has come: the reader is at now.
func (f *follower) settle() error {
	f.held = 0
	if err := f.land(); err != nil {
		return err
	}
	return f.flush(true)
}

// flush tells what is in the batch, and with looked also how much was looked at in vain. A reader of what happens now
// who holds it up for too long is brought back to now.
func (f *follower) flush(looked bool) error {
	if !f.leaping.IsZero() {
		return nil
	}
	if len(f.batch) == 0 && (!looked || f.told == f.picker.tally) {
		return nil
	}
	began := time.Now()
	err := f.to.Lines(f.picker.place, f.batch, f.picker.tally)
	f.batch, f.bytes, f.told = f.batch[:0], 0, f.picker.tally
	if f.held += time.Since(began); f.follow && f.live && f.held > patience && f.leaping.IsZero() {
		f.leaping = time.Now()
	}
	return err
}

// awaitStart tells that the container ended, and whether it was started again so that its log goes on.
func (f *follower) awaitStart(ctx context.Context, before docker.Container) (goesOn bool, err error) {
	told := false
	for began := time.Now(); ; {
		c, err := f.inspect(ctx)
		switch {
		case err != nil:
			return false, err
		case c.ID == "":
			return false, f.to.Turn(f.picker.place, Turn{Kind: Gone})
		case c.Running && c.State != docker.StateRestarting:
			if told || !c.StartedAt.Equal(before.StartedAt) {
				return true, f.to.Turn(f.picker.place, Turn{Kind: Started, Container: c})
			}
			// The engine ended the log of one that runs: it may not have noted its end yet, or has begun a new file.
			return true, f.pause(ctx)
		}
		if ended := c.State != docker.StateRestarting && (!before.Running || time.Since(began) >= again); ended {
			return false, f.to.Turn(f.picker.place, Turn{Kind: Ended, Container: c})
		}
		if !told {
			told = true
			if err := f.to.Turn(f.picker.place, Turn{Kind: Stopped, Container: c}); err != nil {
				return false, err
			}
		}
		if err := f.pause(ctx); err != nil {
			return false, err
		}
	}
}

// pause waits until it is looked again.
func (f *follower) pause(ctx context.Context) error {
	timer := time.NewTimer(lookAgain)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return nil
		case <-f.beat.C:
			if err := f.to.Beat(); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
