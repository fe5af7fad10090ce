package store

import "time"

// DeployState is where a deploy stands.
type DeployState string

// The states of a deploy, in their order. From switching on it can no longer be cancelled.
const (
	DeployQueued     DeployState = "queued"
	DeployPulling    DeployState = "pulling"
	DeployStarting   DeployState = "starting"
	DeployChecking   DeployState = "checking"
	DeploySwitching  DeployState = "switching" // the new one is healthy: routes come to lead to it
	DeployDraining   DeployState = "draining"  // the new one serves; the former ones end what they have begun
	DeployDone       DeployState = "done"
	DeployFailed     DeployState = "failed"
	DeployCancelled  DeployState = "cancelled"
	DeploySuperseded DeployState = "superseded" // a newer one was asked for before it had begun
)

// Ended reports whether the deploy is over.
func (s DeployState) Ended() bool {
	switch s {
	case DeployDone, DeployFailed, DeployCancelled, DeploySuperseded:
		return true
	case DeployQueued, DeployPulling, DeployStarting, DeployChecking, DeploySwitching, DeployDraining:
	}
	return false
}

// Serves reports whether the new one has come to serve or is about to, so that it is too late to cancel.
func (s DeployState) Serves() bool {
	return s == DeploySwitching || s == DeployDraining || s == DeployDone
}

// DeployKind says what a deploy brings its stage to.
type DeployKind string

// The kinds of deploys.
const (
	DeployForward  DeployKind = "deploy"   // an image tag
	DeployRollback DeployKind = "rollback" // a former instance, or another of its spec and digest
	DeployAdoption DeployKind = "adoption" // a container that ran already: nothing was done but written down
)

// Deploy is one attempt to bring a stage to an image tag.
type Deploy struct {
	ID          string
	Kind        DeployKind
	ProjectID   string
	StageID     string
	Lane        string // of what waits one of a lane waits: the tag, in a stage whose tags run side by side
	HostID      string
	InstanceID  string // the new one; of a rollback that is queued the one to go back to
	Replaces    string // the instance that served when it began; empty: none
	Image       string
	ImageTag    string
	Digest      string
	State       DeployState
	Error       string
	Actor       string
	CancelledBy string // who asked for its end; empty: nobody
	CreatedAt   time.Time
	EndedAt     time.Time
}

// DeployLine is one line of the log of a deploy.
type DeployLine struct {
	DeployID   string
	Line       int64 // from 1, without a gap
	Time       time.Time
	State      DeployState
	Text       string
	DoneBytes  int64 // of the pull
	TotalBytes int64 // 0: not known
}
