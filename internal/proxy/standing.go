package proxy

import "time"

// Standing is how a proxy stands that is a program of its own.
type Standing struct {
	Version string // as it says itself; empty: it does not
	// Error is why it cannot be asked, or does not ask, now; ErrorAt since when.
	Error   string
	ErrorAt time.Time
	// Drift is how what it answers by differs from what was applied; DriftSince since when it is known.
	Drift      string
	DriftSince time.Time
	Mends      bool      // drift is undone by itself
	SeenAt     time.Time // when it was last asked, or last asked us
	SeenFrom   string    // who asked us; empty: we ask
}

// Turn is a turn in how a proxy stands that is a program of its own.
type Turn int

// The turns.
const (
	TurnDrifted Turn = iota // somebody else has changed what it answers by
	TurnMended              // what was applied is in force again
	TurnLost                // it cannot be asked, or does not ask any more
	TurnBack                // it can again, or does
)
