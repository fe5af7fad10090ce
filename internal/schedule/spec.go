package schedule

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// shortestEvery keeps a slip of the pen from turning a job into a busy loop.
const shortestEvery = 10 * time.Second

// ErrSpec is a schedule that cannot be used.
var ErrSpec = errors.New("bad schedule")

// parse reads a spec in UTC, where no hour is skipped or comes twice.
func parse(spec string, now time.Time) (sched cron.Schedule, err error) {
	// The library's parser panics on some inputs, "TZ=UTC" without fields among them.
	defer func() {
		if r := recover(); r != nil {
			sched, err = nil, fmt.Errorf("%w %q: %v", ErrSpec, spec, r)
		}
	}()
	fields := strings.Join(strings.Fields(spec), " ")
	if strings.Contains(fields, "TZ=") {
		return nil, fmt.Errorf("%w %q: a time zone is not accepted, schedules are in UTC", ErrSpec, spec)
	}
	sched, err = cron.ParseStandard("CRON_TZ=UTC " + fields)
	if err != nil {
		return nil, fmt.Errorf("%w %q: %w", ErrSpec, spec, err)
	}
	if every, ok := sched.(cron.ConstantDelaySchedule); ok && every.Delay < shortestEvery {
		return nil, fmt.Errorf("%w %q: the shortest interval is %s", ErrSpec, spec, shortestEvery)
	}
	if sched.Next(now).IsZero() {
		return nil, fmt.Errorf("%w %q: that moment never comes", ErrSpec, spec)
	}
	return sched, nil
}
