package store

import "slices"

// Status is what docker-watcher knows of an instance. It moves only along the
// transition table below, by compare-and-set, with its event in the same
// transaction. Being stale is not a status: it is a fact beside it.
type Status string

// The statuses of an instance. The first four lead up to a container that
// serves; the next five say how the engine sees one that was made.
const (
	StatusPending    Status = "pending"
	StatusPulling    Status = "pulling"
	StatusStarting   Status = "starting"
	StatusRunning    Status = "running"
	StatusStopped    Status = "stopped"
	StatusPaused     Status = "paused"
	StatusRestarting Status = "restarting"
	StatusDead       Status = "dead"
	StatusMissing    Status = "missing"
	StatusFailed     Status = "failed"
	StatusRemoving   Status = "removing"
)

// Statuses lists every status in the order of an instance's life.
func Statuses() []Status {
	return []Status{
		StatusPending, StatusPulling, StatusStarting, StatusRunning, StatusStopped, StatusPaused,
		StatusRestarting, StatusDead, StatusMissing, StatusFailed, StatusRemoving,
	}
}

// transitions is the whole life of an instance: from a status to those that may
// follow it. A removal that is taken back returns to the status it came from.
var transitions = map[Status][]Status{
	StatusPending:    {StatusPulling, StatusStarting, StatusFailed, StatusRemoving},
	StatusPulling:    {StatusStarting, StatusFailed, StatusRemoving},
	StatusStarting:   {StatusRunning, StatusStopped, StatusPaused, StatusRestarting, StatusDead, StatusMissing, StatusFailed, StatusRemoving},
	StatusRunning:    {StatusStopped, StatusPaused, StatusRestarting, StatusDead, StatusMissing, StatusRemoving},
	StatusStopped:    {StatusRunning, StatusPaused, StatusRestarting, StatusDead, StatusMissing, StatusStarting, StatusRemoving},
	StatusPaused:     {StatusRunning, StatusStopped, StatusRestarting, StatusDead, StatusMissing, StatusRemoving},
	StatusRestarting: {StatusRunning, StatusStopped, StatusPaused, StatusDead, StatusMissing, StatusRemoving},
	StatusDead:       {StatusRunning, StatusStopped, StatusMissing, StatusRemoving},
	StatusMissing:    {StatusRunning, StatusStopped, StatusPaused, StatusRestarting, StatusDead, StatusRemoving},
	StatusFailed:     {StatusRunning, StatusStopped, StatusPaused, StatusRestarting, StatusDead, StatusMissing, StatusStarting, StatusRemoving},
	StatusRemoving:   {StatusPending, StatusPulling, StatusStarting, StatusRunning, StatusStopped, StatusPaused, StatusRestarting, StatusDead, StatusMissing, StatusFailed},
}

// CanBecome reports whether an instance of status s may move to next.
func (s Status) CanBecome(next Status) bool {
	return slices.Contains(transitions[s], next)
}

// Deploying reports whether a deploy is still bringing the instance up, so that
// neither a scan nor a cleanup may judge it.
func (s Status) Deploying() bool {
	return s == StatusPending || s == StatusPulling || s == StatusStarting
}
