package stale

import (
	"fmt"
	"maps"
	"time"

	"github.com/tiny-forge/docker-watcher/internal/docker"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// binding is what a container must still be when it is removed: the facts it was judged by.
type binding struct {
	containerID string
	status      store.Status
	startedAt   time.Time
	finishedAt  time.Time
	restarts    int
	labels      map[string]string
	loops       bool // a crash loop moves its own times and counter
}

func bindingOfItem(i store.PlanItem) binding {
	return binding{
		containerID: i.ContainerID, status: i.Status, startedAt: i.StartedAt, finishedAt: i.FinishedAt,
		restarts: i.RestartCount, labels: i.Labels, loops: i.Class == store.ClassCrashLooping,
	}
}

func bindingOfRemoval(r store.Removal) binding {
	return binding{
		containerID: r.ContainerID, status: r.Former, startedAt: r.StartedAt, finishedAt: r.FinishedAt,
		restarts: r.RestartCount, labels: r.Labels,
	}
}

func bindingOfContainer(ct docker.Container) binding {
	return binding{
		containerID: ct.ID, status: statusOfState(ct.State), startedAt: ct.StartedAt, finishedAt: ct.FinishedAt,
		restarts: ct.RestartCount, labels: ct.Labels,
	}
}

// broken says what differs: nil while the container is still as bound.
// Alive, or alive in between, is revived; anything else that moved is changed.
func (b binding) broken(ct docker.Container) *ending {
	switch {
	case ct.ID != b.containerID:
		return endf(store.ResultChanged, "another container answers to its id: %s", ct.ID)
	case ct.State == docker.StateRunning && !b.loops:
		return endf(store.ResultRevived, "it runs again since %s", moment(ct.StartedAt))
	case ct.State == docker.StateRemoving:
		return endf(store.ResultInUse, "somebody else is removing it")
	case !maps.Equal(ct.Labels, b.labels):
		return endf(store.ResultChanged, "its labels are not what they were")
	}
	if b.loops {
		return b.leftLoop(ct)
	}
	return b.moved(ct)
}

// leftLoop is broken for a crash loop: a start by hand sets the engine's counter back.
func (b binding) leftLoop(ct docker.Container) *ending {
	if ct.RestartCount < b.restarts {
		return endf(store.ResultRevived, "it was started anew at %s", moment(ct.StartedAt))
	}
	return nil
}

func (b binding) moved(ct docker.Container) *ending {
	switch {
	case !sameTime(ct.StartedAt, b.startedAt) && ct.StartedAt.After(b.startedAt):
		return endf(store.ResultRevived, "it was started at %s and is %s again", moment(ct.StartedAt), ct.State)
	case !sameTime(ct.StartedAt, b.startedAt), !sameTime(ct.FinishedAt, b.finishedAt):
		return endf(store.ResultChanged, "its last run is not the one that was judged")
	case ct.RestartCount != b.restarts:
		return endf(store.ResultChanged, "it was restarted %d times, %d when judged", ct.RestartCount, b.restarts)
	case statusOfState(ct.State) != b.engineStatus():
		return endf(store.ResultChanged, "it is %s, was %s when judged", ct.State, b.status)
	}
	return nil
}

// engineStatus is the status as far as an engine can tell: a deploy that failed is a stopped container to it.
func (b binding) engineStatus() store.Status {
	if b.status == store.StatusFailed {
		return store.StatusStopped
	}
	return b.status
}

// statusOfState is the status of an instance whose container is in that state.
func statusOfState(s docker.State) store.Status {
	switch s {
	case docker.StateRunning:
		return store.StatusRunning
	case docker.StatePaused:
		return store.StatusPaused
	case docker.StateRestarting:
		return store.StatusRestarting
	case docker.StateDead, docker.StateRemoving:
		return store.StatusDead
	case docker.StateCreated, docker.StateExited:
		return store.StatusStopped
	}
	return store.StatusStopped
}

// sameTime compares with the grain of the store.
func sameTime(a, b time.Time) bool {
	if a.IsZero() || b.IsZero() {
		return a.IsZero() && b.IsZero()
	}
	return a.UnixMilli() == b.UnixMilli()
}

func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// ending is how one item ended, or must end.
type ending struct {
	result store.CleanupResult
	detail string
	// left: the engine could not tell, so the intention stays for Recover to end.
	left bool
	// begun: the engine has begun to delete it and not come to an end. It cannot be copied again, so its archive stays.
	begun bool
}

func endf(r store.CleanupResult, format string, args ...any) *ending {
	return &ending{result: r, detail: fmt.Sprintf(format, args...)}
}

// done reports whether the container is no more.
func (e ending) done() bool {
	return e.result == store.ResultRemoved || e.result == store.ResultAlreadyGone
}
